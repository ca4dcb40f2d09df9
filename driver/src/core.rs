// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a manager, its tickets and its batches share: the device, the shadow, the keys; and the one
//! way by which a command leaves the driver.

use crate::callback::Callbacks;
use crate::direct::Stages;
use crate::error::Error;
use crate::nic::Nic;
use crate::pair::QueuePair;
use crate::pending::{Kind, NONE, Target};
use crate::regs;
use crate::sa::SubmitError;
use crate::sa::element::{Element, Path};
use crate::sa::encode::{self, Stamp};
use crate::secret::Vault;
use crate::transport::Transport;
use crossbeam::queue::ArrayQueue;
use esnic_abi::{Add, Bar, Handle, Opcode, SA_SLOT_BYTES, SaIndex};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use zeroize::Zeroizing;

/// Which path commands take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathPolicy {
    /// Direct for calls of up to `direct_up_to` commands, ring for more. Direct also needs an SA
    /// without outstanding commands, a free stage buffer and a free doorbell entry; where one is
    /// missing, the ring is taken.
    Auto {
        /// Most commands in one call that go the direct way.
        direct_up_to: u16,
    },
    /// Always the ring.
    Ring,
    /// Direct wherever the device allows it.
    Direct,
}

impl Default for PathPolicy {
    /// One or two commands go direct. A direct update costs 160 to 200 bytes on the bus and no DMA
    /// read; by ring it is 180 bytes alone but 95 in a batch (§9 of the device manual). So latency
    /// decides for the few, and throughput for the many.
    fn default() -> Self {
        Self::Auto { direct_up_to: 2 }
    }
}

impl PathPolicy {
    fn pack(self) -> u32 {
        match self {
            Self::Auto { direct_up_to } => u32::from(direct_up_to),
            Self::Ring => 1 << 16,
            Self::Direct => 1 << 17,
        }
    }

    fn unpack(word: u32) -> Self {
        match word >> 16 {
            0 => Self::Auto { direct_up_to: word as u16 },
            1 => Self::Ring,
            _ => Self::Direct,
        }
    }

    /// The path for a call of `commands` commands.
    pub(crate) fn choose(self, commands: usize) -> Path {
        match self {
            Self::Auto { direct_up_to } if commands <= usize::from(direct_up_to) => Path::Direct,
            Self::Auto { .. } | Self::Ring => Path::Ring,
            Self::Direct => Path::Direct,
        }
    }
}

/// Things that happen rarely and that an operator wants to know of.
#[derive(Default)]
pub(crate) struct Tallies {
    pub(crate) full: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) resets: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) delete_retries: AtomicU64,
}

/// One command on its way out.
pub(crate) struct Command<'a> {
    pub(crate) pair: usize,
    pub(crate) path: Path,
    pub(crate) kind: Kind,
    pub(crate) targets: &'a [Target],
    /// A ticket will refer to it.
    pub(crate) held: bool,
    /// Operation that it is part of, already counted there; [`NONE`] if it is its own.
    pub(crate) parent: u32,
}

/// There is no room now: in the ring, the completion ring, the pending table, or the direct path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

/// The shared part.
pub(crate) struct Core<T: Transport> {
    pub(crate) nic: Nic<T>,
    pub(crate) elements: Box<[Element]>,
    pub(crate) vault: Vault,
    /// Slots that may be used, oldest free first.
    pub(crate) free: ArrayQueue<u32>,
    /// Slots for which the driver itself owes the device a command.
    pub(crate) todo: ArrayQueue<u32>,
    pub(crate) callbacks: Callbacks,
    pub(crate) tallies: Tallies,
    /// Whoever resets holds it.
    pub(crate) resetting: Mutex<()>,
    /// Closed for good.
    pub(crate) closed: AtomicBool,
    policy: AtomicU32,
}

impl<T: Transport> Core<T> {
    pub(crate) fn new(nic: Nic<T>) -> Result<Self, Error> {
        let capacity = nic.config.max_sas.unwrap_or(nic.params.sa_capacity);
        let vault = Vault::new(capacity as usize, nic.config.key_memory)?;
        let free = ArrayQueue::new(capacity as usize);
        for index in 0..capacity {
            free.push(index).expect("the queue has room for every slot");
        }
        Ok(Self {
            nic,
            elements: (0..capacity).map(|_| Element::new()).collect(),
            vault,
            free,
            todo: ArrayQueue::new(capacity as usize),
            callbacks: Callbacks::new(),
            tallies: Tallies::default(),
            resetting: Mutex::new(()),
            closed: false.into(),
            policy: AtomicU32::new(PathPolicy::default().pack()),
        })
    }

    pub(crate) fn policy(&self) -> PathPolicy {
        PathPolicy::unpack(self.policy.load(Ordering::Relaxed))
    }

    pub(crate) fn set_policy(&self, policy: PathPolicy) {
        self.policy.store(policy.pack(), Ordering::Relaxed);
    }

