// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What happens in which cycle while the device is RUNNING.
//!
//! At most one command is executed a cycle. Pairs take turns by read (R11), direct entries by
//! entry, and the two kinds alternate, so that neither starves the other. When there is nothing to
//! execute, time jumps to the next timer, or to the end of the step.

use crate::cq::Made;
use crate::exec::{Command, Outcome, Path};
use crate::fault::{Fate, Stuck};
use crate::model::Model;
use crate::stage::Staged;
use crate::trace::Executed;
use esnic_abi::regs::Counters;
use esnic_abi::{Add, Completion, Cookie, Host, Opcode, QpCause, QpState, Status};
use zerocopy::transmute_ref;

/// The pairs in `alive`, beginning with `first` and going round.
fn in_turn(alive: u64, first: usize) -> impl Iterator<Item = usize> {
    let from_first = alive & (u64::MAX << first);
    let mut rounds = [from_first, alive & !from_first];
    core::iter::from_fn(move || {
        let round = rounds.iter_mut().find(|round| **round != 0)?;
        let n = round.trailing_zeros() as usize;
        *round &= *round - 1;
        Some(n)
    })
}

impl Model {
    /// Runs for `cycles`; whether more cycles would bring something.
    pub(crate) fn run(&mut self, host: &mut dyn Host, cycles: u32) -> bool {
        let mut left = cycles;
        let stuck = self.core.faults.stuck != Stuck::No;
        while left != 0 {
            if self.turns.busy != 0 {
                let busy = self.turns.busy.min(left);
                self.turns.busy -= busy;
                self.pass(busy);
                left -= busy;
                continue;
            }
            if stuck {
                self.pass(left);
                break;
            }
            if self.now() >= self.turns.next_event {
                self.settle(host);
            }
            let mut taken = self.execute_next(host);
            if taken == 0 {
                // Completions that waited for company are written now; that may end a fence.
                self.settle(host);
                taken = self.execute_next(host);
            }
            self.send_interrupts(host);
            if taken == 0 {
                left -= self.idle(left);
            } else {
                let now = taken.min(left);
                self.pass(now);
                left -= now;
                // A command that outlasts the step keeps the next one waiting.
                self.turns.busy = taken - now;
            }
        }
        !stuck && (self.turns.busy != 0 || self.has_work())
    }

    /// Lets time pass up to the next event, but not more than `left` cycles; how many it was.
    fn idle(&mut self, left: u32) -> u32 {
        let until = self.turns.next_event.saturating_sub(self.now());
        let idle = u32::try_from(until).unwrap_or(left).clamp(1, left);
        if in_turn(self.turns.alive, 0).any(|n| self.pairs[n].starves()) {
            self.core.counters[Counters::STALL_CQ] += u64::from(idle);
        }
        self.pass(idle);
        idle
    }

    /// Whether more cycles alone, without the host, would bring something.
    fn has_work(&self) -> bool {
        let bus = self.config.bus_master;
        in_turn(self.turns.alive, 0).any(|n| {
            let pair = &self.pairs[n];
            let ring = pair.sq.has_fetched() && !pair.ring_waits(bus);
            let leaving = match pair.state {
                QpState::Stopping => !pair.sq.has_fetched() && !pair.cq.has_made(),
                QpState::Disabled | QpState::Enabled | QpState::Error => false,
            };
            ring || leaving
                || pair.can_fetch(bus)
                || self.direct_ready(n)
                || (bus && pair.cq.has_made())
                || pair.cq.deadline(pair.coalesce).is_some()
        })
    }

    /// Executes the next command, if there is one; the cycles it takes.
    fn execute_next(&mut self, host: &mut dyn Host) -> u32 {
        let direct_first = self.turns.ring_was_last;
        for direct in [direct_first, !direct_first] {
            let taken = if direct { self.direct_next(host) } else { self.ring_next(host) };
            if taken != 0 {
                self.turns.ring_was_last = !direct;
                return taken;
            }
        }
        0
    }

    fn ring_next(&mut self, host: &mut dyn Host) -> u32 {
        for n in in_turn(self.turns.alive, self.turns.ring) {
            if !self.ring_ready(n, host) {
                continue;
            }
            let taken = self.ring_one(n, host);
            // The turn goes on with the read, not with the command.
            self.turns.ring =
                if self.pairs[n].sq.has_fetched() { n } else { (n + 1) % self.pairs.len() };
            return taken;
        }
        0
    }

