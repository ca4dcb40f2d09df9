// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Interrupts (§2.5): none lost, none for nothing, no storm.

#[macro_use]
mod common;

use common::{
    Backend, Bar, Cmd, Counters, Doorbell, Global, MsixPba, MsixTable, QueuePair, Rig, Shape,
    Transport, not_asked, regs,
};
use esnic_abi::FunctionConfig;
use esnic_abi::regs::queue_pair::COALESCE;

for_each_backend!(
    r1_without_an_arm_no_interrupt,
    r1_an_arm_fires_once,
    r1_an_arm_fires_at_once_if_completions_are_waiting,
    r1_an_arm_waits_for_k_completions,
    r1_a_later_arm_replaces_the_one_before,
    r1_time_fires_for_fewer_than_k,
    r1_time_counts_from_the_later_of_arm_and_completion,
    r1_no_time_means_never_by_time,
    r1_counts_over_the_wrap_of_the_index,
    r2_one_interrupt_an_arm_however_many_completions,
    r3_when_it_fires_the_completions_are_in_memory,
    r4_a_masked_vector_keeps_its_message_until_unmasked,
    r4_a_masked_function_keeps_its_messages,
    r5_vector_q_tells_of_causes_and_repeats_after_an_acknowledge,
    vectors_belong_to_their_pairs,
);

/// Long after anything could still fire.
const LONG: u64 = 8192;

fn complete<B: Backend>(rig: &mut Rig<B>, count: usize) {
    for _ in 0..count {
        let nop = rig.stamp(Cmd::nop());
        rig.pairs[0].put(&nop);
    }
    rig.pairs[0].ring();
}

/// Count and time (in units of 256 cycles) of pair 0.
fn coalesce<B: Backend>(rig: &Rig<B>, count: u32, time: u32) {
    let value = COALESCE::TIME.put(COALESCE::COUNT.put(0, count), time);
    rig.pairs[0].set(QueuePair::COALESCE, value);
}

#[track_caller]
fn assert_sent<B: Backend>(rig: &Rig<B>, messages: u64) {
    rig.settle();
    assert_eq!(rig.counter(Counters::MSIX_SENT), messages);
}

fn r1_without_an_arm_no_interrupt<B: Backend>() {
    let mut rig = Rig::<B>::new();
    complete(&mut rig, 5);
    rig.pairs[0].reap(5);
    assert_sent(&rig, 0);
    assert!(!rig.fires(0, 0));
}

fn r1_an_arm_fires_once<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.pairs[0].arm();
    assert_sent(&rig, 0);
    complete(&mut rig, 1);
    assert!(rig.fires(0, LONG));
    rig.pairs[0].next();
    complete(&mut rig, 1);
    rig.pairs[0].next();
    assert!(!rig.fires(0, LONG), "disarmed");
    assert_sent(&rig, 1);
    assert_eq!(regs::queue_pair64(&*rig.link, 0, QueuePair::IRQS), 1);
}

fn r1_an_arm_fires_at_once_if_completions_are_waiting<B: Backend>() {
    let mut rig = Rig::<B>::new();
    complete(&mut rig, 3);
    rig.settle();
    rig.pairs[0].arm();
    assert!(rig.fires(0, LONG), "the race that loses wake-ups");
    rig.pairs[0].reap(3);
    rig.pairs[0].arm();
    assert_sent(&rig, 1);
}

fn r1_an_arm_waits_for_k_completions<B: Backend>() {
    for (count, needed) in [(0, 1), (1, 1), (2, 2), (5, 5), (16, 16)] {
        let mut rig = Rig::<B>::new();
        coalesce(&rig, count, 0);
        rig.pairs[0].arm();
        complete(&mut rig, needed - 1);
        assert_sent(&rig, 0);
        complete(&mut rig, 1);
        assert_sent(&rig, 1);
    }
}

