// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Netlink framing: a packet's bytes into typed messages.

use std::hash::DefaultHasher;
use std::hash::Hasher as _;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_FILTERED, NLM_F_DUMP_INTR, NLM_F_MULTIPART, NLM_F_REQUEST, NLMSG_DONE,
    NLMSG_ERROR, NLMSG_OVERRUN,
};
use netlink_packet_xfrm::constants::{
    XFRM_MSG_ACQUIRE, XFRM_MSG_ALLOCSPI, XFRM_MSG_DELPOLICY, XFRM_MSG_DELSA, XFRM_MSG_EXPIRE,
    XFRM_MSG_FLUSHPOLICY, XFRM_MSG_FLUSHSA, XFRM_MSG_GETAE, XFRM_MSG_GETPOLICY, XFRM_MSG_GETSA,
    XFRM_MSG_MAPPING, XFRM_MSG_MIGRATE, XFRM_MSG_NEWAE, XFRM_MSG_NEWPOLICY, XFRM_MSG_NEWSA,
    XFRM_MSG_POLEXPIRE, XFRM_MSG_UPDPOLICY, XFRM_MSG_UPDSA,
};

use crate::body::{self, Ae, Body, DelSa, Expire, GetSa, Mapping};
use crate::bytes::Bytes;
use crate::error::{Error, Fault, Flaw};
use crate::identity::SaId;
use crate::policy::Policy;
use crate::sa::Sa;

pub(crate) const HEADER: usize = 16;

/// A netlink message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The netlink header.
    pub header: Header,
    /// Where the message begins in the packet's netlink data.
    pub offset: usize,
    /// What it says.
    pub body: Body,
    /// Tells copies of one message from different messages.
    pub(crate) digest: u64,
}

/// A netlink header, its length left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// The message type: `XFRM_MSG_*`, or one of netlink's own below 16.
    pub kind: u16,
    /// `NLM_F_*` flags.
    pub flags: u16,
    /// The sequence number; the kernel copies that of the request.
    pub seq: u32,
    /// The port; the kernel's events copy that of the request header, its replies have the
    /// requester's true one, and what it does on its own has 0.
    pub pid: u32,
}

impl Header {
    /// Whether user space sent it.
    pub fn is_request(&self) -> bool {
        self.flags & NLM_F_REQUEST != 0
    }

    /// Whether it is part of a dump.
    pub fn is_multipart(&self) -> bool {
        self.flags & NLM_F_MULTIPART != 0
    }

    /// Whether the kernel admits that the dump misses something: the table changed under it, or
    /// a filter applied.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.flags & (NLM_F_DUMP_INTR | NLM_F_DUMP_FILTERED) != 0
    }

    /// Reads the header at the front of a message and gives the rest.
    fn parse(message: Bytes<'_>) -> Result<(Self, Bytes<'_>), Fault> {
        const WHAT: &str = "the netlink header";
        let field = |at: usize| message.split(at, WHAT).map(|(_, rest)| rest);
        let header = Self {
            kind: field(4)?.u16(WHAT)?,
            flags: field(6)?.u16(WHAT)?,
            seq: field(8)?.u32(WHAT)?,
            pid: field(12)?.u32(WHAT)?,
        };
        Ok((header, field(HEADER)?))
    }

    fn is_dump_request(&self) -> bool {
        // Either of the two bits will do for the kernel.
        self.flags & NLM_F_DUMP != 0
    }
}

impl Message {
    /// Reads the message at the front; its length field has been checked.
    fn parse(message: Bytes<'_>) -> Result<Self, Fault> {
        let (header, content) = Header::parse(message)?;
        let body = match parse_body(header, content) {
            Ok(body) => body,
            // User space may send what it likes; the kernel refuses it, and so nothing happens.
            Err(_) if header.is_request() => Body::Other(header.kind),
            Err(fault) => return Err(fault),
        };
        let mut hasher = DefaultHasher::new();
        hasher.write(message.data);
        Ok(Self { header, offset: message.offset, body, digest: hasher.finish() })
    }
}

