// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What comes from outside as bytes, and what must hold whatever the bytes are. Each target is a function
//! that panics if something does not hold: libFuzzer calls it (`cargo xtask fuzz`), and so does a test, with
//! every input of the committed corpora.

pub mod completion;
pub mod heap;
pub mod input;
pub mod netlink;
pub mod request;
pub mod seeds;
mod sink;
mod support;

use std::path::{Path, PathBuf};

/// A target: its name, and what an input is given to.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 3] =
    [("request", request::run), ("netlink", netlink::run), ("completion", completion::run)];

/// Where the committed inputs of a target are.
#[must_use]
pub fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}
