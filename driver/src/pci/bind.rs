// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lending a function to user space, and giving it back to the driver that had it.
//!
//! Who had it is noted in `/run/esnic/ADDRESS` before anything changes: a line with the driver, or an
//! empty one. It is gone after a reboot, as the binding is.

use super::VFIO_DRIVER;
use super::address::Address;
use super::function::Function;
use super::host::{Host, text};
use super::refusal::Refusal;
use super::usage::driver;
use std::path::PathBuf;

/// What binding did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// It was bound already; nothing has changed.
    Already,
    /// It is bound now, and was to this driver, or none, before.
    From(Option<String>),
}

/// What unbinding did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unbound {
    /// It was not bound to vfio-pci; nothing has changed.
    Already(Option<String>),
    /// This driver, or none, has it again.
    To(Option<String>),
}

/// How careful to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// Take functions whose ids are not an esnic device's: shells may be built with others.
    pub any_id: bool,
}

impl Binding {
    /// Binds the function to vfio-pci, if that breaks nothing.
    ///
    /// # Errors
    /// What it would break, or what the kernel refused; then the function is where it was.
    pub fn bind(self, host: &Host, address: Address) -> Result<Bound, Refusal> {
        let function = host.function(address)?;
        if !function.is_esnic() && !self.any_id {
            return Err(Refusal::NotEsnic { address, found: function.ids });
        }
        let group = function.group(host)?;
        if function.driver.as_deref() == Some(VFIO_DRIVER) {
            return group.viable().map(|()| Bound::Already);
        }
        if !host.driver_path(VFIO_DRIVER).is_dir() {
            return Err(Refusal::NoVfio);
        }
        function.idle(host)?;
        group.viable()?;
        note(host, &function)?;
        let bound = take(host, &function, VFIO_DRIVER).and_then(|()| expect(host, address));
        if let Err(refusal) = bound {
            // Where it was. If that fails too, there is nothing better to say than the first reason.
            let _ = give_back(host, &function, function.driver.as_deref());
            return Err(refusal);
        }
        Ok(Bound::From(function.driver))
    }
}

impl Function {
    /// Takes the function from vfio-pci and gives it back to the driver that had it.
    ///
    /// # Errors
    /// Who has it open, or what the kernel refused.
    pub fn unbind(&self, host: &Host) -> Result<Unbound, Refusal> {
        if self.driver.as_deref() != Some(VFIO_DRIVER) {
            // What was noted, if anything, has been undone by somebody else.
            let _ = std::fs::remove_file(place(host, self.address));
            return Ok(Unbound::Already(self.driver.clone()));
        }
        // The kernel would wait for them, for ever.
        self.free(host)?;
        let before = text(&place(host, self.address)).filter(|name| !name.is_empty());
        give_back(host, self, before.as_deref())?;
        Ok(Unbound::To(driver(host, self.address)))
    }
}

fn place(host: &Host, address: Address) -> PathBuf {
    host.path("run/esnic").join(address.to_string())
}

fn note(host: &Host, function: &Function) -> Result<(), Refusal> {
    let place = place(host, function.address);
    let before = format!("{}\n", function.driver.as_deref().unwrap_or_default());
    let directory = host.path("run/esnic");
    std::fs::create_dir_all(&directory).map_err(|error| Refusal::file(&directory, &error))?;
    std::fs::write(&place, before).map_err(|error| Refusal::file(&place, &error))
}

/// Makes `wanted` the only driver that may have the function, frees it, and has the kernel look for a
/// driver.
fn take(host: &Host, function: &Function, wanted: &str) -> Result<(), Refusal> {
    host.write(&function.path().join("driver_override"), &format!("{wanted}\n"))?;
    probe(host, function)
}

fn probe(host: &Host, function: &Function) -> Result<(), Refusal> {
    let name = function.address.to_string();
    if driver(host, function.address).is_some() {
        host.write(&function.path().join("driver/unbind"), &name)?;
    }
    host.write(&host.path("sys/bus/pci/drivers_probe"), &name)
}

fn expect(host: &Host, address: Address) -> Result<(), Refusal> {
    match driver(host, address) {
        Some(found) if found == VFIO_DRIVER => Ok(()),
        found => Err(Refusal::NotTaken {
            address,
            wanted: VFIO_DRIVER.to_owned(),
            found: found.unwrap_or_else(|| "no driver".to_owned()),
        }),
    }
}

