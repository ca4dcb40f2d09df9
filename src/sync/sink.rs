// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The device as the place where the follower's findings go.
//!
//! New sequence numbers are collected and sent as one batch, as soon as anything else happens or
//! enough of them are there; everything else is done at once and waited for, since the kernel's next
//! event may build on it. When the device fails, it is reset and restored, and what was under way is
//! done again; only when that fails too does the sink.

use super::convert;
use esnic_abi::{Direction, Protocol, Spi, Status, Top};
use esnic_driver::transport::Transport;
use esnic_driver::{
    Batch, Change, SaHandle, SaManager, SaSpec, SaUpdate, Settled, SubmitError, Ticket, UdpPorts,
    Verify,
};
use esnic_xfrm::{self as xfrm, Encap, Removal, Replay, SaId, Sink, SinkError, Verdict};
use std::collections::HashMap;
use std::error::Error;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Updates that go out together at the most.
const BATCH: usize = 64;

/// How long an operation may take, a full ring included.
const PATIENCE: Duration = Duration::from_secs(2);

/// An SA that the device holds for the kernel.
struct Held {
    handle: SaHandle,
    protocol: Protocol,
    spi: Spi,
    direction: Direction,
    /// Newest number.
    top: Top,
    /// Number that the device has.
    sent: Top,
}

/// Who is told, in a line each, what an event did to the device.
pub type Log<'l> = Option<Box<dyn FnMut(String) + 'l>>;

/// The device, as the follower sees it.
pub(super) struct NicSink<'m, T: Transport> {
    manager: &'m SaManager<T>,
    held: HashMap<SaId, Held>,
    batch: Batch<T>,
    batched: Vec<SaId>,
    log: Log<'m>,
    recovered: u32,
}

impl<'m, T: Transport> NicSink<'m, T> {
    pub(super) fn new(manager: &'m SaManager<T>, log: Log<'m>) -> Self {
        let batch = manager.batch(BATCH);
        Self { manager, held: HashMap::new(), batch, batched: Vec::new(), log, recovered: 0 }
    }

