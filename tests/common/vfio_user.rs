// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The model behind a socket, as a device under test.

#[path = "../served/link.rs"]
pub mod link;

use super::backend::{Backend, Fault, Took};
use super::model::{inject, took};
use esnic_abi::Params;
use link::Remote;
use std::time::Duration;

/// The executable model, offered over vfio-user by a thread of this process.
pub struct VfioUser;

impl Backend for VfioUser {
    const NAME: &'static str = "vfio-user";
    type Link = Remote<esnic_model::Model>;
    const TELLS: bool = false;
    const ON_ITS_WAY: Duration = Duration::from_secs(2);

    fn plug(params: Params) -> Self::Link {
        let mut device = esnic_model::Model::new(params).expect("a build that can be");
        device.set_trace(true);
        Remote::new(device, &params)
    }

    fn inject(link: &Self::Link, fault: Fault) -> Option<()> {
        link.with_device(|device| inject(device, fault));
        Some(())
    }

    fn trace(link: &Self::Link) -> Option<Vec<Took>> {
        Some(link.with_device(took))
    }

    fn mappings(link: &Self::Link) -> Option<usize> {
        Some(link.served.maps())
    }

    fn refused(link: &Self::Link) -> Option<(u64, u64)> {
        let faults = link.served.faults();
        Some((faults.reads, faults.writes))
    }

    fn is_wiped(link: &Self::Link, index: u32) -> Option<bool> {
        Some(link.with_device(|device| device.raw_row_is_zero(index)))
    }
}
