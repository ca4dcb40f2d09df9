// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Everything that the driver can do, from eight threads at once, by itself and through a port, on the
//! model; and in the end device and shadow agree, nothing is left over, and every ticket and every request
//! ended once.
//!
//! `ESNIC_OPS` says how many commands, `ESNIC_SEED` which. `cargo xtask stress` runs this under
//! ThreadSanitizer.
#![allow(missing_docs, reason = "tests")]

mod board;
mod calls;
mod deeds;
mod ports;
#[path = "../support/requests.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of the root package")]
mod requests;
#[path = "../support/sas.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of the root package")]
mod sas;

use board::Board;
use calls::Calls;
use deeds::Worker;
use esnic_abi::Params;
use esnic_driver::transport::{Sim, Transport};
use esnic_driver::{Config, KeyMemory, SaManager, State, Timeouts};
use ports::Office;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Link = Sim<esnic_model::Model>;
type Manager = SaManager<Link>;

const THREADS: u32 = 8;

/// Slots: few, so that each has many lives.
const ROWS: u32 = 128;

/// SAs of the driver's own users, at most; bundles among them. The port's have what is left.
const PLACES: usize = 54;

/// Commands in the gate, where nobody says how many.
const OPS: u64 = 100_000;

fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => otherwise,
    }
}

fn open() -> Manager {
    let params = Params {
        sa_capacity: ROWS,
        queue_pairs: 4,
        ring_log2: 10,
        direct_log2: 2,
        stage_log2: 3,
        ..Params::default()
    };
    let config = Config {
        queue_pairs: 4,
        sq_log2: 4,
        cq_log2: 4,
        // Ring indices wrap early on.
        start: 0u32.wrapping_sub(1 << 10),
        key_memory: KeyMemory::BestEffort,
        timeouts: Timeouts {
            command: Duration::from_secs(60),
            queue_pair: Duration::from_secs(10),
            reset: Duration::from_secs(60),
        },
        ..Config::default()
    };
    let device = esnic_model::Model::new(params).expect("a build that can be");
    SaManager::open(Sim::new("model", device), config).unwrap_or_else(|error| panic!("{error}"))
}

/// Waits until nothing is under way and the driver owes nothing.
fn calm(manager: &Manager) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut quiet = 0;
    while quiet < 100 {
        quiet = if manager.poll() == 0 && manager.in_flight() == 0 { quiet + 1 } else { 0 };
        manager.transport().relax();
        assert!(Instant::now() < deadline, "commands never end: {:?}", manager.stats());
    }
}

/// What must be true while nobody does anything.
fn check(manager: &Manager) -> usize {
    calm(manager);
    assert_eq!(manager.diff().unwrap(), [], "device and shadow");
    let live = manager.read_table().unwrap().len();
    let stats = manager.stats();
    assert_eq!((stats.in_flight, stats.pending), (0, 0), "left over: {stats:?}");
    assert_eq!(stats.keys, live, "keys without an SA, or the other way round");
    assert_eq!(manager.room() + live, ROWS as usize, "slots that are neither free nor live");
    assert_eq!((stats.timeouts, stats.lost, stats.delete_retries), (0, 0, 0), "{stats:?}");
    assert_eq!(manager.transport().iommu_faults(), 0);
    live
}

#[test]
fn eight_threads_do_everything_at_once() {
    let (ops, seed) = (number("ESNIC_OPS", OPS), number("ESNIC_SEED", 0x5EED));
    println!("ESNIC_OPS={ops} ESNIC_SEED={seed}");
    let begun = Instant::now();
    let office = Office::new(open());
    let manager = office.port.manager();
    let (board, left) = (Board::new(PLACES), AtomicU64::new(ops));
    let calls = Arc::new(Calls::new(ops));
    let id = manager.register(calls.clone()).expect("there is room");
    let tallies: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let random = fastrand::Rng::with_seed(seed + u64::from(thread));
                let mut worker =
                    Worker::new(manager, &board, &calls, id, office.clerk(), thread, random);
                let left = &left;
                scope.spawn(move || {
                    // Takes its commands a few at a time.
                    while left
                        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(16))
                        .is_ok()
                    {
                        worker.work(16);
                    }
                    (worker.tally, worker.clerk.tally)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("see above")).collect()
    });
    let (tallies, clerks): (Vec<_>, Vec<_>) = tallies.into_iter().unzip();
    let tally = tallies.into_iter().sum::<deeds::Tally>();
    let asked = clerks.into_iter().sum::<ports::Tally>();
    office.settle();
    let live = check(manager);
    assert_eq!(calls.due(), tally.notified, "callbacks that never came");
    let mut of_board = 0;
    for (_, known) in board.drain() {
        if manager.state(known.sa) == Some(State::Live) {
            of_board += if known.bundle { 2 } else { 1 };
            sas::done(&manager.delete(known.sa).unwrap());
        }
    }
    assert_eq!(of_board + office.rows(), live, "SAs that nobody has a handle of");
    office.delete_all();
    assert_eq!(check(manager), 0);
    println!(
        "{tally:?}, {asked:?}, {:?}, {} resets, {:.1} s",
        office.ends(),
        manager.stats().resets,
        begun.elapsed().as_secs_f64()
    );
    assert!(tally.commands >= ops - 16 * u64::from(THREADS) && tally.each_happened(ops));
    assert!(asked.each_happened(ops));
}
