// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Completion ring: credits, packing, phase, and the moment of the interrupt.

use esnic_abi::regs::queue_pair::COALESCE;
use esnic_abi::{CQ_ENTRY_BYTES, Completion, RingIndex};
use std::collections::VecDeque;
use zerocopy::IntoBytes;

/// Completions of one write: 64 bytes.
pub(crate) const GROUP: u32 = 4;

/// Cycles of one unit of COALESCE.TIME.
const TIME_UNIT: u64 = 256;

/// A completion that is made but not written.
#[derive(Clone, Copy)]
pub(crate) struct Made {
    /// Its phase bit is still that of phase 0.
    pub(crate) completion: Completion,
    pub(crate) ok: bool,
    /// The cycle from which it may be written.
    pub(crate) due: u64,
}

/// CQ_ARM: what the host had consumed, and since when there is more than that (R1).
#[derive(Clone, Copy)]
struct Arm {
    consumed: RingIndex,
    since: Option<u64>,
}

/// The ring of one pair.
pub(crate) struct CompletionRing {
    base: u64,
    log2: u32,
    /// Written.
    pub(crate) tail: RingIndex,
    /// Told by the host.
    pub(crate) head: RingIndex,
    /// Commands that were fetched and not executed; each has its entry reserved (R7).
    pub(crate) reserved: u32,
    made: VecDeque<Made>,
    arm: Option<Arm>,
}

/// One DMA write of completions.
pub(crate) struct Group {
    pub(crate) iova: u64,
    bytes: [u8; (GROUP as usize) * Completion::LEN],
    pub(crate) count: u32,
    pub(crate) ok: u32,
}

impl Group {
    pub(crate) fn data(&self) -> &[u8] {
        &self.bytes[..self.count as usize * Completion::LEN]
    }
}

impl CompletionRing {
    pub(crate) fn new() -> Self {
        Self {
            base: 0,
            log2: 0,
            tail: RingIndex::default(),
            head: RingIndex::default(),
            reserved: 0,
            made: VecDeque::with_capacity(16),
            arm: None,
        }
    }

    /// Starts the ring of `1 << log2` entries at `base`, all indices at `start`.
    pub(crate) fn start(&mut self, base: u64, log2: u32, start: RingIndex) {
        self.discard();
        self.base = base;
        self.log2 = log2;
        self.tail = start;
        self.head = start;
        self.arm = None;
    }

    /// Entries that nobody has a claim on (R7).
    pub(crate) fn credits(&self) -> u32 {
        let claimed = self.tail.since(self.head) + self.made.len() as u32 + self.reserved;
        (1u32 << self.log2).saturating_sub(claimed)
    }

    /// Adds a completion behind those that are made.
    pub(crate) fn push(&mut self, made: Made) {
        self.made.push_back(made);
    }

    pub(crate) fn has_made(&self) -> bool {
        !self.made.is_empty()
    }

    /// When the first completion that is made may be written.
    pub(crate) fn due(&self) -> Option<u64> {
        Some(self.made.front()?.due)
    }

    /// Address of the entry that is written next.
    pub(crate) fn tail_iova(&self) -> u64 {
        self.base.wrapping_add(u64::from(self.tail.slot(self.log2)) * CQ_ENTRY_BYTES)
    }

    /// Entries from the tail to the end of the 64 bytes it stands in, or of the ring.
    fn room(&self) -> u32 {
        let slot = self.tail.slot(self.log2);
        (GROUP - slot % GROUP).min((1 << self.log2) - slot)
    }

    /// Whether enough is made to fill a write.
    pub(crate) fn fills_group(&self) -> bool {
        self.made.len() as u32 >= self.room()
    }

    /// The next write, of completions that may be written at `now`.
    pub(crate) fn group(&self, now: u64) -> Option<Group> {
        let mut group = Group {
            iova: self.tail_iova(),
            bytes: [0; GROUP as usize * Completion::LEN],
            count: 0,
            ok: 0,
        };
        let room = self.room() as usize;
        let entries = group.bytes.as_chunks_mut::<{ Completion::LEN }>().0;
        let phase = self.tail.phase(self.log2);
        for (made, entry) in self.made.iter().take(room).zip(entries) {
            if made.due > now {
                break;
            }
            entry.copy_from_slice(made.completion.as_bytes());
            // XOR, so that a corrupted phase stays corrupted.
            entry[15] ^= u8::from(phase) << Completion::PHASE.lsb;
            group.count += 1;
            group.ok += u32::from(made.ok);
        }
        (group.count != 0).then_some(group)
    }

    /// `group` is in memory.
    pub(crate) fn written(&mut self, group: &Group, now: u64) {
        self.tail = self.tail.plus(group.count);
        self.made.drain(..group.count as usize);
        let ahead = self.arm.map(|arm| self.ahead(arm.consumed));
        if let (Some(arm), Some(1..)) = (&mut self.arm, ahead) {
            arm.since.get_or_insert(now);
        }
    }

    /// Completions written beyond `consumed`; negative if the host is ahead of the device.
    fn ahead(&self, consumed: RingIndex) -> i32 {
        self.tail.since(consumed).cast_signed()
    }

    /// The host asks for one interrupt; an earlier request is forgotten (R1).
    pub(crate) fn arm(&mut self, consumed: RingIndex, now: u64) {
        let since = (self.ahead(consumed) >= 1).then_some(now);
        self.arm = Some(Arm { consumed, since });
    }

    /// Fires and disarms if the condition of R1 holds.
    pub(crate) fn fires(&mut self, coalesce: u32, now: u64) -> bool {
        let Some(arm) = self.arm else {
            return false;
        };
        let count = COALESCE::COUNT.get(coalesce).max(1).cast_signed();
        let by_count = self.ahead(arm.consumed) >= count;
        let by_time = self.deadline(coalesce).is_some_and(|at| at <= now);
        let fires = by_count || by_time;
        if fires {
            self.arm = None;
        }
        fires
    }

    /// The cycle at which time alone fires.
    pub(crate) fn deadline(&self, coalesce: u32) -> Option<u64> {
        let time = u64::from(COALESCE::TIME.get(coalesce));
        if time == 0 {
            return None;
        }
        Some(self.arm?.since? + TIME_UNIT * time)
    }

    /// Drops everything that is made or reserved.
    pub(crate) fn discard(&mut self) {
        self.made.clear();
        self.reserved = 0;
    }

    /// Forgets CQ_ARM.
    pub(crate) fn disarm(&mut self) {
        self.arm = None;
    }
}
