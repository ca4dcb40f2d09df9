// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A device that lies: the model, with a hand on its completions.

use esnic_abi::regs::QueuePair;
use esnic_abi::{Bar, Completion, Device, DmaFault, FunctionConfig, Host, Params};
use std::collections::VecDeque;

/// A completion as it stands in memory.
pub type Bytes = [u8; Completion::LEN];

/// What is done to the completions that pass.
type Touch = Box<dyn FnMut(u64, Bytes) -> Bytes + Send>;

/// The model with a hand on its completions.
pub struct Hostile {
    /// The device underneath.
    pub model: esnic_model::Model,
    /// Changes a completion on its way to memory; it gets the address too.
    pub touch: Option<Touch>,
    /// Completions to write to the place of pair 0's next one at the next step, phase as it should be.
    pub forged: VecDeque<Bytes>,
    /// What was written, in order.
    pub seen: Vec<Bytes>,
    next: u64,
}

impl Hostile {
    /// Honest so far.
    pub fn new(params: Params) -> Self {
        Self {
            model: esnic_model::Model::new(params).expect("a build that can be"),
            touch: None,
            forged: VecDeque::new(),
            seen: Vec::new(),
            next: 0,
        }
    }

    fn register(&mut self, register: QueuePair) -> u32 {
        let mut bytes = [0; 4];
        self.model.read(Bar::Registers, register.address(0), &mut bytes);
        u32::from_le_bytes(bytes)
    }
}

struct Hand<'a> {
    host: &'a mut dyn Host,
    touch: &'a mut Option<Touch>,
    seen: &'a mut Vec<Bytes>,
    written: u64,
}

impl Host for Hand<'_> {
    fn dma_read(&mut self, iova: u64, out: &mut [u8]) -> Result<(), DmaFault> {
        self.host.dma_read(iova, out)
    }

    fn dma_write(&mut self, iova: u64, data: &[u8]) -> Result<(), DmaFault> {
        let mut data = data.to_vec();
        // Records are 128 bytes; everything shorter is completions.
        if data.len() <= 64 {
            let mut at = iova;
            for entry in data.as_chunks_mut::<{ Completion::LEN }>().0 {
                if let Some(touch) = self.touch {
                    *entry = touch(at, *entry);
                }
                self.seen.push(*entry);
                self.written += 1;
                at += Completion::LEN as u64;
            }
        }
        self.host.dma_write(iova, &data)
    }

    fn interrupt(&mut self, vector: u16) {
        self.host.interrupt(vector);
    }
}

impl Device for Hostile {
    fn bar_bytes(&self, bar: Bar) -> u64 {
        self.model.bar_bytes(bar)
    }

    fn read(&mut self, bar: Bar, offset: u64, out: &mut [u8]) {
        self.model.read(bar, offset, out);
    }

    fn write(&mut self, bar: Bar, offset: u64, data: &[u8]) {
        self.model.write(bar, offset, data);
    }

    fn configure(&mut self, config: FunctionConfig) {
        self.model.configure(config);
    }

    fn reset(&mut self) {
        self.next = 0;
        self.model.reset();
    }

    fn step(&mut self, host: &mut dyn Host, cycles: u32) -> bool {
        if let Some(mut forged) = self.forged.pop_front() {
            // Beside the device's own count: the driver sees the forgeries in a row.
            let log2 = self.register(QueuePair::RING_SIZE) >> 8 & 0xF;
            let base = u64::from(self.register(QueuePair::CQ_BASE))
                | u64::from({
                    let mut bytes = [0; 4];
                    let high = QueuePair::CQ_BASE.address(0) + 4;
                    self.model.read(Bar::Registers, high, &mut bytes);
                    u32::from_le_bytes(bytes)
                }) << 32;
            let at = u64::from(self.register(QueuePair::CQ_TAIL)) + self.next;
            self.next += 1;
            let phase = at >> log2 & 1 == 0;
            forged[15] = forged[15] & 0x7F | u8::from(phase) << 7;
            let place = base + (at & ((1 << log2) - 1)) * Completion::LEN as u64;
            // A ring that is not configured is nobody's memory; then the forgery is lost.
            let _ = host.dma_write(place, &forged);
            return true;
        }
        let mut hand = Hand { host, touch: &mut self.touch, seen: &mut self.seen, written: 0 };
        self.model.step(&mut hand, cycles)
    }
}
