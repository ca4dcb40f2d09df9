// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One queue pair as a plain host drives it: three indices, no shadow, no tickets.

use super::cmd::Cmd;
use esnic_abi::regs::{Doorbell, QueuePair, queue_pair};
use esnic_abi::{Bar, Completion, DirectEntry, QpCause, QpState, Status};
use esnic_driver::dma::{DmaAccess, DmaBuffer};
use esnic_driver::regs;
use esnic_driver::transport::Transport;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up; far above R43.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What the host leaves in the result of an empty completion, to see that the device overwrote it
/// before it turned the phase (R12).
const POISON: u64 = 0xDEAD_A5A5_5A5A_BEEF;

/// The two ways in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    Ring,
    Direct,
}

impl Path {
    pub const BOTH: [Self; 2] = [Self::Ring, Self::Direct];
}

/// How the stores to an SA slot are cut.
#[derive(Clone, Copy, Debug)]
pub enum Split {
    /// As large as the transport can.
    Lines,
    Quadwords,
    QuadwordsBackward,
    Dwords,
    DwordsBackward,
    /// Dwords in the order that this seed gives.
    Shuffled(u64),
}

impl Split {
    pub const ALL: [Self; 6] = [
        Self::Lines,
        Self::Quadwords,
        Self::QuadwordsBackward,
        Self::Dwords,
        Self::DwordsBackward,
        Self::Shuffled(1),
    ];
}

/// Sizes and first index of a pair.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub sq_log2: u32,
    pub cq_log2: u32,
    pub start: u32,
}

impl Default for Shape {
    fn default() -> Self {
        Self::of(6, 6)
    }
}

impl Shape {
    pub fn of(sq_log2: u32, cq_log2: u32) -> Self {
        Self { sq_log2, cq_log2, start: 0 }
    }

    /// With the last START before the indices wrap.
    pub fn about_to_wrap(self) -> Self {
        Self { start: 0u32.wrapping_sub(2 << self.sq_log2.max(self.cq_log2)), ..self }
    }
}

/// A completion, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    pub result: u64,
    pub cookie: u32,
    pub sq_head: u16,
    pub status: Status,
    pub opcode: u8,
    pub lo_valid: bool,
    pub changed: bool,
}

impl Done {
    /// Asserts the status, and gives itself back.
    #[track_caller]
    pub fn expect(self, status: Status) -> Self {
        assert_eq!(self.status, status, "{self:x?}");
        self
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        self.expect(Status::Ok)
    }

    pub fn hi(self) -> u32 {
        (self.result >> 32) as u32
    }

    pub fn lo(self) -> u32 {
        self.result as u32
    }

    /// (hi, lo, lo_valid), as the tables of §7 write `top`.
    pub fn top(self) -> (u32, u32, bool) {
        (self.hi(), self.lo(), self.lo_valid)
    }
}

/// One queue pair and its memory.
pub struct Pair<L> {
    link: Arc<L>,
    pub n: u32,
    pub shape: Shape,
    pub sq: DmaBuffer,
    pub cq: DmaBuffer,
    pub epoch: u16,
    direct_log2: u32,
    /// Ring index of the next slot to fill.
    pub tail: u32,
    /// Completions consumed, as a ring index.
    pub seen: u32,
    /// The last `seen` that the device was told.
    pub told: u32,
    /// Direct index of the next doorbell.
    pub knocks: u32,
    last_sq_head: u32,
}

impl<L: Transport> Pair<L> {
    /// Gives pair `n` memory and writes its registers; does not turn it on.
    pub fn configure(link: &Arc<L>, n: u32, shape: Shape, direct_log2: u32, epoch: u16) -> Self {
        let sq = link.dma_alloc(64 << shape.sq_log2, DmaAccess::DeviceReads);
        let cq = link.dma_alloc(16 << shape.cq_log2, DmaAccess::DeviceWrites);
        let mut pair = Self {
            link: link.clone(),
            n,
            shape,
            sq: sq.expect("memory for the submission ring"),
            cq: cq.expect("memory for the completion ring"),
            epoch,
            direct_log2,
            tail: 0,
            seen: 0,
            told: 0,
            knocks: 0,
            last_sq_head: 0,
        };
        pair.write_config();
        pair
    }

