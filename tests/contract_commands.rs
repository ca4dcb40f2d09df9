// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What each command does when all is well (§4.2 to §4.6), by both paths.

#[macro_use]
mod common;

use common::cmd::{digest_of, esp, esp_at, live_view};
use common::{
    Add, Algorithm, Backend, Cmd, Counters, Opcode, Params, Path, Rig, Shape, SlotState, Status,
    UpdateMode,
};
use esnic_abi::{LiveView, NO_PEER, codes};
use zerocopy::IntoBytes;

for_each_backend!(
    add_shows_every_field_and_answers_with_its_digest,
    add_takes_every_algorithm_with_every_key_length,
    add_fills_the_first_and_the_last_slot,
    digest_sees_every_visible_bit_of_the_entry,
    delete_answers_with_the_last_top_and_frees_the_slot,
    r32_delete_leaves_only_index_and_generation,
    query_answers_with_top_and_changes_nothing,
    query_record_is_the_live_view_and_zero_counters,
    query_any_takes_every_state_of_a_slot,
    resolve_changes_nothing_without_commit,
    resolve_with_commit_acts_as_that_packet,
    nop_and_fence_answer_with_nothing,
    every_completion_says_what_it_answers,
    a_million_slots_are_all_different,
);

fn add_shows_every_field_and_answers_with_its_digest<B: Backend>() {
    for path in Path::BOTH {
        let mut rig = Rig::<B>::new();
        let sa = Add {
            udp_encap: 1,
            udp_src: 0x1234.into(),
            udp_dst: 0x5678.into(),
            family: 6,
            src: std::array::from_fn(|k| 0x20 + k as u8),
            dst: std::array::from_fn(|k| 0x40 + k as u8),
            peer: 0x0055_6677.into(),
            spi: 0x8765_4321.into(),
            replay_window: 4095.into(),
            direction: 2,
            mode: 1,
            icv_len: 12,
            ..esp_at(33, 0x0102_0304, 0x1122_3344, 0x5566_7788, true)
        };
        let done = rig.run(path, sa).ok();
        let view = rig.view(33);
        assert_eq!(view, live_view(&sa), "{path:?}");
        assert_eq!(done.result, digest_of(&live_view(&sa)));
        assert_eq!(done.result, esnic_abi::digest(&view), "the abi's own words");
        assert!(done.changed && done.lo_valid);
        // Little-endian integers, wire-order addresses, at the places of §4.2.
        let bytes = view.as_bytes();
        assert_eq!(bytes[0..4], [1, 0, 0, 0]);
        assert_eq!(bytes[8..20], [33, 0, 0, 0, 4, 3, 2, 1, 0x21, 0x43, 0x65, 0x87]);
        assert_eq!(bytes[20..32], [2, 2, 1, 3, 12, 6, 1, 0, 1, 0, 0xFF, 0x0F]);
        assert_eq!(bytes[65], 1);
        assert_eq!(
            bytes[72..84],
            [0x44, 0x33, 0x22, 0x11, 0x88, 0x77, 0x66, 0x55, 0x34, 0x12, 0x78, 0x56]
        );
        assert_eq!(bytes[84..88], [0x77, 0x66, 0x55, 0]);
        assert!(bytes[88..].iter().all(|&b| b == 0));
    }
}

fn add_takes_every_algorithm_with_every_key_length<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let mut index = 0;
    for &algorithm in Algorithm::ALL {
        for protocol in [1, 2] {
            for icv_len in [8, 12, 16] {
                let gmac = algorithm.is_gmac();
                if (protocol == 1 && !gmac) || (gmac && icv_len != 16) {
                    continue;
                }
                let mut sa = esp(index, 1);
                (sa.algorithm, sa.protocol, sa.icv_len) = (algorithm as u8, protocol, icv_len);
                sa.key[algorithm.key_len_bytes()..].fill(0);
                rig.add(&sa);
                assert_eq!(rig.view(index), live_view(&sa));
                index += 1;
            }
        }
    }
    assert_eq!(index, 3 * 3 + 3 * 2);
}

