// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The device as [`esnic_abi::Device`]: the compiled RTL with a bus around it.

mod access;

use crate::bus::{Bus, Faults, Stuck, stalled};
use crate::check::Checks;
use crate::cycle::Cycle;
use crate::datapath::{Datapath, Held, Lookup, Packet};
use crate::dma_read::Reads;
use crate::dma_write::Writes;
use crate::error::RtlError;
use crate::ffi::{self, Inputs, Outputs, Row, Verilated};
use crate::milestone::{Milestones, Watch};
use crate::mmio::Mmio;
use crate::pcie::Traffic;
use crate::wave::Waves;
use core::ops::Range;
use esnic_abi::{Host, Params};
use fastrand::Rng;
use std::path::Path;
use zeroize::Zeroize;

/// Cycles of power-on reset.
const RESET_CYCLES: u32 = 4;

/// Cycles without a sign on any port after which nothing more is to be expected but by the host. It is
/// longer than any path inside the device, DMA excluded.
const QUIET: u64 = 64;

/// Two bits of a row: its parity stays as it is.
const FLIPPED: u8 = 0b11;

/// A command at the instant that puts it before or after every other one (R30).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Clock cycle since power-on.
    pub cycle: u64,
    /// The pair that brought it.
    pub queue_pair: u8,
    /// It came by the direct path.
    pub direct: bool,
    /// Its cookie; of the doorbell, if it came by the direct path.
    pub cookie: u32,
    /// Its opcode byte, known or not; 0 if it will end in STAGE.
    pub opcode_byte: u8,
}

/// The device in SystemVerilog, compiled, on a [`Bus`].
///
/// It is driven through [`esnic_abi::Device`] like the model, and its clock moves only inside `step`, `read`,
/// `configure` and `reset`. The last three have no host at hand: what the device asks of it meanwhile
/// is taken and answered in the next step.
///
/// # Panics
/// Every access and every step panics, with the cycle and the seed, as soon as the device breaks a rule
/// of AXI or an assertion inside it fails.
pub struct RtlDevice {
    model: Verilated,
    name: &'static str,
    params: Params,
    tags: usize,
    bus: Bus,
    faults: Faults,
    rng: Rng,
    traffic: Traffic,
    pins: Inputs,
    seen: Outputs,
    mmio: Mmio,
    reads: Reads,
    writes: Writes,
    checks: Checks,
    watch: Watch,
    now: u64,
    /// Until this cycle something may still happen by itself.
    lively_until: u64,
    /// It left a read unanswered, so it will not answer another.
    hung: bool,
    /// Commands issued, while somebody wants to know.
    issued: Option<Vec<Issued>>,
    datapath: Datapath,
    waves: Waves,
}

impl RtlDevice {
    /// A device just out of power-on reset with these parameters. Features, algorithms, the largest window and the
    /// largest ring can be chosen freely; for the others there must be a build.
    ///
    /// # Errors
    /// If there is none. A build cannot be made at run time: `build/list.rs` lists those that are compiled.
    pub fn new(params: Params, bus: Bus) -> Result<Self, RtlError> {
        params.validate()?;
        let build = ffi::builds().iter().find(|build| build.fits(&params)).ok_or_else(|| {
            RtlError::NoBuild {
                wanted: Box::new(params),
                builds: builds().map(|(name, _)| name).collect(),
            }
        })?;
        let mut device = Self {
            model: Verilated::new(build, &params),
            name: build.name(),
            params,
            tags: build.tags(),
            rng: Rng::with_seed(bus.seed),
            bus,
            faults: Faults::default(),
            traffic: Traffic::default(),
            pins: Inputs::default(),
            seen: Outputs::default(),
            mmio: Mmio::default(),
            reads: Reads::default(),
            writes: Writes::default(),
            checks: Checks::default(),
            watch: Watch::default(),
            now: 0,
            lively_until: 0,
            hung: false,
            issued: None,
            datapath: Datapath::default(),
            waves: Waves::from_env(build.name()),
        };
        device.checks.silent_since = Some(0);
        for _ in 0..RESET_CYCLES {
            device.cycle(None);
        }
        device.pins.rst_n = 1;
        device.scrubbing();
        Ok(device)
    }

