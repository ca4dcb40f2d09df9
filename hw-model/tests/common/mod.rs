// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A host for one model: memory, a ring or two, and what the interrupts were.
#![allow(dead_code, unreachable_pub)]

use esnic_abi::regs::{Counters, Doorbell, Global, MsixTable, QueuePair};
use esnic_abi::{
    Add, Bar, Completion, Device, DeviceState, DirectEntry, DmaFault, FunctionConfig, Header, Host,
    Opcode, Params, SA_ESN, Status, Update,
};
use esnic_model::Model;
use zerocopy::{FromBytes, IntoBytes};

/// Low 16 bits of the instance that every bench starts with.
pub const EPOCH: u16 = 0x0125;

/// Host memory from address 0, and the messages that came.
pub struct Memory {
    pub bytes: Vec<u8>,
    pub interrupts: Vec<u16>,
    /// Every DMA, in order: its address, length, and whether it was a write.
    pub dma: Vec<(u64, usize, bool)>,
}

impl Host for Memory {
    fn dma_read(&mut self, iova: u64, out: &mut [u8]) -> Result<(), DmaFault> {
        self.dma.push((iova, out.len(), false));
        let at = iova as usize;
        out.copy_from_slice(self.bytes.get(at..at + out.len()).ok_or(DmaFault)?);
        Ok(())
    }

    fn dma_write(&mut self, iova: u64, data: &[u8]) -> Result<(), DmaFault> {
        self.dma.push((iova, data.len(), true));
        let at = iova as usize;
        self.bytes.get_mut(at..at + data.len()).ok_or(DmaFault)?.copy_from_slice(data);
        Ok(())
    }

    fn interrupt(&mut self, vector: u16) {
        self.interrupts.push(vector);
    }
}

/// Where the rings of a pair lie.
#[derive(Clone, Copy)]
pub struct Rings {
    pub pair: u32,
    pub sq_log2: u32,
    pub cq_log2: u32,
    pub start: u32,
}

impl Rings {
    pub const fn small(pair: u32) -> Self {
        Self { pair, sq_log2: 4, cq_log2: 4, start: 0 }
    }

    pub const fn sq_base(&self) -> u64 {
        0x10_0000 * (self.pair as u64 + 1)
    }

    pub const fn cq_base(&self) -> u64 {
        self.sq_base() + 0x8_0000
    }
}

/// A running device with its host.
pub struct Bench {
    pub model: Model,
    pub memory: Memory,
    /// Of each pair: its rings, told tail, consumed completions, direct entries used.
    pairs: Vec<(Rings, u32, u32, u32)>,
}

impl Bench {
    /// A device in READY.
    pub fn ready(params: Params) -> Self {
        let model = Model::new(params).expect("the build is possible");
        let memory = Memory { bytes: vec![0; 0x40_0000], interrupts: Vec::new(), dma: Vec::new() };
        let mut bench = Self { model, memory, pairs: Vec::new() };
        bench.step(params.sa_capacity + 1);
        assert_eq!(bench.state(), DeviceState::Ready);
        bench
    }

    /// A device in RUNNING, with Bus Master and MSI-X on and all vectors unmasked.
    pub fn running(params: Params) -> Self {
        let mut bench = Self::ready(params);
        bench.start(EPOCH.into());
        bench
    }

    /// The default build, running, with pair 0 enabled on small rings.
    pub fn new() -> Self {
        let mut bench = Self::running(Params::default());
        bench.enable(Rings::small(0));
        bench
    }

    /// READY to RUNNING.
    pub fn start(&mut self, instance: u64) {
        self.model.configure(FunctionConfig {
            bus_master: true,
            msix_enable: true,
            msix_mask: false,
        });
        for vector in 0..=u32::from(self.model.params().queue_pairs) {
            self.write(Bar::Msix, MsixTable::MSG_CTRL.address(vector), 0);
        }
        self.model.write(Bar::Registers, Global::INSTANCE.address(0), &instance.to_le_bytes());
        self.write_global(Global::CONTROL, 1);
        assert_eq!(self.state(), DeviceState::Running);
    }

