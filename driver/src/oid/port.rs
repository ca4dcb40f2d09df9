// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A port: what takes requests, and what happens to it as a whole.

use super::desk::Desk;
use super::layout::IpsecOffloadV2;
use super::offload::{self, Ndis};
use super::rounds::Rounds;
use super::state::{End, Reset};
use super::work::{Work, end};
use super::{Completion, Host, Indication, Kind, NdisStatus, Request, indication, number};
use crate::callback::CallbackId;
use crate::error::Error;
use crate::sa::restore::{Report, Verify};
use crate::sa::{SaManager, SubmitError};
use crate::transport::Transport;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How a port behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Which way of adding SAs is taken.
    pub ndis: Ndis,
    /// How long a request may take before it ends as failed. Windows allows 12 s and recommends 1 s.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { ndis: Ndis::Any, patience: Duration::from_secs(5) }
    }
}

/// Takes requests. Cheap to clone; all clones are the same port. When the last one is dropped, what is
/// outstanding ends as aborted, and what is being added is deleted again. A [`Host`] that keeps a port keeps
/// itself.
pub struct Port<T: Transport>(Arc<Inner<T>>);

pub(super) struct Inner<T: Transport> {
    pub(super) manager: SaManager<T>,
    pub(super) desk: Arc<Desk>,
    pub(super) callback: CallbackId,
    pub(super) options: Options,
    pub(super) most_bundles: usize,
    capabilities: IpsecOffloadV2,
    /// Of looks at the queue.
    pub(super) rounds: Rounds,
    /// Of telling the configuration.
    changes: Rounds,
    /// When the device is looked after next.
    pub(super) look: Mutex<Instant>,
}

impl<T: Transport> Clone for Port<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Transport> Port<T> {
    /// A port to the device of `manager`, which tells `host` what becomes of requests.
    ///
    /// # Errors
    /// If the manager has no place for another callback.
    pub fn new(
        manager: SaManager<T>,
        options: Options,
        host: Arc<dyn Host>,
    ) -> Result<Self, Error> {
        let core = Arc::downgrade(&manager.core);
        let let_go = move |sa| {
            let Some(core) = core.upgrade() else { return };
            let manager = SaManager { core };
            if matches!(manager.delete(sa), Err(SubmitError::Full)) {
                // What was refused for want of room finds some behind what has been completed.
                manager.poll();
                let _closed_or_gone = manager.delete(sa);
            }
        };
        let desk = Arc::new(Desk::new(host, Box::new(let_go)));
        let callback = manager.register(desk.clone()).ok_or_else(|| {
            let most = crate::callback::MAX_CALLBACKS;
            Error::Config { what: format!("a device has room for {most} callbacks") }
        })?;
        let most_bundles = manager.bundle_capacity();
        let capabilities = offload::capabilities(&manager.core.nic.params, most_bundles);
        Ok(Self(Arc::new(Inner {
            manager,
            desk,
            callback,
            options,
            most_bundles,
            capabilities,
            rounds: Rounds::new(),
            changes: Rounds::new(),
            look: Mutex::new(Instant::now()),
        })))
    }

    /// The manager behind it.
    #[must_use]
    pub fn manager(&self) -> &SaManager<T> {
        &self.0.manager
    }

    /// Takes a request. Never waits; its end is told by [`Host::complete`], perhaps before this returns.
    pub fn submit(&self, request: Request) {
        self.0.submit(request);
    }

    /// Cancels the requests with this id: those that have not ended end at once as REQUEST_ABORTED. What
    /// the device has of an UPDATE or a DELETE still happens, as a whole; what was added is deleted again.
    /// An id of 0, or that nobody has, is ignored.
    pub fn cancel(&self, id: u64) {
        if id == 0 {
            return;
        }
        let told = {
            let mut table = self.0.desk.lock();
            let all = table.serials(|work| work.request.id == id);
            table.detach(&all, NdisStatus::REQUEST_ABORTED)
        };
        self.0.desk.tell(told);
    }

    /// Takes completions, submits what waits for room, gives up on what takes too long. Never waits.
    pub fn poll(&self) {
        self.0.manager.poll();
        self.0.drain();
        self.0.watch();
    }

