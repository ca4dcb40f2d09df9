// SPDX-License-Identifier: Apache-2.0 OR MIT
//! BAD_FIELD: every reserved bit, every code out of its enumeration, every forbidden combination,
//! one at a time (§4.2 to §4.7). Nothing may change, and the pair goes on (R14).

#[macro_use]
mod common;

use common::cmd::{esp, esp_at};
use common::{Add, Backend, Cmd, Done, Path, Rig, Status, UpdateMode, thin};
use esnic_abi::codes;

for_each_backend!(
    each_reserved_bit_of_add_is_checked,
    each_reserved_bit_of_the_short_commands_is_checked,
    each_code_of_add_stays_in_its_enumeration,
    each_code_of_update_stays_in_its_enumeration,
    combinations_that_the_contract_forbids_are_refused,
    combinations_that_the_contract_allows_are_taken,
    a_generation_is_needed_where_one_is_named,
    a_record_address_is_aligned_and_asked_for,
    cookie_bit_31_is_refused,
    update4_items_beyond_the_count_are_zero,
);

/// Runs a command by both paths, if it may come by both.
fn both<B: Backend>(rig: &mut Rig<B>, cmd: Cmd) -> Vec<Done> {
    let ring_only = matches!(cmd.opcode(), 0x01 | 0x02 | 0x13);
    let paths = if ring_only { &Path::BOTH[..1] } else { &Path::BOTH };
    paths.iter().map(|&path| rig.run(path, cmd)).collect()
}

#[track_caller]
fn assert_bad<B: Backend>(rig: &mut Rig<B>, cmd: Cmd, why: &str) {
    let before = rig.view(7);
    for done in both(rig, cmd) {
        assert_eq!(done.status, Status::BadField, "{why}: {cmd:?}");
        assert_eq!((done.result, done.changed, done.lo_valid), (0, false, false), "{why}");
        assert_eq!(done.opcode, cmd.opcode(), "{why}");
    }
    assert_eq!(rig.view(7), before, "{why}: R14");
}

/// A rig whose slot 7 holds an entry, and that entry.
fn with_entry<B: Backend>() -> (Rig<B>, Add) {
    let mut rig = Rig::new();
    let sa = esp(7, 5);
    rig.add(&sa);
    (rig, sa)
}

/// From byte to byte, the second not included.
type Bytes = (usize, usize);

/// The handle in a header.
const HANDLE: Bytes = (8, 16);

/// The reserved bits of a command with so many flags, whose other bits that mean something are in
/// these bytes. Opcode, epoch and cookie always mean something.
fn reserved(cmd: &Cmd, flags: usize, used: &[Bytes]) -> Vec<usize> {
    let free = |bit: &usize| {
        let byte = bit / 8;
        let known = matches!(byte, 0 | 2..=7) || (8..8 + flags).contains(bit);
        !known && !used.iter().any(|&(from, to)| (from..to).contains(&byte))
    };
    (0..8 * cmd.bytes().len()).filter(free).collect()
}

fn each_reserved_bit_of_add_is_checked<B: Backend>() {
    for (algorithm, key) in [(1u8, 16), (2, 24), (3, 32), (4, 16), (5, 24), (6, 32)] {
        let mut rig = Rig::<B>::new();
        let mut sa = esp(7, 1);
        sa.algorithm = algorithm;
        sa.key[key..].fill(0);
        let cmd = Cmd::from(sa);
        // The rest of each address, too, is reserved in this one: it is IPv4.
        let known = [HANDLE, (16, 26), (28, 29), (30, 36), (48, 52), (64, 65), (66, 92)];
        let used = [&known[..], &[(96, 96 + key)]].concat();
        // ESN, LO_VALID, and the codes of UDP, which have a test of their own.
        let bits = reserved(&cmd, 0, &used);
        for bit in thin(bits.into_iter().filter(|bit| !matches!(bit, 208 | 520))) {
            assert_bad(&mut rig, cmd.flip(bit), &format!("bit {bit}"));
        }
        assert_eq!(rig.view(7).generation.get(), 0);
        rig.exec(sa).ok();
    }
}