    /// Whether pair `n` has a command at its front, after fetching if need be.
    fn ring_ready(&mut self, n: usize, host: &mut dyn Host) -> bool {
        // A swallowed second half can leave a read empty, so this may take another one.
        while self.pairs[n].can_fetch(self.config.bus_master) {
            if !self.fetch(n, host) {
                return false;
            }
        }
        let bus = self.config.bus_master;
        let pair = &self.pairs[n];
        if !pair.sq.has_fetched() {
            return false;
        }
        if pair.ring_waits(bus) {
            self.write_made(n, host);
        }
        let pair = &self.pairs[n];
        pair.sq.has_fetched() && !pair.ring_waits(bus)
    }

    /// Sends a read and takes its answer. Credits were counted before (R7).
    fn fetch(&mut self, n: usize, host: &mut dyn Host) -> bool {
        let pair = &mut self.pairs[n];
        let Some(mut fetch) = pair.sq.next_fetch(pair.cq.credits()) else {
            return false;
        };
        let buffer = pair.sq.buffer(&fetch);
        if self.core.dma_read(host, fetch.iova, buffer).is_err() {
            self.pair_fails(n, QpCause::SqRead, fetch.iova);
            return false;
        }
        let mut failed = None;
        if let Some((iova, half)) = pair.sq.missing_half(&fetch) {
            match self.core.dma_read(host, iova, half) {
                Ok(()) => pair.sq.extend(&mut fetch),
                Err(_) => {
                    // R27: the ring ends before the command whose half can't be read.
                    fetch.shorten();
                    failed = Some(iova);
                }
            }
        }
        pair.cq.reserved += pair.sq.fetched(&fetch);
        if let Some(iova) = failed {
            self.pair_fails(n, QpCause::SqRead, iova);
        }
        failed.is_none()
    }

    fn ring_one(&mut self, n: usize, host: &mut dyn Host) -> u32 {
        let pair = &mut self.pairs[n];
        let Some(front) = pair.sq.front() else {
            return 0;
        };
        let command = Command { path: Path::Ring, slot: front.slot, add: front.add };
        let header = command.header();
        let (opcode, cookie) = (header.opcode, Cookie(header.cookie.get()));
        let cycles = command.cycles();
        let outcome = self.core.execute(&command, host);
        pair.sq.pop();
        pair.cq.reserved -= 1;
        pair.commands += 1;
        pair.fenced = opcode == Opcode::Fence as u8;
        self.core.counters[Counters::CMD_RING] += 1;
        self.complete(n, Path::Ring, opcode, cookie, outcome, host);
        cycles
    }

    /// Whether pair `n` has a direct entry that can be taken now.
    fn direct_ready(&self, n: usize) -> bool {
        let pair = &self.pairs[n];
        pair.can_take_direct()
            && (self.config.bus_master
                || pair
                    .direct
                    .front()
                    .is_some_and(|bell| !self.core.stage.holds_record_query(bell.index)))
    }

    fn direct_next(&mut self, host: &mut dyn Host) -> u32 {
        let candidates = self.turns.alive & self.turns.belled;
        let mut turn = in_turn(candidates, self.turns.direct);
        let (n, bell) = loop {
            let Some(n) = turn.next() else {
                return 0;
            };
            match self.pairs[n].direct.front() {
                None => self.turns.belled &= !(1 << n),
                Some(bell) if self.direct_ready(n) => break (n, bell),
                Some(_) => {}
            }
        };
        self.turns.direct = (n + 1) % self.pairs.len();
        let pair = &mut self.pairs[n];
        pair.direct.pop();
        pair.commands += 1;
        self.core.counters[Counters::CMD_DIRECT] += 1;
        let mut staged = Staged::new([0; Add::LEN]);
        let is_whole = self.core.stage.take(bell.index, bell.cookie, &mut staged);
        let (cycles, opcode, outcome) = if is_whole {
            let halves: &[[u8; 64]; 2] = transmute_ref!(&*staged);
            let add: &Add = transmute_ref!(&*staged);
            let command = Command { path: Path::Direct, slot: &halves[0], add: Some(add) };
            let outcome = self.core.execute(&command, host);
            (command.cycles(), add.header.opcode, outcome)
        } else {
            (1, 0, Outcome::plain(Status::Stage))
        };
        self.complete(n, Path::Direct, opcode, Cookie(bell.cookie), outcome, host);
        cycles
    }

