// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Staging a command in the SA table (§5): however the stores were cut, late or mixed, a command
//! acts as a whole or ends in a status.

#[macro_use]
mod common;

use common::cmd::{esp, live_view};
use common::{
    Backend, Bar, Cmd, Counters, Doorbell, Params, Path, Rig, Shape, Split, Status, Transport,
    regs, thin,
};

for_each_backend!(
    r15_staged_bytes_are_never_readable,
    r17_any_split_of_the_stores_gives_the_same_entry,
    r17_nothing_staged_acts_before_its_doorbell,
    r17_each_required_dword_must_be_written,
    r17_dwords_that_are_not_required_count_as_zero,
    r17_cookie_and_index_of_doorbell_and_header_must_agree,
    r17_a_mixed_store_never_makes_an_entry,
    r17_the_completion_of_a_bad_stage_names_the_doorbell,
    r18_taking_a_command_empties_the_buffer,
    r18_delete_by_either_path_empties_the_buffer_of_its_slot,
    r19_another_slot_takes_the_buffer_over,
    r19_slots_of_different_buffers_do_not_disturb_each_other,
    pieces_of_dwords_are_dropped_and_counted,
    a_half_written_dword_does_not_count_as_written,
);

fn stage_dwords<B: Backend>(rig: &Rig<B>, slot: u32, cmd: &Cmd, wanted: impl Fn(usize) -> bool) {
    for (k, dword) in cmd.dwords().into_iter().enumerate() {
        if wanted(k) {
            let place = 128 * u64::from(slot) + 4 * k as u64;
            rig.link.write32(Bar::Table, place, dword);
        }
    }
}

#[track_caller]
fn knock<B: Backend>(rig: &mut Rig<B>, cmd: &Cmd) -> common::Done {
    rig.pairs[0].knock(cmd.index(), cmd.cookie());
    rig.pairs[0].next()
}

fn r15_staged_bytes_are_never_readable<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.add(&esp(5, 1));
    let before = rig.table();
    let free = rig.stamp(esp(6, 1));
    let live = rig.stamp(esp(5, 2));
    for k in thin(0..32) {
        stage_dwords(&rig, 6, &free, |at| at == k);
        stage_dwords(&rig, 5, &live, |at| at == k);
        assert_eq!(rig.table(), before, "after dword {k}");
    }
}

fn r17_any_split_of_the_stores_gives_the_same_entry<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let shuffled = (0..40).map(Split::Shuffled);
    for (generation, split) in (1..).zip(Split::ALL.into_iter().chain(shuffled)) {
        let sa = esp(7, generation);
        let cmd = rig.stamp(sa);
        rig.pairs[0].stage(7, &cmd, split);
        knock(&mut rig, &cmd).ok();
        assert_eq!(rig.view(7), live_view(&sa), "{split:?}");
        let update = rig.stamp(Cmd::top(&sa, generation, 77));
        rig.pairs[0].stage(7, &update, split);
        knock(&mut rig, &update).ok();
        assert_eq!(rig.top(7), (generation, 77, true), "{split:?}");
        let delete = rig.stamp(Cmd::delete(7, generation));
        rig.pairs[0].stage(7, &delete, split);
        knock(&mut rig, &delete).ok();
    }
}

fn r17_nothing_staged_acts_before_its_doorbell<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let cmd = rig.stamp(esp(7, 1));
    rig.pairs[0].stage(7, &cmd, Split::Lines);
    // Doorbells of other slots and other paths do not set it off.
    rig.exec(Cmd::query(7, 1)).expect(Status::Empty);
    let other = rig.stamp(Cmd::query(8, 1));
    rig.run_raw(0, Path::Direct, other).expect(Status::Empty);
    rig.assert_quiet();
    assert_eq!(rig.counter(Counters::SA_LIVE), 0);
    knock(&mut rig, &cmd).ok();
}

/// For each command that may come this way: all dwords but one, for every one.
fn r17_each_required_dword_must_be_written<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sa = esp(7, 1);
    rig.add(&sa);
    let cmds = [
        esp(8, 1).into(),
        Cmd::hi(&sa, 0),
        Cmd::top(&sa, 1, 2),
        Cmd::cas(&sa, 0, 1),
        Cmd::query(7, 1),
        Cmd::query_any(7, rig.buffer().iova().0),
        Cmd::resolve(7, 1, 0),
        Cmd::packet(7, 1, 9),
        Cmd::delete(7, 1),
    ];
    let before = rig.table();
    for cmd in cmds {
        for missing in thin(cmd.required()) {
            let cmd = rig.stamp(cmd);
            stage_dwords(&rig, cmd.index(), &cmd, |k| k != missing);
            let done = knock(&mut rig, &cmd);
            assert_eq!(done.status, Status::Stage, "{cmd:?} without dword {missing}");
            assert_eq!(rig.table(), before);
        }
    }
}

