// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a host does to the device: loads, stores, configuration, resets, and time.

use super::{QUIET, RtlDevice};
use crate::bus::Stuck;
use crate::mmio::{self, Piece};
use esnic_abi::{BAR0_BYTES, BAR4_BYTES, Bar, Device, FunctionConfig, Host};
use zeroize::Zeroize;

impl RtlDevice {
    /// Clocks until `done`, or until the bus gives up.
    fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let deadline = self.now + u64::from(self.bus.mmio_deadline);
        while !done(self) {
            if self.hung || self.now >= deadline {
                self.hung = true;
                return false;
            }
            self.cycle(None);
        }
        true
    }

    /// Lets every store arrive: what configuration space changes may not overtake them.
    fn drain(&mut self) {
        self.until(|device| device.mmio.drained());
    }

    fn load(&mut self, piece: Piece, out: &mut [u8]) -> bool {
        if self.hung {
            return false;
        }
        self.mmio.load(piece);
        self.until(|device| device.mmio.loaded(out))
    }

    /// The part of an access that is inside the BAR.
    fn inside(&self, bar: Bar, offset: u64, len: usize) -> usize {
        let room = self.bar_bytes(bar).saturating_sub(offset);
        usize::try_from(room).map_or(len, |room| room.min(len))
    }
}

impl Device for RtlDevice {
    fn bar_bytes(&self, bar: Bar) -> u64 {
        match bar {
            Bar::Registers => BAR0_BYTES,
            Bar::Table => self.params.bar2_bytes(),
            Bar::Msix => BAR4_BYTES,
        }
    }

    fn read(&mut self, bar: Bar, offset: u64, out: &mut [u8]) {
        if self.faults.gone {
            out.fill(0xFF);
            return;
        }
        out.fill(0);
        let len = self.inside(bar, offset, out.len());
        let mut rest = &mut out[..len];
        for piece in mmio::pieces(bar, offset, len) {
            let (part, after) = rest.split_at_mut(piece.len);
            if !self.load(piece, part) {
                part.fill(0xFF);
                after.fill(0xFF);
                return;
            }
            rest = after;
        }
    }

    fn write(&mut self, bar: Bar, offset: u64, data: &[u8]) {
        if self.faults.gone {
            return;
        }
        let len = self.inside(bar, offset, data.len());
        let mut rest = &data[..len];
        for piece in mmio::pieces(bar, offset, len) {
            let (part, after) = rest.split_at(piece.len);
            // A device that takes nothing any more loses what is stored to it, as behind a dead link.
            if !self.until(|device| device.mmio.has_room()) {
                return;
            }
            self.mmio.store(piece, part);
            rest = after;
        }
    }

    fn configure(&mut self, config: FunctionConfig) {
        self.drain();
        self.pins.bus_master = config.bus_master.into();
        self.pins.msix_enable = config.msix_enable.into();
        self.pins.msix_mask = config.msix_mask.into();
        self.checks.silent_since = (!config.bus_master).then_some(self.now);
        self.lively_until = self.lively_until.max(self.now + QUIET);
    }

    fn reset(&mut self) {
        if self.faults.gone {
            return;
        }
        self.drain();
        if self.faults.stuck == Stuck::UntilReset {
            self.faults.stuck = Stuck::No;
        }
        // What the wires carried last may have been a key; a bus forgets it sooner than Rust does.
        self.pins.s_wdata.zeroize();
        self.pins.m_rdata.zeroize();
        self.pins.bus_master = 0;
        self.pins.msix_enable = 0;
        self.pins.msix_mask = 0;
        self.checks.silent_since = Some(self.now);
        self.pins.flr = 1;
        self.cycle(None);
        self.pins.flr = 0;
        self.scrubbing();
    }

    fn step(&mut self, host: &mut dyn Host, cycles: u32) -> bool {
        if self.faults.gone {
            return false;
        }
        for _ in 0..cycles {
            self.cycle(Some(&mut *host));
        }
        self.busy()
    }
}
