// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tools that come from PyPI: each set in an environment of its own with exactly the packages that a list
//! pins with their hashes. Where Debian has to help, root installs and others are told what to install.

use crate::process::{root, run as run_command, shown, version};
use crate::{Failure, Outcome};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Makes sure of an environment in `venv` with exactly the packages that `list` pins; gives its Python.
///
/// The variable PYTHON can name the Python that it is made of.
pub(crate) fn environment(venv: &Path, list: &Path) -> Result<PathBuf, Failure> {
    let base = base();
    let base_version = || version(Command::new(&base));
    if base_version().is_none() {
        let missing = format!("there is no Python (`{}` does not start)", base.to_string_lossy());
        debian(&["python3", "python3-venv"], &missing)?;
    }
    let base_version = base_version().ok_or_else(|| {
        Failure::Work(format!("`{}` still does not start", base.to_string_lossy()))
    })?;
    let wanted = std::fs::read_to_string(list)
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
    create(&base, venv)?;
    install(&python, list)?;
    // Last: a run that was cut off begins anew.
    std::fs::write(&stamp, wanted)
        .map_err(|error| Failure::Work(format!("cannot write {}: {error}", stamp.display())))?;
    Ok(python)
}

/// The Python that environments are made of.
fn base() -> OsString {
    std::env::var_os("PYTHON").unwrap_or_else(|| OsString::from("python3"))
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

/// Installs exactly what is listed into the environment.
pub(crate) fn install(python: &Path, list: &Path) -> Outcome {
    let own = has_module(python.as_os_str(), "pip");
    let mut pip = Command::new(if own { python.as_os_str().to_owned() } else { base() });
    pip.args(["-m", "pip"]);
    if !own {
        pip.arg("--python").arg(python);
    }
    // The lists are complete; what packages ask for beyond them is for uses that are not ours.
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]);
    pip.args(["--require-hashes", "--requirement"]).arg(list);
    run_command(pip)
}

/// Whether Python can import the module.
pub(crate) fn has_module(python: &OsStr, module: &str) -> bool {
    Command::new(python)
        .args(["-c", &format!("import {module}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whether this is Debian or one of its children, and this process its root.
pub(crate) fn may_install() -> bool {
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    root && version(Command::new("apt-get")).is_some()
}

/// Installs packages of Debian, or says which.
pub(crate) fn debian(packages: &[&str], missing: &str) -> Outcome {
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
