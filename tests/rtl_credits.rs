// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Places for records in the RTL: all of them come back, whoever ends in which cycle.

mod common;

use common::cmd::esp;
use common::{Cmd, Rig, Rtl, Status};
use esnic_rtl::Bus;
use fastrand::Rng;

/// A QUERY with a record.
fn query(index: u32, generation: u32, address: u64) -> Cmd {
    // As QUERY ANY, but for an entry: flag RECORD alone.
    Cmd::query_any(index, address).byte(1, 1).dword(12, generation)
}

/// Records fail and succeed at random, on a bus whose answers come at random: an assertion of the RTL
/// finds a place that did not come back, in the first cycle without a command.
#[test]
fn every_place_for_a_record_comes_back() {
    let mut rig = Rig::<Rtl>::new();
    rig.add(&esp(3, 7));
    let buffer = rig.buffer();
    let mut rng = Rng::with_seed(1);
    for _ in 0..600 {
        rig.link.with_device(|device| {
            *device.bus_mut() = Bus {
                read_latency: 10..=15,
                write_latency: 4..=12,
                seed: rng.u64(..),
                ..Bus::default()
            };
        });
        let count = rng.usize(2..8);
        let wanted: Vec<bool> = (0..count).map(|_| rng.bool()).collect();
        let cmds: Vec<Cmd> = wanted
            .iter()
            .map(|&good| rig.stamp(query(if good { 3 } else { 4 }, 7, buffer.iova().0)))
            .collect();
        let done = rig.pairs[0].run_all(&cmds);
        for (cmd, good) in cmds.iter().zip(wanted) {
            let of = done.iter().find(|done| done.cookie == cmd.cookie()).expect("its completion");
            of.expect(if good { Status::Ok } else { Status::Empty });
        }
    }
    rig.assert_quiet();
}
