// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From the kernel's words for an SA to the driver's. Whatever the device has no word for is said
//! here, as a reason.

use esnic_abi::{Algorithm, Direction, Mode, Protocol, Spi, Top};
use esnic_driver::{KeyMaterial, SaSpec, UdpPorts};
use esnic_xfrm as xfrm;
use zeroize::Zeroizing;

/// `UDP_ENCAP_ESPINUDP` of Linux' udp.h.
const ESP_IN_UDP: u16 = 2;

/// Bytes of salt behind the key (RFC 4106 section 8.1, RFC 4543 section 5.4).
const SALT: usize = 4;

/// The SA as the driver takes it, or why it cannot be offloaded.
pub(super) fn spec(sa: &xfrm::Sa, direction: xfrm::Direction) -> Result<SaSpec, String> {
    let protocol = match sa.id.proto {
        xfrm::ESP => Protocol::Esp,
        xfrm::AH => Protocol::Ah,
        other => {
            return Err(format!("{} is neither ESP nor AH", xfrm::protocol_name(other)));
        }
    };
    let mode = match sa.mode {
        xfrm::Mode::Transport => Mode::Transport,
        xfrm::Mode::Tunnel => Mode::Tunnel,
        other @ xfrm::Mode::Other(_) => {
            return Err(format!("{other} is neither transport nor tunnel mode"));
        }
    };
    let (algorithm, icv_len, keys) = algorithm(&sa.algorithm)?;
    let udp = match sa.encap {
        None => None,
        Some(encap) if encap.kind == ESP_IN_UDP => {
            Some(UdpPorts { src: encap.sport, dst: encap.dport })
        }
        Some(encap) => return Err(format!("encapsulation {} is not ESP in UDP", encap.kind)),
    };
    let window = sa.replay_window;
    let replay_window = u16::try_from(window).map_err(|_| {
        format!("a replay window of {window} packets is more than any device keeps")
    })?;
    let direction = self::direction(direction);
    Ok(SaSpec {
        spi: Spi(sa.id.spi),
        protocol,
        direction,
        mode,
        algorithm,
        icv_len,
        src: sa.src,
        dst: sa.id.dst,
        udp,
        esn: sa.esn,
        replay_window,
        top: top(direction, sa.replay),
        lo_valid: true,
        keys,
    })
}

/// The kernel's word for a direction in the driver's.
pub(super) fn direction(direction: xfrm::Direction) -> Direction {
    match direction {
        xfrm::Direction::In => Direction::In,
        xfrm::Direction::Out => Direction::Out,
    }
}

/// The half of the kernel's numbers that means something for this direction.
pub(super) fn top(direction: Direction, replay: xfrm::Replay) -> Top {
    Top(match direction {
        Direction::In => replay.inn,
        Direction::Out => replay.out,
    })
}

fn algorithm(given: &xfrm::Algorithm) -> Result<(Algorithm, u8, KeyMaterial), String> {
    let aead = match given {
        xfrm::Algorithm::Aead(aead) => aead,
        other => return Err(format!("the device has no {other}")),
    };
    let gmac = match aead.name.as_str() {
        "rfc4106(gcm(aes))" => false,
        "rfc4543(gcm(aes))" => true,
        other => return Err(format!("the device has no {other}")),
    };
    // The salt is the last four bytes of what the kernel calls the key.
    let (key, salt) = aead
        .key
        .expose()
        .split_last_chunk::<SALT>()
        .ok_or_else(|| format!("a key of {} bytes has no salt", aead.key.len()))?;
    let algorithm = match (gmac, key.len()) {
        (false, 16) => Algorithm::AesGcm128,
        (false, 24) => Algorithm::AesGcm192,
        (false, 32) => Algorithm::AesGcm256,
        (true, 16) => Algorithm::AesGmac128,
        (true, 24) => Algorithm::AesGmac192,
        (true, 32) => Algorithm::AesGmac256,
        (_, other) => return Err(format!("AES has no key of {} bits", 8 * other)),
    };
    if aead.key.is_all_zero() {
        return Err("the kernel hides the key (it is locked down)".to_owned());
    }
    let icv_len = match aead.icv_bits {
        64 => 8,
        96 => 12,
        128 => 16,
        other => return Err(format!("a check value of {other} bits is not offered")),
    };
    let salt = Zeroizing::new(*salt);
    let keys =
        KeyMaterial::new(*salt, key).map_err(|len| format!("AES has no key of {len} bytes"))?;
    Ok((algorithm, icv_len, keys))
}
