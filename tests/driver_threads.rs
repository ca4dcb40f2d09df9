// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Eight threads at once, on shared and on own SAs (D8, C5-4, C5-5).

#[macro_use]
mod support;

use std::sync::Mutex;
use support::*;

const THREADS: u32 = 8;
const ROUNDS: u32 = rounds(2_000);

/// Runs `f` in eight threads; ends the process if they do not come back, as a deadlock would.
fn in_threads(seed: u64, f: impl Fn(u32, &mut fastrand::Rng) + Sync) {
    let wanted = std::env::var("ESNIC_SEED").ok().and_then(|text| text.parse().ok());
    let seed = wanted.unwrap_or(seed);
    eprintln!("ESNIC_SEED={seed}");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let deadline = Instant::now() + Duration::from_secs(600);
            while !over.load(Ordering::Relaxed) {
                if Instant::now() > deadline {
                    eprintln!("the threads do not come back");
                    std::process::abort();
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let over = Over(&over);
        std::thread::scope(|inner| {
            for thread in 0..THREADS {
                let f = &f;
                inner.spawn(move || {
                    f(thread, &mut fastrand::Rng::with_seed(seed + u64::from(thread)))
                });
            }
        });
        drop(over);
    });
}

/// Tells the watchdog also when a thread has panicked.
struct Over<'a>(&'a AtomicBool);
impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Submits until there is room.
fn patiently<T: Transport, R>(
    manager: &SaManager<T>,
    mut submit: impl FnMut() -> Result<R, SubmitError>,
) -> Result<R, SubmitError> {
    loop {
        match submit() {
            Err(SubmitError::Full | SubmitError::Busy) => {
                manager.poll();
                manager.transport().relax();
            }
            result => return result,
        }
    }
}

