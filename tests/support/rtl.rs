// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The RTL, compiled into this process, behind the driver.

use super::backend::Backend;
use core::ops::Range;
use esnic_abi::Params;
use esnic_driver::transport::Sim;
use esnic_model::{Faults, Stuck, Trigger};
use esnic_rtl as rtl;
use esnic_rtl::{Bus, RtlDevice};

/// The RTL. `ESNIC_RTL_SEED` in the environment puts it on a rough bus.
pub struct Rtl;

impl Backend for Rtl {
    const NAME: &'static str = "rtl";
    type Link = Sim<RtlDevice>;

    fn plug(params: Params) -> Self::Link {
        let device = RtlDevice::new(params, Bus::from_env());
        Sim::new(Self::NAME, device.unwrap_or_else(|error| panic!("{error}")))
    }

    fn misbehave(link: &Self::Link, change: impl FnOnce(&mut Faults)) -> bool {
        link.with_device(|device| misbehave(device, change))
    }

    fn is_wiped(link: &Self::Link, index: u32) -> Option<bool> {
        Some(link.with_device(|device| device.raw_row_is_zero(index)))
    }

    fn inside(link: &Self::Link) -> Vec<Range<usize>> {
        link.with_device(|device| device.silicon().into())
    }

    fn executed(link: &Self::Link) -> Option<Vec<u8>> {
        Some(link.with_device(executed))
    }

    fn mappings(link: &Self::Link) -> Option<usize> {
        Some(link.mappings())
    }

    fn iommu_faults(link: &Self::Link) -> Option<u64> {
        Some(link.iommu_faults())
    }
}

/// Turns the knobs that the RTL and its bus have. False if the change takes others.
pub fn misbehave(device: &mut RtlDevice, change: impl FnOnce(&mut Faults)) -> bool {
    let mut wanted = of_bus(device.faults_mut());
    change(&mut wanted);
    let found = on_bus(&wanted);
    if let Some(faults) = &found {
        *device.faults_mut() = faults.clone();
    }
    found.is_some()
}

/// The opcode bytes that the RTL issued since the last call; from the first call on.
pub fn executed(device: &mut RtlDevice) -> Vec<u8> {
    let issued = device.take_issued();
    device.log_issued(true);
    issued.iter().map(|one| one.opcode_byte).collect()
}

/// The next occasion, or none: what the RTL's own hooks can do.
fn next(on: bool) -> Trigger {
    if on { Trigger::next() } else { Trigger::Never }
}

/// The inverse.
fn at_next(trigger: &Trigger) -> Option<bool> {
    match trigger {
        Trigger::Never => Some(false),
        Trigger::Nth(1) => Some(true),
        _ => None,
    }
}

/// What the model calls the faults of the RTL's bus.
fn of_bus(faults: &rtl::Faults) -> Faults {
    let trigger = |trigger: &rtl::Trigger| match trigger {
        rtl::Trigger::Never => Trigger::Never,
        rtl::Trigger::Nth(n) => Trigger::Nth(*n),
        rtl::Trigger::Within(range) => Trigger::Within(range.clone()),
        rtl::Trigger::Permille(1000) => Trigger::always(),
        rtl::Trigger::Permille(share) => panic!("no test asks for {share} in a thousand"),
    };
    Faults {
        fail_read: trigger(&faults.fail_read),
        poison_read: trigger(&faults.poison_read),
        fail_write: trigger(&faults.fail_write),
        lose_write: trigger(&faults.lose_write),
        stuck: match faults.stuck {
            rtl::Stuck::No => Stuck::No,
            rtl::Stuck::UntilReset => Stuck::UntilReset,
            rtl::Stuck::Always => Stuck::Always,
        },
        gone: faults.gone,
        verify_add: next(faults.verify_add),
        verify_delete: next(faults.verify_delete),
        ..Faults::default()
    }
}

/// The same on the RTL's bus. Nothing if it takes more than a bus: what goes wrong inside the model
/// has no port in the RTL.
fn on_bus(wanted: &Faults) -> Option<rtl::Faults> {
    let trigger = |trigger: &Trigger| match trigger {
        Trigger::Never => Some(rtl::Trigger::Never),
        Trigger::Nth(n) => Some(rtl::Trigger::Nth(*n)),
        Trigger::Within(range) => Some(rtl::Trigger::Within(range.clone())),
        Trigger::Every { period: 1, .. } => Some(rtl::Trigger::always()),
        Trigger::Every { .. } => None,
    };
    let faults = rtl::Faults {
        fail_read: trigger(&wanted.fail_read)?,
        poison_read: trigger(&wanted.poison_read)?,
        fail_write: trigger(&wanted.fail_write)?,
        lose_write: trigger(&wanted.lose_write)?,
        stuck: match wanted.stuck {
            Stuck::No => rtl::Stuck::No,
            Stuck::UntilReset => rtl::Stuck::UntilReset,
            Stuck::Always => rtl::Stuck::Always,
        },
        gone: wanted.gone,
        verify_add: at_next(&wanted.verify_add)?,
        verify_delete: at_next(&wanted.verify_delete)?,
        // The model's bus gives no answers that break AXI.
        ..rtl::Faults::default()
    };
    (of_bus(&faults) == *wanted).then_some(faults)
}
