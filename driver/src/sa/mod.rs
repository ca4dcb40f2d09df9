// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The SA manager: what users of the driver call.

pub mod batch;
pub(crate) mod element;
pub(crate) mod encode;
pub mod inspect;
pub mod restore;
mod settle;
pub mod spec;

use crate::callback::{CallbackId, OnSettled};
use crate::core::{Command, Core, NoRoom, PathPolicy};
use crate::error::Error;
use crate::nic::{Caps, Config, Nic, probe};
use crate::pending::{Kind, NONE, Target};
use crate::ticket::Ticket;
use crate::transport::Transport;
use element::{Element, Flow, handle};
use esnic_abi::{Handle, Opcode, Protocol, Spi, Status, Top};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use zerocopy::IntoBytes;
use zeroize::Zeroizing;

pub use batch::Batch;
pub use element::{Path, State};
pub use encode::Change;
pub use spec::{SaSpec, UdpPorts, Unsupported};

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

    /// The handle that [`Self::bits`] gave. A number that it did not give is no handle, and requests
    /// that name it fail with [`SubmitError::NotFound`].
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
    #[error("the device is being reset or closed")]
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

    /// Moves the sequence numbers of one element. An update whose predecessor timed out is made a
    /// compare-and-set from the last known high half, so that it cannot pull the device back (R36).
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
            let path = core.enter(element, sa.0, core.choose(1))?;
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

impl<T: Transport> Core<T> {
    /// Tries; where there is no room, takes completions and tries once more.
    fn again<R>(&self, submit: impl Fn(&Self) -> Result<R, SubmitError>) -> Result<R, SubmitError> {
        match submit(self) {
            Err(SubmitError::Full | SubmitError::Busy) => {
                self.poll();
                let result = submit(self);
                if matches!(result, Err(SubmitError::Full)) {
                    self.tallies.full.fetch_add(1, Ordering::Relaxed);
                }
                result
            }
            result => result,
        }
    }

    /// Counts a command in on a live SA; gives the path that it must take (R29).
    fn enter(&self, element: &Element, sa: Handle, wanted: Path) -> Result<Path, SubmitError> {
        let before = element.shift(|flow| {
            alive(flow, sa)?;
            let path = if flow.outstanding > 0 { flow.path } else { wanted };
            let outstanding = flow.outstanding.checked_add(1).ok_or(SubmitError::Full)?;
            Ok::<_, SubmitError>(Flow { path, outstanding, ..flow })
        })?;
        Ok(if before.outstanding > 0 { before.path } else { wanted })
    }

    /// Sends a command that was counted in; counts it out again if there is no room. A direct
    /// command that finds the direct path taken goes by ring, if it is the SA's only one.
    fn send_entered(
        &self,
        element: &Element,
        sa: Handle,
        wanted: u64,
        path: Path,
        kind: Kind,
        encode: impl Fn(encode::Stamp, &dyn Fn(&[u8])),
    ) -> Result<(usize, u32), SubmitError> {
        let pair = element.pair();
        let targets = [Target { handle: sa, wanted }];
        let mut command = Command { pair, path, kind, targets: &targets, held: true, parent: NONE };
        let mut sent = self.send(&command, &encode);
        let mut refusal = SubmitError::Full;
        if sent.is_err() && path == Path::Direct {
            let alone = element.shift(|flow| match flow.outstanding {
                1 => Ok(Flow { path: Path::Ring, ..flow }),
                _ => Err(SubmitError::Busy),
            });
            match alone {
                Ok(_) => {
                    command.path = Path::Ring;
                    sent = self.send(&command, &encode);
                }
                Err(busy) => refusal = busy,
            }
        }
        sent.map(|number| (pair, number)).map_err(|NoRoom| {
            self.leave(sa.index.0);
            refusal
        })
    }

    /// Counts out a command that was counted in and not sent.
    pub(crate) fn leave(&self, index: u32) {
        self.elements[index as usize]
            .force(|flow| Flow { outstanding: flow.outstanding - 1, ..flow });
        self.give_back(index);
    }

