// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Statuses in the order of §4.7: of two reasons the one that comes first is told, with the result
//! that belongs to it, by both paths.

#[macro_use]
mod common;

use common::cmd::{esp, esp_at};
use common::{
    Add, Backend, Cmd, Done, Fault, Params, Path, Rig, Shape, SlotState, Status, UpdateMode,
};
use esnic_abi::codes;

for_each_backend!(
    update_tells_the_first_reason_that_applies,
    add_tells_the_first_reason_that_applies,
    delete_tells_the_first_reason_that_applies,
    query_and_resolve_tell_the_first_reason_that_applies,
    results_of_failures_are_what_the_table_says,
    not_esn_spares_a_plain_top,
    verify_makes_the_slot_bad_until_it_is_deleted,
    r21_a_verify_uses_its_generation_up,
    a_delete_that_fails_to_verify_may_be_repeated,
    a_refused_record_is_a_dma_error,
);

/// Something that spoils a command, worst last: each entry adds to those after it, so that the
/// command's answer walks up the table.
type Spoil = (Status, fn(Cmd) -> Cmd);

/// Runs `cmd` with the last spoil, then the last two, and so on: always the first in the table wins.
#[track_caller]
fn walk_up<B: Backend>(rig: &mut Rig<B>, cmd: Cmd, spoils: &[Spoil]) {
    let before = rig.table();
    for path in Path::BOTH {
        let mut spoilt = rig.stamp(cmd);
        for (status, spoil) in spoils.iter().rev() {
            spoilt = spoil(spoilt).with_cookie(rig.cookie());
            // An index out of range has no slot to be staged in; it is told by the ring only.
            if path == Path::Direct && spoilt.index() >= rig.params.sa_capacity {
                spoilt = spoilt.dword(8, 7);
                continue;
            }
            let done = rig.run_raw(0, path, spoilt);
            assert_eq!(done.status, *status, "{path:?} {spoilt:?}");
            assert!(!done.changed, "R14");
            assert_eq!(done.opcode, spoilt.opcode() & 0x1F);
        }
    }
    assert!(rig.table() == before, "R14: nothing changed");
}

fn epoch(cmd: Cmd) -> Cmd {
    let other = cmd.header().epoch.get() ^ 0x8000;
    cmd.epoch(other)
}

fn unknown(cmd: Cmd) -> Cmd {
    cmd.byte(0, 0x1E)
}

fn update_tells_the_first_reason_that_applies<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sa = esp_at(7, 9, 5, 0x10, true);
    rig.add(&sa);
    let plain = Add { sa_flags: 0.into(), ..esp(8, 9) };
    rig.add(&plain);
    let base: [Spoil; 7] = [
        (Status::BadOpcode, unknown),
        (Status::BadEpoch, epoch),
        (Status::BadField, |cmd| cmd.byte(63, 1)),
        (Status::BadIndex, |cmd| cmd.dword(8, 64)),
        (Status::Stale, |cmd| cmd.dword(12, 8)),
        (Status::WrongProto, |cmd| cmd.byte(20, 1)),
        (Status::WrongSpi, |cmd| cmd.flip(16 * 8)),
    ];
    let both = codes::UPDATE_CAS | codes::UPDATE_MONOTONE;
    let backward = Cmd::update(&sa, UpdateMode::Hi, both, (4, 0), 5);
    let mut spoils = base.to_vec();
    spoils.push((Status::Conflict, |cmd| cmd.dword(32, 6)));
    spoils.push((Status::Backward, |cmd| cmd));
    walk_up(&mut rig, backward, &spoils);
    // Of an element without ESN: NOT_ESN comes before CONFLICT and BACKWARD.
    let mut spoils = base.to_vec();
    spoils.push((Status::NotEsn, |cmd| cmd));
    let not_esn = Cmd::update(&plain, UpdateMode::Hi, both, (4, 0), 6);
    walk_up(&mut rig, not_esn, &spoils);
    // Of an empty slot: EMPTY comes before STALE, and there is nothing whose SPI could be wrong.
    let empty = Cmd::hi(&esp(9, 1), 1);
    let mut spoils = base[..4].to_vec();
    spoils.push((Status::Empty, |cmd| cmd));
    walk_up(&mut rig, empty, &spoils);
}