fn add_fills_the_first_and_the_last_slot<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sas = [esp(0, 1), esp(63, u32::MAX)];
    for sa in &sas {
        rig.add(sa);
    }
    for (index, row) in rig.table().into_iter().enumerate() {
        let free = LiveView { index: (index as u32).into(), ..LiveView::default() };
        let expected = match index {
            0 => live_view(&sas[0]),
            63 => live_view(&sas[1]),
            _ => free,
        };
        assert_eq!(row, expected, "slot {index}");
    }
}

/// One bit of any field is seen; salt and key do not count (R33).
fn digest_sees_every_visible_bit_of_the_entry<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let base = Add { udp_encap: 1, family: 6, ..esp_at(1, 1, 4, 4, true) };
    let mut live = 1;
    let mut digest = |rig: &mut Rig<B>, sa: Add| {
        let done = rig.add(&sa).result;
        rig.exec(Cmd::delete(1, live)).ok();
        live += 1;
        done
    };
    // The generation is part of the digest, so it is taken out again: quadword 1, upper half.
    let without =
        |digest: u64, generation: u32| digest ^ (u64::from(generation) << 32).rotate_left(6);
    let plain = without(digest(&mut rig, base), 1);
    // SPI, window, addresses, hi, lo, ports, peer.
    let fields = [128..160, 240..251, 256..512, 576..704];
    let mut generation = 1;
    for bit in fields.into_iter().flatten() {
        generation += 1;
        let other = Cmd::from(base).flip(bit).dword(12, generation);
        let digest = without(digest(&mut rig, other.as_record()), generation);
        assert_ne!(digest, plain, "bit {bit}");
    }
    let generation = generation + 1;
    let other = esp(2, 99);
    let secret = Add { salt: other.salt, key: other.key, ..base };
    let secret: Add = Cmd::from(secret).dword(12, generation).as_record();
    assert_eq!(without(digest(&mut rig, secret), generation), plain, "R33: no key bit in it");
}

fn delete_answers_with_the_last_top_and_frees_the_slot<B: Backend>() {
    for path in Path::BOTH {
        let mut rig = Rig::<B>::new();
        rig.add(&esp_at(7, 3, 0xABCD, 0x1234, true));
        let done = rig.run(path, Cmd::delete(7, 3)).ok();
        assert_eq!((done.result, done.changed), (0xABCD_0000_1234, true));
        assert_eq!(rig.slot_state(7), SlotState::Free);
        rig.run(path, Cmd::delete(7, 3)).expect(Status::Empty);
        rig.run(path, esp(7, 4)).ok();
    }
}

fn r32_delete_leaves_only_index_and_generation<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.add(&esp_at(7, 3, 0xABCD, 0x1234, true));
    rig.exec(Cmd::delete(7, 3)).ok();
    let free = LiveView { index: 7.into(), generation: 3.into(), ..LiveView::default() };
    assert_eq!(rig.view(7), free);
    assert_ne!(B::is_wiped(&rig.link, 7), Some(false));
}

fn query_answers_with_top_and_changes_nothing<B: Backend>() {
    for path in Path::BOTH {
        let mut rig = Rig::<B>::new();
        for (index, valid) in [(7, true), (8, false)] {
            let lo = if valid { 9 } else { 0 };
            rig.add(&esp_at(index, 3, 5, lo, valid));
            let before = rig.table();
            let done = rig.run(path, Cmd::query(index, 3)).ok();
            assert_eq!((done.top(), done.changed), ((5, lo, valid), false));
            assert_eq!(rig.table(), before);
        }
    }
}

fn query_record_is_the_live_view_and_zero_counters<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.add(&esp_at(7, 3, 5, 9, true));
    for index in [7, 8] {
        let (_, record) = rig.record(index);
        assert_eq!(record.view, rig.view(index).as_bytes()[..88]);
        assert!(record.as_bytes()[88..].iter().all(|&b| b == 0), "no datapath, no counts");
    }
    // By generation and the direct path; just the 128 bytes asked for are written.
    let buffer = rig.buffer();
    buffer.write(0, &[0xEE; 4096]);
    let cmd = Cmd::query_any(7, buffer.iova().0 + 256).dword(12, 3).byte(1, codes::QUERY_RECORD);
    rig.run(Path::Direct, cmd).ok();
    let mut bytes = [0; 4096];
    buffer.read(0, &mut bytes);
    assert_eq!(bytes[256..344], rig.view(7).as_bytes()[..88]);
    assert!(bytes[..256].iter().chain(&bytes[384..]).all(|&b| b == 0xEE));
}

