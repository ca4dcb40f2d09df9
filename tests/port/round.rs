// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One round: what each thread asks of the port and of the device, and when it gives up.

use crate::ears::{Ears, lock};
use crate::sa::{Answer, Ask, End, Event, THREADS, Want};
use crate::support::oids::{Add, ESP, delete_sa, handle_of, numbered, set, update_sa};
use crate::support::*;
use esnic_abi::{LiveView, SA_SLOT_BYTES, SlotState};
use esnic_driver::NdisStatus;
use esnic_driver::oid::{Completion, Port, Request, number};
use std::collections::{BTreeMap, BTreeSet};
use std::mem::offset_of;
use std::sync::Mutex;

/// SAs at a time.
pub(crate) const SLOTS: u32 = 2;
/// Requests of each thread in a history.
pub(crate) const EACH: usize = 5;

/// Longest wait for another thread, which may be through.
const LINGER: Duration = Duration::from_micros(100);

/// Mistakes that a port could make, to see that they would be found.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(esnic_guest, allow(dead_code, reason = "they are looked for on the host"))]
pub(crate) enum Plant {
    None,
    /// A deletion is told as done before it is submitted.
    EarlyDelete,
    /// An update is.
    EarlyUpdate,
    /// A deletion is told as done at once if another one of the same SA is under way.
    Repeated,
}

/// What a thread does as soon as it has submitted a request.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Then {
    Wait,
    /// Moves nothing until another thread has done something, if one does.
    Linger,
    Cancel,
    /// Has another thread cancel it, when that comes to it.
    Leave,
    Reset,
}

/// A port to a small device, and how often what came of requests.
pub(crate) struct Bench<B: Backend> {
    pub(crate) port: Port<Link<B>>,
    pub(crate) ears: Arc<Ears>,
    pub(crate) spi: AtomicU32,
    pub(crate) tally: Mutex<BTreeMap<&'static str, u64>>,
}

/// The history of one round.
pub(crate) struct Round<'a, B: Backend> {
    pub(crate) bench: &'a Bench<B>,
    pub(crate) plant: Plant,
    pub(crate) resets: bool,
    /// Handles that there are or were, and their SPIs.
    pub(crate) known: Mutex<Vec<(u64, u32)>>,
    /// Requests that somebody is to cancel.
    pub(crate) unwanted: Mutex<Vec<u64>>,
    /// SAs whose deletion is under way.
    pub(crate) dying: Mutex<BTreeSet<u64>>,
    pub(crate) events: Mutex<Vec<Event>>,
}

