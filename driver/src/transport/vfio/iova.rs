// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Addresses in the device's address space: which are taken, which are free.
//!
//! Between any two buffers, and before the first, lies a page that nothing is mapped at, so that a
//! device which runs over an end faults. An address that was given back is not given out again before
//! the whole space went by: what a device still does to an old buffer then faults too.

use std::collections::BTreeMap;

/// What stays free behind every buffer.
const GUARD: u64 = 4096;

/// First choice: above everything that 32 bits can name, so a truncated address faults.
const FIRST: u64 = 1 << 32;

/// A range that the IOMMU translates, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u64,
    pub(super) last: u64,
}

/// Free and taken addresses.
#[derive(Debug)]
pub(super) struct Addresses {
    ranges: Vec<Range>,
    /// Length by first address.
    taken: BTreeMap<u64, u64>,
    next: u64,
}

impl Addresses {
    /// Everything inside `ranges` is free.
    pub(super) fn new(mut ranges: Vec<Range>) -> Self {
        ranges.sort_by_key(|range| range.first);
        Self { ranges, taken: BTreeMap::new(), next: FIRST }
    }

    /// Takes `len` bytes at a multiple of `align`, a power of two.
    pub(super) fn take(&mut self, len: u64, align: u64) -> Option<u64> {
        let start = self.find(self.next, len, align).or_else(|| self.find(0, len, align))?;
        self.taken.insert(start, len);
        self.next = start + len + GUARD;
        Some(start)
    }

    /// Gives back what begins at `start`.
    pub(super) fn give_back(&mut self, start: u64) {
        self.taken.remove(&start);
    }

    /// The first free place from `from` on.
    fn find(&self, from: u64, len: u64, align: u64) -> Option<u64> {
        self.ranges.iter().find_map(|range| {
            let mut start = range.first.checked_add(GUARD)?.max(from);
            loop {
                start = start.checked_next_multiple_of(align)?;
                let end = start.checked_add(len)?.checked_add(GUARD)?;
                if end - 1 > range.last {
                    return None;
                }
                match self.before(end) {
                    Some((at, taken)) if at + taken + GUARD > start => start = at + taken + GUARD,
                    _ => return Some(start),
                }
            }
        })
    }

    /// The last buffer that begins before `end`.
    fn before(&self, end: u64) -> Option<(u64, u64)> {
        self.taken.range(..end).next_back().map(|(&at, &len)| (at, len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What VT-d with 39 bits reports: all but the window of interrupts.
    fn vtd() -> Addresses {
        let below = Range { first: 0, last: 0xFEDF_FFFF };
        let above = Range { first: 0xFEF0_0000, last: (1 << 39) - 1 };
        Addresses::new(vec![above, below])
    }

    #[test]
    fn buffers_lie_inside_the_ranges_with_a_page_between() {
        let mut addresses = vtd();
        let mut last = 0;
        for k in 0..1000u64 {
            let len = 4096 << (k % 6);
            let at = addresses.take(len, 4096).unwrap();
            assert!(at >= FIRST && at >= last + GUARD && at.is_multiple_of(4096));
            last = at + len;
        }
    }

    #[test]
    fn what_was_given_back_comes_again_last() {
        let ranges = vec![Range { first: 0x10_0000, last: 0x10_FFFF }];
        let mut addresses = Addresses::new(ranges);
        // Sixteen pages; the first is a guard, and each buffer takes two.
        let all: Vec<u64> = std::iter::from_fn(|| addresses.take(4096, 4096)).collect();
        assert_eq!(
            all,
            [0x10_1000, 0x10_3000, 0x10_5000, 0x10_7000, 0x10_9000, 0x10_B000, 0x10_D000]
        );
        addresses.give_back(0x10_5000);
        addresses.give_back(0x10_3000);
        assert_eq!(addresses.take(4096, 4096), Some(0x10_3000));
        addresses.give_back(0x10_3000);
        assert_eq!(addresses.take(4096, 4096), Some(0x10_5000), "not the one just given back");
    }

    #[test]
    fn reserved_ranges_are_never_touched() {
        let mut addresses = Addresses::new(vec![
            Range { first: 0, last: 0xFEDF_FFFF },
            Range { first: 0xFEF0_0000, last: 0xFFFF_FFFF },
        ]);
        let mut sum = 0;
        while let Some(at) = addresses.take(1 << 20, 1 << 20) {
            assert!(at + (1 << 20) <= 0xFEE0_0000 || at >= 0xFEF0_0000, "{at:#x}");
            sum += 1;
        }
        assert!(sum > 1000);
        assert_eq!(addresses.take(1 << 40, 4096), None);
    }

    #[test]
    fn alignment_is_kept_and_huge_lengths_do_not_overflow() {
        let mut addresses = Addresses::new(vec![Range { first: 0, last: u64::MAX }]);
        addresses.take(4096, 4096).unwrap();
        assert_eq!(addresses.take(1 << 21, 1 << 21).unwrap() % (1 << 21), 0);
        assert_eq!(addresses.take(u64::MAX - 4096, 4096), None);
        assert_eq!(Addresses::new(Vec::new()).take(4096, 4096), None);
    }
}
