// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An open device, whatever its transport: everything that has a number in C, in one place.

use crate::codes::esnic_error::*;
use crate::codes::*;
use crate::convert;
use crate::fail::Fail;
use crate::foreign::{Array, Out};
use crate::tickets::Tickets;
use crate::types::*;
use esnic_driver::transport::Transport;
use esnic_driver::{Batch, Config, SaHandle, SaManager, SaSpec, SaUpdate, State, Ticket, Verify};
use esnic_driver::{SubmitError, Wakeup};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A request that was sent.
pub(crate) type Sent = Result<esnic_ticket, Fail>;

/// What C can do with a device. One implementation; the trait is there for its transports.
pub(crate) trait Device: Send + Sync {
    fn caps(&self) -> Result<esnic_caps, Fail>;
    fn add(&self, sa: &SaSpec) -> Result<(esnic_handle, esnic_ticket), Fail>;
    fn add_bundle(&self, esp: &SaSpec, ah: &SaSpec) -> Result<(esnic_handle, esnic_ticket), Fail>;
    fn update(&self, sa: esnic_handle, update: SaUpdate) -> Sent;
    fn delete(&self, sa: esnic_handle) -> Sent;
    fn query(&self, sa: esnic_handle) -> Sent;
    /// Returns how many items did not succeed.
    fn batch(&self, items: &Array<'_, esnic_item>, timeout: Duration) -> Result<u32, Fail>;
    fn known(&self, sa: esnic_handle) -> Result<esnic_known, Fail>;
    fn poll(&self) -> u32;
    /// Without `timeout`: only looks.
    fn settle(
        &self,
        ticket: esnic_ticket,
        timeout: Option<Duration>,
        outcome: &Out<'_, esnic_outcome>,
    ) -> Result<(), Fail>;
    fn let_go(&self, ticket: esnic_ticket) -> Result<(), Fail>;
    fn check(&self) -> Result<(), Fail>;
    fn recover(&self, verify: Verify) -> Result<(esnic_report, Vec<esnic_handle>), Fail>;
    fn event_fd(&self, pair: u32) -> Result<OwnedFd, Fail>;
    fn event_arm(&self, pair: u32) -> Result<(), Fail>;
    fn event_release(&self, pair: u32) -> Result<(), Fail>;
    fn removal_fd(&self) -> Result<OwnedFd, Fail>;
    fn close(&self) -> Result<(), Fail>;
}

/// A device on a transport.
pub(crate) struct Open<T: Transport> {
    manager: SaManager<T>,
    tickets: Tickets<T>,
    /// Batches that nobody is using, so that their memory is used again.
    batches: Mutex<Vec<Batch<T>>>,
    /// Interrupts that C has taken, by queue pair.
    wakeups: Mutex<BTreeMap<u32, Wakeup<T>>>,
}

impl<T: Transport> Open<T> {
    /// What `manager` was opened with `config` for, as the device with this serial number.
    pub(crate) fn new(manager: SaManager<T>, config: &Config, serial: u64) -> Self {
        // As many as the driver can have outcomes for: twice what its completion rings hold.
        let tickets = (config.queue_pairs as usize) << (config.cq_log2 + 1);
        Self {
            manager,
            tickets: Tickets::new(tickets, serial),
            batches: Mutex::default(),
            wakeups: Mutex::default(),
        }
    }

    fn send(&self, send: impl FnOnce() -> Result<Ticket<T>, SubmitError>) -> Sent {
        let reserved = self.tickets.reserve()?;
        Ok(reserved.put(send()?))
    }

    fn send_new(
        &self,
        send: impl FnOnce() -> Result<(SaHandle, Ticket<T>), SubmitError>,
    ) -> Result<(esnic_handle, esnic_ticket), Fail> {
        let reserved = self.tickets.reserve()?;
        let (sa, ticket) = send()?;
        Ok((sa.bits(), reserved.put(ticket)))
    }

