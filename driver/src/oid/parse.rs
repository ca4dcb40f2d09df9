// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From bytes to what they ask for. Nothing is looked at before it is known to be there; whatever is wrong
//! has a status, and where a length is wrong also the right one.

use super::NdisStatus;
use super::layout::{
    self, AddSa, AddSaEx, AlgorithmInfo, DeleteSa, ESN_SA, INBOUND, IPV6, ObjectHeader,
    SecurityAssociation, UpdateSa, object, operation, udp_esp,
};
use crate::sa::{Change, SaHandle, SaSpec, SaUpdate, UdpPorts};
use crate::secret::KeyMaterial;
use esnic_abi::{Algorithm, Direction, Mode, Protocol, Spi, Top};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Port of both ends of ESP in UDP (RFC 3948): the structures have no place for another.
const UDP_PORT: u16 = 4500;

/// What is wrong with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    /// How the request ends.
    pub status: NdisStatus,
    /// Bytes that the buffer should have; 0 if its length is not what is wrong.
    pub bytes_needed: u32,
}

impl From<NdisStatus> for Malformed {
    fn from(status: NdisStatus) -> Self {
        Self { status, bytes_needed: 0 }
    }
}

const INVALID_DATA: Malformed = Malformed { status: NdisStatus::INVALID_DATA, bytes_needed: 0 };
const NOT_SUPPORTED: Malformed = Malformed { status: NdisStatus::NOT_SUPPORTED, bytes_needed: 0 };

fn too_short(needed: usize) -> Malformed {
    let bytes_needed = u32::try_from(needed).unwrap_or(u32::MAX);
    Malformed { status: NdisStatus::INVALID_LENGTH, bytes_needed }
}

/// The structure at the front of `node`, if its header says that it is one. A later revision and a larger
/// size are taken for the one that is known here, whose members come first.
pub(super) fn structure<R: FromBytes + KnownLayout + Immutable + Unaligned + Copy>(
    node: &[u8],
    kind: u8,
    revision: u8,
    least: usize,
) -> Result<R, Malformed> {
    let (header, _) = ObjectHeader::read_from_prefix(node).map_err(|_| too_short(least))?;
    let claimed = usize::from(header.size.get());
    if header.kind != kind || header.revision < revision || claimed < least {
        return Err(INVALID_DATA);
    }
    if node.len() < claimed {
        return Err(too_short(claimed));
    }
    R::read_from_prefix(node).map(|(read, _)| read).map_err(|_| too_short(least))
}

/// One UPDATE_SA.
pub(super) fn update(node: &[u8]) -> Result<(SaHandle, SaUpdate), Malformed> {
    let asked: UpdateSa = structure(node, object::DEFAULT, 1, size_of::<UpdateSa>())?;
    let protocol = match asked.operation.get() {
        operation::AH => Protocol::Ah,
        operation::ESP => Protocol::Esp,
        // No bundle has an element with such an operation.
        _ => return Err(NdisStatus::INVALID_PARAMETER.into()),
    };
    let change = Change::hi(asked.sequence_number_high_order.get());
    let update = SaUpdate { protocol, spi: Spi(asked.spi.get()), change };
    Ok((SaHandle::from_bits(asked.offload_handle.get()), update))
}

/// One DELETE_SA.
pub(super) fn delete(node: &[u8]) -> Result<SaHandle, Malformed> {
    let asked: DeleteSa = structure(node, object::DEFAULT, 1, size_of::<DeleteSa>())?;
    Ok(SaHandle::from_bits(asked.offload_handle.get()))
}

/// What one ADD_SA or ADD_SA_EX asks for: an SA, or an ESP one with an AH one around it.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) first: SaSpec,
    pub(super) second: Option<SaSpec>,
}

impl Bundle {
    pub(super) fn elements(&self) -> impl Iterator<Item = &SaSpec> {
        std::iter::once(&self.first).chain(&self.second)
    }
}

