// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What kind of bus the device is plugged into, and how it misbehaves.

use core::ops::{Range, RangeInclusive};
use fastrand::Rng;

/// How often, in percent, each handshake is held back for a cycle although it could happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stalls {
    /// The host's writes: address, data and response, each by itself.
    pub mmio_write: u8,
    /// The host's reads: address and data.
    pub mmio_read: u8,
    /// The device's read requests.
    pub read_address: u8,
    /// The data of the device's reads.
    pub read_data: u8,
    /// The device's write addresses.
    pub write_address: u8,
    /// The device's write data.
    pub write_data: u8,
    /// The responses to the device's writes.
    pub write_response: u8,
    /// Interrupt messages.
    pub message: u8,
}

impl Stalls {
    /// Every handshake alike.
    #[must_use]
    pub const fn all(percent: u8) -> Self {
        Self {
            mmio_write: percent,
            mmio_read: percent,
            read_address: percent,
            read_data: percent,
            write_address: percent,
            write_data: percent,
            write_response: percent,
            message: percent,
        }
    }
}

/// The bus between device and host, as the device meets it at its AXI ports.
///
/// Whatever is chosen at random comes from `seed` alone, so the same accesses and steps give the
/// same run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bus {
    /// Where all randomness comes from.
    pub seed: u64,
    /// Cycles from a read request to its first data; at least one in any case.
    pub read_latency: RangeInclusive<u32>,
    /// Cycles from the last data of a write to its response, and so to its effect; at least one.
    pub write_latency: RangeInclusive<u32>,
    /// Requests of different IDs may overtake each other, reads and writes alike.
    pub reorder: bool,
    /// The data of a read may be interrupted by that of another ID wherever a completion packet ends.
    pub interleave: bool,
    /// Read completions end at a random multiple of the read completion boundary, not only where
    /// `max_payload` makes them.
    pub short_completions: bool,
    /// Bytes in one packet at most: a power of two, 64 or more.
    pub max_payload: u32,
    /// Read completion boundary in bytes: 64 or 128.
    pub completion_boundary: u32,
    /// Reads that the bus takes before the first is answered.
    pub reads_in_flight: usize,
    /// Writes that the bus takes before the first is answered.
    pub writes_in_flight: usize,
    /// Handshakes held back.
    pub stalls: Stalls,
    /// A write that the host refuses gets a good response all the same: real PCIe posts writes (R46).
    pub posted_faults: bool,
    /// Cycles after which a read of the host's gives up and answers all ones.
    pub mmio_deadline: u32,
}

impl Default for Bus {
    /// A smooth bus: 400 ns to memory at 250 MHz, everything in order, nothing held back.
    fn default() -> Self {
        Self {
            seed: 0,
            read_latency: 100..=100,
            write_latency: 1..=1,
            reorder: false,
            interleave: false,
            short_completions: false,
            max_payload: 256,
            completion_boundary: 64,
            reads_in_flight: 64,
            writes_in_flight: 64,
            stalls: Stalls::default(),
            posted_faults: false,
            mmio_deadline: 10_000,
        }
    }
}

impl Bus {
    /// The bus that the environment asks for: `ESNIC_RTL_SEED=n` the rough one of seed n, else the
    /// default.
    ///
    /// # Panics
    /// If the variable is no number: a test that ran on another bus than was asked for would lie.
    #[must_use]
    pub fn from_env() -> Self {
        let Ok(seed) = std::env::var("ESNIC_RTL_SEED") else {
            return Self::default();
        };
        let seed = seed.parse().unwrap_or_else(|_| panic!("ESNIC_RTL_SEED is `{seed}`, no number"));
        Self::rough(seed)
    }

    /// As fast as a bus can be: every answer in the next cycle.
    #[must_use]
    pub fn immediate() -> Self {
        Self { read_latency: 1..=1, ..Self::default() }
    }

    /// A bus that does everything that AXI and PCIe allow, differently for each seed.
    #[must_use]
    pub fn rough(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x0B05_0B05_0B05_0B05);
        let mut percent = || [0, 10, 50, 80][rng.usize(0..4)];
        let stalls = Stalls {
            mmio_write: percent(),
            mmio_read: percent(),
            read_address: percent(),
            read_data: percent(),
            write_address: percent(),
            write_data: percent(),
            write_response: percent(),
            message: percent(),
        };
        let longest = [1, 20, 200, 1000][rng.usize(0..4)];
        Self {
            seed,
            read_latency: 0..=longest,
            write_latency: 0..=rng.u32(0..=longest),
            reorder: rng.bool(),
            interleave: rng.bool(),
            short_completions: rng.bool(),
            reads_in_flight: [1, 2, 32, 64][rng.usize(0..4)],
            writes_in_flight: [1, 2, 64][rng.usize(0..3)],
            stalls,
            ..Self::default()
        }
    }
}

