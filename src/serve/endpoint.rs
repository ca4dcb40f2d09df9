// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A device as a PCI function that a vfio-user server offers.

use super::config::{BYTES, ConfigSpace, Effect};
use esnic_abi::regs::{MsixTable, msix_table};
use esnic_abi::{Bar, Device, DmaFault, Host};
use esnic_vfio_user::function::{Change, Function, Irq, Map, Region};
use esnic_vfio_user::irqs::Irqs;
use esnic_vfio_user::memory::Memory;
use esnic_vfio_user::wire::{irq, pci_irq, pci_region, region};
use rustix::io::Errno;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Cycles between two looks at the clock.
const CYCLES: u32 = 16;

/// How long the device works before the next message gets its turn.
const SLICE: Duration = Duration::from_micros(20);

/// An idle device gets some cycles with each read, so that its clock runs on though nobody steps it
/// when nothing is to be done: so many, as long as they take no longer than that. One whose cycles
/// take longer gets them with fewer reads.
const IDLE_CYCLES: u32 = 256;
const TICK: Duration = Duration::from_micros(2);

/// Bytes of a bus access, at the most, and what it does not cross.
const LINE: usize = 64;

/// What its client refused the device, as an IOMMU counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Reads; the device was told.
    pub reads: u64,
    /// Writes; the device was not, since nobody answers a posted write (R46).
    pub writes: u64,
}

/// What the device reaches: the client's memory, and the client's ears.
struct Client {
    memory: Memory,
    /// By kind.
    irqs: [Irqs; pci_irq::COUNT as usize],
    faults: Faults,
}

impl Host for Client {
    fn dma_read(&mut self, iova: u64, out: &mut [u8]) -> Result<(), DmaFault> {
        self.memory.read(iova, out).map_err(|_| {
            self.faults.reads += 1;
            DmaFault
        })
    }

    fn dma_write(&mut self, iova: u64, data: &[u8]) -> Result<(), DmaFault> {
        if self.memory.write(iova, data).is_err() {
            self.faults.writes += 1;
        }
        Ok(())
    }

    fn interrupt(&mut self, vector: u16) {
        self.irqs[pci_irq::MSIX as usize].fire(vector.into());
    }
}

/// The device and all around it; whoever holds the lock is the bus.
pub(super) struct Slot<D> {
    pub(super) device: D,
    config: ConfigSpace,
    client: Client,
    /// Time that the last cycles while idle took beyond [`TICK`].
    debt: Duration,
    /// Nothing is in the slot any more.
    empty: bool,
}

impl<D: Device> Slot<D> {
    pub(super) fn faults(&self) -> Faults {
        self.client.faults
    }

    pub(super) fn maps(&self) -> usize {
        self.client.memory.maps()
    }

    /// Puts another device in its place, wired as the old one was.
    pub(super) fn replace(&mut self, device: D) -> D {
        let old = std::mem::replace(&mut self.device, device);
        self.wire();
        old
    }

    /// Pulls the device out: from now on the slot answers as an empty one does. It loses what it knew.
    pub(super) fn pull(&mut self) {
        self.device.reset();
        self.empty = true;
    }

    /// Tells a device that is fresh from reset what is outside of it.
    fn wire(&mut self) {
        self.device.configure(self.config.function());
        for vector in 0..self.client.irqs[pci_irq::MSIX as usize].count() {
            if self.client.irqs[pci_irq::MSIX as usize].is_connected(vector) {
                self.mask(vector, false);
            }
        }
    }

    fn reset(&mut self) {
        if self.empty {
            return;
        }
        self.device.reset();
        self.config.reset();
        self.wire();
    }

    /// Masks a vector or ends that. VFIO's clients do not see the table: a vector is masked exactly
    /// while it is not connected, and what it has to say stays pending meanwhile (R4).
    fn mask(&mut self, vector: u32, on: bool) {
        let control = msix_table::MSG_CTRL::MASK.put(0, on.into());
        let place = MsixTable::MSG_CTRL.address(vector);
        self.device.write(Bar::Msix, place, &control.to_le_bytes());
    }

    /// Lets a little time pass for the device, idle or not.
    fn tick(&mut self) {
        self.debt = self.debt.saturating_sub(TICK);
        if self.debt.is_zero() {
            let begun = Instant::now();
            self.run(IDLE_CYCLES, TICK, true);
            self.debt = begun.elapsed().saturating_sub(TICK).min(32 * TICK);
        }
    }

    /// Lets the device run for a while. Returns whether it has more to do.
    fn run(&mut self, cycles: u32, time: Duration, while_idle: bool) -> bool {
        if self.empty {
            return false;
        }
        let (begun, mut left) = (Instant::now(), cycles);
        loop {
            let busy = self.device.step(&mut self.client, CYCLES);
            left = left.saturating_sub(CYCLES);
            let over = left == 0 || begun.elapsed() >= time;
            if over || !(busy || while_idle) {
                return busy;
            }
        }
    }
}

