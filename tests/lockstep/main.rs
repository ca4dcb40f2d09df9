// SPDX-License-Identifier: Apache-2.0 OR MIT
//! RTL and model in lock-step: a million random commands, and no difference in any completion, any
//! register, any counter, any row.
//!
//! `ESNIC_SEED` chooses other programs, `ESNIC_OPS` another number of commands in all. A failure
//! names both, and the same again repeats it.
#![allow(unreachable_pub)]

#[macro_use]
#[path = "../common/mod.rs"]
mod common;

mod bring_up;
mod deeds;
mod lock;
mod log;
mod lookup;
mod memory;
mod packets;
mod pair;
mod program;
mod quiet;
mod read_back;
mod upset;

use common::pair::Path;
use common::program::setting;
use common::program::verdict::{ENDS, RICH};
use common::small;
use esnic_abi::regs::Counters;
use esnic_abi::regs::global::FEATURES;
use esnic_abi::{Opcode, Params, Status};
use esnic_rtl::Bus;
use fastrand::Rng;
use lock::Lock;
use program::Mood;

/// Commands in all, over all tests of this file.
const OPS: u64 = 1_000_000;

/// Where programs of other tests do not get.
const MORE_ENDS: &[(Opcode, &[Path], &[Status])] = {
    use Status::{BadEpoch, BadField, BadIndex, BadOpcode, BadPair, DmaError, Unsupported};
    &[
        (Opcode::Nop, &[Path::Ring], &[Status::Ok, BadField]),
        (Opcode::Nop, &[Path::Direct], &[BadOpcode]),
        (Opcode::Fence, &[Path::Ring], &[Status::Ok, BadField]),
        (Opcode::Add, &[Path::Ring], &[BadPair, BadIndex, BadEpoch]),
        (Opcode::Add, &Path::BOTH, &[Unsupported]),
        (Opcode::AddSecond, &Path::BOTH, &[BadOpcode]),
        (Opcode::Update4, &[Path::Direct], &[BadOpcode]),
        (Opcode::Query, &[Path::Ring], &[DmaError]),
    ]
};

/// Cycles that a life lasts at most: a rough bus gets through less.
const LIFE: u64 = 300_000;

fn seed() -> u64 {
    setting("ESNIC_SEED", 1)
}

/// What one test runs.
#[derive(Clone, Copy)]
struct Plan {
    name: &'static str,
    /// Of a hundred commands of all tests.
    share: u64,
    params: Params,
    handles: u32,
    generation: u32,
    /// Of a thousand deeds, how many are stops, errors and resets.
    upsets: u16,
}

/// The mood of the n-th life.
fn mood(random: &mut Rng, n: u64, upsets: u16) -> Mood {
    let hot = n % 4 == 1;
    // A reset loses packets on their way, which only a datapath could notice.
    let packets = n % 4 == 2 && upsets == 0;
    if hot {
        let (burst, pause, direct) = (128, 100, random.choice([0, 5]).unwrap_or(0));
        return Mood { burst, pause, direct, spoilt: 2, noise: 5, hot, ..Mood::default() };
    }
    Mood {
        burst: random.choice([1, 4, 32, 128]).unwrap_or(4),
        pause: random.choice([4, 40, 200]).unwrap_or(40),
        direct: random.choice([0, 10, 50, 100]).unwrap_or(10),
        spoilt: random.choice([0, 6, 6, 30]).unwrap_or(6),
        lazy: random.choice([0, 20, 90]).unwrap_or(0),
        noise: if packets { 0 } else { random.choice([0, 20, 300]).unwrap_or(0) },
        greedy: n % 4 == 3,
        hot,
        packets,
    }
}

