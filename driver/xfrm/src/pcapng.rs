// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Blocks of a pcapng file: sections, interfaces, and packets.

use std::time::Duration;

use pcap_parser::pcapng::{
    parse_enhancedpacketblock_le, parse_interfacedescriptionblock_le, parse_simplepacketblock_le,
};
use pcap_parser::traits::PcapNGPacketBlock as _;

use crate::cursor::{NETLINK, Raw, Step, Trouble};
use crate::error::Damage;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
/// Replaced by the Enhanced Packet Block in 2009; no tool that knows nlmon writes it.
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_LE: [u8; 4] = [0x4d, 0x3c, 0x2b, 0x1a];
const BYTE_ORDER_BE: [u8; 4] = [0x1a, 0x2b, 0x3c, 0x4d];
/// Type, length, and the length again.
const SMALLEST_BLOCK: usize = 12;
/// An enhanced packet's data begin behind type, length, interface, time, and the two lengths.
const ENHANCED_DATA: usize = 28;
const SIMPLE_DATA: usize = 12;

/// What the current section has described so far.
#[derive(Default)]
pub(crate) struct Section {
    interfaces: Vec<Interface>,
    /// Whether any section so far had a netlink interface.
    has_netlink: bool,
    /// The link type of the last interface that was something else.
    foreign: Option<i32>,
}

#[derive(Clone, Copy)]
struct Interface {
    link_type: i32,
    snap_length: u32,
    resolution: u8,
    offset: i64,
}

impl Section {
    /// Reads the block at the front of `rest`.
    pub(crate) fn block<'a>(&mut self, rest: &'a [u8]) -> Result<Step<'a>, Trouble> {
        let left = rest.len() as u64;
        let Some((header, _)) = rest.split_first_chunk::<SMALLEST_BLOCK>() else {
            return Err(Damage::Cut { need: SMALLEST_BLOCK as u64, left }.into());
        };
        let kind = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let damaged = Trouble::from(Damage::Block { kind });
        if kind == SECTION_HEADER {
            // The byte order says how to read the length, so it comes first.
            match [header[8], header[9], header[10], header[11]] {
                BYTE_ORDER_LE => {}
                BYTE_ORDER_BE => return Err(Trouble::BigEndian),
                _ => return Err(damaged),
            }
        }
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        let size = usize::try_from(length).unwrap_or(usize::MAX);
        if size < SMALLEST_BLOCK || size % 4 != 0 {
            return Err(damaged);
        }
        let Some(block) = rest.get(..size) else {
            return Err(Damage::Cut { need: length.into(), left }.into());
        };
        // Readers that go backwards use the second length; here it only proves the block whole.
        if !block.ends_with(&length.to_le_bytes()) {
            return Err(damaged);
        }
        let mut step = Step { length: size, is_packet: false, raw: None };
        match kind {
            SECTION_HEADER => self.interfaces.clear(),
            INTERFACE_DESCRIPTION => self.describe(Interface::parse(block).ok_or(damaged)?),
            ENHANCED_PACKET => {
                step.is_packet = true;
                step.raw = self.enhanced(block)?;
            }
            SIMPLE_PACKET => {
                step.is_packet = true;
                step.raw = self.simple(block)?;
            }
            OBSOLETE_PACKET => return Err(damaged),
            // Names, statistics, secrets, comments, private blocks: nothing about packets.
            _ => {}
        }
        Ok(step)
    }

    fn describe(&mut self, interface: Interface) {
        if interface.link_type == NETLINK {
            self.has_netlink = true;
        } else {
            self.foreign = Some(interface.link_type);
        }
        self.interfaces.push(interface);
    }

    fn interface(&self, index: u32) -> Result<Interface, Trouble> {
        let found = usize::try_from(index).ok().and_then(|index| self.interfaces.get(index));
        found.copied().ok_or(Trouble::Damage(Damage::UnknownInterface(index)))
    }

    /// At the end of the file: the link type of a capture that has no netlink in it at all.
    ///
    /// Packets of other interfaces are skipped, but a file in which no interface is netlink was
    /// captured the wrong way, and passing it off as an empty one would hide that.
    pub(crate) fn wrong_link_type(&self) -> Option<i32> {
        self.foreign.filter(|_| !self.has_netlink)
    }

    fn enhanced<'a>(&self, block: &'a [u8]) -> Result<Option<Raw<'a>>, Trouble> {
        let damaged = Damage::Block { kind: ENHANCED_PACKET };
        let (_, packet) = parse_enhancedpacketblock_le(block).map_err(|_| damaged.clone())?;
        let interface = self.interface(packet.if_id)?;
        if interface.link_type != NETLINK {
            return Ok(None);
        }
        let length = packet.packet_data().len();
        let data = block.get(ENHANCED_DATA..ENHANCED_DATA + length).ok_or(damaged)?;
        Ok(Some(Raw {
            data,
            offset: ENHANCED_DATA,
            original: packet.origlen,
            timestamp: interface.time(packet.ts_high, packet.ts_low),
        }))
    }

    fn simple<'a>(&self, block: &'a [u8]) -> Result<Option<Raw<'a>>, Trouble> {
        let damaged = Damage::Block { kind: SIMPLE_PACKET };
        let (_, packet) = parse_simplepacketblock_le(block).map_err(|_| damaged.clone())?;
        // Simple packets belong to the first interface and carry no captured length.
        let interface = self.interface(0)?;
        if interface.link_type != NETLINK {
            return Ok(None);
        }
        let kept = match interface.snap_length {
            0 => packet.origlen,
            limit => packet.origlen.min(limit),
        };
        let length = packet.data.len().min(kept as usize);
        let data = block.get(SIMPLE_DATA..SIMPLE_DATA + length).ok_or(damaged)?;
        let (offset, original, timestamp) = (SIMPLE_DATA, packet.origlen, Duration::ZERO);
        Ok(Some(Raw { data, offset, original, timestamp }))
    }
}

