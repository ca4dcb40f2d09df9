// SPDX-License-Identifier: Apache-2.0 OR MIT
//! When a live socket asks the kernel for dumps, and when it asks again.

use std::time::{Duration, Instant};

use netlink_packet_core::{
    Emitable as _, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
    NetlinkHeader,
};
use netlink_packet_xfrm::constants::{XFRM_MSG_GETPOLICY, XFRM_MSG_GETSA};

use crate::message::{HEADER, Header};

/// The pause before the first repetition, and before the last.
///
/// A dump costs the kernel a walk over the whole table, and what made messages overflow once is
/// usually still going on.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A dump of a million SAs takes seconds; one without an end after this never ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// The dumps of one socket: policies, which tell directions, and then SAs.
///
/// The kernel allows a socket one dump at a time.
pub(crate) struct Redump {
    port: u32,
    seq: u32,
    phase: Phase,
    pause: Duration,
    /// Whether messages were lost since the dumps under way began.
    lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing to do.
    Rest,
    /// Begin at this time.
    Due(Instant),
    /// Waiting for the end of this dump.
    Running { kind: u16, until: Instant },
}

impl Redump {
    /// Dumps for the socket of this port, the first one at once.
    pub(crate) fn new(port: u32, now: Instant) -> Self {
        Self { port, seq: 0, phase: Phase::Due(now), pause: PAUSE, lost: false }
    }

