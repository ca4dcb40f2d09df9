// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The host's files, below one root.

use super::address::Address;
use super::function::Function;
use super::refusal::Refusal;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How an attribute of the kernel's is written.
type Write1 = dyn Fn(&Path, &str) -> io::Result<()> + Send + Sync;

/// The host: where `/sys`, `/proc` and `/run` are.
pub struct Host {
    root: PathBuf,
    write: Box<Write1>,
}

impl Default for Host {
    /// The host that this process runs on.
    fn default() -> Self {
        Self::at("/")
    }
}

impl Host {
    /// The host whose files are below `root`.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), write: Box::new(write) }
    }

    /// As [`Self::at`], with attributes written by `write`: a tree that is made up has no kernel to act
    /// on them.
    #[cfg(test)]
    pub(super) fn with(
        root: impl Into<PathBuf>,
        write: impl Fn(&Path, &str) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { root: root.into(), write: Box::new(write) }
    }

    /// A file below the root.
    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// What the kernel shows of a function.
    pub(super) fn function_path(&self, address: Address) -> PathBuf {
        self.path("sys/bus/pci/devices").join(address.to_string())
    }

    /// A driver's directory.
    pub(super) fn driver_path(&self, driver: &str) -> PathBuf {
        self.path("sys/bus/pci/drivers").join(driver)
    }

    /// Writes an attribute.
    pub(super) fn write(&self, path: &Path, text: &str) -> Result<(), Refusal> {
        (self.write)(path, text).map_err(|error| Refusal::file(path, &error))
    }

    /// The function at `address`.
    ///
    /// # Errors
    /// If there is none.
    pub fn function(&self, address: Address) -> Result<Function, Refusal> {
        Function::read(self, address)
    }

    /// Every PCI function, by address.
    ///
    /// # Errors
    /// If the kernel shows no PCI bus.
    pub fn functions(&self) -> Result<Vec<Function>, Refusal> {
        let path = self.path("sys/bus/pci/devices");
        let entries = std::fs::read_dir(&path).map_err(|error| Refusal::file(&path, &error))?;
        let mut addresses: Vec<Address> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        addresses.sort();
        // One that is gone in the meantime is not there.
        Ok(addresses.into_iter().filter_map(|address| self.function(address).ok()).collect())
    }
}

/// Attributes are there already, and take a text in one write.
fn write(path: &Path, text: &str) -> io::Result<()> {
    std::fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

/// Text of an attribute without the line's end; `None` if it is not there.
pub(super) fn text(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// A number in an attribute, as the kernel prints them: hexadecimal with `0x`, else decimal.
pub(super) fn number(path: &Path) -> Option<u64> {
    let text = text(path)?;
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Last component of where a link leads.
pub(super) fn link_name(path: &Path) -> Option<String> {
    let to = std::fs::read_link(path).ok()?;
    to.file_name().map(|name| name.to_string_lossy().into_owned())
}

/// Names in a directory, sorted; none if it is not there.
pub(super) fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
