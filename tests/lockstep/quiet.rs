// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Points at which nothing is under way: there every register, counter and row of both devices is
//! the same, but for what counts time itself.

use crate::lock::{ALL_ON, Lock, PATIENCE, TIME_UNIT};
use crate::memory::Side;
use esnic_abi::regs::{Counters, Global, MsixPba, MsixTable, QueuePair};
use esnic_abi::{BAR0_BYTES, Bar, Device, LiveView, SA_SLOT_BYTES};

/// Rows of a table that is read as a whole.
const MOST_ROWS: u32 = 4096;

/// Bytes that are read at once.
const LINE: u64 = 64;

impl Lock {
    /// Lets everything that was asked for happen.
    pub fn quiesce(&mut self) {
        self.configure(ALL_ON);
        for n in 0..self.pairs.len() {
            if self.pairs[n].enabled {
                self.tell_tail(n);
            }
        }
        let mut deadline = self.rtl.cycles() + PATIENCE;
        while !self.pairs.iter().all(|pair| pair.idle()) {
            let before = self.done;
            self.step(64);
            let mut moved = self.done != before;
            for n in 0..self.pairs.len() {
                moved |= self.reap(n, u32::MAX) != 0;
                if self.pairs[n].enabled && self.pairs[n].told != self.pairs[n].seen {
                    self.tell_head(n);
                }
            }
            if moved {
                deadline = self.rtl.cycles() + PATIENCE;
            }
            self.check(self.rtl.cycles() < deadline, || self.stuck());
        }
        self.settle();
    }

    /// What waits, for a device that does nothing any more.
    fn stuck(&self) -> String {
        let mut text = String::from("the device does nothing more, and this is still to be done:");
        for pair in self.pairs.iter().filter(|pair| !pair.idle()) {
            let (n, ring, direct) = (pair.n, pair.ring.len(), pair.direct.len());
            let out: Vec<u32> = pair.out.keys().copied().collect();
            let (seen, told) = (pair.seen, pair.told);
            text += &format!("\npair {n}: {ring} in the ring, {direct} direct, out {out:x?}, ");
            text += &format!("seen {seen:#x}, told {told:#x}, {:?}", pair.shape);
        }
        text
    }

    /// Lets the bus run dry, and every timer run out that can.
    pub fn settle(&mut self) {
        let deadline = self.rtl.cycles() + PATIENCE;
        let armed = self.pairs.iter().filter_map(|pair| pair.arm);
        let units = armed.map(|arm| arm.coalesce >> 16).max().unwrap_or(0);
        let wait = units * TIME_UNIT + 64;
        self.step(wait);
        while self.step(16) {
            self.check(self.rtl.cycles() < deadline, || "the bus never falls silent".to_owned());
        }
        self.model.step(&mut self.memory.port(Side::Model), wait);
        let executed = self.model.take_trace();
        self.check(executed.is_empty(), || format!("only the model executes {executed:x?}"));
    }

    /// Registers, counters, messages.
    pub fn compare(&mut self) {
        self.compare_lines(Bar::Registers, Global::ID.address(0), 0x100);
        self.compare_counters();
        for n in 0..self.pairs.len() {
            self.compare_pair(n);
        }
        let vectors = u64::from(self.params.queue_pairs) + 1;
        self.compare_lines(Bar::Msix, MsixTable::MSG_ADDR_LO.address(0), 16 * vectors);
        self.compare_lines(Bar::Msix, MsixPba::PENDING.address(0), 16);
        let (rtl, model) = (&self.messages, &self.memory.model_messages);
        self.check(rtl == model, || format!("messages: RTL {rtl:?}, model {model:?}"));
    }

    /// The block of one pair.
    pub fn compare_pair(&mut self, n: usize) {
        self.compare_pair_but(n, None);
    }

    /// The block of one pair, except for one register.
    pub fn compare_pair_but(&mut self, n: usize, but: Option<QueuePair>) {
        let base = QueuePair::QP_CTRL.address(n as u32);
        let next = QueuePair::QP_CTRL.address(n as u32 + 1);
        let but = but.map(|register| register.address(n as u32));
        self.compare_lines_but(Bar::Registers, base, next - base, but);
    }

