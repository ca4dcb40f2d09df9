// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The bodies of XFRM messages.

use std::net::IpAddr;

use netlink_packet_xfrm::constants::{XFRMA_ADDRESS_FILTER, XFRMA_PROTO};
use netlink_packet_xfrm::{
    AddressFilter, AsyncEventId, UserMapping, XFRM_ASYNC_EVENT_ID_LEN, XFRM_USER_MAPPING_LEN,
    XFRM_USER_POLICY_ID_LEN, XFRM_USER_SA_INFO_LEN,
};

use crate::attr::Attributes;
use crate::bytes::Bytes;
use crate::error::Fault;
use crate::extras::Extras;
use crate::identity::{Direction, SaId, address};
use crate::policy::Policy;
use crate::replay::ReplayState;
use crate::sa::{Info, Sa};

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// NEWSA and UPDSA.
    Sa(Box<Sa>),
    /// DELSA.
    DelSa(DelSa),
    /// FLUSHSA: one message for all SAs of a protocol (see [`crate::protocol_matches`]).
    Flush {
        /// The protocol, 0 for all.
        proto: u8,
    },
    /// EXPIRE.
    Expire(Expire),
    /// NEWAE.
    Ae(Ae),
    /// NEWPOLICY, UPDPOLICY, and POLEXPIRE.
    Policy(Policy),
    /// DELPOLICY; only the kernel's event carries the policy.
    DelPolicy(Option<Policy>),
    /// FLUSHPOLICY.
    FlushPolicy,
    /// MAPPING: a peer behind a NAT has moved. It does not change the SA.
    Mapping(Mapping),
    /// ACQUIRE: a negotiation is wanted.
    Acquire,
    /// MIGRATE: SAs have moved, without a word about which.
    Migrate,
    /// A GETSA request.
    GetSa(GetSa),
    /// An ALLOCSPI request.
    AllocSpi {
        /// Where packets with the new SPI will go.
        dst: IpAddr,
        /// The protocol of the new SPI.
        proto: u8,
    },
    /// A GETPOLICY request.
    GetPolicy {
        /// Whether all policies are asked for.
        dump: bool,
    },
    /// A GETAE request.
    GetAe(SaId),
    /// The end of a dump.
    Done {
        /// 0, or a negative error number.
        code: i32,
    },
    /// The answer to a request, which is not repeated here: it may hold keys.
    Error {
        /// 0 for an acknowledgement, or a negative error number.
        code: i32,
        /// The type of the message that is answered, 0 if that is cut off.
        of: u16,
    },
    /// The kernel lost messages.
    Overrun,
    /// A type that does not concern SAs, or a request that the kernel cannot read either.
    Other(u16),
}

/// An SA that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DelSa {
    /// What named it.
    pub id: SaId,
    /// Its last sequence numbers; requests do not have them.
    pub last: Option<ReplayState>,
}

/// A limit that an SA has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expire {
    /// What names the SA.
    pub id: SaId,
    /// Its outer source address.
    pub src: IpAddr,
    /// Whether the SA is gone with this message; no DELSA follows.
    pub hard: bool,
}

/// An SA's replay state at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ae {
    /// What names the SA.
    pub id: SaId,
    /// Its outer source address.
    pub src: IpAddr,
    /// `XFRM_AE_*`: why it is told.
    pub flags: u32,
    /// The SA's request number.
    pub reqid: u32,
    /// From `XFRMA_SA_DIR`.
    pub direction: Option<Direction>,
    /// The state, if it is included.
    pub replay: Option<ReplayState>,
}

/// A peer's new address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// What names the SA.
    pub id: SaId,
    /// Where its packets came from before.
    pub old: (IpAddr, u16),
    /// Where they come from now.
    pub new: (IpAddr, u16),
}

/// Which SAs are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetSa {
    /// This one.
    One(SaId),
    /// All.
    Dump {
        /// Whether an address filter or a protocol leaves some of them out.
        limited: bool,
    },
}

