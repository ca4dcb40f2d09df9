// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The performance figures of the RTL, measured in clock cycles, and held against their limits.
//!
//! ```text
//! cargo xtask rtl-figures            a table
//! cargo xtask rtl-figures --json     the same for a program
//! ```
//!
//! Nothing here depends on the speed of the machine: it is the device's clock that is counted, and two
//! runs print the same to the last digit. A figure beyond its limit makes the command fail. The limits,
//! and where each of them comes from, are in `figures/limits.txt`.
//!
//! # How it is measured
//!
//! The device is the build `default`: 4,096 SAs, 8 queue pairs, 256 slots and 32 reads in flight. It is driven at
//! its AXI ports by a host that has no driver and costs no time: it sees a completion in the cycle in which
//! the write takes effect, and its stores go out as fast as the device takes them. Host memory answers a read after exactly L cycles,
//! counted from the handshake of the request to the first beat of data, then sends a beat a cycle, in order. Nothing is held
//! back. At 250 MHz, 100 cycles are 400 ns. Every completion is checked: cookie, opcode, status, result.
//!
//! *Sustained* figures are cycles between two completions, divided by the commands between them. Each ring has 1,024 slots
//! and is kept full by doorbells of 32 commands; the beginning and the end of a run, where it is not, are left out.
//!
//! # The figures
//!
//! | name | what it is |
//! |---|---|
//! | `update_cycles` | cycles per UPDATE, sustained: on one handle, where each command needs what the one before it wrote; on four; on random ones of 4,096. On 1, 4 and 8 pairs; L = 1, 100, 200 |
//! | `update_spread` | the slowest of these divided by the fastest: 1.01 would be 1 % |
//! | `update4_cycles` | cycles per *item* of an UPDATE4 with four items |
//! | `add_cycles`, `delete_cycles` | cycles per ADD and DELETE, sustained, over the whole table; both read back what they wrote |
//! | `query_cycles`, `query_record_cycles` | cycles per QUERY, without and with a record of 128 bytes to host memory |
//! | `update_batch1_cycles` | cycles per UPDATE where each has a doorbell of its own, a store of 4 bytes, posted as fast as the device takes stores |
//! | `ring_latency` | one UPDATE on an idle device: cycles from the doorbell's handshake at `s_axi` to the cycle in which AWVALID and WVALID of its completion are first up, minus L. The longest of 64, which come after pauses of different length, on all pairs in turn |
//! | `ring_latency_spread` | longest minus shortest of all of them, over all L: 0 if it is a constant |
//! | `direct_latency` | the same by the direct path: from the handshake of the direct doorbell, which follows the command right away. There is no read, so L has no part in it |
//! | `direct_cycles` | cycles per UPDATE by the direct path, sustained, with 64 under way. The port that takes the host's stores is what limits it: three cycles for one of 8 bytes or more |
//! | `direct_stores` | stores per UPDATE by the direct path |
//! | `split_…` | the same where the command is staged in four stores of 8 bytes, not in one of 64 |
//! | `little_share` | the rate as a share of Little's law, min(1, F/(L+10)) commands a cycle, with F slots being read at once. F = 256 is what the device has; for F = 64, the bus takes 8 reads at a time. It tells that nothing but F and L limits the rate |
//! | `update_packets`, `update_bytes` | PCI Express packets, and bytes in both directions, per UPDATE by ring; `update4_…` per item, `direct_…` and `split_…` by the direct path. Headers are counted as in section 9 of the device manual: a write or a read request costs 24 bytes, a completion 20 |
//!
//! Not here yet: cycles for which a lookup of the datapath waits for control. That needs somebody to drive the lookup
//! port `lk_*`, which the bridge does not do yet.

mod command;
mod figure;
mod host;
mod latency;
mod load;
mod memory;

use esnic_rtl::Bus;
use fastrand::Rng;
use figure::{Figure, Limits, Ratio, Report};
use host::{Machine, Result};
use load::{Bench, Cost, Handles, Kind, Load, Path};
use std::process::ExitCode;

/// Which random handles, pauses and rows.
const SEED: u64 = 0xE51C;

/// Commands of one sustained figure; a whole number of batches for each number of pairs.
const COUNT: u32 = 20_480;

