// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Linearizability of what goes through a port: several threads submit, cancel and reset, and read the same
//! SAs in the device meanwhile. Each SA's history must have a legal order; what a cancel or a reset ended
//! may have happened or not. Slots are few, so that a deletion's slot is soon another's.
//!
//! `ESNIC_SEED` chooses the histories, `ESNIC_OPS` how many.

#[macro_use]
mod support;

use esnic_abi::{LiveView, SA_SLOT_BYTES, SlotState};
use esnic_driver::NdisStatus;
use esnic_driver::oid::{Completion, Host, Indication, Port, indication, number};
use stateright::semantics::SequentialSpec;
use std::collections::{BTreeMap, BTreeSet};
use std::mem::offset_of;
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};
use support::histories::{course, is_linearizable};
use support::oids::{Add, ESP, delete_sa, handle_of, numbered, options, set, update_sa};
use support::*;

on_every_backend!(histories_are_linearizable);

/// SAs at a time.
const SLOTS: u32 = 2;
const THREADS: usize = 3;
/// Requests of each thread in a history.
const EACH: usize = 5;
/// One history in so many has a reset in it.
const RESET: u64 = 8;

/// What is asked for about one SA.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ask {
    Update(u32),
    /// Of the manager.
    Query,
    /// At the device's own table, past the driver.
    Look,
    /// The first thing that a deletion does: the driver takes nothing for the SA any more, though the
    /// device still has it.
    Doom,
    Delete,
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Done,
    Holds(u32),
    Missing,
}

/// What holds of an SA if requests come one at a time.
#[derive(Clone, Debug)]
struct Sa {
    hi: Option<u32>,
    doomed: bool,
    /// Nobody looks past the driver: then what it took before a deletion is as good as done before it.
    strict: bool,
}

impl Sa {
    fn new(strict: bool) -> Self {
        Self { hi: Some(0), doomed: false, strict }
    }

    fn is_open(&self) -> bool {
        self.hi.is_some() && !(self.strict && self.doomed)
    }
}

impl SequentialSpec for Sa {
    type Op = Ask;
    type Ret = Answer;

    /// What becomes of a request whose end nobody is told.
    fn invoke(&mut self, ask: &Ask) -> Answer {
        match *ask {
            Ask::Update(hi) if self.is_open() => self.hi = Some(hi),
            Ask::Update(_) => return Answer::Missing,
            Ask::Doom => self.doomed = true,
            Ask::Delete => self.hi = None,
            Ask::Query | Ask::Look => unreachable!("they are always answered"),
        }
        Answer::Done
    }

    fn is_valid_step(&mut self, ask: &Ask, answer: &Answer) -> bool {
        match (*ask, *answer) {
            (Ask::Update(_), Answer::Done) => self.invoke(ask) == Answer::Done,
            (Ask::Delete, Answer::Done) => {
                // Whether or not it was there.
                self.hi = None;
                true
            }
            (Ask::Query, Answer::Holds(hi)) => self.is_open() && self.hi == Some(hi),
            (Ask::Look, Answer::Holds(hi)) => self.hi == Some(hi),
            (Ask::Look, Answer::Missing) => self.hi.is_none(),
            (Ask::Update(_) | Ask::Query, Answer::Missing) => self.hi.is_none() || self.doomed,
            _ => false,
        }
    }
}

/// What a thread wants.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Want {
    Add,
    Of(u64, Ask),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Added(u64),
    Full,
    Told(Answer),
    /// By a cancel or a reset.
    Aborted,
}

type Event = (usize, Result<Want, End>);

/// What happened to one SA, which is there from the beginning: nobody knew it earlier. (A history is
/// linearizable if that of each object is.)
fn of_sa(events: &[Event], sa: u64) -> Vec<histories::Event<Sa>> {
    // Threads that do one thing, of which nobody is told.
    let mut silent = THREADS + 1..;
    let mut one = || silent.next().expect("without end");
    let mut of = Vec::new();
    for (k, &(thread, ref event)) in events.iter().enumerate() {
        let same = |other: &&Event| other.0 == thread;
        match event {
            Ok(Want::Of(of_sa, ask)) if *of_sa == sa => {
                if *ask == Ask::Delete {
                    of.push((one(), Ok(Ask::Doom)));
                }
                let end = events[k + 1..].iter().find(same);
                let aborted = end.is_some_and(|end| end.1 == Err(End::Aborted));
                of.push((if aborted { one() } else { thread }, Ok(*ask)));
            }
            Err(End::Told(answer)) => {
                let asked = events[..k].iter().rev().find(same).expect("it was asked").1;
                if matches!(asked, Ok(Want::Of(of_sa, _)) if of_sa == sa) {
                    of.push((thread, Err(*answer)));
                }
            }
            _ => {}
        }
    }
    of
}

