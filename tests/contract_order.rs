// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Generations (R21, R28) and order (R29, R30, R42): what a command may hit, and when.

#[macro_use]
mod common;

use common::cmd::{esp, esp_at};
use common::{Backend, Bar, Cmd, Done, PATIENCE, Path, Rig, Shape, Split, Status, Transport};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

for_each_backend!(
    r21_an_add_needs_a_newer_generation,
    r21_generations_wrap_from_the_last_number_to_1,
    r21_a_failed_add_uses_no_generation_up,
    r28_the_generation_outlives_the_entry,
    r28_index_and_generation_are_the_hosts_choice,
    a_late_command_never_hits_a_reused_slot,
    r29_one_path_keeps_the_order_of_one_sa,
    r29_the_direct_path_keeps_the_order_too,
    r30_completions_of_a_batch_are_exactly_its_commands,
    r30_pairs_see_each_others_effects_at_the_completion,
    r12_a_phase_is_never_seen_before_its_result,
    r16_an_aligned_read_of_any_size_is_one_access,
    r42_the_record_is_written_before_its_completion,
    fence_completes_after_everything_before_it,
    fence_lets_nothing_later_start,
    nothing_behind_a_fence_takes_effect_before_its_completion,
    fence_does_not_wait_for_the_direct_path,
);

fn r21_an_add_needs_a_newer_generation<B: Backend>() {
    let newer = [1, 2, 0x7FFF_FFFF];
    let older = [0, !0, 0x8000_0000, 0x8000_0001, 0xFFFF_0000];
    for held in [1u32, 2, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF] {
        // Each on a slot of its own.
        let mut rig = Rig::<B>::new();
        let mut slots = 0..rig.params.sa_capacity;
        let mut deleted = |rig: &mut Rig<B>| {
            let index = slots.next().expect("room in the table");
            rig.add(&esp(index, held));
            rig.exec(Cmd::delete(index, held)).ok();
            index
        };
        for (path, ahead) in Path::BOTH.into_iter().flat_map(|p| older.map(|ahead| (p, ahead))) {
            let generation = held.wrapping_add(ahead);
            if generation == 0 {
                continue;
            }
            let index = deleted(&mut rig);
            let done = rig.run(path, esp(index, generation)).expect(Status::OldGeneration);
            assert_eq!(done.result, u64::from(held), "{generation:x} after {held:x}");
        }
        for ahead in newer {
            let generation = held.wrapping_add(ahead);
            let index = deleted(&mut rig);
            if generation != 0 {
                rig.exec(esp(index, generation)).ok();
            }
        }
    }
}

fn r21_generations_wrap_from_the_last_number_to_1<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let mut generation = 0xFFFF_FFFC;
    for _ in 0..8 {
        rig.add(&esp(7, generation));
        rig.exec(Cmd::query(7, generation)).ok();
        rig.exec(Cmd::delete(7, generation)).ok();
        generation = esnic_abi::Generation(generation).next().0;
    }
    assert_eq!(generation, 5, "0 is no generation");
    // The one from before the wrap is old now.
    rig.exec(esp(7, 0xFFFF_FFFF)).expect(Status::OldGeneration);
}

fn r21_a_failed_add_uses_no_generation_up<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let bad = esp(7, 100);
    rig.exec(Cmd::from(bad).byte(29, 1)).expect(Status::BadField);
    rig.exec(Cmd::from(bad).byte(28, 8)).expect(Status::Unsupported);
    rig.add(&esp(7, 50));
    rig.exec(bad).expect(Status::Occupied);
    rig.exec(Cmd::delete(7, 50)).ok();
    rig.add(&esp(7, 51));
}

fn r28_the_generation_outlives_the_entry<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.add(&esp(7, 1000));
    assert_eq!(rig.view(7).generation.get(), 1000);
    rig.exec(Cmd::delete(7, 1000)).ok();
    assert_eq!(rig.view(7).generation.get(), 1000);
    assert_eq!(rig.exec(Cmd::query(7, 1)).expect(Status::Empty).result, 1000);
    assert_eq!(rig.record(7).1.view[12..16], 1000u32.to_le_bytes());
    assert_eq!(rig.view(6).generation.get(), 0, "each slot remembers its own");
}

fn r28_index_and_generation_are_the_hosts_choice<B: Backend>() {
    let mut rig = Rig::<B>::new();
    for (index, generation) in [(63, 7), (0, 0xFFFF_FFFF), (31, 0x8000_0000), (32, 1)] {
        rig.add(&esp(index, generation));
    }
    for (index, generation) in [(63, 7), (0, 0xFFFF_FFFF), (31, 0x8000_0000), (32, 1)] {
        rig.exec(Cmd::query(index, generation)).ok();
        for bit in 0..32 {
            let other = generation ^ 1 << bit;
            if other != 0 {
                let done = rig.exec(Cmd::query(index, other)).expect(Status::Stale);
                assert_eq!(done.result, u64::from(generation));
            }
        }
    }
}

