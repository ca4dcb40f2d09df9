// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The structures of the requests as bytes: x64 layout, little-endian, in the order and with the padding
//! that the C compiler of the WDK gives them. `tests/oid_layout.rs` compares them with what the C
//! compiler at hand makes of the same members.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `NDIS_OBJECT_HEADER`: what every structure begins with.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ObjectHeader {
    /// [`object`].
    pub kind: u8,
    /// From 1 on.
    pub revision: u8,
    /// Bytes of the structure, this header included.
    pub size: U16,
}

/// Numbers of [`ObjectHeader::kind`].
pub mod object {
    /// `NDIS_OBJECT_TYPE_DEFAULT`: all requests about SAs, and `NDIS_OFFLOAD_PARAMETERS`.
    pub const DEFAULT: u8 = 0x80;
    /// `NDIS_OBJECT_TYPE_OFFLOAD`.
    pub const OFFLOAD: u8 = 0xA7;
    /// `NDIS_OBJECT_TYPE_OFFLOAD_ENCAPSULATION`.
    pub const ENCAPSULATION: u8 = 0xA8;
}

/// `IPSEC_OFFLOAD_V2_UPDATE_SA`: 32 bytes, of which 28 must be there.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct UpdateSa {
    /// Revision 1.
    pub header: ObjectHeader,
    /// For alignment.
    pub gap: [u8; 4],
    /// What ADD gave.
    pub offload_handle: U64,
    /// [`operation`]: which element of the bundle.
    pub operation: U32,
    /// The element's SPI, by value. It selects; it is no new value.
    pub spi: U32,
    /// The new upper 32 bits.
    pub sequence_number_high_order: U32,
}

/// `IPSEC_OFFLOAD_V2_DELETE_SA`: 24 bytes.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DeleteSa {
    /// Revision 1.
    pub header: ObjectHeader,
    /// For alignment.
    pub gap: [u8; 4],
    /// A pointer on Windows. Not looked at: the list is a list of nodes here.
    pub next: U64,
    /// What ADD gave.
    pub offload_handle: U64,
}

/// Numbers of `IPSEC_OFFLOAD_V2_OPERATION`.
pub mod operation {
    /// `IPsecOffloadV2Ah`.
    pub const AH: u32 = 1;
    /// `IPsecOffloadV2Esp`.
    pub const ESP: u32 = 2;
}

/// `IPSEC_OFFLOAD_V2_ALGORITHM_INFO`: 16 bytes.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct AlgorithmInfo {
    /// One bit of [`authentication`] or [`encryption`]; 0 for none.
    pub identifier: U32,
    /// Bytes of the key; for AES-GCM and GMAC with the four of the salt, which are the last (RFC 4106
    /// section 8.1).
    pub key_length: U32,
    /// Where the key begins, from the first byte of all keys.
    pub key_offset_bytes: U32,
    /// For AES-GCM: bytes of the check value, 8, 12 or 16.
    pub additional_info: U32,
}

/// Bits of authentication algorithms.
pub mod authentication {
    /// HMAC-MD5.
    pub const MD5: u32 = 0x1;
    /// HMAC-SHA-1.
    pub const SHA_1: u32 = 0x2;
    /// HMAC-SHA-256.
    pub const SHA_256: u32 = 0x4;
    /// AES-128-GMAC (RFC 4543).
    pub const AES_GCM_128: u32 = 0x8;
    /// AES-192-GMAC.
    pub const AES_GCM_192: u32 = 0x10;
    /// AES-256-GMAC.
    pub const AES_GCM_256: u32 = 0x20;
    /// Every one that has a bit.
    pub const ALL: u32 = 0x3F;
}

