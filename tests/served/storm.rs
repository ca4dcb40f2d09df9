// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Random clients: messages that are almost right, messages that are noise, and whatever descriptors
//! come to hand.

use esnic_vfio_user::memory::sealed;
use esnic_vfio_user::wire::*;
use fastrand::Rng;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, sendmsg};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use zerocopy::{FromBytes, IntoBytes};

/// How many different commands are counted: those of the protocol, and all others as 0.
const COMMANDS: usize = 16;

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    pub sent: u64,
    /// Answers without and with an error.
    pub granted: u64,
    pub refused: u64,
    /// Messages that want no answer.
    pub silent: u64,
    /// Messages with descriptors.
    pub fds: u64,
    /// Connections that the server ended, as it should.
    pub cut: u64,
    pub connections: u64,
    pub commands: [u64; COMMANDS],
}

/// A storm on one socket.
pub struct Storm {
    random: Rng,
    path: PathBuf,
    line: Option<Line>,
    things: Vec<OwnedFd>,
    next_id: u16,
    pub count: Count,
}

/// A connection, and what is due on it.
struct Line {
    stream: UnixStream,
    /// Id and command of every message that an answer is due to, in order.
    due: VecDeque<(u16, u16)>,
    got: Vec<u8>,
    /// VERSION was sent.
    agreed: bool,
    /// Messages until this client has enough.
    left: u64,
}

impl Storm {
    pub fn new(seed: u64, path: &Path) -> Self {
        let mut storm = Self {
            random: Rng::with_seed(seed),
            path: path.to_owned(),
            line: None,
            things: Vec::new(),
            next_id: 0,
            count: Count::default(),
        };
        storm.gather();
        storm
    }

    /// Goes, as a client that has had enough.
    pub fn hang_up(&mut self) {
        self.line = None;
    }

