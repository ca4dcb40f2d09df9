// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Threads that sleep until a completion comes. One at a time waits for the pair's interrupt, which
//! wakes one thread and no more; the others wait for that one, and for whoever settles a command.

use crate::sync::{AtomicU32, Condvar, Mutex, MutexGuard, Ordering, fence};
use std::sync::PoisonError;
use std::time::Instant;

/// Who sleeps on one queue pair.
pub(crate) struct Sleepers {
    /// How many sleep without having the turn.
    behind: AtomicU32,
    /// Whether somebody has the turn of waiting for the interrupt.
    turn: Mutex<bool>,
    woken: Condvar,
}

/// The turn. Whoever goes leaves it to those who sleep.
struct Turn<'s>(&'s Sleepers);

impl Sleepers {
    pub(crate) fn new() -> Self {
        Self { behind: 0.into(), turn: Mutex::new(false), woken: Condvar::new() }
    }

    /// Sleeps once, until `deadline` at the latest: by `interrupt`, if nobody else does that now;
    /// otherwise until somebody settles a command or leaves the turn. Does not begin to sleep once
    /// `over`, which is what the caller waits for. Any call may return early.
    pub(crate) fn sleep<E>(
        &self,
        deadline: Instant,
        over: impl Fn() -> bool,
        interrupt: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let mut turn = self.turn();
        if !*turn {
            *turn = true;
            drop(turn);
            let _turn = Turn(self);
            return interrupt();
        }
        self.behind.fetch_add(1, Ordering::Relaxed);
        // Before looking: either this look sees what was settled, or `wake` sees who sleeps.
        fence(Ordering::SeqCst);
        if !over() {
            let left = deadline.saturating_duration_since(Instant::now());
            let woken = self.woken.wait_timeout(turn, left);
            drop(woken.unwrap_or_else(PoisonError::into_inner));
        }
        self.behind.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    /// Wakes those who sleep without the turn: commands were settled. The one that has the turn is
    /// woken by the interrupt of the same completions.
    pub(crate) fn wake(&self) {
        // Behind the settling: pairs with the fence in `sleep`.
        fence(Ordering::SeqCst);
        if self.behind.load(Ordering::Relaxed) > 0 {
            // Not between somebody's look and its sleep.
            drop(self.turn());
            self.woken.notify_all();
        }
    }

    fn turn(&self) -> MutexGuard<'_, bool> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.turn() = false;
        // All of them: one alone might have nothing more to wait for, and not take the turn.
        self.0.woken.notify_all();
    }
}

#[cfg(all(test, loom))]
mod models;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    /// Longer than any test runs.
    fn never() -> Instant {
        Instant::now() + Duration::from_secs(3600)
    }

    fn wait_until(what: impl Fn() -> bool) {
        while !what() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn whoever_sleeps_behind_another_is_woken_by_the_settling() {
        let (sleepers, over) = (Sleepers::new(), AtomicBool::new(false));
        let fired = Barrier::new(2);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                let interrupt = || {
                    fired.wait();
                    Ok(())
                };
                sleepers.sleep::<Infallible>(never(), || false, interrupt)
            });
            wait_until(|| *sleepers.turn());
            let second = scope.spawn(|| {
                let is_over = || over.load(Ordering::Acquire);
                while !is_over() {
                    let Ok(()) = sleepers
                        .sleep::<Infallible>(never(), is_over, || panic!("the turn is taken"));
                }
            });
            wait_until(|| sleepers.behind.load(Ordering::Relaxed) == 1);
            // Nothing was settled for it: it goes on sleeping.
            sleepers.wake();
            wait_until(|| sleepers.behind.load(Ordering::Relaxed) == 1);
            over.store(true, Ordering::Release);
            sleepers.wake();
            second.join().unwrap();
            assert!(!first.is_finished());
            fired.wait();
            let Ok(()) = first.join().unwrap();
        });
        assert!(!*sleepers.turn());
    }

    #[test]
    fn the_turn_is_left_to_the_next_also_by_an_error() {
        let sleepers = Sleepers::new();
        let fired = Barrier::new(2);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                let interrupt = || {
                    fired.wait();
                    Err(())
                };
                sleepers.sleep(never(), || false, interrupt)
            });
            wait_until(|| *sleepers.turn());
            let second = scope.spawn(|| {
                let mut turns = 0;
                while turns == 0 {
                    let interrupt = || {
                        turns += 1;
                        Ok(())
                    };
                    let Ok(()) = sleepers.sleep::<Infallible>(never(), || false, interrupt);
                }
            });
            wait_until(|| sleepers.behind.load(Ordering::Relaxed) == 1);
            fired.wait();
            assert_eq!(first.join().unwrap(), Err(()));
            second.join().unwrap();
        });
    }

    #[test]
    fn a_sleep_ends_at_its_deadline() {
        let sleepers = Sleepers::new();
        let begun = Instant::now();
        let until = begun + Duration::from_millis(20);
        *sleepers.turn() = true;
        let Ok(()) = sleepers.sleep::<Infallible>(until, || false, || panic!("taken"));
        assert!(begun.elapsed() < Duration::from_secs(3600));
    }
}
