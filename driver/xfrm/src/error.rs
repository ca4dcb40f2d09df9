// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What can go wrong while reading, in one sentence each.

use std::io;

/// Why a capture or a live socket could not be read further.
///
/// Everything that was read before the error stays valid: iterators yield the error last.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    #[error("cannot read the capture")]
    Read(#[source] io::Error),

    /// The first bytes are neither pcap's nor pcapng's.
    #[error("not a capture file: it begins with neither a pcap nor a pcapng header")]
    NotACapture,

    /// The file was written on a big-endian machine; netlink inside would be big-endian, too.
    #[error(
        "the capture is big-endian from offset {offset}, before packet {packet}, which is not \
         supported: take it on a little-endian machine"
    )]
    BigEndian {
        /// The number that the next packet would have.
        packet: u64,
        /// Where the big-endian header begins in the file.
        offset: u64,
    },

    /// The capture does not hold netlink messages.
    #[error(
        "the capture's link type is {found}, not 253 (netlink): capture from an nlmon device, as \
         in `ip link add nlmon0 type nlmon && ip link set nlmon0 up && tcpdump -i nlmon0 -s 0 \
         -w FILE`"
    )]
    LinkType {
        /// The link type that the file names.
        found: i32,
    },

    /// A record of the capture file is cut or makes no sense.
    #[error("packet {packet} at file offset {offset}: {damage}")]
    Record {
        /// The packet's number, from 1; every packet of the file counts.
        packet: u64,
        /// Where in the file the record begins that could not be read.
        offset: u64,
        /// What is wrong with it.
        damage: Damage,
    },

    /// A netlink message inside a packet is cut or makes no sense.
    #[error(
        "packet {packet}, byte {} of its netlink data (offset {} of the capture): {}",
        fault.offset, offset + fault.offset as u64, fault.flaw
    )]
    Message {
        /// The packet's number, from 1; every packet of the file counts.
        packet: u64,
        /// Where the packet's netlink data begins in the file.
        offset: u64,
        /// What is wrong, and where in the packet.
        fault: Fault,
    },

    /// The netlink socket refused something.
    #[error("netlink socket: cannot {doing}")]
    Socket {
        /// What was tried.
        doing: &'static str,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
}

/// What is wrong with a record of a capture file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The file ends inside its own header.
    #[error("the file ends inside its header")]
    HeaderCut,
    /// The file ends inside the record.
    #[error("the file ends inside this record: {need} bytes are needed, {left} are left")]
    Cut {
        /// How long the record says it is, its header included.
        need: u64,
        /// How many bytes of it the file has.
        left: u64,
    },
    /// The capturing tool kept only the packet's first bytes.
    #[error("only {captured} of {original} bytes were captured: capture with `-s 0`")]
    Snapped {
        /// How many bytes the file has.
        captured: u32,
        /// How many the packet had.
        original: u32,
    },
    /// The packet has no room for the header that nlmon puts before netlink messages.
    #[error("{length} bytes are too few for the 16-byte header of a netlink packet")]
    NoNetlinkHeader {
        /// How long the packet is.
        length: usize,
    },
    /// A pcapng packet names an interface that the section did not describe.
    #[error("interface {0} was not described before")]
    UnknownInterface(u32),
    /// A pcapng block contradicts itself.
    #[error("the pcapng block of type {kind:#x} is damaged")]
    Block {
        /// The block's type.
        kind: u32,
    },
}

/// What is wrong with a netlink message, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {flaw}")]
pub struct Fault {
    /// The byte, counted from the first byte of the packet's netlink data.
    pub offset: usize,
    /// What is wrong there.
    pub flaw: Flaw,
}

/// What is wrong with a netlink message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// Fewer bytes are left than a netlink header takes.
    #[error("{left} bytes are left where a netlink header of 16 should be")]
    HeaderCut {
        /// How many bytes are left.
        left: usize,
    },
    /// The message's length field is impossible.
    #[error("the netlink message says it is {length} bytes long, but {left} are left")]
    MessageLength {
        /// What the length field says.
        length: u32,
        /// How many bytes are left.
        left: usize,
    },
    /// The message's fixed part is cut.
    #[error("{what} takes {need} bytes, but {left} are left")]
    Short {
        /// Which structure.
        what: &'static str,
        /// How long it is.
        need: usize,
        /// How many bytes are left.
        left: usize,
    },
    /// An attribute's length field is impossible.
    #[error("the attribute says it is {length} bytes long, but {left} are left")]
    AttributeLength {
        /// What the length field says.
        length: u16,
        /// How many bytes are left.
        left: usize,
    },
    /// An AEAD key's length is not that of the bytes in its attribute.
    #[error("the key says it is {bits} bits long, but has {left} bytes")]
    Key {
        /// How long the key says it is.
        bits: u32,
        /// How many bytes are left.
        left: usize,
    },
    /// An algorithm's name is not readable text.
    #[error("the algorithm's name is not text")]
    AlgorithmName,
    /// Addresses of a family that XFRM does not have.
    #[error("address family {0} is neither IPv4 (2) nor IPv6 (10)")]
    Family(u16),
    /// A direction that XFRM does not have.
    #[error("SA direction {0} is neither in (1) nor out (2)")]
    Direction(u8),
}

impl Flaw {
    /// Says where the flaw is.
    pub(crate) fn at(self, offset: usize) -> Fault {
        Fault { offset, flaw: self }
    }
}