    /// Writes the registers and forgets everything; the completion ring is empty again.
    pub fn write_config(&mut self) {
        let Shape { sq_log2, cq_log2, start } = self.shape;
        self.cq.wipe(0, 16 << cq_log2);
        for entry in 0..1 << cq_log2 {
            self.cq.write(16 * entry, &POISON.to_le_bytes());
        }
        let sizes = queue_pair::RING_SIZE::SQ_LOG2.put(0, sq_log2);
        let sizes = queue_pair::RING_SIZE::CQ_LOG2.put(sizes, cq_log2);
        let link = &*self.link;
        regs::set_queue_pair64(link, self.n, QueuePair::SQ_BASE, self.sq.iova().0);
        regs::set_queue_pair64(link, self.n, QueuePair::CQ_BASE, self.cq.iova().0);
        regs::set_queue_pair(link, self.n, QueuePair::RING_SIZE, sizes);
        regs::set_queue_pair(link, self.n, QueuePair::START, start);
        (self.tail, self.seen, self.told) = (start, start, start);
        (self.knocks, self.last_sq_head) = (0, start);
    }

    pub fn reg(&self, register: QueuePair) -> u32 {
        regs::queue_pair(&*self.link, self.n, register)
    }

    pub fn set(&self, register: QueuePair, value: u32) {
        regs::set_queue_pair(&*self.link, self.n, register, value);
    }

    pub fn state(&self) -> QpState {
        let state = queue_pair::QP_STATUS::STATE.get(self.reg(QueuePair::QP_STATUS));
        QpState::try_from(state as u8).expect("a state of the contract")
    }

    pub fn cause(&self) -> QpCause {
        let cause = queue_pair::QP_STATUS::CAUSE.get(self.reg(QueuePair::QP_STATUS));
        QpCause::try_from(cause as u8).expect("a cause of the contract")
    }

    #[track_caller]
    pub fn await_state(&self, state: QpState) {
        let deadline = Instant::now() + PATIENCE;
        while self.state() != state {
            let now = (self.state(), self.cause());
            assert!(Instant::now() < deadline, "{now:?}, wanted {state}");
            self.link.relax();
        }
    }

    #[track_caller]
    pub fn enable(&self) {
        self.set(QueuePair::QP_CTRL, 1);
        self.await_state(QpState::Enabled);
    }

    #[track_caller]
    pub fn disable(&self) {
        self.set(QueuePair::QP_CTRL, 0);
        self.await_state(QpState::Disabled);
    }

    fn place(&self, index: u32) -> usize {
        64 * (index & ((1 << self.shape.sq_log2) - 1)) as usize
    }

    /// Fills the next slot, or two; rings no doorbell.
    pub fn put(&mut self, cmd: &Cmd) {
        self.put_bytes(cmd.bytes());
    }

    /// Fills the next slots with any bytes.
    pub fn put_bytes(&mut self, bytes: &[u8]) {
        for slot in bytes.chunks(64) {
            self.sq.write(self.place(self.tail), slot);
            self.tail = self.tail.wrapping_add(1);
        }
    }

    /// Tells the tail (R40).
    pub fn ring(&self) {
        self.ring_at(self.tail);
    }

    pub fn ring_at(&self, tail: u32) {
        self.link.store_fence();
        regs::ring(&*self.link, self.n, Doorbell::SQ_TAIL, tail);
    }

    /// Stores a command into the device's SA slot `index`, cut as wanted.
    pub fn stage(&self, index: u32, cmd: &Cmd, split: Split) {
        let base = 128 * u64::from(index);
        let (dwords, quadwords) = (cmd.dwords(), cmd.quadwords());
        let dword = |k: usize| self.link.write32(Bar::Table, base + 4 * k as u64, dwords[k]);
        let quadword = |k: usize| self.link.write64(Bar::Table, base + 8 * k as u64, quadwords[k]);
        match split {
            Split::Lines => self.link.store(Bar::Table, base, &quadwords),
            Split::Quadwords => (0..quadwords.len()).for_each(quadword),
            Split::QuadwordsBackward => (0..quadwords.len()).rev().for_each(quadword),
            Split::Dwords => (0..dwords.len()).for_each(dword),
            Split::DwordsBackward => (0..dwords.len()).rev().for_each(dword),
            Split::Shuffled(seed) => {
                let mut order: Vec<usize> = (0..dwords.len()).collect();
                fastrand::Rng::with_seed(seed).shuffle(&mut order);
                order.into_iter().for_each(dword);
            }
        }
        self.link.store_fence();
    }

    /// Place in the doorbell ring and value of the next direct entry (§2.3).
    pub fn direct_entry(&self, index: u32, cookie: u32) -> (u32, u64) {
        let place = self.knocks & ((1 << self.direct_log2) - 1);
        let lap = 1 - ((self.knocks >> self.direct_log2) & 1);
        let target = DirectEntry::INDEX.put(0, index);
        let target = DirectEntry::EPOCH.put(target, self.epoch.into());
        let target = DirectEntry::TARGET_LAP.put(target, lap);
        let claim = DirectEntry::COOKIE.put(0, cookie);
        let claim = DirectEntry::CLAIM_LAP.put(claim, lap);
        (place, u64::from(claim) << 32 | u64::from(target))
    }

