// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Rings (§3): slots, phases, credits, pairs of slots, doorbells, fetches.

#[macro_use]
mod common;

use common::cmd::esp;
use common::{
    Add, Backend, Cmd, Counters, Doorbell, Opcode, Path, QpState, QueuePair, Rig, Shape, Status,
    Transport, regs,
};
use zerocopy::IntoBytes;

for_each_backend!(
    r6_every_slot_is_usable_and_phases_turn_at_the_end,
    r6_indices_wrap_at_2_to_the_32,
    r7_without_credit_the_device_waits_and_drops_nothing,
    r7_one_entry_of_credit_lets_one_command_go,
    r7_one_entry_of_credit_is_enough_for_an_add,
    r7_direct_commands_need_credit_too,
    r9_add_takes_two_slots_from_an_even_one,
    r9_an_add_may_end_the_ring,
    r10_sq_head_tells_how_far_was_fetched,
    r11_reads_are_512_byte_blocks_and_never_pass_tail_or_end,
    r11_neither_pairs_nor_paths_starve,
    r14_a_malformed_command_never_stops_its_pair,
    r14_a_bad_pair_takes_two_slots_only_with_a_second_half,
    r40_a_stale_tail_is_harmless,
    a_stale_head_is_harmless,
    both_doorbells_go_in_one_store,
    unknown_bytes_in_free_slots_are_not_executed,
);

fn nops<B: Backend>(rig: &mut Rig<B>, count: usize) -> Vec<Cmd> {
    (0..count).map(|_| rig.stamp(Cmd::nop())).collect()
}

/// [`common::Pair::poll`] checks the phase of every entry.
fn r6_every_slot_is_usable_and_phases_turn_at_the_end<B: Backend>() {
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::of(2, 3)]);
    for round in 0..20 {
        let full = nops(&mut rig, 4);
        let done = rig.pairs[0].run_all(&full);
        let same = done.iter().zip(&full).all(|(d, cmd)| d.cookie == cmd.cookie());
        assert!(same, "round {round}");
        let tail = rig.pairs[0].tail;
        assert_eq!(rig.pairs[0].reg(QueuePair::SQ_HEAD), tail);
        assert_eq!(rig.pairs[0].reg(QueuePair::CQ_TAIL), 4 * (round + 1));
    }
}

fn r6_indices_wrap_at_2_to_the_32<B: Backend>() {
    for shape in [Shape::of(1, 1), Shape::of(1, 6), Shape::of(6, 1), Shape::of(10, 10)] {
        let shape = shape.about_to_wrap();
        let mut rig = Rig::<B>::with(Rig::<B>::small(), &[shape]);
        let batch = 1 << shape.sq_log2.min(shape.cq_log2);
        while rig.pairs[0].tail >= shape.start || rig.pairs[0].seen >= shape.start {
            let some = nops(&mut rig, batch);
            for done in rig.pairs[0].run_all(&some) {
                done.ok();
            }
        }
        rig.exec(esp(1, 1)).ok();
        let counted = rig.pairs[0].reg(QueuePair::CQ_TAIL);
        assert_eq!(counted, rig.pairs[0].seen);
        assert!(counted < shape.start, "it wrapped");
    }
}

fn r7_without_credit_the_device_waits_and_drops_nothing<B: Backend>() {
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::of(6, 2)]);
    let cmds = nops(&mut rig, 20);
    for cmd in &cmds {
        rig.pairs[0].put(cmd);
    }
    rig.pairs[0].ring();
    rig.settle();
    assert_eq!(rig.pairs[0].reg(QueuePair::CQ_TAIL), 4, "four entries, then it waits");
    assert_eq!(rig.pairs[0].state(), QpState::Enabled);
    let stalled = rig.counter(Counters::STALL_CQ);
    assert!(stalled > 0);
    for chunk in cmds.chunks(4) {
        rig.settle();
        for cmd in chunk {
            let done = rig.pairs[0].poll().expect("a full ring of completions").ok();
            assert_eq!(done.cookie, cmd.cookie());
        }
        assert_eq!(rig.pairs[0].poll(), None, "never more than the ring holds");
        rig.pairs[0].tell();
    }
    rig.assert_quiet();
}

