// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One PCI function: what it is, who drives it, with whom it shares an IOMMU group.

use super::address::Address;
use super::group::{Group, Neighbour};
use super::host::{Host, link_name, number, text};
use super::refusal::Refusal;
use super::{VFIO_DRIVER, host};
use esnic_abi::SA_SLOT_BYTES;
use std::fmt;
use std::path::PathBuf;

/// Vendor and device of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ids {
    /// Vendor.
    pub vendor: u16,
    /// Device.
    pub device: u16,
}

impl Ids {
    /// What an esnic device has, unless its shell was built with others (§1 of the device manual).
    pub const ESNIC: Self = Self { vendor: 0x1234, device: 0xE51C };
}

impl fmt::Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.device)
    }
}

/// A PCI function as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Where it is.
    pub address: Address,
    /// Vendor and device.
    pub ids: Ids,
    /// Class, three bytes.
    pub class: u32,
    /// Driver that has it.
    pub driver: Option<String>,
    /// IOMMU group; `None` without IOMMU.
    pub group: Option<u32>,
    /// Length of BAR 2, the SA table; 0 if there is none.
    pub table_bytes: u64,
    path: PathBuf,
}

impl Function {
    pub(super) fn read(host: &Host, address: Address) -> Result<Self, Refusal> {
        let path = host.function_path(address);
        if !path.is_dir() {
            return Err(Refusal::NotThere(address));
        }
        let attribute = |name: &str| number(&path.join(name)).unwrap_or(0);
        #[allow(clippy::cast_possible_truncation)]
        Ok(Self {
            address,
            ids: Ids { vendor: attribute("vendor") as u16, device: attribute("device") as u16 },
            class: attribute("class") as u32,
            driver: link_name(&path.join("driver")),
            group: link_name(&path.join("iommu_group")).and_then(|name| name.parse().ok()),
            table_bytes: resource_bytes(&text(&path.join("resource")).unwrap_or_default(), 2),
            path,
        })
    }

    /// Whether the ids are those of an esnic device. What the device itself says is looked at when it
    /// is opened.
    #[must_use]
    pub fn is_esnic(&self) -> bool {
        self.ids == Ids::ESNIC
    }

    /// SAs that the table has room for: BAR 2 is as long as the table (§1 of the device manual), so
    /// nothing has to be asked of the device.
    #[must_use]
    pub fn capacity(&self) -> Option<u64> {
        (self.table_bytes > 0).then_some(self.table_bytes / SA_SLOT_BYTES)
    }

    /// Where the kernel shows it.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The group, with everybody in it.
    ///
    /// # Errors
    /// If there is no IOMMU.
    pub fn group(&self, host: &Host) -> Result<Group, Refusal> {
        let number = self.group.ok_or(Refusal::NoIommu(self.address))?;
        let path = host.path("sys/kernel/iommu_groups").join(number.to_string()).join("devices");
        let others = host::names(&path).into_iter().filter_map(|name| {
            let address: Address = name.parse().ok().filter(|other| *other != self.address)?;
            let driver = link_name(&host.function_path(address).join("driver"));
            Some(Neighbour { address, driver })
        });
        Ok(Group { number, neighbours: others.collect() })
    }

    /// Whether user space can open it as it is.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn ready(&self, host: &Host) -> Result<Group, Refusal> {
        let address = self.address;
        // First what nothing else helps against.
        let group = self.group(host)?;
        match &self.driver {
            None => Err(Refusal::Unbound(address)),
            Some(driver) if driver != VFIO_DRIVER => {
                Err(Refusal::BoundTo { address, driver: driver.clone() })
            }
            Some(_) => group.viable().map(|()| group),
        }
    }

    /// Name of the function's own character device, where the kernel has one.
    #[must_use]
    pub fn cdev(&self) -> Option<String> {
        let names = host::names(&self.path.join("vfio-dev"));
        names.into_iter().find(|name| name.starts_with("vfio"))
    }
}