    /// Rings the next direct doorbell.
    pub fn knock(&mut self, index: u32, cookie: u32) {
        let (place, entry) = self.direct_entry(index, cookie);
        self.link.store_fence();
        regs::ring_direct(&*self.link, self.n, place, entry);
        self.knocks = self.knocks.wrapping_add(1);
    }

    /// Address in BAR 0 of the next direct entry's first dword.
    pub fn direct_address(&self) -> u64 {
        let place = self.knocks & ((1 << self.direct_log2) - 1);
        Doorbell::DIRECT.address(self.n) + 8 * u64::from(place)
    }

    /// The next completion, if it is there. Checks what holds for every completion.
    #[track_caller]
    pub fn poll(&mut self) -> Option<Done> {
        let log2 = self.shape.cq_log2;
        let at = 16 * (self.seen & ((1 << log2) - 1)) as usize;
        let upper = self.cq.load(at + 8, Ordering::Acquire).to_le_bytes();
        let phase = (self.seen >> log2) & 1 == 0;
        if (upper[7] & 0x80 != 0) != phase {
            return None;
        }
        let result = self.cq.load(at, Ordering::Relaxed);
        assert_ne!(result, POISON, "R12: phase before result, entry {at:#x}");
        self.cq.write(at, &POISON.to_le_bytes());
        let info = u32::from(upper[7]);
        let cookie = u32::from_le_bytes([upper[0], upper[1], upper[2], upper[3]]);
        let sq_head = u16::from_le_bytes([upper[4], upper[5]]);
        self.check_sq_head(sq_head);
        self.seen = self.seen.wrapping_add(1);
        Some(Done {
            result,
            cookie,
            sq_head,
            status: Status::try_from(upper[6]).expect("a status of the contract"),
            opcode: Completion::OPCODE.get(info) as u8,
            lo_valid: Completion::LO_VALID.is_set(info),
            changed: Completion::CHANGED.is_set(info),
        })
    }

    /// Whether the next completion is in memory; leaves it there.
    pub fn is_next_there(&self) -> bool {
        let log2 = self.shape.cq_log2;
        let at = 16 * (self.seen & ((1 << log2) - 1)) as usize;
        let phase = (self.seen >> log2) & 1 == 0;
        (self.cq.load(at + 8, Ordering::Acquire) >> 63 == 1) == phase
    }

    /// `sq_head` never goes back and never passes the tail (R10).
    #[track_caller]
    fn check_sq_head(&mut self, sq_head: u16) {
        let forward = u32::from(sq_head.wrapping_sub(self.last_sq_head as u16));
        let room = self.tail.wrapping_sub(self.last_sq_head);
        assert!(forward <= room, "R10: sq_head {sq_head:#x}, {room} ahead");
        self.last_sq_head = self.last_sq_head.wrapping_add(forward);
    }

    /// Tells the device what was consumed.
    pub fn tell(&mut self) {
        self.told = self.seen;
        regs::ring(&*self.link, self.n, Doorbell::CQ_HEAD, self.seen);
    }

    /// Asks for one interrupt after what was consumed.
    pub fn arm(&self) {
        regs::ring(&*self.link, self.n, Doorbell::CQ_ARM, self.seen);
    }

    /// Waits for one completion; tells the device what was consumed when half of the ring is (R8).
    #[track_caller]
    pub fn next(&mut self) -> Done {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(done) = self.poll() {
                if self.seen.wrapping_sub(self.told) >= 1 << (self.shape.cq_log2 - 1) {
                    self.tell();
                }
                return done;
            }
            let now = (self.state(), self.cause());
            assert!(Instant::now() < deadline, "no completion; pair {} {now:?}", self.n);
            self.link.relax();
        }
    }

    /// Waits for `count` completions, in the order in which they come.
    #[track_caller]
    pub fn reap(&mut self, count: usize) -> Vec<Done> {
        (0..count).map(|_| self.next()).collect()
    }

    /// Puts, rings and waits: the simplest way to run commands of one slot in a row.
    #[track_caller]
    pub fn run_all(&mut self, cmds: &[Cmd]) -> Vec<Done> {
        for cmd in cmds {
            self.put(cmd);
        }
        self.ring();
        self.reap(cmds.len())
    }

    /// Direct index on the device's side.
    pub fn direct_head(&self) -> u32 {
        self.reg(QueuePair::DIRECT_HEAD)
    }
}
