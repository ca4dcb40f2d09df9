// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reset, scrub, run, FATAL, and how registers are accessed.

mod common;

use common::*;
use esnic_abi::layout::{Access, Reset};
use esnic_abi::regs::{Counters, Doorbell, Global, QueuePair};
use esnic_abi::{ABI_HASH, Bar, Device, DeviceState, LAYOUT, Opcode, Params, Status};
use esnic_model::{Fatal, Model};
use zerocopy::IntoBytes;

#[test]
fn scrub_takes_a_cycle_a_row() {
    for capacity in [2, 4096, 1 << 20] {
        let params = Params { sa_capacity: capacity, stage_log2: 0, ..Params::default() };
        let mut bench = Bench::ready(params);
        assert_eq!(bench.counter(Counters::CYCLES), u64::from(capacity) + 1);
        bench.write_global(Global::CONTROL, 2);
        assert_eq!(bench.state(), DeviceState::Reset);
        assert!(bench.step(2));
        assert_eq!(bench.state(), DeviceState::Scrub);
        assert_eq!(bench.global(Global::SCRUB_LEFT), capacity - 1);
        assert!(!bench.step(capacity));
        assert_eq!(bench.state(), DeviceState::Ready);
        assert_eq!(bench.global(Global::SCRUB_LEFT), 0);
    }
}

#[test]
fn the_largest_table_works_at_both_ends() {
    let mut bench =
        Bench::running(Params { sa_capacity: 1 << 20, stage_log2: 20, ..Params::default() });
    bench.enable(Rings::small(0));
    for index in [0, (1 << 20) - 1] {
        assert_eq!(status(&bench.ring(add(index, 1).as_bytes())), Status::Ok);
        assert_eq!(status(&bench.direct(update(index, 1, 6).as_bytes())), Status::Ok);
        assert_eq!(bench.view(index)[72], 6);
    }
    assert_eq!(bench.view(1 << 20), [0; 128]);
}

