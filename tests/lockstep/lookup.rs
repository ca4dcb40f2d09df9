// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a datapath finds at the lookup port at any time: a whole entry, key included, or none. The
//! model has no such port, so the rows are those that the host gave to ADD.

use crate::lock::Lock;
use crate::pair::{Sent, Verdict};
use esnic_abi::{Add, Opcode, Protocol, SA_ESN, Status};
use esnic_rtl::{Issued, Lookup};

/// Cycles in which an entry cannot have been written and read back: the pipeline has four stages.
const READ_BACK: u64 = 8;

/// Bit of `lk_entry_o` that says whether there is an entry.
const LIVE: usize = 697;

/// What became of an SA slot last.
#[derive(Clone, Copy, Default)]
pub struct Fate {
    /// The ADD whose entry it holds, or held before the DELETE.
    add: Option<(Add, u64)>,
    /// It holds the entry of an ADD that was put together from leftovers of the stage buffer.
    patched: bool,
    /// When that was deleted.
    deleted: Option<u64>,
    /// Cookie of what was last, and whether the host has seen its completion.
    cookie: u32,
    settled: bool,
}

impl Lock {
    /// Asks for some slots, at the rate of a busy datapath or less.
    pub fn look_up(&mut self) {
        for _ in 0..self.random.usize(..8) {
            let hint = self.random.usize(..self.board.hints.len());
            let own = self.random.u8(..8) != 0;
            let any = self.random.u32(..self.params.sa_capacity);
            let index = if own { self.board.hints[hint].index } else { any };
            self.rtl.look_up(index);
        }
    }

    /// Judges the lookups that were asked for up to some cycle: what was issued before it is known.
    pub fn judge_lookups(&mut self, until: u64) {
        while self.lookups.front().is_some_and(|lookup| lookup.cycle <= until) {
            if let Some(lookup) = self.lookups.pop_front() {
                self.judge(&lookup);
            }
        }
    }

    fn judge(&self, lookup: &Lookup) {
        if self.blind {
            return;
        }
        let live = bits(&lookup.entry, LIVE, 1) != 0;
        let fate = self.fates.get(&lookup.index).copied().unwrap_or_default();
        if fate.patched && fate.deleted.is_none() {
            return;
        }
        let complain = |what: &str| {
            let Lookup { cycle, index, .. } = lookup;
            let (live, settled) = (u8::from(live), fate.settled);
            let (added, deleted) = (fate.add.map(|add| add.1), fate.deleted);
            self.fail(&format!(
                "lookup of slot {index} in cycle {cycle}, live {live}: {what}\n\
                 ADD {added:?}, DELETE {deleted:?}, completed {settled}"
            ));
        };
        let Some((add, added)) = fate.add else {
            if live && (fate.settled || !fate.patched) {
                complain("no ADD wrote it");
            }
            return;
        };
        match (fate.deleted, fate.settled) {
            (None, true) if !live => complain("R30: its ADD has completed"),
            (Some(_), true) if live => complain("R32: its DELETE has completed"),
            (None, _) if live && lookup.cycle < added + READ_BACK => {
                complain("4.2: it was not read back yet");
            }
            _ => {}
        }
        if live && !holds(&lookup.entry, &add) {
            complain("R30: it is not the entry that ADD gave (its key is not shown here)");
        }
        if !live && lookup.entry != [0; 22] {
            complain("a miss shows something");
        }
    }

    /// Generation of the entry whose ADD completed last, 0 if none did.
    pub fn settled_generation(&self, index: u32) -> u32 {
        let fate = self.fates.get(&index).filter(|fate| fate.settled && fate.deleted.is_none());
        fate.and_then(|fate| fate.add).map_or(0, |(add, _)| add.header.generation.get())
    }

    /// Notes what was issued.
    pub fn note_fate(&mut self, issued: &Issued, sent: &Sent, expected: Verdict) {
        let ok = expected.status == Status::Ok as u8;
        // From DRAINING on, lookups miss, whatever is read back (R32).
        let drained = ok || expected.status == Status::Verify as u8;
        let fate = self.fates.entry(sent.cmd.index()).or_default();
        match Opcode::from_code(issued.opcode_byte) {
            Some(Opcode::Add) if ok => {
                let add = sent.whole.then(|| (sent.cmd.as_record(), issued.cycle));
                let (patched, cookie) = (!sent.whole, sent.cookie);
                *fate = Fate { add, patched, deleted: None, cookie, settled: false };
            }
            Some(Opcode::Delete) if drained => {
                fate.deleted = Some(issued.cycle);
                (fate.cookie, fate.settled) = (sent.cookie, false);
            }
            _ => {}
        }
    }

    /// Notes that the host saw the completion.
    pub fn settle_fate(&mut self, sent: &Sent, verdict: Verdict) {
        let fate = self.fates.get_mut(&sent.cmd.index());
        if let Some(fate) = fate.filter(|fate| fate.cookie == verdict.cookie) {
            fate.settled = true;
        }
    }
}

/// Up to 128 bits of an entry.
fn bits(entry: &[u32; 22], from: usize, len: usize) -> u128 {
    let bit = |k: usize| u128::from(entry[(from + k) / 32] >> ((from + k) % 32) & 1);
    (0..len).map(|k| bit(k) << k).sum()
}

/// Whether the row, as `cfg_t` of the RTL lays it out, is that of this ADD: every field, from the
/// lowest bit up.
fn holds(entry: &[u32; 22], add: &Add) -> bool {
    let key = |half: usize| {
        u128::from_le_bytes(add.key[16 * half..16 * (half + 1)].try_into().expect("16 bytes"))
    };
    let icv = u128::from(add.icv_len / 4 - 2);
    let fields: [(usize, u128); 18] = [
        (32, add.header.generation.get().into()),
        (32, add.spi.get().into()),
        (1, (add.protocol == Protocol::Esp as u8).into()),
        (1, (add.direction == 2).into()),
        (1, (add.sa_flags.get() & SA_ESN != 0).into()),
        (1, (add.mode == 2).into()),
        (3, add.algorithm.into()),
        (2, icv),
        (1, (add.family == 6).into()),
        (2, add.udp_encap.into()),
        (13, add.replay_window.get().into()),
        (128, u128::from_le_bytes(add.src)),
        (128, u128::from_le_bytes(add.dst)),
        (16, add.udp_src.get().into()),
        (16, add.udp_dst.get().into()),
        (32, add.peer.get().into()),
        (32, u32::from_le_bytes(add.salt).into()),
        (128, key(0)),
    ];
    let mut at = 0;
    let all = fields.iter().all(|&(len, value)| {
        at += len;
        bits(entry, at - len, len) == value
    });
    all && at + 128 == LIVE && bits(entry, at, 128) == key(1)
}
