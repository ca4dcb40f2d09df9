// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Rows that read back wrong: both devices are made to fail at the same ADD or DELETE.

use crate::common::Cmd;
use crate::common::program::imagine::element;
use crate::lock::Lock;
use crate::log::Note;
use esnic_abi::{Bar, Device, LiveView, Params, SA_SLOT_BYTES, SlotState};
use esnic_model::Trigger;
use zerocopy::FromBytes;

impl Lock {
    /// The next ADD or DELETE of pair `n` ends in VERIFY and leaves its slot BAD. Nothing else is under
    /// way, so that it is the same one on both devices.
    pub fn bad_read_back(&mut self, n: usize) {
        for pair in 0..self.pairs.len() {
            self.drain(pair);
        }
        let hint = self.random.usize(..self.board.hints.len());
        let index = self.board.hints[hint].index;
        self.log.push(Note::Deed("bad read-back of slot", index.into()));
        let row = self.model_row(index);
        let generation = row.generation.get();
        if row.state == SlotState::Free as u8 {
            self.rtl.faults_mut().verify_add = true;
            self.model.faults_mut().verify_add = Trigger::next();
            // An ADD begins on an even slot.
            if !self.pairs[n].tail.is_multiple_of(2) {
                self.send_plain(n, Cmd::nop());
                self.drain(n);
            }
            let newer = if generation == u32::MAX { 1 } else { generation + 1 };
            self.send_plain(n, element(index, newer).into());
        } else {
            self.rtl.faults_mut().verify_delete = true;
            self.model.faults_mut().verify_delete = Trigger::next();
            self.send_plain(n, Cmd::delete(index, generation));
        }
        self.drain(n);
        let state = self.model_row(index).state;
        let (all, own) = (Params::default(), self.params);
        let lacks = (own.features, own.algs) != (all.features, all.algs)
            || own.max_window != all.max_window;
        if lacks && state == SlotState::Free as u8 {
            // This build refuses such an element, so nothing was written or read back.
            self.rtl.faults_mut().verify_add = false;
            self.model.faults_mut().verify_add = Trigger::Never;
            return;
        }
        self.check(state == SlotState::Bad as u8, || format!("slot {index} is {state}, not BAD"));
        self.compare_rows(std::iter::once(index));
        // Sooner or later some DELETE frees it; often this one does.
        if self.random.u8(..4) != 0 {
            let generation = self.model_row(index).generation.get();
            self.send_plain(n, Cmd::delete(index, generation));
            self.drain(n);
            self.compare_rows(std::iter::once(index));
        }
    }

    fn model_row(&mut self, index: u32) -> LiveView {
        let mut row = [0; LiveView::LEN];
        self.model.read(Bar::Table, u64::from(index) * SA_SLOT_BYTES, &mut row);
        LiveView::read_from_bytes(&row).expect("128 bytes")
    }
}
