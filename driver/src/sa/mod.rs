// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The SA manager: what users of the driver call.

pub mod batch;
pub(crate) mod element;
pub(crate) mod encode;
mod follow;
pub mod inspect;
mod life;
mod owe;
pub mod restore;
mod settle;
mod slots;
pub mod spec;
mod submit;
pub mod wakeup;

use crate::callback::{CallbackId, OnSettled};
use crate::config::Config;
use crate::core::{Core, PathPolicy};
use crate::error::Error;
use crate::nic::{Caps, Nic, probe};
use crate::pending::Kind;
use crate::ticket::Ticket;
use crate::transport::Transport;
use esnic_abi::{Handle, Opcode, Protocol, Spi, Status, Top};
use std::fmt;
use std::sync::Arc;
use zerocopy::IntoBytes;

pub use batch::Batch;
pub use element::{Path, State};
pub use encode::Change;
pub use spec::{SaSpec, UdpPorts, Unsupported};
pub use wakeup::Wakeup;

/// What a caller holds of an SA, or of a bundle of two: good from a successful ADD until DELETE, also
/// across resets of the device, and never again afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SaHandle(pub(crate) Handle);

impl SaHandle {
    /// The handle as a number, never 0.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0.bits()
    }

    /// The handle that [`Self::bits`] gave. Requests that name another number fail with
    /// [`SubmitError::NotFound`], unless it is one that this manager gave to somebody else, or that of a
    /// bundle's second row, which names the same bundle.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(Handle::from_bits(bits))
    }

    /// The row of the device's table that holds the (first) element.
    #[must_use]
    pub const fn row(self) -> u32 {
        self.0.index.0
    }
}

impl fmt::Debug for SaHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SaHandle({})", self.0)
    }
}

/// Why a request did not reach the device. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The rings are full. Poll, then try again.
    #[error("the queue is full; take completions and try again")]
    Full,
    /// The SA has commands outstanding by the other path. Poll, then try again.
    #[error("the SA has commands outstanding by another path; take completions and try again")]
    Busy,
    /// Every slot is taken.
    #[error("the SA table is full")]
    TableFull,
    /// No live SA has this handle.
    #[error("no SA has this handle")]
    NotFound,
    /// The handle's SA has no element with this protocol.
    #[error("the SA has no {0} element")]
    WrongProtocol(Protocol),
    /// The element has another SPI.
    #[error("the element's SPI is not {0}")]
    WrongSpi(Spi),
    /// The element has no extended sequence numbers.
    #[error("the element has no extended sequence numbers")]
    NotEsn,
    /// The device does not have the SA any more.
    #[error("the SA is lost: the device does not hold it; delete it and add it again")]
    Lost,
    /// The device cannot take the SA.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// A bundle is one SA, or an ESP one and an AH one of the same direction.
    #[error("a bundle is one SA, or an ESP SA and an AH SA of the same direction")]
    Bundle,
    /// The device is being reset, or is closed.
    #[error("the device is being reset or closed; after a reset it takes commands again")]
    Closed,
}

/// Which element of an SA an update is for, and what it shall do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaUpdate {
    /// ESP or AH.
    pub protocol: Protocol,
    /// SPI that the element must have.
    pub spi: Spi,
    /// The change.
    pub change: Change,
}

/// Keeps the SA table of one device right. Cheap to clone; all clones are the same manager.
pub struct SaManager<T: Transport> {
    pub(crate) core: Arc<Core<T>>,
}

impl<T: Transport> Clone for SaManager<T> {
    fn clone(&self) -> Self {
        Self { core: self.core.clone() }
    }
}

impl<T: Transport> SaManager<T> {
    /// Resets the device and brings it up.
    ///
    /// # Errors
    /// If it is no esnic device, does not come up in time, or `config` asks for what it lacks.
    pub fn open(transport: T, config: Config) -> Result<Self, Error> {
        let core = Core::new(Nic::open(transport, config)?)?;
        core.nic.gate.open();
        Ok(Self { core: Arc::new(core) })
    }

    /// What the device is and can do.
    ///
    /// # Errors
    /// If it is gone.
    pub fn caps(&self) -> Result<Caps, Error> {
        probe(&self.core.nic.transport)
    }

    /// The way to the device, for whoever must look beside the manager.
    #[must_use]
    pub fn transport(&self) -> &T {
        &self.core.nic.transport
    }

    /// SAs that there is room for now. A bundle takes two.
    #[must_use]
    pub fn room(&self) -> usize {
        self.core.free.len()
    }

    /// Bundles that fit into an empty table: half of it where AH is offered, since each may be of
    /// two elements.
    #[must_use]
    pub fn bundle_capacity(&self) -> usize {
        let ah = esnic_abi::regs::global::FEATURES::AH.is_set(self.core.nic.params.features);
        self.core.elements.len() / if ah { 2 } else { 1 }
    }

    /// Whether keys are in memory that is never swapped out.
    #[must_use]
    pub fn keys_are_locked(&self) -> bool {
        self.core.vault.is_locked()
    }