/// Mistakes that a port could make, to see that they would be found.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(esnic_guest, allow(dead_code, reason = "they are looked for on the host"))]
enum Plant {
    None,
    /// A deletion is told as done before it is submitted.
    EarlyDelete,
    /// An update is.
    EarlyUpdate,
    /// A deletion is told as done at once if another one of the same SA is under way.
    Repeated,
}

/// What is known of a request.
#[derive(Default)]
struct Place {
    /// `submit` has returned.
    taken: bool,
    told: Option<Completion>,
    /// Whoever waited for it knows.
    seen: bool,
}

/// The host: each request is told once, and before the end of a reset that came later.
#[derive(Default)]
struct Ears {
    places: Mutex<BTreeMap<u64, Place>>,
    /// What is outstanding as a reset begins.
    due: Mutex<Vec<u64>>,
    next: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ears {
    /// A number for a request.
    fn expect(&self) -> u64 {
        let id = 1 + self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.places).insert(id, Place::default());
        id
    }

    fn take(&self, id: u64) -> Option<Completion> {
        let mut places = lock(&self.places);
        let place = places.get_mut(&id).expect("it was submitted");
        let told = place.told.take();
        place.seen |= told.is_some();
        told
    }
}

impl Host for Ears {
    fn complete(&self, completion: Completion) {
        let mut places = lock(&self.places);
        let place = places.get_mut(&completion.id).expect("it was submitted, in this history");
        assert!(place.told.is_none() && !place.seen, "{completion:?} is told twice");
        place.told = Some(completion);
    }

    fn indicate(&self, indication: Indication) {
        if indication.status == indication::RESET_END {
            let places = lock(&self.places);
            let missing = |id: &&u64| places[id].told.is_none() && !places[id].seen;
            let late: Vec<u64> = lock(&self.due).iter().filter(missing).copied().collect();
            assert_eq!(late, [0; 0], "requests that end after the reset that ended them");
        }
    }
}

/// When a request is cancelled.
#[derive(Clone, Copy, PartialEq)]
enum Cancel {
    Never,
    /// As soon as it is submitted.
    Now,
    /// By another thread, when it comes to that.
    Elsewhere,
}

/// A port to a small device, and how often what came of requests.
struct Bench<B: Backend> {
    port: Port<Link<B>>,
    ears: Arc<Ears>,
    spi: AtomicU32,
    tally: Mutex<BTreeMap<&'static str, u64>>,
}

/// The history of one round.
struct Round<'a, B: Backend> {
    bench: &'a Bench<B>,
    plant: Plant,
    resets: bool,
    /// Handles that there are or were, and their SPIs.
    known: Mutex<Vec<(u64, u32)>>,
    /// Requests that somebody is to cancel.
    unwanted: Mutex<Vec<u64>>,
    /// SAs whose deletion is under way.
    dying: Mutex<BTreeSet<u64>>,
    events: Mutex<Vec<Event>>,
}