fn each_reserved_bit_of_the_short_commands_is_checked<B: Backend>() {
    let (mut rig, sa) = with_entry::<B>();
    let record = rig.buffer();
    let address = record.iova().0;
    let four = [(7, 5, 1); 4];
    // Command, its flags, and where else bits mean something.
    let cases: [(Cmd, usize, &[Bytes]); 13] = [
        (Cmd::nop(), 0, &[]),
        (Cmd::fence(), 0, &[]),
        (Cmd::delete(7, 5), 0, &[HANDLE]),
        (Cmd::hi(&sa, 1), 2, &[HANDLE, (16, 22), (24, 28)]),
        (Cmd::resync(&sa, 1), 2, &[HANDLE, (16, 22), (24, 28)]),
        (Cmd::top(&sa, 1, 1), 2, &[HANDLE, (16, 22), (24, 32)]),
        (Cmd::cas(&sa, 1, 1), 2, &[HANDLE, (16, 22), (24, 28), (32, 36)]),
        (Cmd::query(7, 5), 2, &[HANDLE]),
        (Cmd::query_any(7, address), 2, &[HANDLE, (16, 24)]),
        (Cmd::resolve(7, 5, 1), 1, &[HANDLE, (16, 20)]),
        (Cmd::packet(7, 5, 1), 1, &[HANDLE, (16, 20)]),
        (Cmd::update4(false, &four), 4, &[(16, 64)]),
        (Cmd::update4(true, &four[..2]), 4, &[(16, 40)]),
    ];
    for (cmd, flags, used) in cases {
        for bit in thin(reserved(&cmd, flags, used)) {
            assert_bad(&mut rig, cmd.flip(bit), &format!("bit {bit}"));
        }
    }
    for flag in 4..8 {
        assert_bad(&mut rig, Cmd::update4(false, &four).flip(8 + flag), "a flag of UPDATE4");
    }
    for count in [0, 5, 6, 7] {
        assert_bad(&mut rig, Cmd::update4(false, &four).byte(1, count), "a count of UPDATE4");
    }
    rig.exec(Cmd::delete(7, 5)).ok();
}

fn each_code_of_add_stays_in_its_enumeration<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sa = Cmd::from(esp(7, 1));
    // Byte and its codes. For protocol, 1 is AH, which may not have GCM; for the length, all three.
    let allowed: [(usize, &[u8]); 7] = [
        (20, &[2]),
        (21, &[1, 2]),
        (22, &[1, 2]),
        (23, &[1, 2, 3, 4, 5, 6]),
        (24, &[8, 12, 16]),
        (25, &[4, 6]),
        (28, &[0, 1, 2, 4, 8]),
    ];
    for (at, codes) in allowed {
        for code in thin((0..=255).filter(|code| !codes.contains(code))) {
            assert_bad(&mut rig, sa.byte(at, code), &format!("byte {at} = {code}"));
        }
    }
    assert_bad(&mut rig, sa.dword(16, 0), "SPI 0");
    for bit in 1..16 {
        assert_bad(&mut rig, sa.flip(26 * 8 + bit), "sa_flags");
    }
    rig.exec(sa).ok();
}

fn each_code_of_update_stays_in_its_enumeration<B: Backend>() {
    let (mut rig, sa) = with_entry::<B>();
    for mode in thin(3..=255) {
        assert_bad(&mut rig, Cmd::hi(&sa, 1).byte(21, mode), "a mode");
    }
    for protocol in thin((0..=255).filter(|p| !matches!(p, 1 | 2))) {
        assert_bad(&mut rig, Cmd::hi(&sa, 1).byte(20, protocol), "a protocol");
    }
    for mode in [UpdateMode::Hi, UpdateMode::Resync] {
        let cmd = Cmd::update(&sa, mode, 0, (1, 0), 0);
        for bit in thin(0..32) {
            assert_bad(&mut rig, cmd.flip(28 * 8 + bit), "lo is for TOP");
            assert_bad(&mut rig, cmd.flip(32 * 8 + bit), "expected_hi is for CAS");
        }
    }
    assert_eq!(rig.top(7), (0, 0, true));
}

