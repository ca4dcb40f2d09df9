// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An independent host for the contract tests: it speaks to a device at the raw boundary and shares
//! no queue code with the driver, so that a mistake of the driver cannot hide one of the device.
//!
//! Every test file compiles its own copy of this module and takes what it needs.
#![allow(dead_code, unreachable_pub, unused_imports, unused_macros)]

#[path = "../support/asked.rs"]
pub mod asked;
#[macro_use]
pub mod backend;
pub mod cmd;
#[cfg(not(esnic_guest))]
pub mod model;
pub mod oracle;
pub mod pair;
pub mod program;
pub mod rig;
#[cfg(not(esnic_guest))]
pub mod rtl;
#[path = "../support/small.rs"]
pub mod small;
#[path = "../support/thin.rs"]
pub mod thin;
#[cfg(esnic_guest)]
pub mod vfio;
#[cfg(not(esnic_guest))]
pub mod vfio_user;

pub use asked::not_asked;
pub use backend::{Backend, Fault, Took};
pub use cmd::{Cmd, digest_of, esp, live_view};
pub use esnic_abi::regs::{Counters, Doorbell, Global, MsixPba, MsixTable, QueuePair};
pub use esnic_abi::{
    Add, Algorithm, Bar, Direction, LiveView, Mode, Opcode, Params, Protocol, QpCause, QpState,
    QueryRecord, SlotState, Status, Top, UdpEncap, UpdateMode,
};
pub use esnic_driver::dma::DmaAccess;
pub use esnic_driver::regs;
pub use esnic_driver::transport::Transport;
#[cfg(not(esnic_guest))]
pub use model::Model;
pub use pair::{Done, PATIENCE, Pair, Path, Shape, Split};
pub use rig::Rig;
#[cfg(not(esnic_guest))]
pub use rtl::Rtl;
pub use small::small;
pub use thin::{rounds, thin};
#[cfg(esnic_guest)]
pub use vfio::Vfio;
#[cfg(not(esnic_guest))]
pub use vfio_user::VfioUser;
