// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Streams of packets that other projects test their ESN with (facts/anchors.md, C1 to C4).
//!
//! RFC 4303 A2.2 places a number by the receive window: below `top` − W + 1 it belongs to the next
//! high half. This device resolves to the nearest number and knows no window (§7), so both agree on
//! every packet within 2^31 of `top`, and differ beyond: there the RFC sees a jump forward of up to
//! 2^32 − W and the device an old packet. Whether a packet is *accepted* is for the replay window of
//! the datapath; what is tested here is the number it is authenticated with, and that only newer
//! ones move `top`.

#[macro_use]
mod common;

use common::cmd::{esp, esp_at};
use common::{Add, Backend, Cmd, Rig, Status, UpdateMode};
use esnic_abi::codes;

for_each_backend!(
    c1_both_rules_agree_inside_half_the_number_space,
    c1_the_two_rules_differ_only_where_the_rfc_jumps_far,
    c1_the_very_first_packet_may_be_the_last_low_half,
    c2_one_epoch_number_is_cas_on_the_high_half,
    c3_the_first_packet_is_1_and_the_convention_is_last_used,
    c4_dpdk_stream_over_the_wrap,
    c4_dpdk_stream_with_an_update_before_each_packet,
    c4_dpdk_stream_without_esn,
    c4_vpp_stream,
    c4_snabb_offsets_and_resynchronisation,
    c5_late_early_double_and_backward_updates,
    c5_updates_of_an_entry_that_is_gone_touch_nobody,
    c5_update_survives_between_add_and_delete_in_one_batch,
);

/// A packet of each 64-bit number in turn; each must be taken for itself. Gives the highest.
fn stream<B: Backend>(rig: &mut Rig<B>, sa: &Add, numbers: &[u64]) -> u64 {
    let (index, generation) = (sa.header.index.get(), sa.header.generation.get());
    let (hi, lo, _) = rig.top(index);
    let mut highest = u64::from(hi) << 32 | u64::from(lo);
    for &number in numbers {
        let done = rig.exec(Cmd::packet(index, generation, number as u32)).ok();
        assert_eq!(done.result, number, "after {highest:x}");
        highest = highest.max(number);
        let top = ((highest >> 32) as u32, highest as u32, true);
        assert_eq!(rig.top(index), top);
    }
    highest
}

/// RFC 4303 A2.2 for window `w`, in whole numbers; none below 0.
fn rfc(top: u64, w: u64, seq: u32) -> Option<u64> {
    let (lap, seq) = (1u64 << 32, u64::from(seq));
    let base = top - top % lap;
    if top % lap >= w - 1 {
        let lowest = top % lap - (w - 1);
        Some(base + seq + if seq >= lowest { 0 } else { lap })
    } else {
        let lowest = (top % lap + lap - (w - 1)) % lap;
        if seq >= lowest { (base + seq).checked_sub(lap) } else { Some(base + seq) }
    }
}

fn seqs(top: u64, w: u64) -> Vec<u32> {
    let bottom = top.wrapping_sub(w - 1);
    let near = |n: u64| [n.wrapping_sub(1), n, n.wrapping_add(1)].map(|n| n as u32);
    [
        bottom,
        top,
        top.wrapping_add(1 << 30),
        top.wrapping_sub(1 << 30),
        0,
        top.wrapping_add((1 << 31) - 2),
    ]
    .into_iter()
    .flat_map(near)
    .collect()
}

const TOPS: [u64; 9] = [
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    1 << 32,
    (1 << 32) + 10,
    (5 << 32) + 62,
    (5 << 32) + 63,
    (5 << 32) + 64,
    (5 << 32) + 0x9000_0000,
];

fn c1_both_rules_agree_inside_half_the_number_space<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sa = esp(7, 1);
    rig.add(&sa);
    let mut agreed = 0;
    for top in TOPS {
        for w in [1, 64, 1024, 4096] {
            rig.exec(Cmd::top(&sa, (top >> 32) as u32, top as u32)).ok();
            for seq in seqs(top, w) {
                let told = rig.exec(Cmd::resolve(7, 1, seq)).ok().result;
                // Inside the window, or ahead of it by less than half a lap.
                let inside = told + w > top && told < top + (1 << 31);
                if inside {
                    assert_eq!(Some(told), rfc(top, w, seq), "top {top:x} W {w} S {seq:x}");
                    agreed += 1;
                }
            }
        }
    }
    assert!(agreed > 300, "{agreed}");
}

fn c1_the_two_rules_differ_only_where_the_rfc_jumps_far<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sa = esp(7, 1);
    rig.add(&sa);
    let mut differed = 0;
    for top in TOPS {
        rig.exec(Cmd::top(&sa, (top >> 32) as u32, top as u32)).ok();
        for seq in seqs(top, 64) {
            let told = rig.exec(Cmd::resolve(7, 1, seq)).ok().result;
            match rfc(top, 64, seq) {
                Some(number) if number != told => {
                    // One below the window: the RFC takes it for a packet of the next lap.
                    assert_eq!(number, told + (1 << 32));
                    assert!(told + 64 <= top && number - top >= 1 << 31);
                    differed += 1;
                }
                _ => {}
            }
        }
    }
    assert!(differed > 20, "{differed}");
}

