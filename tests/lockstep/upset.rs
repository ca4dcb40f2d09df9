// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Stops, errors and resets in the middle of everything.
//!
//! When one comes is the RTL's time, not the model's. So the RTL goes first; what it executed until
//! then the model has executed too; and then the same happens to the model, which has nothing else
//! to do. What the contract leaves open is named where it is.

use crate::common::Cmd;
use crate::lock::{Lock, PATIENCE};
use crate::log::Note;
use crate::memory::Side;
use crate::program::Mood;
use esnic_abi::regs::{Doorbell, Global, QueuePair, global};
use esnic_abi::{Bar, Device, QpCause, QpState};

/// Cycles of silence that prove that nothing of before a reset is left.
const SILENCE: u32 = 600;

impl Lock {
    /// One of them, for pair `n` or for all.
    pub fn upset(&mut self, n: usize) {
        // Each kind has its turn; only where it hits is random.
        let turn: u64 = self.upsets.iter().sum();
        let kind = [0, 4, 1, 5, 0, 2, 5, 0, 3][turn as usize % 9];
        self.upsets[kind] += 1;
        match kind {
            0 => {
                self.stop(n);
                if self.random.u8(..4) == 0 {
                    self.bad_config(n);
                }
                let shape = self.shape();
                self.open(n, shape);
            }
            1 => self.bad_doorbell(n),
            2 => self.read_error(n),
            3 => self.write_error(n),
            5 => self.bad_read_back(n),
            _ => self.reset(),
        }
    }

    /// A store to one register of pair `n`, on one device.
    fn set_one(&mut self, side: Side, n: usize, register: QueuePair, value: u32) {
        let (place, bytes) = (register.address(n as u32), value.to_le_bytes());
        match side {
            Side::Rtl => self.rtl.write(Bar::Registers, place, &bytes),
            Side::Model => self.model.write(Bar::Registers, place, &bytes),
        }
    }

    /// ENABLE = 0 at any time (R25).
    fn stop(&mut self, n: usize) {
        self.log.push(Note::Deed("stop of pair", n as u64));
        self.set_one(Side::Rtl, n, QueuePair::QP_CTRL, 0);
        self.await_disabled(n);
        self.all_settled(n);
        // The tail comes without time to fetch, so the model executes nothing more.
        let rung = self.pairs[n].rung;
        self.ring(Side::Model, n, Doorbell::SQ_TAIL, rung);
        self.end_on_model(n);
    }

    /// Every command of a pair that the RTL executed has its completion; others never come.
    fn all_settled(&mut self, n: usize) {
        self.reap(n, u32::MAX);
        let pair = &self.pairs[n];
        self.check(pair.out.is_empty(), || {
            format!("R25: pair {n} is DISABLED, not completed: {:x?}", pair.out.keys())
        });
    }

    /// ENABLE = 0 on the model, which then shows the same pair.
    fn end_on_model(&mut self, n: usize) {
        self.set_one(Side::Model, n, QueuePair::QP_CTRL, 0);
        self.model.step(&mut self.memory.port(Side::Model), 8);
        let executed = self.model.take_trace();
        self.check(executed.is_empty(), || format!("only the model executes {executed:x?}"));
        self.await_messages(n);
        self.abandon(n);
        // A second half in another read than the first (R14): whether it was read, and so counted,
        // before the end is a matter of time.
        let half = !self.pairs[n].last_place.is_multiple_of(2) && self.pairs[n].last_slots == 2;
        self.compare_pair_but(n, half.then_some(QueuePair::SQ_HEAD));
    }

    /// Lets messages arrive that the model has sent already.
    fn await_messages(&mut self, vector: usize) {
        let deadline = self.rtl.cycles() + PATIENCE;
        while self.messages[vector] < self.memory.model_messages[vector] {
            self.step(16);
            self.check(self.rtl.cycles() < deadline, || format!("vector {vector} never fires"));
        }
        let (rtl, model) = (self.messages[vector], self.memory.model_messages[vector]);
        self.check(rtl == model, || format!("vector {vector}: RTL {rtl}, model {model}"));
    }

