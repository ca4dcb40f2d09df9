// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reset, and putting the table back from the shadow with unchanged handles (§11 of the device
//! manual).
//!
//! What was live is added again with the newest `top` that is known; what was being added or deleted
//! is not. Every command that was under way settles as [`crate::Settled::Aborted`]. An SA that the
//! device refuses now is *lost*: its handle stays valid, updates of it fail, and the report names
//! it. Nothing is lost silently.

use super::element::{Element, Flow, Path, State, handle};
use super::settle::RESTORE;
use super::{SaHandle, SaManager};
use crate::core::{Command, Core};
use crate::error::Error;
use crate::pair::QueuePair;
use crate::pending::{Kind, NONE, Settled, Target};
use crate::transport::Transport;
use esnic_abi::{Opcode, Protocol};
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, TryLockError};
use std::time::Instant;

/// How much of the table is read back after a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Verify {
    /// Every row's digest, and a sample of 64 rows in full.
    #[default]
    Sample,
    /// Every row in full.
    All,
}

/// What a restore did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// SAs that the device holds again.
    pub restored: usize,
    /// SAs that it does not; their owner must be told.
    pub lost: Vec<SaHandle>,
    /// Commands that were under way and whose outcome is unknown.
    pub aborted: usize,
    /// Rows that were read back in full and are right.
    pub verified: usize,
    /// Rows that were read back and are not.
    pub differences: Vec<super::inspect::Difference>,
}

impl<T: Transport> SaManager<T> {
    /// Resets the device and restores the table. Other threads' submissions fail with
    /// [`super::SubmitError::Closed`] meanwhile; their tickets settle.
    ///
    /// # Errors
    /// If the device is gone or does not come up again. Then nothing can be submitted; calling this
    /// again tries again, with nothing forgotten.
    pub fn recover(&self, verify: Verify) -> Result<Report, Error> {
        let report = self.core.recover(verify);
        // Tickets have settled, and whatever was armed is not.
        self.core.rouse();
        report
    }

    /// Stops and resets the device. Everything under way settles as aborted; nothing can be
    /// submitted any more. Dropping the last manager does this too, without telling of errors.
    ///
    /// # Errors
    /// The first thing that went wrong; the rest was done all the same.
    pub fn close(&self) -> Result<(), Error> {
        let core = &self.core;
        let _one = core.alone()?;
        core.closed.store(true, Ordering::Release);
        let closed = core.nic.close_gate();
        core.nic.resets.begin();
        let halted = core.nic.halt();
        let aborted = core.abort_all();
        for (index, element) in core.elements.iter().enumerate() {
            core.vault.wipe(index);
            element.force(|flow| Flow { state: State::Free, outstanding: 0, doubt: false, ..flow });
        }
        core.nic.pairs.iter().for_each(QueuePair::wipe);
        core.rouse();
        closed.and(halted).and(aborted.map(drop))
    }
}

