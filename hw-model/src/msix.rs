// SPDX-License-Identifier: Apache-2.0 OR MIT
//! MSI-X: table, masks, pending bits (PCI Local Bus 3.0, section 6.8.2).
//!
//! A fire always sets the pending bit; the next step sends what may be sent and clears it. So there
//! is one place where a message is lost or not, and R4 is that place.

use esnic_abi::regs::{MsixTable, msix_table};
use esnic_abi::{FunctionConfig, Host};

/// One vector's entry.
#[derive(Clone, Copy)]
struct Entry {
    addr_lo: u32,
    addr_hi: u32,
    data: u32,
}

/// All vectors: one a queue pair, and the last one for faults and events.
pub(crate) struct Msix {
    entries: Vec<Entry>,
    /// Bit n: vector n is masked.
    masked: u128,
    /// Bit n: vector n fired and was not sent.
    pending: u128,
}

impl Msix {
    pub(crate) fn new(vectors: usize) -> Self {
        let empty = Entry { addr_lo: 0, addr_hi: 0, data: 0 };
        Self { entries: vec![empty; vectors], masked: u128::MAX, pending: 0 }
    }

    /// Reset values: every vector masked, nothing pending.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.entries.len());
    }

    /// What fired and was not sent is forgotten; the table stays.
    pub(crate) fn forget(&mut self) {
        self.pending = 0;
    }

    /// Asks for a message of `vector`.
    pub(crate) fn fire(&mut self, vector: usize) {
        if vector < self.entries.len() {
            self.pending |= 1 << vector;
        }
    }

    /// Sends every pending message that nothing holds back, and says how many (R4). A message is a
    /// write of the device, so it needs Bus Master too.
    pub(crate) fn send(&mut self, config: FunctionConfig, host: &mut dyn Host) -> u64 {
        if self.pending == 0 || !config.bus_master || !config.msix_enable || config.msix_mask {
            return 0;
        }
        let mut sent = 0;
        let mut due = self.pending & !self.masked;
        self.pending &= self.masked;
        while due != 0 {
            let vector = due.trailing_zeros();
            due &= due - 1;
            // At most 65 vectors.
            #[allow(clippy::cast_possible_truncation)]
            host.interrupt(vector as u16);
            sent += 1;
        }
        sent
    }

    /// A dword of the table.
    pub(crate) fn read(&self, vector: usize, register: MsixTable) -> u32 {
        let Some(entry) = self.entries.get(vector) else {
            return 0;
        };
        match register {
            MsixTable::MSG_ADDR_LO => entry.addr_lo,
            MsixTable::MSG_ADDR_HI => entry.addr_hi,
            MsixTable::MSG_DATA => entry.data,
            MsixTable::MSG_CTRL => {
                let masked = (self.masked >> vector) & 1 != 0;
                msix_table::MSG_CTRL::MASK.put(0, masked.into())
            }
        }
    }

    /// A dword of the table.
    pub(crate) fn write(&mut self, vector: usize, register: MsixTable, value: u32) {
        let Some(entry) = self.entries.get_mut(vector) else {
            return;
        };
        match register {
            MsixTable::MSG_ADDR_LO => entry.addr_lo = value,
            MsixTable::MSG_ADDR_HI => entry.addr_hi = value,
            MsixTable::MSG_DATA => entry.data = value,
            MsixTable::MSG_CTRL => {
                let bit = 1 << vector;
                if msix_table::MSG_CTRL::MASK.is_set(value) {
                    self.masked |= bit;
                } else {
                    self.masked &= !bit;
                }
            }
        }
    }

    /// Dword `at` of the pending bits.
    pub(crate) fn pending_dword(&self, at: u32) -> u32 {
        // The array has four dwords; cutting off is the point.
        #[allow(clippy::cast_possible_truncation)]
        let dword = (self.pending >> (32 * at)) as u32;
        dword
    }
}
