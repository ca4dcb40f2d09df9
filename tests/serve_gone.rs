// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One end of the socket dies: the other goes on, or says clearly that it cannot.

#[macro_use]
mod support;

#[path = "served/process.rs"]
#[allow(dead_code, unreachable_pub)]
mod process;

use esnic_abi::DeviceState;
use esnic_abi::regs::global;
use esnic_driver::regs;
use esnic_driver::transport;
use process::{Process, Server};
use rustix::process::Signal;
use std::path::Path;
use support::needle::Needle;
use support::vfio_user::link::{serve_alone, socket};
use support::*;

/// Far less than a deadline; more than a busy machine takes to notice.
const AT_ONCE: Duration = Duration::from_secs(10);

fn connect(path: &Path) -> transport::VfioUser {
    transport::VfioUser::connect(path).unwrap_or_else(|error| panic!("{error}"))
}

/// Manager, server process, and the moment at which the latter was killed in the middle of updates.
fn killed_while_busy(needle: &Needle) -> (SaManager<transport::VfioUser>, Vec<SaHandle>, Instant) {
    let mut server = Server::start(&[socket()], &["--capacity", "64"]);
    let config = Config { interrupts: true, ..config() };
    let manager = SaManager::open(connect(server.path()), config).unwrap();
    let add = |n| {
        let (sa, ticket) = manager.add(&needle.spec(n)).unwrap();
        done(&ticket);
        sa
    };
    let sas: Vec<SaHandle> = (0..8).map(add).collect();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        let at = Instant::now();
        server.process.signal(Signal::KILL);
        server.process.end();
        let _ = std::fs::remove_file(server.path());
        at
    });
    let error = (1u32..).find_map(|step| {
        let n = step % 8;
        let ticket = match manager.update(sas[n as usize], hi(n, step)) {
            Ok(ticket) => ticket,
            Err(SubmitError::Full | SubmitError::Busy) => return None,
            Err(other) => panic!("{other}"),
        };
        ticket.wait_default().err()
    });
    let at = killer.join().unwrap();
    assert_eq!(error, Some(WaitError::Device(Error::Gone)));
    assert!(at.elapsed() < AT_ONCE, "{:?}", at.elapsed());
    (manager, sas, at)
}

#[test]
fn a_server_that_is_killed_while_busy_is_a_device_that_is_gone() {
    let needle = Needle::new(7);
    let (manager, sas, at) = killed_while_busy(&needle);
    // Whatever is tried from now on, it fails at once, and with the same word.
    assert_eq!(manager.check(), Err(Error::Gone));
    assert_eq!(manager.recover(Verify::All).unwrap_err(), Error::Gone);
    assert!(manager.update(sas[0], hi(0, 1)).is_err());
    assert_eq!(manager.read_table().unwrap_err(), Error::Gone);
    assert_eq!(manager.transport().read32(Bar::Table, 0), u32::MAX);
    manager.transport().write32(Bar::Registers, 0, 1);
    let more = manager.transport().dma_alloc(4096, esnic_driver::dma::DmaAccess::DeviceReads);
    assert_eq!(more.unwrap_err(), Error::Gone);
    // The keys wait for a device to come back, until somebody gives up.
    assert!(!needle.places(&[]).is_empty());
    assert_eq!(manager.close().unwrap_err(), Error::Gone);
    assert_eq!(needle.places(&[]), [""; 0], "after close");
    drop(manager);
    assert_eq!(needle.places(&[]), [""; 0], "after drop");
    assert!(at.elapsed() < 5 * AT_ONCE, "{:?}", at.elapsed());
}

#[test]
fn who_sleeps_on_an_interrupt_is_woken_when_the_server_dies() {
    let mut server = Server::start(&[socket()], &["--capacity", "64"]);
    let link = connect(server.path());
    link.reset().unwrap();
    link.enable_interrupts(2).unwrap();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        server.process.signal(Signal::KILL);
        server.process.end();
        let _ = std::fs::remove_file(server.path());
        Instant::now()
    });
    let late = Instant::now() + Duration::from_secs(60);
    assert_eq!(link.wait_interrupt(1, late), Err(Error::Gone));
    assert!(killer.join().unwrap().elapsed() < AT_ONCE);
}

/// A stopped process does not hang up. Then the transport's own deadline ends the wait, once.
#[test]
fn a_server_that_stops_answering_costs_one_deadline() {
    let server = Server::start(&[socket()], &["--capacity", "64"]);
    let patience = Duration::from_secs(3);
    let link = transport::VfioUser::connect_within(server.path(), patience).unwrap();
    assert_ne!(link.read32(Bar::Registers, 0), u32::MAX);
    server.process.signal(Signal::STOP);
    server.process.await_state('T');
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(link.read32(Bar::Registers, 0), u32::MAX);
    }
    assert!(begun.elapsed() < patience + AT_ONCE, "{:?}", begun.elapsed());
    assert_eq!(link.reset(), Err(Error::Gone));
    server.process.signal(Signal::CONT);
}

/// A process that dies by SIGKILL in the middle of its batches leaves rings, rows, doorbells, mappings
/// and interrupts behind. Whoever comes next finds none of it.
#[test]
fn the_client_after_one_that_was_killed_finds_a_clean_device() {
    let seed = std::env::var("ESNIC_SEED").map_or(1, |text| text.parse().expect("ESNIC_SEED"));
    println!("ESNIC_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let params = small();
    let served = serve_alone(esnic_model::Model::new(params).unwrap(), &params);
    let device = format!("vfio-user:{}", served.path().display());
    served.with_device(|device| device.set_trace(true));
    for round in 0..50 {
        let taken = || served.with_device(|device| device.take_trace().len());
        taken();
        let args =
            ["bench", "--seconds", "60", "--sas", "48", "--batch", "16", "--device", &device];
        let mut client = Process::start(args);
        let begun = Instant::now();
        let mut commands = 0;
        while commands < 200 {
            // Not so often that the device does not get to work.
            std::thread::sleep(Duration::from_micros(500));
            commands += taken();
            assert!(client.0.try_wait().unwrap().is_none(), "{}", client.complaints());
            assert!(begun.elapsed() < process::PATIENCE, "round {round}: it does not begin");
        }
        std::thread::sleep(Duration::from_micros(random.u64(..3000)));
        assert!(served.maps() > 0);
        client.signal(Signal::KILL);
        client.end();

        // At once, without trying twice.
        let link = connect(served.path());
        assert_eq!(served.maps(), 0, "round {round}");
        let state = || global::STATUS::STATE.get(regs::global(&link, Global::STATUS));
        let begun = Instant::now();
        while state() != DeviceState::Ready as u32 {
            assert!(begun.elapsed() < AT_ONCE, "round {round}: state {}", state());
        }
        for row in 0..params.sa_capacity {
            assert!(served.with_device(|device| device.raw_row_is_zero(row)), "row {row}");
        }
        taken();
        let manager = SaManager::open(link, config()).unwrap();
        assert_eq!(manager.read_table().unwrap(), []);
        let (sa, ticket) = manager.add(&esp(round)).unwrap();
        done(&ticket);
        done(&manager.update(sa, hi(round, 1)).unwrap());
        assert_eq!(manager.diff().unwrap(), []);
        manager.close().unwrap();
    }
    assert_eq!(served.remote().clients(), 100);
    assert_eq!(served.remote().broken(), 0);
    assert_eq!(served.faults(), esnic::serve::Faults::default());
    served.stop().unwrap();
}
