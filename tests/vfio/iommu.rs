// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A device that reads or writes where it may not is stopped by the IOMMU, nothing of the machine's
//! memory changes, and the driver says so: at once for reads, by its deadline for posted writes (R46).
//!
//! Not shown here: that a device cannot read what it may only write. The IOMMU that QEMU makes passes
//! such a mapping on as one for both.

#[macro_use]
#[path = "../common/mod.rs"]
mod common;

use common::{
    Backend, Bar, Cmd, QpCause, QpState, QueuePair, Rig, Shape, Transport, Vfio, esp, regs,
};
use esnic_driver::dma::{DmaAccess, DmaBuffer};
use esnic_driver::transport;
use esnic_driver::{
    Change, Config, Error, KeyMaterial, KeyMemory, SaManager, SaSpec, SaUpdate, Suspicion,
    Timeouts, Verify, WaitError,
};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PAGE: usize = 4096;

/// Requests of the device that were refused so far: reads and writes.
fn refused(rig: &Rig<Vfio>) -> (u64, u64) {
    Vfio::refused(&rig.link).expect("every device is counted")
}

/// A page of this process that the device has no business with.
struct Canary(Vec<u8>);

impl Canary {
    const BYTE: u8 = 0xA5;

    fn new() -> Self {
        Self(vec![Self::BYTE; 2 * PAGE])
    }

    fn page(&self) -> &[u8] {
        let skip = self.0.as_ptr().align_offset(PAGE);
        &self.0[skip..skip + PAGE]
    }

    /// Where the machine has it: the address by which a device without IOMMU would find it.
    fn physical(&self) -> u64 {
        let entry = 8 * (self.page().as_ptr() as u64 / PAGE as u64);
        let mut map = std::fs::File::open("/proc/self/pagemap").expect("the map of pages");
        map.seek(SeekFrom::Start(entry)).expect("a place in it");
        let mut bytes = [0; 8];
        map.read_exact(&mut bytes).expect("an entry");
        let entry = u64::from_le_bytes(bytes);
        assert!(entry >> 63 == 1 && entry & ((1 << 55) - 1) != 0, "the page is in memory");
        (entry & ((1 << 55) - 1)) * PAGE as u64
    }

    #[track_caller]
    fn assert_alive(&self) {
        assert!(std::hint::black_box(self.page()).iter().all(|&byte| byte == Self::BYTE));
    }
}

fn bytes(buffer: &DmaBuffer) -> Vec<u8> {
    let mut bytes = vec![0; buffer.len_bytes()];
    buffer.read(0, &mut bytes);
    bytes
}

/// A pair whose ring is at `address` for the device, off as yet.
fn astray(rig: &mut Rig<Vfio>, register: QueuePair, address: u64) -> usize {
    let n = rig.configure(Shape::default());
    regs::set_queue_pair64(&*rig.link, n as u32, register, address);
    rig.pairs[n].enable();
    n
}

#[test]
fn a_read_outside_the_mappings_stops_the_pair_and_names_the_address() {
    let canary = Canary::new();
    let mut rig = Rig::<Vfio>::new();
    let ring = rig.pairs[0].sq.iova().0;
    for address in [canary.physical(), ring + PAGE as u64, ring - PAGE as u64, 1 << 38] {
        let (before, _) = refused(&rig);
        let n = astray(&mut rig, QueuePair::SQ_BASE, address);
        let nop = rig.stamp(Cmd::nop());
        rig.pairs[n].put(&nop);
        rig.pairs[n].ring();
        rig.pairs[n].await_state(QpState::Error);
        assert_eq!(rig.pairs[n].cause(), QpCause::SqRead);
        let found = regs::queue_pair64(&*rig.link, n as u32, QueuePair::QP_ERR_ADDR);
        assert_eq!(found, address, "QP_ERR_ADDR");
        assert_eq!(refused(&rig).0, before + 1);
        rig.pairs[n].disable();
        rig.pairs.pop();
        // Others are not affected (R26).
        rig.exec(Cmd::nop()).ok();
    }
    canary.assert_alive();
}

