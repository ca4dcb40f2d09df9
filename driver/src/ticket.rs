// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a caller holds of a submitted command: wait, poll, have called back, or let go.

use crate::callback::CallbackId;
use crate::core::Core;
use crate::error::Error;
use crate::pending::{NONE, Settled};
use crate::regs;
use crate::transport::Transport;
use esnic_abi::Status;
use esnic_abi::regs::QueuePair;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub use crate::pending::Outcome;

/// Why a wait ended without an outcome. The command may still be carried out; the ticket stays good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The deadline passed.
    #[error("no completion within {waited:?}: {suspicion}")]
    Timeout {
        /// How long the wait was.
        waited: Duration,
        /// What it looks like.
        suspicion: Suspicion,
    },
    /// The device is in no state to complete anything, for the reason that is told; reset it.
    #[error(transparent)]
    Device(#[from] Error),
}

/// What a missing completion looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Suspicion {
    /// The device counts completions that memory does not show (R46).
    #[error(
        "the device wrote completions that did not arrive; DMA fault suspected, see the kernel log \
         for IOMMU faults"
    )]
    DmaWrite,
    /// The device has not even fetched the command.
    #[error(
        "the device does not fetch commands; DMA fault or a stopped device suspected, see the kernel \
         log for IOMMU faults and recover the device"
    )]
    NotFetched,
    /// There was never room for the command.
    #[error(
        "there is no room for the command, outcomes that nobody has looked at fill the table; look at \
         tickets, or drop them"
    )]
    NotSubmitted,
    /// The device fetched it and says nothing.
    #[error(
        "the device fetched the command and does not complete it; wait longer, or recover the device"
    )]
    NotCompleted,
}

/// How often a wait looks for completions before it sleeps, where interrupts are on.
const SPINS: u32 = 64;

/// How long a wait sleeps between two looks where a caller has the interrupt.
const NAP: Duration = Duration::from_micros(50);

/// How often a wait looks whether the device is still well.
pub(crate) const LOOK_AFTER: Duration = Duration::from_millis(10);

/// A submitted command. Dropping the ticket lets the command go on; the shadow follows it anyway.
pub struct Ticket<T: Transport> {
    core: Arc<Core<T>>,
    pair: usize,
    /// [`NONE`] once a callback has taken over.
    number: u32,
}

impl<T: Transport> Ticket<T> {
    pub(crate) fn new(core: &Arc<Core<T>>, pair: usize, number: u32) -> Self {
        Self { core: core.clone(), pair, number }
    }

    /// The outcome, if it is there. Takes completions; never waits.
    #[must_use]
    pub fn poll(&self) -> Option<Settled> {
        let pending = &self.core.pair(self.pair).pending;
        pending.poll(self.number).or_else(|| {
            self.core.poll();
            pending.poll(self.number)
        })
    }

    /// Waits for the outcome until `deadline`.
    ///
    /// # Errors
    /// If the deadline passes first, or the device is gone, stopped, broken or reset by somebody else.
    pub fn wait(&self, deadline: Instant) -> Result<Settled, WaitError> {
        wait(&self.core, self.pair, self.number, deadline)
    }

    /// Waits as long as the configuration allows a command.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub fn wait_default(&self) -> Result<Settled, WaitError> {
        self.wait(Instant::now() + self.core.nic.config.timeouts.command)
    }

    /// Queue pair and number of the command.
    pub(crate) fn place(&self) -> (usize, u32) {
        (self.pair, self.number)
    }

    /// Has `callback` called with `token` once the command is settled; at once if it is already.
    pub fn notify(self, callback: CallbackId, token: u64) {
        let due = self.core.pair(self.pair).pending.attach(self.number, callback.0, token);
        if let Some(due) = due {
            self.core.callbacks.call(due.callback, due.token, due.settled);
        }
        // The callback has the ticket's part now.
        let mut this = self;
        this.number = NONE;
    }

    /// Gives up on the outcome: returns it if it is there already. Otherwise the command, which the
    /// device may have begun, goes on, and the shadow will follow it; it is never half done.
    #[must_use]
    pub fn cancel(self) -> Option<Settled> {
        self.core.pair(self.pair).pending.poll(self.number)
    }
}

impl<T: Transport> Drop for Ticket<T> {
    fn drop(&mut self) {
        if self.number != NONE {
            self.core.pair(self.pair).pending.let_go(self.number);
        }
    }
}

