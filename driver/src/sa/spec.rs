// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a caller says of an SA, and whether a device can take it.

use crate::secret::KeyMaterial;
use esnic_abi::regs::global::FEATURES;
use esnic_abi::{
    Algorithm, Direction, Handle, LiveView, Mode, NO_PEER, Params, Protocol, SA_ESN, SlotState,
    Spi, Top, UdpEncap,
};
use std::net::IpAddr;

/// UDP ports of an SA whose ESP packets travel inside UDP (RFC 3948).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpPorts {
    /// Source port.
    pub src: u16,
    /// Destination port.
    pub dst: u16,
}

/// One ESP or AH SA.
#[derive(Clone, Debug)]
pub struct SaSpec {
    /// SPI, not 0.
    pub spi: Spi,
    /// ESP or AH.
    pub protocol: Protocol,
    /// For packets from the network or to it.
    pub direction: Direction,
    /// Transport or tunnel.
    pub mode: Mode,
    /// Algorithm and key length.
    pub algorithm: Algorithm,
    /// Bytes of the integrity check value: 8, 12 or 16.
    pub icv_len: u8,
    /// Source address; unspecified means any.
    pub src: IpAddr,
    /// Destination address, of the same IP version; unspecified means any.
    pub dst: IpAddr,
    /// UDP encapsulation.
    pub udp: Option<UdpPorts>,
    /// Extended sequence numbers (RFC 4303 section 2.2.1).
    pub esn: bool,
    /// Replay window in packets; kept as given.
    pub replay_window: u16,
    /// Highest number used so far, 0 for none; the high half is 0 without `esn`.
    pub top: Top,
    /// Whether the low half of `top` is known; if not, it is 0.
    pub lo_valid: bool,
    /// Salt and key.
    pub keys: KeyMaterial,
}

/// Why an SA cannot be offloaded to this device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// The device lacks something that the SA needs.
    #[error("the device has no {0}")]
    Feature(&'static str),
    /// The algorithm, or its length of the check value.
    #[error("the device has no {algorithm} with a check value of {icv_len} bytes")]
    Algorithm {
        /// Which algorithm.
        algorithm: Algorithm,
        /// Bytes of the check value.
        icv_len: u8,
    },
    /// The replay window is larger than the device can keep.
    #[error("a replay window of {wanted} packets is more than the device keeps ({most})")]
    Window {
        /// What is wanted.
        wanted: u16,
        /// What there is.
        most: u16,
    },
    /// The SA contradicts itself.
    #[error("{0}")]
    Contradiction(&'static str),
}

impl SaSpec {
    /// Whether a device with these parameters takes the SA; the same rules that the device checks
    /// (§4.2, §4.7), so that a refusal has a reason and costs no command.
    ///
    /// # Errors
    /// The first reason that applies.
    pub fn check(&self, params: &Params) -> Result<(), Unsupported> {
        self.contradicts().map_or(Ok(()), |why| Err(Unsupported::Contradiction(why)))?;
        let needs = [
            (FEATURES::ESP, self.protocol == Protocol::Esp, "ESP"),
            (FEATURES::AH, self.protocol == Protocol::Ah, "AH"),
            (FEATURES::ESN, self.esn, "extended sequence numbers"),
            (FEATURES::IPV4, self.src.is_ipv4(), "IPv4"),
            (FEATURES::IPV6, self.src.is_ipv6(), "IPv6"),
            (FEATURES::TRANSPORT, self.mode == Mode::Transport, "transport mode"),
            (FEATURES::TUNNEL, self.mode == Mode::Tunnel, "tunnel mode"),
            (FEATURES::UDP_TRANSPORT, self.encap() == UdpEncap::Transport, "UDP in transport mode"),
            (FEATURES::UDP_TUNNEL, self.encap() == UdpEncap::Tunnel, "UDP in tunnel mode"),
        ];
        for (feature, needed, what) in needs {
            if needed && !feature.is_set(params.features) {
                return Err(Unsupported::Feature(what));
            }
        }
        if !params.offers(self.algorithm, self.icv_len) {
            let (algorithm, icv_len) = (self.algorithm, self.icv_len);
            return Err(Unsupported::Algorithm { algorithm, icv_len });
        }
        if self.replay_window > params.max_window {
            let (wanted, most) = (self.replay_window, params.max_window);
            return Err(Unsupported::Window { wanted, most });
        }
        Ok(())
    }

    fn contradicts(&self) -> Option<&'static str> {
        let gmac = self.algorithm.is_gmac();
        let wrong = [
            (self.spi.0 == 0, "the SPI is 0"),
            (self.src.is_ipv4() != self.dst.is_ipv4(), "the addresses are of two IP versions"),
            (self.protocol == Protocol::Ah && !gmac, "AH does not encrypt"),
            (gmac && self.icv_len != 16, "AES-GMAC has a check value of 16 bytes"),
            (!matches!(self.icv_len, 8 | 12 | 16), "the check value is not of 8, 12 or 16 bytes"),
            (self.udp.is_some() && self.protocol == Protocol::Ah, "AH does not travel in UDP"),
            (!self.esn && self.top.hi() != 0, "a high half without extended sequence numbers"),
            (!self.lo_valid && self.top.lo() != 0, "a low half that is not known"),
            (
                !self.keys.fits(self.algorithm.key_len_bytes()),
                "the key is longer than its algorithm's",
            ),
        ];
        wrong.iter().find_map(|&(is, why)| is.then_some(why))
    }

    fn encap(&self) -> UdpEncap {
        match (self.udp, self.mode) {
            (None, _) => UdpEncap::None,
            (Some(_), Mode::Transport) => UdpEncap::Transport,
            (Some(_), Mode::Tunnel) => UdpEncap::Tunnel,
        }
    }

    /// What the device's row must read once the SA is live in it: the shadow.
    pub(crate) fn view(&self, handle: Handle, peer: Option<u32>) -> LiveView {
        let mut view = LiveView {
            state: SlotState::Live as u8,
            index: handle.index.0.into(),
            generation: handle.generation.0.into(),
            spi: self.spi.0.into(),
            protocol: self.protocol as u8,
            direction: self.direction as u8,
            mode: self.mode as u8,
            algorithm: self.algorithm as u8,
            icv_len: self.icv_len,
            family: if self.src.is_ipv4() { 4 } else { 6 },
            sa_flags: (if self.esn { SA_ESN } else { 0 }).into(),
            udp_encap: self.encap() as u8,
            replay_window: self.replay_window.into(),
            src: wire(self.src),
            dst: wire(self.dst),
            lo_valid: u8::from(self.lo_valid),
            hi: self.top.hi().into(),
            lo: self.top.lo().into(),
            peer: peer.unwrap_or(NO_PEER).into(),
            ..LiveView::default()
        };
        if let Some(ports) = self.udp {
            view.udp_src = ports.src.into();
            view.udp_dst = ports.dst.into();
        }
        view
    }
}

/// An address in 16 bytes, wire order; IPv4 in the first four.
pub(crate) fn wire(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(v6) => v6.octets(),
        IpAddr::V4(v4) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&v4.octets());
            bytes
        }
    }
}

/// The address that a row holds.
#[must_use]
pub fn address(family: u8, bytes: [u8; 16]) -> IpAddr {
    if family == 4 {
        IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]])
    } else {
        IpAddr::from(bytes)
    }
}
