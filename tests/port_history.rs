// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Linearizability of what goes through a port: several threads submit, cancel and reset, and read the same
//! SAs in the device meanwhile. Each SA's history must have a legal order; what a cancel or a reset ended
//! may have happened or not. Slots are few, so that a deletion's slot is soon another's.
//!
//! `ESNIC_SEED` chooses the histories, `ESNIC_OPS` how many.

#[macro_use]
mod support;

#[path = "port/ears.rs"]
mod ears;
#[path = "port/round.rs"]
mod round;
#[path = "port/sa.rs"]
mod sa;

use ears::{Ears, lock};
use esnic_driver::oid::Port;
use round::{Bench, EACH, Plant, Round, SLOTS, Then};
use sa::{Answer, Ask, End, Event, Sa, THREADS, Want, of_sa};
use std::collections::BTreeSet;
use std::sync::{Barrier, Mutex};
use support::histories::{course, is_linearizable};
use support::oids::options;
use support::*;

on_every_backend!(histories_are_linearizable);

/// One history in so many has a reset in it.
const RESET: u64 = 8;

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
        assert!(matches!(round.request(Want::Add, Then::Wait), End::Added(_)));
        let at = random.usize(..EACH);
        let go = Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let mut random = random.fork();
                let (round, go) = (&round, &go);
                let reset = (resets && thread == 0).then_some(at);
                scope.spawn(move || {
                    go.wait();
                    round.work(thread, &mut random, reset);
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
    // Else there was nothing to see. What a reset meets is luck where the device is fast.
    let all = [
        "added",
        "no room",
        "updated",
        "updates of what is not there",
        "deleted",
        "deletions of what is being deleted",
        "cancelled",
        "resets",
    ];
    let missing = |what: &&str| !tally.contains_key(what);
    let missing: Vec<_> = all.into_iter().filter(missing).collect();
    assert!(count < 1000 || missing.is_empty(), "these never happened: {missing:?}");
    assert!(B::NAME != "model" || count < 1000 || tally.contains_key("ended by a reset"));
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
