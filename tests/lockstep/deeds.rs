// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a host does beside submitting: it consumes, arms, looks, and makes mistakes.

use crate::common::pair::Shape;
use crate::lock::{ALL_ON, Lock};
use crate::log::Note;
use crate::memory::Side;
use crate::pair::Arm;
use crate::program::Mood;
use esnic_abi::regs::{Counters, Doorbell, Global, QueuePair};
use esnic_abi::{Bar, Device, SA_SLOT_BYTES};

/// Cycles from the issue of an UPDATE4 to the end of its last item, and then some.
const UPDATE4_CYCLES: u64 = 64;

impl Lock {
    /// One deed of the host, and some time.
    pub fn act(&mut self, mood: &Mood) {
        let n = self.random.usize(..self.pairs.len());
        if self.pairs[n].enabled {
            self.submit(n, mood);
        }
        if self.random.u16(..1000) < mood.noise {
            self.make_noise(n);
        }
        let cycles = self.random.u32(1..=mood.pause);
        self.look_up();
        if mood.packets {
            self.send_packets();
        }
        self.step(cycles);
        for n in 0..self.pairs.len() {
            if self.pairs[n].enabled && self.random.u8(..100) >= mood.lazy {
                let most = if self.random.bool() { u32::MAX } else { self.random.u32(1..8) };
                self.reap(n, most);
                self.consume(n);
            }
        }
    }

    /// Tells CQ_HEAD: at the latest when half of the ring is consumed and untold (R8).
    pub fn consume(&mut self, n: usize) {
        let pair = &self.pairs[n];
        let untold = pair.seen.wrapping_sub(pair.told);
        if untold * 2 >= pair.cq_size() || (untold != 0 && self.random.u8(..8) == 0) {
            self.tell_head(n);
        }
        if self.pairs[n].arm.is_none() && self.random.u8(..16) == 0 {
            self.arm(n);
        }
    }

    /// Asks for an interrupt. Never twice at once: which of two fired would be a matter of time.
    fn arm(&mut self, n: usize) {
        let cycle = self.rtl.cycles();
        let pair = &mut self.pairs[n];
        let (consumed, coalesce) = (pair.seen, pair.coalesce);
        pair.arm = Some(Arm { consumed, coalesce, cycle });
        self.log.push(Note::Armed { pair: n, consumed, coalesce });
        self.store32(Doorbell::CQ_ARM.address(n as u32), consumed);
        // The model may fire at once; its message has to go before it can fire again.
        self.model.step(&mut self.memory.port(Side::Model), 1);
    }

    /// Something else than submitting and reaping.
    fn make_noise(&mut self, n: usize) {
        match self.random.u8(..12) {
            0 if self.pairs[n].enabled => self.stale_tail(n),
            1 if self.pairs[n].enabled => {
                let stale = self.pairs[n].told.wrapping_sub(self.random.u32(1..1 << 31));
                self.store32(Doorbell::CQ_HEAD.address(n as u32), stale);
            }
            2 => self.misaccess(),
            3 => self.scrap(),
            4 => {
                let value = self.random.u32(..);
                self.store32(Global::SCRATCH.address(0), value);
            }
            5 if self.pairs[n].enabled => self.forbidden(n),
            6 if self.pairs[n].enabled && self.pairs[n].arm.is_none() => self.recoalesce(n),
            7 => self.interrupt_bus(),
            8 if self.pairs[n].enabled => self.glance_at_pair(n),
            _ => self.glance_at_row(),
        }
    }

    /// A doorbell of a slower thread (R40).
    fn stale_tail(&mut self, n: usize) {
        let back = self.random.u32(1..1 << 30);
        let pair = &self.pairs[n];
        let (rtl, model) = (pair.rung.wrapping_sub(back), pair.model_rung.wrapping_sub(back));
        self.log.push(Note::Told { pair: n, tail: rtl });
        self.ring(Side::Rtl, n, Doorbell::SQ_TAIL, rtl);
        self.ring(Side::Model, n, Doorbell::SQ_TAIL, model);
    }

    /// A store to a register that is no whole dword or not aligned: ignored and counted.
    fn misaccess(&mut self) {
        let len = self.random.usize(1..=24);
        let at = self.random.u64(..64 - len as u64 + 1);
        let right = matches!(len, 4 | 8) && at.is_multiple_of(len as u64);
        if !right {
            let bar = if self.random.bool() { Bar::Registers } else { Bar::Msix };
            let line = 64 * self.random.u64(..if bar == Bar::Msix { 0x100 } else { 0x2000 });
            let mut bytes = [0; 24];
            self.random.fill(&mut bytes);
            self.store(bar, line + at, &bytes[..len]);
        }
    }

    /// Pieces of dwords in the table are dropped and counted.
    fn scrap(&mut self) {
        let index = self.random.u32(..self.params.sa_capacity);
        let at = 4 * self.random.u64(..31) + self.random.u64(1..4);
        let len = self.random.usize(1..=3);
        self.store_slot(index, at, &[0x5A; 4][..len]);
    }

