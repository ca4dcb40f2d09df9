// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The memory behind both devices, one image each. So what they write can be compared, and a slot that
//! the RTL has read and the host fills again is still there for the model.

use esnic_abi::{DmaFault, Host, QueryRecord};
use std::ops::Range;

/// Which device is at the other end of the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Rtl,
    Model,
}

/// What a piece of memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Submission ring of a pair: read only.
    Sq(usize),
    /// Completion ring of a pair: written only.
    Cq(usize),
    /// Records: written only.
    Records,
}

/// A piece of memory.
struct Region {
    base: u64,
    purpose: Use,
    rtl: Vec<u8>,
    model: Vec<u8>,
}

/// What the RTL did to the host, in the order in which it did it.
#[derive(Clone, Debug)]
pub enum Event {
    Read { purpose: Use, at: Range<usize> },
    Wrote { purpose: Use, at: Range<usize> },
    Refused { iova: u64, write: bool },
    Message(u16),
}

/// Requests of the RTL, to hold its counters against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    pub reads: u64,
    pub read_bytes: u64,
    pub writes: u64,
    pub write_bytes: u64,
    pub errors: u64,
}

/// All memory, and what came over the bus.
#[derive(Default)]
pub struct Memory {
    regions: Vec<Region>,
    /// What the host refuses to each device.
    pub refused: [Vec<Range<u64>>; 2],
    pub events: Vec<Event>,
    pub requests: Requests,
    /// Messages of the model, by vector.
    pub model_messages: Vec<u64>,
    /// The first access to nothing; never legal.
    pub stray: Option<String>,
}

impl Memory {
    /// New memory somewhere in the 64-bit space, so that every address bit counts.
    pub fn map(&mut self, purpose: Use, len: usize, random: &mut fastrand::Rng) -> u64 {
        self.regions.retain(|region| region.purpose != purpose);
        // Far from its neighbours, so that an access past an end hits nothing.
        let near = |a: u64, b: u64| a.abs_diff(b) < 1 << 32;
        let base = loop {
            let base = random.u64(1 << 32..u64::MAX - (1 << 32)) & !0xFFF;
            if !self.regions.iter().any(|region| near(region.base, base)) {
                break base;
            }
        };
        let (rtl, model) = (vec![0; len], vec![0; len]);
        self.regions.push(Region { base, purpose, rtl, model });
        base
    }

    fn region(&mut self, purpose: Use) -> &mut Region {
        let found = self.regions.iter_mut().find(|region| region.purpose == purpose);
        found.expect("mapped before it is used")
    }

    /// Fills a slot of a submission ring.
    pub fn put(&mut self, side: Side, pair: usize, at: usize, slot: &[u8]) {
        let region = self.region(Use::Sq(pair));
        let ring = match side {
            Side::Rtl => &mut region.rtl,
            Side::Model => &mut region.model,
        };
        ring[at..at + slot.len()].copy_from_slice(slot);
    }

    /// Bytes that a device wrote.
    pub fn look<const N: usize>(&mut self, side: Side, purpose: Use, at: usize) -> [u8; N] {
        let region = self.region(purpose);
        let bytes = match side {
            Side::Rtl => &region.rtl,
            Side::Model => &region.model,
        };
        bytes[at..at + N].try_into().expect("N bytes")
    }

    /// Overwrites what both devices wrote.
    pub fn wipe(&mut self, purpose: Use, at: usize, bytes: &[u8]) {
        let region = self.region(purpose);
        region.rtl[at..at + bytes.len()].copy_from_slice(bytes);
        region.model[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// The memory as one device reaches it.
    pub fn port(&mut self, side: Side) -> Port<'_> {
        Port { memory: self, side }
    }
}

/// One device's way to the memory.
pub struct Port<'a> {
    memory: &'a mut Memory,
    side: Side,
}

impl Port<'_> {
    /// Where an access goes, unless the host refuses it.
    fn find(&mut self, iova: u64, len: usize, write: bool) -> Result<(usize, usize), DmaFault> {
        let memory = &mut *self.memory;
        let end = iova.wrapping_add(len as u64);
        let side = self.side;
        let refused = &memory.refused[side as usize];
        let refused = refused.iter().any(|range| iova < range.end && range.start < end);
        let found = memory.regions.iter().position(|region| {
            let at = iova.wrapping_sub(region.base);
            let fits = at <= region.rtl.len() as u64 && at + len as u64 <= region.rtl.len() as u64;
            fits && write != matches!(region.purpose, Use::Sq(_))
        });
        if let (Some(k), false) = (found, refused) {
            return Ok((k, (iova - memory.regions[k].base) as usize));
        }
        // A spoilt QUERY asks for its record anywhere. Nothing else may go where nothing is.
        let record = write && len == QueryRecord::LEN;
        if !refused && !record {
            let what = if write { "write" } else { "read" };
            memory.stray.get_or_insert(format!("{side:?}: a {what} of {len} bytes at {iova:#x}"));
        }
        if side == Side::Rtl {
            memory.requests.errors += 1;
            memory.events.push(Event::Refused { iova, write });
        }
        Err(DmaFault)
    }
}

impl Host for Port<'_> {
    fn dma_read(&mut self, iova: u64, out: &mut [u8]) -> Result<(), DmaFault> {
        if self.side == Side::Rtl {
            self.memory.requests.reads += 1;
            self.memory.requests.read_bytes += out.len() as u64;
        }
        let (k, at) = self.find(iova, out.len(), false)?;
        let region = &self.memory.regions[k];
        let bytes = match self.side {
            Side::Rtl => &region.rtl,
            Side::Model => &region.model,
        };
        out.copy_from_slice(&bytes[at..at + out.len()]);
        let (purpose, at) = (region.purpose, at..at + out.len());
        if self.side == Side::Rtl {
            self.memory.events.push(Event::Read { purpose, at });
        }
        Ok(())
    }

    fn dma_write(&mut self, iova: u64, data: &[u8]) -> Result<(), DmaFault> {
        if self.side == Side::Rtl {
            self.memory.requests.writes += 1;
            self.memory.requests.write_bytes += data.len() as u64;
        }
        let (k, at) = self.find(iova, data.len(), true)?;
        let region = &mut self.memory.regions[k];
        let (purpose, at) = (region.purpose, at..at + data.len());
        match self.side {
            Side::Rtl => {
                region.rtl[at.clone()].copy_from_slice(data);
                self.memory.events.push(Event::Wrote { purpose, at });
            }
            Side::Model => region.model[at].copy_from_slice(data),
        }
        Ok(())
    }

    fn interrupt(&mut self, vector: u16) {
        match self.side {
            Side::Rtl => self.memory.events.push(Event::Message(vector)),
            Side::Model => {
                let vector = usize::from(vector);
                let messages = &mut self.memory.model_messages;
                messages.resize(messages.len().max(vector + 1), 0);
                messages[vector] += 1;
            }
        }
    }
}
