// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Numbers that must not be mixed up, each a type of its own.

use core::fmt;

/// A number that is no code of an enumeration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value} is no {what}")]
pub struct UnknownCode {
    /// The enumeration.
    pub what: &'static str,
    /// The number.
    pub value: u32,
}

/// An address as the device sees it: what the IOMMU translates. Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Iova(pub u64);

impl fmt::Display for Iova {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Number of a row of the SA table, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SaIndex(pub u32);

impl fmt::Display for SaIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How often a row has been given out; never 0 for an entry, grows modulo 2^32 and skips 0 (R21).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Generation(pub u32);

impl Generation {
    /// The generation after this one: FFFFFFFF is followed by 1 (R21).
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 == u32::MAX { Self(1) } else { Self(self.0 + 1) }
    }

    /// Whether this generation comes after `held` in the sense of R21: any one does if nothing is
    /// remembered (0), otherwise the signed 32-bit distance must be positive.
    #[must_use]
    pub const fn is_newer_than(self, held: Self) -> bool {
        held.0 == 0 || self.0.wrapping_sub(held.0).cast_signed() > 0
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What names one entry of the SA table for as long as it lives: `generation·2^32 + index` (R28).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    /// The row.
    pub index: SaIndex,
    /// Which of the row's entries, one after the other, is meant.
    pub generation: Generation,
}

impl Handle {
    /// The handle as one number. Never 0 for an entry, since no generation is.
    #[must_use]
    pub const fn bits(self) -> u64 {
        (self.generation.0 as u64) << 32 | self.index.0 as u64
    }

    /// The handle that [`Self::bits`] made.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)]
    pub const fn from_bits(bits: u64) -> Self {
        Self { index: SaIndex(bits as u32), generation: Generation((bits >> 32) as u32) }
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// Security parameters index, by value (RFC 4301 section 4.1); never 0 on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Spi(pub u32);

impl fmt::Display for Spi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// What ties a completion to its command; bit 31 is always 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Cookie(pub u32);

impl Cookie {
    /// The bits that a cookie may use.
    pub const MASK: u32 = 0x7FFF_FFFF;
}

/// `INSTANCE[15:0]`: which of the device's users, one after the other, made a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Epoch(pub u16);

/// A position in a ring: counts every slot ever used, modulo 2^32 (§3, R6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct RingIndex(pub u32);

impl RingIndex {
    /// The position `n` further on.
    #[must_use]
    pub const fn plus(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }

    /// How many slots this position is ahead of `other`.
    #[must_use]
    pub const fn since(self, other: Self) -> u32 {
        self.0.wrapping_sub(other.0)
    }

    /// Whether this position is behind `other`: their signed distance is negative.
    #[must_use]
    pub const fn is_behind(self, other: Self) -> bool {
        self.since(other).cast_signed() < 0
    }

    /// The slot of a ring of `1 << log2` slots.
    #[must_use]
    pub const fn slot(self, log2: u32) -> u32 {
        self.0 & ((1 << log2) - 1)
    }

    /// The phase that an entry at this position carries in a ring of `1 << log2` entries: true in
    /// even rounds, so that zeroed memory is "empty" for a fresh pair (R6).
    #[must_use]
    pub const fn phase(self, log2: u32) -> bool {
        (self.0 >> log2) & 1 == 0
    }
}

/// The highest sequence number that is known to have been used: 64 bits, 0 if none was (RFC 4303
/// section 2.2.1; the first packet carries 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Top(pub u64);

impl Top {
    /// From its halves.
    #[must_use]
    pub const fn new(hi: u32, lo: u32) -> Self {
        Self((hi as u64) << 32 | lo as u64)
    }

    /// The half that never travels in packets.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)]
    pub const fn hi(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The half that travels in packets.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)]
    pub const fn lo(self) -> u32 {
        self.0 as u32
    }
}

impl fmt::Display for Top {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}:{:08x}", self.hi(), self.lo())
    }
}