/// Undoes the override and puts `before` back, if any driver had it.
fn give_back(host: &Host, function: &Function, before: Option<&str>) -> Result<(), Refusal> {
    // An empty line takes the override away.
    host.write(&function.path().join("driver_override"), "\n")?;
    probe(host, function)?;
    let now = driver(host, function.address);
    if let Some(before) = before
        && now.as_deref() != Some(before)
    {
        // No driver lists these ids by itself, or another one was quicker: it is bound by hand.
        let name = function.address.to_string();
        if now.is_some() {
            host.write(&function.path().join("driver/unbind"), &name)?;
        }
        host.write(&host.driver_path(before).join("bind"), &name)?;
    }
    let _ = std::fs::remove_file(place(host, function.address));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::fake::Fake;

    const ESNIC: &str = "0000:03:00.0";

    fn bind(fake: &Fake, address: &str) -> Result<Bound, String> {
        let address = address.parse().unwrap();
        Binding::default().bind(&fake.host(), address).map_err(|refusal| refusal.to_string())
    }

    fn unbind(fake: &Fake, address: &str) -> Result<Unbound, String> {
        let host = fake.host();
        let function = host.function(address.parse().unwrap()).map_err(|e| e.to_string())?;
        function.unbind(&host).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn a_function_goes_to_user_space_and_back_to_the_driver_it_had() {
        let fake = Fake::new();
        fake.function(ESNIC).group(3).driver("esnic_net").claimed_by("esnic_net");
        let from = Bound::From(Some("esnic_net".to_owned()));
        assert_eq!(bind(&fake, ESNIC), Ok(from));
        assert_eq!(fake.driver_of(ESNIC).as_deref(), Some("vfio-pci"));
        assert_eq!(fake.read("run/esnic/0000:03:00.0"), "esnic_net\n");
        // Again is no change, and does not forget who had it.
        assert_eq!(bind(&fake, ESNIC), Ok(Bound::Already));
        assert_eq!(fake.read("run/esnic/0000:03:00.0"), "esnic_net\n");
        assert_eq!(unbind(&fake, ESNIC), Ok(Unbound::To(Some("esnic_net".to_owned()))));
        assert_eq!(fake.driver_of(ESNIC).as_deref(), Some("esnic_net"));
        assert!(!fake.exists("run/esnic/0000:03:00.0"));
        assert_eq!(unbind(&fake, ESNIC), Ok(Unbound::Already(Some("esnic_net".to_owned()))));
    }

    #[test]
    fn what_had_no_driver_has_none_again() {
        let fake = Fake::new();
        fake.function(ESNIC).group(3);
        assert_eq!(bind(&fake, ESNIC), Ok(Bound::From(None)));
        assert_eq!(unbind(&fake, ESNIC), Ok(Unbound::To(None)));
        assert_eq!(fake.driver_of(ESNIC), None);
        assert_eq!(unbind(&fake, ESNIC), Ok(Unbound::Already(None)));
    }

    #[test]
    fn a_driver_that_was_bound_by_hand_is_bound_by_hand_again() {
        let fake = Fake::new();
        fake.function(ESNIC).group(3).driver("uio_pci_generic");
        bind(&fake, ESNIC).unwrap();
        assert_eq!(unbind(&fake, ESNIC), Ok(Unbound::To(Some("uio_pci_generic".to_owned()))));
    }

    #[test]
    fn the_driver_that_had_it_comes_before_others_that_would_take_it() {
        let fake = Fake::new();
        fake.function(ESNIC).group(3).driver("uio_pci_generic").claimed_by("esnic_net");
        bind(&fake, ESNIC).unwrap();
        assert_eq!(unbind(&fake, ESNIC), Ok(Unbound::To(Some("uio_pci_generic".to_owned()))));
        assert_eq!(fake.driver_of(ESNIC).as_deref(), Some("uio_pci_generic"));
    }

    #[test]
    fn nothing_is_bound_that_would_break_something_else() {
        let fake = Fake::new();
        fake.function("0000:01:00.0").ids(0x8086, 0x1528).group(1).driver("ixgbe");
        fake.function("0000:02:00.0").driver("x");
        fake.function(ESNIC).group(3).driver("x");
        fake.function("0000:03:00.1").ids(0x144D, 0xA808).group(3).driver("nvme");
        fake.function("0000:04:00.0").group(4).driver("x").interface("eth4", true);
        fake.function("0000:05:00.0").group(5).driver("x").disk("nvme5n1", "259:5");
        fake.function("0000:06:00.0").group(6).driver("x").disk("nvme6n1", "259:6");
        fake.function("0000:07:00.0").group(7).driver("x").disk("nvme7n1", "259:7");
        fake.function("0000:08:00.0").group(8).driver("x").boot_vga();
        fake.function("0000:0a:00.0").group(10).driver("x").virtio_interface("eth10");
        fake.function("0000:0b:00.0").group(11).driver("x").disk("nvme11n1", "259:11");
        // The second as btrfs has it, with a number that is no disk's.
        let mounts = "36 1 259:5 / /srv rw - ext4 /dev/nvme5n1 rw\n\
                      37 1 0:42 /home /home rw shared:7 - btrfs /dev/nvme11n1 rw\n";
        fake.put("proc/self/mountinfo", mounts);
        fake.put("proc/swaps", "Filename Type Size\n/dev/nvme6n1 partition 1\n");
        fake.put("sys/class/block/nvme7n1/holders/dm-0/dev", "253:0\n");
        for (address, says) in [
            ("0000:01:00.0", "0000:01:00.0 is 8086:1528, not an esnic device (1234:e51c)"),
            ("0000:02:00.0", "boot with intel_iommu=on"),
            (ESNIC, "group 3 is not viable: 0000:03:00.1 is still bound to nvme"),
            ("0000:04:00.0", "in use by the host: interface eth4 is up"),
            ("0000:05:00.0", "nvme5n1 is mounted at /srv"),
            ("0000:06:00.0", "nvme6n1 is swapped to; `swapoff /dev/nvme6n1`"),
            ("0000:07:00.0", "nvme7n1 is part of dm-0"),
            ("0000:08:00.0", "it is the console's display"),
            ("0000:09:00.0", "there is no PCI function"),
            ("0000:0a:00.0", "interface eth10 is up"),
            ("0000:0b:00.0", "nvme11n1 is mounted at /home; `umount /home`"),
        ] {
            let before = fake.driver_of(address);
            let text = bind(&fake, address).unwrap_err();
            assert!(text.contains(says), "{text}");
            assert_eq!(fake.driver_of(address), before);
        }
        assert_eq!(fake.written(), [""; 0], "a refusal touches nothing");
        assert!(!fake.exists("run/esnic"));
    }

    #[test]
    fn other_ids_are_bound_only_if_they_are_asked_for() {
        let fake = Fake::new();
        fake.function("0000:01:00.0").ids(0x10EE, 0x9038).group(1);
        let binding = Binding { any_id: true };
        let bound = binding.bind(&fake.host(), "0000:01:00.0".parse().unwrap());
        assert_eq!(bound, Ok(Bound::From(None)));
        // What is in use stays in use.
        fake.function("0000:02:00.0").ids(0x10EE, 0x9038).group(2).interface("eth0", true);
        let bound = binding.bind(&fake.host(), "0000:02:00.0".parse().unwrap());
        assert!(matches!(bound, Err(Refusal::InUse { .. })), "{bound:?}");
    }

    #[test]
    fn an_interface_that_is_down_does_not_stand_in_the_way() {
        let fake = Fake::new();
        fake.function(ESNIC).group(3).driver("x").interface("eth0", false);
        assert_eq!(bind(&fake, ESNIC), Ok(Bound::From(Some("x".to_owned()))));
    }

    #[test]
    fn without_vfio_pci_nothing_is_taken_away() {
        let fake = Fake::new();
        fake.function(ESNIC).group(3).driver("x");
        fake.remove("sys/bus/pci/drivers/vfio-pci");
        let text = bind(&fake, ESNIC).unwrap_err();
        assert_eq!(text, "the kernel has no driver vfio-pci: `modprobe vfio-pci`");
        assert_eq!(fake.driver_of(ESNIC).as_deref(), Some("x"));
    }

    #[test]
    fn what_the_kernel_does_not_take_goes_back() {
        let fake = Fake::new();
        fake.function(ESNIC).group(3).driver("x").claimed_by("x");
        fake.refuse("vfio-pci");
        let text = bind(&fake, ESNIC).unwrap_err();
        assert!(text.contains("did not bind 0000:03:00.0 to vfio-pci: no driver has it"), "{text}");
        assert_eq!(fake.driver_of(ESNIC).as_deref(), Some("x"));
        assert!(!fake.exists("run/esnic/0000:03:00.0"));
    }

    #[test]
    fn without_root_the_file_is_named() {
        let fake = Fake::new();
        fake.function(ESNIC).group(3).driver("x");
        fake.forbid();
        let text = bind(&fake, ESNIC).unwrap_err();
        assert!(text.ends_with("driver_override: not allowed; this takes root"), "{text}");
    }

    #[test]
    fn what_somebody_has_open_is_not_taken_away() {
        let fake = Fake::new();
        fake.function(ESNIC).group(3).driver("vfio-pci");
        fake.process(4242, "esnic", "/dev/vfio/3");
        fake.process(17, "other", "/dev/vfio/33");
        let text = unbind(&fake, ESNIC).unwrap_err();
        assert_eq!(text, "0000:03:00.0 is held by process 4242 (esnic): end it first");
        assert_eq!(fake.driver_of(ESNIC).as_deref(), Some("vfio-pci"));
        let fake = Fake::new();
        fake.function(ESNIC).group(3).driver("vfio-pci").cdev("vfio5");
        fake.process(4, "qemu", "/dev/vfio/devices/vfio5");
        assert!(unbind(&fake, ESNIC).unwrap_err().contains("process 4 (qemu)"));
    }
}
