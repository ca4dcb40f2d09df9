// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a thread does: any request, and any way to end a ticket.

use crate::board::{Board, Known};
use crate::calls::Calls;
use crate::ports::Clerk;
use crate::{Link, Manager, sas};
use esnic_abi::{Protocol, Spi, Status, Top};
use esnic_driver::transport::Transport;
use esnic_driver::{
    CallbackId, Change, PathPolicy, SaUpdate, Settled, SubmitError, Ticket, WaitError,
};
use std::iter::Sum;
use std::time::{Duration, Instant};

/// One reset in so many commands of a thread.
const RESET: u64 = 1 << 13;

/// What was done, and how tickets ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Commands that were asked for: requests, and items of batches.
    pub(crate) commands: u64,
    adds: u64,
    bundles: u64,
    updates: u64,
    batched: u64,
    reads: u64,
    deletes: u64,
    waited: u64,
    dropped: u64,
    cancelled: u64,
    pub(crate) notified: u64,
    refused: u64,
    aborted: u64,
    /// Of the device, by this thread.
    resets: u64,
}

impl Tally {
    fn all(self) -> [u64; 13] {
        [
            self.commands,
            self.adds,
            self.bundles,
            self.updates,
            self.batched,
            self.reads,
            self.deletes,
            self.waited,
            self.dropped,
            self.cancelled,
            self.notified,
            self.refused,
            self.aborted,
        ]
    }

    /// Whether nothing was left out. Refusals and aborted commands are a matter of luck.
    pub(crate) fn each_happened(self, ops: u64) -> bool {
        self.all()[..11].iter().all(|&count| count > ops / 1000)
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), |a, b| Self {
            commands: a.commands + b.commands,
            adds: a.adds + b.adds,
            bundles: a.bundles + b.bundles,
            updates: a.updates + b.updates,
            batched: a.batched + b.batched,
            reads: a.reads + b.reads,
            deletes: a.deletes + b.deletes,
            waited: a.waited + b.waited,
            dropped: a.dropped + b.dropped,
            cancelled: a.cancelled + b.cancelled,
            notified: a.notified + b.notified,
            refused: a.refused + b.refused,
            aborted: a.aborted + b.aborted,
            resets: a.resets + b.resets,
        })
    }
}

/// How commands of threads that share SAs may end: well, or behind a DELETE of another thread. Never as
/// if they had met another SA.
pub(crate) fn plausible(settled: Settled) {
    if let Settled::Completed(outcome) = settled {
        assert!(matches!(outcome.status, Status::Ok | Status::Empty), "{settled}");
    }
}

