// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One entry of the pending table, and what is said in it.

use super::{COMMAND, IN_FLIGHT, NONE};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use esnic_abi::{Handle, Opcode, Status, Update4};
use std::array;

/// How a command went, as far as the driver will ever know. [`Settled::is_ok`] says whether it did
/// what was asked.
#[must_use = "a command that settled may have been refused"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The device completed it.
    Completed(Outcome),
    /// A reset came between: whether it took effect is unknown, and no longer matters to the device.
    Aborted,
}

/// What the device said about a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// By command and status (§4.2 to §4.7 of the device manual).
    pub result: u64,
    /// Whether the entry's low half is known after the command.
    pub lo_valid: bool,
    /// Whether the command altered the entry.
    pub changed: bool,
}

/// What is asked of one SA by a pending command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) handle: Handle,
    /// UPDATE: the wanted `top` (mode TOP) or high half; RESOLVE: the number from the wire.
    pub(crate) wanted: u64,
}

/// A description of the command, packed so that it is one atomic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) opcode: Opcode,
    /// Update mode, or the command's flags where it has no mode.
    pub(crate) detail: u8,
    /// Targets in use.
    pub(crate) targets: u8,
    /// Direct path: the doorbell entry plus one; 0 for the ring.
    pub(crate) direct: u8,
}

impl Kind {
    pub(super) fn pack(self) -> u32 {
        u32::from_le_bytes([self.opcode as u8, self.detail, self.targets, self.direct])
    }

    pub(super) fn unpack(word: u32) -> Self {
        let [opcode, detail, targets, direct] = word.to_le_bytes();
        let opcode = Opcode::from_code(opcode).expect("only `pack` writes the word");
        Self { opcode, detail, targets, direct }
    }
}

/// One command.
#[repr(align(128))]
pub(crate) struct Entry {
    pub(super) state: AtomicU32,
    pub(super) uses: AtomicU32,
    pub(super) kind: AtomicU32,
    /// Entry whose operation this command is part of; [`NONE`] if it is its own.
    pub(super) parent: AtomicU32,
    /// Commands of the operation that are not completed, counted in the parent.
    pub(super) open: AtomicU32,
    /// Status, lo_valid, changed, aborted.
    pub(super) said: AtomicU32,
    pub(super) result: AtomicU64,
    pub(super) targets: [AtomicU64; Update4::MAX_ITEMS],
    pub(super) wanted: [AtomicU64; Update4::MAX_ITEMS],
    pub(super) callback: AtomicU32,
    pub(super) token: AtomicU64,
}

const ABORTED: u32 = 1 << 31;

impl Entry {
    pub(super) fn new() -> Self {
        Self {
            state: 0.into(),
            uses: 0.into(),
            kind: 0.into(),
            parent: NONE.into(),
            open: 0.into(),
            said: 0.into(),
            result: 0.into(),
            targets: array::from_fn(|_| 0.into()),
            wanted: array::from_fn(|_| 0.into()),
            callback: 0.into(),
            token: 0.into(),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        Kind::unpack(self.kind.load(Ordering::Relaxed))
    }

    pub(crate) fn target(&self, k: usize) -> Target {
        Target {
            handle: Handle::from_bits(self.targets[k].load(Ordering::Relaxed)),
            wanted: self.wanted[k].load(Ordering::Relaxed),
        }
    }

    pub(crate) fn parent(&self) -> u32 {
        self.parent.load(Ordering::Relaxed)
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.state.load(Ordering::Acquire) & IN_FLIGHT != 0
    }

    /// Whether the device owes this command's completion.
    pub(crate) fn is_open(&self) -> bool {
        self.state.load(Ordering::Acquire) & COMMAND != 0
    }

    /// Says what the operation's outcome will be; before `finish`.
    pub(crate) fn say(&self, settled: Settled) {
        let said = match settled {
            Settled::Aborted => ABORTED,
            Settled::Completed(outcome) => {
                self.result.store(outcome.result, Ordering::Relaxed);
                u32::from(outcome.status as u8)
                    | u32::from(outcome.lo_valid) << 8
                    | u32::from(outcome.changed) << 9
            }
        };
        self.said.store(said, Ordering::Relaxed);
    }

    pub(super) fn settled(&self) -> Settled {
        let said = self.said.load(Ordering::Relaxed);
        if said & ABORTED != 0 {
            return Settled::Aborted;
        }
        Settled::Completed(Outcome {
            status: Status::from_code(said as u8).expect("only `say` writes the word"),
            result: self.result.load(Ordering::Relaxed),
            lo_valid: said & 1 << 8 != 0,
            changed: said & 1 << 9 != 0,
        })
    }

    /// Whether nothing bad was said so far.
    pub(crate) fn said_ok(&self) -> bool {
        self.said.load(Ordering::Relaxed) & (ABORTED | 0xFF) == 0
    }
}
