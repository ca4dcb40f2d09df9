// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Submission ring: tail, fetch, and the slots that were fetched.

use esnic_abi::{Add, FETCH_BYTES, Opcode, RingIndex, SQ_SLOT_BYTES};
use zerocopy::transmute_ref;
use zeroize::Zeroize;

/// Slots of the largest read.
const BATCH: usize = (FETCH_BYTES / SQ_SLOT_BYTES) as usize;

/// Bytes of a slot.
const SLOT: usize = SQ_SLOT_BYTES as usize;

/// The ring of one pair, and one read's worth of its slots.
///
/// The next read is sent when the last one is used up; since a read is answered at once, more in
/// flight would change nothing that a host can see.
pub(crate) struct SubmissionRing {
    base: u64,
    log2: u32,
    pub(crate) head: RingIndex,
    pub(crate) tail: RingIndex,
    slots: [[u8; SLOT]; BATCH],
    /// Slots of `slots` that are to be executed: `next..len`.
    next: usize,
    len: usize,
    /// Ring index of `slots[0]`.
    first: RingIndex,
    /// The last read stopped at the tail, so what follows it was not there.
    at_tail: bool,
    /// The first slot of the next read belongs to an ADD that has been answered, if it says it is a
    /// second half (R14).
    swallow: bool,
}

/// A command at the front of what was fetched.
pub(crate) struct Front<'a> {
    pub(crate) slot: &'a [u8; SLOT],
    /// Both halves, if the slot is even and its neighbour was fetched.
    pub(crate) add: Option<&'a Add>,
}

/// A read to send.
pub(crate) struct Fetch {
    pub(crate) iova: u64,
    slots: usize,
}

impl Fetch {
    /// Gives up the last slot.
    pub(crate) fn shorten(&mut self) {
        self.slots -= 1;
    }
}

impl SubmissionRing {
    pub(crate) fn new() -> Self {
        Self {
            base: 0,
            log2: 0,
            head: RingIndex::default(),
            tail: RingIndex::default(),
            slots: [[0; SLOT]; BATCH],
            next: 0,
            len: 0,
            first: RingIndex::default(),
            at_tail: false,
            swallow: false,
        }
    }

    /// Starts the ring of `1 << log2` slots at `base`, all indices at `start`.
    pub(crate) fn start(&mut self, base: u64, log2: u32, start: RingIndex) {
        self.discard();
        self.base = base;
        self.log2 = log2;
        self.head = start;
        self.tail = start;
        self.at_tail = false;
        self.swallow = false;
    }

    pub(crate) fn size(&self) -> u32 {
        1 << self.log2
    }

    /// Whether slots wait to be fetched.
    pub(crate) fn has_unfetched(&self) -> bool {
        self.head != self.tail
    }

    /// Whether fetched slots wait to be executed.
    pub(crate) fn has_fetched(&self) -> bool {
        self.next != self.len
    }

    /// The next read (R11): within one aligned block, not past ring end or tail, and not more slots
    /// than there are credits. None while there is nothing to read, or no credit (R7).
    pub(crate) fn next_fetch(&self, credits: u32) -> Option<Fetch> {
        let slot = self.head.slot(self.log2);
        let block = BATCH as u32 - slot % BATCH as u32;
        let slots = block.min(self.size() - slot).min(self.tail.since(self.head)).min(credits);
        (slots != 0).then(|| Fetch { iova: self.iova(self.head), slots: slots as usize })
    }

    fn iova(&self, index: RingIndex) -> u64 {
        self.base.wrapping_add(u64::from(index.slot(self.log2)) * SQ_SLOT_BYTES)
    }

    /// Where the data of a read goes.
    pub(crate) fn buffer(&mut self, fetch: &Fetch) -> &mut [u8] {
        self.slots[..fetch.slots].as_flattened_mut()
    }

    /// A second half that the read left out for want of credits, and where it goes. An ADD is one
    /// command, so one credit is enough for both its slots, and its halves are never apart (R9).
    pub(crate) fn missing_half(&mut self, fetch: &Fetch) -> Option<(u64, &mut [u8])> {
        let last = self.head.plus(fetch.slots as u32 - 1);
        let cut = last.0.is_multiple_of(2)
            && last.plus(1) != self.tail
            && self.slots[fetch.slots - 1][0] == Opcode::Add as u8;
        let iova = self.iova(last.plus(1));
        cut.then(|| (iova, self.slots[fetch.slots].as_mut_slice()))
    }

    /// The missing half was read. If it is something else, it is a command without a credit, and is
    /// left for a later read.
    pub(crate) fn extend(&self, fetch: &mut Fetch) {
        if self.slots[fetch.slots][0] == Opcode::AddSecond as u8 {
            fetch.slots += 1;
        }
    }

    /// The data of a read is there. Returns how many commands it holds, each of which needs a credit
    /// of its own.
    pub(crate) fn fetched(&mut self, fetch: &Fetch) -> u32 {
        self.first = self.head;
        self.next = 0;
        self.len = fetch.slots;
        self.head = self.head.plus(self.len as u32);
        self.at_tail = self.head == self.tail;
        if core::mem::take(&mut self.swallow) && self.slots[0][0] == Opcode::AddSecond as u8 {
            self.consume(1);
        }
        let mut commands = 0;
        let mut at = self.next;
        while at < self.len {
            at += self.command_slots(at);
            commands += 1;
        }
        commands
    }

    /// Slots of the command at `at`: an ADD takes its second half with it, wherever it stands and
    /// however it ends, so that the half is never taken for a command (R14).
    fn command_slots(&self, at: usize) -> usize {
        let pair = self.slots[at][0] == Opcode::Add as u8
            && at + 1 < self.len
            && self.slots[at + 1][0] == Opcode::AddSecond as u8;
        if pair { 2 } else { 1 }
    }

    /// The command that is to be executed next.
    pub(crate) fn front(&self) -> Option<Front<'_>> {
        let at = self.next;
        if at == self.len {
            return None;
        }
        let even = self.first.plus(at as u32).0.is_multiple_of(2);
        let add = if even && at + 1 < self.len {
            let halves: &[[u8; SLOT]; 2] = self.slots[at..at + 2]
                .try_into()
                .unwrap_or_else(|_| unreachable!("two slots are two slots"));
            Some(transmute_ref!(halves))
        } else {
            None
        };
        Some(Front { slot: &self.slots[at], add })
    }

    /// The command at the front was executed.
    pub(crate) fn pop(&mut self) {
        let at = self.next;
        let slots = self.command_slots(at);
        let add = self.slots[at][0] == Opcode::Add as u8;
        self.swallow = add && slots == 1 && at + 1 == self.len && !self.at_tail;
        self.consume(slots);
    }

    /// Drops `slots` slots from the front; those of an ADD held a key and are zeroed (R33).
    fn consume(&mut self, slots: usize) {
        for slot in &mut self.slots[self.next..self.next + slots] {
            if matches!(Opcode::from_code(slot[0]), Some(Opcode::Add | Opcode::AddSecond) | None) {
                slot.zeroize();
            }
        }
        self.next += slots;
    }

    /// Drops everything that was fetched.
    pub(crate) fn discard(&mut self) {
        self.slots.zeroize();
        self.next = 0;
        self.len = 0;
    }
}

impl Drop for SubmissionRing {
    fn drop(&mut self) {
        self.slots.zeroize();
    }
}
