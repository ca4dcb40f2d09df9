// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is not asked of a backend: a test that ends early says so, and why. The guest's report counts it
//! apart from those that passed.

/// Says it.
pub fn not_asked(backend: &str, why: &str) {
    println!("not asked of {backend}: {why}");
}
