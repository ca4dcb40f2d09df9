// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the host submits: mostly sense, by ring and by direct doorbell, to any pair at any time.

use crate::common::Cmd;
use crate::common::program::imagine::{command, spoil};
use crate::lock::Lock;
use crate::log::Note;
use crate::memory::{Side, Use};
use crate::pair::{Sent, Verdict};
use esnic_abi::regs::Doorbell;
use esnic_abi::{Bar, Device, Opcode, SA_SLOT_BYTES, Status};
use esnic_model::Model;
use std::sync::atomic::Ordering::Relaxed;

/// How the host behaves for a while.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mood {
    /// Commands between two doorbells, at most.
    pub burst: usize,
    /// Cycles between two deeds, at most.
    pub pause: u32,
    /// Of a hundred commands, by the direct path.
    pub direct: u8,
    /// Of a hundred commands, spoilt in some way.
    pub spoilt: u8,
    /// Of a hundred looks at completions, not taken.
    pub lazy: u8,
    /// Of a thousand deeds, something else than submitting and reaping.
    pub noise: u16,
    /// Gives the device more than its completion rings can answer, against R8.
    pub greedy: bool,
    /// Large rings that are kept full, mostly with UPDATEs: the pipeline at its full speed.
    pub hot: bool,
    /// Packets move `top`, too. Nobody sees in which cycle an item of UPDATE4 takes effect, so there is
    /// none; nor looks of the host at rows that move meanwhile.
    pub packets: bool,
}

impl Lock {
    /// Fills slots of pair `n` and rings its doorbell, or not yet.
    pub fn submit(&mut self, n: usize, mood: &Mood) -> usize {
        let wanted = self.random.usize(1..=mood.burst);
        let mut sent = 0;
        for _ in 0..wanted {
            let direct = self.random.u8(..100) < mood.direct;
            let more = if direct { self.send_direct(n, mood) } else { self.send_ring(n, mood) };
            if !more {
                break;
            }
            sent += 1;
            if self.random.u8(..16) == 0 {
                self.tell_tail(n);
            }
        }
        if self.random.u8(..8) != 0 || sent == 0 {
            self.tell_tail(n);
        }
        sent
    }

    /// SQ_TAIL of the RTL; the model's follows with each command.
    pub fn tell_tail(&mut self, n: usize) {
        let pair = &mut self.pairs[n];
        if pair.rung == pair.tail {
            return;
        }
        pair.rung = pair.tail;
        let (tail, seen) = (pair.tail, pair.seen);
        self.log.push(Note::Told { pair: n, tail });
        if self.random.u8(..16) == 0 {
            // One store for both (2.3).
            let both = u64::from(seen) << 32 | u64::from(tail);
            let place = Doorbell::SQ_TAIL.address(n as u32);
            self.rtl.write(Bar::Registers, place, &both.to_le_bytes());
            self.ring(Side::Model, n, Doorbell::CQ_HEAD, seen);
            self.pairs[n].told = seen;
        } else {
            self.ring(Side::Rtl, n, Doorbell::SQ_TAIL, tail);
        }
    }

    /// CQ_HEAD of both.
    pub fn tell_head(&mut self, n: usize) {
        let pair = &mut self.pairs[n];
        pair.told = pair.seen;
        let head = pair.seen;
        self.log.push(Note::Consumed { pair: n, head });
        self.store32(Doorbell::CQ_HEAD.address(n as u32), head);
    }

