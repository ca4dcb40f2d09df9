// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Netlink messages made by hand.

use std::net::IpAddr;
use std::time::Duration;

use esnic_xfrm::{Message, NETLINK_XFRM, Packet};

pub const NEWSA: u16 = 0x10;
pub const DELSA: u16 = 0x11;
pub const GETSA: u16 = 0x12;
pub const NEWPOLICY: u16 = 0x13;
pub const GETPOLICY: u16 = 0x15;
pub const ALLOCSPI: u16 = 0x16;
pub const EXPIRE: u16 = 0x18;
pub const UPDSA: u16 = 0x1a;
pub const FLUSHSA: u16 = 0x1c;
pub const NEWAE: u16 = 0x1e;
pub const MIGRATE: u16 = 0x21;
pub const ERROR: u16 = 2;
pub const DONE: u16 = 3;

pub const REQUEST: u16 = 1;
pub const MULTI: u16 = 2;
pub const INTR: u16 = 0x10;
pub const DUMP: u16 = 0x300;

/// A netlink message.
pub fn message(kind: u16, flags: u16, seq: u32, pid: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = (16 + body.len() as u32).to_le_bytes().to_vec();
    bytes.extend(kind.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes.extend(seq.to_le_bytes());
    bytes.extend(pid.to_le_bytes());
    bytes.extend(body);
    bytes
}

pub fn packet(data: &[u8]) -> Packet<'_> {
    Packet { number: 1, offset: 40, timestamp: Duration::ZERO, family: NETLINK_XFRM, data }
}

/// The only message of a packet.
pub fn parse(data: &[u8]) -> Message {
    let mut messages = packet(data).messages();
    let message = messages.next().unwrap().unwrap();
    assert!(messages.next().is_none());
    message
}

pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = (4 + value.len() as u16).to_le_bytes().to_vec();
    bytes.extend(kind.to_le_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

pub fn address(address: &str) -> ([u8; 16], u16) {
    let mut bytes = [0; 16];
    match address.parse().unwrap() {
        IpAddr::V4(four) => bytes[..4].copy_from_slice(&four.octets()),
        IpAddr::V6(six) => bytes.copy_from_slice(&six.octets()),
    }
    (bytes, if address.contains(':') { 10 } else { 2 })
}

/// An SA in the making.
#[derive(Clone, Debug)]
pub struct SaSpec {
    pub src: &'static str,
    pub dst: &'static str,
    pub spi: u32,
    pub proto: u8,
    pub mode: u8,
    pub reqid: u32,
    pub esn: bool,
    pub window: u32,
    pub out: u64,
    pub inn: u64,
    pub key: Option<[u8; 20]>,
    pub mark: Option<(u32, u32)>,
    pub dir: Option<u8>,
    pub encap: Option<(u16, u16)>,
}

/// An outbound SA with ESN.
pub const OUT: SaSpec = SaSpec {
    src: "10.9.0.1",
    dst: "10.9.0.2",
    spi: 0x1001,
    proto: 50,
    mode: 0,
    reqid: 1,
    esn: true,
    window: 64,
    out: 0,
    inn: 0,
    key: Some([0x5a; 20]),
    mark: None,
    dir: None,
    encap: None,
};

/// An inbound SA with ESN.
pub const IN: SaSpec = SaSpec { src: OUT.dst, dst: OUT.src, spi: 0x2001, reqid: 2, ..OUT };

impl SaSpec {
    pub fn info(&self) -> Vec<u8> {
        let mut body = vec![0; 224];
        let ((src, family), (dst, _)) = (address(self.src), address(self.dst));
        body[56..72].copy_from_slice(&dst);
        body[72..76].copy_from_slice(&self.spi.to_be_bytes());
        body[76] = self.proto;
        body[80..96].copy_from_slice(&src);
        body[208..212].copy_from_slice(&self.reqid.to_le_bytes());
        body[212..214].copy_from_slice(&family.to_le_bytes());
        body[214] = self.mode;
        body[215] = if self.esn { 0 } else { self.window as u8 };
        body[216] = if self.esn { 0x80 } else { 0 };
        body
    }

    pub fn id(&self) -> Vec<u8> {
        let (dst, family) = address(self.dst);
        let mut body = dst.to_vec();
        body.extend(self.spi.to_be_bytes());
        body.extend(family.to_le_bytes());
        body.extend([self.proto, 0]);
        body
    }

    pub fn replay(&self) -> Vec<u8> {
        let words = |words: &[u32]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_le_bytes()).collect()
        };
        let (out, inn) = (self.out, self.inn);
        if self.esn {
            let bitmap = self.window.div_ceil(32);
            let mut value = words(&[
                bitmap,
                out as u32,
                inn as u32,
                (out >> 32) as u32,
                (inn >> 32) as u32,
                self.window,
            ]);
            value.resize(24 + 4 * bitmap as usize, 0);
            attribute(23, &value)
        } else {
            attribute(10, &words(&[out as u32, inn as u32, 0]))
        }
    }

    fn marks(&self) -> Vec<u8> {
        let Some((value, mask)) = self.mark else {
            return Vec::new();
        };
        attribute(21, &[value.to_le_bytes(), mask.to_le_bytes()].concat())
    }

    fn dirs(&self) -> Vec<u8> {
        self.dir.map_or(Vec::new(), |dir| attribute(33, &[dir]))
    }

    pub fn attributes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(key) = self.key {
            let mut value = b"rfc4106(gcm(aes))".to_vec();
            value.resize(64, 0);
            value.extend(160_u32.to_le_bytes());
            value.extend(128_u32.to_le_bytes());
            value.extend(key);
            bytes.extend(attribute(18, &value));
        }
        if let Some((sport, dport)) = self.encap {
            let mut value = 2_u16.to_le_bytes().to_vec();
            value.extend(sport.to_be_bytes());
            value.extend(dport.to_be_bytes());
            value.resize(24, 0);
            bytes.extend(attribute(4, &value));
        }
        bytes.extend(self.marks());
        bytes.extend(self.replay());
        bytes.extend(self.dirs());
        bytes
    }

    pub fn sa(&self, kind: u16, flags: u16, seq: u32, pid: u32) -> Vec<u8> {
        message(kind, flags, seq, pid, &[self.info(), self.attributes()].concat())
    }

    /// A NEWSA event.
    pub fn added(&self) -> Vec<u8> {
        self.sa(NEWSA, 0, 1, 0)
    }

    /// An UPDSA event.
    pub fn upd(&self) -> Vec<u8> {
        self.sa(UPDSA, 0, 2, 0)
    }

    /// A part of a dump.
    pub fn dumped(&self, seq: u32, pid: u32) -> Vec<u8> {
        self.sa(NEWSA, MULTI, seq, pid)
    }

    /// A DELSA event.
    pub fn del(&self) -> Vec<u8> {
        let nested = attribute(6, &self.info());
        let body = [self.id(), nested, self.attributes()].concat();
        message(DELSA, 0, 3, 0, &body)
    }

    /// A NEWAE event.
    pub fn ae(&self) -> Vec<u8> {
        self.ae_of(0, 0)
    }

    pub fn ae_of(&self, seq: u32, pid: u32) -> Vec<u8> {
        let (src, _) = address(self.src);
        let mut body = [self.id(), src.to_vec(), vec![0x10, 0, 0, 0]].concat();
        body.extend(self.reqid.to_le_bytes());
        body.extend(self.replay());
        body.extend(self.marks());
        body.extend(self.dirs());
        message(NEWAE, 0, seq, pid, &body)
    }

    /// An EXPIRE event.
    pub fn expire(&self, hard: u8) -> Vec<u8> {
        let mut body = self.info();
        body.extend([hard, 0, 0, 0, 0, 0, 0, 0]);
        body.extend(self.marks());
        message(EXPIRE, 0, 0, 0, &body)
    }
}

