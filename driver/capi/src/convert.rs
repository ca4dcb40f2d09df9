// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What C says, as the driver takes it; and the other way round. Every number is checked.

use crate::codes::esnic_error::*;
use crate::codes::*;
use crate::fail::Fail;
use crate::foreign::Caller;
use crate::types::{esnic_item, esnic_outcome, esnic_sa, esnic_update};
use esnic_abi::{Algorithm, Direction, Mode, Protocol, Spi, Status, Top, UpdateMode};
use esnic_driver::{Change, KeyMaterial, SaSpec, SaUpdate, Settled, UdpPorts};
use std::ffi::CStr;
use std::net::IpAddr;
use zeroize::Zeroizing;

/// Bytes of the salt behind a key.
const SALT: usize = 4;
/// Bytes of the longest key with its salt.
const LONGEST: usize = 32 + SALT;

fn no(what: &str, value: impl std::fmt::Display) -> Fail {
    Fail::invalid(format!("{value} is no {what}"))
}

/// Refuses bits of `flags` that are not `known`.
pub(crate) fn flags(what: &str, flags: u32, known: u32) -> Result<(), Fail> {
    let unknown = flags & !known;
    if unknown == 0 { Ok(()) } else { Err(no(what, format_args!("{unknown:#x}"))) }
}

/// Refuses what must be 0 and is not.
pub(crate) fn zero(what: &str, value: u32) -> Result<(), Fail> {
    if value == 0 { Ok(()) } else { Err(Fail::invalid(format!("{what} must be 0 here"))) }
}

fn address(what: &str, family: u8, bytes: [u8; 16]) -> Result<IpAddr, Fail> {
    if family == 4 && bytes[4..].iter().any(|&byte| byte != 0) {
        return Err(Fail::invalid(format!("{what}: bytes behind an IPv4 address must be 0")));
    }
    Ok(esnic_driver::sa::spec::address(family, bytes))
}

/// The key and the salt behind it.
fn keys(caller: Caller<'_>, sa: &esnic_sa, algorithm: Algorithm) -> Result<KeyMaterial, Fail> {
    let key_len = algorithm.key_len_bytes();
    let wanted = key_len + SALT;
    if sa.key_len as usize != wanted {
        let found = sa.key_len;
        return Err(Fail::invalid(format!("key_len is {found}, with this algorithm {wanted}")));
    }
    let bytes = caller.secret::<LONGEST>(sa.key, wanted, "key")?;
    let mut salt = Zeroizing::new([0; SALT]);
    salt.copy_from_slice(&bytes[key_len..wanted]);
    KeyMaterial::new(*salt, &bytes[..key_len]).map_err(|len| no("length of a key", len))
}

/// An SA.
pub(crate) fn sa(caller: Caller<'_>, from: *const esnic_sa) -> Result<SaSpec, Fail> {
    let sa: esnic_sa = caller.record(from)?;
    let known = ESNIC_SA_ESN | ESNIC_SA_LO_KNOWN | ESNIC_SA_UDP;
    flags("flag of an SA", sa.flags.into(), known.into())?;
    zero("reserved", sa.reserved)?;
    let algorithm =
        Algorithm::from_code(sa.algorithm).ok_or_else(|| no("algorithm", sa.algorithm))?;
    if !matches!(sa.family, 4 | 6) {
        return Err(no("family, which is 4 or 6", sa.family));
    }
    let udp = sa.flags & ESNIC_SA_UDP != 0;
    if !udp {
        zero("udp_src", sa.udp_src.into())?;
        zero("udp_dst", sa.udp_dst.into())?;
    }
    Ok(SaSpec {
        spi: Spi(sa.spi),
        protocol: protocol(sa.protocol)?,
        direction: Direction::from_code(sa.direction)
            .ok_or_else(|| no("direction", sa.direction))?,
        mode: Mode::from_code(sa.mode).ok_or_else(|| no("mode", sa.mode))?,
        algorithm,
        icv_len: sa.icv_len,
        src: address("src", sa.family, sa.src)?,
        dst: address("dst", sa.family, sa.dst)?,
        udp: udp.then_some(UdpPorts { src: sa.udp_src, dst: sa.udp_dst }),
        esn: sa.flags & ESNIC_SA_ESN != 0,
        replay_window: u16::try_from(sa.replay_window)
            .map_err(|_| Fail::new(ESNIC_E_UNSUPPORTED, "no device keeps such a replay window"))?,
        top: Top::new(sa.hi, sa.lo),
        lo_valid: sa.flags & ESNIC_SA_LO_KNOWN != 0,
        keys: keys(caller, &sa, algorithm)?,
    })
}

