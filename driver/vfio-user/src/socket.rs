// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Messages on a UNIX stream socket, with descriptors beside them. Nothing here waits longer than
//! it is told, and nothing that comes in is larger than [`MAX_MESSAGE`].

use crate::wire::{Header, MAX_FDS, MAX_MESSAGE};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};
use zerocopy::FromBytes;
use zeroize::{Zeroize, Zeroizing};

/// What is read at a time, at the most.
const CHUNK: usize = 8 << 10;

/// How long a socket is asked again and again before the thread sleeps in `poll`. An answer to a
/// register access comes within a few microseconds if the other end has a processor, and waking a
/// thread takes more than that; if it has none, it waits for this one. The thread does not yield
/// meanwhile: on a busy machine it would get the processor back after milliseconds, whereas one that
/// sleeps is woken at once.
pub(crate) const SPIN: Duration = Duration::from_micros(8);

/// Why a connection is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// The other end hung up, or its process ended.
    #[error("the other end hung up")]
    Closed,
    /// It did not read or answer in time.
    #[error("the other end does not answer")]
    Timeout,
    /// A message shorter than its header or longer than [`MAX_MESSAGE`].
    #[error("the other end sent a message of {0} bytes")]
    Size(u32),
    /// An answer to nothing, or a message that is neither question nor answer.
    #[error("the other end sent a message of kind {0}, which is not its turn to send")]
    Kind(u32),
    /// More descriptors than [`MAX_FDS`] with one message.
    #[error("the other end sent more than {MAX_FDS} descriptors with one message")]
    Descriptors,
    /// The system refused.
    #[error("the socket failed: {0}")]
    Io(Errno),
}

impl From<Errno> for Broken {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN | Errno::SHUTDOWN => Self::Closed,
            other => Self::Io(other),
        }
    }
}

/// A message that came in. Its bytes may be keys on their way into a device: they are wiped.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) header: Header,
    pub(crate) fds: Vec<OwnedFd>,
    body: Zeroizing<Vec<u8>>,
}

impl Message {
    pub(crate) fn new() -> Self {
        // All that it can ever need: bytes that grow elsewhere leave copies behind.
        let body = Zeroizing::new(Vec::with_capacity(MAX_MESSAGE));
        Self { header: Header::default(), fds: Vec::new(), body }
    }

    /// What follows the header.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Forgets what it holds, and closes what came with it.
    pub(crate) fn clear(&mut self) {
        self.fds.clear();
        self.body.as_mut_slice().zeroize();
        self.body.clear();
    }
}

/// What has come in and is not taken yet.
#[derive(Debug)]
pub(crate) struct Inbox {
    buffer: Zeroizing<Vec<u8>>,
    /// Where in `buffer` it begins and ends.
    begin: usize,
    end: usize,
    /// Descriptors, and the place of `buffer` behind the bytes that they came with.
    fds: Vec<(usize, OwnedFd)>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        let buffer = Zeroizing::new(vec![0; MAX_MESSAGE + CHUNK]);
        Self { buffer, begin: 0, end: 0, fds: Vec::new() }
    }

    /// Takes the next message, if all of it is here.
    pub(crate) fn next(&mut self, message: &mut Message) -> Result<bool, Broken> {
        message.clear();
        let rest = &mut self.buffer[self.begin..self.end];
        let Ok((header, _)) = Header::read_from_prefix(rest) else { return Ok(false) };
        let size = header.size as usize;
        if !(Header::LEN..=MAX_MESSAGE).contains(&size) {
            return Err(Broken::Size(header.size));
        }
        let Some(whole) = rest.get_mut(..size) else { return Ok(false) };
        message.header = header;
        message.body.extend_from_slice(&whole[Header::LEN..]);
        whole.zeroize();
        self.begin += size;
        let came = self.fds.iter().take_while(|(end, _)| *end <= self.begin).count();
        message.fds.extend(self.fds.drain(..came).map(|(_, fd)| fd));
        Ok(true)
    }

    /// Reads what there is, without waiting. False if there is nothing.
    pub(crate) fn fill(&mut self, socket: BorrowedFd<'_>) -> Result<bool, Broken> {
        if self.begin > 0 {
            let (begin, end) = (self.begin, self.end);
            self.buffer.copy_within(begin..end, 0);
            self.buffer[(end - begin).max(begin)..end].zeroize();
            for (at, _) in &mut self.fds {
                *at -= begin;
            }
            (self.begin, self.end) = (0, end - begin);
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        // A message that has begun fits, since `next` has taken all others.
        let room = self.end..self.buffer.len().min(self.end + CHUNK);
        let mut to = [IoSliceMut::new(&mut self.buffer[room])];
        let got = match recvmsg(socket, &mut to, &mut ancillary, flags) {
            Ok(got) => got,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        };
        self.end += got.bytes;
        // The kernel ends a read behind bytes that descriptors came with. So they belong to the
        // message in which this read ended.
        for part in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = part {
                self.fds.extend(fds.map(|fd| (self.end, fd)));
            }
        }
        if got.bytes == 0 {
            return Err(Broken::Closed);
        }
        if got.flags.contains(ReturnFlags::CTRUNC) || self.fds.len() > MAX_FDS {
            return Err(Broken::Descriptors);
        }
        Ok(true)
    }

    /// Waits for the next message.
    pub(crate) fn wait(
        &mut self,
        socket: BorrowedFd<'_>,
        message: &mut Message,
        deadline: Instant,
    ) -> Result<(), Broken> {
        let spin = Instant::now() + SPIN;
        while !self.next(message)? {
            if self.fill(socket)? {
                continue;
            }
            let now = Instant::now();
            if now < spin {
                std::hint::spin_loop();
            } else if !ready(socket, PollFlags::IN, deadline)? {
                return Err(Broken::Timeout);
            }
        }
        Ok(())
    }
}

/// Waits until one of `flags` holds, or the other end is gone. False at the deadline.
pub(crate) fn ready(
    fd: BorrowedFd<'_>,
    flags: PollFlags,
    deadline: Instant,
) -> Result<bool, Errno> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match poll(&mut [PollFd::from_borrowed_fd(fd, flags)], Some(&timespec(left))) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno),
        }
    }
}

/// A duration as the system wants it.
pub(crate) fn timespec(duration: Duration) -> Timespec {
    // Longer than anybody waits, and short enough for every kernel.
    let duration = duration.min(Duration::from_secs(1 << 30));
    Timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(1 << 30),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Sends `parts` as one message. Whoever does not read for so long is given up.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    parts: &[&[u8]],
    fds: &[BorrowedFd<'_>],
    deadline: Instant,
) -> Result<(), Broken> {
    let mut sent = 0;
    let total: usize = parts.iter().map(|part| part.len()).sum();
    while sent < total {
        // Four parts at the most: header, record, data, end.
        let mut slices = [IoSlice::new(&[]); 4];
        let mut skip = sent;
        for (to, part) in slices.iter_mut().zip(parts) {
            let from = skip.min(part.len());
            skip -= from;
            *to = IoSlice::new(&part[from..]);
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        // Descriptors go with the first byte.
        if sent == 0 && !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(Broken::Descriptors);
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match sendmsg(socket, &slices[..parts.len()], &mut ancillary, flags) {
            Ok(bytes) => sent += bytes,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                if !ready(socket.as_fd(), PollFlags::OUT, deadline)? {
                    return Err(Broken::Timeout);
                }
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