#[test]
fn registers_hold_their_reset_values_after_either_reset() {
    let mut bench = Bench::new();
    bench.ring(add(1, 1).as_bytes());
    bench.write_global(Global::SCRATCH, !0);
    for soft in [true, false] {
        if soft {
            bench.write_global(Global::CONTROL, 2);
        } else {
            bench.model.reset();
            assert_eq!(bench.model.config(), esnic_abi::FunctionConfig::default());
        }
        // The MSI-X table is reset by FLR only.
        let own = |name: &str| !soft || name != "MsixTable";
        for block in LAYOUT.blocks.iter().filter(|block| own(block.name)) {
            let bar = if block.bar == 0 { Bar::Registers } else { Bar::Msix };
            for register in block.registers {
                let Reset::Value(reset) = register.reset else {
                    continue;
                };
                let expected = if register.access == Access::WO { 0 } else { reset };
                let mut out = vec![0; register.bits as usize / 8];
                bench.model.read(bar, u64::from(block.base + register.offset), &mut out);
                out.resize(8, 0);
                let read = u64::from_le_bytes(out.try_into().unwrap());
                assert_eq!(read, expected, "{}", register.name);
            }
        }
        assert_eq!(bench.view(1), [0; 128]);
        bench.step(5000);
        assert_eq!(bench.view(1)[..16], [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    }
    bench.start(EPOCH.into());
    bench.enable(Rings::small(0));
    assert_eq!(status(&bench.ring(add(1, 1).as_bytes())), Status::Ok, "R21: after reset any");
}

#[test]
fn a_reset_in_the_middle_leaves_no_request_and_no_key() {
    let mut bench = Bench::new();
    bench.model.faults_mut().delay_cycles = 50;
    bench.stage(2, add(2, 1).as_bytes());
    bench.fill(0, add(1, 1).as_bytes());
    bench.publish(0);
    bench.doorbell(0, Doorbell::CQ_ARM, 0);
    bench.step(1);
    assert!(!bench.model.raw_row_is_zero(1));
    bench.write_global(Global::CONTROL, 2);
    bench.memory.dma.clear();
    bench.memory.interrupts.clear();
    bench.step(10_000);
    assert!(bench.memory.dma.is_empty() && bench.memory.interrupts.is_empty(), "R20");
    assert!(bench.model.raw_row_is_zero(1) && bench.model.raw_row_is_zero(2));
    assert_eq!(bench.pair_state(0), (0, 0));
}

#[test]
fn run_needs_ready_and_an_epoch() {
    let mut bench = Bench::ready(Params::default());
    bench.write_global(Global::CONTROL, 1);
    assert_eq!(bench.state(), DeviceState::Ready, "R22");
    bench.write(Bar::Registers, Global::INSTANCE.address(0) + 4, 7);
    bench.write_global(Global::CONTROL, 1);
    assert_eq!(bench.state(), DeviceState::Ready, "EPOCH is the low 16 bits");
    bench.write_pair(0, QueuePair::QP_CTRL, 1);
    assert_eq!(bench.pair_state(0).0, 0, "R22");
    bench.start(0x7_0000_0001);
    bench.write_global(Global::INSTANCE, 5);
    assert_eq!(bench.global(Global::INSTANCE), 1, "READY only");
    bench.write_global(Global::CONTROL, 0);
    assert_eq!(bench.state(), DeviceState::Ready);
}

#[test]
fn the_table_outlives_run() {
    let mut bench = Bench::new();
    bench.ring(add(1, 1).as_bytes());
    let view = bench.view(1);
    bench.write_pair(0, QueuePair::QP_CTRL, 0);
    bench.settle();
    bench.write_global(Global::CONTROL, 0);
    assert_eq!(bench.state(), DeviceState::Ready);
    assert_eq!(bench.view(1), view);
}

#[test]
fn fatal_fails_closed() {
    let mut bench = Bench::new();
    bench.ring(add(1, 1).as_bytes());
    bench.write_global(Global::INT_ENABLE, 1);
    bench.model.faults_mut().fatal = Some(Fatal { cause: 2, info: 77 });
    bench.fill(0, bare(Opcode::Nop, 0, 0).as_bytes());
    bench.publish(0);
    assert!(!bench.step(100));
    assert_eq!(bench.state(), DeviceState::Fatal);
    assert_eq!(bench.global(Global::FATAL_CAUSE), 2);
    assert_eq!(bench.global(Global::FATAL_INFO), 77);
    assert_eq!(bench.memory.interrupts, [8]);
    assert_eq!(bench.view(1), [0; 128], "R23");
    assert!(bench.pop(0).is_none(), "R23");
    bench.write_global(Global::CONTROL, 1);
    assert_eq!(bench.state(), DeviceState::Fatal);
    bench.write_global(Global::CONTROL, 2);
    bench.step(5000);
    assert_eq!(bench.state(), DeviceState::Ready);
}

#[test]
fn registers_take_whole_dwords_and_give_any_bytes() {
    let mut bench = Bench::ready(Params::default());
    let scratch = Global::SCRATCH.address(0);
    bench.write_global(Global::SCRATCH, 0x4433_2211);
    for (at, len) in [
        (scratch, 1),
        (scratch, 2),
        (scratch + 2, 4),
        (scratch, 3),
        (scratch, 12),
        (scratch - 4, 8),
    ] {
        bench.model.write(Bar::Registers, at, &vec![0xEE; len]);
    }
    assert_eq!(bench.counter(Counters::BAD_ACCESS), 6);
    assert_eq!(bench.global(Global::SCRATCH), 0x4433_2211);
    bench.model.write(Bar::Registers, scratch, &[9; 8]);
    assert_eq!(bench.global(Global::SCRATCH), 0x0909_0909);
    let mut out = [0; 11];
    bench.model.read(Bar::Registers, 6, &mut out);
    assert_eq!(out[..2], [1, 0], "the upper half of VERSION");
    assert_eq!(out[2..10], ABI_HASH.to_le_bytes());
    // Where nothing is: zeros, and writes go nowhere.
    let mut out = [1; 8];
    for at in [0x58, 0x200, 0x4800, 0x4_8000, 0x8_0000, u64::MAX - 7] {
        bench.model.write(Bar::Registers, at & !7, &[0xFF; 8]);
        bench.model.read(Bar::Registers, at & !7, &mut out);
        assert_eq!(out, [0; 8], "{at:x}");
    }
    let mut tail = [1; 4];
    bench.model.read(Bar::Table, u64::MAX - 1, &mut tail);
    assert_eq!(tail, [0; 4]);
}

#[test]
fn configuration_is_written_in_disabled_only() {
    let mut bench = Bench::new();
    bench.write_pair(0, QueuePair::START, 0x1000);
    bench.write_pair(0, QueuePair::COALESCE, 0x1_0001);
    assert_eq!(bench.pair(0, QueuePair::START), 0);
    assert_eq!(bench.pair(0, QueuePair::COALESCE), 0x1_0001);
    bench.write_pair(1, QueuePair::RING_SIZE, !0);
    assert_eq!(bench.pair(1, QueuePair::RING_SIZE), 0xF0F);
}

#[test]
fn impossible_builds_are_refused() {
    let params = Params { sa_capacity: 1000, ..Params::default() };
    assert!(Model::new(params).is_err());
}
