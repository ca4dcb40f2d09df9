// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The esnic device in SystemVerilog, in this process.
//!
//! The RTL under `rtl/` is compiled by Verilator when this crate is built. [`RtlDevice`] gives it a clock,
//! and a [`Bus`] at its AXI ports: the PCI Express fabric and the host bridge of a real machine, with
//! latency, reordering, back-pressure and faults to choose, and the same run for the same seed.
//!
//! ```
//! use esnic_abi::{Bar, DEVICE_ID, Device, Params, regs::Global};
//! use esnic_rtl::{Bus, RtlDevice};
//! let mut device = RtlDevice::new(Params::default(), Bus::default())?;
//! let mut id = [0; 4];
//! device.read(Bar::Registers, Global::ID.address(0), &mut id);
//! assert_eq!(u32::from_le_bytes(id), DEVICE_ID);
//! # Ok::<(), esnic_rtl::RtlError>(())
//! ```
#![deny(unsafe_code)]

mod bus;
mod check;
mod cycle;
mod datapath;
mod device;
mod dma_read;
mod dma_write;
mod error;
#[allow(unsafe_code)]
mod ffi;
mod milestone;
mod mmio;
mod pcie;
mod wave;

pub use bus::{Bus, Faults, Stalls, Stuck, Trigger};
pub use datapath::{Held, Lookup, Packet};
pub use device::{Issued, RtlDevice, builds};
pub use error::RtlError;
pub use ffi::Row;
pub use milestone::Milestones;
pub use pcie::{Packets, Traffic};
