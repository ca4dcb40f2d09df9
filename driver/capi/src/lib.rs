// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The driver for programs in C, as `include/esnic.h` describes it, which is printed from this crate
//! by `cargo xtask capi`.
//!
//! Nothing that a caller can hand in by mistake is undefined behaviour, as long as pointers are NULL
//! or good: devices and tickets are numbers that are looked up, structures say how long they are,
//! enumerations arrive as integers and are checked. No panic leaves: it becomes an error code.
//!
//! Reading order: `types` and `codes` (what C sees), `calls` and `events` (its functions), `device` (what
//! is behind a device number, whatever its transport), `registry` and `tickets` (the numbers), `open`,
//! `convert`, `fail`. `unsafe` is in `calls` and `events`, which C calls, and in `foreign`, which reads and
//! writes its memory.
#![deny(unsafe_code)]

#[cfg(panic = "abort")]
compile_error!("esnic-capi turns panics into error codes, which takes panic = \"unwind\"");

#[allow(unsafe_code, reason = "C calls these functions and gives them pointers")]
mod calls;
mod codes;
mod convert;
mod device;
#[allow(unsafe_code, reason = "C calls these functions and gives them pointers")]
mod events;
mod fail;
#[allow(unsafe_code, reason = "reads and writes what C points to")]
mod foreign;
mod open;
mod registry;
mod tickets;
mod types;

pub use calls::*;
pub use codes::*;
pub use events::*;
pub use types::*;

use esnic_driver::transport::Transport;
use esnic_driver::{Config, Error, SaManager};

/// Opens a device over any transport, for programs that are partly in Rust: the number goes to the
/// part in C, and ends with [`esnic_close`]. Not in the header.
///
/// # Errors
/// As [`SaManager::open`].
pub fn adopt<T: Transport>(transport: T, config: Config) -> Result<esnic_device, Error> {
    let manager = SaManager::open(transport, config.clone())?;
    Ok(registry::enter(|serial| device::Open::new(manager, &config, serial)))
}
