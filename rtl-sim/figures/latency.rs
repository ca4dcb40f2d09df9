// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One command at a time on an idle device: how long it takes from its doorbell to its completion.

use crate::host::Result;
use crate::load::{Bench, DIRECT, Handles, Kind};
use esnic_abi::Params;

/// Commands measured for each figure.
const TRIALS: u32 = 64;

/// The shortest and the longest of all trials, in cycles.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) least: u64,
    pub(crate) most: u64,
}

impl Span {
    const NONE: Self = Self { least: u64::MAX, most: 0 };

    fn add(&mut self, cycles: u64) {
        self.least = self.least.min(cycles);
        self.most = self.most.max(cycles);
    }

    /// Both spans together.
    pub(crate) fn with(self, other: Self) -> Self {
        Self { least: self.least.min(other.least), most: self.most.max(other.most) }
    }
}

impl Bench {
    /// By ring, on every pair in turn, `latency` being that of the bus and not counted.
    pub(crate) fn ring_latency(&mut self, latency: u32) -> Result<Span> {
        let mut span = Span::NONE;
        self.machine.settle()?;
        for trial in 0..TRIALS {
            let pair = trial % self.machine.pairs();
            let index = self.rng.u32(0..Params::default().sa_capacity);
            let command = self.make(Kind::Update, index, Handles::Random, pair);
            self.machine.post(pair, command)?;
            self.machine.ring(pair);
            span.add(self.offered(pair, latency)?);
        }
        Ok(span)
    }

    /// By the direct path, staged in stores of `chunk` bytes right before the doorbell.
    pub(crate) fn direct_latency(&mut self, chunk: usize) -> Result<Span> {
        let mut span = Span::NONE;
        for trial in 0..TRIALS {
            if trial % DIRECT == 0 {
                self.machine.settle()?;
            }
            self.send_one(chunk, trial)?;
            span.add(self.offered(0, 0)?);
        }
        Ok(span)
    }

    /// Cycles from the store made last, a doorbell, to the write of the only completion, without `latency`. Then the device
    /// rests for a while, of another length each time: nothing may depend on the phase.
    fn offered(&mut self, pair: u32, latency: u32) -> Result<u64> {
        self.machine.until("the completion", |machine| machine.outstanding(pair) == 0)?;
        let seen = self.machine.device.milestones();
        let (Some(store), Some(write)) = (seen.store_taken, seen.write_offered) else {
            return Err("a completion came without a store or without a write".into());
        };
        for _ in 0..self.rng.u32(64..128) {
            self.machine.step();
        }
        let cycles = write.checked_sub(store + u64::from(latency));
        cycles.ok_or_else(|| "a completion came before its command can have been read".into())
    }
}
