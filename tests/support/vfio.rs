// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A PCI function of the test guest, through the kernel's VFIO, behind the driver. The device itself is
//! on the host, in the bench, which plugs another one in on demand and makes it fail.

use super::backend::Backend;
use core::ops::Range;
use esnic_abi::Params;
use esnic_driver::transport::{self, Transport};
use esnic_guest::control::ask;
use esnic_guest::{lane, wire};
use esnic_model::Faults;

/// The function that has the wanted number of SA slots.
pub struct Vfio;

impl Backend for Vfio {
    const NAME: &'static str = "vfio";
    type Link = transport::Vfio;
    const RUNS: bool = true;

    fn plug(params: Params) -> Self::Link {
        let address = lane::plug(&params);
        transport::Vfio::open(address.parse().expect("an address"))
            .unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    fn misbehave(link: &Self::Link, change: impl FnOnce(&mut Faults)) -> bool {
        let name = link.name();
        // The knobs move while the device runs; so they are asked for each time.
        let now = ask(&format!("faults {name}")).expect("every device has knobs");
        let mut faults = wire::faults(&now).unwrap_or_else(|error| panic!("{error}"));
        change(&mut faults);
        ask(&format!("misbehave {name} {}", wire::faults_text(&faults))).is_some()
    }

    fn mappings(link: &Self::Link) -> Option<usize> {
        Some(link.mappings())
    }

    fn is_wiped(link: &Self::Link, index: u32) -> Option<bool> {
        ask(&format!("wiped {} {index}", link.name())).map(|answer| answer == "yes")
    }

    fn inside(_link: &Self::Link) -> Vec<Range<usize>> {
        vec![0..0]
    }

    fn executed(link: &Self::Link) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let part = ask(&format!("executed {}", link.name()))?;
            if part.is_empty() {
                return Some(all);
            }
            all.extend(part.split(' ').map(|one| one.parse::<u8>().expect("an opcode byte")));
        }
    }
}
