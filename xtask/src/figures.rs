// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask rtl-figures`: how many clock cycles the RTL takes for what it does.

use crate::process::{cargo, run as run_command};
use crate::{Failure, Outcome};

/// Measures, prints a table or with `--json` the same for a program, and fails if a limit is missed.
///
/// The device is compiled for speed, since some hundred thousand cycles are clocked.
pub(crate) fn run(args: &[String]) -> Outcome {
    let mut command =
        cargo(&["run", "--quiet", "--release", "--package", "esnic-rtl", "--bin", "rtl-figures"]);
    match args {
        [] => {}
        [arg] if arg == "--json" => {
            command.args(["--", "--json"]);
        }
        _ => return Err(Failure::Usage("rtl-figures takes nothing but --json".into())),
    }
    run_command(command)
}
