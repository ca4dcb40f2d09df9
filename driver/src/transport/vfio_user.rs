// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A device that another process offers over vfio-user, as a [`Transport`].
//!
//! Registers are messages on a socket: a store is posted and does not wait, a read is answered. Memory
//! for the device is in files that the server maps; it reads and writes them as a card would by DMA. A
//! server that dies is a card that was pulled out: reads give all ones, at once and from then on.

use super::Transport;
use crate::dma::{self, DmaAccess, DmaBuffer, Unmap};
use crate::error::Error;
use esnic_abi::{Bar, Iova};
use esnic_vfio_user::wire::{pci_irq, pci_region, region};
use esnic_vfio_user::{Client, client};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long the server may take to answer. A register access takes it microseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// First address given out. Not 0, so that a forgotten address faults; not a host address either.
const FIRST_IOVA: u64 = 0x1_0000_0000;

/// Bytes that stay unmapped between any two buffers.
const GAP: u64 = 4096;

/// Looks that a polling loop takes without a pause, some 30 µs of them; and the pause after that.
const SPINS: u32 = 100;
const NAP: Duration = Duration::from_micros(20);

/// What of configuration space is needed here.
mod config {
    pub(super) const COMMAND: u64 = 0x04;
    pub(super) const BUS_MASTER: u16 = 1 << 2;
    pub(super) const CAPABILITIES: u64 = 0x34;
    pub(super) const MSIX: u8 = 0x11;
    pub(super) const MSIX_ENABLE: u16 = 1 << 15;
    pub(super) const MSIX_FUNCTION_MASK: u16 = 1 << 14;
}

/// A device behind a socket.
pub struct VfioUser {
    name: String,
    link: Arc<Link>,
    /// Lengths of the BARs, in the order of [`Bar`].
    bars: [u64; 3],
    /// Where the capability MSI-X is in configuration space.
    msix: u64,
    /// One for each vector that the function has; they stay for as long as this does.
    fired: Box<[OwnedFd]>,
    /// Vectors that are enabled, and the most that ever were.
    vectors: AtomicU16,
    lent: AtomicU16,
    /// Fires when the server reports an error of the function, if it can.
    error: Option<OwnedFd>,
    failed: AtomicBool,
    /// Fires when the server wants the function back, if it can.
    request: Option<OwnedFd>,
    next_iova: AtomicU64,
    /// How often somebody has looked for something new since the last access.
    idle: AtomicU32,
}

/// What buffers need when they go.
struct Link {
    client: Client,
}

impl Unmap for Link {
    fn unmap(&self, iova: Iova, len_bytes: usize) {
        // A server that is gone reaches nothing any more.
        let _ = self.client.unmap(iova.0, len_bytes as u64);
    }
}

impl VfioUser {
    /// Connects to the server at `path`.
    ///
    /// # Errors
    /// If nobody serves there, somebody else is using the function, or it is no PCI function with the
    /// regions and interrupts that every esnic device has.
    pub fn connect(path: &Path) -> Result<Self, Error> {
        Self::connect_within(path, PATIENCE)
    }

    /// As [`Self::connect`], with a server that has to answer within `patience`, now and later.
    ///
    /// # Errors
    /// As there.
    pub fn connect_within(path: &Path, patience: Duration) -> Result<Self, Error> {
        let name = format!("vfio-user:{}", path.display());
        let fail = |what: String| Error::Transport { name: name.clone(), what };
        let client = Client::connect(path, patience).map_err(|error| fail(no_server(error)))?;
        let refused = |error: client::Error| fail(error.to_string());
        let mut bars = [0; 3];
        for (bytes, bar) in bars.iter_mut().zip([Bar::Registers, Bar::Table, Bar::Msix]) {
            let found = client.region(bar.number()).map_err(refused)?;
            let usable = region::READ | region::WRITE;
            if found.flags & usable != usable || found.size == 0 {
                let number = bar.number();
                return Err(fail(format!("it has no BAR {number} that can be read and written")));
            }
            *bytes = found.size;
        }
        let vectors = client.irq(pci_irq::MSIX).map_err(refused)?.count;
        let msix = find_msix(&client).map_err(refused)?;
        let (Some(msix), 1..=2048) = (msix, vectors) else {
            return Err(fail("it has no MSI-X".to_owned()));
        };
        let bell = || {
            eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
                .map_err(|errno| fail(format!("no eventfd: {errno}")))
        };
        let fired = (0..vectors).map(|_| bell()).collect::<Result<_, _>>()?;
        // Not every server has these.
        let wire = |kind| {
            let bell = bell()?;
            let wired = client.connect_irqs(kind, 0, &[bell.as_fd()]).is_ok();
            Ok::<_, Error>(wired.then_some(bell))
        };
        let (error, request) = (wire(pci_irq::ERR)?, wire(pci_irq::REQ)?);
        Ok(Self {
            name,
            link: Arc::new(Link { client }),
            bars,
            msix,
            fired,
            vectors: 0.into(),
            lent: 0.into(),
            error,
            failed: false.into(),
            request,
            next_iova: FIRST_IOVA.into(),
            idle: 0.into(),
        })
    }

