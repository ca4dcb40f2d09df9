// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The running kernel's XFRM messages.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use netlink_packet_core::NLMSG_OVERRUN;
use netlink_packet_xfrm::constants::{
    XFRMNLGRP_ACQUIRE, XFRMNLGRP_AEVENTS, XFRMNLGRP_EXPIRE, XFRMNLGRP_MAPPING, XFRMNLGRP_MIGRATE,
    XFRMNLGRP_POLICY, XFRMNLGRP_SA,
};
use netlink_sys::{Socket, SocketAddr, protocols};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, sockopt};
use zeroize::{Zeroize as _, Zeroizing};

use crate::arrival::{Arrival, is_overrun, is_passing};
use crate::message::{HEADER, Messages};
use crate::packet::NETLINK_XFRM;
use crate::redump::Redump;
use crate::source::Source;
use crate::{Error, Packet};

/// Everything that changes SAs or tells about them. ACQUIRE needs a listener to make the kernel
/// wait for keys instead of failing at once, and does no harm otherwise.
const GROUPS: [u32; 7] = [
    XFRMNLGRP_SA,
    XFRMNLGRP_EXPIRE,
    XFRMNLGRP_AEVENTS,
    XFRMNLGRP_POLICY,
    XFRMNLGRP_MIGRATE,
    XFRMNLGRP_MAPPING,
    XFRMNLGRP_ACQUIRE,
];
/// The kernel puts up to 32 KiB of a dump into one packet; single messages are far smaller.
const PACKET: usize = 64 << 10;

const HOUR: Duration = Duration::from_secs(3600);

/// How to listen.
#[derive(Clone, Copy, Debug)]
pub struct LiveOptions {
    /// How many bytes of messages the kernel may queue. Beyond `net.core.rmem_max` it takes
    /// CAP_NET_ADMIN; without, the kernel's limit applies.
    pub receive_buffer: usize,
    /// How long [`Source::next`] waits before it says that there was nothing.
    pub deadline: Duration,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self { receive_buffer: 8 << 20, deadline: Duration::from_secs(1) }
    }
}

/// A netlink socket that hears of every change and begins with dumps of policies and SAs.
///
/// The socket joins the multicast groups before it asks for the dumps, so that nothing falls
/// between them; events that come while a dump runs are behind the part of it that they are newer
/// than. When the kernel says that it lost messages (ENOBUFS), what is queued is read first, then
/// dumps are asked for again, with growing pauses if that goes on.
///
/// The socket's own requests, and an `NLMSG_OVERRUN` where messages were lost, are among the
/// packets: the follower needs both to know what a dump proves.
///
/// Reading needs CAP_NET_ADMIN: without it the kernel refuses the groups.
pub struct Live {
    socket: Socket,
    options: LiveOptions,
    redump: Redump,
    buffer: Zeroizing<Vec<u8>>,
    /// How much of the buffer the last packet filled.
    filled: usize,
    /// Packets that this end has to say itself.
    own: VecDeque<[u8; HEADER]>,
    current: [u8; HEADER],
    packets: u64,
    received: u64,
}

impl Live {
    /// Opens the socket and joins the groups.
    pub fn open(options: LiveOptions) -> Result<Self, Error> {
        let mut socket =
            Socket::new(protocols::NETLINK_XFRM).map_err(cannot("open an XFRM socket"))?;
        let sized = sockopt::set_socket_recv_buffer_size_force(&socket, options.receive_buffer)
            .or_else(|_| sockopt::set_socket_recv_buffer_size(&socket, options.receive_buffer));
        sized.map_err(|errno| cannot("set the receive buffer's size")(errno.into()))?;
        let address = socket.bind_auto().map_err(cannot("bind it"))?;
        // Errors then leave the request out, which could hold keys.
        socket.set_cap_ack(true).map_err(cannot("shorten the answers"))?;
        for group in GROUPS {
            socket.add_membership(group).map_err(cannot("join the XFRM multicast groups"))?;
        }
        Ok(Self {
            socket,
            options,
            redump: Redump::new(address.port_number(), Instant::now()),
            buffer: Zeroizing::new(vec![0; PACKET]),
            filled: 0,
            own: VecDeque::new(),
            current: [0; HEADER],
            packets: 0,
            received: 0,
        })
    }

    /// Sends a dump request and puts it among the packets.
    fn send(&mut self, request: [u8; HEADER], now: Instant) -> Result<(), Error> {
        let flags = SendFlags::DONTWAIT.bits() as i32;
        match self.socket.send_to(&request, &SocketAddr::new(0, 0), flags) {
            Ok(_) => self.own.push_back(request),
            Err(error) if is_passing(&error) || is_overrun(&error) => self.redump.postpone(now),
            Err(error) => return Err(cannot("ask for a dump")(error)),
        }
        Ok(())
    }