/// Commands at the beginning, and at the end, that a sustained figure leaves out.
const MARGIN: u32 = 1024;

/// Latencies of sustained figures.
const LATENCIES: [u32; 3] = [1, 100, 200];

/// Latencies of a single command.
const ALONE: [u32; 4] = [20, 100, 200, 1000];

/// Reads that the usual bus takes at once: more than the device has.
const READS: usize = 64;

/// Commands of a figure for Little's law, where they come in bursts of as many as are in flight: a whole number of
/// these is between the margins.
const LITTLE: u32 = 2 * MARGIN + 24 * 256;

/// Times that the table is filled and emptied.
const ROUNDS: u32 = 5;

/// The usual path: one pair, its ring kept full.
const RING: Path = Path::Ring { pairs: 1, batch: 32 };

const UPDATES: Load =
    Load { kind: Kind::Update, handles: Handles::Random, path: RING, count: COUNT, margin: MARGIN };

/// All of the table, once.
const fn whole_table(kind: Kind) -> Load {
    // The margins are what is under way at once, which two slots for an ADD make half as much.
    Load { kind, handles: Handles::Each, path: RING, count: 4096, margin: 256 }
}

/// The figures so far.
struct Figures {
    bench: Bench,
    list: Vec<Figure>,
}

impl Figures {
    fn put(&mut self, name: &'static str, case: impl Into<String>, value: Ratio) {
        self.list.push(Figure { name, case: case.into(), value });
    }

    /// Fills and empties the table; leaves it full.
    fn table(&mut self) -> Result<()> {
        self.bench.set_bus(100, READS);
        let (mut added, mut deleted) = (Cost::default(), Cost::default());
        for round in 0..ROUNDS {
            added += self.bench.run(whole_table(Kind::Add))?;
            if round == ROUNDS - 1 {
                self.queries()?;
            }
            deleted += self.bench.run(whole_table(Kind::Delete))?;
        }
        self.bench.run(whole_table(Kind::Add))?;
        self.put("add_cycles", "L 100", cycles(&added));
        self.put("delete_cycles", "L 100", cycles(&deleted));
        Ok(())
    }

    /// While no element was updated since its ADD.
    fn queries(&mut self) -> Result<()> {
        let kinds = [("query_cycles", Kind::Query), ("query_record_cycles", Kind::QueryRecord)];
        for (name, kind) in kinds {
            let cost = self.bench.run(Load { kind, ..UPDATES })?;
            self.put(name, "L 100", cycles(&cost));
        }
        Ok(())
    }

    fn updates(&mut self) -> Result<()> {
        let handles = [
            ("1 handle", Handles::First(1)),
            ("4 handles", Handles::First(4)),
            ("random handles", Handles::Random),
        ];
        let (mut fastest, mut slowest) = (Ratio::new(u64::MAX, 1), Ratio::new(0, 1));
        for (words, handles) in handles {
            for pairs in [1, 4, 8] {
                for latency in LATENCIES {
                    self.bench.set_bus(latency, READS);
                    let path = Path::Ring { pairs, batch: 32 };
                    let cost = self.bench.run(Load { handles, path, ..UPDATES })?;
                    let value = cycles(&cost);
                    fastest = if fastest.above(value) { value } else { fastest };
                    slowest = if value.above(slowest) { value } else { slowest };
                    self.put(
                        "update_cycles",
                        format!("{words}, pairs {pairs}, L {latency}"),
                        value,
                    );
                }
            }
        }
        self.put("update_spread", "", slowest.divided_by(fastest));
        for latency in LATENCIES {
            self.bench.set_bus(latency, READS);
            let path = Path::Ring { pairs: 1, batch: 1 };
            let cost = self.bench.run(Load { path, ..UPDATES })?;
            self.put("update_batch1_cycles", format!("L {latency}"), cycles(&cost));
        }
        Ok(())
    }

    fn updates4(&mut self) -> Result<()> {
        self.bench.set_bus(100, READS);
        for (words, handles) in
            [("1 handle", Handles::First(1)), ("random handles", Handles::Random)]
        {
            let load = Load { kind: Kind::Update4, handles, count: COUNT / 4, ..UPDATES };
            let cost = self.bench.run(load)?;
            let items = Ratio::new(cost.cycles, 4 * cost.commands);
            self.put("update4_cycles", format!("{words}, L 100"), items);
        }
        Ok(())
    }

