// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One thread of a program: batches of commands through its own queue pair.

use super::imagine::{command, spoil};
use super::{Board, Ran};
use crate::common::Transport;
use crate::common::cmd::Cmd;
use crate::common::pair::{Done, Pair, Path, Split};
use esnic_abi::{Bar, Opcode, Params, Status};
use esnic_driver::dma::{DmaAccess, DmaBuffer};
use fastrand::Rng;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Most commands of a batch, and places for records.
const BATCH: usize = 32;

/// A command on its way.
struct Sent {
    cmd: Cmd,
    path: Path,
    staged: bool,
    claimed: Option<u32>,
    done: Option<(Done, Option<[u8; 128]>)>,
}

/// Slots and entries that a batch may still use.
struct Room {
    sq: u32,
    cq: u32,
    direct: u32,
}

/// One thread's share of the device.
pub struct Worker<L> {
    link: Arc<L>,
    pair: Pair<L>,
    board: Arc<Board>,
    params: Params,
    random: Rng,
    records: DmaBuffer,
    cookie: u32,
    sent: Vec<Sent>,
}

impl<L: Transport> Worker<L> {
    pub fn new(
        link: &Arc<L>,
        pair: Pair<L>,
        board: Arc<Board>,
        params: Params,
        mut random: Rng,
    ) -> Self {
        let records = link.dma_alloc(128 * BATCH, DmaAccess::DeviceWrites);
        Self {
            link: link.clone(),
            pair,
            board,
            params,
            records: records.expect("memory for records"),
            cookie: random.u32(..) & 0x7FFF_FFFF,
            random,
            sent: Vec::new(),
        }
    }

    /// Runs at least `ops` commands; gives them in the order of submission.
    pub fn run(&mut self, ops: usize) -> Vec<Ran> {
        let mut log = Vec::with_capacity(ops + BATCH);
        while log.len() < ops {
            self.submit();
            self.reap();
            log.extend(self.sent.drain(..).map(|sent| {
                let (done, record) = sent.done.expect("reaped");
                Ran { cmd: sent.cmd, path: sent.path, staged: sent.staged, done, record }
            }));
        }
        log
    }

    fn submit(&mut self) {
        let shape = self.pair.shape;
        let mut room = Room {
            sq: 1 << shape.sq_log2,
            cq: 1 << shape.cq_log2,
            direct: 1 << self.params.direct_log2,
        };
        let sides = self.random.u64(..);
        for _ in 0..self.random.usize(1..=BATCH) {
            // A pad may have come on top.
            if room.cq == 0 || self.sent.len() >= BATCH {
                break;
            }
            let record = self.records.iova().0 + 128 * self.sent.len() as u64;
            let mut cmd = command(&mut self.random, &self.board, record);
            if self.random.u8(..16) == 0 {
                cmd = spoil(&mut self.random, cmd);
            }
            let sent = match self.path(&cmd, sides, &room) {
                Some(Path::Direct) => self.direct(cmd, &mut room),
                Some(Path::Ring) => self.ring(cmd, &mut room),
                None => false,
            };
            if !sent {
                break;
            }
        }
        self.pair.ring();
    }

    /// Which way a command goes, if it can now. Without a trace to tell the order, all commands of a
    /// batch that name one SA go the same way (R29).
    fn path(&mut self, cmd: &Cmd, sides: u64, room: &Room) -> Option<Path> {
        let by_side = |index: u32| (sides >> (index % 64)) & 1 == 1;
        let (index, dwords) = (cmd.index(), cmd.dwords());
        let named: &[usize] = match Opcode::from_code(cmd.opcode()) {
            Some(Opcode::Update4) => {
                let count = usize::from(cmd.bytes()[1] & 7);
                &[4, 7, 10, 13][..count.min(4)]
            }
            Some(Opcode::Nop | Opcode::Fence) => &[],
            _ => &[2],
        };
        let capacity = self.params.sa_capacity;
        let foreign = |&at: &usize| dwords[at] < capacity && !self.board.has(dwords[at]);
        if self.board.own_only && named.iter().any(foreign) {
            return None;
        }
        let ring_only = named != [2];
        let direct_only = !self.board.mixed && named.iter().any(|&at| by_side(dwords[at]));
        let wants_direct = !ring_only && (direct_only || self.board.mixed && self.random.bool());
        let can = room.direct > 0 && index < capacity;
        if wants_direct && can && self.board.claim(index) {
            Some(Path::Direct)
        } else {
            (!direct_only).then_some(Path::Ring)
        }
    }

