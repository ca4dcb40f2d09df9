// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The contract between an esnic device and whatever drives it.
//!
//! Registers ([`regs`]), records in memory ([`desc`]) and the codes inside them ([`codes`]) are
//! each described exactly once, by the macros of [`mod@macros`]. Every description expands to typed
//! Rust *and* to plain data ([`layout`]); [`emit`] prints the SystemVerilog package and the register
//! manual from that data, and [`ABI_HASH`] is a hash of it that a device shows in a register, so a
//! driver and a device that were built from different descriptions never talk to each other.
//!
//! The other half of the contract is behaviour: rules R1 to R47 of `docs/device.md`. The executable
//! form of those rules is the crate `esnic-model`.
//!
//! [`port`] holds the two traits through which any device is driven in-process: the pins of a PCI
//! function ([`port::Device`]) and what lies at the other end of its bus ([`port::Host`]).
//!
//! Reading order: [`numbers`], [`codes`], [`regs`], [`desc`], [`params`], [`port`].
#![forbid(unsafe_code)]

#[macro_use]
pub mod macros;

pub mod codes;
pub mod desc;
pub mod digest;
pub mod emit;
pub mod layout;
pub mod numbers;
pub mod params;
pub mod port;
pub mod regs;

pub use codes::*;
pub use desc::*;
pub use digest::digest;
pub use numbers::*;
pub use params::{Params, ParamsError};
pub use port::{Bar, Device, DmaFault, FunctionConfig, Host};

/// Everything that is frozen in this minor version, as data.
pub const LAYOUT: layout::Layout = layout::Layout {
    blocks: &[
        regs::Global::BLOCK,
        regs::Counters::BLOCK,
        regs::QueuePair::BLOCK,
        regs::Doorbell::BLOCK,
        regs::MsixTable::BLOCK,
        regs::MsixPba::BLOCK,
    ],
    records: desc::RECORDS,
    codes: codes::CODES,
    constants: codes::CONSTANTS,
};

/// Hash of [`LAYOUT`]: names, places, widths, access kinds and values, but not the prose.
///
/// A device reports it in `ABI_HASH`; a driver opens the device only if it is its own, or if its own
/// is listed in `COMPAT_HASH`.
pub const ABI_HASH: u64 = layout::hash(&LAYOUT);