fn a_late_command_never_hits_a_reused_slot<B: Backend>() {
    for path in Path::BOTH {
        let mut rig = Rig::<B>::new();
        let old = esp(7, 5);
        rig.add(&old);
        rig.exec(Cmd::delete(7, 5)).ok();
        rig.add(&esp_at(7, 6, 1, 1, true));
        let before = rig.table();
        let late = [
            Cmd::hi(&old, 9),
            Cmd::top(&old, 9, 9),
            Cmd::packet(7, 5, 9),
            Cmd::delete(7, 5),
            Cmd::query(7, 5),
        ];
        for cmd in late {
            assert_eq!(rig.run(path, cmd).expect(Status::Stale).result, 6);
        }
        // Nor does a late ADD revive anything.
        rig.run(path, old).expect(Status::Occupied);
        assert!(rig.table() == before);
        rig.exec(Cmd::delete(7, 6)).ok();
        rig.run(path, old).expect(Status::OldGeneration);
    }
}

/// A chain of compare-and-sets: each only works right after the one before.
fn chain<B: Backend>(rig: &mut Rig<B>, index: u32, count: u32) -> Vec<Cmd> {
    let sa = esp(index, 1);
    (0..count).map(|hi| rig.stamp(Cmd::cas(&sa, hi, hi + 1))).collect()
}

fn r29_one_path_keeps_the_order_of_one_sa<B: Backend>() {
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::of(10, 10)]);
    for index in 0..4 {
        rig.add(&esp(index, 1));
    }
    let chains: Vec<_> = (0..4).map(|index| chain(&mut rig, index, 100)).collect();
    for step in 0..100 {
        chains.iter().for_each(|chain| rig.pairs[0].put(&chain[step]));
    }
    rig.pairs[0].ring();
    rig.pairs[0].reap(400).into_iter().for_each(|done| assert_eq!(done.status, Status::Ok));
    (0..4).for_each(|index| assert_eq!(rig.top(index).0, 100));
}

/// Several direct commands may be under way for slots of different buffers only (R19), so the chain
/// is one of ADD, DELETE, ADD over slots whose order is seen in their statuses.
fn r29_the_direct_path_keeps_the_order_too<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let mut cookies = vec![];
    for round in 0..10 {
        for index in 0..16 {
            let cmd = if round % 2 == 0 {
                esp(index, round + 1).into()
            } else {
                Cmd::delete(index, round)
            };
            let cmd = rig.stamp(cmd);
            rig.pairs[0].stage(index, &cmd, Split::Lines);
            rig.pairs[0].knock(index, cmd.cookie());
            cookies.push(cmd.cookie());
        }
        // One pair, one path: the completions come as the doorbells did.
        for done in rig.pairs[0].reap(16) {
            assert_eq!(done.ok().cookie, cookies.remove(0));
        }
    }
}

fn r30_completions_of_a_batch_are_exactly_its_commands<B: Backend>() {
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::of(6, 6), Shape::of(6, 6)]);
    let mut sent = [vec![], vec![]];
    for k in 0..60 {
        for (pair, sent) in sent.iter_mut().enumerate() {
            let cmd = rig.stamp(Cmd::query(k % 8, 1));
            rig.pairs[pair].put(&cmd);
            sent.push(cmd.cookie());
        }
    }
    for (pair, sent) in sent.iter_mut().enumerate() {
        rig.pairs[pair].ring();
        let mut came: Vec<_> = rig.pairs[pair].reap(60).iter().map(|done| done.cookie).collect();
        came.sort_unstable();
        sent.sort_unstable();
        assert_eq!(&came, sent);
    }
    rig.assert_quiet();
}

fn r30_pairs_see_each_others_effects_at_the_completion<B: Backend>() {
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::default(); 4]);
    let mut hi = 0;
    let sa = esp(7, 1);
    rig.add(&sa);
    for round in 0..40 {
        for pair in 0..4 {
            let path = Path::BOTH[(round + pair) % 2];
            let cmd = rig.stamp(Cmd::cas(&sa, hi, hi + 1));
            rig.run_raw(pair, path, cmd).ok();
            hi += 1;
            assert_eq!(rig.top(7).0, hi, "BAR 2 shows it, too");
        }
    }
}

/// One thread moves the device, another polls as fast as it can; [`common::Pair::poll`] leaves poison
/// in the results and wants it gone.
fn r12_a_phase_is_never_seen_before_its_result<B: Backend>() {
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::of(6, 6)]);
    rig.add(&esp_at(7, 1, 5, 9, true));
    let cmds: Vec<_> = (0..2000).map(|_| rig.stamp(Cmd::query(7, 1))).collect();
    let link = rig.link.clone();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let deadline = Instant::now() + PATIENCE;
            while !over.load(Relaxed) && Instant::now() < deadline {
                link.relax();
            }
        });
        let pair = &mut rig.pairs[0];
        for batch in cmds.chunks(50) {
            for done in pair.run_all(batch) {
                assert_eq!(done.ok().top(), (5, 9, true));
            }
        }
        over.store(true, Relaxed);
    });
}