    /// The host takes back what was never executed.
    fn abandon(&mut self, n: usize) {
        let pair = &mut self.pairs[n];
        pair.enabled = false;
        pair.arm = None;
        let never: Vec<_> = pair.ring.drain(..).chain(pair.direct.drain(..)).collect();
        for sent in never {
            if let Some(index) = sent.claimed {
                self.board.release(index);
            }
            self.free_records.extend(sent.record);
        }
    }

    /// An enable that ends in ERROR at once; the pair is DISABLED before and after.
    fn bad_config(&mut self, n: usize) {
        let most = u32::from(self.params.ring_log2);
        let sizes = self.random.u32(1..=most) | self.random.u32(1..=most) << 8;
        let (sq, cq) = (sizes & 0xF, sizes >> 8);
        self.set_pair(n, QueuePair::SQ_BASE, 0x5000);
        self.set_pair(n, QueuePair::CQ_BASE, 0x9000);
        self.set_pair(n, QueuePair::RING_SIZE, sizes);
        self.set_pair(n, QueuePair::START, 4 << sq.max(cq));
        let bit = self.random.u32(0..12);
        match self.random.u8(..6) {
            0 => self.set_pair(n, QueuePair::SQ_BASE, 0x5000 | 1 << bit),
            1 => self.set_pair(n, QueuePair::CQ_BASE, 0x9000 | 1 << bit),
            2 => self.set_pair(n, QueuePair::RING_SIZE, sizes & 0xF00),
            3 => self.set_pair(n, QueuePair::RING_SIZE, sizes & 0xF),
            4 if most < 15 => self.set_pair(n, QueuePair::RING_SIZE, sizes & 0xF00 | (most + 1)),
            _ => self.set_pair(n, QueuePair::START, 1 << sq.max(cq)),
        }
        self.set_pair(n, QueuePair::QP_CTRL, 1);
        self.expect_error(n, QpCause::BadConfig);
        self.set_pair(n, QueuePair::QP_CTRL, 0);
        self.await_disabled(n);
        self.model.step(&mut self.memory.port(Side::Model), 8);
        self.clear_cause();
    }

    /// Pair `n` is in ERROR on the RTL, for this cause.
    fn expect_error(&mut self, n: usize, cause: QpCause) {
        self.await_pair(n, QpState::Error);
        let got = self.rtl_pair(n, QueuePair::QP_STATUS) >> 8;
        self.check(got == cause as u32, || format!("pair {n}: cause {got}, expected {cause:?}"));
    }

    /// Vector Q tells of an ERROR once; the host then clears its cause.
    fn clear_cause(&mut self) {
        self.model.step(&mut self.memory.port(Side::Model), 2);
        self.await_messages(self.params.queue_pairs.into());
        self.store32(Global::INT_CAUSE.address(0), global::INT_CAUSE::QP_ERROR.mask());
    }

    /// A tail or a head that cannot be. What was fetched before is executed and completed.
    fn bad_doorbell(&mut self, n: usize) {
        self.log.push(Note::Deed("bad doorbell for pair", n as u64));
        let pair = &self.pairs[n];
        let more = self.random.u32(1..1 << 20);
        let (bell, value) = if self.random.bool() {
            (Doorbell::SQ_TAIL, pair.rung.wrapping_add(pair.sq_size() + more))
        } else {
            (Doorbell::CQ_HEAD, pair.seen.wrapping_add(pair.cq_size() + more))
        };
        self.ring(Side::Rtl, n, bell, value);
        self.expect_error(n, QpCause::BadDoorbell);
        self.set_one(Side::Rtl, n, QueuePair::QP_CTRL, 0);
        self.await_disabled(n);
        self.all_settled(n);
        let rung = self.pairs[n].rung;
        self.ring(Side::Model, n, Doorbell::SQ_TAIL, rung);
        self.ring(Side::Model, n, bell, value);
        self.end_on_model(n);
        self.clear_cause();
        let shape = self.shape();
        self.open(n, shape);
    }

