// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The two devices and what ties them together: whatever the RTL issues, the model executes next.
//!
//! Which of two commands of different pairs or paths comes first is not the contract's business
//! (R30), so the RTL decides it, and says so at its debug port. The model is then given that one
//! command and nothing else. Any order would do that is possible at all: a command has to be the
//! next of its pair and path, after its doorbell and before its completion, and that is checked
//! here. All the rest, statuses, results, rows, counters, is the model's word against the RTL's.

use crate::common::pair::Path;
use crate::common::program::Board;
use crate::log::{Log, Note};
use crate::lookup::Fate;
use crate::memory::{Event, Memory, Requests, Side, Use};
use crate::pair::{Entry, Pair, Sent};
use crate::program::Mood;
use esnic_abi::regs::{Doorbell, Global, QueuePair};
use esnic_abi::{Bar, Device, FunctionConfig, Opcode, Params};
use esnic_model::Model;
use esnic_model::Position;
use esnic_rtl::{Bus, Issued, Lookup, Packet, RtlDevice};
use fastrand::Rng;
use std::collections::{HashMap, HashSet, VecDeque};

/// Cycles in which a device that has work must do some of it. A rough bus needs thousands.
pub const PATIENCE: u64 = 400_000;

/// Cycles of one unit of COALESCE.TIME.
pub const TIME_UNIT: u32 = 256;

/// Cycles in which the model finishes the command that it was given.
const AT_ONCE: u32 = 8;

/// What the host set in configuration space of the RTL; the model's bus is always on.
pub const ALL_ON: FunctionConfig =
    FunctionConfig { bus_master: true, msix_enable: true, msix_mask: false };

/// Both devices, one host.
pub struct Lock {
    pub name: String,
    pub random: Rng,
    pub params: Params,
    pub epoch: u16,
    pub rtl: RtlDevice,
    pub model: Model,
    pub memory: Memory,
    pub pairs: Vec<Pair>,
    pub board: Board,
    /// Where the hint for a slot is.
    pub hints: HashMap<u32, usize>,
    /// Address of the memory for records.
    pub records: u64,
    pub log: Log,
    /// Places for records that nobody uses.
    pub free_records: Vec<usize>,
    pub cookie: u32,
    /// Commands that were issued and compared since the start.
    pub done: u64,
    /// Messages of the RTL since the last reset, by vector.
    pub messages: Vec<u64>,
    /// Requests of before the last reset, which its counters do not count.
    pub requests_before: Requests,
    /// The cycle of the bridge in which the RTL's CYCLES was 0 lies in this range.
    pub zero: (u64, u64),
    /// Some pair had more commands than its completion ring has entries, since the last reset.
    pub starved: bool,
    /// Lookups that are not judged yet, and what became of each slot.
    pub lookups: VecDeque<Lookup>,
    pub fates: HashMap<u32, Fate>,
    /// Packets that have not had their turn in the model, those that had it and wait for the RTL's answer,
    /// numbers that they left, and how many there were.
    pub packets: VecDeque<(u64, Packet)>,
    pub expected_held: VecDeque<(Packet, Position)>,
    pub newest: HashMap<u32, u64>,
    pub packets_done: u64,
    /// A reset is under way: entries vanish at a time of its own.
    pub blind: bool,
    /// Lives so far.
    pub lives: u64,
    /// How the host behaves now.
    pub mood: Mood,
    /// COALESCE may have a time.
    pub timers: bool,
    /// How many stops, bad doorbells, read errors, write errors, resets and bad read-backs there were.
    pub upsets: [u64; 6],
    /// Which ends commands came to: by which path, opcode, status.
    pub seen: HashSet<(Path, u8, u8)>,
    /// When an UPDATE4 was issued last.
    pub last_update4: u64,
}

impl Lock {
    /// Ends the test; says everything that helps to understand why.
    #[track_caller]
    pub fn fail(&self, what: &str) -> ! {
        let seed = crate::seed();
        let (name, cycle, done) = (&self.name, self.rtl.cycles(), self.done);
        panic!(
            "what happened last:\n{}{:?}\n{:?}\n\
             {name}: ESNIC_SEED={seed}, cycle {cycle}, command {done}\n{what}",
            self.log,
            self.rtl.bus(),
            self.mood,
        );
    }

