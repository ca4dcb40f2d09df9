// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The model behind a socket, behind the driver.

#[path = "../served/link.rs"]
pub mod link;

use super::backend::Backend;
use super::model::executed;
use esnic_abi::Params;
use esnic_model::Faults;
use link::Remote;

/// The executable model, offered over vfio-user by a thread of this process.
pub struct VfioUser;

impl Backend for VfioUser {
    const NAME: &'static str = "vfio-user";
    type Link = Remote<esnic_model::Model>;
    const RUNS: bool = true;

    fn plug(params: Params) -> Self::Link {
        let device = esnic_model::Model::new(params).expect("a build that can be");
        Remote::new(device, &params)
    }

    fn misbehave(link: &Self::Link, change: impl FnOnce(&mut Faults)) -> bool {
        link.with_device(|device| change(device.faults_mut()));
        true
    }

    fn mappings(link: &Self::Link) -> Option<usize> {
        Some(link.served.maps())
    }

    fn iommu_faults(link: &Self::Link) -> Option<u64> {
        Some(link.iommu_faults())
    }

    fn is_wiped(link: &Self::Link, index: u32) -> Option<bool> {
        Some(link.with_device(|device| device.raw_row_is_zero(index)))
    }

    fn executed(link: &Self::Link) -> Option<Vec<u8>> {
        Some(link.with_device(executed))
    }
}