    /// Ends the connection from this side, as a process that is killed does: everything after it
    /// finds the device gone.
    pub fn hang_up(&self) {
        let _ = rustix::net::shutdown(&self.link.client, rustix::net::Shutdown::Both);
    }

    fn error(&self, what: &str, error: client::Error) -> Error {
        match error {
            client::Error::Refused(errno) => {
                let what = format!("{what}: the server refuses: {errno}");
                Error::Transport { name: self.name.clone(), what }
            }
            _ => Error::Gone,
        }
    }

    fn word(&self, place: u64) -> Result<u16, client::Error> {
        let mut bytes = [0; 2];
        self.link.client.read(pci_region::CONFIG, place, &mut bytes)?;
        Ok(u16::from_le_bytes(bytes))
    }

    /// Changes some bits of a word of configuration space.
    fn change(&self, place: u64, clear: u16, set: u16) -> Result<(), client::Error> {
        let word = self.word(place)? & !clear | set;
        self.link.client.write(pci_region::CONFIG, place, &word.to_le_bytes())
    }

    /// A store. One to a device that is gone goes nowhere, as on a bus; the next read tells.
    fn post(&self, bar: Bar, offset: u64, bytes: &[u8]) {
        self.idle.store(0, Ordering::Relaxed);
        let _ = self.link.client.post(bar.number(), offset, bytes);
    }

    /// Whether the server reported an error, now or before.
    fn has_failed(&self) -> bool {
        if self.error.as_ref().is_some_and(take) {
            self.failed.store(true, Ordering::Relaxed);
        }
        self.failed.load(Ordering::Relaxed)
    }

    /// The eventfd of a vector that is enabled.
    fn enabled(&self, vector: u16) -> Option<&OwnedFd> {
        let enabled = vector < self.vectors.load(Ordering::Acquire);
        self.fired.get(usize::from(vector)).filter(|_| enabled)
    }
}

/// Whether an eventfd has fired; takes that in.
fn take(bell: &OwnedFd) -> bool {
    rustix::io::read(bell, &mut [0; 8]).is_ok()
}

/// Why nobody answers, for people.
fn no_server(error: client::Error) -> String {
    use esnic_vfio_user::Broken;
    match error {
        client::Error::Broken(Broken::Io(Errno::NOENT)) => {
            "there is no such socket; start `esnic serve`, or another vfio-user server".to_owned()
        }
        client::Error::Broken(Broken::Io(Errno::CONNREFUSED)) => {
            "the server that made this socket is gone; start it again".to_owned()
        }
        client::Error::Broken(Broken::Closed) => {
            "the server hangs up; it serves one client at a time, and may have one".to_owned()
        }
        other => other.to_string(),
    }
}

/// Walks the list of capabilities.
fn find_msix(client: &Client) -> Result<Option<u64>, client::Error> {
    let byte = |place: u64| {
        let mut byte = [0];
        client.read(pci_region::CONFIG, place, &mut byte).map(|()| byte[0])
    };
    let mut place = u64::from(byte(config::CAPABILITIES)? & !3);
    // As many as fit; a list that goes round in circles ends too.
    for _ in 0..48 {
        if place < 0x40 {
            break;
        }
        if byte(place)? == config::MSIX {
            return Ok(Some(place));
        }
        place = u64::from(byte(place + 1)? & !3);
    }
    Ok(None)
}

impl Transport for VfioUser {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn bar_bytes(&self, bar: Bar) -> u64 {
        match bar {
            Bar::Registers => self.bars[0],
            Bar::Table => self.bars[1],
            Bar::Msix => self.bars[2],
        }
    }

    fn read32(&self, bar: Bar, offset: u64) -> u32 {
        self.idle.store(0, Ordering::Relaxed);
        let mut bytes = [0; 4];
        match self.link.client.read(bar.number(), offset, &mut bytes) {
            Ok(()) => u32::from_le_bytes(bytes),
            Err(_) => u32::MAX,
        }
    }

    fn write32(&self, bar: Bar, offset: u64, value: u32) {
        self.post(bar, offset, &value.to_le_bytes());
    }

    fn write64(&self, bar: Bar, offset: u64, value: u64) {
        self.post(bar, offset, &value.to_le_bytes());
    }

    fn store(&self, bar: Bar, offset: u64, quadwords: &[u64]) {
        let mut at = offset;
        let mut rest = quadwords;
        while !rest.is_empty() {
            // Never across a line, as a write-combining buffer would not.
            let room = 8 - (at as usize % 64) / 8;
            let (line, after) = rest.split_at(rest.len().min(room));
            let mut bytes = Zeroizing::new([0; 64]);
            for (to, quadword) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(line) {
                *to = quadword.to_le_bytes();
            }
            self.post(bar, at, &bytes[..8 * line.len()]);
            at += 8 * line.len() as u64;
            rest = after;
        }
    }

