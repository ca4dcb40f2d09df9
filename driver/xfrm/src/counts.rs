// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How much has happened.

/// How many events of the kernel there were: no dump entries, no replies that a request before
/// them explains, no copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// NEWSA.
    pub newsa: u64,
    /// UPDSA.
    pub updsa: u64,
    /// DELSA.
    pub delsa: u64,
    /// NEWAE.
    pub newae: u64,
    /// EXPIRE, soft and hard.
    pub expire: u64,
    /// FLUSHSA.
    pub flush: u64,
}
