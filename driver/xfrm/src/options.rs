// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How to follow.

use std::net::IpAddr;

/// How to follow.
#[derive(Clone, Debug)]
pub struct Options {
    /// Addresses of the captured machine, for SAs whose direction nothing else tells.
    pub locals: Vec<IpAddr>,
    /// Whether dumps count; if not, replies with SAs and policies in them are taken for unseen.
    pub use_dumps: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { locals: Vec::new(), use_dumps: true }
    }
}