    pub fn enable(&mut self, rings: Rings) {
        let n = rings.pair;
        for (register, value) in
            [(QueuePair::SQ_BASE, rings.sq_base()), (QueuePair::CQ_BASE, rings.cq_base())]
        {
            self.model.write(Bar::Registers, register.address(n), &value.to_le_bytes());
        }
        self.write_pair(n, QueuePair::RING_SIZE, rings.cq_log2 << 8 | rings.sq_log2);
        self.write_pair(n, QueuePair::START, rings.start);
        let cq = rings.cq_base() as usize;
        self.memory.bytes[cq..cq + (16 << rings.cq_log2)].fill(0);
        self.write_pair(n, QueuePair::QP_CTRL, 1);
        let n = n as usize;
        if self.pairs.len() <= n {
            self.pairs.resize(n + 1, (rings, 0, 0, 0));
        }
        self.pairs[n] = (rings, rings.start, rings.start, 0);
    }

    pub fn step(&mut self, cycles: u32) -> bool {
        self.model.step(&mut self.memory, cycles)
    }

    /// Steps until only the host could make something happen.
    pub fn settle(&mut self) {
        for _ in 0..1000 {
            if !self.step(100) {
                return;
            }
        }
        panic!("the device never comes to rest");
    }

    pub fn write(&mut self, bar: Bar, offset: u64, value: u32) {
        self.model.write(bar, offset, &value.to_le_bytes());
    }

    pub fn read(&mut self, bar: Bar, offset: u64) -> u32 {
        let mut out = [0; 4];
        self.model.read(bar, offset, &mut out);
        u32::from_le_bytes(out)
    }

    pub fn write_global(&mut self, register: Global, value: u32) {
        self.write(Bar::Registers, register.address(0), value);
    }

    pub fn global(&mut self, register: Global) -> u32 {
        self.read(Bar::Registers, register.address(0))
    }

    pub fn write_pair(&mut self, n: u32, register: QueuePair, value: u32) {
        self.write(Bar::Registers, register.address(n), value);
    }

    pub fn pair(&mut self, n: u32, register: QueuePair) -> u32 {
        self.read(Bar::Registers, register.address(n))
    }

    pub fn doorbell(&mut self, n: u32, register: Doorbell, value: u32) {
        self.write(Bar::Registers, register.address(n), value);
    }

    pub fn counter(&mut self, counter: Counters) -> u64 {
        let mut out = [0; 8];
        self.model.read(Bar::Registers, counter.address(0), &mut out);
        u64::from_le_bytes(out)
    }

    pub fn state(&mut self) -> DeviceState {
        DeviceState::from_code(self.global(Global::STATUS) as u8).expect("a state")
    }

    pub fn pair_state(&mut self, n: u32) -> (u32, u32) {
        let status = self.pair(n, QueuePair::QP_STATUS);
        (status & 7, status >> 8)
    }

    /// Fills slots of pair `n` without telling.
    pub fn fill(&mut self, n: u32, command: &[u8]) {
        let (rings, tail, ..) = &mut self.pairs[n as usize];
        for slot in command.chunks(64) {
            let at = rings.sq_base() as usize + 64 * (*tail as usize % (1 << rings.sq_log2));
            self.memory.bytes[at..at + 64].copy_from_slice(slot);
            *tail = tail.wrapping_add(1);
        }
    }

    /// Tells the tail of pair `n`.
    pub fn publish(&mut self, n: u32) {
        let tail = self.pairs[n as usize].1;
        self.doorbell(n, Doorbell::SQ_TAIL, tail);
    }

    pub fn tail(&self, n: u32) -> u32 {
        self.pairs[n as usize].1
    }

    /// The next completion of pair `n`, if it is there; consumed, but not told.
    pub fn pop(&mut self, n: u32) -> Option<Completion> {
        let (rings, _, consumed, _) = &mut self.pairs[n as usize];
        let at = rings.cq_base() as usize + 16 * (*consumed as usize % (1 << rings.cq_log2));
        let completion = Completion::read_from_bytes(&self.memory.bytes[at..at + 16]).unwrap();
        let phase = (*consumed >> rings.cq_log2) & 1 == 0;
        (Completion::PHASE.is_set(completion.info.into()) == phase).then(|| {
            *consumed = consumed.wrapping_add(1);
            completion
        })
    }

    /// Tells what was consumed of pair `n`.
    pub fn tell(&mut self, n: u32) {
        let consumed = self.pairs[n as usize].2;
        self.doorbell(n, Doorbell::CQ_HEAD, consumed);
    }

    /// All completions of pair `n` that are there, consumed and told.
    pub fn pop_all(&mut self, n: u32) -> Vec<Completion> {
        let all = core::iter::from_fn(|| self.pop(n)).collect();
        self.tell(n);
        all
    }

