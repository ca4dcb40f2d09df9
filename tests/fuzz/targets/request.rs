// SPDX-License-Identifier: Apache-2.0 OR MIT
//! libFuzzer around the target `request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| esnic_fuzz::request::run(data));
