// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tickets: each is good once, and ends in whatever way the device does.

mod common;

use common::wire::Wire;
use common::*;
use esnic_c::adopt;
use esnic_driver::Config;
use esnic_model::{Stuck, Trigger};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A device that the test can make fail.
fn wired() -> (Wire, esnic_device) {
    let wire = Wire::new(64);
    let config = Config { key_memory: esnic_driver::KeyMemory::BestEffort, ..Config::default() };
    let nic = adopt(wire.clone(), config).unwrap();
    (wire, nic)
}

fn stuck(wire: &Wire) {
    wire.sim.with_device(|model| model.faults_mut().stuck = Stuck::UntilReset);
}

#[test]
fn a_ticket_is_good_once() {
    let nic = model();
    let handle = added(nic, 1);
    let (error, ticket) = query(nic, handle);
    ok(error);
    let (error, said) = wait(nic, ticket, PATIENCE_MS);
    ok(error);
    assert_eq!((said.status, said.reserved, said.result), (0, 0, 1));
    fails(wait(nic, ticket, PATIENCE_MS).0, ESNIC_E_TICKET);
    fails(look(nic, ticket), ESNIC_E_TICKET);
    fails(esnic_ticket_drop(nic, ticket), ESNIC_E_TICKET);
    // The slot's next use has another number.
    for _ in 0..2000 {
        let (error, next) = query(nic, handle);
        ok(error);
        assert_ne!(next, ticket);
        fails(look(nic, ticket), ESNIC_E_TICKET);
        ok(esnic_ticket_drop(nic, next));
        fails(esnic_ticket_drop(nic, next), ESNIC_E_TICKET);
        // SAFETY: it may be NULL.
        ok(unsafe { esnic_poll(nic, std::ptr::null_mut()) });
    }
    for none in [0, 1, u64::MAX, nic, handle] {
        fails(look(nic, none), ESNIC_E_TICKET);
    }
    ok(esnic_close(nic));
}

#[test]
fn a_ticket_belongs_to_its_device() {
    let (one, other) = (model(), model());
    let (error, ticket) = query(one, added(one, 1));
    ok(error);
    fails(wait(other, ticket, PATIENCE_MS).0, ESNIC_E_TICKET);
    ok(wait(one, ticket, PATIENCE_MS).0);
    ok(esnic_close(one));
    ok(esnic_close(other));
}

/// What the header says of handles, and why it says to keep each beside its device.
#[test]
fn a_handle_does_not_say_whose_it_is() {
    let (one, other) = (model(), model());
    let (mine, theirs) = (added(one, 1), added(other, 2));
    assert_eq!(mine, theirs, "devices count alike");
    let (error, ticket) = delete(other, mine);
    ok(error);
    ok(wait(other, ticket, PATIENCE_MS).0);
    // The other device's SA went, and the own one's did not.
    fails(query(other, theirs).0, ESNIC_E_NOT_FOUND);
    let (error, ticket) = query(one, mine);
    ok(error);
    ok(wait(one, ticket, PATIENCE_MS).0);
    // With its own device, one that is stale is an error, though its row is in use again.
    let next = added(other, 3);
    assert_ne!(next, theirs);
    fails(delete(other, theirs).0, ESNIC_E_NOT_FOUND);
    ok(esnic_close(one));
    ok(esnic_close(other));
}

#[test]
fn a_wait_that_times_out_leaves_the_ticket_good() {
    let (wire, nic) = wired();
    let [handle, other] = [1, 2].map(|spi| added(nic, spi));
    stuck(&wire);
    let (error, ticket) = update(nic, handle, &hi(1, 1));
    ok(error);
    let begun = Instant::now();
    let (error, said) = wait(nic, ticket, 50);
    keyless(&fails(error, ESNIC_E_TIMEOUT));
    assert!(begun.elapsed() >= Duration::from_millis(50), "it waited {:?}", begun.elapsed());
    assert_eq!(said.status, 77, "an outcome was written");
    fails(look(nic, ticket), ESNIC_E_PENDING);
    fails(wait(nic, ticket, 0).0, ESNIC_E_TIMEOUT);

    // The third has to wait for the update above, so it is not sent.
    let mut items = [item(other, 2, 2), item(1, 1, 2), item(handle, 1, 2)];
    let (error, failed) = batch(nic, &mut items, 20);
    fails(error, ESNIC_E_ITEMS);
    assert_eq!(failed, 3);
    let errors = [ESNIC_E_TIMEOUT, ESNIC_E_NOT_FOUND, ESNIC_E_FULL].map(|code| code as i32);
    assert_eq!(items.map(|item| item.error), errors);
    fails(update(nic, handle, &hi(1, 2)).0, ESNIC_E_BUSY);

    let mut report =
        esnic_report { size: 24, restored: 0, lost: 0, aborted: 0, verified: 0, differences: 7 };
    // SAFETY: it is good for the call.
    ok(unsafe { esnic_recover(nic, 0, std::ptr::null_mut(), 0, &raw mut report) });
    assert_eq!((report.restored, report.lost, report.aborted), (2, 0, 2));
    assert_eq!(report.differences, 0);
    fails(wait(nic, ticket, PATIENCE_MS).0, ESNIC_E_ABORTED);
    fails(wait(nic, ticket, PATIENCE_MS).0, ESNIC_E_TICKET);
    ok(wait(nic, update(nic, handle, &hi(1, 3)).1, PATIENCE_MS).0);
    ok(esnic_close(nic));
}