fn r1_a_later_arm_replaces_the_one_before<B: Backend>() {
    let mut rig = Rig::<B>::new();
    coalesce(&rig, 4, 0);
    rig.pairs[0].arm();
    complete(&mut rig, 3);
    rig.pairs[0].reap(3);
    rig.pairs[0].arm();
    complete(&mut rig, 3);
    assert_sent(&rig, 0);
    complete(&mut rig, 1);
    assert_sent(&rig, 1);
    complete(&mut rig, 8);
    assert_sent(&rig, 1);
}

fn r1_time_fires_for_fewer_than_k<B: Backend>() {
    let mut rig = Rig::<B>::new();
    // 40 units are 10,240 cycles.
    coalesce(&rig, 10, 40);
    rig.pairs[0].arm();
    rig.pass(20_000);
    assert_sent(&rig, 0);
    fires_in_time(&mut rig, |rig| complete(rig, 1));
}

/// Something starts a clock of 10,240 cycles, and a message is sent when they have passed. A device
/// that runs by itself goes on between any two looks at it; each look therefore only says what is sure.
#[track_caller]
fn fires_in_time<B: Backend>(rig: &mut Rig<B>, start: impl FnOnce(&mut Rig<B>)) {
    let cycles = |rig: &Rig<B>| rig.counter(Counters::CYCLES);
    let before = cycles(rig);
    start(rig);
    let after = cycles(rig);
    let mut not_yet = after;
    let sent = |rig: &Rig<B>| rig.counter(Counters::MSIX_SENT) > 0;
    rig.wait("the timer", || {
        let now = cycles(rig);
        let fired = sent(rig);
        if !fired {
            not_yet = now;
        }
        fired
    });
    let at_most = cycles(rig) - before;
    assert!(at_most >= 10_240 - 512, "after {at_most} cycles at the most");
    let at_least = not_yet - after;
    assert!(at_least < 10_240 + 4096, "after {at_least} cycles at the least");
    assert_eq!(rig.counter(Counters::MSIX_SENT), 1);
}

fn r1_time_counts_from_the_later_of_arm_and_completion<B: Backend>() {
    let mut rig = Rig::<B>::new();
    coalesce(&rig, 10, 40);
    complete(&mut rig, 1);
    rig.pass(20_000);
    // The completion is old; the clock starts with the arm.
    fires_in_time(&mut rig, |rig| rig.pairs[0].arm());
}

fn r1_no_time_means_never_by_time<B: Backend>() {
    let mut rig = Rig::<B>::new();
    coalesce(&rig, 2, 0);
    rig.pairs[0].arm();
    complete(&mut rig, 1);
    rig.pass(200_000);
    assert_sent(&rig, 0);
}

fn r1_counts_over_the_wrap_of_the_index<B: Backend>() {
    let shape = Shape::of(6, 6).about_to_wrap();
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[shape]);
    coalesce(&rig, 3, 0);
    for fired in 1..=100 {
        rig.pairs[0].arm();
        complete(&mut rig, 2);
        rig.settle();
        assert!(!rig.fires(0, 0), "round {fired}");
        complete(&mut rig, 1);
        assert!(rig.fires(0, LONG), "round {fired}");
        rig.pairs[0].reap(3);
    }
    assert_sent(&rig, 100);
}

fn r2_one_interrupt_an_arm_however_many_completions<B: Backend>() {
    let mut rig = Rig::<B>::new();
    coalesce(&rig, 1, 1);
    rig.pairs[0].arm();
    complete(&mut rig, 40);
    rig.pass(20_000);
    assert_sent(&rig, 1);
    rig.pairs[0].reap(40);
    rig.pairs[0].arm();
    rig.pairs[0].arm();
    assert_sent(&rig, 1);
}

fn r3_when_it_fires_the_completions_are_in_memory<B: Backend>() {
    let mut rig = Rig::<B>::new();
    for count in [1u32, 2, 3, 4, 7] {
        coalesce(&rig, count, 0);
        for _ in 0..20 {
            rig.pairs[0].arm();
            complete(&mut rig, count as usize);
            rig.creep(1, "the interrupt", |rig| rig.fires(0, 0).then_some(()));
            let there = (0..count).all(|_| rig.pairs[0].poll().is_some());
            assert!(there, "fired before the completions of {count}");
            rig.pairs[0].tell();
        }
    }
}

