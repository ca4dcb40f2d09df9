// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The executable model, in this process, as a device under test.

use super::backend::{Backend, Fault, Took};
use esnic_abi::regs::global;
use esnic_abi::{Device, Params};
use esnic_driver::transport::Sim;
use esnic_model::{Fatal, Model as Device1, Trigger};

/// The executable model, in this process.
pub struct Model;

impl Backend for Model {
    const NAME: &'static str = "model";
    type Link = Sim<Device1>;

    fn plug(params: Params) -> Self::Link {
        let mut device = Device1::new(params).expect("a build that can be");
        device.set_trace(true);
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

/// Makes a model fail.
pub fn inject(device: &mut Device1, fault: Fault) {
    let faults = device.faults_mut();
    let fatal = |field: esnic_abi::layout::Field, info| {
        let cause = field.put(0, 1);
        Some(Fatal { cause, info })
    };
    match fault {
        Fault::VerifyAdd => faults.verify_add = Trigger::next(),
        Fault::VerifyDelete => faults.verify_delete = Trigger::next(),
        Fault::Internal(info) => faults.fatal = fatal(global::FATAL_CAUSE::INTERNAL, info),
        Fault::TableEcc(info) => faults.fatal = fatal(global::FATAL_CAUSE::TABLE_ECC, info),
        Fault::PoisonedRead => faults.poison_read = Trigger::next(),
        Fault::FailedRead => faults.fail_read = Trigger::next(),
        Fault::FailedWrite => faults.fail_write = Trigger::next(),
    }
}

/// What a model executed since the last call.
pub fn took(device: &mut Device1) -> Vec<Took> {
    let took = device.take_trace().into_iter().map(|one| Took {
        pair: one.queue_pair.into(),
        direct: one.direct,
        cookie: one.cookie.0,
    });
    took.collect()
}
