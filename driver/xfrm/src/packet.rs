// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One packet: what one `send` or `recv` on a netlink socket carried.

use std::fmt;
use std::time::Duration;

use crate::message::Messages;

/// The netlink family of XFRM.
pub const NETLINK_XFRM: u16 = 6;

/// A packet of netlink data, borrowed from its source.
#[derive(Clone, Copy)]
pub struct Packet<'a> {
    /// Counts from 1; every packet of a file counts, also those that are skipped.
    pub number: u64,
    /// Where `data` begins: the byte offset in the capture file or, live, the number of bytes
    /// that were received before.
    pub offset: u64,
    /// Since the epoch.
    pub timestamp: Duration,
    /// The netlink family; only those of family [`NETLINK_XFRM`] are XFRM's.
    pub family: u16,
    /// One netlink message or more, without the header that nlmon puts before them.
    pub data: &'a [u8],
}

impl<'a> Packet<'a> {
    /// The packet's netlink messages; none if it is not of the XFRM family.
    pub fn messages(&self) -> Messages<'a> {
        let data = if self.family == NETLINK_XFRM { self.data } else { &[] };
        Messages::new(self.number, self.offset, data)
    }
}

/// Shows everything but the data, which may hold keys.
impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet")
            .field("number", &self.number)
            .field("offset", &self.offset)
            .field("timestamp", &self.timestamp)
            .field("family", &self.family)
            .field("length", &self.data.len())
            .finish_non_exhaustive()
    }
}