impl<B: Backend> Round<'_, B> {
    fn note(&self, thread: usize, event: Result<Want, End>) {
        lock(&self.events).push((thread, event));
    }

    fn count(&self, what: &'static str) {
        *lock(&self.bench.tally).entry(what).or_default() += 1;
    }

    fn work(&self, thread: usize, random: &mut fastrand::Rng, reset_before: Option<usize>) {
        for k in 0..EACH {
            if reset_before == Some(k) {
                self.reset();
            }
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
            let cancel = match random.u8(..8) {
                0 => Cancel::Now,
                1 => Cancel::Elsewhere,
                _ => Cancel::Never,
            };
            self.note(thread, Ok(want));
            let early = matches!(
                (self.plant, want),
                (Plant::EarlyDelete, Want::Of(_, Ask::Delete))
                    | (Plant::EarlyUpdate, Want::Of(_, Ask::Update(_)))
            );
            if early {
                self.note(thread, Err(End::Told(Answer::Done)));
                std::thread::yield_now();
                let _late = self.carry_out(want, Cancel::Never);
                continue;
            }
            let end = self.carry_out(want, cancel);
            self.note(thread, Err(end));
        }
    }

    fn carry_out(&self, want: Want, cancel: Cancel) -> End {
        match want {
            Want::Of(sa, Ask::Query) => End::Told(self.query(sa)),
            Want::Of(sa, Ask::Look) => End::Told(self.look(sa)),
            Want::Of(sa, Ask::Delete) => {
                let second = !lock(&self.dying).insert(sa);
                if second {
                    self.count("deletions of what is being deleted");
                    if self.plant == Plant::Repeated {
                        return End::Told(Answer::Done);
                    }
                }
                let end = self.request(want, cancel);
                if !second {
                    lock(&self.dying).remove(&sa);
                }
                end
            }
            _ => self.request(want, cancel),
        }
    }

    /// Submits until it is taken, and waits for the end.
    fn request(&self, want: Want, cancel: Cancel) -> End {
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
            lock(&ears.places).get_mut(&id).expect("it is new").taken = true;
            match cancel {
                Cancel::Never => {}
                Cancel::Now => port.cancel(id),
                Cancel::Elsewhere => lock(&self.unwanted).push(id),
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
                NdisStatus::REQUEST_ABORTED if cancel != Cancel::Never => {
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
        let due = |place: &Place| place.taken && place.told.is_none() && !place.seen;
        let due = lock(&ears.places).iter().filter(|all| due(all.1)).map(|all| *all.0).collect();
        *lock(&ears.due) = due;
        let report = port.reset(Verify::All).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((report.lost, report.differences), (vec![], vec![]));
        lock(&ears.due).clear();
        self.count("resets");
    }

    /// Waits until all is over, and looks at what is left.
    fn finish(self) -> (Vec<Event>, Vec<u64>) {
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
        port.submit(esnic_driver::oid::Request {
            nodes: gone,
            ..numbered(id, set(number::DELETE_SA, []))
        });
        assert_eq!(self.wait(id).status, NdisStatus::SUCCESS);
        let all = std::mem::take(&mut *lock(&ears.places));
        assert!(all.values().all(|place| place.seen), "requests that never ended");
        assert_eq!((port.outstanding(), port.manager().room()), (0, SLOTS as usize));
        let events = std::mem::take(&mut *lock(&self.events));
        (events, known.into_iter().map(|known| known.0).collect())
    }
}

impl<B: Backend> Bench<B> {
    fn new() -> Self {
        // A bundle has one element without AH: so there are as many as slots.
        let ah = esnic_abi::regs::global::FEATURES::AH.put(0, 1);
        let params = Params { features: small().features & !ah, ..small() };
        // Where the device runs by itself, waiting for it must not keep the others from their turn.
        let config = Config { max_sas: Some(SLOTS), interrupts: B::RUNS, ..config() };
        let ears = Arc::new(Ears::default());
        let port = Port::new(open::<B>(params, config).0, options(), ears.clone());
        let port = port.expect("it is the first");
        Self { port, ears, spi: AtomicU32::new(0), tally: Mutex::default() }
    }

    /// Records and checks one history; gives it, and an SA, if that one's is not linearizable.
    fn history(
        &self,
        plant: Plant,
        resets: bool,
        random: &mut fastrand::Rng,
    ) -> Option<(u64, Vec<Event>)> {
        let round = Round::<B> {
            bench: self,
            plant,
            resets,
            known: Mutex::default(),
            unwanted: Mutex::default(),
            dying: Mutex::default(),
            events: Mutex::default(),
        };
        // It begins with one SA.
        assert!(matches!(round.request(Want::Add, Cancel::Never), End::Added(_)));
        let reset_before = random.usize(..EACH);
        let go = Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let mut random = random.fork();
                let (round, go) = (&round, &go);
                let reset_before = (resets && thread == 0).then_some(reset_before);
                scope.spawn(move || {
                    go.wait();
                    round.work(thread, &mut random, reset_before);
                });
            }
        });
        let (events, known) = round.finish();
        let once: BTreeSet<u64> = known.iter().copied().collect();
        assert_eq!(once.len(), known.len(), "a handle is given twice");
        let wrong = |sa: &u64| !is_linearizable(&Sa::new(resets), &of_sa(&events, *sa));
        known.into_iter().find(wrong).map(|sa| (sa, events))
    }
}

