// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Structures of older and newer headers.

use super::*;
use crate::codes::esnic_error::ESNIC_E_INVALID;

fn caller() -> Caller<'static> {
    // SAFETY: the tests below hand in what is good as long as they run.
    unsafe { Caller::trusted() }
}

/// `esnic_update` as a header that knows eight bytes more has it.
#[derive(Clone, Copy)]
#[repr(C)]
struct Newer {
    update: esnic_update,
    more: [u8; 8],
}

fn update(size: usize) -> esnic_update {
    let size = u32::try_from(size).unwrap();
    esnic_update { size, spi: 1, protocol: 2, mode: 0, flags: 0, expected_hi: 0, hi: 7, lo: 0 }
}

#[test]
fn a_newer_structure_is_taken_if_it_says_nothing_new() {
    let mut newer = Newer { update: update(size_of::<Newer>()), more: [0; 8] };
    assert_eq!(caller().record(&raw const newer.update).unwrap().hi, 7);
    newer.more[7] = 1;
    let from = (&raw const newer).cast::<esnic_update>();
    assert_eq!(caller().record(from).unwrap_err().code, ESNIC_E_SIZE);
}

#[test]
fn a_size_that_cannot_be_is_refused() {
    for size in [0, 4, esnic_update::FIRST - 1, LONGEST + 1, u32::MAX as usize] {
        let bad = update(size);
        assert_eq!(caller().record(&raw const bad).unwrap_err().code, ESNIC_E_SIZE, "{size}");
    }
    let none = std::ptr::null::<esnic_update>();
    assert_eq!(caller().record(none).unwrap_err().code, ESNIC_E_INVALID);
}

#[test]
fn what_only_the_caller_knows_of_a_result_is_zeroed_and_nothing_beyond() {
    let mut bytes = [0xAA_u8; 48];
    bytes[..4].copy_from_slice(&32_u32.to_ne_bytes());
    let to = bytes.as_mut_ptr().cast::<esnic_outcome>();
    let value = esnic_outcome { size: 0, status: 5, flags: 6, reserved: 0, result: 7 };
    caller().out(to).unwrap().put(&value);
    assert_eq!(bytes[..4], 32_u32.to_ne_bytes(), "size stays");
    assert_eq!(bytes[4..8], 5_u32.to_ne_bytes());
    assert_eq!(bytes[16..24], 7_u64.to_ne_bytes());
    assert_eq!(bytes[24..32], [0; 8]);
    assert_eq!(bytes[32..], [0xAA; 16]);
}

#[test]
fn structures_may_lie_at_any_address() {
    let mut bytes = [0_u8; 32];
    let to = bytes[1..].as_mut_ptr();
    let value = update(24);
    // SAFETY: 24 of 31 bytes.
    unsafe { (&raw const value).cast::<u8>().copy_to_nonoverlapping(to, 24) };
    assert_eq!(caller().record(to.cast::<esnic_update>()).unwrap().hi, 7);
}

#[test]
fn a_text_is_cut_between_characters() {
    let mut buffer = [0x7F as c_char; 8];
    caller().text(buffer.as_mut_ptr(), 4, "ab\u{e9}\u{e9}");
    assert_eq!(buffer[..4], [b'a', b'b', 0, 0x7F].map(|byte| byte as c_char));
    caller().text(std::ptr::null_mut(), 4, "no place");
    caller().text(buffer.as_mut_ptr(), 0, "no room");
}

#[test]
fn an_array_is_of_one_size() {
    let item = esnic_item {
        size: 56,
        op: 1,
        sa: 2,
        spi: 3,
        protocol: 2,
        mode: 0,
        flags: 0,
        expected_hi: 0,
        hi: 4,
        lo: 0,
        error: 0,
        status: 0,
        outcome_flags: 0,
        result: 0,
    };
    let mut items = [item; 3];
    items[2].size = 64;
    let array = caller().array(items.as_mut_ptr(), 3).unwrap();
    assert_eq!(array.get(1).unwrap().hi, 4);
    assert_eq!(array.get(2).unwrap_err().code, ESNIC_E_SIZE);
}
