// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a completion does to the shadow, and what of it is believed (§11 of the device manual).

use super::element::{Element, Flow, State, handle};
use super::encode::Change;
use crate::core::Core;
use crate::cq::Broken;
use crate::pending::{Entry, NONE, Outcome, Settled, Target};
use crate::transport::Transport;
use esnic_abi::{Generation, Opcode, Status, Top, UpdateMode, digest};
use std::sync::atomic::Ordering;

/// Bits of an UPDATE's `detail` above its mode: the driver made it a compare-and-set; it is one;
/// it goes forward only.
const AUTO_CAS: u8 = 0x10;
const CAS: u8 = 0x20;
const MONOTONE: u8 = 0x40;

/// `detail` of an ADD that puts an SA back after a reset.
pub(super) const RESTORE: u8 = 1;

/// Failed deletions of one slot in a row after which only a reset frees it.
const MAX_DELETE_RETRIES: u32 = 8;

/// The change that is sent for `wanted`, and how the completion is to be read. An absolute HI after
/// one whose outcome is not known could pull the device back; as a compare-and-set it cannot (R36).
pub(super) fn careful(element: &Element, wanted: Change) -> (Change, u8) {
    let mode = wanted.mode as u8;
    let retry = element.flow().doubt
        && wanted.mode == UpdateMode::Hi
        && wanted.expected_hi.is_none()
        && !wanted.monotone;
    if retry {
        let expected = element.top().0.hi();
        (wanted.expecting(expected), mode | AUTO_CAS | CAS)
    } else {
        let cas = if wanted.expected_hi.is_some() { CAS } else { 0 };
        let monotone = if wanted.monotone { MONOTONE } else { 0 };
        (wanted, mode | cas | monotone)
    }
}

impl<T: Transport> Core<T> {
    /// Takes a completion in: checks it, moves the shadow, says the operation's outcome.
    pub(crate) fn settle(
        &self,
        pair: usize,
        number: u32,
        entry: &Entry,
        outcome: &Outcome,
    ) -> Result<(), Broken> {
        let kind = entry.kind();
        let target = entry.target(0);
        match kind.opcode {
            Opcode::Nop | Opcode::Fence | Opcode::AddSecond => entry.say(done(*outcome)),
            Opcode::Add => self.settle_add(pair, number, entry, target, outcome)?,
            Opcode::Delete => self.settle_delete(pair, entry, target, outcome)?,
            Opcode::Update => self.settle_update(entry, target, kind.detail, outcome)?,
            Opcode::Update4 => self.settle_update4(entry, kind.targets.into(), outcome)?,
            Opcode::Query | Opcode::Resolve => self.settle_read(entry, target, outcome)?,
        }
        if kind.direct > 0 {
            self.stages().release(target.handle.index);
        }
        Ok(())
    }

    fn shadow(&self, target: Target) -> &Element {
        &self.elements[target.handle.index.0 as usize]
    }

    /// Counts a completed command out; `known` if nothing about the entry is doubtful any more.
    /// Returns in which state the slot was.
    fn settled(&self, index: u32, known: bool, state: impl Fn(State) -> State) -> State {
        let was = self.elements[index as usize].complete(known, state);
        self.give_back(index);
        was
    }

