// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `esnic` without arguments: the main job on a capture that is part of the program, checked against
//! the kernel's own dump, and a short measurement.

use crate::Outcome;
use crate::args::DeviceArgs;
use crate::bench;
use crate::device::{self, Kind};
use crate::failure::Failure;
use crate::output::say;
use crate::sync::{self, Input, Sync};
use esnic_driver::Config;
use esnic_xfrm::Capture;
use zeroize::Zeroizing;

/// Two SAs of a Linux 6.1 kernel whose sequence numbers cross 2^32, as an nlmon device saw it.
const SAMPLE: &[u8] =
    include_bytes!("../tests/data/xfrm/2-esn-wrap/k6.1/wrap32-hi5-v4-tunnel-gcm256-w256/nl-A.pcap");

/// How long to measure.
const SECONDS: f64 = 1.0;

/// Runs the demonstration.
pub(crate) fn run() -> Outcome {
    let capture = Capture::from_bytes(Zeroizing::new(SAMPLE.to_vec()));
    let mut input = Input {
        capture: capture.map_err(|error| Failure::Input(error.into()))?,
        locals: Vec::new(),
        until: None,
        use_dumps: false,
    };
    say!(
        "A Linux 6.1 kernel sends and receives ESP across sequence number 2^32. esnic follows the\n\
         kernel's events and advances the high 32 bits in the NIC (here the executable model):\n"
    );
    let telling = |line: &str| !line.starts_with("UPDATE") || line.contains("high half");
    let show = |line: String| {
        if telling(&line) {
            say!("  {line}");
        }
    };
    let kind = Kind::Model.name();
    let kind = &*kind;
    let job = Sync { input: &input, log: Some(Box::new(show)), quiet: true, kind };
    let report = device::with(&DeviceArgs::model(), Config::default(), job)?;
    say!("");
    report.print();

    input.use_dumps = true;
    let job = Sync { input: &input, log: None, quiet: true, kind };
    let dumped = device::with(&DeviceArgs::model(), Config::default(), job)?;
    let agree = dumped.same_table(&report);
    say!(
        "\nThe kernel's own dump at the end of the capture, which was left out above, {}.",
        if agree { "says the same of every SA" } else { "says something ELSE" }
    );
    say!("\nHow fast the driver gets updates acknowledged by the model, on one core:\n");
    bench::measure(&bench::sample(DeviceArgs::model(), SECONDS))?.print();
    say!(
        "\nYour own capture: esnic sync --capture FILE [--local ADDR]. What else there is: esnic --help."
    );
    if agree { sync::verdict(report) } else { Err(Failure::NotInStep(None)) }
}
