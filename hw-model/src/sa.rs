// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The SA table: control and state words, which every command looks at, and configuration rows,
//! which hold the key.
//!
//! Nothing here gives out a salt or key byte: the only views of a row are [`SaTable::live_view`],
//! which has no place for them, and two comparisons (R33).

use crate::esn::Position;
use crate::paged::Paged;
use esnic_abi::{Add, Generation, LiveView, SA_ESN, SlotState};
use zeroize::Zeroize;

/// Control word and state word of a slot.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) state: State,
    /// Of the last ADD that wrote the row, also after DELETE, until reset (R28).
    pub(crate) generation: Generation,
    pub(crate) spi: u32,
    pub(crate) protocol: u8,
    pub(crate) esn: bool,
    /// Written only as a whole (R31). All zero unless the slot is LIVE.
    pub(crate) position: Position,
}

/// [`SlotState`], with the default that zeroed memory has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct State(pub(crate) SlotState);

impl Default for State {
    fn default() -> Self {
        Self(SlotState::Free)
    }
}

impl Zeroize for Entry {
    fn zeroize(&mut self) {
        *self = Self::default();
    }
}

/// Configuration row of a slot: what a packet needs besides `top`, as ADD brought it.
#[derive(Clone, Default, PartialEq, Eq, Zeroize)]
struct Config {
    direction: u8,
    mode: u8,
    algorithm: u8,
    icv_len: u8,
    family: u8,
    udp_encap: u8,
    sa_flags: u16,
    replay_window: u16,
    udp_src: u16,
    udp_dst: u16,
    peer: u32,
    src: [u8; 16],
    dst: [u8; 16],
    salt: [u8; 4],
    key: [u8; 32],
}

impl Drop for Config {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl Config {
    /// Takes over what `add` says, member by member: a row that is put together first and then moved leaves
    /// its key on the stack.
    fn take(&mut self, add: &Add) {
        self.direction = add.direction;
        self.mode = add.mode;
        self.algorithm = add.algorithm;
        self.icv_len = add.icv_len;
        self.family = add.family;
        self.udp_encap = add.udp_encap;
        self.sa_flags = add.sa_flags.get();
        self.replay_window = add.replay_window.get();
        self.udp_src = add.udp_src.get();
        self.udp_dst = add.udp_dst.get();
        self.peer = add.peer.get();
        self.src = add.src;
        self.dst = add.dst;
        self.salt = add.salt;
        self.key = add.key;
    }

    /// Whether it is what `add` says.
    fn is(&self, add: &Add) -> bool {
        self.direction == add.direction
            && self.mode == add.mode
            && self.algorithm == add.algorithm
            && self.icv_len == add.icv_len
            && self.family == add.family
            && self.udp_encap == add.udp_encap
            && self.sa_flags == add.sa_flags.get()
            && self.replay_window == add.replay_window.get()
            && self.udp_src == add.udp_src.get()
            && self.udp_dst == add.udp_dst.get()
            && self.peer == add.peer.get()
            && self.src == add.src
            && self.dst == add.dst
            && self.salt == add.salt
            && self.key == add.key
    }
}

/// The table.
pub(crate) struct SaTable {
    entries: Paged<Entry>,
    configs: Paged<Config>,
}

impl SaTable {
    pub(crate) fn new(capacity: u32) -> Self {
        Self { entries: Paged::new(capacity as usize), configs: Paged::new(capacity as usize) }
    }

    /// Control and state word of slot `index`.
    pub(crate) fn entry(&self, index: u32) -> Entry {
        self.entries.get(index).copied().unwrap_or_default()
    }

    /// Writes the state word: both halves and `lo_valid` at once (R31).
    pub(crate) fn set_position(&mut self, index: u32, position: Position) {
        self.entries.make(index).position = position;
    }

    /// Writes the slot's state.
    pub(crate) fn set_state(&mut self, index: u32, state: SlotState) {
        self.entries.make(index).state = State(state);
    }

    /// Writes the row and the control word, and remembers the generation. The slot is not live yet.
    pub(crate) fn write(&mut self, index: u32, add: &Add) {
        self.configs.make(index).take(add);
        let entry = self.entries.make(index);
        entry.generation = Generation(add.header.generation.get());
        entry.spi = add.spi.get();
        entry.protocol = add.protocol;
        entry.esn = add.sa_flags.get() & SA_ESN != 0;
    }

    /// Whether the row, read back, is what `add` says, key included.
    pub(crate) fn holds(&self, index: u32, add: &Add) -> bool {
        let entry = self.entry(index);
        entry.spi == add.spi.get()
            && entry.protocol == add.protocol
            && self.configs.get(index).is_some_and(|config| config.is(add))
    }

    /// Zeroes row, control word and state word; the generation stays (R28).
    pub(crate) fn wipe(&mut self, index: u32) {
        if let Some(config) = self.configs.get_mut(index) {
            config.zeroize();
        }
        if let Some(entry) = self.entries.get_mut(index) {
            *entry = Entry { generation: entry.generation, ..Entry::default() };
        }
    }

    /// Whether the row, read back, is zero; state and generation are not looked at.
    pub(crate) fn is_wiped(&self, index: u32) -> bool {
        let entry = self.entry(index);
        let words = Entry { state: State::default(), generation: Generation::default(), ..entry };
        words == Entry::default()
            && self.configs.get(index).is_none_or(|row| *row == Config::default())
    }

    /// Whether the slot is FREE.
    pub(crate) fn is_free(&self, index: u32) -> bool {
        self.entry(index).state.0 == SlotState::Free
    }

    /// What slot `index` shows to the host (§5): no salt, no key, and nothing but its state, number
    /// and generation unless it is live.
    pub(crate) fn live_view(&self, index: u32) -> LiveView {
        let entry = self.entry(index);
        let mut view = LiveView {
            state: entry.state.0 as u8,
            index: index.into(),
            generation: entry.generation.0.into(),
            ..LiveView::default()
        };
        let Some(config) = self.configs.get(index) else {
            return view;
        };
        match entry.state.0 {
            SlotState::Free | SlotState::Draining | SlotState::Bad => view,
            SlotState::Live => {
                view.spi = entry.spi.into();
                view.protocol = entry.protocol;
                view.direction = config.direction;
                view.mode = config.mode;
                view.algorithm = config.algorithm;
                view.icv_len = config.icv_len;
                view.family = config.family;
                view.sa_flags = config.sa_flags.into();
                view.udp_encap = config.udp_encap;
                view.replay_window = config.replay_window.into();
                view.src = config.src;
                view.dst = config.dst;
                view.lo_valid = entry.position.lo_valid.into();
                view.hi = entry.position.hi.into();
                view.lo = entry.position.lo.into();
                view.udp_src = config.udp_src.into();
                view.udp_dst = config.udp_dst.into();
                view.peer = config.peer.into();
                view
            }
        }
    }

    /// Zeroes everything, generations included: reset.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.configs.clear();
    }
}
