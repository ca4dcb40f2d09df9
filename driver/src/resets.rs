// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Resets of the driver's own, told from those of somebody else: whoever looks at the device learns
//! whether what he saw may be this driver's doing.

use crate::sync::{AtomicU32, Ordering, fence};

/// Odd from the begin of a reset until the device is up again.
pub(crate) struct Resets(AtomicU32);

impl Resets {
    /// Of a device that is up.
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// From here on the device is not as this driver left it. One at a time resets; an attempt that failed
    /// goes on with the next one.
    pub(crate) fn begin(&self) {
        self.0.fetch_or(1, Ordering::Relaxed);
        // The mark before the first store to the device: pairs with the fence in `any_since`.
        fence(Ordering::SeqCst);
    }

    /// It is again.
    pub(crate) fn end(&self) {
        // Release: whoever finds this finds the device as it is now.
        self.0.fetch_add(1, Ordering::Release);
    }

    /// For [`Self::any_since`], before the look.
    pub(crate) fn now(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Whether anything that was seen of the device since `before` may come from a reset of this driver's.
    pub(crate) fn any_since(&self, before: u32) -> bool {
        // What was seen, before the mark is looked at again: pairs with the fence in `begin`.
        fence(Ordering::SeqCst);
        before & 1 == 1 || self.0.load(Ordering::Relaxed) != before
    }
}

#[cfg(all(test, loom))]
mod models;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_look_counts_only_where_no_reset_was_under_way() {
        let resets = Resets::new();
        let before = resets.now();
        assert!(!resets.any_since(before));
        resets.begin();
        let during = resets.now();
        // The attempt fails, and there is another.
        resets.begin();
        assert!(resets.any_since(before) && resets.any_since(during));
        resets.end();
        assert!(resets.any_since(before) && resets.any_since(during));
        assert!(!resets.any_since(resets.now()));
    }
}
