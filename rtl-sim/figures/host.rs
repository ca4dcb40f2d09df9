// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A host without a driver: brings the device up, posts commands, takes completions.

use crate::command::{Answer, Command, EPOCH, INSTANCE};
use crate::memory::{Memory, RING, RING_LOG2, cq_base, sq_base};
use esnic_abi::regs::{Doorbell, Global, QueuePair, global, queue_pair};
use esnic_abi::{
    Bar, Completion, Device, DeviceState, DirectEntry, FunctionConfig, Params, QpState,
    QueryRecord, SA_SLOT_BYTES, Status,
};
use esnic_rtl::{Bus, RtlDevice};

/// Why there are no figures: one sentence.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// Cycles within which the device must do whatever is waited for.
pub(crate) const PATIENCE: u32 = 100_000;

/// One queue pair, as the host sees it.
struct Pair {
    /// Submission slots filled, and told.
    tail: u32,
    /// Submission slots that the device has read.
    fetched: u32,
    /// Completions taken.
    head: u32,
    /// Direct doorbells rung.
    rung: u32,
    /// Commands posted, ring and direct together; also the next cookie.
    posted: u32,
    /// What is expected, by cookie modulo the ring's size.
    pending: Vec<Option<(u32, Answer)>>,
}

/// Device, memory and rings.
pub(crate) struct Machine {
    pub(crate) device: RtlDevice,
    pub(crate) memory: Memory,
    pairs: Vec<Pair>,
    /// Stores made since power-on; those that have not arrived are still in the bridge.
    stores: u64,
}

impl Machine {
    /// The device with all its pairs enabled and nothing in its table.
    pub(crate) fn start(bus: Bus) -> Result<Self> {
        let params = Params::default();
        let device = RtlDevice::new(params, bus).map_err(|error| error.to_string())?;
        let count = u32::from(params.queue_pairs);
        let pairs = (0..count).map(|_| Pair {
            tail: 0,
            fetched: 0,
            head: 0,
            rung: 0,
            posted: 0,
            pending: vec![None; RING as usize],
        });
        let mut machine =
            Self { device, memory: Memory::new(count), pairs: pairs.collect(), stores: 0 };
        machine.run_device()?;
        for pair in 0..count {
            machine.enable(pair)?;
        }
        Ok(machine)
    }

    fn run_device(&mut self) -> Result<()> {
        let state = |machine: &mut Self| {
            let status = machine.load(Global::STATUS.address(0));
            global::STATUS::STATE.get(status)
        };
        let mut left = PATIENCE;
        while state(self) != DeviceState::Ready as u32 {
            left = left.checked_sub(1).ok_or("the device does not become READY")?;
            self.step();
        }
        self.store(Bar::Registers, Global::INSTANCE.address(0), &INSTANCE.to_le_bytes());
        self.store32(Global::CONTROL.address(0), global::CONTROL::RUN.mask());
        self.device.configure(FunctionConfig { bus_master: true, ..FunctionConfig::default() });
        if state(self) != DeviceState::Running as u32 {
            return Err("the device does not become RUNNING".into());
        }
        Ok(())
    }

    fn enable(&mut self, pair: u32) -> Result<()> {
        let sizes = queue_pair::RING_SIZE::SQ_LOG2.put(0, RING_LOG2);
        let sizes = queue_pair::RING_SIZE::CQ_LOG2.put(sizes, RING_LOG2);
        let bases = [(QueuePair::SQ_BASE, sq_base(pair)), (QueuePair::CQ_BASE, cq_base(pair))];
        for (register, base) in bases {
            self.store(Bar::Registers, register.address(pair), &base.to_le_bytes());
        }
        self.store32(QueuePair::RING_SIZE.address(pair), sizes);
        self.store32(QueuePair::START.address(pair), 0);
        self.store32(QueuePair::QP_CTRL.address(pair), queue_pair::QP_CTRL::ENABLE.mask());
        let status = self.load(QueuePair::QP_STATUS.address(pair));
        if queue_pair::QP_STATUS::STATE.get(status) != QpState::Enabled as u32 {
            return Err(format!("pair {pair} does not become ENABLED: its status is {status:#x}"));
        }
        Ok(())
    }

