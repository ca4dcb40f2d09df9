// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Memory that the device reaches through the IOMMU: it comes and goes while the device writes to it, and
//! what is large enough is in huge pages where the host has some.

#[macro_use]
#[path = "../common/mod.rs"]
mod common;

use common::{Cmd, DmaAccess, PATIENCE, Path, Rig, Transport, Vfio, esp};
use esnic_driver::dma::DmaBuffer;
use esnic_guest::control::ask;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

const PAGE: usize = 4096;
const HUGE: usize = 2 << 20;

/// Requests of the device that were refused so far: reads and writes.
fn refused(name: &str) -> (u64, u64) {
    let answer = ask(&format!("refused {name}")).expect("every device is counted");
    let (reads, writes) = answer.split_once(' ').expect("two numbers");
    (reads.parse().expect("a number"), writes.parse().expect("a number"))
}

/// Records are written into memory that is unmapped while they are, and new memory takes its place.
#[test]
fn memory_comes_and_goes_under_the_devices_hands() {
    let mut rig = Rig::<Vfio>::new();
    let name = rig.link.name();
    rig.add(&esp(7, 1));
    let seed = std::env::var("ESNIC_SEED").map_or(1, |text| text.parse().expect("ESNIC_SEED"));
    eprintln!("ESNIC_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut whole, mut lost, mut raced) = (0, 0, 0);
    let maps = rig.link.mappings();
    let before = refused(&name);
    for round in 0..150 {
        let mut buffers: Vec<_> = (0..random.usize(1..8)).map(|_| rig.buffer()).collect();
        let query = |buffer: &DmaBuffer| Cmd::query_any(7, buffer.iova().0);
        let cmds: Vec<Cmd> = buffers.iter().map(|buffer| rig.stamp(query(buffer))).collect();
        let many = cmds.len() as u64;
        // First of all without, then whatever comes.
        let when = if round < 3 { round } else { random.u32(..3) };
        if when == 0 {
            buffers.clear();
            lost += many;
        }
        let pair = &mut rig.pairs[0];
        for cmd in &cmds {
            pair.put(cmd);
        }
        pair.ring();
        if when == 1 {
            buffers.clear();
            raced += many;
        }
        for _ in 0..cmds.len() {
            pair.next().ok();
        }
        for buffer in &buffers {
            assert!(!buffer.is_zero(), "round {round}: the record is not there");
            whole += 1;
        }
    }
    assert!(whole > 0 && lost > 0 && raced > 0, "{whole}, {lost}, {raced}");
    assert_eq!(rig.link.mappings(), maps, "what was mapped is unmapped");
    // Each write that came too late was stopped, and the device was none the wiser (R46).
    let after = refused(&name);
    assert_eq!(after.0, before.0);
    let stopped = after.1 - before.1;
    assert!((lost..=lost + raced).contains(&stopped), "{stopped}: {lost} and {raced}");
    rig.assert_quiet();
}

/// One thread maps and unmaps while another one's commands go on.
#[test]
fn maps_change_while_commands_go_on() {
    const ROUNDS: u32 = 300;
    let mut rig = Rig::<Vfio>::new();
    let link = rig.link.clone();
    let (over, mapped) = (AtomicBool::new(false), AtomicU64::new(0));
    rig.add(&esp(7, 1));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let access = DmaAccess::DeviceWrites;
                let some: Vec<_> =
                    (1..6).map(|pages| link.dma_alloc(PAGE * pages, access).unwrap()).collect();
                mapped.fetch_add(some.len() as u64, Ordering::Relaxed);
            }
        });
        let _over = Over(&over);
        let mut hi = 0;
        while hi < ROUNDS || mapped.load(Ordering::Relaxed) < 100 {
            hi += 1;
            let path = if hi % 2 == 0 { Path::Ring } else { Path::Direct };
            rig.run(path, Cmd::hi(&esp(7, 1), hi)).ok();
        }
        assert_eq!(rig.top(7).0, hi);
    });
    eprintln!("{} buffers came and went", mapped.into_inner());
}

/// Ends the other thread, also when this one panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Huge pages of the machine: `HugePages_Total` or `HugePages_Free`.
fn huge_pages(which: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").expect("what memory there is");
    let line = text.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':'));
    line.and_then(|number| number.trim().parse().ok()).expect("the kernel has huge pages")
}

#[test]
fn what_is_large_is_in_huge_pages_if_there_are_any() {
    const WANTED: u64 = 4;
    let mut rig = Rig::<Vfio>::new();
    rig.add(&esp(7, 1));
    let link = rig.link.clone();
    let mut is_reached = |buffer: &DmaBuffer| {
        for at in [0, HUGE - PAGE] {
            let query = Cmd::query_any(7, buffer.iova().0 + at as u64);
            rig.exec(query).ok();
            let mut record = [0; 128];
            buffer.read(at, &mut record);
            assert_ne!(record, [0; 128], "at {at}");
        }
    };
    let reserve = |pages: u64| {
        // Other tests may have left no two megabytes in one piece.
        let deadline = Instant::now() + PATIENCE;
        while huge_pages("HugePages_Total") != pages {
            assert!(Instant::now() < deadline, "{} of {pages}", huge_pages("HugePages_Total"));
            std::fs::write("/proc/sys/vm/compact_memory", "1").expect("it is root");
            std::fs::write("/proc/sys/vm/nr_hugepages", pages.to_string()).expect("it is root");
        }
    };
    let large = || link.dma_alloc(HUGE, DmaAccess::DeviceWrites).expect("memory");

    reserve(WANTED);
    let buffer = large();
    assert_eq!(huge_pages("HugePages_Free"), WANTED - 1, "it is one huge page");
    assert_eq!(buffer.iova().0 % HUGE as u64, 0, "for the IOMMU, too");
    is_reached(&buffer);
    drop(buffer);
    assert_eq!(huge_pages("HugePages_Free"), WANTED, "it is given back");
    // None left, then none at all: usual ones do.
    let held: Vec<_> = (0..WANTED).map(|_| large()).collect();
    assert_eq!(huge_pages("HugePages_Free"), 0);
    is_reached(&large());
    drop(held);
    reserve(0);
    is_reached(&large());
}
