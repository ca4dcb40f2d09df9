// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A queue pair: both rings, the direct doorbells, the pending table, and the credit that keeps
//! commands within the completion ring (R8).

mod credit;
mod plausible;
mod reap;
mod sleepers;

use crate::config::Limits;
use crate::cq::{CompletionRing, Violation};
use crate::direct::DirectRing;
use crate::dma::DmaAccess;
use crate::error::Error;
use crate::pending::{Kind, Pending};
use crate::regs;
use crate::sq::{Refusal, SubmissionRing};
use crate::transport::Transport;
use credit::Credit;
use crossbeam::utils::CachePadded;
use esnic_abi::regs::{Doorbell, QueuePair as Register, queue_pair};
use esnic_abi::{Bare, Epoch, Opcode, QpCause, QpState, RingIndex, SQ_SLOT_BYTES};
use sleepers::Sleepers;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

/// A queue pair.
pub(crate) struct QueuePair {
    pub(crate) number: u32,
    pub(crate) pending: Pending,
    pub(crate) direct: DirectRing,
    sq: SubmissionRing,
    cq: CompletionRing,
    sq_log2: u32,
    credit: Credit,
    /// Whoever sets it is the one that takes completions.
    reaping: CachePadded<AtomicBool>,
    /// Ring index before which every completion has reached its ticket.
    settled: CachePadded<AtomicU32>,
    /// Threads of the driver's own waits.
    pub(crate) sleepers: Sleepers,
    /// The interrupt is a caller's: no wait of the driver's takes it in.
    lent: AtomicBool,
    /// What broke the contract first; then nothing more is taken until a reset.
    violated: AtomicBool,
    evidence: Mutex<Option<Violation>>,
}

impl QueuePair {
    /// Allocates a pair; it is off until [`Self::start`].
    pub(crate) fn new<T: Transport>(t: &T, number: u32, limits: &Limits) -> Result<Self, Error> {
        let sq_bytes = (SQ_SLOT_BYTES as usize) << limits.sq_log2;
        let cq_bytes = (esnic_abi::CQ_ENTRY_BYTES as usize) << limits.cq_log2;
        let sq = t.dma_alloc(sq_bytes, DmaAccess::DeviceReads)?;
        let cq = t.dma_alloc(cq_bytes, DmaAccess::DeviceWrites)?;
        Ok(Self {
            number,
            // Twice as many as can be in flight: tickets whose outcome nobody has looked at yet do
            // not stop others from submitting. And once more that for commands without a ticket.
            pending: Pending::new(limits.cq_log2 + 1),
            direct: DirectRing::new(limits.direct_log2),
            sq: SubmissionRing::new(sq, limits.sq_log2, limits.start),
            cq: CompletionRing::new(cq, limits.cq_log2, limits.start),
            sq_log2: limits.sq_log2,
            credit: Credit::new(1 << limits.cq_log2),
            reaping: CachePadded::new(false.into()),
            settled: CachePadded::new(limits.start.into()),
            sleepers: Sleepers::new(),
            lent: false.into(),
            violated: false.into(),
            evidence: Mutex::new(None),
        })
    }

    /// Configures and enables the pair, in a device that is RUNNING.
    pub(crate) fn start<T: Transport>(
        &self,
        t: &T,
        start: u32,
        within: Duration,
    ) -> Result<(), Error> {
        {
            // Whoever still looks for completions of the time before must not see this half done.
            let _alone = self.alone(within)?;
            self.sq.restart(start);
            self.cq.restart(start);
            self.direct.restart();
            self.credit.restart();
            self.settled.store(start, Ordering::Release);
            self.violated.store(false, Ordering::Relaxed);
        }
        let n = self.number;
        let sizes = queue_pair::RING_SIZE::SQ_LOG2.put(0, self.sq_log2);
        let sizes = queue_pair::RING_SIZE::CQ_LOG2.put(sizes, self.cq.len().ilog2());
        let written = [
            (Register::SQ_BASE, self.sq.memory().iova().0),
            (Register::CQ_BASE, self.cq.memory().iova().0),
        ];
        for (register, value) in written {
            regs::set_queue_pair64(t, n, register, value);
        }
        regs::set_queue_pair(t, n, Register::RING_SIZE, sizes);
        regs::set_queue_pair(t, n, Register::START, start);
        // Read back: a device that keeps something else would read and write elsewhere.
        let kept = written.iter().all(|&(r, v)| regs::queue_pair64(t, n, r) == v)
            && regs::queue_pair(t, n, Register::RING_SIZE) == sizes
            && regs::queue_pair(t, n, Register::START) == start;
        if !kept {
            let what = format!("queue pair {n} does not keep its configuration");
            return Err(Error::Misbehaves { what });
        }
        t.store_fence();
        regs::set_queue_pair(t, n, Register::QP_CTRL, queue_pair::QP_CTRL::ENABLE.put(0, 1));
        self.await_state(t, QpState::Enabled, "start", within)
    }

    /// Turns the pair off. When this returns without error, every command's fate is known (R25).
    pub(crate) fn stop<T: Transport>(&self, t: &T, within: Duration) -> Result<(), Error> {
        regs::set_queue_pair(t, self.number, Register::QP_CTRL, 0);
        self.await_state(t, QpState::Disabled, "stop", within)
    }

