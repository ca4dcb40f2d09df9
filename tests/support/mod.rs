// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the driver's tests share: devices that can be made to fail, a transport that writes down
//! what passes it, and SAs to work with.
//!
//! Every test file compiles its own copy of this module and takes what it needs.
#![allow(dead_code, unreachable_pub, unused_imports, unused_macros)]

pub mod asked;
#[macro_use]
pub mod backend;
pub mod calm;
pub mod histories;
pub mod hostile;
#[cfg(not(esnic_guest))]
pub mod model;
pub mod needle;
pub mod oids;
pub mod pumped;
pub mod recorder;
pub mod requests;
#[cfg(not(esnic_guest))]
pub mod rtl;
pub mod sas;
pub mod small;
pub mod thin;
#[cfg(esnic_guest)]
pub mod vfio;
#[cfg(not(esnic_guest))]
pub mod vfio_user;

pub use asked::not_asked;
pub use backend::{Backend, Link, Manager, config, open, open_on};
pub use calm::{let_it_run, work_until};
pub use esnic_abi::regs::{Counters, Doorbell, Global};
pub use esnic_abi::{Algorithm, Bar, Direction, Mode, Opcode, Params, Protocol, Spi, Status, Top};
pub use esnic_driver::transport::{Sim, Transport};
pub use esnic_driver::{
    Batch, Change, Config, Error, KeyMaterial, KeyMemory, OnSettled, Outcome, PathPolicy, SaHandle,
    SaManager, SaSpec, SaUpdate, Settled, State, Stats, SubmitError, Suspicion, Ticket, Timeouts,
    UdpPorts, Verify, WaitError,
};
pub use esnic_model::{Fatal, Faults, Stuck, Trigger};
#[cfg(not(esnic_guest))]
pub use model::Model;
pub use recorder::{Event, Recorder};
#[cfg(not(esnic_guest))]
pub use rtl::Rtl;
pub use sas::{ah, done, esp, hi, keys, outcome, settled, top_of, update};
pub use small::small;
pub use std::sync::Arc;
pub use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
pub use std::time::{Duration, Instant};
pub use thin::{rounds, thin};
#[cfg(esnic_guest)]
pub use vfio::Vfio;
#[cfg(not(esnic_guest))]
pub use vfio_user::VfioUser;
