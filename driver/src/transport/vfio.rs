// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A PCI function through the kernel's VFIO: BARs mapped, memory behind an IOMMU, MSI-X as eventfds.
//!
//! The device reaches the buffers that this driver gave out, each in one direction, and nothing else of
//! the host. Whatever happens to this process, the kernel takes the function back, stops its DMA and
//! resets it.
//!
//! Reading order: [`Vfio::open`], `attachment` (how the kernel lends a function), `space` and `iova`
//! (its addresses), `mapping` and `sigbus` (its BARs, and how they vanish), `eventfd` (its interrupts).

mod attachment;
mod eventfd;
mod iova;
#[allow(unsafe_code, reason = "BARs are memory of the device's")]
mod mapping;
#[allow(unsafe_code, reason = "a signal handler is nothing else")]
mod sigbus;
mod space;
#[allow(unsafe_code, reason = "system calls that the crate lacks")]
mod sys;

use super::Transport;
use crate::dma::{DmaAccess, DmaBuffer};
use crate::error::Error;
use crate::pci::Address;
use attachment::Attachment;
use esnic_abi::Bar;
use esnic_abi::regs::Global;
use eventfd::Eventfd;
use mapping::Mapping;
use space::Space;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use vfio_bindings::bindings::vfio;

/// Vectors that an esnic function can have: one for each of 64 queue pairs, one for faults.
const MAX_VECTORS: usize = 65;

/// Least length of each BAR (§1 of the device manual).
const BARS: [(Bar, u64); 3] =
    [(Bar::Registers, 512 << 10), (Bar::Table, 256), (Bar::Msix, 16 << 10)];

/// Configuration space: the command register, and bits of it.
const COMMAND: u64 = 4;
const MEMORY: u16 = 1 << 1;
const BUS_MASTER: u16 = 1 << 2;

/// One BAR.
struct Window {
    /// Its region of the function's file.
    index: u32,
    offset: u64,
    len: u64,
    /// Not there where the kernel keeps a BAR to itself, as older ones do with the one that holds the
    /// MSI-X table.
    mapping: Option<Mapping>,
}

/// A PCI function through the kernel's VFIO.
pub struct Vfio {
    /// Before the space, so that nothing is mapped any more when the function is closed.
    windows: [Window; 3],
    space: Arc<Space>,
    vectors: [OnceLock<Eventfd>; MAX_VECTORS],
    /// Vectors `0..enabled` are on.
    enabled: AtomicU16,
    /// Signalled when the bus reports an error of the function that it cannot mend.
    error: Option<Eventfd>,
    failed: AtomicBool,
    /// Signalled when the host wants the function back.
    request: Option<Eventfd>,
}

impl Vfio {
    /// Takes the function at `address`, which must be bound to vfio-pci, and maps its BARs. Bus
    /// mastering and interrupts are off.
    ///
    /// The first one sets a handler for SIGBUS, for the whole process: by that signal the kernel tells of
    /// a mapped BAR that is not there any more, as when the card was pulled out. Signals about any other
    /// address go to the handler that was there before, or do what they did without one. Whoever sets a
    /// handler later must pass on to this one what is not his.
    ///
    /// # Errors
    /// Why the kernel does not lend it, in a sentence that says what to do; or it has not the BARs of
    /// an esnic device.
    pub fn open(address: Address) -> Result<Self, Error> {
        let space = Space::new(Attachment::open(address)?)?;
        let wrong = |what: String| Error::Transport { name: address.to_string(), what };
        let device = space.attachment.device();
        for (bar, least) in BARS {
            let (number, found) = (bar.number(), device.get_region_size(bar.number()));
            if found < least {
                return Err(wrong(format!(
                    "it is no esnic device: BAR {number} has {found} bytes, not {least}; `esnic \
                     devices` lists those that are"
                )));
            }
        }
        let signal = |index: u32| {
            let there = device.get_irq_info(index).is_some_and(|irq| irq.count > 0);
            if !there {
                return Ok(None);
            }
            let file = Eventfd::new()?;
            sys::set_irqs(space.attachment.fd(), index, &[file.raw()])?;
            Ok(Some(file))
        };
        let files = |error: io::Error| {
            let then = eventfd::remedy(&error);
            wrong(format!("cannot have its errors signalled: {error}; {then}"))
        };
        let error = signal(vfio::VFIO_PCI_ERR_IRQ_INDEX).map_err(files)?;
        let request = signal(vfio::VFIO_PCI_REQ_IRQ_INDEX).map_err(files)?;
        let windows = BARS.map(|(bar, _)| Window::new(&space, bar));
        for window in &windows[..2] {
            if window.mapping.is_none() {
                let bar = window.index;
                return Err(wrong(format!("BAR {bar} cannot be mapped; see the kernel log")));
            }
        }
        let transport = Self {
            windows,
            space: Arc::new(space),
            vectors: [const { OnceLock::new() }; MAX_VECTORS],
            enabled: 0.into(),
            error,
            failed: false.into(),
            request,
        };
        transport.command(MEMORY, BUS_MASTER)?;
        Ok(transport)
    }

