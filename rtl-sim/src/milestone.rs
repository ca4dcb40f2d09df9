// SPDX-License-Identifier: Apache-2.0 OR MIT
//! When the last store came in and when the last write was offered, for those who measure how long
//! the device takes between the two.

use crate::ffi::{Inputs, Outputs};

/// Clock cycles since power-on, as [`crate::RtlDevice::cycles`] counts them. Nothing resets them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Milestones {
    /// The last store of the host's was taken at `s_axi`: the later of its two handshakes, address and data.
    pub store_taken: Option<u64>,
    /// The last write of the device's was handed to `m_axi`: the later of the first cycles of its AWVALID
    /// and of its WVALID, whether they were taken then or not.
    pub write_offered: Option<u64>,
}

/// Watches the ports for them.
#[derive(Default)]
pub(crate) struct Watch {
    last: Milestones,
    store_address: bool,
    store_data: bool,
    /// AWVALID is up for a write that was seen already, and WVALID is inside a burst that was.
    address_held: bool,
    inside_burst: bool,
    /// Addresses without data, if positive; else bursts of data without address.
    ahead: i64,
}

impl Watch {
    pub(crate) fn last(&self) -> Milestones {
        self.last
    }

    /// Takes in one cycle.
    pub(crate) fn observe(&mut self, now: u64, pins: &Inputs, seen: &Outputs) {
        self.store_address |= pins.s_awvalid & seen.s_awready != 0;
        self.store_data |= pins.s_wvalid & seen.s_wready != 0;
        if self.store_address && self.store_data {
            (self.store_address, self.store_data) = (false, false);
            self.last.store_taken = Some(now);
        }

        let before = self.ahead;
        let address = seen.m_awvalid != 0 && !self.address_held;
        let data = seen.m_wvalid != 0 && !self.inside_burst;
        self.ahead += i64::from(address) - i64::from(data);
        // A write is there in full when its second half catches up with the first.
        if (address && data) || self.ahead.abs() < before.abs() {
            self.last.write_offered = Some(now);
        }
        self.address_held = seen.m_awvalid != 0 && pins.m_awready == 0;
        if seen.m_wvalid != 0 {
            self.inside_burst = pins.m_wready == 0 || seen.m_wlast == 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_offered_when_both_its_halves_are_up() {
        let mut watch = Watch::default();
        let mut pins = Inputs::default();
        let mut seen = Outputs::default();
        let mut cycle = |now, ready, address, data, last| {
            (pins.m_awready, pins.m_wready) = (ready, ready);
            (seen.m_awvalid, seen.m_wvalid, seen.m_wlast) = (address, data, last);
            watch.observe(now, &pins, &seen);
            watch.last().write_offered
        };
        assert_eq!(cycle(0, 1, 1, 0, 0), None, "an address alone");
        assert_eq!(cycle(1, 0, 0, 1, 1), Some(1), "its data");
        assert_eq!(cycle(2, 1, 0, 1, 1), Some(1), "the same data, held");
        assert_eq!(cycle(3, 1, 1, 1, 0), Some(3), "the first of two beats");
        assert_eq!(cycle(4, 1, 0, 1, 1), Some(3), "the second one");
        assert_eq!(cycle(5, 1, 1, 1, 1), Some(5), "back to back");
    }

    #[test]
    fn a_store_is_taken_when_both_its_halves_are() {
        let mut watch = Watch::default();
        let mut pins = Inputs { s_awvalid: 1, s_wvalid: 1, ..Inputs::default() };
        let mut seen = Outputs { s_wready: 1, ..Outputs::default() };
        watch.observe(0, &pins, &seen);
        assert_eq!(watch.last().store_taken, None);
        pins.s_wvalid = 0;
        seen.s_awready = 1;
        watch.observe(1, &pins, &seen);
        assert_eq!(watch.last().store_taken, Some(1));
    }
}
