// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The outside world of the driver: registers, memory that the device can reach, interrupts, reset.
//!
//! Everything above this trait is the same text for a model in the process, RTL, a socket or the
//! kernel's VFIO. It is used generically, so a register store is a store.

pub mod sim;
pub mod vfio;
pub mod vfio_user;

use crate::dma::{DmaAccess, DmaBuffer};
use crate::error::Error;
use esnic_abi::Bar;
use std::os::fd::BorrowedFd;
use std::time::Instant;

pub use sim::Sim;
pub use vfio::Vfio;
pub use vfio_user::VfioUser;

/// How a device is reached.
///
/// No method waits for the device but [`Transport::reset`] and [`Transport::wait_interrupt`], and
/// those have deadlines.
pub trait Transport: Send + Sync + 'static {
    /// What it is, in a word or two, for people: "model", "0000:03:00.0".
    fn name(&self) -> String;

    /// Length of a BAR in bytes.
    fn bar_bytes(&self, bar: Bar) -> u64;

    /// Reads a dword; all ones if the device is gone. `offset` is a multiple of four.
    fn read32(&self, bar: Bar, offset: u64) -> u32;

    /// Writes a dword. `offset` is a multiple of four.
    fn write32(&self, bar: Bar, offset: u64, value: u32);

    /// Writes two dwords in one access where the bus can, low one first otherwise. `offset` is a
    /// multiple of eight.
    fn write64(&self, bar: Bar, offset: u64, value: u64);

    /// Writes quadwords to ascending addresses in as large accesses as the mapping allows; how the
    /// bus splits or merges them does not matter (R17). `offset` is a multiple of eight.
    fn store(&self, bar: Bar, offset: u64, quadwords: &[u64]);

    /// Orders every earlier store of this thread, to memory and to BARs, before every later one
    /// (R13, R40): x86 `sfence`, Arm `dmb oshst`.
    fn store_fence(&self);

    /// Gives zeroed, locked memory that the device can reach, at an address of the transport's
    /// choice. It is page aligned and goes back when the buffer is dropped.
    ///
    /// # Errors
    /// If there is no memory, no address, or the IOMMU refuses.
    fn dma_alloc(&self, len_bytes: usize, access: DmaAccess) -> Result<DmaBuffer, Error>;

    /// Sets Bus Master Enable: off, the device starts no DMA and no interrupt (R24).
    ///
    /// # Errors
    /// If configuration space cannot be written.
    fn set_bus_master(&self, on: bool) -> Result<(), Error>;

    /// Function level reset. Returns when the function takes accesses again; the caller waits for
    /// READY (R20).
    ///
    /// # Errors
    /// If there is no reset, or it did not work.
    fn reset(&self) -> Result<(), Error>;

    /// Turns on MSI-X with vectors `0..count`.
    ///
    /// # Errors
    /// If the function has fewer, or the host gives none.
    fn enable_interrupts(&self, count: u16) -> Result<(), Error>;

    /// Turns MSI-X off.
    ///
    /// # Errors
    /// If the host refuses.
    fn disable_interrupts(&self) -> Result<(), Error>;

    /// Waits until vector `vector` has fired since the last call for it, and takes that in. False
    /// if the deadline passed first.
    ///
    /// # Errors
    /// If the vector is not enabled.
    fn wait_interrupt(&self, vector: u16, deadline: Instant) -> Result<bool, Error>;

    /// A file that is readable while `vector` has fired and nobody has taken that in: for a caller
    /// who sleeps in a poll loop of its own. It is an eventfd that does not block; reading it, or
    /// [`Transport::wait_interrupt`], takes in what fired. It is there once interrupts have been
    /// enabled, and stays the same file until the transport goes, over resets too.
    ///
    /// `None` where the vector is not enabled, and where nobody could be woken: a device in this
    /// process moves only while somebody polls.
    fn interrupt_fd(&self, _vector: u16) -> Option<BorrowedFd<'_>> {
        None
    }

    /// What the host has to say about the device beside what its registers tell: an error on its bus.
    ///
    /// # Errors
    /// What is wrong. A reset that works ends it.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// A file that becomes readable when the host wants the device back: somebody unbinds it, or is
    /// about to pull it out. Whoever has it then closes it; the host waits for that.
    fn removal_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// What a loop that polls does between two looks. Lets a device that lives in this process move.
    fn relax(&self);
}
