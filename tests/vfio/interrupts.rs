// SPDX-License-Identifier: Apache-2.0 OR MIT
//! MSI-X all the way: from the device over the IOMMU's interrupt remapping and the kernel to an eventfd
//! (R1 to R4). None is lost and none is for nothing, whatever comes first.

#[macro_use]
#[path = "../common/mod.rs"]
mod common;

use common::{Bar, Cmd, Counters, MsixTable, QueuePair, Rig, Shape, Transport, Vfio, regs};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Races of the first test. Its figure is part of what is promised.
const RACES: u64 = 100_000;

/// Pairs, each with a vector of its own, that share them.
const PAIRS: usize = 4;

/// No interrupt takes as long.
const LOST: Duration = Duration::from_secs(10);

/// Signals that came since the last look; waits for one until `patience` is over.
fn signals(fd: impl AsFd, patience: Duration) -> u64 {
    let fd = fd.as_fd();
    let limit = Timespec::try_from(patience).expect("it is short");
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    if poll(&mut fds, Some(&limit)).expect("poll") == 0 {
        return 0;
    }
    let mut count = [0; 8];
    rustix::io::read(fd, &mut count).expect("it is readable");
    u64::from_ne_bytes(count)
}

fn random() -> fastrand::Rng {
    let seed = std::env::var("ESNIC_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    eprintln!("ESNIC_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// Up to about as long as a command takes.
fn pause(random: &mut fastrand::Rng) {
    let until = Instant::now() + Duration::from_micros(random.u64(..60));
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

fn submit(rig: &mut Rig<Vfio>, pair: usize) {
    let nop = rig.stamp(Cmd::nop());
    rig.pairs[pair].put(&nop);
    rig.pairs[pair].ring();
}

/// The completion that an interrupt announced: it is in memory (R3).
#[track_caller]
fn take(rig: &mut Rig<Vfio>, pair: usize) {
    let pair = &mut rig.pairs[pair];
    pair.poll().expect("R3: who wakes up finds the completion in memory").ok();
    if pair.seen.wrapping_sub(pair.told) >= 16 {
        pair.tell();
    }
}

/// Nothing more comes, and the device sent `sent` messages, pair 0 `own` of them.
fn assert_quiet(rig: &Rig<Vfio>, own: u64, sent: u64) {
    rig.settle();
    for vector in 0..rig.pairs.len() as u16 {
        let fd = rig.link.interrupt_fd(vector).expect("a vector");
        assert_eq!(signals(fd, Duration::from_millis(50)), 0, "vector {vector} fired for nothing");
    }
    assert_eq!(rig.counter(Counters::MSIX_SENT), sent);
    assert_eq!(regs::queue_pair64(&*rig.link, 0, QueuePair::IRQS), own);
}

#[test]
fn none_is_lost_and_none_is_for_nothing_in_100_000_races() {
    // Four pairs side by side, each with its own race, and each in the others' way.
    let mut rig = Rig::<Vfio>::with(Rig::<Vfio>::small(), &[Shape::default(); PAIRS]);
    let link = rig.link.clone();
    let mut random = random();
    for round in 0..RACES / PAIRS as u64 {
        let kinds = [(); PAIRS].map(|()| random.u8(..3));
        for (n, kind) in kinds.into_iter().enumerate() {
            match kind {
                0 => rig.pairs[n].arm(),
                _ => submit(&mut rig, n),
            }
        }
        pause(&mut random);
        for (n, kind) in kinds.into_iter().enumerate() {
            match kind {
                0 => submit(&mut rig, n),
                1 => rig.pairs[n].arm(),
                // It is there before anybody asks: then it fires at once.
                _ => {
                    while !rig.pairs[n].is_next_there() {
                        link.relax();
                    }
                    rig.pairs[n].arm();
                }
            }
        }
        for (n, kind) in kinds.into_iter().enumerate() {
            let fd = link.interrupt_fd(n as u16).expect("a vector");
            assert_eq!(signals(fd, LOST), 1, "round {round}, pair {n}, race {kind}");
            take(&mut rig, n);
        }
    }
    assert_quiet(&rig, RACES / PAIRS as u64, RACES);
}

#[test]
fn each_of_several_vectors_tells_of_its_own_pair() {
    const ROUNDS: u64 = 3_000;
    let mut rig = Rig::<Vfio>::with(Rig::<Vfio>::small(), &[Shape::default(); 4]);
    let link = rig.link.clone();
    let mut random = random();
    let mut sent = [0; 4];
    for round in 0..ROUNDS {
        // Every combination of pairs, in every order.
        let mut chosen: Vec<usize> = (0..4).filter(|_| random.bool()).collect();
        random.shuffle(&mut chosen);
        for &pair in &chosen {
            let first = random.bool();
            if first {
                rig.pairs[pair].arm();
            }
            submit(&mut rig, pair);
            if !first {
                rig.pairs[pair].arm();
            }
        }
        for &pair in &chosen {
            let fd = link.interrupt_fd(pair as u16).expect("a vector");
            assert_eq!(signals(fd, LOST), 1, "round {round}, pair {pair}");
            take(&mut rig, pair);
            sent[pair] += 1;
        }
        for pair in (0..4).filter(|pair| !chosen.contains(pair)) {
            let fd = link.interrupt_fd(pair as u16).expect("a vector");
            assert_eq!(signals(fd, Duration::ZERO), 0, "round {round}: pair {pair} was not asked");
        }
    }
    assert_quiet(&rig, sent[0], sent.iter().sum());
}

#[test]
fn a_masked_vector_keeps_its_message_until_unmasked() {
    const ROUNDS: u64 = 500;
    let mut rig = Rig::<Vfio>::with(Rig::<Vfio>::small(), &[Shape::default(); PAIRS]);
    let link = rig.link.clone();
    let mask = |vector: usize, on: u32| {
        let place = MsixTable::MSG_CTRL.address(vector as u32);
        link.write32(Bar::Msix, place, on);
        assert_eq!(link.read32(Bar::Msix, place) & 1, on, "the table does not keep the mask");
    };
    let mut random = random();
    let mut own = 0;
    for round in 0..ROUNDS {
        let n = random.usize(..PAIRS);
        own += u64::from(n == 0);
        let fd = link.interrupt_fd(n as u16).expect("a vector");
        let early = random.bool();
        if early {
            rig.pairs[n].arm();
        }
        mask(n, 1);
        submit(&mut rig, n);
        if !early {
            rig.pairs[n].arm();
        }
        // Else it is unmasked while it fires, or before.
        if random.bool() {
            while !rig.pairs[n].is_next_there() {
                link.relax();
            }
            let silent = signals(fd, Duration::from_millis(2)) == 0;
            assert!(silent, "round {round}: vector {n} is masked");
        } else {
            pause(&mut random);
        }
        mask(n, 0);
        assert_eq!(signals(fd, LOST), 1, "round {round}, vector {n}: R4, it is never lost");
        take(&mut rig, n);
    }
    assert_quiet(&rig, own, ROUNDS);
}

#[test]
fn what_fires_while_interrupts_are_off_comes_when_they_are_on_again() {
    let mut rig = Rig::<Vfio>::new();
    let link = rig.link.clone();
    let vectors = u16::from(rig.params.queue_pairs) + 1;
    for round in 0..20 {
        link.disable_interrupts().expect("the kernel turns them off");
        rig.pairs[0].arm();
        submit(&mut rig, 0);
        while !rig.pairs[0].is_next_there() {
            link.relax();
        }
        link.enable_interrupts(vectors).expect("and on");
        let fd = link.interrupt_fd(0).expect("vector 0");
        assert_eq!(signals(fd, LOST), 1, "round {round}: R4");
        take(&mut rig, 0);
    }
}
