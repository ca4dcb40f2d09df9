// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A PCI function of the test guest, through the kernel's VFIO. The device itself is on the host, in
//! the bench, which plugs another one in on demand and reaches behind the pins.

use super::backend::{Backend, Fault, Took};
use esnic_abi::Params;
use esnic_driver::transport::{self, Transport};
use esnic_guest::control::ask;
use esnic_guest::lane;
use std::time::Duration;

/// The function that has the wanted number of SA slots.
pub struct Vfio;

impl Backend for Vfio {
    const NAME: &'static str = "vfio";
    type Link = transport::Vfio;
    const TELLS: bool = false;
    const SHOWS_MSIX: bool = false;
    const ON_ITS_WAY: Duration = Duration::from_secs(5);

    fn plug(params: Params) -> Self::Link {
        let address = lane::plug(&params);
        transport::Vfio::open(address.parse().expect("an address"))
            .unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    fn inject(link: &Self::Link, fault: Fault) -> Option<()> {
        ask(&format!("inject {} {fault}", link.name())).map(drop)
    }

    fn trace(link: &Self::Link) -> Option<Vec<Took>> {
        let mut all = Vec::new();
        // A serial line does not wait for its reader, so a part at a time.
        loop {
            let part = ask(&format!("trace {}", link.name()))?;
            if part.is_empty() {
                return Some(all);
            }
            all.extend(part.split(' ').map(|one| one.parse::<Took>().expect("a command that ran")));
        }
    }

    fn mappings(link: &Self::Link) -> Option<usize> {
        Some(link.mappings())
    }

    fn refused(link: &Self::Link) -> Option<(u64, u64)> {
        let answer = ask(&format!("refused {}", link.name()))?;
        let (reads, writes) = answer.split_once(' ').expect("two numbers");
        Some((reads.parse().expect("a number"), writes.parse().expect("a number")))
    }

    fn is_wiped(link: &Self::Link, index: u32) -> Option<bool> {
        ask(&format!("wiped {} {index}", link.name())).map(|answer| answer == "yes")
    }
}
