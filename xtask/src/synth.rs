// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask rtl-synth`: what the RTL becomes in an FPGA, by block.
//!
//! yosys maps the device to the cells of an UltraScale+; the netlist is read here, counted, and compared
//! with what is committed in `rtl-sim/synth`. `README.md` there says what the figures mean.

mod cell;
mod depth;
mod limits;
mod netlist;
mod report;
mod yosys;

use crate::process::root;
use crate::{Failure, Outcome};
use limits::{Explained, Limits};
use report::Report;
use yosys::Yosys;

/// SAs of the build that has limits, and of the one that has to build as well.
const CAPACITY: u32 = 4096;
const LARGE: u32 = 65536;

/// Maps, prints a table or with `--json` the same for a program, and fails if a limit is missed.
///
/// `--large` maps 65,536 SAs, for which there are no limits; `--limits` prints limits that fit.
pub(crate) fn run(args: &[String]) -> Outcome {
    let (mut json, mut large, mut propose) = (false, false, false);
    for arg in args {
        match arg.as_str() {
            "--json" => json = true,
            "--large" => large = true,
            "--limits" => propose = true,
            _ => {
                return Err(Failure::Usage(format!(
                    "rtl-synth takes --json, --large and --limits, not `{arg}`"
                )));
            }
        }
    }
    let home = root().join("rtl-sim/synth");
    let limits = Limits::parse(&yosys::read(&home.join("limits.txt"))?).map_err(Failure::Work)?;
    let explained =
        Explained::parse(&yosys::read(&home.join("paths.txt"))?).map_err(Failure::Work)?;

    let yosys = Yosys::ensure()?;
    // First the one that needs a second: what cannot be built fails here.
    yosys.elaborate(LARGE)?;
    let capacity = if large { LARGE } else { CAPACITY };
    let blocks = yosys.blocks();
    let models = yosys.map(capacity)?;
    let report = Report::measure(capacity, &models, &blocks).map_err(Failure::Work)?;

    let mut violations = Vec::new();
    if !large {
        violations.extend(limits.violations(&report));
        violations.extend(explained.violations(&report));
    }
    if json {
        println!("{}", report.json(&violations));
    } else if propose {
        print!("{}", report.proposal());
    } else {
        print!("{}", report.table());
    }
    if propose || violations.is_empty() {
        return Ok(());
    }
    for sentence in &violations {
        eprintln!("rtl-synth: {sentence}");
    }
    Err(Failure::Work(format!("{} of the RTL's figures are beyond their limits", violations.len())))
}
