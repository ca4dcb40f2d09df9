// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Round trips of the structures of IPsecOV2: the C compiler at hand lays them out from the types of their
//! members (`tests/data/oid/layout.c`) and fills them; Rust must find the same number in each member.

use esnic_driver::NdisStatus;
use esnic_driver::oid::layout::*;
use esnic_driver::oid::{Node, indication, number};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// What the C program says of one structure: its bytes, and where each member is.
#[derive(Default)]
struct Told {
    bytes: Vec<u8>,
    members: BTreeMap<String, (usize, usize)>,
}

impl Told {
    /// The number in a member, as C sees it.
    #[track_caller]
    fn number(&self, member: &str) -> u64 {
        let &(at, len) = self.members.get(member).unwrap_or_else(|| panic!("{member} is not told"));
        let bytes = self.bytes[at..at + len].iter().rev();
        bytes.fold(0, |number, &byte| number << 8 | u64::from(byte))
    }

    fn slice(&self, member: &str) -> &[u8] {
        let (at, len) = self.members[member];
        &self.bytes[at..at + len]
    }
}

/// Compiles and runs the C program.
fn told() -> BTreeMap<String, Told> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/oid/layout.c");
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("oid-layout-{}", std::process::id()));
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let compiled = Command::new(&compiler)
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .arg(source)
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let output = Command::new(&program).output().expect("it was just made");
    std::fs::remove_file(&program).expect("it is there");
    assert!(output.status.success());
    let mut all: BTreeMap<String, Told> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).expect("text").lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["struct", name, len, digits] => {
                let bytes = hex::decode(digits).expect("digits");
                assert_eq!(bytes.len().to_string(), len);
                all.entry(name.to_owned()).or_default().bytes = bytes;
            }
            ["member", name, member, at, len] => {
                let place = (at.parse().expect("a number"), len.parse().expect("a number"));
                all.entry(name.to_owned()).or_default().members.insert(member.to_owned(), place);
            }
            _ => panic!("{line}"),
        }
    }
    all
}

/// The structure at the front of what C made.
#[track_caller]
fn read<R: FromBytes + KnownLayout + Immutable + Unaligned + Copy>(told: &Told) -> R {
    assert!(told.bytes.len() >= size_of::<R>());
    R::read_from_prefix(&told.bytes).map(|(read, _)| read).expect("it is long enough")
}

#[test]
#[cfg(target_pointer_width = "64")]
fn what_c_fills_in_rust_reads() {
    let all = told();
    assert_eq!(all.len(), 9, "{:?}", all.keys());

    let c = &all["ObjectHeader"];
    let rust: ObjectHeader = read(c);
    assert_eq!(c.bytes.len(), 4);
    assert_eq!(u64::from(rust.kind), c.number("Type"));
    assert_eq!(u64::from(rust.revision), c.number("Revision"));
    assert_eq!(u64::from(rust.size.get()), c.number("Size"));

    let c = &all["UpdateSa"];
    let rust: UpdateSa = read(c);
    assert_eq!((c.bytes.len(), size_of::<UpdateSa>()), (32, 28));
    assert_eq!(rust.offload_handle.get(), c.number("OffloadHandle"));
    assert_eq!(u64::from(rust.operation.get()), c.number("Operation"));
    assert_eq!(u64::from(rust.spi.get()), c.number("Spi"));
    let hi = rust.sequence_number_high_order.get();
    assert_eq!(u64::from(hi), c.number("SequenceNumberHighOrder"));

    let c = &all["DeleteSa"];
    let rust: DeleteSa = read(c);
    assert_eq!((c.bytes.len(), size_of::<DeleteSa>()), (24, 24));
    assert_eq!(rust.next.get(), c.number("Next"));
    assert_eq!(rust.offload_handle.get(), c.number("OffloadHandle"));

    let c = &all["IpsecOffloadV2"];
    let rust: IpsecOffloadV2 = read(c);
    assert_eq!((c.bytes.len(), size_of::<IpsecOffloadV2>()), (32, 32));
    let flags = [
        (rust.ipv6_supported, "IPv6Supported"),
        (rust.ipv4_options, "IPv4Options"),
        (rust.ipv6_non_ipsec_extension_headers, "IPv6NonIPsecExtensionHeaders"),
        (rust.ah, "Ah"),
        (rust.esp, "Esp"),
        (rust.ah_esp_combined, "AhEspCombined"),
        (rust.transport, "Transport"),
        (rust.tunnel, "Tunnel"),
        (rust.transport_tunnel_combined, "TransportTunnelCombined"),
        (rust.lso_supported, "LsoSupported"),
        (rust.extended_sequence_numbers, "ExtendedSequenceNumbers"),
    ];
    for (flag, member) in flags {
        assert_eq!(u64::from(flag), c.number(member), "{member}");
    }
    let words = [
        (rust.encapsulation, "Encapsulation"),
        (rust.udp_esp, "UdpEsp"),
        (rust.authentication_algorithms, "AuthenticationAlgorithms"),
        (rust.encryption_algorithms, "EncryptionAlgorithms"),
        (rust.sa_offload_capacity, "SaOffloadCapacity"),
    ];
    for (word, member) in words {
        assert_eq!(u64::from(word.get()), c.number(member), "{member}");
    }

    let c = &all["OffloadParameters"];
    let rust: OffloadParameters = read(c);
    assert_eq!((c.bytes.len(), size_of::<OffloadParameters>()), (24, 22));
    assert_eq!(u64::from(rust.flags.get()), c.number("Flags"));
    assert_eq!(u64::from(rust.ipsec_v2), c.number("IPsecV2"));
    assert_eq!(u64::from(rust.ipsec_v2_ipv4), c.number("IPsecV2IPv4"));

    let c = &all["OffloadEncapsulation"];
    let rust: OffloadEncapsulation = read(c);
    assert_eq!((c.bytes.len(), size_of::<OffloadEncapsulation>()), (28, 28));
    assert_eq!(u64::from(rust.ipv4.kind.get()), c.number("IPv4.EncapsulationType"));
    assert_eq!(u64::from(rust.ipv4.header_size.get()), c.number("IPv4.HeaderSize"));
    assert_eq!(rust.ipv6.enabled.get().to_le_bytes(), c.slice("IPv6")[..4]);
}

