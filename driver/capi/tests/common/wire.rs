// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The model on a wire that the test holds the other end of: it plants faults in the device, and panics
//! in the driver.

use esnic_abi::{Bar, Params};
use esnic_driver::Error;
use esnic_driver::dma::{DmaAccess, DmaBuffer};
use esnic_driver::transport::{Sim, Transport};
use esnic_model::Model;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What goes into the device's number; a clone stays with the test.
#[derive(Clone)]
pub struct Wire {
    pub sim: Arc<Sim<Model>>,
    /// The next read of a register panics.
    pub panic_in_read: Arc<AtomicBool>,
    /// The next step of a wait panics.
    pub panic_in_relax: Arc<AtomicBool>,
}

impl Wire {
    pub fn new(rows: u32) -> Self {
        let params = Params { sa_capacity: rows, stage_log2: 2, ..Params::default() };
        let sim = Arc::new(Sim::new("wire", Model::new(params).unwrap()));
        Self { sim, panic_in_read: Arc::default(), panic_in_relax: Arc::default() }
    }

    fn trip(flag: &AtomicBool) {
        assert!(!flag.swap(false, Ordering::Relaxed), "planted, with a7a7a7a7 in its text");
    }
}

impl Transport for Wire {
    fn name(&self) -> String {
        self.sim.name()
    }
    fn bar_bytes(&self, bar: Bar) -> u64 {
        self.sim.bar_bytes(bar)
    }
    fn read32(&self, bar: Bar, offset: u64) -> u32 {
        Self::trip(&self.panic_in_read);
        self.sim.read32(bar, offset)
    }
    fn write32(&self, bar: Bar, offset: u64, value: u32) {
        self.sim.write32(bar, offset, value);
    }
    fn write64(&self, bar: Bar, offset: u64, value: u64) {
        self.sim.write64(bar, offset, value);
    }
    fn store(&self, bar: Bar, offset: u64, quadwords: &[u64]) {
        self.sim.store(bar, offset, quadwords);
    }
    fn store_fence(&self) {
        self.sim.store_fence();
    }
    fn dma_alloc(&self, len_bytes: usize, access: DmaAccess) -> Result<DmaBuffer, Error> {
        self.sim.dma_alloc(len_bytes, access)
    }
    fn set_bus_master(&self, on: bool) -> Result<(), Error> {
        self.sim.set_bus_master(on)
    }
    fn reset(&self) -> Result<(), Error> {
        self.sim.reset()
    }
    fn enable_interrupts(&self, count: u16) -> Result<(), Error> {
        self.sim.enable_interrupts(count)
    }
    fn disable_interrupts(&self) -> Result<(), Error> {
        self.sim.disable_interrupts()
    }
    fn wait_interrupt(&self, vector: u16, deadline: Instant) -> Result<bool, Error> {
        self.sim.wait_interrupt(vector, deadline)
    }
    fn relax(&self) {
        Self::trip(&self.panic_in_relax);
        self.sim.relax();
    }
}
