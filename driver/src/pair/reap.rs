// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Taking completions: one at a time takes them, checks each, and stops at the first that breaks the
//! contract.

use super::QueuePair;
use super::plausible::{consistent, possible};
use crate::cq::{Broken, violation};
use crate::error::Error;
use crate::pending::{Entry, Notify, Outcome};
use crate::regs;
use crate::transport::Transport;
use esnic_abi::regs::{Doorbell, QueuePair as Register};
use esnic_abi::{Completion, RingIndex, Status};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Whoever has it is the one that takes completions. Given back on drop, so that a callback that
/// panics does not stop everybody else.
pub(crate) struct Reaping<'p> {
    pair: &'p QueuePair,
    /// Commands whose credit is to be given back.
    settled: u32,
}

impl Reaping<'_> {
    fn give_credit(&mut self) {
        self.pair.credit.give(std::mem::take(&mut self.settled));
    }
}

impl Drop for Reaping<'_> {
    fn drop(&mut self) {
        self.give_credit();
        // Release: the next one sees what this one left.
        self.pair.reaping.store(false, Ordering::Release);
    }
}

impl QueuePair {
    /// The right to take completions, if nobody has it.
    fn try_reap(&self) -> Option<Reaping<'_>> {
        // Acquire: what the one before us left is visible.
        let taken = self.reaping.swap(true, Ordering::Acquire);
        (!taken).then(|| Reaping { pair: self, settled: 0 })
    }

    /// Waits until nobody takes completions, and keeps it so.
    pub(super) fn alone(&self, within: Duration) -> Result<Reaping<'_>, Error> {
        let begun = Instant::now();
        loop {
            if let Some(alone) = self.try_reap() {
                return Ok(alone);
            }
            if begun.elapsed() >= within {
                let what = "a callback does not return";
                return Err(Error::Stuck { what });
            }
            std::thread::yield_now();
        }
    }

    /// Takes completions that are there, one round of the ring at the most. `settle` learns of each,
    /// checks what only it can check, and says the operation's outcome; `notify` gets the callbacks
    /// that are due. On the first completion that breaks the contract the pair is told to stop, and
    /// `stop` is called. Returns how many were taken, 0 also if somebody else is at it.
    pub(crate) fn reap<T: Transport>(
        &self,
        t: &T,
        settle: impl FnMut(u32, &Entry, &Outcome) -> Result<(), Broken>,
        notify: impl FnMut(Notify),
        stop: impl FnOnce(),
    ) -> u32 {
        let Some(mut reaping) = self.try_reap() else {
            return 0;
        };
        if self.violated.load(Ordering::Relaxed) {
            return 0;
        }
        let taken = self.take(&mut reaping, settle, notify);
        if taken > 0 {
            self.sleepers.wake();
        }
        if self.violated.load(Ordering::Relaxed) {
            regs::set_queue_pair(t, self.number, Register::QP_CTRL, 0);
            stop();
        } else if self.cq.untold() >= self.cq.len() / 2 {
            regs::ring(t, self.number, Doorbell::CQ_HEAD, self.cq.tell().0);
        }
        taken
    }

    fn take(
        &self,
        reaping: &mut Reaping<'_>,
        mut settle: impl FnMut(u32, &Entry, &Outcome) -> Result<(), Broken>,
        mut notify: impl FnMut(Notify),
    ) -> u32 {
        let mut taken = 0;
        while taken < self.cq.len() && !self.violated.load(Ordering::Relaxed) {
            let at = self.cq.next();
            let Some(completion) = self.cq.pop() else {
                break;
            };
            taken += 1;
            match self.accept(&completion, &mut settle) {
                Ok(due) => {
                    reaping.settled += 1;
                    if let Some(due) = due {
                        // A callback that submits finds the room that its own command had.
                        reaping.give_credit();
                        notify(due);
                    }
                    // Release: whoever arms from here on finds the ticket settled, and what a callback
                    // did is done.
                    self.settled.store(at.plus(1).0, Ordering::Release);
                }
                Err(broken) => {
                    // Stop believing the device until it is reset.
                    *self.kept() = Some(violation(self.number, at, &completion, broken));
                    self.violated.store(true, Ordering::Release);
                }
            }
        }
        taken
    }

    fn accept(
        &self,
        completion: &Completion,
        settle: &mut impl FnMut(u32, &Entry, &Outcome) -> Result<(), Broken>,
    ) -> Result<Option<Notify>, Broken> {
        let cookie = completion.cookie.get();
        let number = self.pending.find(cookie)?;
        let entry = self.pending.entry(number);
        let kind = entry.kind();
        let info = u32::from(completion.info);
        let status = Status::from_code(completion.status).ok_or(Broken::Status)?;
        // A STAGE completion cannot name the opcode: nothing that is staged is believed (4.7).
        let opcode = if status == Status::Stage { 0 } else { kind.opcode as u32 };
        if Completion::OPCODE.get(info) != opcode {
            return Err(Broken::Opcode);
        }
        if !possible(kind, status) {
            return Err(Broken::StatusImpossible);
        }
        let head = self.fetched(completion.sq_head.get()).ok_or(Broken::SqHead)?;
        let outcome = Outcome {
            status,
            result: completion.result.get(),
            lo_valid: Completion::LO_VALID.is_set(info),
            changed: Completion::CHANGED.is_set(info),
        };
        if !consistent(kind, &outcome) {
            return Err(Broken::Result);
        }
        if !self.sq.retire(head) {
            return Err(Broken::SqHead);
        }
        settle(number, entry, &outcome)?;
        if kind.direct > 0 {
            self.direct.release(u32::from(kind.direct) - 1);
        }
        Ok(self.pending.finish(number))
    }

    /// The ring index whose low 16 bits the device reports, if it lies between what was fetched
    /// before and what was told.
    fn fetched(&self, low: u16) -> Option<RingIndex> {
        let head = self.sq.head();
        #[allow(clippy::cast_possible_truncation)]
        let step = u32::from(low.wrapping_sub(head.0 as u16));
        (step <= self.sq.tail().since(head)).then(|| head.plus(step))
    }

    /// Settles every command that is still pending, after a reset: nobody submits and the device
    /// does nothing. What it completed before it stopped, `settle` learns of as ever; what it did
    /// not, `abort` does.
    pub(crate) fn abort(
        &self,
        within: Duration,
        mut settle: impl FnMut(u32, &Entry, &Outcome) -> Result<(), Broken>,
        mut abort: impl FnMut(&Entry),
        mut notify: impl FnMut(Notify),
    ) -> Result<(), Error> {
        let mut alone = self.alone(within)?;
        while self.take(&mut alone, &mut settle, &mut notify) > 0 {}
        for number in self.pending.numbers() {
            let entry = self.pending.entry(number);
            if entry.is_open() {
                alone.settled += 1;
                abort(entry);
                self.pending.finish(number).into_iter().for_each(&mut notify);
            }
        }
        self.sleepers.wake();
        Ok(())
    }
}