/// Where the RFC's text gives −1 for the high half, this contract stays at 0 (§7).
fn c1_the_very_first_packet_may_be_the_last_low_half<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sa = esp(7, 1);
    rig.add(&sa);
    assert_eq!(rfc(0, 64, 0xFFFF_FFFF), None);
    stream(&mut rig, &sa, &[0xFFFF_FFFF, 1 << 32, (1 << 32) + 5, 0xFFFF_FFFE]);
}

/// The scheme E = 2·H + O needs no bit of its own here: compare-and-set on H says all of it.
fn c2_one_epoch_number_is_cas_on_the_high_half<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sa = esp_at(7, 1, 0, 0x8000_0000, true);
    rig.add(&sa);
    for hi in 0..5u32 {
        let lap = u64::from(hi) << 32;
        // Upper half of one lap, told at the half, then the lower half of the next.
        stream(&mut rig, &sa, &[lap + 0x8000_0000, lap + 0xC000_0000]);
        assert_eq!(rig.exec(Cmd::cas(&sa, hi, hi + 1)).ok().top(), (hi + 1, 0, true));
        let already = rig.exec(Cmd::cas(&sa, hi, hi + 1)).expect(Status::Conflict);
        assert_eq!(already.hi(), hi + 1, "already there");
        // Stragglers of the old lap resolve to it still.
        let late = rig.exec(Cmd::resolve(7, 1, 0xFFFF_FFFF)).ok();
        assert_eq!(late.result, lap + 0xFFFF_FFFF);
        stream(&mut rig, &sa, &[lap + (1 << 32) + 1, lap + (1 << 32) + 0x7FFF_FFFF]);
        stream(&mut rig, &sa, &[lap + (1 << 32) + 0x8000_0000]);
    }
}

fn c3_the_first_packet_is_1_and_the_convention_is_last_used<B: Backend>() {
    for (generation, (last, next)) in
        (1..).zip([(0u64, 1u64), (1, 2), (0xFFFF_FFFF, 1 << 32), (1 << 32, (1 << 32) + 1)])
    {
        let mut rig = Rig::<B>::new();
        let sa = esp_at(7, generation, (last >> 32) as u32, last as u32, true);
        rig.add(&sa);
        let again = rig.exec(Cmd::packet(7, generation, last as u32)).ok();
        assert_eq!((again.result, again.changed), (last, false), "the last one is used already");
        assert!(rig.exec(Cmd::packet(7, generation, next as u32)).ok().changed);
        stream(&mut rig, &sa, &[next, last]);
    }
}

/// Of each window: the numbers that DPDK accepts, then the two that it rejects as seen.
fn c4_dpdk_stream_over_the_wrap<B: Backend>() {
    const LAP: u64 = 1 << 32;
    for w in [64, 1024, 2048, 4096] {
        let mut rig = Rig::<B>::new();
        let start = LAP - 1 - w;
        let sa =
            Add { replay_window: (w as u16).into(), ..esp_at(7, 1, 0, start as u32 - 1, true) };
        rig.add(&sa);
        let numbers = [start, LAP + w / 2, LAP - w / 2 + 1, LAP - 1, LAP, LAP - 1, LAP];
        assert_eq!(stream(&mut rig, &sa, &numbers), LAP + w / 2);
        assert_eq!(rig.view(7).replay_window.get(), w as u16);
    }
}

/// As DPDK's test does on the sending side: each number is set by an update, then used.
fn c4_dpdk_stream_with_an_update_before_each_packet<B: Backend>() {
    const LAP: u64 = 1 << 32;
    let mut rig = Rig::<B>::new();
    let sa = esp(7, 1);
    rig.add(&sa);
    for w in [1024, 2048, 4096] {
        for number in [LAP - 1 - w, LAP + w / 2, LAP - w / 2 + 1, LAP - 1, LAP] {
            let before = number - 1;
            rig.exec(Cmd::top(&sa, (before >> 32) as u32, before as u32)).ok();
            assert!(rig.exec(Cmd::packet(7, 1, number as u32)).ok().changed);
            assert_eq!(rig.top(7), ((number >> 32) as u32, number as u32, true));
        }
    }
}

fn c4_dpdk_stream_without_esn<B: Backend>() {
    for w in [64, 1024, 4096] {
        let mut rig = Rig::<B>::new();
        let sa = Add { sa_flags: 0.into(), ..esp(7, 1) };
        rig.add(&sa);
        assert_eq!(stream(&mut rig, &sa, &[2 * w, w + 1, w, w + w / 2, 2 * w]), 2 * w);
    }
}