    /// The element of `sa` that an update is for, if the update fits it.
    pub(crate) fn resolve_target(
        &self,
        sa: Handle,
        update: &SaUpdate,
    ) -> Result<(&Element, Handle), SubmitError> {
        let found = self.look_up(sa, update);
        // What was read belongs to `sa` only if the slot is still in the same life.
        fence(Ordering::Acquire);
        alive(self.element(sa)?.flow(), sa)?;
        found
    }

    fn look_up(&self, sa: Handle, update: &SaUpdate) -> Result<(&Element, Handle), SubmitError> {
        let mut element = self.element(sa)?;
        let mut target = sa;
        alive(element.flow(), sa)?;
        let mut identity = element.identity();
        if identity.1 != update.protocol as u8 {
            let peer = element.peer().ok_or(SubmitError::WrongProtocol(update.protocol))?;
            element = &self.elements[peer as usize];
            target = handle(peer, element.flow().generation);
            alive(element.flow(), target)?;
            identity = element.identity();
        }
        let (spi, protocol, esn) = identity;
        if protocol != update.protocol as u8 {
            return Err(SubmitError::WrongProtocol(update.protocol));
        }
        if spi != update.spi.0 {
            return Err(SubmitError::WrongSpi(update.spi));
        }
        let plain = update.change.mode == esnic_abi::UpdateMode::Top
            && update.change.top.hi() == 0
            && update.change.expected_hi.is_none();
        if !esn && !plain {
            return Err(SubmitError::NotEsn);
        }
        Ok((element, target))
    }

    /// Sends one UPDATE.
    pub(crate) fn update(
        &self,
        sa: Handle,
        update: SaUpdate,
        wanted: Path,
    ) -> Result<(usize, u32), SubmitError> {
        let (element, target) = self.resolve_target(sa, &update)?;
        let path = self.enter(element, target, wanted)?;
        let (change, detail) = settle::careful(element, update.change);
        let kind = Kind { opcode: Opcode::Update, detail, targets: 1, direct: 0 };
        let (spi, protocol) = (update.spi.0, update.protocol as u8);
        self.send_entered(element, target, change.top.0, path, kind, |stamp, put| {
            put(encode::update(stamp, target, spi, protocol, change).as_bytes());
        })
    }

    /// Deletes an SA and its bundle's other half.
    pub(crate) fn delete(&self, sa: Handle) -> Result<(usize, u32), SubmitError> {
        let element = self.element(sa)?;
        let pair = element.pair();
        let peer = element.peer();
        let kind = Kind { opcode: Opcode::Delete, detail: 0, targets: 1, direct: 0 };
        let targets = [Target { handle: sa, wanted: 0 }];
        let parts = 1 + u32::from(peer.is_some());
        // Room first: from the next step on there is no way back.
        let operation = self
            .pair(pair)
            .pending
            .take_operation(kind, &targets, parts)
            .ok_or(SubmitError::Full)?;
        let doomed = element.shift(|flow| match alive(flow, sa) {
            Ok(()) | Err(SubmitError::Lost) => Ok(Flow { state: State::Deleting, ..flow }),
            Err(other) => Err(other),
        });
        if let Err(refusal) = doomed {
            self.pair(pair).pending.untake(operation);
            return Err(refusal);
        }
        if let Some(peer) = peer {
            let doomed = self.elements[peer as usize].shift(|flow| match flow.state {
                State::Adding | State::Live | State::Lost => {
                    Ok(Flow { state: State::Deleting, ..flow })
                }
                State::Free | State::Deleting | State::Dead => Err(()),
            });
            match doomed {
                Ok(_) => drop(self.owe(peer, operation)),
                // It is on its way out already, with nobody waiting for it.
                Err(()) => drop(self.pair(pair).pending.drop_part(operation)),
            }
        }
        self.owe(sa.index.0, operation);
        Ok((pair, operation))
    }

    /// Sends the command that slot `index` needs for its state, now or as soon as there is room.
    /// Whether it was now.
    pub(crate) fn owe(&self, index: u32, operation: u32) -> bool {
        self.elements[index as usize].set_waiting(operation);
        let paid = self.pay(index).is_ok();
        if !paid {
            self.todo
                .push(index)
                .expect("the queue has room for every slot, and each is in it once");
        }
        paid
    }

