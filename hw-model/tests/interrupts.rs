// SPDX-License-Identifier: Apache-2.0 OR MIT
//! When a message goes out, and when it does not (R1 to R5).

mod common;

use common::*;
use esnic_abi::regs::{Doorbell, Global, MsixPba, MsixTable, QueuePair};
use esnic_abi::{Bar, Device, FunctionConfig, Opcode};
use zerocopy::IntoBytes;

/// Vector Q of the default build.
const EVENTS: u16 = 8;

fn nops(bench: &mut Bench, count: u32) {
    for _ in 0..count {
        bench.fill(0, bare(Opcode::Nop, 0, 0).as_bytes());
    }
    bench.publish(0);
    bench.settle();
}

fn coalesce(bench: &mut Bench, count: u32, time: u32) {
    bench.write_pair(0, QueuePair::COALESCE, time << 16 | count);
}

fn messages(bench: &mut Bench) -> Vec<u16> {
    bench.step(0);
    core::mem::take(&mut bench.memory.interrupts)
}

#[test]
fn an_arm_fires_once_and_nothing_fires_without() {
    let mut bench = Bench::new();
    nops(&mut bench, 1);
    assert_eq!(messages(&mut bench), [], "R2: not armed");
    bench.doorbell(0, Doorbell::CQ_ARM, 1);
    assert_eq!(messages(&mut bench), []);
    nops(&mut bench, 2);
    assert_eq!(messages(&mut bench), [0]);
    nops(&mut bench, 1);
    assert_eq!(messages(&mut bench), [], "R1: disarmed");
    // What is there already fires at once.
    bench.doorbell(0, Doorbell::CQ_ARM, 3);
    assert_eq!(messages(&mut bench), [0]);
    assert_eq!(bench.pair(0, QueuePair::IRQS), 2);
}

#[test]
fn a_later_arm_replaces_the_earlier_one() {
    let mut bench = Bench::new();
    bench.doorbell(0, Doorbell::CQ_ARM, 0);
    bench.doorbell(0, Doorbell::CQ_ARM, 2);
    nops(&mut bench, 2);
    assert_eq!(messages(&mut bench), []);
    nops(&mut bench, 1);
    assert_eq!(messages(&mut bench), [0]);
}

#[test]
fn count_coalesces() {
    let mut bench = Bench::new();
    coalesce(&mut bench, 3, 0);
    bench.doorbell(0, Doorbell::CQ_ARM, 0);
    nops(&mut bench, 2);
    bench.step(1_000_000);
    assert_eq!(messages(&mut bench), [], "t = 0: never by time");
    nops(&mut bench, 1);
    assert_eq!(messages(&mut bench), [0]);
}

#[test]
fn time_runs_from_the_later_of_arm_and_completion() {
    let mut bench = Bench::new();
    coalesce(&mut bench, 4, 2);
    bench.doorbell(0, Doorbell::CQ_ARM, 0);
    bench.step(5000);
    assert_eq!(messages(&mut bench), [], "nothing completed");
    bench.fill(0, bare(Opcode::Nop, 0, 0).as_bytes());
    bench.publish(0);
    assert!(bench.step(511), "a timer is under way");
    assert_eq!(messages(&mut bench), []);
    bench.step(2);
    assert_eq!(messages(&mut bench), [0]);
    // The completion is older than this arm, so the arm starts the time.
    bench.step(5000);
    bench.doorbell(0, Doorbell::CQ_ARM, 0);
    bench.step(511);
    assert_eq!(messages(&mut bench), []);
    bench.step(2);
    assert_eq!(messages(&mut bench), [0]);
}

#[test]
fn what_cannot_be_sent_is_pending_and_is_not_lost() {
    let on = FunctionConfig { bus_master: true, msix_enable: true, msix_mask: false };
    let vector_mask = |bench: &mut Bench, masked: u32| {
        bench.write(Bar::Msix, MsixTable::MSG_CTRL.address(0), masked);
    };
    let obstacles: &[(&str, FunctionConfig, u32)] = &[
        ("vector masked", on, 1),
        ("function masked", FunctionConfig { msix_mask: true, ..on }, 0),
        ("MSI-X off", FunctionConfig { msix_enable: false, ..on }, 0),
        ("Bus Master off", FunctionConfig { bus_master: false, ..on }, 0),
    ];
    for &(name, config, masked) in obstacles {
        let mut bench = Bench::new();
        nops(&mut bench, 1);
        vector_mask(&mut bench, masked);
        bench.model.configure(config);
        bench.doorbell(0, Doorbell::CQ_ARM, 0);
        assert_eq!(messages(&mut bench), [], "{name}");
        let pending = MsixPba::PENDING.address(0);
        assert_eq!(bench.read(Bar::Msix, pending), 1, "R4: {name}");
        bench.model.configure(on);
        vector_mask(&mut bench, 0);
        assert_eq!(messages(&mut bench), [0], "R4: {name}");
        assert_eq!(bench.read(Bar::Msix, pending), 0);
    }
}

#[test]
fn vector_q_repeats_until_its_causes_are_cleared() {
    let mut bench = Bench::new();
    // BAD_DOORBELL while INT_ENABLE is off.
    bench.doorbell(0, Doorbell::CQ_HEAD, 1);
    assert_eq!(messages(&mut bench), []);
    bench.write_global(Global::INT_ENABLE, 7);
    assert_eq!(messages(&mut bench), [EVENTS], "R5");
    bench.write_global(Global::INT_CAUSE, 1);
    assert_eq!(messages(&mut bench), [EVENTS], "R5: QP_ERROR is still there");
    bench.write_global(Global::INT_CAUSE, 2);
    assert_eq!(messages(&mut bench), []);
    bench.enable(Rings::small(1));
    bench.doorbell(1, Doorbell::CQ_HEAD, 1);
    assert_eq!(messages(&mut bench), [EVENTS]);
}

#[test]
fn a_soft_reset_leaves_the_msix_table_to_its_owner_and_flr_does_not() {
    let data = MsixTable::MSG_DATA.address(1);
    let control = MsixTable::MSG_CTRL.address(1);
    let mut bench = Bench::new();
    bench.write(Bar::Msix, data, 0x1234);
    bench.write(Bar::Msix, control, 0);
    // Pending on a masked vector, to be forgotten.
    bench.write(Bar::Msix, MsixTable::MSG_CTRL.address(0), 1);
    nops(&mut bench, 1);
    bench.doorbell(0, Doorbell::CQ_ARM, 0);
    bench.step(2);
    assert_eq!(bench.read(Bar::Msix, MsixPba::PENDING.address(0)), 1);
    bench.write_global(Global::CONTROL, 2);
    assert_eq!(bench.read(Bar::Msix, MsixPba::PENDING.address(0)), 0, "R20");
    assert_eq!(bench.read(Bar::Msix, data), 0x1234, "R20");
    assert_eq!(bench.read(Bar::Msix, control), 0, "R20");
    bench.model.reset();
    assert_eq!(bench.read(Bar::Msix, data), 0, "R20");
    assert_eq!(bench.read(Bar::Msix, control), 1, "R20");
}
