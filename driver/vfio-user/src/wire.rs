// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What goes over the socket: records, commands, flags. Everything is in the byte order of the
//! machine, since both ends are on it.
//!
//! The layouts are those that QEMU and other servers and clients of version 0.x use: most are the
//! structures of the kernel's VFIO behind a header of 16 bytes.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Every message begins with it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Header {
    /// Chosen by who asks, repeated by who answers.
    pub id: u16,
    /// One of [`command`].
    pub command: u16,
    /// Length of the whole message, header included.
    pub size: u32,
    /// Kind in the lowest four bits, and [`flag`]s.
    pub flags: u32,
    /// In an answer with [`flag::ERROR`]: an errno.
    pub error: u32,
}

impl Header {
    /// Its length.
    pub const LEN: usize = size_of::<Self>();

    /// Whether the sender wants no answer.
    #[must_use]
    pub fn no_reply(&self) -> bool {
        self.flags & flag::NO_REPLY != 0
    }
}

/// Bits of [`Header::flags`].
pub mod flag {
    /// Mask of the kind.
    pub const KIND: u32 = 0xF;
    /// A kind: a request.
    pub const REQUEST: u32 = 0;
    /// A kind: an answer.
    pub const REPLY: u32 = 1;
    /// No answer, please.
    pub const NO_REPLY: u32 = 1 << 4;
    /// The request failed.
    pub const ERROR: u32 = 1 << 5;
}

/// Values of [`Header::command`].
pub mod command {
    /// Negotiation; the first message of a connection.
    pub const VERSION: u16 = 1;
    /// Memory of the client becomes reachable.
    pub const DMA_MAP: u16 = 2;
    /// And unreachable again.
    pub const DMA_UNMAP: u16 = 3;
    /// How many regions and kinds of interrupts there are.
    pub const DEVICE_GET_INFO: u16 = 4;
    /// What a region is.
    pub const DEVICE_GET_REGION_INFO: u16 = 5;
    /// Descriptors that stand for parts of regions; never offered here.
    pub const DEVICE_GET_REGION_IO_FDS: u16 = 6;
    /// How many interrupts of a kind there are.
    pub const DEVICE_GET_IRQ_INFO: u16 = 7;
    /// Where interrupts go.
    pub const DEVICE_SET_IRQS: u16 = 8;
    /// Reads a region.
    pub const REGION_READ: u16 = 9;
    /// Writes a region.
    pub const REGION_WRITE: u16 = 10;
    /// From server to client: reads memory by message; never used here.
    pub const DMA_READ: u16 = 11;
    /// From server to client: writes memory by message; never used here.
    pub const DMA_WRITE: u16 = 12;
    /// Resets the function.
    pub const DEVICE_RESET: u16 = 13;
    /// Dirty page logs, for migration; never offered here.
    pub const DIRTY_PAGES: u16 = 14;
    /// Several small writes in one message.
    pub const REGION_WRITE_MULTI: u16 = 15;
}

macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
        #[repr(C)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type),* }

        impl $name {
            /// Its length.
            pub const LEN: usize = size_of::<Self>();
        }
    };
}

record! {
    /// Body of VERSION; a string of JSON follows, with a zero byte behind it.
    Version {
        /// Layout of the messages.
        major: u16,
        /// Additions to them.
        minor: u16,
    }
}

record! {
    /// Body of DMA_MAP.
    DmaMap {
        /// Length of this record.
        argsz: u32,
        /// [`dma`] rights.
        flags: u32,
        /// Where in the file the range begins, if a descriptor comes with the message.
        offset: u64,
        /// First address.
        address: u64,
        /// Length.
        size: u64,
    }
}

record! {
    /// Body of DMA_UNMAP, and of its answer.
    DmaUnmap {
        /// Length of this record.
        argsz: u32,
        /// What else to do.
        flags: u32,
        /// First address.
        address: u64,
        /// Length.
        size: u64,
    }
}

record! {
    /// Body of DEVICE_GET_INFO, and of its answer.
    DeviceInfo {
        /// Length of this record.
        argsz: u32,
        /// [`device`] flags.
        flags: u32,
        /// Regions that there are.
        regions: u32,
        /// Kinds of interrupts that there are.
        irqs: u32,
    }
}

record! {
    /// Body of DEVICE_GET_REGION_INFO, and of its answer.
    RegionInfo {
        /// Room for the answer; in the answer, how much it takes.
        argsz: u32,
        /// [`region`] flags.
        flags: u32,
        /// Which.
        index: u32,
        /// Where capabilities begin.
        cap_offset: u32,
        /// Length of the region.
        size: u64,
        /// Where it begins in a file that can be mapped.
        offset: u64,
    }
}

record! {
    /// Body of DEVICE_GET_IRQ_INFO, and of its answer.
    IrqInfo {
        /// Length of this record.
        argsz: u32,
        /// [`irq`] flags.
        flags: u32,
        /// Which kind.
        index: u32,
        /// How many of it.
        count: u32,
    }
}

