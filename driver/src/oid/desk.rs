// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where the requests of a port lie until they have ended. It knows nothing of the device: it is told.

use super::inbound::Bundles;
use super::offload::Switches;
use super::work::{Job, Stage, Work};
use super::{Completion, Host, Indication, NdisStatus};
use crate::callback::OnSettled;
use crate::pending::Settled;
use crate::sa::SaHandle;
use esnic_abi::Status;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the port is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// The data path rests; requests do not.
    Paused,
    Resetting,
    /// No new ones, and those that are there are waited for.
    Halting,
    /// The device is gone.
    Removed,
    Closed,
}

/// The requests, and what there is to know about them together.
pub(super) struct Table {
    pub(super) works: HashMap<u64, Work>,
    /// Those with parts to submit, in the order in which they came.
    pub(super) queue: VecDeque<u64>,
    next: u64,
    pub(super) bundles: Bundles,
    /// Bundles that nobody has a handle of.
    pub(super) orphans: Vec<SaHandle>,
    pub(super) phase: Phase,
    pub(super) switches: Switches,
}

/// The table, and who is told.
pub(super) struct Desk {
    host: Arc<dyn Host>,
    table: Mutex<Table>,
}

/// Bits of a token below the number of the request: the part.
const PART_BITS: u32 = 16;

/// What a command is known by.
pub(super) fn token(serial: u64, part: usize) -> u64 {
    serial << PART_BITS | part as u64
}

impl Desk {
    pub(super) fn new(host: Arc<dyn Host>) -> Self {
        let table = Table {
            works: HashMap::new(),
            queue: VecDeque::new(),
            next: 0,
            bundles: Bundles::default(),
            orphans: Vec::new(),
            phase: Phase::Running,
            switches: Switches::default(),
        };
        Self { host, table: Mutex::new(table) }
    }

    /// Held for a few instructions, and never while anybody is called.
    pub(super) fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self, completions: impl IntoIterator<Item = Completion>) {
        completions.into_iter().for_each(|completion| self.host.complete(completion));
    }

    pub(super) fn indicate(&self, indication: Indication) {
        self.host.indicate(indication);
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

    /// Completes requests before their end. What the device has of them goes on; what it has not is
    /// dropped, but for the rest of an UPDATE or a DELETE that was begun: the one is done as a whole, the
    /// other cannot be undone.
    pub(super) fn detach(&mut self, serials: &[u64], status: NdisStatus) -> Vec<Completion> {
        let mut told = Vec::new();
        for serial in serials {
            let Some(work) = self.works.get_mut(serial).filter(|work| !work.detached) else {
                continue;
            };
            told.push(work.completion_as(status));
            work.detached = true;
            let adds = work.parts.iter().any(|part| matches!(part.job, Job::Add(_)));
            if work.is_untouched() || adds {
                work.drop_rest(status);
            }
            // Handles that were not given away have no owner.
            let live = |stage| stage == Stage::Done(NdisStatus::SUCCESS);
            let parts = work.parts.iter().filter(|part| adds && live(part.stage));
            self.orphans.extend(parts.filter_map(|part| part.sa));
            self.finish(*serial);
        }
        told
    }

    /// Numbers of the requests that `which` says.
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

    /// How a part ends that was told `settled`.
    fn settle(&mut self, serial: u64, k: usize, settled: Settled) {
        let Some(work) = self.works.get_mut(&serial) else { return };
        let detached = work.detached;
        let Some(part) = work.parts.get_mut(k) else { return };
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
        match part.job {
            Job::Update(..) => {}
            // After a reset it is not there either.
            Job::Delete(sa) => self.bundles.leave(sa),
            Job::Add(_) => {
                let sa = part.sa.filter(|_| end == NdisStatus::SUCCESS);
                match (sa, part.keys.take()) {
                    (Some(sa), Some(keys)) => {
                        self.bundles.enter(sa, keys);
                        // Switched off while it was on its way, or given up.
                        let unwanted = !self.switches.allow(part.uses);
                        if detached || unwanted {
                            self.orphans.push(sa);
                            end = NdisStatus::NOT_SUPPORTED;
                        }
                    }
                    (None, Some(keys)) => self.bundles.release(&keys),
                    (_, None) => {}
                }
            }
        }
        part.stage = Stage::Done(end);
    }
}

impl OnSettled for Desk {
    fn settled(&self, token: u64, settled: Settled) {
        let (serial, part) = (token >> PART_BITS, token & ((1 << PART_BITS) - 1));
        let told = {
            let mut table = self.lock();
            table.settle(serial, part as usize, settled);
            table.finish(serial)
        };
        self.tell(told);
    }
}
