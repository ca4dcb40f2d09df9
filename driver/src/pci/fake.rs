// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A host that is made up: a tree of files in a temporary directory, and a kernel that acts on what is
//! written to three of them.

use super::host::Host;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// The tree.
pub(crate) struct Fake {
    root: PathBuf,
    kernel: Arc<Kernel>,
}

#[derive(Default)]
struct Kernel {
    written: Mutex<Vec<String>>,
    refused: Mutex<Option<String>>,
    forbids: Mutex<bool>,
}

/// One function of the tree, to be described further.
pub(crate) struct FakeFunction<'f> {
    fake: &'f Fake,
    address: String,
}

impl Fake {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("esnic-pci-{}-{number}", std::process::id()));
        let fake = Self { root, kernel: Arc::default() };
        fake.put("sys/bus/pci/drivers_probe", "");
        fake.driver("vfio-pci");
        fake
    }

    /// The host that this tree is.
    pub(crate) fn host(&self) -> Host {
        let (root, kernel) = (self.root.clone(), self.kernel.clone());
        Host::with(self.root.clone(), move |path, text| kernel.write(&root, path, text))
    }

    /// A function of an esnic device, in no group and with no driver.
    pub(crate) fn function(&self, address: &str) -> FakeFunction<'_> {
        let function = FakeFunction { fake: self, address: address.to_owned() };
        let real = format!("sys/devices/pci0000:00/{address}");
        std::fs::create_dir_all(self.root.join(&real)).unwrap();
        self.link(&format!("sys/bus/pci/devices/{address}"), &real);
        function.put("class", "0x100000\n");
        function.put("driver_override", "(null)\n");
        function.ids(0x1234, 0xE51C)
    }

    fn driver(&self, name: &str) {
        self.put(&format!("sys/bus/pci/drivers/{name}/bind"), "");
        self.put(&format!("sys/bus/pci/drivers/{name}/unbind"), "");
    }

    pub(super) fn put(&self, below: &str, text: &str) {
        let path = self.root.join(below);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn link(&self, below: &str, to: &str) {
        let path = self.root.join(below);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(self.root.join(to), path).unwrap();
    }

    pub(super) fn read(&self, below: &str) -> String {
        std::fs::read_to_string(self.root.join(below)).unwrap()
    }

    pub(super) fn exists(&self, below: &str) -> bool {
        self.root.join(below).exists()
    }

    pub(super) fn remove(&self, below: &str) {
        std::fs::remove_dir_all(self.root.join(below)).unwrap();
    }

    pub(super) fn driver_of(&self, address: &str) -> Option<String> {
        let link = self.root.join(format!("sys/bus/pci/devices/{address}/driver"));
        Some(std::fs::read_link(link).ok()?.file_name()?.to_str()?.to_owned())
    }

    /// A process with one open file.
    pub(crate) fn process(&self, pid: u32, name: &str, file: &str) {
        self.put(&format!("proc/{pid}/comm"), &format!("{name}\n"));
        let fd = self.root.join(format!("proc/{pid}/fd"));
        std::fs::create_dir_all(&fd).unwrap();
        symlink(file, fd.join("7")).unwrap();
    }

    /// From now on this driver takes no function.
    pub(super) fn refuse(&self, driver: &str) {
        *self.kernel.refused.lock().unwrap() = Some(driver.to_owned());
    }

    /// From now on attributes cannot be written.
    pub(super) fn forbid(&self) {
        *self.kernel.forbids.lock().unwrap() = true;
    }

    /// Which attributes were written.
    pub(super) fn written(&self) -> Vec<String> {
        self.kernel.written.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

impl FakeFunction<'_> {
    fn put(&self, name: &str, text: &str) {
        self.fake.put(&format!("sys/devices/pci0000:00/{}/{name}", self.address), text);
    }

    pub(super) fn ids(self, vendor: u16, device: u16) -> Self {
        self.put("vendor", &format!("{vendor:#06x}\n"));
        self.put("device", &format!("{device:#06x}\n"));
        self
    }

    pub(crate) fn group(self, number: u32) -> Self {
        let group = format!("sys/kernel/iommu_groups/{number}");
        let real = format!("sys/devices/pci0000:00/{}", self.address);
        self.fake.link(&format!("{group}/devices/{}", self.address), &real);
        self.fake.link(&format!("{real}/iommu_group"), &group);
        self
    }

    pub(crate) fn driver(self, name: &str) -> Self {
        self.fake.driver(name);
        let to = self.fake.root.join(format!("sys/bus/pci/drivers/{name}"));
        let link = self.fake.root.join(format!("sys/devices/pci0000:00/{}/driver", self.address));
        symlink(to, link).unwrap();
        self
    }

    /// The driver that takes it when the kernel looks for one.
    pub(super) fn claimed_by(self, driver: &str) -> Self {
        self.fake.driver(driver);
        self.put("claimed_by", driver);
        self
    }

    pub(super) fn bar2(self, bytes: u64) -> Self {
        let line = |first: u64, last: u64| format!("{first:#018x} {last:#018x} 0x0\n");
        let list = line(1 << 30, (1 << 30) + 0x7_FFFF) + &line(0, 0);
        self.put("resource", &(list + &line(1 << 35, (1 << 35) + bytes - 1)));
        self
    }

    pub(super) fn interface(self, name: &str, up: bool) -> Self {
        self.interface_below("net", name, up)
    }

    /// An interface of a virtio device, which is below the function.
    pub(super) fn virtio_interface(self, name: &str) -> Self {
        self.interface_below("virtio3/net", name, true)
    }

    fn interface_below(self, place: &str, name: &str, up: bool) -> Self {
        let real = format!("sys/devices/pci0000:00/{}/{place}/{name}", self.address);
        self.fake.put(&format!("{real}/flags"), if up { "0x1003\n" } else { "0x1002\n" });
        self.fake.link(&format!("sys/class/net/{name}"), &real);
        self
    }

    pub(super) fn disk(self, name: &str, number: &str) -> Self {
        let real = format!("sys/devices/pci0000:00/{}/nvme/nvme0/{name}", self.address);
        self.fake.put(&format!("{real}/dev"), &format!("{number}\n"));
        self.fake.link(&format!("sys/class/block/{name}"), &real);
        self
    }

    pub(super) fn boot_vga(self) -> Self {
        self.put("boot_vga", "1\n");
        self
    }

    pub(crate) fn cdev(self, name: &str) -> Self {
        self.put(&format!("vfio-dev/{name}/dev"), "510:0\n");
        self
    }
}

impl Kernel {
    fn write(&self, root: &Path, path: &Path, text: &str) -> io::Result<()> {
        if *self.forbids.lock().unwrap() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        // An attribute that is not there cannot be written.
        std::fs::metadata(path)?;
        self.written.lock().unwrap().push(path.display().to_string());
        let text = text.trim_end_matches('\n');
        let function = |address: &str| root.join("sys/bus/pci/devices").join(address);
        match path.file_name().and_then(|name| name.to_str()) {
            Some("driver_override") => {
                std::fs::write(path, if text.is_empty() { "(null)\n" } else { text })
            }
            Some("unbind") => std::fs::remove_file(function(text).join("driver")),
            Some("drivers_probe") => self.probe(root, &function(text)),
            Some("bind") => {
                symlink(path.parent().expect("a driver"), function(text).join("driver"))
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn probe(&self, root: &Path, function: &Path) -> io::Result<()> {
        if function.join("driver").exists() {
            return Ok(());
        }
        let wanted = std::fs::read_to_string(function.join("driver_override"))?;
        let wanted = match wanted.trim() {
            "(null)" => std::fs::read_to_string(function.join("claimed_by")).unwrap_or_default(),
            name => name.to_owned(),
        };
        let refused = self.refused.lock().unwrap().as_deref() == Some(&*wanted);
        if wanted.is_empty() || refused {
            return Ok(());
        }
        symlink(root.join("sys/bus/pci/drivers").join(wanted), function.join("driver"))
    }
}
