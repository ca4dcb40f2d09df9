// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One entry and its numbers (§7), as whole numbers.

use super::Answer;
use crate::common::cmd::live_view;
use esnic_abi::{Add, LiveView, UpdateMode};

/// Numbers that share one high half.
pub const LAP: u64 = 1 << 32;

/// A live entry: what ADD brought, and where it stands.
#[derive(Clone, Copy)]
pub struct Entry {
    pub add: Add,
    pub top: u64,
    pub known: bool,
}

/// Of all numbers that end in `seq`, the one nearest to `top`, the lower one of two; if that is no
/// 64-bit number, the one with the high half of `top`.
pub fn nearest(top: u64, seq: u32) -> u64 {
    let lap = i128::from(LAP);
    let ahead = (i128::from(seq) - i128::from(top)).rem_euclid(lap);
    let step = if ahead >= lap / 2 { ahead - lap } else { ahead };
    let number = i128::from(top) + step;
    u64::try_from(number).unwrap_or(top - top % LAP + u64::from(seq))
}

impl Entry {
    pub fn extended(&self) -> bool {
        self.add.sa_flags.get() & 1 == 1
    }

    pub fn resolve(&self, seq: u32) -> u64 {
        if self.extended() && self.known {
            nearest(self.top, seq)
        } else {
            self.top / LAP * LAP + u64::from(seq)
        }
    }

    pub fn authenticated(&mut self, number: u64) {
        if !self.known || number > self.top {
            (self.top, self.known) = (number, true);
        }
    }

    pub fn move_to(&mut self, mode: UpdateMode, hi: u32, lo: u32) {
        let start_of_lap = u64::from(hi) * LAP;
        match mode {
            UpdateMode::Top => (self.top, self.known) = (start_of_lap + u64::from(lo), true),
            UpdateMode::Resync => (self.top, self.known) = (start_of_lap, false),
            UpdateMode::Hi if self.top / LAP == u64::from(hi) => {}
            UpdateMode::Hi => {
                // The next lap begins at most half a lap above `top`: an advance.
                let gap = i128::from(start_of_lap) - i128::from(self.top);
                let advance = self.known && gap > 0 && gap <= i128::from(LAP / 2);
                (self.top, self.known) = (start_of_lap, advance);
            }
        }
    }

    /// An answer that shows where the entry stands.
    pub fn stands(&self, changed: bool) -> Answer {
        Answer { result: self.top, lo_valid: self.known, changed }
    }

    pub fn view(&self) -> LiveView {
        let mut view = live_view(&self.add);
        view.hi = ((self.top / LAP) as u32).into();
        view.lo = ((self.top % LAP) as u32).into();
        view.lo_valid = self.known.into();
        view
    }
}
