// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The host's accesses, as AXI transactions at the device's slave port.
//!
//! Stores are posted and go out in order, one a cycle. A load pushes every store before it, as a
//! read on PCIe does: it is asked for once all of them have their response.

use crate::bus::stalled;
use crate::cycle::Cycle;
use crate::ffi::{Inputs, Outputs};
use esnic_abi::Bar;
use std::collections::VecDeque;
use zeroize::Zeroize;

/// Bytes of a beat; no access crosses a multiple of it.
const LINE: u64 = 64;

/// Stores under way between their first handshake and their response.
const UNANSWERED: usize = 16;

/// Stores that wait for their handshake.
const POSTED: usize = 64;

/// Where a BAR stands in the address map of the slave port.
const fn base(bar: Bar) -> u64 {
    match bar {
        Bar::Registers => 0x0000_0000,
        Bar::Msix => 0x0800_0000,
        Bar::Table => 0x1000_0000,
    }
}

/// A part of an access that fits into one beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// First byte on the bus.
    address: u64,
    /// Bytes.
    pub(crate) len: usize,
}

impl Piece {
    /// Byte of the beat that is the first of the piece.
    const fn lane(self) -> usize {
        (self.address % LINE) as usize
    }

    /// AxSIZE and AxADDR of the smallest aligned container that holds the piece.
    fn container(self) -> (u8, u64) {
        let last = self.address + self.len as u64 - 1;
        let size = u64::BITS - (self.address ^ last).leading_zeros();
        // At most 6, since a piece stays inside a line.
        #[allow(clippy::cast_possible_truncation)]
        let size = size as u8;
        (size, self.address >> size << size)
    }
}

/// Cuts an access at the lines.
pub(crate) fn pieces(bar: Bar, offset: u64, len: usize) -> impl Iterator<Item = Piece> {
    // An access of nothing may be anywhere, even where no address is.
    let mut at = if len == 0 { 0 } else { base(bar) + offset };
    let end = at + len as u64;
    core::iter::from_fn(move || {
        let stop = end.min((at / LINE + 1) * LINE);
        let piece = Piece { address: at, len: usize::try_from(stop.checked_sub(at)?).ok()? };
        at = stop;
        (piece.len != 0).then_some(piece)
    })
}

/// A store on its way. It may hold bytes of a key.
struct Store {
    id: u8,
    size: u8,
    address: u64,
    strobe: u64,
    line: [u32; 16],
}

/// A load on its way.
struct Load {
    piece: Piece,
    id: u8,
    asked: bool,
    /// ARVALID is up, and stays up until it is taken.
    up: bool,
    answer: Option<[u32; 16]>,
}

/// The host's side of the slave port.
#[derive(Default)]
pub(crate) struct Mmio {
    stores: VecDeque<Store>,
    /// IDs of the stores whose response is due, oldest first.
    unanswered: VecDeque<u8>,
    /// AWVALID and WVALID of the oldest store: up, and already taken.
    address_up: bool,
    address_taken: bool,
    data_up: bool,
    data_taken: bool,
    load: Option<Load>,
    next_id: u8,
}

impl Mmio {
    /// Whether cycles alone would move something.
    pub(crate) fn pending(&self) -> bool {
        !self.stores.is_empty() || !self.unanswered.is_empty() || self.load.is_some()
    }

    /// Whether another store finds room. A host's bridge has so many buffers and no more.
    pub(crate) fn has_room(&self) -> bool {
        self.stores.len() < POSTED
    }

    /// Whether every store has arrived.
    pub(crate) fn drained(&self) -> bool {
        self.stores.is_empty() && self.unanswered.is_empty()
    }

    /// Posts a store.
    pub(crate) fn store(&mut self, piece: Piece, data: &[u8]) {
        let (size, address) = piece.container();
        let mut bytes = [0; LINE as usize];
        bytes[piece.lane()..piece.lane() + piece.len].copy_from_slice(data);
        let id = self.take_id();
        self.stores.push_back(Store {
            id,
            size,
            address,
            strobe: (u64::MAX >> (LINE as usize - piece.len)) << piece.lane(),
            line: to_words(&bytes),
        });
    }

    /// Begins a load; the one before is over.
    pub(crate) fn load(&mut self, piece: Piece) {
        let id = self.take_id();
        self.load = Some(Load { piece, id, asked: false, up: false, answer: None });
    }

    /// Bytes of the load, once they are here; the load is over then.
    pub(crate) fn loaded(&mut self, out: &mut [u8]) -> bool {
        let Some((piece, line)) =
            self.load.as_ref().and_then(|load| load.answer.map(|line| (load.piece, line)))
        else {
            return false;
        };
        let bytes = to_bytes(&line);
        out.copy_from_slice(&bytes[piece.lane()..piece.lane() + piece.len]);
        self.load = None;
        true
    }

    /// In-order, so any IDs do; changing ones show whether they come back.
    fn take_id(&mut self) -> u8 {
        self.next_id = (self.next_id + 1) & 0xF;
        self.next_id
    }

