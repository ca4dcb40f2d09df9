// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `esnic serve`: a device of this process as a PCI function over vfio-user, for a driver in another
//! process, or for QEMU and a driver in its guest.

mod config;
mod endpoint;

use endpoint::{Endpoint, Slot, lock};
use esnic_abi::{Bar, Device};
use esnic_vfio_user::{Remote, Server};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

pub use endpoint::Faults;

/// A device that is being served: by a thread of its own, until this is dropped.
pub struct Served<D> {
    slot: Arc<Mutex<Slot<D>>>,
    remote: Remote,
    path: PathBuf,
    bar_bytes: u64,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// Serves a device with so many MSI-X vectors on a socket at `path`, fresh from power-on to its first
/// client and fresh from reset to every later one.
///
/// # Errors
/// If there can be no socket: `AddrInUse` if a server that lives listens there.
pub fn serve<D: Device + 'static>(device: D, vectors: u16, path: &Path) -> io::Result<Served<D>> {
    let server = Server::bind(path)?;
    let remote = server.remote();
    let bar_bytes = device.bar_bytes(Bar::Table);
    let mut endpoint = Endpoint::new(device, vectors);
    let slot = endpoint.slot();
    let thread = std::thread::Builder::new()
        .name("esnic serve".to_owned())
        .spawn(move || server.run(&mut endpoint))?;
    Ok(Served { slot, remote, path: path.to_owned(), bar_bytes, thread: Some(thread) })
}

impl<D: Device> Served<D> {
    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Counts clients, and stops the server.
    #[must_use]
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Runs `f` on the device itself: for tests that look behind the pins.
    pub fn with_device<R>(&self, f: impl FnOnce(&mut D) -> R) -> R {
        let out = f(&mut lock(&self.slot).device);
        // It may have something to do now.
        self.remote.wake();
        out
    }

    /// Puts another device into the place of this one, under a client's hands if there is one: as a
    /// reset that brings other silicon. Gives the old one back.
    ///
    /// # Errors
    /// The new one, if its SA table is of another length: hosts have laid that out.
    pub fn replace(&self, device: D) -> Result<D, D> {
        if device.bar_bytes(Bar::Table) != self.bar_bytes {
            return Err(device);
        }
        let old = lock(&self.slot).replace(device);
        self.remote.wake();
        Ok(old)
    }

    /// DMA that clients refused so far.
    #[must_use]
    pub fn faults(&self) -> Faults {
        lock(&self.slot).faults()
    }

    /// Ranges of memory that the present client has mapped.
    #[must_use]
    pub fn maps(&self) -> usize {
        lock(&self.slot).maps()
    }

    /// Whether the server has ended, by itself or because it was stopped.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Stops serving: the client is hung up on, the socket goes.
    ///
    /// # Errors
    /// If the server failed, or the device panicked.
    pub fn stop(mut self) -> io::Result<()> {
        self.end()
    }
}

impl<D> Served<D> {
    fn end(&mut self) -> io::Result<()> {
        self.remote.stop();
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(io::Error::other("the device panicked")),
        }
    }
}

impl<D> Drop for Served<D> {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
