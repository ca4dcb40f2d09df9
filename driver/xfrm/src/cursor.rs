// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A position in a capture, and how to move it by one packet.

use std::time::Duration;

use pcap_parser::pcap::{parse_pcap_frame, parse_pcap_header};

use crate::error::Damage;
use crate::pcapng::Section;
use crate::{Error, Packet};

/// LINKTYPE_NETLINK.
pub(crate) const NETLINK: i32 = 253;
const PCAP_HEADER: usize = 24;
const PCAP_RECORD: usize = 16;
/// nlmon's own header: packet type, ARPHRD, unused bytes; the family in its last two bytes.
const COOKED: usize = 16;

/// Where the next record is, and what the file's headers said so far.
///
/// It borrows nothing, so that a capture can own both its bytes and its position.
pub(crate) struct Cursor {
    at: usize,
    packets: u64,
    failed: bool,
    format: Format,
}

enum Format {
    Pcap { nanoseconds: bool },
    Pcapng(Section),
}

/// A record's packet, before nlmon's header is taken off.
pub(crate) struct Raw<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) offset: usize,
    pub(crate) original: u32,
    pub(crate) timestamp: Duration,
}

impl Cursor {
    pub(crate) fn new(data: &[u8]) -> Result<Self, Error> {
        let (format, at) = match data.first_chunk().map(|magic| u32::from_le_bytes(*magic)) {
            Some(0x0a0d_0d0a) => (Format::Pcapng(Section::default()), 0),
            Some(0xa1b2_c3d4 | 0xa1b2_3c4d) => (pcap_format(data)?, PCAP_HEADER),
            Some(0xd4c3_b2a1 | 0x4d3c_b2a1) => {
                return Err(Error::BigEndian { packet: 1, offset: 0 });
            }
            Some(_) => return Err(Error::NotACapture),
            None => return Err(header_cut(data)),
        };
        Ok(Self { at, packets: 0, failed: false, format })
    }

    /// The same capture from its beginning.
    pub(crate) fn rewound(&self) -> Self {
        let (format, at) = match &self.format {
            Format::Pcap { nanoseconds } => {
                (Format::Pcap { nanoseconds: *nanoseconds }, PCAP_HEADER)
            }
            Format::Pcapng(_) => (Format::Pcapng(Section::default()), 0),
        };
        Self { at, packets: 0, failed: false, format }
    }

    pub(crate) fn ended(&self, data: &[u8]) -> bool {
        self.failed || self.at >= data.len()
    }

    /// The next packet of a netlink interface; an error is the last item.
    pub(crate) fn next<'a>(&mut self, data: &'a [u8]) -> Option<Result<Packet<'a>, Error>> {
        while !self.ended(data) {
            let begin = self.at;
            let rest = &data[begin..];
            let step = match &mut self.format {
                Format::Pcap { nanoseconds } => pcap_record(rest, *nanoseconds),
                Format::Pcapng(section) => section.block(rest),
            };
            let outcome = step.and_then(|step| {
                self.at = begin + step.length;
                self.packets += u64::from(step.is_packet);
                match step.raw {
                    Some(raw) => uncook(self.packets, begin, raw).map(Some),
                    None => Ok(None),
                }
            });
            match outcome {
                Ok(None) => {}
                Ok(Some(packet)) => return Some(Ok(packet)),
                Err(trouble) => {
                    self.failed = true;
                    // The record that failed was counted only if its packet was looked into.
                    let packet = if self.at == begin { self.packets + 1 } else { self.packets };
                    return Some(Err(trouble.into_error(packet, begin as u64)));
                }
            }
        }
        if let Format::Pcapng(section) = &self.format
            && let Some(found) = section.wrong_link_type()
            && !self.failed
        {
            self.failed = true;
            return Some(Err(Error::LinkType { found }));
        }
        None
    }
}

/// What one record or block of the file was.
pub(crate) struct Step<'a> {
    /// How many bytes it took.
    pub(crate) length: usize,
    /// Whether it counts as a packet.
    pub(crate) is_packet: bool,
    /// The packet, if it is one of netlink.
    pub(crate) raw: Option<Raw<'a>>,
}

/// An error that does not know its packet number yet.
pub(crate) enum Trouble {
    Damage(Damage),
    BigEndian,
}

impl From<Damage> for Trouble {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

impl Trouble {
    fn into_error(self, packet: u64, offset: u64) -> Error {
        match self {
            Self::Damage(damage) => Error::Record { packet, offset, damage },
            Self::BigEndian => Error::BigEndian { packet, offset },
        }
    }
}

fn header_cut(data: &[u8]) -> Error {
    let beginnings = [0x0a0d_0d0a_u32, 0xa1b2_c3d4, 0xa1b2_3c4d].map(u32::to_le_bytes);
    if beginnings.iter().any(|magic| magic.starts_with(data)) {
        Error::Record { packet: 1, offset: data.len() as u64, damage: Damage::HeaderCut }
    } else {
        Error::NotACapture
    }
}

fn pcap_format(data: &[u8]) -> Result<Format, Error> {
    let (_, header) = parse_pcap_header(data).map_err(|_| header_cut_at(data.len()))?;
    // The upper bits of the field may hold the length of a frame check sequence.
    let found = header.network.0 & 0xffff;
    if found != NETLINK {
        return Err(Error::LinkType { found });
    }
    Ok(Format::Pcap { nanoseconds: header.is_nanosecond_precision() })
}

fn header_cut_at(offset: usize) -> Error {
    Error::Record { packet: 1, offset: offset as u64, damage: Damage::HeaderCut }
}

fn pcap_record(rest: &[u8], nanoseconds: bool) -> Result<Step<'_>, Trouble> {
    let Ok((tail, record)) = parse_pcap_frame(rest) else {
        let captured = rest.get(8..12).and_then(|bytes| bytes.first_chunk());
        let captured = captured.map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)));
        let (need, left) = (PCAP_RECORD as u64 + captured, rest.len() as u64);
        return Err(Damage::Cut { need, left }.into());
    };
    let fraction = u64::from(record.ts_usec) * if nanoseconds { 1 } else { 1000 };
    let timestamp = Duration::from_secs(record.ts_sec.into()) + Duration::from_nanos(fraction);
    let raw = Raw { data: record.data, offset: PCAP_RECORD, original: record.origlen, timestamp };
    Ok(Step { length: rest.len() - tail.len(), is_packet: true, raw: Some(raw) })
}

/// Takes nlmon's header off. `begin` is where the record begins in the file.
fn uncook(number: u64, begin: usize, raw: Raw<'_>) -> Result<Packet<'_>, Trouble> {
    let captured = raw.data.len() as u32;
    if captured < raw.original {
        return Err(Damage::Snapped { captured, original: raw.original }.into());
    }
    let Some((header, data)) = raw.data.split_first_chunk::<COOKED>() else {
        return Err(Damage::NoNetlinkHeader { length: raw.data.len() }.into());
    };
    Ok(Packet {
        number,
        offset: (begin + raw.offset + COOKED) as u64,
        timestamp: raw.timestamp,
        family: u16::from_be_bytes([header[14], header[15]]),
        data,
    })
}
