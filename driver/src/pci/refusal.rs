// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Why a function cannot be used or cannot change hands, and what to do about it.

use super::address::Address;
use super::function::Ids;
use std::io;
use std::path::Path;

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such function.
    #[error("there is no PCI function {0}; `esnic devices` lists what is there")]
    NotThere(Address),
    /// Its ids are others.
    #[error(
        "{address} is {found}, not an esnic device ({}); with --any-id it is bound all the same",
        Ids::ESNIC
    )]
    NotEsnic {
        /// Which function.
        address: Address,
        /// Which ids it has.
        found: Ids,
    },
    /// The kernel has no IOMMU for it.
    #[error(
        "{0} is in no IOMMU group: the kernel runs without IOMMU; turn on VT-d, AMD-Vi or the SMMU in \
         the firmware and boot with intel_iommu=on (AMD and Arm need no option)"
    )]
    NoIommu(Address),
    /// Another driver has it.
    #[error("{address} is bound to {driver}, not vfio-pci: `esnic bind {address}`")]
    BoundTo {
        /// Which function.
        address: Address,
        /// Its driver.
        driver: String,
    },
    /// No driver has it.
    #[error("{0} is bound to no driver: `esnic bind {0}` lends it to user space")]
    Unbound(Address),
    /// The host works with it.
    #[error("{address} is in use by the host: {what}")]
    InUse {
        /// Which function.
        address: Address,
        /// What uses it and how that ends.
        what: String,
    },
    /// Others in its group belong to drivers of the kernel.
    #[error(
        "group {group} is not viable: {}; a group goes to user space as a whole, so bind them to \
         vfio-pci too, or to no driver",
        still_bound(.drivers)
    )]
    NotViable {
        /// Which group.
        group: u32,
        /// Function and driver.
        drivers: Vec<(Address, String)>,
    },
    /// A process has it open.
    #[error("{address} is held by {who}: end it first")]
    Held {
        /// Which function.
        address: Address,
        /// The processes.
        who: String,
    },
    /// The kernel has no vfio-pci.
    #[error("the kernel has no driver vfio-pci: `modprobe vfio-pci`")]
    NoVfio,
    /// The kernel did not do it.
    #[error("the kernel did not bind {address} to {wanted}: {found} has it; see the kernel log")]
    NotTaken {
        /// Which function.
        address: Address,
        /// Which driver should have it.
        wanted: String,
        /// Which driver has it.
        found: String,
    },
    /// Not allowed.
    #[error("{path}: not allowed; this takes root")]
    NotAllowed {
        /// Which file.
        path: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// Which file.
        path: String,
        /// What the system says.
        reason: String,
    },
}

impl Refusal {
    pub(super) fn file(path: &Path, error: &io::Error) -> Self {
        let path = path.display().to_string();
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::NotAllowed { path },
            _ => Self::File { path, reason: error.to_string() },
        }
    }
}

fn still_bound(drivers: &[(Address, String)]) -> String {
    let one =
        |(address, driver): &(Address, String)| format!("{address} is still bound to {driver}");
    drivers.iter().map(one).collect::<Vec<_>>().join(", ")
}