    /// Whether a row shows nothing but its number.
    pub fn row_is_blank(&mut self, index: u32) -> bool {
        let mut row = [0; LiveView::LEN];
        self.model.read(Bar::Table, u64::from(index) * SA_SLOT_BYTES, &mut row);
        row[8..12] == index.to_le_bytes() && row[..8] == [0; 8] && row[12..] == [0; 116]
    }

    /// Lets all pairs but `n` finish what they have.
    pub fn quiet_but(&mut self, n: usize) {
        for other in (0..self.pairs.len()).filter(|other| *other != n) {
            self.drain(other);
        }
    }

    /// Lets pair `n` finish what it has, and takes it all in.
    pub fn drain(&mut self, n: usize) {
        self.tell_tail(n);
        let mut deadline = self.rtl.cycles() + PATIENCE;
        while !self.pairs[n].idle() {
            self.step(32);
            if self.reap(n, u32::MAX) != 0 {
                deadline = self.rtl.cycles() + PATIENCE;
            }
            if self.pairs[n].told != self.pairs[n].seen {
                self.tell_head(n);
            }
            self.check(self.rtl.cycles() < deadline, || self.stuck());
        }
        if self.pairs[n].told != self.pairs[n].seen {
            self.tell_head(n);
        }
    }

    fn lines(&mut self, bar: Bar, at: u64) -> ([u8; LINE as usize], [u8; LINE as usize]) {
        let (mut rtl, mut model) = ([0; LINE as usize], [0; LINE as usize]);
        self.rtl.read(bar, at, &mut rtl);
        self.model.read(bar, at, &mut model);
        (rtl, model)
    }

    fn compare_lines(&mut self, bar: Bar, base: u64, len: u64) {
        self.compare_lines_but(bar, base, len, None);
    }

    fn compare_lines_but(&mut self, bar: Bar, base: u64, len: u64, but: Option<u64>) {
        for at in (base..base + len).step_by(LINE as usize) {
            let (rtl, mut model) = self.lines(bar, at);
            if let Some(but) = but.filter(|but| (at..at + LINE).contains(but)) {
                let but = (but - at) as usize;
                model[but..but + 4].copy_from_slice(&rtl[but..but + 4]);
            }
            if rtl != model {
                let differs = (0..16).find(|k| rtl[4 * k..4 * k + 4] != model[4 * k..4 * k + 4]);
                let place = at + 4 * differs.unwrap_or(0) as u64;
                self.fail(&format!(
                    "{bar:?} at {place:#x} differs; 64 bytes from {at:#x}:\n RTL   {}\n model {}",
                    dwords(&rtl),
                    dwords(&model)
                ));
            }
        }
    }

