// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A queue pair: its configuration, its state machine (§6) and its two ways in.

use crate::cq::CompletionRing;
use crate::direct::DirectRing;
use crate::sq::SubmissionRing;
use esnic_abi::regs::queue_pair::RING_SIZE;
use esnic_abi::{Opcode, QUERY_RECORD, QpCause, QpState, RING_ALIGN, RingIndex};

/// Queue pair n.
pub(crate) struct QueuePair {
    pub(crate) state: QpState,
    /// Why it went into ERROR; stays until it is enabled again.
    pub(crate) cause: QpCause,
    pub(crate) err_addr: u64,
    /// What QP_CTRL.ENABLE reads: what the host asked for last.
    pub(crate) enable: bool,
    pub(crate) sq_base: u64,
    pub(crate) cq_base: u64,
    pub(crate) ring_size: u32,
    pub(crate) start: u32,
    pub(crate) coalesce: u32,
    pub(crate) commands: u64,
    pub(crate) completions: u64,
    pub(crate) errors: u64,
    pub(crate) irqs: u64,
    pub(crate) sq: SubmissionRing,
    pub(crate) cq: CompletionRing,
    pub(crate) direct: DirectRing,
    /// A FENCE was executed, and its completion is not written.
    pub(crate) fenced: bool,
    /// ERROR was acknowledged with ENABLE = 0.
    leaving: bool,
}

impl QueuePair {
    pub(crate) fn new(direct_log2: u8) -> Self {
        Self {
            state: QpState::Disabled,
            cause: QpCause::None,
            err_addr: 0,
            enable: false,
            sq_base: 0,
            cq_base: 0,
            ring_size: 0,
            start: 0,
            coalesce: 0,
            commands: 0,
            completions: 0,
            errors: 0,
            irqs: 0,
            sq: SubmissionRing::new(),
            cq: CompletionRing::new(),
            direct: DirectRing::new(direct_log2),
            fenced: false,
            leaving: false,
        }
    }

    /// DISABLED to ENABLED; false if the configuration is bad, and then the pair is in ERROR.
    pub(crate) fn enable(&mut self, ring_log2: u8) -> bool {
        self.enable = true;
        self.leaving = false;
        self.fenced = false;
        self.cause = QpCause::None;
        self.err_addr = 0;
        let sq_log2 = RING_SIZE::SQ_LOG2.get(self.ring_size);
        let cq_log2 = RING_SIZE::CQ_LOG2.get(self.ring_size);
        let sizes = 1..=u32::from(ring_log2);
        let good = sizes.contains(&sq_log2)
            && sizes.contains(&cq_log2)
            && self.sq_base.is_multiple_of(RING_ALIGN)
            && self.cq_base.is_multiple_of(RING_ALIGN)
            && self.start.is_multiple_of(2 << sq_log2.max(cq_log2));
        if good {
            let start = RingIndex(self.start);
            self.sq.start(self.sq_base, sq_log2, start);
            self.cq.start(self.cq_base, cq_log2, start);
            self.direct.start();
            self.state = QpState::Enabled;
        } else {
            self.fail(QpCause::BadConfig, 0);
        }
        good
    }

    /// ENABLE = 0: what is there to finish is finished first (R25), an error is left when quiet.
    pub(crate) fn disable(&mut self) {
        self.enable = false;
        match self.state {
            QpState::Disabled | QpState::Stopping => {}
            QpState::Enabled => self.state = QpState::Stopping,
            QpState::Error => self.leaving = true,
        }
    }

    /// Enters ERROR. What was fetched is still executed and completed (R27), unless completions are
    /// what fails.
    pub(crate) fn fail(&mut self, cause: QpCause, err_addr: u64) {
        if self.state == QpState::Error {
            return;
        }
        self.state = QpState::Error;
        self.cause = cause;
        self.err_addr = err_addr;
        self.leaving = false;
    }

    /// Drops what was fetched and what was completed but not written.
    pub(crate) fn discard(&mut self) {
        self.sq.discard();
        self.cq.discard();
    }

    /// Whether DISABLED is asked for, and nothing is left to do before it.
    pub(crate) fn can_leave(&self) -> bool {
        let leaving = match self.state {
            QpState::Disabled | QpState::Enabled => false,
            QpState::Stopping => true,
            QpState::Error => self.leaving,
        };
        leaving && !self.sq.has_fetched() && !self.cq.has_made()
    }

    /// Enters DISABLED if it can.
    pub(crate) fn settle(&mut self) {
        if self.can_leave() {
            self.state = QpState::Disabled;
            self.cq.disarm();
        }
    }

    /// Whether the command at the front of the ring has to wait: for completions before a fence or
    /// of it, or for the bus it needs (R24).
    pub(crate) fn ring_waits(&self, bus_master: bool) -> bool {
        let Some(front) = self.sq.front() else {
            return false;
        };
        let fence = self.fenced || front.slot[0] == Opcode::Fence as u8;
        let record = front.slot[0] == Opcode::Query as u8 && front.slot[1] & QUERY_RECORD != 0;
        (fence && self.cq.has_made()) || (record && !bus_master)
    }

    /// Whether it can send a read.
    pub(crate) fn can_fetch(&self, bus_master: bool) -> bool {
        self.state == QpState::Enabled
            && bus_master
            && !self.sq.has_fetched()
            && self.sq.has_unfetched()
            && self.cq.credits() != 0
    }

    /// Whether a direct entry is there for which there is credit.
    pub(crate) fn can_take_direct(&self) -> bool {
        self.state == QpState::Enabled && self.direct.front().is_some() && self.cq.credits() != 0
    }

    /// Whether something waits for credit only (STALL_CQ).
    pub(crate) fn starves(&self) -> bool {
        self.state == QpState::Enabled
            && self.cq.credits() == 0
            && !self.sq.has_fetched()
            && (self.sq.has_unfetched() || self.direct.front().is_some())
    }
}
