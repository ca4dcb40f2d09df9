// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A million messages of clients that make no sense or mean harm. The server does not die, hang, lose
//! step, or keep anything of theirs; and each message gets exactly the answer that it is due.
//!
//! `ESNIC_SEED` repeats a run, `ESNIC_OPS` makes it longer or shorter.

#[path = "served/link.rs"]
#[allow(dead_code, unreachable_pub)]
mod link;
#[path = "support/small.rs"]
#[allow(unreachable_pub)]
mod small;
#[path = "served/storm.rs"]
#[allow(unreachable_pub)]
mod storm;

use esnic_driver::transport::VfioUser;
use esnic_driver::{Config, KeyMemory, SaManager};
use link::serve_alone;
use small::small;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use storm::{Count, Storm};

fn number(name: &str, usual: u64) -> u64 {
    let number = std::env::var(name).map_or(usual, |text| text.parse().expect(name));
    println!("{name}={number}");
    number
}

/// What this process holds: descriptors, mappings, resident memory.
#[derive(Clone, Copy, Debug)]
struct Held {
    descriptors: usize,
    mappings: usize,
    resident_kib: usize,
}

fn held() -> Held {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    Held {
        descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count(),
        mappings: std::fs::read_to_string("/proc/self/maps").unwrap().lines().count(),
        resident_kib: resident.trim().trim_end_matches(" kB").parse().unwrap(),
    }
}

#[test]
fn a_million_random_messages_do_no_harm() {
    let (seed, ops) = (number("ESNIC_SEED", 0x5EED), number("ESNIC_OPS", 1_000_000));
    let served = serve_alone(esnic_model::Model::new(small()).unwrap(), &small());
    let mut storm = Storm::new(seed, served.path());
    // What allocates once has allocated.
    storm.blow(ops / 50);
    storm.hang_up();
    let (before, begun) = (settled(&served, usize::MAX), Instant::now());
    let mut worst = Duration::ZERO;
    while storm.count.sent < ops {
        let at = Instant::now();
        storm.blow(ops / 100);
        worst = worst.max(at.elapsed());
        assert!(!served.has_ended(), "the server has ended");
    }
    let count = storm.count;
    storm.hang_up();
    let after = settled(&served, before.descriptors);
    println!("{count:?} in {:?}, slowest hundredth {worst:?}", begun.elapsed());
    println!("before {before:?}\nafter  {after:?}");
    assert!(after.mappings <= before.mappings + 8, "mappings leak: {before:?} {after:?}");
    assert!(
        after.resident_kib <= before.resident_kib + 16_384,
        "memory leaks: {before:?} {after:?}"
    );
    // It was no storm in a tea cup.
    check(&count, ops);

    // And an honest client is served as ever.
    let config = Config { key_memory: KeyMemory::BestEffort, ..Config::default() };
    let link = VfioUser::connect(served.path()).unwrap();
    let manager = SaManager::open(link, config).unwrap();
    assert_eq!(manager.read_table().unwrap(), []);
    manager.close().unwrap();
    drop(manager);
    served.stop().unwrap();
}

/// What is held once the server has dropped its last client, which is so when no more than so many descriptors
/// are left.
fn settled<D: esnic_abi::Device + 'static>(
    served: &esnic::serve::Served<D>,
    descriptors: usize,
) -> Held {
    let begun = Instant::now();
    while served.maps() > 0 || held().descriptors > descriptors {
        let why = "maps or descriptors leak";
        assert!(begun.elapsed() < Duration::from_secs(20), "{why}: {:?}", held());
        std::thread::sleep(Duration::from_millis(1));
    }
    // The session's own memory goes right after.
    std::thread::sleep(Duration::from_millis(50));
    held()
}

fn check(count: &Count, ops: u64) {
    let Count { sent, granted, refused, silent, fds, cut, connections, .. } = *count;
    assert!(sent >= ops);
    assert!(granted > ops / 10, "{count:?}");
    assert!(refused > ops / 10, "{count:?}");
    assert!(silent > ops / 50, "{count:?}");
    assert!(fds > ops / 50, "{count:?}");
    assert!(cut > ops / 10_000, "{count:?}");
    assert!(connections > cut, "{count:?}");
    // Every command there is, and some that are not.
    let commands: HashMap<u16, u64> = (0..).zip(count.commands).collect();
    assert!(commands.values().all(|n| *n > ops / 1000), "{count:?}");
}
