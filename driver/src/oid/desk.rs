// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where the requests of a port lie until they have ended. It knows nothing of the device: it is told.

use super::inbound::Bundles;
use super::lines::Lines;
use super::offload::Switches;
use super::state::{End, State};
use super::work::{Job, Stage, Work};
use super::{Completion, Host, Indication, NdisStatus};
use crate::callback::OnSettled;
use crate::pending::Settled;
use crate::sa::SaHandle;
use esnic_abi::Status;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The requests, and what there is to know about them together.
#[derive(Default)]
pub(super) struct Table {
    pub(super) works: HashMap<u64, Work>,
    /// Those with parts to submit, in the order in which they came.
    pub(super) queue: VecDeque<u64>,
    /// Those of them that wait for an SA.
    pub(super) lines: Lines,
    /// The round that goes through them now.
    pub(super) round: u64,
    next: u64,
    pub(super) bundles: Bundles,
    /// Bundles that nobody has a handle of, and that the port does not delete any more.
    orphans: Vec<SaHandle>,
    pub(super) state: State,
    pub(super) switches: Switches,
}

/// Deletes a bundle when the port has gone.
type LetGo = Box<dyn Fn(SaHandle) + Send + Sync>;

/// The table, and who is told.
pub(super) struct Desk {
    host: Arc<dyn Host>,
    let_go: LetGo,
    table: Mutex<Table>,
}

/// Bits of a token below the number of the request: the part.
const PART_BITS: u32 = 16;

/// What a command is known by.
pub(super) fn token(serial: u64, part: usize) -> u64 {
    serial << PART_BITS | part as u64
}

impl Desk {
    pub(super) fn new(host: Arc<dyn Host>, let_go: LetGo) -> Self {
        Self { host, let_go, table: Mutex::default() }
    }

    /// Held no longer than it takes to look through one request, and never while anybody is called.
    pub(super) fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self, completions: impl IntoIterator<Item = Completion>) {
        completions.into_iter().for_each(|completion| self.host.complete(completion));
    }

    pub(super) fn indicate(&self, indication: Indication) {
        self.host.indicate(indication);
    }

    /// Deletes bundles that nobody has a handle of, when the port has gone.
    pub(super) fn let_go(&self) {
        let orphans = std::mem::take(&mut self.lock().orphans);
        orphans.into_iter().for_each(&self.let_go);
    }
}

impl Table {
    /// Takes a request in, behind all others.
    pub(super) fn take_in(&mut self, work: Work) {
        let serial = self.next;
        self.next += 1;
        self.works.insert(serial, work);
        self.queue.push_back(serial);
    }

    /// Lets a request go if every part of it has ended; gives what there is to tell.
    pub(super) fn finish(&mut self, serial: u64) -> Option<Completion> {
        if !self.works.get(&serial).is_some_and(Work::is_over) {
            return None;
        }
        let mut work = self.works.remove(&serial)?;
        if work.detached {
            return None;
        }
        work.given().for_each(|sa| self.bundles.give(sa));
        Some(work.completion())
    }

    /// Ends every part of a request that was not submitted.
    pub(super) fn drop_rest(&mut self, serial: u64, status: NdisStatus) {
        let Some(work) = self.works.get_mut(&serial) else { return };
        if work.parked {
            work.names().for_each(|sa| self.lines.leave(serial, sa));
        }
        work.drop_rest(status);
    }

    /// Completes requests before their end. What the device has of them goes on; what it has not is
    /// dropped, but for the rest of an UPDATE or a DELETE that was begun: the one is done as a whole, the
    /// other cannot be undone.
    pub(super) fn detach(&mut self, serials: &[u64], status: NdisStatus) -> Vec<Completion> {
        let mut told = Vec::new();
        for &serial in serials {
            let Some(work) = self.works.get_mut(&serial).filter(|work| !work.detached) else {
                continue;
            };
            told.push(work.completion_as(status));
            work.detached = true;
            let adds = work.parts.iter().any(|part| matches!(part.job, Job::Add(_)));
            // Handles that were not given away have no owner.
            let live = |stage| stage == Stage::Done(NdisStatus::SUCCESS);
            let parts = work.parts.iter().filter(|part| adds && live(part.stage));
            let orphans: Vec<_> = parts.filter_map(|part| part.sa).collect();
            if work.is_untouched() || adds {
                self.drop_rest(serial, status);
            }
            orphans.into_iter().for_each(|sa| self.disown(sa));
            self.finish(serial);
        }
        told
    }

    /// Nobody is told the handle of this bundle.
    fn disown(&mut self, sa: SaHandle) {
        match self.state.end {
            End::Open | End::Halting => self.take_in(Work::own_deletion(sa)),
            End::Dropped => self.orphans.push(sa),
            // It goes with all the others.
            End::Closed | End::Removed => {}
        }
    }

