// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Packets of a datapath that move `top` between the commands of the host: each takes its turn in the
//! cycle after it was offered, before every command that is issued later (R31).

use crate::lock::Lock;
use esnic_abi::{Device, Generation, Top};
use esnic_model::Position;
use esnic_rtl::{Held, Packet};

impl Lock {
    /// Offers some packets, at the rate of a busy datapath or less.
    pub fn send_packets(&mut self) {
        for _ in 0..self.random.usize(..8) {
            let hint = self.random.usize(..self.board.hints.len());
            let index = self.board.hints[hint].index;
            // The entry that a packet finds is one whose ADD has completed.
            let found = self.settled_generation(index);
            let generation = match self.random.u8(..16) {
                0 => self.random.u32(..),
                _ => found,
            };
            let near = self.newest(index);
            let number = match self.random.u8(..8) {
                0 => None,
                1 => Some(self.random.u64(..)),
                2 => Some(near.wrapping_sub(self.random.u64(..4))),
                3 => Some(near | 0xFFFF_FFFF),
                _ => Some(near.wrapping_add(self.random.u64(..3))),
            };
            self.rtl.send_packet(Packet { index, generation, number });
        }
    }

    /// Lets the packets take their turn in the model that came before a command issued in cycle `until`.
    pub fn follow_packets(&mut self, until: u64) {
        self.packets.extend(self.rtl.take_packets());
        while self.packets.front().is_some_and(|(cycle, _)| *cycle < until) {
            let Some((_, packet)) = self.packets.pop_front() else { return };
            let Packet { index, generation, number } = packet;
            let held = self.model.packet(index, Generation(generation), number.map(Top));
            self.packets_done += 1;
            self.newest.insert(index, u64::from(held.hi) << 32 | u64::from(held.lo));
            self.expected_held.push_back((packet, held));
        }
    }

    /// What the packets found or left must be what they did in the model.
    pub fn compare_held(&mut self) {
        for held in self.rtl.take_held() {
            let Some((packet, expected)) = self.expected_held.pop_front() else {
                self.fail(&format!("the state port answers to no packet: {held:x?}"));
            };
            let Position { hi, lo, lo_valid } = expected;
            self.check(held == Held { hi, lo, lo_valid }, || {
                format!("{packet:x?}\n RTL   {held:x?}\n model {expected:x?}")
            });
        }
    }

    /// Every packet was answered.
    pub fn packets_are_through(&mut self) {
        // The last answers may still be on their way.
        for _ in 0..8 {
            self.rtl.step(&mut self.memory.port(crate::memory::Side::Rtl), 1);
        }
        self.follow();
        let (waiting, unanswered) = (self.packets.len(), self.expected_held.len());
        self.check(waiting + unanswered == 0, || {
            format!("{waiting} packets wait, {unanswered} have no answer")
        });
    }

    /// A number near those that packets of this slot had.
    fn newest(&self, index: u32) -> u64 {
        self.newest.get(&index).copied().unwrap_or(0xFFFF_FFF0)
    }
}
