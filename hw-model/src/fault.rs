// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Knobs that make the device misbehave, for tests of whoever drives it.
//!
//! All of it is plain data, set through [`crate::Model::faults_mut`] at any moment, and counts
//! deterministically. The knobs belong to the test, not to the device: no reset touches them, except
//! [`Stuck::UntilReset`].

use core::ops::Range;
use esnic_abi::Completion;

/// When a fault happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trigger {
    /// Not at all.
    #[default]
    Never,
    /// Once, at the n-th occasion from now; 1 is the next. Then it is `Never`.
    Nth(u32),
    /// Again and again.
    Every {
        /// At each `period`-th occasion; 1 is every one.
        period: u32,
        /// Occasions since the last hit.
        seen: u32,
    },
    /// At every occasion that touches this range of places. The place is the host address for DMA
    /// and completions, the SA slot for read-backs.
    Within(Range<u64>),
}

impl Trigger {
    /// The next occasion only.
    #[must_use]
    pub const fn next() -> Self {
        Self::Nth(1)
    }

    /// Every occasion.
    #[must_use]
    pub const fn always() -> Self {
        Self::every(1)
    }

    /// Each `period`-th occasion.
    #[must_use]
    pub const fn every(period: u32) -> Self {
        Self::Every { period, seen: 0 }
    }

    /// An occasion that touches `len` places from `place` on: does it happen?
    pub(crate) fn hit(&mut self, place: u64, len: u64) -> bool {
        match self {
            Self::Never => false,
            Self::Nth(left) => {
                *left = left.saturating_sub(1);
                let hit = *left == 0;
                if hit {
                    *self = Self::Never;
                }
                hit
            }
            Self::Every { period, seen } => {
                *seen += 1;
                let hit = *seen >= *period;
                if hit {
                    *seen = 0;
                }
                hit
            }
            Self::Within(range) => place < range.end && range.start < place.saturating_add(len),
        }
    }
}

/// Whether the device does nothing any more, though it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stuck {
    /// It works.
    #[default]
    No,
    /// It takes, executes and completes nothing until it is reset.
    UntilReset,
    /// Nor after a reset.
    Always,
}

/// An internal error to report (R23).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fatal {
    /// Bits for FATAL_CAUSE.
    pub cause: u32,
    /// Value for FATAL_INFO.
    pub info: u32,
}

/// Every knob. The default is a device without faults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// DMA reads that the bus answers with an error.
    pub fail_read: Trigger,
    /// DMA reads whose data arrives poisoned.
    pub poison_read: Trigger,
    /// DMA writes that the bus answers with an error.
    pub fail_write: Trigger,
    /// DMA writes that vanish while the device believes them done (R46).
    pub lose_write: Trigger,
    /// Completions that are never made; their commands were executed.
    pub drop_completion: Trigger,
    /// Completions that are made twice, given credit for the second one.
    pub duplicate_completion: Trigger,
    /// Completions that are made with `corrupt_mask` over them.
    pub corrupt_completion: Trigger,
    /// XORed over the 16 bytes of a corrupted completion, phase included.
    pub corrupt_mask: [u8; 16],
    /// Cycles that every completion is held back.
    pub delay_cycles: u32,
    /// ADDs whose read-back differs.
    pub verify_add: Trigger,
    /// DELETEs whose read-back is not zero.
    pub verify_delete: Trigger,
    /// The device answers, but does no work.
    pub stuck: Stuck,
    /// The device is gone: reads give all ones, writes and time do nothing.
    pub gone: bool,
    /// Vector to fire for no reason at the next step; then none.
    pub spurious_interrupt: Option<u16>,
    /// Internal error to suffer at the next step; then none.
    pub fatal: Option<Fatal>,
}

/// How often a completion is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Once,
    Dropped,
    Twice,
}

impl Faults {
    /// The completion as it is made.
    pub(crate) fn corrupted(&mut self, iova: u64, completion: Completion) -> Completion {
        if !self.corrupt_completion.hit(iova, Completion::LEN as u64) {
            return completion;
        }
        let bytes: [u8; Completion::LEN] = zerocopy::transmute!(completion);
        zerocopy::transmute!(u128::from_ne_bytes(bytes) ^ u128::from_ne_bytes(self.corrupt_mask))
    }

    /// How often a completion is made. Both knobs count every completion, whatever the other does.
    pub(crate) fn fate(&mut self, iova: u64) -> Fate {
        let len = Completion::LEN as u64;
        let dropped = self.drop_completion.hit(iova, len);
        let twice = self.duplicate_completion.hit(iova, len);
        if dropped {
            Fate::Dropped
        } else if twice {
            Fate::Twice
        } else {
            Fate::Once
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_count_from_now() {
        let mut third = Trigger::Nth(3);
        assert_eq!([(); 5].map(|()| third.hit(0, 1)), [false, false, true, false, false]);
        let mut second = Trigger::every(2);
        assert_eq!([(); 5].map(|()| second.hit(0, 1)), [false, true, false, true, false]);
        let mut range = Trigger::Within(0x1000..0x2000);
        assert!(range.hit(0xFFF, 2) && range.hit(0x1FFF, 1));
        assert!(!range.hit(0xFFF, 1) && !range.hit(0x2000, 64));
    }
}
