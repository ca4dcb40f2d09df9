// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Batches: many requests, one doorbell, a status for each.

use super::element::Path;
use super::{SaHandle, SaManager, SaUpdate, SubmitError, encode};
use crate::core::{Command, Core, NoRoom};
use crate::pending::{Kind, NONE, Outcome, Settled, Target};
use crate::ticket::{self, LOOK_AFTER, Suspicion, WaitError};
use crate::transport::Transport;
use esnic_abi::{Handle, Opcode, Status, Update4};
use std::sync::Arc;
use std::time::Instant;
use zerocopy::IntoBytes;

#[derive(Clone, Copy, Debug)]
enum Request {
    Update(SaHandle, SaUpdate),
    Delete(SaHandle),
}

/// Where an item stands.
#[derive(Clone, Debug)]
enum Place {
    Unsent,
    Refused(SubmitError),
    /// Item `part` of the command in this entry; `owner` lets the entry go.
    Sent {
        pair: usize,
        number: u32,
        part: Option<u8>,
        owner: bool,
    },
    /// Its outcome is here, and its entry is let go.
    Done(Settled),
}

/// Requests that go out together. Make it once with room for the largest batch and use it again:
/// then neither filling nor submitting allocates.
///
/// Items of one SA take effect in the order in which they were pushed; items of different SAs in any
/// order. Each item has its own outcome: one that fails does not touch the others.
pub struct Batch<T: Transport> {
    core: Arc<Core<T>>,
    requests: Vec<Request>,
    places: Vec<Place>,
    /// Items dealt with.
    sent: usize,
    /// Items whose outcome is here.
    collected: usize,
}

impl<T: Transport> SaManager<T> {
    /// An empty batch with room for `capacity` requests.
    #[must_use]
    pub fn batch(&self, capacity: usize) -> Batch<T> {
        Batch {
            core: self.core.clone(),
            requests: Vec::with_capacity(capacity),
            places: Vec::with_capacity(capacity),
            sent: 0,
            collected: 0,
        }
    }
}

impl<T: Transport> Batch<T> {
    /// Adds an update.
    pub fn update(&mut self, sa: SaHandle, update: SaUpdate) {
        self.requests.push(Request::Update(sa, update));
        self.places.push(Place::Unsent);
    }

    /// Adds a deletion.
    pub fn delete(&mut self, sa: SaHandle) {
        self.requests.push(Request::Delete(sa));
        self.places.push(Place::Unsent);
    }

    /// Number of requests.
    #[must_use]
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether there are no requests.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// How many requests, from the front, have been dealt with: sent, or refused.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// Empties the batch; commands that are under way go on.
    pub fn clear(&mut self) {
        self.let_go();
        self.requests.clear();
        self.places.clear();
        self.sent = 0;
        self.collected = 0;
    }

    /// Submits what has not been submitted, as far as there is room, and rings one doorbell a queue
    /// pair. Returns how many requests of the batch have been dealt with so far; call again, after
    /// taking completions, until that is all of them. Never waits.
    ///
    /// # Errors
    /// [`SubmitError::Closed`] if the device is being reset or closed.
    pub fn submit(&mut self) -> Result<usize, SubmitError> {
        let core = self.core.clone();
        let inside = core.nic.gate.enter().ok_or(SubmitError::Closed)?;
        let path = core.choose(self.requests.len());
        while self.sent < self.requests.len() {
            let dealt_with = match self.requests[self.sent] {
                Request::Update(sa, update) => self.submit_update(&core, sa, update, path),
                Request::Delete(sa) => self.place(1, |core| core.delete(sa.0), &core),
            };
            if dealt_with == 0 {
                // What is settled needs no entries any more; the next call finds them.
                self.collect();
                break;
            }
            self.sent += dealt_with;
        }
        for pair in &core.nic.pairs {
            pair.publish(&core.nic.transport);
        }
        drop(inside);
        Ok(self.sent)
    }

