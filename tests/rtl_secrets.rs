// SPDX-License-Identifier: Apache-2.0 OR MIT
//! R33 seen from inside: after a reset no register, no memory and no output register of a memory of the
//! RTL holds a key any more.

mod common;

use common::cmd::esp;
use common::{Add, Path, Rig, Rtl, Split};
use esnic_abi::DeviceState;
use esnic_driver::transport::Transport;
use std::io::{Read, Seek, SeekFrom};

/// Every byte of the key. Rows are not cut at bytes, so any rotation of it betrays the key.
const SECRET: u8 = 0xA5;

fn entry(index: u32) -> Add {
    let mut sa = esp(index, 1);
    sa.key[..16].fill(SECRET);
    sa
}

/// Places in the device at which eight bytes of the key stand in a row.
fn places(rig: &Rig<Rtl>) -> usize {
    let [inside, _] = rig.link.with_device(|device| device.silicon());
    let mut bytes = vec![0; inside.len()];
    let mut memory = std::fs::File::open("/proc/self/mem").expect("Linux");
    memory.seek(SeekFrom::Start(inside.start as u64)).expect("an address");
    memory.read_exact(&mut bytes).expect("memory of this process");
    let betrays = |window: &&[u8]| {
        window.iter().all(|byte| *byte == window[0])
            && (0..8).any(|by| SECRET.rotate_left(by) == window[0])
    };
    bytes.windows(8).filter(betrays).count()
}

fn reset(rig: &Rig<Rtl>) {
    rig.link.reset().expect("a reset");
    rig.await_state(DeviceState::Ready);
}

#[test]
fn no_key_of_a_ring_add_outlives_a_reset() {
    let mut rig = Rig::<Rtl>::new();
    rig.add(&entry(5));
    rig.add(&entry(6));
    rig.link.with_device(|device| device.look_up(5));
    rig.link.step(8);
    assert!(places(&rig) > 0, "this test sees keys");
    reset(&rig);
    assert_eq!(places(&rig), 0);
}

#[test]
fn no_key_of_a_direct_add_outlives_a_reset() {
    let mut rig = Rig::<Rtl>::new();
    rig.run(Path::Direct, entry(5)).ok();
    assert!(places(&rig) > 0, "this test sees keys");
    reset(&rig);
    assert_eq!(places(&rig), 0);
}

#[test]
fn no_staged_key_outlives_a_reset() {
    let mut rig = Rig::<Rtl>::new();
    let cmd = rig.stamp(entry(6));
    rig.pairs[0].stage(6, &cmd, Split::Lines);
    rig.link.step(8);
    assert!(places(&rig) > 0, "this test sees keys");
    reset(&rig);
    assert_eq!(places(&rig), 0);
}
