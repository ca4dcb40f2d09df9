// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keys go in and never come out (R15, R18, R32, R33): whatever can be read, by whatever access, has
//! no four bytes of a key or salt in it.

#[macro_use]
mod common;

use common::cmd::esp;
use common::{Add, Backend, Bar, Cmd, Done, Fault, Path, Rig, Split, Status, Transport, thin};
use esnic_abi::{Algorithm, DeviceState};
use std::collections::HashSet;

for_each_backend!(
    r33_no_read_shows_a_key_of_a_live_entry,
    r33_no_read_shows_a_key_that_is_only_staged,
    r33_no_read_shows_the_key_of_an_entry_that_failed,
    r33_no_key_after_delete_and_none_in_memory,
    r33_no_key_after_reset,
    r33_completions_and_records_are_free_of_keys,
    r33_the_digest_does_not_depend_on_the_key,
    a_leak_would_be_found,
);

/// Every four bytes in a row of keys and salts that were given away.
#[derive(Default)]
struct Secrets {
    windows: HashSet<[u8; 4]>,
}

impl Secrets {
    /// An entry with a random key and salt, which are secrets from now on.
    fn element(&mut self, index: u32, generation: u32, algorithm: Algorithm) -> Add {
        let mut random = fastrand::Rng::with_seed(u64::from(generation) << 32 | u64::from(index));
        let mut sa = esp(index, generation);
        sa.algorithm = algorithm as u8;
        sa.key = [0; 32];
        // No byte is zero or small, as most bytes of registers are.
        let mut secret = |bytes: &mut [u8]| bytes.fill_with(|| random.u8(0x81..));
        secret(&mut sa.key[..algorithm.key_len_bytes()]);
        secret(&mut sa.salt);
        let key = &sa.key[..algorithm.key_len_bytes()];
        for bytes in [&sa.salt, key] {
            self.windows.extend(bytes.windows(4).map(|w| [w[0], w[1], w[2], w[3]]));
        }
        sa
    }

    fn leak(&self, bytes: &[u8]) -> Option<usize> {
        let mut windows = bytes.windows(4);
        windows.position(|w| self.windows.contains(&[w[0], w[1], w[2], w[3]]))
    }

    /// Everything that BARs 0, 2 and 4 show, by every size of access, at every offset.
    #[track_caller]
    fn assert_hidden<B: Backend>(&self, rig: &Rig<B>) {
        assert!(!self.windows.is_empty());
        for bar in [Bar::Registers, Bar::Table, Bar::Msix] {
            let lines = thin((0..rig.link.bar_bytes(bar)).step_by(64));
            // Most of the registers' BAR are holes.
            let lines: Vec<_> =
                if bar == Bar::Registers { thin(lines).collect() } else { lines.collect() };
            for line in lines.chunk_by(|a, b| b - a == 64) {
                let (start, len) = (line[0], 64 * line.len() as u64);
                let dwords = (start..start + len).step_by(4);
                let dwords = dwords.map(|at| rig.link.read32(bar, at).to_le_bytes());
                let image: Vec<u8> = dwords.flatten().collect();
                assert_eq!(self.leak(&image), None, "{bar:?}, by dwords, from {start:#x}");
            }
        }
        for (size, step) in [(1, 1), (2, 2), (8, 8), (16, 16), (64, 64), (128, 128), (4, 1), (8, 1)]
        {
            B::pins(&rig.link, |device| {
                let bytes = device.bar_bytes(Bar::Table);
                let mut image = vec![];
                for at in (0..bytes - size).step_by(step) {
                    let mut piece = vec![0; size as usize];
                    device.read(Bar::Table, at, &mut piece);
                    // Unaligned ones are looked at one by one, aligned ones as a whole.
                    assert_eq!(self.leak(&piece), None, "{size} bytes at {at:#x}");
                    image.extend(piece);
                }
                assert!(step as u64 != size || self.leak(&image).is_none(), "{size} bytes");
            });
        }
    }

    fn assert_free(&self, done: &Done) {
        let words = [done.result.to_le_bytes(), u64::from(done.cookie).to_le_bytes()];
        assert_eq!(self.leak(words.as_flattened()), None, "{done:x?}");
    }
}

/// A device with an entry of each algorithm, half by ring, half direct.
fn with_entries<B: Backend>(secrets: &mut Secrets) -> Rig<B> {
    let mut rig = Rig::new();
    for (index, &algorithm) in (10..).zip(Algorithm::ALL) {
        let sa = secrets.element(index, 1, algorithm);
        let done = rig.run(Path::BOTH[index as usize % 2], sa).ok();
        secrets.assert_free(&done);
    }
    rig
}

fn r33_no_read_shows_a_key_of_a_live_entry<B: Backend>() {
    let mut secrets = Secrets::default();
    let rig = with_entries::<B>(&mut secrets);
    secrets.assert_hidden(&rig);
}

fn r33_no_read_shows_a_key_that_is_only_staged<B: Backend>() {
    let mut secrets = Secrets::default();
    let mut rig = Rig::<B>::new();
    for (index, split) in (0..).zip(Split::ALL) {
        let sa = secrets.element(index, 1, Algorithm::AesGcm256);
        let cmd = rig.stamp(sa);
        rig.pairs[0].stage(index, &cmd, split);
    }
    secrets.assert_hidden(&rig);
    drop(rig);
    // Nor while the slots that are staged are live with other keys.
    let mut rig = with_entries::<B>(&mut secrets);
    for index in 10..16 {
        let cmd = rig.stamp(secrets.element(index, 2, Algorithm::AesGcm256));
        rig.pairs[0].stage(index, &cmd, Split::Lines);
    }
    secrets.assert_hidden(&rig);
}