fn quiet<T: Transport>(manager: &SaManager<T>, live: usize) {
    let so_far = || {
        let stats = manager.stats();
        (manager.in_flight(), stats.pending, stats.keys)
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while so_far() != (0, 0, live) && Instant::now() < deadline {
        manager.poll();
        manager.transport().relax();
    }
    // And it stays so.
    for _ in 0..1000 {
        manager.poll();
        manager.transport().relax();
    }
    let stats = manager.stats();
    assert_eq!((stats.in_flight, stats.pending, stats.keys), (0, 0, live));
    assert_eq!(stats.timeouts, 0);
    assert_eq!(manager.diff().unwrap(), []);
}

fn shapes() -> [Config; 3] {
    [
        Config { sq_log2: 1, cq_log2: 1, ..config() },
        Config { sq_log2: 3, cq_log2: 4, start: 0u32.wrapping_sub(1 << 10), ..config() },
        Config { queue_pairs: 4, ..config() },
    ]
}

fn threads_with_sas_of_their_own_do_not_meet<B: Backend>() {
    for (n, config) in (0..).zip(shapes()) {
        let (manager, _) = open::<B>(small(), config);
        in_threads(0x0A11_0000 + n, |thread, random| {
            let mut mine: Option<(u32, SaHandle, u32)> = None;
            for round in 0..ROUNDS {
                let number = thread << 16 | round;
                match (mine, random.u8(0..8)) {
                    (None, kind) => {
                        let add = || match kind {
                            0..4 => manager.add(&esp(number)),
                            _ => manager.add_bundle(&esp(number), &ah(number)),
                        };
                        let (sa, ticket) = patiently(&manager, add).unwrap();
                        done(&ticket);
                        mine = Some((number, sa, 0));
                    }
                    (Some((_, sa, _)), 0) => {
                        done(&patiently(&manager, || manager.delete(sa)).unwrap());
                        mine = None;
                    }
                    (Some((number, sa, last)), 1) => {
                        let top = done(&patiently(&manager, || manager.query(sa)).unwrap());
                        assert_eq!(Top(top).hi(), last, "thread {thread}, SA {number:#x}");
                    }
                    (Some((number, sa, last)), 2) => {
                        let step = update(&esp(number), Change::hi(last + 1).expecting(last));
                        done(&patiently(&manager, || manager.update(sa, step)).unwrap());
                        mine = Some((number, sa, last + 1));
                    }
                    (Some((number, sa, _)), _) => {
                        // Not waited for: what comes next is behind it, by the same path (R29).
                        let last = random.u32(..1 << 30);
                        drop(patiently(&manager, || manager.update(sa, hi(number, last))).unwrap());
                        mine = Some((number, sa, last));
                    }
                }
            }
            if let Some((_, sa, _)) = mine {
                done(&patiently(&manager, || manager.delete(sa)).unwrap());
            }
        });
        quiet(&manager, 0);
        assert_eq!(manager.room(), 64);
    }
}

fn threads_that_share_sas_agree_with_the_device<B: Backend>() {
    // Few slots: a slot has its next life while requests of the last one are still on their way in.
    for (n, config) in (0..).zip(shapes()) {
        let (manager, _) = open::<B>(small(), Config { max_sas: Some(4), ..config });
        let shared: [Mutex<Option<(u32, SaHandle)>>; 3] = Default::default();
        let oks = AtomicU64::new(0);
        in_threads(0x5EA7_0000 + n, |thread, random| {
            for round in 0..ROUNDS {
                let place = &shared[random.usize(..3)];
                let known = *place.lock().unwrap();
                let Some((number, sa)) = known else {
                    let number = thread << 16 | round;
                    let Ok((sa, ticket)) = patiently(&manager, || manager.add(&esp(number))) else {
                        continue;
                    };
                    done(&ticket);
                    let old = place.lock().unwrap().replace((number, sa));
                    if let Some((_, old)) = old {
                        drop(patiently(&manager, || manager.delete(old)));
                    }
                    continue;
                };
                let result = match random.u8(0..20) {
                    0 => {
                        *place.lock().unwrap() = None;
                        patiently(&manager, || manager.delete(sa))
                    }
                    1..4 => patiently(&manager, || manager.query(sa)),
                    4..8 => patiently(&manager, || manager.resolve(sa, round, true)),
                    _ => patiently(&manager, || manager.update(sa, hi(number, round))),
                };
                match result {
                    Ok(ticket) => {
                        let status = outcome(&ticket).status;
                        // Behind a DELETE of another thread: never of another SA.
                        assert!(matches!(status, Status::Ok | Status::Empty), "{status}");
                        oks.fetch_add(u64::from(status == Status::Ok), Ordering::Relaxed);
                    }
                    Err(error) => assert_eq!(error, SubmitError::NotFound),
                }
            }
        });
        assert!(oks.load(Ordering::Relaxed) > u64::from(ROUNDS));
        // Nobody has waited for some deletions.
        work_until(&manager, "the last command", || manager.in_flight() == 0);
        let live = manager.read_table().unwrap().len();
        quiet(&manager, live);
        assert_eq!(manager.stats().lost, 0, "an SA that lives was never said to be lost");
        assert_eq!(manager.room(), 4 - live);
    }
}

fn batches_of_many_threads_keep_each_sas_order<B: Backend>() {
    let (manager, _) = open::<B>(small(), Config { queue_pairs: 2, ..config() });
    let all: Vec<_> = (0..THREADS * 4)
        .map(|n| {
            let (sa, ticket) = manager.add(&esp(n)).unwrap();
            done(&ticket);
            sa
        })
        .collect();
    in_threads(0xBA7C_0000, |thread, random| {
        let mut batch = manager.batch(64);
        for round in 0..200 {
            let mut last = [0; 4];
            for _ in 0..random.usize(1..64) {
                let k = random.u32(..4);
                let n = thread * 4 + k;
                last[k as usize] = random.u32(..);
                batch.update(all[n as usize], hi(n, last[k as usize]));
            }
            batch.run(Instant::now() + Duration::from_secs(60)).unwrap();
            assert_eq!(batch.ok_count(), batch.len(), "thread {thread}, round {round}");
            batch.clear();
            for (k, last) in (0..).zip(last).filter(|&(_, last)| last != 0) {
                let sa = all[(thread * 4 + k) as usize];
                assert_eq!(top_of(&manager, sa).0, last, "thread {thread}, round {round}");
            }
        }
    });
    quiet(&manager, all.len());
}

fn a_reset_is_not_held_up_by_those_who_try_again<B: Backend>() {
    let (manager, _) = open::<B>(small(), config());
    let (sa, ticket) = manager.add(&esp(1)).unwrap();
    done(&ticket);
    let over = AtomicBool::new(false);
    let closed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    if let Err(SubmitError::Closed) = manager.update(sa, hi(1, 1)) {
                        closed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        // A reset is short: as many as it takes until somebody has met one.
        let mut resets = (0..10_000).map(|_| manager.recover(Verify::Sample));
        let enough = |reset: &Result<_, _>| reset.is_err() || closed.load(Ordering::Relaxed) > 100;
        let last = resets.find(enough);
        over.store(true, Ordering::Relaxed);
        assert_eq!(last.expect("somebody was turned away").unwrap().restored, 1);
    });
    manager.recover(Verify::All).unwrap();
    assert_eq!(manager.diff().unwrap(), []);
}

on_every_backend!(
    a_reset_is_not_held_up_by_those_who_try_again,
    threads_with_sas_of_their_own_do_not_meet,
    threads_that_share_sas_agree_with_the_device,
    batches_of_many_threads_keep_each_sas_order,
);
