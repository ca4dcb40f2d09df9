// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Work that one thread at a time does, and that others ask for without waiting.

use crate::sync::{AtomicU32, Ordering};

/// How many have asked since the one who is at it last looked; 0 if nobody is at it.
pub(super) struct Rounds(AtomicU32);

/// Whoever is at it. If it panics, the next one who asks begins anew.
struct Turn<'r>(&'r Rounds);

impl Rounds {
    pub(super) fn new() -> Self {
        Self(0.into())
    }

    /// Does `round`; or has it done once more, if another thread, or this one further out, is at it. A round
    /// that begins after the call sees what was done before it.
    pub(super) fn run(&self, mut round: impl FnMut()) {
        // Release: to the one who is at it. Acquire: from the last one.
        if self.0.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let turn = Turn(self);
        loop {
            let asked = self.0.load(Ordering::Acquire);
            round();
            // Whoever asked meanwhile has gone on, and relies on another round.
            let over = self.0.compare_exchange(asked, 0, Ordering::AcqRel, Ordering::Relaxed);
            if over.is_ok() {
                std::mem::forget(turn);
                return;
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.0.store(0, Ordering::Release);
    }
}

#[cfg(all(test, loom))]
mod models;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn whoever_asks_inside_has_another_round() {
        let (rounds, mut count) = (Rounds::new(), 0);
        rounds.run(|| {
            count += 1;
            if count < 3 {
                rounds.run(|| panic!("a round inside a round"));
            }
        });
        assert_eq!(count, 3);
    }

    #[test]
    fn a_round_that_panics_stops_nobody_else() {
        let (rounds, mut done) = (Rounds::new(), false);
        let broken = catch_unwind(AssertUnwindSafe(|| rounds.run(|| panic!("planned"))));
        assert!(broken.is_err());
        rounds.run(|| done = true);
        assert!(done);
    }
}