    fn settle_add(
        &self,
        pair: usize,
        number: u32,
        entry: &Entry,
        target: Target,
        outcome: &Outcome,
    ) -> Result<(), Broken> {
        let element = self.shadow(target);
        let index = target.handle.index.0;
        let ok = outcome.status == Status::Ok;
        #[allow(clippy::cast_possible_truncation)]
        let held = Generation(outcome.result as u32);
        let believable = match outcome.status {
            Status::Ok => outcome.result == digest(&element.view()),
            Status::Occupied => held.0 != 0,
            // R21 would have let it pass.
            Status::OldGeneration => held.0 != 0 && !target.handle.generation.is_newer_than(held),
            _ => true,
        };
        if !believable {
            return Err(Broken::Result);
        }
        if entry.kind().detail == RESTORE {
            // Nobody waits for it; what could not be put back is kept, and named in the report.
            entry.say(done(*outcome));
            element.restored(ok);
            self.tallies.lost.fetch_add(u64::from(!ok), Ordering::Relaxed);
            return Ok(());
        }
        let said = match entry.parent() {
            NONE => number,
            parent => parent,
        };
        let said = self.pair(pair).pending.entry(said);
        if said.said_ok() {
            said.say(done(*outcome));
        }
        let peer = element.peer();
        let was = self.settled(index, true, |state| match state {
            State::Adding if ok => State::Live,
            other => other,
        });
        // Otherwise it is being deleted already, and the DELETE is behind the ADD.
        if was == State::Adding {
            self.after_add(index, peer, outcome.status, held);
        }
        if !ok && let Some(peer) = peer {
            self.roll_back(peer, |state| state == State::Live);
        }
        Ok(())
    }

    /// What an ADD that ended with `status` leaves to do; `held` is the generation in its result.
    fn after_add(&self, index: u32, peer: Option<u32>, status: Status, held: Generation) {
        let element = &self.elements[index as usize];
        let adopt = || {
            element.force(|flow| Flow { generation: held, ..flow });
        };
        let failed = |peer: u32| {
            let state = self.elements[peer as usize].flow().state;
            !matches!(state, State::Adding | State::Live)
        };
        match status {
            Status::Ok if peer.is_some_and(failed) => {
                self.roll_back(index, |state| state == State::Live);
            }
            Status::Ok => {}
            // The row is BAD, or holds something that the shadow does not know: only DELETE helps.
            Status::Verify => self.roll_back(index, |state| state == State::Adding),
            Status::Occupied => {
                adopt();
                self.roll_back(index, |state| state == State::Adding);
            }
            _ => {
                if status == Status::OldGeneration {
                    adopt();
                }
                self.vacate(index);
            }
        }
    }

    /// Deletes an entry that nobody holds a handle of, if it is in a state that `from` names; else
    /// somebody else is at it.
    fn roll_back(&self, index: u32, from: impl Fn(State) -> bool) {
        let element = &self.elements[index as usize];
        let doomed = element.shift(|flow| match from(flow.state) {
            true => Ok(Flow { state: State::Deleting, ..flow }),
            false => Err(()),
        });
        if doomed.is_err() {
            return;
        }
        element.set_waiting(NONE);
        self.todo.push(index).expect("the queue has room for every slot, and each is in it once");
    }

    fn settle_delete(
        &self,
        pair: usize,
        entry: &Entry,
        target: Target,
        outcome: &Outcome,
    ) -> Result<(), Broken> {
        let element = self.shadow(target);
        let index = target.handle.index.0;
        let gone = matches!(outcome.status, Status::Ok | Status::Empty | Status::Stale);
        if outcome.status == Status::Stale {
            self.not_own_generation(target, outcome)?;
        }
        if entry.parent() != NONE {
            // Upward a deletion succeeds, whatever became of it (IPsecOV2 knows no other status).
            let said = self.pair(pair).pending.entry(entry.parent());
            said.say(done(Outcome { status: Status::Ok, ..*outcome }));
        }
        element.set_waiting(NONE);
        self.settled(index, true, |_| if gone { State::Deleting } else { State::Dead });
        if gone {
            self.vacate(index);
        } else if element.failures.fetch_add(1, Ordering::Relaxed) < MAX_DELETE_RETRIES {
            self.tallies.delete_retries.fetch_add(1, Ordering::Relaxed);
            self.todo.push(index).expect("the queue has room for every slot, once each");
        }
        Ok(())
    }