/// The function.
pub(super) struct Endpoint<D> {
    slot: Arc<Mutex<Slot<D>>>,
    regions: Vec<Region>,
    irqs: Vec<Irq>,
}

impl<D: Device> Endpoint<D> {
    pub(super) fn new(device: D, vectors: u16) -> Self {
        let config = ConfigSpace::new(|bar| device.bar_bytes(bar), vectors);
        let mut regions = vec![Region::default(); pci_region::COUNT as usize];
        let flags = region::READ | region::WRITE;
        for bar in [Bar::Registers, Bar::Table, Bar::Msix] {
            let size = device.bar_bytes(bar).next_power_of_two();
            regions[bar.number() as usize] = Region { size, flags };
        }
        regions[pci_region::CONFIG as usize] = Region { size: BYTES as u64, flags };
        let mut irqs = vec![Irq::default(); pci_irq::COUNT as usize];
        for (kind, count) in [(pci_irq::MSIX, vectors.into()), (pci_irq::ERR, 1), (pci_irq::REQ, 1)]
        {
            irqs[kind as usize] = Irq { count, flags: irq::EVENTFD };
        }
        let ears = std::array::from_fn(|kind| Irqs::new(irqs[kind].count));
        let client = Client { memory: Memory::new(), irqs: ears, faults: Faults::default() };
        let slot = Arc::new(Mutex::new(Slot {
            device,
            config,
            client,
            debt: Duration::ZERO,
            empty: false,
        }));
        Self { slot, regions, irqs }
    }

    pub(super) fn slot(&self) -> Arc<Mutex<Slot<D>>> {
        self.slot.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Slot<D>> {
        lock(&self.slot)
    }
}

pub(super) fn lock<D>(slot: &Mutex<Slot<D>>) -> MutexGuard<'_, Slot<D>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The BAR that a region is.
fn bar(region: u32) -> Option<Bar> {
    [Bar::Registers, Bar::Table, Bar::Msix].into_iter().find(|bar| bar.number() == region)
}

/// The length of the next access: what is left, up to the end of the line.
fn step(offset: u64, left: usize) -> usize {
    left.min(LINE - (offset % LINE as u64) as usize)
}

impl<D: Device> Function for Endpoint<D> {
    fn regions(&self) -> Vec<Region> {
        self.regions.clone()
    }

    fn irqs(&self) -> Vec<Irq> {
        self.irqs.clone()
    }

    fn read(&mut self, region: u32, mut offset: u64, out: &mut [u8]) {
        let mut slot = self.lock();
        if slot.empty {
            return out.fill(0xFF);
        }
        let Some(bar) = bar(region) else { return slot.config.read(offset, out) };
        if !slot.config.is_awake() {
            return out.fill(0xFF);
        }
        slot.tick();
        let mut rest = out;
        while !rest.is_empty() {
            let (now, later) = rest.split_at_mut(step(offset, rest.len()));
            slot.device.read(bar, offset, now);
            offset += now.len() as u64;
            rest = later;
        }
    }

    fn write(&mut self, region: u32, mut offset: u64, data: &[u8]) {
        let mut slot = self.lock();
        if slot.empty {
            return;
        }
        let Some(bar) = bar(region) else {
            match slot.config.write(offset, data) {
                Effect::None => {}
                Effect::Changed => {
                    let function = slot.config.function();
                    slot.device.configure(function);
                }
                Effect::Reset => slot.reset(),
            }
            return;
        };
        if !slot.config.is_awake() {
            return;
        }
        let mut rest = data;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(step(offset, rest.len()));
            slot.device.write(bar, offset, now);
            offset += now.len() as u64;
            rest = later;
        }
    }

    fn map(&mut self, map: Map) -> Result<(), Errno> {
        self.lock().client.memory.map(map)
    }

    fn unmap(&mut self, range: RangeInclusive<u64>) {
        self.lock().client.memory.unmap(&range);
    }

    fn interrupts(&mut self, kind: u32, first: u32, change: Change) -> Result<(), Errno> {
        let mut slot = self.lock();
        let (connect, count) = match &change {
            Change::Connect(fds) => (Some(true), fds.len() as u32),
            Change::Disconnect(count) => (Some(false), *count),
            Change::Fire(_) => (None, 0),
        };
        let masks = kind == pci_irq::MSIX;
        // Masked before its ear is gone, and not unmasked before it is there: nothing gets lost.
        if masks && connect == Some(false) {
            (first..first + count).for_each(|vector| slot.mask(vector, true));
        }
        slot.client.irqs[kind as usize].change(first, change)?;
        if masks && connect == Some(true) {
            (first..first + count).for_each(|vector| slot.mask(vector, false));
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.lock().reset();
    }

    fn release(&mut self) {
        let mut slot = self.lock();
        slot.client.memory.clear();
        slot.client.irqs.iter_mut().for_each(Irqs::clear);
        slot.reset();
    }

    fn work(&mut self) -> bool {
        self.lock().run(u32::MAX, SLICE, false)
    }
}
