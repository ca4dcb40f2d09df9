// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Models of credit, for `cargo xtask loom`.

use super::Credit;
use crate::sync::plant::{Fault, Source, source};
use crate::sync::{AtomicU32, Ordering};
use loom::thread;
use std::sync::Arc;

const CREDIT: Source = source!("pair/credit.rs");

/// Three submitters want credit for one command each, of which there is one; whoever has it gives it back.
fn three_share_one_credit() {
    let credit = Arc::new(Credit::new(1));
    // What the command occupies, as memory that orders nothing.
    let place = Arc::new(AtomicU32::new(0));
    let work = {
        let (credit, place) = (credit.clone(), place.clone());
        move || {
            if !credit.take() {
                return 0;
            }
            assert_eq!(place.load(Ordering::Relaxed), 0, "the place of another is taken");
            place.store(1, Ordering::Relaxed);
            assert!(credit.taken() <= 1, "more than there is");
            place.store(0, Ordering::Relaxed);
            credit.give(1);
            1
        }
    };
    let others = [thread::spawn(work.clone()), thread::spawn(work.clone())];
    let times = others.into_iter().fold(work(), |all, other| all + other.join().unwrap());
    assert!(times > 0, "nobody got any");
    assert_eq!(credit.taken(), 0, "some is lost");
    assert!(credit.take(), "it never came back");
}

#[test]
fn there_is_never_more_than_the_limit() {
    loom::model(three_share_one_credit);
}

#[test]
fn mistakes_are_noticed() {
    for (line, fault) in [
        ("self.taken.compare_exchange_weak(", Fault::Relaxed),
        ("self.taken.compare_exchange_weak(", Fault::Torn),
        ("self.taken.compare_exchange_weak(", Fault::Blind),
        ("self.taken.fetch_sub(count", Fault::Relaxed),
    ] {
        CREDIT.caught(line, fault, "", three_share_one_credit);
    }
}