    fn settle_update(
        &self,
        entry: &Entry,
        target: Target,
        detail: u8,
        outcome: &Outcome,
    ) -> Result<(), Broken> {
        let element = self.shadow(target);
        let (wanted, held) = (Top(target.wanted), Top(outcome.result));
        let mut said = *outcome;
        let whole = detail & 3 == UpdateMode::Top as u8;
        let believable = match outcome.status {
            Status::Ok if whole => held == wanted && outcome.lo_valid,
            Status::Ok if detail & 3 == UpdateMode::Resync as u8 => {
                held == wanted && !outcome.lo_valid
            }
            // A new high half begins at 0; the one that was held keeps its low half (§7).
            Status::Ok => held.hi() == wanted.hi() && (!outcome.changed || held.lo() == 0),
            Status::Conflict => detail & CAS != 0,
            Status::Backward if whole => detail & MONOTONE != 0 && wanted < held,
            Status::Backward => detail & MONOTONE != 0 && wanted.hi() < held.hi(),
            _ => true,
        };
        if !believable {
            return Err(Broken::Result);
        }
        match outcome.status {
            Status::Ok => follow_top(element, held, outcome.lo_valid)?,
            Status::Conflict => {
                follow_top(element, held, outcome.lo_valid)?;
                // The doubtful predecessor had taken effect after all.
                if detail & AUTO_CAS != 0 && held.hi() == wanted.hi() {
                    said.status = Status::Ok;
                }
            }
            Status::Backward | Status::NotEsn => follow_top(element, held, outcome.lo_valid)?,
            Status::Empty | Status::Stale => return self.settle_lost(entry, target, outcome),
            _ => {}
        }
        entry.say(done(said));
        self.settled(target.handle.index.0, true, |state| state);
        Ok(())
    }

    fn settle_update4(&self, entry: &Entry, items: usize, outcome: &Outcome) -> Result<(), Broken> {
        let bytes = outcome.result.to_le_bytes();
        let statuses = bytes[..4].iter().map(|&byte| Status::from_code(byte));
        let changed = bytes[4];
        let clean = bytes[items..4].iter().chain(&bytes[5..]).all(|&byte| byte == 0)
            && changed >> items == 0;
        let all_ok = bytes[..items].iter().all(|&byte| byte == 0);
        // Every item before any is believed; one that failed has altered nothing.
        for (k, status) in (0..items).zip(statuses.clone()) {
            match status.ok_or(Broken::Status)? {
                Status::Ok => {}
                Status::BadField
                | Status::BadIndex
                | Status::Empty
                | Status::Stale
                | Status::NotEsn
                | Status::Conflict => {
                    if changed >> k & 1 == 1 {
                        return Err(Broken::Result);
                    }
                }
                _ => return Err(Broken::StatusImpossible),
            }
        }
        let expected = match outcome.status {
            Status::Ok => all_ok,
            Status::Items => !all_ok,
            // Nothing was carried out.
            _ => outcome.result == 0 && changed == 0,
        };
        if !clean || !expected {
            return Err(Broken::Result);
        }
        let carried_out = matches!(outcome.status, Status::Ok | Status::Items);
        for (k, status) in (0..items).zip(statuses) {
            let target = entry.target(k);
            let element = self.shadow(target);
            match status {
                Some(Status::Ok) if carried_out => {
                    let altered = changed >> k & 1 == 1;
                    #[allow(clippy::cast_possible_truncation)]
                    let hi = target.wanted as u32;
                    follow_hi(element, hi, altered);
                }
                Some(Status::Empty | Status::Stale) => self.mark_lost(element),
                _ => {}
            }
            self.settled(target.handle.index.0, carried_out, |state| state);
        }
        entry.say(done(*outcome));
        Ok(())
    }

