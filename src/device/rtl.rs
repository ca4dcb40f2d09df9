// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The RTL as the command's device.

use super::{Job, on};
use crate::args::DeviceArgs;
use crate::failure::Failure;
use crate::output::complain;
use anyhow::{Context, anyhow};
use esnic_abi::Params;
use esnic_driver::Config;
use esnic_driver::transport::Sim;
use esnic_rtl::{Bus, RtlDevice, RtlError};

/// The RTL on a smooth bus, with its waveform if one is wanted.
pub(crate) fn device(args: &DeviceArgs) -> Result<RtlDevice, Failure> {
    let wanted = Params { sa_capacity: args.rows(), ..Params::default() };
    let mut device = RtlDevice::new(wanted, Bus::default())
        .map_err(|error| match error {
            RtlError::NoBuild { .. } => anyhow!(compiled_for(args.rows())),
            other => other.into(),
        })
        .context("--capacity")
        .map_err(Failure::Input)?;
    if let Some(file) = &args.trace {
        let cycles = args.trace_cycles.clone();
        device.trace(file, cycles).context("--trace").map_err(Failure::Input)?;
    }
    Ok(device)
}

/// Opens the RTL, does the job, and closes the device in order.
pub(super) fn with<J: Job>(args: &DeviceArgs, config: Config, job: J) -> Result<J::Out, Failure> {
    on(Sim::new("rtl", device(args)?), config, job, |sim| {
        sim.with_device(|device| look_back(args, device));
    })
}

/// Says so if the waveform that was wanted has nothing in it.
pub(crate) fn look_back(args: &DeviceArgs, device: &RtlDevice) {
    if args.trace.is_some() && device.traced() == 0 {
        let (first, cycles) = (args.trace_cycles.start, device.cycles());
        complain!(
            "esnic: warning: the waveform is empty: it was to begin at cycle {first}, the run took {cycles}"
        );
    }
}

/// Which capacities there are, for somebody who wanted another one.
fn compiled_for(rows: u32) -> String {
    let alike = |params: &Params| {
        Params { sa_capacity: rows, ..*params } == Params { sa_capacity: rows, ..Params::default() }
    };
    let there = esnic_rtl::builds().filter(|(_, params)| alike(params));
    let there: Vec<String> = there.map(|(_, params)| params.sa_capacity.to_string()).collect();
    format!("the RTL is not compiled for {rows} rows, but for {}", there.join(" and for "))
}
