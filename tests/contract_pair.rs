// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A queue pair from DISABLED to ENABLED, STOPPING, ERROR and back (§6), and what errors cost whom.

#[macro_use]
mod common;

use common::cmd::esp;
use common::{
    Backend, Cmd, Counters, Done, Doorbell, Fault, Global, Path, QpCause, QpState, QueuePair, Rig,
    Shape, Split, Status, regs, thin,
};

for_each_backend!(
    configuration_is_writable_in_disabled_only,
    enable_takes_start_into_every_index,
    an_impossible_configuration_is_bad_config,
    every_ring_size_from_two_entries_to_the_largest_works,
    r25_stopping_settles_every_command,
    r25_a_stopped_pair_does_no_dma_and_starts_afresh,
    a_tail_beyond_the_ring_is_bad_doorbell,
    a_head_beyond_the_completions_is_bad_doorbell,
    r26_an_error_stays_in_its_pair,
    r26_error_is_left_by_disable,
    r27_a_failed_read_ends_the_ring_there,
    r46_a_refused_completion_stops_the_pair,
);

fn causes<B: Backend>(rig: &Rig<B>, pair: usize, cause: QpCause) {
    rig.pairs[pair].await_state(QpState::Error);
    assert_eq!(rig.pairs[pair].cause(), cause);
    assert_eq!(regs::global64(&*rig.link, Global::QP_ERROR_MAP, 0), 1 << pair);
    assert_eq!(rig.global(Global::INT_CAUSE), 2, "INT_CAUSE.QP_ERROR");
}

fn configuration_is_writable_in_disabled_only<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let fixed = [QueuePair::SQ_BASE, QueuePair::CQ_BASE, QueuePair::RING_SIZE, QueuePair::START];
    let before = fixed.map(|register| rig.pairs[0].reg(register));
    for register in fixed {
        rig.pairs[0].set(register, 0x0000_3000);
    }
    assert_eq!(fixed.map(|register| rig.pairs[0].reg(register)), before);
    rig.pairs[0].set(QueuePair::COALESCE, 0x0001_0002);
    assert_eq!(rig.pairs[0].reg(QueuePair::COALESCE), 0x0001_0002, "COALESCE always");
    rig.exec(Cmd::nop()).ok();
    rig.pairs[0].disable();
    for register in fixed {
        rig.pairs[0].set(register, 0x0000_3000);
        let kept = if register == QueuePair::RING_SIZE { 0 } else { 0x3000 };
        assert_eq!(rig.pairs[0].reg(register), kept, "{register:?}");
    }
}

fn enable_takes_start_into_every_index<B: Backend>() {
    let mut rig = Rig::<B>::new();
    for start in [0, 128, 0x8000_0000, 0xFFFF_FF80] {
        rig.pairs[0].disable();
        rig.pairs[0].shape.start = start;
        rig.pairs[0].write_config();
        rig.pairs[0].enable();
        let indices =
            [QueuePair::SQ_HEAD, QueuePair::SQ_TAIL, QueuePair::CQ_TAIL, QueuePair::CQ_HEAD];
        assert_eq!(indices.map(|register| rig.pairs[0].reg(register)), [start; 4]);
        assert_eq!(rig.pairs[0].direct_head(), 0, "the direct ring starts at 0");
        rig.exec(Cmd::nop()).ok();
        rig.run(Path::Direct, Cmd::query(1, 1)).expect(Status::Empty);
    }
}

fn an_impossible_configuration_is_bad_config<B: Backend>() {
    // The build's largest ring has 2^10 entries.
    let bad = [
        (QueuePair::SQ_BASE, 0x0000_1010),
        (QueuePair::SQ_BASE, 0x0000_1800),
        (QueuePair::CQ_BASE, 0x0000_1040),
        (QueuePair::RING_SIZE, 0x0600),
        (QueuePair::RING_SIZE, 0x0006),
        (QueuePair::RING_SIZE, 0x060B),
        (QueuePair::RING_SIZE, 0x0B06),
        (QueuePair::START, 1),
        // A multiple of the larger ring, but not of twice that.
        (QueuePair::START, 64),
        (QueuePair::START, 0xFFFF_FFC0),
    ];
    for (register, value) in thin(bad) {
        let mut rig = Rig::<B>::with(Rig::<B>::small(), &[]);
        rig.configure(Shape::default());
        rig.pairs[0].set(register, value);
        rig.pairs[0].set(QueuePair::QP_CTRL, 1);
        rig.settle();
        assert_eq!(rig.pairs[0].state(), QpState::Error, "{register:?} = {value:#x}");
        causes(&rig, 0, QpCause::BadConfig);
        rig.pairs[0].disable();
        rig.pairs[0].write_config();
        rig.pairs[0].enable();
        rig.exec(Cmd::nop()).ok();
    }
}