fn same_element(rust: &SecurityAssociation, c: &[u8]) {
    let element = &told()["SecurityAssociation"];
    let c = Told { bytes: c.to_vec(), members: element.members.clone() };
    let info = |rust: &AlgorithmInfo, member: &str| {
        let words = [rust.identifier, rust.key_length, rust.key_offset_bytes, rust.additional_info];
        let words: Vec<u8> = words.iter().flat_map(|word| word.get().to_le_bytes()).collect();
        assert_eq!(words, c.slice(member), "{member}");
    };
    info(&rust.authentication, "AuthenticationAlgorithm");
    info(&rust.encryption, "EncryptionAlgorithm");
    let words = [
        (rust.flags, "Flags"),
        (rust.operation, "Operation"),
        (rust.spi, "Spi"),
        (rust.encryption.key_length, "EncryptionAlgorithm.KeyLength"),
        (rust.encryption.key_offset_bytes, "EncryptionAlgorithm.KeyOffsetBytes"),
        (rust.encryption.additional_info, "EncryptionAlgorithm.AdditionalInfo"),
        (rust.sequence_number_high_order, "SequenceNumberHighOrder"),
    ];
    for (word, member) in words {
        assert_eq!(u64::from(word.get()), c.number(member), "{member}");
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn what_c_adds_rust_reads() {
    let all = told();
    let c = &all["AddSa"];
    let rust: AddSa = read(c);
    assert_eq!((c.bytes.len(), size_of::<AddSa>()), (0xB0, 0xA8));
    assert_eq!(c.members["KeyData"].0, size_of::<AddSa>(), "the keys begin behind it");
    assert_eq!(rust.next.get(), c.number("Next"));
    assert_eq!(rust.offload_handle.get(), c.number("OffloadHandle"));
    let words = [
        (rust.num_ext_hdrs, "NumExtHdrs"),
        (rust.flags, "Flags"),
        (rust.udp_esp_encapsulation, "UdpEspEncapsulation"),
        (rust.key_length, "KeyLength"),
    ];
    for (word, member) in words {
        assert_eq!(u64::from(word.get()), c.number(member), "{member}");
    }
    assert_eq!(
        (&rust.src[..], &rust.dst[..]),
        (c.slice("Endpoints.IPv6.Src"), c.slice("Endpoints.IPv6.Dst"))
    );
    assert_eq!(
        (&rust.src[..4], &rust.src[4..8]),
        (c.slice("Endpoints.IPv4.Src"), c.slice("Endpoints.IPv4.Dst"))
    );
    same_element(&rust.sec_assoc[0], &c.slice("SecAssoc")[..48]);
    same_element(&rust.sec_assoc[1], c.slice("SecAssoc[1]"));

    let c = &all["AddSaEx"];
    let rust: AddSaEx = read(c);
    assert_eq!((c.bytes.len(), size_of::<AddSaEx>()), (0xB0, 0xAA));
    assert_eq!(rust.offload_handle.get(), c.number("OffloadHandle"));
    let words = [
        (rust.num_ext_hdrs, "NumExtHdrs"),
        (rust.flags, "Flags"),
        (rust.udp_esp_encapsulation, "UdpEspEncapsulation"),
        (rust.key_length, "KeyLength"),
        (rust.key_offset, "KeyOffset"),
        (rust.source_switch_port_id, "SourceSwitchPortId"),
    ];
    for (word, member) in words {
        assert_eq!(u64::from(word.get()), c.number(member), "{member}");
    }
    assert_eq!(u64::from(rust.vlan_id.get()), c.number("VlanId"));
    assert_eq!(
        (&rust.src[..], &rust.dst[..]),
        (c.slice("Endpoints.IPv6.Src"), c.slice("Endpoints.IPv6.Dst"))
    );
    same_element(&rust.sec_assoc[0], &c.slice("SecAssoc")[..48]);
    same_element(&rust.sec_assoc[1], c.slice("SecAssoc[1]"));
    // Inside NDIS_OFFLOAD the capabilities are the last 32 of 144 bytes.
    assert_eq!(std::mem::offset_of!(Offload, ipsec_v2), 112);
}

/// Numbers as the documents give them, written once more: who changes one must change both.
#[test]
fn numbers_are_those_of_windows() {
    let numbers = [
        (number::ADD_SA, 0xFC03_0202),
        (number::DELETE_SA, 0xFC03_0203),
        (number::UPDATE_SA, 0xFC03_0204),
        (number::ADD_SA_EX, 0xFC03_0205),
        (number::CURRENT_CONFIG, 0xFC01_020B),
        (number::PARAMETERS, 0xFC01_020C),
        (number::HARDWARE_CAPABILITIES, 0xFC01_020D),
        (number::ENCAPSULATION, 0x0101_010A),
        (indication::RESET_START, 0x4001_0004),
        (indication::RESET_END, 0x4001_0005),
        (indication::CURRENT_CONFIG, 0x4002_0006),
    ];
    for (ours, theirs) in numbers {
        assert_eq!(ours, theirs, "{theirs:#010x}");
    }
    let names = [
        (indication::RESET_START, "RESET_START"),
        (indication::RESET_END, "RESET_END"),
        (indication::CURRENT_CONFIG, "TASK_OFFLOAD_CURRENT_CONFIG"),
        (0, "UNKNOWN"),
    ];
    for (number, name) in names {
        assert_eq!(indication::name(number), name);
    }
}

#[test]
fn statuses_are_those_of_windows() {
    let statuses = [
        (NdisStatus::SUCCESS, 0, "SUCCESS"),
        (NdisStatus::PENDING, 0x103, "PENDING"),
        (NdisStatus::NOT_ACCEPTED, 0x0001_0003, "NOT_ACCEPTED"),
        (NdisStatus::FAILURE, 0xC000_0001, "FAILURE"),
        (NdisStatus::INVALID_PARAMETER, 0xC000_000D, "INVALID_PARAMETER"),
        (NdisStatus::RESOURCES, 0xC000_009A, "RESOURCES"),
        (NdisStatus::NOT_SUPPORTED, 0xC000_00BB, "NOT_SUPPORTED"),
        (NdisStatus::CLOSING, 0xC001_0002, "CLOSING"),
        (NdisStatus::REQUEST_ABORTED, 0xC001_000C, "REQUEST_ABORTED"),
        (NdisStatus::RESET_IN_PROGRESS, 0xC001_000D, "RESET_IN_PROGRESS"),
        (NdisStatus::INVALID_LENGTH, 0xC001_0014, "INVALID_LENGTH"),
        (NdisStatus::INVALID_DATA, 0xC001_0015, "INVALID_DATA"),
        (NdisStatus::BUFFER_TOO_SHORT, 0xC001_0016, "BUFFER_TOO_SHORT"),
        (NdisStatus::INVALID_OID, 0xC001_0017, "INVALID_OID"),
        (NdisStatus(1), 1, "UNKNOWN"),
    ];
    for (ours, theirs, name) in statuses {
        assert_eq!((ours.0, ours.name()), (theirs, name));
        assert_eq!(ours.to_string(), format!("{name} ({theirs:#010X})"));
        assert_eq!(format!("{ours:?}"), name);
    }
}

#[test]
fn a_node_in_a_log_shows_no_key() {
    let node = Node::from(vec![0xC7; 204]);
    assert_eq!(format!("{node:?}"), "204 bytes");
}
