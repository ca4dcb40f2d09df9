// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The requests of Windows' IPsec offload version 2 as bytes: `OID_TCP_TASK_IPSEC_OFFLOAD_V2_UPDATE_SA` and
//! its family, with the rules of direct requests. `docs/ipsecov2.md` has every rule, what is documented of
//! it and what is inferred.
//!
//! [`Port::submit`] takes a [`Request`] from any thread, at any time, and never waits. Each request is
//! completed exactly once, through [`Host::complete`], perhaps before `submit` returns. Somebody has to call
//! [`Port::poll`], as with [`crate::SaManager::poll`].
//!
//! On Windows the nodes of a list point to each other. Pointers leave the buffer, so a list is a list of
//! nodes here, and the member `Next` is not looked at.

mod desk;
mod inbound;
pub mod layout;
mod lines;
mod offload;
mod parse;
mod port;
mod rounds;
mod send;
mod state;
mod status;
mod watch;
mod work;

pub use offload::Ndis;
pub use port::{Options, Port};
pub use status::NdisStatus;

use std::fmt;
use zeroize::Zeroizing;

/// Numbers of the requests.
pub mod number {
    /// Adds SAs, a bundle a node. NDIS 6.1 and 6.20.
    pub const ADD_SA: u32 = 0xFC03_0202;
    /// Deletes SAs, one a node.
    pub const DELETE_SA: u32 = 0xFC03_0203;
    /// Sets the upper 32 bits of sequence numbers, one SA a node.
    pub const UPDATE_SA: u32 = 0xFC03_0204;
    /// Adds one SA or bundle. NDIS 6.30.
    pub const ADD_SA_EX: u32 = 0xFC03_0205;
    /// What is offloaded now; a query.
    pub const CURRENT_CONFIG: u32 = 0xFC01_020B;
    /// Turns offloads on and off.
    pub const PARAMETERS: u32 = 0xFC01_020C;
    /// What could be offloaded; a query.
    pub const HARDWARE_CAPABILITIES: u32 = 0xFC01_020D;
    /// The link layer's encapsulation; set and query.
    pub const ENCAPSULATION: u32 = 0x0101_010A;
}

/// Numbers of [`Indication::status`].
pub mod indication {
    /// A reset begins.
    pub const RESET_START: u32 = 0x4001_0004;
    /// It is over.
    pub const RESET_END: u32 = 0x4001_0005;
    /// What is offloaded has changed.
    pub const CURRENT_CONFIG: u32 = 0x4002_0006;

    /// Its name, without `NDIS_STATUS_`.
    #[must_use]
    pub const fn name(status: u32) -> &'static str {
        match status {
            RESET_START => "RESET_START",
            RESET_END => "RESET_END",
            CURRENT_CONFIG => "TASK_OFFLOAD_CURRENT_CONFIG",
            _ => "UNKNOWN",
        }
    }
}

/// What a request wants of its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Take what is in the nodes.
    Set,
    /// Fill the node.
    Query,
    /// Both.
    Method,
}

/// A structure, with what follows it. Wiped when dropped, since keys may be in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Node(Zeroizing<Vec<u8>>);

impl Node {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Node {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// A direct request.
#[derive(Clone, Debug)]
pub struct Request {
    /// For [`Port::cancel`]; 0 if it will not be cancelled. Need not be unique.
    pub id: u64,
    /// One of [`number`].
    pub oid: u32,
    /// What it wants.
    pub kind: Kind,
    /// The buffer; of a list, one after the other.
    pub nodes: Vec<Node>,
}

/// The end of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// As in the request.
    pub id: u64,
    /// As in the request.
    pub oid: u32,
    /// How it ended; never [`NdisStatus::PENDING`].
    pub status: NdisStatus,
    /// Bytes that the buffer should have had, if it was too short; else 0.
    pub bytes_needed: u32,
    /// Bytes that were read, if the request succeeded; else 0.
    pub bytes_read: u32,
    /// Bytes that were written, if a query succeeded; else 0.
    pub bytes_written: u32,
    /// The revision that was understood, if the request succeeded; else 0.
    pub supported_revision: u8,
    /// The nodes as they are left: an ADD has the handles filled in, and its keys wiped.
    pub nodes: Vec<Node>,
}

/// What is told without having been asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indication {
    /// One of [`indication`].
    pub status: u32,
    /// `NDIS_OFFLOAD`, where that has changed.
    pub node: Option<Node>,
}

/// Whoever is told. No lock is held meanwhile, so that requests can be submitted, cancelled and polled for
/// from in here. [`Port::reset`], [`Port::halt`] and [`Port::remove`] wait until calls of the device's have
/// returned, so they belong elsewhere: in here they may fail after their deadline.
pub trait Host: Send + Sync {
    /// A request has ended. Called exactly once for each, on whichever thread finds out, perhaps before the
    /// submitting call has returned.
    fn complete(&self, completion: Completion);

    /// Something has happened.
    fn indicate(&self, _indication: Indication) {}
}
