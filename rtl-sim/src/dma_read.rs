// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The device's reads of host memory: requests in, data out after a while, in some order.

use crate::bus::{latency, stalled};
use crate::cycle::Cycle;
use crate::ffi::{Inputs, Outputs};
use crate::mmio::to_words;
use esnic_abi::Host;
use std::collections::VecDeque;
use zeroize::Zeroize;

/// Beats of the longest read: 512 bytes.
pub(crate) const BEATS: usize = 8;

const OKAY: u8 = 0;
const SLVERR: u8 = 2;
const DECERR: u8 = 3;

/// What a beat carries whose data nobody may use.
const GARBAGE: u8 = 0xA5;

/// What came back from memory: a beat too many at most.
struct Answer {
    beats: [[u32; 16]; BEATS + 1],
    responses: [u8; BEATS + 1],
    /// How many of them come.
    count: usize,
    /// Bit k: beat k is the last one in its completion packet.
    ends: u16,
}

impl Drop for Answer {
    /// Slots may hold keys.
    fn drop(&mut self) {
        self.beats.zeroize();
    }
}

/// A read that was asked for.
struct Read {
    id: u8,
    iova: u64,
    beats: usize,
    sent: usize,
    /// First cycle of its first beat.
    due: u64,
    answer: Option<Box<Answer>>,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Reads {
    /// In the order of their requests.
    waiting: VecDeque<Read>,
    /// Which one's completion packet is being sent.
    current: Option<usize>,
    /// RVALID is up, for the next beat of `current`.
    up: bool,
    /// RVALID is up, for an answer to nothing with this ID.
    stray: Option<u8>,
    last_due: u64,
}

impl Reads {
    /// Whether some are not answered in full.
    pub(crate) fn pending(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Reads under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.waiting.len()
    }

    /// Sets the pins of this cycle. Data that was not fetched from memory yet needs the host.
    pub(crate) fn drive(
        &mut self,
        cycle: &mut Cycle<'_>,
        host: Option<&mut dyn Host>,
        pins: &mut Inputs,
    ) {
        let stalls = &cycle.bus.stalls;
        let room = cycle.moves() && self.waiting.len() < cycle.bus.reads_in_flight;
        pins.m_arready = (room && !stalled(cycle.rng, stalls.read_address)).into();

        if !self.up && self.stray.is_none() {
            self.stray = cycle.faults.stray_read.take();
        }
        if let Some(id) = self.stray {
            pins.m_rvalid = 1;
            pins.m_rid = id;
            pins.m_rdata = [u32::from_le_bytes([GARBAGE; 4]); 16];
            pins.m_rresp = OKAY;
            pins.m_rlast = 1;
            return;
        }
        if !self.up && cycle.moves() && self.ready(cycle, host) {
            self.up = !stalled(cycle.rng, cycle.bus.stalls.read_data);
        }
        pins.m_rvalid = self.up.into();
        let beat = self.current.filter(|_| self.up).and_then(|k| {
            let read = self.waiting.get(k)?;
            Some((read, read.answer.as_deref()?))
        });
        if let Some((read, answer)) = beat {
            pins.m_rid = read.id;
            pins.m_rdata = answer.beats[read.sent];
            pins.m_rresp = answer.responses[read.sent];
            pins.m_rlast = (read.sent + 1 == read.beats).into();
        }
    }

    /// Whether there is a beat to send now; chooses whose.
    fn ready(&mut self, cycle: &mut Cycle<'_>, host: Option<&mut dyn Host>) -> bool {
        if self.current.is_some() {
            return true;
        }
        let Some(k) = self.choose(cycle, host.is_some()) else {
            return false;
        };
        let read = &mut self.waiting[k];
        if read.answer.is_none() {
            let Some(host) = host else { return false };
            let answer = fetch(cycle, host, read.iova, read.beats);
            read.beats = answer.count;
            read.answer = Some(answer);
        }
        self.current = Some(k);
        true
    }

    /// The oldest read, or any that is due and the oldest of its ID.
    fn choose(&self, cycle: &mut Cycle<'_>, host: bool) -> Option<usize> {
        let due = |read: &Read| read.due <= cycle.now && (host || read.answer.is_some());
        if !cycle.bus.reorder && !cycle.bus.interleave {
            return self.waiting.front().filter(|read| due(read)).map(|_| 0);
        }
        let mut seen = 0_u64;
        let mut fit = [0; 64];
        let mut count = 0;
        for (k, read) in self.waiting.iter().enumerate() {
            let first_of_id = seen & (1 << read.id) == 0;
            seen |= 1 << read.id;
            if first_of_id && due(read) {
                fit[count] = k;
                count += 1;
            }
        }
        (count != 0).then(|| fit[cycle.rng.usize(0..count)])
    }

