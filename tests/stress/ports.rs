// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What threads ask of a port: requests of every kind, nobody waits for one, and some are cancelled.

use crate::board::{Board, Known};
use crate::requests::{AH, Add, ESP, delete_sa, handle_of, numbered, set, update_sa};
use crate::{Link, Manager};
use esnic_driver::oid::{Completion, Host, Options, Port, Request, number};
use esnic_driver::transport::Transport;
use esnic_driver::{Error, NdisStatus, SaHandle, State, Verify};
use std::collections::{BTreeMap, HashMap};
use std::iter::Sum;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// SAs at a time that were added through the port; or some more, while they are on their way.
const PLACES: usize = 18;

/// Requests outstanding, at most about.
const OUTSTANDING: usize = 48;

/// What was asked for.
enum Asked {
    Add { number: u32, bundle: bool, place: usize },
    Update,
    Delete(Vec<Known>),
}

/// What there is to know of requests together.
#[derive(Default)]
struct Ledger {
    /// Those that have not ended: each ends once.
    asked: HashMap<u64, Asked>,
    /// Every handle that was given and whose deletion was not told, and whether somebody asked for that.
    given: HashMap<SaHandle, (Known, bool)>,
    /// SAs that stand in no place, or whose deletion was cut short: they are to be deleted.
    spare: Vec<Known>,
    /// How often each kind of request ended in which way.
    ends: BTreeMap<(&'static str, &'static str), u64>,
}

/// The host.
struct Books {
    ledger: Mutex<Ledger>,
    board: Board,
    next: AtomicU64,
}

/// A port, its host, and what was added through it.
pub(crate) struct Office {
    pub(crate) port: Port<Link>,
    books: Arc<Books>,
}

/// What a thread asks of the port.
pub(crate) struct Clerk<'a> {
    office: &'a Office,
    /// Its last requests.
    last: [u64; 4],
    /// What it deleted last.
    gone: Option<Known>,
    pub(crate) tally: Tally,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    adds: u64,
    updates: u64,
    deletes: u64,
    cancels: u64,
    polls: u64,
}

impl Tally {
    /// Whether nothing was left out.
    pub(crate) fn each_happened(self, ops: u64) -> bool {
        let Self { adds, updates, deletes, cancels, polls } = self;
        [adds, updates, deletes, cancels, polls].iter().all(|&count| count > ops / 1000)
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), |a, b| Self {
            adds: a.adds + b.adds,
            updates: a.updates + b.updates,
            deletes: a.deletes + b.deletes,
            cancels: a.cancels + b.cancels,
            polls: a.polls + b.polls,
        })
    }
}

impl Books {
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a request that asks for this.
    fn expect(&self, asked: Asked) -> u64 {
        let id = 1 + self.next.fetch_add(1, Ordering::Relaxed);
        let mut ledger = self.lock();
        if let Asked::Delete(all) = &asked {
            for known in all {
                if let Some((_, unwanted)) = ledger.given.get_mut(&known.sa) {
                    *unwanted = true;
                }
            }
        }
        ledger.asked.insert(id, asked);
        id
    }
}

impl Host for Books {
    fn complete(&self, done: Completion) {
        let status = done.status;
        let ok = status == NdisStatus::SUCCESS;
        let mut ledger = self.lock();
        let asked = ledger.asked.remove(&done.id);
        let asked = asked.unwrap_or_else(|| panic!("told twice, or not asked for: {done:?}"));
        let mut plausible = vec![NdisStatus::SUCCESS, NdisStatus::REQUEST_ABORTED];
        let kind = match asked {
            Asked::Add { number, bundle, place } => {
                plausible.extend([NdisStatus::RESOURCES, NdisStatus::RESET_IN_PROGRESS]);
                if ok {
                    let sa = SaHandle::from_bits(handle_of(&done, 0));
                    let known = Known { number, sa, bundle };
                    let before = ledger.given.insert(sa, (known, false));
                    assert!(before.is_none(), "a handle is given twice");
                    ledger.spare.extend(self.board.replace(place, Some(known)));
                }
                "ADD"
            }
            Asked::Update => {
                // Another thread's deletion came first.
                plausible.extend([NdisStatus::INVALID_PARAMETER, NdisStatus::RESET_IN_PROGRESS]);
                "UPDATE"
            }
            Asked::Delete(all) => {
                plausible.push(NdisStatus::NOT_ACCEPTED);
                match ok {
                    true => all.iter().for_each(|known| _ = ledger.given.remove(&known.sa)),
                    false => ledger.spare.extend(all),
                }
                "DELETE"
            }
        };
        assert!(plausible.contains(&status), "{kind} ends as {status}");
        *ledger.ends.entry((kind, status.name())).or_default() += 1;
    }
}

impl Office {
    pub(crate) fn new(manager: Manager) -> Self {
        let books = Arc::new(Books {
            ledger: Mutex::default(),
            board: Board::new(PLACES),
            next: AtomicU64::new(0),
        });
        // What takes longer is stuck.
        let options = Options { patience: Duration::from_secs(60), ..Options::default() };
        let port =
            Port::new(manager, options, books.clone()).expect("there is room for a callback");
        Self { port, books }
    }