impl<B: Backend> Round<'_, B> {
    fn note(&self, thread: usize, event: Result<Want, End>) {
        lock(&self.events).push((thread, event));
    }

    fn count(&self, what: &'static str) {
        *lock(&self.bench.tally).entry(what).or_default() += 1;
    }

    pub(crate) fn work(&self, thread: usize, random: &mut fastrand::Rng, reset: Option<usize>) {
        for k in 0..EACH {
            let sa = {
                let known = lock(&self.known);
                // The newest ones rather than those that nobody has any more.
                let newest = known.len().saturating_sub(SLOTS as usize + 1);
                known[random.usize(newest..known.len())].0
            };
            let want = match random.u8(..10) {
                0 | 1 => Want::Add,
                2 | 3 => Want::Of(sa, Ask::Delete),
                // In the middle of a reset the device's table is empty, and nothing says so.
                4 | 5 if !self.resets => Want::Of(sa, Ask::Look),
                4..7 => Want::Of(sa, Ask::Query),
                _ => Want::Of(sa, Ask::Update(random.u32(1..1000))),
            };
            let then = match random.u8(..8) {
                _ if reset == Some(k) => Then::Reset,
                0 => Then::Cancel,
                1 => Then::Leave,
                2..5 => Then::Linger,
                _ => Then::Wait,
            };
            // A round is short: each thread would be through before the next one wakes up.
            (0..random.u8(..4)).for_each(|_| std::thread::yield_now());
            self.note(thread, Ok(want));
            let early = matches!(
                (self.plant, want),
                (Plant::EarlyDelete, Want::Of(_, Ask::Delete))
                    | (Plant::EarlyUpdate, Want::Of(_, Ask::Update(_)))
            );
            if early {
                self.note(thread, Err(End::Told(Answer::Done)));
                std::thread::yield_now();
                let _late = self.carry_out(want, Then::Wait);
                continue;
            }
            let end = self.carry_out(want, then);
            self.note(thread, Err(end));
        }
    }

    fn carry_out(&self, want: Want, then: Then) -> End {
        match want {
            Want::Of(sa, Ask::Query) => {
                if then == Then::Reset {
                    self.reset();
                }
                End::Told(self.query(sa))
            }
            Want::Of(sa, Ask::Look) => End::Told(self.look(sa)),
            Want::Of(sa, Ask::Delete) => {
                let second = !lock(&self.dying).insert(sa);
                if second {
                    self.count("deletions of what is being deleted");
                    if self.plant == Plant::Repeated {
                        return End::Told(Answer::Done);
                    }
                }
                let end = self.request(want, then);
                if !second {
                    lock(&self.dying).remove(&sa);
                }
                end
            }
            _ => self.request(want, then),
        }
    }

    /// Submits until it is taken, and waits for the end.
    pub(crate) fn request(&self, want: Want, mut then: Then) -> End {
        let Bench { port, ears, spi, .. } = self.bench;
        loop {
            let (mine, request) = match want {
                Want::Add => {
                    let spi = 1 + spi.fetch_add(1, Ordering::Relaxed);
                    (spi, set(number::ADD_SA, [Add::esp(spi).bytes()]))
                }
                Want::Of(sa, Ask::Update(hi)) => {
                    let known = lock(&self.known).iter().find(|known| known.0 == sa).copied();
                    let spi = known.expect("it is one of them").1;
                    (spi, set(number::UPDATE_SA, [update_sa(sa, ESP, spi, hi)]))
                }
                Want::Of(sa, _) => (0, set(number::DELETE_SA, [delete_sa(sa)])),
            };
            let id = ears.expect();
            port.submit(numbered(id, request));
            ears.is_taken(id);
            match then {
                Then::Wait => {}
                Then::Linger => self.linger(),
                Then::Cancel => port.cancel(id),
                Then::Leave => lock(&self.unwanted).push(id),
                // Once: what was not taken is submitted again.
                Then::Reset => {
                    self.reset();
                    then = Then::Wait;
                }
            }
            let done = self.wait(id);
            let delete = done.oid == number::DELETE_SA;
            return match done.status {
                NdisStatus::SUCCESS if want == Want::Add => {
                    let sa = handle_of(&done, 0);
                    self.count("added");
                    // Somebody may use it from now on.
                    lock(&self.known).push((sa, mine));
                    End::Added(sa)
                }
                NdisStatus::SUCCESS => {
                    self.count(if delete { "deleted" } else { "updated" });
                    End::Told(Answer::Done)
                }
                NdisStatus::RESOURCES if want == Want::Add => {
                    self.count("no room");
                    End::Full
                }
                NdisStatus::INVALID_PARAMETER if done.oid == number::UPDATE_SA => {
                    self.count("updates of what is not there");
                    End::Told(Answer::Missing)
                }
                NdisStatus::REQUEST_ABORTED if matches!(then, Then::Cancel | Then::Leave) => {
                    self.count("cancelled");
                    End::Aborted
                }
                NdisStatus::REQUEST_ABORTED if self.resets => {
                    self.count("ended by a reset");
                    End::Aborted
                }
                NdisStatus::RESET_IN_PROGRESS if self.resets && !delete => continue,
                NdisStatus::NOT_ACCEPTED if self.resets && delete => continue,
                other => panic!("{want:?} ends as {other}"),
            };
        }
    }

    fn linger(&self) {
        let (before, begun) = (lock(&self.events).len(), Instant::now());
        while lock(&self.events).len() < before + 2 && begun.elapsed() < LINGER {
            std::thread::yield_now();
        }
    }

    fn wait(&self, id: u64) -> Completion {
        let Bench { port, ears, .. } = self.bench;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(done) = ears.take(id) {
                return done;
            }
            let of_others = {
                let mut unwanted = lock(&self.unwanted);
                let found = unwanted.iter().position(|&other| other != id);
                found.map(|k| unwanted.swap_remove(k))
            };
            of_others.into_iter().for_each(|other| port.cancel(other));
            port.poll();
            port.manager().transport().relax();
            assert!(Instant::now() < deadline, "request {id} never ends");
        }
    }

    fn query(&self, sa: u64) -> Answer {
        let manager = self.bench.port.manager();
        loop {
            match manager.query(SaHandle::from_bits(sa)).map(|ticket| settled(&ticket)) {
                Ok(Settled::Completed(Outcome { status: Status::Ok, result, .. })) => {
                    return Answer::Holds(Top(result).hi());
                }
                // A deletion by another thread may have come between.
                Ok(Settled::Completed(Outcome {
                    status: Status::Empty | Status::Stale, ..
                }))
                | Err(SubmitError::NotFound) => return Answer::Missing,
                Ok(Settled::Aborted) | Err(SubmitError::Closed) if self.resets => {}
                Err(SubmitError::Full | SubmitError::Busy) => {}
                other => panic!("a query ends as {other:?}"),
            }
            self.bench.port.poll();
            manager.transport().relax();
        }
    }

    /// Reads the row itself. What the row says belongs to this SA if it is live with its generation, before
    /// and after: no other entry ever has that.
    fn look(&self, sa: u64) -> Answer {
        let manager = self.bench.port.manager();
        let row = SA_SLOT_BYTES * u64::from(SaHandle::from_bits(sa).row());
        let read = |at: usize| manager.transport().read32(Bar::Table, row + at as u64);
        let is_ours = || read(offset_of!(LiveView, generation)) == (sa >> 32) as u32;
        let is_live = || read(offset_of!(LiveView, state)) as u8 == SlotState::Live as u8;
        let before = is_ours() && is_live();
        let hi = read(offset_of!(LiveView, hi));
        match before && is_live() && is_ours() {
            true => Answer::Holds(hi),
            false => Answer::Missing,
        }
    }

    fn reset(&self) {
        let Bench { port, ears, .. } = self.bench;
        ears.reset_begins();
        let report = port.reset(Verify::All).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((report.lost, report.differences), (vec![], vec![]));
        self.count("resets");
    }

    /// Waits until all is over, and looks at what is left.
    pub(crate) fn finish(self) -> (Vec<Event>, Vec<u64>) {
        let Bench { port, ears, .. } = self.bench;
        let deadline = Instant::now() + Duration::from_secs(60);
        while !port.is_quiet() {
            port.poll();
            port.manager().transport().relax();
            assert!(Instant::now() < deadline, "something goes on for ever");
        }
        let known = lock(&self.known).clone();
        let mut left = Vec::new();
        for &(sa, spi) in &known {
            self.note(THREADS, Ok(Want::Of(sa, Ask::Look)));
            let answer = self.look(sa);
            self.note(THREADS, Err(End::Told(answer)));
            if let Answer::Holds(hi) = answer {
                left.push((spi, hi));
            }
        }
        // What was cancelled while it was added is nobody's, and is not there.
        let rows = port.manager().read_table().expect("a table");
        let mut rows: Vec<_> = rows.iter().map(|row| (row.spi.0, row.top.hi())).collect();
        rows.sort_unstable();
        left.sort_unstable();
        assert_eq!(rows, left, "SAs that nobody has a handle of");
        assert_eq!(port.manager().room() + rows.len(), SLOTS as usize);
        let gone = known.iter().map(|&(sa, _)| delete_sa(sa).into()).collect();
        let id = ears.expect();
        port.submit(Request { nodes: gone, ..numbered(id, set(number::DELETE_SA, [])) });
        assert_eq!(self.wait(id).status, NdisStatus::SUCCESS);
        ears.forget();
        assert_eq!((port.outstanding(), port.manager().room()), (0, SLOTS as usize));
        let events = std::mem::take(&mut *lock(&self.events));
        (events, known.into_iter().map(|known| known.0).collect())
    }
}
