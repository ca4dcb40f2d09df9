// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Models of sleeping, for `cargo xtask loom`: nobody sleeps over its own completion. Deadlines never
//! pass there, so a wake-up that is lost is a deadlock, which loom reports.

use super::Sleepers;
use crate::sync::plant::{Fault, Source, source};
use crate::sync::{AtomicBool, AtomicU32, Condvar, Mutex, Ordering};
use loom::thread;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

const SLEEPERS: Source = source!("pair/sleepers.rs");

/// A pair with its interrupt, as the driver uses it.
struct Pair {
    sleepers: Sleepers,
    /// Completions that the device wrote; what it is armed at; whether the interrupt has fired.
    device: Mutex<Device>,
    fired: Condvar,
    /// Whoever takes completions. A lock, since a swap of loom's may read what is long overwritten.
    reaping: Mutex<()>,
    /// Completions that reached their tickets.
    settled: AtomicU32,
    /// By ticket: it shows its outcome.
    done: [AtomicBool; 2],
}

#[derive(Default)]
struct Device {
    completed: u32,
    armed: Option<u32>,
    fired: bool,
}

impl Device {
    /// Fires if it is armed and there is a completion for it (R1).
    fn look(&mut self, fired: &Condvar) {
        if self.armed.is_some_and(|at| at < self.completed) {
            self.armed = None;
            self.fired = true;
            fired.notify_all();
        }
    }
}

impl Pair {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            sleepers: Sleepers::new(),
            device: Mutex::new(Device::default()),
            fired: Condvar::new(),
            reaping: Mutex::new(()),
            settled: 0.into(),
            done: [false.into(), false.into()],
        })
    }

    /// The device completes the next command.
    fn complete(&self) {
        let mut device = self.device.lock().unwrap();
        device.completed += 1;
        device.look(&self.fired);
    }

    fn is_done(&self, me: usize) -> bool {
        self.done[me].load(Ordering::Acquire)
    }

    /// Takes completions, if nobody else does; whether there were any.
    fn reap(&self) -> bool {
        let Ok(reaping) = self.reaping.try_lock() else {
            thread::yield_now();
            return false;
        };
        let (from, to) =
            (self.settled.load(Ordering::Relaxed), self.device.lock().unwrap().completed);
        for number in from..to {
            self.done[number as usize].store(true, Ordering::Release);
        }
        self.settled.store(to, Ordering::Release);
        if from < to {
            self.sleepers.wake();
        }
        drop(reaping);
        from < to
    }

    /// Waits for one's own ticket.
    fn wait(&self, me: usize) {
        while !self.is_done(me) {
            if self.reap() {
                continue;
            }
            let Ok(()) = self.sleepers.sleep::<Infallible>(
                Instant::now(),
                || self.is_done(me),
                || {
                    let settled = self.settled.load(Ordering::Acquire);
                    let mut device = self.device.lock().unwrap();
                    device.armed = Some(settled);
                    device.look(&self.fired);
                    drop(device);
                    if self.reap() || self.is_done(me) {
                        return Ok(());
                    }
                    let mut device = self.device.lock().unwrap();
                    while !device.fired {
                        device = self.fired.wait(device).unwrap();
                    }
                    device.fired = false;
                    Ok(())
                },
            );
        }
    }
}

/// Two threads wait for a command each; the device completes both.
fn two_wait() {
    let pair = Pair::new();
    let second = {
        let pair = pair.clone();
        thread::spawn(move || pair.wait(1))
    };
    let device = {
        let pair = pair.clone();
        thread::spawn(move || {
            pair.complete();
            pair.complete();
        })
    };
    pair.wait(0);
    second.join().unwrap();
    device.join().unwrap();
}

/// One thread sleeps behind another that has the turn; a third, which does not sleep, settles.
fn another_settles() {
    let pair = Pair::new();
    *pair.sleepers.turn() = true;
    let sleeper = {
        let pair = pair.clone();
        thread::spawn(move || {
            while !pair.is_done(0) {
                let over = || pair.is_done(0);
                let Ok(()) = pair
                    .sleepers
                    .sleep::<Infallible>(Instant::now(), over, || unreachable!("it is taken"));
            }
        })
    };
    pair.done[0].store(true, Ordering::Relaxed);
    pair.sleepers.wake();
    sleeper.join().unwrap();
}

#[test]
fn nobody_sleeps_over_its_own_completion() {
    loom::model(two_wait);
}

#[test]
fn whoever_settles_wakes() {
    loom::model(another_settles);
}

#[test]
fn mistakes_are_noticed() {
    for line in ["pairs with the fence in `sleep`.\n", "or `wake` sees who sleeps.\n"] {
        SLEEPERS.caught(line, Fault::Relaxed, "deadlock", another_settles);
    }
}
