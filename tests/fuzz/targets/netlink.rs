// SPDX-License-Identifier: Apache-2.0 OR MIT
//! libFuzzer around the target `netlink`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| esnic_fuzz::netlink::run(data));
