// SPDX-License-Identifier: Apache-2.0 OR MIT
//! SAs read out of a capture's dumps by plain offsets, sharing no code with the crate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a dump says about an SA.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub dst: IpAddr,
    pub spi: u32,
    pub proto: u8,
    pub mark: (u32, u32),
    pub src: IpAddr,
    pub family: u16,
    pub mode: u8,
    pub reqid: u32,
    pub if_id: u32,
    pub flags: u8,
    pub extra_flags: u32,
    pub dir: u8,
    pub aead: Option<(Vec<u8>, Vec<u8>, u32)>,
    /// Names of other algorithms: crypt, auth, comp.
    pub names: [Option<Vec<u8>>; 3],
    pub encap: Option<(u16, u16, u16)>,
    pub window: u32,
    pub out: u64,
    pub inn: u64,
}

impl Entry {
    pub fn is_larval(&self) -> bool {
        self.aead.is_none() && self.names == [None, None, None]
    }
}

fn u16_at(data: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([data[at], data[at + 1]])
}

fn be16_at(data: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([data[at], data[at + 1]])
}

pub fn u32_at(data: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(data[at..at + 4].try_into().unwrap())
}

fn ip(data: &[u8], family: u16) -> IpAddr {
    if family == 2 {
        Ipv4Addr::new(data[0], data[1], data[2], data[3]).into()
    } else {
        Ipv6Addr::from(<[u8; 16]>::try_from(&data[..16]).unwrap()).into()
    }
}

fn name(data: &[u8]) -> Vec<u8> {
    data[..64].split(|byte| *byte == 0).next().unwrap().to_vec()
}

/// Decodes the body of a NEWSA.
pub fn entry(body: &[u8]) -> Entry {
    let family = u16_at(body, 212);
    let mut entry = Entry {
        dst: ip(&body[56..], family),
        spi: u32::from_be_bytes(body[72..76].try_into().unwrap()),
        proto: body[76],
        mark: (0, 0),
        src: ip(&body[80..], family),
        family,
        mode: body[214],
        reqid: u32_at(body, 208),
        if_id: 0,
        flags: body[216],
        extra_flags: 0,
        dir: 0,
        aead: None,
        names: [None, None, None],
        encap: None,
        window: body[215].into(),
        out: 0,
        inn: 0,
    };
    let mut at = 224;
    while at + 4 <= body.len() {
        let length = usize::from(u16_at(body, at));
        let value = &body[at + 4..at + length];
        match u16_at(body, at + 2) & 0x3fff {
            1 | 20 => entry.names[1] = Some(name(value)),
            2 => entry.names[0] = Some(name(value)),
            3 => entry.names[2] = Some(name(value)),
            4 => entry.encap = Some((u16_at(value, 0), be16_at(value, 2), be16_at(value, 4))),
            10 => {
                entry.out = u32_at(value, 0).into();
                entry.inn = u32_at(value, 4).into();
            }
            18 => {
                let bytes = u32_at(value, 64) as usize / 8;
                entry.aead = Some((name(value), value[72..72 + bytes].to_vec(), u32_at(value, 68)));
            }
            21 => entry.mark = (u32_at(value, 0), u32_at(value, 4)),
            23 => {
                entry.out = u64::from(u32_at(value, 12)) << 32 | u64::from(u32_at(value, 4));
                entry.inn = u64::from(u32_at(value, 16)) << 32 | u64::from(u32_at(value, 8));
                entry.window = u32_at(value, 20);
            }
            24 => entry.extra_flags = u32_at(value, 0),
            31 => entry.if_id = u32_at(value, 0),
            33 => entry.dir = value[0],
            _ => {}
        }
        at += length.next_multiple_of(4);
    }
    entry
}

/// A netlink message, not looked into.
pub struct Raw<'a> {
    pub kind: u16,
    pub flags: u16,
    pub seq: u32,
    pub pid: u32,
    pub body: &'a [u8],
}

/// The messages of a packet.
pub fn raw(data: &[u8]) -> Vec<Raw<'_>> {
    let mut messages = Vec::new();
    let mut at = 0;
    while at + 16 <= data.len() {
        let length = u32_at(data, at) as usize;
        messages.push(Raw {
            kind: u16_at(data, at + 4),
            flags: u16_at(data, at + 6),
            seq: u32_at(data, at + 8),
            pid: u32_at(data, at + 12),
            body: &data[at + 16..at + length],
        });
        at += length.next_multiple_of(4);
    }
    messages
}