    /// The name of its build.
    #[must_use]
    pub fn build(&self) -> &'static str {
        self.name
    }

    /// What it was made with.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The bus it is on.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// The bus it is on, to change it on the way. A new seed has no effect any more.
    pub fn bus_mut(&mut self) -> &mut Bus {
        &mut self.bus
    }

    /// The knobs that make the bus fail.
    pub fn faults_mut(&mut self) -> &mut Faults {
        &mut self.faults
    }

    /// What crossed the bus since power-on.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Clock cycles since power-on. No reset touches it, unlike the device's own counter.
    #[must_use]
    pub fn cycles(&self) -> u64 {
        self.now
    }

    /// Whether nothing of an entry is left in slot `index`: row with salt and key, control word but for
    /// its generation, state word, and what was staged for it. For tests of R18 and R32, which so need
    /// not see a key.
    ///
    /// # Panics
    /// If there is no such slot.
    #[must_use]
    pub fn raw_row_is_zero(&mut self, index: u32) -> bool {
        self.model.is_wiped(index)
    }

    /// Flips a bit of a row of slot `index`, as radiation would: whoever reads the row finds its parity
    /// wrong.
    ///
    /// # Panics
    /// If there is no such slot or bit.
    pub fn upset(&mut self, row: Row, index: u32, bit: u32) {
        self.model.upset(row, index, bit);
    }

    /// Addresses in this process of what stands for the inside of the device and the pins around it. Keys
    /// belong there; who looks for keys in the rest of the process leaves these out.
    #[must_use]
    pub fn silicon(&mut self) -> [Range<usize>; 2] {
        let pins = core::ptr::from_ref(self).addr();
        [self.model.inside(), pins..pins + size_of::<Self>()]
    }

    /// When the last store came in and when the last write was offered.
    #[must_use]
    pub fn milestones(&self) -> Milestones {
        self.watch.last()
    }

    /// Asks the lookup port for an SA slot in one of the next cycles, as a datapath would.
    pub fn look_up(&mut self, index: u32) {
        self.datapath.to_look_up.push_back(index);
    }

    /// What lookups found since the last call, in order.
    pub fn take_lookups(&mut self) -> Vec<Lookup> {
        core::mem::take(&mut self.datapath.looked_up)
    }

    /// Puts a packet to the state port in one of the next cycles, as a datapath would.
    pub fn send_packet(&mut self, packet: Packet) {
        self.datapath.to_send.push_back(packet);
    }

    /// Packets that went in since the last call, each with the cycle in which it took its turn: before
    /// every command that was issued later.
    pub fn take_packets(&mut self) -> Vec<(u64, Packet)> {
        core::mem::take(&mut self.datapath.sent)
    }

    /// What they found or left behind, in order.
    pub fn take_held(&mut self) -> Vec<Held> {
        core::mem::take(&mut self.datapath.held)
    }

    /// Starts or stops recording what is issued; starting forgets what was recorded.
    pub fn log_issued(&mut self, on: bool) {
        self.issued = on.then(Vec::new);
    }

    /// What was issued since the last call, in order over all pairs and paths.
    pub fn take_issued(&mut self) -> Vec<Issued> {
        self.issued.as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// Writes a waveform (FST) of these cycles to a file.
    ///
    /// # Errors
    /// If this crate was compiled without its feature `trace`, or the file cannot be written.
    pub fn trace(&mut self, path: &Path, cycles: Range<u64>) -> Result<(), RtlError> {
        self.waves.ask(&mut self.model, path, cycles)
    }

    /// Cycles that the waveform has so far.
    #[must_use]
    pub fn traced(&self) -> u64 {
        self.waves.traced()
    }

    /// One clock cycle.
    fn cycle(&mut self, mut host: Option<&mut dyn Host>) {
        if self.waves.wanted() {
            self.waves.turn(&mut self.model, self.now);
        }
        let mut cycle = Cycle {
            now: self.now,
            bus: &self.bus,
            faults: &mut self.faults,
            rng: &mut self.rng,
            traffic: &mut self.traffic,
        };
        let (pins, seen) = (&mut self.pins, &mut self.seen);
        if pins.rst_n != 0 {
            self.mmio.drive(&mut cycle, pins);
            // Each call takes the host in turn; the types want that spelled out.
            match &mut host {
                Some(host) => {
                    self.reads.drive(&mut cycle, Some(&mut **host), pins);
                    self.writes.drive(&mut cycle, Some(&mut **host), pins);
                }
                None => {
                    self.reads.drive(&mut cycle, None, pins);
                    self.writes.drive(&mut cycle, None, pins);
                }
            }
            let held = stalled(cycle.rng, cycle.bus.stalls.message) || !cycle.moves();
            pins.msix_ready = (host.is_some() && !held).into();
            self.datapath.drive(self.now, pins);
        }

        pins.dbg_hold = (cycle.faults.stuck != Stuck::No).into();
        pins.dbg_flip_add = if cycle.faults.verify_add { FLIPPED } else { 0 };
        pins.dbg_flip_delete = if cycle.faults.verify_delete { FLIPPED } else { 0 };
        (pins.dbg_fatal, pins.dbg_fatal_info) = cycle.faults.fatal.take().unwrap_or_default();

        let ran = self.model.cycle(pins, seen);
        cycle.faults.verify_add &= seen.dbg_flipped & 1 == 0;
        cycle.faults.verify_delete &= seen.dbg_flipped & 2 == 0;
        let (reads, tags) = (self.reads.in_flight(), self.tags);
        let verdict = ran
            .and_then(|()| self.checks.observe(self.now, reads, tags, pins, seen))
            .and_then(|()| self.mmio.observe(&mut cycle, pins, seen))
            .and_then(|()| self.writes.observe(&mut cycle, pins, seen));
        self.reads.observe(&mut cycle, pins, seen);
        self.watch.observe(self.now, pins, seen);
        if seen.msix_valid & pins.msix_ready != 0
            && let Some(host) = host
        {
            cycle.traffic.message();
            host.interrupt(seen.msix_vector.into());
        }
        if let Err(what) = verdict {
            panic!("RTL build `{}`, seed {}, cycle {}: {what}", self.name, self.bus.seed, self.now);
        }
        self.datapath.observe(self.now, seen);
        if seen.dbg_valid != 0
            && let Some(issued) = &mut self.issued
        {
            issued.push(Issued {
                cycle: self.now,
                queue_pair: seen.dbg_pair,
                direct: seen.dbg_ring == 0,
                cookie: seen.dbg_cookie,
                opcode_byte: seen.dbg_opcode,
            });
        }
        if active(pins, seen) {
            self.lively_until = self.lively_until.max(self.now + QUIET);
        }
        self.now += 1;
    }

    /// Whether more cycles could make something happen.
    fn busy(&self) -> bool {
        let bus = self.faults.stuck == Stuck::No && (self.reads.pending() || self.writes.pending());
        self.now < self.lively_until || self.mmio.pending() || bus
    }

    /// The device goes through RESET and SCRUB by itself, one row a cycle, and shows nothing of it.
    fn scrubbing(&mut self) {
        let rows = u64::from(self.params.sa_capacity);
        self.lively_until = self.now + rows + QUIET;
    }
}

/// Whether anything is offered on any port.
fn active(pins: &Inputs, seen: &Outputs) -> bool {
    let host = pins.s_awvalid | pins.s_wvalid | pins.s_arvalid | pins.m_rvalid | pins.m_bvalid;
    let datapath = pins.lk_valid | pins.st_valid;
    let device = seen.s_bvalid
        | seen.s_rvalid
        | seen.m_arvalid
        | seen.m_awvalid
        | seen.m_wvalid
        | seen.msix_valid;
    host | datapath | device != 0
}

/// Every build there is: name and parameters.
pub fn builds() -> impl Iterator<Item = (&'static str, Params)> {
    ffi::builds().iter().map(|build| (build.name(), build.params()))
}

impl Drop for RtlDevice {
    /// What the pins carried last may have been a key.
    fn drop(&mut self) {
        self.waves.close(&mut self.model);
        self.pins.s_wdata.zeroize();
        self.pins.m_rdata.zeroize();
    }
}
