// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The cells that `synth_xilinx -family xcup` maps to: what each takes of the device, and how many levels
//! of logic each is. `rtl-sim/synth/README.md` says why the levels are counted so.

/// Sixteenths of a level.
pub(super) type Depth = u32;
/// One level: a LUT and the wire to it.
pub(super) const LEVEL: Depth = 16;

/// What a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any output follows from any input.
    Logic(Depth),
    /// Four bits of a carry chain.
    Carry,
    /// LUT RAM: read within the cycle, written at the clock.
    LutRam,
    /// Shift register in a LUT.
    Shift,
    Register,
    /// Block RAM of 18 or 36 Kib, or UltraRAM; the output comes so much after the clock.
    Ram(Depth),
}

/// What a cell takes of the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) luts: u64,
    pub(super) ffs: u64,
    /// LUTs that are memory; not among `luts`.
    pub(super) lut_rams: u64,
    pub(super) carries: u64,
    /// Block RAM in halves of 36 Kib.
    pub(super) bram_halves: u64,
    pub(super) urams: u64,
}

impl Area {
    pub(super) fn add(&mut self, other: Self) {
        self.luts += other.luts;
        self.ffs += other.ffs;
        self.lut_rams += other.lut_rams;
        self.carries += other.carries;
        self.bram_halves += other.bram_halves;
        self.urams += other.urams;
    }
}

/// Kind and area of a cell by its name; none if it is no cell of the device.
pub(super) fn cell(name: &str) -> Option<(Kind, Area)> {
    let area = Area::default();
    Some(match name {
        "LUT1" | "LUT2" | "LUT3" | "LUT4" | "LUT5" | "LUT6" | "INV" => {
            (Kind::Logic(LEVEL), Area { luts: 1, ..area })
        }
        // In the slice of the LUTs that it joins.
        "MUXF7" | "MUXF8" | "MUXF9" => (Kind::Logic(0), area),
        "CARRY4" => (Kind::Carry, Area { carries: 1, ..area }),
        "RAM32M16" | "RAM64M8" => (Kind::LutRam, Area { lut_rams: 8, ..area }),
        "RAM32X1D" | "RAM64X1D" => (Kind::LutRam, Area { lut_rams: 2, ..area }),
        "RAM128X1D" => (Kind::LutRam, Area { lut_rams: 4, ..area }),
        "RAM256X1D" => (Kind::LutRam, Area { lut_rams: 8, ..area }),
        "SRL16E" | "SRLC32E" => (Kind::Shift, Area { lut_rams: 1, ..area }),
        "FDRE" | "FDSE" | "FDCE" | "FDPE" => (Kind::Register, Area { ffs: 1, ..area }),
        "RAMB18E2" => (Kind::Ram(2 * LEVEL), Area { bram_halves: 1, ..area }),
        "RAMB36E2" => (Kind::Ram(2 * LEVEL), Area { bram_halves: 2, ..area }),
        "URAM288" => (Kind::Ram(3 * LEVEL), Area { urams: 1, ..area }),
        _ => return None,
    })
}

/// Whether a pin drives its net.
pub(super) fn is_output(kind: Kind, pin: &str) -> bool {
    let base = pin.split('[').next().unwrap_or(pin);
    match kind {
        Kind::Logic(_) => base == "O",
        Kind::Carry => base == "O" || base == "CO",
        Kind::LutRam => matches!(base, "SPO" | "DPO") || base.starts_with("DO"),
        Kind::Shift => matches!(base, "Q" | "Q31"),
        Kind::Register => base == "Q",
        Kind::Ram(_) => base.starts_with("DOUT"),
    }
}

/// Whether a pin is a clock or a reset that does not wait for one: neither ends a path of logic.
pub(super) fn is_apart(pin: &str) -> bool {
    matches!(pin, "C" | "CLK" | "WCLK" | "CLR" | "PRE" | "CLKARDCLK" | "CLKBWRCLK")
}

