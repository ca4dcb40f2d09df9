// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A client: uses a function that a server offers.
//!
//! Every request has a deadline. What breaks the connection breaks it for good: later requests fail at
//! once, so that nobody waits for a server that is gone once per request.

use crate::socket::{Broken, Inbox, Message, send};
use crate::version::{self, Limits};
use crate::wire::{
    DeviceInfo, DmaMap, DmaUnmap, Header, IrqInfo, IrqSet, MAX_DATA, MAX_FDS, RegionAccess,
    RegionInfo, Version, command, dma, flag, irq_set,
};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use rustix::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub use crate::memory::sealed;

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection is of no use any more.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The server refused; the connection is as good as before.
    #[error("the server refuses: {0}")]
    Refused(Errno),
    /// The answer is none to what was asked; the connection is of no use any more.
    #[error("the server breaks the protocol: {0}")]
    Protocol(&'static str),
}

/// A connection to a server. All methods take requests of several threads, one after the other.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    limits: Limits,
    timeout: Duration,
    line: Mutex<Line>,
}

#[derive(Debug)]
struct Line {
    inbox: Inbox,
    message: Message,
    next_id: u16,
    /// What broke it.
    broken: Option<Error>,
}

/// What goes out.
struct Request<'r> {
    command: u16,
    record: &'r [u8],
    data: &'r [u8],
    fds: &'r [BorrowedFd<'r>],
}

impl Client {
    /// Connects, and agrees on a version. From then on each request may take as long as `timeout`.
    ///
    /// # Errors
    /// If nobody listens there, it already has a client, or it speaks something else.
    pub fn connect(path: &Path, timeout: Duration) -> Result<Self, Error> {
        let stream = UnixStream::connect(path).map_err(|error| {
            Error::Broken(Broken::Io(Errno::from_io_error(&error).unwrap_or(Errno::IO)))
        })?;
        Self::over(stream, timeout)
    }

    /// As [`Self::connect`], over a socket that is connected.
    ///
    /// # Errors
    /// As there.
    pub fn over(stream: UnixStream, timeout: Duration) -> Result<Self, Error> {
        let (inbox, message) = (Inbox::new(), Message::new());
        let line = Mutex::new(Line { inbox, message, next_id: 1, broken: None });
        let mut client = Self { stream, limits: Limits::default(), timeout, line };
        let record = Version { major: 0, minor: 0 };
        let request = Request {
            command: command::VERSION,
            record: record.as_bytes(),
            data: &version::offer(false),
            fds: &[],
        };
        client.limits = client.request(&request, |answer| {
            let (version, text) = first::<Version>(answer)?;
            if version.major != 0 {
                return Err(Error::Protocol("its version is not 0.x"));
            }
            version::parse(text).map_err(|_| Error::Protocol("its limits cannot be read"))
        })?;
        Ok(client)
    }

    /// What the server takes.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// How many regions and kinds of interrupts there are.
    ///
    /// # Errors
    /// As for any request: the connection broke, or the server refuses.
    pub fn info(&self) -> Result<DeviceInfo, Error> {
        let asked = DeviceInfo { argsz: DeviceInfo::LEN as u32, ..DeviceInfo::default() };
        self.ask(command::DEVICE_GET_INFO, &asked, |answer| Ok(first::<DeviceInfo>(answer)?.0))
    }

    /// What region `index` is.
    ///
    /// # Errors
    /// As for any request.
    pub fn region(&self, index: u32) -> Result<RegionInfo, Error> {
        let argsz = RegionInfo::LEN as u32;
        let asked = RegionInfo { argsz, index, ..RegionInfo::default() };
        self.ask(command::DEVICE_GET_REGION_INFO, &asked, |answer| {
            let (info, _) = first::<RegionInfo>(answer)?;
            if info.index == index { Ok(info) } else { Err(Error::Protocol("another region")) }
        })
    }

    /// How many interrupts of kind `index` there are.
    ///
    /// # Errors
    /// As for any request.
    pub fn irq(&self, index: u32) -> Result<IrqInfo, Error> {
        let asked = IrqInfo { argsz: IrqInfo::LEN as u32, index, ..IrqInfo::default() };
        self.ask(command::DEVICE_GET_IRQ_INFO, &asked, |answer| {
            let (info, _) = first::<IrqInfo>(answer)?;
            if info.index == index { Ok(info) } else { Err(Error::Protocol("another interrupt")) }
        })
    }