    /// The next command: somewhere between sense and garbage.
    fn imagine(&mut self, mood: &Mood) -> (Cmd, Option<usize>) {
        let record = self.free_records.pop();
        let place = record.map_or(0, |record| self.records + 128 * record as u64);
        let mut cmd = command(&mut self.random, &self.board, place);
        if mood.hot {
            for _ in 0..8 {
                if matches!(Opcode::from_code(cmd.opcode()), Some(Opcode::Update | Opcode::Add)) {
                    break;
                }
                cmd = command(&mut self.random, &self.board, place);
            }
        }
        let mut wants = cmd.opcode() == Opcode::Query as u8 && cmd.bytes()[1] & 1 != 0;
        if wants && record.is_none() {
            (cmd, wants) = (Cmd::nop(), false);
        }
        if self.random.u8(..100) < mood.spoilt {
            cmd = match self.random.u8(..16) {
                0 => cmd.dword(8, self.random.u32(self.params.sa_capacity..)),
                1 if wants => cmd.dword(16, cmd.dwords()[4] | 8 << self.random.u32(..4)),
                2 if !wants => self.garbage(),
                // More than this build stores (4.2), or what no build of version 1 offers.
                3 | 4 if cmd.is_add() => cmd.byte(31, self.random.u8(0x11..)),
                6 => cmd.byte(2, self.random.u8(..)),
                5 if cmd.is_add() => cmd.byte(28, self.random.choice([4, 8]).unwrap_or(4)),
                _ => spoil(&mut self.random, cmd),
            };
        }
        if mood.packets && cmd.opcode() == Opcode::Update4 as u8 {
            cmd = Cmd::nop();
        }
        let kept = record.filter(|_| wants);
        self.free_records.extend(record.filter(|_| !wants));
        (cmd, kept)
    }

    /// A slot of random bits; not half of an ADD, whose other half would be anybody's guess.
    fn garbage(&mut self) -> Cmd {
        let mut cmd = Cmd::nop();
        self.random.fill(cmd.bytes_mut());
        cmd.bytes_mut()[4..8].fill(0);
        let any = self.random.u8(..) & 0xEF;
        let known = [0x01, 0x02, 0x12, 0x13, 0x14, 0x16];
        let opcode =
            if self.random.bool() { self.random.choice(known).unwrap_or(any) } else { any };
        cmd.byte(0, opcode)
    }

    /// Puts epoch and cookie in, so that a spoilt one stays spoilt.
    fn stamp(&mut self, mut cmd: Cmd, top_bit: bool) -> (Cmd, u32) {
        self.cookie = (self.cookie + 1) & 0x7FFF_FFFF;
        let cookie = self.cookie | u32::from(top_bit) << 31;
        let epoch = self.epoch.to_le_bytes();
        for half in cmd.bytes_mut().chunks_mut(64) {
            half[2] ^= epoch[0];
            half[3] ^= epoch[1];
            for (byte, with) in half[4..8].iter_mut().zip(cookie.to_le_bytes()) {
                *byte ^= with;
            }
        }
        (cmd, cookie)
    }

    /// Sends by the ring; false if there is no room.
    fn send_ring(&mut self, n: usize, mood: &Mood) -> bool {
        let (mut cmd, record) = self.imagine(mood);
        let pair = &self.pairs[n];
        let odd = !pair.tail.is_multiple_of(2);
        let spoil = self.random.u8(..100) < mood.spoilt;
        let pad = u32::from(cmd.is_add() && odd && !(spoil && self.random.bool()));
        let need = pad + if cmd.is_add() { 2 } else { 1 };
        let fits =
            pair.room() >= need && (mood.greedy || pair.unconsumed() + need <= pair.cq_size());
        // DELETE empties the stage buffer of its slot (R18): nobody may be staging there.
        let deletes = cmd.opcode() == Opcode::Delete as u8 && cmd.index() < self.params.sa_capacity;
        let claimed = deletes.then_some(cmd.index());
        if !fits || claimed.is_some_and(|index| !self.board.claim(index)) {
            self.free_records.extend(record);
            return false;
        }
        if pad != 0 {
            self.put(n, Cmd::nop(), false, None, None);
        }
        if let Some(index) = claimed.filter(|_| self.random.u8(..4) == 0) {
            // What DELETE finds staged for its slot is gone for whoever stages there next.
            let at = 4 * self.random.u64(4..32);
            let junk = self.random.u32(1..).to_le_bytes();
            self.store_slot(index, at, &junk);
        }
        let half = cmd.is_add() && spoil && self.random.u8(..4) == 0 && need == 2;
        if half {
            // Only the first half, and then something that is no second one.
            cmd = Cmd::new(&cmd.as_record::<esnic_abi::Bare>());
        }
        self.put(n, cmd, spoil, claimed, record);
        if half {
            self.put(n, Cmd::nop(), false, None, None);
        }
        true
    }