/// A bus for a while: rough ones, and smooth ones on which most commands get through.
fn bus(random: &mut Rng, hot: bool) -> Bus {
    let bus = match random.u8(..4) {
        0 | 1 if !hot => Bus::rough(random.u64(..)),
        0..=2 => Bus::immediate(),
        _ => Bus { read_latency: 1..=random.u32(2..1000), reorder: true, ..Bus::default() },
    };
    // A load waits for the stores before it, of which there may be thousands.
    Bus { mmio_deadline: 400_000, ..bus }
}

fn run(plan: Plan) {
    let Plan { name, share, params, handles, generation, upsets } = plan;
    let seed = seed();
    let ops = setting("ESNIC_OPS", OPS) * share / 100;
    println!("{name}: ESNIC_SEED={seed}, {ops} commands");
    let mix = |sum: u64, byte: u8| sum.wrapping_mul(31).wrapping_add(byte.into());
    let random = Rng::with_seed(name.bytes().fold(seed, mix));
    let mut lock = Lock::new(name, params, handles, generation, random);
    lock.run();
    while lock.done < ops {
        life(&mut lock, ops, upsets);
    }
    lock.compare_table();
    lock.compare_bar0();
    let (cycles, done) = (lock.rtl.cycles(), lock.done);
    println!("{name}: {done} commands in {cycles} cycles, upsets {:?}", lock.upsets);
    assert_rich(&mut lock, plan);
}

/// A program that misses what it is for proves nothing.
fn assert_rich(lock: &mut Lock, plan: Plan) {
    let name = plan.name;
    // Since power-on, for a plan without resets; since the last reset otherwise.
    let [capture, exec, waits] =
        [Counters::BYPASS_CAPTURE, Counters::BYPASS_EXEC, Counters::STALL_CQ]
            .map(|counter| lock.rtl_counter(counter));
    let packets = lock.packets_done;
    println!(
        "{name}: bypasses {capture} and {exec}, {waits} cycles without a completion entry, {packets} packets"
    );
    let concentrated = plan.upsets == 0 && plan.handles <= 64;
    assert!(!concentrated || (capture > 0 && exec > 0), "{name}: a bypass was never used");
    if lock.done < 2 * RICH as u64 {
        return;
    }
    if plan.upsets > 0 {
        let never = lock.upsets.contains(&0);
        assert!(!never, "{name}: some upset never came: {:?}", lock.upsets);
        return;
    }
    assert!(packets > 0, "{name}: no packet ever");
    assert!(waits > 0, "{name}: never out of completion entries (R7)");
    let every = ENDS.iter().chain(MORE_ENDS).flat_map(|(opcode, paths, ends)| {
        paths.iter().flat_map(move |path| ends.iter().map(move |end| (*path, *opcode, *end)))
    });
    for (path, opcode, end) in every {
        let seen = lock.seen.contains(&(path, opcode as u8, end as u8));
        assert!(seen, "{name}: never saw {opcode} by {path:?} end in {end}");
    }
}

/// Pairs of some shapes on a bus of some kind, until they have done some work.
fn life(lock: &mut Lock, ops: u64, upsets: u16) {
    lock.mood = mood(&mut lock.random, lock.lives, upsets);
    lock.lives += 1;
    if !FEATURES::DIRECT.is_set(lock.params.features) {
        lock.mood.direct = 0;
    }
    let mood = lock.mood;
    let bus = bus(&mut lock.random, mood.hot);
    lock.bus(bus);
    lock.timers = upsets == 0;
    for n in 0..lock.pairs.len() {
        let shape = lock.shape();
        lock.open(n, shape);
    }
    // What fires while its vector is masked is sent when that ends (R4). A stop would disarm it first.
    let mask = if upsets == 0 { lock.random.u32(..) & lock.random.u32(..) } else { 0 };
    lock.mask_vectors(mask);
    let end = lock.rtl.cycles() + LIFE;
    let most = if upsets == 0 { 5_000 } else { 3_000 };
    let enough = ops.min(lock.done + lock.random.u64(500..most));
    while lock.done < enough && lock.rtl.cycles() < end {
        lock.act(&mood);
        if lock.random.u16(..1000) < upsets {
            let n = lock.random.usize(..lock.pairs.len());
            lock.upset(n);
        }
    }
    lock.quiesce();
    lock.packets_are_through();
    lock.compare();
    if mask != 0 {
        lock.mask_vectors(0);
        lock.settle();
        lock.compare();
    }
    let some: Vec<u32> = lock.board.hints.iter().map(|hint| hint.index).take(64).collect();
    lock.compare_rows(some.into_iter());
    for n in 0..lock.pairs.len() {
        lock.close(n);
    }
    lock.compare();
    if lock.random.bool() {
        lock.pause();
    }
}

