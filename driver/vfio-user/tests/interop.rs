// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Against another implementation, crate `vfio_user`: its client on this server, this client on its
//! server. What has to be worked around there is in the documentation of this crate.

mod toy;

use esnic_vfio_user::Client;
use esnic_vfio_user::client::Error;
use esnic_vfio_user::wire::{pci_irq, pci_region};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use toy::{BAR, Seen, Served, socket};
use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, Server, ServerBackend, ServerRegion};

#[test]
fn its_client_on_this_server() {
    let served = Served::new();
    let mut client = vfio_user::Client::new(&served.path).unwrap();
    assert_eq!(client.region(0).unwrap().size, BAR);
    assert_eq!(client.region(pci_region::CONFIG).unwrap().size, 256);
    // It says the opposite of what it was told.
    assert!(!client.resettable());
    client.region_write(0, 8, &[1, 2, 3, 4]).unwrap();
    let mut data = [0; 4];
    client.region_read(0, 8, &mut data).unwrap();
    assert_eq!(data, [1, 2, 3, 4]);
    let irq = client.get_irq_info(pci_irq::MSIX).unwrap();
    assert_eq!((irq.count, irq.flags), (4, 1));
    let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
    let (eventfd_trigger, none_trigger) = (4 | 32, 1 | 32);
    client.set_irqs(pci_irq::MSIX, eventfd_trigger, 2, 1, &[bell.as_raw_fd()]).unwrap();
    client.set_irqs(pci_irq::MSIX, none_trigger, 2, 1, &[]).unwrap();
    let mut count = [0; 8];
    rustix::io::read(&bell, &mut count).unwrap();
    assert_eq!(u64::from_ne_bytes(count), 1);
    let memory = esnic_vfio_user::memory::sealed("memory", 0x3000).unwrap();
    client.dma_map(0x1000, 0x10_0000, 0x2000, memory.as_raw_fd()).unwrap();
    client.dma_unmap(0x10_0000, 0x2000).unwrap();
    client.reset().unwrap();
    // It takes an error for none; what it reads from is in step afterwards.
    client.dma_map(0, 1, 2, memory.as_raw_fd()).unwrap();
    client.region_read(0, 8, &mut data).unwrap();
    client.shutdown().unwrap();
    served.await_seen(&Seen::Release);
    let wanted = [
        Seen::Write(0, 8, vec![1, 2, 3, 4]),
        Seen::Connect(2, 2, 1),
        Seen::Fire(2, 2, vec![true]),
        Seen::Map(0x10_0000..=0x10_1FFF, true, true, true),
        Seen::Unmap(0x10_0000..=0x10_1FFF),
        Seen::Reset,
        Seen::Map(1..=2, true, true, true),
        Seen::Release,
    ];
    assert_eq!(served.seen(), wanted);
}

/// What its server was asked.
#[derive(Default)]
struct Backend {
    bar: Vec<u8>,
    memory: Option<(File, u64)>,
    bells: Vec<File>,
    resets: Arc<Mutex<u32>>,
}

impl ServerBackend for Backend {
    fn region_read(&mut self, _: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        data.copy_from_slice(&self.bar[offset as usize..][..data.len()]);
        Ok(())
    }
    fn region_write(&mut self, _: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        self.bar[offset as usize..][..data.len()].copy_from_slice(data);
        // A device at last: it answers a write by DMA and an interrupt.
        if let Some((file, at)) = &self.memory {
            file.write_all_at(data, *at)?;
        }
        for bell in &self.bells {
            rustix::io::write(bell, &1u64.to_ne_bytes())?;
        }
        Ok(())
    }
    fn dma_map(
        &mut self,
        flags: DmaMapFlags,
        offset: u64,
        _: u64,
        _: u64,
        fd: Option<File>,
    ) -> io::Result<()> {
        assert_eq!(flags, DmaMapFlags::WRITE);
        self.memory = fd.map(|file| (file, offset));
        Ok(())
    }
    fn dma_unmap(&mut self, _: DmaUnmapFlags, _: u64, _: u64) -> io::Result<()> {
        self.memory = None;
        Ok(())
    }
    fn reset(&mut self) -> io::Result<()> {
        *self.resets.lock().unwrap() += 1;
        Ok(())
    }
    fn set_irqs(&mut self, _: u32, _: u32, _: u32, count: u32, fds: Vec<File>) -> io::Result<()> {
        if count == 0 {
            self.bells.clear();
        }
        self.bells.extend(fds);
        Ok(())
    }
}

#[test]
fn this_client_on_its_server() {
    let path = socket();
    let resets = Arc::new(Mutex::new(0));
    let mut backend = Backend { bar: vec![0; 4096], resets: resets.clone(), ..Backend::default() };
    let irqs =
        (0..5).map(|index| IrqInfo { index, flags: 1, count: if index == 2 { 3 } else { 0 } });
    let regions = (0..9).map(|index| {
        let mut region_info = vfio_bindings::bindings::vfio::vfio_region_info::default();
        (region_info.argsz, region_info.index, region_info.flags) = (32, index, 3);
        region_info.size = 4096;
        ServerRegion { region_info, sparse_areas: Vec::new(), mmap_fd: None }
    });
    let server = Server::new(&path, true, irqs.collect(), regions.collect()).unwrap();
    let thread = std::thread::spawn(move || server.run(&mut backend).unwrap());
    let client = Client::connect(&path, Duration::from_secs(20)).unwrap();
    assert_eq!(client.limits().max_msg_fds, 1);
    assert_eq!(client.info().unwrap().irqs, 5);
    assert_eq!(client.region(0).unwrap().size, 4096);
    assert_eq!(client.irq(pci_irq::MSIX).unwrap().count, 3);
    let memory = esnic_vfio_user::memory::sealed("memory", 0x2000).unwrap();
    client.map(0x1000, 0x1000, (false, true), (memory.as_fd(), 0x1000)).unwrap();
    let bell = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
    let bells: [OwnedFd; 3] = std::array::from_fn(|_| bell());
    // One descriptor a message: that is all it takes.
    client.connect_irqs(pci_irq::MSIX, 0, &bells.each_ref().map(AsFd::as_fd)).unwrap();
    client.post(0, 4, &[9, 8, 7, 6]).unwrap();
    let mut data = [0; 4];
    client.read(0, 4, &mut data).unwrap();
    assert_eq!(data, [9, 8, 7, 6]);
    memory.read_exact_at(&mut data, 0x1000).unwrap();
    assert_eq!(data, [9, 8, 7, 6]);
    for bell in &bells {
        rustix::io::read(bell, &mut [0; 8]).unwrap();
    }
    // Its errors: here with a reason, and there without one.
    assert_eq!(client.read(99, 0, &mut data), Err(Error::Refused(Errno::INVAL)));
    assert_eq!(client.fire_irqs(99, 0, &[]), Err(Error::Refused(Errno::INVAL)));
    client.disconnect_irqs(pci_irq::MSIX).unwrap();
    client.unmap(0x1000, 0x1000).unwrap();
    client.reset().unwrap();
    assert_eq!(*resets.lock().unwrap(), 1);
    drop(client);
    thread.join().unwrap();
}
