// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A transport that writes down what passes it, and that can lie about registers.

use esnic_abi::Bar;
use esnic_driver::Error;
use esnic_driver::dma::{DmaAccess, DmaBuffer};
use esnic_driver::transport::Transport;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One thing that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A register store.
    Write { offset: u64, value: u64 },
    /// Stores to the SA table.
    Staged { offset: u64, quadwords: usize },
    /// A store fence.
    Fence,
    /// Bus mastering on or off.
    BusMaster(bool),
    /// Function level reset.
    Reset,
    /// MSI-X on, with so many vectors, or off.
    Interrupts(Option<u16>),
    /// Memory for the device.
    Memory(usize),
}

struct Inner<T> {
    link: T,
    recording: AtomicBool,
    events: Mutex<Vec<Event>>,
    refusing: AtomicBool,
    lying: AtomicBool,
    lies: Mutex<Vec<(u64, u32)>>,
    stall: Mutex<Option<(u64, Duration)>>,
}

/// The recorder; clones are the same one, so that it outlives the manager.
pub struct Recorder<T>(Arc<Inner<T>>);

impl<T> Clone for Recorder<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Recorder<T> {
    /// In front of `link`; not recording yet.
    pub fn new(link: T) -> Self {
        Self(Arc::new(Inner {
            link,
            recording: false.into(),
            events: Mutex::new(Vec::new()),
            refusing: false.into(),
            lying: false.into(),
            lies: Mutex::new(Vec::new()),
            stall: Mutex::new(None),
        }))
    }

    /// The transport behind it.
    pub fn device(&self) -> &T {
        &self.0.link
    }

    /// Begins to record, from nothing.
    pub fn record(&self) {
        self.events().clear();
        self.0.recording.store(true, Ordering::SeqCst);
    }

    /// Ends recording; gives what passed meanwhile.
    pub fn recorded(&self) -> Vec<Event> {
        self.0.recording.store(false, Ordering::SeqCst);
        std::mem::take(&mut self.events())
    }

    /// From now on the host gives no reset, or it does again.
    pub fn refuse_resets(&self, refuse: bool) {
        self.0.refusing.store(refuse, Ordering::SeqCst);
    }

    /// From now on the register at `offset` of BAR 0 reads `value`.
    pub fn lie(&self, offset: u64, value: u32) {
        let mut lies = self.0.lies.lock().unwrap_or_else(PoisonError::into_inner);
        lies.retain(|&(at, _)| at != offset);
        lies.push((offset, value));
        self.0.lying.store(true, Ordering::SeqCst);
    }

    /// Tells the truth again.
    pub fn be_honest(&self) {
        self.0.lying.store(false, Ordering::SeqCst);
        let mut lies = self.0.lies.lock().unwrap_or_else(PoisonError::into_inner);
        lies.clear();
    }

    /// The next time that the register at `offset` of BAR 0 is read, the thread stands still for so long
    /// before it learns what was read then. The device goes on meanwhile.
    pub fn stall_once(&self, offset: u64, time: Duration) {
        *self.0.stall.lock().unwrap_or_else(PoisonError::into_inner) = Some((offset, time));
    }

    fn events(&self) -> std::sync::MutexGuard<'_, Vec<Event>> {
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, event: Event) {
        if self.0.recording.load(Ordering::Relaxed) {
            self.events().push(event);
        }
    }
}

impl<T: Transport> Transport for Recorder<T> {
    fn name(&self) -> String {
        self.0.link.name()
    }

    fn bar_bytes(&self, bar: Bar) -> u64 {
        self.0.link.bar_bytes(bar)
    }

    fn read32(&self, bar: Bar, offset: u64) -> u32 {
        if bar == Bar::Registers && self.0.lying.load(Ordering::Relaxed) {
            let lies = self.0.lies.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(&(_, value)) = lies.iter().find(|&&(at, _)| at == offset) {
                return value;
            }
        }
        let value = self.0.link.read32(bar, offset);
        let is_it = |stall: &mut (u64, Duration)| bar == Bar::Registers && stall.0 == offset;
        let stall = self.0.stall.lock().unwrap_or_else(PoisonError::into_inner).take_if(is_it);
        if let Some((_, time)) = stall {
            let until = Instant::now() + time;
            while Instant::now() < until {
                self.0.link.relax();
            }
        }
        value
    }

    fn write32(&self, bar: Bar, offset: u64, value: u32) {
        let value64 = value.into();
        self.note(Event::Write { offset, value: value64 });
        self.0.link.write32(bar, offset, value);
    }

    fn write64(&self, bar: Bar, offset: u64, value: u64) {
        self.note(Event::Write { offset, value });
        self.0.link.write64(bar, offset, value);
    }

    fn store(&self, bar: Bar, offset: u64, quadwords: &[u64]) {
        self.note(Event::Staged { offset, quadwords: quadwords.len() });
        self.0.link.store(bar, offset, quadwords);
    }

    fn store_fence(&self) {
        self.note(Event::Fence);
        self.0.link.store_fence();
    }

    fn dma_alloc(&self, len_bytes: usize, access: DmaAccess) -> Result<DmaBuffer, Error> {
        self.note(Event::Memory(len_bytes));
        self.0.link.dma_alloc(len_bytes, access)
    }

    fn set_bus_master(&self, on: bool) -> Result<(), Error> {
        self.note(Event::BusMaster(on));
        self.0.link.set_bus_master(on)
    }

    fn reset(&self) -> Result<(), Error> {
        self.note(Event::Reset);
        if self.0.refusing.load(Ordering::SeqCst) {
            let what = "the host gives no reset".to_owned();
            return Err(Error::Transport { name: self.name(), what });
        }
        self.0.link.reset()
    }

    fn enable_interrupts(&self, count: u16) -> Result<(), Error> {
        self.note(Event::Interrupts(Some(count)));
        self.0.link.enable_interrupts(count)
    }

    fn disable_interrupts(&self) -> Result<(), Error> {
        self.note(Event::Interrupts(None));
        self.0.link.disable_interrupts()
    }

    fn wait_interrupt(&self, vector: u16, deadline: Instant) -> Result<bool, Error> {
        self.0.link.wait_interrupt(vector, deadline)
    }

    fn interrupt_fd(&self, vector: u16) -> Option<BorrowedFd<'_>> {
        self.0.link.interrupt_fd(vector)
    }

    fn check(&self) -> Result<(), Error> {
        self.0.link.check()
    }

    fn removal_fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.link.removal_fd()
    }

    fn relax(&self) {
        self.0.link.relax();
    }
}
