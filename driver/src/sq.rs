// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The submission ring: claim slots, fill them, publish.
//!
//! Any number of threads submit at once and none waits for another. A thread *claims* slots by
//! moving one index, *fills* them, and marks them ready; *publishing* moves the told tail over every
//! slot that is ready, whoever filled it. Claimed slots that are not ready yet hold back only what
//! comes after them, and only until their thread has stored 64 or 128 bytes.

use crate::dma::DmaBuffer;
use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};
use crossbeam::utils::CachePadded;
use esnic_abi::{RingIndex, SQ_SLOT_BYTES};

const SLOT: usize = SQ_SLOT_BYTES as usize;

/// What a slot says while nobody has marked it: no index is that large.
const NEVER: u64 = u64::MAX;

/// Where a ring's slots are.
pub(crate) trait SlotMemory {
    /// Copies `bytes` in, at `offset`.
    fn write(&self, offset: usize, bytes: &[u8]);
    /// Overwrites a range with zeros.
    fn wipe(&self, offset: usize, len_bytes: usize);
}

impl SlotMemory for DmaBuffer {
    fn write(&self, offset: usize, bytes: &[u8]) {
        self.write(offset, bytes);
    }

    fn wipe(&self, offset: usize, len_bytes: usize) {
        self.wipe(offset, len_bytes);
    }
}

/// A ring of command slots in memory that the device reads.
pub(crate) struct SubmissionRing<M = DmaBuffer> {
    memory: M,
    log2: u32,
    /// Next slot that nobody has claimed.
    claimed: CachePadded<AtomicU32>,
    /// Slots before it are ready and told.
    published: CachePadded<AtomicU32>,
    /// Slots before it were fetched and wiped; one round further on is what may be claimed.
    retired: CachePadded<AtomicU32>,
    /// By slot: `index·4 + slots` of the command that was last filled in there.
    ready: Box<[AtomicU64]>,
}

/// Why no slots were claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no room.
    Full,
    /// Two slots must begin on an even one (R9); a NOP goes first.
    Odd,
}

impl<M: SlotMemory> SubmissionRing<M> {
    /// A ring of `1 << log2` slots that begins at index `start`.
    pub(crate) fn new(memory: M, log2: u32, start: u32) -> Self {
        Self {
            memory,
            log2,
            claimed: CachePadded::new(start.into()),
            published: CachePadded::new(start.into()),
            retired: CachePadded::new(start.into()),
            ready: (0..1 << log2).map(|_| AtomicU64::new(NEVER)).collect(),
        }
    }

    pub(crate) fn memory(&self) -> &M {
        &self.memory
    }

    /// Claims `slots` slots, 1 or 2; two only on an even slot, so that they never wrap.
    pub(crate) fn claim(&self, slots: u32) -> Result<RingIndex, Refusal> {
        let mut at = self.claimed.load(Ordering::Relaxed);
        loop {
            if slots == 2 && at % 2 == 1 {
                return Err(Refusal::Odd);
            }
            // Acquire: pairs with `retire`; a slot is claimed only after it was wiped.
            let used = at.wrapping_sub(self.retired.load(Ordering::Acquire));
            if used > 1 << self.log2 {
                // `at` is older than `retired`: others have claimed meanwhile.
                at = self.claimed.load(Ordering::Relaxed);
                continue;
            }
            if used + slots > 1 << self.log2 {
                return Err(Refusal::Full);
            }
            let next = at.wrapping_add(slots);
            match self.claimed.compare_exchange_weak(at, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Ok(RingIndex(at)),
                Err(now) => at = now,
            }
        }
    }

    /// Fills a command in at `at` and marks it ready. The slots must be the caller's by claim.
    pub(crate) fn fill(&self, at: RingIndex, command: &[u8]) {
        let slot = at.slot(self.log2) as usize;
        self.memory.write(slot * SLOT, command);
        let slots = (command.len() / SLOT) as u64;
        // Release: whoever sees the mark sees the command.
        self.ready[slot].store(u64::from(at.0) << 2 | slots, Ordering::Release);
    }

