// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The ESN rule (§7), on 32-bit halves as hardware computes it.
//!
//! A device knows the highest number used so far; a packet carries only the low half of its own. The
//! packet's number is the one nearest to the known one that has this low half. The distance is
//! taken as a signed 32-bit number, so that of two equally near ones (2^31 either way) the lower wins.

use esnic_abi::{Top, UpdateMode};

/// `top` and whether its low half means anything: the state word of an entry, written only as a
/// whole (R31).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Position {
    /// High half of the highest number used.
    pub hi: u32,
    /// Low half; 0 while it is not known.
    pub lo: u32,
    /// The low half is known.
    pub lo_valid: bool,
}

impl Position {
    /// The number as a whole.
    #[must_use]
    pub const fn top(self) -> Top {
        Top::new(self.hi, self.lo)
    }
}

/// The 64-bit number that `seq` from the wire stands for.
///
/// Where the nearest number would lie below 0 or above 2^64 − 1, the high half stays as it is:
/// the half never leaves its range, and authentication decides.
#[must_use]
pub const fn resolve(esn: bool, held: Position, seq: u32) -> Top {
    let same = Top::new(held.hi, seq);
    if !esn || !held.lo_valid {
        return same;
    }
    let forward = seq.wrapping_sub(held.lo).cast_signed() >= 0;
    if forward && seq < held.lo && held.hi != u32::MAX {
        Top::new(held.hi + 1, seq)
    } else if !forward && seq > held.lo && held.hi != 0 {
        Top::new(held.hi - 1, seq)
    } else {
        same
    }
}

/// What is held after a packet with number `number` was authenticated: `top` only ever rises here.
#[must_use]
pub const fn authenticated(held: Position, number: Top) -> Position {
    if !held.lo_valid || number.0 > held.top().0 {
        Position { hi: number.hi(), lo: number.lo(), lo_valid: true }
    } else {
        held
    }
}

/// What is held after an UPDATE. `lo` counts in mode TOP only.
#[must_use]
pub const fn update(held: Position, mode: UpdateMode, hi: u32, lo: u32) -> Position {
    match mode {
        UpdateMode::Top => Position { hi, lo, lo_valid: true },
        UpdateMode::Resync => unknown_low(hi),
        UpdateMode::Hi => {
            if hi == held.hi {
                held
            } else if let Some(next) = held.hi.checked_add(1)
                && hi == next
                && held.lo_valid
                && held.lo >= 1 << 31
            {
                // The wrap is near or just past: both old and new numbers still resolve.
                Position { hi, lo: 0, lo_valid: true }
            } else {
                unknown_low(hi)
            }
        }
    }
}

