// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Rows of the SA table in the RTL that radiation has hit, or that are written while they are read.

mod common;

use common::cmd::esp;
use common::{Bar, Cmd, Global, Rig, Rtl, SlotState, Status, Transport};
use esnic_abi::regs::global;
use esnic_abi::{Device, DeviceState};
use esnic_rtl::Row;

/// A bit of the source address in the configuration row.
const SOURCE: u32 = 100;

fn hit(rig: &Rig<Rtl>, row: Row, index: u32, bit: u32) {
    rig.link.with_device(|device| device.upset(row, index, bit));
}

#[test]
fn nothing_of_a_bad_row_leaves_by_a_view() {
    for (row, bit) in [(Row::Control, 3), (Row::State, 9), (Row::Configuration, SOURCE)] {
        for half in [0, 64] {
            let mut rig = Rig::<Rtl>::new();
            rig.add(&esp(5, 1));
            hit(&rig, row, 5, bit);
            let mut line = [0xFF; 64];
            rig.link.with_device(|device| device.read(Bar::Table, 5 * 128 + half, &mut line));
            assert_eq!(line, [0; 64], "{row:?}, {half}");
            assert_eq!(rig.state(), DeviceState::Fatal, "{row:?}");
            let cause = rig.global(Global::FATAL_CAUSE);
            assert_eq!(cause, global::FATAL_CAUSE::TABLE_ECC.mask(), "{row:?}");
            assert_eq!(rig.global(Global::FATAL_INFO), 5);
        }
    }
}

#[test]
fn nothing_of_a_bad_row_leaves_by_a_record() {
    for (row, bit) in [(Row::Control, 3), (Row::State, 9), (Row::Configuration, SOURCE)] {
        let mut rig = Rig::<Rtl>::new();
        rig.add(&esp(5, 1));
        let buffer = rig.buffer();
        buffer.write(0, &[0xEE; 128]);
        hit(&rig, row, 5, bit);
        let cmd = rig.stamp(Cmd::query_any(5, buffer.iova().0));
        rig.pairs[0].put(&cmd);
        rig.pairs[0].ring();
        rig.await_state(DeviceState::Fatal);
        rig.settle();
        let mut record = [0; 128];
        buffer.read(0, &mut record);
        assert_eq!(record, [0xEE; 128], "{row:?}");
        assert_eq!(rig.pairs[0].poll(), None, "{row:?}");
    }
}

/// A row is found bad, and a reset comes within the next cycles: the device is READY after it.
#[test]
fn what_a_reset_finds_bad_does_not_outlive_it() {
    for (row, bit) in [(Row::State, 9), (Row::Configuration, SOURCE)] {
        for distance in 0..24 {
            let mut rig = Rig::<Rtl>::new();
            rig.add(&esp(5, 1));
            hit(&rig, row, 5, bit);
            let cmd = rig.stamp(Cmd::query_any(5, rig.buffer().iova().0));
            let bus = esnic_rtl::Bus { read_latency: 1..=1, ..Default::default() };
            rig.link.with_device(|device| *device.bus_mut() = bus);
            rig.pairs[0].put(&cmd);
            rig.pairs[0].ring();
            rig.link.step(distance);
            rig.link.reset().expect("a reset");
            rig.await_state(DeviceState::Ready);
            assert_eq!(rig.slot_state(5), SlotState::Free, "{row:?}, {distance}");
            assert_eq!(rig.state(), DeviceState::Ready, "{row:?}, {distance}");
        }
    }
}

/// Lookups in every cycle of a DELETE: each finds the whole entry or nothing, and no row is called bad
/// that is only being written (R31, R32). The simulated memory gives rubbish to who reads what is written.
#[test]
fn a_lookup_while_its_row_is_zeroed_misses() {
    let mut rig = Rig::<Rtl>::new();
    for generation in 1..20 {
        rig.add(&esp(5, generation));
        let cmd = rig.stamp(Cmd::delete(5, generation));
        rig.pairs[0].put(&cmd);
        rig.pairs[0].ring();
        rig.link.with_device(|device| {
            device.take_lookups();
            (0..400).for_each(|_| device.look_up(5));
        });
        rig.link.step(420);
        rig.pairs[0].next().expect(Status::Ok);
        let found = rig.link.with_device(|device| device.take_lookups());
        let live: Vec<bool> =
            found.iter().map(|one| one.entry[697 / 32] >> (697 % 32) & 1 != 0).collect();
        let gone = live.iter().position(|live| !live).expect("it was deleted meanwhile");
        assert!(gone > 0 && live[gone..].iter().all(|live| !live), "{generation}");
        assert!(found[..gone].iter().all(|one| one.entry == found[0].entry), "{generation}");
        assert!(found[gone..].iter().all(|one| one.entry == [0; 22]), "{generation}");
    }
    assert_eq!(rig.state(), DeviceState::Running);
}