    /// Moves the told tail over everything that is ready. Returns the new tail if this call moved
    /// it: then, and only then, the caller rings the doorbell.
    pub(crate) fn publish(&self) -> Option<RingIndex> {
        // SeqCst: between marking one's own slot and looking at the others' lies a full barrier, so
        // of two threads that mark neighbours at least one sees both marks.
        fence(Ordering::SeqCst);
        let mut moved = None;
        let mut from = self.published.load(Ordering::Acquire);
        loop {
            let tail = self.ready_up_to(from);
            if tail == from {
                return moved;
            }
            match self.published.compare_exchange(from, tail, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    moved = Some(RingIndex(tail));
                    from = tail;
                }
                Err(now) => from = now,
            }
        }
    }

    /// Where the run of ready commands that begins at `tail` ends.
    fn ready_up_to(&self, mut tail: u32) -> u32 {
        loop {
            let mark = self.ready[RingIndex(tail).slot(self.log2) as usize].load(Ordering::Acquire);
            if mark >> 2 != u64::from(tail) {
                return tail;
            }
            tail = tail.wrapping_add((mark & 3) as u32);
        }
    }

    /// Slots that the device was told of.
    pub(crate) fn tail(&self) -> RingIndex {
        RingIndex(self.published.load(Ordering::Acquire))
    }

    /// Slots that may be claimed again.
    pub(crate) fn head(&self) -> RingIndex {
        RingIndex(self.retired.load(Ordering::Relaxed))
    }

    /// Gives back every slot before `head`, which the device has fetched (R10), and wipes those that
    /// held a key. False, and nothing is given back, if `head` is no boundary between two commands:
    /// no device fetches half of one (R9). Only the one who holds the completion ring calls this.
    pub(crate) fn retire(&self, head: RingIndex) -> bool {
        let from = self.head();
        if from == head {
            return true;
        }
        let mut at = from;
        while at.is_behind(head) {
            let slot = at.slot(self.log2) as usize;
            let slots = (self.ready[slot].load(Ordering::Relaxed) & 3) as u32;
            if slots == 2 {
                self.memory.wipe(slot * SLOT, 2 * SLOT);
            }
            at = at.plus(slots.max(1));
        }
        if at != head {
            return false;
        }
        // Release: pairs with `claim`.
        self.retired.store(head.0, Ordering::Release);
        true
    }

    /// Begins anew at index `start`, wiped; nobody submits and the device does not read.
    pub(crate) fn restart(&self, start: u32) {
        self.memory.wipe(0, SLOT << self.log2);
        for mark in &self.ready {
            mark.store(NEVER, Ordering::Relaxed);
        }
        for index in [&self.claimed, &self.published, &self.retired] {
            index.store(start, Ordering::Release);
        }
    }
}

#[cfg(all(test, loom))]
mod models;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::dma::{Unmap, allocate};
    use esnic_abi::Iova;
    use std::sync::Arc;

    struct Nothing;
    impl Unmap for Nothing {
        fn unmap(&self, _: Iova, _: usize) {}
    }

    fn ring(log2: u32, start: u32) -> SubmissionRing {
        let memory = DmaBuffer::new(allocate(64 << log2).unwrap(), Iova(0), Arc::new(Nothing));
        SubmissionRing::new(memory, log2, start)
    }

    #[test]
    fn a_full_ring_refuses_and_keeps_what_it_has() {
        let ring = ring(1, 0);
        let first = ring.claim(1).unwrap();
        let second = ring.claim(1).unwrap();
        assert_eq!((first.0, second.0), (0, 1));
        assert_eq!(ring.claim(1), Err(Refusal::Full));
        ring.fill(first, &[1; 64]);
        ring.fill(second, &[2; 64]);
        assert_eq!(ring.publish(), Some(RingIndex(2)));
        assert!(ring.retire(RingIndex(1)));
        assert_eq!(ring.claim(1), Ok(RingIndex(2)));
        assert_eq!(ring.claim(1), Err(Refusal::Full));
    }

    #[test]
    fn a_slot_that_is_not_ready_holds_back_what_follows() {
        let ring = ring(3, u32::MAX - 1);
        let first = ring.claim(1).unwrap();
        let second = ring.claim(1).unwrap();
        ring.fill(second, &[2; 64]);
        assert_eq!(ring.publish(), None);
        ring.fill(first, &[1; 64]);
        assert_eq!(ring.publish(), Some(RingIndex(0)), "the index wraps at 2^32");
        assert_eq!(ring.publish(), None, "nothing is told twice");
    }

    #[test]
    fn a_double_command_stands_on_an_even_slot() {
        let ring = ring(2, 0);
        assert_eq!(ring.claim(1), Ok(RingIndex(0)));
        assert_eq!(ring.claim(2), Err(Refusal::Odd));
        assert_eq!(ring.claim(1), Ok(RingIndex(1)));
        assert_eq!(ring.claim(2), Ok(RingIndex(2)));
        assert_eq!(ring.claim(2), Err(Refusal::Full));
    }

    #[test]
    fn slots_with_keys_are_wiped_before_anyone_gets_them_again() {
        let ring = ring(2, 0);
        let add = ring.claim(2).unwrap();
        ring.fill(add, &[0xEE; 128]);
        assert_eq!(ring.publish(), Some(RingIndex(2)));
        assert!(!ring.memory().is_zero());
        assert!(!ring.retire(RingIndex(1)), "half a command is never fetched");
        assert!(ring.retire(RingIndex(2)));
        assert!(ring.memory().is_zero());
    }

    #[test]
    fn eight_threads_fill_a_ring_without_losing_or_repeating_a_slot() {
        // Miri goes through each step of each thread.
        const EACH: u32 = if cfg!(miri) { 30 } else { 20_000 };
        let ring = ring(6, u32::MAX - 1000);
        let start = ring.tail();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        let claim = loop {
                            if let Ok(claim) = ring.claim(1) {
                                break claim;
                            }
                            std::thread::yield_now();
                        };
                        ring.fill(claim, &[claim.0 as u8; 64]);
                        ring.publish();
                    }
                });
            }
            // The device's part: fetch what was told, in order.
            let mut head = start;
            while head.since(start) < 8 * EACH {
                let tail = ring.tail();
                while head != tail {
                    let mut slot = [0; 64];
                    ring.memory().read(head.slot(6) as usize * 64, &mut slot);
                    assert_eq!(slot, [head.0 as u8; 64]);
                    head = head.plus(1);
                }
                assert!(ring.retire(head));
                std::thread::yield_now();
            }
        });
        assert_eq!(ring.tail().since(start), 8 * EACH);
    }
}
