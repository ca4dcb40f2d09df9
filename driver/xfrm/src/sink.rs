// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where the follower's findings go.

use crate::identity::{Direction, SaId};
use crate::replay::Replay;
use crate::sa::{Encap, Sa};

/// Why a sink could not do what it was told: its own error, passed through.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Something that holds a copy of the kernel's SAs, such as a NIC.
pub trait Sink {
    /// This is how the kernel has this SA now: make it so.
    ///
    /// It is called for SAs that the sink holds as well as for new ones; the sink decides whether
    /// to add, to replace, to advance, or to do nothing. It may not keep an older version of an
    /// SA that it answers [`Verdict::Skipped`] for; [`Sink::remove`] follows if it held one.
    fn present(&mut self, sa: &Sa, direction: Direction) -> Result<Verdict, SinkError>;

    /// The kernel's sequence numbers have changed. They may have gone back: user space can set
    /// them.
    fn advance(&mut self, id: &SaId, replay: Replay) -> Result<(), SinkError>;

    /// The ports of the encapsulation have changed, and nothing else.
    fn encap(&mut self, id: &SaId, encap: Encap) -> Result<(), SinkError>;

    /// The SA is gone. It is called only for SAs that the sink has taken.
    fn remove(&mut self, id: &SaId, why: Removal) -> Result<(), SinkError>;
}

/// Whether a sink holds an SA that was presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Taken,
    /// It cannot, for this reason.
    Skipped(String),
}

/// Why an SA is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Removal {
    /// A DELSA event.
    Deleted,
    /// A hard EXPIRE.
    Expired,
    /// A FLUSHSA event.
    Flushed,
    /// A complete dump did not list it: its end was lost or came before the capture.
    Missing,
    /// Another SA of the same name took its place that cannot be offloaded (yet).
    Replaced,
}