/// Where ADD_SA has its handle, and where its keys begin.
pub(super) const ADD_HANDLE: usize = std::mem::offset_of!(AddSa, offload_handle);
/// The same of ADD_SA_EX. Its keys begin where the structure says, but never before its end.
pub(super) const ADD_EX_HANDLE: usize = std::mem::offset_of!(AddSaEx, offload_handle);

/// The members of two structures that have them by the same names.
macro_rules! asked {
    ($from:ident, $keys:expr) => {
        Asked {
            num_ext_hdrs: $from.num_ext_hdrs.get(),
            flags: $from.flags.get(),
            src: $from.src,
            dst: $from.dst,
            udp: $from.udp_esp_encapsulation.get(),
            elements: &$from.sec_assoc,
            keys: $keys,
        }
    };
}

/// One ADD_SA.
pub(super) fn add(node: &[u8]) -> Result<Bundle, Malformed> {
    // With the first byte of its keys, as `NDIS_SIZEOF` counts it.
    let asked: AddSa = structure(node, object::DEFAULT, 1, size_of::<AddSa>() + 1)?;
    let keys = window(node, size_of::<AddSa>(), asked.key_length.get())?;
    asked!(asked, keys).bundle()
}

/// One ADD_SA_EX.
pub(super) fn add_ex(node: &[u8]) -> Result<Bundle, Malformed> {
    let asked: AddSaEx = structure(node, object::DEFAULT, 1, size_of::<AddSaEx>())?;
    let offset = usize::try_from(asked.key_offset.get()).map_err(|_| INVALID_DATA)?;
    if asked.key_length.get() > 0 && offset < size_of::<AddSaEx>() {
        return Err(INVALID_DATA);
    }
    let keys = window(node, offset, asked.key_length.get())?;
    asked!(asked, keys).bundle()
}

/// `len` bytes from `offset` on, if they are there.
fn window(bytes: &[u8], offset: usize, len: u32) -> Result<&[u8], Malformed> {
    let end = usize::try_from(len).ok().and_then(|len| offset.checked_add(len));
    end.and_then(|end| bytes.get(offset..end)).ok_or(INVALID_DATA)
}

/// What both kinds of ADD have in common.
struct Asked<'a> {
    num_ext_hdrs: u32,
    flags: u32,
    src: layout::Address,
    dst: layout::Address,
    udp: u32,
    elements: &'a [SecurityAssociation; 2],
    keys: &'a [u8],
}