pub fn flush(proto: u8) -> Vec<u8> {
    message(FLUSHSA, 0, 4, 0, &[proto, 0, 0, 0])
}

/// The request that begins a dump of everything.
pub fn dump_request(seq: u32, pid: u32) -> Vec<u8> {
    message(GETSA, REQUEST | DUMP, seq, pid, &[])
}

/// The request of `ip xfrm state list`, with a filter.
pub fn filtered_request(seq: u32, pid: u32, family: u16, splen: u8, dplen: u8) -> Vec<u8> {
    let mut value = [0; 36];
    value[32..34].copy_from_slice(&family.to_le_bytes());
    value[34] = splen;
    value[35] = dplen;
    message(GETSA, REQUEST | DUMP, seq, pid, &attribute(26, &value))
}

pub fn done(seq: u32, pid: u32, code: i32) -> Vec<u8> {
    message(DONE, MULTI, seq, pid, &code.to_le_bytes())
}

/// A template: source, destination, protocol, mode, request number.
pub type TemplateSpec = (&'static str, &'static str, u8, u8, u32);

/// A NEWPOLICY event; direction 0 is in, 1 out, 2 forward.
pub fn policy(
    direction: u8,
    selector: [(&str, u8); 2],
    templates: &[TemplateSpec],
    flags: u16,
) -> Vec<u8> {
    let mut body = vec![0; 168];
    let [(src, src_bits), (dst, dst_bits)] = selector;
    let ((src, family), (dst, _)) = (address(src), address(dst));
    body[..16].copy_from_slice(&dst);
    body[16..32].copy_from_slice(&src);
    body[40..42].copy_from_slice(&family.to_le_bytes());
    body[42] = dst_bits;
    body[43] = src_bits;
    body[160] = direction;
    let mut value = Vec::new();
    for (src, dst, proto, mode, reqid) in templates {
        let mut template = [0; 64];
        let ((src, family), (dst, _)) = (address(src), address(dst));
        template[..16].copy_from_slice(&dst);
        template[20] = *proto;
        template[24..26].copy_from_slice(&family.to_le_bytes());
        template[28..44].copy_from_slice(&src);
        template[44..48].copy_from_slice(&reqid.to_le_bytes());
        template[48] = *mode;
        value.extend(template);
    }
    body.extend(attribute(5, &value));
    message(NEWPOLICY, flags, 9, 0, &body)
}

/// A pcap file with the packets, as nlmon gives them.
pub fn pcap(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0];
    file.extend(253_u32.to_le_bytes());
    for data in packets {
        let length = (data.len() as u32 + 16).to_le_bytes();
        file.extend([[1, 0, 0, 0], [2, 0, 0, 0], length, length].concat());
        file.extend(cooked(6));
        file.extend(data);
    }
    file
}

/// nlmon's header.
pub fn cooked(family: u16) -> [u8; 16] {
    let mut header = [0; 16];
    header[1] = 4;
    header[2..4].copy_from_slice(&824_u16.to_be_bytes());
    header[14..].copy_from_slice(&family.to_be_bytes());
    header
}
