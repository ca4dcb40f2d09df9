// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The knobs do what they say, so that tests of drivers can rely on them.

mod common;

use common::*;
use esnic_abi::regs::{Counters, Global, QueuePair};
use esnic_abi::{Device, Opcode, Status};
use esnic_model::{Stuck, Trigger};
use zerocopy::IntoBytes;

fn nops(bench: &mut Bench, cookies: core::ops::Range<u32>) -> Vec<u32> {
    for cookie in cookies {
        let mut nop = bare(Opcode::Nop, 0, 0);
        nop.header.cookie = cookie.into();
        bench.fill(0, nop.as_bytes());
    }
    bench.publish(0);
    bench.settle();
    bench.pop_all(0).iter().map(|done| done.cookie.get()).collect()
}

#[test]
fn completions_are_dropped_doubled_and_corrupted() {
    let mut bench = Bench::new();
    bench.model.faults_mut().drop_completion = Trigger::Nth(2);
    assert_eq!(nops(&mut bench, 0..4), [0, 2, 3]);
    bench.model.faults_mut().duplicate_completion = Trigger::Nth(2);
    assert_eq!(nops(&mut bench, 4..7), [4, 5, 5, 6]);
    bench.model.faults_mut().corrupt_completion = Trigger::next();
    bench.model.faults_mut().corrupt_mask[8] = 0x40;
    assert_eq!(nops(&mut bench, 7..9), [0x47, 8]);
    // A wrong phase is no completion at all, and hides what follows.
    bench.model.faults_mut().corrupt_completion = Trigger::next();
    bench.model.faults_mut().corrupt_mask = [0; 16];
    bench.model.faults_mut().corrupt_mask[15] = 0x80;
    assert_eq!(nops(&mut bench, 9..11), []);
}

#[test]
fn completions_are_delayed() {
    let mut bench = Bench::new();
    bench.model.faults_mut().delay_cycles = 500;
    bench.fill(0, bare(Opcode::Nop, 0, 0).as_bytes());
    bench.publish(0);
    assert!(bench.step(500));
    assert!(bench.pop(0).is_none());
    bench.step(2);
    assert!(bench.pop(0).is_some());
}

#[test]
fn a_lost_write_leaves_a_hole_that_the_device_does_not_see() {
    let mut bench = Bench::new();
    bench.model.faults_mut().lose_write = Trigger::next();
    assert_eq!(nops(&mut bench, 0..1), []);
    assert_eq!(bench.pair(0, QueuePair::CQ_TAIL), 1, "R46");
    assert_eq!(bench.counter(Counters::DMA_ERRORS), 0);
}

#[test]
fn a_stuck_device_answers_and_a_reset_may_free_it() {
    let mut bench = Bench::new();
    bench.model.faults_mut().stuck = Stuck::UntilReset;
    assert_eq!(nops(&mut bench, 0..1), []);
    bench.write_pair(0, QueuePair::QP_CTRL, 0);
    bench.step(100_000);
    assert_eq!(bench.pair_state(0).0, 2, "stopping for ever");
    bench.model.reset();
    bench.step(5000);
    bench.start(EPOCH.into());
    bench.enable(Rings::small(0));
    assert_eq!(nops(&mut bench, 0..1), [0]);
    bench.model.faults_mut().stuck = Stuck::Always;
    bench.model.reset();
    bench.step(5000);
    bench.start(EPOCH.into());
    bench.enable(Rings::small(0));
    assert_eq!(nops(&mut bench, 0..1), []);
}

#[test]
fn a_device_that_is_gone_reads_all_ones_and_comes_back_as_it_was() {
    let mut bench = Bench::new();
    bench.model.faults_mut().gone = true;
    assert_eq!(bench.global(Global::ID), !0);
    assert_eq!(bench.view(0), [0xFF; 128]);
    bench.write_global(Global::CONTROL, 2);
    assert!(!bench.step(100));
    bench.model.faults_mut().gone = false;
    assert_eq!(bench.global(Global::STATUS), 3);
}

#[test]
fn read_backs_fail_by_slot() {
    let mut bench = Bench::new();
    bench.model.faults_mut().verify_add = Trigger::Within(5..6);
    assert_eq!(status(&bench.ring(add(4, 1).as_bytes())), Status::Ok);
    assert_eq!(status(&bench.ring(add(5, 1).as_bytes())), Status::Verify);
    assert_eq!(status(&bench.ring(add(6, 1).as_bytes())), Status::Ok);
}

#[test]
fn a_spurious_interrupt_comes_once() {
    let mut bench = Bench::new();
    bench.model.faults_mut().spurious_interrupt = Some(3);
    bench.step(10);
    bench.step(10);
    assert_eq!(bench.memory.interrupts, [3]);
}

/// The same accesses and steps give the same run, however the steps are cut.
#[test]
fn runs_repeat() {
    let run = |cut: u32| {
        let mut bench = Bench::new();
        bench.model.set_trace(true);
        for index in 0..8 {
            bench.fill(0, add(index % 5, 1 + index).as_bytes());
            bench.publish(0);
            for _ in 0..40 / cut {
                bench.step(cut);
            }
            bench.pop_all(0);
        }
        let cycles = bench.counter(Counters::CYCLES);
        (bench.model.take_trace(), cycles, bench.memory.bytes)
    };
    assert!(run(1) == run(40) && run(8) == run(40));
}
