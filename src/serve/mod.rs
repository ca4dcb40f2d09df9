// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `esnic serve`: a device of this process as a PCI function over vfio-user, for a driver in another
//! process, or for QEMU and a driver in its guest.

mod config;
mod endpoint;

use crate::Outcome;
use crate::args::ServeArgs;
use crate::device::{self, Kind};
use crate::failure::Failure;
use crate::output::{complain, say};
use anyhow::{Context, anyhow};
use endpoint::{Endpoint, Slot, lock};
use esnic_abi::{Bar, Device};
use esnic_vfio_user::{Remote, Server};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

pub use endpoint::Faults;
use esnic_abi::Params;
use rustix::process::{Resource, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

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
    serve_until(device, vectors, path, || ())
}

/// As [`serve`]; when it ends, for whatever reason, `then` is called.
///
/// # Errors
/// As there.
pub fn serve_until<D: Device + 'static>(
    device: D,
    vectors: u16,
    path: &Path,
    then: impl FnOnce() + Send + 'static,
) -> io::Result<Served<D>> {
    /// Called also if the device panics.
    struct Last<F: FnOnce()>(Option<F>);
    impl<F: FnOnce()> Drop for Last<F> {
        fn drop(&mut self) {
            if let Some(then) = self.0.take() {
                then();
            }
        }
    }
    let last = Last(Some(then));
    let server = Server::bind(path)?;
    let remote = server.remote();
    let bar_bytes = device.bar_bytes(Bar::Table);
    let mut endpoint = Endpoint::new(device, vectors);
    let slot = endpoint.slot();
    let thread = std::thread::Builder::new().name("esnic serve".to_owned()).spawn(move || {
        let _last = last;
        server.run(&mut endpoint)
    })?;
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

    /// Pulls the device out of its slot, under a client's hands if there is one: from now on every read, that
    /// of configuration space too, is all ones, as on a bus where nobody answers; writes and resets do nothing,
    /// and neither DMA nor an interrupt comes any more. For good.
    pub fn pull(&self) {
        lock(&self.slot).pull();
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

/// Runs the subcommand.
pub(crate) fn run(args: &ServeArgs) -> Outcome {
    device::check_trace(&args.device)?;
    if args.device.trace.is_some() && args.sockets.len() > 1 {
        return Err(Failure::Input(anyhow!(
            "--trace: a waveform is of one device; give one --socket"
        )));
    }
    allow_descriptors();
    match args.device.device {
        Kind::Model => offer(args, || device::model(&args.device), |_| ()),
        #[cfg(feature = "rtl")]
        Kind::Rtl => {
            let last = |device: &mut _| device::rtl::look_back(&args.device, device);
            offer(args, || device::rtl::device(&args.device), last)
        }
        Kind::Vfio(_) => Err(Failure::Input(anyhow!(
            "--device: a PCI function is the kernel's to lend; this takes a device of its own"
        ))),
        Kind::VfioUser(_) => Err(Failure::Input(anyhow!(
            "--device: what another process offers is offered already; this takes a device of its own"
        ))),
    }
}

/// Offers a device on each socket until a signal, or until one of them fails.
fn offer<D: Device + 'static>(
    args: &ServeArgs,
    make: impl Fn() -> Result<D, Failure>,
    last: impl Fn(&mut D),
) -> Outcome {
    // Before the first socket is there: it is to go whenever the signal comes.
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(Failure::device)?;
    let vectors = u16::from(Params::default().queue_pairs) + 1;
    let mut served = Vec::new();
    for path in &args.sockets {
        let (device, handle) = (make()?, signals.handle());
        let one = serve_until(device, vectors, path, move || Handle::close(&handle))
            .with_context(|| format!("--socket {}", path.display()))
            .map_err(Failure::Input)?;
        say!("{} is served on {}", args.device.device.name(), path.display());
        served.push(one);
    }
    // Ends with the first signal, or when a server that has ended closes it.
    let _ = signals.forever().next();
    let mut first = Ok(());
    for one in served {
        one.with_device(&last);
        let Faults { reads, writes } = one.faults();
        if reads + writes > 0 {
            let path = one.path().display();
            complain!(
                "esnic: warning: {path}: the device was refused {reads} reads and {writes} writes of memory"
            );
        }
        let path = one.path().to_owned();
        let ended = one.stop().with_context(|| path.display().to_string());
        first = first.and(ended.map_err(Failure::device));
    }
    first
}

/// Clients hand over a descriptor for each piece of memory: as many as this process may have at all.
fn allow_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
