// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Models of the direct path's flags, for `cargo xtask loom`.

use super::{DirectRing, Stages};
use crate::sync::plant::{Fault, Source, source};
use crate::sync::{AtomicU32, Ordering};
use esnic_abi::SaIndex;
use loom::thread;
use std::sync::Arc;

const DIRECT: Source = source!("direct.rs");

/// Two SAs that share a stage buffer.
fn two_want_a_stage_buffer() {
    let stages = Arc::new(Stages::new(0));
    let (holders, left) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let hold = {
        let (stages, holders, left) = (stages.clone(), holders, left.clone());
        move |index| {
            if !stages.claim(index) {
                return 0;
            }
            assert_eq!(holders.fetch_add(1, Ordering::Relaxed), 0, "two have the buffer");
            // No read-modify-write: the flag is what makes one follow the other.
            left.store(left.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            holders.fetch_sub(1, Ordering::Relaxed);
            stages.release(index);
            1
        }
    };
    let other = thread::spawn({
        let hold = hold.clone();
        move || hold(SaIndex(4))
    });
    let times = hold(SaIndex(5));
    let times = times + other.join().unwrap();
    assert!(times > 0, "nobody got a free buffer");
    assert_eq!(left.load(Ordering::Relaxed), times, "what the last one left is not seen");
    // Loom lets a swap that lost come after the store that gave the buffer back, which atomics do not.
    assert!(times < 2 || stages.claim(SaIndex(0)), "the buffer never came back");
}

/// Two submitters in a ring of one entry; each gives its entry back at once.
fn two_claim_and_release_an_entry() {
    let ring = Arc::new(DirectRing::new(0));
    let holders = Arc::new(AtomicU32::new(0));
    let hold = move || {
        let k = ring.claim()?;
        assert_eq!(holders.fetch_add(1, Ordering::Relaxed), 0, "two have the entry");
        holders.fetch_sub(1, Ordering::Relaxed);
        ring.release(ring.entry(k));
        Some(k)
    };
    let other = thread::spawn(hold.clone());
    let mine = hold();
    match (mine, other.join().unwrap()) {
        (None, None) => panic!("nobody got a free entry"),
        (mine, others) => assert_ne!(mine, others, "an index is given out twice"),
    }
}

/// Two submitters in a ring of one entry, which whoever gets it keeps.
fn two_claim_an_entry_and_keep_it() {
    let ring = Arc::new(DirectRing::new(0));
    let other = {
        let ring = ring.clone();
        thread::spawn(move || ring.claim())
    };
    let mine = ring.claim();
    let others = other.join().unwrap();
    assert_eq!([mine, others].iter().flatten().count(), 1, "two have the entry, or nobody");
    assert_eq!(ring.claim(), None, "a busy entry is given out");
}

#[test]
fn a_stage_buffer_has_one_holder() {
    loom::model(two_want_a_stage_buffer);
}

#[test]
fn an_entry_has_one_holder_and_an_index_is_given_out_once() {
    loom::model(two_claim_and_release_an_entry);
    loom::model(two_claim_an_entry_and_keep_it);
}

#[test]
fn mistakes_are_noticed() {
    for (line, fault, model) in [
        ("self.of(index).swap(true", Fault::Torn, two_want_a_stage_buffer as fn()),
        ("self.of(index).swap(true", Fault::Relaxed, two_want_a_stage_buffer),
        ("self.of(index).store(false", Fault::Relaxed, two_want_a_stage_buffer),
        ("self.next.compare_exchange(k.0", Fault::Blind, two_claim_and_release_an_entry),
        ("busy.swap(true", Fault::Torn, two_claim_an_entry_and_keep_it),
    ] {
        DIRECT.caught(line, fault, "", model);
    }
}