    /// Sends one command by the ring, as it is; there is room.
    pub fn send_plain(&mut self, n: usize, cmd: Cmd) {
        self.put(n, cmd, false, None, None);
    }

    fn put(
        &mut self,
        n: usize,
        cmd: Cmd,
        spoil: bool,
        claimed: Option<u32>,
        record: Option<usize>,
    ) {
        let top_bit = spoil && self.random.u8(..8) == 0;
        let (cmd, cookie) = self.stamp(cmd, top_bit);
        let pair = &mut self.pairs[n];
        let place = pair.tail;
        for half in cmd.bytes().chunks(64) {
            self.memory.put(Side::Rtl, n, pair.slot(pair.tail), half);
            pair.tail = pair.tail.wrapping_add(1);
        }
        let slots = pair.tail.wrapping_sub(place);
        let sent = Sent {
            cmd,
            direct: false,
            cookie,
            place,
            slots,
            entry: 0,
            whole: true,
            claimed,
            record,
        };
        pair.ring.push_back(sent);
        self.note(n, sent);
    }

    /// Sends by the direct path: all of it, only what must be written, or too little.
    fn send_direct(&mut self, n: usize, mood: &Mood) -> bool {
        let pair = &self.pairs[n];
        let fits = pair.direct_out() < 1 << pair.direct_log2
            && (mood.greedy || pair.unconsumed() < pair.cq_size());
        if !fits {
            return false;
        }
        let (cmd, record) = self.imagine(mood);
        let index = cmd.index();
        if index >= self.params.sa_capacity || !self.board.claim(index) {
            self.free_records.extend(record);
            return true;
        }
        let (cmd, cookie) = self.stamp(cmd, false);
        let (bell, whole) = self.stage(&cmd);
        let named = if bell == index { cookie } else { cookie ^ self.random.u32(1..1 << 31) };
        self.knock(n, cmd, whole, bell, named, record);
        true
    }

    /// Stores a command into its slot in some way; gives the slot that the doorbell is to name, and
    /// whether nothing is missing.
    fn stage(&mut self, cmd: &Cmd) -> (u32, bool) {
        let (index, must, dwords) = (cmd.index(), cmd.required(), cmd.dwords());
        let buffers = 1 << self.params.stage_log2;
        let all: Vec<usize> = (0..dwords.len()).collect();
        if self.random.u8(..16) == 0 && self.params.sa_capacity > buffers {
            // Somebody else's leftovers in the same buffer.
            let other = (index + buffers) % self.params.sa_capacity;
            let junk = self.random.u64(..).to_le_bytes();
            let at = 8 * self.random.u64(..16);
            self.store_slot(other, at, &junk);
        }
        let chosen: Vec<usize> = match self.random.u8(..32) {
            0 => {
                let missing = self.random.choice(&must).copied();
                all.into_iter().filter(|k| Some(*k) != missing).collect()
            }
            1 => Vec::new(),
            2..=9 => must.clone(),
            _ => all,
        };
        let whole = must.iter().all(|k| chosen.contains(k));
        match self.random.u8(..4) {
            // Whole lines, as far as they go.
            0 | 1 if chosen.len() == dwords.len() => {
                for (k, line) in cmd.bytes().chunks(64).enumerate() {
                    self.store_slot(index, 64 * k as u64, line);
                }
            }
            2 => {
                for k in chosen.into_iter().rev() {
                    self.store_slot(index, 4 * k as u64, &dwords[k].to_le_bytes());
                }
            }
            _ => {
                let mut order = chosen;
                self.random.shuffle(&mut order);
                for k in order {
                    self.store_slot(index, 4 * k as u64, &dwords[k].to_le_bytes());
                }
            }
        }
        let bell = match self.random.u8(..64) {
            // A doorbell that names another slot of the same buffer.
            0 if self.params.sa_capacity > buffers => (index + buffers) % self.params.sa_capacity,
            _ => index,
        };
        (bell, whole)
    }

    pub fn store_slot(&mut self, index: u32, at: u64, bytes: &[u8]) {
        self.store(Bar::Table, u64::from(index) * SA_SLOT_BYTES + at, bytes);
    }

