// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A device in this process, as a [`Transport`]: the model, or RTL in a simulator.
//!
//! It behaves like a bus. Stores are posted: they go into a queue and reach the device, in order,
//! when somebody steps it or reads from it, as a read on PCIe pushes the writes before it. DMA goes
//! through an IOMMU that knows exactly the buffers given out, with their access rights, and leaves
//! an unmapped page between any two. The device runs only inside [`Sim::relax`],
//! [`Sim::wait_interrupt`] and reads, so a single-threaded run is deterministic.

use super::Transport;
use crate::dma::{self, DmaAccess, DmaBuffer, Unmap};
use crate::error::Error;
use crossbeam::queue::ArrayQueue;
use esnic_abi::regs::{MsixTable, msix_table};
use esnic_abi::{Bar, Device, DmaFault, FunctionConfig, Host, Iova};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;
use vm_memory::{MmapRegion, VolatileMemory};
use zeroize::Zeroizing;

/// Stores that may be on their way; more make the storing thread deliver them itself.
const POSTED: usize = 1024;

/// Cycles that the device gets each time a loop polls, as long as it has work: enough for a batch.
const CYCLES_PER_POLL: u32 = 256;

/// Cycles between two looks whether it has; so that an idle device does not count many of them.
const CYCLES_PER_STEP: u32 = 16;

/// First address given out. Not 0, so that a forgotten address faults; not a host address either.
const FIRST_IOVA: u64 = 0x1_0000_0000;

/// Vectors that MSI-X can have on this function: one a pair, one for faults.
const MAX_VECTORS: usize = 65;

/// A store to a register on its way to the device.
#[derive(Clone, Copy)]
struct Posted {
    bar: Bar,
    offset: u64,
    value: u64,
    len: u8,
}

/// What the device may reach.
struct Mapping {
    region: Arc<MmapRegion>,
    access: DmaAccess,
}

/// Memory by first address.
#[derive(Default)]
struct Iommu {
    mappings: Mutex<BTreeMap<u64, Mapping>>,
    next: AtomicU64,
    faults: AtomicU64,
}

impl Iommu {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Mapping>> {
        self.mappings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unmap for Iommu {
    fn unmap(&self, iova: Iova, _len_bytes: usize) {
        self.lock().remove(&iova.0);
    }
}

/// The far end of the device's bus.
struct Memory {
    iommu: Arc<Iommu>,
    fired: Arc<[AtomicBool; MAX_VECTORS]>,
    interrupts: u64,
}

impl Memory {
    /// Runs `access` on the memory behind a range, or faults.
    fn reach<R>(
        &self,
        iova: u64,
        len_bytes: usize,
        wanted: DmaAccess,
        access: impl FnOnce(&MmapRegion, usize) -> Option<R>,
    ) -> Result<R, DmaFault> {
        let mappings = self.iommu.lock();
        let found = mappings.range(..=iova).next_back().and_then(|(first, mapping)| {
            let offset = usize::try_from(iova - first).ok()?;
            let end = offset.checked_add(len_bytes)?;
            let allowed = mapping.access == wanted && end <= mapping.region.size();
            allowed.then(|| access(&mapping.region, offset)).flatten()
        });
        found.ok_or_else(|| {
            self.iommu.faults.fetch_add(1, Ordering::Relaxed);
            DmaFault
        })
    }
}

impl Host for Memory {
    fn dma_read(&mut self, iova: u64, out: &mut [u8]) -> Result<(), DmaFault> {
        self.reach(iova, out.len(), DmaAccess::DeviceReads, |region, offset| {
            region.get_slice(offset, out.len()).ok().map(|slice| slice.copy_to(out)).map(drop)
        })
    }

    fn dma_write(&mut self, iova: u64, data: &[u8]) -> Result<(), DmaFault> {
        self.reach(iova, data.len(), DmaAccess::DeviceWrites, |region, offset| {
            let (quadwords, rest) = data.as_chunks::<8>();
            if !offset.is_multiple_of(8) || !rest.is_empty() {
                return region.get_slice(offset, data.len()).ok().map(|s| s.copy_from(data));
            }
            for (k, quadword) in quadwords.iter().enumerate() {
                // Release: a driver that sees bytes 8..15 of a completion sees 0..7 too (R12).
                region
                    .get_atomic_ref::<AtomicU64>(offset + 8 * k)
                    .ok()?
                    .store(u64::from_ne_bytes(*quadword), Ordering::Release);
            }
            Some(())
        })
    }

