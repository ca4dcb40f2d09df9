// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Direct doorbell ring: entries in MMIO that name a staged command (§2.3).
//!
//! An entry's two dwords may arrive in either order and from any core. Each carries the lap of its
//! round, so an entry of the round before can't be taken for a new one and no entry counts half.

use esnic_abi::DirectEntry;

/// Most entries of a ring.
const MAX: usize = 64;

/// The ring of one pair.
pub(crate) struct DirectRing {
    target: [u32; MAX],
    claim: [u32; MAX],
    /// Entries taken since the pair was enabled.
    pub(crate) head: u32,
    log2: u32,
}

/// What a direct doorbell says.
#[derive(Clone, Copy)]
pub(crate) struct Doorbell {
    pub(crate) index: u32,
    pub(crate) cookie: u32,
}

impl DirectRing {
    pub(crate) fn new(log2: u8) -> Self {
        Self { target: [0; MAX], claim: [0; MAX], head: 0, log2: log2.into() }
    }

    /// Clears the ring: the pair was enabled. Zeros are of lap 0, and the first round has lap 1.
    pub(crate) fn start(&mut self) {
        self.target = [0; MAX];
        self.claim = [0; MAX];
        self.head = 0;
    }

    pub(crate) fn depth(&self) -> u32 {
        1 << self.log2
    }

    /// Stores dword 0 of entry `at`. False if it is of another epoch and was dropped.
    pub(crate) fn store_target(&mut self, at: u32, value: u32, epoch: u16) -> bool {
        let epoch = u32::from(epoch) & (DirectEntry::EPOCH.mask() >> DirectEntry::EPOCH.lsb);
        let same = DirectEntry::EPOCH.get(value) == epoch;
        if same {
            self.target[at as usize] = value;
        }
        same
    }

    /// Stores dword 1 of entry `at`.
    pub(crate) fn store_claim(&mut self, at: u32, value: u32) {
        self.claim[at as usize] = value;
    }

    /// The entry that is next in order, if both its dwords are there.
    pub(crate) fn front(&self) -> Option<Doorbell> {
        let at = (self.head & (self.depth() - 1)) as usize;
        let lap = 1 - ((self.head >> self.log2) & 1);
        let (target, claim) = (self.target[at], self.claim[at]);
        let due =
            DirectEntry::TARGET_LAP.get(target) == lap && DirectEntry::CLAIM_LAP.get(claim) == lap;
        due.then(|| Doorbell {
            index: DirectEntry::INDEX.get(target),
            cookie: DirectEntry::COOKIE.get(claim),
        })
    }

    /// Takes the entry at the front.
    pub(crate) fn pop(&mut self) {
        self.head = self.head.wrapping_add(1);
    }
}