fn r33_no_read_shows_the_key_of_an_entry_that_failed<B: Backend>() {
    let mut secrets = Secrets::default();
    let mut rig = Rig::<B>::new();
    for path in Path::BOTH {
        let sa = secrets.element(20, 1, Algorithm::AesGcm256);
        let bad = Cmd::from(sa).byte(29, 1);
        secrets.assert_free(&rig.run(path, bad).expect(Status::BadField));
        let sa = secrets.element(21, 1, Algorithm::AesGcm256);
        secrets.assert_free(&rig.run(path, Cmd::from(sa).byte(28, 8)).expect(Status::Unsupported));
        assert_ne!(B::is_wiped(&rig.link, 21), Some(false));
    }
    // A row that did not verify holds a key, or half of one, and shows none of it.
    let sa = secrets.element(22, 1, Algorithm::AesGcm256);
    if rig.inject(Fault::VerifyAdd) {
        secrets.assert_free(&rig.exec(sa).expect(Status::Verify));
    }
    secrets.assert_hidden(&rig);
}

fn r33_no_key_after_delete_and_none_in_memory<B: Backend>() {
    let mut secrets = Secrets::default();
    let mut rig = with_entries::<B>(&mut secrets);
    for index in 10..16 {
        assert_ne!(B::is_wiped(&rig.link, index), Some(true), "slot {index} is in use");
        // What is staged for a slot goes with it (R18), whichever path deletes it.
        let staged = rig.stamp(secrets.element(index, 2, Algorithm::AesGcm256));
        rig.pairs[0].stage(index, &staged, Split::Lines);
        let path = Path::BOTH[index as usize % 2];
        secrets.assert_free(&rig.run(path, Cmd::delete(index, 1)).ok());
        assert_ne!(B::is_wiped(&rig.link, index), Some(false), "slot {index} by {path:?}");
    }
    secrets.assert_hidden(&rig);
    for (index, row) in rig.table().iter().enumerate() {
        assert!(zerocopy::IntoBytes::as_bytes(row)[16..].iter().all(|&b| b == 0), "row {index}");
    }
}

fn r33_no_key_after_reset<B: Backend>() {
    for soft in [false, true] {
        let mut secrets = Secrets::default();
        let mut rig = with_entries::<B>(&mut secrets);
        let staged = rig.stamp(secrets.element(40, 1, Algorithm::AesGcm256));
        rig.pairs[0].stage(40, &staged, Split::Lines);
        if soft {
            rig.set_global(common::Global::CONTROL, 2);
        } else {
            rig.link.reset().expect("a reset");
        }
        secrets.assert_hidden(&rig);
        rig.await_state(DeviceState::Ready);
        secrets.assert_hidden(&rig);
        for index in 0..rig.params.sa_capacity {
            assert_ne!(B::is_wiped(&rig.link, index), Some(false), "slot {index}");
        }
    }
}

fn r33_completions_and_records_are_free_of_keys<B: Backend>() {
    let mut secrets = Secrets::default();
    let mut rig = with_entries::<B>(&mut secrets);
    for index in 0..64 {
        let (done, record) = rig.record(index);
        secrets.assert_free(&done);
        let bytes = zerocopy::IntoBytes::as_bytes(&record);
        assert_eq!(secrets.leak(bytes), None, "record of slot {index}");
    }
    for index in 10..16 {
        for path in Path::BOTH {
            for cmd in [Cmd::query(index, 1), Cmd::packet(index, 1, 5), Cmd::query(index, 9)] {
                secrets.assert_free(&rig.run(path, cmd));
            }
        }
    }
    // All that the device ever wrote to this ring.
    let mut ring = vec![0; rig.pairs[0].cq.len_bytes()];
    rig.pairs[0].cq.read(0, &mut ring);
    assert_eq!(secrets.leak(&ring), None);
}

fn r33_the_digest_does_not_depend_on_the_key<B: Backend>() {
    let mut secrets = Secrets::default();
    let mut digests = HashSet::new();
    for salt in 0..8 {
        let mut rig = Rig::<B>::new();
        let other = secrets.element(100 + salt, 1, Algorithm::AesGcm256);
        let sa = Add { salt: other.salt, key: other.key, ..esp(7, 1) };
        digests.insert(rig.run(Path::BOTH[salt as usize % 2], sa).ok().result);
    }
    assert_eq!(digests.len(), 1, "one configuration, one digest, eight keys");
}

/// The search itself: an address made of key bytes is found in the table.
fn a_leak_would_be_found<B: Backend>() {
    let mut secrets = Secrets::default();
    let mut rig = Rig::<B>::new();
    let mut sa = secrets.element(7, 1, Algorithm::AesGcm256);
    sa.family = 6;
    sa.src[5..9].copy_from_slice(&sa.key[9..13]);
    rig.exec(sa).ok();
    let seen = zerocopy::IntoBytes::as_bytes(&rig.view(7)).to_vec();
    assert_eq!(secrets.leak(&seen), Some(32 + 5));
}