    fn await_state<T: Transport>(
        &self,
        t: &T,
        wanted: QpState,
        what: &'static str,
        within: Duration,
    ) -> Result<(), Error> {
        let begun = Instant::now();
        loop {
            // Before the look: what it shows afterwards is not too late, however long this thread stood still.
            let late = begun.elapsed() >= within;
            let status = regs::queue_pair(t, self.number, Register::QP_STATUS);
            if status == u32::MAX {
                return Err(Error::Gone);
            }
            let state = state(status);
            if state == Some(wanted) {
                return Ok(());
            }
            if state == Some(QpState::Error) && wanted != QpState::Disabled {
                return Err(self.error(t, status));
            }
            if late {
                let (pair, waited) = (self.number, begun.elapsed());
                return Err(Error::QueuePairTimeout { pair, what, waited });
            }
            t.relax();
        }
    }

    /// What is wrong with the pair: what it did, or what the device says about it. Else its state.
    pub(crate) fn check<T: Transport>(&self, t: &T) -> Result<Option<QpState>, Error> {
        let status = regs::queue_pair(t, self.number, Register::QP_STATUS);
        if status == u32::MAX {
            return Err(Error::Gone);
        }
        match (self.evidence(), state(status)) {
            (Some(violation), _) => Err(violation.into()),
            (None, Some(QpState::Error)) => Err(self.error(t, status)),
            (None, state) => Ok(state),
        }
    }

    fn error<T: Transport>(&self, t: &T, status: u32) -> Error {
        let cause = queue_pair::QP_STATUS::CAUSE.get(status);
        Error::QueuePair {
            pair: self.number,
            cause: u8::try_from(cause).ok().and_then(QpCause::from_code),
            address: regs::queue_pair64(t, self.number, Register::QP_ERR_ADDR),
        }
    }

    /// Takes credit for one command; false if the completion ring could not hold its completion.
    pub(crate) fn reserve(&self) -> bool {
        self.credit.take()
    }

    /// Gives credit back for a command that was not published.
    pub(crate) fn unreserve(&self) {
        self.credit.give(1);
    }

    /// Commands that have no consumed completion.
    pub(crate) fn in_flight(&self) -> u32 {
        self.credit.taken()
    }

    /// Entries of the pending table in use.
    pub(crate) fn used(&self) -> usize {
        self.pending.used()
    }

    /// Claims ring slots for one command. Where two must begin on an even slot and the ring stands
    /// on an odd one, a NOP fills the gap (R9).
    pub(crate) fn claim(&self, slots: u32, epoch: Epoch) -> Option<RingIndex> {
        // Others may make the ring odd again between the NOP and the claim; then it is their turn.
        for _ in 0..4 {
            match self.sq.claim(slots) {
                Ok(at) => return Some(at),
                Err(Refusal::Full) => return None,
                Err(Refusal::Odd) => self.fill_gap(epoch)?,
            }
        }
        None
    }

    fn fill_gap(&self, epoch: Epoch) -> Option<()> {
        if !self.reserve() {
            return None;
        }
        let kind = Kind { opcode: Opcode::Nop, detail: 0, targets: 0, direct: 0 };
        let Some(number) = self.pending.take(kind, &[], false) else {
            self.unreserve();
            return None;
        };
        let Ok(at) = self.sq.claim(1) else {
            self.pending.untake(number);
            self.unreserve();
            return None;
        };
        let mut nop = Bare::default();
        nop.header.opcode = Opcode::Nop as u8;
        nop.header.epoch = epoch.0.into();
        nop.header.cookie = self.pending.cookie(number).0.into();
        self.sq.fill(at, nop.as_bytes());
        Some(())
    }

    /// Fills claimed slots.
    pub(crate) fn fill(&self, at: RingIndex, command: &[u8]) {
        self.sq.fill(at, command);
    }

    /// Tells the device of everything that is ready (R40).
    pub(crate) fn publish<T: Transport>(&self, t: &T) {
        if let Some(tail) = self.sq.publish() {
            // The slots before the doorbell: pairs with the device's fetch.
            t.store_fence();
            regs::ring(t, self.number, Doorbell::SQ_TAIL, tail.0);
        }
    }

    /// Asks for one interrupt as soon as there is a completion that was not settled (R1). One that
    /// came in between makes it fire at once, so no wake-up is lost; and so does one that another
    /// thread is about to settle, since whoever looks at its ticket now finds it open.
    pub(crate) fn arm<T: Transport>(&self, t: &T) {
        regs::ring(t, self.number, Doorbell::CQ_ARM, self.settled.load(Ordering::Acquire));
    }

    /// Takes the interrupt from the driver; false if a caller has it already.
    pub(crate) fn lend(&self) -> bool {
        !self.lent.swap(true, Ordering::AcqRel)
    }

    /// Gives the interrupt back to the driver.
    pub(crate) fn give_back(&self) {
        self.lent.store(false, Ordering::Release);
    }

    /// Whether a caller has the interrupt.
    pub(crate) fn is_lent(&self) -> bool {
        self.lent.load(Ordering::Acquire)
    }

    /// Submission tail that the device was told.
    pub(crate) fn tail(&self) -> u32 {
        self.sq.tail().0
    }

    /// Completions that were taken, as a ring index.
    pub(crate) fn seen(&self) -> u32 {
        self.cq.next().0
    }

    /// What broke the contract, if anything did since the last start.
    pub(crate) fn evidence(&self) -> Option<Violation> {
        if self.violated.load(Ordering::Acquire) { *self.kept() } else { None }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Violation>> {
        self.evidence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wipes the commands in the ring, of a pair that is off for good.
    pub(crate) fn wipe(&self) {
        self.sq.restart(self.sq.tail().0);
    }
}

fn state(status: u32) -> Option<QpState> {
    u8::try_from(queue_pair::QP_STATUS::STATE.get(status)).ok().and_then(QpState::from_code)
}
