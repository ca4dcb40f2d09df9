// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Models of a slot's lives, for `cargo xtask loom`: nothing that belongs to one meets the next.

use super::bury;
use crate::sa::element::{Element, Flow, Path, State};
use crate::sync::plant::{Fault, Source, source};
use crate::sync::{ArrayQueue, AtomicU32, Ordering};
use esnic_abi::{Handle, LiveView, NO_PEER};
use loom::thread;
use std::sync::Arc;

const LIFE: Source = source!("sa/life.rs");
const ELEMENT: Source = source!("sa/element.rs");

type Elements = Arc<[Element]>;

fn table(slots: usize) -> Elements {
    (0..slots).map(|_| Element::new()).collect()
}

fn view(hi: u32, peer: u32) -> LiveView {
    LiveView { hi: hi.into(), lo_valid: 1, peer: peer.into(), ..LiveView::default() }
}

/// Puts an SA in whose `top` is `hi`:0.
fn add(elements: &[Element], index: u32, hi: u32, peer: u32) -> Handle {
    let element = &elements[index as usize];
    let sa = element.begin(index, 0, |_| view(hi, peer));
    element.force(|flow| Flow { state: State::Live, ..flow });
    sa
}

/// One deletes and adds again, another counts a command in by the old handle.
fn a_command_meets_a_deletion() {
    let elements = table(1);
    let sa = add(&elements, 0, 1, NO_PEER);
    let lives = Arc::new(AtomicU32::new(1));
    // Whoever gives the slot back adds again.
    let give_back = {
        let (elements, lives) = (elements.clone(), lives.clone());
        move || {
            if bury(&elements, 0).is_some() {
                lives.fetch_add(1, Ordering::Relaxed);
                add(&elements, 0, 2, NO_PEER);
            }
        }
    };
    let user = thread::spawn({
        let (elements, give_back) = (elements.clone(), give_back.clone());
        move || {
            if elements[0].enter(sa, Path::Ring).is_ok() {
                let flow = elements[0].flow();
                assert_eq!(flow.generation, sa.generation, "counted in on another life");
                assert!(flow.outstanding > 0, "not counted in");
                elements[0].leave();
                give_back();
            }
        }
    });
    elements[0].end();
    give_back();
    user.join().unwrap();
    let flow = elements[0].flow();
    assert_eq!(lives.load(Ordering::Relaxed), 2, "given back twice, or never");
    assert_eq!(flow.generation, sa.generation.next(), "given back twice, or never");
    assert_eq!((flow.state, flow.outstanding), (State::Live, 0), "the old life reaches the new");
}

/// The halves of a bundle end on two threads: a submitter finds no room for its command, and the reaper
/// takes the completion of the other half's DELETE.
fn both_halves_end() {
    let elements = table(2);
    add(&elements, 0, 1, 1);
    add(&elements, 1, 1, 0);
    elements[0].force(|flow| Flow { state: State::Free, outstanding: 1, ..flow });
    let free = Arc::new(ArrayQueue::new(2));
    let give_back = {
        let (elements, free) = (elements.clone(), free.clone());
        move |index| {
            for half in bury(&elements, index).into_iter().flatten().flatten() {
                free.push(half).expect("given back twice");
            }
        }
    };
    let submitter = thread::spawn({
        let (elements, give_back) = (elements.clone(), give_back.clone());
        move || {
            elements[0].leave();
            give_back(0);
        }
    });
    elements[1].end();
    give_back(1);
    submitter.join().unwrap();
    assert_eq!(free.len(), 2, "given back by nobody");
    for element in &*elements {
        assert!(!element.flow().used, "free and in use");
        assert_eq!(element.peer(), None, "free and half of a bundle");
    }
}

/// One reads by the old handle, another ends that life, and a third begins the next.
fn a_reader_meets_the_next_life() {
    let elements = table(1);
    let sa = add(&elements, 0, 1, NO_PEER);
    let free = Arc::new(ArrayQueue::new(1));
    let reaper = thread::spawn({
        let (elements, free) = (elements.clone(), free.clone());
        move || {
            elements[0].end();
            for slot in bury(&elements, 0).into_iter().flatten().flatten() {
                free.push(slot).expect("given back twice");
            }
        }
    });
    let reader = thread::spawn({
        let elements = elements.clone();
        move || {
            if let Ok((top, known)) = elements[0].while_alive(sa, Element::top) {
                assert_eq!((top.hi(), known), (1, true), "read in another life");
            }
        }
    });
    if let Some(slot) = free.pop() {
        add(&elements, slot, 2, NO_PEER);
    }
    for thread in [reaper, reader] {
        thread.join().unwrap();
    }
}

/// One reads the half of a bundle that a second ends, and a third gives back with the other half.
fn a_reader_meets_the_end_of_a_bundle() {
    let elements = table(2);
    let sa = add(&elements, 0, 1, 1);
    add(&elements, 1, 1, 0);
    let ends = [0, 1].map(|index: u32| {
        let elements = elements.clone();
        thread::spawn(move || {
            elements[index as usize].end();
            bury(&elements, index).is_some()
        })
    });
    if let Ok((top, known)) = elements[0].while_alive(sa, Element::top) {
        assert_eq!((top.hi(), known), (1, true), "read in another life");
    }
    let given_back = ends.map(|thread| thread.join().unwrap());
    assert!(given_back[0] != given_back[1], "given back twice, or by nobody");
}

#[test]
fn a_stale_handle_counts_nothing_in_on_the_next_life() {
    loom::model(a_command_meets_a_deletion);
}

#[test]
fn a_bundle_is_given_back_once() {
    loom::model(both_halves_end);
}

#[test]
fn what_is_read_belongs_to_one_life() {
    loom::model(a_reader_meets_the_next_life);
    loom::model(a_reader_meets_the_end_of_a_bundle);
}

#[test]
fn mistakes_are_noticed() {
    let shift = "self.flow.compare_exchange_weak(";
    for (fault, model) in [
        (Fault::Torn, a_command_meets_a_deletion as fn()),
        (Fault::Blind, a_command_meets_a_deletion),
        (Fault::Torn, both_halves_end),
        (Fault::Blind, both_halves_end),
    ] {
        ELEMENT.caught(shift, fault, "", model);
    }
    let read = "read in another life";
    for (line, expected, model) in [
        ("fence(Ordering::SeqCst)", "given back by nobody", both_halves_end as fn()),
        ("// Acquire: pairs with the fences of\n", read, a_reader_meets_the_next_life),
        ("// Release: whoever reads what is cleared\n", read, a_reader_meets_the_end_of_a_bundle),
        ("// Release: whoever reads what follows\n", read, a_reader_meets_the_next_life),
    ] {
        LIFE.caught(line, Fault::Relaxed, expected, model);
    }
}
