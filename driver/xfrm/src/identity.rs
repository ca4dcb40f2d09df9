// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What names an SA, and the small fields that XFRM uses everywhere.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_xfrm::{Address, UserSaId, XFRM_USER_SA_ID_LEN};

use crate::bytes::Bytes;
use crate::error::{Fault, Flaw};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// IPPROTO_ESP.
pub const ESP: u8 = 50;
/// IPPROTO_AH.
pub const AH: u8 = 51;
/// IPPROTO_COMP.
pub const COMP: u8 = 108;
/// IPSEC_PROTO_ANY: ESP, AH and IPComp.
const ANY_IPSEC: u8 = 255;

/// What names an SA in the kernel.
///
/// The SPI alone does not: after a MOBIKE move the same SPI exists with another destination, and
/// several SAs may differ in nothing but their mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SaId {
    /// The outer destination address.
    pub dst: IpAddr,
    /// The SPI in host order; 0 for a larval SA that an ACQUIRE made.
    pub spi: u32,
    /// The IP protocol: 50 ESP, 51 AH, 108 IPComp.
    pub proto: u8,
    /// The mark, zero if there is none.
    pub mark: Mark,
}

impl SaId {
    /// Reads an `xfrm_usersa_id`. The mark is an attribute and comes later.
    pub(crate) fn parse(body: Bytes<'_>) -> Result<(Self, u16, Bytes<'_>), Fault> {
        let (id, rest) = body.fixed(XFRM_USER_SA_ID_LEN, "xfrm_usersa_id", UserSaId::parse)?;
        // The family lies behind address and SPI.
        let dst = address(&id.daddr, id.family, body.offset + 20)?;
        Ok((Self { dst, spi: id.spi, proto: id.proto, mark: Mark::default() }, id.family, rest))
    }
}

impl fmt::Display for SaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:#010x} to {}", protocol_name(self.proto), self.spi, self.dst)?;
        match self.mark {
            Mark { v: 0, m: 0 } => Ok(()),
            Mark { v, m } => write!(f, " mark {v:#x}/{m:#x}"),
        }
    }
}

/// A packet mark and its mask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    /// The value.
    pub v: u32,
    /// The mask.
    pub m: u32,
}

/// Which way an SA's packets go, seen from the captured machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// It decrypts or verifies what arrives.
    In,
    /// It encrypts or signs what leaves.
    Out,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::In => "in",
            Self::Out => "out",
        })
    }
}

/// How packets are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Only the payload is protected.
    Transport,
    /// Whole packets are protected, inside a new one.
    Tunnel,
    /// Route optimisation (2), in-trigger (3), BEET (4), IP-TFS (5), or newer.
    Other(u8),
}

impl From<u8> for Mode {
    fn from(raw: u8) -> Self {
        match raw {
            0 => Self::Transport,
            1 => Self::Tunnel,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport => f.write_str("transport"),
            Self::Tunnel => f.write_str("tunnel"),
            Self::Other(4) => f.write_str("beet"),
            Self::Other(5) => f.write_str("iptfs"),
            Self::Other(other) => write!(f, "mode {other}"),
        }
    }
}

/// "esp", "ah", "comp", or the protocol's number.
pub fn protocol_name(proto: u8) -> Cow<'static, str> {
    match proto {
        ESP => "esp".into(),
        AH => "ah".into(),
        COMP => "comp".into(),
        other => other.to_string().into(),
    }
}

/// The kernel's rule of which SAs a flush or a dump of `wanted` means.
pub fn protocol_matches(proto: u8, wanted: u8) -> bool {
    match wanted {
        0 => true,
        ANY_IPSEC => matches!(proto, ESP | AH | COMP),
        wanted => proto == wanted,
    }
}

/// An address of a known family; `at` is where the family stands.
pub(crate) fn address(raw: &Address, family: u16, at: usize) -> Result<IpAddr, Fault> {
    known_address(raw, family).ok_or_else(|| Flaw::Family(family).at(at))
}

/// An address, unless the family is neither of IP's.
pub(crate) fn known_address(raw: &Address, family: u16) -> Option<IpAddr> {
    match family {
        AF_INET => {
            let [a, b, c, d, ..] = raw.addr;
            Some(Ipv4Addr::new(a, b, c, d).into())
        }
        AF_INET6 => Some(Ipv6Addr::from(raw.addr).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flush_protocols_match_as_the_kernel_does() {
        let matched = |wanted| [ESP, AH, COMP, 43].map(|proto| protocol_matches(proto, wanted));
        assert_eq!(matched(0), [true, true, true, true]);
        assert_eq!(matched(255), [true, true, true, false]);
        assert_eq!(matched(ESP), [true, false, false, false]);
    }

    #[test]
    fn names() {
        let mark = Mark { v: 0x10, m: 0xff };
        let id = SaId { dst: Ipv4Addr::LOCALHOST.into(), spi: 0x1b01, proto: AH, mark };
        assert_eq!(id.to_string(), "ah 0x00001b01 to 127.0.0.1 mark 0x10/0xff");
        assert_eq!(protocol_name(43), "43");
        assert_eq!(Mode::from(4).to_string(), "beet");
    }
}