fn r7_one_entry_of_credit_lets_one_command_go<B: Backend>() {
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::of(6, 3)]);
    for cmd in nops(&mut rig, 40) {
        rig.pairs[0].put(&cmd);
    }
    rig.pairs[0].ring();
    rig.settle();
    for told in 1..=20 {
        regs::ring(&*rig.link, 0, Doorbell::CQ_HEAD, told);
        rig.settle();
        assert_eq!(rig.pairs[0].reg(QueuePair::CQ_TAIL), 8 + told);
        // The device fetched no more than it has entries for.
        assert!(rig.pairs[0].reg(QueuePair::SQ_HEAD) <= 8 + told);
    }
}

fn r7_one_entry_of_credit_is_enough_for_an_add<B: Backend>() {
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::of(3, 1)]);
    let mut cmds = nops(&mut rig, 2);
    cmds.push(rig.stamp(esp(1, 1)));
    for cmd in &cmds {
        rig.pairs[0].put(cmd);
    }
    rig.pairs[0].ring();
    rig.settle();
    assert_eq!(rig.counter(Counters::SA_LIVE), 0);
    regs::ring(&*rig.link, 0, Doorbell::CQ_HEAD, 1);
    rig.settle();
    assert_eq!(rig.counter(Counters::SA_LIVE), 1, "two slots, one completion");
    assert_eq!(rig.pairs[0].reg(QueuePair::CQ_TAIL), 3);
}

fn r7_direct_commands_need_credit_too<B: Backend>() {
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::of(6, 1)]);
    for index in 0..4 {
        let cmd = rig.stamp(esp(index, 1));
        rig.pairs[0].stage(index, &cmd, common::Split::Lines);
        rig.pairs[0].knock(index, cmd.cookie());
    }
    rig.settle();
    assert_eq!(rig.pairs[0].direct_head(), 2);
    assert_eq!(rig.counter(Counters::SA_LIVE), 2, "what waits has no effect yet");
    for done in rig.pairs[0].reap(4) {
        done.ok();
    }
    assert_eq!(rig.counter(Counters::SA_LIVE), 4);
}

fn r9_add_takes_two_slots_from_an_even_one<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let cmd = rig.stamp(esp(1, 1));
    rig.pairs[0].put(&cmd);
    rig.pairs[0].ring();
    assert_eq!(rig.pairs[0].next().ok().sq_head, 2);
    let nop = rig.stamp(Cmd::nop());
    rig.pairs[0].run_all(&[nop]);
    let odd = rig.stamp(esp(2, 1));
    rig.pairs[0].put(&odd);
    rig.pairs[0].ring();
    let done = rig.pairs[0].next().expect(Status::BadPair);
    assert_eq!((done.cookie, done.opcode), (odd.cookie(), Opcode::Add as u8));
    rig.assert_quiet();
    assert_eq!(rig.view(2).generation.get(), 0);
    // Both slots are used up; the ring goes on behind them.
    assert_eq!(rig.pairs[0].reg(QueuePair::SQ_HEAD), 5);
    rig.exec(Cmd::nop()).ok();
}

fn r9_an_add_may_end_the_ring<B: Backend>() {
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::of(3, 3)]);
    let nops = nops(&mut rig, 6);
    rig.pairs[0].run_all(&nops);
    // Slots 6 and 7, then 0 and 1, and all of a ring of two.
    rig.add(&esp(1, 1));
    rig.add(&esp(2, 1));
    drop(rig);
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::of(1, 1)]);
    for index in 0..9 {
        rig.add(&esp(index, 1));
    }
}

