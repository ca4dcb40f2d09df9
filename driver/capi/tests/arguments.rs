// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whatever a C program hands in by mistake is an error, and changes nothing.

mod common;

use common::*;
use std::ffi::CStr;
use std::ptr::{null, null_mut};

#[test]
#[allow(clippy::multiple_unsafe_ops_per_block, reason = "they are one list of calls")]
fn null_is_an_error_wherever_something_must_be() {
    let nic = model();
    let spec = sa(7, KEY.as_ptr());
    let handle = added(nic, 9);
    let change = hi(9, 1);
    let good = config();
    let (mut a, mut b) = (0, 0);
    // SAFETY: all pointers below are NULL or good.
    let errors = unsafe {
        [
            esnic_open(null(), &raw const good, &raw mut a),
            esnic_open(c"model".as_ptr(), null(), &raw mut a),
            esnic_open(c"model".as_ptr(), &raw const good, null_mut()),
            esnic_caps(nic, null_mut()),
            esnic_add(nic, null(), &raw mut a, &raw mut b),
            esnic_add(nic, &raw const spec, null_mut(), &raw mut b),
            esnic_add(nic, &raw const spec, &raw mut a, null_mut()),
            esnic_add_bundle(nic, &raw const spec, null(), &raw mut a, &raw mut b),
            esnic_add_bundle(nic, null(), &raw const spec, &raw mut a, &raw mut b),
            esnic_update(nic, handle, null(), &raw mut a),
            esnic_update(nic, handle, &raw const change, null_mut()),
            esnic_delete(nic, handle, null_mut()),
            esnic_query(nic, handle, null_mut()),
            esnic_batch(nic, null_mut(), 1, 0, null_mut()),
            esnic_known(nic, handle, null_mut()),
            esnic_recover(nic, 0, null_mut(), 1, null_mut()),
            esnic_event_fd(nic, 0, null_mut()),
            esnic_removal_fd(nic, null_mut()),
            try_add(nic, &sa(7, null())).0,
        ]
    };
    for (k, error) in errors.into_iter().enumerate() {
        assert_eq!(error, ESNIC_E_INVALID as i32, "call {k}");
    }
    assert!(last().contains("key is NULL"), "{}", last());
    assert_eq!((a, b), (0, 0), "a call that failed wrote something");
    // Where NULL is allowed.
    // SAFETY: as the header has it.
    unsafe {
        ok(esnic_poll(nic, null_mut()));
        ok(esnic_batch(nic, null_mut(), 0, 0, null_mut()));
        ok(esnic_recover(nic, 0, null_mut(), 0, null_mut()));
        esnic_last_error(null_mut(), 0);
    }
    ok(esnic_close(nic));
}

#[test]
fn sizes_and_versions_are_checked() {
    let set = |change: &dyn Fn(&mut esnic_config)| {
        let mut config = config();
        change(&mut config);
        open_as("model", &config).0
    };
    fails(set(&|c| c.size = 0), ESNIC_E_SIZE);
    fails(set(&|c| c.size -= 1), ESNIC_E_SIZE);
    fails(set(&|c| c.size = u32::MAX), ESNIC_E_SIZE);
    let text = fails(set(&|c| c.abi_version = 0), ESNIC_E_VERSION);
    assert!(text.contains("esnic.h 0.0") && text.contains("1.0"), "{text}");
    fails(set(&|c| c.abi_version += 1), ESNIC_E_VERSION);
    fails(set(&|c| c.abi_version += 1 << 16), ESNIC_E_VERSION);
    fails(set(&|c| c.flags |= 1 << 31), ESNIC_E_INVALID);
    fails(set(&|c| c.model_rows = 1000), ESNIC_E_INVALID);
    fails(set(&|c| c.queue_pairs = 65), ESNIC_E_INVALID);
    fails(set(&|c| c.cq_log2 = u32::MAX), ESNIC_E_INVALID);

    let nic = model();
    let handle = added(nic, 9);
    let mut change = hi(9, 1);
    change.size += 8;
    // The member behind `lo` that a newer header would have: not what this library can leave out.
    let newer = [change; 2];
    let mut ticket = 0;
    // SAFETY: there are two, so that there is memory as long as the size says.
    let error = unsafe { esnic_update(nic, handle, newer.as_ptr(), &raw mut ticket) };
    fails(error, ESNIC_E_SIZE);
    let mut short = outcome();
    short.size = 8;
    let (error, ticket) = query(nic, handle);
    ok(error);
    // SAFETY: it is good, and longer than it says.
    let error = unsafe { esnic_ticket_wait(nic, ticket, PATIENCE_MS, &raw mut short) };
    fails(error, ESNIC_E_SIZE);
    ok(wait(nic, ticket, PATIENCE_MS).0);
    ok(esnic_close(nic));
}

