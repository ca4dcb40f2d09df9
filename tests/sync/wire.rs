// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Records of a pcap file, netlink messages, and XFRM attributes, by plain offsets. What is damaged
//! ends the walk; nothing panics.

pub const NEWSA: u16 = 0x10;
pub const DELSA: u16 = 0x11;
pub const GETSA: u16 = 0x12;
pub const NEWPOLICY: u16 = 0x13;
pub const GETPOLICY: u16 = 0x15;
pub const EXPIRE: u16 = 0x18;
pub const UPDSA: u16 = 0x1a;
pub const FLUSHSA: u16 = 0x1c;
pub const NEWAE: u16 = 0x1e;
pub const DONE: u16 = 3;

pub const REQUEST: u16 = 1;
pub const MULTI: u16 = 2;
pub const DUMP: u16 = 0x300;

const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
const COOKED_HEADER: usize = 16;
const XFRM: [u8; 2] = [0, 6];

pub fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*data.get(at..)?.first_chunk()?))
}

pub fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*data.get(at..)?.first_chunk()?))
}

/// A record of a capture file.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// Counts from 1.
    pub number: u64,
    /// Where in the file its header begins, and where it ends.
    pub begin: usize,
    pub end: usize,
    /// Without the header that nlmon puts before it; empty if it is not XFRM's.
    pub data: &'a [u8],
}

/// The records of a pcap file, little-endian.
pub fn records(file: &[u8]) -> Vec<Record<'_>> {
    let mut records = Vec::new();
    let mut begin = FILE_HEADER;
    while let Some(record) = record(file, begin, records.len() as u64 + 1) {
        begin = record.end;
        records.push(record);
    }
    records
}

fn record(file: &[u8], begin: usize, number: u64) -> Option<Record<'_>> {
    let length = u32_at(file, begin + 8)? as usize;
    let start = begin + RECORD_HEADER;
    let bytes = file.get(start..start.checked_add(length)?)?;
    let is_xfrm = bytes.get(14..COOKED_HEADER) == Some(&XFRM);
    Some(Record {
        number,
        begin,
        end: start + length,
        data: if is_xfrm { &bytes[COOKED_HEADER..] } else { &[] },
    })
}

/// A netlink message, not looked into.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub kind: u16,
    pub flags: u16,
    pub seq: u32,
    pub pid: u32,
    pub body: &'a [u8],
}

impl Message<'_> {
    pub fn is_event(&self, kind: u16) -> bool {
        self.kind == kind && self.flags & (REQUEST | MULTI) == 0
    }
}

/// The messages of a record.
pub fn messages(mut data: &[u8]) -> Vec<Message<'_>> {
    let mut messages = Vec::new();
    while let Some((message, rest)) = message(data) {
        messages.push(message);
        data = rest;
    }
    messages
}

fn message(data: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let length = u32_at(data, 0)? as usize;
    let message = Message {
        kind: u16_at(data, 4)?,
        flags: u16_at(data, 6)?,
        seq: u32_at(data, 8)?,
        pid: u32_at(data, 12)?,
        body: data.get(16..length)?,
    };
    let next = length.next_multiple_of(4).min(data.len());
    Some((message, &data[next..]))
}

/// The messages of a whole capture.
pub fn all_messages(file: &[u8]) -> Vec<Message<'_>> {
    let records = records(file).into_iter();
    records.flat_map(|record| messages(record.data)).collect()
}

/// The attributes behind a message's fixed part: type and value.
pub fn attributes(mut data: &[u8]) -> Vec<(u16, &[u8])> {
    let mut attributes = Vec::new();
    while let (Some(length), Some(kind)) = (u16_at(data, 0), u16_at(data, 2)) {
        let length = usize::from(length);
        let Some(value) = data.get(4..length) else {
            break;
        };
        attributes.push((kind & 0x3FFF, value));
        data = &data[length.next_multiple_of(4).min(data.len())..];
    }
    attributes
}