    fn stamp(&mut self, cmd: Cmd) -> Cmd {
        self.cookie = (self.cookie + 1) & 0x7FFF_FFFF;
        // A spoilt epoch stays spoilt: it is turned over, not replaced.
        let [low, high] = self.pair.epoch.to_le_bytes();
        let mut stamped = cmd.with_cookie(self.cookie);
        for half in stamped.bytes_mut().chunks_mut(64) {
            half[2] ^= low;
            half[3] ^= high;
        }
        stamped
    }

    /// Sends by the ring; false if the batch must end.
    fn ring(&mut self, cmd: Cmd, room: &mut Room) -> bool {
        let slots = if cmd.is_add() { 2 } else { 1 };
        let pad = cmd.is_add() && !self.pair.tail.is_multiple_of(2);
        let fits = room.sq >= slots + u32::from(pad) && room.cq > u32::from(pad);
        if pad && room.sq > 0 {
            self.put(Cmd::nop(), None, room);
        }
        if !fits {
            return false;
        }
        // DELETE empties the stage buffer of its slot (R18): nobody may be staging there.
        let deletes = cmd.opcode() == Opcode::Delete as u8 && cmd.index() < self.params.sa_capacity;
        if deletes && self.board.mixed && !self.board.claim(cmd.index()) {
            self.put(Cmd::nop(), None, room);
            return true;
        }
        let claimed = (deletes && self.board.mixed).then_some(cmd.index());
        self.put(cmd, claimed, room);
        true
    }

    fn put(&mut self, cmd: Cmd, claimed: Option<u32>, room: &mut Room) {
        let cmd = self.stamp(cmd);
        self.pair.put(&cmd);
        room.sq -= if cmd.is_add() { 2 } else { 1 };
        self.note(cmd, Path::Ring, true, claimed, room);
        if self.random.u8(..4) == 0 {
            self.pair.ring();
        }
    }

    /// Sends by the direct path: all of it, only what must be written, or too little.
    fn direct(&mut self, cmd: Cmd, room: &mut Room) -> bool {
        let mut cmd = self.stamp(cmd);
        let index = cmd.index();
        let must = cmd.required();
        let mut staged = true;
        let mut cookie = cmd.cookie();
        match self.random.u8(..32) {
            0 => {
                staged = false;
                let missing = must[self.random.usize(..must.len())];
                self.stage_only(&cmd, |k| k != missing);
            }
            1 => {
                staged = false;
                // The completion carries the doorbell's cookie.
                self.pair.stage(index, &cmd.with_cookie(!cookie), Split::Lines);
            }
            2 => staged = false,
            3..=9 => {
                self.stage_only(&cmd, |k| must.contains(&k));
                // What was not written counts as zero.
                for k in (0..cmd.dwords().len()).filter(|k| !must.contains(k)) {
                    cmd = cmd.dword(4 * k, 0);
                }
            }
            split => {
                let split = Split::ALL[usize::from(split) % Split::ALL.len()];
                self.pair.stage(index, &cmd, split);
            }
        }
        if self.random.u8(..64) == 0 {
            self.knock_from_the_past(index, cookie);
        }
        cookie &= 0x7FFF_FFFF;
        self.pair.knock(index, cookie);
        room.direct -= 1;
        self.note(cmd, Path::Direct, staged, Some(index), room);
        true
    }