    /// How often the device had to be reset.
    pub(super) fn recovered(&self) -> u32 {
        self.recovered
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log(text());
        }
    }

    /// Resets the device and puts the table back.
    pub(super) fn recover(&mut self, because: &str) -> Result<(), SinkError> {
        self.recovered += 1;
        self.note(|| format!("device failed ({because}), resetting it"));
        let report = self.manager.recover(Verify::Sample).map_err(|error| {
            let error = chain(&error);
            format!("{because}; resetting the device did not help: {error}")
        })?;
        if report.lost.is_empty() && report.differences.is_empty() {
            return Ok(());
        }
        let (lost, differ) = (report.lost.len(), report.differences.len());
        Err(format!("after a reset {lost} SAs are lost and {differ} differ").into())
    }

    /// Submits and waits; a failing device gets a second chance after a reset.
    fn settle(
        &mut self,
        submit: impl Fn(&SaManager<T>) -> Result<Ticket<T>, SubmitError>,
    ) -> Result<Result<Settled, SubmitError>, SinkError> {
        match self.settle_once(&submit) {
            Ok(outcome) => Ok(outcome),
            Err(failure) => {
                self.recover(&failure)?;
                Ok(self.settle_once(&submit)?)
            }
        }
    }

    /// Submits and waits; an error is the device's.
    fn settle_once(
        &self,
        submit: impl Fn(&SaManager<T>) -> Result<Ticket<T>, SubmitError>,
    ) -> Result<Result<Settled, SubmitError>, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match submit(self.manager) {
                Err(SubmitError::Full | SubmitError::Busy) if Instant::now() < deadline => {
                    self.manager.poll();
                    self.manager.transport().relax();
                }
                Err(refusal) if is_failure(&refusal) => return Err(self.ailment(&refusal)),
                Err(refusal) => return Ok(Err(refusal)),
                Ok(ticket) => return ticket.wait(deadline).map(Ok).map_err(|error| chain(&error)),
            }
        }
    }

    /// Why the device refuses everything, if it tells.
    fn ailment(&self, refusal: &SubmitError) -> String {
        let error = self.manager.read_table().err();
        error.map_or_else(|| refusal.to_string(), |error| chain(&error))
    }

    /// Sends the collected numbers, and waits until nothing is under way: what the driver still
    /// tidies up, too.
    pub(super) fn finish(&mut self) -> Result<(), SinkError> {
        self.flush()?;
        let deadline = Instant::now() + PATIENCE;
        while self.manager.in_flight() > 0 {
            if Instant::now() >= deadline {
                return Err("the device does not complete what the driver owes it".into());
            }
            self.manager.poll();
            self.manager.transport().relax();
        }
        Ok(())
    }

    /// Sends the collected numbers.
    pub(super) fn flush(&mut self) -> Result<(), SinkError> {
        if self.batched.is_empty() {
            return Ok(());
        }
        if let Err(failure) = self.run_batch() {
            self.recover(&failure)?;
            self.run_batch()?;
        }
        for k in 0..self.batch.len() {
            let id = self.batched[k];
            match self.batch.outcome(k) {
                Some(Ok(settled)) if settled.is_ok() => {}
                Some(Ok(settled)) => return Err(format!("update of {id}: {settled}").into()),
                Some(Err(refusal)) => return Err(format!("update of {id}: {refusal}").into()),
                None => return Err(format!("update of {id}: no outcome").into()),
            }
        }
        for id in std::mem::take(&mut self.batched) {
            let Some(held) = self.held.get_mut(&id) else {
                continue;
            };
            let (old, new) = (held.sent, held.top);
            held.sent = new;
            self.note(|| match old.hi() == new.hi() {
                true => format!("UPDATE {id} to {new}"),
                false => format!("UPDATE {id} to {new}: high half {} to {}", old.hi(), new.hi()),
            });
        }
        self.batch.clear();
        Ok(())
    }

    /// Sends the batch and waits; an error is the device's.
    fn run_batch(&mut self) -> Result<(), String> {
        self.fill_batch();
        let run = self.batch.run(Instant::now() + PATIENCE);
        run.map_err(|error| chain(&error))?;
        let mut refusals = (0..self.batch.len()).filter_map(|k| self.batch.outcome(k)?.err());
        match refusals.find(is_failure) {
            Some(refusal) => Err(self.ailment(&refusal)),
            None => Ok(()),
        }
    }

    fn fill_batch(&mut self) {
        self.batch.clear();
        for id in &self.batched {
            let held = &self.held[id];
            let (protocol, spi) = (held.protocol, held.spi);
            let change = Change::top(held.top);
            self.batch.update(held.handle, SaUpdate { protocol, spi, change });
        }
    }

    /// Collects a new number.
    fn set_top(&mut self, id: &SaId, top: Top) -> Result<(), SinkError> {
        let Some(held) = self.held.get_mut(id) else {
            return Ok(());
        };
        if held.top == top {
            return Ok(());
        }
        held.top = top;
        // Of several numbers for one SA, the newest counts.
        if !self.batched.contains(id) {
            self.batched.push(*id);
        }
        if self.batched.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    fn add(&mut self, id: &SaId, spec: &SaSpec) -> Result<Verdict, SinkError> {
        let handle = std::cell::Cell::new(None);
        let settled = self.settle(|manager| {
            let (given, ticket) = manager.add(spec)?;
            handle.set(Some(given));
            Ok(ticket)
        })?;
        let settled = match settled {
            Ok(settled) => settled,
            Err(refusal @ (SubmitError::Unsupported(_) | SubmitError::TableFull)) => {
                return Ok(Verdict::Skipped(refusal.to_string()));
            }
            Err(refusal) => return Err(format!("adding {id}: {refusal}").into()),
        };
        match (settled, handle.get()) {
            (settled, Some(handle)) if settled.is_ok() => {
                let SaSpec { protocol, spi, direction, top, .. } = *spec;
                self.held.insert(*id, Held { handle, protocol, spi, direction, top, sent: top });
                self.note(|| format!("ADD    {id} to row {} at {top}", handle.row()));
                Ok(Verdict::Taken)
            }
            // The device takes less than it says, or failed the read-back.
            (Settled::Completed(outcome), _)
                if matches!(outcome.status, Status::Unsupported | Status::Verify) =>
            {
                Ok(Verdict::Skipped(format!("the device refuses it with {}", outcome.status)))
            }
            (settled, _) => Err(format!("adding {id}: {settled}").into()),
        }
    }

    fn delete(&mut self, id: &SaId) -> Result<(), SinkError> {
        let Some(held) = self.held.remove(id) else {
            return Ok(());
        };
        let settled = self.settle(|manager| manager.delete(held.handle))?;
        match settled {
            // A reset in between has forgotten it already.
            Ok(_) | Err(SubmitError::NotFound) => {
                self.note(|| format!("DELETE {id} from row {}", held.handle.row()));
                Ok(())
            }
            Err(refusal) => Err(format!("deleting {id}: {refusal}").into()),
        }
    }

    /// Whether the device holds the SA as it is now, numbers aside.
    fn is_current(&self, held: &Held, spec: &SaSpec) -> bool {
        self.manager.spec(held.handle).is_some_and(|kept| same(&kept, spec))
    }
}