fn histories_are_linearizable<B: Backend>() {
    let (count, mut random) = course(B::NAME, THREADS * EACH);
    let bench = Bench::<B>::new();
    for n in 0..count {
        let resets = n % RESET == RESET - 1;
        if let Some((sa, events)) = bench.history(Plant::None, resets, &mut random) {
            let lines = of_sa(&events, sa).into_iter().map(|(thread, event)| match event {
                Ok(ask) => format!("\n  {thread} asks {ask:?}"),
                Err(answer) => format!("\n  {thread} is told {answer:?}"),
            });
            let lines = lines.collect::<String>();
            panic!("history {n} has no legal order for {sa:#x}:{lines}\nin {events:?}");
        }
    }
    assert_eq!(bench.port.manager().diff().unwrap(), []);
    assert!(bench.port.is_quiet());
    let tally = lock(&bench.tally);
    eprintln!("{tally:?}");
    // Else there was nothing to see.
    let kinds = 9;
    assert!(count < 1000 || tally.len() == kinds, "not all {kinds} things happened");
}

#[cfg(not(esnic_guest))]
#[test]
fn planted_mistakes_are_found() {
    for plant in [Plant::EarlyDelete, Plant::EarlyUpdate, Plant::Repeated] {
        let mut random = fastrand::Rng::with_seed(7);
        let bench = Bench::<Model>::new();
        let found = (0..10_000).find(|_| bench.history(plant, false, &mut random).is_some());
        let found = found.unwrap_or_else(|| panic!("{plant:?} was not found in 10,000 histories"));
        eprintln!("{plant:?} is found in history {found}");
    }
}

#[test]
fn the_checker_tells_right_from_wrong() {
    const SA: u64 = 1;
    let of = |ask| Ok(Want::Of(SA, ask));
    let told = |answer| Err(End::Told(answer));
    let check = |strict, events: &[Event]| is_linearizable(&Sa::new(strict), &of_sa(events, SA));
    let deletion = [(0, of(Ask::Delete)), (1, of(Ask::Delete))];
    let look = |answer| [(2, of(Ask::Look)), (2, told(answer))];
    for seen in [Answer::Holds(0), Answer::Missing] {
        // While it is deleted it is there or not; afterwards, whoever is told, it is not.
        let mut events = [&deletion[..], &look(seen)].concat();
        assert!(check(false, &events));
        events.insert(2, (1, told(Answer::Done)));
        assert_eq!(check(false, &events), seen == Answer::Missing);
        // A cancelled update happens late, or never.
        for hi in [0, 5] {
            let mut events = vec![(0, of(Ask::Update(5))), (0, Err(End::Aborted))];
            events.extend(look(Answer::Holds(0)));
            events.extend(look(Answer::Holds(hi)));
            assert!(check(false, &events));
            // But not twice, and not as anything else.
            events.extend(look(Answer::Holds(5 - hi)));
            assert_eq!(check(false, &events), hi == 0);
            events.extend(look(Answer::Holds(6)));
            assert!(!check(false, &events));
        }
    }
    // A deletion closes the SA to updates before it is done, and for good.
    let refused = [(1, of(Ask::Update(1))), (1, told(Answer::Missing))];
    let done = [(1, of(Ask::Update(1))), (1, told(Answer::Done))];
    assert!(!check(true, &refused), "nobody deletes it");
    assert!(check(true, &[&deletion[..1], &refused].concat()));
    assert!(check(true, &[&deletion[..1], &done, &refused].concat()));
    assert!(!check(true, &[&deletion[..1], &refused, &done].concat()));
}
