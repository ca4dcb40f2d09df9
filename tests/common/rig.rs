// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A device, brought up as §11 says, and the host's handful of tools around it.

use super::asked::not_asked;
use super::backend::{Backend, Fault, Took};
use super::cmd::{Cmd, digest_of, esp, esp_at, live_view};
use super::pair::{Done, PATIENCE, Pair, Path, Shape, Split};
use super::small::small;
use esnic_abi::regs::{Counters, Global, global};
use esnic_abi::{
    ABI_HASH, Add, Bar, DEVICE_ID, DeviceState, LiveView, Params, QueryRecord, SlotState,
};
use esnic_driver::dma::{DmaAccess, DmaBuffer};
use esnic_driver::regs;
use esnic_driver::transport::Transport;
use std::sync::Arc;
use std::time::{Duration, Instant};
use zerocopy::FromBytes;

/// Cycles after which nothing more is to come: R43 and some DMA.
const QUIET: u64 = 8192;

/// `top` and `lo_valid`: hi, lo, lo_valid.
pub type State = (u32, u32, bool);

/// Device and host.
pub struct Rig<B: Backend> {
    pub link: Arc<B::Link>,
    pub params: Params,
    pub epoch: u16,
    pub pairs: Vec<Pair<B::Link>>,
    next_cookie: u32,
    record: Option<DmaBuffer>,
}

impl<B: Backend> Rig<B> {
    /// A device in READY, straight from reset.
    pub fn ready(params: Params) -> Self {
        let link = Arc::new(B::plug(params));
        link.set_bus_master(false).expect("configuration space");
        link.reset().expect("a reset");
        let rig = Self {
            link,
            params,
            epoch: 0,
            pairs: Vec::new(),
            next_cookie: 0x0123_4567,
            record: None,
        };
        rig.await_state(DeviceState::Ready);
        assert_eq!(rig.global(Global::ID), DEVICE_ID);
        assert_eq!(regs::global64(&*rig.link, Global::ABI_HASH, 0), ABI_HASH);
        rig
    }

    /// READY to RUNNING as instance `instance`, with every vector unmasked.
    pub fn start(&mut self, instance: u64) {
        regs::set_global64(&*self.link, Global::INSTANCE, instance);
        self.epoch = instance as u16;
        let vectors = u16::from(self.params.queue_pairs) + 1;
        self.link.enable_interrupts(vectors).expect("MSI-X");
        self.set_global(Global::CONTROL, 1);
        self.await_state(DeviceState::Running);
        self.link.set_bus_master(true).expect("configuration space");
    }

    /// Memory and registers for the next pair, which is then turned on. Gives its number.
    pub fn open(&mut self, shape: Shape) -> usize {
        let n = self.configure(shape);
        self.pairs[n].enable();
        n
    }

    /// As [`Self::open`], but leaves the pair off.
    pub fn configure(&mut self, shape: Shape) -> usize {
        let n = self.pairs.len();
        let direct = u32::from(self.params.direct_log2);
        let pair = Pair::configure(&self.link, n as u32, shape, direct, self.epoch);
        self.pairs.push(pair);
        n
    }

    /// A running device with pairs of these shapes.
    pub fn with(params: Params, shapes: &[Shape]) -> Self {
        let mut rig = Self::ready(params);
        rig.start(0x5EED_0000_1234_A55A);
        for &shape in shapes {
            rig.open(shape);
        }
        rig
    }

    /// A running device of 64 SA slots, 16 stage buffers, and one pair of 64 slots.
    pub fn new() -> Self {
        Self::with(Self::small(), &[Shape::default()])
    }

    /// The build that most tests use.
    pub fn small() -> Params {
        small()
    }

    pub fn global(&self, register: Global) -> u32 {
        regs::global(&*self.link, register)
    }

    pub fn set_global(&self, register: Global, value: u32) {
        regs::set_global(&*self.link, register, value);
    }

