// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From the queue to the device: one thread at a time submits, in the order in which requests came; others
//! leave theirs in the queue and go on.

use super::desk::{Table, token};
use super::inbound::{Bundles, NoEntry};
use super::parse::Bundle;
use super::port::Inner;
use super::work::{Job, Part, Stage, Work};
use super::{Completion, NdisStatus};
use crate::sa::{SaHandle, SaUpdate, SubmitError, Unsupported};
use crate::ticket::Ticket;
use crate::transport::Transport;

/// What one part takes.
enum Order {
    Update(SaHandle, SaUpdate),
    Delete(SaHandle),
    Add(Box<Bundle>),
}

/// What comes next.
enum Next {
    /// There is nothing, or no room.
    Rest,
    /// This request has been looked at.
    Seen(Option<Completion>),
    /// This is to be submitted.
    Submit(u64, usize, Order),
}

impl<T: Transport> Inner<T> {
    /// Submits what there is room for.
    pub(super) fn drain(&self) {
        self.rounds.run(|| {
            self.desk.lock().round += 1;
            let mut at = Place::default();
            while self.step(&mut at) {}
        });
    }

    /// Submits one part. Returns whether there may be more to do.
    fn step(&self, at: &mut Place) -> bool {
        let next = self.next(&mut self.desk.lock(), at);
        let (serial, k, order) = match next {
            Next::Rest => return false,
            Next::Seen(told) => {
                self.desk.tell(told);
                return true;
            }
            Next::Submit(serial, k, order) => (serial, k, order),
        };
        let manager = &self.manager;
        let submitted = match &order {
            Order::Update(sa, update) => manager.update(*sa, *update).map(|ticket| (*sa, ticket)),
            Order::Delete(sa) => manager.delete(*sa).map(|ticket| (*sa, ticket)),
            Order::Add(bundle) => match &bundle.second {
                None => manager.add(&bundle.first),
                Some(second) => manager.add_bundle(&bundle.first, second),
            },
        };
        self.submitted(serial, k, order, submitted)
    }

    /// The part to submit next, if there is one.
    fn next(&self, table: &mut Table, at: &mut Place) -> Next {
        if !table.state.submits() {
            return Next::Rest;
        }
        // Those that waited for an SA came before those in the queue.
        if let Some(serial) = at.next_parked(table) {
            return self.look(table, serial);
        }
        let Some(&serial) = table.queue.front() else { return Next::Rest };
        match table.works.get_mut(&serial) {
            None => {
                table.queue.pop_front();
                Next::Seen(None)
            }
            // Once is enough: while it is the first one, no line begins that it is not in.
            Some(work) if work.is_untouched() && work.names().any(|sa| table.lines.has(sa)) => {
                work.parked = true;
                table.queue.pop_front();
                table.lines.join(serial, work.names());
                // It may stand alone where its next part is.
                at.current = Some(serial);
                Next::Seen(None)
            }
            Some(_) => self.look(table, serial),
        }
    }

