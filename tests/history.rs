// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Linearizability: several threads work on the same SAs, each writes down when it asked and what it was
//! told, and a checker looks for an order of all of it in which every answer is right. Slots are few, so that
//! handles grow old and their slots are used again meanwhile.
//!
//! `ESNIC_SEED` chooses the histories, `ESNIC_OPS` how many.

#[macro_use]
mod support;

use stateright::semantics::SequentialSpec;
use std::collections::BTreeMap;
use std::sync::{Barrier, Mutex, PoisonError};
use support::histories::{course, is_linearizable};
use support::*;

on_every_backend!(histories_are_linearizable);

/// SAs at a time, so that a deletion's slot is the next ADD's.
const SLOTS: u32 = 2;
const THREADS: usize = 3;
/// Requests of each thread in a history.
const EACH: usize = 5;

/// What is asked for, by handle.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ask {
    Add,
    Update(u64, u32),
    Query(u64),
    Delete(u64),
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Added(u64),
    Full,
    Done,
    Holds(u32),
    Missing,
}

/// What holds if requests come one at a time: handles, and the high half of each.
#[derive(Clone, Debug, Default)]
struct Table {
    live: BTreeMap<u64, u32>,
    ever: Vec<u64>,
}

impl SequentialSpec for Table {
    type Op = Ask;
    type Ret = Answer;

    fn invoke(&mut self, _: &Ask) -> Answer {
        unreachable!("a handle cannot be foretold, so steps are checked instead")
    }

    fn is_valid_step(&mut self, ask: &Ask, answer: &Answer) -> bool {
        match (*ask, *answer) {
            (Ask::Add, Answer::Added(sa)) => {
                let new = !self.ever.contains(&sa) && self.live.len() < SLOTS as usize;
                self.ever.push(sa);
                self.live.insert(sa, 0);
                new
            }
            // A slot may still be on its way out.
            (Ask::Add, Answer::Full) => true,
            (Ask::Update(sa, hi), Answer::Done) => self.live.insert(sa, hi).is_some(),
            (Ask::Query(sa), Answer::Holds(hi)) => self.live.get(&sa) == Some(&hi),
            (Ask::Delete(sa), Answer::Done) => self.live.remove(&sa).is_some(),
            (Ask::Update(sa, _) | Ask::Query(sa) | Ask::Delete(sa), Answer::Missing) => {
                !self.live.contains_key(&sa)
            }
            _ => false,
        }
    }
}

/// Mistakes that a driver could make, to see that they would be found.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(esnic_guest, allow(dead_code, reason = "they are looked for on the host"))]
enum Plant {
    None,
    /// An update is told as done before it is submitted.
    Early,
    /// A handle is taken for that of its slot's present entry.
    Slot,
}

type Event = histories::Event<Table>;

/// The history of one round.
struct Round<'a, B: Backend> {
    manager: &'a Manager<B>,
    plant: Plant,
    /// Handles that there are or were.
    known: Mutex<Vec<u64>>,
    events: Mutex<Vec<Event>>,
}

impl<B: Backend> Round<'_, B> {
    fn note(&self, thread: usize, event: Result<Ask, Answer>) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push((thread, event));
    }

    fn work(&self, thread: usize, random: &mut fastrand::Rng, spi: &AtomicU32) {
        for _ in 0..EACH {
            let known = {
                let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                // The newest ones rather than those that nobody has any more.
                let newest = known.len().saturating_sub(SLOTS as usize + 1);
                known[random.usize(newest..known.len())]
            };
            let ask = match random.u8(..8) {
                0 => Ask::Add,
                1 => Ask::Delete(known),
                2..5 => Ask::Query(known),
                _ => Ask::Update(known, random.u32(1..1000)),
            };
            self.note(thread, Ok(ask));
            if let (Plant::Early, Ask::Update(..)) = (self.plant, ask) {
                self.note(thread, Err(Answer::Done));
                std::thread::yield_now();
                let _late = self.carry_out(ask, spi);
                continue;
            }
            let answer = self.carry_out(ask, spi);
            self.note(thread, Err(answer));
        }
    }

    /// Asks until there is room, and waits.
    fn carry_out(&self, ask: Ask, spi: &AtomicU32) -> Answer {
        let manager = self.manager;
        let sa = |bits: u64| {
            let all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let same_slot = |other: &&u64| **other as u32 == bits as u32;
            let newest = all.iter().rev().find(same_slot).copied().unwrap_or(bits);
            SaHandle::from_bits(if self.plant == Plant::Slot { newest } else { bits })
        };
        loop {
            let submitted = match ask {
                Ask::Add => {
                    let added = manager.add(&esp(spi.fetch_add(1, Ordering::Relaxed)));
                    added.map(|(sa, ticket)| (Some(sa), ticket))
                }
                Ask::Update(bits, to) => {
                    let sa = sa(bits);
                    manager.update(sa, hi(self.spi_of(sa.bits()), to)).map(|ticket| (None, ticket))
                }
                Ask::Query(bits) => manager.query(sa(bits)).map(|ticket| (None, ticket)),
                Ask::Delete(bits) => manager.delete(sa(bits)).map(|ticket| (None, ticket)),
            };
            match submitted {
                Ok((added, ticket)) => {
                    let Outcome { status, result, .. } = outcome(&ticket);
                    // A deletion by another thread may have come between.
                    if matches!(status, Status::Empty | Status::Stale) {
                        return Answer::Missing;
                    }
                    assert_eq!(status, Status::Ok, "{ask:?}");
                    return match (ask, added) {
                        (Ask::Add, Some(sa)) => {
                            // Somebody may use it from now on.
                            self.known
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .push(sa.bits());
                            Answer::Added(sa.bits())
                        }
                        (Ask::Query(_), _) => Answer::Holds(Top(result).hi()),
                        _ => Answer::Done,
                    };
                }
                Err(SubmitError::Full | SubmitError::Busy) => {
                    manager.poll();
                    manager.transport().relax();
                }
                Err(SubmitError::TableFull) => return Answer::Full,
                Err(SubmitError::NotFound) => return Answer::Missing,
                Err(other) => panic!("{other}"),
            }
        }
    }

    /// The number that [`hi`] wants of an SA: each is added with another SPI.
    fn spi_of(&self, bits: u64) -> u32 {
        let shadow = self.manager.spec(SaHandle::from_bits(bits));
        shadow.map_or(0, |spec| spec.spi.0 - 0x1000_0000)
    }
}

