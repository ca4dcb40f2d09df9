// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is done once: file systems, modules, the functions' driver; and the end.

use crate::report::note;
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, reboot};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Mounts what a program may expect to find.
pub(crate) fn mount_all() -> Result<(), String> {
    // `devtmpfs` first: until then there is no console to complain on.
    for (what, place) in [
        ("devtmpfs", "/dev"),
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("tmpfs", "/tmp"),
        ("tmpfs", "/run"),
    ] {
        fs::create_dir_all(place).map_err(|error| format!("{place}: {error}"))?;
        mount(what, place, what, MountFlags::empty(), None)
            .map_err(|error| format!("mount of {what} at {place}: {error}"))?;
    }
    Ok(())
}

/// Loads every module of a directory, in the order of their names.
pub(crate) fn load_modules(place: &str) -> Result<(), String> {
    let explain =
        |what: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", what.display());
    let files = fs::read_dir(place).map_err(|error| format!("{place}: {error}"))?;
    let mut files: Vec<_> = files.flatten().map(|file| file.path()).collect();
    files.sort();
    for path in files {
        let file = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| explain(&path, &error))?;
        rustix::system::finit_module(&file, c"", 0).map_err(|error| explain(&path, &error))?;
    }
    Ok(())
}

/// Binds a function to `vfio-pci`.
pub(crate) fn give_to_vfio(address: &str) -> Result<(), String> {
    let device = format!("/sys/bus/pci/devices/{address}");
    if !Path::new(&device).exists() {
        return Err(format!("the guest has no PCI function {address}"));
    }
    let write = |path: String, text: &str| {
        fs::write(&path, text).map_err(|error| format!("{path}: {error}"))
    };
    write(format!("{device}/driver_override"), "vfio-pci")?;
    write("/sys/bus/pci/drivers_probe".to_owned(), address)?;
    let driver = fs::read_link(format!("{device}/driver"))
        .map_err(|error| format!("{address} was not bound to vfio-pci: {error}"))?;
    if driver.file_name().is_some_and(|name| name == "vfio-pci") {
        Ok(())
    } else {
        Err(format!("{address} is bound to {}", driver.display()))
    }
}

/// Seconds since the kernel started, and seconds that nothing ran.
pub(crate) fn uptime() -> (f64, f64) {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let mut numbers = text.split_whitespace().map(|n| n.parse().unwrap_or(0.0));
    (numbers.next().unwrap_or(0.0), numbers.next().unwrap_or(0.0))
}

/// Turns the machine off.
pub(crate) fn power_off() -> ! {
    rustix::fs::sync();
    for command in [RebootCommand::PowerOff, RebootCommand::Restart] {
        if let Err(error) = reboot(command) {
            note!("{command:?}: {error}");
        }
    }
    // The host's deadline is what remains.
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}
