// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Requests that wait for an SA, in the order in which they came: one line an SA. A request with several SAs
//! stands in several lines, so that nothing overtakes it in any of them.

use crate::sa::SaHandle;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

/// The lines, by handle; by number, so that equal scripts have equal ends.
#[derive(Default)]
pub(super) struct Lines(BTreeMap<u64, VecDeque<u64>>);

impl Lines {
    /// Whether somebody waits for `sa`.
    pub(super) fn has(&self, sa: SaHandle) -> bool {
        self.0.contains_key(&sa.bits())
    }

    /// Whether nobody is before a request in the line of `sa`.
    pub(super) fn is_turn(&self, serial: u64, sa: SaHandle) -> bool {
        self.0.get(&sa.bits()).is_none_or(|line| line.front() == Some(&serial))
    }

    /// Puts a request at the end of the lines of `sas`, which are all different: in all lines at once, so
    /// that of two requests the same one is first in each.
    pub(super) fn join(&mut self, serial: u64, sas: impl IntoIterator<Item = SaHandle>) {
        for sa in sas {
            self.0.entry(sa.bits()).or_default().push_back(serial);
        }
    }

    /// Takes a request out of the line of `sa`.
    pub(super) fn leave(&mut self, serial: u64, sa: SaHandle) {
        let Some(line) = self.0.get_mut(&sa.bits()) else { return };
        // It is the first one, unless it goes before its turn.
        match line.front() {
            Some(&first) if first == serial => drop(line.pop_front()),
            _ => line.retain(|&other| other != serial),
        }
        if line.is_empty() {
            self.0.remove(&sa.bits());
        }
    }

    /// Whose turn it is, by handle, from the first one above `above` on.
    pub(super) fn first(&self, above: Option<u64>) -> impl Iterator<Item = (u64, u64)> {
        let from = above.map_or(Bound::Unbounded, Bound::Excluded);
        let lines = self.0.range((from, Bound::Unbounded));
        lines.filter_map(|(&sa, line)| line.front().map(|&serial| (sa, serial)))
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sa(bits: u64) -> SaHandle {
        SaHandle::from_bits(bits)
    }

    #[test]
    fn nobody_is_overtaken() {
        let mut lines = Lines::default();
        lines.join(1, [sa(7), sa(3)]);
        lines.join(2, [sa(3)]);
        assert!(lines.has(sa(7)) && lines.has(sa(3)) && !lines.has(sa(4)));
        assert_eq!(lines.first(None).collect::<Vec<_>>(), [(3, 1), (7, 1)]);
        assert_eq!(lines.first(Some(3)).collect::<Vec<_>>(), [(7, 1)]);
        assert!(lines.is_turn(1, sa(3)) && !lines.is_turn(2, sa(3)) && lines.is_turn(2, sa(4)));
        lines.leave(1, sa(3));
        assert_eq!(lines.first(None).collect::<Vec<_>>(), [(3, 2), (7, 1)]);
        lines.leave(2, sa(3));
        lines.leave(2, sa(3));
        assert!(!lines.has(sa(3)));
        lines.join(4, [sa(7)]);
        // Before its turn.
        lines.leave(4, sa(7));
        assert_eq!(lines.first(None).collect::<Vec<_>>(), [(7, 1)]);
        lines.clear();
        assert_eq!(lines.first(None).count(), 0);
    }
}
