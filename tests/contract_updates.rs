// SPDX-License-Identifier: Apache-2.0 OR MIT
//! UPDATE and UPDATE4 (§4.3, §4.4): the commands that the device is for.

#[macro_use]
mod common;

use common::cmd::{esp, esp_at};
use common::{Add, Backend, Cmd, Path, Rig, Status};

for_each_backend!(
    update_changes_top_and_lo_valid_and_nothing_else,
    update4_updates_in_item_order_and_answers_item_by_item,
    update4_step_expects_the_high_half_before,
    update4_items_are_independent,
);

fn update_changes_top_and_lo_valid_and_nothing_else<B: Backend>() {
    for path in Path::BOTH {
        let mut rig = Rig::<B>::new();
        for index in [6, 7, 8] {
            rig.add(&esp_at(index, 3, 4, 0x8000_0000, true));
        }
        let sa = esp_at(7, 3, 4, 0x8000_0000, true);
        let cases = [
            (Cmd::hi(&sa, 5), (5, 0, true)),
            (Cmd::hi(&sa, 9), (9, 0, false)),
            (Cmd::top(&sa, 2, 3), (2, 3, true)),
            (Cmd::resync(&sa, 2), (2, 0, false)),
        ];
        for (cmd, after) in cases {
            let mut expected = rig.table();
            let done = rig.run(path, cmd).ok();
            assert_eq!((done.top(), done.changed), (after, true), "{path:?} {cmd:?}");
            let row = &mut expected[7];
            (row.hi, row.lo, row.lo_valid) = (after.0.into(), after.1.into(), after.2.into());
            assert!(rig.table() == expected, "{path:?} {cmd:?}");
            let again =
                rig.run(path, if cmd.bytes()[21] == 0 { Cmd::hi(&sa, after.0) } else { cmd });
            assert_eq!((again.ok().top(), again.changed), (after, false), "the same again");
        }
    }
}

fn update4_updates_in_item_order_and_answers_item_by_item<B: Backend>() {
    let mut rig = Rig::<B>::new();
    for index in 0..4 {
        rig.add(&esp_at(index, 1, index, 0x8000_0000, true));
    }
    for count in 1..=4 {
        let items: Vec<_> = (0..count).map(|k| (k, 1, 20 * count + k)).collect();
        let done = rig.exec(Cmd::update4(false, &items)).ok();
        assert_eq!((done.result, done.changed), (((1 << count) - 1) << 32, true));
        items.iter().for_each(|&(k, _, hi)| assert_eq!(rig.top(k), (hi, 0, false)));
    }
    // One slot four times: each item sees what the one before left.
    rig.exec(Cmd::top(&esp(0, 1), 0, !0)).ok();
    let done = rig.exec(Cmd::update4(false, &[(0, 1, 1), (0, 1, 1), (0, 1, 2), (0, 1, 2)]));
    assert_eq!(done.ok().result, 0b0101 << 32, "advance, repeat, resync, repeat");
    assert_eq!(rig.top(0), (2, 0, false));
    let done = rig.exec(Cmd::update4(false, &[(0, 1, 2)])).ok();
    assert_eq!((done.result, done.changed), (0, false));
}

fn update4_step_expects_the_high_half_before<B: Backend>() {
    let mut rig = Rig::<B>::new();
    for (index, hi) in [(0, 5), (1, 6), (2, 4), (3, !0)] {
        rig.add(&esp_at(index, 1, hi, 0x8000_0000, true));
    }
    let done = rig.exec(Cmd::update4(true, &[(0, 1, 6), (1, 1, 6), (2, 1, 6), (3, 1, 0)]));
    let conflict = Status::Conflict as u64;
    let expected = 1 << 32 | conflict << 8 | conflict << 16 | conflict << 24;
    assert_eq!((done.expect(Status::Items).result, done.changed), (expected, true));
    let tops = [0, 1, 2, 3].map(|index| rig.top(index).0);
    assert_eq!(tops, [6, 6, 4, !0]);
    assert_eq!(rig.top(0), (6, 0, true));
}

/// Every item code there is, each between good items.
fn update4_items_are_independent<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.add(&esp(1, 5));
    let plain = Add { sa_flags: 0.into(), ..esp(2, 5) };
    rig.add(&plain);
    let bad = [
        (Status::BadField, (1, 0, 1)),
        (Status::BadIndex, (64, 5, 1)),
        (Status::Empty, (3, 5, 1)),
        (Status::Stale, (1, 4, 1)),
        (Status::NotEsn, (2, 5, 0)),
    ];
    for (hi, (status, item)) in (1..).step_by(2).zip(bad) {
        let before = rig.view(2);
        let items = [(1, 5, 2 * hi), item, (1, 5, 2 * hi + 1)];
        let done = rig.exec(Cmd::update4(false, &items)).expect(Status::Items);
        assert_eq!(done.result, 0b101 << 32 | (status as u64) << 8, "{status}");
        assert_eq!(rig.top(1).0, 2 * hi + 1);
        assert_eq!(rig.view(2), before);
    }
    let done = rig.exec(Cmd::update4(false, &[(3, 1, 1)])).expect(Status::Items);
    assert!(!done.changed);
}