    /// Submits everything and waits for all outcomes until `deadline`.
    ///
    /// # Errors
    /// If the deadline passes first, or the device is gone, stopped or broken; what is there of the
    /// outcomes stays.
    pub fn run(&mut self, deadline: Instant) -> Result<(), WaitError> {
        let core = self.core.clone();
        let begun = Instant::now();
        let mut look = begun + LOOK_AFTER;
        loop {
            match self.submit() {
                Ok(sent) if sent == self.requests.len() => break,
                Ok(_) => {}
                // What was sent before the gate closed has outcomes to wait for all the same.
                Err(_) => {
                    self.refuse_rest();
                    break;
                }
            }
            let busy = core.poll() > 0;
            let now = Instant::now();
            if now >= deadline {
                core.nic.check()?;
                break;
            }
            if now >= look {
                core.nic.check_device()?;
                look = now + LOOK_AFTER;
            }
            if !busy {
                self.collect();
                core.nic.transport.relax();
            }
        }
        for place in &self.places {
            if let Place::Sent { pair, number, owner: true, .. } = *place {
                // What each item came to is asked for item by item.
                let _settled = ticket::wait(&core, pair, number, deadline)?;
            }
        }
        if self.sent < self.requests.len() {
            return Err(WaitError::Timeout {
                waited: begun.elapsed(),
                suspicion: Suspicion::NotSubmitted,
            });
        }
        Ok(())
    }

    /// Takes in the outcomes at the front that are there, and lets their entries go.
    fn collect(&mut self) {
        while self.collected < self.sent {
            match self.places[self.collected] {
                Place::Sent { pair, number, owner: true, .. } => {
                    let pending = &self.core.pair(pair).pending;
                    let Some(settled) = pending.poll(number) else {
                        return;
                    };
                    let same = |place: &Place| matches!(place, Place::Sent { pair: p, number: n, .. } if (*p, *n) == (pair, number));
                    let rest = &mut self.places[self.collected..self.sent];
                    for place in rest.iter_mut().take(Update4::MAX_ITEMS) {
                        let part = match *place {
                            Place::Sent { part, .. } if same(place) => part,
                            _ => break,
                        };
                        *place = Place::Done(part.map_or(settled, |part| item(settled, part)));
                        self.collected += 1;
                    }
                    pending.let_go(number);
                }
                _ => self.collected += 1,
            }
        }
    }

    fn refuse_rest(&mut self) {
        for place in &mut self.places[self.sent..] {
            *place = Place::Refused(SubmitError::Closed);
        }
        self.sent = self.requests.len();
    }

    /// The outcome of item `k`: `None` while it is under way or not submitted.
    ///
    /// # Panics
    /// If there is no item `k`.
    #[must_use]
    pub fn outcome(&self, k: usize) -> Option<Result<Settled, SubmitError>> {
        match &self.places[k] {
            Place::Unsent => None,
            Place::Refused(refusal) => Some(Err(refusal.clone())),
            Place::Done(settled) => Some(Ok(*settled)),
            Place::Sent { pair, number, part, .. } => {
                let settled = self.core.pair(*pair).pending.poll(*number)?;
                Some(Ok(part.map_or(settled, |part| item(settled, part))))
            }
        }
    }

