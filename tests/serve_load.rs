// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The served function under load: two functions at once, resets and sleep by configuration space, and DMA that
//! the client's IOMMU refuses.

#[macro_use]
mod common;

use common::vfio_user::link::{serve_alone, socket};
use common::*;
use esnic_driver::transport;
use esnic_driver::{
    Change, Config, KeyMaterial, KeyMemory, SaManager, SaSpec, SaUpdate, SubmitError,
};
use esnic_vfio_user::Client;
use esnic_vfio_user::wire::{pci_irq, pci_region};
use rustix::event::{EventfdFlags, eventfd};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

type Served = Rig<VfioUser>;

/// A read that the client's memory does not allow fails at once, and the pair says where (R46).
#[test]
fn a_read_outside_the_mappings_is_told_at_once() {
    let mut rig = Served::ready(Served::small());
    rig.start(0x1234_5678);
    let n = rig.configure(Shape::default());
    // A ring that is nowhere.
    let nowhere = 0x7777_0000_0000u64;
    regs::set_queue_pair64(&*rig.link, n as u32, QueuePair::SQ_BASE, nowhere);
    rig.pairs[n].enable();
    let nop = rig.stamp(Cmd::nop());
    rig.pairs[n].put(&nop);
    rig.pairs[n].ring();
    let status = |rig: &Served| regs::queue_pair(&*rig.link, n as u32, QueuePair::QP_STATUS);
    rig.wait("an error", || status(&rig) & 0xFF == QpState::Error as u32);
    let place = regs::queue_pair64(&*rig.link, n as u32, QueuePair::QP_ERR_ADDR);
    assert_eq!(place & !0xFFF, nowhere);
    assert!(rig.link.served.faults().reads > 0);
}

fn spec(n: u32) -> SaSpec {
    let keys = KeyMaterial::new(n.to_be_bytes(), &[0x5A; 32]).unwrap();
    SaSpec {
        spi: esnic_abi::Spi(0x1000_0000 + n),
        protocol: Protocol::Esp,
        direction: Direction::In,
        mode: Mode::Tunnel,
        algorithm: Algorithm::AesGcm256,
        icv_len: 16,
        src: [192, 0, 2, 1].into(),
        dst: [198, 51, 100, 1].into(),
        udp: None,
        esn: true,
        replay_window: 64,
        top: Top::new(0, 1),
        lo_valid: true,
        keys,
    }
}

/// Updates one SA again and again, until somebody says that it is enough.
fn drive(manager: &SaManager<transport::VfioUser>, enough: impl Fn(u32) -> bool) -> u32 {
    let (sa, ticket) = manager.add(&spec(1)).unwrap();
    assert!(ticket.wait_default().unwrap().is_ok());
    let mut hi = 0;
    while !enough(hi) {
        let change =
            SaUpdate { protocol: Protocol::Esp, spi: spec(1).spi, change: Change::hi(hi + 1) };
        match manager.update(sa, change) {
            Ok(ticket) => assert!(ticket.wait_default().unwrap().is_ok()),
            Err(SubmitError::Full | SubmitError::Busy) => continue,
            Err(other) => panic!("{other}"),
        }
        hi += 1;
    }
    assert_eq!(manager.known_top(sa).unwrap().0.hi(), hi);
    assert_eq!(manager.diff().unwrap(), []);
    hi
}

#[test]
fn two_functions_of_one_process_are_driven_at_once() {
    let params = Served::small();
    let served = [(); 2].map(|()| serve_alone(esnic_model::Model::new(params).unwrap(), &params));
    let config = Config { key_memory: KeyMemory::BestEffort, ..Config::default() };
    let open = |k: usize| {
        let link = transport::VfioUser::connect(served[k].path()).unwrap();
        SaManager::open(link, config.clone()).unwrap()
    };
    let (first, second) = (open(0), open(1));
    std::thread::scope(|scope| {
        let other = scope.spawn(|| drive(&second, |hi| hi >= 3000));
        // One goes without a word while the other is busy.
        drive(&first, |hi| hi >= 500);
        first.transport().hang_up();
        drop(first);
        let again = open(0);
        drive(&again, |_| other.is_finished());
        assert_eq!(other.join().unwrap(), 3000);
    });
    // And one device knows nothing of the other's.
    assert_eq!(second.read_table().unwrap().len(), 1);
    drop(second);
    for one in served {
        one.stop().unwrap();
    }
}

fn dword(client: &Client, region: u32, place: u64) -> u32 {
    let mut bytes = [0; 4];
    client.read(region, place, &mut bytes).unwrap();
    u32::from_le_bytes(bytes)
}

/// Where a capability is, in a space whose list is in order.
fn capability(client: &Client, id: u8) -> u64 {
    let mut at = u64::from(dword(client, pci_region::CONFIG, 0x34) as u8);
    while dword(client, pci_region::CONFIG, at) as u8 != id {
        at = u64::from((dword(client, pci_region::CONFIG, at) >> 8) as u8);
        assert_ne!(at, 0, "capability {id:#x}");
    }
    at
}