/// A high half that is used as told, until a packet shows the low one.
const fn unknown_low(hi: u32) -> Position {
    Position { hi, lo: 0, lo_valid: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(hi: u32, lo: u32, lo_valid: bool) -> Position {
        Position { hi, lo, lo_valid }
    }

    /// §7, left table: held, number from the wire, its 64-bit number, held after COMMIT.
    #[test]
    fn resolve_table_row_by_row() {
        const MAX: u32 = u32::MAX;
        let rows = [
            (at(0, 0, true), 1, (0, 1), at(0, 1, true)),
            (at(0, 0, true), 0x7FFF_FFFF, (0, 0x7FFF_FFFF), at(0, 0x7FFF_FFFF, true)),
            (at(0, 0, true), MAX, (0, MAX), at(0, MAX, true)),
            (at(0, 5, true), 0xFFFF_FFF0, (0, 0xFFFF_FFF0), at(0, 0xFFFF_FFF0, true)),
            (at(0, 0x8000_0000, true), 0, (0, 0), at(0, 0x8000_0000, true)),
            (at(0, 0x8000_0001, true), 0, (1, 0), at(1, 0, true)),
            (at(0, 0x8000_0001, true), 1, (0, 1), at(0, 0x8000_0001, true)),
            (at(0, MAX, true), 0x7FFF_FFFE, (1, 0x7FFF_FFFE), at(1, 0x7FFF_FFFE, true)),
            (at(0, MAX, true), 0x7FFF_FFFF, (0, 0x7FFF_FFFF), at(0, MAX, true)),
            (at(1, 0, true), 0x7FFF_FFFF, (1, 0x7FFF_FFFF), at(1, 0x7FFF_FFFF, true)),
            (at(1, 0, true), 0x8000_0000, (0, 0x8000_0000), at(1, 0, true)),
            (at(5, 0x7FFF_FFFF, true), 0xFFFF_FFFE, (5, 0xFFFF_FFFE), at(5, 0xFFFF_FFFE, true)),
            (at(5, 0x7FFF_FFFF, true), MAX, (4, MAX), at(5, 0x7FFF_FFFF, true)),
            (at(MAX, 0xFFFF_FFF0, true), 5, (MAX, 5), at(MAX, 0xFFFF_FFF0, true)),
            (at(MAX, 0, true), MAX, (0xFFFF_FFFE, MAX), at(MAX, 0, true)),
            (at(7, 0, false), MAX, (7, MAX), at(7, MAX, true)),
        ];
        for (held, seq, (hi, lo), after) in rows {
            let number = resolve(true, held, seq);
            assert_eq!(number, Top::new(hi, lo), "{held:x?}; {seq:08x}");
            assert_eq!(authenticated(held, number), after, "{held:x?}; {seq:08x} COMMIT");
        }
    }

    /// §7, right table: held, high half told, held after.
    #[test]
    fn update_hi_table_row_by_row() {
        const MAX: u32 = u32::MAX;
        let rows = [
            (at(0, 0, true), 0, at(0, 0, true)),
            (at(0, 0x7FFF_FFFF, true), 1, at(1, 0, false)),
            (at(0, 0x8000_0000, true), 1, at(1, 0, true)),
            (at(0, MAX, true), 1, at(1, 0, true)),
            (at(0, MAX, false), 1, at(1, 0, false)),
            (at(1, 0, true), 1, at(1, 0, true)),
            (at(1, 0, true), 2, at(2, 0, false)),
            (at(1, 10, true), 0, at(0, 0, false)),
            (at(1, 0x9000_0000, true), 3, at(3, 0, false)),
            (at(0xFFFF_FFFE, 0x8000_0000, true), MAX, at(MAX, 0, true)),
            (at(MAX, MAX, true), 0, at(0, 0, false)),
            (at(MAX, 0, true), MAX, at(MAX, 0, true)),
            (at(0, MAX, true), MAX, at(MAX, 0, false)),
            (at(7, 0, false), 7, at(7, 0, false)),
            (at(7, 0, false), 8, at(8, 0, false)),
        ];
        for (held, hi, after) in rows {
            assert_eq!(update(held, UpdateMode::Hi, hi, 0), after, "{held:x?}; {hi:x}");
        }
    }

    #[test]
    fn top_and_resync_are_taken_as_told() {
        let held = at(9, 0x8000_0000, true);
        assert_eq!(update(held, UpdateMode::Top, 3, 4), at(3, 4, true));
        assert_eq!(update(held, UpdateMode::Resync, 10, 0), at(10, 0, false));
        assert_eq!(update(held, UpdateMode::Resync, 9, 0), at(9, 0, false));
    }

    #[test]
    fn without_esn_the_number_is_the_wire_number() {
        assert_eq!(resolve(false, at(0, 0xFFFF_FFFF, true), 3), Top(3));
        assert_eq!(authenticated(at(0, 0xFFFF_FFFF, true), Top(3)), at(0, 0xFFFF_FFFF, true));
    }

    /// The halves agree with the rule as §7 writes it, in wide integers, around every boundary.
    #[test]
    fn halves_agree_with_wide_arithmetic() {
        let edges = [
            0,
            1,
            2,
            5,
            0x7FFF_FFFE,
            0x7FFF_FFFF,
            0x8000_0000,
            0x8000_0001,
            u32::MAX - 1,
            u32::MAX,
        ];
        for hi in edges {
            for lo in edges {
                for seq in edges {
                    let distance = i128::from(seq.wrapping_sub(lo).cast_signed());
                    let wide = i128::from(Top::new(hi, lo).0) + distance;
                    let expected = match u64::try_from(wide) {
                        Ok(number) => Top(number),
                        Err(_) => Top::new(hi, seq),
                    };
                    assert_eq!(
                        resolve(true, at(hi, lo, true), seq),
                        expected,
                        "{hi:x}:{lo:x}; {seq:x}"
                    );
                }
            }
        }
    }
}