fn c4_vpp_stream<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sa = esp(7, 1);
    rig.add(&sa);
    stream(&mut rig, &sa, &[200, 81, 201, 202]);
    // Half a lap and one ahead of 202 is behind it, by the nearest number: VPP's next step goes in two.
    stream(&mut rig, &sa, &[0x4400_0001, 0x8000_0001, 0x4400_0002, 0xC000_0000]);
    stream(&mut rig, &sa, &[0x1_0000_0005, 0x1_0000_0004, 0xFFFF_FFFF, 0x1_0000_0006]);
    // A burst of 257, over the boundary of VPP's vectors and of several rings' rounds.
    let burst: Vec<u64> = (0x1_0000_0007..0x1_0000_0108).collect();
    assert_eq!(burst.len(), 257);
    stream(&mut rig, &sa, &burst);
}

fn c4_snabb_offsets_and_resynchronisation<B: Backend>() {
    let mut rig = Rig::<B>::new();
    for (generation, offset) in [(1, 0u64), (2, (1 << 32) - 7)] {
        let sa = esp_at(7, generation, 0, offset as u32, true);
        rig.add(&sa);
        let numbers: Vec<u64> = (1..20).map(|k| offset + k).collect();
        stream(&mut rig, &sa, &numbers);
        rig.exec(Cmd::delete(7, generation)).ok();
    }
    // 2^34 + 42 against 2^36 + 24: nobody can tell from 32 bits; the number is near `top`.
    let sa = esp_at(7, 3, 1 << 4, 24, true);
    rig.add(&sa);
    let far = rig.exec(Cmd::resolve(7, 3, 42)).ok();
    assert_eq!(far.result, (1 << 36) + 42);
    // After the loss of more than a lap the host tries high halves, forward, and never moves back.
    for hi in 17..25 {
        let monotone =
            |hi| Cmd::update(&sa, UpdateMode::Resync, codes::UPDATE_MONOTONE, (hi, 0), 0);
        assert_eq!(rig.exec(monotone(hi)).ok().top(), (hi, 0, false));
        rig.exec(monotone(hi - 1)).expect(Status::Backward);
    }
    stream(&mut rig, &sa, &[(24 << 32) + 42]);
}

fn c5_late_early_double_and_backward_updates<B: Backend>() {
    // State; told; after: early by one lap, late by one, two ahead, backward, at the end.
    let cases = [
        ((5, 10), 6, (6, 0, false)),
        ((6, 10), 5, (5, 0, false)),
        ((5, 0xFFFF_FFFF), 7, (7, 0, false)),
        ((5, 0xFFFF_FFFF), 6, (6, 0, true)),
        ((0xFFFF_FFFF, 0xFFFF_FFFF), 0, (0, 0, false)),
    ];
    let mut rig = Rig::<B>::new();
    let sa = esp(7, 1);
    rig.add(&sa);
    for ((hi, lo), told, after) in cases {
        rig.exec(Cmd::top(&sa, hi, lo)).ok();
        assert_eq!(rig.exec(Cmd::hi(&sa, told)).ok().top(), after);
        let twice = rig.exec(Cmd::hi(&sa, told)).ok();
        assert_eq!((twice.top(), twice.changed), (after, false), "the second is no news");
    }
}

/// Deleted, reused, rekeyed, or another SA with the same SPI (C5.3, C5.17, C5.18).
fn c5_updates_of_an_entry_that_is_gone_touch_nobody<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let old = esp(7, 1);
    rig.add(&old);
    let twin =
        Add { spi: old.spi, dst: [10, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], ..esp(8, 1) };
    rig.add(&twin);
    rig.exec(Cmd::delete(7, 1)).ok();
    rig.exec(Cmd::hi(&old, 1)).expect(Status::Empty);
    let new = Add { spi: old.spi, ..esp(7, 2) };
    rig.add(&new);
    let before = rig.table();
    rig.exec(Cmd::hi(&old, 1)).expect(Status::Stale);
    rig.exec(Cmd::delete(7, 1)).expect(Status::Stale);
    rig.exec(Cmd::packet(7, 1, 99)).expect(Status::Stale);
    assert!(rig.table() == before);
}

/// Update while its ADD is under way, delete while its update is (C5.5), many together (C5.19).
fn c5_update_survives_between_add_and_delete_in_one_batch<B: Backend>() {
    let mut rig = Rig::<B>::new();
    for round in 1..50 {
        let sas: Vec<_> = (0..10).map(|k| esp_at(k, round, 1, 0xFFFF_FFFF, true)).collect();
        for sa in &sas {
            let index = sa.header.index.get();
            let cmds = [
                (*sa).into(),
                Cmd::hi(sa, 2),
                Cmd::packet(index, round, 9),
                Cmd::delete(index, round),
                Cmd::hi(sa, 3),
            ];
            for cmd in cmds {
                let cmd = rig.stamp(cmd);
                rig.pairs[0].put(&cmd);
            }
            rig.pairs[0].ring();
            let done = rig.pairs[0].reap(5);
            assert_eq!(done[3].ok().result, 2 << 32 | 9);
            done[4].expect(Status::Empty);
        }
    }
}