/// When a fault happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trigger {
    /// Not at all.
    #[default]
    Never,
    /// Once, at the n-th occasion from now; 1 is the next. Then it is `Never`.
    Nth(u32),
    /// At about this many of a thousand occasions.
    Permille(u16),
    /// At every occasion that touches these host addresses.
    Within(Range<u64>),
}

impl Trigger {
    /// The next occasion only.
    #[must_use]
    pub const fn next() -> Self {
        Self::Nth(1)
    }

    /// Every occasion.
    #[must_use]
    pub const fn always() -> Self {
        Self::Permille(1000)
    }

    /// An occasion that touches `len` bytes from `iova` on: does it happen?
    pub(crate) fn hit(&mut self, rng: &mut Rng, iova: u64, len: u64) -> bool {
        match self {
            Self::Never => false,
            Self::Nth(left) => {
                *left = left.saturating_sub(1);
                let hit = *left == 0;
                if hit {
                    *self = Self::Never;
                }
                hit
            }
            Self::Permille(share) => rng.u16(0..1000) < *share,
            Self::Within(range) => iova < range.end && range.start < iova.saturating_add(len),
        }
    }
}

/// Whether the bus stands still: it takes nothing from the device and answers nothing, while the
/// host still reaches the registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stuck {
    /// It moves.
    #[default]
    No,
    /// Until function level reset.
    UntilReset,
    /// After that as well, so that the device never gets through a reset (R20).
    Always,
}

/// Knobs that make the bus or the device fail, for tests. They belong to the test; no reset touches
/// them, except [`Stuck::UntilReset`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Reads of the device's that are answered with an error.
    pub fail_read: Trigger,
    /// Reads of the device's of which one beat arrives poisoned.
    pub poison_read: Trigger,
    /// Reads of the device's, of two beats or more, of which the last beat never comes.
    pub short_read: Trigger,
    /// Reads of the device's that are answered with a beat too many.
    pub long_read: Trigger,
    /// One beat with this ID, which answers no read that has it.
    pub stray_read: Option<u8>,
    /// One response with this ID, which answers no write that has it.
    pub stray_write: Option<u8>,
    /// Writes of the device's that are answered with an error.
    pub fail_write: Trigger,
    /// Writes of the device's that vanish with a good response (R46).
    pub lose_write: Trigger,
    /// The bus stands still, and the device takes no command.
    pub stuck: Stuck,
    /// The next ADD stores a row that its read-back will not agree with.
    pub verify_add: bool,
    /// So does the next DELETE.
    pub verify_delete: bool,
    /// FATAL now: causes, as the bits of FATAL_CAUSE, and FATAL_INFO.
    pub fatal: Option<(u8, u32)>,
    /// The device is gone: reads give all ones, writes and time do nothing.
    pub gone: bool,
}

/// Whether a handshake is held back this cycle.
pub(crate) fn stalled(rng: &mut Rng, percent: u8) -> bool {
    percent != 0 && rng.u8(0..100) < percent
}

/// A number of cycles; the usual range of one number costs no randomness.
pub(crate) fn latency(rng: &mut Rng, range: &RangeInclusive<u32>) -> u64 {
    let cycles = if range.start() >= range.end() { *range.start() } else { rng.u32(range.clone()) };
    u64::from(cycles.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_count_from_now() {
        let mut rng = Rng::with_seed(1);
        let mut third = Trigger::Nth(3);
        assert_eq!([(); 5].map(|()| third.hit(&mut rng, 0, 1)), [false, false, true, false, false]);
        let mut range = Trigger::Within(0x1000..0x2000);
        assert!(range.hit(&mut rng, 0xFFF, 2) && range.hit(&mut rng, 0x1FFF, 1));
        assert!(!range.hit(&mut rng, 0xFFF, 1) && !range.hit(&mut rng, 0x2000, 64));
        let mut always = Trigger::always();
        assert!((0..100).all(|_| always.hit(&mut rng, 0, 1)));
    }

    #[test]
    fn a_latency_is_at_least_one_cycle() {
        let mut rng = Rng::with_seed(1);
        assert_eq!(latency(&mut rng, &(0..=0)), 1);
        assert_eq!(latency(&mut rng, &(7..=7)), 7);
        for _ in 0..100 {
            assert!((1..=3).contains(&latency(&mut rng, &(0..=3))));
        }
    }
}