/// Bits of encryption algorithms.
pub mod encryption {
    /// Null encryption.
    pub const NONE: u32 = 0x1;
    /// AES-128-GCM (RFC 4106).
    pub const AES_GCM_128: u32 = 0x8;
    /// AES-192-GCM.
    pub const AES_GCM_192: u32 = 0x10;
    /// AES-256-GCM.
    pub const AES_GCM_256: u32 = 0x20;
    /// Every one that has a bit: DES and AES in CBC mode too.
    pub const ALL: u32 = 0x1FF;
}

/// `IPSEC_OFFLOAD_V2_SECURITY_ASSOCIATION`: 48 bytes.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SecurityAssociation {
    /// [`ESN_SA`] or 0.
    pub flags: U32,
    /// [`operation`].
    pub operation: U32,
    /// By value, not 0.
    pub spi: U32,
    /// Of AH, and of ESP without a combined algorithm.
    pub authentication: AlgorithmInfo,
    /// Of ESP.
    pub encryption: AlgorithmInfo,
    /// The upper 32 bits to begin with, if [`ESN_SA`] is set.
    pub sequence_number_high_order: U32,
}

/// `IPSEC_OFFLOAD_V2_ESN_SA`.
pub const ESN_SA: u32 = 1;
/// `IPSEC_OFFLOAD_V2_INBOUND`.
pub const INBOUND: u32 = 0x1;
/// `IPSEC_OFFLOAD_V2_IPv6`.
pub const IPV6: u32 = 0x10;

/// `IPSEC_OFFLOAD_V2_ADD_SA` up to its keys: 168 bytes; at least one byte of keys follows.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct AddSa {
    /// Revision 1.
    pub header: ObjectHeader,
    /// For alignment.
    pub gap: [u8; 4],
    /// A pointer on Windows. Not looked at.
    pub next: U64,
    /// Elements: 1 or 2.
    pub num_ext_hdrs: U32,
    /// [`INBOUND`] and [`IPV6`].
    pub flags: U32,
    /// Source, in the order of the wire; IPv4 in the first four.
    pub src: Address,
    /// Destination.
    pub dst: Address,
    /// Where the handle goes.
    pub offload_handle: U64,
    /// [`udp_esp`].
    pub udp_esp_encapsulation: U32,
    /// ESP before AH.
    pub sec_assoc: [SecurityAssociation; 2],
    /// Bytes of all keys.
    pub key_length: U32,
}

/// The union of addresses takes 32 bytes, but IPv4 puts the destination right behind the source.
pub type Address = [u8; 16];

/// `IPSEC_OFFLOAD_V2_ADD_SA_EX`: 176 bytes, of which 170 must be there.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct AddSaEx {
    /// Revision 1.
    pub header: ObjectHeader,
    /// Elements: 1 or 2.
    pub num_ext_hdrs: U32,
    /// [`INBOUND`] and [`IPV6`].
    pub flags: U32,
    /// As in [`AddSa`].
    pub src: Address,
    /// As in [`AddSa`].
    pub dst: Address,
    /// For alignment.
    pub gap: [u8; 4],
    /// Where the handle goes.
    pub offload_handle: U64,
    /// [`udp_esp`].
    pub udp_esp_encapsulation: U32,
    /// ESP before AH.
    pub sec_assoc: [SecurityAssociation; 2],
    /// Bytes of all keys.
    pub key_length: U32,
    /// Where they begin, from the first byte of this structure.
    pub key_offset: U32,
    /// Reserved.
    pub source_switch_port_id: U32,
    /// Reserved.
    pub vlan_id: U16,
}

/// Bits of UDP encapsulation.
pub mod udp_esp {
    /// ESP in transport mode, inside UDP.
    pub const TRANSPORT: u32 = 1;
    /// A tunnel inside UDP.
    pub const TUNNEL: u32 = 2;
    /// Every one that has a bit: two nested forms too.
    pub const ALL: u32 = 0xF;
}