    /// What there is to do for a request whose turn it is.
    fn look(&self, table: &mut Table, serial: u64) -> Next {
        let Some(work) = table.works.get_mut(&serial) else { return Next::Seen(None) };
        if work.is_untouched() {
            let dropped = match work.detached {
                true => (!work.own).then_some(NdisStatus::REQUEST_ABORTED),
                // Either all of it or nothing: one status could not say more.
                false => self.misfit(work, &table.bundles),
            };
            if let Some(status) = dropped {
                table.drop_rest(serial, status);
            }
        }
        let Some(work) = table.works.get_mut(&serial) else { return Next::Seen(None) };
        let k = work.next;
        let Some(part) = work.parts.get_mut(k) else {
            return Next::Seen(table.advance(serial, k));
        };
        if part.stage != Stage::Waiting {
            return Next::Seen(table.advance(serial, k + 1));
        }
        let bundles = &mut table.bundles;
        let order = match &mut part.job {
            Job::Update(sa, update) => Ok(Order::Update(*sa, *update)),
            Job::Delete(sa) if bundles.await_end(*sa, serial, k) => {
                part.stage = Stage::Sent;
                return Next::Seen(table.advance(serial, k + 1));
            }
            // Nobody has it, which is what was asked for.
            Job::Delete(sa) if !work.own && !bundles.is_given(*sa) => Err(NdisStatus::SUCCESS),
            Job::Delete(sa) => {
                bundles.goes(*sa, true);
                Ok(Order::Delete(*sa))
            }
            Job::Add(_) if !table.switches.allow(part.uses) => Err(NdisStatus::NOT_SUPPORTED),
            Job::Add(bundle) => match bundle.take() {
                None => Err(NdisStatus::FAILURE),
                Some(bundle) => match bundles.reserve(&bundle, self.most_bundles) {
                    Ok(keys) => {
                        part.keys = Some(keys);
                        Ok(Order::Add(bundle))
                    }
                    Err(NoEntry::Full) => Err(NdisStatus::RESOURCES),
                    Err(NoEntry::Twice) => Err(NdisStatus::INVALID_PARAMETER),
                },
            },
        };
        match order {
            Ok(order) => {
                part.stage = Stage::Sent;
                work.held = true;
                Next::Submit(serial, k, order)
            }
            Err(status) => {
                work.end(k, status);
                Next::Seen(table.advance(serial, k + 1))
            }
        }
    }

    /// Why an UPDATE cannot be done, if an element that it names is not there as it is named.
    fn misfit(&self, work: &Work, bundles: &Bundles) -> Option<NdisStatus> {
        // While somebody resets the device the shadow is between two states.
        let Some(_inside) = self.manager.core.nic.gate.enter() else {
            return work.names().next().map(|_| status_of(&SubmitError::Closed));
        };
        work.parts.iter().find_map(|part| match &part.job {
            Job::Update(sa, _) if !bundles.is_given(*sa) => Some(NdisStatus::INVALID_PARAMETER),
            Job::Update(sa, update) => {
                let found = self.manager.core.resolve_target(sa.0, update);
                found.err().map(|refusal| status_of(&refusal))
            }
            Job::Delete(_) | Job::Add(_) => None,
        })
    }

    /// Notes what came of submitting a part.
    fn submitted(
        &self,
        serial: u64,
        k: usize,
        order: Order,
        submitted: Result<(SaHandle, Ticket<T>), SubmitError>,
    ) -> bool {
        let mut guard = self.desk.lock();
        let table = &mut *guard;
        let Some(work) = table.works.get_mut(&serial) else { return true };
        work.held = false;
        // By a cancel or a reset, meanwhile.
        let dropped = work.is_sent();
        let part = &mut work.parts[k];
        let refusal = match submitted {
            Ok((sa, ticket)) => {
                part.sa = Some(sa);
                part.command = Some(ticket.place());
                let told = table.advance(serial, k + 1);
                drop(guard);
                self.desk.tell(told);
                // From now on the desk may be told, perhaps at once.
                ticket.notify(self.callback, token(serial, k));
                return true;
            }
            Err(refusal) => refusal,
        };
        if let Some(keys) = part.keys.take() {
            table.bundles.release(&keys);
        }
        if let Job::Delete(sa) = part.job {
            table.bundles.goes(sa, false);
        }
        let later = match refusal {
            SubmitError::Full | SubmitError::Busy => true,
            // What nobody owns goes after the reset.
            SubmitError::Closed => work.own,
            _ => false,
        };
        if later && !dropped {
            part.stage = Stage::Waiting;
            if let (Job::Add(place), Order::Add(bundle)) = (&mut part.job, order) {
                *place = Some(bundle);
            }
            let busy = refusal == SubmitError::Busy && part.names().is_some();
            if busy {
                // Its SA is in use on the other path: that is no matter of the others.
                table.park(serial);
            }
            return busy;
        }
        let status = match (&part.job, refusal) {
            // It is not there, which is what was asked for.
            (&Job::Delete(sa), SubmitError::NotFound) => {
                table.bundles.leave(sa);
                NdisStatus::SUCCESS
            }
            (_, SubmitError::Full | SubmitError::Busy) => NdisStatus::REQUEST_ABORTED,
            (_, refusal) => status_of(&refusal),
        };
        work.end(k, status);
        let told = table.advance(serial, k + 1);
        drop(guard);
        self.desk.tell(told);
        true
    }
}

