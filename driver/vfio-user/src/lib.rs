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
//!
//! # Other implementations
//!
//! QEMU 11 attaches to this server (`vfio-user-pci`), including what it does beside the specification:
//! ranges mapped without a file, unmaps of what was never mapped, several of them at once, or up to
//! 2^64; posted writes and REGION_WRITE_MULTI.
//!
//! Crate `vfio_user` is a peer in the tests. Of its version 0.1.7 this has to be known:
//!
//! * Its client takes an error for a success (map, unmap, SET_IRQS, reset), and hangs when a read, a
//!   write or a question is refused: it waits for a longer answer than an error has. A server can do
//!   nothing about that but to refuse nothing that such a client asks; this one answers by the rules.
//! * Its client says of a device that can be reset that it cannot, and the other way round.
//! * Its server answers a refused message before it has read all of it, and takes the rest for the
//!   next message: after a refused write or map nothing fits any more. [`client::Client`] notices that and
//!   hangs up. It sends nothing that such a server refuses in this way: writes stay inside the
//!   regions that it was told of, and it uses SET_IRQS without DATA_BOOL except when asked to.
//! * Its server answers refused messages also where no answer is wanted. The client passes over such
//!   answers to posted writes.
//! * Its server gives errors of its backend without a reason; they are [`client::Error::Refused`] with
//!   EIO.
//! * Its server takes one descriptor a message, and tells so; vectors are then connected one by one.
//! * Its server serves one client and ends, and panics at a VERSION that is not as it likes it.
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