record! {
    /// Body of DEVICE_SET_IRQS.
    IrqSet {
        /// Length of this record and what follows it.
        argsz: u32,
        /// [`irq_set`] flags: what comes along, and what to do.
        flags: u32,
        /// Which kind.
        index: u32,
        /// First of them.
        start: u32,
        /// How many.
        count: u32,
    }
}

record! {
    /// Body of REGION_READ and REGION_WRITE, and of their answers. Data follows.
    RegionAccess {
        /// Where in the region.
        offset: u64,
        /// Which region.
        region: u32,
        /// How many bytes.
        count: u32,
    }
}

record! {
    /// One of the writes of REGION_WRITE_MULTI, behind their number (64 bits).
    SmallWrite {
        /// Where in the region.
        offset: u64,
        /// Which region.
        region: u32,
        /// How many bytes of `data`.
        count: u32,
        /// What.
        data: [u8; 8],
    }
}

/// Bits of [`DmaMap::flags`] and of [`DmaUnmap::flags`].
pub mod dma {
    /// The device may read.
    pub const READ: u32 = 1 << 0;
    /// The device may write.
    pub const WRITE: u32 = 1 << 1;
    /// UNMAP: report dirty pages.
    pub const UNMAP_DIRTY: u32 = 1 << 0;
    /// UNMAP: everything; then address and size are zero. The kernel's VFIO and QEMU have it here.
    pub const UNMAP_ALL: u32 = 1 << 1;
    /// And there are clients that have it here.
    pub const UNMAP_ALL_ELSEWHERE: u32 = 1 << 2;
}

/// Bits of [`DeviceInfo::flags`].
pub mod device {
    /// It can be reset.
    pub const RESET: u32 = 1 << 0;
    /// It is a PCI function.
    pub const PCI: u32 = 1 << 1;
}

/// Bits of [`RegionInfo::flags`].
pub mod region {
    /// It can be read.
    pub const READ: u32 = 1 << 0;
    /// It can be written.
    pub const WRITE: u32 = 1 << 1;
}

/// Bits of [`IrqInfo::flags`].
pub mod irq {
    /// An eventfd can be given.
    pub const EVENTFD: u32 = 1 << 0;
    /// All of the kind must be set at once. Never used here: QEMU would turn all vectors off and on
    /// again for each one that a guest adds.
    pub const NORESIZE: u32 = 1 << 3;
}

/// Bits of [`IrqSet::flags`].
pub mod irq_set {
    /// Nothing comes along.
    pub const DATA_NONE: u32 = 1 << 0;
    /// A byte for each, zero or not.
    pub const DATA_BOOL: u32 = 1 << 1;
    /// A descriptor for each, or none at all.
    pub const DATA_EVENTFD: u32 = 1 << 2;
    /// Mask of what comes along.
    pub const DATA: u32 = DATA_NONE | DATA_BOOL | DATA_EVENTFD;
    /// Mask them.
    pub const MASK: u32 = 1 << 3;
    /// Unmask them.
    pub const UNMASK: u32 = 1 << 4;
    /// Let them fire, or say where they fire.
    pub const TRIGGER: u32 = 1 << 5;
    /// Mask of what to do.
    pub const ACTION: u32 = MASK | UNMASK | TRIGGER;
}

/// Regions of a PCI function, by number. BAR n is region n.
pub mod pci_region {
    /// Configuration space.
    pub const CONFIG: u32 = 7;
    /// How many regions there are: BARs, ROM, configuration space, VGA.
    pub const COUNT: u32 = 9;
}

/// Kinds of interrupts of a PCI function, by number.
pub mod pci_irq {
    /// The wire of old.
    pub const INTX: u32 = 0;
    /// Message signalled.
    pub const MSI: u32 = 1;
    /// Message signalled, each with address and mask of its own.
    pub const MSIX: u32 = 2;
    /// The function has an error.
    pub const ERR: u32 = 3;
    /// The function is wanted back.
    pub const REQ: u32 = 4;
    /// How many kinds there are.
    pub const COUNT: u32 = 5;
}

/// Most descriptors that a message takes along; what QEMU can send at a time.
pub const MAX_FDS: usize = 16;

/// Most bytes that one access of a region carries.
pub const MAX_DATA: usize = 64 << 10;

/// Longest message.
pub const MAX_MESSAGE: usize = Header::LEN + RegionAccess::LEN + MAX_DATA;

/// Ranges of memory that a client may have mapped at a time: as many as the kernel's VFIO allows.
pub const MAX_MAPS: usize = 65_535;

/// Unit of addresses and lengths of memory.
pub const PAGE: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_as_long_as_on_the_wire() {
        let with_header = [
            (Version::LEN, 20),
            (DmaMap::LEN, 48),
            (DmaUnmap::LEN, 40),
            (DeviceInfo::LEN, 32),
            (RegionInfo::LEN, 48),
            (IrqInfo::LEN, 32),
            (IrqSet::LEN, 36),
            (RegionAccess::LEN, 32),
        ];
        for (record, message) in with_header {
            assert_eq!(Header::LEN + record, message);
        }
        assert_eq!(SmallWrite::LEN, 24);
    }
}
