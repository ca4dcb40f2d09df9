// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Test programs that run on any build of the RTL: linked once against a shared library, which is then
//! exchanged. What mutants and coverage have in common.

use crate::Failure;
use crate::process::{cargo, root, shown};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The build of the RTL that these tests use: small, so that it compiles in seconds.
const BUILD: &str = "small";

/// Said by a test that wants another build; it is not compiled here, so that test says nothing.
const NO_BUILD: &str = "the RTL was not compiled for";

/// Tests of lock-step that need no other build, the quickest first.
pub(crate) const LOCKSTEP: &[&str] = &[
    "four_handles",
    "one_handle",
    "stops_errors_and_resets",
    "sixty_four_handles",
    "two_handles_whose_generations_wrap",
    "missing_abilities",
];

/// Test programs for any build of the RTL: lock-step, the contract, and the RTL's own.
pub(crate) const PROGRAMS: &[&str] = &[
    "lockstep",
    "contract_*",
    "rtl_answers",
    "rtl_credits",
    "rtl_drops",
    "rtl_packets",
    "rtl_rows",
];

/// Longest run of one test program.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// One test program.
#[derive(Clone)]
pub(crate) struct Program {
    /// Name of its test target.
    pub(crate) name: String,
    path: PathBuf,
}

/// How a run of some tests ended.
pub(crate) enum Verdict {
    /// All of them passed.
    Passed,
    /// These did not.
    Failed(Vec<String>),
    /// It did not end in time.
    Hung,
}

/// A cargo that builds the RTL as a shared library, in a target directory of its own.
fn shared_cargo(args: &[&str], target: &Path, extra: &[(&str, &str)]) -> Command {
    let mut command = cargo(args);
    command.env("CARGO_TARGET_DIR", target);
    command.envs([("ESNIC_RTL_SHARED", "1"), ("ESNIC_RTL_BUILDS", BUILD)]);
    command.envs(extra.iter().copied());
    command
}

/// Runs a cargo that reports as JSON; gives its lines.
fn report(mut command: Command) -> Result<String, Failure> {
    let what = shown(&command);
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|e| Failure::Work(format!("cannot start `{what}`: {e}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<&str> = said.lines().rev().take(20).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Err(Failure::Work(format!("`{what}` failed:\n{}", tail.join("\n"))))
}

/// A string member of a line of JSON that cargo printed.
fn member<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("\"{name}\":\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

/// Links the test programs of these targets; names may have wildcards.
pub(crate) fn link_programs(
    targets: &[&str],
    target: &Path,
    extra: &[(&str, &str)],
) -> Result<Vec<Program>, Failure> {
    let mut args = vec!["test", "--no-run", "--quiet", "--message-format=json"];
    for name in targets {
        args.extend(["--test", name]);
    }
    let lines = report(shared_cargo(&args, target, extra))?;
    let programs = lines.lines().filter_map(|line| {
        let path = PathBuf::from(member(line, "executable")?);
        // The name of the target comes after that of the package it belongs to.
        let (_, of_target) = line.split_once("\"target\":")?;
        let test = of_target.starts_with("{\"kind\":[\"test\"]");
        let name = member(of_target, "name").filter(|_| test)?.to_owned();
        Some(Program { name, path })
    });
    let mut programs: Vec<Program> = programs.collect();
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(programs)
}

/// Builds the RTL of a directory as a shared library; gives the directory that has it.
pub(crate) fn build_library(
    rtl: &Path,
    target: &Path,
    extra: &[(&str, &str)],
) -> Result<PathBuf, Failure> {
    let args = [
        "build",
        "--quiet",
        "--message-format=json",
        "-p",
        "esnic-rtl",
        "--features",
        "test-builds",
    ];
    let mut command = shared_cargo(&args, target, extra);
    command.env("ESNIC_RTL_DIR", rtl);
    let lines = report(command)?;
    let built = |line: &&str| {
        member(line, "reason") == Some("build-script-executed") && line.contains("esnic_rtl")
    };
    let out = lines.lines().find(built).and_then(|line| member(line, "out_dir"));
    out.map(PathBuf::from)
        .ok_or_else(|| Failure::Work("cargo did not say where it built the RTL".into()))
}

impl Program {
    /// Which of its tests drive the RTL: all, or those on the backend of that name.
    pub(crate) fn on_rtl(&self) -> &'static [&'static str] {
        if self.name.starts_with("rtl_") { &[] } else { &["rtl::"] }
    }

    /// Runs the tests whose names contain `filter` (or are it, with `exact`), on the library in
    /// `library`. What they say goes to a file in `home`.
    pub(crate) fn run(
        &self,
        filter: &[&str],
        library: &Path,
        home: &Path,
        extra: &[(&str, &str)],
        patience: Duration,
    ) -> Result<Verdict, Failure> {
        let log = home.join(format!("{}.log", self.name));
        let work = |e: std::io::Error| Failure::Work(format!("{}: {e}", self.path.display()));
        let out = File::create(&log).map_err(work)?;
        let mut child = Command::new(&self.path)
            .args(filter)
            .args(["--test-threads", "1"])
            .current_dir(root())
            .env("LD_LIBRARY_PATH", library)
            .env("RUST_BACKTRACE", "0")
            .envs(extra.iter().copied())
            .stdin(Stdio::null())
            .stdout(out.try_clone().map_err(work)?)
            .stderr(out)
            .spawn()
            .map_err(work)?;
        let deadline = Instant::now() + patience;
        let ended = loop {
            if let Some(status) = child.try_wait().map_err(work)? {
                break Some(status);
            }
            if Instant::now() >= deadline {
                child.kill().map_err(work)?;
                child.wait().map_err(work)?;
                break None;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let said = std::fs::read_to_string(&log).map_err(work)?;
        let Some(status) = ended else { return Ok(Verdict::Hung) };
        if status.success() {
            return Ok(Verdict::Passed);
        }
        let failed = failed_tests(&said);
        if failed.is_empty() {
            // It did not get as far as a verdict: the process itself died.
            return Ok(Verdict::Failed(vec![format!("{} ({status})", self.name)]));
        }
        Ok(Verdict::Failed(failed))
    }

    /// Of failed tests, those that only miss a build of the RTL. They are run once more, one by one.
    pub(crate) fn lacks_build(
        &self,
        test: &str,
        library: &Path,
        home: &Path,
        patience: Duration,
    ) -> Result<bool, Failure> {
        self.run(&[test, "--exact"], library, home, &[], patience)?;
        let log = home.join(format!("{}.log", self.name));
        let said = std::fs::read_to_string(&log)
            .map_err(|e| Failure::Work(format!("{}: {e}", log.display())))?;
        Ok(said.contains(NO_BUILD))
    }
}

/// Names of the tests that failed, from what the test program printed.
fn failed_tests(said: &str) -> Vec<String> {
    let line = |line: &str| {
        let (name, _) = line.strip_prefix("test ")?.split_once(" ... ")?;
        line.ends_with("FAILED").then(|| name.to_owned())
    };
    said.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::{failed_tests, member};

    #[test]
    fn what_cargo_and_the_test_programs_print_is_understood() {
        let line = r#"{"reason":"compiler-artifact","target":{"name":"x"},"executable":"/a/b"}"#;
        assert_eq!(member(line, "executable"), Some("/a/b"));
        assert_eq!(member(line, "out_dir"), None);
        let said = "test a::b ... ok\ntest c ... FAILED\n\nfailures:\n    c\n";
        assert_eq!(failed_tests(said), ["c"]);
    }
}
