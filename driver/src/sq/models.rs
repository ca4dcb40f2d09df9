// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Models of the submission ring, for `cargo xtask loom`.

use super::{Refusal, SLOT, SlotMemory, SubmissionRing};
use crate::sync::plant::{Fault, Source, source};
use crate::sync::{AtomicU64, Ordering};
use esnic_abi::RingIndex;
use loom::thread::{self, yield_now};
use std::sync::Arc;

const SQ: Source = source!("sq.rs");

/// The first quadword of every slot, as memory that orders nothing.
struct Words(Box<[AtomicU64]>);

impl SlotMemory for Words {
    fn write(&self, offset: usize, bytes: &[u8]) {
        for (word, bytes) in self.0[offset / SLOT..].iter().zip(bytes.chunks(SLOT)) {
            word.store(u64::from(bytes[0]), Ordering::Relaxed);
        }
    }

    fn wipe(&self, offset: usize, len_bytes: usize) {
        self.write(offset, &vec![0; len_bytes]);
    }
}

fn ring(log2: u32, start: u32) -> Arc<SubmissionRing<Words>> {
    let words = Words((0..1 << log2).map(|_| 0.into()).collect());
    Arc::new(SubmissionRing::new(words, log2, start))
}

/// So that the index wraps.
const START: u32 = u32::MAX - 1;

/// Submits one command. If that moves the told tail, a store fence and the doorbell follow: the device
/// then finds in memory at least what this thread would.
fn submit(ring: &SubmissionRing<Words>) -> RingIndex {
    let at = ring.claim(1).expect("there is room");
    ring.fill(at, &[at.slot(2) as u8 + 1; SLOT]);
    if let Some(tail) = ring.publish() {
        let mut told = RingIndex(START);
        while told != tail {
            let word = ring.memory().0[told.slot(2) as usize].load(Ordering::Relaxed);
            assert_eq!(word, u64::from(told.slot(2)) + 1, "told before it is written");
            told = told.plus(1);
        }
    }
    at
}

/// As many submitters, one command each.
fn at_once(submitters: usize) {
    let ring = ring(2, START);
    let others: Vec<_> = (1..submitters)
        .map(|_| {
            let ring = ring.clone();
            thread::spawn(move || submit(&ring))
        })
        .collect();
    let mut claims = vec![submit(&ring)];
    claims.extend(others.into_iter().map(|other| other.join().unwrap()));
    claims.sort_by_key(|claim| claim.since(RingIndex(START)));
    claims.dedup();
    assert_eq!(claims.len(), submitters, "claimed twice");
    assert_eq!(ring.tail().since(RingIndex(START)) as usize, submitters, "ready and never told");
}

fn two_submit() {
    at_once(2);
}

fn three_submit() {
    at_once(3);
}

/// A slot that held a key, and the submitter who waits for it.
fn one_retires_and_another_claims() {
    let ring = ring(1, 0);
    let key = ring.claim(2).expect("an empty ring");
    ring.fill(key, &[9; 2 * SLOT]);
    ring.publish();
    let reaper = {
        let ring = ring.clone();
        thread::spawn(move || assert!(ring.retire(RingIndex(2))))
    };
    let at = loop {
        match ring.claim(2) {
            Ok(at) => break at,
            Err(refusal) => assert_eq!(refusal, Refusal::Full),
        }
        yield_now();
    };
    ring.fill(at, &[7; 2 * SLOT]);
    for word in &ring.memory().0 {
        let word = word.load(Ordering::Relaxed);
        assert_eq!(word, 7, "wiped after it was claimed");
    }
    reaper.join().unwrap();
}

#[test]
fn every_slot_is_claimed_once_written_and_then_told() {
    loom::model(three_submit);
}

#[test]
fn a_slot_is_wiped_before_it_is_claimed_again() {
    loom::model(one_retires_and_another_claims);
}

#[test]
fn mistakes_are_noticed() {
    let early = "told before it is written";
    let late = "wiped after it was claimed";
    for (line, fault, expected, model) in [
        ("self.ready[slot].store(", Fault::Relaxed, early, two_submit as fn()),
        ("let mark = self.ready[", Fault::Relaxed, early, two_submit),
        ("self.published.compare_exchange(", Fault::Relaxed, early, three_submit),
        ("fence(Ordering::SeqCst)", Fault::Relaxed, "never told", two_submit),
        ("self.claimed.compare_exchange_weak(", Fault::Torn, "claimed twice", two_submit),
        ("self.retired.store(", Fault::Relaxed, late, one_retires_and_another_claims),
        ("wrapping_sub(self.retired.load(", Fault::Relaxed, late, one_retires_and_another_claims),
    ] {
        SQ.caught(line, fault, expected, model);
    }
}