    pub fn rtl_counter(&mut self, counter: Counters) -> u64 {
        let mut bytes = [0; 8];
        self.rtl.read(Bar::Registers, counter.address(0), &mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn model_counter(&mut self, counter: Counters) -> u64 {
        let mut bytes = [0; 8];
        self.model.read(Bar::Registers, counter.address(0), &mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// One rule for each counter.
    fn compare_counters(&mut self) {
        let requests = self.memory.requests;
        let past = self.requests_before;
        for &counter in Counters::ALL {
            let before = self.rtl.cycles();
            let rtl = self.rtl_counter(counter);
            let after = self.rtl.cycles();
            let model = self.model_counter(counter);
            let name = counter.register().name;
            let same = |expected: u64| {
                self.check(rtl == expected, || format!("{name}: RTL {rtl}, expected {expected}"));
            };
            match counter {
                // Each device has its own time. That of the RTL is the bridge's, shifted: every look
                // narrows by how much, and no look may leave nothing.
                Counters::CYCLES => {
                    let (least, most) = (before.saturating_sub(rtl), after.saturating_sub(rtl));
                    let zero = (self.zero.0.max(least), self.zero.1.min(most));
                    self.check(zero.0 <= zero.1, || {
                        format!("CYCLES {rtl}: began at {least}..={most}, but {:?}", self.zero)
                    });
                    self.zero = zero;
                }
                // How requests are cut and packed is the device's choice, so its counters are held
                // against what the memory saw.
                Counters::DMA_RD_TLP => same(requests.reads - past.reads),
                Counters::DMA_RD_BYTES => same(requests.read_bytes - past.read_bytes),
                Counters::DMA_WR_TLP => same(requests.writes - past.writes),
                Counters::DMA_WR_BYTES => same(requests.write_bytes - past.write_bytes),
                Counters::DMA_ERRORS => {
                    same(requests.errors - past.errors);
                    same(model);
                }
                // Cycles of waiting: the model has no fetch to wait for. Nobody waits for an entry
                // of the completion ring if there was always one.
                Counters::STALL_CQ if !self.starved => same(0),
                Counters::STALL_CQ | Counters::STALL_FETCH => {
                    let most = after - self.zero.0;
                    self.check(rtl <= most, || format!("{name}: {rtl} of {most} cycles"));
                }
                // The model has no pipeline and so no bypass. A beat uses each once at most, and a
                // command has four beats at most.
                Counters::BYPASS_CAPTURE | Counters::BYPASS_EXEC => {
                    let commands = self.model_counter(Counters::CMD_RING)
                        + self.model_counter(Counters::CMD_DIRECT);
                    self.check(rtl <= 4 * commands && model == 0, || {
                        format!("{name}: RTL {rtl}, model {model}, {commands} commands")
                    });
                }
                Counters::CMD_RING
                | Counters::CMD_DIRECT
                | Counters::CPL_OK
                | Counters::CPL_ERR
                | Counters::STAGE_DROP
                | Counters::BAD_ACCESS
                | Counters::STALE_DB
                | Counters::EPOCH_DROP
                | Counters::MSIX_SENT
                | Counters::SA_LIVE => same(model),
            }
        }
    }

    /// Rows as the host sees them.
    pub fn compare_rows(&mut self, indices: impl Iterator<Item = u32>) {
        for index in indices {
            let at = u64::from(index) * SA_SLOT_BYTES;
            let (mut rtl, mut model) = ([0; LiveView::LEN], [0; LiveView::LEN]);
            for (part, half) in (0..).zip(rtl.chunks_mut(LINE as usize)) {
                self.rtl.read(Bar::Table, at + part * LINE, half);
            }
            self.model.read(Bar::Table, at, &mut model);
            self.check(rtl == model, || {
                format!("row {index}:\n RTL   {}\n model {}", dwords(&rtl), dwords(&model))
            });
        }
    }

    /// The whole table, or the first and the last rows of a very large one; on a bus that does not
    /// hold up the host, since only its content matters.
    pub fn compare_table(&mut self) {
        let stalls = self.rtl.bus().stalls;
        self.rtl.bus_mut().stalls.mmio_read = 0;
        let rows = self.params.sa_capacity;
        let (first, last) = (rows.min(MOST_ROWS), rows.saturating_sub(MOST_ROWS / 2));
        self.compare_rows((0..first).chain(last.max(first)..rows));
        self.rtl.bus_mut().stalls = stalls;
    }

    /// All of BAR 0, so that nothing is mapped where nothing belongs.
    pub fn compare_bar0(&mut self) {
        self.rtl.bus_mut().stalls.mmio_read = 0;
        let counters = Counters::CYCLES.address(0);
        self.compare_lines(Bar::Registers, 0, counters);
        self.compare_counters();
        let after = counters + 8 * Counters::ALL.len() as u64;
        let whole = after.next_multiple_of(LINE);
        self.compare_lines(Bar::Registers, after, whole - after);
        self.compare_lines(Bar::Registers, whole, BAR0_BYTES - whole);
    }
}

fn dwords(bytes: &[u8]) -> String {
    let words = bytes.as_chunks::<4>().0.iter();
    words.map(|word| format!("{:x} ", u32::from_le_bytes(*word))).collect()
}