    /// Fails unless `ok`.
    #[track_caller]
    pub fn check(&self, ok: bool, what: impl FnOnce() -> String) {
        if !ok {
            self.fail(&what());
        }
    }

    /// A store that both devices see now.
    pub fn store(&mut self, bar: Bar, offset: u64, data: &[u8]) {
        self.rtl.write(bar, offset, data);
        self.model.write(bar, offset, data);
    }

    pub fn store32(&mut self, offset: u64, value: u32) {
        self.store(Bar::Registers, offset, &value.to_le_bytes());
    }

    pub fn set_pair(&mut self, n: usize, register: QueuePair, value: u32) {
        self.store32(register.address(n as u32), value);
    }

    /// Reads from both; they need not agree.
    pub fn load(&mut self, bar: Bar, offset: u64) -> (u32, u32) {
        let (mut rtl, mut model) = ([0; 4], [0; 4]);
        self.rtl.read(bar, offset, &mut rtl);
        self.model.read(bar, offset, &mut model);
        (u32::from_le_bytes(rtl), u32::from_le_bytes(model))
    }

    pub fn rtl_global(&mut self, register: Global) -> u32 {
        self.load(Bar::Registers, register.address(0)).0
    }

    pub fn rtl_pair(&mut self, n: usize, register: QueuePair) -> u32 {
        self.load(Bar::Registers, register.address(n as u32)).0
    }

    /// A doorbell of one device only.
    pub fn ring(&mut self, side: Side, n: usize, bell: Doorbell, value: u32) {
        let (place, bytes) = (bell.address(n as u32), value.to_le_bytes());
        match side {
            Side::Rtl => self.rtl.write(Bar::Registers, place, &bytes),
            Side::Model => self.model.write(Bar::Registers, place, &bytes),
        }
    }

    pub fn bus(&mut self, bus: Bus) {
        *self.rtl.bus_mut() = bus;
    }

    /// Gives the RTL `cycles`, and lets the model follow. Whether the RTL has work left.
    pub fn step(&mut self, cycles: u32) -> bool {
        let busy = self.rtl.step(&mut self.memory.port(Side::Rtl), cycles);
        self.follow();
        busy
    }

    /// Lets the model execute what the RTL issued, then looks at what the RTL did to the host.
    pub fn follow(&mut self) {
        self.lookups.extend(self.rtl.take_lookups());
        for issued in self.rtl.take_issued() {
            self.judge_lookups(issued.cycle);
            self.follow_packets(issued.cycle);
            self.execute(issued);
        }
        self.judge_lookups(u64::MAX);
        self.follow_packets(self.rtl.cycles());
        self.compare_held();
        for event in std::mem::take(&mut self.memory.events) {
            self.observe(event);
        }
        if let Some(stray) = self.memory.stray.take() {
            self.fail(&stray);
        }
    }

    /// The model's turn.
    pub fn execute(&mut self, issued: Issued) {
        let n = usize::from(issued.queue_pair);
        if issued.opcode_byte == Opcode::Update4 as u8 {
            self.last_update4 = issued.cycle;
        }
        self.log.push(Note::Issued(issued));
        self.check(n < self.pairs.len(), || format!("issued for no pair: {issued:x?}"));
        let pair = &mut self.pairs[n];
        let queue = if issued.direct { &mut pair.direct } else { &mut pair.ring };
        let next = queue.pop_front();
        let Some(sent) = next.filter(|sent| sent.cookie == issued.cookie) else {
            self.fail(&format!("out of order: issued {issued:x?}, the host's next is {next:x?}"));
        };
        if issued.direct {
            let (place, index) = (u64::from(sent.place), pair.model_knocks);
            pair.model_knocks = index.wrapping_add(1);
            let bell = Doorbell::DIRECT.address(n as u32) + 8 * place;
            self.model.write(Bar::Registers, bell, &sent.entry.to_le_bytes());
        } else {
            let ahead = (pair.rung.wrapping_sub(sent.place) as i32) < sent.slots as i32;
            pair.issued = sent.place.wrapping_add(sent.slots);
            pair.model_rung = pair.issued;
            (pair.last_place, pair.last_slots) = (sent.place, sent.slots);
            let tail = pair.model_rung;
            for (k, half) in (0..).zip(sent.cmd.bytes().chunks(64)) {
                let at = pair.slot(sent.place.wrapping_add(k));
                self.memory.put(Side::Model, n, at, half);
            }
            self.check(!ahead, || format!("R40: issued before its doorbell: {sent:x?}"));
            self.ring(Side::Model, n, Doorbell::SQ_TAIL, tail);
        }
        self.verdict(n, issued, sent);
    }

