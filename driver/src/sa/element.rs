// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The shadow of one SA slot: what the driver knows that the device holds, and in which state of its
//! life the slot is. Any thread reads it; states move by compare-and-swap; `top` moves only when a
//! good completion says so, by the one thread that takes the pair's completions.

use crate::sync::{AtomicU32, AtomicU64, Ordering};
use esnic_abi::{Generation, Handle, LiveView, SaIndex, SlotState, Top};
use std::array;
use zerocopy::{FromBytes, IntoBytes};

/// Life of a slot, as the driver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Nothing there; or half of a bundle whose other half is not gone yet.
    Free = 0,
    /// ADD is on its way.
    Adding = 1,
    /// The device has it.
    Live = 2,
    /// DELETE is on its way, or due.
    Deleting = 3,
    /// DELETE failed; it is tried again, and the slot is not used until it works.
    Dead = 4,
    /// The device does not have it, though it should: a restore failed, or the device said so. The
    /// handle stays valid for DELETE; updates fail.
    Lost = 5,
}

const STATES: [State; 6] =
    [State::Free, State::Adding, State::Live, State::Deleting, State::Dead, State::Lost];

/// By which way commands reach the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// The submission ring: fetched by DMA, cheapest in batches.
    Ring,
    /// The SA table and the direct doorbell: no DMA read, lowest latency.
    Direct,
}

/// Everything about a slot that changes together, in one atomic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) generation: Generation,
    pub(crate) state: State,
    /// Path of the commands that are outstanding (R29).
    pub(crate) path: Path,
    /// A command's outcome is not known: repeat with care only (R36).
    pub(crate) doubt: bool,
    /// The slot is not in the list of free ones.
    pub(crate) used: bool,
    /// Commands that name the slot and have no consumed completion.
    pub(crate) outstanding: u16,
}

impl Flow {
    fn pack(self) -> u64 {
        u64::from(self.generation.0)
            | u64::from(self.state as u8) << 32
            | u64::from(self.path == Path::Direct) << 36
            | u64::from(self.doubt) << 37
            | u64::from(self.used) << 38
            | u64::from(self.outstanding) << 40
    }

    fn unpack(word: u64) -> Self {
        Self {
            generation: Generation(word as u32),
            state: STATES[(word >> 32 & 7) as usize],
            path: if word >> 36 & 1 == 1 { Path::Direct } else { Path::Ring },
            doubt: word >> 37 & 1 == 1,
            used: word >> 38 & 1 == 1,
            outstanding: (word >> 40) as u16,
        }
    }
}

impl Flow {
    /// Whether nothing of the slot's last life is left, neither in the device nor under way to it,
    /// and nobody has noted that yet.
    pub(crate) fn is_spent(self) -> bool {
        self.used && self.state == State::Free && self.outstanding == 0
    }
}

/// Quadwords of the live view that can be other than zero besides the state: 1 to 10.
const WORDS: usize = 10;

/// The shadow of one slot.
#[repr(align(128))]
pub(crate) struct Element {
    flow: AtomicU64,
    /// Queue pair that the slot's commands use for as long as it is not free.
    pair: AtomicU32,
    /// Operation that waits for a command which did not fit; [`crate::pending::NONE`] if none does.
    waiting: AtomicU32,
    /// Failed DELETEs in a row.
    pub(crate) failures: AtomicU32,
    words: [AtomicU64; WORDS],
}

impl Element {
    pub(crate) fn new() -> Self {
        Self {
            flow: AtomicU64::new(0),
            pair: AtomicU32::new(0),
            waiting: AtomicU32::new(crate::pending::NONE),
            failures: AtomicU32::new(0),
            words: array::from_fn(|_| 0.into()),
        }
    }

    pub(crate) fn flow(&self) -> Flow {
        Flow::unpack(self.flow.load(Ordering::Acquire))
    }

    /// Changes the flow if `change` agrees; returns what it was, or what `change` objects.
    pub(crate) fn shift<E>(&self, change: impl Fn(Flow) -> Result<Flow, E>) -> Result<Flow, E> {
        let mut now = self.flow.load(Ordering::Acquire);
        loop {
            let before = Flow::unpack(now);
            let after = change(before)?.pack();
            match self.flow.compare_exchange_weak(now, after, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(before),
                Err(other) => now = other,
            }
        }
    }

