// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Policies: which traffic needs which SAs, and in which direction.

use std::net::IpAddr;

use netlink_packet_xfrm::constants::{XFRMA_POLICY, XFRMA_TMPL};
use netlink_packet_xfrm::{
    Selector as RawSelector, UserPolicyInfo, UserTemplate, XFRM_USER_POLICY_INFO_LEN,
    XFRM_USER_TEMPLATE_LEN,
};

use crate::attr::Attributes;
use crate::bytes::Bytes;
use crate::error::Fault;
use crate::identity::{Mode, known_address};

/// A policy, as far as it tells anything about SAs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Which traffic it is for.
    pub direction: PolicyDirection,
    /// The addresses it is for; `None` if it is for every family.
    pub selector: Option<Selector>,
    /// The SAs that it needs, outermost last.
    pub templates: Vec<Template>,
}

/// Where in the stack a policy applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyDirection {
    /// To packets for this machine.
    In,
    /// To packets that leave.
    Out,
    /// To packets that pass through, after they were decrypted.
    Forward,
    /// Socket policies (3 and above), and nothing that is known.
    Other(u8),
}

impl From<u8> for PolicyDirection {
    fn from(raw: u8) -> Self {
        match raw {
            0 => Self::In,
            1 => Self::Out,
            2 => Self::Forward,
            other => Self::Other(other),
        }
    }
}

/// The addresses of a policy's traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    /// Source addresses.
    pub src: Prefix,
    /// Destination addresses.
    pub dst: Prefix,
}

/// An address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// The address.
    pub address: IpAddr,
    /// How many leading bits count.
    pub length: u8,
}

impl Prefix {
    /// The prefix that holds this one address.
    pub fn host(address: IpAddr) -> Self {
        Self { address, length: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// Whether it holds exactly one address.
    pub fn is_host(&self) -> bool {
        *self == Self::host(self.address)
    }

    /// Whether it holds the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (ours, theirs, width) = match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (u128::from(ours.to_bits()), u128::from(theirs.to_bits()), 32)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits(), theirs.to_bits(), 128),
            _ => return false,
        };
        let ignored = u32::saturating_sub(width, self.length.into());
        // A shift by all 128 bits leaves nothing to differ.
        (ours ^ theirs).checked_shr(ignored).unwrap_or(0) == 0
    }
}

/// An SA that a policy needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    /// The outer source, unspecified if any will do.
    pub src: IpAddr,
    /// The outer destination, unspecified if any will do.
    pub dst: IpAddr,
    /// ESP, AH, or IPComp.
    pub proto: u8,
    /// Transport or tunnel.
    pub mode: Mode,
    /// Ties it to SAs of the same number; 0 ties it to none.
    pub reqid: u32,
}

impl Policy {
    /// Reads `xfrm_userpolicy_info`, `between` bytes that do not matter, and attributes.
    pub(crate) fn parse(body: Bytes<'_>, between: usize) -> Result<Self, Fault> {
        let (info, rest) = info(body)?;
        let (_, attributes) = rest.split(between, "xfrm_user_polexpire")?;
        Self::with(&info, attributes)
    }

    /// Reads the policy that a DELPOLICY event carries in an attribute; requests carry none.
    pub(crate) fn parse_deleted(attributes: Bytes<'_>) -> Result<Option<Self>, Fault> {
        let mut deleted = None;
        for attribute in Attributes::new(attributes) {
            let attribute = attribute?;
            if attribute.kind == XFRMA_POLICY {
                deleted = Some(info(attribute.value)?.0);
            }
        }
        deleted.map(|info| Self::with(&info, attributes)).transpose()
    }

    fn with(info: &UserPolicyInfo, attributes: Bytes<'_>) -> Result<Self, Fault> {
        let mut templates = Vec::new();
        for attribute in Attributes::new(attributes) {
            let attribute = attribute?;
            if attribute.kind == XFRMA_TMPL {
                templates = self::templates(attribute.value)?;
            }
        }
        Ok(Self { direction: info.direction.into(), selector: selector(&info.selector), templates })
    }
}

fn info(body: Bytes<'_>) -> Result<(UserPolicyInfo, Bytes<'_>), Fault> {
    body.fixed(XFRM_USER_POLICY_INFO_LEN, "xfrm_userpolicy_info", UserPolicyInfo::parse)
}

fn selector(raw: &RawSelector) -> Option<Selector> {
    let src = known_address(&raw.saddr, raw.family)?;
    let dst = known_address(&raw.daddr, raw.family)?;
    Some(Selector {
        src: Prefix { address: src, length: raw.prefixlen_s },
        dst: Prefix { address: dst, length: raw.prefixlen_d },
    })
}

fn templates(mut value: Bytes<'_>) -> Result<Vec<Template>, Fault> {
    let mut templates = Vec::new();
    while value.len() > 0 {
        let parse = UserTemplate::parse;
        let (raw, rest) = value.fixed(XFRM_USER_TEMPLATE_LEN, "xfrm_user_tmpl", parse)?;
        value = rest;
        let src = known_address(&raw.saddr, raw.family);
        let dst = known_address(&raw.id.daddr, raw.family);
        // A template without a family cannot tell anything about addresses.
        if let (Some(src), Some(dst)) = (src, dst) {
            let mode = raw.mode.into();
            templates.push(Template { src, dst, proto: raw.id.proto, mode, reqid: raw.reqid });
        }
    }
    Ok(templates)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str, length: u8) -> Prefix {
        Prefix { address: text.parse().unwrap(), length }
    }

    #[test]
    fn prefixes_hold_what_their_bits_say() {
        assert!(prefix("10.9.0.0", 24).contains("10.9.0.77".parse().unwrap()));
        assert!(!prefix("10.9.0.0", 24).contains("10.9.1.77".parse().unwrap()));
        assert!(prefix("0.0.0.0", 0).contains("255.1.2.3".parse().unwrap()));
        assert!(!prefix("0.0.0.0", 0).contains("::1".parse().unwrap()));
        assert!(prefix("::", 0).contains("fd09::1".parse().unwrap()));
        assert!(prefix("fd09::1", 128).contains("fd09::1".parse().unwrap()));
        assert!(!prefix("fd09::1", 128).contains("fd09::2".parse().unwrap()));
        // A damaged length counts as the whole address.
        assert!(!prefix("10.0.0.1", 200).contains("10.0.0.2".parse().unwrap()));
    }
}