#[test]
fn a_number_that_is_none_is_named() {
    let nic = model();
    let handle = added(nic, 9);
    let added_as = |change: &dyn Fn(&mut esnic_sa)| {
        let mut spec = sa(7, KEY.as_ptr());
        change(&mut spec);
        try_add(nic, &spec).0
    };
    for (what, error) in [
        ("spi", added_as(&|s| s.spi = 0)),
        ("protocol", added_as(&|s| s.protocol = 3)),
        ("direction", added_as(&|s| s.direction = 0)),
        ("mode", added_as(&|s| s.mode = 255)),
        ("algorithm", added_as(&|s| s.algorithm = 7)),
        ("icv_len", added_as(&|s| s.icv_len = 9)),
        ("family", added_as(&|s| s.family = 5)),
        ("flags", added_as(&|s| s.flags |= 8)),
        ("udp_src", added_as(&|s| s.udp_src = 4500)),
        ("behind IPv4", added_as(&|s| s.dst[4] = 1)),
        ("key_len", added_as(&|s| s.key_len = 32)),
        ("reserved", added_as(&|s| s.reserved = 1)),
        ("hi without ESN", added_as(&|s| (s.flags, s.hi) = (ESNIC_SA_LO_KNOWN, 1))),
    ] {
        keyless(&fails(error, ESNIC_E_INVALID));
        assert!(!last().is_empty(), "{what}");
    }
    fails(added_as(&|s| s.replay_window = 4097), ESNIC_E_UNSUPPORTED);
    fails(added_as(&|s| s.replay_window = 1 << 16), ESNIC_E_UNSUPPORTED);

    let updated_as = |change: &dyn Fn(&mut esnic_update)| {
        let mut wanted = hi(9, 1);
        change(&mut wanted);
        update(nic, handle, &wanted).0
    };
    fails(updated_as(&|u| u.mode = 3), ESNIC_E_INVALID);
    fails(updated_as(&|u| u.flags = 4), ESNIC_E_INVALID);
    fails(updated_as(&|u| u.lo = 1), ESNIC_E_INVALID);
    fails(updated_as(&|u| u.expected_hi = 1), ESNIC_E_INVALID);
    fails(updated_as(&|u| u.protocol = 0), ESNIC_E_INVALID);
    fails(updated_as(&|u| u.protocol = esnic_protocol::ESNIC_AH as u8), ESNIC_E_MISMATCH);
    fails(updated_as(&|u| u.spi = 10), ESNIC_E_MISMATCH);

    let mut items = [item(handle, 9, 5), item(handle, 9, 6)];
    items[1].op = 3;
    let text = fails(batch(nic, &mut items, PATIENCE_MS).0, ESNIC_E_INVALID);
    assert!(text.starts_with("item 1"), "{text}");
    assert_eq!(items[0].error, 77, "an item was written");
    let (error, ticket) = query(nic, handle);
    ok(error);
    assert_eq!(wait(nic, ticket, PATIENCE_MS).1.result, 1, "nothing was sent: 0:1 is still held");
    // SAFETY: nothing is read before the count is refused.
    let error = unsafe { esnic_batch(nic, items.as_mut_ptr(), u32::MAX, 0, null_mut()) };
    fails(error, ESNIC_E_INVALID);
    ok(esnic_close(nic));
}