    /// When [`Redump::request`] has something to do next.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Rest => None,
            Phase::Due(at) | Phase::Running { until: at, .. } => Some(at),
        }
    }

    /// Messages were lost.
    pub(crate) fn lost(&mut self, now: Instant) {
        match self.phase {
            Phase::Rest => self.postpone(now),
            Phase::Due(_) => {}
            Phase::Running { .. } => self.lost = true,
        }
    }

    /// The request that is to be sent now, if any.
    pub(crate) fn request(&mut self, now: Instant) -> Option<[u8; HEADER]> {
        match self.phase {
            Phase::Due(at) if at <= now => {
                self.lost = false;
                Some(self.begin(XFRM_MSG_GETPOLICY, now))
            }
            Phase::Running { until, .. } if until <= now => {
                self.postpone(now);
                None
            }
            _ => None,
        }
    }

    /// A message from the kernel; the request that it makes necessary at once, if any.
    pub(crate) fn answer(
        &mut self,
        header: Header,
        content: &[u8],
        now: Instant,
    ) -> Option<[u8; HEADER]> {
        let Phase::Running { kind, .. } = self.phase else {
            return None;
        };
        if (header.seq, header.pid) != (self.seq, self.port) {
            return None;
        }
        // The table changed under the dump, which may miss something for that.
        self.lost |= header.flags & NLM_F_DUMP_INTR != 0;
        let code = content.first_chunk().map_or(0, |code| i32::from_le_bytes(*code));
        match header.kind {
            NLMSG_DONE if code < 0 => self.postpone(now),
            NLMSG_DONE if kind == XFRM_MSG_GETPOLICY => {
                return Some(self.begin(XFRM_MSG_GETSA, now));
            }
            NLMSG_DONE if self.lost => self.postpone(now),
            NLMSG_DONE => {
                self.phase = Phase::Rest;
                self.pause = PAUSE;
            }
            NLMSG_ERROR if code != 0 => self.postpone(now),
            _ => {}
        }
        None
    }

    /// The request could not be sent.
    pub(crate) fn postpone(&mut self, now: Instant) {
        self.phase = Phase::Due(now + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    fn begin(&mut self, kind: u16, now: Instant) -> [u8; HEADER] {
        // 0 is the number of what the kernel tells without being asked.
        self.seq = self.seq.wrapping_add(1).max(1);
        self.phase = Phase::Running { kind, until: now + PATIENCE };
        let mut header = NetlinkHeader::default();
        header.length = HEADER as u32;
        header.message_type = kind;
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        header.sequence_number = self.seq;
        header.port_number = self.port;
        let mut bytes = [0; HEADER];
        header.emit(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: u32 = 4711;

    fn head(kind: u16, seq: u32) -> Header {
        Header { kind, flags: 2, seq, pid: PORT }
    }

    #[test]
    fn asks_for_policies_and_then_for_sas() {
        let now = Instant::now();
        let mut redump = Redump::new(PORT, now);
        let policies = redump.request(now).unwrap();
        assert_eq!(policies, [16, 0, 0, 0, 0x15, 0, 1, 3, 1, 0, 0, 0, 0x67, 0x12, 0, 0]);
        assert_eq!(redump.request(now), None);
        assert_eq!(redump.answer(head(0x13, 1), &[], now), None);
        let sas = redump.answer(head(NLMSG_DONE, 1), &[0; 4], now).unwrap();
        assert_eq!(sas, [16, 0, 0, 0, 0x12, 0, 1, 3, 2, 0, 0, 0, 0x67, 0x12, 0, 0]);
        assert_eq!(redump.answer(head(NLMSG_DONE, 2), &[0; 4], now), None);
        assert_eq!(redump.due(), None);
    }

    #[test]
    fn ends_of_other_dumps_do_not_count() {
        let now = Instant::now();
        let mut redump = Redump::new(PORT, now);
        redump.request(now).unwrap();
        assert_eq!(redump.answer(head(NLMSG_DONE, 9), &[0; 4], now), None);
        let other = Header { pid: 1, ..head(NLMSG_DONE, 1) };
        assert_eq!(redump.answer(other, &[0; 4], now), None);
        assert_eq!(redump.due(), Some(now + PATIENCE));
    }

    #[test]
    fn losses_are_answered_by_dumps_with_growing_pauses() {
        let mut now = Instant::now();
        let mut redump = Redump::new(PORT, now);
        for expected in [50, 100, 200] {
            let seq = u32::from(redump.request(now).unwrap()[8]);
            redump.answer(head(NLMSG_DONE, seq), &[0; 4], now).unwrap();
            redump.lost(now);
            assert_eq!(redump.answer(head(NLMSG_DONE, seq + 1), &[0; 4], now), None);
            let pause = Duration::from_millis(expected);
            assert_eq!(redump.due(), Some(now + pause));
            redump.lost(now);
            assert_eq!(redump.request(now), None);
            now += pause;
        }
        let seq = u32::from(redump.request(now).unwrap()[8]);
        redump.answer(head(NLMSG_DONE, seq), &[], now).unwrap();
        redump.answer(head(NLMSG_DONE, seq + 1), &[], now);
        assert_eq!(redump.due(), None);
        redump.lost(now);
        assert_eq!(redump.due(), Some(now + PAUSE));
    }

    #[test]
    fn refused_interrupted_and_endless_dumps_are_repeated() {
        let now = Instant::now();
        let busy = (-16_i32).to_le_bytes();
        let mut redump = Redump::new(PORT, now);
        redump.request(now).unwrap();
        redump.answer(head(NLMSG_ERROR, 1), &busy, now);
        assert_eq!(redump.due(), Some(now + PAUSE));

        let mut redump = Redump::new(PORT, now);
        redump.request(now).unwrap();
        redump.answer(head(NLMSG_DONE, 1), &[0; 4], now).unwrap();
        redump.answer(Header { flags: 0x12, ..head(0x10, 2) }, &[], now);
        redump.answer(head(NLMSG_DONE, 2), &[0; 4], now);
        assert_eq!(redump.due(), Some(now + PAUSE));

        let mut redump = Redump::new(PORT, now);
        redump.request(now).unwrap();
        assert_eq!(redump.request(now + PATIENCE), None);
        assert_eq!(redump.due(), Some(now + PATIENCE + PAUSE));
    }
}
