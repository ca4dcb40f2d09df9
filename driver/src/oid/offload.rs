// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is offered, what of it is switched on, and the structures that say so.

use super::layout::{
    EncapsulationOf, IpsecOffloadV2, ObjectHeader, Offload, OffloadEncapsulation,
    OffloadParameters, authentication, encapsulation, encryption, object, parameter, udp_esp,
};
use super::parse::{Malformed, structure};
use super::{NdisStatus, Node};
use esnic_abi::regs::global::FEATURES;
use esnic_abi::{Algorithm, Params};
use zerocopy::IntoBytes;

/// Which version of NDIS a port speaks; they differ in how an SA is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Ndis {
    /// Both ways.
    #[default]
    Any,
    /// 6.1 and 6.20: ADD_SA.
    V6_20,
    /// 6.30 and later: ADD_SA_EX.
    V6_30,
}

/// Length of the check value that says whether an algorithm is there: the longest is always among them.
const FULL_ICV: u8 = 16;

/// What the device can do, as the capabilities say it.
pub(super) fn capabilities(params: &Params, bundles: usize) -> IpsecOffloadV2 {
    let has = |feature: esnic_abi::layout::Field| u8::from(feature.is_set(params.features));
    let bits = |algorithms: [(Algorithm, u32); 3]| {
        let offered = algorithms.iter().filter(|(one, _)| params.offers(*one, FULL_ICV));
        offered.map(|&(_, bit)| bit).sum::<u32>()
    };
    let gmac = bits([
        (Algorithm::AesGmac128, authentication::AES_GCM_128),
        (Algorithm::AesGmac192, authentication::AES_GCM_192),
        (Algorithm::AesGmac256, authentication::AES_GCM_256),
    ]);
    let gcm = bits([
        (Algorithm::AesGcm128, encryption::AES_GCM_128),
        (Algorithm::AesGcm192, encryption::AES_GCM_192),
        (Algorithm::AesGcm256, encryption::AES_GCM_256),
    ]);
    let null = if gmac != 0 { encryption::NONE } else { 0 };
    let udp =
        [(FEATURES::UDP_TRANSPORT, udp_esp::TRANSPORT), (FEATURES::UDP_TUNNEL, udp_esp::TUNNEL)];
    let udp = udp.iter().map(|&(feature, bit)| u32::from(has(feature)) * bit).sum::<u32>();
    IpsecOffloadV2 {
        encapsulation: encapsulation::IEEE_802_3.into(),
        ipv6_supported: has(FEATURES::IPV6),
        ah: has(FEATURES::AH),
        esp: has(FEATURES::ESP),
        ah_esp_combined: has(FEATURES::AH) & has(FEATURES::ESP),
        transport: has(FEATURES::TRANSPORT),
        tunnel: has(FEATURES::TUNNEL),
        extended_sequence_numbers: has(FEATURES::ESN),
        udp_esp: udp.into(),
        authentication_algorithms: gmac.into(),
        encryption_algorithms: (gcm | null).into(),
        sa_offload_capacity: u32::try_from(bundles).unwrap_or(u32::MAX).into(),
        ..IpsecOffloadV2::default()
    }
}

/// The switches.
#[derive(Clone, Debug)]
pub(super) struct Switches {
    ah: bool,
    esp: bool,
    encapsulation: OffloadEncapsulation,
}

impl Default for Switches {
    fn default() -> Self {
        let header = ObjectHeader {
            kind: object::ENCAPSULATION,
            revision: 1,
            size: (size_of::<OffloadEncapsulation>() as u16).into(),
        };
        let off = EncapsulationOf {
            enabled: OFF.into(),
            kind: encapsulation::IEEE_802_3.into(),
            header_size: 0.into(),
        };
        let encapsulation = OffloadEncapsulation { header, ipv4: off, ipv6: off };
        // All abilities are on at the start; a host turns off what it does not want.
        Self { ah: true, esp: true, encapsulation }
    }
}

