// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A gate that submitters pass without waiting, and that a reset closes behind the last of them
//! (R47).

use crate::sync::{AtomicU32, Ordering};
use crossbeam::utils::CachePadded;

const CLOSED: u32 = 1 << 31;

/// Counts who is inside; bit 31 says that nobody may come in.
pub(crate) struct Gate(CachePadded<AtomicU32>);

/// Somebody inside.
pub(crate) struct Inside<'g>(&'g Gate);

impl Gate {
    /// A gate that is closed.
    pub(crate) fn closed() -> Self {
        Self(CachePadded::new(CLOSED.into()))
    }

    /// Goes in, unless the gate is closed.
    pub(crate) fn enter(&self) -> Option<Inside<'_>> {
        let mut now = self.0.load(Ordering::Relaxed);
        // A closed gate is not even touched: those who try again and again do not keep it busy.
        while now & CLOSED == 0 {
            // Acquire: whoever comes in sees what was done while the gate was closed.
            let in_ =
                self.0.compare_exchange_weak(now, now + 1, Ordering::Acquire, Ordering::Relaxed);
            match in_ {
                Ok(_) => return Some(Inside(self)),
                Err(other) => now = other,
            }
        }
        None
    }

    /// Lets nobody in any more; those inside stay.
    pub(crate) fn close(&self) {
        self.0.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// Whether nobody is inside. Once it is and the gate is closed, it stays so.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire) & !CLOSED == 0
    }

    /// Lets submitters in.
    pub(crate) fn open(&self) {
        self.0.fetch_and(!CLOSED, Ordering::Release);
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        // Release: what was done inside is visible to whoever waits for emptiness.
        self.0.0.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(all(test, loom))]
mod models;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_closed_gate_turns_away_and_empties() {
        let gate = Gate::closed();
        assert!(gate.enter().is_none());
        gate.open();
        let inside = gate.enter();
        assert!(inside.is_some());
        gate.close();
        assert!(gate.enter().is_none());
        assert!(!gate.is_empty());
        drop(inside);
        assert!(gate.is_empty());
    }

    #[test]
    fn those_who_are_turned_away_do_not_keep_a_closed_gate_busy() {
        let gate = Gate::closed();
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        assert!(gate.enter().is_none());
                    }
                });
            }
            let looks = if cfg!(miri) { 100 } else { 1_000_000 };
            let always_empty = (0..looks).all(|_| gate.is_empty());
            over.store(true, Ordering::Relaxed);
            assert!(always_empty);
        });
    }
}
