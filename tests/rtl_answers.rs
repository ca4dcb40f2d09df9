// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Answers of the bus that are none: to requests that nobody made, too short, too long. What the device
//! was told by them is not believed, and what is owed is waited for.

mod common;

use common::{Cmd, Counters, Global, QpCause, QpState, Rig, Rtl, Shape};
use esnic_abi::DeviceState;
use esnic_abi::regs::global;
use esnic_driver::transport::Transport;
use esnic_rtl::{Bus, Trigger};

/// Nobody has this ID.
const STRAY: u8 = 63;

fn slow() -> Bus {
    Bus { read_latency: 3000..=3000, write_latency: 3000..=3000, ..Bus::default() }
}

fn two_pairs() -> Rig<Rtl> {
    Rig::with(Rig::<Rtl>::small(), &[Shape::default(), Shape::default()])
}

#[track_caller]
fn is_fatal_of(rig: &Rig<Rtl>, id: u32) {
    assert_eq!(rig.state(), DeviceState::Fatal);
    assert_eq!(rig.global(Global::FATAL_CAUSE), global::FATAL_CAUSE::DMA_TAG.mask());
    assert_eq!(rig.global(Global::FATAL_INFO), id);
}

#[test]
fn a_stray_answer_is_not_taken_for_a_read_that_is_still_out() {
    let mut rig = Rig::<Rtl>::new();
    rig.link.with_device(|device| *device.bus_mut() = slow());
    let late = rig.stamp(Cmd::nop());
    rig.pairs[0].put(&late);
    rig.pairs[0].ring();
    rig.link.step(40);
    rig.link.with_device(|device| device.faults_mut().stray_read = Some(STRAY));
    rig.link.step(8);
    is_fatal_of(&rig, STRAY.into());
    rig.link.reset().expect("a reset");
    rig.link.step(1000);
    assert_eq!(rig.state(), DeviceState::Scrub, "R20: one answer is still owed");
    rig.await_state(DeviceState::Ready);
    assert!(rig.link.with_device(|device| device.cycles()) > 3000);
}

#[test]
fn a_stray_response_is_not_taken_for_a_write_that_is_still_out() {
    let mut rig = Rig::<Rtl>::new();
    rig.link.with_device(|device| *device.bus_mut() = Bus { read_latency: 1..=1, ..slow() });
    let cmd = rig.stamp(Cmd::nop());
    rig.pairs[0].put(&cmd);
    rig.pairs[0].ring();
    rig.link.step(60);
    // Of a record: none is under way.
    rig.link.with_device(|device| device.faults_mut().stray_write = Some(1));
    rig.link.step(8);
    is_fatal_of(&rig, 0x0001_0001);
    rig.link.reset().expect("a reset");
    rig.link.step(1000);
    assert_eq!(rig.state(), DeviceState::Scrub, "R20: one response is still owed");
    rig.await_state(DeviceState::Ready);
}

/// A read of eight slots answered with one beat less or more: R27, and not a slot too many.
#[test]
fn an_answer_of_the_wrong_length_is_a_failed_read() {
    for short in [true, false] {
        let mut rig = two_pairs();
        let cmds: Vec<Cmd> = (0..24).map(|_| rig.stamp(Cmd::nop())).collect();
        rig.pairs[0].run_all(&cmds[..8]);
        rig.link.with_device(|device| {
            let faults = device.faults_mut();
            let which = if short { &mut faults.short_read } else { &mut faults.long_read };
            *which = Trigger::next();
        });
        for cmd in &cmds[8..] {
            rig.pairs[0].put(cmd);
        }
        rig.pairs[0].ring();
        rig.pairs[0].await_state(QpState::Error);
        assert_eq!(rig.pairs[0].cause(), QpCause::SqRead, "short: {short}");
        rig.settle();
        assert_eq!(rig.pairs[0].poll(), None, "nothing of it was executed; short: {short}");
        assert_eq!(rig.counter(Counters::DMA_ERRORS), 1);
        assert_eq!(rig.state(), DeviceState::Running);
        // Others read what is theirs.
        let cmds: Vec<Cmd> = (0..40).map(|_| rig.stamp(Cmd::nop())).collect();
        for done in rig.pairs[1].run_all(&cmds) {
            done.ok();
        }
    }
}

#[test]
fn a_read_of_one_slot_with_a_second_beat_is_a_failed_read() {
    let mut rig = Rig::<Rtl>::new();
    rig.link.with_device(|device| device.faults_mut().long_read = Trigger::next());
    let cmd = rig.stamp(Cmd::nop());
    rig.pairs[0].put(&cmd);
    rig.pairs[0].ring();
    rig.pairs[0].await_state(QpState::Error);
    assert_eq!(rig.pairs[0].cause(), QpCause::SqRead);
    rig.settle();
    assert_eq!(rig.pairs[0].poll(), None);
}

/// Of lines that are on their way when one is refused, none counts: not in the pair, not in the device.
#[test]
fn counters_agree_after_a_refused_line() {
    let mut rig = two_pairs();
    rig.link.with_device(|device| {
        *device.bus_mut() = Bus { write_latency: 300..=300, ..Bus::default() };
        device.faults_mut().fail_write = Trigger::next();
    });
    // Half of them fail: the slot is empty.
    let cmds: Vec<Cmd> = (0..32)
        .map(|k| rig.stamp(if k % 2 == 0 { Cmd::nop() } else { Cmd::query(3, 1) }))
        .collect();
    for cmd in &cmds {
        rig.pairs[0].put(cmd);
    }
    rig.pairs[0].ring();
    rig.pairs[0].await_state(QpState::Error);
    rig.settle();
    for register in [common::QueuePair::COMPLETIONS, common::QueuePair::ERRORS] {
        assert_eq!(rig.pairs[0].reg(register), 0, "{register:?}");
    }
    assert_eq!((rig.counter(Counters::CPL_OK), rig.counter(Counters::CPL_ERR)), (0, 0));
}