fn every_ring_size_from_two_entries_to_the_largest_works<B: Backend>() {
    for sq_log2 in 1..=10 {
        for cq_log2 in thin([10, 5, 2, 1]) {
            let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::of(sq_log2, cq_log2)]);
            let batch = 1usize << sq_log2.min(cq_log2);
            for _ in 0..(8 << sq_log2.max(cq_log2)) / batch.max(8) {
                let nops: Vec<_> = (0..batch).map(|_| rig.stamp(Cmd::nop())).collect();
                let done = rig.pairs[0].run_all(&nops);
                let cookies = |d: &[Done]| d.iter().map(|one| one.cookie).collect::<Vec<_>>();
                let sent: Vec<_> = nops.iter().map(Cmd::cookie).collect();
                assert_eq!(cookies(&done), sent, "{sq_log2}, {cq_log2}");
            }
        }
    }
}

/// Stops the pair at every moment of a batch on both paths: what SQ_HEAD and DIRECT_HEAD say is
/// executed and completed, the rest never.
fn r25_stopping_settles_every_command<B: Backend>() {
    for cycles in thin((0..40).chain([60, 100, 200])) {
        let mut rig = Rig::<B>::new();
        for index in 0..24 {
            rig.add(&esp(index, 1));
        }
        let (sq, direct) = (rig.pairs[0].tail, rig.pairs[0].direct_head());
        // Slots 0..16 by ring, 16..24 by the direct path.
        for index in 0..24 {
            let cmd = rig.stamp(Cmd::top(&esp(index, 1), 9, index));
            if index < 16 {
                rig.pairs[0].put(&cmd);
            } else {
                rig.pairs[0].stage(index, &cmd, Split::Lines);
                rig.pairs[0].knock(index, cmd.cookie());
            }
        }
        rig.pairs[0].ring();
        B::step(&rig.link, cycles);
        rig.pairs[0].disable();
        let fetched = rig.pairs[0].reg(QueuePair::SQ_HEAD).wrapping_sub(sq);
        let taken = rig.pairs[0].direct_head().wrapping_sub(direct);
        let done = (0..fetched + taken).map(|_| rig.pairs[0].poll());
        assert!(done.into_iter().all(|d| d.is_some()), "in memory at DISABLED");
        assert_eq!(rig.pairs[0].poll(), None);
        rig.settle();
        for index in 0..24 {
            let told = if index < 16 { index < fetched } else { index - 16 < taken };
            let expected = if told { (9, index, true) } else { (0, 0, true) };
            assert_eq!(rig.top(index), expected, "slot {index}, after {cycles} cycles");
        }
    }
}

fn r25_a_stopped_pair_does_no_dma_and_starts_afresh<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.run(Path::Direct, esp(1, 1)).ok();
    // More entries than the next life will write, all with the lap that is due in it, too.
    for _ in 0..3 {
        rig.run(Path::Direct, Cmd::query(1, 1)).ok();
    }
    rig.pairs[0].disable();
    let dma = |rig: &Rig<B>| [Counters::DMA_RD_TLP, Counters::DMA_WR_TLP].map(|c| rig.counter(c));
    let before = dma(&rig);
    rig.pairs[0].tail += 4;
    rig.pairs[0].ring();
    rig.pairs[0].knock(1, 5);
    rig.settle();
    assert_eq!(dma(&rig), before);
    rig.pairs[0].write_config();
    rig.pairs[0].enable();
    rig.assert_quiet();
    assert_eq!(rig.pairs[0].direct_head(), 0, "what was written while off is gone");
    rig.run(Path::Direct, Cmd::query(1, 1)).ok();
    rig.exec(Cmd::query(1, 1)).ok();
    rig.assert_quiet();
}

fn a_tail_beyond_the_ring_is_bad_doorbell<B: Backend>() {
    for (ahead, fits) in [(64, true), (65, false), (128, false), (0x7FFF_FFFF, false)] {
        let mut rig = Rig::<B>::new();
        rig.exec(Cmd::nop()).ok();
        let nop = rig.stamp(Cmd::nop());
        for _ in 0..64 {
            rig.pairs[0].put(&nop);
        }
        rig.pairs[0].ring_at(1 + ahead);
        if fits {
            rig.pairs[0].reap(64);
        } else {
            causes(&rig, 0, QpCause::BadDoorbell);
            rig.assert_quiet();
        }
    }
}

fn a_head_beyond_the_completions_is_bad_doorbell<B: Backend>() {
    for (ahead, fits) in [(0, true), (1, false), (64, false), (0x7FFF_FFFE, false)] {
        let mut rig = Rig::<B>::new();
        rig.exec(Cmd::nop()).ok();
        let head = rig.pairs[0].seen + ahead;
        regs::ring(&*rig.link, 0, Doorbell::CQ_HEAD, head);
        rig.settle();
        if fits {
            assert_eq!(rig.pairs[0].reg(QueuePair::CQ_HEAD), head);
            rig.exec(Cmd::nop()).ok();
        } else {
            causes(&rig, 0, QpCause::BadDoorbell);
        }
    }
}