    /// Sends what slot `index` waits for: an ADD or a DELETE of what the shadow says.
    fn pay(&self, index: u32) -> Result<(), NoRoom> {
        let element = &self.elements[index as usize];
        let flow = element.flow();
        // In order behind whatever is outstanding, by the same path; deletions by ring otherwise.
        let path = if flow.outstanding > 0 { flow.path } else { Path::Ring };
        let sa = handle(index, flow.generation);
        let opcode = if flow.state == State::Adding { Opcode::Add } else { Opcode::Delete };
        let command = Command {
            pair: element.pair(),
            path,
            kind: Kind { opcode, detail: 0, targets: 1, direct: 0 },
            targets: &[Target { handle: sa, wanted: 0 }],
            held: false,
            parent: element.waiting(),
        };
        // Before it is sent: afterwards the slot may be another's already.
        element.set_waiting(NONE);
        element.force(|flow| Flow { path, outstanding: flow.outstanding + 1, ..flow });
        let sent = self.send(&command, |stamp, put| match opcode {
            Opcode::Add => self.put_add(stamp, index, put),
            _ => put(encode::delete(stamp, sa).as_bytes()),
        });
        if sent.is_err() {
            element.force(|flow| Flow { outstanding: flow.outstanding - 1, ..flow });
            element.set_waiting(command.parent);
        }
        sent.map(drop)
    }

    fn put_add(&self, stamp: encode::Stamp, index: u32, put: &dyn Fn(&[u8])) {
        let view = self.elements[index as usize].view();
        self.vault.with(index as usize, |keys| {
            let mut bytes = Zeroizing::new([0; esnic_abi::Add::LEN]);
            encode::add(&mut bytes, stamp, &view, keys);
            put(bytes.as_slice());
        });
    }

    /// Does what is owed to the device, as far as there is room.
    pub(crate) fn do_todo(&self) {
        for _ in 0..self.todo.len() {
            let Some(inside) = self.nic.gate.enter() else {
                return;
            };
            let Some(index) = self.todo.pop() else { return };
            let element = &self.elements[index as usize];
            // Before it is sent: afterwards the slot may be another's already.
            let (pair, next) = (element.pair(), self.behind(index));
            let paid = self.pay(index);
            if paid.is_err() {
                self.todo.push(index).expect("it was just taken out");
            } else {
                if let Some(next) = next {
                    self.owe(next, self.elements[next as usize].waiting());
                }
                self.pair(pair).publish(&self.nic.transport);
            }
            drop(inside);
            if paid.is_err() {
                return;
            }
        }
    }

    /// The half of a bundle whose ADD waits until that of slot `index` is sent.
    pub(crate) fn behind(&self, index: u32) -> Option<u32> {
        let adding = self.elements[index as usize].flow().state == State::Adding;
        let peer = self.elements[index as usize].peer()?;
        let behind = &self.elements[peer as usize];
        let waits = behind.flow().state == State::Adding && behind.waiting() != NONE;
        (adding && waits).then_some(peer)
    }

    fn add_one(&self, spec: &SaSpec) -> Result<(Handle, usize, u32), SubmitError> {
        spec.check(&self.nic.params)?;
        let inside = self.nic.gate.enter().ok_or(SubmitError::Closed)?;
        let index = self.free.pop().ok_or(SubmitError::TableFull)?;
        let sa = self.occupy(index, index, spec, None);
        let element = &self.elements[index as usize];
        element.force(|flow| Flow { outstanding: 1, ..flow });
        let kind = Kind { opcode: Opcode::Add, detail: 0, targets: 1, direct: 0 };
        let path = self.choose(1);
        element.force(|flow| Flow { path, ..flow });
        let sent = self.send_entered(element, sa, 0, path, kind, |stamp, put| {
            self.put_add(stamp, index, put);
        });
        match sent {
            Ok((pair, number)) => {
                self.pair(pair).publish(&self.nic.transport);
                drop(inside);
                Ok((sa, pair, number))
            }
            Err(refusal) => {
                self.vacate(index);
                Err(refusal)
            }
        }
    }

