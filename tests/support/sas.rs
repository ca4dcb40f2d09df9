// SPDX-License-Identifier: Apache-2.0 OR MIT
//! SAs to work with, and short words for what tests do all the time.

use esnic_abi::{Algorithm, Direction, Mode, Protocol, Spi, Status, Top};
use esnic_driver::transport::Transport;
use esnic_driver::{
    Change, KeyMaterial, Outcome, SaHandle, SaManager, SaSpec, SaUpdate, Settled, Ticket,
};
use std::net::{IpAddr, Ipv4Addr};

/// Test keys of 32 bytes that differ by `n`.
pub fn keys(n: u32) -> KeyMaterial {
    let mut key = [0x5A; 32];
    key[..4].copy_from_slice(&n.to_le_bytes());
    KeyMaterial::new(n.to_be_bytes(), &key).expect("32 bytes are a key")
}

/// An inbound ESP SA in tunnel mode with extended sequence numbers, `top` 0:1 and known. Its SPI is
/// `0x1000_0000 + n`.
pub fn esp(n: u32) -> SaSpec {
    SaSpec {
        spi: Spi(0x1000_0000 + n),
        protocol: Protocol::Esp,
        direction: Direction::In,
        mode: Mode::Tunnel,
        algorithm: Algorithm::AesGcm256,
        icv_len: 16,
        src: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        dst: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
        udp: None,
        esn: true,
        replay_window: 64,
        top: Top::new(0, 1),
        lo_valid: true,
        keys: keys(n),
    }
}

/// An AH SA to go with [`esp`]; its SPI is `0x2000_0000 + n`.
pub fn ah(n: u32) -> SaSpec {
    SaSpec {
        spi: Spi(0x2000_0000 + n),
        protocol: Protocol::Ah,
        algorithm: Algorithm::AesGmac256,
        keys: keys(n + 0x8000_0000),
        ..esp(n)
    }
}

/// An update of the element that `spec` describes.
pub fn update(spec: &SaSpec, change: Change) -> SaUpdate {
    SaUpdate { protocol: spec.protocol, spi: spec.spi, change }
}

/// An update of [`esp`]`(n)` to this high half.
pub fn hi(n: u32, hi: u32) -> SaUpdate {
    // Not by way of `esp`, whose key takes memory: tests count what submitting allocates.
    SaUpdate { protocol: Protocol::Esp, spi: Spi(0x1000_0000 + n), change: Change::hi(hi) }
}

/// Waits for the end, however it is.
#[track_caller]
pub fn settled<T: Transport>(ticket: &Ticket<T>) -> Settled {
    match ticket.wait_default() {
        Ok(settled) => settled,
        Err(error) => panic!("{error}"),
    }
}

/// Waits for the device's word.
#[track_caller]
pub fn outcome<T: Transport>(ticket: &Ticket<T>) -> Outcome {
    settled(ticket).outcome().expect("no reset has come between")
}

/// Waits for OK; gives the result.
#[track_caller]
pub fn done<T: Transport>(ticket: &Ticket<T>) -> u64 {
    let outcome = outcome(ticket);
    assert_eq!(outcome.status, Status::Ok);
    outcome.result
}

/// What the shadow knows.
#[track_caller]
pub fn top_of<T: Transport>(manager: &SaManager<T>, sa: SaHandle) -> (u32, u32, bool) {
    let (top, known) = manager.known_top(sa).expect("a live SA");
    (top.hi(), top.lo(), known)
}
