// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From the queue to the device: one thread at a time submits, in the order in which requests came; others
//! leave theirs in the queue and go on.

use super::desk::{Phase, Table, token};
use super::inbound::{Bundles, NoEntry};
use super::parse::Bundle;
use super::port::Inner;
use super::work::{Job, Stage, Work};
use super::{Completion, NdisStatus};
use crate::sa::{SaHandle, SaUpdate, SubmitError, Unsupported};
use crate::ticket::Ticket;
use crate::transport::Transport;
use std::sync::atomic::Ordering;

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
        if self.drainers.fetch_add(1, Ordering::AcqRel) > 0 {
            // Whoever is at it looks once more.
            return;
        }
        loop {
            let seen = self.drainers.load(Ordering::Acquire);
            while self.step() {}
            if self.drainers.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            {
                return;
            }
        }
    }

    /// Submits one part. Returns whether there may be more to do.
    fn step(&self) -> bool {
        let next = self.next(&mut self.desk.lock());
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
    fn next(&self, table: &mut Table) -> Next {
        if !matches!(table.phase, Phase::Running | Phase::Paused | Phase::Halting) {
            return Next::Rest;
        }
        let Some(&serial) = table.queue.front() else { return Next::Rest };
        let Some(work) = table.works.get_mut(&serial) else {
            table.queue.pop_front();
            return Next::Seen(None);
        };
        if work.detached && work.is_untouched() {
            work.drop_rest(NdisStatus::REQUEST_ABORTED);
        } else if work.is_untouched()
            && let Some(status) = self.misfit(work, &table.bundles)
        {
            // Either all of it or nothing: one status could not say more.
            work.drop_rest(status);
        }
        let k = work.next;
        if k == work.parts.len() {
            table.queue.pop_front();
            return Next::Seen(table.finish(serial));
        }
        let part = &mut work.parts[k];
        if part.stage != Stage::Waiting {
            work.next += 1;
            return Next::Seen(None);
        }
        let order = match &mut part.job {
            Job::Update(sa, update) => Ok(Order::Update(*sa, *update)),
            // Nobody has it, which is what was asked for.
            Job::Delete(sa) if !table.bundles.is_given(*sa) => Err(NdisStatus::SUCCESS),
            Job::Delete(sa) => Ok(Order::Delete(*sa)),
            Job::Add(_) if !table.switches.allow(part.uses) => Err(NdisStatus::NOT_SUPPORTED),
            Job::Add(bundle) => match bundle.take() {
                None => Err(NdisStatus::FAILURE),
                Some(bundle) => match table.bundles.reserve(&bundle, self.most_bundles) {
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
                part.stage = Stage::Done(status);
                Next::Seen(None)
            }
        }
    }

    /// Why an UPDATE cannot be done, if an element that it names is not there as it is named.
    fn misfit(&self, work: &Work, bundles: &Bundles) -> Option<NdisStatus> {
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
        if !dropped {
            work.next = k + 1;
        }
        let part = &mut work.parts[k];
        let refusal = match submitted {
            Ok((sa, ticket)) => {
                part.sa = Some(sa);
                part.command = Some(ticket.place());
                drop(guard);
                // From now on the desk may be told, perhaps at once.
                ticket.notify(self.callback, token(serial, k));
                return true;
            }
            Err(refusal) => refusal,
        };
        if let Some(keys) = part.keys.take() {
            table.bundles.release(&keys);
        }
        if matches!(refusal, SubmitError::Full | SubmitError::Busy) && !dropped {
            work.next = k;
            part.stage = Stage::Waiting;
            if let (Job::Add(place), Order::Add(bundle)) = (&mut part.job, order) {
                *place = Some(bundle);
            }
            return false;
        }
        part.stage = Stage::Done(match (&part.job, refusal) {
            // It is not there, which is what was asked for.
            (Job::Delete(_), SubmitError::NotFound) => NdisStatus::SUCCESS,
            (_, SubmitError::Full | SubmitError::Busy) => NdisStatus::REQUEST_ABORTED,
            (_, refusal) => status_of(&refusal),
        });
        let told = table.finish(serial);
        drop(guard);
        self.desk.tell(told);
        true
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
