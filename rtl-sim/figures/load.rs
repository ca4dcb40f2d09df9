// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sustained loads: the same kind of command, over and over, and how long each one takes on average.

use crate::command::{self, Command};
use crate::host::{Machine, PATIENCE, Result};
use crate::memory::RING;
use esnic_abi::Params;
use esnic_rtl::Traffic;
use fastrand::Rng;

/// Which SAs a load works on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handles {
    /// This many, in turn. With one, each command needs what the one just before it wrote.
    First(u32),
    /// Any, drawn anew for each command.
    Random,
    /// All of the table, once each.
    Each,
}

impl Handles {
    fn pick(self, rng: &mut Rng, k: u32) -> u32 {
        match self {
            Self::First(count) => k % count,
            Self::Random => rng.u32(0..Params::default().sa_capacity),
            Self::Each => k,
        }
    }
}

/// What a load does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Add,
    Delete,
    Query,
    QueryRecord,
    Update,
    Update4,
}

/// By which path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// The rings of this many pairs, kept full; a doorbell after so many commands.
    Ring { pairs: u32, batch: u32 },
    /// Staged in stores of so many bytes, each with a doorbell of its own, on one pair.
    Direct { chunk: usize },
}

/// Commands of one kind.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) kind: Kind,
    pub(crate) handles: Handles,
    pub(crate) path: Path,
    /// How many in all.
    pub(crate) count: u32,
    /// How many at the beginning are not counted, and as many at the end: there the ring is not full.
    pub(crate) margin: u32,
}

/// What a load took.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    /// Commands between the margins, and cycles between the completions of the first and the last.
    pub(crate) commands: u64,
    pub(crate) cycles: u64,
    /// Commands in all, and what crossed the bus for them.
    pub(crate) all: u64,
    pub(crate) packets: u64,
    pub(crate) stores: u64,
    pub(crate) bytes: u64,
}

impl core::ops::AddAssign for Cost {
    fn add_assign(&mut self, more: Self) {
        self.commands += more.commands;
        self.cycles += more.cycles;
        self.all += more.all;
        self.packets += more.packets;
        self.stores += more.stores;
        self.bytes += more.bytes;
    }
}

/// Direct commands under way at most: one per doorbell place and one per stage buffer (R8, R19).
pub(crate) const DIRECT: u32 = 64;

/// Stores that wait in the bridge at most while direct commands are made. It has room for 64, and gives
/// the device time to take them when there is none, in which DMA would stand still.
const STORES: u64 = 32;

/// Bytes of an UPDATE that must be staged: without CAS, eight dwords (4.1).
const UPDATE_BYTES: usize = 32;

/// Loads, one after the other, on one machine.
pub(crate) struct Bench {
    pub(crate) machine: Machine,
    pub(crate) rng: Rng,
    /// Generation of every element.
    generation: u32,
    /// The last high half that was told, so that each one is new.
    hi: u32,
}

impl Bench {
    pub(crate) fn new(machine: Machine, rng: Rng) -> Self {
        // Above every high half with which an element begins.
        Self { machine, rng, generation: 0, hi: 1 << 24 }
    }

    /// Every read of the device's takes so many cycles from now on, and no more than so many are under way.
    pub(crate) fn set_bus(&mut self, latency: u32, reads: usize) {
        let bus = self.machine.device.bus_mut();
        bus.read_latency = latency..=latency;
        bus.reads_in_flight = reads;
    }

    /// The next command of a kind.
    pub(crate) fn make(&mut self, kind: Kind, index: u32, others: Handles, pair: u32) -> Command {
        let generation = self.generation;
        match kind {
            Kind::Add => command::add(index, generation),
            Kind::Delete => command::delete(index, generation),
            Kind::Query => command::query(index, generation),
            Kind::QueryRecord => {
                let address = self.machine.memory.record_address(self.machine.next_cookie(pair));
                command::query_record(index, generation, address)
            }
            Kind::Update => {
                self.hi += 1;
                command::update(index, generation, self.hi)
            }
            Kind::Update4 => {
                let hi = self.hi + 1;
                self.hi += 4;
                let mut indexes = [index; 4];
                for (k, other) in (1..).zip(&mut indexes[1..]) {
                    *other = others.pick(&mut self.rng, index + k);
                }
                command::update4(indexes, generation, hi)
            }
        }
    }