    /// Lets the model finish, and keeps what it says.
    fn verdict(&mut self, n: usize, issued: Issued, sent: Sent) {
        let mut executed = Vec::new();
        let (at, phase) =
            (self.pairs[n].entry(self.pairs[n].model_seen), self.pairs[n].model_phase());
        let mut entry = None;
        for _ in 0..AT_ONCE {
            self.model.step(&mut self.memory.port(Side::Model), 1);
            executed.append(&mut self.model.take_trace());
            let made = Entry::parse(self.memory.look(Side::Model, Use::Cq(n), at));
            entry = Some(made).filter(|made| made.phase == phase);
            if entry.is_some() {
                break;
            }
        }
        // A second half that stands in the next read is swallowed by the next look at the ring (R14).
        if sent.slots == 2 {
            self.model.step(&mut self.memory.port(Side::Model), 2);
            executed.append(&mut self.model.take_trace());
        }
        let agrees = executed.len() == 1
            && usize::from(executed[0].queue_pair) == n
            && executed[0].direct == issued.direct
            && executed[0].cookie.0 == issued.cookie
            && executed[0].opcode_byte == issued.opcode_byte;
        self.check(agrees, || format!("the RTL issued {issued:x?}, the model {executed:x?}"));
        let Some(entry) = entry else {
            self.fail(&format!("the model did not complete {sent:x?}"));
        };
        let pair = &mut self.pairs[n];
        pair.model_seen = pair.model_seen.wrapping_add(1);
        pair.issue(sent, entry.verdict);
        self.note_fate(&issued, &sent, entry.verdict);
        self.done += 1;
    }

    /// Looks at one thing that the RTL did to the host.
    fn observe(&mut self, event: Event) {
        match event {
            Event::Read { purpose: Use::Sq(n), at } => {
                // R11: inside one block of 512 bytes, not past the tail that was told.
                let inside = at.start / 512 == (at.end - 1) / 512;
                self.check(inside, || format!("R11: pair {n} reads {at:x?} of its ring"));
                let pair = &mut self.pairs[n];
                let first = (at.start / 64) as u32;
                let ahead = first.wrapping_sub(pair.freed) & (pair.sq_size() - 1);
                let end = pair.freed.wrapping_add(ahead + (at.len() / 64) as u32);
                if end.wrapping_sub(pair.fetched) as i32 > 0 {
                    pair.fetched = end;
                }
                let past = pair.fetched.wrapping_sub(pair.rung) as i32 > 0;
                self.check(!past, || format!("R11: pair {n} reads past its tail, {at:x?}"));
            }
            Event::Wrote { purpose: Use::Cq(n), at } => {
                let pair = &self.pairs[n];
                let size = pair.cq_size();
                let whole = at.start % 16 == 0 && at.end % 16 == 0 && at.len() <= 64;
                for entry in at.start / 16..at.end / 16 {
                    // The only index of this slot that may be written: R7 forbids any other.
                    let index =
                        pair.told.wrapping_add((entry as u32).wrapping_sub(pair.told) & (size - 1));
                    let fresh = index.wrapping_sub(pair.seen) as i32 >= 0;
                    self.check(whole && fresh, || {
                        format!("R7: pair {n} overwrites completion {index:#x} ({at:x?})")
                    });
                }
            }
            Event::Refused { iova, write } => self.log.push(Note::Refused { iova, write }),
            Event::Message(vector) => self.message(vector),
            Event::Read { .. } | Event::Wrote { .. } => {}
        }
    }