    /// One command by the ring of pair 0, to its end. An ADD gets a NOP before it if need be.
    pub fn ring(&mut self, command: &[u8]) -> Completion {
        if command.len() == 128 && self.tail(0) % 2 == 1 {
            self.fill(0, bare(Opcode::Nop, 0, 0).as_bytes());
        }
        self.fill(0, command);
        self.publish(0);
        self.settle();
        *self.pop_all(0).last().expect("a completion")
    }

    /// Stores a command for SA `index`, in one piece.
    pub fn stage(&mut self, index: u32, command: &[u8]) {
        self.model.write(Bar::Table, u64::from(index) * 128, command);
    }

    /// Rings a direct doorbell of pair `n`.
    pub fn ring_direct(&mut self, n: u32, index: u32, cookie: u32) {
        let k = self.pairs[n as usize].3;
        self.pairs[n as usize].3 += 1;
        let depth = 1 << self.model.params().direct_log2;
        let entry = direct_entry(k, depth, index, cookie, EPOCH);
        let at = Doorbell::DIRECT.address(n) + 8 * u64::from(k % depth);
        self.model.write(Bar::Registers, at, entry.as_bytes());
    }

    /// One command by the direct path of pair 0, to its end.
    pub fn direct(&mut self, command: &[u8]) -> Completion {
        let header = Header::read_from_prefix(command).unwrap().0;
        self.stage(header.index.get(), command);
        self.ring_direct(0, header.index.get(), header.cookie.get());
        self.settle();
        *self.pop_all(0).last().expect("a completion")
    }

    /// The live view's bytes of slot `index`.
    pub fn view(&mut self, index: u32) -> [u8; 128] {
        let mut out = [0; 128];
        self.model.read(Bar::Table, u64::from(index) * 128, &mut out);
        out
    }
}

/// The direct entry with number `k` in a ring of `depth`.
pub fn direct_entry(k: u32, depth: u32, index: u32, cookie: u32, epoch: u16) -> DirectEntry {
    let lap = 1 - (k / depth) % 2;
    let target = DirectEntry::INDEX.put(0, index);
    let target = DirectEntry::EPOCH.put(target, epoch.into());
    DirectEntry {
        target: DirectEntry::TARGET_LAP.put(target, lap).into(),
        claim: DirectEntry::CLAIM_LAP.put(cookie, lap).into(),
    }
}

pub fn header(opcode: Opcode, index: u32, generation: u32) -> Header {
    Header {
        opcode: opcode as u8,
        flags: 0,
        epoch: EPOCH.into(),
        cookie: 0x0077_0000.into(),
        index: index.into(),
        generation: generation.into(),
    }
}

pub fn bare(opcode: Opcode, index: u32, generation: u32) -> esnic_abi::Bare {
    esnic_abi::Bare { header: header(opcode, index, generation), ..Default::default() }
}

/// A good ADD: ESP, AES-GCM-256, ESN, `top` 5:80000000. No two of its bytes that matter are alike.
pub fn add(index: u32, generation: u32) -> Add {
    let header = header(Opcode::Add, index, generation);
    Add {
        header,
        spi: 0x1234_5678.into(),
        protocol: 2,
        direction: 1,
        mode: 2,
        algorithm: 3,
        icv_len: 16,
        family: 6,
        sa_flags: SA_ESN.into(),
        replay_window: 1023.into(),
        src: core::array::from_fn(|k| 0x20 + k as u8),
        dst: core::array::from_fn(|k| 0x40 + k as u8),
        second_opcode: Opcode::AddSecond as u8,
        second_flags: 1,
        second_epoch: header.epoch,
        second_cookie: header.cookie,
        hi: 5.into(),
        lo: 0x8000_0000.into(),
        peer: esnic_abi::NO_PEER.into(),
        salt: [0xA1, 0xA2, 0xA3, 0xA4],
        key: core::array::from_fn(|k| 0xC0 + k as u8),
        ..Add::default()
    }
}

/// A good UPDATE in mode HI of what [`add`] made.
pub fn update(index: u32, generation: u32, hi: u32) -> Update {
    Update {
        header: header(Opcode::Update, index, generation),
        spi: 0x1234_5678.into(),
        protocol: 2,
        hi: hi.into(),
        ..Update::default()
    }
}

pub fn status(completion: &Completion) -> Status {
    Status::from_code(completion.status).expect("a status of the contract")
}

pub fn lo_valid(completion: &Completion) -> bool {
    Completion::LO_VALID.is_set(completion.info.into())
}

pub fn changed(completion: &Completion) -> bool {
    Completion::CHANGED.is_set(completion.info.into())
}

pub fn opcode(completion: &Completion) -> u32 {
    Completion::OPCODE.get(completion.info.into())
}