    /// Where the function is.
    #[must_use]
    pub fn address(&self) -> Address {
        self.space.attachment.address
    }

    /// Buffers that the device can reach now.
    #[must_use]
    pub fn mappings(&self) -> usize {
        self.space.mappings()
    }

    fn fail(&self, what: impl Into<String>) -> Error {
        Error::Transport { name: self.name(), what: what.into() }
    }

    fn window(&self, bar: Bar) -> &Window {
        match bar {
            Bar::Registers => &self.windows[0],
            Bar::Table => &self.windows[1],
            Bar::Msix => &self.windows[2],
        }
    }

    fn config_place(&self, at: u64) -> u64 {
        let region = vfio::VFIO_PCI_CONFIG_REGION_INDEX;
        self.space.attachment.device().get_region_offset(region) + at
    }

    fn read_command(&self) -> Result<u16, Error> {
        let mut bytes = [0; 2];
        let place = self.config_place(COMMAND);
        let read = rustix::io::pread(self.space.attachment.fd(), &mut bytes, place);
        match read {
            // A function that is not there answers all ones.
            Ok(2) if bytes == [0xFF; 2] => Err(Error::Gone),
            Ok(2) => Ok(u16::from_le_bytes(bytes)),
            Ok(_) => Err(self.fail("its configuration space cannot be read; see the kernel log")),
            Err(error) => Err(self.fail(format!(
                "its configuration space cannot be read: {error}; see the kernel log"
            ))),
        }
    }

    /// Sets and clears bits of the command register, and looks whether they are.
    fn command(&self, set: u16, clear: u16) -> Result<(), Error> {
        let wanted = self.read_command()? & !clear | set;
        let place = self.config_place(COMMAND);
        let bytes = wanted.to_le_bytes();
        let written = rustix::io::pwrite(self.space.attachment.fd(), &bytes, place);
        let found = self.read_command()?;
        if written == Ok(2) && found & set == set && found & clear == 0 {
            return Ok(());
        }
        // Of a function that was pulled out the kernel still tells those bits that it keeps itself.
        if self.read32(Bar::Registers, Global::ID.address(0)) == u32::MAX {
            return Err(Error::Gone);
        }
        Err(self.fail(format!(
            "its command register reads {found:#06x}, {wanted:#06x} was written: {written:?}; see the \
             kernel log, and open it again"
        )))
    }

    /// The interrupt's file, if the vector is on.
    fn vector(&self, vector: u16) -> Option<&Eventfd> {
        let on = vector < self.enabled.load(Ordering::Acquire);
        self.vectors.get(usize::from(vector)).filter(|_| on)?.get()
    }

    /// Whether the bus reported an error, now or before.
    fn has_failed(&self) -> bool {
        if self.error.as_ref().is_some_and(Eventfd::take) {
            self.failed.store(true, Ordering::Relaxed);
        }
        self.failed.load(Ordering::Relaxed)
    }
}

impl Window {
    fn new(space: &Space, bar: Bar) -> Self {
        let device = space.attachment.device();
        let index = bar.number();
        let (offset, len) = (device.get_region_offset(index), device.get_region_size(index));
        // Whether it can be is the kernel's to say.
        let mapping = Mapping::new(space.attachment.fd(), offset, len).ok();
        Self { index, offset, len, mapping }
    }

    /// Place of `len` bytes in the function's file; nothing outside the BAR.
    fn place(&self, offset: u64, len: u64) -> Option<u64> {
        (offset.checked_add(len)? <= self.len).then(|| self.offset + offset)
    }
}

impl Transport for Vfio {
    fn name(&self) -> String {
        self.address().to_string()
    }

    fn bar_bytes(&self, bar: Bar) -> u64 {
        self.window(bar).len
    }

    fn read32(&self, bar: Bar, offset: u64) -> u32 {
        let window = self.window(bar);
        if let Some(mapping) = &window.mapping {
            return mapping.read32(offset);
        }
        let mut bytes = [0xFF; 4];
        if let Some(place) = window.place(offset, 4) {
            // What cannot be read stays all ones.
            let _ = rustix::io::pread(self.space.attachment.fd(), &mut bytes, place);
        }
        u32::from_le_bytes(bytes)
    }

    fn write32(&self, bar: Bar, offset: u64, value: u32) {
        let window = self.window(bar);
        if let Some(mapping) = &window.mapping {
            mapping.write32(offset, value);
        } else if let Some(place) = window.place(offset, 4) {
            // What cannot be written is written to a device that is gone.
            let bytes = value.to_le_bytes();
            let _ = rustix::io::pwrite(self.space.attachment.fd(), &bytes, place);
        }
    }

    fn write64(&self, bar: Bar, offset: u64, value: u64) {
        if let Some(mapping) = &self.window(bar).mapping {
            mapping.write64(offset, value);
        } else {
            self.write32(bar, offset, value as u32);
            self.write32(bar, offset + 4, (value >> 32) as u32);
        }
    }