    /// Requests that have not ended.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.0.desk.lock().outstanding()
    }

    /// Whether nothing is going on: no request is outstanding, and nothing is left of those that ended early,
    /// by a cancel say.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let table = self.0.desk.lock();
        let idle = table.works.is_empty();
        drop(table);
        idle && self.0.manager.in_flight() == 0
    }

    /// Polls until no request is outstanding. False if some are at the deadline.
    #[must_use]
    pub fn wait_idle(&self, deadline: Instant) -> bool {
        loop {
            self.poll();
            if self.outstanding() == 0 {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            self.0.manager.transport().relax();
        }
    }

    /// Resets the device and puts its table back. Requests that come meanwhile are not begun
    /// (RESET_IN_PROGRESS; NOT_ACCEPTED for deletions); those that were outstanding have ended when this
    /// returns, as REQUEST_ABORTED if the device did not get to them.
    ///
    /// # Errors
    /// As [`SaManager::recover`]; then the port stays in the reset, and this may be tried again.
    pub fn reset(&self, verify: Verify) -> Result<Report, Error> {
        self.0.reset(verify)
    }

    /// The device is gone: every request, now and later, ends at once as NOT_ACCEPTED. The keys are wiped.
    /// A port finds this out by itself too, while requests are outstanding.
    pub fn remove(&self) {
        self.0.remove();
    }

    /// The data path rests. Requests are taken as before.
    pub fn pause(&self) {
        self.0.desk.lock().state.paused = true;
    }

    /// The end of [`Self::pause`].
    pub fn restart(&self) {
        self.0.desk.lock().state.paused = false;
    }

    /// Whether the data path rests.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.0.desk.lock().state.paused
    }

    /// Takes no more requests (CLOSING; NOT_ACCEPTED for deletions), waits for those that are outstanding,
    /// and closes the device.
    ///
    /// # Errors
    /// If some are outstanding at the deadline: the device stays open, and this may be tried again. Or what
    /// closing it says.
    pub fn halt(&self, deadline: Instant) -> Result<(), Error> {
        {
            let mut table = self.0.desk.lock();
            if table.state.end == End::Open {
                table.state.end = End::Halting;
            }
        }
        // From here on there are never more.
        if !self.wait_idle(deadline) {
            return Err(Error::Stuck { what: "requests are outstanding" });
        }
        {
            let mut table = self.0.desk.lock();
            if table.state.end == End::Halting {
                table.state.end = End::Closed;
            }
        }
        self.0.manager.close()
    }
}

impl<T: Transport> Inner<T> {
    fn submit(&self, request: Request) {
        // What succeeds at once has to do with the configuration.
        let set = request.kind == Kind::Set;
        match self.take(request) {
            Ok(()) => self.drain(),
            Err(done) => {
                let changed = set && done.status == NdisStatus::SUCCESS;
                self.desk.tell([done]);
                if changed {
                    self.tell_configuration();
                }
            }
        }
    }

    /// Tells the configuration as it is, also where nothing has changed: whoever has set it waits for that.
    /// Of two changes at once the newer one is told last.
    fn tell_configuration(&self) {
        self.changes.run(|| {
            let node = offload::offload(self.desk.lock().switches.current(&self.capabilities));
            let status = indication::CURRENT_CONFIG;
            self.desk.indicate(Indication { status, node: Some(node.into()) });
        });
    }

    /// Puts a request into the queue.
    ///
    /// # Errors
    /// With its completion, if it has ended already.
    fn take(&self, request: Request) -> Result<(), Completion> {
        if let Some(refusal) = self.refusal(&request) {
            return Err(end(request, refusal.into()));
        }
        match request.oid {
            number::ADD_SA | number::ADD_SA_EX | number::UPDATE_SA | number::DELETE_SA => {}
            _ => return Err(self.configure(request)),
        }
        let work = Work::new(request).map_err(|(request, why)| end(request, why))?;
        let mut table = self.desk.lock();
        match table.state.refusal() {
            None => {
                table.take_in(work);
                Ok(())
            }
            Some(status) => {
                drop(table);
                Err(end(work.request, status.into()))
            }
        }
    }

