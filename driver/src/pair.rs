// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A queue pair: both rings, the direct doorbells, the pending table, and the credit that keeps
//! commands within the completion ring (R8).

use crate::cq::{Broken, CompletionRing, Violation, violation};
use crate::direct::DirectRing;
use crate::dma::DmaAccess;
use crate::error::Error;
use crate::nic::Limits;
use crate::pending::{Entry, Kind, Notify, Outcome, Pending};
use crate::regs;
use crate::sq::{Refusal, SubmissionRing};
use crate::transport::Transport;
use crossbeam::utils::CachePadded;
use esnic_abi::regs::{Doorbell, QueuePair as Register, queue_pair};
use esnic_abi::{
    Bare, Completion, Epoch, Opcode, QpCause, QpState, RingIndex, SQ_SLOT_BYTES, Status,
};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

/// Whoever has it is the one that takes completions. Given back on drop, so that a callback that
/// panics does not stop everybody else.
pub(crate) struct Reaping<'p> {
    pair: &'p QueuePair,
    /// Commands whose credit is to be given back.
    settled: u32,
}

impl Drop for Reaping<'_> {
    fn drop(&mut self) {
        // Release: pairs with `reserve`; entries are free before their credit is.
        let settled = self.settled;
        self.pair.in_flight.fetch_sub(settled, Ordering::Release);
        // Release: the next one sees what this one left.
        self.pair.reaping.store(false, Ordering::Release);
    }
}

