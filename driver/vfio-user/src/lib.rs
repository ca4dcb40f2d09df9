// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The vfio-user protocol, version 0.x, as QEMU and others speak it: a PCI function of one process,
//! used by another over a UNIX socket.
//!
//! [`server::Server`] offers anything that implements [`function::Function`]; [`client::Client`] uses
//! one. [`memory::Memory`] and [`irqs::Irqs`] are what a function needs to reach its client's memory
//! and to interrupt it. Nothing in here knows a NIC.
//!
//! Neither end trusts the other. Whatever comes in is bounded, checked, and answered by the rules, or
//! ends the connection; it never ends the process, and it never takes longer than somebody set.
#![forbid(unsafe_code)]

pub mod client;
pub mod function;
pub mod irqs;
pub mod memory;
pub mod server;
mod socket;
pub mod version;
pub mod wire;

pub use client::Client;
pub use function::Function;
pub use server::{Remote, Server};
pub use socket::Broken;