#[test]
fn what_the_device_refuses_is_told() {
    let nic = model();
    let handle = added(nic, 1);
    let mut change = hi(1, 4);
    (change.flags, change.expected_hi) = (ESNIC_UPDATE_CAS, 3);
    let (error, ticket) = update(nic, handle, &change);
    ok(error);
    let (error, said) = wait(nic, ticket, PATIENCE_MS);
    let text = fails(error, ESNIC_E_REFUSED);
    assert!(text.contains("CONFLICT"), "{text}");
    assert_eq!(said.status, esnic_status::ESNIC_STATUS_CONFLICT as u32);
    assert_eq!((said.result, said.flags & ESNIC_OUTCOME_CHANGED), (1, 0));
    fails(look(nic, ticket), ESNIC_E_TICKET);
    ok(esnic_close(nic));
}

#[test]
fn lost_sas_are_named_by_a_recovery() {
    let (wire, nic) = wired();
    let handles = [1, 2, 3].map(|spi| added(nic, spi));
    wire.sim.with_device(|model| model.faults_mut().verify_add = Trigger::always());
    let mut lost = [0; 2];
    let mut report =
        esnic_report { size: 24, restored: 7, lost: 0, aborted: 0, verified: 0, differences: 0 };
    // SAFETY: there is room for two.
    ok(unsafe { esnic_recover(nic, 0, lost.as_mut_ptr(), 2, &raw mut report) });
    assert_eq!((report.restored, report.lost), (0, 3), "all are counted");
    assert_eq!(lost, handles[..2], "as many as there is room for");
    fails(update(nic, handles[0], &hi(1, 1)).0, ESNIC_E_LOST);
    ok(esnic_close(nic));
}

#[test]
fn tickets_that_nobody_uses_up_are_too_many_some_day() {
    let nic = model();
    let handle = added(nic, 1);
    let mut kept = Vec::new();
    let full = loop {
        // SAFETY: it may be NULL.
        ok(unsafe { esnic_poll(nic, std::ptr::null_mut()) });
        match query(nic, handle) {
            (0, ticket) => kept.push(ticket),
            (error, _) => break error,
        }
        assert!(kept.len() <= 512, "no end");
    };
    fails(full, ESNIC_E_FULL);
    assert_eq!(kept.len(), 512, "twice the completion ring");
    for &ticket in &kept {
        ok(wait(nic, ticket, PATIENCE_MS).0);
    }
    ok(wait(nic, query(nic, handle).1, PATIENCE_MS).0);
    ok(esnic_close(nic));
}

/// A thread that waits for a ticket, and has begun to.
fn waiter(nic: esnic_device, ticket: esnic_ticket) -> thread::JoinHandle<i32> {
    let wait = move || {
        loop {
            match wait(nic, ticket, PATIENCE_MS).0 {
                // The looks below may have it at that moment.
                error if error == ESNIC_E_BUSY as i32 => {}
                error => break error,
            }
        }
    };
    let waiter = thread::spawn(wait);
    while look(nic, ticket) != ESNIC_E_BUSY as i32 {
        thread::sleep(Duration::from_millis(1));
    }
    waiter
}

#[test]
fn a_ticket_is_one_threads_at_a_time_and_closing_ends_its_wait() {
    let (wire, nic) = wired();
    let [handle, other] = [1, 2].map(|spi| added(nic, spi));
    stuck(&wire);
    let (error, ticket) = update(nic, handle, &hi(1, 1));
    ok(error);
    let (error, left) = update(nic, other, &hi(2, 2));
    ok(error);
    let waiter = waiter(nic, ticket);
    fails(wait(nic, ticket, 0).0, ESNIC_E_BUSY);
    fails(esnic_ticket_drop(nic, ticket), ESNIC_E_BUSY);
    let begun = Instant::now();
    // The pair does not stop in order: the device is stuck. It is reset all the same.
    let text = fails(esnic_close(nic), ESNIC_E_DEVICE);
    assert!(text.contains("did not stop"), "{text}");
    assert_eq!(waiter.join().unwrap(), ESNIC_E_ABORTED as i32);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    fails(look(nic, left), ESNIC_E_HANDLE);
    assert_eq!(Arc::strong_count(&wire.sim), 1, "something of the device is left");
}

