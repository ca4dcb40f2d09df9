// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Waiting for a device that may run by itself, on a machine that may be busy with something else: for what
//! it has done, never for a time.

use super::backend::{Backend, Link};
use esnic_abi::regs::Counters;
use esnic_driver::SaManager;
use esnic_driver::transport::Transport;
use std::time::{Duration, Instant};

/// For what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Gives the device time for everything that it could do, and takes no completions.
#[track_caller]
pub fn let_it_run<B: Backend>(link: &Link<B>) {
    for _ in 0..100 {
        link.relax();
    }
    if B::RUNS {
        // Far more cycles than it takes.
        let cycles = || esnic_driver::counter(link, Counters::CYCLES);
        let (until, deadline) = (cycles() + 20_000, Instant::now() + PATIENCE);
        while cycles() < until {
            assert!(Instant::now() < deadline, "the device's clock stands still");
        }
    }
}

/// Lets driver and device work until `done`.
#[track_caller]
pub fn work_until<T: Transport>(manager: &SaManager<T>, what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for this: {what}");
        manager.poll();
        manager.transport().relax();
    }
}
