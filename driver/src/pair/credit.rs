// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Credit: how many commands of a pair may be without consumed completion, so that the completion ring
//! never overflows (R8).

use crate::sync::{AtomicU32, Ordering};
use crossbeam::utils::CachePadded;

/// The credit of one pair.
pub(super) struct Credit {
    /// How many have it; ring and direct together.
    taken: CachePadded<AtomicU32>,
    limit: u32,
}

impl Credit {
    /// Credit for `limit` commands, of which none has any.
    pub(super) fn new(limit: u32) -> Self {
        Self { taken: CachePadded::new(0.into()), limit }
    }

    /// Takes credit for one command; false if there is none left.
    pub(super) fn take(&self) -> bool {
        let mut now = self.taken.load(Ordering::Relaxed);
        while now < self.limit {
            // Acquire: whoever gets it finds free what the one before it had.
            let taken = self.taken.compare_exchange_weak(
                now,
                now + 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            match taken {
                Ok(_) => return true,
                Err(other) => now = other,
            }
        }
        false
    }

    /// Gives the credit of `count` commands back.
    pub(super) fn give(&self, count: u32) {
        // Release: what they had is free before their credit is.
        self.taken.fetch_sub(count, Ordering::Release);
    }

    /// How many have credit.
    pub(super) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes all of it back. Nobody submits or takes completions.
    pub(super) fn restart(&self) {
        self.taken.store(0, Ordering::Relaxed);
    }
}

#[cfg(all(test, loom))]
mod models;
