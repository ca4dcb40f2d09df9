// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Round trips of the structures of IPsecOV2. A C program (`tests/data/oid/layout.c`), whose compiler lays
//! them out from the types of their members and is held to the offsets of Windows, fills them, and Rust must
//! find the same in each member; then Rust fills them, and C must.
#![cfg(target_pointer_width = "64")]

use esnic_driver::oid::layout::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The bytes of each member, by C's name.
type Members = BTreeMap<String, Vec<u8>>;

/// What the C program says of one structure.
#[derive(Default)]
struct Told {
    bytes: Vec<u8>,
    members: Members,
}

/// Compiles and runs the C program, with this input.
fn run(test: &str, input: &str) -> BTreeMap<String, Told> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/oid/layout.c");
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("oid-layout-{test}-{}", std::process::id()));
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let compiled = Command::new(&compiler)
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .arg(source)
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let mut command = Command::new(&program);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it was just made");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    std::fs::remove_file(&program).expect("it is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let mut all: BTreeMap<String, Told> = BTreeMap::new();
    let mut last = String::new();
    for line in String::from_utf8(output.stdout).expect("text").lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["struct", name, len, digits] => {
                let bytes = hex::decode(digits).expect("digits");
                assert_eq!(bytes.len().to_string(), len);
                last = name.to_owned();
                let told = Told { bytes, members: Members::new() };
                assert!(all.insert(last.clone(), told).is_none(), "{name} is told once");
            }
            ["member", ref member @ .., digits] => {
                // What a macro of C puts together may have a space in it.
                let member = member.concat();
                let bytes = hex::decode(digits).expect("digits");
                let members = &mut all.get_mut(&last).expect("a structure came first").members;
                put(members, &member, &bytes);
            }
            _ => panic!("{line}"),
        }
    }
    all
}

/// Gives bytes that are all different.
struct Fresh(u8);

impl Fresh {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| {
            self.0 = self.0.checked_add(1).expect("a structure has fewer bytes than that");
            self.0
        })
    }
}

/// What a structure consists of.
trait Member {
    /// One that is like no other.
    fn fresh(fresh: &mut Fresh) -> Self;
    /// Puts it down under this name, or what it consists of itself.
    fn tell(&self, name: &str, to: &mut Members);
}

fn put(to: &mut Members, name: &str, bytes: &[u8]) {
    assert!(to.insert(name.to_owned(), bytes.to_vec()).is_none(), "{name}");
}

impl<const N: usize> Member for [u8; N] {
    fn fresh(fresh: &mut Fresh) -> Self {
        fresh.bytes()
    }

    fn tell(&self, name: &str, to: &mut Members) {
        put(to, name, self);
    }
}

impl Member for u8 {
    fn fresh(fresh: &mut Fresh) -> Self {
        fresh.bytes::<1>()[0]
    }

    fn tell(&self, name: &str, to: &mut Members) {
        put(to, name, &[*self]);
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Member for $number {
            fn fresh(fresh: &mut Fresh) -> Self {
                Self::from_bytes(fresh.bytes())
            }

            fn tell(&self, name: &str, to: &mut Members) {
                put(to, name, &self.get().to_le_bytes());
            }
        }
    )*};
}

numbers! { U16 U32 U64 }

impl Member for [SecurityAssociation; 2] {
    fn fresh(fresh: &mut Fresh) -> Self {
        [Member::fresh(fresh), Member::fresh(fresh)]
    }

    fn tell(&self, name: &str, to: &mut Members) {
        self.iter().enumerate().for_each(|(k, one)| one.tell(&format!("{name}[{k}]"), to));
    }
}

/// Each structure with its members, and what C calls them. Gaps are left out; C knows of every other one.
macro_rules! structures {
    ($($name:ident { $($member:ident $c:literal)* })*) => {$(
        impl Member for $name {
            #[allow(clippy::needless_update, reason = "most have gaps")]
            fn fresh(fresh: &mut Fresh) -> Self {
                Self { $($member: Member::fresh(fresh),)* ..Self::new_zeroed() }
            }

            fn tell(&self, name: &str, to: &mut Members) {
                let dot = if name.is_empty() { "" } else { "." };
                $(self.$member.tell(&format!("{name}{dot}{}", $c), to);)*
            }
        }
    )*};
}

