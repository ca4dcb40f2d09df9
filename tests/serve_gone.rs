// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One end of the socket dies: the other goes on, or says clearly that it cannot.

#[macro_use]
mod support;

#[path = "served/process.rs"]
#[allow(dead_code, unreachable_pub)]
mod process;

use esnic_driver::transport;
use process::Server;
use rustix::process::Signal;
use std::path::Path;
use support::needle::Needle;
use support::vfio_user::link::socket;
use support::*;

/// Far less than a deadline; more than a busy machine takes to notice.
const AT_ONCE: Duration = Duration::from_secs(2);

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
    let patience = Duration::from_millis(500);
    let link = transport::VfioUser::connect_within(server.path(), patience).unwrap();
    assert_ne!(link.read32(Bar::Registers, 0), u32::MAX);
    server.process.signal(Signal::STOP);
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(link.read32(Bar::Registers, 0), u32::MAX);
    }
    assert!(begun.elapsed() < patience + AT_ONCE, "{:?}", begun.elapsed());
    assert_eq!(link.reset(), Err(Error::Gone));
    server.process.signal(Signal::CONT);
}
