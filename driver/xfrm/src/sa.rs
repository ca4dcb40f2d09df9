// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One SA as the kernel reports it.

use std::net::IpAddr;

use netlink_packet_xfrm::constants::XFRM_STATE_ESN;
use netlink_packet_xfrm::{UserSaInfo, XFRM_USER_SA_INFO_LEN};

use crate::algorithm::Algorithm;
use crate::bytes::Bytes;
use crate::error::Fault;
use crate::extras::Extras;
use crate::identity::{Direction, Mark, Mode, SaId, address};
use crate::replay::Replay;

/// An SA: `xfrm_usersa_info` and its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sa {
    /// What names it.
    pub id: SaId,
    /// The outer source address.
    pub src: IpAddr,
    /// The address family: 2 IPv4, 10 IPv6.
    pub family: u16,
    /// Transport or tunnel.
    pub mode: Mode,
    /// Ties it to policies; 0 ties it to none.
    pub reqid: u32,
    /// The XFRM interface, 0 for none.
    pub if_id: u32,
    /// `XFRM_STATE_*` flags.
    pub flags: u8,
    /// `XFRM_SA_XFLAG_*` flags.
    pub extra_flags: u32,
    /// Whether its sequence numbers have 64 bits.
    pub esn: bool,
    /// From `XFRMA_SA_DIR` alone; older kernels do not say.
    pub direction: Option<Direction>,
    /// What it computes with.
    pub algorithm: Algorithm,
    /// UDP or TCP around ESP.
    pub encap: Option<Encap>,
    /// The size of the replay window in packets; 0 for none.
    pub replay_window: u32,
    /// Its sequence numbers.
    pub replay: Replay,
    /// The device that the kernel itself offloads it to.
    pub offload: Option<Offload>,
}

/// What ESP is wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Encap {
    /// 2 for UDP, 7 for TCP.
    pub kind: u16,
    /// The source port.
    pub sport: u16,
    /// The destination port.
    pub dport: u16,
}

/// A device that the kernel offloads an SA to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Offload {
    /// The device's interface index.
    pub ifindex: i32,
    /// 2 inbound, 4 packet offload.
    pub flags: u8,
}

impl Sa {
    /// Whether it is a place-holder without an algorithm: an SPI that is allocated but not in use,
    /// or a negotiation under way.
    pub fn is_larval(&self) -> bool {
        self.algorithm == Algorithm::None
    }

    /// The same SA with its key left out.
    pub fn without_key(&self) -> Self {
        // Not `..self.clone()`: that would copy the key first.
        Self { algorithm: self.algorithm.without_key(), ..*self }
    }

    /// Reads `xfrm_usersa_info` and the attributes behind it.
    ///
    /// Attributes are sought right behind the 224 bytes that every kernel so far sends.
    pub(crate) fn parse(body: Bytes<'_>) -> Result<Self, Fault> {
        let (info, attributes) = Info::parse(body)?;
        let extras = Extras::parse(attributes)?;
        Ok(info.with(extras))
    }
}

/// The fixed part of an SA.
pub(crate) struct Info {
    pub(crate) id: SaId,
    pub(crate) src: IpAddr,
    raw: UserSaInfo,
}

impl Info {
    pub(crate) fn parse(body: Bytes<'_>) -> Result<(Self, Bytes<'_>), Fault> {
        const FAMILY: usize = 212;
        let parse = UserSaInfo::parse;
        let (raw, rest) = body.fixed(XFRM_USER_SA_INFO_LEN, "xfrm_usersa_info", parse)?;
        let dst = address(&raw.id.daddr, raw.family, body.offset + FAMILY)?;
        let src = address(&raw.saddr, raw.family, body.offset + FAMILY)?;
        let id = SaId { dst, spi: raw.id.spi, proto: raw.id.proto, mark: Mark::default() };
        Ok((Self { id, src, raw }, rest))
    }

    fn with(self, extras: Extras) -> Sa {
        let Self { id, src, raw } = self;
        let esn = raw.flags & XFRM_STATE_ESN != 0;
        let state = extras.replay;
        let mut replay = state.map(|state| state.replay).unwrap_or_default();
        if !esn {
            replay = replay.low();
        }
        Sa {
            id: SaId { mark: extras.mark, ..id },
            src,
            family: raw.family,
            mode: raw.mode.into(),
            reqid: raw.reqid,
            if_id: extras.if_id,
            flags: raw.flags,
            extra_flags: extras.extra_flags,
            esn,
            direction: extras.direction,
            algorithm: extras.algorithm,
            encap: extras.encap,
            // With an ESN attribute the body's byte, too small for it, is 0.
            replay_window: state
                .and_then(|state| state.window)
                .unwrap_or_else(|| raw.replay_window.into()),
            replay,
            offload: extras.offload,
        }
    }
}
