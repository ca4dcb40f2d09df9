// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Doorbell pages: the hot registers, one page a pair (§2.3).

use crate::model::Model;
use esnic_abi::regs::global::FEATURES;
use esnic_abi::regs::{Counters, Doorbell};
use esnic_abi::{QpCause, QpState, RingIndex};

impl Model {
    /// A dword written to the doorbell page of pair `n`.
    pub(crate) fn ring_doorbell(&mut self, n: usize, offset: u32, value: u32) {
        if n >= self.pairs.len() {
            return;
        }
        let Some((register, dword)) = Doorbell::decode(offset) else {
            return;
        };
        match register {
            Doorbell::SQ_TAIL => self.sq_tail(n, RingIndex(value)),
            Doorbell::CQ_HEAD => self.cq_head(n, RingIndex(value)),
            Doorbell::CQ_ARM => self.cq_arm(n, RingIndex(value)),
            Doorbell::DIRECT => self.direct_dword(n, dword, value),
        }
    }

    fn sq_tail(&mut self, n: usize, told: RingIndex) {
        let pair = &mut self.pairs[n];
        if pair.state != QpState::Enabled {
            return;
        }
        if told.is_behind(pair.sq.tail) {
            // Another thread's doorbell overtook this one (R40).
            self.core.counters[Counters::STALE_DB] += 1;
        } else if told.since(pair.sq.head) > pair.sq.size() {
            self.pair_fails(n, QpCause::BadDoorbell, 0);
        } else {
            pair.sq.tail = told;
        }
    }

    fn cq_head(&mut self, n: usize, told: RingIndex) {
        let pair = &mut self.pairs[n];
        match pair.state {
            QpState::Enabled | QpState::Stopping => {}
            QpState::Disabled | QpState::Error => return,
        }
        if told.is_behind(pair.cq.head) {
            self.core.counters[Counters::STALE_DB] += 1;
        } else if pair.cq.tail.is_behind(told) {
            self.pair_fails(n, QpCause::BadDoorbell, 0);
        } else {
            pair.cq.head = told;
        }
    }

    fn cq_arm(&mut self, n: usize, consumed: RingIndex) {
        let now = self.now();
        let pair = &mut self.pairs[n];
        match pair.state {
            QpState::Enabled | QpState::Stopping => {}
            QpState::Disabled | QpState::Error => return,
        }
        pair.cq.arm(consumed, now);
        self.check_arm(n);
    }

    fn direct_dword(&mut self, n: usize, dword: u32, value: u32) {
        let offered = FEATURES::DIRECT.is_set(self.core.params.features);
        let pair = &mut self.pairs[n];
        let at = dword / 2;
        if !offered || at >= pair.direct.depth() || pair.state != QpState::Enabled {
            return;
        }
        self.turns.belled |= 1 << n;
        if dword % 2 == 1 {
            pair.direct.store_claim(at, value);
        } else if !pair.direct.store_target(at, value, self.core.epoch) {
            self.core.counters[Counters::EPOCH_DROP] += 1;
        }
    }

    /// Fires the pair's vector if its arm is due (R1), else notes when time will do it.
    pub(crate) fn check_arm(&mut self, n: usize) {
        let now = self.now();
        let pair = &mut self.pairs[n];
        if pair.cq.fires(pair.coalesce, now) {
            pair.irqs += 1;
            self.msix.fire(n);
        } else if let Some(at) = pair.cq.deadline(pair.coalesce) {
            self.turns.next_event = self.turns.next_event.min(at);
        }
    }
}
