// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Models of rounds, for `cargo xtask loom`.

use super::Rounds;
use crate::sync::plant::{Fault, Source, source};
use crate::sync::{AtomicU32, Ordering};
use loom::thread;
use std::sync::Arc;

const ROUNDS: Source = source!("oid/rounds.rs");

/// Three threads leave something to do each, and ask for a round.
fn three_ask() {
    let rounds = Arc::new(Rounds::new());
    // As memory that orders nothing: what there is to do, what was done, and how many are at it.
    let left: Arc<[AtomicU32; 3]> = Arc::new([0.into(), 0.into(), 0.into()]);
    let (done, inside) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let ask = {
        let (rounds, left, done) = (rounds.clone(), left.clone(), done.clone());
        move |me: usize| {
            left[me].store(1, Ordering::Relaxed);
            rounds.run(|| {
                assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "two are at it");
                for place in left.iter() {
                    if place.load(Ordering::Relaxed) == 1 {
                        place.store(2, Ordering::Relaxed);
                        // No read-modify-write: one round follows the other.
                        done.store(done.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                    }
                }
                inside.fetch_sub(1, Ordering::Relaxed);
            });
        }
    };
    let others = [1, 2].map(|me| {
        let ask = ask.clone();
        thread::spawn(move || ask(me))
    });
    ask(0);
    others.into_iter().for_each(|other| other.join().unwrap());
    assert_eq!(done.load(Ordering::Relaxed), 3, "something stays undone, or is done twice");
}

#[test]
fn what_is_asked_for_is_done_once() {
    loom::model(three_ask);
}

#[test]
fn mistakes_are_noticed() {
    for (line, fault) in [
        ("self.0.fetch_add(1", Fault::Relaxed),
        ("self.0.fetch_add(1", Fault::Torn),
        ("self.0.compare_exchange(asked", Fault::Relaxed),
        ("self.0.compare_exchange(asked", Fault::Torn),
        ("self.0.compare_exchange(asked", Fault::Blind),
    ] {
        ROUNDS.caught(line, fault, "", three_ask);
    }
}