    /// Stores to what an enabled pair does not let be written, and to what nobody can write.
    fn forbidden(&mut self, n: usize) {
        const RINGS: [QueuePair; 8] = [
            QueuePair::SQ_BASE,
            QueuePair::CQ_BASE,
            QueuePair::RING_SIZE,
            QueuePair::START,
            QueuePair::SQ_HEAD,
            QueuePair::CQ_TAIL,
            QueuePair::QP_STATUS,
            QueuePair::COMMANDS,
        ];
        const GLOBAL: [Global; 6] = [
            Global::ID,
            Global::FEATURES,
            Global::STATUS,
            Global::INSTANCE,
            Global::QP_ERROR_MAP,
            Global::COMPAT_HASH,
        ];
        let value = self.random.u32(..);
        let place = match self.random.u8(..3) {
            0 => self.random.choice(RINGS).map(|register| register.address(n as u32)),
            1 => self.random.choice(GLOBAL).map(|register| register.address(0)),
            _ => Some(Counters::CYCLES.address(0) + 4 * self.random.u64(..40)),
        };
        // RUN = 0 while pairs are enabled is ignored too (2.1).
        let run_0 = self.random.u8(..8) == 0;
        let place = if run_0 { Some(Global::CONTROL.address(0)) } else { place };
        self.store32(place.expect("one of several"), if run_0 { 0 } else { value });
    }

    /// Another COALESCE while no ARM waits for it.
    fn recoalesce(&mut self, n: usize) {
        let count = self.random.choice([0, 1, 2, 5, 16]).unwrap_or(0);
        // A pair that may be stopped at any time is armed without a timer: whether it ran out before
        // would be a matter of time.
        let time = if self.timers { self.random.choice([0, 0, 1, 3]).unwrap_or(0) } else { 0 };
        let coalesce = time << 16 | count;
        self.pairs[n].coalesce = coalesce;
        self.set_pair(n, QueuePair::COALESCE, coalesce);
    }

    /// Turns Bus Master or MSI-X off for a while: everything waits, nothing is lost (R4, R24).
    fn interrupt_bus(&mut self) {
        let mut config = ALL_ON;
        match self.random.u8(..3) {
            0 => config.bus_master = false,
            1 => config.msix_enable = false,
            _ => config.msix_mask = true,
        }
        self.configure(config);
        let cycles = self.random.u32(1..400);
        self.step(cycles);
        self.configure(ALL_ON);
    }

    /// A look at a pair in motion. A load pushes the stores before it, so what was told is known.
    fn glance_at_pair(&mut self, n: usize) {
        let mut bytes = [0; 64];
        self.rtl.read(Bar::Registers, QueuePair::QP_CTRL.address(n as u32), &mut bytes);
        self.follow();
        let word = |register: QueuePair| {
            let at = register.offset() as usize;
            u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
        };
        let pair = &self.pairs[n];
        let within = |least: u32, it: QueuePair, most: u32| {
            word(it).wrapping_sub(least) <= most.wrapping_sub(least)
        };
        let ok = word(QueuePair::SQ_TAIL) == pair.rung
            && word(QueuePair::CQ_HEAD) == pair.told
            && within(pair.freed, QueuePair::SQ_HEAD, pair.fetched)
            // 2.2: a completion that is visible is included.
            && within(pair.seen, QueuePair::CQ_TAIL, pair.told.wrapping_add(pair.cq_size()))
            && word(QueuePair::DIRECT_HEAD) <= pair.knocks;
        self.check(ok, || {
            let (freed, fetched) = (pair.freed, pair.fetched);
            let (rung, seen, told, knocks) = (pair.rung, pair.seen, pair.told, pair.knocks);
            format!(
                "pair {n} in motion: {bytes:x?}\nhost: freed {freed:x} fetched {fetched:x} \
                 rung {rung:x} seen {seen:x} told {told:x} knocks {knocks}"
            )
        });
    }

    /// A look at half a row in motion: it is what the model's row is before or after one of the
    /// commands that are issued meanwhile (R16, R30).
    fn glance_at_row(&mut self) {
        let hint = self.random.usize(..self.board.hints.len());
        let index = self.board.hints[hint].index;
        let at = u64::from(index) * SA_SLOT_BYTES + 64 * self.random.u64(..2);
        self.follow();
        let began = self.rtl.cycles();
        let mut allowed = vec![self.model_line(at)];
        let mut rtl = [0; 64];
        self.rtl.read(Bar::Table, at, &mut rtl);
        self.lookups.extend(self.rtl.take_lookups());
        for issued in self.rtl.take_issued() {
            self.judge_lookups(issued.cycle);
            self.execute(issued);
            allowed.push(self.model_line(at));
        }
        // Items of an UPDATE4 enter one by one, and the look may come between two of them.
        let between = self.last_update4 + UPDATE4_CYCLES > began;
        self.check(between || allowed.contains(&rtl), || {
            format!("{at:#x} of the table in motion:\n RTL   {rtl:x?}\n model {allowed:x?}")
        });
    }

    fn model_line(&mut self, at: u64) -> [u8; 64] {
        let mut bytes = [0; 64];
        self.model.read(Bar::Table, at, &mut bytes);
        bytes
    }

    /// Sizes and first index of a ring, often the smallest and the last.
    pub fn shape(&mut self) -> Shape {
        let most = u32::from(self.params.ring_log2);
        if self.mood.hot {
            return Shape::of(most, most).about_to_wrap();
        }
        let log2 = |random: &mut fastrand::Rng| match random.u8(..4) {
            0 => random.u32(1..=2.min(most)),
            1 => random.u32(1..=most),
            _ => random.u32(most.min(5)..=most),
        };
        let (sq_log2, mut cq_log2) = (log2(&mut self.random), log2(&mut self.random));
        if self.mood.greedy {
            cq_log2 = cq_log2.min(4);
        }
        let shape = Shape::of(sq_log2, cq_log2);
        let step = 2 << sq_log2.max(cq_log2);
        match self.random.u8(..4) {
            0 => shape,
            1 => shape.about_to_wrap(),
            2 => Shape { start: 0x8000_0000 - step, ..shape },
            _ => Shape { start: self.random.u32(..) / step * step, ..shape },
        }
    }
}
