// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask abi`: the files that are printed from the layout.

use crate::process::{cargo, run as run_command};
use crate::{Failure, Outcome};

/// Writes them, or with `--check` compares them with what is committed.
pub(crate) fn run(args: &[String]) -> Outcome {
    let mut command = cargo(&["run", "--quiet", "--package", "esnic-abi", "--bin", "abi-gen"]);
    match args {
        [] => {}
        [arg] if arg == "--check" => {
            command.args(["--", "--check"]);
        }
        _ => {
            return Err(Failure::Usage("abi takes nothing but --check".into()));
        }
    }
    run_command(command)
}
