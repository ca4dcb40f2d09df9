// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What can stand behind the boundary. A new device under test is one more `impl Backend` and one
//! more line in `for_each_backend!`; no test changes.

use esnic_abi::regs::global;
use esnic_abi::{Device, Params};
use esnic_driver::transport::{Sim, Transport};
use esnic_model::{Fatal, Model as Device1, Trigger};

/// A way to make a device, and the hooks behind its pins that this kind of device has. A test that
/// needs a hook which is not there checks what it can without it.
pub trait Backend: 'static {
    /// For people.
    const NAME: &'static str;
    /// How the device is reached.
    type Link: Transport;

    /// A device fresh from power-on.
    fn plug(params: Params) -> Self::Link;

    /// Accesses of any size, past the transport.
    fn pins<R>(_link: &Self::Link, _f: impl FnOnce(&mut dyn Device) -> R) -> Option<R> {
        None
    }

    /// Gives the device exactly so many cycles.
    fn step(_link: &Self::Link, _cycles: u32) -> Option<()> {
        None
    }

    /// Makes the device fail.
    fn inject(_link: &Self::Link, _fault: Fault) -> Option<()> {
        None
    }

    /// What was executed since the last call, in order over all pairs and paths.
    fn trace(_link: &Self::Link) -> Option<Vec<Took>> {
        None
    }

    /// Whether all memory of an SA slot is zero, keys included: the row, and what is staged for it.
    fn is_wiped(_link: &Self::Link, _index: u32) -> Option<bool> {
        None
    }
}

/// Ways to fail that a host cannot bring about by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The next ADD reads back something else.
    VerifyAdd,
    /// The next DELETE reads back something else.
    VerifyDelete,
    /// An invariant fails now; FATAL_INFO shows this.
    Internal(u32),
    /// A memory of the table fails its check now; FATAL_INFO shows this.
    TableEcc(u32),
    /// The data of the next ring read arrives poisoned.
    PoisonedRead,
    /// The bus refuses the next ring read.
    FailedRead,
    /// The bus refuses the next write.
    FailedWrite,
}

/// One executed command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Took {
    pub pair: u32,
    pub direct: bool,
    pub cookie: u32,
}

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
        link.with_device(|device| faults_of_model(device, fault));
        Some(())
    }

    fn trace(link: &Self::Link) -> Option<Vec<Took>> {
        Some(link.with_device(trace_of_model))
    }

    fn is_wiped(link: &Self::Link, index: u32) -> Option<bool> {
        Some(link.with_device(|device| device.raw_row_is_zero(index)))
    }
}

/// Makes the model fail, wherever it is.
pub fn faults_of_model(device: &mut Device1, fault: Fault) {
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

/// What the model has executed, wherever it is.
pub fn trace_of_model(device: &mut Device1) -> Vec<Took> {
    let took = device.take_trace().into_iter().map(|one| Took {
        pair: one.queue_pair.into(),
        direct: one.direct,
        cookie: one.cookie.0,
    });
    took.collect()
}

/// The tests of a file, once per backend: `for_each_backend!(one_promise, another);` where each
/// promise is a `fn one_promise<B: Backend>()`. A promise that is not listed is dead code, which
/// the lints refuse.
macro_rules! for_each_backend {
    ($($promise:ident),* $(,)?) => {
        mod model {
            $( #[test] fn $promise() { super::$promise::<crate::common::Model>(); } )*
        }
        mod rtl {
            $( #[test] fn $promise() { super::$promise::<crate::common::Rtl>(); } )*
        }
        mod vfio_user {
            $( #[test] fn $promise() { super::$promise::<crate::common::VfioUser>(); } )*
        }
    };
}