    /// Messages were lost; dumps will be asked for once the queue is read.
    fn lost(&mut self, now: Instant) {
        self.redump.lost(now);
        self.own.push_back(overrun());
    }

    /// Waits until a packet or the redump's time comes; whether there is a packet.
    fn wait(&self, until: Instant, now: Instant) -> Result<bool, Error> {
        let until = self.redump.due().map_or(until, |due| due.min(until));
        let left = until.saturating_duration_since(now).min(HOUR);
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&left)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(cannot("wait for messages")(errno.into())),
        }
    }

    /// Reads a packet of the kernel into the buffer, if there is one.
    fn receive(&mut self, now: Instant) -> Result<bool, Error> {
        let flags = (RecvFlags::DONTWAIT | RecvFlags::TRUNC).bits() as i32;
        let received = self.socket.recv_from(&mut &mut self.buffer[..], flags);
        let received = received.map(|(length, sender)| (length, sender.port_number()));
        match Arrival::judge(received, self.buffer.len()).map_err(cannot("receive"))? {
            Arrival::Packet(length) => {
                self.filled = length;
                return Ok(true);
            }
            // It is wiped like any other.
            Arrival::Foreign(length) => self.filled = length,
            Arrival::Cut(fitting) => {
                self.buffer = Zeroizing::new(vec![0; fitting]);
                self.lost(now);
            }
            Arrival::Overrun => self.lost(now),
            Arrival::Nothing => {}
        }
        Ok(false)
    }

    /// Gets the next packet into the buffer, or finds that one of its own is due.
    fn advance(&mut self) -> Result<Ready, Error> {
        let begin = Instant::now();
        // A deadline beyond the end of time is an hour here, and the caller asks again.
        let until = begin.checked_add(self.options.deadline).unwrap_or(begin + HOUR);
        loop {
            // The buffer may hold keys of the last packet, longer than the next one.
            self.buffer[..self.filled].zeroize();
            self.filled = 0;
            let now = Instant::now();
            if let Some(request) = self.redump.request(now) {
                self.send(request, now)?;
            }
            if let Some(own) = self.own.pop_front() {
                self.current = own;
                return Ok(Ready::Own);
            }
            if self.wait(until, now)? && self.receive(now)? {
                self.answer(now)?;
                return Ok(Ready::Received);
            }
            // Also when packets come that do not count: there may be no end of them.
            if now >= until {
                return Ok(Ready::Nothing);
            }
        }
    }

    /// Looks for the ends of own dumps in the packet that was received.
    fn answer(&mut self, now: Instant) -> Result<(), Error> {
        let mut next = None;
        for (header, content) in Messages::new(0, 0, &self.buffer[..self.filled]).headers() {
            next = next.or(self.redump.answer(header, content, now));
        }
        next.map_or(Ok(()), |request| self.send(request, now))
    }
}

enum Ready {
    Nothing,
    Own,
    Received,
}

impl Source for Live {
    fn next(&mut self) -> Result<Option<Packet<'_>>, Error> {
        let ready = self.advance()?;
        let data = match ready {
            Ready::Nothing => return Ok(None),
            Ready::Own => &self.current[..],
            Ready::Received => &self.buffer[..self.filled],
        };
        self.packets += 1;
        let offset = self.received;
        self.received += data.len() as u64;
        let timestamp = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Ok(Some(Packet {
            number: self.packets,
            offset,
            timestamp: timestamp.unwrap_or_default(),
            family: NETLINK_XFRM,
            data,
        }))
    }

    fn ended(&self) -> bool {
        false
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("packets", &self.packets).finish_non_exhaustive()
    }
}

fn cannot(doing: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Socket { doing, source }
}

/// The message with which netlink says that some were lost; the kernel itself uses ENOBUFS.
fn overrun() -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[0] = HEADER as u8;
    bytes[4] = NLMSG_OVERRUN as u8;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Body;

    #[test]
    fn an_overrun_is_a_message() {
        let bytes = overrun();
        let bodies: Vec<_> = Messages::new(1, 0, &bytes)
            .map(|message| message.map(|message| message.body))
            .collect();
        assert!(matches!(bodies[..], [Ok(Body::Overrun)]));
    }

    /// Where the kernel has no XFRM or the right to listen is missing, that is a clear error;
    /// where it has, the first packet is the own request and the socket stays alive.
    #[test]
    fn opens_or_says_why_not() {
        let options = LiveOptions { deadline: Duration::from_millis(10), ..Default::default() };
        match Live::open(options) {
            Ok(mut live) => {
                let first = live.next().unwrap().unwrap();
                let message = first.messages().next().unwrap().unwrap();
                assert_eq!(message.body, Body::GetPolicy { dump: true });
                assert!(!live.ended());
            }
            Err(error @ Error::Socket { .. }) => {
                assert!(error.to_string().starts_with("netlink socket: cannot "), "{error}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}
