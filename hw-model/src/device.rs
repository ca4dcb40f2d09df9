// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The device's state machine (§6), its pins, and how time passes.

use crate::counters::CounterFile;
use crate::fault::{Fatal, Stuck};
use crate::model::{Model, Turns};
use crate::qp::QueuePair;
use esnic_abi::regs::Counters;
use esnic_abi::regs::global::{CONTROL, FEATURES, INT_CAUSE};
use esnic_abi::{
    BAR0_BYTES, BAR4_BYTES, Bar, Device, DeviceState, FunctionConfig, Host, QpCause, QpState,
    SA_SLOT_BYTES,
};
use zerocopy::IntoBytes;

impl Model {
    /// CONTROL: reset goes before RUN.
    pub(crate) fn control(&mut self, value: u32) {
        if CONTROL::SOFT_RESET.is_set(value) {
            self.soft_reset();
            return;
        }
        let quiet = self.turns.alive == 0;
        match (self.state, CONTROL::RUN.is_set(value)) {
            // R22: without an epoch, late doorbells could not be told apart.
            (DeviceState::Ready, true) if self.core.epoch != 0 => {
                self.state = DeviceState::Running;
            }
            // R47: a late RUN = 0 of an old instance finds pairs enabled, and does nothing.
            (DeviceState::Running, false) if quiet => self.state = DeviceState::Ready,
            (
                DeviceState::Reset
                | DeviceState::Scrub
                | DeviceState::Ready
                | DeviceState::Running
                | DeviceState::Fatal,
                _,
            ) => {}
        }
    }

    /// Everything but configuration space and the MSI-X table, which are the host's kernel's, back to
    /// its reset value (R20). Keys are zeroed here, and
    /// SCRUB then takes the time that hardware needs for it.
    fn soft_reset(&mut self) {
        let params = self.core.params;
        self.state = DeviceState::Reset;
        self.scrub_left = params.sa_capacity;
        self.instance = 0;
        self.fatal_cause = 0;
        self.fatal_info = 0;
        self.int_cause = 0;
        self.int_enable = 0;
        self.scratch = 0;
        for pair in &mut self.pairs {
            *pair = QueuePair::new(params.direct_log2);
        }
        self.msix.forget();
        self.turns = Turns::default();
        self.core.epoch = 0;
        self.core.table.clear();
        self.core.stage.clear();
        self.core.counters = CounterFile::new();
        if self.core.faults.stuck == Stuck::UntilReset {
            self.core.faults.stuck = Stuck::No;
        }
    }

    /// FATAL: nothing moves any more, and nothing is visible to packets (R23).
    fn enter_fatal(&mut self, fatal: Fatal) {
        if self.fatal_cause == 0 {
            self.fatal_info = fatal.info;
        }
        self.fatal_cause |= fatal.cause;
        self.state = DeviceState::Fatal;
        self.raise(INT_CAUSE::FATAL.mask());
    }

    /// QP_CTRL of pair `n`.
    pub(crate) fn switch_pair(&mut self, n: usize, enable: bool) {
        let pair = &mut self.pairs[n];
        if !enable {
            pair.disable();
        } else if pair.state == QpState::Disabled && self.state == DeviceState::Running {
            self.turns.alive |= 1 << n;
            if !pair.enable(self.core.params.ring_log2) {
                self.raise(INT_CAUSE::QP_ERROR.mask());
            }
        }
        self.turns.next_event = 0;
    }

    /// Pair `n` enters ERROR; the others don't notice (R26).
    pub(crate) fn pair_fails(&mut self, n: usize, cause: QpCause, err_addr: u64) {
        let pair = &mut self.pairs[n];
        if pair.state == QpState::Error {
            return;
        }
        pair.fail(cause, err_addr);
        self.turns.next_event = 0;
        self.raise(INT_CAUSE::QP_ERROR.mask());
    }

    /// Sets causes of vector Q, and fires it if that made it due (R5).
    fn raise(&mut self, causes: u32) {
        let before = self.int_cause & self.int_enable;
        self.int_cause |= causes;
        if before == 0 {
            self.repeat_event();
        }
    }

    /// Fires vector Q while a cause is enabled: after writes that may have hidden one (R5).
    pub(crate) fn repeat_event(&mut self) {
        if self.int_cause & self.int_enable != 0 {
            self.msix.fire(self.pairs.len());
        }
    }

    /// Whether the table can be read: not while it is zeroed, and not in FATAL (§5).
    fn table_readable(&self) -> bool {
        match self.state {
            DeviceState::Ready | DeviceState::Running => true,
            DeviceState::Reset | DeviceState::Scrub | DeviceState::Fatal => false,
        }
    }