    /// R1 to R3: a message belongs to an ARM, and what it announces is in memory.
    fn message(&mut self, vector: u16) {
        let n = usize::from(vector);
        self.log.push(Note::Message(vector));
        self.check(n < self.messages.len(), || format!("a message of vector {vector}"));
        self.messages[n] += 1;
        let Some(pair) = self.pairs.get_mut(n) else { return };
        let Some(arm) = pair.arm.take() else {
            self.fail(&format!("R2: vector {vector} fires without ARM"));
        };
        let pair = &self.pairs[n];
        let mut visible = pair.seen;
        let visible = loop {
            let bytes = self.memory.look(Side::Rtl, Use::Cq(n), pair.entry(visible));
            let full = visible.wrapping_sub(pair.told) == pair.cq_size();
            if full || Entry::parse(bytes).phase != pair.phase(visible) {
                break visible;
            }
            visible = visible.wrapping_add(1);
        };
        let ahead = visible.wrapping_sub(arm.consumed) as i32;
        let count = (arm.coalesce & 0xFFFF).max(1) as i32;
        let wait = (arm.coalesce >> 16) * TIME_UNIT;
        let late = wait != 0 && self.rtl.cycles() >= arm.cycle + u64::from(wait);
        self.check(ahead >= count || (ahead >= 1 && late), || {
            format!("R1, R3: vector {vector} fires, {ahead} completions are in memory: {arm:x?}")
        });
        // The model has as many completions or more, and only its clock may be behind.
        if self.memory.model_messages[n] < self.messages[n] {
            self.model.step(&mut self.memory.port(Side::Model), wait + 2);
        }
        let (rtl, model) = (self.messages[n], self.memory.model_messages[n]);
        self.check(rtl == model, || format!("vector {vector}: RTL {rtl}, model {model}: {arm:x?}"));
    }

    /// Takes in what completed on pair `n`, `most` at most.
    pub fn reap(&mut self, n: usize, most: u32) -> u32 {
        let mut count = 0;
        while count < most {
            let pair = &self.pairs[n];
            if pair.seen.wrapping_sub(pair.told) == pair.cq_size() {
                break;
            }
            let bytes = self.memory.look(Side::Rtl, Use::Cq(n), pair.entry(pair.seen));
            let entry = Entry::parse(bytes);
            if entry.phase != pair.phase(pair.seen) {
                break;
            }
            self.complete(n, entry);
            count += 1;
        }
        count
    }

    /// One completion: everything in it.
    fn complete(&mut self, n: usize, entry: Entry) {
        self.log.push(Note::Done { pair: n, entry });
        let pair = &mut self.pairs[n];
        pair.seen = pair.seen.wrapping_add(1);
        let out = match pair.complete(entry.verdict.cookie) {
            Ok(out) => out,
            Err(why) => self.fail(&format!("{why}: pair {n}, {entry:x?}")),
        };
        if entry.verdict != out.expected {
            let (got, expected, sent) = (entry.verdict, out.expected, out.sent);
            self.fail(&format!("pair {n}: {sent:x?}\n RTL   {got:x?}\n model {expected:x?}"));
        }
        // SQ_HEAD may lag behind what was fetched as far as a device likes, but it never goes back
        // (R10), includes the command itself, and nothing that was not read.
        let least = if out.sent.direct {
            pair.freed
        } else {
            let own = out.sent.place.wrapping_add(1);
            if (own.wrapping_sub(pair.freed) as i32) > 0 { own } else { pair.freed }
        };
        let forward = entry.sq_head.wrapping_sub(least as u16);
        let head = least.wrapping_add(forward.into());
        let most = pair.fetched.wrapping_sub(least);
        if u32::from(forward) > most {
            self.fail(&format!("R10: sq_head {entry:x?}, expected {least:#x} and {most} more"));
        }
        pair.freed = head;
        let path = if out.sent.direct { Path::Direct } else { Path::Ring };
        self.seen.insert((path, out.sent.cmd.opcode(), entry.verdict.status));
        if let Some(record) = out.sent.record {
            self.compare_record(record, &out.sent, entry);
        }
        if let Some(index) = out.sent.claimed {
            self.board.release(index);
        }
        self.settle_fate(&out.sent, entry.verdict);
        self.learn(&out.sent, entry.verdict);
    }

    /// The record is in memory before its completion (R42), and is what the model wrote.
    fn compare_record(&mut self, record: usize, sent: &Sent, entry: Entry) {
        let rtl: [u8; 128] = self.memory.look(Side::Rtl, Use::Records, 128 * record);
        let model: [u8; 128] = self.memory.look(Side::Model, Use::Records, 128 * record);
        self.check(rtl == model, || {
            format!(
                "{sent:x?} {entry:x?}\nrecord of the RTL   {rtl:x?}\nrecord of the model {model:x?}"
            )
        });
        self.memory.wipe(Use::Records, 128 * record, &[0xEE; 128]);
        self.free_records.push(record);
    }
}