structures! {
    ObjectHeader { kind "Type" revision "Revision" size "Size" }
    UpdateSa {
        header "Header"
        offload_handle "OffloadHandle"
        operation "Operation"
        spi "Spi"
        sequence_number_high_order "SequenceNumberHighOrder"
    }
    DeleteSa { header "Header" next "Next" offload_handle "OffloadHandle" }
    AlgorithmInfo {
        identifier "Identifier"
        key_length "KeyLength"
        key_offset_bytes "KeyOffsetBytes"
        additional_info "AdditionalInfo"
    }
    SecurityAssociation {
        flags "Flags"
        operation "Operation"
        spi "Spi"
        authentication "AuthenticationAlgorithm"
        encryption "EncryptionAlgorithm"
        sequence_number_high_order "SequenceNumberHighOrder"
    }
    AddSa {
        header "Header"
        next "Next"
        num_ext_hdrs "NumExtHdrs"
        flags "Flags"
        src "Endpoints.IPv6.Src"
        dst "Endpoints.IPv6.Dst"
        offload_handle "OffloadHandle"
        udp_esp_encapsulation "UdpEspEncapsulation"
        sec_assoc "SecAssoc"
        key_length "KeyLength"
    }
    AddSaEx {
        header "Header"
        num_ext_hdrs "NumExtHdrs"
        flags "Flags"
        src "Endpoints.IPv6.Src"
        dst "Endpoints.IPv6.Dst"
        offload_handle "OffloadHandle"
        udp_esp_encapsulation "UdpEspEncapsulation"
        sec_assoc "SecAssoc"
        key_length "KeyLength"
        key_offset "KeyOffset"
        source_switch_port_id "SourceSwitchPortId"
        vlan_id "VlanId"
    }
    IpsecOffloadV2 {
        encapsulation "Encapsulation"
        ipv6_supported "IPv6Supported"
        ipv4_options "IPv4Options"
        ipv6_non_ipsec_extension_headers "IPv6NonIPsecExtensionHeaders"
        ah "Ah"
        esp "Esp"
        ah_esp_combined "AhEspCombined"
        transport "Transport"
        tunnel "Tunnel"
        transport_tunnel_combined "TransportTunnelCombined"
        lso_supported "LsoSupported"
        extended_sequence_numbers "ExtendedSequenceNumbers"
        udp_esp "UdpEsp"
        authentication_algorithms "AuthenticationAlgorithms"
        encryption_algorithms "EncryptionAlgorithms"
        sa_offload_capacity "SaOffloadCapacity"
    }
    Offload { header "Header" others "" flags "Flags" ipsec_v2 "IPsecV2" }
    OffloadParameters {
        header "Header"
        others ""
        flags "Flags"
        ipsec_v2 "IPsecV2"
        ipsec_v2_ipv4 "IPsecV2IPv4"
    }
    EncapsulationOf {
        enabled "Enabled"
        kind "EncapsulationType"
        header_size "HeaderSize"
    }
    OffloadEncapsulation { header "Header" ipv4 "IPv4" ipv6 "IPv6" }
}

/// One that a request has, or an answer: C's name for it, and bytes that it has in C.
trait Structure: Member + FromBytes + IntoBytes + KnownLayout + Immutable + Unaligned {
    const NAME: &'static str;
    const LEN: usize;
    /// What has no name in Rust: C's names for it, and their lengths. The last byte may be a gap.
    const OTHERS: &'static [(&'static str, usize)] = &[];
}

impl Structure for UpdateSa {
    const NAME: &'static str = "UpdateSa";
    const LEN: usize = 32;
}

impl Structure for DeleteSa {
    const NAME: &'static str = "DeleteSa";
    const LEN: usize = 24;
}

impl Structure for AddSa {
    const NAME: &'static str = "AddSa";
    const LEN: usize = 0xB0;
}

impl Structure for AddSaEx {
    const NAME: &'static str = "AddSaEx";
    const LEN: usize = 0xB0;
}

impl Structure for IpsecOffloadV2 {
    const NAME: &'static str = "IpsecOffloadV2";
    const LEN: usize = 32;
}

impl Structure for Offload {
    const NAME: &'static str = "Offload";
    const LEN: usize = 144;
    const OTHERS: &'static [(&'static str, usize)] =
        &[("Checksum", 32), ("LsoV1", 16), ("IPsecV1", 28), ("LsoV2", 28)];
}

