// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a build of the device chooses, and how it reports that.

use crate::codes::Algorithm;
use crate::codes::SA_SLOT_BYTES;
use crate::regs::global;

/// Sizes and abilities of one build. A model takes them at run time, RTL as parameters; either way
/// the host learns them from FEATURES, ALGS, SA_CAPACITY, LIMITS and MAX_WINDOW.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// SA slots: a power of two, 2 to 2^20.
    pub sa_capacity: u32,
    /// Queue pairs: 1 to 64.
    pub queue_pairs: u8,
    /// log2 of the largest ring: 1 to 15.
    pub ring_log2: u8,
    /// log2 of the entries of each direct doorbell ring: 0 to 6.
    pub direct_log2: u8,
    /// log2 of the stage buffers: 0 to 20, not above the capacity.
    pub stage_log2: u8,
    /// Largest replay window that ADD stores: up to 4096.
    pub max_window: u16,
    /// What `FEATURES` reads.
    pub features: u32,
    /// What `ALGS` reads.
    pub algs: u32,
}

/// Everything that version 1 defines but a datapath, events and virtual functions.
const ALL_FEATURES: u32 = 0x3FFF;

/// Every algorithm and every length of the check value.
const ALL_ALGS: u32 = 0x0007_007E;

impl Default for Params {
    fn default() -> Self {
        Self {
            sa_capacity: 4096,
            queue_pairs: 8,
            ring_log2: 12,
            direct_log2: 6,
            stage_log2: 6,
            max_window: 4096,
            features: ALL_FEATURES,
            algs: ALL_ALGS,
        }
    }
}

/// A build that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {value}, must be {must}")]
pub struct ParamsError {
    /// Which parameter.
    pub what: &'static str,
    /// What it is.
    pub value: u32,
    /// What it may be.
    pub must: &'static str,
}

impl Params {
    /// Checks every range.
    ///
    /// # Errors
    /// The first parameter that is out of its range.
    pub fn validate(&self) -> Result<(), ParamsError> {
        let check = |ok, what, value, must| {
            if ok { Ok(()) } else { Err(ParamsError { what, value, must }) }
        };
        let capacity = self.sa_capacity;
        check(
            capacity.is_power_of_two() && (2..=1 << 20).contains(&capacity),
            "sa_capacity",
            capacity,
            "a power of two from 2 to 2^20",
        )?;
        let pairs = self.queue_pairs;
        check((1..=64).contains(&pairs), "queue_pairs", pairs.into(), "1 to 64")?;
        let ring = self.ring_log2;
        check((1..=15).contains(&ring), "ring_log2", ring.into(), "1 to 15")?;
        let direct = self.direct_log2;
        check(direct <= 6, "direct_log2", direct.into(), "0 to 6")?;
        let stage = self.stage_log2;
        check(
            u32::from(stage) <= capacity.ilog2(),
            "stage_log2",
            stage.into(),
            "0 to log2 of sa_capacity",
        )?;
        check(self.max_window <= 4096, "max_window", self.max_window.into(), "at most 4096")?;
        check(self.features & !ALL_FEATURES == 0, "features", self.features, "bits of version 1")?;
        check(self.algs & !ALL_ALGS == 0, "algs", self.algs, "bits of version 1")
    }

    /// What `LIMITS` reads.
    #[must_use]
    pub fn limits(&self) -> u32 {
        let word = global::LIMITS::QUEUE_PAIRS.put(0, self.queue_pairs.into());
        let word = global::LIMITS::RING_LOG2.put(word, self.ring_log2.into());
        let word = global::LIMITS::DIRECT_LOG2.put(word, self.direct_log2.into());
        global::LIMITS::STAGE_LOG2.put(word, self.stage_log2.into())
    }

    /// The parameters that a device reports in its registers.
    ///
    /// # Errors
    /// The first of them that is out of its range: nothing a device says is believed unseen.
    pub fn from_registers(
        features: u32,
        algs: u32,
        sa_capacity: u32,
        limits: u32,
        max_window: u32,
    ) -> Result<Self, ParamsError> {
        let window = u16::try_from(max_window).map_err(|_| ParamsError {
            what: "max_window",
            value: max_window,
            must: "at most 4096",
        })?;
        // Each field is narrower than eight bits.
        #[allow(clippy::cast_possible_truncation)]
        let params = Self {
            sa_capacity,
            queue_pairs: global::LIMITS::QUEUE_PAIRS.get(limits) as u8,
            ring_log2: global::LIMITS::RING_LOG2.get(limits) as u8,
            direct_log2: global::LIMITS::DIRECT_LOG2.get(limits) as u8,
            stage_log2: global::LIMITS::STAGE_LOG2.get(limits) as u8,
            max_window: window,
            features,
            algs,
        };
        params.validate().map(|()| params)
    }

    /// Length of BAR 2 in bytes: a power of two.
    #[must_use]
    pub fn bar2_bytes(&self) -> u64 {
        (u64::from(self.sa_capacity) * SA_SLOT_BYTES).next_power_of_two()
    }

    /// Whether `algorithm` with a check value of `icv_len` bytes is offered.
    #[must_use]
    pub fn offers(&self, algorithm: Algorithm, icv_len: u8) -> bool {
        let icv = match icv_len {
            8 => global::ALGS::ICV_8,
            12 => global::ALGS::ICV_12,
            16 => global::ALGS::ICV_16,
            _ => return false,
        };
        self.algs & (1 << algorithm as u8) != 0 && icv.is_set(self.algs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_reports_is_what_it_was_built_with() {
        let built = Params { sa_capacity: 1 << 20, queue_pairs: 64, ..Params::default() };
        let read = Params::from_registers(
            built.features,
            built.algs,
            built.sa_capacity,
            built.limits(),
            built.max_window.into(),
        );
        assert_eq!(read, Ok(built));
        assert_eq!(built.bar2_bytes(), 128 << 20);
    }

    #[test]
    fn impossible_builds_are_named() {
        let odd = Params { sa_capacity: 1000, ..Params::default() };
        assert_eq!(odd.validate().unwrap_err().what, "sa_capacity");
        let gone = Params::from_registers(!0, !0, !0, !0, !0);
        assert!(gone.is_err(), "a device that is gone reads all ones");
        let stages = Params { stage_log2: 13, ..Params::default() };
        assert_eq!(stages.validate().unwrap_err().what, "stage_log2");
    }
}
