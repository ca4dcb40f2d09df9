// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A device behind a real socket: served by a thread of this process, driven by the driver's
//! transport, with a hand on what is behind it.

use esnic::serve::{Served, serve};
use esnic_abi::{Bar, Device, Params};
use esnic_driver::Error;
use esnic_driver::dma::{DmaAccess, DmaBuffer};
use esnic_driver::transport::{Transport, VfioUser};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// A path for a socket that no other test has.
pub fn socket() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("esnic-{}-{number}.sock", std::process::id()))
}

/// Serves a device on a socket of its own.
pub fn serve_alone<D: Device + 'static>(device: D, params: &Params) -> Served<D> {
    let vectors = u16::from(params.queue_pairs) + 1;
    serve(device, vectors, &socket()).unwrap_or_else(|error| panic!("no server: {error}"))
}

/// Server and transport. The transport goes first, as a client that is done does.
pub struct Remote<D: Device + 'static> {
    pub transport: VfioUser,
    pub served: Served<D>,
}

impl<D: Device + 'static> Remote<D> {
    pub fn new(device: D, params: &Params) -> Self {
        let served = serve_alone(device, params);
        let transport = VfioUser::connect(served.path());
        Self { transport: transport.unwrap_or_else(|error| panic!("{error}")), served }
    }

    /// Runs `f` on the device itself, after every store that was posted.
    pub fn with_device<R>(&self, f: impl FnOnce(&mut D) -> R) -> R {
        let _ = self.transport.read32(Bar::Registers, 0);
        self.served.with_device(f)
    }

    /// DMA that the server's IOMMU refused.
    pub fn iommu_faults(&self) -> u64 {
        let faults = self.served.faults();
        faults.reads + faults.writes
    }
}

impl<D: Device + 'static> Transport for Remote<D> {
    fn name(&self) -> String {
        self.transport.name()
    }
    fn bar_bytes(&self, bar: Bar) -> u64 {
        self.transport.bar_bytes(bar)
    }
    fn read32(&self, bar: Bar, offset: u64) -> u32 {
        self.transport.read32(bar, offset)
    }
    fn write32(&self, bar: Bar, offset: u64, value: u32) {
        self.transport.write32(bar, offset, value);
    }
    fn write64(&self, bar: Bar, offset: u64, value: u64) {
        self.transport.write64(bar, offset, value);
    }
    fn store(&self, bar: Bar, offset: u64, quadwords: &[u64]) {
        self.transport.store(bar, offset, quadwords);
    }
    fn store_fence(&self) {
        self.transport.store_fence();
    }
    fn dma_alloc(&self, len_bytes: usize, access: DmaAccess) -> Result<DmaBuffer, Error> {
        self.transport.dma_alloc(len_bytes, access)
    }
    fn set_bus_master(&self, on: bool) -> Result<(), Error> {
        self.transport.set_bus_master(on)
    }
    fn reset(&self) -> Result<(), Error> {
        self.transport.reset()
    }
    fn enable_interrupts(&self, count: u16) -> Result<(), Error> {
        self.transport.enable_interrupts(count)
    }
    fn disable_interrupts(&self) -> Result<(), Error> {
        self.transport.disable_interrupts()
    }
    fn wait_interrupt(&self, vector: u16, deadline: Instant) -> Result<bool, Error> {
        self.transport.wait_interrupt(vector, deadline)
    }
    fn interrupt_fd(&self, vector: u16) -> Option<BorrowedFd<'_>> {
        self.transport.interrupt_fd(vector)
    }
    fn check(&self) -> Result<(), Error> {
        self.transport.check()
    }
    fn removal_fd(&self) -> Option<BorrowedFd<'_>> {
        self.transport.removal_fd()
    }
    fn relax(&self) {
        self.transport.relax();
    }
}
