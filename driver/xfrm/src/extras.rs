// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The attributes that describe an SA, wherever they occur.

use netlink_packet_xfrm::constants::{
    XFRMA_ALG_AEAD, XFRMA_ALG_AUTH, XFRMA_ALG_AUTH_TRUNC, XFRMA_ALG_COMP, XFRMA_ALG_CRYPT,
    XFRMA_ENCAP, XFRMA_IF_ID, XFRMA_MARK, XFRMA_OFFLOAD_DEV, XFRMA_REPLAY_ESN_VAL,
    XFRMA_REPLAY_VAL, XFRMA_SA_EXTRA_FLAGS,
};
use netlink_packet_xfrm::{
    EncapTmpl, UserOffloadDev, XFRM_ENCAP_TMPL_LEN, XFRM_MARK_LEN, XFRM_USER_OFFLOAD_DEV_LEN,
};

use crate::algorithm::{Aead, Algorithm, Named, name};
use crate::attr::Attributes;
use crate::bytes::Bytes;
use crate::error::{Fault, Flaw};
use crate::identity::{Direction, Mark};
use crate::replay::ReplayState;
use crate::sa::{Encap, Offload};

/// `XFRMA_SA_DIR` came with Linux 6.10; the crate's constants are older.
const XFRMA_SA_DIR: u16 = 33;

/// What the attributes behind an SA's fixed part say.
#[derive(Default)]
pub(crate) struct Extras {
    pub(crate) mark: Mark,
    pub(crate) direction: Option<Direction>,
    pub(crate) algorithm: Algorithm,
    pub(crate) encap: Option<Encap>,
    pub(crate) replay: Option<ReplayState>,
    pub(crate) if_id: u32,
    pub(crate) extra_flags: u32,
    pub(crate) offload: Option<Offload>,
}

impl Extras {
    pub(crate) fn parse(attributes: Bytes<'_>) -> Result<Self, Fault> {
        let mut extras = Self::default();
        let mut legacy = None;
        let mut aead = None;
        let mut named = Named::default();
        for attribute in Attributes::new(attributes) {
            let attribute = attribute?;
            let value = attribute.value;
            match attribute.kind {
                XFRMA_MARK => {
                    let parse = netlink_packet_xfrm::Mark::parse;
                    let (mark, _) = value.fixed(XFRM_MARK_LEN, "xfrm_mark", parse)?;
                    extras.mark = Mark { v: mark.value, m: mark.mask };
                }
                XFRMA_SA_DIR => extras.direction = direction(value)?,
                XFRMA_ALG_AEAD => aead = Some(Aead::parse(value)?),
                XFRMA_ALG_CRYPT => {
                    named.crypt = Some(name(value, "xfrm_algo")?.0);
                }
                XFRMA_ALG_AUTH | XFRMA_ALG_AUTH_TRUNC => {
                    named.auth = Some(name(value, "xfrm_algo_auth")?.0);
                }
                XFRMA_ALG_COMP => {
                    named.comp = Some(name(value, "xfrm_algo")?.0);
                }
                XFRMA_ENCAP => extras.encap = Some(encap(value)?),
                XFRMA_REPLAY_ESN_VAL => extras.replay = Some(ReplayState::parse_esn(value)?),
                XFRMA_REPLAY_VAL => legacy = Some(ReplayState::parse_legacy(value)?),
                XFRMA_IF_ID => extras.if_id = value.u32("XFRMA_IF_ID")?,
                XFRMA_SA_EXTRA_FLAGS => extras.extra_flags = value.u32("XFRMA_SA_EXTRA_FLAGS")?,
                XFRMA_OFFLOAD_DEV => extras.offload = Some(offload(value)?),
                _ => {}
            }
        }
        // The ESN form knows all 64 bits, so it counts where both are present.
        extras.replay = extras.replay.or(legacy);
        extras.algorithm = match aead {
            Some(aead) => Algorithm::Aead(aead),
            None if named == Named::default() => Algorithm::None,
            None => Algorithm::Named(named),
        };
        Ok(extras)
    }
}

fn direction(value: Bytes<'_>) -> Result<Option<Direction>, Fault> {
    match value.u8("XFRMA_SA_DIR")? {
        0 => Ok(None),
        1 => Ok(Some(Direction::In)),
        2 => Ok(Some(Direction::Out)),
        other => Err(Flaw::Direction(other).at(value.offset)),
    }
}

fn encap(value: Bytes<'_>) -> Result<Encap, Fault> {
    let parse = EncapTmpl::parse;
    let (encap, _) = value.fixed(XFRM_ENCAP_TMPL_LEN, "xfrm_encap_tmpl", parse)?;
    Ok(Encap { kind: encap.encap_type, sport: encap.encap_sport, dport: encap.encap_dport })
}

fn offload(value: Bytes<'_>) -> Result<Offload, Fault> {
    let parse = UserOffloadDev::parse;
    let (offload, _) = value.fixed(XFRM_USER_OFFLOAD_DEV_LEN, "xfrm_user_offload", parse)?;
    Ok(Offload { ifindex: offload.ifindex, flags: offload.flags })
}