fn r10_sq_head_tells_how_far_was_fetched<B: Backend>() {
    let shape = Shape::of(6, 6).about_to_wrap();
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[shape]);
    for _ in 0..10 {
        let some = nops(&mut rig, 30);
        let first = rig.pairs[0].tail;
        for (k, done) in rig.pairs[0].run_all(&some).into_iter().enumerate() {
            let ahead = done.sq_head.wrapping_sub(first as u16);
            assert!((k as u16 + 1..=30).contains(&ahead), "its own slot was fetched");
        }
    }
}

fn r11_reads_are_512_byte_blocks_and_never_pass_tail_or_end<B: Backend>() {
    let count = |rig: &Rig<B>| {
        let counters = [Counters::DMA_RD_TLP, Counters::DMA_RD_BYTES];
        counters.map(|counter| rig.counter(counter))
    };
    // First slot, slots told at once, reads.
    let cases =
        [(0, 1, 1), (0, 8, 1), (0, 9, 2), (5, 3, 1), (5, 4, 2), (5, 30, 5), (60, 8, 2), (61, 5, 2)];
    for (first, slots, reads) in cases {
        let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::of(6, 6)]);
        if first > 0 {
            let before = nops(&mut rig, first);
            rig.pairs[0].run_all(&before);
        }
        let before = count(&rig);
        let some = nops(&mut rig, slots);
        rig.pairs[0].run_all(&some);
        let after = count(&rig);
        let took = [after[0] - before[0], after[1] - before[1]];
        assert_eq!(took, [reads, 64 * slots as u64], "{slots} slots from {first}");
    }
}

fn r11_neither_pairs_nor_paths_starve<B: Backend>() {
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::of(10, 10); 3]);
    for pair in 0..2 {
        for cmd in nops(&mut rig, 1000) {
            rig.pairs[pair].put(&cmd);
        }
        rig.pairs[pair].ring();
    }
    // Behind two thousand commands: one on another ring, and direct ones on a busy pair.
    let late = nops(&mut rig, 1)[0];
    rig.pairs[2].put(&late);
    rig.pairs[2].ring();
    for index in 0..8 {
        let cmd = rig.stamp(esp(index, 1));
        rig.pairs[0].stage(index, &cmd, common::Split::Lines);
        rig.pairs[0].knock(index, cmd.cookie());
    }
    if B::step(&rig.link, 600).is_some() {
        assert!(rig.pairs[2].poll().is_some(), "round robin per read");
        assert_eq!(rig.counter(Counters::SA_LIVE), 8, "direct entries alternate");
        let heads = [0, 1].map(|pair: usize| rig.pairs[pair].reg(QueuePair::CQ_TAIL));
        assert!(heads[0] < 1008 && heads[1] < 1000, "still busy: {heads:?}");
        assert!(heads[0].abs_diff(heads[1]) < 64, "both get their share: {heads:?}");
    } else {
        rig.pairs[2].next();
    }
    rig.pairs[0].reap(1008);
    rig.pairs[1].reap(1000);
}

fn r14_a_malformed_command_never_stops_its_pair<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let before = rig.table();
    for opcode in 0..=255u8 {
        // ADD and NOP, FENCE are well formed with nothing behind them, or need a second half.
        let mut cmd = rig.stamp(Cmd::nop()).byte(0, opcode);
        if Opcode::from_code(opcode).is_some() {
            cmd = cmd.byte(40, 1);
        }
        rig.pairs[0].put(&cmd);
        rig.pairs[0].ring();
        let done = rig.pairs[0].next();
        let known = !matches!(Opcode::from_code(opcode), None | Some(Opcode::AddSecond));
        match Opcode::from_code(opcode) {
            Some(Opcode::Add) => done.expect(Status::BadPair),
            _ if known => done.expect(Status::BadField),
            _ => done.expect(Status::BadOpcode),
        };
        assert_eq!((done.cookie, done.result, done.changed), (cmd.cookie(), 0, false));
        assert_eq!(done.opcode, opcode & 0x1F);
    }
    assert_eq!(rig.pairs[0].state(), QpState::Enabled);
    assert_eq!(rig.table(), before);
    rig.exec(Cmd::nop()).ok();
}