    fn store(&self, bar: Bar, offset: u64, quadwords: &[u64]) {
        // The kernel maps BARs uncached, so stores arrive as they are made, each by itself; ascending,
        // so that a bus which merges can.
        if let Some(mapping) = &self.window(bar).mapping {
            return mapping.store(offset, quadwords);
        }
        for (at, &quadword) in (offset..).step_by(8).zip(quadwords) {
            self.write64(bar, at, quadword);
        }
    }

    fn store_fence(&self) {
        mapping::store_fence();
    }

    fn dma_alloc(&self, len_bytes: usize, access: DmaAccess) -> Result<DmaBuffer, Error> {
        self.space.allocate(len_bytes, access)
    }

    fn set_bus_master(&self, on: bool) -> Result<(), Error> {
        if on { self.command(BUS_MASTER, 0) } else { self.command(0, BUS_MASTER) }
    }

    fn reset(&self) -> Result<(), Error> {
        // The kernel puts the command register back as it was: what is off stays off.
        self.command(0, BUS_MASTER)?;
        sys::reset(self.space.attachment.fd()).map_err(|error| {
            let what = match error.raw_os_error() {
                Some(libc::EINVAL | libc::ENOTTY) => {
                    "the kernel knows no way to reset it alone; it must offer FLR".to_owned()
                }
                Some(libc::EAGAIN) => {
                    "the kernel is busy with it; try again, and see the kernel log".to_owned()
                }
                _ => format!("the reset failed: {error}; see the kernel log"),
            };
            self.fail(what)
        })?;
        self.command(MEMORY, BUS_MASTER)?;
        // What was reported before, the reset has ended.
        let _ = self.has_failed();
        self.failed.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn enable_interrupts(&self, count: u16) -> Result<(), Error> {
        let index = vfio::VFIO_PCI_MSIX_IRQ_INDEX;
        let has = self.space.attachment.device().get_irq_info(index).map_or(0, |irq| irq.count);
        if u32::from(count) > has || usize::from(count) > MAX_VECTORS {
            let what = format!(
                "{count} interrupt vectors wanted, its MSI-X table has {has}; open it without interrupts"
            );
            return Err(self.fail(what));
        }
        if self.enabled.load(Ordering::Acquire) > 0 {
            self.disable_interrupts()?;
        }
        let mut files = Vec::with_capacity(count.into());
        for place in &self.vectors[..usize::from(count)] {
            let file = match place.get() {
                Some(file) => file,
                None => {
                    let new = Eventfd::new().map_err(|error| {
                        let then = eventfd::remedy(&error);
                        self.fail(format!("no file for an interrupt: {error}; {then}"))
                    })?;
                    place.get_or_init(|| new)
                }
            };
            // What fired before belongs to the time before.
            let _ = file.take();
            files.push(file.raw());
        }
        sys::set_irqs(self.space.attachment.fd(), index, &files).map_err(|error| {
            let what = match error.raw_os_error() {
                Some(libc::ENOSPC) => format!(
                    "the host has no {count} interrupt vectors left; close another device, or open this \
                     one without interrupts"
                ),
                _ => format!("{count} interrupt vectors refused: {error}; see the kernel log"),
            };
            self.fail(what)
        })?;
        self.enabled.store(count, Ordering::Release);
        Ok(())
    }

    fn disable_interrupts(&self) -> Result<(), Error> {
        if self.enabled.swap(0, Ordering::AcqRel) == 0 {
            return Ok(());
        }
        sys::set_irqs(self.space.attachment.fd(), vfio::VFIO_PCI_MSIX_IRQ_INDEX, &[]).map_err(
            |error| {
                self.fail(format!(
                    "its interrupts cannot be turned off: {error}; see the kernel log"
                ))
            },
        )
    }

    fn wait_interrupt(&self, vector: u16, deadline: Instant) -> Result<bool, Error> {
        let file = self
            .vector(vector)
            .ok_or_else(|| self.fail(format!("interrupt vector {vector} is not enabled")))?;
        let files = [file, self.error.as_ref().unwrap_or(file)];
        loop {
            if file.take() {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            eventfd::wait(&files, deadline).map_err(|error| {
                self.fail(format!(
                    "cannot wait for an interrupt: {error}; open it without interrupts"
                ))
            })?;
            self.check()?;
        }
    }

    fn interrupt_fd(&self, vector: u16) -> Option<BorrowedFd<'_>> {
        // Also while a reset has it off: the file stays the same.
        self.vectors.get(usize::from(vector))?.get().map(AsFd::as_fd)
    }

    fn check(&self) -> Result<(), Error> {
        if self.has_failed() {
            return Err(self.fail(
                "the device reported an error that the bus cannot mend; reset it, and see the kernel \
                 log for AER",
            ));
        }
        Ok(())
    }

    fn removal_fd(&self) -> Option<BorrowedFd<'_>> {
        self.request.as_ref().map(AsFd::as_fd)
    }

    fn relax(&self) {
        // Whoever else has work on this core goes first.
        std::thread::yield_now();
    }
}

impl Drop for Vfio {
    /// For whoever did not stop the device: it does no DMA and no interrupt from here on. Closing the
    /// function has the kernel reset it.
    fn drop(&mut self) {
        let _ = self.command(0, BUS_MASTER);
        let _ = self.disable_interrupts();
    }
}
