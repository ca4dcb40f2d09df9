// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A caller who sleeps on a queue pair's interrupt in a loop of its own is woken for everything that
//! happens, and for next to nothing else (R1 to R3).

#[macro_use]
mod support;

use esnic_driver::{CallbackId, Wakeup};
use rustix::event::{EventfdFlags, eventfd};
use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use support::pumped::{Pumped, either, readable};
use support::*;

/// Longer than any wake-up takes. A wake-up that is lost ends a test here.
const PATIENCE_MS: i64 = 20_000;

fn up<B: Backend>(config: Config) -> SaManager<Pumped<Link<B>>> {
    let link = Pumped::new(Recorder::new(B::plug(small())), B::RUNS);
    let config = Config { interrupts: true, ..config };
    SaManager::open(link, config).unwrap_or_else(|error| panic!("{}: {error}", B::NAME))
}

fn added<T: Transport>(manager: &SaManager<T>, count: u32) -> Vec<SaHandle> {
    let add = |n| {
        let (sa, ticket) = manager.add(&esp(n)).unwrap();
        done(&ticket);
        sa
    };
    (0..count).map(add).collect()
}

thread_local! {
    /// This thread hands a ticket over to a callback.
    static HANDING: Cell<bool> = const { Cell::new(false) };
}

struct Settlements {
    count: AtomicU64,
    /// Rung for tickets that had settled before the callback was there: the thread that hands them over
    /// calls it by itself then, and no interrupt tells another one.
    late: OwnedFd,
}

impl Settlements {
    fn new() -> Self {
        let late = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        Self { count: 0.into(), late: late.expect("an eventfd") }
    }

    fn hand_over<T: Transport>(ticket: Ticket<T>, callback: CallbackId) {
        HANDING.set(true);
        ticket.notify(callback, 0);
        HANDING.set(false);
    }
}

impl OnSettled for Settlements {
    fn settled(&self, _: u64, settled: Settled) {
        assert!(settled.is_ok(), "{settled}");
        self.count.fetch_add(1, Ordering::Release);
        if HANDING.get() {
            rustix::io::write(&self.late, &1u64.to_ne_bytes()).expect("room");
        }
    }
}

fn one_thread_sleeps_while_others_submit<B: Backend>() {
    const THREADS: u32 = 3;
    const EACH: u32 = 300;
    let manager = up::<B>(config());
    let all = added(&manager, THREADS);
    let wakeup = manager.wakeup(0).expect("the interrupt of pair 0");
    let settlements = Arc::new(Settlements::new());
    let callback = manager.register(settlements.clone()).unwrap();
    let (mut wake_ups, mut empty) = (0, 0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (manager, sa) = (manager.clone(), all[thread as usize]);
            scope.spawn(move || {
                for step in 1..=EACH {
                    loop {
                        match manager.update(sa, hi(thread, step)) {
                            Ok(ticket) => break Settlements::hand_over(ticket, callback),
                            Err(SubmitError::Full | SubmitError::Busy) => std::thread::yield_now(),
                            Err(other) => panic!("{other}"),
                        }
                    }
                    if step % 8 == 0 {
                        // Long enough for the sleeper to fall asleep.
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            });
        }
        let count = || settlements.count.load(Ordering::Acquire);
        loop {
            let before = count();
            manager.poll();
            wakeup.arm();
            if count() == u64::from(THREADS * EACH) {
                break;
            }
            empty += u64::from(wake_ups > 0 && count() == before);
            let [woken, late] = either(&wakeup, &settlements.late, PATIENCE_MS);
            assert!(woken || late, "a wake-up was lost after {}", count());
            let _ = rustix::io::read(&settlements.late, &mut [0; 8]);
            wake_ups += u64::from(woken);
        }
    });
    assert!(wake_ups > 10, "{wake_ups} wake-ups: it did not sleep");
    assert!(wake_ups <= u64::from(THREADS * EACH) + empty, "{wake_ups}");
    eprintln!("{wake_ups} wake-ups, {empty} of them for what others had taken");
    assert_eq!(manager.stats().in_flight, 0);
}

/// Arms, and nothing comes. Except what a wait of the driver's asked for and then had no need of: that may
/// still be on its way.
#[track_caller]
fn arm_in_silence<T: Transport>(manager: &SaManager<T>, wakeup: &Wakeup<T>) {
    let is_silent = (0..5).any(|_| {
        manager.poll();
        wakeup.arm();
        !readable(wakeup, 50)
    });
    assert!(is_silent, "it fires again and again, and nothing happened");
}

fn what_was_there_before_the_arm_wakes_at_once<B: Backend>() {
    let manager = up::<B>(config());
    let sa = added(&manager, 1)[0];
    let wakeup = manager.wakeup(0).unwrap();
    arm_in_silence(&manager, &wakeup);
    let ticket = manager.update(sa, hi(0, 1)).unwrap();
    // It is in memory now, and nobody has taken it.
    assert!(readable(&wakeup, PATIENCE_MS));
    wakeup.arm();
    assert!(readable(&wakeup, PATIENCE_MS), "the race that loses wake-ups");
    assert!(ticket.poll().is_some());
    wakeup.arm();
    assert!(!readable(&wakeup, 50), "everything was taken");
}

fn the_interrupt_has_one_owner<B: Backend>() {
    let manager = up::<B>(config());
    let sa = added(&manager, 1)[0];
    let wakeup = manager.wakeup(0).unwrap();
    assert!(manager.wakeup(0).is_none(), "it is taken");
    assert!(manager.wakeup(1).is_none(), "there is no such pair");
    // A wait on that pair does not take the interrupt in.
    wakeup.arm();
    done(&manager.update(sa, hi(0, 1)).unwrap());
    assert!(readable(&wakeup, PATIENCE_MS), "the wait took what was the caller's");
    drop(wakeup);
    done(&manager.update(sa, hi(0, 2)).unwrap());
    assert!(manager.wakeup(0).is_some(), "it was given back");
    drop(manager);
    let (polling, _) = open::<B>(small(), config());
    assert!(polling.wakeup(0).is_none(), "interrupts are off");
}

fn a_reset_and_a_close_wake_the_sleeper<B: Backend>() {
    let manager = up::<B>(config());
    let sa = added(&manager, 1)[0];
    let wakeup = manager.wakeup(0).unwrap();
    let file = wakeup.as_fd().try_clone_to_owned().unwrap();
    arm_in_silence(&manager, &wakeup);
    manager.recover(Verify::All).unwrap();
    assert!(readable(&file, PATIENCE_MS), "what was armed is armed no more");
    // The same file goes on.
    arm_in_silence(&manager, &wakeup);
    let ticket = manager.update(sa, hi(0, 1)).unwrap();
    assert!(readable(&file, PATIENCE_MS));
    done(&ticket);
    wakeup.arm();
    manager.close().unwrap();
    assert!(readable(&file, PATIENCE_MS));
    assert_eq!(manager.check(), Ok(()));
}

on_every_backend!(
    one_thread_sleeps_while_others_submit,
    what_was_there_before_the_arm_wakes_at_once,
    the_interrupt_has_one_owner,
    a_reset_and_a_close_wake_the_sleeper,
);