fn parse_body(header: Header, content: Bytes<'_>) -> Result<Body, Fault> {
    let request = header.is_request();
    Ok(match header.kind {
        XFRM_MSG_NEWSA | XFRM_MSG_UPDSA => Body::Sa(Box::new(Sa::parse(content)?)),
        XFRM_MSG_DELSA => Body::DelSa(DelSa::parse(content)?),
        XFRM_MSG_FLUSHSA => Body::Flush { proto: content.u8("xfrm_usersa_flush")? },
        XFRM_MSG_EXPIRE => Body::Expire(Expire::parse(content)?),
        XFRM_MSG_NEWAE => Body::Ae(Ae::parse(content)?),
        XFRM_MSG_NEWPOLICY | XFRM_MSG_UPDPOLICY => Body::Policy(Policy::parse(content, 0)?),
        XFRM_MSG_POLEXPIRE => Body::Policy(Policy::parse(content, 8)?),
        XFRM_MSG_DELPOLICY => body::del_policy(content)?,
        XFRM_MSG_FLUSHPOLICY => Body::FlushPolicy,
        XFRM_MSG_MAPPING => Body::Mapping(Mapping::parse(content)?),
        XFRM_MSG_ACQUIRE => Body::Acquire,
        XFRM_MSG_MIGRATE => Body::Migrate,
        XFRM_MSG_GETSA if request => Body::GetSa(GetSa::parse(content, header.is_dump_request())?),
        XFRM_MSG_ALLOCSPI if request => body::alloc_spi(content)?,
        XFRM_MSG_GETPOLICY if request => Body::GetPolicy { dump: header.is_dump_request() },
        XFRM_MSG_GETAE if request => Body::GetAe(SaId::parse(content)?.0),
        // Old kernels end a dump without a code.
        NLMSG_DONE if content.len() < 4 => Body::Done { code: 0 },
        NLMSG_DONE => Body::Done { code: content.u32("the code of NLMSG_DONE")? as i32 },
        NLMSG_ERROR => {
            let code = content.u32("the code of NLMSG_ERROR")? as i32;
            let of = content.split(8, "").ok().and_then(|(_, rest)| rest.u16("").ok());
            Body::Error { code, of: of.unwrap_or(0) }
        }
        NLMSG_OVERRUN => Body::Overrun,
        other => Body::Other(other),
    })
}

/// The messages of a packet; an error is the last item.
#[derive(Clone)]
pub struct Messages<'a> {
    packet: u64,
    offset: u64,
    rest: Bytes<'a>,
    after_request: bool,
}

impl<'a> Messages<'a> {
    pub(crate) fn new(packet: u64, offset: u64, data: &'a [u8]) -> Self {
        Self { packet, offset, rest: Bytes::new(data, 0), after_request: false }
    }

    /// Cuts the next message off, its padding included.
    fn frame(&mut self) -> Option<Result<Bytes<'a>, Fault>> {
        let Bytes { data, offset } = self.rest;
        let left = data.len();
        if left == 0 {
            return None;
        }
        let length = match data.first_chunk::<HEADER>() {
            Some(header) => u32::from_le_bytes([header[0], header[1], header[2], header[3]]),
            // The kernel stops reading a request there, and so does this.
            None if self.after_request => return None,
            None => return Some(Err(Flaw::HeaderCut { left }.at(offset))),
        };
        let end = usize::try_from(length).unwrap_or(usize::MAX);
        if end < HEADER && self.after_request {
            return None;
        }
        if end < HEADER || end > left {
            return Some(Err(Flaw::MessageLength { length, left }.at(offset)));
        }
        // The last message's padding may be absent.
        let next = end.next_multiple_of(4).min(left);
        self.rest = Bytes::new(&data[next..], offset + next);
        Some(Ok(Bytes::new(&data[..end], offset)))
    }

    /// The headers and contents alone, as far as they can be read; no key is copied.
    pub(crate) fn headers(mut self) -> impl Iterator<Item = (Header, &'a [u8])> {
        std::iter::from_fn(move || {
            let (header, content) = Header::parse(self.frame()?.ok()?).ok()?;
            Some((header, content.data))
        })
    }

    fn finish(&mut self) {
        self.rest = Bytes::new(&[], 0);
    }
}

impl Iterator for Messages<'_> {
    type Item = Result<Message, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(frame) = self.frame() else {
            self.finish();
            return None;
        };
        match frame.and_then(Message::parse) {
            Ok(message) => {
                self.after_request = message.header.is_request();
                Some(Ok(message))
            }
            Err(fault) => {
                self.finish();
                Some(Err(Error::Message { packet: self.packet, offset: self.offset, fault }))
            }
        }
    }
}

/// Shows no bytes: they may hold keys.
impl std::fmt::Debug for Messages<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Messages").field("packet", &self.packet).finish_non_exhaustive()
    }
}