    /// Tells each item of `batch`, after its run, what became of it.
    fn tell(batch: &Batch<T>, items: &Array<'_, esnic_item>) -> Result<u32, Fail> {
        let mut failed = 0;
        for k in 0..items.len() {
            let mut item = items.get(k)?;
            let none = esnic_outcome { size: 0, status: 0, flags: 0, reserved: 0, result: 0 };
            let (said, verdict) = match batch.outcome(k) {
                Some(Ok(settled)) => convert::outcome(settled),
                Some(Err(refusal)) => (none, Err(refusal.into())),
                None if k >= batch.sent() => (none, Err(Fail::plain(ESNIC_E_FULL))),
                None => (none, Err(Fail::plain(ESNIC_E_TIMEOUT))),
            };
            let code = verdict.map_or_else(|fail| fail.code, |()| ESNIC_OK);
            failed += u32::from(code != ESNIC_OK);
            item.error = code as i32;
            (item.status, item.outcome_flags, item.result) = (said.status, said.flags, said.result);
            items.put(k, &item);
        }
        Ok(failed)
    }

    fn wakeup<R>(&self, pair: u32, with: impl FnOnce(&Wakeup<T>) -> R) -> Result<R, Fail> {
        let none = || Fail::new(ESNIC_E_NO_EVENT, "no file was taken for this queue pair");
        lock(&self.wakeups).get(&pair).map(with).ok_or_else(none)
    }
}

impl<T: Transport> Device for Open<T> {
    fn caps(&self) -> Result<esnic_caps, Fail> {
        let caps = self.manager.caps()?;
        let params = &caps.params;
        let mut name = [0; 64];
        let mut len = caps.name.len().min(name.len() - 1);
        while !caps.name.is_char_boundary(len) {
            len -= 1;
        }
        name[..len].copy_from_slice(&caps.name.as_bytes()[..len]);
        let locked = self.manager.keys_are_locked();
        Ok(esnic_caps {
            size: 0,
            contract: u32::from(caps.version.0) << 16 | u32::from(caps.version.1),
            abi_hash: caps.abi_hash,
            sa_capacity: params.sa_capacity,
            bundle_capacity: number(self.manager.bundle_capacity()),
            room: number(self.manager.room()),
            queue_pairs: params.queue_pairs.into(),
            ring_entries: 1 << params.ring_log2,
            direct_entries: 1 << params.direct_log2,
            stage_buffers: 1 << params.stage_log2,
            max_window: params.max_window.into(),
            features: params.features,
            algorithms: params.algs,
            flags: if locked { ESNIC_CAPS_KEYS_LOCKED } else { 0 },
            reserved: 0,
            name,
        })
    }

    fn add(&self, sa: &SaSpec) -> Result<(esnic_handle, esnic_ticket), Fail> {
        self.send_new(|| self.manager.add(sa))
    }

    fn add_bundle(&self, esp: &SaSpec, ah: &SaSpec) -> Result<(esnic_handle, esnic_ticket), Fail> {
        self.send_new(|| self.manager.add_bundle(esp, ah))
    }

    fn update(&self, sa: esnic_handle, update: SaUpdate) -> Sent {
        self.send(|| self.manager.update(SaHandle::from_bits(sa), update))
    }

    fn delete(&self, sa: esnic_handle) -> Sent {
        self.send(|| self.manager.delete(SaHandle::from_bits(sa)))
    }

    fn query(&self, sa: esnic_handle) -> Sent {
        self.send(|| self.manager.query(SaHandle::from_bits(sa)))
    }

    fn batch(&self, items: &Array<'_, esnic_item>, timeout: Duration) -> Result<u32, Fail> {
        let deadline = Instant::now() + timeout;
        let idle = lock(&self.batches).pop();
        let mut batch = idle.unwrap_or_else(|| self.manager.batch(items.len()));
        batch.clear();
        for k in 0..items.len() {
            let item = items.get(k)?;
            let sa = SaHandle::from_bits(item.sa);
            match convert::item(&item) {
                Ok(Some(update)) => batch.update(sa, update),
                Ok(None) => batch.delete(sa),
                Err(fail) => return Err(Fail::new(fail.code, format!("item {k}: {}", fail.text))),
            }
        }
        let ran = batch.run(deadline).map_err(Fail::from);
        let failed = Self::tell(&batch, items)?;
        batch.clear();
        lock(&self.batches).push(batch);
        match ran {
            // Which items those are is told with each.
            Err(fail) if fail.code != ESNIC_E_TIMEOUT => Err(fail),
            _ => Ok(failed),
        }
    }