#[test]
fn a_write_outside_the_mappings_changes_nothing() {
    let canary = Canary::new();
    let mut rig = Rig::<Vfio>::new();
    let own = rig.pairs[0].cq.iova().0;
    let readable = rig.link.dma_alloc(PAGE, DmaAccess::DeviceReads).expect("memory");
    readable.write(0, &[Canary::BYTE; PAGE]);
    let places = [canary.physical(), own + PAGE as u64, own - PAGE as u64, readable.iova().0];
    for address in places {
        let (_, before) = refused(&rig);
        let n = astray(&mut rig, QueuePair::CQ_BASE, address);
        let ring = bytes(&rig.pairs[n].cq);
        let nop = rig.stamp(Cmd::nop());
        rig.pairs[n].put(&nop);
        rig.pairs[n].ring();
        // The device believes that it has answered: nobody answers a posted write.
        rig.wait("the completion", || rig.pairs[n].reg(QueuePair::CQ_TAIL) == 1);
        rig.settle();
        assert_eq!(rig.pairs[n].state(), QpState::Enabled, "R46: it does not know");
        assert_eq!(bytes(&rig.pairs[n].cq), ring);
        assert_eq!(refused(&rig).1, before + 1, "{address:#x}");
        rig.pairs[n].disable();
        rig.pairs.pop();
        rig.exec(Cmd::nop()).ok();
    }
    // A record, likewise.
    rig.add(&esp(3, 1));
    for address in places {
        let (_, before) = refused(&rig);
        rig.exec(Cmd::query_any(3, address)).ok();
        assert!(refused(&rig).1 > before, "{address:#x}");
    }
    canary.assert_alive();
    assert_eq!(bytes(&readable), vec![Canary::BYTE; PAGE]);
}

#[test]
fn what_was_given_back_is_out_of_reach() {
    let mut rig = Rig::<Vfio>::new();
    rig.add(&esp(3, 1));
    let buffer = rig.buffer();
    let address = buffer.iova().0;
    rig.exec(Cmd::query_any(3, address)).ok();
    assert!(!buffer.is_zero(), "the record arrived");
    let (_, before) = refused(&rig);
    drop(buffer);
    rig.exec(Cmd::query_any(3, address)).ok();
    assert!(refused(&rig).1 > before);
    // And is not given out again at once.
    assert_ne!(rig.buffer().iova().0, address);
}

/// The transport, but one register of pair 0 arrives with another value than was written.
struct Astray {
    link: transport::Vfio,
    register: QueuePair,
    /// What is added to it.
    offset: Arc<AtomicU64>,
}

impl Astray {
    fn is_it(&self, bar: Bar, offset: u64) -> Option<u64> {
        let place = self.register.address(0);
        let here = bar == Bar::Registers && (offset == place || offset == place + 4);
        here.then(|| self.offset.load(Ordering::Relaxed))
    }
}

impl Transport for Astray {
    fn name(&self) -> String {
        self.link.name()
    }
    fn bar_bytes(&self, bar: Bar) -> u64 {
        self.link.bar_bytes(bar)
    }
    fn read32(&self, bar: Bar, offset: u64) -> u32 {
        let value = self.link.read32(bar, offset);
        match self.is_it(bar, offset) {
            Some(by) if offset % 8 == 0 => value.wrapping_sub(by as u32),
            Some(by) => value.wrapping_sub((by >> 32) as u32),
            None => value,
        }
    }
    fn write32(&self, bar: Bar, offset: u64, value: u32) {
        self.link.write32(bar, offset, value);
    }
    fn write64(&self, bar: Bar, offset: u64, value: u64) {
        let by = self.is_it(bar, offset).unwrap_or(0);
        self.link.write64(bar, offset, value.wrapping_add(by));
    }
    fn store(&self, bar: Bar, offset: u64, quadwords: &[u64]) {
        self.link.store(bar, offset, quadwords);
    }
    fn store_fence(&self) {
        self.link.store_fence();
    }
    fn dma_alloc(&self, len_bytes: usize, access: DmaAccess) -> Result<DmaBuffer, Error> {
        self.link.dma_alloc(len_bytes, access)
    }
    fn set_bus_master(&self, on: bool) -> Result<(), Error> {
        self.link.set_bus_master(on)
    }
    fn reset(&self) -> Result<(), Error> {
        self.link.reset()
    }
    fn enable_interrupts(&self, count: u16) -> Result<(), Error> {
        self.link.enable_interrupts(count)
    }
    fn disable_interrupts(&self) -> Result<(), Error> {
        self.link.disable_interrupts()
    }
    fn wait_interrupt(&self, vector: u16, deadline: Instant) -> Result<bool, Error> {
        self.link.wait_interrupt(vector, deadline)
    }
    fn interrupt_fd(&self, vector: u16) -> Option<BorrowedFd<'_>> {
        self.link.interrupt_fd(vector)
    }
    fn relax(&self) {
        self.link.relax();
    }
}