fn protocol(code: u8) -> Result<Protocol, Fail> {
    Protocol::from_code(code).ok_or_else(|| no("protocol", code))
}

/// An update.
pub(crate) fn update(update: &esnic_update) -> Result<SaUpdate, Fail> {
    let known = ESNIC_UPDATE_CAS | ESNIC_UPDATE_MONOTONE;
    flags("flag of an update", update.flags.into(), known.into())?;
    let mode = UpdateMode::from_code(update.mode).ok_or_else(|| no("mode", update.mode))?;
    let cas = update.flags & ESNIC_UPDATE_CAS != 0;
    if !cas {
        zero("expected_hi", update.expected_hi)?;
    }
    if mode != UpdateMode::Top {
        zero("lo", update.lo)?;
    }
    Ok(SaUpdate {
        protocol: protocol(update.protocol)?,
        spi: Spi(update.spi),
        change: Change {
            mode,
            top: Top::new(update.hi, update.lo),
            expected_hi: cas.then_some(update.expected_hi),
            monotone: update.flags & ESNIC_UPDATE_MONOTONE != 0,
        },
    })
}

/// What an item asks for: an update, or else a deletion.
pub(crate) fn item(item: &esnic_item) -> Result<Option<SaUpdate>, Fail> {
    let &esnic_item { spi, protocol, mode, flags, expected_hi, hi, lo, .. } = item;
    if item.op == esnic_op::ESNIC_OP_UPDATE as u32 {
        let size = 0;
        let asked = esnic_update { size, spi, protocol, mode, flags, expected_hi, hi, lo };
        return update(&asked).map(Some);
    }
    if item.op != esnic_op::ESNIC_OP_DELETE as u32 {
        return Err(no("op", item.op));
    }
    let rest = [spi, protocol.into(), mode.into(), flags.into(), expected_hi, hi, lo];
    rest.iter().try_for_each(|&value| zero("what belongs to an update", value))?;
    Ok(None)
}

/// An outcome, and whether the command did what was asked.
pub(crate) fn outcome(settled: Settled) -> (esnic_outcome, Result<(), Fail>) {
    let mut said = esnic_outcome { size: 0, status: 0, flags: 0, reserved: 0, result: 0 };
    let Settled::Completed(outcome) = settled else {
        return (said, Err(Fail::plain(ESNIC_E_ABORTED)));
    };
    said.status = outcome.status as u32;
    said.result = outcome.result;
    if outcome.changed {
        said.flags |= ESNIC_OUTCOME_CHANGED;
    }
    if outcome.lo_valid {
        said.flags |= ESNIC_OUTCOME_LO_KNOWN;
    }
    let refused = || Fail::new(ESNIC_E_REFUSED, format!("the device refused: {settled}"));
    (said, if settled.is_ok() { Ok(()) } else { Err(refused()) })
}

/// The name that the contract gives a status.
pub(crate) fn status_name(status: u32) -> Option<&'static CStr> {
    let status = u8::try_from(status).ok().and_then(Status::from_code)?;
    Some(match status {
        Status::Ok => c"OK",
        Status::Stage => c"STAGE",
        Status::BadOpcode => c"BAD_OPCODE",
        Status::BadEpoch => c"BAD_EPOCH",
        Status::BadPair => c"BAD_PAIR",
        Status::BadField => c"BAD_FIELD",
        Status::BadIndex => c"BAD_INDEX",
        Status::Unsupported => c"UNSUPPORTED",
        Status::Occupied => c"OCCUPIED",
        Status::OldGeneration => c"OLD_GENERATION",
        Status::Draining => c"DRAINING",
        Status::Empty => c"EMPTY",
        Status::Stale => c"STALE",
        Status::WrongProto => c"WRONG_PROTO",
        Status::WrongSpi => c"WRONG_SPI",
        Status::NotEsn => c"NOT_ESN",
        Status::Conflict => c"CONFLICT",
        Status::Backward => c"BACKWARD",
        Status::Verify => c"VERIFY",
        Status::DmaError => c"DMA_ERROR",
        Status::Items => c"ITEMS",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_the_name_of_the_contract() {
        for code in Status::CODES.codes {
            let found = status_name(code.value);
            assert_eq!(found.and_then(|name| name.to_str().ok()), Some(code.name));
        }
        assert_eq!(status_name(256), None);
    }
}