impl Interface {
    fn parse(block: &[u8]) -> Option<Self> {
        let (_, found) = parse_interfacedescriptionblock_le(block).ok()?;
        Some(Self {
            link_type: found.linktype.0,
            snap_length: found.snaplen,
            resolution: found.if_tsresol,
            offset: found.if_tsoffset,
        })
    }

    /// A packet's time.
    ///
    /// The parser's own conversion rejects binary resolutions and cuts seconds to 32 bits.
    fn time(self, high: u32, low: u32) -> Duration {
        const NANOS: u128 = 1_000_000_000;
        let ticks = (u128::from(high) << 32) | u128::from(low);
        let exponent = u32::from(self.resolution & 0x7f);
        let per_second = if self.resolution & 0x80 == 0 {
            10_u128.checked_pow(exponent)
        } else {
            1_u128.checked_shl(exponent)
        };
        // A resolution beyond 128 bits leaves nothing of 64-bit ticks.
        let nanos = per_second.map_or(0, |rate| ticks * NANOS / rate.max(1));
        let (seconds, rest) = (nanos / NANOS, nanos % NANOS);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX).saturating_add_signed(self.offset);
        Duration::new(seconds, rest as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(resolution: u8, offset: i64, ticks: u64) -> Duration {
        Interface { link_type: NETLINK, snap_length: 0, resolution, offset }
            .time((ticks >> 32) as u32, ticks as u32)
    }

    #[test]
    fn resolutions_are_decimal_or_binary() {
        assert_eq!(time(6, 0, 1_500_000), Duration::from_millis(1500));
        assert_eq!(time(9, 7, 1_500_000_000), Duration::from_millis(8500));
        assert_eq!(time(0x8a, 0, 1536), Duration::from_millis(1500));
        assert_eq!(time(0x7f, i64::MIN, u64::MAX), Duration::ZERO);
        assert_eq!(time(0xff, i64::MAX, u64::MAX).subsec_nanos(), 0);
        assert_eq!(time(0, i64::MAX, u64::MAX), Duration::new(u64::MAX, 0));
    }
}
