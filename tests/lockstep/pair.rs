// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the host knows of one queue pair: what it asked for, what was issued, what it expects.

use crate::common::Cmd;
use crate::common::pair::Shape;
use esnic_abi::{Completion, DirectEntry, Opcode};
use std::collections::{HashMap, VecDeque};

/// A command on its way to the device.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub cmd: Cmd,
    pub direct: bool,
    /// The cookie of its completion.
    pub cookie: u32,
    /// Ring index of its first slot.
    pub place: u32,
    /// Slots that it takes (R14).
    pub slots: u32,
    /// Value of the direct doorbell.
    pub entry: u64,
    /// Everything that the device needs was stored, so that what it executes is `cmd` or nothing. Else
    /// older leftovers of the stage buffer may make another command of it.
    pub whole: bool,
    /// Stage buffer that is its own until it completes (R19).
    pub claimed: Option<u32>,
    /// Place for its record.
    pub record: Option<usize>,
}

/// The part of a completion that execution decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub result: u64,
    pub cookie: u32,
    pub status: u8,
    /// Without the phase.
    pub info: u8,
}

/// A completion as it stands in memory.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub verdict: Verdict,
    pub sq_head: u16,
    pub phase: bool,
}

impl Entry {
    pub fn parse(bytes: [u8; 16]) -> Self {
        let word = u128::from_le_bytes(bytes);
        let info = (word >> 120) as u8;
        let phase = Completion::PHASE.mask() as u8;
        Self {
            verdict: Verdict {
                result: word as u64,
                cookie: (word >> 64) as u32,
                status: (word >> 112) as u8,
                info: info & !phase,
            },
            sq_head: (word >> 96) as u16,
            phase: info & phase != 0,
        }
    }
}

/// A command that was issued and is not completed.
pub struct Out {
    pub sent: Sent,
    pub expected: Verdict,
    /// Its number among the ring commands of the pair.
    pub turn: u64,
}

/// CQ_ARM as the host asked for it.
#[derive(Clone, Copy, Debug)]
pub struct Arm {
    pub consumed: u32,
    pub coalesce: u32,
    /// When the host stored it.
    pub cycle: u64,
}

/// One queue pair.
pub struct Pair {
    pub n: usize,
    pub shape: Shape,
    pub sq_base: u64,
    pub cq_base: u64,
    pub enabled: bool,
    pub coalesce: u32,
    /// Ring index of the next slot to fill; told to the RTL; told to the model.
    pub tail: u32,
    pub rung: u32,
    pub model_rung: u32,
    /// Slots before it were issued, by the order in which the RTL says it issues.
    pub issued: u32,
    /// Slots before it were read by the RTL.
    pub fetched: u32,
    /// Slots before it may be filled again (R10).
    pub freed: u32,
    /// Completions consumed, told as consumed, made by the model: ring indices.
    pub seen: u32,
    pub told: u32,
    pub model_seen: u32,
    /// Direct doorbells rung, and rung at the model.
    pub knocks: u32,
    pub model_knocks: u32,
    /// Direct commands completed.
    pub direct_done: u32,
    pub direct_log2: u32,
    /// Sent and not issued, each path in its order.
    pub ring: VecDeque<Sent>,
    pub direct: VecDeque<Sent>,
    /// Issued and not completed, by cookie.
    pub out: HashMap<u32, Out>,
    /// Ring commands issued; the turns of those that are out, and of FENCEs among them.
    pub turns: u64,
    pub turns_out: std::collections::BTreeSet<u64>,
    pub fences_out: std::collections::BTreeSet<u64>,
    pub arm: Option<Arm>,
    /// The ring command that was issued last.
    pub last_place: u32,
    pub last_slots: u32,
}

impl Pair {
    pub fn new(n: usize, direct_log2: u32) -> Self {
        Self {
            n,
            shape: Shape::of(1, 1),
            sq_base: 0,
            cq_base: 0,
            enabled: false,
            coalesce: 0,
            tail: 0,
            rung: 0,
            model_rung: 0,
            issued: 0,
            fetched: 0,
            freed: 0,
            seen: 0,
            told: 0,
            model_seen: 0,
            knocks: 0,
            model_knocks: 0,
            direct_done: 0,
            direct_log2,
            ring: VecDeque::new(),
            direct: VecDeque::new(),
            out: HashMap::new(),
            turns: 0,
            turns_out: std::collections::BTreeSet::new(),
            fences_out: std::collections::BTreeSet::new(),
            arm: None,
            last_place: 0,
            last_slots: 0,
        }
    }