    /// Ends everything that is there, with `status` for what nobody was told of.
    pub(super) fn abandon(&mut self, status: NdisStatus) -> Vec<Completion> {
        self.queue.clear();
        self.lines.clear();
        let all = self.serials(|_| true);
        let told = self.detach(&all, status);
        for serial in all {
            let Some(work) = self.works.get_mut(&serial) else { continue };
            work.parked = false;
            if work.own && self.state.end == End::Dropped {
                self.orphans.extend(work.names());
            }
            work.drop_rest(status);
            self.finish(serial);
        }
        told
    }

    /// Ends everything that a reset ended, which is over: nothing of it is in the device any more. What
    /// another thread is about to say of it comes too late.
    pub(super) fn after_reset(&mut self) -> Vec<Completion> {
        let mut told = Vec::new();
        self.lines.clear();
        for serial in self.serials(|work| !work.own) {
            let Some(work) = self.works.get_mut(&serial) else { continue };
            work.parked = false;
            work.drop_rest(NdisStatus::REQUEST_ABORTED);
            told.extend(self.finish(serial));
            told.extend(self.detach(&[serial], NdisStatus::REQUEST_ABORTED));
        }
        let own = self.serials(|work| work.own && !work.is_sent());
        for serial in &own {
            if let Some(work) = self.works.get_mut(serial) {
                work.parked = false;
            }
        }
        self.queue = own.into();
        told
    }

    /// Numbers of the requests that `which` says, in the order in which they came.
    pub(super) fn serials(&self, which: impl Fn(&Work) -> bool) -> Vec<u64> {
        let wanted = self.works.iter().filter(|(_, work)| which(work));
        let mut serials: Vec<u64> = wanted.map(|(&serial, _)| serial).collect();
        serials.sort_unstable();
        serials
    }

    /// Requests that have not been completed.
    pub(super) fn outstanding(&self) -> usize {
        self.works.values().filter(|work| !work.detached).count()
    }

    /// How a part ends that was told `settled`. Gives the requests that may have ended by it.
    fn settle(&mut self, serial: u64, k: usize, settled: Settled) -> Vec<u64> {
        let Some(work) = self.works.get_mut(&serial) else { return Vec::new() };
        let detached = work.detached;
        let Some(part) = work.parts.get_mut(k) else { return Vec::new() };
        let status = settled.outcome().map(|outcome| outcome.status);
        let mut end = match (&part.job, status) {
            // By a reset. Where the device is gone, everything was completed before.
            (_, None) => NdisStatus::REQUEST_ABORTED,
            // Of a deletion the manager tells nothing else: it tries again by itself.
            (_, Some(Status::Ok)) => NdisStatus::SUCCESS,
            (Job::Add(_), Some(Status::Unsupported)) => NdisStatus::NOT_SUPPORTED,
            // A deletion came between: it is not found, and nothing else.
            (Job::Update(..), Some(Status::Empty | Status::Stale)) => NdisStatus::INVALID_PARAMETER,
            // The shadow had no objection: device and shadow do not agree.
            _ => NdisStatus::FAILURE,
        };
        let mut ended = vec![serial];
        let mut orphan = None;
        match part.job {
            Job::Update(..) => work.end(k, end),
            Job::Delete(sa) => {
                work.end(k, end);
                // After a reset it is not there either.
                for (other, k) in self.bundles.leave(sa) {
                    if let Some(work) = self.works.get_mut(&other) {
                        work.end(k, end);
                        ended.push(other);
                    }
                }
            }
            Job::Add(_) => {
                let sa = part.sa.filter(|_| end == NdisStatus::SUCCESS);
                match (sa, part.keys.take()) {
                    (Some(sa), Some(keys)) => {
                        self.bundles.enter(sa, keys);
                        // Switched off while it was on its way, or given up.
                        let unwanted = !self.switches.allow(part.uses);
                        if detached || unwanted {
                            orphan = Some(sa);
                            end = NdisStatus::NOT_SUPPORTED;
                        }
                    }
                    (None, Some(keys)) => self.bundles.release(&keys),
                    (_, None) => {}
                }
                work.end(k, end);
            }
        }
        orphan.into_iter().for_each(|sa| self.disown(sa));
        ended
    }
}

impl OnSettled for Desk {
    fn settled(&self, token: u64, settled: Settled) {
        let (serial, part) = (token >> PART_BITS, token & ((1 << PART_BITS) - 1));
        let (told, gone) = {
            let mut table = self.lock();
            let ended = table.settle(serial, part as usize, settled);
            let told: Vec<_> = ended.iter().filter_map(|&serial| table.finish(serial)).collect();
            (told, table.state.end == End::Dropped)
        };
        self.tell(told);
        if gone {
            self.let_go();
        }
    }
}
