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

/// Opens the RTL on a smooth bus, does the job, and closes the device in order.
pub(super) fn with<J: Job>(args: &DeviceArgs, config: Config, job: J) -> Result<J::Out, Failure> {
    let wanted = Params { sa_capacity: args.capacity, ..Params::default() };
    let mut device = RtlDevice::new(wanted, Bus::default())
        .map_err(|error| match error {
            RtlError::NoBuild { .. } => anyhow!(compiled_for(args.capacity)),
            other => other.into(),
        })
        .context("--capacity")
        .map_err(Failure::Input)?;
    if let Some(file) = &args.trace {
        let cycles = args.trace_cycles.clone();
        device.trace(file, cycles).context("--trace").map_err(Failure::Input)?;
    }
    on(Sim::new(args.device.name(), device), config, job, |sim| {
        let (cycles, traced) = sim.with_device(|device| (device.cycles(), device.traced()));
        if args.trace.is_some() && traced == 0 {
            let first = args.trace_cycles.start;
            complain!(
                "esnic: warning: the waveform is empty: it was to begin at cycle {first}, the run took {cycles}"
            );
        }
    })
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