/// Length of a BAR in the kernel's list: a line each of first address, last address, flags.
fn resource_bytes(list: &str, bar: usize) -> u64 {
    let line = list.lines().nth(bar).unwrap_or_default();
    let mut words = line
        .split_whitespace()
        .map(|word| u64::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).unwrap_or(0));
    match (words.next(), words.next()) {
        (Some(first), Some(last)) if last > first => last - first + 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::fake::Fake;

    #[test]
    fn what_the_kernel_shows_is_read() {
        let fake = Fake::new();
        fake.function("0000:03:00.0").ids(0x1234, 0xE51C).group(7).driver("vfio-pci").bar2(0x2000);
        fake.function("0000:03:00.1").ids(0x8086, 0x1528).group(7).driver("ixgbe");
        fake.function("0000:00:1f.0").ids(0x8086, 0x2918);
        let all = fake.host().functions().unwrap();
        let names: Vec<String> = all.iter().map(|one| one.address.to_string()).collect();
        assert_eq!(names, ["0000:00:1f.0", "0000:03:00.0", "0000:03:00.1"]);
        let esnic = &all[1];
        assert!(esnic.is_esnic() && !all[0].is_esnic());
        assert_eq!((esnic.group, esnic.capacity()), (Some(7), Some(64)));
        assert_eq!(esnic.class, 0x10_0000);
        assert_eq!((all[0].group, all[0].capacity(), &all[0].driver), (None, None, &None));
        let group = esnic.group(&fake.host()).unwrap();
        assert_eq!(group.neighbours[0].driver.as_deref(), Some("ixgbe"));
    }

    #[test]
    fn what_keeps_user_space_out_is_said_with_what_to_do() {
        let fake = Fake::new();
        fake.function("0000:01:00.0").driver("vfio-pci");
        fake.function("0000:02:00.0").group(2);
        fake.function("0000:03:00.0").group(3).driver("nvme");
        fake.function("0000:04:00.0").group(12).driver("vfio-pci");
        fake.function("0000:04:00.1").group(12).driver("ixgbe");
        fake.function("0000:04:00.2").group(12);
        fake.function("0000:00:01.0").group(12).driver("pcieport");
        fake.function("0000:05:00.0").group(5).driver("vfio-pci");
        fake.function("0000:05:00.1").group(5).driver("vfio-pci");
        let host = fake.host();
        let says = |address: &str| {
            let function = host.function(address.parse().unwrap())?;
            function.ready(&host).map(drop)
        };
        for (address, expected) in [
            ("0000:01:00.0", "boot with intel_iommu=on"),
            ("0000:02:00.0", "0000:02:00.0 is bound to no driver: `esnic bind 0000:02:00.0`"),
            (
                "0000:03:00.0",
                "0000:03:00.0 is bound to nvme, not vfio-pci: `esnic bind 0000:03:00.0`",
            ),
            ("0000:04:00.0", "group 12 is not viable: 0000:04:00.1 is still bound to ixgbe; "),
            ("0000:09:00.0", "there is no PCI function 0000:09:00.0; `esnic devices` lists"),
        ] {
            let text = says(address).unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
        }
        assert_eq!(says("0000:05:00.0"), Ok(()));
    }

    #[test]
    fn bars_that_are_not_there_have_no_length() {
        let list = "0x00000000fe000000 0x00000000fe07ffff 0x0000000000140204\n\
                    0x0000000000000000 0x0000000000000000 0x0000000000000000\n\
                    0x0000000800000000 0x00000008007fffff 0x000000000014220c\n";
        assert_eq!(resource_bytes(list, 0), 0x8_0000);
        assert_eq!(resource_bytes(list, 1), 0);
        assert_eq!(resource_bytes(list, 2), 0x80_0000);
        assert_eq!(resource_bytes(list, 9), 0);
        assert_eq!(resource_bytes("nonsense", 0), 0);
    }
}
