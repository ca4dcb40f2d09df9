// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A thread that sleeps in epoll on a queue pair's eventfd while others submit: it is woken when there
//! is something, and costs nothing while there is not.

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

use rustix::event::{Timespec, epoll};
use rustix::time::{ClockId, clock_gettime};
use std::os::fd::OwnedFd;
use support::*;

/// A wake-up that takes longer is lost.
const LOST: Duration = Duration::from_secs(20);

/// Processor time that this thread has used.
fn used() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Whether something takes less than `limit` of this thread's time. The guest does not know when its host is
/// busy with something else, and counts that too; so it is the best of a few tries.
fn costs_less(limit: Duration, mut something: impl FnMut()) -> bool {
    (0..5).any(|_| {
        let begun = used();
        something();
        let cost = used() - begun;
        eprintln!("{cost:?} of processor time");
        cost < limit
    })
}

/// An epoll with one wake-up in it.
struct Loop<T: Transport>(OwnedFd, esnic_driver::Wakeup<T>);

impl<T: Transport> Loop<T> {
    fn new(wakeup: esnic_driver::Wakeup<T>) -> Self {
        let file = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
        epoll::add(&file, &wakeup, epoll::EventData::new_u64(0), epoll::EventFlags::IN)
            .expect("an eventfd can be polled");
        Self(file, wakeup)
    }

    /// Whether something came within `patience`.
    fn sleep(&self, patience: Duration) -> bool {
        let limit = Timespec::try_from(patience).expect("it is short");
        let mut events = Vec::with_capacity(1);
        let room = rustix::buffer::spare_capacity(&mut events);
        epoll::wait(&self.0, room, Some(&limit)).expect("epoll") > 0
    }
}

#[derive(Default)]
struct Settlements(AtomicU64);

impl OnSettled for Settlements {
    fn settled(&self, _: u64, settled: Settled) {
        assert!(settled.is_ok(), "{settled}");
        self.0.fetch_add(1, Ordering::Release);
    }
}

#[test]
fn one_thread_sleeps_in_epoll_while_others_submit() {
    const THREADS: u32 = 3;
    const EACH: u32 = 400;
    let (manager, _) = open::<Vfio>(small(), Config { interrupts: true, ..config() });
    let all: Vec<SaHandle> = (0..THREADS)
        .map(|n| {
            let (sa, ticket) = manager.add(&esp(n)).unwrap();
            done(&ticket);
            sa
        })
        .collect();
    let lap = Loop::new(manager.wakeup(0).expect("the interrupt of pair 0"));
    let settlements = Arc::new(Settlements::default());
    let callback = manager.register(settlements.clone()).unwrap();
    let count = || settlements.0.load(Ordering::Acquire);
    let total = u64::from(THREADS * EACH);
    let (mut wake_ups, mut empty, begun, since) = (0u64, 0u64, used(), Instant::now());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (manager, sa) = (manager.clone(), all[thread as usize]);
            scope.spawn(move || {
                for step in 1..=EACH {
                    loop {
                        match manager.update(sa, hi(thread, step)) {
                            Ok(ticket) => break ticket.notify(callback, 0),
                            Err(SubmitError::Full | SubmitError::Busy) => std::thread::yield_now(),
                            Err(other) => panic!("{other}"),
                        }
                    }
                    // So that the sleeper falls asleep in between, now and then.
                    std::thread::sleep(Duration::from_micros(u64::from(step % 7) * 200));
                }
            });
        }
        'all: loop {
            let before = count();
            manager.poll();
            lap.1.arm();
            if count() == total {
                break;
            }
            empty += u64::from(wake_ups > 0 && count() == before);
            let lost = Instant::now() + LOST;
            while !lap.sleep(Duration::from_millis(100)) {
                // The last ones may be taken by a submitter, who tells of them after this thread looked: then
                // there is nothing to wake up for.
                if count() == total {
                    break 'all;
                }
                assert!(Instant::now() < lost, "a wake-up was lost after {} of {total}", count());
            }
            wake_ups += 1;
        }
    });
    let (busy, time) = (used() - begun, since.elapsed());
    eprintln!(
        "{wake_ups} wake-ups for {total} commands, {empty} of them for what others had taken; \
         {busy:?} of processor time in {time:?}"
    );
    assert!(wake_ups > 20, "{wake_ups} wake-ups: it did not sleep");
    // One for each completion at the most, and again while another thread is just taking it.
    assert!(wake_ups <= 2 * total, "{wake_ups} wake-ups for {total} commands");
    assert!(busy < time * 3 / 4, "{busy:?} of processor time in {time:?}: it did not sleep");

    // And now nothing happens.
    manager.poll();
    lap.1.arm();
    let asleep = || assert!(!lap.sleep(Duration::from_secs(2)), "woken for nothing");
    assert!(costs_less(Duration::from_millis(20), asleep));
    assert_eq!(manager.stats().in_flight, 0);
    assert_eq!(manager.diff().unwrap(), []);
}

#[test]
fn a_wait_of_the_drivers_own_sleeps_too() {
    let (manager, link) = open::<Vfio>(small(), Config { interrupts: true, ..config() });
    let (sa, ticket) = manager.add(&esp(1)).unwrap();
    done(&ticket);
    // No answer comes: a wait that polled would burn all of its time.
    misbehave!(Vfio, link, |faults| faults.stuck = Stuck::UntilReset);
    let ticket = manager.update(sa, hi(1, 1)).unwrap();
    let wait = || {
        let waited = ticket.wait(Instant::now() + Duration::from_millis(1500));
        assert!(matches!(waited, Err(WaitError::Timeout { .. })), "{waited:?}");
    };
    // It looks after the device every ten milliseconds; each look is a trip to the host.
    assert!(costs_less(Duration::from_millis(500), wait));
    manager.recover(Verify::All).unwrap();
    done(&manager.update(sa, hi(1, 2)).unwrap());
}
