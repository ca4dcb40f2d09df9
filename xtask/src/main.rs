// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What esnic's developers repeat, as `cargo xtask TASK`. One file per task; nothing but the
//! standard library, so that the first command in a fresh clone compiles in a second.
#![forbid(unsafe_code)]

mod abi;
mod capi;
mod ci;
mod cocotb;
mod coverage;
mod figures;
mod formal;
mod fuzz;
mod guest;
mod lint;
mod loom;
mod miri;
mod mutants;
mod nightly;
mod process;
mod python;
mod rows;
mod rtl;
mod setup;
mod stress;
mod synth;
mod test;
mod verilator;
mod waves;

use std::fmt;
use std::process::ExitCode;

/// Why a task ended early: one sentence for a person.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line makes no sense.
    Usage(String),
    /// Something did not work.
    Work(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Work(text) => f.write_str(text),
        }
    }
}

/// What every task returns.
pub(crate) type Outcome = Result<(), Failure>;

/// One task of the command line.
struct Task {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Outcome,
}

const TASKS: &[Task] = &[
    Task {
        name: "setup",
        arguments: "",
        about: "check what is needed to build and test, and install what can be installed",
        run: setup::run,
    },
    Task {
        name: "test",
        arguments: "[ARGS]",
        about: "setup, doc tests, guests, then every test of the workspace; ARGS go to nextest",
        run: test::run,
    },
    Task {
        name: "abi",
        arguments: "[--check]",
        about: "print the SystemVerilog package and the register manual from the layout",
        run: abi::run,
    },
    Task {
        name: "capi",
        arguments: "[--check | --install PREFIX]",
        about: "print the C header; or check it, libraries and example; or install header, libraries and esnic.pc",
        run: capi::run,
    },
    Task {
        name: "rtl-lint",
        arguments: "",
        about: "lint the RTL with Verilator and Verible, and try parameters out of range",
        run: lint::run,
    },
    Task {
        name: "rtl-figures",
        arguments: "[--json]",
        about: "measure the RTL's cycles, latencies and bytes, and check them",
        run: figures::run,
    },
    Task {
        name: "rtl-cocotb",
        arguments: "[--waves] [TEST…]",
        about: "drive the RTL's AXI edges with cocotb; all tests, or those named",
        run: cocotb::run,
    },
    Task {
        name: "rtl-synth",
        arguments: "[--json] [--limits] [--large]",
        about: "map the RTL to an FPGA; check area, memories and depth of logic, by block",
        run: synth::run,
    },
    Task {
        name: "rtl-mutants",
        arguments: "[--list | --some N | NAME…]",
        about: "is a wrong line in the RTL caught by a test? all mutants, or those named",
        run: mutants::run,
    },
    Task {
        name: "rtl-coverage",
        arguments: "",
        about: "which lines of the RTL do the tests run? holes need a reason in rtl-sim/coverage.txt",
        run: coverage::run,
    },
    Task {
        name: "rtl-waves",
        arguments: "BINARY TEST",
        about: "run a failing test of the RTL again, and leave its seed, log and last cycles",
        run: waves::run,
    },
    Task {
        name: "oid-rows",
        arguments: "",
        about: "run the tests of the IPsecOV2 contract everywhere, and write down what came of each row",
        run: rows::run,
    },
    Task {
        name: "guest",
        arguments: "[--device model|rtl] [--shell] [TEST…]",
        about: "drive the device by real VFIO in a QEMU guest: all tests, those with such names, or a prompt",
        run: guest::run,
    },
    Task {
        name: "rtl-formal",
        arguments: "[--list] [--depth N] [--jobs N] [--no-faults] [PROOF…]",
        about: "prove properties of the RTL; all proofs, or those named",
        run: formal::run,
    },
    Task {
        name: "loom",
        arguments: "[--preemptions N] [MODEL…]",
        about: "check models of the driver's lock-free parts, and that each can fail",
        run: loom::run,
    },
    Task {
        name: "miri",
        arguments: "",
        about: "run the driver's tests of memory and threads in Miri; takes a nightly toolchain",
        run: miri::run,
    },
    Task {
        name: "stress",
        arguments: "[--plain] [OPS]",
        about: "many threads at once under ThreadSanitizer, ten million commands; takes a nightly toolchain",
        run: stress::run,
    },
    Task {
        name: "fuzz",
        arguments: "[--seconds N] [--asan] [--minimise] [TARGET…]",
        about: "libFuzzer on requests, netlink and completions, 20 s each; or shrink the committed corpora",
        run: fuzz::run,
    },
    Task {
        name: "ci",
        arguments: "[STEP…]",
        about: "what continuous integration does; all steps, or those named (--list shows them)",
        run: ci::run,
    },
];

fn help() {
    println!("usage: cargo xtask TASK [ARGUMENTS]\n");
    for task in TASKS {
        let call = format!("{} {}", task.name, task.arguments);
        println!("  {call:<29} {}", task.about);
    }
}

fn run(args: &[String]) -> Outcome {
    let Some((name, rest)) = args.split_first() else {
        help();
        return Err(Failure::Usage("no task given".into()));
    };
    if ["--help", "-h", "help"].contains(&name.as_str()) {
        help();
        return Ok(());
    }
    let task = TASKS
        .iter()
        .find(|task| task.name == name)
        .ok_or_else(|| Failure::Usage(format!("there is no task `{name}`; see --help")))?;
    // `test` hands everything on, so only it decides what --help means.
    if task.name != "test" && rest.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("usage: cargo xtask {} {}\n", task.name, task.arguments);
        println!("{}", task.about);
        return Ok(());
    }
    (task.run)(rest)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::from(match failure {
                Failure::Usage(_) => 2,
                Failure::Work(_) => 1,
            })
        }
    }
}
