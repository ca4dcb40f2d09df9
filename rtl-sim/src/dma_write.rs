// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The device's writes to host memory: address and data in, effect and response after a while.

use crate::bus::{latency, stalled};
use crate::cycle::Cycle;
use crate::ffi::{Inputs, Outputs};
use crate::mmio::to_bytes;
use esnic_abi::Host;
use std::collections::VecDeque;

const OKAY: u8 = 0;
const SLVERR: u8 = 2;

/// Beats of the longest write: 128 bytes, so that its strobes fit into one integer.
pub(crate) const BEATS: usize = 2;

/// A write that is complete and waits for its time.
struct Write {
    id: u8,
    /// Of lane 0 of its first beat.
    line: u64,
    data: [u8; 64 * BEATS],
    strobe: u128,
    due: u64,
}

/// An address whose data is not all here.
struct Address {
    id: u8,
    iova: u64,
    beats: usize,
}

/// One beat of data.
struct Beat {
    data: [u32; 16],
    strobe: u64,
    last: bool,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Writes {
    addresses: VecDeque<Address>,
    beats: VecDeque<Beat>,
    waiting: VecDeque<Write>,
    responses: VecDeque<(u8, u8)>,
    /// BVALID is up, for the first of `responses`.
    up: bool,
    /// BVALID is up, for an answer to nothing with this ID.
    stray: Option<u8>,
    last_due: u64,
}

impl Writes {
    /// Whether some have no response yet.
    pub(crate) fn pending(&self) -> bool {
        !(self.addresses.is_empty()
            && self.beats.is_empty()
            && self.waiting.is_empty()
            && self.responses.is_empty())
    }

    /// Sets the pins of this cycle. Only with the host do writes take effect.
    pub(crate) fn drive(
        &mut self,
        cycle: &mut Cycle<'_>,
        host: Option<&mut dyn Host>,
        pins: &mut Inputs,
    ) {
        let stalls = &cycle.bus.stalls;
        let most = cycle.bus.writes_in_flight;
        let moves = cycle.moves();
        let room = self.addresses.len() + self.waiting.len() + self.responses.len() < most;
        pins.m_awready = (moves && room && !stalled(cycle.rng, stalls.write_address)).into();
        // Data may come before its address, but not without end.
        let room = self.beats.len() < BEATS * most;
        pins.m_wready = (moves && room && !stalled(cycle.rng, stalls.write_data)).into();

        if let Some(host) = host.filter(|_| moves) {
            self.deliver(cycle, host);
        }
        if !self.up && self.stray.is_none() {
            self.stray = cycle.faults.stray_write.take();
        }
        if let Some(id) = self.stray {
            (pins.m_bvalid, pins.m_bid, pins.m_bresp) = (1, id, OKAY);
            return;
        }
        if !self.up && moves && !self.responses.is_empty() {
            self.up = !stalled(cycle.rng, cycle.bus.stalls.write_response);
        }
        pins.m_bvalid = self.up.into();
        if let Some(&(id, response)) = self.responses.front() {
            pins.m_bid = id;
            pins.m_bresp = response;
        }
    }

    /// Lets one write take effect that is due.
    fn deliver(&mut self, cycle: &mut Cycle<'_>, host: &mut dyn Host) {
        let chosen = if cycle.bus.reorder {
            let mut seen = 0_u64;
            let fit: Vec<usize> = (0..self.waiting.len())
                .filter(|&k| {
                    let write = &self.waiting[k];
                    let first_of_id = seen & (1 << write.id) == 0;
                    seen |= 1 << write.id;
                    first_of_id && write.due <= cycle.now
                })
                .collect();
            cycle.rng.choice(fit)
        } else {
            let front = self.waiting.front();
            front.filter(|write| write.due <= cycle.now).map(|_| 0)
        };
        if let Some(write) = chosen.and_then(|k| self.waiting.remove(k)) {
            let response = apply(cycle, host, &write);
            self.responses.push_back((write.id, response));
        }
    }