impl<T: Transport> Core<T> {
    /// The right to reset. One reset calls callbacks, and two threads may want one at a time: neither
    /// waits without end.
    fn alone(&self) -> Result<MutexGuard<'_, ()>, Error> {
        let begun = Instant::now();
        loop {
            match self.resetting.try_lock() {
                Ok(alone) => return Ok(alone),
                Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => {}
            }
            if begun.elapsed() >= self.nic.config.timeouts.command {
                let what = "another reset is under way, or a callback of it asks for one";
                return Err(Error::Stuck { what });
            }
            std::thread::yield_now();
        }
    }

    fn recover(&self, verify: Verify) -> Result<Report, Error> {
        let _one = self.alone()?;
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        self.tallies.resets.fetch_add(1, Ordering::Relaxed);
        self.nic.close_gate()?;
        self.nic.resets.begin();
        let start = self.nic.next_start();
        // A device that does not stop in order is reset all the same; only that counts.
        let _ = self.nic.halt();
        crate::nic::reset(&self.nic.transport, self.nic.config.timeouts.reset)?;
        let mut report = Report { aborted: self.abort_all()?, ..Report::default() };
        let wanted = self.forget_unfinished();
        self.nic.run(start)?;
        self.add_again(&wanted)?;
        for &index in &wanted {
            let flow = self.elements[index as usize].flow();
            if flow.state == State::Live {
                report.restored += 1;
            } else {
                report.lost.extend(self.owned_by(index));
            }
        }
        let sample = match verify {
            Verify::All => usize::MAX,
            Verify::Sample => 64,
        };
        let live = |index: &&u32| self.elements[**index as usize].flow().state == State::Live;
        for &index in wanted.iter().filter(live).take(sample) {
            match self.diff_row(index) {
                None => report.verified += 1,
                Some(difference) => report.differences.push(difference),
            }
        }
        self.nic.resets.end();
        self.nic.gate.open();
        // Somebody may just have found out that the device is no better than before.
        if self.nic.pairs.iter().any(|pair| pair.evidence().is_some()) {
            self.nic.gate.close();
        }
        Ok(report)
    }

    /// The handle that the owner of the lost slot `index` has: of a bundle, that of its ESP half;
    /// `None` if that half is lost too and speaks for itself.
    fn owned_by(&self, index: u32) -> Option<SaHandle> {
        let element = &self.elements[index as usize];
        let ah = element.identity().1 == Protocol::Ah as u8;
        match element.peer().filter(|_| ah) {
            None => Some(SaHandle(handle(index, element.flow().generation))),
            Some(esp) => {
                let flow = self.elements[esp as usize].flow();
                (flow.state == State::Live).then(|| SaHandle(handle(esp, flow.generation)))
            }
        }
    }

    /// Settles everything that is under way: as completed where the device came to that before it
    /// stopped, as aborted otherwise. Returns how many commands were aborted.
    pub(crate) fn abort_all(&self) -> Result<usize, Error> {
        let notify = |due: crate::pending::Notify| {
            self.callbacks.call(due.callback, due.token, due.settled);
        };
        let mut aborted = 0;
        for (n, pair) in self.nic.pairs.iter().enumerate() {
            let abort = |entry: &crate::pending::Entry| {
                // A NOP is nobody's command.
                aborted += usize::from(entry.kind().opcode != Opcode::Nop);
                self.settle_aborted(entry);
                if entry.parent() != NONE {
                    pair.pending.entry(entry.parent()).say(Settled::Aborted);
                }
            };
            pair.abort(
                self.nic.config.timeouts.command,
                |number, entry, outcome| self.settle(n, number, entry, outcome),
                abort,
                notify,
            )?;
        }
        while let Some(index) = self.todo.pop() {
            let unsent = [Some(index), self.behind(index)];
            for element in unsent.into_iter().flatten().map(|k| &self.elements[k as usize]) {
                let waiting = element.waiting();
                if waiting != NONE {
                    let pending = &self.pair(element.pair()).pending;
                    pending.entry(waiting).say(Settled::Aborted);
                    pending.drop_part(waiting).into_iter().for_each(notify);
                }
            }
        }
        Ok(aborted)
    }

    /// Empties the slots whose ADD or DELETE was not over, and lists those to be restored.
    fn forget_unfinished(&self) -> Vec<u32> {
        let state = |index: u32| self.elements[index as usize].flow().state;
        let unfinished = |index: u32| !matches!(state(index), State::Live | State::Lost);
        let mut wanted = Vec::new();
        let mut gone = Vec::new();
        for (index, element) in (0u32..).zip(&self.elements) {
            let half = element.peer().is_some_and(unfinished);
            match state(index) {
                // Perhaps it waited for a command that was aborted.
                State::Free => self.give_back(index),
                // The bundle was never whole, or is no more.
                State::Live | State::Lost if half => gone.push(index),
                State::Live | State::Lost => wanted.push(index),
                State::Adding | State::Deleting | State::Dead => gone.push(index),
            }
            element.set_waiting(NONE);
        }
        gone.into_iter().for_each(|index| self.vacate(index));
        wanted
    }

    /// Adds what is `wanted` by ring, in batches as large as the rings. Whatever is not live
    /// afterwards is lost.
    fn add_again(&self, wanted: &[u32]) -> Result<(), Error> {
        let limit = self.nic.config.timeouts.command;
        // Until the device says otherwise; so an attempt that fails half way forgets nothing.
        for &index in wanted {
            self.elements[index as usize].restored(false);
        }
        for &index in wanted {
            let element = &self.elements[index as usize];
            element.force(|flow| Flow { path: Path::Ring, doubt: false, outstanding: 1, ..flow });
            let target = Target { handle: handle(index, element.flow().generation), wanted: 0 };
            let command = Command {
                pair: element.pair(),
                path: Path::Ring,
                kind: Kind { opcode: Opcode::Add, detail: RESTORE, targets: 1, direct: 0 },
                targets: &[target],
                held: false,
                parent: NONE,
            };
            let deadline = Instant::now() + limit;
            while self.send(&command, |stamp, put| self.put_add(stamp, index, put)).is_err() {
                self.pair(command.pair).publish(&self.nic.transport);
                self.make_progress(deadline)?;
            }
        }
        self.nic.pairs.iter().for_each(|pair| pair.publish(&self.nic.transport));
        let deadline = Instant::now() + limit;
        let under_way = |index: &u32| self.elements[*index as usize].flow().outstanding > 0;
        for index in wanted {
            while under_way(index) {
                self.make_progress(deadline)?;
            }
        }
        Ok(())
    }

    fn make_progress(&self, deadline: Instant) -> Result<(), Error> {
        if (0..self.nic.pairs.len()).map(|pair| self.poll_pair(pair)).sum::<u32>() > 0 {
            return Ok(());
        }
        self.nic.check_restore()?;
        if Instant::now() >= deadline {
            let what = "it does not complete the ADDs of a restore".to_owned();
            return Err(Error::Misbehaves { what });
        }
        self.nic.transport.relax();
        Ok(())
    }
}

impl Element {
    /// The outcome of an ADD that restores: live, or lost.
    pub(super) fn restored(&self, live: bool) {
        let state = if live { State::Live } else { State::Lost };
        self.force(|flow| Flow { state, outstanding: 0, ..flow });
    }
}