    /// Chooses where among the next commands of pair `n`, which has none under way, a fault is to
    /// come: ring index of the slot, and of its completion if all take one slot.
    fn choose_victim(&mut self, n: usize) -> (u32, u32) {
        self.drain(n);
        let pair = &self.pairs[n];
        let most = pair.room().min(pair.cq_size()).min(24);
        let bad = self.random.u32(..most);
        (pair.tail.wrapping_add(bad), pair.seen.wrapping_add(bad))
    }

    /// Fills the ring of pair `n` past `tail`, one doorbell or several.
    fn fill_past(&mut self, n: usize, tail: u32) {
        let mood = Mood { burst: 4, direct: 0, spoilt: 0, greedy: false, ..self.mood };
        let mut tries = 0;
        while self.pairs[n].tail.wrapping_sub(tail) as i32 <= 0 {
            tries += 1;
            let before = self.pairs[n].tail;
            if tries < 64 {
                self.submit(n, &mood);
            }
            // No room for a pad or an ADD: something shorter does.
            if self.pairs[n].tail == before {
                self.send_plain(n, Cmd::nop());
            }
        }
        self.tell_tail(n);
    }

    /// A ring read is refused (R27).
    fn read_error(&mut self, n: usize) {
        let (bad, _) = self.choose_victim(n);
        self.log.push(Note::Deed("read error at slot", bad.into()));
        let pair = &self.pairs[n];
        let at = pair.sq_base + pair.slot(bad) as u64;
        self.memory.refused[Side::Rtl as usize].push(at..at + 64);
        self.fill_past(n, bad);
        self.expect_error(n, QpCause::SqRead);
        self.set_one(Side::Rtl, n, QueuePair::QP_CTRL, 0);
        self.await_disabled(n);
        self.all_settled(n);
        let short = bad.wrapping_sub(self.pairs[n].issued) as i32;
        self.check(short >= 0, || format!("R27: slot {bad:x} was executed, its read failed"));
        self.memory.refused[Side::Model as usize].push(at..at + 64);
        // The first doorbell past the slot may have led to ERROR, which ignores those after it.
        let (rung, told) = (self.pairs[n].rung, self.rtl_pair(n, QueuePair::SQ_TAIL));
        let past = told.wrapping_sub(bad) as i32 > 0 && rung.wrapping_sub(told) as i32 >= 0;
        self.check(past, || format!("SQ_TAIL {told:x}, rung up to {rung:x}, bad {bad:x}"));
        self.ring(Side::Model, n, Doorbell::SQ_TAIL, told);
        self.model.step(&mut self.memory.port(Side::Model), 4);
        self.end_on_model(n);
        self.clear_cause();
        self.memory.refused.iter_mut().for_each(|refused| refused.truncate(1));
        let shape = self.shape();
        self.open(n, shape);
    }

