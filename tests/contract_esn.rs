// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Extended sequence numbers (§7): each row of the contract's tables, through real commands, by both
//! paths. A low half that is not valid is 0 (§4.2), so the one row of the table that has another is
//! reached with 0.

#[macro_use]
mod common;

use common::rig::State;
use common::{Backend, Cmd, Path, Rig, Status, UpdateMode};
use esnic_abi::codes;

for_each_backend!(
    resolve_follows_the_table,
    commit_follows_the_table,
    update_hi_follows_the_table,
    cas_step_and_monotone_follow_the_examples,
);

/// `top`; S; what RESOLVE answers; `top` after COMMIT.
type Row = (State, u32, (u32, u32), State);

/// The left table of §7, row by row.
#[rustfmt::skip]
const RESOLVE: [Row; 16] = [
    ((0, 0, true),            1,           (0, 1),               (0, 1, true)),
    ((0, 0, true),            0x7FFF_FFFF, (0, 0x7FFF_FFFF),     (0, 0x7FFF_FFFF, true)),
    ((0, 0, true),            0xFFFF_FFFF, (0, 0xFFFF_FFFF),     (0, 0xFFFF_FFFF, true)),
    ((0, 5, true),            0xFFFF_FFF0, (0, 0xFFFF_FFF0),     (0, 0xFFFF_FFF0, true)),
    ((0, 0x8000_0000, true),  0,           (0, 0),               (0, 0x8000_0000, true)),
    ((0, 0x8000_0001, true),  0,           (1, 0),               (1, 0, true)),
    ((0, 0x8000_0001, true),  1,           (0, 1),               (0, 0x8000_0001, true)),
    ((0, 0xFFFF_FFFF, true),  0x7FFF_FFFE, (1, 0x7FFF_FFFE),     (1, 0x7FFF_FFFE, true)),
    ((0, 0xFFFF_FFFF, true),  0x7FFF_FFFF, (0, 0x7FFF_FFFF),     (0, 0xFFFF_FFFF, true)),
    ((1, 0, true),            0x7FFF_FFFF, (1, 0x7FFF_FFFF),     (1, 0x7FFF_FFFF, true)),
    ((1, 0, true),            0x8000_0000, (0, 0x8000_0000),     (1, 0, true)),
    ((5, 0x7FFF_FFFF, true),  0xFFFF_FFFE, (5, 0xFFFF_FFFE),     (5, 0xFFFF_FFFE, true)),
    ((5, 0x7FFF_FFFF, true),  0xFFFF_FFFF, (4, 0xFFFF_FFFF),     (5, 0x7FFF_FFFF, true)),
    ((!0, 0xFFFF_FFF0, true), 5,           (!0, 5),              (!0, 0xFFFF_FFF0, true)),
    ((!0, 0, true),           0xFFFF_FFFF, (!0 - 1, 0xFFFF_FFFF), (!0, 0, true)),
    ((7, 0, false),           0xFFFF_FFFF, (7, 0xFFFF_FFFF),     (7, 0xFFFF_FFFF, true)),
];

/// The right table of §7: `top`; told hi; `top` after.
#[rustfmt::skip]
const UPDATE: [(State, u32, State); 15] = [
    ((0, 0, true), 0, (0, 0, true)),
    ((0, 0x7FFF_FFFF, true), 1, (1, 0, false)),
    ((0, 0x8000_0000, true), 1, (1, 0, true)),
    ((0, 0xFFFF_FFFF, true), 1, (1, 0, true)),
    ((0, 0xFFFF_FFFF, false), 1, (1, 0, false)),
    ((1, 0, true), 1, (1, 0, true)),
    ((1, 0, true), 2, (2, 0, false)),
    ((1, 10, true), 0, (0, 0, false)),
    ((1, 0x9000_0000, true), 3, (3, 0, false)),
    ((!0 - 1, 0x8000_0000, true), !0, (!0, 0, true)),
    ((!0, 0xFFFF_FFFF, true), 0, (0, 0, false)),
    ((!0, 0, true), !0, (!0, 0, true)),
    ((0, 0xFFFF_FFFF, true), !0, (!0, 0, false)),
    ((7, 0, false), 7, (7, 0, false)),
    ((7, 0, false), 8, (8, 0, false)),
];

/// Every way to come to a state and to send a command.
fn ways() -> impl Iterator<Item = (bool, Path)> {
    [true, false].into_iter().flat_map(|by_add| Path::BOTH.map(|path| (by_add, path)))
}

fn number(hi: u32, lo: u32) -> u64 {
    u64::from(hi) << 32 | u64::from(lo)
}

