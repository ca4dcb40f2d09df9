// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From power-on or reset to running pairs, on both devices (§11).

use crate::common::pair::Shape;
use crate::common::program::{Board, choose_slots};
use crate::lock::{ALL_ON, Lock, PATIENCE};
use crate::log::Log;
use crate::memory::{Memory, Requests, Side, Use};
use crate::pair::Pair;
use crate::program::{Mood, traced};
use esnic_abi::regs::{Global, MsixTable, QueuePair, global, queue_pair};
use esnic_abi::{Bar, Device, DeviceState, FunctionConfig, Params, QpState};
use esnic_rtl::RtlDevice;
use fastrand::Rng;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Places for records; the last one is refused to both devices.
const RECORDS: usize = 64;

impl Lock {
    /// Both devices just out of power-on.
    pub fn new(name: &str, params: Params, handles: u32, generation: u32, mut random: Rng) -> Self {
        let rtl = RtlDevice::new(params, crate::bus(&mut random, false));
        let mut rtl = rtl.unwrap_or_else(|why| panic!("{name}: {why}"));
        rtl.log_issued(true);
        let indices = choose_slots(&mut random, params.sa_capacity, handles);
        let claims = (0..1 << params.stage_log2).map(|_| false.into()).collect();
        let board = Board::new(&indices, generation, Arc::new(claims), true);
        let hints: HashMap<u32, usize> =
            (0..).zip(&indices).map(|(k, index)| (*index, k)).collect();
        let mut memory = Memory::default();
        let records = memory.map(Use::Records, 128 * RECORDS, &mut random);
        let hole = records + 128 * (RECORDS as u64 - 1);
        memory.refused.iter_mut().for_each(|refused| refused.push(hole..hole + 128));
        let mut lock = Self {
            name: name.to_owned(),
            cookie: random.u32(..) & 0x7FFF_FFFF,
            params,
            epoch: 0,
            rtl,
            model: traced(params),
            memory,
            pairs: Vec::new(),
            board,
            hints,
            records,
            log: Log::default(),
            free_records: Vec::new(),
            done: 0,
            messages: Vec::new(),
            requests_before: Requests::default(),
            zero: (0, u64::MAX),
            starved: false,
            lookups: VecDeque::new(),
            fates: HashMap::new(),
            packets: VecDeque::new(),
            expected_held: VecDeque::new(),
            newest: HashMap::new(),
            packets_done: 0,
            blind: false,
            lives: 0,
            mood: Mood::default(),
            timers: false,
            upsets: [0; 6],
            seen: HashSet::new(),
            last_update4: 0,
            random,
        };
        lock.forget();
        lock.await_ready();
        lock
    }

    /// The host forgets what it asked for: the devices have just been reset.
    pub fn forget(&mut self) {
        let direct = self.params.direct_log2.into();
        let pairs = usize::from(self.params.queue_pairs);
        self.pairs = (0..pairs).map(|n| Pair::new(n, direct)).collect();
        for buffer in 0..1 << self.params.stage_log2 {
            self.board.release(buffer);
        }
        self.free_records = (0..RECORDS).collect();
        self.memory.wipe(Use::Records, 0, &[0xEE; 128 * RECORDS]);
        self.messages = vec![0; pairs + 1];
        self.memory.model_messages = vec![0; pairs + 1];
        self.zero = (0, u64::MAX);
        self.starved = false;
        self.epoch = 0;
        self.fates.clear();
    }

    /// Lets both scrub. Once READY reads, nothing of before may come any more (R20).
    pub fn await_ready(&mut self) {
        self.await_rtl_ready();
        self.scrub_model();
    }

    /// Lets the model scrub.
    pub fn scrub_model(&mut self) {
        self.model.step(&mut self.memory.port(Side::Model), self.params.sa_capacity + 2);
    }

    /// Until STATUS of the RTL is READY.
    pub fn await_rtl_ready(&mut self) {
        let deadline = self.rtl.cycles() + PATIENCE + 2 * u64::from(self.params.sa_capacity);
        loop {
            self.step(16);
            let status = self.rtl_global(Global::STATUS);
            if global::STATUS::STATE.get(status) == DeviceState::Ready as u32 {
                break;
            }
            self.check(self.rtl.cycles() < deadline, || format!("no READY: STATUS {status}"));
        }
        self.requests_before = self.memory.requests;
    }