    /// Rings the direct doorbell of the RTL; the model's follows when its turn has come.
    fn knock(
        &mut self,
        n: usize,
        cmd: Cmd,
        whole: bool,
        index: u32,
        cookie: u32,
        record: Option<usize>,
    ) {
        let cookie = cookie & 0x7FFF_FFFF;
        let epoch = self.epoch;
        let pair = &mut self.pairs[n];
        let (place, entry) = pair.direct_entry(pair.knocks, index, cookie, epoch);
        pair.knocks = pair.knocks.wrapping_add(1);
        let at = Doorbell::DIRECT.address(n as u32) + 8 * u64::from(place);
        let past = self.random.u8(..64) == 0;
        if past {
            // One of another epoch is dropped, and its place is still free (2.3). Its cookie is nobody's.
            let stranger = u64::from(self.random.u32(1..1 << 31)) << 32;
            let past = (entry ^ 1 << self.random.u32(24..31)) ^ stranger;
            self.store(Bar::Registers, at, &past.to_le_bytes());
        }
        let bytes = entry.to_le_bytes();
        match self.random.u8(..4) {
            // Else the claim of the stranger would count once the target is there.
            choice if past || choice == 0 => {
                self.rtl.write(Bar::Registers, at + 4, &bytes[4..]);
                self.rtl.write(Bar::Registers, at, &bytes[..4]);
            }
            1 => {
                self.rtl.write(Bar::Registers, at, &bytes[..4]);
                self.rtl.write(Bar::Registers, at + 4, &bytes[4..]);
            }
            _ => self.rtl.write(Bar::Registers, at, &bytes),
        }
        let claimed = Some(cmd.index());
        let sent =
            Sent { cmd, direct: true, cookie, place, slots: 0, entry, whole, claimed, record };
        self.pairs[n].direct.push_back(sent);
        self.note(n, sent);
    }

    /// Remembers what was sent: enough to aim the next command, never used to judge.
    fn note(&mut self, n: usize, sent: Sent) {
        self.log.push(Note::Sent { pair: n, sent });
        let pair = &self.pairs[n];
        self.starved |= pair.unconsumed() > pair.cq_size();
        let Some(hint) = self.hints.get(&sent.cmd.index()).map(|k| &self.board.hints[*k]) else {
            return;
        };
        match Opcode::from_code(sent.cmd.opcode()) {
            Some(Opcode::Add) => hint.live.store(true, Relaxed),
            Some(Opcode::Delete) => hint.live.store(false, Relaxed),
            _ => {}
        }
    }

    /// Keeps the hints good enough to hit something.
    pub fn learn(&mut self, sent: &Sent, verdict: Verdict) {
        let Some(hint) = self.hints.get(&sent.cmd.index()).map(|k| &self.board.hints[*k]) else {
            return;
        };
        let opcode = Opcode::from_code(verdict.info & 0x1F);
        let moved = matches!(opcode, Some(Opcode::Update | Opcode::Resolve));
        match (Status::try_from(verdict.status), opcode) {
            (Ok(Status::Ok), Some(Opcode::Add)) => {
                hint.generation.store(sent.cmd.header().generation.get(), Relaxed);
            }
            (Ok(Status::Ok), _) if moved => hint.top.store(verdict.result, Relaxed),
            (Ok(status @ (Status::Occupied | Status::OldGeneration | Status::Stale)), _) => {
                hint.generation.store(verdict.result as u32, Relaxed);
                hint.live.store(status != Status::OldGeneration, Relaxed);
            }
            (Ok(Status::Empty), _) => hint.live.store(false, Relaxed),
            _ => {}
        }
    }

    /// The base address of a pair's rings, for registers and for faults.
    pub fn map_pair(&mut self, n: usize) {
        let (sq, cq) = (64 << self.params.ring_log2, 16 << self.params.ring_log2);
        self.pairs[n].sq_base = self.memory.map(Use::Sq(n), sq, &mut self.random);
        self.pairs[n].cq_base = self.memory.map(Use::Cq(n), cq, &mut self.random);
    }
}

/// A model that tells what it executed.
pub fn traced(params: esnic_abi::Params) -> Model {
    let mut model = Model::new(params).expect("a build that can be");
    model.set_trace(true);
    model
}
