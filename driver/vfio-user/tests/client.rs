// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The client against servers that are slow, wrong, or gone.

mod toy;

use esnic_vfio_user::client::Error;
use esnic_vfio_user::wire::*;
use esnic_vfio_user::{Broken, Client};
use rustix::io::Errno;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use toy::{BAR, Raw, Seen, Served, socket};
use zerocopy::{FromZeros, IntoBytes};

const SOON: Duration = Duration::from_secs(1);

/// For what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server of one client that answers by `play`, after VERSION.
fn playing(play: impl FnOnce(&mut Raw) + Send + 'static) -> (Client, JoinHandle<()>) {
    playing_for(PATIENCE, play)
}

/// As [`playing`], for a client of so much patience.
fn playing_for(
    patience: Duration,
    play: impl FnOnce(&mut Raw) + Send + 'static,
) -> (Client, JoinHandle<()>) {
    let (here, there) = UnixStream::pair().unwrap();
    let server = std::thread::spawn(move || {
        let mut raw = Raw::new(there);
        let (header, _) = raw.answer();
        assert_eq!(header.command, command::VERSION);
        let version = [0, 0, 0, 0];
        reply(&mut raw, header, 0, 0, &version);
        play(&mut raw);
    });
    (Client::over(here, patience).unwrap(), server)
}

fn reply(raw: &mut Raw, to: Header, flags: u32, error: u32, body: &[u8]) {
    let size = (Header::LEN + body.len()) as u32;
    let header = Header { size, flags: flag::REPLY | flags, error, ..to };
    let _ = raw.stream.write_all(&[header.as_bytes(), body].concat());
}

fn answer_to_read(data: &[u8]) -> Vec<u8> {
    let access = RegionAccess { offset: 0, region: 0, count: data.len() as u32 };
    [access.as_bytes(), data].concat()
}

#[test]
fn it_does_what_a_server_lets_it_do() {
    let served = Served::new();
    let client = Client::connect(&served.path, Duration::from_secs(20)).unwrap();
    assert_eq!(client.limits().max_msg_fds, MAX_FDS);
    assert_eq!(client.info().unwrap().regions, 9);
    assert_eq!(client.region(0).unwrap().size, BAR);
    assert_eq!(client.irq(pci_irq::MSIX).unwrap().count, 4);
    client.write(0, 16, &[1, 2, 3, 4]).unwrap();
    client.post(0, 20, &[5, 6]).unwrap();
    let mut data = [0; 6];
    client.read(0, 16, &mut data).unwrap();
    assert_eq!(data, [1, 2, 3, 4, 5, 6]);
    let file = esnic_vfio_user::memory::sealed("memory", 0x2000).unwrap();
    client.map(0x10_0000, 0x1000, (true, false), (file.as_fd(), 0x1000)).unwrap();
    client.unmap(0x10_0000, 0x1000).unwrap();
    client.fire_irqs(pci_irq::MSIX, 0, &[1, 0]).unwrap();
    client.disconnect_irqs(pci_irq::MSIX).unwrap();
    client.reset().unwrap();
    let wanted = [
        Seen::Write(0, 16, vec![1, 2, 3, 4]),
        Seen::Write(0, 20, vec![5, 6]),
        Seen::Map(0x10_0000..=0x10_0FFF, true, false, true),
        Seen::Unmap(0x10_0000..=0x10_0FFF),
        Seen::Fire(2, 0, vec![true, false]),
        Seen::Disconnect(2, 0, 4),
        Seen::Reset,
    ];
    assert_eq!(served.seen(), wanted);
}

#[test]
fn a_refusal_is_an_error_and_the_next_request_works() {
    let served = Served::new();
    let client = Client::connect(&served.path, Duration::from_secs(20)).unwrap();
    for _ in 0..3 {
        assert_eq!(client.read(99, 0, &mut [0; 4]), Err(Error::Refused(Errno::INVAL)));
        assert_eq!(client.write(99, 0, &[0; 4]), Err(Error::Refused(Errno::INVAL)));
        assert_eq!(client.region(99), Err(Error::Refused(Errno::INVAL)));
        assert_eq!(client.irq(99), Err(Error::Refused(Errno::INVAL)));
        assert_eq!(client.disconnect_irqs(99), Err(Error::Refused(Errno::INVAL)));
        client.post(99, 0, &[0; 4]).unwrap();
        client.read(0, 0, &mut [0; 4]).unwrap();
    }
    let much = vec![0; MAX_DATA + 1];
    assert_eq!(client.write(0, 0, &much), Err(Error::Refused(Errno::MSGSIZE)));
    assert_eq!(client.broken(), None);
}

#[test]
fn vectors_go_in_as_many_messages_as_the_server_can_take() {
    // A server that takes one descriptor at a time, as it is when nothing else was told.
    let (client, server) = playing(|raw| {
        for start in 0..3 {
            let mut header = Header::new_zeroed();
            raw.stream.read_exact(header.as_mut_bytes()).unwrap();
            let mut set = IrqSet::new_zeroed();
            raw.stream.read_exact(set.as_mut_bytes()).unwrap();
            assert_eq!((set.start, set.count), (start, 1));
            reply(raw, header, 0, 0, &[]);
        }
    });
    let bell = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    client.connect_irqs(pci_irq::MSIX, 0, &[bell.as_fd(); 3]).unwrap();
    server.join().unwrap();
}