    fn settle_read(&self, entry: &Entry, target: Target, outcome: &Outcome) -> Result<(), Broken> {
        let element = self.shadow(target);
        let kind = entry.kind();
        let resolved = outcome.status == Status::Ok && kind.opcode == Opcode::Resolve;
        let commit = kind.detail != 0;
        if resolved {
            // A number ends in what was on the wire; only COMMIT moves anything, and what it moves
            // is known from then on (§7).
            let same = Top(outcome.result).lo() == Top(target.wanted).lo();
            let moved = !outcome.changed || commit;
            if !same || !moved || commit && !outcome.lo_valid {
                return Err(Broken::Result);
            }
        }
        match outcome.status {
            Status::Empty | Status::Stale => return self.settle_lost(entry, target, outcome),
            Status::Ok if kind.opcode == Opcode::Query => {
                follow_top(element, Top(outcome.result), outcome.lo_valid)?;
            }
            Status::Ok if commit => {
                // RESOLVE with COMMIT: the number was authenticated (§7).
                let (top, known) = element.top();
                if !known || outcome.result > top.0 {
                    follow_top(element, Top(outcome.result), true)?;
                }
            }
            _ => {}
        }
        entry.say(done(*outcome));
        self.settled(target.handle.index.0, true, |state| state);
        Ok(())
    }

    /// The device says that an entry, live as far as the driver knows, is not there.
    fn settle_lost(&self, entry: &Entry, target: Target, outcome: &Outcome) -> Result<(), Broken> {
        if outcome.status == Status::Stale {
            self.not_own_generation(target, outcome)?;
        }
        let element = self.shadow(target);
        self.mark_lost(element);
        entry.say(done(*outcome));
        self.settled(target.handle.index.0, true, |state| state);
        Ok(())
    }

    fn mark_lost(&self, element: &Element) {
        let before = element.force(|flow| match flow.state {
            State::Live => Flow { state: State::Lost, ..flow },
            _ => flow,
        });
        if before.state == State::Live {
            self.tallies.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// STALE says that another generation is held: not this one.
    fn not_own_generation(&self, target: Target, outcome: &Outcome) -> Result<(), Broken> {
        let own = target.handle == handle(target.handle.index.0, Generation(outcome.result as u32));
        if own { Err(Broken::Result) } else { Ok(()) }
    }

    /// The outcomes of a command are doubtful: its wait timed out (R36, R44).
    pub(crate) fn doubt(&self, pair: usize, number: u32) {
        let entry = self.pair(pair).pending.entry(number);
        let kind = entry.kind();
        if matches!(kind.opcode, Opcode::Update | Opcode::Update4) {
            for k in 0..usize::from(kind.targets) {
                let target = entry.target(k);
                self.shadow(target).force(|flow| {
                    match flow.generation == target.handle.generation {
                        true => Flow { doubt: true, ..flow },
                        false => flow,
                    }
                });
            }
        }
    }

    /// A command whose completion will never come, after a reset.
    pub(crate) fn settle_aborted(&self, entry: &Entry) {
        entry.say(Settled::Aborted);
        let kind = entry.kind();
        for k in 0..usize::from(kind.targets) {
            let element = self.shadow(entry.target(k));
            element.force(|flow| Flow { outstanding: 0, ..flow });
        }
        if kind.direct > 0 {
            self.stages().release(entry.target(0).handle.index);
        }
    }
}

fn done(outcome: Outcome) -> Settled {
    Settled::Completed(outcome)
}

/// Takes over a `top` that a completion tells. No entry has a low half that is not known and not 0, or a
/// high half without ESN (§7): believed, it would be refused when the SA is put back after a reset.
fn follow_top(element: &Element, top: Top, known: bool) -> Result<(), Broken> {
    let (_, _, esn) = element.identity();
    if !known && top.lo() != 0 || !esn && top.hi() != 0 {
        return Err(Broken::Result);
    }
    element.set_top(top, known);
    Ok(())
}

/// What the shadow knows after an UPDATE4 item in mode HI that the device carried out. Its
/// completion has no room for `top`; by the rule of §7 a change is either an advance, which keeps
/// the low half known, or a resynchronisation, which does not.
fn follow_hi(element: &Element, hi: u32, altered: bool) {
    let (top, known) = element.top();
    if altered {
        let advance = top.hi().checked_add(1) == Some(hi) && known && top.lo() >= 1 << 31;
        element.set_top(Top::new(hi, 0), advance);
    } else if top.hi() != hi {
        // The device had moved on by itself: where to is not known.
        element.set_top(Top::new(hi, 0), false);
    }
}