fn add_tells_the_first_reason_that_applies<B: Backend>() {
    let params = Params { max_window: 1024, ..Rig::<B>::small() };
    let mut rig = Rig::<B>::with(params, &[Shape::default()]);
    rig.add(&esp(7, 9));
    rig.add(&esp(8, 9));
    rig.exec(Cmd::delete(8, 9)).ok();
    for (index, last) in [(7, Status::Occupied), (8, Status::OldGeneration)] {
        // BAD_OPCODE would leave the second half alone in the ring; BAD_PAIR is below.
        let spoils: [Spoil; 4] = [
            (Status::BadEpoch, epoch),
            (Status::BadField, |cmd| cmd.byte(29, 1)),
            (Status::BadIndex, |cmd| cmd.dword(8, 64)),
            (Status::Unsupported, |cmd| cmd.byte(31, 0x10)),
        ];
        let mut spoils = spoils.to_vec();
        spoils.push((last, |cmd| cmd));
        walk_up(&mut rig, esp(index, 9).into(), &spoils);
    }
    for path in Path::BOTH {
        // BAD_PAIR: after BAD_EPOCH, before BAD_FIELD.
        let cmd = rig.stamp(esp(9, 1)).byte(29, 1);
        for spoilt in [cmd.byte(64, 0x12), cmd.flip(66 * 8), cmd.flip(68 * 8)] {
            if path == Path::Direct || spoilt.bytes()[64] == 0x11 {
                rig.run_raw(0, path, spoilt).expect(Status::BadPair);
                rig.run_raw(0, path, spoilt.byte(3, !spoilt.bytes()[3])).expect(Status::BadEpoch);
            }
        }
    }
    assert_eq!(rig.view(9).generation.get(), 0);
}

fn delete_tells_the_first_reason_that_applies<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.add(&esp(7, 9));
    let base: [Spoil; 4] = [
        (Status::BadOpcode, unknown),
        (Status::BadEpoch, epoch),
        (Status::BadField, |cmd| cmd.byte(1, 1)),
        (Status::BadIndex, |cmd| cmd.dword(8, 0x8000_0000)),
    ];
    for (cmd, last) in [(Cmd::delete(7, 8), Status::Stale), (Cmd::delete(6, 8), Status::Empty)] {
        let mut spoils = base.to_vec();
        spoils.push((last, |cmd| cmd));
        walk_up(&mut rig, cmd, &spoils);
    }
}

fn query_and_resolve_tell_the_first_reason_that_applies<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.add(&esp(7, 9));
    let base: [Spoil; 4] = [
        (Status::BadOpcode, unknown),
        (Status::BadEpoch, epoch),
        (Status::BadField, |cmd| cmd.byte(40, 1)),
        (Status::BadIndex, |cmd| cmd.dword(8, 64)),
    ];
    let cases = [
        (Cmd::query(7, 8), Status::Stale),
        (Cmd::query(6, 8), Status::Empty),
        (Cmd::resolve(7, 8, 1), Status::Stale),
        (Cmd::packet(6, 8, 1), Status::Empty),
    ];
    for (cmd, last) in cases {
        let mut spoils = base.to_vec();
        spoils.push((last, |cmd| cmd));
        walk_up(&mut rig, cmd, &spoils);
    }
}

fn results_of_failures_are_what_the_table_says<B: Backend>() {
    for path in Path::BOTH {
        let mut rig = Rig::<B>::new();
        let sa = esp_at(7, 0xA000_0009, 5, 0x10, true);
        rig.add(&sa);
        rig.add(&esp(8, 77));
        rig.exec(Cmd::delete(8, 77)).ok();
        let top = 5 << 32 | 0x10;
        let monotone = |to| Cmd::update(&sa, UpdateMode::Top, codes::UPDATE_MONOTONE, to, 0);
        let cases = [
            (Cmd::from(esp(7, 0xA000_000A)), Status::Occupied, 0xA000_0009),
            (Cmd::from(esp(8, 77)), Status::OldGeneration, 77),
            (Cmd::delete(8, 77), Status::Empty, 77),
            (Cmd::query(9, 1), Status::Empty, 0),
            (Cmd::resolve(7, 1, 1), Status::Stale, 0xA000_0009),
            (Cmd::hi(&sa, 1).byte(20, 1), Status::WrongProto, 0),
            (Cmd::hi(&sa, 1).flip(16 * 8), Status::WrongSpi, 0),
            (Cmd::cas(&sa, 4, 6), Status::Conflict, top),
            (monotone((5, 0x0F)), Status::Backward, top),
        ];
        for (cmd, status, result) in cases {
            let done = rig.run(path, cmd).expect(status);
            assert_eq!((done.result, done.changed), (result, false), "{path:?} {status}");
        }
    }
}