/// The device executes, and its answers go astray; or it does not even find its commands.
fn driven_astray(register: QueuePair) -> (SaManager<Astray>, Arc<AtomicU64>, Canary) {
    let canary = Canary::new();
    let link = <Vfio as Backend>::plug(Rig::<Vfio>::small());
    let offset = Arc::new(AtomicU64::new(0));
    let link = Astray { link, register, offset: offset.clone() };
    let config = Config {
        key_memory: KeyMemory::BestEffort,
        timeouts: Timeouts {
            command: Duration::from_secs(2),
            queue_pair: Duration::from_secs(20),
            reset: Duration::from_secs(20),
        },
        ..Config::default()
    };
    let manager = SaManager::open(link, config).unwrap();
    let (sa, ticket) = manager.add(&spec()).unwrap();
    assert!(ticket.wait(Instant::now() + Duration::from_secs(10)).unwrap().is_ok());
    drop(ticket);
    // From the next bring-up on: a page of the machine, as the device without IOMMU would see it.
    let ring = manager.transport().link.read32(Bar::Registers, register.address(0));
    let high = manager.transport().link.read32(Bar::Registers, register.address(0) + 4);
    let ring = u64::from(high) << 32 | u64::from(ring);
    offset.store(canary.physical().wrapping_sub(ring), Ordering::Relaxed);
    let _ = sa;
    (manager, offset, canary)
}

fn spec() -> SaSpec {
    SaSpec {
        spi: esnic_abi::Spi(0x1234_5678),
        protocol: esnic_abi::Protocol::Esp,
        direction: esnic_abi::Direction::In,
        mode: esnic_abi::Mode::Tunnel,
        algorithm: esnic_abi::Algorithm::AesGcm256,
        icv_len: 16,
        src: "192.0.2.1".parse().unwrap(),
        dst: "198.51.100.1".parse().unwrap(),
        udp: None,
        esn: true,
        replay_window: 64,
        top: esnic_abi::Top::new(0, 1),
        lo_valid: true,
        keys: KeyMaterial::new([1; 4], &[0x5A; 32]).unwrap(),
    }
}

#[test]
fn the_driver_tells_of_a_refused_read_with_its_address() {
    let (manager, offset, canary) = driven_astray(QueuePair::SQ_BASE);
    let failed = manager.recover(Verify::All);
    let Err(Error::QueuePair { pair: 0, cause: Some(QpCause::SqRead), address }) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(address & !0xFFF, canary.physical());
    let text = failed.unwrap_err().to_string();
    assert!(text.contains(&format!("{address:#x}")), "{text}");
    canary.assert_alive();
    // The way back, with nothing forgotten.
    offset.store(0, Ordering::Relaxed);
    assert_eq!(manager.recover(Verify::All).unwrap().restored, 1);
    assert_eq!(manager.diff().unwrap(), []);
}

#[test]
fn the_driver_suspects_a_refused_write_by_its_deadline() {
    let (manager, offset, canary) = driven_astray(QueuePair::CQ_BASE);
    // The restore itself waits in vain, for as long as a command may take.
    let begun = Instant::now();
    let failed = manager.recover(Verify::All);
    assert!(matches!(failed, Err(Error::Misbehaves { .. })), "{failed:?}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    canary.assert_alive();
    offset.store(0, Ordering::Relaxed);
    assert_eq!(manager.recover(Verify::All).unwrap().restored, 1);
    drop(manager);

    // A ticket says what it looks like: an empty table this time, so that there is nothing to restore.
    let (manager, offset, canary) = driven_astray(QueuePair::CQ_BASE);
    let (row, handle) = {
        let row = &manager.read_table().unwrap()[0];
        (row.handle.row(), row.handle)
    };
    assert!(manager.delete(handle).unwrap().wait_default().unwrap().is_ok(), "row {row}");
    manager.recover(Verify::All).unwrap();
    let (sa, ticket) = manager.add(&spec()).unwrap();
    match ticket.wait_default() {
        Err(WaitError::Timeout { suspicion: suspicion @ Suspicion::DmaWrite, .. }) => {
            assert!(suspicion.to_string().contains("DMA fault suspected"), "{suspicion}");
        }
        other => panic!("{other:?}"),
    }
    canary.assert_alive();
    offset.store(0, Ordering::Relaxed);
    manager.recover(Verify::All).unwrap();
    let update =
        SaUpdate { protocol: esnic_abi::Protocol::Esp, spi: spec().spi, change: Change::hi(1) };
    assert!(manager.update(sa, update).is_err(), "an ADD that was aborted is no SA");
    assert_eq!(manager.diff().unwrap(), []);
}
