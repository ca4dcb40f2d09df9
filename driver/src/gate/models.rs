// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Models of the gate, for `cargo xtask loom`.

use super::Gate;
use crate::sync::plant::{Fault, Source, source};
use crate::sync::{AtomicU32, Ordering};
use loom::thread::{self, yield_now};
use std::sync::Arc;

const GATE: Source = source!("gate.rs");

/// What the gate guards, as memory that orders nothing.
#[derive(Clone)]
struct Guarded {
    gate: Arc<Gate>,
    /// Changed by the reset, while nobody is inside.
    instance: Arc<AtomicU32>,
    /// By submitter: what was done inside.
    work: Arc<[AtomicU32; 2]>,
}

/// Goes in if the gate lets it; returns the instance that it worked with.
fn submit(guarded: &Guarded, me: usize) -> Option<u32> {
    let inside = guarded.gate.enter()?;
    let instance = guarded.instance.load(Ordering::Relaxed);
    guarded.work[me].store(1, Ordering::Relaxed);
    assert_eq!(guarded.instance.load(Ordering::Relaxed), instance, "a reset came inside");
    drop(inside);
    Some(instance)
}

/// Two submitters, and a reset.
fn two_submit_and_one_resets() {
    let guarded = Guarded {
        gate: Arc::new(Gate::closed()),
        instance: Arc::new(0.into()),
        work: Arc::new([0.into(), 0.into()]),
    };
    guarded.gate.open();
    let submitters = [0, 1].map(|me| {
        let guarded = guarded.clone();
        thread::spawn(move || submit(&guarded, me))
    });
    guarded.gate.close();
    while !guarded.gate.is_empty() {
        yield_now();
    }
    let seen = [0, 1].map(|me: usize| guarded.work[me].load(Ordering::Relaxed));
    guarded.instance.store(1, Ordering::Relaxed);
    let now = [0, 1].map(|me: usize| guarded.work[me].load(Ordering::Relaxed));
    assert_eq!(seen, now, "somebody is inside a closed gate");
    guarded.gate.open();
    for (submitter, seen) in submitters.into_iter().zip(seen) {
        match submitter.join().unwrap() {
            None => {}
            Some(0) => assert_eq!(seen, 1, "what was done before the reset is not seen by it"),
            Some(_) => assert_eq!(seen, 0, "what was done after the reset is seen by it"),
        }
    }
    assert!(guarded.gate.is_empty(), "somebody never left");
}

#[test]
fn nobody_is_inside_a_closed_gate() {
    loom::model(two_submit_and_one_resets);
}

#[test]
fn mistakes_are_noticed() {
    for (line, fault) in [
        ("self.0.compare_exchange_weak(", Fault::Relaxed),
        ("self.0.compare_exchange_weak(", Fault::Torn),
        ("self.0.compare_exchange_weak(", Fault::Blind),
        ("self.0.fetch_or(CLOSED", Fault::Torn),
        ("self.0.load(Ordering::Acquire) & !CLOSED", Fault::Relaxed),
        ("self.0.fetch_and(!CLOSED", Fault::Relaxed),
        ("self.0.0.fetch_sub(1", Fault::Relaxed),
        ("self.0.0.fetch_sub(1", Fault::Torn),
    ] {
        GATE.caught(line, fault, "", two_submit_and_one_resets);
    }
}
