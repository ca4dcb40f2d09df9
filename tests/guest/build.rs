// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tells the shared test modules that they are in the guest: there the device is a PCI function, and
//! nothing of it is in the process of the test.

fn main() {
    println!("cargo::rustc-cfg=esnic_guest");
    println!("cargo::rerun-if-changed=build.rs");
}
