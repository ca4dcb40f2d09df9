// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The device from RESET to RUNNING and back (§6), and FATAL.

#[macro_use]
mod common;

use common::cmd::esp;
use common::{
    Backend, Bar, Cmd, Counters, Fault, Global, PATIENCE, Params, Path, QpState, QueuePair, Rig,
    Shape, SlotState, Status, Transport, regs, thin,
};
use esnic_abi::DeviceState;
use esnic_abi::regs::global;
use std::time::Instant;

for_each_backend!(
    r20_scrub_counts_down_and_shows_nothing_until_ready,
    r22_run_needs_an_epoch,
    r22_instance_is_writable_in_ready_only,
    r22_nothing_runs_in_ready_but_the_table_can_be_read,
    r22_ready_keeps_the_table,
    run_is_not_turned_off_under_a_pair,
    r23_fatal_stops_everything_and_shows_no_entry,
    r23_only_reset_leaves_fatal,
    r24_without_bus_master_dma_waits_and_nothing_fails,
    r24_the_direct_path_waits_too_for_its_completion,
    r43_a_command_completes_within_4096_cycles,
    counters_tell_what_happened,
);

fn r20_scrub_counts_down_and_shows_nothing_until_ready<B: Backend>() {
    let capacity = 4096;
    let params = Params { sa_capacity: capacity, ..Rig::<B>::small() };
    let mut rig = Rig::<B>::with(params, &[Shape::default()]);
    rig.add(&esp(7, 1));
    rig.pairs[0].disable();
    rig.link.reset().expect("a reset");

    let mut left = capacity;
    rig.wait("the scrub", || {
        assert_eq!(rig.link.read32(Bar::Table, 7 * 128), 0, "in {}", rig.state());
        let state = rig.state();
        assert!(matches!(state, DeviceState::Reset | DeviceState::Scrub | DeviceState::Ready));
        state == DeviceState::Ready
    });
    assert_eq!(rig.global(Global::SCRUB_LEFT), 0);
    assert!(thin(0..capacity).all(|index| {
        // Nothing of the last life, not even a generation.
        let row = rig.view(index);
        row.index.get() == index && row.generation.get() == 0 && row.state == 0
    }));

    rig.link.reset().expect("a reset");
    let mut seen = vec![];
    B::step(&rig.link, 1);
    rig.creep(64, "READY", |rig| {
        let now = rig.global(Global::SCRUB_LEFT);
        assert!(now <= left, "{now} after {left}");
        left = now;
        seen.push(now);
        (rig.state() == DeviceState::Ready).then_some(())
    });
    // One row a cycle; each look takes some cycles of its own where the clock is real.
    let stepwise = B::step(&rig.link, 1).is_some();
    assert!(!stepwise || seen.len() > 40, "one row a cycle, seen {}", seen.len());
}

fn r22_run_needs_an_epoch<B: Backend>() {
    let rig = Rig::<B>::ready(Rig::<B>::small());
    for instance in [0, 0x0001_0000, 0xFFFF_FFFF_FFFF_0000] {
        regs::set_global64(&*rig.link, Global::INSTANCE, instance);
        rig.set_global(Global::CONTROL, 1);
        rig.settle();
        assert_eq!(rig.state(), DeviceState::Ready, "EPOCH 0 of {instance:#x}");
    }
    assert_eq!(rig.global(Global::CONTROL) & 1, 0, "an ignored RUN is not kept");
    regs::set_global64(&*rig.link, Global::INSTANCE, 0x8000);
    rig.set_global(Global::CONTROL, 1);
    rig.await_state(DeviceState::Running);
    assert_eq!(rig.global(Global::CONTROL), 1);
}

fn r22_instance_is_writable_in_ready_only<B: Backend>() {
    let rig = Rig::<B>::with(Rig::<B>::small(), &[]);
    let instance = regs::global64(&*rig.link, Global::INSTANCE, 0);
    assert_ne!(instance, 0);
    regs::set_global64(&*rig.link, Global::INSTANCE, !instance);
    assert_eq!(regs::global64(&*rig.link, Global::INSTANCE, 0), instance);
    rig.set_global(Global::CONTROL, 0);
    rig.await_state(DeviceState::Ready);
    regs::set_global64(&*rig.link, Global::INSTANCE, 77);
    assert_eq!(regs::global64(&*rig.link, Global::INSTANCE, 0), 77);
}

