// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a server offers: a PCI function, as VFIO sees it.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::ops::RangeInclusive;

/// A region: a BAR, configuration space. One that is not there has no length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// Its length.
    pub size: u64,
    /// [`crate::wire::region`] flags.
    pub flags: u32,
}

/// A kind of interrupts. One that is not there has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Irq {
    /// How many.
    pub count: u32,
    /// [`crate::wire::irq`] flags.
    pub flags: u32,
}

/// A range of a client's memory.
#[derive(Debug)]
pub struct Map {
    /// Its addresses.
    pub range: RangeInclusive<u64>,
    /// Whether the device may read it.
    pub read: bool,
    /// Whether the device may write it.
    pub write: bool,
    /// The file that has its bytes, and where in it they begin. Without, nobody can reach them.
    pub file: Option<(OwnedFd, u64)>,
}

/// What a client wants of interrupts `first..` of a kind. Their numbers were checked.
#[derive(Debug)]
pub enum Change {
    /// They fire into these eventfds.
    Connect(Vec<OwnedFd>),
    /// This many fire nowhere.
    Disconnect(u32),
    /// Those that are `true` fire now, as if the device had asked for it.
    Fire(Vec<bool>),
}

/// A PCI function that a [`crate::Server`] offers. All calls come from the server's thread.
///
/// The server has checked what can be checked without knowing the function: a region and a kind of
/// interrupts exists, and an access or a change stays inside it.
pub trait Function {
    /// Its regions, by number; [`crate::wire::pci_region::COUNT`] of them.
    fn regions(&self) -> Vec<Region>;

    /// Its interrupts, by kind; [`crate::wire::pci_irq::COUNT`] of them.
    fn irqs(&self) -> Vec<Irq>;

    /// Reads a region.
    fn read(&mut self, region: u32, offset: u64, out: &mut [u8]);

    /// Writes a region. Writes take effect in the order of the calls.
    fn write(&mut self, region: u32, offset: u64, data: &[u8]);

    /// Makes memory reachable.
    ///
    /// # Errors
    /// What the client is told.
    fn map(&mut self, map: Map) -> Result<(), Errno>;

    /// Makes memory unreachable, all of it that is in this range. When this returns, the device does
    /// not touch it any more.
    fn unmap(&mut self, range: RangeInclusive<u64>);

    /// Changes where interrupts go, or fires some.
    ///
    /// # Errors
    /// What the client is told.
    fn interrupts(&mut self, kind: u32, first: u32, change: Change) -> Result<(), Errno>;

    /// Resets the function. Memory stays mapped and interrupts stay connected: both belong to the
    /// wiring, not to the function.
    fn reset(&mut self);

    /// The client has gone: drops all that it gave, and resets.
    fn release(&mut self);

    /// Does a slice of what the function has to do by itself, some microseconds of it. Returns
    /// whether there is more. It is called again at once then, after a look at the socket;
    /// otherwise after the next message, or when somebody calls [`crate::Remote::wake`].
    fn work(&mut self) -> bool;
}