    /// All sorts of descriptors.
    fn gather(&mut self) {
        let loose = |len| {
            let fd =
                memfd_create("loose", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
            ftruncate(&fd, len).unwrap();
            fd
        };
        let (pipe_out, pipe_in) = std::io::pipe().unwrap();
        let (socket, _) = UnixStream::pair().unwrap();
        let full = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        rustix::io::write(&full, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        self.things = vec![
            sealed("sealed", 1 << 20).unwrap().into(),
            sealed("sealed", 4096).unwrap().into(),
            sealed("sealed", 100).unwrap().into(),
            sealed("empty", 0).unwrap().into(),
            loose(1 << 20),
            loose(8192),
            eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap(),
            eventfd(0, EventfdFlags::CLOEXEC).unwrap(),
            full,
            pipe_out.into(),
            pipe_in.into(),
            socket.into(),
            std::fs::File::open("/dev/zero").unwrap().into(),
            std::fs::File::open("/proc/self/maps").unwrap().into(),
            std::fs::File::open("/").unwrap().into(),
        ];
    }

    /// Sends so many messages more.
    pub fn blow(&mut self, messages: u64) {
        let until = self.count.sent + messages;
        while self.count.sent < until {
            let Some(mut line) = self.line.take() else {
                self.line = Some(self.connect());
                continue;
            };
            let goes_on = match self.random.u32(..200) {
                0 => self.noise(&mut line),
                1 => self.cut_short(&mut line),
                _ => self.batch(&mut line),
            };
            self.meddle();
            line.left = line.left.saturating_sub(1);
            if goes_on && line.left > 0 {
                self.line = Some(line);
            }
        }
        // Every answer that is due comes.
        if let Some(mut line) = self.line.take() {
            self.collect(&mut line, 0);
            self.line = Some(line);
        }
    }

    fn connect(&mut self) -> Line {
        self.count.connections += 1;
        let stream = UnixStream::connect(&self.path).expect("the server listens");
        let left = self.random.u64(1..200);
        Line { stream, due: VecDeque::new(), got: Vec::new(), agreed: false, left }
    }

    /// Some messages at once, each whole. The server must take them all.
    fn batch(&mut self, line: &mut Line) -> bool {
        let mut bytes = Vec::new();
        for _ in 0..self.random.u32(1..40) {
            let with_fds = self.random.u32(..8) == 0;
            if with_fds {
                self.transmit(line, &bytes, 0);
                bytes.clear();
            }
            let message = self.message(line);
            bytes.extend(message);
            if with_fds {
                let number = self.random.usize(1..=3);
                self.count.fds += 1;
                self.transmit(line, &bytes, number);
                bytes.clear();
            }
        }
        self.transmit(line, &bytes, 0);
        // Not all of it: answers pile up, as with a client that is busy.
        let rest = self.random.usize(..60);
        self.collect(line, rest);
        true
    }

    /// What ends the connection, by right.
    fn noise(&mut self, line: &mut Line) -> bool {
        self.collect(line, 0);
        let mut bytes: Vec<u8> =
            (0..self.random.usize(16..600)).map(|_| self.random.u8(..)).collect();
        // A size that no message has, or a kind that none has.
        let size = match self.random.u32(..3) {
            0 => self.random.u32(..16),
            1 => self.random.u32(MAX_MESSAGE as u32 + 1..),
            _ => {
                bytes[8] |= 0xF;
                16
            }
        };
        bytes[4..8].copy_from_slice(&size.to_le_bytes());
        self.count.sent += 1;
        let flags = SendFlags::NOSIGNAL;
        let sent = rustix::net::send(&line.stream, &bytes, flags);
        assert!(matches!(sent, Ok(_) | Err(Errno::PIPE | Errno::CONNRESET)), "{sent:?}");
        let mut end = [0; 1];
        self.count.cut += 1;
        wait(&line.stream, PollFlags::IN);
        let got = recv(&line.stream, &mut end, RecvFlags::empty());
        assert!(matches!(got, Ok((_, 0)) | Err(Errno::CONNRESET)), "cut off, not {got:?}");
        false
    }

    /// Part of a message, and gone.
    fn cut_short(&mut self, line: &mut Line) -> bool {
        let message = self.message(line);
        let part = self.random.usize(..message.len());
        let fds = self.random.usize(..3);
        self.transmit(line, &message[..part.max(1)], fds);
        false
    }

    /// What a client does to its own memory behind the server's back.
    fn meddle(&mut self) {
        if self.random.u32(..20) == 0 {
            let len = [0, 4096, 5000, 8192, 1 << 20][self.random.usize(..5)];
            let _ = ftruncate(&self.things[4 + self.random.usize(..2)], len);
        }
    }

    /// A message whose frame is right.
    fn message(&mut self, line: &mut Line) -> Vec<u8> {
        let command = match self.random.u32(..100) {
            _ if !line.agreed && self.random.u32(..3) > 0 => command::VERSION,
            0..5 => self.random.u16(..),
            5..20 => self.random.u16(1..=15),
            20..50 => command::REGION_WRITE,
            50..65 => command::REGION_READ,
            65..78 => command::DMA_MAP,
            78..86 => command::DMA_UNMAP,
            86..96 => command::DEVICE_SET_IRQS,
            96 => command::DEVICE_RESET,
            _ => command::REGION_WRITE_MULTI,
        };
        let mut body = self.body(command);
        if self.random.u32(..10) == 0 {
            // Longer, shorter, or with a byte that is another one.
            match self.random.u32(..3) {
                0 => body.truncate(self.random.usize(..=body.len())),
                1 => body.extend((0..self.random.usize(..100)).map(|k| k as u8)),
                _ if body.is_empty() => {}
                _ => {
                    let at = self.random.usize(..body.len());
                    body[at] = self.random.u8(..);
                }
            }
        }
        let silent = self.random.u32(..10) == 0;
        let mut flags = if silent { flag::NO_REPLY } else { 0 };
        if self.random.u32(..50) == 0 {
            flags |= self.random.u32(..) & !(flag::KIND | flag::NO_REPLY);
        }
        self.next_id = self.next_id.wrapping_add(1);
        let size = (Header::LEN + body.len()) as u32;
        let header = Header { id: self.next_id, command, size, flags, error: self.random.u32(..) };
        self.count.sent += 1;
        self.count.commands[usize::from(command).min(COMMANDS) % COMMANDS] += 1;
        if silent {
            self.count.silent += 1;
        } else {
            line.due.push_back((self.next_id, command));
        }
        if command == command::VERSION {
            line.agreed = true;
        }
        [header.as_bytes(), &body].concat()
    }

    fn body(&mut self, command: u16) -> Vec<u8> {
        match command {
            command::VERSION => self.version(),
            command::DMA_MAP => {
                let (address, size) = self.range();
                let argsz = self.random.u32(..64);
                let flags = if self.random.u32(..20) == 0 {
                    self.random.u32(..)
                } else {
                    self.random.u32(1..4)
                };
                let offset = 4096 * self.random.u64(..4);
                DmaMap { argsz, flags, offset, address, size }.as_bytes().to_vec()
            }
            command::DMA_UNMAP => {
                let (address, size) = if self.random.u32(..4) == 0 { (0, 0) } else { self.range() };
                let flags = if self.random.bool() { 0 } else { self.random.u32(..8) };
                DmaUnmap { argsz: 24, flags, address, size }.as_bytes().to_vec()
            }
            command::DEVICE_GET_INFO | command::DEVICE_GET_IRQ_INFO => {
                IrqInfo { argsz: 16, flags: 0, index: self.random.u32(..7), count: 0 }
                    .as_bytes()
                    .to_vec()
            }
            command::DEVICE_GET_REGION_INFO => {
                let (argsz, index) = (self.random.u32(..100), self.random.u32(..11));
                RegionInfo { argsz, index, ..RegionInfo::default() }.as_bytes().to_vec()
            }
            command::DEVICE_SET_IRQS => {
                let data = [irq_set::DATA_NONE, irq_set::DATA_BOOL, irq_set::DATA_EVENTFD];
                let action = [irq_set::TRIGGER, irq_set::TRIGGER, irq_set::TRIGGER, irq_set::MASK];
                let flags = data[self.random.usize(..3)] | action[self.random.usize(..4)];
                let index = [2, 2, 2, 2, 3, 4, 0, 9][self.random.usize(..8)];
                let (start, count) = (self.random.u32(..6), self.random.u32(..5));
                let set = IrqSet { argsz: 20, flags, index, start, count };
                let bools: Vec<u8> = (0..count).map(|_| self.random.u8(..2)).collect();
                [set.as_bytes(), &bools].concat()
            }
            command::REGION_READ => self.access(2048).as_bytes().to_vec(),
            command::REGION_WRITE => {
                let access = self.access(300);
                let data: Vec<u8> = (0..access.count).map(|_| self.random.u8(..)).collect();
                [access.as_bytes(), &data].concat()
            }
            command::REGION_WRITE_MULTI => {
                let number = self.random.u64(..6);
                let mut body = number.as_bytes().to_vec();
                for _ in 0..number {
                    let RegionAccess { offset, region, count } = self.access(9);
                    let data = self.random.u64(..).to_le_bytes();
                    body.extend(SmallWrite { offset, region, count, data }.as_bytes());
                }
                body
            }
            _ => (0..self.random.usize(..64)).map(|_| self.random.u8(..)).collect(),
        }
    }

    fn version(&mut self) -> Vec<u8> {
        let texts: [&[u8]; 6] = [
            b"{\"capabilities\":{\"max_msg_fds\":16,\"write_multiple\":true}}\0",
            b"{}\0",
            b"",
            b"{\"capabilities\":{\"max_msg_fds\":-3}}\0",
            b"[[[[[[[[",
            b"\xFF\x00\xFF",
        ];
        let text = texts[self.random.usize(..texts.len()).saturating_sub(self.random.usize(..3))];
        [&[0, 0, self.random.u8(..3), 0], text].concat()
    }

    /// Somewhere in memory: mostly where something may be.
    fn range(&mut self) -> (u64, u64) {
        match self.random.u32(..12) {
            0 => (self.random.u64(..), self.random.u64(..)),
            1 => (0xFEF0_0000, 0xFFFF_FFFF_0110_0000),
            2 => (u64::MAX - 4095, 4096),
            _ => (4096 * self.random.u64(..64), 4096 * self.random.u64(1..9)),
        }
    }

    /// Somewhere in a region: registers, doorbells, the table, configuration space, or nowhere.
    fn access(&mut self, most: u32) -> RegionAccess {
        let region = [0, 0, 0, 0, 2, 2, 4, 7, 7, 1, 8, 77][self.random.usize(..12)];
        let length = match region {
            0 => 0x8_0000,
            2 => 64 * 128,
            4 => 0x4000,
            _ => 0x1000,
        };
        let place = match self.random.u32(..8) {
            0 => self.random.u64(..),
            1 => length - self.random.u64(..16),
            // Where registers are, so that the device wakes up at times.
            2..5 => self.random.u64(..0x80) * 4,
            5 => 0x4000 + self.random.u64(..0x100) * 4,
            _ => self.random.u64(..length),
        };
        let count = match self.random.u32(..8) {
            0 => self.random.u32(..most),
            1 => self.random.u32(..10),
            2 if most > 8 => self.random.u32(..).max(70_000) * self.random.u32(..2),
            _ => [4, 8][self.random.usize(..2)],
        };
        let count = if most < 2048 { count.min(most) } else { count };
        let offset = if self.random.bool() { place & !7 } else { place };
        RegionAccess { offset, region, count }
    }

    /// Sends it all. The server must not hang up.
    fn transmit(&mut self, line: &mut Line, mut bytes: &[u8], number: usize) {
        let picked: Vec<usize> =
            (0..number).map(|_| self.random.usize(..self.things.len())).collect();
        let mut fds = picked.len();
        while !bytes.is_empty() {
            let fd = picked.iter().map(|k| self.things[*k].as_fd()).take(fds).collect::<Vec<_>>();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !fd.is_empty() {
                assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fd)));
            }
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match sendmsg(&line.stream, &[IoSlice::new(bytes)], &mut ancillary, flags) {
                Ok(sent) => {
                    bytes = &bytes[sent..];
                    fds = 0;
                }
                // It waits for its answers to be taken.
                Err(Errno::AGAIN) => {
                    let rest = line.due.len().saturating_sub(10);
                    self.collect(line, rest);
                    wait(&line.stream, PollFlags::IN | PollFlags::OUT);
                    self.take(line);
                }
                Err(errno) => panic!("the server hung up: {errno}, {:?}", self.count),
            }
        }
    }

    /// Takes answers until no more than `rest` are due.
    fn collect(&mut self, line: &mut Line, rest: usize) {
        while line.due.len() > rest {
            if !self.take(line) {
                wait(&line.stream, PollFlags::IN);
            }
        }
    }

    /// Takes what has come, and checks it. False if nothing had.
    fn take(&mut self, line: &mut Line) -> bool {
        let mut part = [0; 16 << 10];
        let bytes = match recv(&line.stream, &mut part, RecvFlags::DONTWAIT) {
            Ok((_, 0)) => panic!("the server hung up, {:?}", self.count),
            Ok((_, bytes)) => bytes,
            Err(Errno::AGAIN) => return false,
            Err(errno) => panic!("the server hung up: {errno}, {:?}", self.count),
        };
        line.got.extend_from_slice(&part[..bytes]);
        let mut at = 0;
        while let Ok((header, _)) = Header::read_from_prefix(&line.got[at..]) {
            let size = header.size as usize;
            assert!((16..=MAX_MESSAGE).contains(&size), "{header:?}");
            if line.got.len() - at < size {
                break;
            }
            let due = line.due.pop_front().expect("an answer to nothing");
            assert_eq!((header.id, header.command), due, "{header:?}");
            match header.flags {
                flag::REPLY => self.count.granted += 1,
                other => {
                    assert_eq!((other, size), (flag::REPLY | flag::ERROR, 16), "{header:?}");
                    assert!((1..200).contains(&header.error), "{header:?}");
                    self.count.refused += 1;
                }
            }
            at += size;
        }
        line.got.drain(..at);
        true
    }
}

/// Waits until the socket is ready; whoever keeps it waiting for so long hangs.
fn wait(stream: &UnixStream, flags: PollFlags) {
    let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(stream, flags)], Some(&limit)).unwrap();
    assert_eq!(ready, 1, "the server hangs");
}