    /// Reads a region.
    ///
    /// # Errors
    /// As for any request.
    pub fn read(&self, region: u32, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let asked = self.access(region, offset, out.len())?;
        self.ask(command::REGION_READ, &asked, |answer| {
            let (_, data) = first::<RegionAccess>(answer)?;
            if data.len() != out.len() {
                return Err(Error::Protocol("not as many bytes as were read"));
            }
            out.copy_from_slice(data);
            Ok(())
        })
    }

    /// Writes a region, and waits until it is written.
    ///
    /// # Errors
    /// As for any request.
    pub fn write(&self, region: u32, offset: u64, data: &[u8]) -> Result<(), Error> {
        let record = self.access(region, offset, data.len())?;
        let (command, record) = (command::REGION_WRITE, record.as_bytes());
        self.request(&Request { command, record, data, fds: &[] }, |_| Ok(()))
    }

    /// Writes a region, and does not wait. Later requests come after it.
    ///
    /// # Errors
    /// If it cannot be sent. Whether the server refuses is never told.
    pub fn post(&self, region: u32, offset: u64, data: &[u8]) -> Result<(), Error> {
        let record = self.access(region, offset, data.len())?;
        let (command, record) = (command::REGION_WRITE, record.as_bytes());
        let mut line = self.line()?;
        let deadline = Instant::now() + self.timeout;
        let request = Request { command, record, data, fds: &[] };
        let sent = self.send(&mut line, &request, flag::NO_REPLY, deadline).map(drop);
        self.noting(&mut line, sent)
    }