/// A queue pair.
pub(crate) struct QueuePair {
    pub(crate) number: u32,
    pub(crate) pending: Pending,
    pub(crate) direct: DirectRing,
    sq: SubmissionRing,
    cq: CompletionRing,
    sq_log2: u32,
    /// Commands without consumed completion, by ring and direct together.
    in_flight: CachePadded<AtomicU32>,
    /// Whoever sets it is the one that takes completions.
    reaping: CachePadded<AtomicBool>,
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
            in_flight: CachePadded::new(0.into()),
            reaping: CachePadded::new(false.into()),
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
            self.in_flight.store(0, Ordering::Relaxed);
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
            return Err(Error::Config { what });
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
            if begun.elapsed() >= within {
                let (pair, waited) = (self.number, begun.elapsed());
                return Err(Error::QueuePairTimeout { pair, what, waited });
            }
            t.relax();
        }
    }

    /// What is wrong with the pair: what it did, or what the device says about it.
    pub(crate) fn check<T: Transport>(&self, t: &T) -> Result<(), Error> {
        let status = regs::queue_pair(t, self.number, Register::QP_STATUS);
        if status == u32::MAX {
            return Err(Error::Gone);
        }
        match (self.evidence(), state(status)) {
            (Some(violation), _) => Err(violation.into()),
            (None, Some(QpState::Error)) => Err(self.error(t, status)),
            (None, _) => Ok(()),
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
        let limit = self.cq.len();
        let mut now = self.in_flight.load(Ordering::Relaxed);
        while now < limit {
            // Acquire: pairs with the release in `reap`.
            let taken = self.in_flight.compare_exchange_weak(
                now,
                now + 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            match taken {
                Ok(_) => return true,
                Err(other) => now = other,
            }
        }
        false
    }

    /// Gives credit back for a command that was not published.
    pub(crate) fn unreserve(&self) {
        self.in_flight.fetch_sub(1, Ordering::Release);
    }

    /// Commands that have no consumed completion.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
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

    /// Submission tail that the device was told.
    pub(crate) fn tail(&self) -> u32 {
        self.sq.tail().0
    }

    /// Completions that were taken, as a ring index.
    pub(crate) fn seen(&self) -> u32 {
        self.cq.next().0
    }

    /// The right to take completions, if nobody has it.
    fn try_reap(&self) -> Option<Reaping<'_>> {
        // Acquire: what the one before us left is visible.
        let taken = self.reaping.swap(true, Ordering::Acquire);
        (!taken).then(|| Reaping { pair: self, settled: 0 })
    }

    /// Waits until nobody takes completions, and keeps it so.
    fn alone(&self, within: Duration) -> Result<Reaping<'_>, Error> {
        let begun = Instant::now();
        loop {
            if let Some(alone) = self.try_reap() {
                return Ok(alone);
            }
            if begun.elapsed() >= within {
                let what = "a callback does not return; it holds up the reset".to_owned();
                return Err(Error::Config { what });
            }
            std::thread::yield_now();
        }
    }

    /// Takes completions that are there, one round of the ring at the most. `settle` learns of each,
    /// checks what only it can check, and says the operation's outcome; `notify` gets the callbacks
    /// that are due. On the first completion that breaks the contract the pair is told to stop, and
    /// `stop` is called. Returns how many were taken, 0 also if somebody else is at it.
    pub(crate) fn reap<T: Transport>(
        &self,
        t: &T,
        settle: impl FnMut(u32, &Entry, &Outcome) -> Result<(), Broken>,
        notify: impl FnMut(Notify),
        stop: impl FnOnce(),
    ) -> u32 {
        let Some(mut reaping) = self.try_reap() else {
            return 0;
        };
        if self.violated.load(Ordering::Relaxed) {
            return 0;
        }
        let taken = self.take(&mut reaping, settle, notify);
        if self.violated.load(Ordering::Relaxed) {
            regs::set_queue_pair(t, self.number, Register::QP_CTRL, 0);
            stop();
        } else if self.cq.untold() >= self.cq.len() / 2 {
            regs::ring(t, self.number, Doorbell::CQ_HEAD, self.cq.tell().0);
        }
        taken
    }

    fn take(
        &self,
        reaping: &mut Reaping<'_>,
        mut settle: impl FnMut(u32, &Entry, &Outcome) -> Result<(), Broken>,
        mut notify: impl FnMut(Notify),
    ) -> u32 {
        let mut taken = 0;
        while taken < self.cq.len() && !self.violated.load(Ordering::Relaxed) {
            let at = self.cq.next();
            let Some(completion) = self.cq.pop() else {
                break;
            };
            taken += 1;
            match self.accept(&completion, &mut settle) {
                Ok(due) => {
                    reaping.settled += 1;
                    due.into_iter().for_each(&mut notify);
                }
                Err(broken) => {
                    // Stop believing the device until it is reset.
                    *self.kept() = Some(violation(self.number, at, &completion, broken));
                    self.violated.store(true, Ordering::Release);
                }
            }
        }
        taken
    }

    fn accept(
        &self,
        completion: &Completion,
        settle: &mut impl FnMut(u32, &Entry, &Outcome) -> Result<(), Broken>,
    ) -> Result<Option<Notify>, Broken> {
        let cookie = completion.cookie.get();
        let number = self.pending.find(cookie)?;
        let entry = self.pending.entry(number);
        let kind = entry.kind();
        let info = u32::from(completion.info);
        let status = Status::from_code(completion.status).ok_or(Broken::Status)?;
        // A STAGE completion cannot name the opcode: nothing that is staged is believed (4.7).
        let opcode = if status == Status::Stage { 0 } else { kind.opcode as u32 };
        if Completion::OPCODE.get(info) != opcode {
            return Err(Broken::Opcode);
        }
        if !possible(kind, status) {
            return Err(Broken::StatusImpossible);
        }
        let head = self.fetched(completion.sq_head.get()).ok_or(Broken::SqHead)?;
        let outcome = Outcome {
            status,
            result: completion.result.get(),
            lo_valid: Completion::LO_VALID.is_set(info),
            changed: Completion::CHANGED.is_set(info),
        };
        if !consistent(kind, &outcome) {
            return Err(Broken::Result);
        }
        if !self.sq.retire(head) {
            return Err(Broken::SqHead);
        }
        settle(number, entry, &outcome)?;
        if kind.direct > 0 {
            self.direct.release(u32::from(kind.direct) - 1);
        }
        Ok(self.pending.finish(number))
    }

    /// The ring index whose low 16 bits the device reports, if it lies between what was fetched
    /// before and what was told.
    fn fetched(&self, low: u16) -> Option<RingIndex> {
        let head = self.sq.head();
        #[allow(clippy::cast_possible_truncation)]
        let step = u32::from(low.wrapping_sub(head.0 as u16));
        (step <= self.sq.tail().since(head)).then(|| head.plus(step))
    }

    /// What broke the contract, if anything did since the last start.
    pub(crate) fn evidence(&self) -> Option<Violation> {
        if self.violated.load(Ordering::Acquire) { *self.kept() } else { None }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Violation>> {
        self.evidence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Settles every command that is still pending, after a reset: nobody submits and the device
    /// does nothing. What it completed before it stopped, `settle` learns of as ever; what it did
    /// not, `abort` does.
    pub(crate) fn abort(
        &self,
        within: Duration,
        mut settle: impl FnMut(u32, &Entry, &Outcome) -> Result<(), Broken>,
        mut abort: impl FnMut(&Entry),
        mut notify: impl FnMut(Notify),
    ) -> Result<(), Error> {
        let mut alone = self.alone(within)?;
        while self.take(&mut alone, &mut settle, &mut notify) > 0 {}
        for number in self.pending.numbers() {
            let entry = self.pending.entry(number);
            if entry.is_open() {
                alone.settled += 1;
                abort(entry);
                self.pending.finish(number).into_iter().for_each(&mut notify);
            }
        }
        Ok(())
    }

    /// Wipes the commands in the ring, of a pair that is off for good.
    pub(crate) fn wipe(&self) {
        self.sq.restart(self.sq.tail().0);
    }
}

fn state(status: u32) -> Option<QpState> {
    u8::try_from(queue_pair::QP_STATUS::STATE.get(status)).ok().and_then(QpState::from_code)
}

/// Which statuses a command can end with (4.7); of these, the driver's own encoder rules out none,
/// since a device of another build may refuse what this one takes.
fn possible(kind: Kind, status: Status) -> bool {
    use Opcode as O;
    use Status as S;
    let opcode = kind.opcode;
    match status {
        S::Ok => opcode != O::AddSecond,
        S::Stage => kind.direct > 0,
        S::BadOpcode | S::BadEpoch | S::BadField => true,
        S::BadPair | S::Occupied | S::OldGeneration => opcode == O::Add,
        S::Unsupported => matches!(opcode, O::Add | O::Query | O::Resolve),
        S::BadIndex => !matches!(opcode, O::Nop | O::Fence | O::Update4),
        S::Draining => opcode == O::Delete,
        S::Empty | S::Stale => {
            matches!(opcode, O::Update | O::Delete | O::Query | O::Resolve)
        }
        S::WrongProto | S::WrongSpi | S::NotEsn | S::Conflict | S::Backward => opcode == O::Update,
        S::Verify => matches!(opcode, O::Add | O::Delete),
        S::DmaError => opcode == O::Query,
        S::Items => opcode == O::Update4,
    }
}

/// Whether result and `changed` are as the status has them (4.7, R14). What depends on the command's
/// content is up to whoever settles it.
fn consistent(kind: Kind, outcome: &Outcome) -> bool {
    use Opcode as O;
    use Status as S;
    let result = match outcome.status {
        S::Ok => !matches!(kind.opcode, O::Nop | O::Fence) || outcome.result == 0,
        S::Items | S::DmaError | S::NotEsn | S::Conflict | S::Backward => true,
        S::Occupied | S::OldGeneration | S::Draining | S::Empty | S::Stale => {
            outcome.result <= u64::from(u32::MAX)
        }
        S::Stage
        | S::BadOpcode
        | S::BadEpoch
        | S::BadPair
        | S::BadField
        | S::BadIndex
        | S::Unsupported
        | S::WrongProto
        | S::WrongSpi
        | S::Verify => outcome.result == 0,
    };
    let changed = match (outcome.status, kind.opcode) {
        (S::Ok, O::Add | O::Delete) => outcome.changed,
        (S::Ok, O::Nop | O::Fence | O::Query) => !outcome.changed,
        (S::Ok | S::Items | S::Verify, _) => true,
        _ => !outcome.changed,
    };
    result && changed
}