const NO_CHANGE: u32 = 0;
const ON: u32 = 1;
const OFF: u32 = 2;

impl Switches {
    /// Whether a bundle with an ESP element, and with an AH element, may be offloaded now.
    pub(super) fn allow(&self, (esp, ah): (bool, bool)) -> bool {
        (self.esp || !esp) && (self.ah || !ah)
    }

    /// Takes `NDIS_OFFLOAD_PARAMETERS`.
    pub(super) fn set_parameters(&mut self, node: &[u8], ipv6: bool) -> Result<(), Malformed> {
        let asked: OffloadParameters =
            structure(node, object::DEFAULT, 2, size_of::<OffloadParameters>())?;
        if asked.flags.get() != 0 {
            return Err(NdisStatus::INVALID_DATA.into());
        }
        for value in [asked.ipsec_v2, asked.ipsec_v2_ipv4] {
            if value > parameter::AH_AND_ESP {
                return Err(NdisStatus::INVALID_DATA.into());
            }
        }
        let wanted = if ipv6 { asked.ipsec_v2 } else { asked.ipsec_v2_ipv4 };
        (self.ah, self.esp) = match wanted {
            parameter::DISABLED => (false, false),
            parameter::AH => (true, false),
            parameter::ESP => (false, true),
            parameter::AH_AND_ESP => (true, true),
            _ => (self.ah, self.esp),
        };
        Ok(())
    }

    /// Takes `NDIS_OFFLOAD_ENCAPSULATION`.
    pub(super) fn set_encapsulation(&mut self, node: &[u8]) -> Result<(), Malformed> {
        let asked: OffloadEncapsulation =
            structure(node, object::ENCAPSULATION, 1, size_of::<OffloadEncapsulation>())?;
        for of in [asked.ipv4, asked.ipv6] {
            let wrong = of.enabled.get() == ON && of.kind.get() != encapsulation::IEEE_802_3;
            if of.enabled.get() > OFF || wrong {
                return Err(NdisStatus::INVALID_PARAMETER.into());
            }
        }
        let held = &mut self.encapsulation;
        for (new, now) in [(asked.ipv4, &mut held.ipv4), (asked.ipv6, &mut held.ipv6)] {
            if new.enabled.get() != NO_CHANGE {
                *now = new;
            }
        }
        Ok(())
    }

    /// What `OID_OFFLOAD_ENCAPSULATION` reads.
    pub(super) fn encapsulation(&self) -> Vec<u8> {
        self.encapsulation.as_bytes().to_vec()
    }

    /// What of the capabilities is on.
    pub(super) fn current(&self, all: &IpsecOffloadV2) -> IpsecOffloadV2 {
        let (ah, esp) = (all.ah & u8::from(self.ah), all.esp & u8::from(self.esp));
        if ah | esp == 0 {
            return IpsecOffloadV2::default();
        }
        IpsecOffloadV2 { ah, esp, ah_esp_combined: ah & esp, ..*all }
    }
}

/// `NDIS_OFFLOAD` around capabilities.
pub(super) fn offload(ipsec_v2: IpsecOffloadV2) -> Vec<u8> {
    let size = (size_of::<Offload>() as u16).into();
    let header = ObjectHeader { kind: object::OFFLOAD, revision: 2, size };
    Offload { header, others: [0; 104], flags: 0.into(), ipsec_v2 }.as_bytes().to_vec()
}

/// Puts an answer into the buffer of a query.
pub(super) fn answer(nodes: &mut [Node], answer: &[u8]) -> Result<u32, Malformed> {
    let needed = answer.len() as u32;
    let room = match nodes {
        [] => None,
        [node] => node.0.get_mut(..answer.len()),
        _ => return Err(NdisStatus::INVALID_DATA.into()),
    };
    let Some(room) = room else {
        let status = NdisStatus::BUFFER_TOO_SHORT;
        return Err(Malformed { status, bytes_needed: needed });
    };
    room.copy_from_slice(answer);
    Ok(needed)
}
