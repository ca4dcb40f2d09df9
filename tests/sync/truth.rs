// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the kernel says of its SAs, and what a device has to show for them.

use super::wire::{self, all_messages, attributes, messages, records, u16_at, u32_at};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of `xfrm_usersa_info`.
const INFO: usize = 224;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aead {
    pub name: Vec<u8>,
    /// Key and salt.
    pub key: Vec<u8>,
    pub icv_bits: u32,
}

/// An SA as the kernel spells it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sa {
    pub spi: u32,
    pub proto: u8,
    pub src: IpAddr,
    pub dst: IpAddr,
    pub mode: u8,
    pub esn: bool,
    /// `XFRMA_SA_DIR`: 1 in, 2 out, 0 not told.
    pub dir: u8,
    pub aead: Option<Aead>,
    /// Whether it has algorithms of another kind.
    pub others: bool,
    pub encap: Option<(u16, u16, u16)>,
    pub window: u32,
    pub out: u64,
    pub inn: u64,
}

pub fn address(data: &[u8], at: usize, family: u16) -> Option<IpAddr> {
    let bytes: [u8; 16] = *data.get(at..)?.first_chunk()?;
    match family {
        2 => Some(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into()),
        10 => Some(Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

/// Both numbers of `XFRMA_REPLAY_ESN_VAL`, out and in, and its window.
pub fn replay_esn(value: &[u8]) -> Option<(u64, u64, u32)> {
    let word = |k: usize| u32_at(value, 4 * k).map(u64::from);
    Some((word(3)? << 32 | word(1)?, word(4)? << 32 | word(2)?, u32_at(value, 20)?))
}

/// Both numbers of `XFRMA_REPLAY_VAL`, out and in.
pub fn replay_legacy(value: &[u8]) -> Option<(u64, u64)> {
    Some((u32_at(value, 0)?.into(), u32_at(value, 4)?.into()))
}

fn aead(value: &[u8]) -> Option<Aead> {
    let name = value.get(..64)?.split(|byte| *byte == 0).next()?.to_vec();
    let length = u32_at(value, 64)?.div_ceil(8) as usize;
    Some(Aead {
        name,
        key: value.get(72..72usize.checked_add(length)?)?.to_vec(),
        icv_bits: u32_at(value, 68)?,
    })
}

/// Reads the body of a NEWSA or an UPDSA.
pub fn sa(body: &[u8]) -> Option<Sa> {
    let family = u16_at(body, 212)?;
    let mut sa = Sa {
        spi: u32::from_be_bytes(*body.get(72..)?.first_chunk()?),
        proto: *body.get(76)?,
        src: address(body, 80, family)?,
        dst: address(body, 56, family)?,
        mode: *body.get(214)?,
        esn: body.get(216)? & 0x80 != 0,
        dir: 0,
        aead: None,
        others: false,
        encap: None,
        window: (*body.get(215)?).into(),
        out: 0,
        inn: 0,
    };
    let mut with_esn = false;
    for (kind, value) in attributes(body.get(INFO..)?) {
        match kind {
            1 | 2 | 3 | 20 => sa.others = true,
            4 => {
                let port = |at: usize| u16_at(value, at).map(u16::swap_bytes);
                sa.encap = Some((u16_at(value, 0)?, port(2)?, port(4)?));
            }
            10 if !with_esn => (sa.out, sa.inn) = replay_legacy(value)?,
            18 => sa.aead = Some(aead(value)?),
            23 => {
                with_esn = true;
                (sa.out, sa.inn, sa.window) = replay_esn(value)?;
            }
            33 => sa.dir = *value.first()?,
            _ => {}
        }
    }
    if !sa.esn {
        (sa.out, sa.inn) = (sa.out & 0xFFFF_FFFF, sa.inn & 0xFFFF_FFFF);
    }
    Some(sa)
}

impl Sa {
    pub fn is_larval(&self) -> bool {
        self.aead.is_none() && !self.others
    }

    /// What the device calls the algorithm, if it has it.
    pub fn algorithm(&self) -> Option<String> {
        let aead = self.aead.as_ref()?;
        let bits = 8 * aead.key.len().checked_sub(4)?;
        let kind = match aead.name.as_slice() {
            b"rfc4106(gcm(aes))" if self.proto == 50 => "gcm",
            b"rfc4543(gcm(aes))" if aead.icv_bits == 128 => "gmac",
            _ => return None,
        };
        let offered = matches!(bits, 128 | 192 | 256) && matches!(aead.icv_bits, 64 | 96 | 128);
        offered.then(|| format!("aes-{kind}-{bits}/{}", aead.icv_bits / 8))
    }

    /// Whether a device can hold it.
    pub fn is_supported(&self) -> bool {
        self.algorithm().is_some()
            && matches!(self.proto, 50 | 51)
            && self.mode <= 1
            && self.window <= 4096
            && self.encap.is_none_or(|(kind, _, _)| kind == 2)
    }

    /// Whether packets of it leave the machine that has these addresses.
    pub fn is_out(&self, locals: &[IpAddr]) -> Option<bool> {
        match (self.dir, locals.contains(&self.src), locals.contains(&self.dst)) {
            (1, _, _) | (0, false, true) => Some(false),
            (2, _, _) | (0, true, false) => Some(true),
            _ => None,
        }
    }

    pub fn top(&self, out: bool) -> u64 {
        if out { self.out } else { self.inn }
    }

    pub fn protocol(&self) -> String {
        match self.proto {
            50 => "esp".to_owned(),
            51 => "ah".to_owned(),
            108 => "comp".to_owned(),
            other => other.to_string(),
        }
    }

    /// As `esnic sync --json` has to show it.
    pub fn json(&self, out: bool) -> Value {
        let top = self.top(out);
        json!({
            "spi": format!("{:#010x}", self.spi),
            "proto": self.protocol(),
            "src": self.src.to_string(),
            "dst": self.dst.to_string(),
            "mode": if self.mode == 1 { "tunnel" } else { "transport" },
            "dir": if out { "out" } else { "in" },
            "algorithm": self.algorithm(),
            "esn": self.esn,
            "esn_hi": top >> 32,
            "seq_lo": top & 0xFFFF_FFFF,
            "replay_window": self.window,
        })
    }
}

/// A complete dump of the kernel's SAs.
pub struct Dump {
    /// The packet that holds its NLMSG_DONE.
    pub packet: u64,
    pub sas: Vec<Sa>,
}

/// A dump that is asked for and not yet at its end.
struct Asked {
    seq: u32,
    kind: u16,
    /// The requester's port, known from the first reply on.
    pid: Option<u32>,
    sas: Vec<Sa>,
}

/// All dumps of SAs in a capture.
pub fn dumps(file: &[u8]) -> Vec<Dump> {
    let mut done = Vec::new();
    let mut open: Vec<Asked> = Vec::new();
    for record in records(file) {
        for message in messages(record.data) {
            let wire::Message { kind, flags, seq, pid, body } = message;
            if flags & (wire::REQUEST | wire::DUMP) == wire::REQUEST | wire::DUMP {
                if matches!(kind, wire::GETSA | wire::GETPOLICY) {
                    open.push(Asked { seq, kind, pid: None, sas: Vec::new() });
                }
                continue;
            }
            if flags & wire::MULTI == 0 {
                continue;
            }
            let mine = |asked: &Asked| asked.seq == seq && asked.pid.is_none_or(|port| port == pid);
            match (kind, open.iter().position(mine)) {
                (wire::NEWSA, Some(place)) => {
                    open[place].pid = Some(pid);
                    open[place].sas.push(sa(body).unwrap());
                }
                (wire::NEWPOLICY, Some(place)) => open[place].pid = Some(pid),
                (wire::DONE, Some(place)) => {
                    let asked = open.remove(place);
                    if asked.kind == wire::GETSA {
                        done.push(Dump { packet: record.number, sas: asked.sas });
                    }
                }
                _ => panic!("part of a dump that nobody asked for: {message:?}"),
            }
        }
    }
    assert!(open.is_empty(), "a dump without an end");
    done
}

/// Every SA that any message spells out, requests included.
pub fn spelled(file: &[u8]) -> Vec<Sa> {
    let messages = all_messages(file).into_iter();
    let kinds = [wire::NEWSA, wire::UPDSA];
    let spelling = messages.filter(|message| kinds.contains(&message.kind));
    spelling.filter_map(|message| sa(message.body)).collect()
}

/// Every key in a capture, of whatever algorithm, as the attributes have them.
pub fn keys(file: &[u8]) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    for message in all_messages(file) {
        // Where attributes begin, for the messages that have keys.
        let begin = match message.kind {
            wire::NEWSA | wire::UPDSA => INFO,
            wire::DELSA => 24,
            _ => continue,
        };
        for (kind, value) in attributes(message.body.get(begin..).unwrap_or_default()) {
            // Name, length in bits, and for some one more word before the key.
            let from = match kind {
                1 | 2 => 68,
                18 | 20 => 72,
                _ => continue,
            };
            keys.push(value[from..].to_vec());
        }
    }
    keys.retain(|key| !key.is_empty());
    keys.sort();
    keys.dedup();
    keys
}