    fn interrupt(&mut self, vector: u16) {
        self.interrupts += 1;
        if let Some(fired) = self.fired.get(usize::from(vector)) {
            fired.store(true, Ordering::Release);
        }
    }
}

/// The device and its end of the bus; whoever holds the lock is the bus.
struct Slot<D> {
    device: D,
    memory: Memory,
    config: FunctionConfig,
    vectors: u16,
}

/// A device in this process.
pub struct Sim<D> {
    name: &'static str,
    slot: Mutex<Slot<D>>,
    /// Threads that wait for it with an access to make.
    accesses: AtomicU32,
    posted: ArrayQueue<Posted>,
    iommu: Arc<Iommu>,
    fired: Arc<[AtomicBool; MAX_VECTORS]>,
}

impl<D: Device> Sim<D> {
    /// Plugs a device in, as firmware leaves it: bus mastering and MSI-X off.
    pub fn new(name: &'static str, device: D) -> Self {
        let iommu = Arc::new(Iommu { next: FIRST_IOVA.into(), ..Iommu::default() });
        let fired = Arc::new([const { AtomicBool::new(false) }; MAX_VECTORS]);
        let memory = Memory { iommu: iommu.clone(), fired: fired.clone(), interrupts: 0 };
        Self {
            name,
            slot: Mutex::new(Slot {
                device,
                memory,
                config: FunctionConfig::default(),
                vectors: 0,
            }),
            accesses: 0.into(),
            posted: ArrayQueue::new(POSTED),
            iommu,
            fired,
        }
    }

    /// Runs `f` on the device itself, after every store that was posted: for tests that look behind
    /// the pins.
    pub fn with_device<R>(&self, f: impl FnOnce(&mut D) -> R) -> R {
        let mut slot = self.lock();
        self.deliver(&mut slot);
        f(&mut slot.device)
    }

    /// Gives the device `cycles` cycles. Returns whether it still has work.
    pub fn step(&self, cycles: u32) -> bool {
        let mut slot = self.lock();
        self.deliver(&mut slot);
        let Slot { device, memory, .. } = &mut *slot;
        device.step(memory, cycles)
    }

    /// Interrupt messages that the device sent since it was plugged in.
    pub fn interrupts(&self) -> u64 {
        self.lock().memory.interrupts
    }

    /// DMA requests outside the mappings or against their rights.
    pub fn iommu_faults(&self) -> u64 {
        self.iommu.faults.load(Ordering::Relaxed)
    }

    /// Buffers that the device can reach now.
    pub fn mappings(&self) -> usize {
        self.iommu.lock().len()
    }

    /// For an access, which goes before those who only let the device move: see [`Self::relax`].
    fn lock(&self) -> MutexGuard<'_, Slot<D>> {
        self.accesses.fetch_add(1, Ordering::Relaxed);
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        self.accesses.fetch_sub(1, Ordering::Relaxed);
        slot
    }

    fn deliver(&self, slot: &mut Slot<D>) {
        while let Some(store) = self.posted.pop() {
            let bytes = store.value.to_le_bytes();
            slot.device.write(store.bar, store.offset, &bytes[..usize::from(store.len)]);
        }
    }

    fn post(&self, mut store: Posted) {
        while let Err(back) = self.posted.push(store) {
            store = back;
            let mut slot = self.lock();
            self.deliver(&mut slot);
        }
    }