    /// Lets the function reach `size` bytes from `address` on: those of `file` from `offset` on.
    ///
    /// # Errors
    /// As for any request.
    pub fn map(
        &self,
        address: u64,
        size: u64,
        (read, write): (bool, bool),
        (file, offset): (BorrowedFd<'_>, u64),
    ) -> Result<(), Error> {
        let flags = if read { dma::READ } else { 0 } | if write { dma::WRITE } else { 0 };
        let record = DmaMap { argsz: DmaMap::LEN as u32, flags, offset, address, size };
        let (command, record) = (command::DMA_MAP, record.as_bytes());
        self.request(&Request { command, record, data: &[], fds: &[file] }, |_| Ok(()))
    }

    /// Makes memory unreachable again. It is when this returns.
    ///
    /// # Errors
    /// As for any request.
    pub fn unmap(&self, address: u64, size: u64) -> Result<(), Error> {
        let asked = DmaUnmap { argsz: DmaUnmap::LEN as u32, flags: 0, address, size };
        self.ask(command::DMA_UNMAP, &asked, |_| Ok(()))
    }

    /// Has interrupts `start..` of a kind fire into these eventfds.
    ///
    /// # Errors
    /// As for any request. The first of them may be connected then.
    pub fn connect_irqs(
        &self,
        index: u32,
        start: u32,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), Error> {
        let at_a_time = self.limits.max_msg_fds.clamp(1, MAX_FDS);
        for (k, fds) in fds.chunks(at_a_time).enumerate() {
            let start = start + (k * at_a_time) as u32;
            self.set_irqs(irq_set::DATA_EVENTFD, index, start, fds.len() as u32, &[], fds)?;
        }
        Ok(())
    }

    /// Has all interrupts of a kind fire nowhere.
    ///
    /// # Errors
    /// As for any request.
    pub fn disconnect_irqs(&self, index: u32) -> Result<(), Error> {
        self.set_irqs(irq_set::DATA_NONE, index, 0, 0, &[], &[])
    }

    /// Fires those of interrupts `start..` that are not zero, as if the function had.
    ///
    /// # Errors
    /// As for any request.
    pub fn fire_irqs(&self, index: u32, start: u32, which: &[u8]) -> Result<(), Error> {
        self.set_irqs(irq_set::DATA_BOOL, index, start, which.len() as u32, which, &[])
    }

    fn set_irqs(
        &self,
        data_kind: u32,
        index: u32,
        start: u32,
        count: u32,
        data: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), Error> {
        let flags = data_kind | irq_set::TRIGGER;
        let argsz = (IrqSet::LEN + data.len()) as u32;
        let record = IrqSet { argsz, flags, index, start, count };
        let (command, record) = (command::DEVICE_SET_IRQS, record.as_bytes());
        self.request(&Request { command, record, data, fds }, |_| Ok(()))
    }

    /// Resets the function.
    ///
    /// # Errors
    /// As for any request.
    pub fn reset(&self) -> Result<(), Error> {
        let (command, record) = (command::DEVICE_RESET, &[][..]);
        self.request(&Request { command, record, data: &[], fds: &[] }, |_| Ok(()))
    }

    /// What broke the connection, if anything has.
    #[must_use]
    pub fn broken(&self) -> Option<Error> {
        self.lock().broken
    }

    fn access(&self, region: u32, offset: u64, len: usize) -> Result<RegionAccess, Error> {
        if len > self.limits.max_data.min(MAX_DATA) {
            return Err(Error::Refused(Errno::MSGSIZE));
        }
        Ok(RegionAccess { offset, region, count: len as u32 })
    }

    fn ask<R>(
        &self,
        command: u16,
        record: &(impl IntoBytes + Immutable),
        take: impl FnOnce(&[u8]) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let record = record.as_bytes();
        self.request(&Request { command, record, data: &[], fds: &[] }, take)
    }

    fn request<R>(
        &self,
        request: &Request<'_>,
        take: impl FnOnce(&[u8]) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let mut line = self.line()?;
        let outcome = self.exchange(&mut line, request, take);
        line.message.clear();
        self.noting(&mut line, outcome)
    }

    fn exchange<R>(
        &self,
        line: &mut Line,
        request: &Request<'_>,
        take: impl FnOnce(&[u8]) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let deadline = Instant::now() + self.timeout;
        let id = self.send(line, request, 0, deadline)?;
        loop {
            let Line { inbox, message, .. } = line;
            inbox.wait(self.stream.as_fd(), message, deadline)?;
            let Header { id: found, command, flags, error, .. } = message.header;
            if flags & flag::KIND != flag::REPLY {
                return Err(Error::Protocol("it asks, which only clients do"));
            }
            if found != id && flags & flag::ERROR != 0 && command == command::REGION_WRITE {
                // A posted write was refused, by a server that says so against the rules.
                continue;
            }
            if found != id || command != request.command {
                return Err(Error::Protocol("an answer to something else"));
            }
            if flags & flag::ERROR != 0 {
                // There are servers that do not say what is wrong.
                let errno = i32::try_from(error).ok().filter(|e| (1..4096).contains(e));
                return Err(Error::Refused(errno.map_or(Errno::IO, Errno::from_raw_os_error)));
            }
            return take(message.body());
        }
    }

    fn send(
        &self,
        line: &mut Line,
        request: &Request<'_>,
        flags: u32,
        deadline: Instant,
    ) -> Result<u16, Error> {
        let id = line.next_id;
        line.next_id = id.wrapping_add(1);
        let Request { command, record, data, fds } = *request;
        let size = (Header::LEN + record.len() + data.len()) as u32;
        let header = Header { id, command, size, flags: flag::REQUEST | flags, error: 0 };
        send(self.stream.as_fd(), &[header.as_bytes(), record, data], fds, deadline)?;
        Ok(id)
    }

    /// The line, if it is of use.
    fn line(&self) -> Result<MutexGuard<'_, Line>, Error> {
        let line = self.lock();
        match line.broken {
            Some(error) => Err(error),
            None => Ok(line),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hangs up after anything but a refusal: what comes next on the line, nobody knows.
    fn noting<R>(&self, line: &mut Line, outcome: Result<R, Error>) -> Result<R, Error> {
        if let Err(error) = &outcome
            && !matches!(error, Error::Refused(_))
        {
            line.broken = Some(*error);
            let _ = rustix::net::shutdown(&self.stream, Shutdown::Both);
        }
        outcome
    }
}

/// To wait for: it hangs up when the server does, or after an error.
impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn first<R: FromBytes + KnownLayout + Immutable>(answer: &[u8]) -> Result<(R, &[u8]), Error> {
    R::read_from_prefix(answer).map_err(|_| Error::Protocol("an answer that is too short"))
}
