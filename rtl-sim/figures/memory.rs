// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Host memory: one flat piece, with the rings of every pair and a place for records.

use esnic_abi::{Completion, DmaFault, Host};
use zerocopy::FromBytes;

/// First address; above 4 GiB, as it would be on a real machine.
const BASE: u64 = 0x1_0000_0000;

/// log2 of the entries of each ring, submission and completion alike.
pub(crate) const RING_LOG2: u32 = 10;

/// Entries of each ring.
pub(crate) const RING: u32 = 1 << RING_LOG2;

/// Bytes of a submission ring.
const SQ_BYTES: u64 = 64 << RING_LOG2;

/// Bytes from one pair's rings to the next one's.
const PAIR_BYTES: u64 = 2 * SQ_BYTES;

/// Where the submission ring of a pair begins.
pub(crate) const fn sq_base(pair: u32) -> u64 {
    BASE + PAIR_BYTES * pair as u64
}

/// Where the completion ring of a pair begins.
pub(crate) const fn cq_base(pair: u32) -> u64 {
    sq_base(pair) + SQ_BYTES
}

/// The memory of the host.
pub(crate) struct Memory {
    bytes: Vec<u8>,
    /// Behind the rings.
    records: u64,
    /// The device wrote since somebody looked.
    pub(crate) touched: bool,
}

impl Memory {
    /// Rings for this many pairs, and records as many as one ring has entries.
    pub(crate) fn new(pairs: u32) -> Self {
        let records = sq_base(pairs);
        let len = records + 128 * u64::from(RING) - BASE;
        Self { bytes: vec![0; at(BASE + len)], records, touched: false }
    }

    /// Where record `k` of QUERY goes.
    pub(crate) fn record_address(&self, k: u32) -> u64 {
        self.records + 128 * u64::from(k % RING)
    }

    /// Record `k`, which is zero again afterwards, so that no old one is taken for a new one.
    pub(crate) fn take_record(&mut self, k: u32) -> [u8; 128] {
        let from = at(self.record_address(k));
        let mut record = [0; 128];
        self.bytes[from..from + 128].swap_with_slice(&mut record);
        record
    }

    /// Fills the slot of a ring index.
    pub(crate) fn put_slot(&mut self, pair: u32, index: u32, slot: &[u8]) {
        let from = at(sq_base(pair)) + 64 * (index % RING) as usize;
        self.bytes[from..from + 64].copy_from_slice(slot);
    }

    /// The completion of a ring index, if it is there: its phase tells (R6, R41).
    pub(crate) fn completion(&self, pair: u32, index: u32) -> Option<Completion> {
        let from = at(cq_base(pair)) + 16 * (index % RING) as usize;
        let completion = Completion::read_from_bytes(&self.bytes[from..from + 16]).ok()?;
        let due = 1 - (index >> RING_LOG2 & 1);
        (Completion::PHASE.get(completion.info.into()) == due).then_some(completion)
    }

    /// The bytes behind an address that the device gave.
    fn range(&mut self, iova: u64, len: usize) -> Result<&mut [u8], DmaFault> {
        let from =
            usize::try_from(iova.checked_sub(BASE).ok_or(DmaFault)?).map_err(|_| DmaFault)?;
        let end = from.checked_add(len).ok_or(DmaFault)?;
        self.bytes.get_mut(from..end).ok_or(DmaFault)
    }
}

/// Where an own address is in `bytes`, which is a few MiB long.
#[allow(clippy::cast_possible_truncation)]
fn at(iova: u64) -> usize {
    (iova - BASE) as usize
}

impl Host for Memory {
    fn dma_read(&mut self, iova: u64, out: &mut [u8]) -> Result<(), DmaFault> {
        out.copy_from_slice(self.range(iova, out.len())?);
        Ok(())
    }

    fn dma_write(&mut self, iova: u64, data: &[u8]) -> Result<(), DmaFault> {
        self.range(iova, data.len())?.copy_from_slice(data);
        self.touched = true;
        Ok(())
    }

    /// Completions are polled, so MSI-X stays off and no message comes.
    fn interrupt(&mut self, _vector: u16) {}
}
