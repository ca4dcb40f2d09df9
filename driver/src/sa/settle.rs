// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a completion does to the shadow, and what of it is believed (§11 of the device manual).

use super::element::{Element, Flow, State, handle};
use super::follow::follow_top;
use crate::core::Core;
use crate::cq::Broken;
use crate::pending::{Entry, NONE, Outcome, Settled, Target};
use crate::transport::Transport;
use esnic_abi::{Generation, Opcode, Status, Top, digest};
use std::sync::atomic::Ordering;

/// `detail` of an ADD that puts an SA back after a reset.
pub(super) const RESTORE: u8 = 1;

/// Failed deletions of one slot in a row after which only a reset frees it.
const MAX_DELETE_RETRIES: u32 = 8;

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

    pub(super) fn shadow(&self, target: Target) -> &Element {
        &self.elements[target.handle.index.0 as usize]
    }

    /// Counts a completed command out; `known` if nothing about the entry is doubtful any more.
    /// Returns in which state the slot was.
    pub(super) fn settled(&self, index: u32, known: bool, state: impl Fn(State) -> State) -> State {
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
    pub(super) fn settle_lost(
        &self,
        entry: &Entry,
        target: Target,
        outcome: &Outcome,
    ) -> Result<(), Broken> {
        if outcome.status == Status::Stale {
            self.not_own_generation(target, outcome)?;
        }
        let element = self.shadow(target);
        self.mark_lost(element);
        entry.say(done(*outcome));
        self.settled(target.handle.index.0, true, |state| state);
        Ok(())
    }

    pub(super) fn mark_lost(&self, element: &Element) {
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

pub(super) fn done(outcome: Outcome) -> Settled {
    Settled::Completed(outcome)
}