    /// As [`Self::shift`], for changes that always agree.
    pub(crate) fn force(&self, change: impl Fn(Flow) -> Flow) -> Flow {
        let Ok(before) = self.shift(|flow| Ok::<_, std::convert::Infallible>(change(flow)));
        before
    }

    pub(crate) fn pair(&self) -> usize {
        self.pair.load(Ordering::Relaxed) as usize
    }

    pub(crate) fn set_pair(&self, pair: u32) {
        self.pair.store(pair, Ordering::Relaxed);
    }

    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn set_waiting(&self, number: u32) {
        self.waiting.store(number, Ordering::Relaxed);
    }

    /// What the row must read.
    pub(crate) fn view(&self) -> LiveView {
        let mut bytes = [0; LiveView::LEN];
        bytes[0] = SlotState::Live as u8;
        for (word, to) in self.words.iter().zip(bytes.as_chunks_mut::<8>().0[1..].iter_mut()) {
            *to = word.load(Ordering::Relaxed).to_le_bytes();
        }
        LiveView::read_from_bytes(&bytes).expect("it is 128 bytes")
    }

    pub(crate) fn set_view(&self, view: &LiveView) {
        for (word, from) in self.words.iter().zip(&view.as_bytes().as_chunks::<8>().0[1..]) {
            word.store(u64::from_le_bytes(*from), Ordering::Relaxed);
        }
    }

    pub(crate) fn clear_view(&self) {
        self.words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        self.words[9].store(u64::from(esnic_abi::NO_PEER) << 32, Ordering::Relaxed);
    }

    /// SPI, protocol, and whether extended sequence numbers are on: all that an update checks.
    pub(crate) fn identity(&self) -> (u32, u8, bool) {
        let [w2, w3] = [1, 2].map(|k: usize| self.words[k].load(Ordering::Relaxed));
        (w2 as u32, (w2 >> 32) as u8, w3 >> 16 & u64::from(esnic_abi::SA_ESN) != 0)
    }

    /// The slot of the bundle's other element.
    pub(crate) fn peer(&self) -> Option<u32> {
        let peer = (self.words[9].load(Ordering::Relaxed) >> 32) as u32;
        (peer != esnic_abi::NO_PEER).then_some(peer)
    }

    /// Newest known `top`, and whether its low half is known.
    pub(crate) fn top(&self) -> (Top, bool) {
        let halves = self.words[8].load(Ordering::Relaxed);
        let known = self.words[7].load(Ordering::Relaxed) >> 8 & 1 == 1;
        (Top::new(halves as u32, (halves >> 32) as u32), known)
    }

    pub(crate) fn set_top(&self, top: Top, known: bool) {
        self.words[8].store(u64::from(top.lo()) << 32 | u64::from(top.hi()), Ordering::Relaxed);
        self.words[7].store(u64::from(known) << 8, Ordering::Relaxed);
    }
}

/// The handle that names slot `index` in generation `generation`.
pub(crate) fn handle(index: u32, generation: Generation) -> Handle {
    Handle { index: SaIndex(index), generation }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_flow_survives_its_word() {
        for state in STATES {
            for path in [Path::Ring, Path::Direct] {
                let flow = Flow {
                    generation: Generation(0xFFFF_FFFE),
                    state,
                    path,
                    doubt: path == Path::Ring,
                    used: path == Path::Direct,
                    outstanding: 0xABCD,
                };
                assert_eq!(Flow::unpack(flow.pack()), flow);
            }
        }
    }

    #[test]
    fn a_view_survives_the_shadow() {
        let element = Element::new();
        let mut view = LiveView { state: SlotState::Live as u8, ..LiveView::default() };
        view.spi = 0x1234_5678.into();
        view.protocol = 2;
        view.sa_flags = esnic_abi::SA_ESN.into();
        view.peer = 7.into();
        view.lo_valid = 1;
        view.hi = 5.into();
        view.lo = 6.into();
        element.set_view(&view);
        assert_eq!(element.view(), view);
        assert_eq!(element.identity(), (0x1234_5678, 2, true));
        assert_eq!(element.peer(), Some(7));
        assert_eq!(element.top(), (Top::new(5, 6), true));
        element.set_top(Top::new(9, 0), false);
        assert_eq!(element.top(), (Top::new(9, 0), false));
    }
}
