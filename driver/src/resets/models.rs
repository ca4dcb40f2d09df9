// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Models of the mark of resets, for `cargo xtask loom`.

use super::Resets;
use crate::sync::plant::{Fault, Source, source};
use crate::sync::{AtomicU32, Ordering};
use loom::thread;
use std::sync::Arc;

const RESETS: Source = source!("resets.rs");

/// What the device shows: up, or not. It orders nothing.
const UP: u32 = 0;
const DOWN: u32 = 1;

/// One looks at the device twice while another resets it.
fn one_looks_and_one_resets() {
    let (resets, device) = (Arc::new(Resets::new()), Arc::new(AtomicU32::new(UP)));
    let looks = {
        let (resets, device) = (resets.clone(), device.clone());
        thread::spawn(move || {
            for _ in 0..2 {
                let before = resets.now();
                let seen = device.load(Ordering::Relaxed);
                let own = resets.any_since(before);
                assert!(seen == UP || own, "its own reset is taken for somebody else's");
            }
        })
    };
    resets.begin();
    device.store(DOWN, Ordering::Relaxed);
    device.store(UP, Ordering::Relaxed);
    resets.end();
    looks.join().unwrap();
    assert!(!resets.any_since(resets.now()), "it never ends");
}

#[test]
fn a_reset_of_ones_own_is_known_as_such() {
    loom::model(one_looks_and_one_resets);
}

#[test]
fn mistakes_are_noticed() {
    let taken = "taken for somebody else's";
    for (line, fault) in [
        (
            "// The mark before the first store to the device: pairs with the fence in `any_since`.\n",
            Fault::Relaxed,
        ),
        (
            "// What was seen, before the mark is looked at again: pairs with the fence in `begin`.\n",
            Fault::Relaxed,
        ),
        ("self.0.fetch_add(1", Fault::Relaxed),
        ("self.0.load(Ordering::Acquire)", Fault::Relaxed),
    ] {
        RESETS.caught(line, fault, taken, one_looks_and_one_resets);
    }
}