    fn add_two(&self, esp: &SaSpec, ah: &SaSpec) -> Result<(Handle, usize, u32), SubmitError> {
        let fits = esp.protocol == Protocol::Esp
            && ah.protocol == Protocol::Ah
            && esp.direction == ah.direction;
        if !fits {
            return Err(SubmitError::Bundle);
        }
        for spec in [esp, ah] {
            spec.check(&self.nic.params)?;
        }
        let inside = self.nic.gate.enter().ok_or(SubmitError::Closed)?;
        let first = self.free.pop().ok_or(SubmitError::TableFull)?;
        let Some(second) = self.free.pop() else {
            self.free.push(first).expect("it was just taken out");
            return Err(SubmitError::TableFull);
        };
        let sa = self.occupy(first, first, esp, Some(second));
        self.occupy(second, first, ah, Some(first));
        let pair = self.elements[first as usize].pair();
        let kind = Kind { opcode: Opcode::Add, detail: 0, targets: 1, direct: 0 };
        let targets = [Target { handle: sa, wanted: 0 }];
        let Some(operation) = self.pair(pair).pending.take_operation(kind, &targets, 2) else {
            for index in [first, second] {
                self.vacate(index);
            }
            return Err(SubmitError::Full);
        };
        // AH first: if it has to wait for room, ESP waits behind it.
        self.elements[first as usize].set_waiting(operation);
        let sent = self.owe(second, operation);
        if sent {
            self.owe(first, operation);
        }
        self.pair(pair).publish(&self.nic.transport);
        drop(inside);
        Ok((sa, pair, operation))
    }

    /// Puts an SA into a free slot's shadow, in its next generation. `primary` decides the pair.
    fn occupy(&self, index: u32, primary: u32, spec: &SaSpec, peer: Option<u32>) -> Handle {
        let element = &self.elements[index as usize];
        let before = element.force(|flow| Flow {
            generation: flow.generation.next(),
            state: State::Adding,
            path: Path::Ring,
            doubt: false,
            used: true,
            outstanding: 0,
        });
        // Release: whoever reads what follows sees the new generation too.
        fence(Ordering::Release);
        let sa = handle(index, before.generation.next());
        element.set_pair(primary % self.nic.config.queue_pairs);
        element.set_waiting(NONE);
        element.set_view(&spec.view(sa, peer));
        self.vault.put(index as usize, &spec.keys);
        sa
    }

    /// Empties a slot's shadow, and gives the slot back if nothing stands in the way.
    pub(crate) fn vacate(&self, index: u32) {
        let element = &self.elements[index as usize];
        self.vault.wipe(index as usize);
        element.failures.store(0, Ordering::Relaxed);
        element.force(|flow| Flow { state: State::Free, doubt: false, ..flow });
        self.give_back(index);
    }

    /// Gives a slot back once it is empty, no command that names it is under way, and the same is
    /// true of its bundle's other half: a command that was late would meet the next life (R29).
    pub(crate) fn give_back(&self, index: u32) {
        let flow = |index: u32| self.elements[index as usize].flow();
        let seen = flow(index);
        if !seen.is_spent() {
            return;
        }
        let peer = self.elements[index as usize].peer();
        let other = peer.map(flow);
        fence(Ordering::Acquire);
        if other.is_some_and(|other| !other.is_spent()) || flow(index) != seen {
            return;
        }
        // Both halves may come to this point at once: who moves the lower one gives back both.
        let (first, seen) = match (peer, other) {
            (Some(peer), Some(other)) if peer < index => (peer, other),
            _ => (index, seen),
        };
        let unused = |flow: Flow| Flow { used: false, ..flow };
        let won = self.elements[first as usize].shift(|now| match now == seen {
            true => Ok(unused(now)),
            false => Err(()),
        });
        if won.is_err() {
            return;
        }
        let both = [Some(index), peer];
        for half in both.into_iter().flatten() {
            self.elements[half as usize].force(unused);
            self.elements[half as usize].clear_view();
        }
        for half in both.into_iter().flatten() {
            self.free
                .push(half)
                .expect("the queue has room for every slot, and each is in it once");
        }
    }
}

/// Whether a request may name this entry.
pub(crate) fn alive(flow: Flow, sa: Handle) -> Result<(), SubmitError> {
    match flow.state {
        _ if flow.generation != sa.generation => Err(SubmitError::NotFound),
        State::Live => Ok(()),
        State::Lost => Err(SubmitError::Lost),
        State::Free | State::Adding | State::Deleting | State::Dead => Err(SubmitError::NotFound),
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