    fn known(&self, sa: esnic_handle) -> Result<esnic_known, Fail> {
        let sa = SaHandle::from_bits(sa);
        let none = || Fail::plain(ESNIC_E_NOT_FOUND);
        let state = match self.manager.state(sa).ok_or_else(none)? {
            State::Free => return Err(none()),
            State::Adding => esnic_state::ESNIC_ADDING,
            State::Live => esnic_state::ESNIC_LIVE,
            State::Deleting => esnic_state::ESNIC_DELETING,
            State::Dead => esnic_state::ESNIC_DEAD,
            State::Lost => esnic_state::ESNIC_LOST,
        };
        // Known of live SAs only.
        let (top, lo) = self.manager.known_top(sa).unwrap_or((esnic_abi::Top(0), false));
        let flags = if lo { ESNIC_KNOWN_LO } else { 0 };
        let (hi, lo) = (top.hi(), top.lo());
        Ok(esnic_known { size: 0, state: state as u32, hi, lo, flags, reserved: 0 })
    }

    fn poll(&self) -> u32 {
        match self.manager.poll() {
            0 => {
                // Who does nothing but poll must see a device move that is in this process.
                self.manager.transport().relax();
                self.manager.poll()
            }
            taken => taken,
        }
    }

    fn settle(
        &self,
        ticket: esnic_ticket,
        timeout: Option<Duration>,
        outcome: &Out<'_, esnic_outcome>,
    ) -> Result<(), Fail> {
        let lent = self.tickets.lend(ticket)?;
        let settled = match timeout {
            Some(timeout) => lent.ticket().wait(Instant::now() + timeout)?,
            None => {
                let again = || {
                    self.poll();
                    lent.ticket().poll()
                };
                let found = lent.ticket().poll().or_else(again);
                found.ok_or_else(|| Fail::plain(ESNIC_E_PENDING))?
            }
        };
        lent.use_up();
        let (said, verdict) = convert::outcome(settled);
        outcome.put(&said);
        verdict
    }

    fn let_go(&self, ticket: esnic_ticket) -> Result<(), Fail> {
        self.tickets.lend(ticket).map(|lent| lent.use_up())
    }

    fn check(&self) -> Result<(), Fail> {
        Ok(self.manager.check()?)
    }

    fn recover(&self, verify: Verify) -> Result<(esnic_report, Vec<esnic_handle>), Fail> {
        let report = self.manager.recover(verify)?;
        let told = esnic_report {
            size: 0,
            restored: number(report.restored),
            lost: number(report.lost.len()),
            aborted: number(report.aborted),
            verified: number(report.verified),
            differences: number(report.differences.len()),
        };
        Ok((told, report.lost.into_iter().map(SaHandle::bits).collect()))
    }

    fn event_fd(&self, pair: u32) -> Result<OwnedFd, Fail> {
        let mut wakeups = lock(&self.wakeups);
        if let Some(wakeup) = wakeups.get(&pair) {
            return copy(wakeup.as_fd());
        }
        let wakeup = self.manager.wakeup(pair).ok_or_else(|| Fail::plain(ESNIC_E_NO_EVENT))?;
        let file = copy(wakeup.as_fd())?;
        wakeups.insert(pair, wakeup);
        Ok(file)
    }

    fn event_arm(&self, pair: u32) -> Result<(), Fail> {
        self.wakeup(pair, Wakeup::arm)
    }

    fn event_release(&self, pair: u32) -> Result<(), Fail> {
        self.wakeup(pair, |_| ())?;
        lock(&self.wakeups).remove(&pair);
        Ok(())
    }

    fn removal_fd(&self) -> Result<OwnedFd, Fail> {
        let file = self.manager.transport().removal_fd();
        copy(file.ok_or_else(|| Fail::plain(ESNIC_E_NO_EVENT))?)
    }

    fn close(&self) -> Result<(), Fail> {
        Ok(self.manager.close()?)
    }
}

/// A file of the caller's own for what the driver's is about.
fn copy(file: BorrowedFd<'_>) -> Result<OwnedFd, Fail> {
    let copied = file.try_clone_to_owned();
    copied.map_err(|error| Fail::new(ESNIC_E_HOST, format!("cannot duplicate the file: {error}")))
}

/// What C calls a count. No count here comes near 2^32.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is inside is whole whenever the lock is free, also after a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