fn resolve_follows_the_table<B: Backend>() {
    let mut rig = Rig::<B>::new();
    for ((by_add, path), row) in ways().flat_map(|way| RESOLVE.map(|row| (way, row))) {
        let (state, seq, (hi, lo), _) = row;
        let generation = rig.hold(7, state, by_add).header.generation.get();
        let done = rig.run(path, Cmd::resolve(7, generation, seq)).ok();
        assert_eq!(done.result, number(hi, lo), "{row:x?}");
        assert_eq!((rig.top(7), done.changed), (state, false), "only asked");
    }
}

fn commit_follows_the_table<B: Backend>() {
    let mut rig = Rig::<B>::new();
    for ((by_add, path), row) in ways().flat_map(|way| RESOLVE.map(|row| (way, row))) {
        let (state, seq, (hi, lo), after) = row;
        let generation = rig.hold(7, state, by_add).header.generation.get();
        let done = rig.run(path, Cmd::packet(7, generation, seq)).ok();
        assert_eq!(done.result, number(hi, lo), "{row:x?}");
        assert_eq!((done.lo_valid, done.changed), (after.2, state != after), "{row:x?}");
        assert_eq!(rig.top(7), after, "{row:x?}");
        assert_eq!(rig.exec(Cmd::query(7, generation)).top(), after, "{row:x?}");
    }
}

fn update_hi_follows_the_table<B: Backend>() {
    let mut rig = Rig::<B>::new();
    for ((by_add, path), row) in ways().flat_map(|way| UPDATE.map(|row| (way, row))) {
        let (state, hi, after) = row;
        let sa = rig.hold(7, state, by_add);
        let before = rig.top(7);
        let done = rig.run(path, Cmd::hi(&sa, hi)).ok();
        assert_eq!((done.top(), done.changed), (after, before != after), "{row:x?}");
        assert_eq!(rig.top(7), after, "{row:x?}");
        // The same by UPDATE4, which has a ring only.
        if path == Path::Ring {
            let sa = rig.hold(7, state, by_add);
            let item = (7, sa.header.generation.get(), hi);
            let done = rig.exec(Cmd::update4(false, &[item])).ok();
            assert_eq!((rig.top(7), done.changed), (after, before != after), "{row:x?}");
        }
    }
}

fn cas_step_and_monotone_follow_the_examples<B: Backend>() {
    let mut rig = Rig::<B>::new();
    for path in Path::BOTH {
        let sa = rig.hold(7, (5, 0x8000_0000, true), true);
        let done = rig.run(path, Cmd::cas(&sa, 4, 6)).expect(Status::Conflict);
        assert_eq!((done.hi(), rig.top(7)), (5, (5, 0x8000_0000, true)));
        rig.run(path, Cmd::cas(&sa, 5, 6)).ok();
        assert_eq!(rig.top(7), (6, 0, true));
        // CAS with TOP and RESYNC, too.
        for mode in [UpdateMode::Top, UpdateMode::Resync] {
            let cas = |expected| Cmd::update(&sa, mode, codes::UPDATE_CAS, (7, 0), expected);
            rig.run(path, Cmd::top(&sa, 6, 3)).ok();
            rig.run(path, cas(7)).expect(Status::Conflict);
            assert_eq!(rig.run(path, cas(6)).ok().top(), (7, 0, mode == UpdateMode::Top));
        }
        let monotone = |hi| Cmd::update(&sa, UpdateMode::Hi, codes::UPDATE_MONOTONE, (hi, 0), 0);
        rig.run(path, Cmd::top(&sa, 5, 0x10)).ok();
        assert!(!rig.run(path, monotone(5)).ok().changed);
        assert_eq!(rig.run(path, monotone(4)).expect(Status::Backward).top(), (5, 0x10, true));
        let monotone = |lo| Cmd::update(&sa, UpdateMode::Top, codes::UPDATE_MONOTONE, (5, lo), 0);
        rig.run(path, monotone(0x0F)).expect(Status::Backward);
        rig.run(path, monotone(0x10)).ok();
    }
    for (held, status) in [(5, Status::Ok), (6, Status::Items), (4, Status::Items)] {
        let sa = rig.hold(7, (held, 0x8000_0000, true), true);
        let done = rig.exec(Cmd::update4(true, &[(7, sa.header.generation.get(), 6)]));
        let conflict = if status == Status::Items { Status::Conflict as u64 } else { 0 };
        assert_eq!(done.expect(status).result & 0xFF, conflict, "hi {held}");
    }
}
