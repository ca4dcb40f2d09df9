// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Extended sequence numbers (§7) where halves meet: one number around 2^31 and 2^32 and at both ends,
//! and the rules about who may move `top` where.

#[macro_use]
mod common;

use common::cmd::{esp, esp_at};
use common::oracle::nearest;
use common::rig::State;
use common::{Add, Backend, Cmd, Path, Rig, Status, UpdateMode, thin};
use esnic_abi::codes;

for_each_backend!(
    resolve_is_the_nearest_number_at_every_edge,
    update_hi_advances_only_from_the_upper_half,
    r31_top_and_lo_valid_change_together,
    r34_after_a_resync_the_first_packet_sets_top,
    r35_hi_never_leaves_its_end_by_itself,
    r36_a_repeated_update_does_not_pull_top_back,
    r37_an_early_update_is_a_resync_and_a_late_one_is_harmless,
    monotone_compares_all_64_bits_for_top_and_hi_for_the_rest,
    resync_and_top_reach_every_number,
    without_esn_numbers_have_32_bits,
);

fn number(hi: u32, lo: u32) -> u64 {
    u64::from(hi) << 32 | u64::from(lo)
}

/// Every `top` and S that are within one of 0, 2^31 and 2^32, with each high half that is special.
fn edges() -> Vec<u32> {
    let around = |n: u32| [n.wrapping_sub(1), n, n.wrapping_add(1)];
    [0, 1 << 31].into_iter().flat_map(around).chain([2, 0xFFFF_FFFE]).collect()
}

fn resolve_is_the_nearest_number_at_every_edge<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sa = esp(7, 1);
    rig.add(&sa);
    for hi in [0, 1, 2, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF] {
        for lo in edges() {
            let ahead = edges().into_iter().chain(edges().into_iter().map(|d| lo.wrapping_add(d)));
            for (k, seq) in thin(ahead.enumerate()) {
                let path = Path::BOTH[k % 2];
                rig.exec(Cmd::top(&sa, hi, lo)).ok();
                let top = number(hi, lo);
                let n = nearest(top, seq);
                let done = rig.run(path, Cmd::packet(7, 1, seq)).ok();
                assert_eq!(done.result, n, "top {top:x}, S {seq:x}");
                let after = n.max(top);
                assert_eq!(rig.top(7), ((after >> 32) as u32, after as u32, true));
                // The promise in words of its own: same low half, and no other number is nearer.
                assert_eq!(n as u32, seq);
                let far = |n: u64| u128::from(n.abs_diff(top));
                let others = [n.checked_sub(1 << 32), n.checked_add(1 << 32)];
                let inside = far(n) <= 1 << 31;
                assert!(!inside || others.into_iter().flatten().all(|o| far(o) >= far(n)));
                assert!(inside || hi == 0 || hi == !0, "only the ends force a far one");
            }
        }
    }
}

fn update_hi_advances_only_from_the_upper_half<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sa = esp(7, 1);
    rig.add(&sa);
    for hi in [0u32, 1, 0x7FFF_FFFF, 0xFFFF_FFFD, 0xFFFF_FFFE, 0xFFFF_FFFF] {
        for (lo, path) in edges().into_iter().flat_map(|lo| Path::BOTH.map(|path| (lo, path))) {
            for told in [hi.wrapping_add(1), hi.wrapping_add(2), hi.wrapping_sub(1), hi, 0, !0] {
                rig.exec(Cmd::top(&sa, hi, lo)).ok();
                let done = rig.run(path, Cmd::hi(&sa, told)).ok();
                let advance = u64::from(told) == u64::from(hi) + 1 && lo >= 1 << 31;
                let expected = if told == hi { (hi, lo, true) } else { (told, 0, advance) };
                assert_eq!(done.top(), expected, "{hi:x}:{lo:x} told {told:x}");
            }
        }
    }
}

/// The record of a QUERY that runs beside updates never shows one without the other.
fn r31_top_and_lo_valid_change_together<B: Backend>() {
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[common::Shape::default(); 2]);
    let sa = esp(7, 1);
    rig.add(&sa);
    let buffer = rig.buffer();
    for round in 0..200u32 {
        // Two states: (round, round, valid) and (!round, 0, not valid).
        for k in 0..16 {
            let cmd =
                if k % 2 == 0 { Cmd::top(&sa, round, round) } else { Cmd::resync(&sa, !round) };
            let cmd = rig.stamp(cmd);
            rig.pairs[0].put(&cmd);
            let query = rig.stamp(Cmd::query_any(7, buffer.iova().0 + 128 * k));
            rig.pairs[1].put(&query);
        }
        rig.pairs[0].ring();
        rig.pairs[1].ring();
        rig.pairs[0].reap(16);
        for done in rig.pairs[1].reap(16) {
            let (hi, lo, valid) = done.ok().top();
            let whole = match (valid, round) {
                (true, _) if hi == round => lo == round,
                (false, _) => {
                    lo == 0 && (hi == !round || Some(hi) == round.checked_sub(1).map(|r| !r))
                }
                _ => false,
            };
            assert!(whole || (hi, lo, valid) == (0, 0, true), "{hi:x}:{lo:x} {valid}");
        }
    }
}

fn r34_after_a_resync_the_first_packet_sets_top<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sa = esp(7, 1);
    rig.add(&sa);
    for seq in edges() {
        rig.exec(Cmd::top(&sa, 9, 0xFFFF_FFFF)).ok();
        rig.exec(Cmd::resync(&sa, 3)).ok();
        let done = rig.exec(Cmd::packet(7, 1, seq)).ok();
        assert_eq!((done.result, rig.top(7)), (number(3, seq), (3, seq, true)));
        assert!(done.changed);
    }
}