fn r26_an_error_stays_in_its_pair<B: Backend>() {
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::default(); 3]);
    rig.add(&esp(1, 1));
    rig.pairs[1].ring_at(1000);
    causes(&rig, 1, QpCause::BadDoorbell);
    for pair in [0, 2] {
        let cmd = rig.stamp(Cmd::query(1, 1));
        rig.run_raw(pair, Path::Ring, cmd).ok();
        let cmd = rig.stamp(Cmd::query(1, 1));
        rig.run_raw(pair, Path::Direct, cmd).ok();
        assert_eq!(rig.pairs[pair].state(), QpState::Enabled);
    }
    // The broken one takes nothing, by either way.
    let cmd = rig.stamp(Cmd::delete(1, 1));
    rig.pairs[1].put(&cmd);
    rig.pairs[1].ring();
    rig.pairs[1].stage(1, &cmd, Split::Lines);
    rig.pairs[1].knock(1, cmd.cookie());
    rig.assert_quiet();
    rig.exec(Cmd::query(1, 1)).ok();
}

fn r26_error_is_left_by_disable<B: Backend>() {
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::default(); 2]);
    rig.pairs[1].ring_at(1000);
    causes(&rig, 1, QpCause::BadDoorbell);
    rig.pairs[1].set(QueuePair::QP_CTRL, 1);
    rig.settle();
    assert_eq!(rig.pairs[1].state(), QpState::Error, "ENABLE does not help");
    rig.pairs[1].disable();
    assert_eq!(regs::global64(&*rig.link, Global::QP_ERROR_MAP, 0), 0);
    rig.pairs[1].write_config();
    rig.pairs[1].enable();
    assert_eq!(rig.pairs[1].cause(), QpCause::None, "a new life");
    let nop = rig.stamp(Cmd::nop());
    rig.run_raw(1, Path::Ring, nop).ok();
}

/// Five reads of eight slots each; the third one fails. The first sixteen commands execute.
fn r27_a_failed_read_ends_the_ring_there<B: Backend>() {
    for fault in [Fault::FailedRead, Fault::PoisonedRead] {
        let mut rig = Rig::<B>::new();
        for index in 0..40 {
            rig.add(&esp(index, 1));
        }
        rig.pairs[0].disable();
        rig.pairs[0].write_config();
        rig.pairs[0].enable();
        let tops: Vec<_> = (0..40).map(|i| Cmd::top(&esp(i, 1), 1, i)).collect();
        for top in &tops[..16] {
            let cmd = rig.stamp(*top);
            rig.pairs[0].put(&cmd);
        }
        rig.pairs[0].ring();
        rig.pairs[0].reap(16);
        for top in &tops[16..] {
            let cmd = rig.stamp(*top);
            rig.pairs[0].put(&cmd);
        }
        if !rig.inject(fault) {
            return;
        }
        rig.pairs[0].ring();
        causes(&rig, 0, QpCause::SqRead);
        let at = regs::queue_pair64(&*rig.link, 0, QueuePair::QP_ERR_ADDR);
        assert_eq!(at, rig.pairs[0].sq.iova().0 + 16 * 64);
        rig.settle();
        for index in 0..40 {
            assert_eq!(rig.top(index).0, u32::from(index < 16), "slot {index}");
        }
        assert_eq!(rig.counter(Counters::DMA_ERRORS), 1);
    }
    ring_outside_memory::<B>();
}

/// The same without a knob: the ring's address is nobody's.
fn ring_outside_memory<B: Backend>() {
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[]);
    rig.configure(Shape::default());
    regs::set_queue_pair64(&*rig.link, 0, QueuePair::SQ_BASE, 0x7000);
    rig.pairs[0].enable();
    rig.pairs[0].tail = 1;
    rig.pairs[0].ring();
    causes(&rig, 0, QpCause::SqRead);
    assert_eq!(regs::queue_pair64(&*rig.link, 0, QueuePair::QP_ERR_ADDR), 0x7000);
}

/// Where the bus tells of refused writes, as in a simulator, the pair stops; on real PCIe the write
/// is lost unseen and the host's deadline finds it.
fn r46_a_refused_completion_stops_the_pair<B: Backend>() {
    let mut rig = Rig::<B>::new();
    if !rig.inject(Fault::FailedWrite) {
        return;
    }
    let nop = rig.stamp(Cmd::nop());
    rig.pairs[0].put(&nop);
    rig.pairs[0].ring();
    causes(&rig, 0, QpCause::CqWrite);
    let at = regs::queue_pair64(&*rig.link, 0, QueuePair::QP_ERR_ADDR);
    assert_eq!(at, rig.pairs[0].cq.iova().0);
    rig.assert_quiet();
}
