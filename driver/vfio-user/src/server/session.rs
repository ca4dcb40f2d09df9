// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One client: its requests, checked and carried out, and the answers to them.

use crate::function::{Change, Function, Irq, Map, Region};
use crate::socket::{Broken, Inbox, Message, send};
use crate::version;
use crate::wire::{
    DeviceInfo, DmaMap, DmaUnmap, Header, IrqInfo, IrqSet, MAX_DATA, RegionAccess, RegionInfo,
    SmallWrite, Version, command, device, dma, flag, irq_set, region,
};
use rustix::fd::AsFd;
use rustix::io::Errno;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
use zeroize::{Zeroize, Zeroizing};

/// How long an answer may take to leave. A client that sends requests and reads no answers is cut off.
const PATIENCE: Duration = Duration::from_secs(5);

/// Messages that are taken in a row before the function gets to work.
const ROW: u32 = 256;

/// A connection.
pub(super) struct Session<'s> {
    stream: &'s UnixStream,
    inbox: Inbox,
    message: Message,
    /// VERSION has been.
    negotiated: bool,
    /// The last turn ended before the messages did.
    more: bool,
    regions: Vec<Region>,
    irqs: Vec<Irq>,
    data: Zeroizing<Vec<u8>>,
}

impl<'s> Session<'s> {
    pub(super) fn new(stream: &'s UnixStream, function: &impl Function) -> Self {
        Self {
            stream,
            inbox: Inbox::new(),
            message: Message::new(),
            negotiated: false,
            more: false,
            regions: function.regions(),
            irqs: function.irqs(),
            data: Zeroizing::new(vec![0; MAX_DATA]),
        }
    }

    /// Whether messages may have come in that are not taken yet, though no longer in the socket.
    pub(super) fn has_more(&self) -> bool {
        self.more
    }

    /// Takes what has come in, a row at the most. Returns whether anything had.
    pub(super) fn turn(&mut self, function: &mut impl Function) -> Result<bool, Broken> {
        self.more = false;
        for taken in 0..ROW {
            while !self.inbox.next(&mut self.message)? {
                if !self.inbox.fill(self.stream.as_fd())? {
                    return Ok(taken > 0);
                }
            }
            self.handle(function)?;
        }
        self.more = true;
        Ok(true)
    }

    /// Carries one message out and answers it.
    fn handle(&mut self, function: &mut impl Function) -> Result<(), Broken> {
        let header = self.message.header;
        let mut fds = std::mem::take(&mut self.message.fds).into_iter();
        let outcome = if header.flags & flag::KIND != flag::REQUEST {
            // Nothing was asked: who answers it has lost track.
            return Err(Broken::Kind(header.flags & flag::KIND));
        } else if (header.command == command::VERSION) == self.negotiated {
            // Once, and before all else.
            Err(Errno::INVAL)
        } else {
            self.carry_out(function, &mut fds)
        };
        let answer = match outcome {
            _ if header.no_reply() => return Ok(()),
            Ok(answer) => answer,
            Err(errno) => {
                return self.answer(&[], flag::ERROR, errno.raw_os_error().unsigned_abs());
            }
        };
        let data = &self.data[..answer.data];
        let parts = [answer.record.as_slice(), data];
        let sent = self.answer(&parts, 0, 0);
        self.data[..answer.data].zeroize();
        sent
    }

