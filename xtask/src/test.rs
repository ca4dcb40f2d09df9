// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask test`: every test there is.
//!
//! Doc tests and the guest's come first, because nextest cannot run them and because its summary, which
//! then is the last thing printed, is what a reader looks for.

use crate::process::{cargo, run as run_command, shown};
use crate::{Failure, Outcome, guest, setup, waves};
use std::process::Stdio;

/// Runs setup, doc tests, the tests in guests and all other tests. Arguments select among the latter.
pub(crate) fn run(args: &[String]) -> Outcome {
    setup::run(&[])?;
    let mut first = Vec::new();
    if args.is_empty() {
        first.push(doc_tests());
        first.extend(guest::all());
    } else {
        println!("doc tests and guests: not run, because arguments select among nextest's tests");
    }

    let mut nextest = cargo(&["nextest", "run"]);
    if !args.iter().any(|arg| arg.starts_with("-p") || arg.starts_with("--package")) {
        // With the RTL in the command, so that its tests can drive it.
        nextest.args(["--workspace", "--features", "esnic/rtl"]);
    }
    let profile = if std::env::var_os("CI").is_some() { "ci" } else { "default" };
    nextest.args(["--profile", profile]);
    nextest.args(args);
    // A report of an earlier run would name failures of that one.
    let report = waves::report(profile);
    let _ = std::fs::remove_file(&report);
    let outcome = run_command(nextest);
    if outcome.is_err() {
        waves::after(&report);
    }
    // What failed before did not hide what nextest has to say.
    let failed: Vec<String> = first
        .into_iter()
        .chain([outcome])
        .filter_map(|outcome| outcome.err().map(|failure| failure.to_string()))
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(Failure::Work(failed.join("\nxtask: "))) }
}

/// Runs the doc tests, shows their output only if one fails, and says how many there were.
fn doc_tests() -> Outcome {
    let mut command = cargo(&["test", "--quiet", "--workspace", "--doc"]);
    let shown = shown(&command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::Work(format!("cannot start `{shown}`: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        println!("{text}");
        return Err(Failure::Work(format!("doc tests failed; `{shown}` runs them alone")));
    }
    println!("doc tests: {} passed, 0 failed", passed(&text));
    Ok(())
}

/// Sum of `N passed` over the result lines of a test run.
fn passed(text: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.strip_prefix("test result: ok. "))
        .filter_map(|rest| rest.split_once(" passed")?.0.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::passed;

    #[test]
    fn passed_tests_of_all_crates_are_counted() {
        let text = "\nrunning 2 tests\n..\n\
                    test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured\n\n\
                    test result: ok. 11 passed; 0 failed; 0 ignored; 0 measured\n";
        assert_eq!(passed(text), 13);
        assert_eq!(passed("running 0 tests"), 0);
    }
}
