// SPDX-License-Identifier: Apache-2.0 OR MIT
//! PCI functions as the host's kernel shows them: what is there, in which IOMMU group, bound to which
//! driver; and how a function changes hands between its driver and `vfio-pci`.
//!
//! Everything here is files below `/sys`, `/proc` and `/run`. [`Host::at`] takes another root, so that
//! it can be tested on a tree that is made up.

mod address;
mod bind;
#[cfg(test)]
pub(crate) mod fake;
mod function;
mod group;
mod host;
mod refusal;
mod usage;

pub use address::{Address, NoAddress};
pub use bind::{Binding, Bound, Unbound};
pub use function::{Function, Ids};
pub use group::{Group, Neighbour};
pub use host::Host;
pub use refusal::Refusal;
pub use usage::Holder;

/// The driver that lends a function to user space.
pub const VFIO_DRIVER: &str = "vfio-pci";
