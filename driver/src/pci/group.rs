// SPDX-License-Identifier: Apache-2.0 OR MIT
//! IOMMU groups: what the IOMMU cannot keep apart goes to user space together, or not at all.

use super::VFIO_DRIVER;
use super::address::Address;
use super::refusal::Refusal;

/// Another function of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Where it is.
    pub address: Address,
    /// Driver that has it.
    pub driver: Option<String>,
}

/// A group, from the view of one function in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its number.
    pub number: u32,
    /// Everybody else in it.
    pub neighbours: Vec<Neighbour>,
}

/// Drivers that do no DMA for the host: the kernel lets a group go to user space beside them.
const HARMLESS: [&str; 3] = [VFIO_DRIVER, "pci-stub", "pcieport"];

impl Group {
    /// Whether every neighbour leaves the group to user space.
    ///
    /// # Errors
    /// Which ones do not.
    pub fn viable(&self) -> Result<(), Refusal> {
        let hosts = self.neighbours.iter().filter_map(|neighbour| {
            let driver = neighbour.driver.clone()?;
            (!HARMLESS.contains(&&*driver)).then_some((neighbour.address, driver))
        });
        let drivers: Vec<_> = hosts.collect();
        if drivers.is_empty() {
            return Ok(());
        }
        Err(Refusal::NotViable { group: self.number, drivers })
    }
}
