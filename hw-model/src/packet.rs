// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a packet of the datapath does to the state of its entry. Version 1 of the device has no datapath;
//! this is the specification of the port at which one will stand.

use crate::esn::{Position, authenticated};
use crate::model::Model;
use esnic_abi::{Generation, SlotState, Top};

impl Model {
    /// Takes a packet through slot `index`, between two commands, in one step (R31). Once it was
    /// authenticated with a number, that number is held if it is the highest and the packet's entry is
    /// still there (§7). Returns what the slot then holds.
    pub fn packet(&mut self, index: u32, generation: Generation, number: Option<Top>) -> Position {
        let entry = self.core.table.entry(index);
        let same = entry.state.0 == SlotState::Live && entry.generation == generation;
        match number {
            Some(number) if same => {
                let position = authenticated(entry.position, number);
                self.core.table.set_position(index, position);
                position
            }
            _ => entry.position,
        }
    }
}
