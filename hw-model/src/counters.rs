// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The counters of the global page, one `u64` for each register that the contract lists.

use core::ops::{Index, IndexMut};
use esnic_abi::regs::Counters;

/// Every counter; a counter that is added to the contract is here without being named here.
pub(crate) struct CounterFile([u64; Counters::ALL.len()]);

impl CounterFile {
    pub(crate) const fn new() -> Self {
        Self([0; Counters::ALL.len()])
    }
}

impl Index<Counters> for CounterFile {
    type Output = u64;

    fn index(&self, counter: Counters) -> &u64 {
        &self.0[counter as usize]
    }
}

impl IndexMut<Counters> for CounterFile {
    fn index_mut(&mut self, counter: Counters) -> &mut u64 {
        &mut self.0[counter as usize]
    }
}
