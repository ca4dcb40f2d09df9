// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The RTL, compiled into this process, as a device under test.

use super::backend::{Backend, Fault, Took};
use esnic_abi::regs::global;
use esnic_abi::{Device, Params};
use esnic_driver::transport::Sim;
use esnic_rtl::{Bus, RtlDevice, Trigger};

/// The RTL. `ESNIC_RTL_SEED` in the environment puts it on a rough bus.
pub struct Rtl;

impl Backend for Rtl {
    const NAME: &'static str = "rtl";
    type Link = Sim<RtlDevice>;

    fn plug(params: Params) -> Self::Link {
        let device = RtlDevice::new(params, Bus::from_env());
        let mut device = device.unwrap_or_else(|error| panic!("{error}"));
        device.log_issued(true);
        Sim::new(Self::NAME, device)
    }

    fn pins<R>(link: &Self::Link, f: impl FnOnce(&mut dyn Device) -> R) -> Option<R> {
        Some(link.with_device(|device| f(device)))
    }

    fn step(link: &Self::Link, cycles: u32) -> Option<()> {
        link.step(cycles);
        Some(())
    }

    fn inject(link: &Self::Link, fault: Fault) -> Option<()> {
        link.with_device(|device| inject(device, fault));
        Some(())
    }

    fn trace(link: &Self::Link) -> Option<Vec<Took>> {
        Some(link.with_device(took))
    }

    fn is_wiped(link: &Self::Link, index: u32) -> Option<bool> {
        Some(link.with_device(|device| device.raw_row_is_zero(index)))
    }
}

/// Makes the RTL, or its bus, fail.
pub fn inject(device: &mut RtlDevice, fault: Fault) {
    let faults = device.faults_mut();
    match fault {
        Fault::PoisonedRead => faults.poison_read = Trigger::next(),
        Fault::FailedRead => faults.fail_read = Trigger::next(),
        Fault::FailedWrite => faults.fail_write = Trigger::next(),
        Fault::VerifyAdd => faults.verify_add = true,
        Fault::VerifyDelete => faults.verify_delete = true,
        Fault::Internal(info) => {
            faults.fatal = Some((1 << global::FATAL_CAUSE::INTERNAL.lsb, info));
        }
        Fault::TableEcc(info) => {
            faults.fatal = Some((1 << global::FATAL_CAUSE::TABLE_ECC.lsb, info));
        }
    }
}

/// What the RTL issued since the last call.
pub fn took(device: &mut RtlDevice) -> Vec<Took> {
    let took = device.take_issued().into_iter().map(|one| Took {
        pair: one.queue_pair.into(),
        direct: one.direct,
        cookie: one.cookie,
    });
    took.collect()
}