impl Asked<'_> {
    fn bundle(&self) -> Result<Bundle, Malformed> {
        if self.flags & !(INBOUND | IPV6) != 0 || self.udp & !udp_esp::ALL != 0 {
            return Err(INVALID_DATA);
        }
        let [first, second] = self.elements;
        match self.num_ext_hdrs {
            1 => Ok(Bundle { first: self.element(first)?, second: None }),
            2 => {
                let (first, second) = (self.element(first)?, self.element(second)?);
                // In the order of processing, of which one is allowed.
                if (first.protocol, second.protocol) != (Protocol::Esp, Protocol::Ah) {
                    return Err(INVALID_DATA);
                }
                Ok(Bundle { first, second: Some(second) })
            }
            _ => Err(INVALID_DATA),
        }
    }

    fn element(&self, element: &SecurityAssociation) -> Result<SaSpec, Malformed> {
        if element.flags.get() & !ESN_SA != 0 || element.spi.get() == 0 {
            return Err(INVALID_DATA);
        }
        let (protocol, algorithm, info) = algorithm(element)?;
        let icv_len = if algorithm.is_gmac() {
            16
        } else {
            match info.additional_info.get() {
                8 => 8,
                12 => 12,
                16 => 16,
                _ => return Err(INVALID_DATA),
            }
        };
        let udp = if protocol == Protocol::Esp { self.udp } else { 0 };
        // Nothing puts AH into UDP (RFC 3948 speaks of ESP).
        if protocol == Protocol::Ah && self.num_ext_hdrs == 1 && self.udp != 0 {
            return Err(INVALID_DATA);
        }
        let ports = UdpPorts { src: UDP_PORT, dst: UDP_PORT };
        let (mode, udp) = match udp {
            // The structures do not tell transport from tunnel mode: the host frames the packets.
            0 => (Mode::Transport, None),
            udp_esp::TRANSPORT => (Mode::Transport, Some(ports)),
            udp_esp::TUNNEL => (Mode::Tunnel, Some(ports)),
            // Of the nested forms the table has no idea.
            _ => return Err(NOT_SUPPORTED),
        };
        let esn = element.flags.get() & ESN_SA != 0;
        let hi = if esn { element.sequence_number_high_order.get() } else { 0 };
        let (src, dst) = self.addresses();
        let direction = if self.flags & INBOUND != 0 { Direction::In } else { Direction::Out };
        Ok(SaSpec {
            spi: Spi(element.spi.get()),
            protocol,
            direction,
            mode,
            algorithm,
            icv_len,
            src,
            dst,
            udp,
            esn,
            // The host looks for replays.
            replay_window: 0,
            top: Top::new(hi, 0),
            lo_valid: false,
            keys: self.key(&info, algorithm)?,
        })
    }

    fn addresses(&self) -> (IpAddr, IpAddr) {
        if self.flags & IPV6 != 0 {
            return (Ipv6Addr::from(self.src).into(), Ipv6Addr::from(self.dst).into());
        }
        let four = |at: usize| [self.src[at], self.src[at + 1], self.src[at + 2], self.src[at + 3]];
        (Ipv4Addr::from(four(0)).into(), Ipv4Addr::from(four(4)).into())
    }

    /// Key and, behind it, salt.
    fn key(&self, info: &AlgorithmInfo, algorithm: Algorithm) -> Result<KeyMaterial, Malformed> {
        let offset = usize::try_from(info.key_offset_bytes.get()).map_err(|_| INVALID_DATA)?;
        let bytes = window(self.keys, offset, info.key_length.get())?;
        let (key, salt) = bytes.split_last_chunk::<4>().ok_or(INVALID_DATA)?;
        if key.len() != algorithm.key_len_bytes() {
            return Err(INVALID_DATA);
        }
        KeyMaterial::new(*salt, key).map_err(|_| INVALID_DATA)
    }
}

/// Protocol and algorithm of an element, and what more is said of the algorithm.
fn algorithm(
    element: &SecurityAssociation,
) -> Result<(Protocol, Algorithm, AlgorithmInfo), Malformed> {
    use layout::{authentication as a, encryption as e};
    let (auth, enc) =
        (element.authentication.identifier.get(), element.encryption.identifier.get());
    // None, or one that has a number.
    let one_of = |bit: u32, all: u32| bit & !all == 0 && bit.count_ones() <= 1;
    if !one_of(auth, a::ALL) || !one_of(enc, e::ALL) {
        return Err(INVALID_DATA);
    }
    let gmac = || match auth {
        a::AES_GCM_128 => Ok(Algorithm::AesGmac128),
        a::AES_GCM_192 => Ok(Algorithm::AesGmac192),
        a::AES_GCM_256 => Ok(Algorithm::AesGmac256),
        0 => Err(INVALID_DATA),
        _ => Err(NOT_SUPPORTED),
    };
    match element.operation.get() {
        operation::AH if enc != 0 => Err(INVALID_DATA),
        operation::AH => Ok((Protocol::Ah, gmac()?, element.authentication)),
        operation::ESP => {
            let gcm = match enc {
                e::AES_GCM_128 => Some(Algorithm::AesGcm128),
                e::AES_GCM_192 => Some(Algorithm::AesGcm192),
                e::AES_GCM_256 => Some(Algorithm::AesGcm256),
                _ => None,
            };
            match gcm {
                // It authenticates as well.
                Some(_) if auth != 0 => Err(INVALID_DATA),
                Some(gcm) => Ok((Protocol::Esp, gcm, element.encryption)),
                None if matches!(enc, 0 | e::NONE) => {
                    Ok((Protocol::Esp, gmac()?, element.authentication))
                }
                None => Err(NOT_SUPPORTED),
            }
        }
        _ => Err(INVALID_DATA),
    }
}