    /// Overrides which path commands take.
    pub fn set_path_policy(&self, policy: PathPolicy) {
        self.core.set_policy(policy);
    }

    /// Registers a callback for [`Ticket::notify`]. It stays until the device is closed.
    #[must_use]
    pub fn register(&self, callback: Arc<dyn OnSettled>) -> Option<CallbackId> {
        self.core.callbacks.register(callback)
    }

    /// Takes whatever completions are there and lets the driver do what it owes the device. Never
    /// waits. Returns how many completions were taken.
    pub fn poll(&self) -> u32 {
        self.core.poll()
    }

    /// Adds an SA. The handle is good once the ticket says OK.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub fn add(&self, spec: &SaSpec) -> Result<(SaHandle, Ticket<T>), SubmitError> {
        self.core
            .again(|core| core.add_one(spec))
            .map(|(handle, pair, number)| (SaHandle(handle), Ticket::new(&self.core, pair, number)))
    }

    /// Adds an ESP SA and an AH SA behind one handle: AH first, then ESP, and if one fails the other
    /// is deleted again.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub fn add_bundle(
        &self,
        esp: &SaSpec,
        ah: &SaSpec,
    ) -> Result<(SaHandle, Ticket<T>), SubmitError> {
        self.core
            .again(|core| core.add_two(esp, ah))
            .map(|(handle, pair, number)| (SaHandle(handle), Ticket::new(&self.core, pair, number)))
    }

    /// Moves the sequence numbers of one element. An update whose predecessor timed out goes
    /// forward only, or, if it is not above the last known high half, is made a compare-and-set from that: it
    /// cannot pull the device back (R36). If another thread deletes the SA meanwhile, it may end as EMPTY or STALE: there is no such SA any more.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub fn update(&self, sa: SaHandle, update: SaUpdate) -> Result<Ticket<T>, SubmitError> {
        let (pair, number) = self.core.again(|core| {
            let inside = core.nic.gate.enter().ok_or(SubmitError::Closed)?;
            let path = core.choose(1);
            let (pair, number) = core.update(sa.0, update, path)?;
            core.pair(pair).publish(&core.nic.transport);
            drop(inside);
            Ok((pair, number))
        })?;
        Ok(Ticket::new(&self.core, pair, number))
    }

    /// Deletes an SA, or both elements of a bundle. The handle is invalid at once. Succeeds upward
    /// whatever the device says; a slot whose deletion failed is not used until a retry works.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub fn delete(&self, sa: SaHandle) -> Result<Ticket<T>, SubmitError> {
        let (pair, number) = self.core.again(|core| {
            let inside = core.nic.gate.enter().ok_or(SubmitError::Closed)?;
            let (pair, number) = core.delete(sa.0)?;
            core.pair(pair).publish(&core.nic.transport);
            drop(inside);
            Ok((pair, number))
        })?;
        Ok(Ticket::new(&self.core, pair, number))
    }

    /// Reads the element's `top` from the device; the shadow learns it.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub fn query(&self, sa: SaHandle) -> Result<Ticket<T>, SubmitError> {
        self.simple(sa, Opcode::Query, 0, 0, |stamp, handle| encode::query(stamp, handle, None))
    }

    /// Asks which 64-bit number the device would take `seq` from the wire for; with `commit`, as if
    /// that packet had been authenticated.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub fn resolve(&self, sa: SaHandle, seq: u32, commit: bool) -> Result<Ticket<T>, SubmitError> {
        self.simple(sa, Opcode::Resolve, commit.into(), seq.into(), |stamp, handle| {
            encode::resolve(stamp, handle, seq, commit)
        })
    }

    fn simple<R: IntoBytes + zerocopy::Immutable>(
        &self,
        sa: SaHandle,
        opcode: Opcode,
        detail: u8,
        wanted: u64,
        encode: impl Fn(encode::Stamp, Handle) -> R,
    ) -> Result<Ticket<T>, SubmitError> {
        let (pair, number) = self.core.again(|core| {
            let inside = core.nic.gate.enter().ok_or(SubmitError::Closed)?;
            let element = core.element(sa.0)?;
            let path = element.enter(sa.0, core.choose(1))?;
            let kind = Kind { opcode, detail, targets: 1, direct: 0 };
            let (pair, number) =
                core.send_entered(element, sa.0, wanted, path, kind, |stamp, put| {
                    put(encode(stamp, sa.0).as_bytes());
                })?;
            core.pair(pair).publish(&core.nic.transport);
            drop(inside);
            Ok((pair, number))
        })?;
        Ok(Ticket::new(&self.core, pair, number))
    }
}

/// What a batch item or a ticket reports for `top` and status, in words.
pub(crate) fn describe(status: Status, result: u64) -> String {
    match status {
        Status::Conflict | Status::Backward => {
            format!("{status}, the device holds {}", Top(result))
        }
        Status::Occupied | Status::OldGeneration | Status::Empty | Status::Stale => {
            format!("{status}, the device remembers generation {result}")
        }
        _ => status.to_string(),
    }
}