#[test]
fn a_reset_by_configuration_space_keeps_wires_and_nothing_else() {
    let params = Served::small();
    let served = serve_alone(esnic_model::Model::new(params).unwrap(), &params);
    let client = Client::connect(served.path(), Duration::from_secs(20)).unwrap();
    let scratch = Global::SCRATCH.address(0);
    let control = capability(&client, 0x10) + 8;
    let msix = capability(&client, 0x11);
    assert_eq!(dword(&client, pci_region::CONFIG, msix) >> 16 & 0x7FF, 4, "five vectors");
    let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
    let memory = esnic_vfio_user::memory::sealed("memory", 4096).unwrap();
    for round in 0..3 {
        if round == 0 {
            client.connect_irqs(pci_irq::MSIX, 4, &[bell.as_fd()]).unwrap();
            client.map(0x1000, 4096, (true, true), (memory.as_fd(), 0)).unwrap();
        }
        client.write(pci_region::CONFIG, 4, &[6, 0]).unwrap();
        client.write(pci_region::CONFIG, msix + 3, &[0x80]).unwrap();
        client.write(0, scratch, &[1, 2, 3, 4]).unwrap();
        assert_eq!(dword(&client, 0, scratch), 0x0403_0201);
        let masked = |vector| dword(&client, 4, MsixTable::MSG_CTRL.address(vector)) & 1;
        assert_eq!((masked(4), masked(3)), (0, 1), "as far as they are connected");
        match round {
            0 => client.write(pci_region::CONFIG, control + 1, &[0x80]).unwrap(),
            1 => client.reset().unwrap(),
            _ => break,
        }
        assert_eq!(dword(&client, 0, scratch), 0);
        assert_eq!(dword(&client, pci_region::CONFIG, 4) as u16, 0);
        assert_eq!(dword(&client, pci_region::CONFIG, msix) >> 31, 0);
        assert_eq!((masked(4), masked(3)), (0, 1));
        assert_eq!(served.maps(), 1);
    }
    client.fire_irqs(pci_irq::MSIX, 4, &[1]).unwrap();
    rustix::io::read(&bell, &mut [0; 8]).unwrap();
    // ERR and REQ have a wire each.
    for kind in [pci_irq::ERR, pci_irq::REQ] {
        client.connect_irqs(kind, 0, &[bell.as_fd()]).unwrap();
        client.fire_irqs(kind, 0, &[1]).unwrap();
        rustix::io::read(&bell, &mut [0; 8]).unwrap();
    }
}

#[test]
fn a_function_that_sleeps_answers_with_all_ones_and_wakes_with_its_bits() {
    let params = Served::small();
    let served = serve_alone(esnic_model::Model::new(params).unwrap(), &params);
    let client = Client::connect(served.path(), Duration::from_secs(20)).unwrap();
    let scratch = Global::SCRATCH.address(0);
    let power = capability(&client, 0x01) + 4;
    client.write(0, scratch, &[1, 2, 3, 4]).unwrap();
    client.write(pci_region::CONFIG, power, &[3, 0]).unwrap();
    assert_eq!(dword(&client, pci_region::CONFIG, power) & 3, 3);
    assert_eq!(dword(&client, 0, scratch), u32::MAX);
    client.write(0, scratch, &[9; 4]).unwrap();
    client.write(pci_region::CONFIG, power, &[0, 0]).unwrap();
    assert_eq!(dword(&client, 0, scratch), 0x0403_0201);
}

/// Another device in the place of the first one, under its client's hands.
#[test]
fn a_device_can_be_replaced() {
    let params = Served::small();
    let model = || esnic_model::Model::new(params).unwrap();
    let served = serve_alone(model(), &params);
    let link = transport::VfioUser::connect(served.path()).unwrap();
    let id = |link: &transport::VfioUser| regs::global(link, Global::SCRATCH);
    regs::set_global(&link, Global::SCRATCH, 7);
    assert_eq!(id(&link), 7);
    assert!(served.replace(model()).is_ok());
    assert_eq!(id(&link), 0);
    let wide = Params { sa_capacity: 128, ..params };
    assert!(served.replace(esnic_model::Model::new(wide).unwrap()).is_err());
    let manager =
        SaManager::open(link, Config { key_memory: KeyMemory::BestEffort, ..Config::default() });
    drive(&manager.unwrap(), |hi| hi >= 10);
}

/// An idle function costs no processor time, with and without a client.
#[test]
fn an_idle_device_sleeps() {
    let params = Served::small();
    let served = serve_alone(esnic_model::Model::new(params).unwrap(), &params);
    let spent = || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    };
    // The best of three: what was to be done may come late on a busy machine.
    let idle = |what: &str| {
        let used = [(); 3].map(|()| {
            std::thread::sleep(Duration::from_millis(100));
            let before = spent();
            std::thread::sleep(Duration::from_millis(500));
            spent() - before
        });
        let some = used.iter().any(|&used| used < Duration::from_millis(25));
        assert!(some, "{what}: {used:?} of work in half seconds");
    };
    idle("without a client");
    let link = transport::VfioUser::connect(served.path()).unwrap();
    idle("with a client");
    let config = Config { key_memory: KeyMemory::BestEffort, ..Config::default() };
    let manager = SaManager::open(link, config).unwrap();
    drive(&manager, |hi| hi >= 100);
    idle("after work");
}

/// The path of a socket is told in what goes wrong.
#[test]
fn a_server_that_is_no_esnic_is_refused() {
    let path = socket();
    let begun = Instant::now();
    let Err(error) = transport::VfioUser::connect(&path) else { panic!("nobody is there") };
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    // Well before a client gives up one that does not answer.
    assert!(begun.elapsed() < Duration::from_secs(4));
}