    /// Runs a load from rest to rest.
    pub(crate) fn run(&mut self, load: Load) -> Result<Cost> {
        if load.kind == Kind::Add {
            self.generation += 1;
        }
        self.machine.settle()?;
        let before = self.machine.device.traffic();
        let (mut posted, mut done, mut idle) = (0, 0, 0);
        let (mut first, mut last) = (None, None);
        while done < load.count {
            match load.path {
                Path::Ring { pairs, batch } => {
                    for pair in 0..pairs {
                        self.fill(&load, pair, batch, &mut posted)?;
                    }
                }
                Path::Direct { chunk } => self.send(&load, chunk, &mut posted)?,
            }
            self.machine.step();
            let reaped = self.machine.reap()?;
            idle = if reaped == 0 { idle + 1 } else { 0 };
            if idle == PATIENCE {
                return Err(format!("{done} of {} completions came, then none", load.count));
            }
            done += reaped;
            let now = (self.machine.device.cycles(), done);
            if done >= load.margin {
                first.get_or_insert(now);
            }
            if done >= load.count - load.margin {
                last.get_or_insert(now);
            }
        }
        let after = self.machine.device.traffic();
        let mut cost = crossed(&before, &after);
        if let (Some((from, begin)), Some((to, end))) = (first, last) {
            cost.cycles = to - from;
            cost.commands = u64::from(end - begin);
        }
        cost.all = load.count.into();
        Ok(cost)
    }

    /// Posts batches as long as there is room, each with its doorbell.
    fn fill(&mut self, load: &Load, pair: u32, batch: u32, posted: &mut u32) -> Result<()> {
        let slots = if load.kind == Kind::Add { 2 } else { 1 };
        while *posted < load.count {
            let batch = batch.min(load.count - *posted);
            // A host that rings for each command does so as fast as stores get out, and no faster.
            if !self.machine.has_room(pair, batch, slots) || self.machine.stores_waiting() > 1 {
                break;
            }
            for _ in 0..batch {
                let index = load.handles.pick(&mut self.rng, *posted);
                let command = self.make(load.kind, index, load.handles, pair);
                self.machine.post(pair, command)?;
                *posted += 1;
            }
            // Completions are told at the latest when half a ring of them is untold (R8).
            if batch > 1 || posted.is_multiple_of(RING / 2) {
                self.machine.ring(pair);
            } else {
                self.machine.ring_tail(pair);
            }
        }
        Ok(())
    }

    /// Sends direct commands as long as there is room.
    fn send(&mut self, load: &Load, chunk: usize, posted: &mut u32) -> Result<()> {
        let stores = 2 + (UPDATE_BYTES / chunk) as u64;
        while *posted < load.count
            && self.machine.outstanding(0) < DIRECT
            && self.machine.stores_waiting() + stores <= STORES
        {
            // Completions are told half a ring at a time (R8).
            if posted.is_multiple_of(RING / 2) {
                self.machine.ring(0);
            }
            self.send_one(chunk, *posted)?;
            *posted += 1;
        }
        Ok(())
    }

    /// Sends number `k`; each goes to the stage buffer after the last one's, wherever its SA is.
    pub(crate) fn send_one(&mut self, chunk: usize, k: u32) -> Result<()> {
        let rows = Params::default().sa_capacity / DIRECT;
        let index = self.rng.u32(0..rows) * DIRECT + k % DIRECT;
        let command = self.make(Kind::Update, index, Handles::Random, 0);
        // One store of 64 bytes brings what is behind the command as well, which is zero.
        self.machine.send(0, command, UPDATE_BYTES.max(chunk), chunk)
    }
}

fn crossed(before: &Traffic, after: &Traffic) -> Cost {
    let count =
        |of: &Traffic| of.mmio_writes.count + of.reads.count + of.read_data.count + of.writes.count;
    let bytes = |of: &Traffic| of.bytes_to_device() + of.bytes_to_host();
    Cost {
        packets: count(after) - count(before),
        bytes: bytes(after) - bytes(before),
        stores: after.mmio_writes.count - before.mmio_writes.count,
        ..Cost::default()
    }
}