fn r22_nothing_runs_in_ready_but_the_table_can_be_read<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.add(&esp(5, 9));
    rig.pairs[0].disable();
    rig.set_global(Global::CONTROL, 0);
    rig.await_state(DeviceState::Ready);
    assert_eq!(rig.slot_state(5), SlotState::Live);

    rig.pairs[0].set(QueuePair::QP_CTRL, 1);
    rig.settle();
    assert_eq!(rig.pairs[0].state(), QpState::Disabled, "READY turns no pair on");
    let nop = rig.stamp(Cmd::nop());
    rig.pairs[0].put(&nop);
    rig.pairs[0].ring();
    rig.link.write32(Bar::Table, 5 * 128, 0x10);
    rig.assert_quiet();
    assert_eq!(rig.counter(Counters::STAGE_DROP), 1, "READY stages nothing");
}

fn r22_ready_keeps_the_table<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.add(&esp(5, 9));
    let before = rig.table();
    rig.pairs[0].disable();
    rig.set_global(Global::CONTROL, 0);
    rig.await_state(DeviceState::Ready);
    assert_eq!(rig.table(), before);
    rig.set_global(Global::CONTROL, 1);
    rig.await_state(DeviceState::Running);
    rig.pairs[0].write_config();
    rig.pairs[0].enable();
    rig.exec(Cmd::query(5, 9)).ok();
}

fn run_is_not_turned_off_under_a_pair<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.set_global(Global::CONTROL, 0);
    rig.settle();
    assert_eq!(rig.state(), DeviceState::Running, "a pair is on");
    assert_eq!(rig.global(Global::CONTROL), 1, "an ignored write is not kept");
    rig.exec(Cmd::nop()).ok();
}

/// Runs a device into FATAL, with an entry and an open pair; none if this backend cannot.
fn fatal<B: Backend>(fault: Fault) -> Option<Rig<B>> {
    let mut rig = Rig::<B>::new();
    rig.set_global(Global::INT_ENABLE, 1);
    rig.add(&esp(5, 9));
    if !rig.inject(fault) {
        return None;
    }
    rig.await_state(DeviceState::Fatal);
    Some(rig)
}

fn r23_fatal_stops_everything_and_shows_no_entry<B: Backend>() {
    let Some(mut rig) = fatal::<B>(Fault::Internal(0xABCD)) else {
        return;
    };
    let cause = rig.global(Global::FATAL_CAUSE);
    assert_eq!(cause, global::FATAL_CAUSE::INTERNAL.mask());
    assert_eq!(rig.global(Global::FATAL_INFO), 0xABCD);
    assert!(global::INT_CAUSE::FATAL.is_set(rig.global(Global::INT_CAUSE)));
    assert!(rig.fires(rig.params.queue_pairs.into(), 8192), "R5: vector Q tells");
    let table_is_dark =
        |rig: &Rig<B>| (0..64 * 128).step_by(4).all(|at| rig.link.read32(Bar::Table, at) == 0);
    assert!(table_is_dark(&rig), "§5: in FATAL all reads are 0");

    let dma = |rig: &Rig<B>| {
        let counters = [Counters::DMA_RD_TLP, Counters::DMA_WR_TLP, Counters::CMD_RING];
        counters.map(|counter| rig.counter(counter))
    };
    let before = dma(&rig);
    let nop = rig.stamp(Cmd::nop());
    rig.pairs[0].put(&nop);
    rig.pairs[0].ring();
    let packet = rig.stamp(Cmd::packet(5, 9, 77));
    rig.pairs[0].stage(5, &packet, common::Split::Lines);
    rig.pairs[0].knock(5, packet.cookie());
    rig.assert_quiet();
    assert_eq!(dma(&rig), before);
    assert_eq!(rig.counter(Counters::CMD_DIRECT), 0);
}

fn r23_only_reset_leaves_fatal<B: Backend>() {
    let Some(mut rig) = fatal::<B>(Fault::TableEcc(3)) else {
        return;
    };
    assert_eq!(rig.global(Global::FATAL_CAUSE), global::FATAL_CAUSE::TABLE_ECC.mask());
    for control in [0, 1] {
        rig.set_global(Global::CONTROL, control);
        rig.settle();
        assert_eq!(rig.state(), DeviceState::Fatal);
    }
    rig.set_global(Global::CONTROL, 2);
    rig.await_state(DeviceState::Ready);
    assert_eq!(rig.global(Global::FATAL_CAUSE), 0);
    rig.start(9);
    rig.pairs.clear();
    rig.open(Shape::default());
    rig.exec(Cmd::nop()).ok();
}

