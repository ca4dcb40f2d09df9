// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A queue pair's interrupt for callers who sleep in a poll loop of their own.
//!
//! An interrupt wakes one sleeper, so it has one owner: the driver's own waits, or whoever holds the
//! [`Wakeup`].

use super::SaManager;
use crate::core::Core;
use crate::error::Error;
use crate::transport::Transport;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

/// The interrupt of one queue pair, in the hands of a caller. Dropping it gives it back.
///
/// It is a file for `poll` or `epoll`, readable when there is something to look at:
///
/// 1. [`SaManager::poll`], and look at the tickets;
/// 2. [`Wakeup::arm`], and look at the tickets once more: what another thread took before is seen now;
/// 3. sleep until the file is readable. What completes after that look makes it so, whichever thread
///    submitted it and whichever takes it.
///
/// A wake-up without anything new is possible, a sleep over something new is not. The file is
/// readable also after a reset, after [`SaManager::close`], and when the device broke the contract.
/// What a device does not do any more wakes nobody: sleep no longer than a command may take, then
/// ask [`SaManager::check`].
pub struct Wakeup<T: Transport> {
    core: Arc<Core<T>>,
    pair: u32,
}

impl<T: Transport> SaManager<T> {
    /// Takes the interrupt of queue pair `pair` from the driver. Waits for tickets of that pair look
    /// again and again from now on, with naps between.
    ///
    /// `None` if there is no such pair, somebody has its interrupt, the configuration has interrupts
    /// off, or the device lives in this process, where nothing moves while everybody sleeps.
    #[must_use]
    pub fn wakeup(&self, pair: u32) -> Option<Wakeup<T>> {
        let nic = &self.core.nic;
        let found = nic.pairs.get(pair as usize).filter(|_| nic.config.interrupts)?;
        nic.transport.interrupt_fd(vector(pair))?;
        found.lend().then(|| Wakeup { core: self.core.clone(), pair })
    }

    /// What is wrong with the device or one of its queue pairs, if anything is; also whether somebody
    /// else reset it. Says nothing of that once it is closed. Costs two register reads and one a pair.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), Error> {
        self.core.nic.check()
    }
}

impl<T: Transport> Wakeup<T> {
    /// Takes in what has fired, and asks for one interrupt at the next completion that no ticket
    /// shows yet; if there is one already, it fires at once (R1).
    pub fn arm(&self) {
        let t = &self.core.nic.transport;
        // In this order: what fires in between stays readable. A vector that a reset has off has
        // nothing to take in, and the end of the reset makes the file readable.
        let _ = t.wait_interrupt(vector(self.pair), Instant::now());
        self.core.pair(self.pair as usize).arm(t);
    }
}

impl<T: Transport> AsFd for Wakeup<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let fd = self.core.nic.transport.interrupt_fd(vector(self.pair));
        fd.expect("a transport keeps the file of an interrupt until it goes")
    }
}

impl<T: Transport> Drop for Wakeup<T> {
    fn drop(&mut self) {
        self.core.pair(self.pair as usize).give_back();
    }
}

impl<T: Transport> Core<T> {
    /// Wakes every caller who sleeps on an interrupt: something happened that no completion tells.
    pub(crate) fn rouse(&self) {
        for pair in self.nic.pairs.iter().filter(|pair| pair.is_lent()) {
            let fd = self.nic.transport.interrupt_fd(vector(pair.number));
            let Some(Ok(fd)) = fd.map(|fd| fd.try_clone_to_owned()) else { continue };
            // An eventfd that is full is readable already.
            let _ = File::from(fd).write(&1u64.to_ne_bytes());
        }
    }
}

/// The vector of a queue pair (§1 of the device manual).
fn vector(pair: u32) -> u16 {
    u16::try_from(pair).expect("a device has at most 64 queue pairs")
}