    pub fn counter(&self, counter: Counters) -> u64 {
        regs::counter(&*self.link, counter)
    }

    pub fn state(&self) -> DeviceState {
        let state = global::STATUS::STATE.get(self.global(Global::STATUS));
        DeviceState::try_from(state as u8).expect("a state of the contract")
    }

    #[track_caller]
    pub fn await_state(&self, state: DeviceState) {
        self.wait(&format!("state {state}"), || self.state() == state);
    }

    /// Lets the device move until `done`.
    #[track_caller]
    pub fn wait(&self, what: &str, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            self.link.relax();
        }
    }

    /// Lets the device move by as little as this backend can, `cycles` at best, until there is an
    /// answer: so that nothing has happened since that was not there before.
    #[track_caller]
    pub fn creep<R>(
        &mut self,
        cycles: u32,
        what: &str,
        mut look: impl FnMut(&mut Self) -> Option<R>,
    ) -> R {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = look(self) {
                return answer;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            if B::step(&self.link, cycles).is_none() {
                self.link.relax();
            }
        }
    }

    /// Gives the device time for everything that it could still do.
    #[track_caller]
    pub fn settle(&self) {
        self.pass(QUIET);
    }

    /// Lets at least `cycles` device cycles go by.
    #[track_caller]
    pub fn pass(&self, cycles: u64) {
        let until = self.counter(Counters::CYCLES) + cycles;
        self.wait("the clock", || self.counter(Counters::CYCLES) >= until);
    }

    pub fn cookie(&mut self) -> u32 {
        self.next_cookie = (self.next_cookie + 1) & 0x7FFF_FFFF;
        self.next_cookie
    }

    /// The command with this instance's epoch and a cookie of its own.
    pub fn stamp(&mut self, cmd: impl Into<Cmd>) -> Cmd {
        let cookie = self.cookie();
        cmd.into().epoch(self.epoch).with_cookie(cookie)
    }

    /// Runs one command on pair 0 and waits for it.
    #[track_caller]
    pub fn run(&mut self, path: Path, cmd: impl Into<Cmd>) -> Done {
        let cmd = self.stamp(cmd);
        self.run_raw(0, path, cmd)
    }

    /// Runs one command by the ring of pair 0.
    #[track_caller]
    pub fn exec(&mut self, cmd: impl Into<Cmd>) -> Done {
        self.run(Path::Ring, cmd)
    }

    /// Runs a command exactly as it is. The completion must be its own.
    #[track_caller]
    pub fn run_raw(&mut self, pair: usize, path: Path, cmd: Cmd) -> Done {
        if path == Path::Ring && cmd.is_add() && !self.pairs[pair].tail.is_multiple_of(2) {
            let nop = self.stamp(Cmd::nop());
            self.pairs[pair].run_all(&[nop])[0].ok();
        }
        let pair = &mut self.pairs[pair];
        let cookie = match path {
            Path::Ring => cmd.cookie(),
            Path::Direct => cmd.cookie() & 0x7FFF_FFFF,
        };
        match path {
            Path::Ring => {
                pair.put(&cmd);
                pair.ring();
            }
            Path::Direct => {
                // A wrong index is told apart from a wrong doorbell by tests of the stage.
                pair.stage(cmd.index() % self.params.sa_capacity, &cmd, Split::Lines);
                pair.knock(cmd.index(), cookie);
            }
        }
        let done = pair.next();
        assert_eq!(done.cookie, cookie, "one command, one completion: {done:?}");
        done
    }

    /// Makes an entry and checks that it went well.
    #[track_caller]
    pub fn add(&mut self, sa: &Add) -> Done {
        let done = self.exec(*sa).ok();
        assert_eq!(done.result, digest_of(&live_view(sa)), "DIGEST");
        done
    }

    /// SA slot `index` as BAR 2 shows it.
    pub fn view(&self, index: u32) -> LiveView {
        let mut bytes = [0; LiveView::LEN];
        for (k, dword) in bytes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let place = 128 * u64::from(index) + 4 * k as u64;
            *dword = self.link.read32(Bar::Table, place).to_le_bytes();
        }
        LiveView::read_from_bytes(&bytes).expect("128 bytes")
    }

    /// `top` of a slot.
    pub fn top(&self, index: u32) -> State {
        let view = self.view(index);
        (view.hi.get(), view.lo.get(), view.lo_valid == 1)
    }

    pub fn slot_state(&self, index: u32) -> SlotState {
        SlotState::try_from(self.view(index).state).expect("a state of the contract")
    }

    /// The whole table, for "nothing changed".
    pub fn table(&self) -> Vec<LiveView> {
        (0..self.params.sa_capacity).map(|i| self.view(i)).collect()
    }

    /// QUERY ANY with its record.
    #[track_caller]
    pub fn record(&mut self, index: u32) -> (Done, QueryRecord) {
        let link = &self.link;
        let buffer = self.record.take().unwrap_or_else(|| {
            link.dma_alloc(4096, DmaAccess::DeviceWrites).expect("memory for a record")
        });
        buffer.write(0, &[0xEE; 128]);
        let done = self.exec(Cmd::query_any(index, buffer.iova().0)).ok();
        let mut bytes = [0; QueryRecord::LEN];
        buffer.read(0, &mut bytes);
        self.record = Some(buffer);
        (done, QueryRecord::read_from_bytes(&bytes).expect("128 bytes"))
    }

    /// Memory that the device may write, for records.
    pub fn buffer(&self) -> DmaBuffer {
        self.link.dma_alloc(4096, DmaAccess::DeviceWrites).expect("memory for a record")
    }

    /// Whether `vector` fires within `cycles`; takes it in.
    pub fn fires(&self, vector: u16, cycles: u64) -> bool {
        let until = self.counter(Counters::CYCLES) + cycles;
        let late = Instant::now() + if cycles > 0 { B::ON_ITS_WAY } else { Duration::ZERO };
        loop {
            let soon = Instant::now();
            if self.link.wait_interrupt(vector, soon).expect("a vector") {
                return true;
            }
            if self.counter(Counters::CYCLES) >= until && Instant::now() >= late {
                return false;
            }
            self.link.relax();
        }
    }

    /// Makes slot `index` hold this `top`, in an entry of a new generation: straight by ADD, or by an
    /// UPDATE of it.
    #[track_caller]
    pub fn hold(&mut self, index: u32, (hi, lo, valid): State, by_add: bool) -> Add {
        let lo = if valid { lo } else { 0 };
        let view = self.view(index);
        let generation = view.generation.get() + 1;
        if view.state == SlotState::Live as u8 {
            self.exec(Cmd::delete(index, generation - 1)).ok();
        }
        let sa =
            if by_add { esp_at(index, generation, hi, lo, valid) } else { esp(index, generation) };
        self.add(&sa);
        if !by_add {
            let top = Cmd::top(&sa, hi, lo);
            let cmd = if valid { top } else { Cmd::resync(&sa, hi) };
            self.exec(cmd).ok();
        }
        assert_eq!(self.top(index), (hi, lo, valid));
        sa
    }

    /// Nothing came that nobody asked for: every completion was consumed.
    #[track_caller]
    pub fn assert_quiet(&mut self) {
        self.settle();
        for pair in &mut self.pairs {
            assert_eq!(pair.poll(), None, "a completion of nothing");
        }
    }

    /// Breaks the device; false if this backend cannot.
    pub fn inject(&self, fault: Fault) -> bool {
        let can = B::inject(&self.link, fault).is_some();
        if !can {
            not_asked(B::NAME, &format!("it cannot be made to fail by {fault}"));
        }
        can
    }

    /// What was executed since the last call, in order.
    pub fn trace(&self) -> Option<Vec<Took>> {
        B::trace(&self.link)
    }
}

impl<B: Backend> Default for Rig<B> {
    fn default() -> Self {
        Self::new()
    }
}