fn r24_without_bus_master_dma_waits_and_nothing_fails<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.link.set_bus_master(false).expect("configuration space");
    let nop = rig.stamp(Cmd::nop());
    rig.pairs[0].put(&nop);
    rig.pairs[0].ring();
    rig.assert_quiet();
    assert_eq!(rig.pairs[0].state(), QpState::Enabled);
    assert_eq!(rig.counter(Counters::DMA_ERRORS), 0);
    rig.link.set_bus_master(true).expect("configuration space");
    assert_eq!(rig.pairs[0].next().ok().cookie, nop.cookie());
}

fn r24_the_direct_path_waits_too_for_its_completion<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sa = esp(3, 1);
    rig.add(&sa);
    rig.link.set_bus_master(false).expect("configuration space");
    let cmd = rig.stamp(Cmd::top(&sa, 4, 5));
    rig.pairs[0].stage(3, &cmd, common::Split::Lines);
    rig.pairs[0].knock(3, cmd.cookie());
    rig.assert_quiet();
    rig.link.set_bus_master(true).expect("configuration space");
    assert_eq!(rig.pairs[0].next().ok().result, 4 << 32 | 5);
}

/// R43, in the device's own clock. The slack is for the polls between the two readings. A clock that runs on while
/// this thread has no processor says only what is no longer than that; so there each command is tried until one
/// try was undisturbed, which a device that is too slow never gives.
fn r43_a_command_completes_within_4096_cycles<B: Backend>() {
    const LIMIT: u64 = 4096 + 512;
    let mut rig = Rig::<B>::new();
    let runs = B::step(&rig.link, 0).is_none();
    let mut generations = 1..;
    for path in Path::BOTH {
        let mut took = [u64::MAX; 5];
        let deadline = Instant::now() + PATIENCE;
        while took.iter().any(|&cycles| cycles > LIMIT) {
            assert!(
                took == [u64::MAX; 5] || (runs && Instant::now() < deadline),
                "{path:?}: ADD, UPDATE, twice QUERY, DELETE took {took:?} cycles"
            );
            let generation = generations.next().expect("another one");
            let sa = esp(3, generation);
            let (query, delete) = (Cmd::query(3, generation), Cmd::delete(3, generation));
            // An even number of slots, so that no ADD has to wait for a NOP before it.
            let all = [sa.into(), Cmd::hi(&sa, 0), query, query, delete];
            for (took, cmd) in took.iter_mut().zip(all) {
                let before = rig.counter(Counters::CYCLES);
                rig.run(path, cmd).ok();
                *took = rig.counter(Counters::CYCLES).wrapping_sub(before).min(*took);
            }
        }
    }
}

fn counters_tell_what_happened<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let live = |rig: &Rig<B>| rig.counter(Counters::SA_LIVE);
    rig.exec(esp(3, 1)).ok();
    rig.run(Path::Direct, esp(4, 1)).ok();
    assert_eq!(live(&rig), 2);
    rig.exec(Cmd::delete(5, 1)).expect(Status::Empty);
    rig.exec(Cmd::delete(3, 1)).ok();
    rig.run(Path::Direct, Cmd::delete(4, 1)).ok();
    assert_eq!(live(&rig), 0);
    let counted = [
        (Counters::CMD_RING, 3),
        (Counters::CMD_DIRECT, 2),
        (Counters::CPL_OK, 4),
        (Counters::CPL_ERR, 1),
        // Slots 0 and 1, slot 2, slot 3: one read each.
        (Counters::DMA_RD_TLP, 3),
        (Counters::DMA_RD_BYTES, 4 * 64),
        (Counters::DMA_WR_TLP, 5),
        (Counters::DMA_WR_BYTES, 5 * 16),
        (Counters::STALE_DB, 0),
        (Counters::EPOCH_DROP, 0),
        (Counters::STAGE_DROP, 0),
        (Counters::BAD_ACCESS, 0),
        (Counters::DMA_ERRORS, 0),
    ];
    for (counter, expected) in counted {
        assert_eq!(rig.counter(counter), expected, "{counter:?}");
    }
    let pair = &rig.pairs[0];
    let own = [QueuePair::COMMANDS, QueuePair::COMPLETIONS, QueuePair::ERRORS];
    let own = own.map(|register| regs::queue_pair64(&*rig.link, 0, register));
    assert_eq!(own, [5, 5, 1]);
    let indices = [QueuePair::SQ_HEAD, QueuePair::SQ_TAIL, QueuePair::CQ_TAIL].map(|r| pair.reg(r));
    assert_eq!(indices, [4, 4, 5]);
    assert_eq!(pair.direct_head(), 2);
}