fn r17_dwords_that_are_not_required_count_as_zero<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sa = esp(7, 1);
    rig.add(&sa);
    let cmds = [
        Cmd::hi(&sa, 3),
        Cmd::cas(&sa, 3, 4),
        Cmd::packet(7, 1, 9),
        Cmd::query(7, 1),
        Cmd::delete(7, 1),
    ];
    for cmd in cmds {
        // Rubbish from before, in the places that are not written again: taken away with it.
        let rubbish = rig.stamp(cmd).dword(60, 0xFFFF_FFFF);
        rig.run_raw(0, Path::Direct, rubbish).expect(Status::BadField);
        let cmd = rig.stamp(cmd);
        let must = cmd.required();
        stage_dwords(&rig, 7, &cmd, |k| must.contains(&k));
        knock(&mut rig, &cmd).ok();
    }
}

fn r17_cookie_and_index_of_doorbell_and_header_must_agree<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let before = rig.table();
    let cmd = rig.stamp(esp(7, 1));
    for bit in 0..31 {
        rig.pairs[0].stage(7, &cmd, Split::Lines);
        rig.pairs[0].knock(7, cmd.cookie() ^ 1 << bit);
        rig.pairs[0].next().expect(Status::Stage);
    }
    for bit in 0..24 {
        // The header names another slot than it lies in.
        let astray = cmd.flip(64 + bit);
        rig.pairs[0].stage(7, &astray, Split::Lines);
        rig.pairs[0].knock(7, cmd.cookie());
        rig.pairs[0].next().expect(Status::Stage);
        // The doorbell names another slot than the command lies in.
        rig.pairs[0].stage(7, &cmd, Split::Lines);
        rig.pairs[0].knock(7 ^ 1 << bit, cmd.cookie());
        rig.pairs[0].next().expect(Status::Stage);
    }
    assert_eq!(rig.table(), before);
    rig.run_raw(0, Path::Direct, cmd).ok();
}

/// Two commands for one slot, cut where the cookies, in dwords 1 and 17, tell them apart. A cut behind
/// those is what R19 forbids the host to make.
fn r17_a_mixed_store_never_makes_an_entry<B: Backend>() {
    let mut rig = Rig::<B>::new();
    for cut in 0..=17 {
        let (one, two) = (rig.stamp(esp(7, 1)), rig.stamp(esp(7, 2)));
        stage_dwords(&rig, 7, &one, |k| k < cut);
        stage_dwords(&rig, 7, &two, |k| k >= cut);
        let done = knock(&mut rig, &one);
        done.expect(if cut < 2 { Status::Stage } else { Status::BadPair });
        assert_eq!(rig.counter(Counters::SA_LIVE), 0);
    }
}

fn r17_the_completion_of_a_bad_stage_names_the_doorbell<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let cmd = rig.stamp(esp(7, 1));
    rig.pairs[0].stage(7, &cmd, Split::Lines);
    rig.pairs[0].knock(7, 0x7FFF_FFFF);
    let done = rig.pairs[0].next().expect(Status::Stage);
    assert_eq!((done.cookie, done.opcode, done.result), (0x7FFF_FFFF, 0, 0));
    assert_eq!((done.lo_valid, done.changed), (false, false));
}

fn r18_taking_a_command_empties_the_buffer<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sa = esp(7, 1);
    let endings = [
        (Cmd::from(sa), Status::Ok),
        (Cmd::from(sa), Status::Occupied),
        (Cmd::hi(&sa, 1).byte(50, 1), Status::BadField),
        (Cmd::hi(&sa, 1).epoch(9), Status::BadEpoch),
        (Cmd::nop().dword(8, 7), Status::BadOpcode),
        (Cmd::delete(7, 1), Status::Ok),
    ];
    for (cmd, status) in endings {
        let wrong_epoch = status == Status::BadEpoch;
        let cmd = rig.stamp(cmd);
        let cmd = if wrong_epoch { cmd.epoch(9) } else { cmd };
        rig.run_raw(0, Path::Direct, cmd).expect(status);
        // The same doorbell again finds nothing.
        knock(&mut rig, &cmd).expect(Status::Stage);
        // Nor does one whose command was written but for a dword.
        stage_dwords(&rig, 7, &cmd, |k| k != 3);
        knock(&mut rig, &cmd).expect(Status::Stage);
    }
    assert_ne!(B::is_wiped(&rig.link, 7), Some(false));
}

