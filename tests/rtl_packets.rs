// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The state port of the RTL where lock-step does not go: behind the table, in FATAL, over a reset.

mod common;

use common::cmd::esp;
use common::{Fault, Rig, Rtl};
use esnic_abi::DeviceState;
use esnic_driver::transport::Transport;
use esnic_rtl::{Held, Packet};

const NOTHING: Held = Held { lo_valid: false, hi: 0, lo: 0 };

/// Sends one packet and gives its answer.
fn send(rig: &Rig<Rtl>, index: u32, generation: u32, number: u64) -> Held {
    rig.link.with_device(|device| {
        device.take_held();
        device.send_packet(Packet { index, generation, number: Some(number) });
    });
    rig.link.step(8);
    let held = rig.link.with_device(|device| device.take_held());
    assert_eq!(held.len(), 1, "one packet, one answer");
    held[0]
}

#[test]
fn a_packet_behind_the_table_finds_nothing_and_moves_nothing() {
    let mut rig = Rig::<Rtl>::new();
    let capacity = rig.params.sa_capacity;
    rig.add(&esp(5, 1));
    let before = rig.top(5);
    for wrap in [1, 3, 1 << 10] {
        assert_eq!(send(&rig, wrap * capacity + 5, 1, 0x7777), NOTHING, "{wrap}");
        assert_eq!(rig.top(5), before, "{wrap}");
    }
    assert_eq!(send(&rig, 5, 1, 0x7777), Held { lo_valid: true, hi: 0, lo: 0x7777 });
}

#[test]
fn a_packet_in_fatal_finds_nothing_and_moves_nothing() {
    let mut rig = Rig::<Rtl>::new();
    rig.add(&esp(5, 1));
    assert_eq!(send(&rig, 5, 1, 0x7777).lo, 0x7777);
    assert!(rig.inject(Fault::Internal(0)));
    rig.link.step(8);
    assert_eq!(rig.state(), DeviceState::Fatal);
    assert_eq!(send(&rig, 5, 1, 0x9999), NOTHING);
    rig.link.reset().expect("a reset");
    rig.await_state(DeviceState::Ready);
    assert_eq!(send(&rig, 5, 1, 0x9999), NOTHING);
}

/// FATAL at every distance from a packet: what is told before it was held before it.
#[test]
fn fatal_stops_a_packet_on_its_way() {
    for distance in 0..8 {
        let mut rig = Rig::<Rtl>::new();
        rig.add(&esp(5, 1));
        rig.link.with_device(|device| {
            device.send_packet(Packet { index: 5, generation: 1, number: Some(0x42) });
        });
        rig.link.step(distance);
        rig.inject(Fault::Internal(0));
        rig.link.step(8);
        let held = rig.link.with_device(|device| device.take_held());
        let told = Held { lo_valid: true, hi: 0, lo: 0x42 };
        assert!(held == [NOTHING] || held == [told], "{distance}: {held:?}");
        assert_eq!(rig.state(), DeviceState::Fatal);
    }
}
