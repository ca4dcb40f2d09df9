// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Memory that comes and goes while the device works: what was given back is out of its reach at once.

#[macro_use]
mod common;

use common::cmd::esp;
use common::{Backend, Cmd, DmaAccess, Path, Rig, Transport, not_asked, rounds};
use esnic_driver::dma::DmaBuffer;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

for_each_backend!(memory_comes_and_goes_under_the_devices_hands, maps_change_while_commands_go_on,);

/// Records are written into memory that is unmapped while they are, and new memory takes its place.
fn memory_comes_and_goes_under_the_devices_hands<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.add(&esp(7, 1));
    let count = |rig: &Rig<B>| Some((B::mappings(&rig.link)?, B::refused(&rig.link)?));
    let Some((maps, before)) = count(&rig) else {
        return not_asked(
            B::NAME,
            "its bus tells it of a write that is refused, which ends the pair",
        );
    };
    let seed = std::env::var("ESNIC_SEED").map_or(1, |text| text.parse().expect("ESNIC_SEED"));
    eprintln!("ESNIC_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut whole, mut lost, mut raced) = (0, 0, 0);
    for round in 0..rounds(3000) {
        let mut buffers: Vec<_> = (0..random.usize(1..8)).map(|_| rig.buffer()).collect();
        let query = |buffer: &DmaBuffer| Cmd::query_any(7, buffer.iova().0);
        let cmds: Vec<Cmd> = buffers.iter().map(|buffer| rig.stamp(query(buffer))).collect();
        let many = cmds.len() as u64;
        // Each way once, then whatever comes.
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
            // Under the device's hands.
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
    let (left, after) = count(&rig).expect("as before");
    assert_eq!(left, maps, "what was mapped is unmapped");
    // Each write that came too late was stopped, and the device was none the wiser (R46).
    assert_eq!(after.0, before.0);
    let stopped = after.1 - before.1;
    assert!((lost..=lost + raced).contains(&stopped), "{stopped}: {lost} and {raced}");
    rig.assert_quiet();
}

/// One thread maps and unmaps while another one's commands go on.
fn maps_change_while_commands_go_on<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let link = rig.link.clone();
    let (over, mapped) = (AtomicBool::new(false), AtomicU64::new(0));
    rig.add(&esp(7, 1));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let access = DmaAccess::DeviceWrites;
                let some: Vec<_> =
                    (1..6).map(|pages| link.dma_alloc(4096 * pages, access).unwrap()).collect();
                mapped.fetch_add(some.len() as u64, Ordering::Relaxed);
            }
        });
        let _over = Over(&over);
        let mut hi = 0;
        while hi < rounds(6000) || mapped.load(Ordering::Relaxed) < 100 {
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