/// What to change in a good ADD, and whether that is still good.
type Change = (&'static str, fn(&mut Add));

fn gmac(add: &mut Add) {
    add.algorithm = codes::Algorithm::AesGmac256 as u8;
}

fn ah(add: &mut Add) {
    gmac(add);
    add.protocol = codes::Protocol::Ah as u8;
}

fn combinations_that_the_contract_forbids_are_refused<B: Backend>() {
    let forbidden: [Change; 14] = [
        ("GCM in AH", |add| add.protocol = 1),
        ("GMAC, 12 bytes", |add| {
            gmac(add);
            add.icv_len = 12;
        }),
        ("AH, 8 bytes", |add| {
            ah(add);
            add.icv_len = 8;
        }),
        ("UDP around AH", |add| {
            ah(add);
            add.udp_encap = 1;
        }),
        ("an UDP form of later around AH", |add| {
            ah(add);
            add.udp_encap = 4;
        }),
        ("a source port without UDP", |add| add.udp_src = 4500.into()),
        ("a destination port without UDP", |add| add.udp_dst = 4500.into()),
        ("hi without ESN", |add| {
            add.sa_flags = 0.into();
            add.hi = 1.into();
        }),
        ("lo without LO_VALID", |add| {
            add.second_flags = 0;
            add.lo = 1.into();
        }),
        ("IPv4 with a long source", |add| add.src[15] = 1),
        ("IPv4 with a long destination", |add| add.dst[4] = 1),
        ("a 128-bit key that is longer", |add| add.algorithm = 1),
        ("a 192-bit key that is longer", |add| add.algorithm = 2),
        ("SEQ_ALLOC, reserved", |add| add.sa_flags = 0x0101.into()),
    ];
    let mut rig = Rig::<B>::new();
    for (why, change) in forbidden {
        let mut sa = esp(7, 1);
        change(&mut sa);
        assert_bad(&mut rig, sa.into(), why);
    }
}

fn combinations_that_the_contract_allows_are_taken<B: Backend>() {
    let allowed: [Change; 12] = [
        ("AH", ah),
        ("ESP with GMAC", gmac),
        ("AH out, transport", |add| {
            ah(add);
            (add.direction, add.mode) = (2, 1);
        }),
        ("8 bytes", |add| add.icv_len = 8),
        ("12 bytes", |add| add.icv_len = 12),
        ("UDP transport", |add| {
            (add.udp_encap, add.mode) = (1, 1);
            (add.udp_src, add.udp_dst) = (4500.into(), 0xFFFF.into());
        }),
        ("UDP tunnel without ports", |add| add.udp_encap = 2),
        ("no ESN, lo known", |add| {
            add.sa_flags = 0.into();
            add.lo = (!0).into();
        }),
        ("hi known, lo not", |add| {
            add.second_flags = 0;
            add.hi = (!0).into();
        }),
        ("IPv6", |add| {
            add.family = 6;
            (add.src, add.dst) = ([0xAB; 16], [0xCD; 16]);
        }),
        ("any address, no window", |add| {
            (add.src, add.dst) = ([0; 16], [0; 16]);
            add.replay_window = 0.into();
        }),
        ("a peer, an odd window, SPI 1", |add| {
            add.peer = 0.into();
            add.replay_window = 4095.into();
            add.spi = 1.into();
        }),
    ];
    let mut rig = Rig::<B>::new();
    for (generation, (why, change)) in (1..).zip(allowed) {
        let mut sa = esp(7, generation);
        change(&mut sa);
        let done = rig.exec(sa);
        assert_eq!(done.status, Status::Ok, "{why}");
        assert_eq!(rig.view(7), common::live_view(&sa), "{why}");
        rig.exec(Cmd::delete(7, generation)).ok();
    }
}

fn a_generation_is_needed_where_one_is_named<B: Backend>() {
    let (mut rig, sa) = with_entry::<B>();
    let needed = [
        esp(8, 0).into(),
        Cmd::hi(&sa, 1).dword(12, 0),
        Cmd::delete(7, 0),
        Cmd::query(7, 0),
        Cmd::resolve(7, 0, 1),
    ];
    for cmd in needed {
        assert_bad(&mut rig, cmd, "generation 0");
    }
    let any = Cmd::query(7, 5).byte(1, codes::QUERY_ANY);
    assert_bad(&mut rig, any, "ANY with a generation");
    assert_bad(&mut rig, Cmd::nop().dword(12, 5), "NOP with one");
}

fn a_record_address_is_aligned_and_asked_for<B: Backend>() {
    let (mut rig, _) = with_entry::<B>();
    let record = rig.buffer();
    let address = record.iova().0;
    for off in [1, 4, 8, 16, 32, 64, 127] {
        assert_bad(&mut rig, Cmd::query_any(7, address + off), "a misaligned record");
    }
    let unasked = Cmd::query_any(7, address).byte(1, codes::QUERY_ANY);
    assert_bad(&mut rig, unasked, "an address without RECORD");
    assert!(record.is_zero());
}

/// By the direct path the doorbell cannot even say it, so there the cookies disagree.
fn cookie_bit_31_is_refused<B: Backend>() {
    let (mut rig, sa) = with_entry::<B>();
    let all = [Cmd::nop(), Cmd::fence(), Cmd::hi(&sa, 1), Cmd::delete(7, 5), Cmd::query(7, 5)];
    for cmd in all {
        let cmd = rig.stamp(cmd);
        let cmd = cmd.with_cookie(cmd.cookie() | 1 << 31);
        rig.run_raw(0, Path::Ring, cmd).expect(Status::BadField);
        if cmd.opcode() > 2 {
            rig.run_raw(0, Path::Direct, cmd).expect(Status::Stage);
        }
    }
    let add = rig.stamp(esp_at(8, 1, 0, 0, true));
    let add = add.with_cookie(add.cookie() | 1 << 31);
    rig.run_raw(0, Path::Ring, add).expect(Status::BadField);
}

fn update4_items_beyond_the_count_are_zero<B: Backend>() {
    let (mut rig, _) = with_entry::<B>();
    for count in 1..4 {
        let items = vec![(7, 5, 0); count];
        let cmd = Cmd::update4(false, &items);
        rig.exec(cmd).ok();
        for dword in 4 + 3 * count..16 {
            assert_bad(&mut rig, cmd.dword(4 * dword, 1), "an unused item");
        }
    }
}
