// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whatever moves only while somebody polls, moved by a thread of its own: then a caller can sleep on
//! its interrupts, as with a device that is hardware.

use esnic_abi::Bar;
use esnic_driver::Error;
use esnic_driver::dma::{DmaAccess, DmaBuffer};
use esnic_driver::transport::Transport;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

/// A transport with a thread that moves it.
pub struct Pumped<T: Transport> {
    inner: Arc<Inner<T>>,
    thread: Option<JoinHandle<()>>,
}

struct Inner<T> {
    link: T,
    vectors: AtomicU16,
    fired: Vec<OwnedFd>,
    over: AtomicBool,
}

impl<T: Transport> Pumped<T> {
    /// Begins to move `link`. To a device that `runs` by itself it only hands through.
    pub fn new(link: T, runs: bool) -> Self {
        let file = || eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC);
        let fired = (0..65).map(|_| file().expect("an eventfd")).collect();
        let inner = Arc::new(Inner { link, vectors: 0.into(), fired, over: false.into() });
        let pump = inner.clone();
        let pump = move || {
            while !pump.over.load(Ordering::Relaxed) {
                pump.link.relax();
                for vector in 0..pump.vectors.load(Ordering::Relaxed) {
                    // A reset may have the vector off.
                    if pump.link.wait_interrupt(vector, Instant::now()) == Ok(true) {
                        let one = 1u64.to_ne_bytes();
                        rustix::io::write(&pump.fired[usize::from(vector)], &one).expect("room");
                    }
                }
            }
        };
        let thread = (!runs).then(|| std::thread::spawn(pump));
        Self { inner, thread }
    }

    fn link(&self) -> &T {
        &self.inner.link
    }
}

impl<T: Transport> Drop for Pumped<T> {
    fn drop(&mut self) {
        self.inner.over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(matches!(ended, None | Some(Ok(()))), "the pump panicked");
    }
}

/// Waits until `fd` is readable; false if it is not within `ms`.
pub fn readable(fd: impl AsFd, ms: i64) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    let limit = Timespec { tv_sec: ms / 1000, tv_nsec: ms % 1000 * 1_000_000 };
    poll(&mut fds, Some(&limit)).expect("poll") > 0
}

/// Waits until one of two is readable; says which are.
pub fn either(one: impl AsFd, other: impl AsFd, ms: i64) -> [bool; 2] {
    let mut fds = [PollFd::new(&one, PollFlags::IN), PollFd::new(&other, PollFlags::IN)];
    let limit = Timespec { tv_sec: ms / 1000, tv_nsec: ms % 1000 * 1_000_000 };
    poll(&mut fds, Some(&limit)).expect("poll");
    fds.map(|fd| !fd.revents().is_empty())
}

impl<T: Transport> Transport for Pumped<T> {
    fn name(&self) -> String {
        self.link().name()
    }
    fn bar_bytes(&self, bar: Bar) -> u64 {
        self.link().bar_bytes(bar)
    }
    fn read32(&self, bar: Bar, offset: u64) -> u32 {
        self.link().read32(bar, offset)
    }
    fn write32(&self, bar: Bar, offset: u64, value: u32) {
        self.link().write32(bar, offset, value);
    }
    fn write64(&self, bar: Bar, offset: u64, value: u64) {
        self.link().write64(bar, offset, value);
    }
    fn store(&self, bar: Bar, offset: u64, quadwords: &[u64]) {
        self.link().store(bar, offset, quadwords);
    }
    fn store_fence(&self) {
        self.link().store_fence();
    }
    fn dma_alloc(&self, len_bytes: usize, access: DmaAccess) -> Result<DmaBuffer, Error> {
        self.link().dma_alloc(len_bytes, access)
    }
    fn set_bus_master(&self, on: bool) -> Result<(), Error> {
        self.link().set_bus_master(on)
    }
    fn reset(&self) -> Result<(), Error> {
        self.link().reset()
    }
    fn enable_interrupts(&self, count: u16) -> Result<(), Error> {
        self.link().enable_interrupts(count)?;
        self.inner.vectors.store(count, Ordering::Relaxed);
        Ok(())
    }
    fn disable_interrupts(&self) -> Result<(), Error> {
        self.inner.vectors.store(0, Ordering::Relaxed);
        self.link().disable_interrupts()
    }
    fn wait_interrupt(&self, vector: u16, deadline: Instant) -> Result<bool, Error> {
        if self.thread.is_none() {
            return self.link().wait_interrupt(vector, deadline);
        }
        let fd = &self.inner.fired[usize::from(vector)];
        loop {
            if rustix::io::read(fd, &mut [0; 8]).is_ok() {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            readable(fd, left.as_millis() as i64 + 1);
        }
    }
    fn interrupt_fd(&self, vector: u16) -> Option<BorrowedFd<'_>> {
        if self.thread.is_none() {
            return self.link().interrupt_fd(vector);
        }
        Some(self.inner.fired[usize::from(vector)].as_fd())
    }
    fn relax(&self) {
        std::thread::yield_now();
    }
}