fn r14_a_bad_pair_takes_two_slots_only_with_a_second_half<B: Backend>() {
    let mut rig = Rig::<B>::new();
    // The second slot is an UPDATE of its own: it runs, and finds nothing.
    let first = rig.stamp(esp(1, 1));
    let own = rig.stamp(Cmd::query(1, 1));
    let mut both = first.bytes().to_vec();
    both[64..].copy_from_slice(own.bytes());
    rig.pairs[0].put_bytes(&both);
    rig.pairs[0].ring();
    let done = rig.pairs[0].reap(2);
    assert_eq!((done[0].status, done[0].cookie), (Status::BadPair, first.cookie()));
    assert_eq!((done[1].status, done[1].cookie), (Status::Empty, own.cookie()));
    // A second half with another cookie, or epoch, goes with the first.
    for at in [66, 68] {
        let cmd = rig.stamp(esp(1, 1)).flip(8 * at);
        rig.pairs[0].put(&cmd);
        rig.pairs[0].ring();
        rig.pairs[0].next().expect(Status::BadPair);
        rig.assert_quiet();
    }
    // At the tail there is no second half yet: one slot.
    let lone: Add = rig.stamp(esp(1, 1)).as_record();
    rig.pairs[0].put_bytes(&lone.as_bytes()[..64]);
    rig.pairs[0].ring();
    rig.pairs[0].next().expect(Status::BadPair);
    let second = rig.stamp(Cmd::nop());
    rig.pairs[0].run_all(&[second])[0].ok();
    assert_eq!(rig.view(1).generation.get(), 0);
}

fn r40_a_stale_tail_is_harmless<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let some = nops(&mut rig, 10);
    rig.pairs[0].run_all(&some);
    for (stale, behind) in [9, 0, u32::MAX, 0x8000_000B].into_iter().zip(1..) {
        rig.pairs[0].ring_at(stale);
        rig.settle();
        assert_eq!(rig.counter(Counters::STALE_DB), behind, "{stale:#x}");
    }
    // Known already: not behind, not ahead.
    rig.pairs[0].ring();
    rig.assert_quiet();
    assert_eq!(rig.counter(Counters::STALE_DB), 4);
    assert_eq!(rig.pairs[0].reg(QueuePair::SQ_TAIL), 10);
    rig.exec(Cmd::nop()).ok();
}

fn a_stale_head_is_harmless<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let some = nops(&mut rig, 10);
    rig.pairs[0].run_all(&some);
    rig.pairs[0].tell();
    regs::ring(&*rig.link, 0, Doorbell::CQ_HEAD, 9);
    rig.settle();
    assert_eq!(rig.counter(Counters::STALE_DB), 1);
    assert_eq!(rig.pairs[0].reg(QueuePair::CQ_HEAD), 10);
    assert_eq!(rig.pairs[0].state(), QpState::Enabled);
}

fn both_doorbells_go_in_one_store<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let some = nops(&mut rig, 10);
    rig.pairs[0].run_all(&some);
    let more = nops(&mut rig, 2);
    more.iter().for_each(|cmd| rig.pairs[0].put(cmd));
    rig.link.store_fence();
    regs::ring_both(&*rig.link, 0, 12, 10);
    rig.pairs[0].reap(2);
    let told = [QueuePair::SQ_TAIL, QueuePair::CQ_HEAD].map(|r| rig.pairs[0].reg(r));
    assert_eq!(told, [12, 10]);
}

fn unknown_bytes_in_free_slots_are_not_executed<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.add(&esp(1, 1));
    // Beyond the tail there is a DELETE, and nobody told.
    let delete = rig.stamp(Cmd::delete(1, 1));
    rig.pairs[0].put(&delete);
    rig.pairs[0].ring_at(2);
    rig.assert_quiet();
    rig.run(Path::Direct, Cmd::query(1, 1)).ok();
}