    fn load(&mut self, address: u64) -> u32 {
        let mut bytes = [0; 4];
        self.device.read(Bar::Registers, address, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn store(&mut self, bar: Bar, address: u64, data: &[u8]) {
        self.stores += 1;
        self.device.write(bar, address, data);
    }

    fn store32(&mut self, address: u64, value: u32) {
        self.store(Bar::Registers, address, &value.to_le_bytes());
    }

    /// Stores that the device has not taken yet.
    pub(crate) fn stores_waiting(&self) -> u64 {
        self.stores - self.device.traffic().mmio_writes.count
    }

    /// One clock cycle.
    pub(crate) fn step(&mut self) {
        self.device.step(&mut self.memory, 1);
    }

    /// Pairs that there are.
    pub(crate) fn pairs(&self) -> u32 {
        // As many as LIMITS says, which has eight bits for them.
        #[allow(clippy::cast_possible_truncation)]
        let count = self.pairs.len() as u32;
        count
    }

    /// The cookie, which is also the number, of the next command of a pair.
    pub(crate) fn next_cookie(&self, pair: u32) -> u32 {
        self.pairs[pair as usize].posted
    }

    /// Commands of a pair that wait for their completion.
    pub(crate) fn outstanding(&self, pair: u32) -> u32 {
        let pair = &self.pairs[pair as usize];
        pair.posted - pair.head
    }

    /// Whether `commands` of `slots` slots each find room in both rings (R8, R10).
    pub(crate) fn has_room(&self, pair: u32, commands: u32, slots: u32) -> bool {
        let state = &self.pairs[pair as usize];
        let used = state.tail - state.fetched;
        used + commands * slots <= RING && self.outstanding(pair) + commands <= RING
    }

    fn expect(&mut self, pair: u32, command: &mut Command) -> Result<u32> {
        let state = &mut self.pairs[pair as usize];
        let cookie = state.posted;
        state.posted += 1;
        command.set_cookie(cookie);
        let place = &mut state.pending[(cookie % RING) as usize];
        if place.replace((cookie, command.answer)).is_some() {
            return Err(format!("pair {pair}: command {cookie} overtook an older one by a ring"));
        }
        Ok(cookie)
    }

    /// Puts a command into the ring, without a doorbell.
    pub(crate) fn post(&mut self, pair: u32, mut command: Command) -> Result<()> {
        self.expect(pair, &mut command)?;
        let (slots, _) = command.bytes.as_chunks::<64>();
        for slot in &slots[..command.slots as usize] {
            let state = &mut self.pairs[pair as usize];
            self.memory.put_slot(pair, state.tail, slot);
            state.tail += 1;
        }
        Ok(())
    }

    /// Tells the device of what was posted and of what was taken, in one store.
    pub(crate) fn ring(&mut self, pair: u32) {
        let state = &self.pairs[pair as usize];
        let both = u64::from(state.head) << 32 | u64::from(state.tail);
        self.store(Bar::Registers, Doorbell::SQ_TAIL.address(pair), &both.to_le_bytes());
    }

    /// Tells the device of what was posted, and of nothing else.
    pub(crate) fn ring_tail(&mut self, pair: u32) {
        let tail = self.pairs[pair as usize].tail;
        self.store32(Doorbell::SQ_TAIL.address(pair), tail);
    }

    /// Stages a command of one slot in stores of `chunk` bytes and rings the direct doorbell for it.
    pub(crate) fn send(
        &mut self,
        pair: u32,
        mut command: Command,
        bytes: usize,
        chunk: usize,
    ) -> Result<()> {
        let cookie = self.expect(pair, &mut command)?;
        let index = u32::from_le_bytes([8, 9, 10, 11].map(|byte: usize| command.bytes[byte]));
        for (k, part) in command.bytes[..bytes].chunks(chunk).enumerate() {
            let address = SA_SLOT_BYTES * u64::from(index) + (chunk * k) as u64;
            self.store(Bar::Table, address, part);
        }
        let places = 1 << Params::default().direct_log2;
        let state = &mut self.pairs[pair as usize];
        let (place, lap) = (state.rung % places, 1 - ((state.rung / places) & 1));
        state.rung += 1;
        let target = DirectEntry::INDEX.put(0, index);
        let target = DirectEntry::EPOCH.put(target, EPOCH.into());
        let target = DirectEntry::TARGET_LAP.put(target, lap);
        let claim = DirectEntry::CLAIM_LAP.put(DirectEntry::COOKIE.put(0, cookie), lap);
        let both = u64::from(claim) << 32 | u64::from(target);
        let address = Doorbell::DIRECT.address(pair) + 8 * u64::from(place);
        self.store(Bar::Registers, address, &both.to_le_bytes());
        Ok(())
    }

    /// Takes every completion that is there, and checks it; gives how many.
    pub(crate) fn reap(&mut self) -> Result<u32> {
        if !core::mem::take(&mut self.memory.touched) {
            return Ok(0);
        }
        let mut taken = 0;
        for pair in 0..self.pairs() {
            while let Some(completion) =
                self.memory.completion(pair, self.pairs[pair as usize].head)
            {
                self.check(pair, &completion).map_err(|what| {
                    let (cycle, bus) = (self.device.cycles(), self.device.bus());
                    format!("cycle {cycle}, pair {pair}: {what}; {completion:?} on {bus:?}")
                })?;
                taken += 1;
            }
        }
        Ok(taken)
    }

    fn check(&mut self, pair: u32, completion: &Completion) -> Result<()> {
        let state = &mut self.pairs[pair as usize];
        state.head += 1;
        // Only the low half is told; the rest follows from the own tail.
        let behind = state.tail.wrapping_sub(completion.sq_head.get().into()) & 0xFFFF;
        state.fetched = state.tail.checked_sub(behind).ok_or("sq_head is ahead of the tail")?;
        let cookie = completion.cookie.get();
        let place = &mut state.pending[(cookie % RING) as usize];
        let answer = match place.take() {
            Some((due, answer)) if due == cookie => answer,
            _ => return Err("nobody waits for its cookie".into()),
        };
        let opcode = Completion::OPCODE.get(completion.info.into());
        if completion.status != Status::Ok as u8
            || opcode != answer.opcode as u32
            || completion.result.get() != answer.result
        {
            let (opcode, result) = (answer.opcode, answer.result);
            return Err(format!("due is OK of {opcode} with result {result:#x}"));
        }
        if let Some(index) = answer.record {
            let record = self.memory.take_record(cookie);
            // Its first bytes are those of the live view (4.5): state, number of the slot.
            if record[0] != 1 || record[8..12] != index.to_le_bytes() {
                let len = QueryRecord::LEN;
                return Err(format!("its record of {len} bytes is not that of slot {index}"));
            }
        }
        Ok(())
    }

    /// Clocks until `done`, taking completions.
    pub(crate) fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<()> {
        let mut left = PATIENCE;
        while !done(self) {
            left = left.checked_sub(1).ok_or_else(|| format!("waited in vain for {what}"))?;
            self.step();
            self.reap()?;
        }
        Ok(())
    }

    /// Waits for everything that was posted, and lets the device know that it was taken.
    pub(crate) fn settle(&mut self) -> Result<()> {
        let all = 0..self.pairs();
        self.until("completions", |machine| {
            all.clone().all(|pair| machine.outstanding(pair) == 0)
        })?;
        for pair in all {
            self.ring(pair);
        }
        self.until("stores", |machine| machine.stores_waiting() == 0)?;
        // Longer than any path inside the device.
        for _ in 0..64 {
            self.step();
        }
        Ok(())
    }
}