/// Waits for one entry of one pair.
pub(crate) fn wait<T: Transport>(
    core: &Core<T>,
    pair: usize,
    number: u32,
    deadline: Instant,
) -> Result<Settled, WaitError> {
    let pending = &core.pair(pair).pending;
    if let Some(settled) = pending.poll(number) {
        return Ok(settled);
    }
    let mut look = None;
    let mut idle = 0;
    let begun = Instant::now();
    loop {
        if let Some(settled) = pending.poll(number) {
            return Ok(settled);
        }
        // Before the look: what it finds came in time, however long this thread stood still.
        let now = Instant::now();
        let busy = core.poll() > 0;
        idle = if busy { 0 } else { idle + 1 };
        let late = now >= deadline && pending.poll(number).is_none();
        if late || now >= *look.get_or_insert(now + LOOK_AFTER) {
            if let Err(error) = core.nic.check_pair(pair) {
                // What was completed before the device came to that has its outcome all the same.
                core.poll();
                return pending.poll(number).ok_or(WaitError::Device(error));
            }
            look = Some(now + LOOK_AFTER);
        }
        if late {
            core.doubt(pair, number);
            core.tallies.timeouts.fetch_add(1, Ordering::Relaxed);
            let (waited, suspicion) = (begun.elapsed(), suspect(core, pair));
            return Err(WaitError::Timeout { waited, suspicion });
        }
        if busy {
            continue;
        }
        if core.pair(pair).is_lent() && idle > SPINS {
            std::thread::sleep(NAP);
        } else if core.nic.config.interrupts && idle > SPINS {
            sleep(core, pair, number, deadline.min(now + LOOK_AFTER))?;
        } else {
            core.nic.transport.relax();
        }
    }
}

/// Sleeps until the pair's interrupt, or until somebody has to look at the clock again.
fn sleep<T: Transport>(
    core: &Core<T>,
    pair: usize,
    number: u32,
    until: Instant,
) -> Result<(), WaitError> {
    let (t, queues) = (&core.nic.transport, core.pair(pair));
    let is_settled = || queues.pending.poll(number).is_some();
    queues.sleepers.sleep(until, is_settled, || {
        queues.arm(t);
        // What came between the last look and the arming: another thread may have taken it, and then
        // no interrupt follows.
        if core.poll() > 0 || is_settled() {
            return Ok(());
        }
        let vector = u16::try_from(queues.number).expect("a device has at most 64 queue pairs");
        let before = core.nic.resets.now();
        match t.wait_interrupt(vector, until) {
            // A reset of the driver's own turns interrupts off; it settles the command, too.
            Err(_) if core.nic.resets.any_since(before) => std::thread::sleep(NAP),
            Err(error) => {
                // Why it cannot be waited for tells more: somebody else's reset turns them off, too.
                core.nic.check_pair(pair)?;
                return Err(error.into());
            }
            Ok(_) => {}
        }
        Ok(())
    })
}

fn suspect<T: Transport>(core: &Core<T>, pair: usize) -> Suspicion {
    let pair = core.pair(pair);
    let told = regs::queue_pair(&core.nic.transport, pair.number, QueuePair::CQ_TAIL);
    let fetched = regs::queue_pair(&core.nic.transport, pair.number, QueuePair::SQ_HEAD);
    if told != pair.seen() {
        Suspicion::DmaWrite
    } else if fetched != pair.tail() {
        Suspicion::NotFetched
    } else {
        Suspicion::NotCompleted
    }
}

impl Outcome {
    /// Whether the command did what was asked.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.status == Status::Ok
    }
}

impl Settled {
    /// The outcome, if the device completed the command.
    #[must_use]
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Completed(outcome) => Some(outcome),
            Self::Aborted => None,
        }
    }

    /// Whether the device completed the command with OK.
    #[must_use]
    pub fn is_ok(self) -> bool {
        self.outcome().is_some_and(|outcome| outcome.is_ok())
    }
}

impl std::fmt::Display for Settled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Completed(outcome) => {
                f.write_str(&crate::sa::describe(outcome.status, outcome.result))
            }
            Self::Aborted => f.write_str("aborted by a reset"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_fails_says_what_it_looks_like_and_what_to_do() {
        for suspicion in [
            Suspicion::DmaWrite,
            Suspicion::NotFetched,
            Suspicion::NotSubmitted,
            Suspicion::NotCompleted,
        ] {
            let remedy = match suspicion {
                Suspicion::DmaWrite => "see the kernel log",
                Suspicion::NotFetched | Suspicion::NotCompleted => "recover the device",
                Suspicion::NotSubmitted => "look at tickets, or drop them",
            };
            let waited = Duration::from_secs(1);
            let text = WaitError::Timeout { waited, suspicion }.to_string();
            assert!(text.starts_with("no completion within 1s: "), "{text}");
            assert!(text.contains(remedy), "{text}");
        }
        let text = WaitError::Device(Error::Closed).to_string();
        assert_eq!(text, Error::Closed.to_string(), "the reason, once");
    }
}