    /// The path that a call of `commands` commands takes on this device.
    pub(crate) fn choose(&self, commands: usize) -> Path {
        let direct = esnic_abi::regs::global::FEATURES::DIRECT.is_set(self.nic.params.features);
        if direct { self.policy().choose(commands) } else { Path::Ring }
    }

    pub(crate) fn pair(&self, number: usize) -> &QueuePair {
        &self.nic.pairs[number]
    }

    pub(crate) fn stages(&self) -> &Stages {
        &self.nic.stages
    }

    /// The shadow of `handle`'s slot, if there is such a slot. Its generation is not looked at.
    pub(crate) fn element(&self, handle: Handle) -> Result<&Element, SubmitError> {
        self.elements.get(handle.index.0 as usize).ok_or(SubmitError::NotFound)
    }

    /// Fills a command in. `encode` gets what identifies it and a function that takes its bytes.
    /// Nothing has happened if there is no room. On the ring the device learns of it by
    /// [`QueuePair::publish`]; on the direct path it does so at once.
    pub(crate) fn send(
        &self,
        command: &Command<'_>,
        encode: impl FnOnce(Stamp, &dyn Fn(&[u8])),
    ) -> Result<u32, NoRoom> {
        let pair = self.pair(command.pair);
        let number =
            pair.pending.take(command.kind, command.targets, command.held).ok_or(NoRoom)?;
        if command.parent != NONE {
            pair.pending.adopt(number, command.parent);
        }
        if !pair.reserve() {
            pair.pending.untake(number);
            return Err(NoRoom);
        }
        let stamp = Stamp { epoch: self.nic.epoch(), cookie: pair.pending.cookie(number) };
        let sent = match command.path {
            Path::Ring => self.send_ring(command, stamp, encode),
            Path::Direct => self.send_direct(command, number, stamp, encode),
        };
        if sent.is_none() {
            pair.unreserve();
            pair.pending.untake(number);
        }
        sent.map(|()| number).ok_or(NoRoom)
    }

    fn send_ring(
        &self,
        command: &Command<'_>,
        stamp: Stamp,
        encode: impl FnOnce(Stamp, &dyn Fn(&[u8])),
    ) -> Option<()> {
        let pair = self.pair(command.pair);
        let slots = if command.kind.opcode == Opcode::Add { 2 } else { 1 };
        let Some(at) = pair.claim(slots, stamp.epoch) else {
            // Room may depend on a NOP that was put in to fill a gap: the device must learn of it.
            pair.publish(&self.nic.transport);
            return None;
        };
        encode(stamp, &|bytes| pair.fill(at, bytes));
        Some(())
    }

    fn send_direct(
        &self,
        command: &Command<'_>,
        number: u32,
        stamp: Stamp,
        encode: impl FnOnce(Stamp, &dyn Fn(&[u8])),
    ) -> Option<()> {
        let (pair, t) = (self.pair(command.pair), &self.nic.transport);
        let index = command.targets[0].handle.index;
        if !self.stages().claim(index) {
            return None;
        }
        let Some(k) = pair.direct.claim() else {
            self.stages().release(index);
            return None;
        };
        let entry = pair.direct.entry(k);
        let direct = u8::try_from(entry + 1).expect("a direct ring has at most 64 entries");
        pair.pending.set_kind(number, Kind { direct, ..command.kind });
        encode(stamp, &|bytes| self.stage(index, command.kind.opcode, bytes));
        // The staged bytes before the doorbell (R13).
        t.store_fence();
        let bell = pair.direct.doorbell(k, index, stamp.cookie.0, stamp.epoch);
        regs::ring_direct(t, pair.number, entry, bell);
        Some(())
    }

    fn stage(&self, index: SaIndex, opcode: Opcode, bytes: &[u8]) {
        let mut staged = Zeroizing::new([0u64; Add::LEN / 8]);
        let count = encode::staged_quadwords(opcode, bytes);
        for (to, from) in staged[..count].iter_mut().zip(bytes.as_chunks::<8>().0) {
            *to = u64::from_le_bytes(*from);
        }
        let place = SA_SLOT_BYTES * u64::from(index.0);
        self.nic.transport.store(Bar::Table, place, &staged[..count]);
    }

    /// Takes completions of every pair, and does what the driver owes the device. Returns how many
    /// completions were taken; never waits.
    pub(crate) fn poll(&self) -> u32 {
        let taken = (0..self.nic.pairs.len()).map(|pair| self.poll_pair(pair)).sum();
        if !self.todo.is_empty() {
            self.do_todo();
        }
        taken
    }

    /// Takes completions of one pair.
    pub(crate) fn poll_pair(&self, pair: usize) -> u32 {
        self.pair(pair).reap(
            &self.nic.transport,
            |number, entry, outcome| self.settle(pair, number, entry, outcome),
            |due| self.callbacks.call(due.callback, due.token, due.settled),
            // Nothing more is submitted to a device that breaks the contract, until it is reset.
            || {
                self.nic.gate.close();
                self.rouse();
            },
        )
    }
}