    /// READY to RUNNING with interrupts, as a new instance.
    pub fn run(&mut self) {
        let before = self.epoch;
        let mut instance = self.random.u64(..);
        // R47: another EPOCH[6:0], and not 0.
        while instance & 0x7F == u64::from(before & 0x7F) || instance & 0xFFFF == 0 {
            instance = self.random.u64(..);
        }
        let place = Global::INSTANCE.address(0);
        if self.random.bool() {
            self.store(Bar::Registers, place, &instance.to_le_bytes());
        } else {
            self.store32(place + 4, (instance >> 32) as u32);
            self.store32(place, instance as u32);
        }
        self.epoch = instance as u16;
        for vector in 0..=u32::from(self.params.queue_pairs) {
            let message: [u32; 4] =
                [self.random.u32(..), self.random.u32(..), self.random.u32(..), 0];
            for (k, dword) in (0..).zip(message) {
                let place = MsixTable::MSG_ADDR_LO.address(vector) + 4 * k;
                self.store(Bar::Msix, place, &dword.to_le_bytes());
            }
        }
        self.store32(Global::INT_ENABLE.address(0), global::INT_ENABLE::QP_ERROR.mask());
        self.store32(Global::CONTROL.address(0), global::CONTROL::RUN.mask());
        self.configure(ALL_ON);
        self.model.configure(ALL_ON);
    }

    /// Masks the vectors whose bits are set, and no other.
    pub fn mask_vectors(&mut self, mask: u32) {
        for vector in 0..=u32::from(self.params.queue_pairs) {
            let masked = (mask >> (vector % 32)) & 1;
            let place = MsixTable::MSG_CTRL.address(vector);
            self.store(Bar::Msix, place, &masked.to_le_bytes());
        }
    }

    /// RUNNING to READY, all pairs being DISABLED, and back as another instance. READY takes no
    /// ENABLE, and no RUN without an epoch (R22).
    pub fn pause(&mut self) {
        let control = Global::CONTROL.address(0);
        self.store32(control, 0);
        self.set_pair(0, QueuePair::QP_CTRL, 1);
        let empty = u64::from(self.random.u32(..)) << 16;
        self.store(Bar::Registers, Global::INSTANCE.address(0), &empty.to_le_bytes());
        self.store32(control, global::CONTROL::RUN.mask());
        self.compare();
        self.run();
    }

    /// Configuration space of the RTL; the model's bus is always on, since whether it is on must
    /// change nothing but time.
    pub fn configure(&mut self, config: FunctionConfig) {
        self.rtl.configure(config);
    }

    /// Configures pair `n` and turns it on.
    pub fn open(&mut self, n: usize, shape: Shape) {
        let zeroes = vec![0; 16 << shape.cq_log2];
        self.map_pair(n);
        self.memory.wipe(Use::Cq(n), 0, &zeroes);
        let Shape { sq_log2, cq_log2, start } = shape;
        let sizes = queue_pair::RING_SIZE::SQ_LOG2.put(0, sq_log2);
        let sizes = queue_pair::RING_SIZE::CQ_LOG2.put(sizes, cq_log2);
        let (sq, cq) = (self.pairs[n].sq_base, self.pairs[n].cq_base);
        for (register, base) in [(QueuePair::SQ_BASE, sq), (QueuePair::CQ_BASE, cq)] {
            self.store(Bar::Registers, register.address(n as u32), &base.to_le_bytes());
        }
        self.set_pair(n, QueuePair::RING_SIZE, sizes);
        self.set_pair(n, QueuePair::START, start);
        self.set_pair(n, QueuePair::QP_CTRL, 1);
        let status = self.rtl_pair(n, QueuePair::QP_STATUS);
        let state = queue_pair::QP_STATUS::STATE.get(status);
        self.check(state == QpState::Enabled as u32, || {
            format!("pair {n}, {shape:?}: {status:#x}")
        });
        self.pairs[n].start(shape);
    }

    /// Turns pair `n` off on both, which have finished all that it was given.
    pub fn close(&mut self, n: usize) {
        self.set_pair(n, QueuePair::QP_CTRL, 0);
        self.await_disabled(n);
        self.model.step(&mut self.memory.port(Side::Model), 8);
        self.pairs[n].enabled = false;
    }

    /// Waits until pair `n` of the RTL is DISABLED; takes in what completes meanwhile.
    pub fn await_disabled(&mut self, n: usize) {
        self.await_pair(n, QpState::Disabled);
    }

    pub fn await_pair(&mut self, n: usize, state: QpState) {
        let deadline = self.rtl.cycles() + PATIENCE;
        loop {
            let cycles = self.random.u32(1..=64);
            self.step(cycles);
            for pair in 0..self.pairs.len() {
                self.reap(pair, u32::MAX);
            }
            let status = self.rtl_pair(n, QueuePair::QP_STATUS);
            if queue_pair::QP_STATUS::STATE.get(status) == state as u32 {
                // What came with the read.
                self.follow();
                return;
            }
            self.check(self.rtl.cycles() < deadline, || {
                format!("pair {n} never becomes {state}: {status:#x}")
            });
        }
    }
}
