// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Models of the pending table, for `cargo xtask loom`: an outcome is handed over once and whole, and an
//! entry that is used again has nothing to do with its last use.

use super::{Broken, Kind, Notify, Outcome, Pending, Settled, Target};
use crate::sync::plant::{Fault, Source, source};
use esnic_abi::{Handle, Opcode, Status};
use loom::thread::{self, JoinHandle, yield_now};
use std::sync::Arc;

const PENDING: Source = source!("pending.rs");
const ENTRY: Source = source!("pending/entry.rs");

const KIND: Kind = Kind { opcode: Opcode::Update, detail: 1, targets: 1, direct: 0 };
const DONE: Settled = Settled::Completed(Outcome {
    status: Status::Conflict,
    result: 7,
    lo_valid: true,
    changed: false,
});

fn target(wanted: u64) -> [Target; 1] {
    [Target { handle: Handle::from_bits(wanted), wanted }]
}

fn in_flight(pending: &Pending) -> u32 {
    pending.take(KIND, &target(1), true).expect("an empty table")
}

/// A table with one entry for what callers hold, and one for what nobody holds.
fn table() -> Arc<Pending> {
    Arc::new(Pending::new(0))
}

/// The one that takes completions.
fn reaper(pending: &Arc<Pending>, number: u32) -> JoinHandle<Option<Notify>> {
    let pending = pending.clone();
    thread::spawn(move || {
        pending.entry(number).say(DONE);
        pending.finish(number)
    })
}

fn nothing_is_lost(pending: &Pending) {
    assert_eq!(pending.used(), 0, "an entry is lost");
}

/// Waits, as a ticket does, and lets go.
fn one_waits() {
    let pending = table();
    let number = in_flight(&pending);
    let reaper = reaper(&pending, number);
    let settled = loop {
        match pending.poll(number) {
            Some(settled) => break settled,
            None => yield_now(),
        }
    };
    assert_eq!(settled, DONE, "half an outcome");
    pending.let_go(number);
    assert_eq!(reaper.join().unwrap(), None, "a callback that nobody asked for");
    nothing_is_lost(&pending);
}

/// Looks once, and lets go whatever it sees: `Ticket::cancel`, and a ticket that is dropped.
fn one_cancels() {
    let pending = table();
    let number = in_flight(&pending);
    let reaper = reaper(&pending, number);
    if let Some(settled) = pending.poll(number) {
        assert_eq!(settled, DONE, "half an outcome");
    }
    pending.let_go(number);
    reaper.join().unwrap();
    nothing_is_lost(&pending);
}

/// Leaves it to a callback.
fn one_is_notified() {
    let pending = table();
    let number = in_flight(&pending);
    let reaper = reaper(&pending, number);
    let late = pending.attach(number, 3, 4);
    let due: Vec<_> = late.into_iter().chain(reaper.join().unwrap()).collect();
    assert_eq!(due.len(), 1, "not one call");
    assert_eq!(due[0], Notify { callback: 3, token: 4, settled: DONE }, "half a call");
    nothing_is_lost(&pending);
}

/// The entry is let go and used again while the device completes its first use twice.
fn the_device_repeats_itself() {
    let pending = table();
    let number = in_flight(&pending);
    let cookie = pending.cookie(number).0;
    let reaper = {
        let pending = pending.clone();
        thread::spawn(move || {
            assert_eq!(pending.find(cookie), Ok(number), "the first is not known");
            pending.entry(number).say(DONE);
            pending.finish(number);
            let again = pending.find(cookie);
            assert_eq!(again, Err(Broken::CookieNotPending), "a duplicate is believed");
        })
    };
    pending.let_go(number);
    // The queue of free entries is empty until the first use is over.
    if let Some(again) = pending.take(KIND, &target(2), true) {
        assert_eq!(again, number);
        assert_eq!(pending.poll(again), None, "the next use is over before it began");
        assert_eq!(pending.entry(again).target(0), target(2)[0], "the uses are mixed up");
        assert_ne!(pending.cookie(again).0, cookie, "two uses, one cookie");
        reaper.join().unwrap();
        assert_eq!(pending.poll(again), None, "the first use ends the next");
        assert_eq!(pending.find(pending.cookie(again).0), Ok(again), "the next is not known");
    } else {
        reaper.join().unwrap();
        nothing_is_lost(&pending);
    }
}

/// An operation of two commands: one is completed, the other will not come.
fn two_parts_end() {
    let pending = table();
    let parent = pending.take_operation(KIND, &target(1), 2).expect("an empty table");
    let child = pending.take(KIND, &target(1), false).expect("an empty table");
    pending.adopt(child, parent);
    let reaper = {
        let pending = pending.clone();
        thread::spawn(move || {
            pending.entry(parent).say(DONE);
            pending.finish(child)
        })
    };
    assert_eq!(pending.drop_part(parent), None);
    if let Some(settled) = pending.poll(parent) {
        assert_eq!(settled, DONE, "half an outcome");
    }
    assert_eq!(reaper.join().unwrap(), None);
    assert_eq!(pending.poll(parent), Some(DONE), "the operation does not end");
    pending.let_go(parent);
    nothing_is_lost(&pending);
}

#[test]
fn a_wait_gets_the_whole_outcome() {
    loom::model(one_waits);
}

#[test]
fn an_entry_that_is_let_go_comes_back_once() {
    loom::model(one_cancels);
}

#[test]
fn a_callback_is_due_once() {
    loom::model(one_is_notified);
}

#[test]
fn a_duplicate_never_meets_the_next_use() {
    loom::model(the_device_repeats_itself);
}

#[test]
fn an_operation_ends_with_its_last_part() {
    loom::model(two_parts_end);
}

#[test]
fn mistakes_are_noticed() {
    let half = "half an outcome";
    let end = "let before = entry.state.fetch_and(!flags";
    let let_go = "let before = self.entry(number).state.fetch_and(!HELD";
    let attach = "let before = entry.state.fetch_or(NOTIFY";
    let close = ".open.fetch_sub(1";
    for (line, fault, expected, model) in [
        (end, Fault::Relaxed, half, one_waits as fn()),
        (end, Fault::Torn, "", one_cancels),
        (end, Fault::Relaxed, "half a call", one_is_notified),
        (end, Fault::Torn, "not one call", one_is_notified),
        (let_go, Fault::Torn, "", one_cancels),
        (attach, Fault::Relaxed, "half a call", one_is_notified),
        (attach, Fault::Torn, "", one_is_notified),
        (close, Fault::Relaxed, half, two_parts_end),
        (close, Fault::Torn, "", two_parts_end),
    ] {
        PENDING.caught(line, fault, expected, model);
    }
    let seen = "self.state.load(Ordering::Acquire) & IN_FLIGHT";
    ENTRY.caught(seen, Fault::Relaxed, half, one_waits);
    let open = "self.state.load(Ordering::Acquire) & COMMAND";
    ENTRY.caught(open, Fault::Relaxed, "a duplicate is believed", the_device_repeats_itself);
}