/// Whether a refusal means that the device needs a reset, and not that the request is wrong.
fn is_failure(refusal: &SubmitError) -> bool {
    matches!(refusal, SubmitError::Closed | SubmitError::Full | SubmitError::Busy)
}

/// An error and what it comes from, as one sentence.
pub(super) fn chain(error: &dyn Error) -> String {
    let sources = std::iter::successors(error.source(), |&error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

/// Whether two SAs differ in nothing but their sequence numbers.
fn same(a: &SaSpec, b: &SaSpec) -> bool {
    let open = |spec: &SaSpec| {
        let SaSpec { spi, protocol, direction, mode, algorithm, icv_len, udp, esn, .. } = *spec;
        let ends: [IpAddr; 2] = [spec.src, spec.dst];
        (spi, protocol, direction, mode, algorithm, icv_len, udp, esn, ends, spec.replay_window)
    };
    open(a) == open(b) && a.keys.same_as(&b.keys)
}

impl<T: Transport> Sink for NicSink<'_, T> {
    fn present(&mut self, sa: &xfrm::Sa, direction: xfrm::Direction) -> Result<Verdict, SinkError> {
        let spec = match convert::spec(sa, direction) {
            Ok(spec) => spec,
            Err(reason) => return Ok(Verdict::Skipped(reason)),
        };
        if let Some(held) = self.held.get(&sa.id) {
            if self.is_current(held, &spec) {
                self.set_top(&sa.id, spec.top)?;
                return Ok(Verdict::Taken);
            }
            // Another key or other parameters under the same name: first out, then in, so that
            // packets fail closed in between.
            self.flush()?;
            self.delete(&sa.id)?;
        }
        self.flush()?;
        self.add(&sa.id, &spec)
    }

    fn advance(&mut self, id: &SaId, replay: Replay) -> Result<(), SinkError> {
        let Some(held) = self.held.get(id) else {
            return Ok(());
        };
        let top = convert::top(held.direction, replay);
        self.set_top(id, top)
    }

    fn encap(&mut self, id: &SaId, encap: Encap) -> Result<(), SinkError> {
        self.flush()?;
        let Some(held) = self.held.get(id) else {
            return Ok(());
        };
        let Some(mut spec) = self.manager.spec(held.handle) else {
            return Err(format!("the driver does not know {id} any more").into());
        };
        spec.udp = Some(UdpPorts { src: encap.sport, dst: encap.dport });
        spec.top = held.top;
        self.delete(id)?;
        match self.add(id, &spec)? {
            Verdict::Taken => Ok(()),
            Verdict::Skipped(reason) => Err(format!("adding {id} again: {reason}").into()),
        }
    }

    fn remove(&mut self, id: &SaId, _why: Removal) -> Result<(), SinkError> {
        self.flush()?;
        self.delete(id)
    }
}