fn query_any_takes_every_state_of_a_slot<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let (done, record) = rig.record(7);
    assert_eq!((done.result, done.lo_valid, record.view[0]), (0, false, 0));
    rig.add(&esp_at(7, 3, 5, 9, true));
    assert_eq!(rig.record(7).0.top(), (5, 9, true));
    rig.exec(Cmd::delete(7, 3)).ok();
    let (done, record) = rig.record(7);
    assert_eq!((done.top(), record.view[0], record.view[12]), ((0, 0, false), 0, 3));
}

fn resolve_changes_nothing_without_commit<B: Backend>() {
    for path in Path::BOTH {
        let mut rig = Rig::<B>::new();
        rig.add(&esp_at(7, 3, 5, 9, true));
        let before = rig.table();
        let done = rig.run(path, Cmd::resolve(7, 3, 0xFFFF_FFF0)).ok();
        assert_eq!((done.result, done.changed, done.lo_valid), (0x4_FFFF_FFF0, false, true));
        assert_eq!(rig.table(), before);
    }
}

fn resolve_with_commit_acts_as_that_packet<B: Backend>() {
    for path in Path::BOTH {
        let mut rig = Rig::<B>::new();
        rig.add(&esp_at(7, 3, 5, 9, true));
        let cases = [
            (10, 10, true),
            (10, 10, false),
            (8, 10, false),
            (0xFFFF_FFFF, 10, false),
            (12, 12, true),
        ];
        for (seq, lo, changed) in cases {
            let done = rig.run(path, Cmd::packet(7, 3, seq)).ok();
            assert_eq!((rig.top(7), done.changed), ((5, lo, true), changed), "{path:?} {seq:x}");
        }
    }
}

fn nop_and_fence_answer_with_nothing<B: Backend>() {
    let mut rig = Rig::<B>::new();
    for cmd in [Cmd::nop(), Cmd::fence()] {
        let done = rig.exec(cmd).ok();
        assert_eq!((done.result, done.lo_valid, done.changed), (0, false, false));
        assert_eq!(done.opcode, cmd.opcode());
    }
}

fn every_completion_says_what_it_answers<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sa = esp(7, 3);
    let cmds = [
        (Cmd::from(sa), Opcode::Add),
        (Cmd::update(&sa, UpdateMode::Hi, 0, (0, 0), 0), Opcode::Update),
        (Cmd::query(7, 3), Opcode::Query),
        (Cmd::resolve(7, 3, 1), Opcode::Resolve),
        (Cmd::delete(7, 3), Opcode::Delete),
    ];
    for path in Path::BOTH {
        for (cmd, opcode) in cmds {
            let cmd = cmd.dword(12, if path == Path::Ring { 3 } else { 4 });
            let done = rig.run(path, cmd).ok();
            assert_eq!(done.opcode, opcode as u8);
            let errors = rig.counter(Counters::CPL_ERR);
            assert_eq!(errors, 0);
        }
    }
    assert_eq!(rig.exec(Cmd::update4(false, &[(9, 9, 9)])).opcode, Opcode::Update4 as u8);
}

fn a_million_slots_are_all_different<B: Backend>() {
    let params = Params { sa_capacity: 1 << 20, ..Rig::<B>::small() };
    let mut rig = Rig::<B>::with(params, &[Shape::of(10, 10)]);
    let slots: Vec<u32> = (0..20).map(|bit| 1 << bit).chain([0, (1 << 20) - 1]).collect();
    for &slot in &slots {
        rig.add(&esp_at(slot, 1, slot, !slot, true));
    }
    for &slot in &slots {
        assert_eq!(rig.top(slot), (slot, !slot, true));
        assert_eq!(rig.view(slot).peer.get(), NO_PEER);
    }
    assert_eq!(rig.counter(Counters::SA_LIVE), slots.len() as u64);
    rig.exec(Cmd::query(1 << 20, 1)).expect(Status::BadIndex);
}
