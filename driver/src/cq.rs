// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The completion ring: look at the phase, copy out once, only then think (R41).

use crate::dma::DmaBuffer;
use esnic_abi::{CQ_ENTRY_BYTES, Completion, RingIndex};
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use zerocopy::{FromBytes, IntoBytes};

const ENTRY: usize = CQ_ENTRY_BYTES as usize;

/// How the phase is looked at. What it promises is ordered by the fence behind it, which costs an idle
/// poll nothing; ThreadSanitizer does not see fences.
const PHASE: Ordering = if cfg!(esnic_tsan) { Ordering::Acquire } else { Ordering::Relaxed };

/// What a completion did that the contract forbids, and the completion itself: it holds no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Queue pair.
    pub pair: u32,
    /// Position in the completion ring.
    pub at: u32,
    /// The 16 bytes as they were copied out.
    pub bytes: [u8; 16],
    /// Which promise it breaks.
    pub broken: Broken,
}

impl std::error::Error for Violation {}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queue pair {}, completion {}: {}; bytes", self.pair, self.at, self.broken)?;
        self.bytes.iter().try_for_each(|byte| write!(f, " {byte:02x}"))
    }
}

/// The promises about a completion that a driver can check (§11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// The cookie was never given out.
    #[error("its cookie was never given out")]
    CookieUnknown,
    /// The cookie's command has been completed before.
    #[error("its cookie belongs to no command that is pending")]
    CookieNotPending,
    /// The command was another one.
    #[error("its opcode is not the command's")]
    Opcode,
    /// No such status.
    #[error("its status is unknown")]
    Status,
    /// That command cannot end like that.
    #[error("its status is impossible for the command")]
    StatusImpossible,
    /// Not between the last head and the told tail.
    #[error("its sq_head is outside what was told")]
    SqHead,
    /// The result contradicts the status or the command.
    #[error("its result contradicts the command")]
    Result,
}

/// A ring of completions in memory that the device writes. Everything but construction belongs to
/// whoever holds the pair's reaping flag.
pub(crate) struct CompletionRing {
    memory: DmaBuffer,
    log2: u32,
    next: AtomicU32,
    told: AtomicU32,
}

impl CompletionRing {
    /// A ring of `1 << log2` entries in zeroed memory that begins at index `start`.
    pub(crate) fn new(memory: DmaBuffer, log2: u32, start: u32) -> Self {
        Self { memory, log2, next: start.into(), told: start.into() }
    }

    pub(crate) fn memory(&self) -> &DmaBuffer {
        &self.memory
    }

    pub(crate) fn len(&self) -> u32 {
        1 << self.log2
    }

    /// Position of the completion that comes next.
    pub(crate) fn next(&self) -> RingIndex {
        RingIndex(self.next.load(Ordering::Relaxed))
    }

    /// Takes the next completion, if it is there.
    pub(crate) fn pop(&self) -> Option<Completion> {
        let at = self.next();
        let place = at.slot(self.log2) as usize * ENTRY;
        let upper = self.memory.load(place + 8, PHASE);
        if (upper >> 63 == 1) != at.phase(self.log2) {
            return None;
        }
        // Acquire: pairs with the device's order of stores; bytes 0..7 are there too (R12).
        fence(Ordering::Acquire);
        let lower = self.memory.load(place, Ordering::Relaxed);
        self.next.store(at.plus(1).0, Ordering::Relaxed);
        let mut bytes = [0; ENTRY];
        bytes[..8].copy_from_slice(&lower.to_le_bytes());
        bytes[8..].copy_from_slice(&upper.to_le_bytes());
        Some(Completion::read_from_bytes(&bytes).expect("it is 16 bytes"))
    }

    /// Begins anew at index `start`, zeroed; the device does not write.
    pub(crate) fn restart(&self, start: u32) {
        self.memory.wipe(0, self.memory.len_bytes());
        self.next.store(start, Ordering::Relaxed);
        self.told.store(start, Ordering::Relaxed);
    }

    /// Completions consumed that the device was not told of.
    pub(crate) fn untold(&self) -> u32 {
        self.next().since(RingIndex(self.told.load(Ordering::Relaxed)))
    }

    /// Notes that the device is told of everything consumed so far; returns what to tell.
    pub(crate) fn tell(&self) -> RingIndex {
        let next = self.next();
        self.told.store(next.0, Ordering::Relaxed);
        next
    }
}

/// Puts a violation together.
pub(crate) fn violation(
    pair: u32,
    at: RingIndex,
    completion: &Completion,
    broken: Broken,
) -> Violation {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(completion.as_bytes());
    Violation { pair, at: at.0, bytes, broken }
}
