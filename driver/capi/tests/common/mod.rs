// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the tests of the C interface share: short words for what a C program does, and a device whose
//! faults the test can plant.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses some of it")]

pub mod wire;

pub use esnic_c::esnic_error::*;
pub use esnic_c::*;
use std::ffi::{CStr, CString};
use std::ptr::null_mut;

/// Longer than anything here takes.
pub const PATIENCE_MS: u32 = 20_000;

/// Bytes that no text may have in it, in whatever form.
pub const KEY: [u8; 36] = [0xA7; 36];

pub fn config() -> esnic_config {
    esnic_config {
        size: size_of::<esnic_config>() as u32,
        abi_version: ESNIC_ABI_VERSION,
        flags: ESNIC_OPEN_SWAPPABLE_KEYS,
        queue_pairs: 0,
        sq_log2: 0,
        cq_log2: 0,
        max_sas: 0,
        model_rows: 0,
        command_timeout_ms: 0,
        reset_timeout_ms: 0,
    }
}

pub fn open_as(name: &str, config: &esnic_config) -> (i32, esnic_device) {
    let name = CString::new(name).unwrap();
    let mut device = 0;
    // SAFETY: all three are good for the call.
    let error = unsafe { esnic_open(name.as_ptr(), config, &raw mut device) };
    (error, device)
}

/// The model, by its name.
pub fn model() -> esnic_device {
    let (error, device) = open_as("model", &config());
    ok(error);
    device
}

/// A call that must succeed.
#[track_caller]
pub fn ok(error: i32) {
    assert_eq!(error, ESNIC_OK as i32, "{}", last());
}

/// A call that must fail, with this.
#[track_caller]
pub fn fails(error: i32, with: esnic_error) -> String {
    assert_eq!(error, with as i32, "{}", last());
    last()
}

/// The sentence of this thread's last failure.
pub fn last() -> String {
    let mut buffer = [0; 512];
    // SAFETY: the buffer is as long as is said.
    let len = unsafe { esnic_last_error(buffer.as_mut_ptr(), buffer.len()) };
    // SAFETY: a 0 is behind the text.
    let text = unsafe { CStr::from_ptr(buffer.as_ptr()) }.to_str().unwrap().to_owned();
    assert_eq!(text.len(), len.min(buffer.len() - 1));
    text
}

pub fn sa(spi: u32, key: *const u8) -> esnic_sa {
    let mut src = [0; 16];
    src[..4].copy_from_slice(&[192, 0, 2, 1]);
    esnic_sa {
        size: size_of::<esnic_sa>() as u32,
        spi,
        protocol: esnic_protocol::ESNIC_ESP as u8,
        direction: esnic_direction::ESNIC_IN as u8,
        mode: esnic_mode::ESNIC_TUNNEL as u8,
        algorithm: esnic_algorithm::ESNIC_AES_GCM_256 as u8,
        icv_len: 16,
        family: 4,
        flags: ESNIC_SA_ESN | ESNIC_SA_LO_KNOWN,
        replay_window: 64,
        udp_src: 0,
        udp_dst: 0,
        src,
        dst: src,
        hi: 0,
        lo: 1,
        key,
        key_len: 36,
        reserved: 0,
    }
}

pub fn try_add(device: esnic_device, sa: &esnic_sa) -> (i32, esnic_handle, esnic_ticket) {
    let (mut handle, mut ticket) = (0, 0);
    // SAFETY: all are good for the call; `key` is `KEY`, NULL, or as long as the test says.
    let error = unsafe { esnic_add(device, sa, &raw mut handle, &raw mut ticket) };
    (error, handle, ticket)
}

/// An SA that the device has.
pub fn added(device: esnic_device, spi: u32) -> esnic_handle {
    let (error, handle, ticket) = try_add(device, &sa(spi, KEY.as_ptr()));
    ok(error);
    ok(wait(device, ticket, PATIENCE_MS).0);
    handle
}

pub fn hi(spi: u32, hi: u32) -> esnic_update {
    esnic_update {
        size: size_of::<esnic_update>() as u32,
        spi,
        protocol: esnic_protocol::ESNIC_ESP as u8,
        mode: esnic_update_mode::ESNIC_HI as u8,
        flags: 0,
        expected_hi: 0,
        hi,
        lo: 0,
    }
}

pub fn update(
    device: esnic_device,
    sa: esnic_handle,
    update: &esnic_update,
) -> (i32, esnic_ticket) {
    let mut ticket = 0;
    // SAFETY: both are good for the call.
    let error = unsafe { esnic_update(device, sa, update, &raw mut ticket) };
    (error, ticket)
}

pub fn query(device: esnic_device, sa: esnic_handle) -> (i32, esnic_ticket) {
    let mut ticket = 0;
    // SAFETY: it is good for the call.
    let error = unsafe { esnic_query(device, sa, &raw mut ticket) };
    (error, ticket)
}

pub fn delete(device: esnic_device, sa: esnic_handle) -> (i32, esnic_ticket) {
    let mut ticket = 0;
    // SAFETY: it is good for the call.
    let error = unsafe { esnic_delete(device, sa, &raw mut ticket) };
    (error, ticket)
}

pub fn outcome() -> esnic_outcome {
    let size = size_of::<esnic_outcome>() as u32;
    esnic_outcome { size, status: 77, flags: 77, reserved: 77, result: 77 }
}

pub fn wait(device: esnic_device, ticket: esnic_ticket, ms: u32) -> (i32, esnic_outcome) {
    let mut said = outcome();
    // SAFETY: it is good for the call.
    let error = unsafe { esnic_ticket_wait(device, ticket, ms, &raw mut said) };
    (error, said)
}

pub fn look(device: esnic_device, ticket: esnic_ticket) -> i32 {
    // SAFETY: the outcome may be NULL.
    unsafe { esnic_ticket_look(device, ticket, null_mut()) }
}

pub fn item(sa: esnic_handle, spi: u32, hi: u32) -> esnic_item {
    esnic_item {
        size: size_of::<esnic_item>() as u32,
        op: esnic_op::ESNIC_OP_UPDATE as u32,
        sa,
        spi,
        protocol: esnic_protocol::ESNIC_ESP as u8,
        mode: esnic_update_mode::ESNIC_HI as u8,
        flags: 0,
        expected_hi: 0,
        hi,
        lo: 0,
        error: 77,
        status: 77,
        outcome_flags: 77,
        result: 77,
    }
}

pub fn batch(device: esnic_device, items: &mut [esnic_item], ms: u32) -> (i32, u32) {
    let mut failed = 77;
    let count = items.len() as u32;
    // SAFETY: there are `count` items.
    let error = unsafe { esnic_batch(device, items.as_mut_ptr(), count, ms, &raw mut failed) };
    (error, failed)
}

/// Whether nothing of the key is in a text, as hexadecimal or decimal numbers.
#[track_caller]
pub fn keyless(text: &str) {
    let text = text.to_lowercase();
    for form in ["a7a7", "a7, a7", "a7 a7", "167, 167", "167 167", "\\xa7"] {
        assert!(!text.contains(form), "{text}");
    }
}
