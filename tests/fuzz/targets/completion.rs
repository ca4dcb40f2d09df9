// SPDX-License-Identifier: Apache-2.0 OR MIT
//! libFuzzer around the target `completion`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| esnic_fuzz::completion::run(data));