/// How many levels lead from an input to an output of one cell within the cycle; none if no way does.
/// `chained` tells that the input comes from another piece of a carry chain.
pub(super) fn arc(kind: Kind, from: &str, to: &str, chained: bool) -> Option<Depth> {
    match kind {
        Kind::Logic(depth) => Some(depth),
        // Into a chain it is a level, along the chain one for 16 pieces, which are 64 bits.
        Kind::Carry => {
            let reached = match (lane(from), lane(to)) {
                (Some(from), Some(to)) => from <= to,
                _ => true,
            };
            let depth = if from == "CI" && chained { 1 } else { LEVEL };
            reached.then_some(depth)
        }
        Kind::LutRam => {
            let reads = match to.split('[').next()? {
                "SPO" => from.starts_with('A'),
                "DPO" => from.starts_with("DPRA"),
                // DOA follows ADDRA.
                output => {
                    let port = output.strip_prefix("DO")?;
                    from.strip_prefix("ADDR").is_some_and(|rest| rest.starts_with(port))
                }
            };
            reads.then_some(LEVEL)
        }
        Kind::Shift => from.starts_with('A').then_some(LEVEL),
        Kind::Register | Kind::Ram(_) => None,
    }
}

/// Number of the bit of a pin, as in `S[2]`.
fn lane(pin: &str) -> Option<u32> {
    pin.split_once('[')?.1.strip_suffix(']')?.parse().ok()
}

/// Whether a path may end at this input: it is looked at by the clock.
pub(super) fn is_end(kind: Kind, pin: &str) -> bool {
    if is_output(kind, pin) || is_apart(pin) {
        return false;
    }
    match kind {
        Kind::Logic(_) | Kind::Carry => false,
        // Port H of the wide ones, and A of the others, writes.
        Kind::LutRam => {
            !pin.starts_with("DPRA") && (!pin.starts_with("ADDR") || pin.starts_with("ADDRH"))
        }
        Kind::Shift => !pin.starts_with('A'),
        Kind::Register | Kind::Ram(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> Kind {
        cell(name).unwrap().0
    }

    #[test]
    fn a_carry_chain_is_a_level_and_a_sixteenth_a_piece() {
        let carry = kind("CARRY4");
        assert_eq!(arc(carry, "S[1]", "O[3]", false), Some(LEVEL));
        assert_eq!(arc(carry, "S[3]", "O[1]", false), None);
        assert_eq!(arc(carry, "CI", "CO[3]", true), Some(1));
        assert_eq!(arc(carry, "CI", "CO[3]", false), Some(LEVEL));
        assert!(!is_end(carry, "S[0]"));
    }

    #[test]
    fn lut_ram_is_read_by_its_own_address_and_written_at_the_clock() {
        let ram = kind("RAM32M16");
        assert_eq!(arc(ram, "ADDRB[2]", "DOB[0]", false), Some(LEVEL));
        assert_eq!(arc(ram, "ADDRC[2]", "DOB[0]", false), None);
        assert_eq!(arc(ram, "DIB[0]", "DOB[0]", false), None);
        for (pin, ends) in [
            ("ADDRH[0]", true),
            ("ADDRB[0]", false),
            ("WE", true),
            ("DIA[1]", true),
            ("WCLK", false),
        ] {
            assert_eq!(is_end(ram, pin), ends, "{pin}");
        }
        let small = kind("RAM64X1D");
        assert_eq!(arc(small, "DPRA[0]", "DPO", false), Some(LEVEL));
        assert_eq!(arc(small, "A[0]", "DPO", false), None);
        assert!(is_end(small, "A[0]") && !is_end(small, "DPRA[0]"));
    }

    #[test]
    fn registers_and_rams_begin_and_end_paths() {
        for (name, out, end) in [
            ("FDCE", "Q", "CE"),
            ("URAM288", "DOUT_B[7]", "ADDR_A[3]"),
            ("RAMB18E2", "DOUTADOUT[2]", "DINADIN[1]"),
        ] {
            assert!(is_output(kind(name), out) && is_end(kind(name), end), "{name}");
            assert!(!is_end(kind(name), out), "{name}");
        }
        assert!(!is_end(kind("FDCE"), "CLR") && !is_end(kind("FDCE"), "C"));
        assert_eq!(arc(kind("FDCE"), "D", "Q", false), None);
        assert!(cell("DSP48E2").is_none() && cell("esnic_qp").is_none());
    }
}