fn r18_delete_by_either_path_empties_the_buffer_of_its_slot<B: Backend>() {
    for pair in 0..2 {
        let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::default(); 2]);
        rig.add(&esp(7, 1));
        let staged = rig.stamp(esp(7, 2));
        rig.pairs[0].stage(7, &staged, Split::Lines);
        let delete = rig.stamp(Cmd::delete(7, 1));
        rig.run_raw(pair, Path::Ring, delete).ok();
        assert_ne!(B::is_wiped(&rig.link, 7), Some(false), "a staged key stays behind");
        knock(&mut rig, &staged).expect(Status::Stage);
        // The buffer of another slot, though it is the same buffer, is left alone.
        rig.add(&esp(7, 2));
        let other = rig.stamp(esp(23, 1));
        rig.pairs[0].stage(23, &other, Split::Lines);
        let delete = rig.stamp(Cmd::delete(7, 2));
        rig.run_raw(pair, Path::Ring, delete).ok();
        knock(&mut rig, &other).ok();
    }
}

/// The build has 16 buffers for 64 slots: 7 and 23 share one.
fn r19_another_slot_takes_the_buffer_over<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let (first, second) = (rig.stamp(esp(7, 1)), rig.stamp(esp(23, 1)));
    rig.pairs[0].stage(7, &first, Split::Lines);
    rig.pairs[0].stage(23, &second, Split::Lines);
    knock(&mut rig, &first).expect(Status::Stage);
    // One dword of another slot is enough to empty it.
    rig.pairs[0].stage(7, &first, Split::Lines);
    stage_dwords(&rig, 23, &second, |k| k == 31);
    knock(&mut rig, &first).expect(Status::Stage);
    // And nothing of the first is seen in the second.
    rig.pairs[0].stage(7, &first, Split::Lines);
    let query = rig.stamp(Cmd::query(23, 1));
    let must = query.required();
    stage_dwords(&rig, 23, &query, |k| must.contains(&k));
    knock(&mut rig, &query).expect(Status::Empty);
    assert_eq!(rig.counter(Counters::SA_LIVE), 0);
}

fn r19_slots_of_different_buffers_do_not_disturb_each_other<B: Backend>() {
    for stage_log2 in [0, 1, 4, 6] {
        let params = Params { stage_log2, ..Rig::<B>::small() };
        let mut rig = Rig::<B>::with(params, &[Shape::default()]);
        let buffers = (1u32 << stage_log2).min(16);
        let cmds: Vec<_> = (0..buffers).map(|k| rig.stamp(esp(63 - k, 1))).collect();
        // Dword by dword over all buffers in turn.
        for k in 0..32 {
            cmds.iter().for_each(|cmd| stage_dwords(&rig, cmd.index(), cmd, |at| at == k));
        }
        for cmd in &cmds {
            knock(&mut rig, cmd).ok();
            assert_eq!(rig.view(cmd.index()), live_view(&esp(cmd.index(), 1)));
        }
    }
}

fn pieces_of_dwords_are_dropped_and_counted<B: Backend>() {
    let rig = Rig::<B>::new();
    let pieces = [(0, 1), (3, 1), (0, 2), (2, 2), (1, 3)];
    let tried = B::pins(&rig.link, |device| {
        for (offset, len) in pieces {
            device.write(Bar::Table, 7 * 128 + offset, &[0xFF; 4][..len]);
        }
    });
    if tried.is_some() {
        assert_eq!(rig.counter(Counters::STAGE_DROP), pieces.len() as u64);
    }
}

fn a_half_written_dword_does_not_count_as_written<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let cmd = rig.stamp(esp(7, 1));
    stage_dwords(&rig, 7, &cmd, |k| k != 20);
    let tried = B::pins(&rig.link, |device| {
        let place = 7 * 128 + 80;
        device.write(Bar::Table, place, &cmd.bytes()[80..82]);
        device.write(Bar::Table, place + 2, &cmd.bytes()[82..84]);
    });
    if tried.is_some() {
        knock(&mut rig, &cmd).expect(Status::Stage);
    }
    // A doorbell for a slot that nobody staged, at the end of the table.
    regs::ring(&*rig.link, 0, Doorbell::CQ_HEAD, rig.pairs[0].seen);
    rig.pairs[0].knock(63, 1);
    rig.pairs[0].next().expect(Status::Stage);
}