fn r35_hi_never_leaves_its_end_by_itself<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sa = esp_at(7, 1, !0, 0xFFFF_FFF0, true);
    rig.add(&sa);
    for seq in [0xFFFF_FFFE, 0xFFFF_FFFF, 0, 1, 5, 0x7FFF_FFEF, 0x7FFF_FFFF] {
        let done = rig.exec(Cmd::packet(7, 1, seq)).ok();
        assert_eq!(done.hi(), !0, "S {seq:x}");
        assert_eq!(rig.top(7).0, !0);
    }
    assert_eq!(rig.top(7), (!0, !0, true), "2^64-1, and it stays");
    assert!(!rig.exec(Cmd::packet(7, 1, 0)).ok().changed);
    // Nor does the first number go below 0.
    rig.exec(Cmd::top(&sa, 0, 0)).ok();
    assert_eq!(rig.exec(Cmd::resolve(7, 1, 0xFFFF_FFFF)).ok().result, 0xFFFF_FFFF);
}

fn r36_a_repeated_update_does_not_pull_top_back<B: Backend>() {
    let mut rig = Rig::<B>::new();
    for path in Path::BOTH {
        let sa = rig.hold(7, (5, 0xF000_0000, true), true);
        let generation = sa.header.generation.get();
        rig.run(path, Cmd::cas(&sa, 5, 6)).ok();
        // The answer got lost; traffic moved on; the repeat finds its wish fulfilled.
        rig.run(path, Cmd::packet(7, generation, 44)).ok();
        let done = rig.run(path, Cmd::cas(&sa, 5, 6)).expect(Status::Conflict);
        assert_eq!((done.hi(), rig.top(7)), (6, (6, 44, true)));
        // An event that comes twice (anchors C5.1) advances once.
        rig.run(path, Cmd::hi(&sa, 6)).ok();
        assert_eq!(rig.top(7), (6, 44, true));
    }
}

/// The device sees all packets; UPDATE comes at each distance from the wrap (anchors C5.11).
fn r37_an_early_update_is_a_resync_and_a_late_one_is_harmless<B: Backend>() {
    let mut rig = Rig::<B>::new();
    for at in [-0x8000_0001i64, -0x8000_0000, -1000, -1, 0, 1, 1000, 0x7FFF_FFFF] {
        let top = (6i64 << 32) + at;
        let sa = rig.hold(7, ((top >> 32) as u32, top as u32, true), true);
        rig.exec(Cmd::hi(&sa, 6)).ok();
        let expected = match at {
            // One number too early: the low half is forgotten.
            -0x8000_0001 => (6, 0, false),
            at if at < 0 => (6, 0, true),
            at => (6, at as u32, true),
        };
        assert_eq!(rig.top(7), expected, "UPDATE at {at} packets from the wrap");
        if expected.2 {
            // Packets of the old half still resolve to it, those of the new one to the new.
            let generation = sa.header.generation.get();
            let old = rig.exec(Cmd::resolve(7, generation, 0xFFFF_FFFF)).ok();
            assert_eq!(old.hi(), 5);
            let new = rig.exec(Cmd::resolve(7, generation, 5)).ok();
            assert_eq!(new.hi(), 6);
        }
    }
}

fn monotone_compares_all_64_bits_for_top_and_hi_for_the_rest<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let flags = codes::UPDATE_MONOTONE;
    let states: [State; 5] =
        [(5, 0x8000_0000, true), (5, 0, false), (5, 0, true), (0, 1, true), (!0, !0, true)];
    for state in states {
        for path in Path::BOTH {
            for mode in [UpdateMode::Hi, UpdateMode::Top, UpdateMode::Resync] {
                let (hi, lo, _) = state;
                let tops =
                    [(hi, lo), (hi, lo.saturating_sub(1)), (hi.saturating_sub(1), !0), (hi, !0)];
                for (to_hi, to_lo) in tops {
                    let sa = rig.hold(7, state, true);
                    let top = mode == UpdateMode::Top;
                    let to = (to_hi, if top { to_lo } else { 0 });
                    let done = rig.run(path, Cmd::update(&sa, mode, flags, to, 0));
                    let back = if top { number(to_hi, to_lo) < number(hi, lo) } else { to_hi < hi };
                    let status = if back { Status::Backward } else { Status::Ok };
                    assert_eq!(done.status, status, "{state:x?} {mode} to {to:x?}");
                    assert!(!back || rig.top(7) == state);
                }
            }
        }
    }
}

fn resync_and_top_reach_every_number<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sa = esp(7, 1);
    rig.add(&sa);
    for hi in edges() {
        for (lo, path) in edges().into_iter().zip(Path::BOTH.into_iter().cycle()) {
            assert_eq!(rig.run(path, Cmd::top(&sa, hi, lo)).ok().top(), (hi, lo, true));
            assert_eq!(rig.run(path, Cmd::resync(&sa, hi)).ok().top(), (hi, 0, false));
        }
    }
}

fn without_esn_numbers_have_32_bits<B: Backend>() {
    let mut rig = Rig::<B>::new();
    for lo in edges() {
        let sa =
            Add { sa_flags: 0.into(), ..esp_at(7, rig.view(7).generation.get() + 1, 0, lo, true) };
        rig.add(&sa);
        let generation = sa.header.generation.get();
        let mut top = lo;
        for seq in edges() {
            let done = rig.exec(Cmd::packet(7, generation, seq)).ok();
            top = top.max(seq);
            assert_eq!((done.result, rig.top(7)), (seq.into(), (0, top, true)));
        }
        rig.exec(Cmd::delete(7, generation)).ok();
    }
}
