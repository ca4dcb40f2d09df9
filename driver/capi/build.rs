// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Names the shared library after the major version of its interface, so that a program never runs with
//! another one.

fn main() {
    println!("cargo::rerun-if-changed=src/codes.rs");
    let codes = include_str!("src/codes.rs");
    let major = codes
        .lines()
        .find_map(|line| line.strip_prefix("pub const ESNIC_ABI_MAJOR: u32 = ")?.strip_suffix(';'));
    let major = major.expect("src/codes.rs says ESNIC_ABI_MAJOR");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libesnic_c.so.{major}");
}