    fn configure(&self, change: impl FnOnce(&mut FunctionConfig)) {
        let mut slot = self.lock();
        self.deliver(&mut slot);
        let mut config = slot.config;
        change(&mut config);
        slot.config = config;
        slot.device.configure(config);
    }
}

impl<D: Device + 'static> Transport for Sim<D> {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn bar_bytes(&self, bar: Bar) -> u64 {
        self.lock().device.bar_bytes(bar)
    }

    fn read32(&self, bar: Bar, offset: u64) -> u32 {
        let mut slot = self.lock();
        self.deliver(&mut slot);
        let mut bytes = [0; 4];
        slot.device.read(bar, offset, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn write32(&self, bar: Bar, offset: u64, value: u32) {
        self.post(Posted { bar, offset, value: value.into(), len: 4 });
    }

    fn write64(&self, bar: Bar, offset: u64, value: u64) {
        self.post(Posted { bar, offset, value, len: 8 });
    }

    fn store(&self, bar: Bar, offset: u64, quadwords: &[u64]) {
        // Delivered at once: these bytes may be a key, and a queue would keep a copy.
        let mut slot = self.lock();
        self.deliver(&mut slot);
        let mut at = offset;
        let mut rest = quadwords;
        while !rest.is_empty() {
            // Never across a line, as a write-combining buffer would not.
            let room = 8 - (at as usize % 64) / 8;
            let (line, after) = rest.split_at(rest.len().min(room));
            let mut bytes = Zeroizing::new([0; 64]);
            for (to, quadword) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(line) {
                *to = quadword.to_le_bytes();
            }
            slot.device.write(bar, at, &bytes[..8 * line.len()]);
            at += 8 * line.len() as u64;
            rest = after;
        }
    }

    fn store_fence(&self) {
        // The posted queue keeps the order of stores; memory is ordered before it by this fence.
        std::sync::atomic::fence(Ordering::Release);
    }

    fn dma_alloc(&self, len_bytes: usize, access: DmaAccess) -> Result<DmaBuffer, Error> {
        let region = dma::allocate(len_bytes)?;
        let len = region.size() as u64;
        let iova = self.iommu.next.fetch_add(len + 4096, Ordering::Relaxed);
        self.iommu.lock().insert(iova, Mapping { region: region.clone(), access });
        Ok(DmaBuffer::new(region, Iova(iova), self.iommu.clone()))
    }

    fn set_bus_master(&self, on: bool) -> Result<(), Error> {
        self.configure(|config| config.bus_master = on);
        Ok(())
    }

    fn reset(&self) -> Result<(), Error> {
        let mut slot = self.lock();
        self.deliver(&mut slot);
        slot.device.reset();
        slot.config = FunctionConfig::default();
        slot.vectors = 0;
        for fired in self.fired.iter() {
            fired.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    fn enable_interrupts(&self, count: u16) -> Result<(), Error> {
        if usize::from(count) > MAX_VECTORS {
            let what = format!("{count} interrupt vectors wanted, MSI-X has {MAX_VECTORS} here");
            return Err(Error::Transport { name: self.name(), what });
        }
        let mut slot = self.lock();
        self.deliver(&mut slot);
        let unmasked = msix_table::MSG_CTRL::MASK.put(0, 0);
        for vector in 0..u32::from(count) {
            let place = MsixTable::MSG_CTRL.address(vector);
            slot.device.write(Bar::Msix, place, &unmasked.to_le_bytes());
        }
        slot.config.msix_enable = true;
        slot.vectors = count;
        let config = slot.config;
        slot.device.configure(config);
        Ok(())
    }

    fn disable_interrupts(&self) -> Result<(), Error> {
        self.configure(|config| config.msix_enable = false);
        Ok(())
    }

    fn wait_interrupt(&self, vector: u16, deadline: Instant) -> Result<bool, Error> {
        let fired = self.fired.get(usize::from(vector)).filter(|_| vector < self.lock().vectors);
        let Some(fired) = fired else {
            let what = format!("interrupt vector {vector} is not enabled");
            return Err(Error::Transport { name: self.name(), what });
        };
        loop {
            if fired.swap(false, Ordering::Acquire) {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            self.relax();
        }
    }

    fn relax(&self) {
        // A mutex is nobody's in turn. Threads that poll would take it from each other for ever, while one that
        // was woken to store something finds it taken each time that it gets to a core.
        if self.accesses.load(Ordering::Relaxed) > 0 {
            return std::thread::yield_now();
        }
        let mut slot = match self.slot.try_lock() {
            Ok(slot) => slot,
            // A panic inside the device is its test's business; the others go on.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Somebody else is moving the device.
            Err(TryLockError::WouldBlock) => return std::thread::yield_now(),
        };
        self.deliver(&mut slot);
        let Slot { device, memory, .. } = &mut *slot;
        let steps = CYCLES_PER_POLL / CYCLES_PER_STEP;
        let _idle = (0..steps).find(|_| !device.step(memory, CYCLES_PER_STEP));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that panics once.
    struct Fragile(bool);

    impl Device for Fragile {
        fn bar_bytes(&self, _: Bar) -> u64 {
            4096
        }
        fn read(&mut self, _: Bar, _: u64, out: &mut [u8]) {
            out.fill(7);
        }
        fn write(&mut self, _: Bar, _: u64, _: &[u8]) {}
        fn configure(&mut self, _: FunctionConfig) {}
        fn reset(&mut self) {}
        fn step(&mut self, _: &mut dyn Host, _: u32) -> bool {
            assert!(std::mem::replace(&mut self.0, true), "the first step panics");
            false
        }
    }

    #[test]
    fn a_panic_inside_the_device_does_not_hang_the_others() {
        let sim = Arc::new(Sim::new("fragile", Fragile(false)));
        let other = sim.clone();
        assert!(std::thread::spawn(move || other.relax()).join().is_err());
        sim.relax();
        assert_eq!(sim.read32(Bar::Registers, 0), 0x0707_0707);
    }
}