#[test]
fn devices_have_the_names_of_the_command() {
    for name in ["", "modell", "0000:03:00", "vfio-user:", "\u{e9}"] {
        fails(open_as(name, &config()).0, ESNIC_E_INVALID);
    }
    let text = fails(open_as("vfio-user:/nowhere/at/all", &config()).0, ESNIC_E_HOST);
    assert!(text.contains("/nowhere/at/all"), "{text}");
    let text = fails(open_as("ffff:ff:1f.7", &config()).0, ESNIC_E_HOST);
    assert!(text.contains("ffff:ff:1f.7"), "{text}");
    let rows = esnic_config { model_rows: 16, ..config() };
    fails(open_as("vfio-user:/nowhere", &rows).0, ESNIC_E_INVALID);
    let (error, nic) = open_as("model", &rows);
    ok(error);
    // SAFETY: any bytes are one, and it is good for the call.
    let mut caps: esnic_caps = unsafe { std::mem::zeroed() };
    caps.size = size_of::<esnic_caps>() as u32;
    // SAFETY: as above.
    ok(unsafe { esnic_caps(nic, &raw mut caps) });
    assert_eq!((caps.sa_capacity, caps.room, caps.bundle_capacity), (16, 16, 8));
    assert_eq!(CStr::from_bytes_until_nul(&caps.name).unwrap(), c"model");
    assert_eq!(caps.abi_hash, esnic_abi::ABI_HASH);
    ok(esnic_close(nic));
}

#[test]
fn a_device_that_is_not_open_is_an_error_in_every_call() {
    let closed = model();
    let handle = added(closed, 1);
    ok(esnic_close(closed));
    for nic in [closed, 0, 1, u64::MAX] {
        fails(esnic_close(nic), ESNIC_E_HANDLE);
        fails(try_add(nic, &sa(7, KEY.as_ptr())).0, ESNIC_E_HANDLE);
        fails(update(nic, handle, &hi(1, 1)).0, ESNIC_E_HANDLE);
        fails(query(nic, handle).0, ESNIC_E_HANDLE);
        fails(delete(nic, handle).0, ESNIC_E_HANDLE);
        fails(batch(nic, &mut [item(handle, 1, 1)], 0).0, ESNIC_E_HANDLE);
        fails(wait(nic, 1, 0).0, ESNIC_E_HANDLE);
        fails(look(nic, 1), ESNIC_E_HANDLE);
        fails(esnic_ticket_drop(nic, 1), ESNIC_E_HANDLE);
        fails(esnic_check(nic), ESNIC_E_HANDLE);
        fails(esnic_event_arm(nic, 0), ESNIC_E_HANDLE);
    }
}

#[test]
fn texts_are_there_for_every_number() {
    let text = |pointer| {
        // SAFETY: the texts of the library last, and end.
        unsafe { CStr::from_ptr(pointer) }.to_str().unwrap()
    };
    assert_eq!(text(esnic_strerror(0)), "no error");
    assert_eq!(text(esnic_strerror(1)), "an unknown error");
    assert_eq!(text(esnic_strerror(i32::MIN)), "an unknown error");
    assert!(text(esnic_strerror(ESNIC_E_TIMEOUT as i32)).contains("in time"));
    assert_eq!(text(esnic_status_name(16)), "CONFLICT");
    assert_eq!(text(esnic_status_name(u32::MAX)), "?");
    assert_eq!(text(esnic_version()), env!("CARGO_PKG_VERSION"));
    assert_eq!(esnic_abi_version(), ESNIC_ABI_VERSION);
}