    fn read_table(&self, offset: u64, out: &mut [u8]) {
        out.fill(0);
        if !self.table_readable() {
            return;
        }
        let mut at = offset;
        let mut rest = out;
        while !rest.is_empty() {
            let skip = (at % SA_SLOT_BYTES) as usize;
            let len = (SA_SLOT_BYTES as usize - skip).min(rest.len());
            let (part, after) = rest.split_at_mut(len);
            if let Some(index) = self.slot_at(at) {
                let view = self.core.table.live_view(index);
                part.copy_from_slice(&view.as_bytes()[skip..skip + len]);
            }
            rest = after;
            at = at.wrapping_add(len as u64);
        }
    }

    /// Stages the whole dwords of a store, and drops its pieces (§5).
    fn write_table(&mut self, offset: u64, data: &[u8]) {
        let staging = self.state == DeviceState::Running
            && FEATURES::DIRECT.is_set(self.core.params.features);
        let mut at = offset;
        let mut rest = data;
        while !rest.is_empty() {
            let skip = (at % SA_SLOT_BYTES) as usize;
            let len = (SA_SLOT_BYTES as usize - skip).min(rest.len());
            let (part, after) = rest.split_at(len);
            let touched = (skip + len).div_ceil(4) - skip / 4;
            let head = skip.next_multiple_of(4) - skip;
            let whole = len.saturating_sub(head) / 4;
            let staged = match self.slot_at(at) {
                Some(index) if staging && whole != 0 => {
                    let dwords = &part[head..head + 4 * whole];
                    self.core.stage.store(index, (skip + head) / 4, dwords);
                    whole
                }
                _ => 0,
            };
            self.core.counters[Counters::STAGE_DROP] += (touched - staged) as u64;
            rest = after;
            at = at.wrapping_add(len as u64);
        }
    }

    /// The SA slot at a place of BAR 2.
    fn slot_at(&self, offset: u64) -> Option<u32> {
        u32::try_from(offset / SA_SLOT_BYTES)
            .ok()
            .filter(|index| *index < self.core.params.sa_capacity)
    }

    /// Lets `cycles` pass.
    pub(crate) fn pass(&mut self, cycles: u32) {
        self.core.counters[Counters::CYCLES] += u64::from(cycles);
    }

    /// RESET and SCRUB: one row a cycle. Returns the cycles left.
    fn scrub(&mut self, cycles: u32) -> u32 {
        let mut left = cycles;
        if self.state == DeviceState::Reset && left != 0 {
            self.state = DeviceState::Scrub;
            self.pass(1);
            left -= 1;
        }
        if self.state == DeviceState::Scrub {
            let rows = left.min(self.scrub_left);
            self.scrub_left -= rows;
            self.pass(rows);
            left -= rows;
            if self.scrub_left == 0 {
                self.state = DeviceState::Ready;
            }
        }
        left
    }

    /// Faults that happen by themselves.
    fn suffer(&mut self) {
        if let Some(fatal) = self.core.faults.fatal.take() {
            self.enter_fatal(fatal);
        }
        if let Some(vector) = self.core.faults.spurious_interrupt.take() {
            self.msix.fire(vector.into());
        }
    }

    /// Sends what interrupts can be sent.
    pub(crate) fn send_interrupts(&mut self, host: &mut dyn Host) {
        let sent = self.msix.send(self.config, host);
        self.core.counters[Counters::MSIX_SENT] += sent;
    }
}

impl Device for Model {
    fn bar_bytes(&self, bar: Bar) -> u64 {
        match bar {
            Bar::Registers => BAR0_BYTES,
            Bar::Table => self.core.params.bar2_bytes(),
            Bar::Msix => BAR4_BYTES,
        }
    }

    fn read(&mut self, bar: Bar, offset: u64, out: &mut [u8]) {
        if self.core.faults.gone {
            out.fill(0xFF);
            return;
        }
        match bar {
            Bar::Registers | Bar::Msix => self.read_registers(bar, offset, out),
            Bar::Table => self.read_table(offset, out),
        }
    }

    fn write(&mut self, bar: Bar, offset: u64, data: &[u8]) {
        if self.core.faults.gone || data.is_empty() {
            return;
        }
        match bar {
            Bar::Registers | Bar::Msix => self.write_registers(bar, offset, data),
            Bar::Table => self.write_table(offset, data),
        }
    }

    fn configure(&mut self, config: FunctionConfig) {
        self.config = config;
        self.turns.next_event = 0;
    }

    fn reset(&mut self) {
        if !self.core.faults.gone {
            self.config = FunctionConfig::default();
            self.msix.reset();
            self.soft_reset();
        }
    }

    fn step(&mut self, host: &mut dyn Host, cycles: u32) -> bool {
        if self.core.faults.gone {
            return false;
        }
        self.suffer();
        let left = self.scrub(cycles);
        self.send_interrupts(host);
        match self.state {
            DeviceState::Reset | DeviceState::Scrub => true,
            DeviceState::Ready | DeviceState::Fatal => {
                self.pass(left);
                false
            }
            DeviceState::Running => self.run(host, left),
        }
    }
}