/// One thread.
pub(crate) struct Worker<'a> {
    manager: &'a Manager,
    board: &'a Board,
    calls: &'a Calls,
    id: CallbackId,
    random: fastrand::Rng,
    /// SAs of this thread have numbers of their own.
    next: u32,
    until_reset: u64,
    /// SAs that this thread has deleted last.
    gone: [Option<Known>; 8],
    /// What it does by way of the port.
    pub(crate) clerk: Clerk<'a>,
    pub(crate) tally: Tally,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(
        manager: &'a Manager,
        board: &'a Board,
        calls: &'a Calls,
        id: CallbackId,
        clerk: Clerk<'a>,
        thread: u32,
        mut random: fastrand::Rng,
    ) -> Self {
        let (next, until_reset) = (thread << 24, random.u64(..RESET) + RESET / 4);
        let (gone, tally) = ([None; 8], Tally::default());
        Self { manager, board, calls, id, random, next, until_reset, gone, clerk, tally }
    }

    /// Does at least this many commands' worth.
    pub(crate) fn work(&mut self, commands: u64) {
        let end = self.tally.commands + commands;
        while self.tally.commands < end {
            let before = self.tally.commands;
            self.one();
            self.until_reset = self.until_reset.saturating_sub(self.tally.commands - before);
            if self.until_reset == 0 {
                self.until_reset = RESET;
                self.reset();
            }
        }
    }

    fn one(&mut self) {
        if self.random.u8(..4) == 0 {
            self.tally.commands += self.clerk.one(&mut self.random, &mut self.next);
            return;
        }
        let (place, known) = self.board.look(&mut self.random);
        let Some(known) = known else {
            return self.add(place);
        };
        match self.random.u8(..64) {
            0..4 => self.delete(place, known),
            4..8 => self.batch(),
            8..12 => drop(self.manager.poll()),
            12..14 => self.look_up(known),
            14..16 => self.stale(),
            16 => self.manager.set_path_policy(match self.random.u8(..3) {
                0 => PathPolicy::Ring,
                1 => PathPolicy::Direct,
                _ => PathPolicy::default(),
            }),
            17..26 => {
                self.tally.reads += 1;
                let seq = self.random.u32(..);
                match self.random.bool() {
                    true => self.ask(|manager| manager.query(known.sa)),
                    false => self.ask(|manager| manager.resolve(known.sa, seq, true)),
                }
            }
            _ => {
                self.tally.updates += 1;
                let (hi, lo) = (self.random.u32(..), self.random.u32(..));
                let change = match self.random.bool() {
                    true => Change::hi(hi),
                    false => Change::top(Top::new(hi, lo)),
                };
                let update = self.update_of(known, change);
                self.ask(|manager| manager.update(known.sa, update));
            }
        }
    }

    fn update_of(&mut self, known: Known, change: Change) -> SaUpdate {
        let (protocol, base) = match known.bundle && self.random.bool() {
            true => (Protocol::Ah, 0x2000_0000),
            false => (Protocol::Esp, 0x1000_0000),
        };
        SaUpdate { protocol, spi: Spi(base + known.number), change }
    }

    /// Asks until there is room and no reset; then the ticket ends in one way or another.
    fn ask(&mut self, submit: impl Fn(&Manager) -> Result<Ticket<Link>, SubmitError>) {
        match self.patiently(submit) {
            Ok(ticket) => self.end(ticket),
            Err(SubmitError::NotFound) => self.tally.refused += 1,
            Err(error) => panic!("{error}"),
        }
    }

    fn patiently<R>(
        &mut self,
        submit: impl Fn(&Manager) -> Result<R, SubmitError>,
    ) -> Result<R, SubmitError> {
        self.tally.commands += 1;
        loop {
            match submit(self.manager) {
                Err(SubmitError::Full | SubmitError::Busy | SubmitError::Closed) => {
                    self.manager.poll();
                    self.manager.transport().relax();
                }
                result => return result,
            }
        }
    }

    fn end(&mut self, ticket: Ticket<Link>) {
        match self.random.u8(..8) {
            0..3 => drop(self.wait(&ticket)),
            3 => {
                self.tally.cancelled += 1;
                ticket.cancel().into_iter().for_each(plausible);
            }
            4..6 => {
                self.tally.dropped += 1;
                drop(ticket);
            }
            _ => {
                self.tally.notified += 1;
                ticket.notify(self.id, self.calls.token());
            }
        }
    }

    fn wait(&mut self, ticket: &Ticket<Link>) -> Settled {
        self.tally.waited += 1;
        let settled = ticket.wait_default().unwrap_or_else(|error| panic!("{error}"));
        plausible(settled);
        self.tally.aborted += u64::from(settled == Settled::Aborted);
        settled
    }

    fn add(&mut self, place: usize) {
        let number = self.next;
        self.next += 1;
        let bundle = self.random.u8(..3) == 0;
        let esp = sas::esp(number);
        let added = match bundle {
            true => {
                let ah = sas::ah(number);
                self.patiently(|manager| manager.add_bundle(&esp, &ah))
            }
            false => self.patiently(|manager| manager.add(&esp)),
        };
        let (sa, ticket) = match added {
            Ok(added) => added,
            Err(SubmitError::TableFull) => {
                // What is on its way out makes room.
                self.manager.poll();
                return self.manager.transport().relax();
            }
            Err(error) => panic!("{error}"),
        };
        match bundle {
            true => self.tally.bundles += 1,
            false => self.tally.adds += 1,
        }
        // The handle is good only once the ticket says so.
        if self.wait(&ticket).is_ok() {
            let old = self.board.replace(place, Some(Known { number, sa, bundle }));
            if let Some(old) = old {
                self.delete_known(old);
            }
        }
    }

    fn delete(&mut self, place: usize, known: Known) {
        let taken = self.board.replace(place, None);
        // Another thread may have put another there meanwhile: that one goes.
        self.delete_known(taken.unwrap_or(known));
    }

    fn delete_known(&mut self, known: Known) {
        self.tally.deletes += 1;
        self.ask(|manager| manager.delete(known.sa));
        let place = self.random.usize(..self.gone.len());
        self.gone[place] = Some(known);
    }

    /// A handle is good for nothing as soon as the deletion was accepted, whatever the slot holds now.
    fn stale(&mut self) {
        let place = self.random.usize(..self.gone.len());
        let Some(known) = self.gone[place] else { return };
        assert!(self.manager.spec(known.sa).is_none(), "a stale handle has a spec");
        assert_eq!(self.manager.known_top(known.sa), None, "a stale handle has numbers");
        assert!(
            !self.manager.has_keys(known.sa, &sas::keys(known.number)),
            "a stale handle has keys"
        );
        let update = self.update_of(known, Change::hi(1));
        let refusal = self.patiently(|manager| manager.update(known.sa, update)).err();
        assert_eq!(refusal, Some(SubmitError::NotFound), "a stale handle is taken");
        self.tally.refused += 1;
    }

    /// Updates of several SAs: most of one mode, so that they are packed.
    fn batch(&mut self) {
        let mut batch = self.manager.batch(16);
        for _ in 0..self.random.usize(2..16) {
            let Some(known) = self.board.look(&mut self.random).1 else { continue };
            let hi = self.random.u32(..);
            let change = match self.random.u8(..8) {
                0 => Change::top(Top::new(hi, 7)),
                _ => Change::hi(hi),
            };
            let update = self.update_of(known, change);
            batch.update(known.sa, update);
        }
        self.tally.commands += batch.len() as u64;
        self.tally.batched += batch.len() as u64;
        match self.random.u8(..4) {
            0 => {
                // Not waited for, and perhaps not even submitted as a whole.
                let _ = batch.submit();
                self.tally.dropped += 1;
            }
            _ => {
                let deadline = Instant::now() + Duration::from_secs(60);
                match batch.run(deadline) {
                    Ok(()) => {}
                    Err(error @ WaitError::Timeout { .. }) => panic!("{error}"),
                    Err(error) => panic!("{error}"),
                }
                for item in 0..batch.len() {
                    match batch.outcome(item).expect("the batch has run") {
                        Ok(settled) => plausible(settled),
                        Err(SubmitError::NotFound | SubmitError::Closed) => self.tally.refused += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }
    }

    /// What is read without asking the device belongs to the SA that was asked for.
    fn look_up(&mut self, known: Known) {
        self.tally.commands += 1;
        if let Some(spec) = self.manager.spec(known.sa) {
            assert_eq!(spec.spi, Spi(0x1000_0000 + known.number));
            assert!(spec.keys.same_as(&sas::keys(known.number)), "the keys of another SA");
        }
        let _ = self.manager.has_keys(known.sa, &sas::keys(known.number));
        let _ = self.manager.known_top(known.sa);
    }

    fn reset(&mut self) {
        self.tally.resets += 1;
        self.clerk.reset(self.random.bool());
    }
}