fn pending<B: Backend>(rig: &Rig<B>) -> u32 {
    rig.link.read32(Bar::Msix, MsixPba::PENDING.address(0))
}

fn r4_a_masked_vector_keeps_its_message_until_unmasked<B: Backend>() {
    if !B::SHOWS_MSIX {
        not_asked(B::NAME, "its MSI-X table is the kernel's");
        return;
    }
    let mut rig = Rig::<B>::new();
    let mask = |rig: &Rig<B>, on: u32| {
        rig.link.write32(Bar::Msix, MsixTable::MSG_CTRL.address(0), on);
    };
    mask(&rig, 1);
    rig.pairs[0].arm();
    complete(&mut rig, 1);
    assert_sent(&rig, 0);
    assert_eq!(pending(&rig), 1);
    mask(&rig, 0);
    assert!(rig.fires(0, LONG), "never lost");
    assert_eq!(pending(&rig), 0);
    assert_sent(&rig, 1);
}

fn r4_a_masked_function_keeps_its_messages<B: Backend>() {
    let on = FunctionConfig { bus_master: true, msix_enable: true, msix_mask: false };
    let masked = FunctionConfig { msix_mask: true, ..on };
    let off = FunctionConfig { msix_enable: false, ..on };
    for silent in [masked, off] {
        let mut rig = Rig::<B>::new();
        if B::pins(&rig.link, |device| device.configure(silent)).is_none() {
            not_asked(B::NAME, "MSI-X is the kernel's to turn off");
            return;
        }
        rig.pairs[0].arm();
        complete(&mut rig, 1);
        assert_sent(&rig, 0);
        assert_eq!(pending(&rig), 1, "{silent:?}");
        B::pins(&rig.link, |device| device.configure(on));
        assert!(rig.fires(0, LONG), "{silent:?}");
        assert_eq!(pending(&rig), 0);
    }
}

fn r5_vector_q_tells_of_causes_and_repeats_after_an_acknowledge<B: Backend>() {
    let rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::default(); 3]);
    let faults = u16::from(rig.params.queue_pairs);
    rig.pairs[0].ring_at(1000);
    rig.settle();
    assert_eq!(rig.global(Global::INT_CAUSE), 2);
    assert_sent(&rig, 0);
    // Enabling a cause that is there already makes the sum non-zero.
    rig.set_global(Global::INT_ENABLE, 1);
    assert_sent(&rig, 0);
    rig.set_global(Global::INT_ENABLE, 3);
    assert!(rig.fires(faults, LONG));
    assert_sent(&rig, 1);
    // A second pair joins: the sum was non-zero before, so no new message.
    rig.pairs[1].ring_at(1000);
    assert_sent(&rig, 1);
    // Acknowledging nothing leaves it non-zero: told again.
    rig.set_global(Global::INT_CAUSE, 0);
    assert!(rig.fires(faults, LONG));
    rig.set_global(Global::INT_CAUSE, 5);
    assert!(rig.fires(faults, LONG), "W1C clears only what was written");
    assert_eq!(rig.global(Global::INT_CAUSE), 2);
    rig.set_global(Global::INT_CAUSE, 2);
    assert_eq!(rig.global(Global::INT_CAUSE), 0);
    assert!(!rig.fires(faults, LONG));
    // And a new cause is a new message.
    rig.pairs[2].ring_at(1000);
    assert!(rig.fires(faults, LONG));
    assert_sent(&rig, 4);
}

fn vectors_belong_to_their_pairs<B: Backend>() {
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::default(); 4]);
    for pair in [2usize, 0, 3, 1] {
        regs::ring(&*rig.link, pair as u32, Doorbell::CQ_ARM, 2);
        for _ in 0..3 {
            let nop = rig.stamp(Cmd::nop());
            rig.pairs[pair].put(&nop);
        }
        rig.pairs[pair].ring();
        assert!(rig.fires(pair as u16, LONG));
        let others = (0..4u16).filter(|&vector| vector != pair as u16);
        assert!(others.into_iter().all(|vector| !rig.fires(vector, 0)));
    }
}