    /// Sets the pins of this cycle. A valid that is up stays up until it is taken.
    pub(crate) fn drive(&mut self, cycle: &mut Cycle<'_>, pins: &mut Inputs) {
        let stalls = &cycle.bus.stalls;
        pins.s_awvalid = 0;
        pins.s_wvalid = 0;
        if let Some(store) = self.stores.front() {
            let room = self.unanswered.len() < UNANSWERED || self.address_taken || self.data_taken;
            if room && !self.address_taken && !self.address_up {
                self.address_up = !stalled(cycle.rng, stalls.mmio_write);
            }
            if room && !self.data_taken && !self.data_up {
                self.data_up = !stalled(cycle.rng, stalls.mmio_write);
            }
            if self.address_up {
                pins.s_awvalid = 1;
                pins.s_awid = store.id;
                pins.s_awsize = store.size;
                pins.s_awaddr = store.address;
            }
            if self.data_up {
                pins.s_wvalid = 1;
                pins.s_wdata = store.line;
                pins.s_wstrb = store.strobe;
            }
        }
        pins.s_bready = (!stalled(cycle.rng, stalls.mmio_write)).into();

        pins.s_arvalid = 0;
        pins.s_rready = 0;
        let drained = self.drained();
        if let Some(load) = &mut self.load {
            if drained && !load.asked && !load.up {
                load.up = !stalled(cycle.rng, stalls.mmio_read);
            }
            if load.up {
                let (size, address) = load.piece.container();
                pins.s_arvalid = 1;
                pins.s_arid = load.id;
                pins.s_arsize = size;
                pins.s_araddr = address;
            }
            pins.s_rready = (!stalled(cycle.rng, stalls.mmio_read)).into();
        }
    }

    /// Takes in what the device did.
    ///
    /// # Errors
    /// What AXI does not allow.
    pub(crate) fn observe(
        &mut self,
        cycle: &mut Cycle<'_>,
        pins: &Inputs,
        seen: &Outputs,
    ) -> Result<(), String> {
        if pins.s_awvalid & seen.s_awready != 0 {
            self.address_up = false;
            self.address_taken = true;
        }
        if pins.s_wvalid & seen.s_wready != 0 {
            self.data_up = false;
            self.data_taken = true;
        }
        if seen.s_bvalid != 0 {
            let Some(&due) = self.unanswered.front() else {
                return Err("s_axi: BVALID without a write that waits for it".into());
            };
            if seen.s_bid != due || seen.s_bresp != 0 {
                let (id, response) = (seen.s_bid, seen.s_bresp);
                return Err(format!("s_axi: BID {id} BRESP {response}, due is BID {due} OKAY"));
            }
            if pins.s_bready != 0 {
                self.unanswered.pop_front();
            }
        }
        if self.address_taken && self.data_taken {
            self.address_taken = false;
            self.data_taken = false;
            // The queue keeps the place of what has left it: a key does not stay there.
            if let Some(store) = self.stores.front_mut() {
                store.line.zeroize();
            }
            if let Some(store) = self.stores.pop_front() {
                cycle.traffic.mmio_write(store.strobe.count_ones() as usize);
                self.unanswered.push_back(store.id);
            }
        }
        self.observe_load(cycle, pins, seen)
    }

    fn observe_load(
        &mut self,
        cycle: &mut Cycle<'_>,
        pins: &Inputs,
        seen: &Outputs,
    ) -> Result<(), String> {
        let waiting = self.load.as_mut().filter(|load| load.asked);
        if seen.s_rvalid != 0 {
            let Some(load) = waiting.filter(|load| load.answer.is_none()) else {
                return Err("s_axi: RVALID without a read that waits for it".into());
            };
            if seen.s_rid != load.id || seen.s_rresp != 0 || seen.s_rlast == 0 {
                let (id, response, last) = (seen.s_rid, seen.s_rresp, seen.s_rlast);
                let due = load.id;
                return Err(format!(
                    "s_axi: RID {id} RRESP {response} RLAST {last}, due is RID {due} OKAY RLAST 1"
                ));
            }
            if pins.s_rready != 0 {
                load.answer = Some(seen.s_rdata);
                cycle.traffic.mmio_read(load.piece.len);
            }
        }
        if pins.s_arvalid & seen.s_arready != 0
            && let Some(load) = &mut self.load
        {
            load.up = false;
            load.asked = true;
        }
        Ok(())
    }
}

/// A beat as the words that Verilator wants.
pub(crate) fn to_words(bytes: &[u8; LINE as usize]) -> [u32; 16] {
    let mut words = [0; 16];
    for (word, four) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*four);
    }
    words
}

/// A beat as bytes, the first one on lane 0.
pub(crate) fn to_bytes(words: &[u32; 16]) -> [u8; LINE as usize] {
    let mut bytes = [0; LINE as usize];
    for (four, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *four = word.to_le_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_are_cut_at_lines() {
        let cut: Vec<_> = pieces(Bar::Msix, 60, 72)
            .map(|piece| (piece.address - base(Bar::Msix), piece.len))
            .collect();
        assert_eq!(cut, [(60, 4), (64, 64), (128, 4)]);
        assert_eq!(pieces(Bar::Registers, 0, 0).count(), 0);
        assert_eq!(pieces(Bar::Table, u64::MAX, 0).count(), 0);
    }

    #[test]
    fn a_container_is_the_smallest_aligned_power_of_two() {
        let container = |address, len| Piece { address, len }.container();
        assert_eq!(container(0x14, 4), (2, 0x14));
        assert_eq!(container(0x18, 8), (3, 0x18));
        assert_eq!(container(0x13, 1), (0, 0x13));
        assert_eq!(container(0x12, 4), (3, 0x10));
        assert_eq!(container(0x1C, 8), (6, 0x00));
        assert_eq!(container(0x40, 64), (6, 0x40));
    }
}
