// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Compiling what a guest run takes: static programs for the guest, in a target directory of their own so
//! that the host's stay as they are; and the bench.

use crate::process::{cargo, root, run, shown};
use crate::{Failure, Outcome};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The profile that the workspace has for the guest.
const PROFILE: &str = "guest";

/// Programs for the guest.
pub(super) struct Programs {
    /// The first process.
    pub(super) init: PathBuf,
    /// The command.
    pub(super) esnic: PathBuf,
    /// Test programs, by name.
    pub(super) tests: Vec<(String, PathBuf)>,
}

/// Compiles everything that runs in the guest.
pub(super) fn guest(home: &Path) -> Result<Programs, Failure> {
    every_file_is_there()?;
    let dir = home.join("build");
    let mut programs = static_cargo(&dir, &["build"]);
    programs.args([
        "--package",
        "esnic",
        "--bin",
        "esnic",
        "--package",
        "esnic-guest",
        "--bin",
        "esnic-guest",
    ]);
    run(programs)?;
    let out = dir.join(TARGET).join(PROFILE);
    Ok(Programs { init: out.join("esnic-guest"), esnic: out.join("esnic"), tests: tests(&dir)? })
}

fn static_cargo(dir: &Path, args: &[&str]) -> Command {
    let mut command = cargo(args);
    command
        .args(["--locked", "--quiet", "--profile", PROFILE, "--target", TARGET, "--target-dir"])
        .arg(dir)
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    command
}

/// Compiles the test programs; cargo says where each one is.
fn tests(dir: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut command = static_cargo(dir, &["test"]);
    command.args(["--no-run", "--package", "esnic-guest", "--test", "*"]);
    command.args(["--message-format", "json-render-diagnostics"]);
    let shown = shown(&command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| Failure::Work(format!("cannot start `{shown}`: {e}")))?;
    if !output.status.success() {
        return Err(Failure::Work(format!("`{shown}` failed ({})", output.status)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let found: Vec<_> = text.lines().filter_map(artifact).collect();
    if found.is_empty() {
        return Err(Failure::Work(format!("`{shown}` made no test program")));
    }
    Ok(found)
}

/// Name and program of a line about a test program.
fn artifact(line: &str) -> Option<(String, PathBuf)> {
    let program = text_after(line, "\"executable\":\"")?;
    let target = &line[line.find("\"target\":{")?..];
    target.contains("\"kind\":[\"test\"]").then_some(())?;
    Some((text_after(target, "\"name\":\"")?, PathBuf::from(program)))
}

/// The JSON string whose first quote ends `start`.
fn text_after(line: &str, start: &str) -> Option<String> {
    let rest = &line[line.find(start)? + start.len()..];
    let mut text = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => text.push(chars.next()?),
            other => text.push(other),
        }
    }
}

/// Test files that stay on the host, and why.
const HOST_ONLY: &[(&str, &str)] = &[
    ("cli", "the command with devices in its process"),
    ("driver_completion_faults", "a device in the process that forges completions"),
    ("lockstep", "two devices in one process, cycle by cycle"),
    ("oid_command", "the command with devices in its process"),
    ("oid_layout", "runs the C compiler"),
    ("oid_numbers", "numbers, and no device"),
    ("oid_rows", "reads the repository"),
    ("oid_script_keys", "reads scripts, and takes none to a device"),
    ("rtl_answers", "the RTL in the process, whose answers it forges"),
    ("rtl_credits", "the RTL in the process, by its inside"),
    ("rtl_drops", "the RTL in the process, by what it executed"),
    ("rtl_packets", "the RTL in the process, whose datapath it is"),
    ("rtl_rows", "the RTL in the process, whose rows it spoils"),
    ("rtl_secrets", "searches the memory of the RTL in the process"),
    ("rules", "reads the repository"),
    ("serve_command", "the server, which is the bench here"),
    ("serve_gone", "the server, which is the bench here"),
    ("serve_load", "the server, which is the bench here"),
    ("serve_storm", "the server, which is the bench here"),
    ("stress", "a package of its own, which ThreadSanitizer builds"),
    ("sync_captures", "the command with devices in its process"),
    ("sync_damage", "the command with devices in its process"),
    ("sync_faults", "the command with devices in its process"),
    ("sync_keys", "searches the memory of the command with a device in it"),
    ("sync_output", "the command with devices in its process"),
    ("sync_rtl", "the command with devices in its process"),
    ("sync_traps", "the command with devices in its process"),
];

/// A test file that nobody thought of must not stay out of the guest in silence.
fn every_file_is_there() -> Outcome {
    let manifest = root().join("tests/guest/Cargo.toml");
    let manifest = std::fs::read_to_string(&manifest)
        .map_err(|e| Failure::Work(format!("{}: {e}", manifest.display())))?;
    // For any way to a device, and for the kernel's VFIO only.
    for below in ["", "vfio/"] {
        let files = std::fs::read_dir(root().join("tests").join(below)).into_iter().flatten();
        for path in files.flatten().map(|file| file.path()) {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let is_test =
                path.extension().is_some_and(|ext| ext == "rs") || path.join("main.rs").is_file();
            let listed = manifest.contains(&format!("path = \"../{below}{name}.rs\""));
            if is_test && !listed && !HOST_ONLY.iter().any(|(host, _)| *host == name) {
                return Err(Failure::Work(format!(
                    "tests/{below}{name}.rs runs in the guest if tests/guest/Cargo.toml names it, and stays \
                     out of it if xtask/src/guest/build.rs says why"
                )));
            }
        }
    }
    Ok(())
}

/// Compiles the bench as the host's tests are compiled, so that the RTL is compiled for both at once.
pub(super) fn bench() -> Result<PathBuf, Failure> {
    let mut command =
        cargo(&["build", "--locked", "--quiet", "--workspace", "--features", "esnic/rtl"]);
    command.args(["--profile", "test", "--example", "guest-bench"]);
    command.args(["--message-format", "json-render-diagnostics"]);
    let shown = shown(&command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| Failure::Work(format!("cannot start `{shown}`: {e}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text.lines().filter_map(|line| text_after(line, "\"executable\":\"")).next_back();
    match found {
        Some(program) if output.status.success() => Ok(PathBuf::from(program)),
        _ => Err(Failure::Work(format!("`{shown}` failed ({})", output.status))),
    }
}

#[cfg(test)]
mod tests {
    use super::artifact;
    use std::path::PathBuf;

    #[test]
    fn test_programs_are_found_in_what_cargo_says() {
        let line = r#"{"reason":"compiler-artifact","package_id":"path+file:///x#esnic-guest@0.1.0","target":{"kind":["test"],"crate_types":["bin"],"name":"contract_ring","src_path":"/x/contract_ring.rs"},"executable":"/x/a \"b\"/contract_ring-1","fresh":true}"#;
        let wanted = ("contract_ring".to_owned(), PathBuf::from("/x/a \"b\"/contract_ring-1"));
        assert_eq!(artifact(line), Some(wanted));
        assert_eq!(artifact(r#"{"target":{"kind":["lib"],"name":"x"},"executable":null}"#), None);
        assert_eq!(artifact(r#"{"target":{"kind":["bin"],"name":"x"},"executable":"/x"}"#), None);
    }
}