    /// A write of completions is refused. What was executed by then, and which completions got
    /// through behind it, is open (R26), so only a reset brings both devices together again.
    fn write_error(&mut self, n: usize) {
        let (_, bad) = self.choose_victim(n);
        self.log.push(Note::Deed("write error at completion", bad.into()));
        let pair = &self.pairs[n];
        let at = pair.cq_base + pair.entry(bad) as u64;
        let tail = pair.tail.wrapping_add(bad.wrapping_sub(pair.seen));
        self.memory.refused[Side::Rtl as usize].push(at..at + 16);
        self.fill_past(n, tail);
        // An ADD takes two slots and one completion, so more may be needed to get there.
        let deadline = self.rtl.cycles() + PATIENCE;
        while self.rtl_pair(n, QueuePair::QP_STATUS) & 7 != QpState::Error as u32 {
            self.step(32);
            self.reap(n, u32::MAX);
            if self.pairs[n].room() > 0 {
                self.send_plain(n, Cmd::nop());
                self.tell_tail(n);
            }
            self.check(self.rtl.cycles() < deadline, || format!("pair {n} never fails"));
        }
        self.expect_error(n, QpCause::CqWrite);
        self.set_one(Side::Rtl, n, QueuePair::QP_CTRL, 0);
        self.await_disabled(n);
        let (seen, issued) = (self.pairs[n].seen, self.pairs[n].issued);
        let failed = u64::from(self.rtl_pair(n, QueuePair::QP_ERR_ADDR));
        let tail = self.rtl_pair(n, QueuePair::CQ_TAIL);
        let head = self.rtl_pair(n, QueuePair::SQ_HEAD);
        let before = bad.wrapping_sub(seen) as i32;
        self.check(failed & !63 == at & 0xFFFF_FFC0 && tail == seen && (0..4).contains(&before), || {
            format!("QP_ERR_ADDR {failed:x} for {at:x}, CQ_TAIL {tail:x}, in memory {seen:x}, bad {bad:x}")
        });
        let late = issued.wrapping_sub(head);
        self.check(late <= 1, || format!("SQ_HEAD {head:x}, issued {issued:x}"));
        let rows: Vec<u32> = self.board.hints.iter().map(|hint| hint.index).take(64).collect();
        self.quiet_but(n);
        self.compare_rows(rows.into_iter());
        self.memory.refused[Side::Rtl as usize].truncate(1);
        self.reset();
    }

    /// SOFT_RESET or FLR, whatever is under way.
    fn reset(&mut self) {
        let flr = self.random.bool();
        self.log.push(Note::Deed("reset; by FLR", flr.into()));
        self.blind = true;
        if flr {
            self.rtl.reset();
        } else {
            let soft = global::CONTROL::SOFT_RESET.mask() | self.random.u32(..2);
            self.rtl.write(Bar::Registers, Global::CONTROL.address(0), &soft.to_le_bytes());
        }
        self.await_rtl_ready();
        // What became visible is a part of what was executed, in order and without a hole.
        for n in 0..self.pairs.len() {
            self.reap(n, u32::MAX);
        }
        let (requests, messages) = (self.memory.requests, self.messages.clone());
        self.step(SILENCE);
        let silent = requests == self.memory.requests && messages == self.messages;
        self.check(silent, || "R20: DMA or a message after READY".to_owned());
        if flr {
            self.model.reset();
        } else {
            let soft = global::CONTROL::SOFT_RESET.mask().to_le_bytes();
            self.model.write(Bar::Registers, Global::CONTROL.address(0), &soft);
        }
        self.forget();
        self.blind = false;
        self.scrub_model();
        self.compare();
        self.compare_table();
        let free = (0..self.params.sa_capacity).all(|index| self.row_is_blank(index));
        self.check(free, || "R20: a row is not FREE after the reset".to_owned());
        self.late_stores();
        self.run();
        self.late_stores();
        for n in 0..self.pairs.len() {
            let shape = self.shape();
            self.open(n, shape);
        }
    }

    /// Stores of before the reset that arrive after it (R47): READY ignores them, and so do pairs
    /// that are DISABLED. Those of another epoch find that out later.
    fn late_stores(&mut self) {
        for _ in 0..8 {
            let n = self.random.u32(..u32::from(self.params.queue_pairs));
            let value = self.random.u32(..);
            match self.random.u8(..5) {
                0 => self.store32(Doorbell::SQ_TAIL.address(n), value),
                1 => self.store32(Doorbell::CQ_HEAD.address(n), value),
                2 => self.store32(Doorbell::CQ_ARM.address(n), value),
                3 => {
                    let place = Doorbell::DIRECT.address(n) + 8 * self.random.u64(..16);
                    let entry = u64::from(value) << 32 | u64::from(self.random.u32(..));
                    self.store(Bar::Registers, place, &entry.to_le_bytes());
                }
                _ => {
                    let index = self.random.u32(..self.params.sa_capacity);
                    let at = 8 * self.random.u64(..16);
                    self.store_slot(index, at, &[0xA5; 8]);
                }
            }
        }
    }
}
