// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Executable specification of the esnic device.
//!
//! [`Model`] is a whole device behind [`esnic_abi::Device`]: what it does on any sequence of accesses
//! is what the contract says a device does. Rules are cited as R1 to R47; `README.md` says how time
//! passes and how faults are made.
//!
//! Reading order: `model` puts the blocks together, `device` is its outside, `sched` decides what
//! happens next, `exec` carries out one command. Each other file is one noun of the device, under
//! the name it has in the driver and in RTL.
#![forbid(unsafe_code)]

mod check;
mod counters;
mod cq;
mod device;
mod direct;
mod doorbell;
mod esn;
mod exec;
mod fault;
mod model;
mod msix;
mod packet;
mod paged;
mod qp;
mod regs;
mod sa;
mod sched;
mod sq;
mod stage;
mod trace;
mod update;

pub use esn::{Position, authenticated, resolve, update};
pub use fault::{Fatal, Faults, Stuck, Trigger};
pub use model::Model;
pub use trace::Executed;
