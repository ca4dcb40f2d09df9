// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What AXI and the contract demand of the device's outputs, looked at in every cycle.

use crate::dma_read;
use crate::dma_write;
use crate::ffi::{Inputs, Outputs};

/// Cycles that the device may take to notice that it must not begin anything on the bus.
const NOTICE: u64 = 4;

/// AXI's code of a burst with rising addresses.
const INCR: u8 = 1;

/// AXI's code of 64 bytes a beat.
const BYTES_64: u8 = 6;

/// What a stream offered and nobody took: it must still be there.
#[derive(Default)]
struct Held<T>(Option<T>);

impl<T: PartialEq> Held<T> {
    /// True if an offer was taken back or changed. `new` tells of an offer that was not there before.
    fn broken(&mut self, valid: u8, ready: u8, offer: impl FnOnce() -> T) -> Offer {
        if valid == 0 {
            return match self.0.take() {
                Some(_) => Offer::Broken,
                None => Offer::None,
            };
        }
        // Without a past and without a future there is nothing to compare.
        if self.0.is_none() && ready != 0 {
            return Offer::New;
        }
        let offer = offer();
        let verdict = match &self.0 {
            None => Offer::New,
            Some(before) if *before == offer => Offer::Same,
            Some(_) => Offer::Broken,
        };
        self.0 = (ready == 0).then_some(offer);
        verdict
    }
}

/// What a stream does in a cycle.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Offer {
    None,
    New,
    Same,
    Broken,
}

type Address = (u8, u64, u8, u8, u8);
type Data = ([u32; 16], u64, u8);

/// The streams that the device drives.
#[derive(Default)]
pub(crate) struct Checks {
    read_address: Held<Address>,
    write_address: Held<Address>,
    write_data: Held<Data>,
    message: Held<u8>,
    response: Held<(u8, u8)>,
    load: Held<([u32; 16], u8, u8, u8)>,
    /// Since when it must not begin anything on the bus (R20, R24).
    pub(crate) silent_since: Option<u64>,
}

impl Checks {
    /// Looks at one cycle.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub(crate) fn observe(
        &mut self,
        now: u64,
        reads: usize,
        tags: usize,
        pins: &Inputs,
        seen: &Outputs,
    ) -> Result<(), String> {
        let silent = self.silent_since.is_some_and(|since| now > since + NOTICE);
        let verdict = |name: &str, offer| match offer {
            Offer::Broken => Err(format!("{name}: took back or changed what it had offered")),
            Offer::New if silent => {
                Err(format!("{name}: begins although the bus is not its (R24)"))
            }
            Offer::None | Offer::New | Offer::Same => Ok(offer),
        };

        let ar = self.read_address.broken(seen.m_arvalid, pins.m_arready, || {
            let (len, size, burst) = (seen.m_arlen, seen.m_arsize, seen.m_arburst);
            (seen.m_arid, seen.m_araddr, len, size, burst)
        });
        if verdict("m_axi AR", ar)? == Offer::New {
            let (len, size, burst) = (seen.m_arlen, seen.m_arsize, seen.m_arburst);
            shape("m_axi AR", seen.m_araddr, (len, size, burst), dma_read::BEATS)?;
            if reads >= tags {
                return Err(format!(
                    "m_axi AR: {reads} reads are in flight, the build has {tags} tags"
                ));
            }
        }

        let aw = self.write_address.broken(seen.m_awvalid, pins.m_awready, || {
            let (len, size, burst) = (seen.m_awlen, seen.m_awsize, seen.m_awburst);
            (seen.m_awid, seen.m_awaddr, len, size, burst)
        });
        if verdict("m_axi AW", aw)? == Offer::New {
            let (len, size, burst) = (seen.m_awlen, seen.m_awsize, seen.m_awburst);
            shape("m_axi AW", seen.m_awaddr, (len, size, burst), dma_write::BEATS)?;
        }

        // Data may follow an address that was begun in time, so it is not asked for silence.
        let w = self
            .write_data
            .broken(seen.m_wvalid, pins.m_wready, || (seen.m_wdata, seen.m_wstrb, seen.m_wlast));
        steady("m_axi W", w)?;
        let message = self.message.broken(seen.msix_valid, pins.msix_ready, || seen.msix_vector);
        verdict("msix", message)?;

        let b = self.response.broken(seen.s_bvalid, pins.s_bready, || (seen.s_bid, seen.s_bresp));
        steady("s_axi B", b)?;
        let r = self.load.broken(seen.s_rvalid, pins.s_rready, || {
            (seen.s_rdata, seen.s_rid, seen.s_rresp, seen.s_rlast)
        });
        steady("s_axi R", r)
    }
}

fn steady(name: &str, offer: Offer) -> Result<(), String> {
    if offer == Offer::Broken {
        return Err(format!("{name}: took back or changed what it had offered"));
    }
    Ok(())
}

/// A burst of the kind that the top's port list promises.
fn shape(
    name: &str,
    address: u64,
    (len, size, burst): (u8, u8, u8),
    most: usize,
) -> Result<(), String> {
    let beats = usize::from(len) + 1;
    if size != BYTES_64 || burst != INCR || beats > most {
        return Err(format!(
            "{name}: {beats} beats, AxSIZE {size}, AxBURST {burst} at {address:#x}; \
             at most {most} beats, AxSIZE 6, AxBURST 1 are allowed"
        ));
    }
    let last = (address & !63).wrapping_add(64 * beats as u64 - 1);
    if address >> 12 != last >> 12 {
        return Err(format!("{name}: {beats} beats at {address:#x} cross a boundary of 4 KiB"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_stays_until_it_is_taken() {
        let mut held = Held::default();
        assert!(held.broken(1, 0, || 7) == Offer::New);
        assert!(held.broken(1, 0, || 7) == Offer::Same);
        assert!(held.broken(1, 1, || 7) == Offer::Same);
        assert!(held.broken(1, 1, || 8) == Offer::New);
        assert!(held.broken(0, 0, || 8) == Offer::None);
        assert!(held.broken(1, 0, || 9) == Offer::New);
        assert!(held.broken(1, 0, || 8) == Offer::Broken);
        assert!(held.broken(0, 0, || 8) == Offer::Broken);
    }

    #[test]
    fn bursts_stay_inside_a_page() {
        assert!(shape("x", 0x1E00, (7, 6, 1), 8).is_ok());
        assert!(shape("x", 0x1E40, (7, 6, 1), 8).is_err());
        assert!(shape("x", 0x1000, (8, 6, 1), 8).is_err());
        assert!(shape("x", 0x1000, (0, 5, 1), 8).is_err());
        assert!(shape("x", 0x1000, (0, 6, 0), 8).is_err());
    }
}
