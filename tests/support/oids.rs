// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A port to a device, and a host that writes down what it is told.

use super::backend::{Backend, Link, config, open};
pub use super::requests::*;
use super::small::small;
use esnic_abi::Params;
use esnic_driver::oid::{Completion, Host, Indication, Options, Port, Request, number};
use esnic_driver::transport::Transport;
use esnic_driver::{Config, NdisStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What was told.
#[derive(Default)]
pub struct Told {
    completions: Mutex<Vec<Completion>>,
    indications: Mutex<Vec<Indication>>,
}

impl Told {
    /// Completions since the last call.
    pub fn take_completions(&self) -> Vec<Completion> {
        let mut all = self.completions.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *all)
    }
}

impl Host for Told {
    fn complete(&self, completion: Completion) {
        self.completions.lock().unwrap_or_else(PoisonError::into_inner).push(completion);
    }

    fn indicate(&self, indication: Indication) {
        self.indications.lock().unwrap_or_else(PoisonError::into_inner).push(indication);
    }
}

/// A port to a device, and its host.
pub struct Desk<B: Backend> {
    pub port: Port<Link<B>>,
    pub link: Link<B>,
    pub told: Arc<Told>,
}

impl<B: Backend> Desk<B> {
    /// To a small device.
    pub fn new() -> Self {
        Self::with(small(), config(), options())
    }

    pub fn with(params: Params, config: Config, options: Options) -> Self {
        let (manager, link) = open::<B>(params, config);
        let told = Arc::new(Told::default());
        let port = Port::new(manager, options, told.clone()).expect("it is the first");
        Self { port, link, told }
    }

    /// What was told since the last call.
    pub fn completions(&self) -> Vec<Completion> {
        self.told.take_completions()
    }

    pub fn indications(&self) -> Vec<Indication> {
        let mut all = self.told.indications.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *all)
    }

    /// Waits until nothing is outstanding, and gives what was told.
    #[track_caller]
    pub fn wait(&self) -> Vec<Completion> {
        assert!(self.port.wait_idle(Instant::now() + Duration::from_secs(30)), "it hangs");
        self.completions()
    }

    /// Runs one request to its end.
    #[track_caller]
    pub fn run(&self, request: Request) -> Completion {
        self.port.submit(request);
        let mut all = self.wait();
        assert_eq!(all.len(), 1, "exactly one completion: {all:?}");
        all.remove(0)
    }

    /// Adds, and gives the handle.
    #[track_caller]
    pub fn add(&self, sa: &Add) -> u64 {
        let done = self.run(set(number::ADD_SA, [sa.bytes()]));
        assert_eq!(done.status, NdisStatus::SUCCESS);
        let handle = handle_of(&done, 0);
        assert_ne!(handle, 0);
        handle
    }

    /// Updates one element.
    #[track_caller]
    pub fn update(&self, handle: u64, operation: u32, spi: u32, hi: u32) -> NdisStatus {
        self.run(set(number::UPDATE_SA, [update_sa(handle, operation, spi, hi)])).status
    }

    #[track_caller]
    pub fn delete(&self, handle: u64) -> NdisStatus {
        self.run(set(number::DELETE_SA, [delete_sa(handle)])).status
    }

    /// High halves of the device's own table, with SPIs, in the order of rows.
    #[track_caller]
    pub fn table(&self) -> Vec<(u32, u32)> {
        let rows = self.port.manager().read_table().expect("a table");
        rows.iter().map(|row| (row.spi.0, row.top.hi())).collect()
    }

    /// Waits until nothing is left of what ended early, either.
    #[track_caller]
    pub fn quiet(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.port.is_quiet() {
            self.port.poll();
            self.link.relax();
            assert!(Instant::now() < deadline, "something goes on for ever");
        }
    }

    /// That device and shadow agree, and that nothing is left under way.
    #[track_caller]
    pub fn assert_clean(&self) {
        self.quiet();
        assert_eq!(self.port.outstanding(), 0);
        let stats = self.port.manager().stats();
        assert_eq!((stats.in_flight, stats.pending), (0, 0));
        assert_eq!(self.port.manager().diff().expect("a table"), []);
    }
}

/// Patience that outlasts a busy machine.
pub fn options() -> Options {
    Options { patience: Duration::from_secs(20), ..Options::default() }
}