#[test]
fn nobody_there_is_told_at_once() {
    let path = socket();
    let error = Client::connect(&path, SOON).unwrap_err();
    assert_eq!(error, Error::Broken(Broken::Io(Errno::NOENT)));
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let error = Client::connect(&path, SOON).unwrap_err();
    assert_eq!(error, Error::Broken(Broken::Io(Errno::CONNREFUSED)));
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_server_that_says_nothing_costs_one_deadline_and_no_more() {
    // Already at VERSION.
    let (here, _there) = UnixStream::pair().unwrap();
    assert_eq!(Client::over(here, SOON).unwrap_err(), Error::Broken(Broken::Timeout));
    // And later. What is asked after that fails at once.
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let (client, server) = playing_for(SOON, move |_| assert!(ended.recv().is_err()));
    let begun = Instant::now();
    assert_eq!(client.read(0, 0, &mut [0; 4]), Err(Error::Broken(Broken::Timeout)));
    let waited = begun.elapsed();
    assert!(waited >= SOON && waited < 20 * SOON, "{waited:?}");
    let begun = Instant::now();
    for _ in 0..1000 {
        assert_eq!(client.read(0, 0, &mut [0; 4]), Err(Error::Broken(Broken::Timeout)));
        assert_eq!(client.post(0, 0, &[0; 4]), Err(Error::Broken(Broken::Timeout)));
    }
    // Two thousand deadlines would be half an hour.
    assert!(begun.elapsed() < 20 * SOON);
    drop(end);
    server.join().unwrap();
}

#[test]
fn a_server_that_does_not_read_stops_posted_writes_by_the_deadline() {
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let (client, server) = playing_for(SOON, move |_| assert!(ended.recv().is_err()));
    let error = (0..).find_map(|_| client.post(0, 0, &[0; 4096]).err());
    assert_eq!(error, Some(Error::Broken(Broken::Timeout)));
    drop(end);
    server.join().unwrap();
}

#[test]
fn a_server_that_goes_is_noticed_at_once() {
    let (client, server) = playing(|raw| drop(raw.answer()));
    assert_eq!(client.info(), Err(Error::Broken(Broken::Closed)));
    assert_eq!(client.info(), Err(Error::Broken(Broken::Closed)));
    server.join().unwrap();
}

#[test]
fn answers_that_are_none_end_the_connection() {
    type Play = fn(&mut Raw, Header);
    let plays: [(&str, Play); 7] = [
        ("another id", |raw, to| {
            reply(raw, Header { id: to.id + 1, ..to }, 0, 0, &answer_to_read(&[0; 4]))
        }),
        ("another command", |raw, to| {
            reply(raw, Header { command: 4, ..to }, 0, 0, &answer_to_read(&[0; 4]))
        }),
        ("too short", |raw, to| reply(raw, to, 0, 0, &answer_to_read(&[0; 3]))),
        ("too long", |raw, to| reply(raw, to, 0, 0, &answer_to_read(&[0; 5]))),
        ("no record", |raw, to| reply(raw, to, 0, 0, &[0; 15])),
        ("a request", |raw, to| {
            let message = raw.message(command::DMA_READ, 0, &[0; 16]);
            let _ = (raw.stream.write_all(&message), to);
        }),
        ("a size that cannot be", |raw, to| {
            let header = Header { size: 3, flags: 1, ..to };
            let _ = raw.stream.write_all(header.as_bytes());
        }),
    ];
    for (what, play) in plays {
        let (client, server) = playing(move |raw| {
            let (to, _) = raw.answer();
            play(raw, to);
            // It hangs up.
            assert!(raw.is_closed(), "{what}");
        });
        let error = client.read(0, 0, &mut [0; 4]).unwrap_err();
        let right = matches!(error, Error::Protocol(_) | Error::Broken(Broken::Size(3)));
        assert!(right, "{what}: {error}");
        assert_eq!(client.broken(), Some(error));
        server.join().unwrap();
    }
}

#[test]
fn errors_of_posted_writes_are_passed_over() {
    let (client, server) = playing(|raw| {
        for _ in 0..2 {
            let (to, _) = raw.answer();
            assert!(to.no_reply());
            // Against the rules.
            reply(raw, to, flag::ERROR, 22, &[]);
        }
        let (to, _) = raw.answer();
        reply(raw, to, 0, 0, &answer_to_read(&[7; 4]));
    });
    client.post(0, 0, &[1; 4]).unwrap();
    client.post(0, 0, &[1; 4]).unwrap();
    let mut data = [0; 4];
    client.read(0, 0, &mut data).unwrap();
    assert_eq!(data, [7; 4]);
    server.join().unwrap();
}

#[test]
fn an_error_without_a_reason_is_an_error() {
    let (client, server) = playing(|raw| {
        for error in [0, 5000, u32::MAX] {
            let (to, _) = raw.answer();
            reply(raw, to, flag::ERROR, error, &[]);
        }
    });
    for _ in 0..3 {
        assert_eq!(client.reset(), Err(Error::Refused(Errno::IO)));
    }
    server.join().unwrap();
}

#[test]
fn threads_share_a_client() {
    let served = Served::new();
    let client = Client::connect(&served.path, Duration::from_secs(20)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let client = &client;
            scope.spawn(move || {
                let place = 64 * u64::from(thread);
                for round in 0..200u8 {
                    client.post(0, place, &[round; 8]).unwrap();
                    let mut data = [0; 8];
                    client.read(0, place, &mut data).unwrap();
                    assert_eq!(data, [round; 8]);
                }
            });
        }
    });
}