impl Structure for OffloadParameters {
    const NAME: &'static str = "OffloadParameters";
    const LEN: usize = 24;
    const OTHERS: &'static [(&'static str, usize)] = &[
        ("IPv4Checksum", 1),
        ("TCPIPv4Checksum", 1),
        ("UDPIPv4Checksum", 1),
        ("TCPIPv6Checksum", 1),
        ("UDPIPv6Checksum", 1),
        ("LsoV1", 1),
        ("IPsecV1", 1),
        ("LsoV2IPv4", 1),
        ("LsoV2IPv6", 1),
        ("TcpConnectionIPv4", 1),
        ("TcpConnectionIPv6", 1),
    ];
}

impl Structure for OffloadEncapsulation {
    const NAME: &'static str = "OffloadEncapsulation";
    const LEN: usize = 28;
}

/// What Rust says of a structure that has `rest` behind it.
fn members<S: Structure>(one: &S, rest: &[u8]) -> Members {
    let mut members = Members::new();
    one.tell("", &mut members);
    if let Some(others) = members.remove("") {
        let mut others = &others[..];
        for &(name, len) in S::OTHERS {
            let (bytes, behind) = others.split_at(len);
            put(&mut members, name, bytes);
            others = behind;
        }
        assert!(others.len() <= 1, "{} has {} bytes without a name", S::NAME, others.len());
    }
    if let Some(src) = members.get("Endpoints.IPv6.Src").cloned() {
        // A union in C: IPv4 has the destination right behind the source.
        put(&mut members, "Endpoints.IPv4.Src", &src[..4]);
        put(&mut members, "Endpoints.IPv4.Dst", &src[4..8]);
    }
    if S::NAME == AddSa::NAME {
        put(&mut members, "KeyData", &rest[..1]);
    }
    members
}

/// C has filled this one.
#[track_caller]
fn read<S: Structure>(all: &mut BTreeMap<String, Told>) {
    let told = all.remove(S::NAME).unwrap_or_else(|| panic!("{} is not told", S::NAME));
    assert_eq!(told.bytes.len(), S::LEN, "{}", S::NAME);
    let Ok((one, rest)) = S::read_from_prefix(&told.bytes) else {
        panic!("{} is longer in Rust", S::NAME)
    };
    assert_eq!(told.members, members(&one, rest), "{}", S::NAME);
}

#[test]
fn what_c_fills_in_rust_reads() {
    let mut all = run("read", "");
    read::<UpdateSa>(&mut all);
    read::<DeleteSa>(&mut all);
    read::<AddSa>(&mut all);
    read::<AddSaEx>(&mut all);
    read::<IpsecOffloadV2>(&mut all);
    read::<Offload>(&mut all);
    read::<OffloadParameters>(&mut all);
    read::<OffloadEncapsulation>(&mut all);
    assert!(all.is_empty(), "Rust knows nothing of {:?}", all.keys());
}

/// Rust fills one, which C will read.
fn write<S: Structure>(input: &mut String, wanted: &mut BTreeMap<&'static str, Members>) {
    let mut fresh = Fresh(0);
    let one = S::fresh(&mut fresh);
    let rest: Vec<u8> = (size_of::<S>()..S::LEN).map(|_| u8::fresh(&mut fresh)).collect();
    let digits = hex::encode([one.as_bytes(), &rest].concat());
    writeln!(input, "{} {digits}", S::NAME).expect("it is a string");
    wanted.insert(S::NAME, members(&one, &rest));
}

#[test]
fn what_rust_fills_in_c_reads() {
    let (mut input, mut wanted) = (String::new(), BTreeMap::new());
    write::<UpdateSa>(&mut input, &mut wanted);
    write::<DeleteSa>(&mut input, &mut wanted);
    write::<AddSa>(&mut input, &mut wanted);
    write::<AddSaEx>(&mut input, &mut wanted);
    write::<IpsecOffloadV2>(&mut input, &mut wanted);
    write::<Offload>(&mut input, &mut wanted);
    write::<OffloadParameters>(&mut input, &mut wanted);
    write::<OffloadEncapsulation>(&mut input, &mut wanted);
    let all = run("write", &input);
    assert_eq!(all.len(), wanted.len());
    for (name, wanted) in wanted {
        assert_eq!(all[name].members, wanted, "{name}");
    }
}