impl Table {
    /// Part `next` of a request is the next one; all before it have ended or were submitted. Gives the
    /// request's completion, if that was all.
    fn advance(&mut self, serial: u64, next: usize) -> Option<Completion> {
        let work = self.works.get_mut(&serial)?;
        if work.parked
            && let Some(sa) = next.checked_sub(1).and_then(|k| work.parts.get(k)?.names())
        {
            self.lines.leave(serial, sa);
        }
        // Its rest may have been dropped meanwhile.
        work.next = work.next.max(next);
        while work.parts.get(work.next).is_some_and(|part| part.stage != Stage::Waiting) {
            work.next += 1;
        }
        if work.next == work.parts.len() {
            if self.queue.front() == Some(&serial) {
                self.queue.pop_front();
            }
            return self.finish(serial);
        }
        None
    }

    /// A request waits for its SA, and nobody overtakes it in whatever it names.
    fn park(&mut self, serial: u64) {
        let Some(work) = self.works.get_mut(&serial) else { return };
        work.tried = self.round;
        if !work.parked {
            work.parked = true;
            if self.queue.front() == Some(&serial) {
                self.queue.pop_front();
            }
            self.lines.join(serial, work.names());
        }
    }
}

/// How far a round is among the requests that wait for an SA.
#[derive(Default)]
struct Place {
    /// The SA whose line was looked at last.
    above: Option<u64>,
    /// The request that went on there, and may go on elsewhere.
    current: Option<u64>,
}

impl Place {
    /// The next request that may go on.
    fn next_parked(&mut self, table: &mut Table) -> Option<u64> {
        if let Some(serial) = self.current.take()
            && let Some(work) = table.works.get(&serial).filter(|work| work.parked)
        {
            let turn = work.parts.get(work.next).and_then(Part::names);
            if work.tried != table.round && turn.is_some_and(|sa| table.lines.is_turn(serial, sa)) {
                self.current = Some(serial);
                return Some(serial);
            }
        }
        let (works, round) = (&table.works, table.round);
        let may = |&(sa, serial): &(u64, u64)| {
            works.get(&serial).is_some_and(|work| {
                let next = work.parts.get(work.next).and_then(Part::names);
                work.tried != round && !work.held && next.is_some_and(|next| next.bits() == sa)
            })
        };
        let found = table.lines.first(self.above).find(may);
        // Nobody is looked at twice in a round; what one of them makes possible for another has the next.
        self.above = Some(found.map_or(u64::MAX, |(sa, _)| sa));
        self.current = found.map(|(_, serial)| serial);
        self.current
    }
}

/// The status of a request that the driver refused.
fn status_of(refusal: &SubmitError) -> NdisStatus {
    match refusal {
        SubmitError::TableFull | SubmitError::Full | SubmitError::Busy => NdisStatus::RESOURCES,
        SubmitError::NotFound
        | SubmitError::WrongProtocol(_)
        | SubmitError::WrongSpi(_)
        | SubmitError::NotEsn => NdisStatus::INVALID_PARAMETER,
        SubmitError::Lost => NdisStatus::FAILURE,
        SubmitError::Unsupported(Unsupported::Contradiction(_)) | SubmitError::Bundle => {
            NdisStatus::INVALID_DATA
        }
        SubmitError::Unsupported(_) => NdisStatus::NOT_SUPPORTED,
        SubmitError::Closed => NdisStatus::RESET_IN_PROGRESS,
    }
}
