// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask ci`: the gate, as named steps that each run alone.

use crate::process::{cargo, cargo_tool, root, run as run_command};
use crate::{
    Failure, Outcome, abi, capi, cocotb, figures, formal, fuzz, lint, loom, miri, nightly, setup,
    synth, test,
};
use std::process::Command;
use std::time::Instant;

/// One step of the gate.
struct Step {
    name: &'static str,
    promise: &'static str,
    run: fn() -> Outcome,
}

/// What all need, then cheap ones first; `test` last, so that its summary ends the log.
const STEPS: &[Step] = &[
    Step {
        name: "setup",
        promise: "what building takes is here, or gets installed",
        run: || setup::run(&[]),
    },
    Step {
        name: "fmt",
        promise: "the sources are formatted",
        run: || run_command(cargo(&["fmt", "--all", "--check"])),
    },
    Step {
        name: "rtl-lint",
        promise: "linters find nothing in the RTL, and it refuses parameters out of range",
        run: || lint::run(&[]),
    },
    Step { name: "clippy", promise: "no lint warns, and Cargo.lock is current", run: clippy },
    Step { name: "doc", promise: "the documentation builds and no link in it is broken", run: doc },
    Step {
        name: "abi",
        promise: "what is printed from the layout is committed",
        run: || abi::run(&["--check".into()]),
    },
    Step {
        name: "capi",
        promise: "the C header is current, and a C program builds and runs with both libraries",
        run: || capi::run(&["--check".into()]),
    },
    Step {
        name: "deny",
        promise: "dependencies: known licences, known sources, no bans",
        run: deny,
    },
    Step {
        name: "loom",
        promise: "models of the driver's lock-free parts hold, and notice planted mistakes",
        run: || loom::run(&[]),
    },
    Step {
        name: "miri",
        promise: "Miri finds nothing in the driver's memory and threads, where there is a nightly",
        run: miri,
    },
    Step { name: "bench-smoke", promise: "every benchmark runs once", run: bench_smoke },
    Step {
        name: "rtl-figures",
        promise: "the RTL's cycles, latencies and bytes are within their limits",
        run: || figures::run(&[]),
    },
    Step {
        name: "rtl-cocotb",
        promise: "an independent client drives the RTL's AXI edges",
        run: || cocotb::run(&[]),
    },
    Step {
        name: "rtl-formal",
        promise: "proofs of the RTL hold, and are not vacuous",
        run: proofs,
    },
    Step {
        name: "rtl-synth",
        promise: "the RTL's area, memories and depth of logic are within their limits",
        run: || synth::run(&[]),
    },
    Step {
        name: "fuzz",
        promise: "a minute of fuzzing finds nothing in what reads bytes from outside",
        run: || fuzz::run(&[]),
    },
    Step { name: "test", promise: "every test passes", run: || test::run(&[]) },
];

/// Runs the named steps in the order given; all of them if none is named.
pub(crate) fn run(args: &[String]) -> Outcome {
    if args == ["--list"] {
        for step in STEPS {
            println!("{:<12} {}", step.name, step.promise);
        }
        return Ok(());
    }
    let steps = if args.is_empty() {
        STEPS.iter().collect()
    } else {
        args.iter().map(|name| named(name)).collect::<Result<Vec<_>, _>>()?
    };
    for step in steps {
        println!("== {}: {}", step.name, step.promise);
        let start = Instant::now();
        let outcome = (step.run)();
        let seconds = start.elapsed().as_secs_f64();
        if let Err(failure) = outcome {
            return Err(Failure::Work(format!(
                "step {0} failed after {seconds:.1} s: {failure}\n\
                 xtask: run it alone with `cargo xtask ci {0}`",
                step.name
            )));
        }
        println!("== {}: ok, {seconds:.1} s", step.name);
    }
    Ok(())
}

fn named(name: &str) -> Result<&'static Step, Failure> {
    STEPS.iter().find(|step| step.name == name).ok_or_else(|| {
        Failure::Usage(format!("there is no step `{name}`; see `cargo xtask ci --list`"))
    })
}

/// What is missing is said, since a machine without rustup cannot have a nightly.
fn miri() -> Outcome {
    match nightly::ensure("miri") {
        Ok(()) => miri::run(&[]),
        Err(why) => {
            println!("miri: NOT RUN: {why}");
            Ok(())
        }
    }
}

/// All that hold. The planted faults are left to `cargo xtask rtl-formal`.
fn proofs() -> Outcome {
    formal::run(&["--no-faults".to_owned()])
}

/// Cargo looking at the sources of the whole workspace. Nothing is linked, so the RTL is not compiled, and
/// that in a target directory of its own: elsewhere it would have to be compiled again afterwards.
fn look(args: &[&str]) -> Command {
    let mut command = cargo(args);
    command.args(["--locked", "--workspace", "--features", "esnic/trace"]);
    command.arg("--target-dir").arg(root().join("target/look"));
    command.env("ESNIC_RTL_BUILDS", "none");
    command
}

fn clippy() -> Outcome {
    let mut command = look(&["clippy", "--all-targets"]);
    command.args(["--", "--deny", "warnings"]);
    run_command(command)
}

fn doc() -> Outcome {
    let mut command = look(&["doc", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "--deny warnings");
    run_command(command)
}

/// Not `advisories`: their database comes over the network at every run, and a gate that depends on
/// the day's network proves nothing about the tree.
fn deny() -> Outcome {
    cargo_tool("deny")?;
    run_command(cargo(&[
        "deny",
        "--workspace",
        "--all-features",
        "--locked",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]))
}

/// `--test` asks a benchmark to run each case once instead of measuring it.
fn bench_smoke() -> Outcome {
    let any = std::fs::read_dir(root().join("benches"))
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| entry.path().extension().is_some_and(|ext| ext == "rs"));
    if !any {
        println!("there are no benchmarks in benches/");
        return Ok(());
    }
    run_command(cargo(&["test", "--workspace", "--bench", "*", "--", "--test"]))
}