    /// Takes in what the device did.
    ///
    /// # Errors
    /// What AXI does not allow.
    pub(crate) fn observe(
        &mut self,
        cycle: &mut Cycle<'_>,
        pins: &Inputs,
        seen: &Outputs,
    ) -> Result<(), String> {
        if pins.m_bvalid & seen.m_bready != 0 && self.stray.take().is_none() {
            self.up = false;
            self.responses.pop_front();
        }
        if seen.m_awvalid & pins.m_awready != 0 {
            self.addresses.push_back(Address {
                id: seen.m_awid,
                iova: seen.m_awaddr,
                beats: usize::from(seen.m_awlen) + 1,
            });
        }
        if seen.m_wvalid & pins.m_wready != 0 {
            self.beats.push_back(Beat {
                data: seen.m_wdata,
                strobe: seen.m_wstrb,
                last: seen.m_wlast != 0,
            });
        }
        match self.addresses.front() {
            Some(first) if self.beats.len() >= first.beats => self.join(cycle),
            _ => Ok(()),
        }
    }

    /// Puts the oldest address and its data together.
    fn join(&mut self, cycle: &mut Cycle<'_>) -> Result<(), String> {
        let Some(Address { id, iova, beats }) = self.addresses.pop_front() else {
            return Ok(());
        };
        let mut write = Write {
            id,
            line: iova & !63,
            data: [0; 64 * BEATS],
            strobe: 0,
            due: cycle.now + latency(cycle.rng, &cycle.bus.write_latency),
        };
        for (k, beat) in self.beats.drain(..beats).enumerate() {
            if beat.last != (k + 1 == beats) {
                return Err(format!(
                    "m_axi: WLAST {} on beat {k} of the {beats} of AWADDR {iova:#x}",
                    beat.last
                ));
            }
            write.data[64 * k..64 * (k + 1)].copy_from_slice(&to_bytes(&beat.data));
            write.strobe |= u128::from(beat.strobe) << (64 * k);
        }
        if write.strobe & ((1 << (iova & 63)) - 1) != 0 {
            return Err(format!("m_axi: a strobe below AWADDR {iova:#x}"));
        }
        if !cycle.bus.reorder {
            write.due = write.due.max(self.last_due);
        }
        self.last_due = write.due;
        self.waiting.push_back(write);
        Ok(())
    }
}

/// Carries a write out; gives its response.
fn apply(cycle: &mut Cycle<'_>, host: &mut dyn Host, write: &Write) -> u8 {
    let mut rest = write.strobe;
    let first = write.line + u64::from(rest.trailing_zeros() % 128);
    let span = u64::from(128 - rest.leading_zeros()) + write.line - first;
    // Both knobs count every write, whatever the other does.
    let failed = cycle.faults.fail_write.hit(cycle.rng, first, span);
    let lost = cycle.faults.lose_write.hit(cycle.rng, first, span);
    let mut refused = failed;
    while rest != 0 {
        let from = rest.trailing_zeros();
        let len = (rest >> from).trailing_ones();
        let run = if len == 128 { u128::MAX } else { (1 << len) - 1 };
        rest &= !(run << from);
        let (from, len) = (from as usize, len as usize);
        let iova = write.line + from as u64;
        packets(cycle, iova, len);
        if !failed && !lost {
            refused |= host.dma_write(iova, &write.data[from..from + len]).is_err();
        }
    }
    // On real PCIe nobody answers a write, so a refusal stays unseen.
    let hidden = cycle.bus.posted_faults && !failed;
    if refused && !hidden { SLVERR } else { OKAY }
}

/// Counts the packets that bytes take.
fn packets(cycle: &mut Cycle<'_>, iova: u64, len: usize) {
    let payload = u64::from(cycle.bus.max_payload);
    let end = iova + len as u64;
    let mut at = iova;
    while at < end {
        let stop = end.min((at / payload + 1) * payload);
        // At most 128 bytes.
        #[allow(clippy::cast_possible_truncation)]
        cycle.traffic.write((stop - at) as usize);
        at = stop;
    }
}