    fn answer(&self, parts: &[&[u8]], flags: u32, error: u32) -> Result<(), Broken> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let header = Header {
            size: (Header::LEN + len) as u32,
            flags: flag::REPLY | flags,
            error,
            ..self.message.header
        };
        let mut all = [header.as_bytes(), &[], &[]];
        all[1..=parts.len()].copy_from_slice(parts);
        send(self.stream.as_fd(), &all, &[], Instant::now() + PATIENCE)
    }

    fn carry_out(
        &mut self,
        function: &mut impl Function,
        fds: &mut std::vec::IntoIter<std::os::fd::OwnedFd>,
    ) -> Result<Answer, Errno> {
        match self.message.header.command {
            command::VERSION => self.version(),
            command::DMA_MAP => self.map(function, fds),
            command::DMA_UNMAP => self.unmap(function),
            command::DEVICE_GET_INFO => self.info(),
            command::DEVICE_GET_REGION_INFO => self.region_info(),
            command::DEVICE_GET_IRQ_INFO => self.irq_info(),
            command::DEVICE_SET_IRQS => self.set_irqs(function, fds),
            command::REGION_READ => self.read(function),
            command::REGION_WRITE => self.write(function),
            command::REGION_WRITE_MULTI => self.write_multi(function),
            command::DEVICE_RESET => {
                function.reset();
                Ok(Answer::empty())
            }
            command::DEVICE_GET_REGION_IO_FDS | command::DIRTY_PAGES => Err(Errno::NOTSUP),
            // From servers to clients only, or unheard of.
            _ => Err(Errno::NOSYS),
        }
    }

    /// The record at the front of the message, and what follows it.
    fn record<R: FromBytes + KnownLayout + Immutable>(&self) -> Result<(R, &[u8]), Errno> {
        R::read_from_prefix(self.message.body()).map_err(|_| Errno::INVAL)
    }

    fn version(&mut self) -> Result<Answer, Errno> {
        let (asked, text) = self.record::<Version>()?;
        if asked.major != 0 || text.len() > version::MAX_TEXT {
            return Err(Errno::INVAL);
        }
        let limits = version::parse(text).map_err(|version::Malformed| Errno::INVAL)?;
        let text = version::offer(limits.write_multiple);
        self.data[..text.len()].copy_from_slice(&text);
        self.negotiated = true;
        // There is no minor version that changes anything here.
        Ok(Answer::new(Version { major: 0, minor: 0 }, text.len()))
    }

    fn info(&self) -> Result<Answer, Errno> {
        self.record::<DeviceInfo>()?;
        Ok(Answer::record(DeviceInfo {
            argsz: DeviceInfo::LEN as u32,
            flags: device::PCI | device::RESET,
            regions: self.regions.len() as u32,
            irqs: self.irqs.len() as u32,
        }))
    }

    fn region_info(&self) -> Result<Answer, Errno> {
        let (asked, _) = self.record::<RegionInfo>()?;
        let found = self.regions.get(asked.index as usize).ok_or(Errno::INVAL)?;
        Ok(Answer::record(RegionInfo {
            argsz: RegionInfo::LEN as u32,
            flags: found.flags,
            index: asked.index,
            cap_offset: 0,
            size: found.size,
            offset: 0,
        }))
    }

    fn irq_info(&self) -> Result<Answer, Errno> {
        let (asked, _) = self.record::<IrqInfo>()?;
        let found = self.irqs.get(asked.index as usize).ok_or(Errno::INVAL)?;
        Ok(Answer::record(IrqInfo {
            argsz: IrqInfo::LEN as u32,
            flags: found.flags,
            index: asked.index,
            count: found.count,
        }))
    }

    fn map(
        &self,
        function: &mut impl Function,
        fds: &mut std::vec::IntoIter<std::os::fd::OwnedFd>,
    ) -> Result<Answer, Errno> {
        let (asked, _) = self.record::<DmaMap>()?;
        let last = asked.size.checked_sub(1).and_then(|more| asked.address.checked_add(more));
        let last = last.ok_or(Errno::INVAL)?;
        if fds.len() > 1 || asked.flags & !(dma::READ | dma::WRITE) != 0 {
            return Err(Errno::INVAL);
        }
        function.map(Map {
            range: asked.address..=last,
            read: asked.flags & dma::READ != 0,
            write: asked.flags & dma::WRITE != 0,
            file: fds.next().map(|fd| (fd, asked.offset)),
        })?;
        Ok(Answer::empty())
    }

    fn unmap(&self, function: &mut impl Function) -> Result<Answer, Errno> {
        let (asked, _) = self.record::<DmaUnmap>()?;
        if asked.flags & dma::UNMAP_DIRTY != 0 {
            return Err(Errno::NOTSUP);
        }
        let all = dma::UNMAP_ALL | dma::UNMAP_ALL_ELSEWHERE;
        if asked.flags & all != 0 && asked.size == 0 {
            function.unmap(0..=u64::MAX);
        } else if asked.size > 0 {
            function.unmap(asked.address..=asked.address.saturating_add(asked.size - 1));
        }
        Ok(Answer::record(asked))
    }

    fn set_irqs(
        &self,
        function: &mut impl Function,
        fds: &mut std::vec::IntoIter<std::os::fd::OwnedFd>,
    ) -> Result<Answer, Errno> {
        let (asked, rest) = self.record::<IrqSet>()?;
        let there = self.irqs.get(asked.index as usize).ok_or(Errno::INVAL)?.count;
        let end = asked.start.checked_add(asked.count).ok_or(Errno::INVAL)?;
        let known = irq_set::DATA | irq_set::ACTION;
        if end > there || asked.flags & !known != 0 {
            return Err(Errno::INVAL);
        }
        // As in the kernel: only the wire of old can be masked this way, and there is none.
        match asked.flags & irq_set::ACTION {
            irq_set::TRIGGER => {}
            irq_set::MASK | irq_set::UNMASK => return Err(Errno::NOTTY),
            _ => return Err(Errno::INVAL),
        }
        let change = match asked.flags & irq_set::DATA {
            // Nothing of nothing: all of the kind.
            irq_set::DATA_NONE if asked.count == 0 => Change::Disconnect(there),
            irq_set::DATA_NONE => Change::Fire(vec![true; asked.count as usize]),
            irq_set::DATA_BOOL => {
                let which = rest.get(..asked.count as usize).ok_or(Errno::INVAL)?;
                Change::Fire(which.iter().map(|fire| *fire != 0).collect())
            }
            irq_set::DATA_EVENTFD if fds.len() == 0 => Change::Disconnect(asked.count),
            irq_set::DATA_EVENTFD if fds.len() == asked.count as usize => {
                Change::Connect(fds.collect())
            }
            _ => return Err(Errno::INVAL),
        };
        let all = matches!(change, Change::Disconnect(_)) && asked.count == 0;
        let first = if all { 0 } else { asked.start };
        function.interrupts(asked.index, first, change)?;
        Ok(Answer::empty())
    }

    /// Checks that an access is inside a region that allows it.
    fn inside(&self, asked: &RegionAccess, right: u32) -> Result<(), Errno> {
        let found = self.regions.get(asked.region as usize).ok_or(Errno::INVAL)?;
        let end = asked.offset.checked_add(asked.count.into()).ok_or(Errno::INVAL)?;
        let fits = end <= found.size && asked.count as usize <= MAX_DATA;
        if fits && found.flags & right != 0 { Ok(()) } else { Err(Errno::INVAL) }
    }

    fn read(&mut self, function: &mut impl Function) -> Result<Answer, Errno> {
        let (asked, _) = self.record::<RegionAccess>()?;
        self.inside(&asked, region::READ)?;
        let len = asked.count as usize;
        function.read(asked.region, asked.offset, &mut self.data[..len]);
        Ok(Answer::new(asked, len))
    }

    fn write(&self, function: &mut impl Function) -> Result<Answer, Errno> {
        let (asked, rest) = self.record::<RegionAccess>()?;
        self.inside(&asked, region::WRITE)?;
        let data = rest.get(..asked.count as usize).ok_or(Errno::INVAL)?;
        function.write(asked.region, asked.offset, data);
        Ok(Answer::record(asked))
    }

    /// All of them are checked before the first is done.
    fn write_multi(&self, function: &mut impl Function) -> Result<Answer, Errno> {
        let (number, mut rest) = self.record::<u64>()?;
        let mut writes = Vec::new();
        for _ in 0..number {
            let (one, after) = SmallWrite::read_from_prefix(rest).map_err(|_| Errno::INVAL)?;
            rest = after;
            let SmallWrite { offset, region, count, data } = one;
            self.inside(&RegionAccess { offset, region, count }, region::WRITE)?;
            if count as usize > data.len() {
                return Err(Errno::INVAL);
            }
            writes.push(one);
        }
        for one in writes {
            function.write(one.region, one.offset, &one.data[..one.count as usize]);
        }
        Ok(Answer::record(number))
    }
}

/// What goes back behind the header: a record, and the first bytes of the session's data.
struct Answer {
    record: Vec<u8>,
    data: usize,
}

impl Answer {
    fn new(record: impl IntoBytes + Immutable, data: usize) -> Self {
        Self { record: record.as_bytes().to_vec(), data }
    }

    fn record(record: impl IntoBytes + Immutable) -> Self {
        Self::new(record, 0)
    }

    fn empty() -> Self {
        Self { record: Vec::new(), data: 0 }
    }
}