    /// Takes in what the device did.
    pub(crate) fn observe(&mut self, cycle: &mut Cycle<'_>, pins: &Inputs, seen: &Outputs) {
        if pins.m_rvalid & seen.m_rready != 0 && self.stray.take().is_none() {
            self.sent(cycle);
        }
        if seen.m_arvalid & pins.m_arready != 0 {
            cycle.traffic.read();
            let mut due = cycle.now + latency(cycle.rng, &cycle.bus.read_latency);
            if !cycle.bus.reorder {
                due = due.max(self.last_due);
            }
            self.last_due = due;
            self.waiting.push_back(Read {
                id: seen.m_arid,
                iova: seen.m_araddr,
                beats: usize::from(seen.m_arlen) + 1,
                sent: 0,
                due,
                answer: None,
            });
        }
    }

    /// A beat was taken.
    fn sent(&mut self, cycle: &Cycle<'_>) {
        self.up = false;
        let Some(k) = self.current else { return };
        let read = &mut self.waiting[k];
        let ends = read.answer.as_ref().map_or(0, |answer| answer.ends);
        let end = ends & (1 << read.sent) != 0;
        read.sent += 1;
        if read.sent == read.beats {
            self.waiting.remove(k);
            self.current = None;
        } else if end && cycle.bus.interleave {
            self.current = None;
        }
    }
}

/// Reads host memory, and lets the bus spoil it.
fn fetch(cycle: &mut Cycle<'_>, host: &mut dyn Host, iova: u64, beats: usize) -> Box<Answer> {
    let mut bytes = [GARBAGE; 64 * BEATS];
    let out = &mut bytes[..64 * beats];
    let len = out.len() as u64;
    let failed = cycle.faults.fail_read.hit(cycle.rng, iova, len);
    let refused = failed || host.dma_read(iova, out).is_err();
    if refused {
        // Bytes of a failed read may be anything but those of memory.
        out.fill(GARBAGE);
    }
    let mut answer = Box::new(Answer {
        beats: [[0; 16]; BEATS + 1],
        responses: [OKAY; BEATS + 1],
        count: beats,
        ends: 0,
    });
    for (words, line) in answer.beats.iter_mut().zip(bytes.as_chunks::<64>().0) {
        *words = to_words(line);
    }
    if refused {
        // An IOMMU and a root port that does not answer look different; neither must matter.
        let response = if failed && cycle.rng.bool() { DECERR } else { SLVERR };
        answer.responses[..beats].fill(response);
    } else if cycle.faults.poison_read.hit(cycle.rng, iova, len) {
        answer.responses[cycle.rng.usize(0..beats)] = SLVERR;
    }
    answer.ends = completions(cycle, iova, beats);
    if beats > 1 && cycle.faults.short_read.hit(cycle.rng, iova, len) {
        answer.count -= 1;
    } else if cycle.faults.long_read.hit(cycle.rng, iova, len) {
        answer.count += 1;
    }
    answer
}

/// Cuts an answer into completion packets; gives their last beats.
fn completions(cycle: &mut Cycle<'_>, iova: u64, beats: usize) -> u16 {
    let payload = u64::from(cycle.bus.max_payload);
    let boundary = u64::from(cycle.bus.completion_boundary);
    let end = iova + 64 * beats as u64;
    let mut ends = 0;
    let mut at = iova;
    while at < end {
        let limit = (at / payload + 1) * payload;
        let stop = if cycle.bus.short_completions {
            let first = at / boundary + 1;
            cycle.rng.u64(first..=limit / boundary) * boundary
        } else {
            limit
        };
        let stop = stop.min(end);
        // A packet is at most 512 bytes long here, and so is the distance below.
        #[allow(clippy::cast_possible_truncation)]
        let (len, last) = ((stop - at) as usize, ((stop - iova) / 64) as usize - 1);
        cycle.traffic.read_data(len);
        ends |= 1 << last;
        at = stop;
    }
    ends
}