    fn store_fence(&self) {
        // The socket keeps the order of stores; memory is ordered before the next one by this fence,
        // and seen by the other process after it has taken the message.
        std::sync::atomic::fence(Ordering::Release);
    }

    fn dma_alloc(&self, len_bytes: usize, access: DmaAccess) -> Result<DmaBuffer, Error> {
        let (region, file) = dma::allocate_shared(len_bytes)?;
        let len = region.size() as u64;
        let iova = self.next_iova.fetch_add(len + GAP, Ordering::Relaxed);
        let rights = match access {
            DmaAccess::DeviceReads => (true, false),
            DmaAccess::DeviceWrites => (false, true),
        };
        self.link
            .client
            .map(iova, len, rights, (file.as_fd(), 0))
            .map_err(|error| self.error("memory cannot be mapped", error))?;
        Ok(DmaBuffer::new(region, Iova(iova), self.link.clone()))
    }

    fn set_bus_master(&self, on: bool) -> Result<(), Error> {
        let set = if on { config::BUS_MASTER } else { 0 };
        self.change(config::COMMAND, config::BUS_MASTER, set)
            .map_err(|error| self.error("bus mastering cannot be set", error))
    }

    fn reset(&self) -> Result<(), Error> {
        // An interrupt of the time before must not be taken for one of the time after.
        self.disable_interrupts()?;
        self.link.client.reset().map_err(|error| self.error("it cannot be reset", error))?;
        for fired in &self.fired {
            take(fired);
        }
        // What was reported before, the reset has ended.
        let _ = self.has_failed();
        self.failed.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn enable_interrupts(&self, count: u16) -> Result<(), Error> {
        if usize::from(count) > self.fired.len() {
            let has = self.fired.len();
            let what = format!("{count} interrupt vectors wanted, MSI-X has {has} here");
            return Err(Error::Transport { name: self.name(), what });
        }
        let fds: Vec<_> = self.fired[..usize::from(count)].iter().map(AsFd::as_fd).collect();
        self.link
            .client
            .connect_irqs(pci_irq::MSIX, 0, &fds)
            .and_then(|()| {
                let control = self.msix + 2;
                self.change(control, config::MSIX_FUNCTION_MASK, config::MSIX_ENABLE)
            })
            .map_err(|error| self.error("interrupts cannot be enabled", error))?;
        self.lent.fetch_max(count, Ordering::Relaxed);
        self.vectors.store(count, Ordering::Release);
        Ok(())
    }

    fn disable_interrupts(&self) -> Result<(), Error> {
        self.vectors.store(0, Ordering::Release);
        self.change(self.msix + 2, config::MSIX_ENABLE, 0)
            .and_then(|()| self.link.client.disconnect_irqs(pci_irq::MSIX))
            .map_err(|error| self.error("interrupts cannot be disabled", error))
    }

    fn wait_interrupt(&self, vector: u16, deadline: Instant) -> Result<bool, Error> {
        let Some(fired) = self.enabled(vector) else {
            let what = format!("interrupt vector {vector} is not enabled");
            return Err(Error::Transport { name: self.name(), what });
        };
        loop {
            if take(fired) {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let mut look = [
                PollFd::new(fired, PollFlags::IN),
                // Nothing ever comes unasked, but the other end may hang up.
                PollFd::new(&self.link.client, PollFlags::RDHUP),
            ];
            let left = Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(1 << 30),
                tv_nsec: left.subsec_nanos().into(),
            };
            if poll(&mut look, Some(&left)).is_ok()
                && look[0].revents().is_empty()
                && !look[1].revents().is_empty()
            {
                return Err(Error::Gone);
            }
        }
    }

    fn interrupt_fd(&self, vector: u16) -> Option<BorrowedFd<'_>> {
        // Also while a reset has it off: the file stays the same.
        let lent = vector < self.lent.load(Ordering::Relaxed);
        self.fired.get(usize::from(vector)).filter(|_| lent).map(AsFd::as_fd)
    }

    fn check(&self) -> Result<(), Error> {
        if self.has_failed() {
            let what = "the server reports an error of the device; reset it".to_owned();
            return Err(Error::Transport { name: self.name(), what });
        }
        Ok(())
    }

    fn removal_fd(&self) -> Option<BorrowedFd<'_>> {
        self.request.as_ref().map(AsFd::as_fd)
    }

    fn relax(&self) {
        // What the device does at once, it does within some microseconds. After that it may be that
        // it wants the core that this spins on, or that it takes long.
        if self.idle.fetch_add(1, Ordering::Relaxed) < SPINS {
            for _ in 0..32 {
                std::hint::spin_loop();
            }
        } else {
            std::thread::sleep(NAP);
        }
    }
}
