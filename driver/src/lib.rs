// SPDX-License-Identifier: Apache-2.0 OR MIT
//! User-space driver of the esnic SA engine.
//!
//! [`SaManager::open`] takes any [`transport::Transport`], brings the device up, and from then on
//! keeps its SA table right: [`SaManager::add`], [`SaManager::update`], [`SaManager::delete`], each
//! of which returns a [`Ticket`] at once and never waits; [`SaManager::batch`] for many at a time;
//! [`SaManager::recover`] after a failure.
//!
//! Reading order: [`transport`] (the outside world), `dma`, `regs`, `nic` (bring-up), `sq` and `cq`
//! (the rings), `pending` (what is under way), `pair` (all of these together), `core` (how a command
//! leaves), [`sa`] (what users call).
//!
//! The device is not trusted: a completion is copied once and checked before it is believed, and
//! the first one that breaks the contract stops the driver ([`cq::Violation`]).
#![deny(unsafe_code)]

pub mod callback;
mod config;
mod core;
pub mod cq;
mod direct;
pub mod dma;
pub mod error;
mod gate;
mod nic;
pub mod oid;
mod pair;
pub mod pci;
mod pending;
pub mod regs;
mod resets;
pub mod sa;
#[allow(unsafe_code, reason = "locking pages that hold keys takes system calls")]
pub mod secret;
mod sq;
mod sync;
pub mod ticket;
pub mod transport;

pub use crate::core::PathPolicy;
pub use callback::{CallbackId, OnSettled};
pub use config::{Config, Timeouts};
pub use error::Error;
pub use nic::{Caps, counter, probe};
pub use oid::NdisStatus;
pub use pending::Settled;
pub use sa::inspect::{Difference, Row, Stats};
pub use sa::restore::{Report, Verify};
pub use sa::{
    Batch, Change, Path, SaHandle, SaManager, SaSpec, SaUpdate, State, SubmitError, UdpPorts,
    Unsupported, Wakeup,
};
pub use secret::{KeyMaterial, KeyMemory};
pub use ticket::{Outcome, Suspicion, Ticket, WaitError};