    fn stage_only(&self, cmd: &Cmd, wanted: impl Fn(usize) -> bool) {
        for (k, dword) in cmd.dwords().into_iter().enumerate() {
            if wanted(k) {
                let place = 128 * u64::from(cmd.index()) + 4 * k as u64;
                self.link.write32(Bar::Table, place, dword);
            }
        }
    }

    /// A doorbell of another epoch is dropped, and its place is still free (§2.3).
    fn knock_from_the_past(&self, index: u32, cookie: u32) {
        let (_, entry) = self.pair.direct_entry(index, cookie);
        let place = self.pair.direct_address();
        self.link.write64(Bar::Registers, place, entry ^ 1 << 24);
    }

    fn note(&mut self, cmd: Cmd, path: Path, staged: bool, claimed: Option<u32>, room: &mut Room) {
        room.cq -= 1;
        let hint = self.board.hints.iter().find(|hint| hint.index == cmd.index());
        match (Opcode::from_code(cmd.opcode()), hint) {
            (Some(Opcode::Add), Some(hint)) => hint.live.store(true, Relaxed),
            (Some(Opcode::Delete), Some(hint)) => hint.live.store(false, Relaxed),
            _ => {}
        }
        self.sent.push(Sent { cmd, path, staged, claimed, done: None });
    }

    fn reap(&mut self) {
        let first = (self.cookie + 1).wrapping_sub(self.sent.len() as u32);
        for _ in 0..self.sent.len() {
            let done = self.pair.next();
            let place = done.cookie.wrapping_sub(first) & 0x7FFF_FFFF;
            let place = place as usize;
            assert!(place < self.sent.len(), "a cookie of nobody: {done:x?}");
            assert!(self.sent[place].done.is_none(), "R7: twice: {done:x?}");
            if self.sent[place].cmd.opcode() == Opcode::Fence as u8 && done.status == Status::Ok {
                let earlier = self.sent[..place].iter().filter(|sent| sent.path == Path::Ring);
                assert!(earlier.into_iter().all(|sent| sent.done.is_some()), "FENCE: {done:x?}");
            }
            let record = self.record(place, done);
            let sent = &mut self.sent[place];
            sent.done = Some((done, record));
            if let Some(index) = sent.claimed {
                self.board.release(index);
            }
            self.learn(place, done);
        }
        assert_eq!(self.pair.poll(), None, "R7: a completion of nothing");
    }

    fn record(&self, place: usize, done: Done) -> Option<[u8; 128]> {
        let cmd = &self.sent[place].cmd;
        let asked = cmd.opcode() == Opcode::Query as u8 && cmd.bytes()[1] & 1 == 1;
        (asked && done.status == Status::Ok).then(|| {
            let at = u64::from(cmd.dwords()[4]) | u64::from(cmd.dwords()[5]) << 32;
            let mut record = [0; 128];
            let offset = (at - self.records.iova().0) as usize;
            self.records.read(offset, &mut record);
            record
        })
    }

    /// Keeps the hints good enough to hit something.
    fn learn(&self, place: usize, done: Done) {
        let cmd = &self.sent[place].cmd;
        let Some(hint) = self.board.hints.iter().find(|hint| hint.index == cmd.index()) else {
            return;
        };
        let moved =
            matches!(Opcode::from_code(done.opcode), Some(Opcode::Update | Opcode::Resolve));
        match (done.status, Opcode::from_code(done.opcode)) {
            (Status::Ok, Some(Opcode::Add)) => {
                hint.generation.store(cmd.header().generation.get(), Relaxed);
            }
            (Status::Ok, _) if moved => hint.top.store(done.result, Relaxed),
            (Status::Occupied | Status::OldGeneration | Status::Stale, _) => {
                hint.generation.store(done.result as u32, Relaxed);
                hint.live.store(done.status != Status::OldGeneration, Relaxed);
            }
            (Status::Empty, _) => hint.live.store(false, Relaxed),
            _ => {}
        }
    }
}