fn not_esn_spares_a_plain_top<B: Backend>() {
    for path in Path::BOTH {
        let mut rig = Rig::<B>::new();
        let sa = Add { sa_flags: 0.into(), ..esp_at(7, 1, 0, 100, true) };
        rig.add(&sa);
        let cas = Cmd::update(&sa, UpdateMode::Top, codes::UPDATE_CAS, (0, 5), 0);
        let refused =
            [Cmd::hi(&sa, 0), Cmd::hi(&sa, 1), Cmd::resync(&sa, 0), Cmd::top(&sa, 1, 5), cas];
        for cmd in refused {
            let done = rig.run(path, cmd).expect(Status::NotEsn);
            assert_eq!((done.result, done.changed), (100, false), "{cmd:?}");
        }
        let monotone = |lo| Cmd::update(&sa, UpdateMode::Top, codes::UPDATE_MONOTONE, (0, lo), 0);
        rig.run(path, monotone(99)).expect(Status::Backward);
        assert_eq!(rig.run(path, monotone(!0)).ok().result, 0xFFFF_FFFF);
        assert_eq!(rig.run(path, Cmd::top(&sa, 0, 5)).ok().result, 5);
        // Its numbers have 32 bits: a resolved one never leaves them.
        assert_eq!(rig.run(path, Cmd::packet(7, 1, 0xFFFF_FFFF)).ok().result, 0xFFFF_FFFF);
        assert_eq!(rig.run(path, Cmd::packet(7, 1, 1)).ok().result, 1);
        assert_eq!(rig.top(7), (0, 0xFFFF_FFFF, true));
    }
}

/// Slot 7 after an ADD of generation 3 that did not verify.
fn bad_slot<B: Backend>() -> Option<(Rig<B>, Done)> {
    let mut rig = Rig::<B>::new();
    rig.inject(Fault::VerifyAdd).then(|| {
        let done = rig.exec(esp(7, 3)).expect(Status::Verify);
        (rig, done)
    })
}

fn verify_makes_the_slot_bad_until_it_is_deleted<B: Backend>() {
    let Some((mut rig, done)) = bad_slot::<B>() else {
        return;
    };
    assert_eq!(done.result, 0);
    let view = rig.view(7);
    assert_eq!((view.state, view.generation.get()), (SlotState::Bad as u8, 3));
    assert!(zerocopy::IntoBytes::as_bytes(&view)[16..].iter().all(|&b| b == 0), "§5");
    for cmd in [Cmd::hi(&esp(7, 3), 1), Cmd::query(7, 3), Cmd::packet(7, 3, 1)] {
        assert_eq!(rig.exec(cmd).expect(Status::Empty).result, 3);
    }
    rig.exec(esp(7, 4)).expect(Status::Occupied);
    rig.exec(Cmd::delete(7, 2)).expect(Status::Stale);
    rig.exec(Cmd::delete(7, 3)).ok();
    assert_eq!(rig.slot_state(7), SlotState::Free);
    assert_ne!(B::is_wiped(&rig.link, 7), Some(false));
    rig.add(&esp(7, 4));
}

fn r21_a_verify_uses_its_generation_up<B: Backend>() {
    let Some((mut rig, _)) = bad_slot::<B>() else {
        return;
    };
    rig.exec(Cmd::delete(7, 3)).ok();
    assert_eq!(rig.exec(esp(7, 3)).expect(Status::OldGeneration).result, 3);
}

fn a_delete_that_fails_to_verify_may_be_repeated<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.add(&esp(7, 3));
    for _ in 0..2 {
        if !rig.inject(Fault::VerifyDelete) {
            return;
        }
        rig.exec(Cmd::delete(7, 3)).expect(Status::Verify);
        assert_eq!(rig.slot_state(7), SlotState::Bad);
        rig.exec(Cmd::packet(7, 3, 1)).expect(Status::Empty);
    }
    rig.exec(Cmd::delete(7, 3)).ok();
    rig.exec(esp(7, 4)).ok();
}

fn a_refused_record_is_a_dma_error<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.add(&esp_at(7, 3, 5, 6, true));
    if !rig.inject(Fault::FailedWrite) {
        return;
    }
    let buffer = rig.buffer();
    let done = rig.exec(Cmd::query_any(7, buffer.iova().0)).expect(Status::DmaError);
    assert_eq!((done.top(), done.changed), ((5, 6, true), false));
    // An address that nobody mapped, too, where the bus says so (R46); and the pair goes on.
    let unmapped = if B::TELLS { Status::DmaError } else { Status::Ok };
    rig.exec(Cmd::query_any(7, 0x7000)).expect(unmapped);
    rig.exec(Cmd::query_any(7, buffer.iova().0)).ok();
}