/// Records and checks one history; gives it if it is not linearizable.
fn history<B: Backend>(
    manager: &Manager<B>,
    plant: Plant,
    random: &mut fastrand::Rng,
    spi: &AtomicU32,
) -> Option<Vec<Event>> {
    // It begins with one SA.
    let (first, ticket) = manager.add(&esp(spi.fetch_add(1, Ordering::Relaxed))).unwrap();
    done(&ticket);
    drop(ticket);
    let round = Round::<B> {
        manager,
        plant,
        known: Mutex::new(vec![first.bits()]),
        events: Mutex::default(),
    };
    let start = Table { live: BTreeMap::from([(first.bits(), 0)]), ever: vec![first.bits()] };
    let go = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let mut random = random.fork();
            let (round, go) = (&round, &go);
            scope.spawn(move || {
                go.wait();
                round.work(thread, &mut random, spi);
            });
        }
    });
    let events = std::mem::take(&mut *round.events.lock().unwrap_or_else(PoisonError::into_inner));
    for bits in round.known.into_inner().unwrap_or_else(PoisonError::into_inner) {
        if let Ok(ticket) = manager.delete(SaHandle::from_bits(bits)) {
            done(&ticket);
        }
    }
    (!is_linearizable(&start, &events)).then_some(events)
}

fn open_for_histories<B: Backend>() -> Manager<B> {
    // Where the device runs by itself, waiting for it must not keep the others from their turn.
    let config = Config { max_sas: Some(SLOTS), interrupts: B::RUNS, ..config() };
    open::<B>(small(), config).0
}

fn histories_are_linearizable<B: Backend>() {
    let (count, mut random) = course(B::NAME, THREADS * EACH);
    let (manager, spi) = (open_for_histories::<B>(), AtomicU32::new(0));
    for n in 0..count {
        if let Some(events) = history::<B>(&manager, Plant::None, &mut random, &spi) {
            panic!("history {n} has no legal order: {events:#?}");
        }
    }
    assert_eq!(manager.diff().unwrap(), []);
    assert_eq!((manager.stats().pending, manager.stats().in_flight), (0, 0));
}

#[cfg(not(esnic_guest))]
#[test]
fn planted_mistakes_are_found() {
    for plant in [Plant::Early, Plant::Slot] {
        let mut random = fastrand::Rng::with_seed(7);
        let (manager, spi) = (open_for_histories::<Model>(), AtomicU32::new(0));
        let found =
            (0..10_000).find(|_| history::<Model>(&manager, plant, &mut random, &spi).is_some());
        let found = found.unwrap_or_else(|| panic!("{plant:?} was not found in 10,000 histories"));
        eprintln!("{plant:?} is found in history {found}");
    }
}

#[test]
fn the_checker_tells_right_from_wrong() {
    let start = Table { live: BTreeMap::from([(1, 0)]), ever: vec![1] };
    let sequential = |answers: &[(Ask, Answer)]| {
        let events = answers.iter().flat_map(|&(ask, answer)| [(0, Ok(ask)), (0, Err(answer))]);
        is_linearizable(&start, &events.collect::<Vec<_>>())
    };
    assert!(sequential(&[(Ask::Update(1, 5), Answer::Done), (Ask::Query(1), Answer::Holds(5))]));
    assert!(!sequential(&[(Ask::Update(1, 5), Answer::Done), (Ask::Query(1), Answer::Holds(0))]));
    assert!(!sequential(&[(Ask::Delete(1), Answer::Done), (Ask::Update(1, 5), Answer::Done)]));
    assert!(!sequential(&[(Ask::Delete(1), Answer::Done), (Ask::Add, Answer::Added(1))]));
    assert!(!sequential(&[(Ask::Update(1, 5), Answer::Missing)]));
    // At the same time, a query may see either.
    for seen in [0, 5] {
        let events = [
            (0, Ok(Ask::Update(1, 5))),
            (1, Ok(Ask::Query(1))),
            (1, Err(Answer::Holds(seen))),
            (0, Err(Answer::Done)),
        ];
        assert!(is_linearizable(&start, &events));
    }
    // But not the new one first and the old one then.
    let events = [
        (0, Ok(Ask::Update(1, 5))),
        (1, Ok(Ask::Query(1))),
        (1, Err(Answer::Holds(5))),
        (1, Ok(Ask::Query(1))),
        (1, Err(Answer::Holds(0))),
        (0, Err(Answer::Done)),
    ];
    assert!(!is_linearizable(&start, &events));
}
