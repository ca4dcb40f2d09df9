// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A function that writes down what is asked of it, and a client that can say anything.
#![allow(dead_code, unreachable_pub)]

use esnic_vfio_user::function::{Change, Function, Irq, Map, Region};
use esnic_vfio_user::irqs::Irqs;
use esnic_vfio_user::memory::Memory;
use esnic_vfio_user::wire::{Header, irq, pci_irq, pci_region, region};
use esnic_vfio_user::{Remote, Server};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::ops::RangeInclusive;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Length of the toy's BAR 0.
pub const BAR: u64 = 4096;

/// What the toy was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Write(u32, u64, Vec<u8>),
    Map(RangeInclusive<u64>, bool, bool, bool),
    Unmap(RangeInclusive<u64>),
    Connect(u32, u32, usize),
    Disconnect(u32, u32, u32),
    Fire(u32, u32, Vec<bool>),
    Reset,
    Release,
}

/// A function with one BAR of memory, which does nothing by itself.
pub struct Toy {
    pub seen: Arc<Mutex<Vec<Seen>>>,
    pub bar: Vec<u8>,
    pub memory: Memory,
    pub irqs: Irqs,
}

impl Toy {
    fn note(&self, seen: Seen) {
        self.seen.lock().unwrap().push(seen);
    }
}

impl Function for Toy {
    fn regions(&self) -> Vec<Region> {
        let mut regions = vec![Region::default(); pci_region::COUNT as usize];
        let both = region::READ | region::WRITE;
        regions[0] = Region { size: BAR, flags: both };
        regions[1] = Region { size: BAR, flags: region::READ };
        regions[pci_region::CONFIG as usize] = Region { size: 256, flags: both };
        regions
    }
    fn irqs(&self) -> Vec<Irq> {
        let mut irqs = vec![Irq::default(); pci_irq::COUNT as usize];
        irqs[pci_irq::MSIX as usize] = Irq { count: 4, flags: irq::EVENTFD };
        irqs[pci_irq::ERR as usize] = Irq { count: 1, flags: irq::EVENTFD };
        irqs
    }
    fn read(&mut self, region: u32, offset: u64, out: &mut [u8]) {
        match region {
            0 => out.copy_from_slice(&self.bar[offset as usize..][..out.len()]),
            other => out.fill(other as u8),
        }
    }
    fn write(&mut self, region: u32, offset: u64, data: &[u8]) {
        self.note(Seen::Write(region, offset, data.to_vec()));
        if region == 0 {
            self.bar[offset as usize..][..data.len()].copy_from_slice(data);
        }
    }
    fn map(&mut self, map: Map) -> Result<(), Errno> {
        self.note(Seen::Map(map.range.clone(), map.read, map.write, map.file.is_some()));
        self.memory.map(map)
    }
    fn unmap(&mut self, range: RangeInclusive<u64>) {
        self.note(Seen::Unmap(range.clone()));
        self.memory.unmap(&range);
    }
    fn interrupts(&mut self, kind: u32, first: u32, change: Change) -> Result<(), Errno> {
        self.note(match &change {
            Change::Connect(fds) => Seen::Connect(kind, first, fds.len()),
            Change::Disconnect(count) => Seen::Disconnect(kind, first, *count),
            Change::Fire(which) => Seen::Fire(kind, first, which.clone()),
        });
        if kind == pci_irq::MSIX { self.irqs.change(first, change) } else { Ok(()) }
    }
    fn reset(&mut self) {
        self.note(Seen::Reset);
        self.bar.fill(0);
    }
    fn release(&mut self) {
        self.note(Seen::Release);
        self.memory.clear();
        self.irqs.clear();
    }
    /// Has nothing to do, and takes longer over it than a server waits for messages without sleeping.
    fn work(&mut self) -> bool {
        std::thread::sleep(Duration::from_micros(20));
        false
    }
}

/// A path that no other test has.
pub fn socket() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("vfio-user-{}-{number}.sock", std::process::id()))
}