#[test]
fn a_device_that_works_closes_in_order_with_tickets_open() {
    let (wire, nic) = wired();
    let handles: Vec<_> = (1..=50).map(|spi| (spi, added(nic, spi))).collect();
    for (spi, handle) in handles {
        ok(update(nic, handle, &hi(spi, 1)).0);
    }
    ok(esnic_close(nic));
    fails(esnic_close(nic), ESNIC_E_HANDLE);
    assert_eq!(Arc::strong_count(&wire.sim), 1, "something of the device is left");
}

#[test]
fn four_threads_work_and_a_fifth_closes() {
    const EACH: u32 = 300;
    let config = esnic_config { queue_pairs: 4, ..config() };
    let (error, nic) = open_as("model", &config);
    ok(error);
    let ended = AtomicI32::new(0);
    thread::scope(|scope| {
        let ended = &ended;
        let work = |n: u32| {
            let spi = 100 + n;
            let handle = added(nic, spi);
            for k in 1..=EACH {
                let (error, ticket) = update(nic, handle, &hi(spi, k));
                ok(error);
                ok(wait(nic, ticket, PATIENCE_MS).0);
                let mut items = [item(handle, spi, k), item(handle, spi, k)];
                assert_eq!(batch(nic, &mut items, PATIENCE_MS), (0, 0), "{}", last());
                let (error, ticket) = query(nic, handle);
                ok(error);
                let (error, said) = wait(nic, ticket, PATIENCE_MS);
                ok(error);
                assert_eq!(said.result >> 32, u64::from(k), "thread {n}");
                // A failure of this thread is this thread's.
                let wrong = update(nic, handle, &hi(spi + 1000, 1)).0;
                let text = fails(wrong, ESNIC_E_MISMATCH);
                assert!(text.contains(&format!("{:#010x}", spi + 1000)), "{text}");
            }
            ended.fetch_add(1, Ordering::Release);
            // Until somebody closes it.
            loop {
                let error = match update(nic, handle, &hi(spi, EACH)) {
                    (0, ticket) => wait(nic, ticket, PATIENCE_MS).0,
                    (error, _) => error,
                };
                if error != 0 {
                    break error;
                }
            }
        };
        let threads: Vec<_> = (0..4).map(|n| scope.spawn(move || work(n))).collect();
        while ended.load(Ordering::Acquire) < 4 {
            assert!(!threads.iter().any(|thread| thread.is_finished()), "one failed");
            thread::sleep(Duration::from_millis(1));
        }
        ok(esnic_close(nic));
        let expected = [ESNIC_E_CLOSED, ESNIC_E_ABORTED, ESNIC_E_HANDLE].map(|code| code as i32);
        for thread in threads {
            let error = thread.join().unwrap();
            assert!(expected.contains(&error), "{error}");
        }
    });
}

#[test]
fn a_panic_inside_becomes_a_code() {
    let (wire, nic) = wired();
    let handle = added(nic, 1);
    wire.panic_in_read.store(true, Ordering::Relaxed);
    keyless(&fails(esnic_check(nic), ESNIC_E_INTERNAL));
    ok(esnic_check(nic));
    let (error, ticket) = update(nic, handle, &hi(1, 1));
    ok(error);
    wire.panic_in_relax.store(true, Ordering::Relaxed);
    keyless(&fails(wait(nic, ticket, PATIENCE_MS).0, ESNIC_E_INTERNAL));
    // The ticket went back, and the device is none the worse.
    let (error, said) = wait(nic, ticket, PATIENCE_MS);
    ok(error);
    assert_eq!(said.result >> 32, 1);
    wire.panic_in_relax.store(true, Ordering::Relaxed);
    let mut items = [item(handle, 1, 2)];
    fails(batch(nic, &mut items, PATIENCE_MS).0, ESNIC_E_INTERNAL);
    assert_eq!(batch(nic, &mut items, PATIENCE_MS), (0, 0), "{}", last());
    ok(esnic_close(nic));
    assert_eq!(Arc::strong_count(&wire.sim), 1, "something of the device is left");
}

#[test]
fn a_device_that_is_gone_is_told() {
    let (wire, nic) = wired();
    let handle = added(nic, 1);
    wire.sim.with_device(|model| model.faults_mut().gone = true);
    fails(esnic_check(nic), ESNIC_E_DEVICE);
    let (error, ticket) = update(nic, handle, &hi(1, 1));
    ok(error);
    let text = fails(wait(nic, ticket, PATIENCE_MS).0, ESNIC_E_DEVICE);
    assert!(text.contains("gone"), "{text}");
    // SAFETY: all may be NULL.
    let error = unsafe { esnic_recover(nic, 0, std::ptr::null_mut(), 0, std::ptr::null_mut()) };
    fails(error, ESNIC_E_DEVICE);
    fails(esnic_close(nic), ESNIC_E_DEVICE);
}
