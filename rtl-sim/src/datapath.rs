// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The ports that belong to the datapath to come, worked by this bridge in place of one: at most one
//! lookup and one packet a cycle.

use crate::ffi::{Inputs, Outputs};
use std::collections::VecDeque;

/// What the datapath finds at its lookup port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// Clock cycle in which it was asked for.
    pub cycle: u64,
    /// The SA slot.
    pub index: u32,
    /// `lk_entry_o`, lowest bits first.
    pub entry: [u32; 22],
}

/// A packet at the state port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The SA slot.
    pub index: u32,
    /// Generation of the entry that it found there.
    pub generation: u32,
    /// The number with which it was authenticated; without one it only looks.
    pub number: Option<u64>,
}

/// What the state port answers: what the slot holds when the packet has been there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Whether `lo` counts.
    pub lo_valid: bool,
    /// High half of `top`.
    pub hi: u32,
    /// Low half of `top`.
    pub lo: u32,
}

/// What is to be done, and what was.
#[derive(Default)]
pub(crate) struct Datapath {
    pub(crate) to_look_up: VecDeque<u32>,
    pub(crate) looked_up: Vec<Lookup>,
    pub(crate) to_send: VecDeque<Packet>,
    /// With the cycle in which they took their turn before every command.
    pub(crate) sent: Vec<(u64, Packet)>,
    pub(crate) held: Vec<Held>,
    asked: u32,
}

impl Datapath {
    /// Before cycle `now`.
    pub(crate) fn drive(&mut self, now: u64, pins: &mut Inputs) {
        self.asked = pins.lk_index;
        let index = self.to_look_up.pop_front();
        pins.lk_valid = index.is_some().into();
        pins.lk_index = index.unwrap_or(0);

        let packet = self.to_send.pop_front();
        pins.st_valid = packet.is_some().into();
        if let Some(packet) = packet {
            pins.st_index = packet.index;
            pins.st_generation = packet.generation;
            pins.st_commit = packet.number.is_some().into();
            pins.st_number = packet.number.unwrap_or(0);
            // It is taken now, and goes first in the next cycle, whatever else waits.
            self.sent.push((now + 1, packet));
        }
    }

    /// After it.
    pub(crate) fn observe(&mut self, now: u64, seen: &Outputs) {
        // An answer is there one cycle later, always.
        if seen.lk_valid != 0 {
            let (cycle, index, entry) = (now - 1, self.asked, seen.lk_entry);
            self.looked_up.push(Lookup { cycle, index, entry });
        }
        if seen.st_valid != 0 {
            let [lo, hi, lo_valid] = seen.st_top;
            self.held.push(Held { lo_valid: lo_valid & 1 != 0, hi, lo });
        }
    }
}
