// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The executable model, in this process, behind the driver.

use super::backend::Backend;
use esnic_abi::Params;
use esnic_driver::transport::Sim;
use esnic_model::Faults;

/// The executable model, in this process.
pub struct Model;

impl Backend for Model {
    const NAME: &'static str = "model";
    type Link = Sim<esnic_model::Model>;

    fn plug(params: Params) -> Self::Link {
        let device = esnic_model::Model::new(params).expect("a build that can be");
        Sim::new(Self::NAME, device)
    }

    fn misbehave(link: &Self::Link, change: impl FnOnce(&mut Faults)) -> bool {
        link.with_device(|device| change(device.faults_mut()));
        true
    }

    fn mappings(link: &Self::Link) -> Option<usize> {
        Some(link.mappings())
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

/// The opcode bytes that a model executed since the last call; from the first call on.
pub fn executed(device: &mut esnic_model::Model) -> Vec<u8> {
    let trace = device.take_trace();
    device.set_trace(true);
    trace.iter().map(|one| one.opcode_byte).collect()
}