    pub(crate) fn clerk(&self) -> Clerk<'_> {
        Clerk { office: self, last: [0; 4], gone: None, tally: Tally::default() }
    }

    /// How often each kind of request ended in which way.
    pub(crate) fn ends(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.books.lock().ends.clone()
    }

    /// Waits until nothing is going on: then every request has ended.
    pub(crate) fn settle(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.port.is_quiet() {
            self.port.poll();
            self.port.manager().transport().relax();
            assert!(Instant::now() < deadline, "{} requests never end", self.port.outstanding());
        }
        assert_eq!(self.port.outstanding(), 0);
        assert!(self.books.lock().asked.is_empty(), "requests that were never told");
    }

    /// Rows of what was added through the port. What nobody asked to delete is there.
    pub(crate) fn rows(&self) -> usize {
        let mut rows = 0;
        for (known, unwanted) in self.books.lock().given.values() {
            let live = self.port.manager().state(known.sa) == Some(State::Live);
            assert!(live || *unwanted, "{known:?} has gone by itself");
            rows += if !live { 0 } else { 1 + usize::from(known.bundle) };
        }
        rows
    }

    /// Deletes whatever somebody has a handle of.
    pub(crate) fn delete_all(&self) {
        let all = self.books.lock().given.values().map(|given| given.0).collect::<Vec<_>>();
        if !all.is_empty() {
            self.delete(all);
        }
        self.settle();
        assert!(self.books.lock().given.is_empty(), "nothing hinders a deletion now");
    }

    fn delete(&self, all: Vec<Known>) -> u64 {
        let nodes = all.iter().map(|known| delete_sa(known.sa.bits()).into()).collect();
        let id = self.books.expect(Asked::Delete(all));
        self.port.submit(Request { nodes, ..numbered(id, set(number::DELETE_SA, [])) });
        id
    }
}

impl Clerk<'_> {
    /// Asks for something; returns of how many commands.
    pub(crate) fn one(&mut self, random: &mut fastrand::Rng, next: &mut u32) -> u64 {
        let Office { port, books } = self.office;
        if random.u8(..8) == 0 || port.outstanding() >= OUTSTANDING {
            self.tally.polls += 1;
            port.poll();
            port.manager().transport().relax();
            return 1;
        }
        let spare = books.lock().spare.pop();
        let (place, known) = books.board.look(random);
        let (id, commands) = match (spare, known) {
            (Some(spare), _) => self.delete(vec![spare]),
            (None, None) => {
                self.tally.adds += 1;
                let (number, bundle) = (*next, random.u8(..3) == 0);
                *next += 1;
                let (esp, ah) = (0x1000_0000 + number, 0x2000_0000 + number);
                let add = if bundle { Add::bundle(esp, ah) } else { Add::esp(esp) };
                let id = books.expect(Asked::Add { number, bundle, place });
                port.submit(numbered(id, set(number::ADD_SA, [add.bytes()])));
                (id, 1)
            }
            (None, Some(known)) => match random.u8(..16) {
                // It is deleted by whoever takes it away, and by whoever comes too late.
                0 | 1 => {
                    let mut all = vec![known];
                    all.extend(books.board.replace(place, None));
                    if random.bool() {
                        let (place, other) = books.board.look(random);
                        all.extend(other.and_then(|_| books.board.replace(place, None)));
                    }
                    self.delete(all)
                }
                // Too late.
                2 => self.update(self.gone.unwrap_or(known), 2, random),
                n => self.update(known, if n < 6 { 3 } else { 1 }, random),
            },
        };
        let place = random.usize(..self.last.len());
        let old = std::mem::replace(&mut self.last[place], id);
        match random.u8(..16) {
            0 => self.cancel(id),
            1 => self.cancel(old),
            _ => {}
        }
        commands
    }

    fn cancel(&mut self, id: u64) {
        self.tally.cancels += 1;
        self.office.port.cancel(id);
    }

    fn delete(&mut self, all: Vec<Known>) -> (u64, u64) {
        self.tally.deletes += 1;
        let commands = all.len() as u64;
        self.gone = all.first().copied();
        (self.office.delete(all), commands)
    }

    /// Updates `known`, and others with it.
    fn update(&mut self, known: Known, most: usize, random: &mut fastrand::Rng) -> (u64, u64) {
        self.tally.updates += 1;
        let Office { port, books } = self.office;
        let mut all = vec![known];
        for _ in 1..most {
            let other = books.board.look(random).1;
            // Which of two values is meant, nobody could tell.
            all.extend(other.filter(|other| all.iter().all(|known| known.sa != other.sa)));
        }
        let mut nodes = Vec::new();
        for known in all {
            let (operation, base) = match known.bundle && random.bool() {
                true => (AH, 0x2000_0000),
                false => (ESP, 0x1000_0000),
            };
            let spi = base + known.number;
            nodes.push(update_sa(known.sa.bits(), operation, spi, random.u32(..)).into());
        }
        let commands = nodes.len() as u64;
        let id = books.expect(Asked::Update);
        port.submit(Request { nodes, ..numbered(id, set(number::UPDATE_SA, [])) });
        (id, commands)
    }

    /// Resets the device: by way of the port, unless another thread does, or behind its back.
    pub(crate) fn reset(&self, by_port: bool) {
        let port = &self.office.port;
        let report = match by_port {
            true => port.reset(Verify::Sample),
            false => port.manager().recover(Verify::Sample),
        };
        match report {
            Ok(report) => assert_eq!((report.lost, report.differences), (vec![], vec![])),
            Err(Error::Stuck { .. }) if by_port => {}
            Err(error) => panic!("{error}"),
        }
    }
}
