// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A port: what takes requests, and what happens to it as a whole.

use super::desk::{Desk, Phase};
use super::layout::IpsecOffloadV2;
use super::offload::{self, Ndis};
use super::parse::Malformed;
use super::work::{Work, end};
use super::{Completion, Host, Indication, Kind, NdisStatus, Node, Request, indication, number};
use crate::callback::CallbackId;
use crate::error::Error;
use crate::sa::SaManager;
use crate::sa::restore::{Report, Verify};
use crate::transport::Transport;
use std::sync::atomic::AtomicU32;
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
/// outstanding ends as aborted.
pub struct Port<T: Transport>(Arc<Inner<T>>);

pub(super) struct Inner<T: Transport> {
    pub(super) manager: SaManager<T>,
    pub(super) desk: Arc<Desk>,
    pub(super) callback: CallbackId,
    pub(super) options: Options,
    pub(super) most_bundles: usize,
    capabilities: IpsecOffloadV2,
    /// Threads that want the queue looked at.
    pub(super) drainers: AtomicU32,
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
        let desk = Arc::new(Desk::new(host));
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
            drainers: AtomicU32::new(0),
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
        self.0.delete_orphans();
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
        let idle = table.works.is_empty() && table.orphans.is_empty();
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
        self.0.turn(Phase::Running, Phase::Paused);
    }

    /// The end of [`Self::pause`].
    pub fn restart(&self) {
        self.0.turn(Phase::Paused, Phase::Running);
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
            if matches!(table.phase, Phase::Running | Phase::Paused) {
                table.phase = Phase::Halting;
            }
        }
        if !self.wait_idle(deadline) {
            return Err(Error::Stuck { what: "requests are outstanding" });
        }
        {
            let mut table = self.0.desk.lock();
            // A device that is gone stays so.
            if table.phase != Phase::Removed {
                table.phase = Phase::Closed;
            }
        }
        self.0.manager.close()
    }
}

impl<T: Transport> Inner<T> {
    fn submit(&self, request: Request) {
        let done = match self.take(request) {
            Ok(()) => {
                self.drain();
                return;
            }
            Err(done) => done,
        };
        let changed = done.status == NdisStatus::SUCCESS && done.kind_of_change();
        self.desk.tell([done]);
        if changed {
            let node = offload::offload(self.desk.lock().switches.current(&self.capabilities));
            let status = indication::CURRENT_CONFIG;
            self.desk.indicate(Indication { status, node: Some(node.into()) });
        }
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
        match closed(table.phase) {
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
            number::PARAMETERS => set,
            number::CURRENT_CONFIG | number::HARDWARE_CAPABILITIES => kind == Kind::Query,
            number::ENCAPSULATION => kind != Kind::Method,
            _ => return Some(NdisStatus::INVALID_OID),
        };
        if offered { closed(self.desk.lock().phase) } else { Some(NdisStatus::NOT_SUPPORTED) }
    }

    /// Requests that are no business of the device.
    fn configure(&self, mut request: Request) -> Completion {
        let mut table = self.desk.lock();
        let all = &self.capabilities;
        let node = |nodes: &[Node]| match nodes {
            [node] => Ok(node.clone()),
            _ => Err(Malformed::from(NdisStatus::INVALID_DATA)),
        };
        let nodes = &mut request.nodes;
        let (written, revision) = match (request.oid, request.kind) {
            (number::PARAMETERS, _) => {
                let ipv6 = all.ipv6_supported != 0;
                let set =
                    node(nodes).and_then(|node| table.switches.set_parameters(node.bytes(), ipv6));
                (set.map(|()| 0), 2)
            }
            (number::ENCAPSULATION, Kind::Set) => {
                let set =
                    node(nodes).and_then(|node| table.switches.set_encapsulation(node.bytes()));
                (set.map(|()| 0), 1)
            }
            (number::ENCAPSULATION, _) => {
                (offload::answer(nodes, &table.switches.encapsulation()), 1)
            }
            (number::CURRENT_CONFIG, _) => {
                (offload::answer(nodes, &offload::offload(table.switches.current(all))), 2)
            }
            _ => (offload::answer(nodes, &offload::offload(*all)), 2),
        };
        drop(table);
        let query = request.kind == Kind::Query;
        match written {
            Ok(written) => {
                let done = end(request, NdisStatus::SUCCESS.into());
                let bytes_read = if query { 0 } else { done.bytes_read };
                Completion {
                    bytes_read,
                    bytes_written: written,
                    supported_revision: revision,
                    ..done
                }
            }
            Err(why) => end(request, why),
        }
    }

    fn turn(&self, from: Phase, to: Phase) {
        let mut table = self.desk.lock();
        if table.phase == from {
            table.phase = to;
        }
    }

    fn reset(&self, verify: Verify) -> Result<Report, Error> {
        let before = {
            let mut table = self.desk.lock();
            match table.phase {
                Phase::Removed => return Err(Error::Gone),
                Phase::Halting | Phase::Closed => return Err(Error::Closed),
                phase => {
                    table.phase = Phase::Resetting;
                    // After one that failed.
                    if phase == Phase::Resetting { Phase::Running } else { phase }
                }
            }
        };
        self.desk.indicate(Indication { status: indication::RESET_START, node: None });
        let report = self.manager.recover(verify);
        let told = {
            let mut table = self.desk.lock();
            // Nothing of these is in the device any more, or ever was.
            let all = table.serials(|_| true);
            let mut told = Vec::new();
            for serial in all {
                if let Some(work) = table.works.get_mut(&serial) {
                    work.drop_rest(NdisStatus::REQUEST_ABORTED);
                }
                told.extend(table.finish(serial));
            }
            told
        };
        self.desk.tell(told);
        match report {
            Ok(report) => {
                self.turn(Phase::Resetting, before);
                self.desk.indicate(Indication { status: indication::RESET_END, node: None });
                Ok(report)
            }
            Err(Error::Gone) => {
                self.remove();
                Err(Error::Gone)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn remove(&self) {
        self.abandon(Phase::Removed, NdisStatus::NOT_ACCEPTED);
        // It is gone; there is nothing to learn from what goes wrong now.
        let _ = self.manager.close();
    }

    /// Ends everything that is outstanding.
    fn abandon(&self, phase: Phase, status: NdisStatus) {
        let told = {
            let mut table = self.desk.lock();
            if matches!(table.phase, Phase::Removed | Phase::Closed) {
                return;
            }
            table.phase = phase;
            let all = table.serials(|_| true);
            let told = table.detach(&all, status);
            for serial in all {
                if let Some(work) = table.works.get_mut(&serial) {
                    work.drop_rest(status);
                }
                table.finish(serial);
            }
            told
        };
        self.desk.tell(told);
    }
}

impl<T: Transport> Drop for Inner<T> {
    fn drop(&mut self) {
        self.abandon(Phase::Closed, NdisStatus::REQUEST_ABORTED);
    }
}

impl Completion {
    /// Whether what is offloaded may be another after it. It is told even where nothing has changed: whoever
    /// has set it waits for that.
    fn kind_of_change(&self) -> bool {
        matches!(self.oid, number::PARAMETERS | number::ENCAPSULATION) && self.bytes_written == 0
    }
}

/// The status of requests that come in this phase, if they are not taken.
fn closed(phase: Phase) -> Option<NdisStatus> {
    match phase {
        Phase::Running | Phase::Paused => None,
        Phase::Resetting => Some(NdisStatus::RESET_IN_PROGRESS),
        Phase::Halting | Phase::Closed => Some(NdisStatus::CLOSING),
        Phase::Removed => Some(NdisStatus::NOT_ACCEPTED),
    }
}
