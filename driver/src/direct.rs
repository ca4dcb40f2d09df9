// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The direct path's two scarce things: entries of a pair's doorbell ring, and stage buffers of the
//! device.

use crate::sync::{AtomicBool, AtomicU32, Ordering};
use crossbeam::utils::CachePadded;
use esnic_abi::{DirectEntry, Epoch, RingIndex, SaIndex};

/// A pair's ring of direct doorbells.
pub(crate) struct DirectRing {
    log2: u32,
    next: CachePadded<AtomicU32>,
    /// By entry: a command that used it has no completion yet.
    busy: Box<[AtomicBool]>,
}

impl DirectRing {
    /// A ring of `1 << log2` entries; its index begins at 0 whenever the pair is enabled.
    pub(crate) fn new(log2: u32) -> Self {
        Self {
            log2,
            next: CachePadded::new(0.into()),
            busy: (0..1 << log2).map(|_| AtomicBool::new(false)).collect(),
        }
    }

    /// Claims the next entry; `None` while the command that used it a round before is pending.
    pub(crate) fn claim(&self) -> Option<RingIndex> {
        loop {
            let k = RingIndex(self.next.load(Ordering::Acquire));
            let busy = &self.busy[k.slot(self.log2) as usize];
            if busy.swap(true, Ordering::Acquire) {
                if self.next.load(Ordering::Acquire) == k.0 {
                    return None;
                }
                continue;
            }
            // Nobody else can claim k while we hold its flag, but somebody may have used it up
            // between our two looks.
            let next = k.plus(1).0;
            if self.next.compare_exchange(k.0, next, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Some(k);
            }
            busy.store(false, Ordering::Release);
        }
    }

    /// Gives entry `p` back.
    pub(crate) fn release(&self, p: u32) {
        self.busy[p as usize].store(false, Ordering::Release);
    }

    /// Begins anew; nobody submits.
    pub(crate) fn restart(&self) {
        for busy in &self.busy {
            busy.store(false, Ordering::Relaxed);
        }
        self.next.store(0, Ordering::Release);
    }

    /// Which entry index `k` stands for.
    pub(crate) fn entry(&self, k: RingIndex) -> u32 {
        k.slot(self.log2)
    }

    /// What to write there (§2.3): both dwords carry the lap.
    pub(crate) fn doorbell(&self, k: RingIndex, index: SaIndex, cookie: u32, epoch: Epoch) -> u64 {
        let lap = u32::from(k.phase(self.log2));
        let target = DirectEntry::INDEX.put(0, index.0);
        let target = DirectEntry::EPOCH.put(target, epoch.0.into());
        let target = DirectEntry::TARGET_LAP.put(target, lap);
        let claim = DirectEntry::CLAIM_LAP.put(DirectEntry::COOKIE.put(0, cookie), lap);
        u64::from(claim) << 32 | u64::from(target)
    }
}

/// The device's stage buffers; one is the host's from claim to completion, over all pairs (R19).
pub(crate) struct Stages {
    busy: Box<[AtomicBool]>,
}

impl Stages {
    pub(crate) fn new(log2: u32) -> Self {
        Self { busy: (0..1 << log2).map(|_| AtomicBool::new(false)).collect() }
    }

    /// Claims the buffer that SA `index` uses.
    pub(crate) fn claim(&self, index: SaIndex) -> bool {
        !self.of(index).swap(true, Ordering::Acquire)
    }

    /// Gives it back.
    pub(crate) fn release(&self, index: SaIndex) {
        self.of(index).store(false, Ordering::Release);
    }

    fn of(&self, index: SaIndex) -> &AtomicBool {
        &self.busy[index.0 as usize & (self.busy.len() - 1)]
    }
}

#[cfg(all(test, loom))]
mod models;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_not_given_twice_in_a_round() {
        let ring = DirectRing::new(1);
        assert_eq!(ring.claim(), Some(RingIndex(0)));
        assert_eq!(ring.claim(), Some(RingIndex(1)));
        assert_eq!(ring.claim(), None);
        ring.release(1);
        assert_eq!(ring.claim(), None, "entry 0 comes first, and is still busy");
        ring.release(0);
        assert_eq!(ring.claim(), Some(RingIndex(2)));
    }

    #[test]
    fn the_lap_changes_every_round_and_stands_in_both_dwords() {
        let ring = DirectRing::new(1);
        let laps = [1, 1, 0, 0, 1];
        for (k, lap) in (0..).zip(laps) {
            let bell = ring.doorbell(RingIndex(k), SaIndex(5), 9, Epoch(0x1FF));
            assert_eq!((bell >> 63, bell >> 31 & 1), (lap, lap), "index {k}");
            assert_eq!(bell & 0xFF_FFFF, 5);
            assert_eq!(bell >> 24 & 0x7F, 0x7F);
            assert_eq!(bell >> 32 & 0x7FFF_FFFF, 9);
        }
    }

    #[test]
    fn sas_that_share_a_buffer_exclude_each_other() {
        let stages = Stages::new(2);
        assert!(stages.claim(SaIndex(1)));
        assert!(!stages.claim(SaIndex(5)));
        assert!(stages.claim(SaIndex(2)));
        stages.release(SaIndex(1));
        assert!(stages.claim(SaIndex(5)));
    }
}