#[test]
fn one_handle() {
    run(Plan {
        name: "one handle",
        share: 15,
        params: small(),
        handles: 1,
        generation: 0,
        upsets: 0,
    });
}

#[test]
fn two_handles_whose_generations_wrap() {
    let generation = 0xFFFF_FFF0;
    run(Plan {
        name: "two handles",
        share: 10,
        params: small(),
        handles: 2,
        generation,
        upsets: 0,
    });
}

#[test]
fn four_handles() {
    run(Plan {
        name: "four handles",
        share: 10,
        params: small(),
        handles: 4,
        generation: 0,
        upsets: 0,
    });
}

#[test]
fn sixty_four_handles() {
    let generation = 0x7FFF_FFF8;
    run(Plan {
        name: "64 handles",
        share: 15,
        params: small(),
        handles: 64,
        generation,
        upsets: 0,
    });
}

#[test]
fn the_whole_table() {
    let params = Params::default();
    run(Plan { name: "4096 handles", share: 20, params, handles: 4096, generation: 0, upsets: 0 });
}

#[test]
fn stops_errors_and_resets() {
    let upsets = 5;
    run(Plan { name: "upsets", share: 15, params: small(), handles: 16, generation: 0, upsets });
}

#[test]
fn stops_errors_and_resets_of_the_default_build() {
    let params = Params::default();
    run(Plan { name: "big upsets", share: 5, params, handles: 64, generation: 0, upsets: 5 });
}

/// Each ability missing in turn, and other limits. They are straps, so no build of their own is needed.
#[test]
fn missing_abilities() {
    let small = small();
    let bits = |word: u32| (0..u32::BITS).filter(move |bit| word & (1 << bit) != 0);
    let features =
        bits(small.features).map(|bit| Params { features: small.features & !(1 << bit), ..small });
    let algs = bits(small.algs).map(|bit| Params { algs: small.algs & !(1 << bit), ..small });
    let windows = [0, 100, 1024].map(|max_window| Params { max_window, ..small });
    let rings = [1, 2, 5, 15].map(|ring_log2| Params { ring_log2, ..small });
    run_each("missing abilities", features.chain(algs).chain(windows).chain(rings).collect());
}

/// Every build that is compiled and not used above.
#[test]
fn other_builds() {
    let used = |params: &Params| *params == small() || *params == Params::default();
    let others: Vec<Params> =
        esnic_rtl::builds().map(|(_, params)| params).filter(|params| !used(params)).collect();
    println!("other builds: {}", others.len());
    run_each("other builds", others);
}

/// A short run of each of these devices; together they take twentieth of all commands.
fn run_each(name: &'static str, all: Vec<Params>) {
    let ops = setting("ESNIC_OPS", OPS) / 20 / all.len().max(1) as u64;
    for (k, params) in (0..).zip(all) {
        let random = Rng::with_seed(seed().wrapping_mul(1_000_003).wrapping_add(k));
        let told = format!("{name}, {params:?}");
        let handles = params.sa_capacity.min(16);
        let mut lock = Lock::new(&told, params, handles, 0, random);
        lock.run();
        while lock.done < ops {
            life(&mut lock, ops, 5);
        }
        lock.compare_table();
    }
}
