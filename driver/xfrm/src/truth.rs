// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What each kind of news does to one SA.

use std::borrow::Cow;

use crate::body::Ae;
use crate::follow::Follower;
use crate::identity::{Direction, Mark, SaId};
use crate::sa::Sa;
use crate::sink::{Removal, Sink, SinkError, Verdict};
use crate::skipped::Skipped;
use crate::table::State;

impl Follower {
    /// The kernel has exactly this SA.
    pub(crate) fn truth(&mut self, sa: &Sa, sink: &mut dyn Sink) -> Result<(), SinkError> {
        if sa.is_larval() {
            self.retract(&sa.id, sink)?;
            self.outgrow_acquire(sa);
            self.table.put(sa, State::Larval);
            return Ok(());
        }
        self.outgrow_larval(sa);
        let before = self.table.get(&sa.id);
        let direction = sa
            .direction
            // A NEWAE may have told the direction of an SA whose NEWSA did not.
            .or_else(|| before?.sa.direction)
            .or_else(|| self.evidence.direction(sa))
            // Its destination is the same, so a direction that was once clear still holds.
            .or_else(|| before?.state.direction());
        match direction {
            Some(direction) => self.offer(sa, direction, sink),
            None => {
                self.retract(&sa.id, sink)?;
                self.table.put(sa, State::Held);
                Ok(())
            }
        }
    }

    fn offer(
        &mut self,
        sa: &Sa,
        direction: Direction,
        sink: &mut dyn Sink,
    ) -> Result<(), SinkError> {
        let verdict = sink.present(sa, direction)?;
        match verdict {
            Verdict::Taken => {
                self.refused.remove(&sa.id);
                self.table.put(sa, State::Taken(direction));
            }
            Verdict::Skipped(reason) => {
                self.retract(&sa.id, sink)?;
                self.refused.insert(sa.id, Skipped::new(sa, Cow::Owned(reason)));
                self.table.put(sa, State::Refused(direction));
            }
        }
        Ok(())
    }

    /// An UPDSA event.
    ///
    /// It repeats the request. For a larval SA, or none, the request has become the SA. Of a live
    /// one the kernel took over the encapsulation's ports, the interface number, and lifetimes;
    /// keys, mode, window, and sequence numbers in the message are not the SA's.
    pub(crate) fn updated(&mut self, sa: &Sa, sink: &mut dyn Sink) -> Result<(), SinkError> {
        let Some(record) = self.table.get_mut(&sa.id) else {
            return self.truth(sa, sink);
        };
        if record.state == State::Larval {
            return self.truth(sa, sink);
        }
        if sa.if_id != 0 {
            record.sa.if_id = sa.if_id;
        }
        match (record.sa.encap, sa.encap) {
            (Some(old), Some(new)) if old != new && old.kind == new.kind => {
                record.sa.encap = Some(new);
                if let State::Taken(_) = record.state {
                    sink.encap(&sa.id, new)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A NEWAE: the sequence numbers of an SA.
    pub(crate) fn numbers(&mut self, ae: &Ae, sink: &mut dyn Sink) -> Result<(), SinkError> {
        let Some(record) = self.table.get_mut(&ae.id) else {
            self.unmatched += 1;
            return Ok(());
        };
        self.dumps.alive(ae.id);
        if record.sa.direction.is_none() && ae.direction.is_some() {
            record.sa.direction = ae.direction;
            // Held SAs are to be weighed again.
            self.weighed = u64::MAX;
        }
        let Some(state) = ae.replay else {
            return Ok(());
        };
        // The form without ESN cannot speak for the upper halves.
        if record.state == State::Larval || (record.sa.esn && state.window.is_none()) {
            return Ok(());
        }
        let replay = if record.sa.esn { state.replay } else { state.replay.low() };
        if record.sa.replay != replay {
            record.sa.replay = replay;
            if let State::Taken(_) = record.state {
                sink.advance(&ae.id, replay)?;
            }
        }
        Ok(())
    }

    pub(crate) fn gone(
        &mut self,
        id: &SaId,
        why: Removal,
        sink: &mut dyn Sink,
    ) -> Result<(), SinkError> {
        self.dumps.gone(*id);
        if self.table.get(id).is_none() {
            self.unmatched += 1;
            return Ok(());
        }
        self.remove(id, why, sink)
    }

    pub(crate) fn remove(
        &mut self,
        id: &SaId,
        why: Removal,
        sink: &mut dyn Sink,
    ) -> Result<(), SinkError> {
        match self.table.remove(id) {
            Some(record) if matches!(record.state, State::Taken(_)) => sink.remove(id, why),
            _ => Ok(()),
        }
    }

    /// Takes from the sink what it holds under a name that something else has now.
    fn retract(&mut self, id: &SaId, sink: &mut dyn Sink) -> Result<(), SinkError> {
        match self.table.get(id) {
            Some(record) if matches!(record.state, State::Taken(_)) => {
                self.remove(id, Removal::Replaced, sink)
            }
            _ => Ok(()),
        }
    }

    /// An ALLOCSPI gives an SPI to the larval SA that an ACQUIRE made, if there is one.
    fn outgrow_acquire(&mut self, sa: &Sa) {
        self.forget_larval(SaId { spi: 0, ..sa.id }, &sa.id);
    }

    /// A request may find its larval SA by a mark that the larval SA does not have itself.
    fn outgrow_larval(&mut self, sa: &Sa) {
        self.forget_larval(SaId { mark: Mark::default(), ..sa.id }, &sa.id);
    }

    fn forget_larval(&mut self, id: SaId, successor: &SaId) {
        if id != *successor && self.table.get(&id).is_some_and(|old| old.state == State::Larval) {
            self.table.remove(&id);
        }
    }

    /// Offers held SAs whose direction new evidence settles.
    pub(crate) fn weigh_held(&mut self, sink: &mut dyn Sink) -> Result<(), SinkError> {
        let generation = self.evidence.generation();
        if self.weighed == generation {
            return Ok(());
        }
        self.weighed = generation;
        if !self.table.has_held() {
            return Ok(());
        }
        for id in self.table.held() {
            let Some(record) = self.table.get(&id) else {
                continue;
            };
            let direction = record.sa.direction.or_else(|| self.evidence.direction(&record.sa));
            if let Some(direction) = direction {
                let sa = record.sa.clone();
                self.offer(&sa, direction, sink)?;
            }
        }
        Ok(())
    }
}