    fn alone(&mut self) -> Result<()> {
        let mut all: Option<latency::Span> = None;
        for latency in ALONE {
            self.bench.set_bus(latency, READS);
            let span = self.bench.ring_latency(latency)?;
            self.put("ring_latency", format!("L {latency}"), Ratio::new(span.most, 1));
            all = Some(all.map_or(span, |all| all.with(span)));
        }
        if let Some(all) = all {
            self.put("ring_latency_spread", "", Ratio::new(all.most - all.least, 1));
        }
        for (name, chunk) in [("direct_latency", 64), ("split_latency", 8)] {
            let span = self.bench.direct_latency(chunk)?;
            self.put(name, "", Ratio::new(span.most, 1));
        }
        Ok(())
    }

    fn direct(&mut self) -> Result<()> {
        self.bench.set_bus(100, READS);
        let whole = ["direct_cycles", "direct_stores", "direct_packets", "direct_bytes"];
        let split = ["split_cycles", "split_stores", "split_packets", "split_bytes"];
        for (names, chunk) in [(whole, 64), (split, 8)] {
            let cost = self.bench.run(Load { path: Path::Direct { chunk }, ..UPDATES })?;
            let counts = [cost.stores, cost.packets, cost.bytes];
            self.put(names[0], "", cycles(&cost));
            for (name, count) in names[1..].iter().zip(counts) {
                self.put(name, "", Ratio::new(count, cost.all));
            }
        }
        Ok(())
    }

    fn little(&mut self) -> Result<()> {
        for (in_flight, reads) in [(64, 8), (256, READS)] {
            for latency in [20, 50, 100, 200, 250, 300, 400, 500, 1000] {
                self.bench.set_bus(latency, reads);
                let latency = u64::from(latency);
                let due = Ratio::new(in_flight.min(latency + 10), latency + 10);
                let load = Load { count: LITTLE, ..UPDATES };
                let cost = self.bench.run(load)?;
                let rate = Ratio::new(cost.commands, cost.cycles);
                let case = format!("F {in_flight}, L {latency}");
                self.put("little_share", case, rate.divided_by(due));
            }
        }
        Ok(())
    }

    fn bus(&mut self) -> Result<()> {
        self.bench.set_bus(100, READS);
        let cost = self.bench.run(UPDATES)?;
        self.put("update_packets", "", Ratio::new(cost.packets, cost.all));
        self.put("update_bytes", "", Ratio::new(cost.bytes, cost.all));
        let cost = self.bench.run(Load { kind: Kind::Update4, count: COUNT / 4, ..UPDATES })?;
        self.put("update4_packets", "", Ratio::new(cost.packets, 4 * cost.all));
        self.put("update4_bytes", "", Ratio::new(cost.bytes, 4 * cost.all));
        Ok(())
    }
}

/// Cycles per command.
fn cycles(cost: &Cost) -> Ratio {
    Ratio::new(cost.cycles, cost.commands)
}

fn measure() -> Result<Report> {
    let limits = Limits::parse(include_str!("limits.txt"))?;
    let machine = Machine::start(Bus { seed: SEED, ..Bus::default() })?;
    let bench = Bench::new(machine, Rng::with_seed(SEED));
    let mut figures = Figures { bench, list: Vec::new() };
    figures.table()?;
    figures.updates()?;
    figures.updates4()?;
    figures.alone()?;
    figures.direct()?;
    figures.little()?;
    figures.bus()?;
    Report::new(figures.list, &limits)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let json = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--json"] => true,
        _ => {
            eprintln!("rtl-figures takes nothing but --json");
            return ExitCode::from(2);
        }
    };
    let report = match measure() {
        Ok(report) => report,
        Err(what) => {
            eprintln!("rtl-figures: {what}");
            return ExitCode::FAILURE;
        }
    };
    print!("{}", if json { report.json() } else { report.table() });
    let mut code = ExitCode::SUCCESS;
    for miss in report.misses() {
        eprintln!("rtl-figures: {miss}");
        code = ExitCode::FAILURE;
    }
    code
}