    /// Why a request is not even looked into.
    fn refusal(&self, request: &Request) -> Option<NdisStatus> {
        let Request { oid: number, kind, .. } = *request;
        let set = kind == Kind::Set;
        let absent =
            self.capabilities.tunnel == 0 || self.capabilities.encryption_algorithms.get() == 0;
        let offered = match number {
            number::ADD_SA => set && !absent && self.options.ndis != Ndis::V6_30,
            number::ADD_SA_EX => set && !absent && self.options.ndis != Ndis::V6_20,
            number::UPDATE_SA | number::DELETE_SA => set && !absent,
            number::PARAMETERS => set && !absent,
            number::CURRENT_CONFIG | number::HARDWARE_CAPABILITIES => kind == Kind::Query,
            number::ENCAPSULATION => kind != Kind::Method,
            _ => return Some(NdisStatus::INVALID_OID),
        };
        if offered { self.desk.lock().state.refusal() } else { Some(NdisStatus::NOT_SUPPORTED) }
    }

    /// Requests that are no business of the device.
    fn configure(&self, mut request: Request) -> Completion {
        let mut table = self.desk.lock();
        let (all, switches) = (&self.capabilities, &mut table.switches);
        let query = request.kind == Kind::Query;
        let nodes = &mut request.nodes;
        // Bytes written, and the revision.
        let done = if query {
            let (bytes, revision) = match request.oid {
                number::ENCAPSULATION => (switches.encapsulation(), 1),
                number::CURRENT_CONFIG => (offload::offload(switches.current(all)), 2),
                _ => (offload::offload(*all), 2),
            };
            offload::answer(nodes, &bytes).map(|written| (written, revision))
        } else {
            let [node] = nodes.as_slice() else {
                drop(table);
                return end(request, NdisStatus::INVALID_DATA.into());
            };
            match request.oid {
                number::PARAMETERS => {
                    let ipv6 = all.ipv6_supported != 0;
                    switches.set_parameters(node.bytes(), ipv6).map(|()| (0, 2))
                }
                _ => switches.set_encapsulation(node.bytes()).map(|()| (0, 1)),
            }
        };
        drop(table);
        match done {
            Ok((bytes_written, supported_revision)) => {
                let done = end(request, NdisStatus::SUCCESS.into());
                let bytes_read = if query { 0 } else { done.bytes_read };
                Completion { bytes_read, bytes_written, supported_revision, ..done }
            }
            Err(why) => end(request, why),
        }
    }

    fn reset(&self, verify: Verify) -> Result<Report, Error> {
        {
            let mut table = self.desk.lock();
            match (table.state.end, table.state.reset) {
                (End::Removed, _) => return Err(Error::Gone),
                (End::Halting | End::Closed | End::Dropped, _) => return Err(Error::Closed),
                (End::Open, Reset::Running) => {
                    return Err(Error::Stuck { what: "another reset is under way" });
                }
                (End::Open, Reset::No | Reset::Failed) => table.state.reset = Reset::Running,
            }
        }
        self.desk.indicate(Indication { status: indication::RESET_START, node: None });
        let report = self.manager.recover(verify);
        let told = self.desk.lock().after_reset();
        self.desk.tell(told);
        self.desk.lock().state.reset = if report.is_ok() { Reset::No } else { Reset::Failed };
        match &report {
            Ok(_) => {
                self.desk.indicate(Indication { status: indication::RESET_END, node: None });
                // What nobody owns has waited.
                self.drain();
            }
            Err(Error::Gone) => self.remove(),
            Err(_) => {}
        }
        report
    }

    pub(super) fn remove(&self) {
        let told = {
            let mut table = self.desk.lock();
            if matches!(table.state.end, End::Removed | End::Closed) {
                return;
            }
            table.state.end = End::Removed;
            table.abandon(NdisStatus::NOT_ACCEPTED)
        };
        self.desk.tell(told);
        // It is gone; there is nothing to learn from what goes wrong now.
        let _ = self.manager.close();
    }
}

impl<T: Transport> Drop for Inner<T> {
    fn drop(&mut self) {
        let told = {
            let mut table = self.desk.lock();
            if matches!(table.state.end, End::Open | End::Halting) {
                table.state.end = End::Dropped;
            }
            table.abandon(NdisStatus::REQUEST_ABORTED)
        };
        self.desk.tell(told);
        self.desk.let_go();
    }
}