    /// Everything as it is after ENABLE.
    pub fn start(&mut self, shape: Shape) {
        let start = shape.start;
        let (sq_base, cq_base, coalesce) = (self.sq_base, self.cq_base, self.coalesce);
        let fresh = Self::new(self.n, self.direct_log2);
        *self = Self { shape, sq_base, cq_base, coalesce, enabled: true, ..fresh };
        for index in [
            &mut self.tail,
            &mut self.rung,
            &mut self.model_rung,
            &mut self.issued,
            &mut self.fetched,
            &mut self.freed,
            &mut self.seen,
            &mut self.told,
            &mut self.model_seen,
        ] {
            *index = start;
        }
    }

    pub fn sq_size(&self) -> u32 {
        1 << self.shape.sq_log2
    }

    pub fn cq_size(&self) -> u32 {
        1 << self.shape.cq_log2
    }

    /// Byte of a slot in the submission ring.
    pub fn slot(&self, index: u32) -> usize {
        64 * (index & (self.sq_size() - 1)) as usize
    }

    /// Byte of an entry in the completion ring.
    pub fn entry(&self, index: u32) -> usize {
        16 * (index & (self.cq_size() - 1)) as usize
    }

    /// Phase of completion `index` (R6).
    pub fn phase(&self, index: u32) -> bool {
        (index >> self.shape.cq_log2) & 1 == 0
    }

    /// Phase of the model's next completion.
    pub fn model_phase(&self) -> bool {
        self.phase(self.model_seen)
    }

    /// Slots that may be filled.
    pub fn room(&self) -> u32 {
        self.sq_size() - self.tail.wrapping_sub(self.freed)
    }

    /// Commands whose completion is not consumed, at most; a slot counts as one (R8).
    pub fn unconsumed(&self) -> u32 {
        let waiting = self.tail.wrapping_sub(self.issued) + self.direct.len() as u32;
        waiting + self.out.len() as u32 + self.seen.wrapping_sub(self.told)
    }

    /// Direct commands that are not completed.
    pub fn direct_out(&self) -> u32 {
        self.knocks.wrapping_sub(self.direct_done)
    }

    pub fn idle(&self) -> bool {
        self.ring.is_empty() && self.direct.is_empty() && self.out.is_empty()
    }

    /// Place in the direct doorbell ring and value of doorbell number `k` (§2.3).
    pub fn direct_entry(&self, k: u32, index: u32, cookie: u32, epoch: u16) -> (u32, u64) {
        let place = k & ((1 << self.direct_log2) - 1);
        let lap = 1 - ((k >> self.direct_log2) & 1);
        let target = DirectEntry::INDEX.put(0, index);
        let target = DirectEntry::EPOCH.put(target, epoch.into());
        let target = DirectEntry::TARGET_LAP.put(target, lap);
        let claim = DirectEntry::CLAIM_LAP.put(DirectEntry::COOKIE.put(0, cookie), lap);
        (place, u64::from(claim) << 32 | u64::from(target))
    }

    /// Notes that a command was issued.
    pub fn issue(&mut self, sent: Sent, expected: Verdict) {
        let turn = self.turns;
        if !sent.direct {
            self.turns += 1;
            self.turns_out.insert(turn);
            if is_fence(&sent) {
                self.fences_out.insert(turn);
            }
        }
        let before = self.out.insert(sent.cookie, Out { sent, expected, turn });
        assert!(before.is_none(), "the program gives each cookie to one command at a time");
    }

    /// Takes the command with this cookie out, if its completion may come now; else says why not.
    pub fn complete(&mut self, cookie: u32) -> Result<Out, &'static str> {
        let out =
            self.out.remove(&cookie).ok_or("R7: a completion of no command that was issued")?;
        if out.sent.direct {
            self.direct_done += 1;
        } else {
            self.turns_out.remove(&out.turn);
            self.fences_out.remove(&out.turn);
            if self.fences_out.first().is_some_and(|fence| *fence < out.turn) {
                return Err("FENCE: a later command of its ring completes before it");
            }
            if is_fence(&out.sent) && self.turns_out.first().is_some_and(|turn| *turn < out.turn) {
                return Err("FENCE completes before an earlier command of its ring");
            }
        }
        Ok(out)
    }
}

/// A FENCE orders whatever its status is: the device knows the opcode before anything else.
fn is_fence(sent: &Sent) -> bool {
    sent.cmd.opcode() == Opcode::Fence as u8
}
