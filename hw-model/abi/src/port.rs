// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The traits through which any device is driven in-process: the pins of a PCI function, and what
//! is at the other end of its bus.
//!
//! A device never runs by itself: it moves only inside [`Device::step`], so that whoever steps it
//! decides the interleaving, and a run can be repeated.

use core::fmt;

/// A memory window of the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bar {
    /// BAR 0: registers and doorbells.
    Registers,
    /// BAR 2: the SA table.
    Table,
    /// BAR 4: MSI-X table and pending bits.
    Msix,
}

impl Bar {
    /// Number of the PCI base address register.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Registers => 0,
            Self::Table => 2,
            Self::Msix => 4,
        }
    }
}

/// The host refused a DMA request: unmapped, or not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaFault;

impl fmt::Display for DmaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host refused the DMA request")
    }
}

impl core::error::Error for DmaFault {}

/// What the device reaches over the bus.
pub trait Host {
    /// Reads host memory from `iova` on. On an error `out` may be partly filled and is not used.
    ///
    /// # Errors
    /// If any byte is not readable for the device.
    fn dma_read(&mut self, iova: u64, out: &mut [u8]) -> Result<(), DmaFault>;

    /// Writes host memory from `iova` on. Aligned groups of eight bytes become visible in ascending
    /// order, each at once (R12).
    ///
    /// # Errors
    /// If any byte is not writable for the device, and the bus says so; on real PCIe a posted write
    /// vanishes silently (R46).
    fn dma_write(&mut self, iova: u64, data: &[u8]) -> Result<(), DmaFault>;

    /// Sends the message of MSI-X vector `vector`.
    fn interrupt(&mut self, vector: u16);
}

/// The bits of configuration space that change what the device may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FunctionConfig {
    /// Bus Master Enable of the command register: without it, no DMA and no MSI-X (R24).
    pub bus_master: bool,
    /// MSI-X Enable of the message control register.
    pub msix_enable: bool,
    /// Function Mask of the message control register.
    pub msix_mask: bool,
}

/// A PCI function, driven pin by pin.
pub trait Device: Send {
    /// Length of a BAR in bytes.
    fn bar_bytes(&self, bar: Bar) -> u64;

    /// One read access of `out.len()` bytes. Bytes outside the BAR read as zero.
    fn read(&mut self, bar: Bar, offset: u64, out: &mut [u8]);

    /// One write access. Accesses take effect in call order, across BARs (R13).
    fn write(&mut self, bar: Bar, offset: u64, data: &[u8]);

    /// Sets the bits of configuration space.
    fn configure(&mut self, config: FunctionConfig);

    /// Function level reset; configuration goes back to its default (R20).
    fn reset(&mut self);

    /// Advances the clock by `cycles`. Returns whether the device still has work that more cycles
    /// would finish; false means that only the host can make something happen.
    fn step(&mut self, host: &mut dyn Host, cycles: u32) -> bool;
}
