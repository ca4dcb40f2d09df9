// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Running other programs, always from the root of the workspace.

use crate::{Failure, Outcome};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Root of the workspace.
///
/// What `cargo run` says now comes before what was true at compile time: checkouts that share a
/// target directory share this binary too.
pub(crate) fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR");
    let xtask = manifest.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().map(Path::to_owned).unwrap_or(xtask)
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The cargo that started this program, so that toolchains are never mixed.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = std::iter::once(program.file_stem().unwrap_or_default())
        .chain(command.get_args())
        .map(|word| {
            let word = word.to_string_lossy();
            if word.contains('*') { format!("'{word}'") } else { word.into_owned() }
        });
    words.collect::<Vec<_>>().join(" ")
}

/// Runs a command to its end; an exit code other than 0 is a failure.
pub(crate) fn run(mut command: Command) -> Outcome {
    let shown = shown(&command);
    let status = command
        .status()
        .map_err(|error| Failure::Work(format!("cannot start `{shown}`: {error}")))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::Work(format!("`{shown}` failed ({status})")))
    }
}

/// First line that a program prints when asked for its version; nothing if it is not there.
pub(crate) fn version(mut command: Command) -> Option<String> {
    let output =
        command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| text.lines().next().unwrap_or_default().to_owned())
}

/// Makes sure that `cargo NAME` exists, building it from the registry if it does not.
pub(crate) fn cargo_tool(name: &str) -> Result<String, Failure> {
    if let Some(found) = version(cargo(&[name])) {
        return Ok(found);
    }
    let package = format!("cargo-{name}");
    println!("{package} is missing: building it once, which takes some minutes");
    install(&package, &[])?;
    version(cargo(&[name])).ok_or_else(|| {
        Failure::Work(format!(
            "{package} was installed, but `cargo {name}` does not run; is cargo's bin directory in PATH?"
        ))
    })
}

/// Builds a package's programs from the registry.
pub(crate) fn install(package: &str, how: &[&str]) -> Outcome {
    let mut install = cargo(&["install", "--locked"]);
    install.args(how).arg(package);
    // A tool that starts other programs need not be fast itself: build it in a third of the time.
    install.env("CARGO_PROFILE_RELEASE_LTO", "off");
    install.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    install.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    let shown = shown(&install);
    run(install).map_err(|_| {
        Failure::Work(format!(
            "{package} is missing and could not be installed; the lines above say why, and `{shown}` tries again"
        ))
    })
}