/// `NDIS_IPSEC_OFFLOAD_V2`: 32 bytes of capabilities.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IpsecOffloadV2 {
    /// [`encapsulation`].
    pub encapsulation: U32,
    /// 1 or 0.
    pub ipv6_supported: u8,
    /// 1 or 0.
    pub ipv4_options: u8,
    /// 1 or 0.
    pub ipv6_non_ipsec_extension_headers: u8,
    /// 1 or 0.
    pub ah: u8,
    /// 1 or 0.
    pub esp: u8,
    /// 1 or 0.
    pub ah_esp_combined: u8,
    /// 1 or 0.
    pub transport: u8,
    /// 1, or there is no IPsec offload at all.
    pub tunnel: u8,
    /// 1 or 0.
    pub transport_tunnel_combined: u8,
    /// 1 or 0.
    pub lso_supported: u8,
    /// 1 or 0.
    pub extended_sequence_numbers: u8,
    /// For alignment.
    pub gap: u8,
    /// [`udp_esp`].
    pub udp_esp: U32,
    /// [`authentication`].
    pub authentication_algorithms: U32,
    /// [`encryption`].
    pub encryption_algorithms: U32,
    /// Bundles that there is room for.
    pub sa_offload_capacity: U32,
}

/// Bits of link-layer encapsulation.
pub mod encapsulation {
    /// Ethernet.
    pub const IEEE_802_3: u32 = 2;
}

/// `NDIS_OFFLOAD`, revision 2: 144 bytes, of which esnic fills the last 32.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Offload {
    /// Kind [`object::OFFLOAD`], revision 2.
    pub header: ObjectHeader,
    /// Checksums, large sends, version 1 of IPsec offload: none.
    pub others: [u8; 104],
    /// None.
    pub flags: U32,
    /// What there is.
    pub ipsec_v2: IpsecOffloadV2,
}

/// `NDIS_OFFLOAD_PARAMETERS`, revision 2: 24 bytes, of which 22 must be there.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OffloadParameters {
    /// Revision 2.
    pub header: ObjectHeader,
    /// Other offloads: not ours, not looked at.
    pub others: [u8; 12],
    /// 0.
    pub flags: U32,
    /// [`parameter`], on adapters that know IPv6.
    pub ipsec_v2: u8,
    /// [`parameter`], on adapters that know IPv4 only.
    pub ipsec_v2_ipv4: u8,
}

/// Values of the switches in [`OffloadParameters`].
pub mod parameter {
    /// As it is.
    pub const NO_CHANGE: u8 = 0;
    /// Off.
    pub const DISABLED: u8 = 1;
    /// AH only.
    pub const AH: u8 = 2;
    /// ESP only.
    pub const ESP: u8 = 3;
    /// Both.
    pub const AH_AND_ESP: u8 = 4;
}

/// `NDIS_OFFLOAD_ENCAPSULATION`: 28 bytes.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OffloadEncapsulation {
    /// Kind [`object::ENCAPSULATION`], revision 1.
    pub header: ObjectHeader,
    /// Of IPv4.
    pub ipv4: EncapsulationOf,
    /// Of IPv6.
    pub ipv6: EncapsulationOf,
}

/// The encapsulation of one IP version.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct EncapsulationOf {
    /// 0 for no change, 1 for on, 2 for off.
    pub enabled: U32,
    /// [`encapsulation`].
    pub kind: U32,
    /// Bytes of the link-layer header.
    pub header_size: U32,
}

const _: () = {
    assert!(size_of::<UpdateSa>() == 28);
    assert!(size_of::<DeleteSa>() == 24);
    assert!(size_of::<SecurityAssociation>() == 48);
    assert!(size_of::<AddSa>() == 0xA8);
    assert!(size_of::<AddSaEx>() == 0xAA);
    assert!(size_of::<IpsecOffloadV2>() == 32);
    assert!(size_of::<Offload>() == 144);
    assert!(size_of::<OffloadParameters>() == 22);
    assert!(size_of::<OffloadEncapsulation>() == 28);
};
