// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A C program that sleeps in a poll loop of its own is woken.

mod common;
#[path = "../../../tests/support/pumped.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of the driver")]
mod pumped;

use common::wire::Wire;
use common::*;
use esnic_c::adopt;
use esnic_driver::{Config, KeyMemory};
use pumped::{Pumped, readable};
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr::null_mut;

fn file(nic: esnic_device, pair: u32) -> OwnedFd {
    let mut fd = -1;
    // SAFETY: it is good for the call.
    ok(unsafe { esnic_event_fd(nic, pair, &raw mut fd) });
    // SAFETY: it is ours, as the header has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Arms until nothing more fires. One that was on its way when its completion was seen may come late.
fn quiet(nic: esnic_device, event: &OwnedFd) {
    for _ in 0..10 {
        // What nobody has taken fires at once when armed.
        // SAFETY: it may be NULL.
        ok(unsafe { esnic_poll(nic, null_mut()) });
        ok(esnic_event_arm(nic, 0));
        if !readable(event, 50) {
            return;
        }
    }
    panic!("it fires again and again with nothing under way");
}

#[test]
fn what_completes_makes_the_file_readable_and_closing_does() {
    let key_memory = KeyMemory::BestEffort;
    let config = Config { interrupts: true, key_memory, ..Config::default() };
    let nic = adopt(Pumped::new(Wire::new(64), false), config).unwrap();
    let handle = added(nic, 1);
    fails(esnic_event_arm(nic, 0), ESNIC_E_NO_EVENT);
    fails(esnic_event_release(nic, 0), ESNIC_E_NO_EVENT);
    let event = file(nic, 0);
    for n in 1..=50 {
        quiet(nic, &event);
        let (error, ticket) = update(nic, handle, &hi(1, n));
        ok(error);
        while look(nic, ticket) == ESNIC_E_PENDING as i32 {
            ok(esnic_event_arm(nic, 0));
            match look(nic, ticket) {
                0 => break,
                error => assert_eq!(error, ESNIC_E_PENDING as i32),
            }
            assert!(readable(&event, PATIENCE_MS.into()), "nobody was woken");
        }
        fails(look(nic, ticket), ESNIC_E_TICKET);
        // What is not looked at by anybody wakes too.
        ok(esnic_event_arm(nic, 0));
        ok(esnic_ticket_drop(nic, update(nic, handle, &hi(1, n)).1));
        assert!(readable(&event, PATIENCE_MS.into()), "nobody was woken");
        // SAFETY: it may be NULL.
        ok(unsafe { esnic_poll(nic, null_mut()) });
    }
    // The same file twice, each the caller's own.
    let again = file(nic, 0);
    drop(event);
    quiet(nic, &again);
    ok(esnic_event_release(nic, 0));
    fails(esnic_event_arm(nic, 0), ESNIC_E_NO_EVENT);
    let taken = file(nic, 0);
    assert!(!readable(&taken, 0));
    ok(esnic_close(nic));
    assert!(readable(&again, 0) && readable(&taken, 0), "closing wakes whoever sleeps");
}

#[test]
fn a_device_that_wakes_nobody_says_so() {
    let interrupts = esnic_config { flags: config().flags | ESNIC_OPEN_INTERRUPTS, ..config() };
    for config in [config(), interrupts] {
        let (error, nic) = open_as("model", &config);
        ok(error);
        let mut fd = -7;
        for pair in [0, 1, u32::MAX] {
            // SAFETY: it is good for the call.
            fails(unsafe { esnic_event_fd(nic, pair, &raw mut fd) }, ESNIC_E_NO_EVENT);
        }
        // SAFETY: as above.
        fails(unsafe { esnic_removal_fd(nic, &raw mut fd) }, ESNIC_E_NO_EVENT);
        assert_eq!(fd, -7);
        added(nic, 1);
        ok(esnic_close(nic));
    }
}
