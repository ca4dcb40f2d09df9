// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A nightly toolchain, for what no stable one has: Miri and sanitizers.

use crate::process::{root, run as run_command, shown};
use crate::{Failure, Outcome};
use std::process::{Command, Stdio};

/// The only host that the driver runs on so far.
pub(crate) const HOST: &str = "x86_64-unknown-linux-gnu";

/// Cargo of the nightly toolchain, which gets `component` if it lacks it.
pub(crate) fn cargo(subcommand: &str, component: &str) -> Result<Command, Failure> {
    ensure(component)?;
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", subcommand]).current_dir(root());
    // Set by the cargo that runs this program, and of another toolchain.
    for of_stable in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(of_stable);
    }
    Ok(command)
}

/// Whether a nightly with these components is here, or rustup to fetch it.
pub(crate) fn ensure(component: &str) -> Outcome {
    let mut list = Command::new("rustup");
    list.args(["component", "list", "--toolchain", "nightly", "--installed"]);
    let output = list.stdin(Stdio::null()).output().map_err(|error| {
        Failure::Work(format!("this takes a nightly toolchain, and rustup does not run: {error}"))
    })?;
    let installed = String::from_utf8_lossy(&output.stdout);
    let here = |name: &str| installed.lines().any(|line| line.starts_with(name));
    if output.status.success() && here("rust-src") && here(component) {
        return Ok(());
    }
    println!("the nightly toolchain with {component} is missing: fetching it once");
    let mut install = Command::new("rustup");
    install.args(["toolchain", "install", "nightly", "--profile", "minimal"]);
    install.args(["--component", "rust-src", "--component", component]);
    let tried = shown(&install);
    run_command(install).map_err(|_| {
        Failure::Work(format!(
            "there is no nightly toolchain with {component}; `{tried}` tries again"
        ))
    })
}