    /// Whether every item is submitted and every outcome is there. Takes completions; never waits.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.core.poll();
        (0..self.len()).all(|k| self.outcome(k).is_some())
    }

    /// Number of items that the device completed with OK.
    #[must_use]
    pub fn ok_count(&self) -> usize {
        let ok = |k: &usize| self.outcome(*k).is_some_and(|o| o.is_ok_and(Settled::is_ok));
        (0..self.len()).filter(ok).count()
    }

    /// Notes where an item stands; returns how many items were dealt with.
    fn place(
        &mut self,
        items: usize,
        submit: impl FnOnce(&Core<T>) -> Result<(usize, u32), SubmitError>,
        core: &Core<T>,
    ) -> usize {
        self.places[self.sent] = match submit(core) {
            Ok((pair, number)) => Place::Sent { pair, number, part: None, owner: true },
            Err(SubmitError::Full | SubmitError::Busy) => return 0,
            Err(refusal) => Place::Refused(refusal),
        };
        items
    }

    fn submit_update(
        &mut self,
        core: &Core<T>,
        sa: SaHandle,
        update: SaUpdate,
        path: Path,
    ) -> usize {
        if path == Path::Ring && update.change.is_compact() {
            let packed = self.submit_packed(core);
            if packed > 0 {
                return packed;
            }
        }
        self.place(1, |core| core.update(sa.0, update, path), core)
    }

    /// Packs the next two to four updates of mode HI into one UPDATE4, if they are such and go to
    /// one pair.
    fn submit_packed(&mut self, core: &Core<T>) -> usize {
        let offered = esnic_abi::regs::global::FEATURES::UPDATE4.is_set(core.nic.params.features);
        let mut items = [(Handle::from_bits(0), 0); Update4::MAX_ITEMS];
        let mut count = 0;
        let mut pair = 0;
        for request in self.requests[self.sent..].iter().take(Update4::MAX_ITEMS) {
            let Request::Update(sa, update) = *request else {
                break;
            };
            let fits = offered && update.change.is_compact();
            // UPDATE4 carries neither protocol nor SPI: the shadow checks them.
            let Ok((element, target)) = core.resolve_target(sa.0, &update) else {
                break;
            };
            let flow = element.flow();
            let ringward = flow.outstanding == 0 || flow.path == Path::Ring;
            let same_pair = count == 0 || element.pair() == pair;
            if !fits || !ringward || flow.doubt || !same_pair {
                break;
            }
            pair = element.pair();
            items[count] = (target, update.change.top.hi());
            count += 1;
        }
        if count < 2 {
            return 0;
        }
        self.send_packed(core, pair, &items[..count])
    }

    fn send_packed(&mut self, core: &Core<T>, pair: usize, items: &[(Handle, u32)]) -> usize {
        let mut targets = [Target { handle: Handle::from_bits(0), wanted: 0 }; Update4::MAX_ITEMS];
        let mut entered = 0;
        for (k, &(handle, hi)) in items.iter().enumerate() {
            targets[k] = Target { handle, wanted: hi.into() };
            let element = &core.elements[handle.index.0 as usize];
            match element.enter(handle, Path::Ring) {
                Ok(Path::Ring) => entered = k + 1,
                // Something has changed since we looked: leave it to the single update.
                Ok(Path::Direct) => {
                    core.leave(handle.index.0);
                    break;
                }
                Err(_) => break,
            }
        }
        // No more than four items.
        #[allow(clippy::cast_possible_truncation)]
        let kind = Kind { opcode: Opcode::Update4, detail: 0, targets: entered as u8, direct: 0 };
        let command = Command {
            pair,
            path: Path::Ring,
            kind,
            targets: &targets[..entered],
            held: true,
            parent: NONE,
        };
        let sent = match entered {
            0 => Err(NoRoom),
            _ => core.send(&command, |stamp, put| {
                put(encode::update4(stamp, &items[..entered]).as_bytes());
            }),
        };
        let Ok(number) = sent else {
            items[..entered].iter().for_each(|&(handle, _)| core.leave(handle.index.0));
            return 0;
        };
        for (part, place) in (0..).zip(&mut self.places[self.sent..self.sent + entered]) {
            *place = Place::Sent { pair, number, part: Some(part), owner: part == 0 };
        }
        entered
    }

    fn let_go(&mut self) {
        for place in &self.places {
            if let Place::Sent { pair, number, owner: true, .. } = *place {
                self.core.pair(pair).pending.let_go(number);
            }
        }
    }
}

impl<T: Transport> Drop for Batch<T> {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Item `part` of an UPDATE4's outcome (§4.4).
fn item(settled: Settled, part: u8) -> Settled {
    let Settled::Completed(outcome) = settled else {
        return settled;
    };
    if !matches!(outcome.status, Status::Ok | Status::Items) {
        return settled;
    }
    let bytes = outcome.result.to_le_bytes();
    Settled::Completed(Outcome {
        status: Status::from_code(bytes[usize::from(part)]).unwrap_or(outcome.status),
        result: 0,
        lo_valid: false,
        changed: bytes[4] >> part & 1 == 1,
    })
}
