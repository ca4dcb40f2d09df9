// SPDX-License-Identifier: Apache-2.0 OR MIT
//! UPDATE and UPDATE4: the commands the device is for.

use crate::check;
use crate::esn::{self, Position};
use crate::exec::{Check, Core, Outcome, require};
use crate::sa::Entry;
use esnic_abi::{
    Status, UPDATE_CAS, UPDATE_MONOTONE, UPDATE4_STEP, Update, Update4, Update4Item, UpdateMode,
};

impl Core {
    pub(crate) fn update(&mut self, command: &Update) -> Check<Outcome> {
        let mode = check::update(command).ok_or(Outcome::plain(Status::BadField))?;
        let header = &command.header;
        let index = header.index.get();
        let entry = self.entry_at(index)?;
        Self::live(&entry, header.generation.get())?;
        require(command.protocol == entry.protocol, Status::WrongProto)?;
        require(command.spi.get() == entry.spi, Status::WrongSpi)?;
        let (hi, lo) = (command.hi.get(), command.lo.get());
        let held = entry.position;
        let cas = header.flags & UPDATE_CAS != 0;
        // A number without extension has a low half to set, and no other.
        let low_half_only = mode == UpdateMode::Top && hi == 0 && !cas;
        if !entry.esn && !low_half_only {
            return Err(Outcome::top(Status::NotEsn, held));
        }
        if cas && command.expected_hi.get() != held.hi {
            return Err(Outcome::top(Status::Conflict, held));
        }
        if header.flags & UPDATE_MONOTONE != 0 {
            let backward = match mode {
                UpdateMode::Hi | UpdateMode::Resync => hi < held.hi,
                // `lo` is 0 while it is not valid, and so it counts.
                UpdateMode::Top => (hi, lo) < (held.hi, held.lo),
            };
            if backward {
                return Err(Outcome::top(Status::Backward, held));
            }
        }
        let after = esn::update(held, mode, hi, lo);
        let changed = self.move_to(index, held, after);
        Ok(Outcome { changed, ..Outcome::top(Status::Ok, after) })
    }

    /// Items take effect in order and independently of each other (§4.4).
    pub(crate) fn update4(&mut self, command: &Update4) -> Check<Outcome> {
        let items = command.items();
        let count = check::update4(command, &items).ok_or(Outcome::plain(Status::BadField))?;
        let step = command.header.flags & UPDATE4_STEP != 0;
        let mut result = [0; 8];
        let mut status = Status::Ok;
        for (k, item) in items[..count].iter().enumerate() {
            match self.update4_item(item, step) {
                Ok(changed) => result[4] |= u8::from(changed) << k,
                Err(refused) => {
                    result[k] = refused.status as u8;
                    status = Status::Items;
                }
            }
        }
        Ok(Outcome {
            status,
            result: u64::from_le_bytes(result),
            lo_valid: false,
            changed: result[4] != 0,
        })
    }

    /// One item: an UPDATE in mode HI that carries neither protocol nor SPI. Whether it changed the
    /// entry.
    fn update4_item(&mut self, item: &Update4Item, step: bool) -> Check<bool> {
        let (index, generation) = (item.index.get(), item.generation.get());
        require(generation != 0, Status::BadField)?;
        let entry: Entry = self.entry_at(index)?;
        Self::live(&entry, generation)?;
        require(entry.esn, Status::NotEsn)?;
        let hi = item.hi.get();
        // Nothing comes before 0, so a STEP to 0 can expect nothing that is held.
        require(!step || hi.checked_sub(1) == Some(entry.position.hi), Status::Conflict)?;
        let after = esn::update(entry.position, UpdateMode::Hi, hi, 0);
        Ok(self.move_to(index, entry.position, after))
    }

    /// Writes the state word if it differs; whether it did.
    fn move_to(&mut self, index: u32, held: Position, after: Position) -> bool {
        let changed = after != held;
        if changed {
            self.table.set_position(index, after);
        }
        changed
    }
}