/// A toy that is being served.
pub struct Served {
    pub path: PathBuf,
    pub remote: Remote,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Served {
    pub fn new() -> Self {
        let path = socket();
        let server = Server::bind(&path).unwrap();
        let (remote, seen) = (server.remote(), Arc::new(Mutex::new(Vec::new())));
        let (bar, memory, irqs) = (vec![0; BAR as usize], Memory::new(), Irqs::new(4));
        let mut toy = Toy { seen: seen.clone(), bar, memory, irqs };
        let thread = Some(std::thread::spawn(move || server.run(&mut toy)));
        Self { path, remote, seen, thread }
    }

    /// What was asked since the last look.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    /// A client that has said nothing yet.
    pub fn raw(&self) -> Raw {
        Raw::new(UnixStream::connect(&self.path).unwrap())
    }

    /// A client that has agreed on a version.
    pub fn agreed(&self) -> Raw {
        let mut raw = self.raw();
        let (header, body) = raw.ask(1, &[&[0, 0, 0, 0], &b"{}\0"[..]].concat(), &[]);
        assert_eq!((header.flags, header.error), (1, 0));
        assert_eq!(body[..4], [0; 4]);
        raw
    }

    /// Waits until `what` was seen.
    pub fn await_seen(&self, what: &Seen) {
        for _ in 0..2000 {
            if self.seen.lock().unwrap().contains(what) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("waited in vain for {what:?}");
    }

    /// Stops the server, and looks that it stops in order.
    pub fn stop(&mut self) {
        self.remote.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server does not panic").unwrap();
        }
        assert!(!self.path.exists(), "the socket is removed");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

/// A client that says what it is told to.
pub struct Raw {
    pub stream: UnixStream,
    next: u16,
}

impl Raw {
    pub fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream, next: 100 }
    }

    /// A message as it goes over the wire.
    pub fn message(&mut self, command: u16, flags: u32, body: &[u8]) -> Vec<u8> {
        self.next += 1;
        let size = (Header::LEN + body.len()) as u32;
        let header = Header { id: self.next, command, size, flags, error: 0 };
        [header.as_bytes(), body].concat()
    }

    pub fn send(&mut self, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        if fds.is_empty() {
            return self.stream.write_all(bytes).unwrap();
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(fds)));
        let slices = [IoSlice::new(bytes)];
        let sent = sendmsg(&self.stream, &slices, &mut ancillary, SendFlags::NOSIGNAL).unwrap();
        assert_eq!(sent, bytes.len());
    }

    /// Asks, and gives the answer, which must be to this.
    #[track_caller]
    pub fn ask(&mut self, command: u16, body: &[u8], fds: &[BorrowedFd<'_>]) -> (Header, Vec<u8>) {
        let message = self.message(command, 0, body);
        self.send(&message, fds);
        let (header, body) = self.answer();
        assert_eq!((header.id, header.command), (self.next, command), "the answer to this");
        (header, body)
    }

    /// Asks what must be refused, with this errno; such an answer is a header and nothing else.
    #[track_caller]
    pub fn refused(&mut self, command: u16, body: &[u8], fds: &[BorrowedFd<'_>], errno: Errno) {
        let (header, body) = self.ask(command, body, fds);
        assert_eq!(header.flags, 0x21, "an answer with an error");
        assert_eq!(Errno::from_raw_os_error(header.error as i32), errno);
        assert_eq!((header.size, body.len()), (16, 0));
    }

    /// Asks what must be granted.
    #[track_caller]
    pub fn granted(&mut self, command: u16, body: &[u8], fds: &[BorrowedFd<'_>]) -> Vec<u8> {
        let (header, body) = self.ask(command, body, fds);
        assert_eq!((header.flags, header.error), (1, 0));
        body
    }

    /// The next answer.
    #[track_caller]
    pub fn answer(&mut self) -> (Header, Vec<u8>) {
        let mut header = Header::new_zeroed();
        self.stream.read_exact(header.as_mut_bytes()).unwrap();
        let mut body = vec![0; header.size as usize - Header::LEN];
        self.stream.read_exact(&mut body).unwrap();
        (header, body)
    }

    /// Whether the other end has hung up, with or without having read all that was sent.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

/// A record at the front of an answer.
#[track_caller]
pub fn record<R: FromBytes + KnownLayout + Immutable>(body: &[u8]) -> R {
    R::read_from_prefix(body).unwrap().0
}
