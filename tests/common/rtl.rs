// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The RTL, compiled into this process, as a device under test.

use super::backend::{Backend, Fault};
use esnic_abi::{Device, Params};
use esnic_driver::transport::Sim;
use esnic_rtl::{Bus, RtlDevice, Trigger};

/// The RTL. `ESNIC_RTL_SEED` in the environment puts it on a rough bus.
///
/// It has no port that shows the order of execution or raw memory, so `trace` and `is_wiped` are not
/// there.
pub struct Rtl;

impl Backend for Rtl {
    const NAME: &'static str = "rtl";
    type Link = Sim<RtlDevice>;

    fn plug(params: Params) -> Self::Link {
        let device = RtlDevice::new(params, Bus::from_env());
        Sim::new(Self::NAME, device.unwrap_or_else(|error| panic!("{error}")))
    }

    fn pins<R>(link: &Self::Link, f: impl FnOnce(&mut dyn Device) -> R) -> Option<R> {
        Some(link.with_device(|device| f(device)))
    }

    fn step(link: &Self::Link, cycles: u32) -> Option<()> {
        link.step(cycles);
        Some(())
    }

    fn inject(link: &Self::Link, fault: Fault) -> Option<()> {
        link.with_device(|device| {
            let faults = device.faults_mut();
            match fault {
                Fault::PoisonedRead => faults.poison_read = Trigger::next(),
                Fault::FailedRead => faults.fail_read = Trigger::next(),
                Fault::FailedWrite => faults.fail_write = Trigger::next(),
                // These happen inside the device, and the RTL has no port that makes them happen.
                Fault::VerifyAdd
                | Fault::VerifyDelete
                | Fault::Internal(_)
                | Fault::TableEcc(_) => return None,
            }
            Some(())
        })
    }
}
