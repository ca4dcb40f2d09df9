// SPDX-License-Identifier: Apache-2.0 OR MIT
//! QEMU with `vfio-user-pci`: the one on the path if it has it, else Debian's, unpacked below `target`
//! with the C library and all else it takes, and run by that library's own loader.

use super::apt::{self, Apt};
use super::kept;
use crate::Failure;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const RECIPE: &str = "qemu-system-x86 of trixie-backports, 1";
const PACKAGE: &str = "qemu-system-x86";
const PROGRAM: &str = "qemu-system-x86_64";
const DEVICE: &str = "vfio-user-pci";

/// A QEMU that runs.
pub(super) struct Qemu {
    /// For people.
    pub(super) version: String,
    unpacked: Option<PathBuf>,
    program: PathBuf,
}

impl Qemu {
    /// Finds one, or fetches one.
    pub(super) fn ensure(home: &Path) -> Result<Self, Failure> {
        let named = std::env::var_os("ESNIC_QEMU").map(PathBuf::from);
        let program = named.clone().unwrap_or_else(|| PROGRAM.into());
        let native = Self { version: String::new(), unpacked: None, program };
        if let Some(version) = native.suits() {
            return Ok(Self { version, ..native });
        }
        if let Some(named) = named {
            return Err(Failure::Work(format!(
                "ESNIC_QEMU={} is no QEMU with the device {DEVICE}, which came with release 10.1",
                named.display()
            )));
        }
        let place = home.join("qemu");
        if kept::version(&place, RECIPE).is_none() {
            println!("QEMU with {DEVICE} is missing: unpacking Debian's {PACKAGE}");
            kept::keep(&place, RECIPE, |new| fetch(home, new)).map_err(|why| {
                apt::refused(
                    "QEMU 10.1 or later",
                    &why,
                    "install one, or set ESNIC_QEMU to its program qemu-system-x86_64",
                )
            })?;
        }
        let place = place.canonicalize().unwrap_or(place);
        let program = place.join("usr/bin").join(PROGRAM);
        let unpacked = Self { version: String::new(), unpacked: Some(place), program };
        let version = unpacked.suits().ok_or_else(|| {
            Failure::Work(format!(
                "{} does not run, or has no {DEVICE}",
                unpacked.program.display()
            ))
        })?;
        Ok(Self { version, ..unpacked })
    }

    /// The start of its command line.
    pub(super) fn command(&self) -> Command {
        let Some(place) = &self.unpacked else { return Command::new(&self.program) };
        let libraries = place.join("usr/lib/x86_64-linux-gnu");
        let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(libraries).arg(&self.program);
        for data in ["qemu", "seabios"] {
            command.arg("-L").arg(place.join("usr/share").join(data));
        }
        command
    }

    /// Whether it understands an option.
    pub(super) fn has(&self, option: &str) -> bool {
        self.says("-help").is_some_and(|text| text.contains(option))
    }

    /// Its version, if it has the device.
    fn suits(&self) -> Option<String> {
        let devices =
            self.command().args(["-device", "help"]).stderr(Stdio::null()).output().ok()?;
        let devices = String::from_utf8_lossy(&devices.stdout).into_owned();
        devices.contains(&format!("\"{DEVICE}\"")).then_some(())?;
        self.says("--version")?.lines().next().map(str::to_owned)
    }

    fn says(&self, what: &str) -> Option<String> {
        let output = self.command().arg(what).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn fetch(home: &Path, new: &Path) -> Result<String, String> {
    let apt = Apt::open(home)?;
    let packages = apt.fetch_all(PACKAGE)?;
    let mut version = String::new();
    for package in &packages {
        let name = package.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(&format!("{PACKAGE}_")) {
            version = apt::version(package)?;
        }
        apt::unpack(package, new)?;
    }
    apt.close();
    // Settings and scripts of packages that are not installed.
    for rest in ["etc", "var", "usr/sbin", "usr/share/perl5", "usr/share/zoneinfo"] {
        let _old = fs::remove_dir_all(new.join(rest));
    }
    Ok(version)
}
