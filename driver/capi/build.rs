// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Names the shared library after the major version of its ABI, so that a program never runs with
//! another one.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libesnic_c.so.1");
}