fn r16_an_aligned_read_of_any_size_is_one_access<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.add(&esp_at(7, 1, 0x1122_3344, 0x5566_7788, true));
    let view = rig.view(7);
    let bytes = zerocopy::IntoBytes::as_bytes(&view);
    B::pins(&rig.link, |device| {
        for size in [1, 2, 4, 8, 16, 32, 64, 128] {
            for at in (0..128).step_by(size) {
                let mut piece = vec![0xEE; size];
                device.read(Bar::Table, 7 * 128 + at as u64, &mut piece);
                assert_eq!(piece, bytes[at..at + size], "{size} bytes at {at}");
            }
        }
    });
    // Dwords are what every transport has.
    assert_eq!((view.hi.get(), view.lo.get()), (0x1122_3344, 0x5566_7788));
}

fn r42_the_record_is_written_before_its_completion<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.add(&esp(7, 1));
    let buffer = rig.buffer();
    for round in 0..64u32 {
        let place = 128 * (round as usize % 32);
        buffer.write(place, &[0xEE; 128]);
        let cmd = rig.stamp(Cmd::query_any(7, buffer.iova().0 + place as u64));
        rig.pairs[0].put(&cmd);
        rig.pairs[0].ring();
        // As close to the first moment of the completion as this backend lets us.
        rig.creep(1, "a completion", |rig| rig.pairs[0].poll()).ok();
        rig.pairs[0].tell();
        let mut record = [0; 128];
        buffer.read(place, &mut record);
        assert!(record.iter().all(|&byte| byte != 0xEE), "round {round}");
    }
}

fn position(done: &[Done], cmd: &Cmd) -> usize {
    let found = done.iter().position(|done| done.cookie == cmd.cookie());
    found.expect("completed")
}

fn fence_completes_after_everything_before_it<B: Backend>() {
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::of(6, 6)]);
    for index in 0..16 {
        rig.add(&esp(index, 1));
    }
    for place in 0..30 {
        let mut cmds: Vec<_> = (0..30).map(|k| rig.stamp(Cmd::query(k % 16, 1))).collect();
        let fence = rig.stamp(Cmd::fence());
        cmds.insert(place, fence);
        let done = rig.pairs[0].run_all(&cmds);
        let at = position(&done, &fence);
        assert!(cmds[..place].iter().all(|cmd| position(&done, cmd) < at));
        assert!(cmds[place + 1..].iter().all(|cmd| position(&done, cmd) > at));
    }
}

/// Without credit for what is before the fence, nothing behind it has any effect.
fn fence_lets_nothing_later_start<B: Backend>() {
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::of(6, 2)]);
    let sa = esp(7, 1);
    rig.add(&sa);
    rig.pairs[0].tell();
    let before: Vec<_> = (0..4).map(|_| rig.stamp(Cmd::nop())).collect();
    let fence = rig.stamp(Cmd::fence());
    let after = rig.stamp(Cmd::top(&sa, 5, 5));
    for cmd in before.iter().chain([&fence, &after]) {
        rig.pairs[0].put(cmd);
    }
    rig.pairs[0].ring();
    rig.settle();
    assert_eq!(rig.top(7), (0, 0, true));
    let done = rig.pairs[0].reap(6);
    assert_eq!([done[4].cookie, done[5].cookie], [fence.cookie(), after.cookie()]);
    assert_eq!(rig.top(7), (5, 5, true));
}

/// Looked at cycle by cycle: whoever sees the effect of what is behind has the fence's completion.
fn nothing_behind_a_fence_takes_effect_before_its_completion<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sa = esp(7, 1);
    rig.add(&sa);
    for hi in 1..20 {
        // With more behind, so that nothing hurries the completions along.
        let nop = Cmd::nop();
        let cmds = [nop, Cmd::fence(), Cmd::top(&sa, hi, 0), nop, nop, nop, nop];
        let cmds = cmds.map(|cmd| rig.stamp(cmd));
        cmds.iter().for_each(|cmd| rig.pairs[0].put(cmd));
        rig.pairs[0].ring();
        rig.creep(1, "the update", |rig| (rig.top(7).0 == hi).then_some(()));
        let done: Vec<_> = (0..2).filter_map(|_| rig.pairs[0].poll()).collect();
        let fence = done.last().map(|done| done.cookie);
        assert_eq!(fence, Some(cmds[1].cookie()), "round {hi}");
        rig.pairs[0].reap(5);
    }
}

fn fence_does_not_wait_for_the_direct_path<B: Backend>() {
    let mut rig = Rig::<B>::new();
    // The direct ring waits for entry 0; entry 1 is there.
    let cmd = rig.stamp(esp(7, 1));
    rig.pairs[0].stage(7, &cmd, Split::Lines);
    rig.pairs[0].knocks = 1;
    rig.pairs[0].knock(7, cmd.cookie());
    rig.exec(Cmd::fence()).ok();
    rig.pairs[0].knocks = 0;
    rig.pairs[0].knock(9, 1);
    rig.pairs[0].next().expect(Status::Stage);
    assert_eq!(rig.pairs[0].next().ok().cookie, cmd.cookie());
}