    /// Makes the completion of a command, and writes it when no other would share its write (§4.6).
    fn complete(
        &mut self,
        n: usize,
        path: Path,
        opcode: u8,
        cookie: Cookie,
        outcome: Outcome,
        host: &mut dyn Host,
    ) {
        let now = self.now();
        let pair = &mut self.pairs[n];
        let ok = outcome.status == Status::Ok;
        if let Some(trace) = &mut self.core.trace {
            trace.push(Executed {
                // At most 64 pairs.
                #[allow(clippy::cast_possible_truncation)]
                queue_pair: n as u8,
                direct: path == Path::Direct,
                cookie,
                opcode_byte: opcode,
                status: outcome.status,
                result: outcome.result,
                lo_valid: outcome.lo_valid,
                changed: outcome.changed,
            });
        }
        let info = Completion::OPCODE.put(0, opcode.into());
        let info = Completion::LO_VALID.put(info, outcome.lo_valid.into());
        let info = Completion::CHANGED.put(info, outcome.changed.into());
        // The first is the low half of a ring index, the second has eight bits.
        #[allow(clippy::cast_possible_truncation)]
        let (sq_head, info) = (pair.sq.head.0 as u16, info as u8);
        let completion = Completion {
            result: outcome.result.into(),
            cookie: cookie.0.into(),
            sq_head: sq_head.into(),
            status: outcome.status as u8,
            info,
        };
        let (faults, place) = (&mut self.core.faults, pair.cq.tail_iova());
        let made = Made {
            completion: faults.corrupted(place, completion),
            ok,
            due: now + u64::from(faults.delay_cycles),
        };
        let fate = faults.fate(place);
        if fate != Fate::Dropped {
            pair.cq.push(made);
        }
        if made.due > now {
            self.turns.next_event = self.turns.next_event.min(made.due);
        }
        if fate == Fate::Twice && pair.cq.credits() != 0 {
            pair.cq.push(made);
        }
        if pair.cq.fills_group() || !self.more_follows(n) {
            self.write_made(n, host);
        }
    }

    /// Whether pair `n` has a further command ready, whose completion can share a write.
    fn more_follows(&self, n: usize) -> bool {
        let pair = &self.pairs[n];
        !pair.fenced
            && (pair.sq.has_fetched()
                || pair.can_fetch(self.config.bus_master)
                || pair.can_take_direct())
    }

    /// Writes the completions of pair `n` that are made and due, in order: record, then completion,
    /// then interrupt (R42).
    fn write_made(&mut self, n: usize, host: &mut dyn Host) {
        if !self.config.bus_master {
            return;
        }
        let now = self.now();
        while let Some(group) = self.pairs[n].cq.group(now) {
            if self.core.dma_write(host, group.iova, group.data()).is_err() {
                self.pairs[n].discard();
                self.pair_fails(n, QpCause::CqWrite, group.iova);
                return;
            }
            let pair = &mut self.pairs[n];
            pair.cq.written(&group, now);
            pair.completions += u64::from(group.count);
            pair.errors += u64::from(group.count - group.ok);
            self.core.counters[Counters::CPL_OK] += u64::from(group.ok);
            self.core.counters[Counters::CPL_ERR] += u64::from(group.count - group.ok);
            self.check_arm(n);
        }
    }

    /// Everything that is not a command: completions that are due, timers, pairs that stop.
    fn settle(&mut self, host: &mut dyn Host) {
        let now = self.now();
        let mut next_event = u64::MAX;
        for n in in_turn(self.turns.alive, 0) {
            self.write_made(n, host);
            self.check_arm(n);
            let pair = &mut self.pairs[n];
            pair.settle();
            if pair.state == QpState::Disabled {
                self.turns.alive &= !(1 << n);
                continue;
            }
            let due = pair.cq.due().filter(|due| *due > now);
            let deadline = pair.cq.deadline(pair.coalesce);
            for at in [due, deadline].into_iter().flatten() {
                next_event = next_event.min(at);
            }
        }
        self.turns.next_event = next_event;
    }
}