impl DelSa {
    pub(crate) fn parse(body: Bytes<'_>) -> Result<Self, Fault> {
        let (id, _, attributes) = SaId::parse(body)?;
        let extras = Extras::parse(attributes)?;
        Ok(Self { id: SaId { mark: extras.mark, ..id }, last: extras.replay })
    }
}

impl Expire {
    /// 224 bytes, the flag, and seven bytes of padding; Linux 6.10 and later add attributes.
    pub(crate) fn parse(body: Bytes<'_>) -> Result<Self, Fault> {
        const WHAT: &str = "xfrm_user_expire";
        let (info, _) = Info::parse(body)?;
        let (_, rest) = body.split(XFRM_USER_SA_INFO_LEN, WHAT)?;
        let (hard, attributes) = rest.split(8, WHAT)?;
        let extras = Extras::parse(attributes)?;
        let id = SaId { mark: extras.mark, ..info.id };
        Ok(Self { id, src: info.src, hard: hard.u8(WHAT)? != 0 })
    }
}

impl Ae {
    pub(crate) fn parse(body: Bytes<'_>) -> Result<Self, Fault> {
        let (id, family, _) = SaId::parse(body)?;
        let parse = AsyncEventId::parse;
        let (raw, attributes) = body.fixed(XFRM_ASYNC_EVENT_ID_LEN, "xfrm_aevent_id", parse)?;
        let src = address(&raw.saddr, family, body.offset + 20)?;
        let extras = Extras::parse(attributes)?;
        Ok(Self {
            id: SaId { mark: extras.mark, ..id },
            src,
            flags: raw.flags,
            reqid: raw.reqid,
            direction: extras.direction,
            replay: extras.replay,
        })
    }
}

impl Mapping {
    pub(crate) fn parse(body: Bytes<'_>) -> Result<Self, Fault> {
        let (id, family, _) = SaId::parse(body)?;
        let parse = UserMapping::parse;
        let (raw, _) = body.fixed(XFRM_USER_MAPPING_LEN, "xfrm_user_mapping", parse)?;
        let old = address(&raw.old_saddr, family, body.offset + 20)?;
        let new = address(&raw.new_saddr, family, body.offset + 20)?;
        Ok(Self { id, old: (old, raw.old_sport), new: (new, raw.new_sport) })
    }
}

impl GetSa {
    pub(crate) fn parse(body: Bytes<'_>, dump: bool) -> Result<Self, Fault> {
        if dump {
            Ok(Self::Dump { limited: is_limited(body) })
        } else {
            Ok(Self::One(SaId::parse(body)?.0))
        }
    }
}

/// Whether a dump request asks for less than everything.
///
/// Its attributes follow the netlink header at once, without the `xfrm_usersa_id` that all other
/// GETSA requests have. `ip xfrm state` always sends a filter, but an empty one.
fn is_limited(body: Bytes<'_>) -> bool {
    let filter = Attributes::new(body).last_readable(XFRMA_ADDRESS_FILTER);
    let proto = Attributes::new(body).last_readable(XFRMA_PROTO);
    let by_address = filter.is_some_and(|value| match AddressFilter::parse(value.data) {
        // A family other than IP's is no limit to the kernel.
        Ok(filter) => filter.splen != 0 || filter.dplen != 0 || matches!(filter.family, 2 | 10),
        Err(_) => true,
    });
    by_address || proto.is_some_and(|value| value.data.first() != Some(&0))
}

/// An ALLOCSPI request: an SA's fixed part, then the range for the SPI.
pub(crate) fn alloc_spi(body: Bytes<'_>) -> Result<Body, Fault> {
    let (info, _) = Info::parse(body)?;
    Ok(Body::AllocSpi { dst: info.id.dst, proto: info.id.proto })
}

/// A DELPOLICY: `xfrm_userpolicy_id`, which tells nothing about SAs, and attributes.
pub(crate) fn del_policy(body: Bytes<'_>) -> Result<Body, Fault> {
    let (_, attributes) = body.split(XFRM_USER_POLICY_ID_LEN, "xfrm_userpolicy_id")?;
    Ok(Body::DelPolicy(Policy::parse_deleted(attributes)?))
}
