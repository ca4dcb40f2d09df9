// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask rtl-formal`: properties of the RTL that hold for every input, not only for those of a test.
//!
//! The proofs are in `rtl-sim/formal`: a list, and a harness each. This finds or installs yosys and a
//! solver, and has every proof hold, reach what it is to reach, and fail where a fault is planted.

mod check;
mod list;

use crate::process::root;
use crate::process::target;
use crate::python::environment;
use crate::{Failure, Outcome};
use check::{Job, Kind, Tools};
use list::Proof;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// What the command line asks for.
struct Options {
    /// Steps from reset that every proof is checked for, beside what its own line says.
    depth: Option<u32>,
    faults: bool,
    jobs: usize,
    names: Vec<String>,
}

/// Proves what is named; everything without a name.
pub(crate) fn run(args: &[String]) -> Outcome {
    let sources = root().join("rtl-sim/formal");
    let proofs = list::read(&sources.join("proofs.txt"))?;
    if args == ["--list"] {
        for proof in &proofs {
            println!("{:<12} {}", proof.name, proof.about);
            println!("{:<12} {}, {} planted faults", "", proof.method(), proof.faults.len());
        }
        return Ok(());
    }
    let options = options(args)?;
    for name in &options.names {
        if !proofs.iter().any(|proof| proof.name == *name) {
            return Err(Failure::Usage(format!("there is no proof `{name}`; see --list")));
        }
    }
    let chosen: Vec<&Proof> = proofs
        .iter()
        .filter(|proof| options.names.is_empty() || options.names.contains(&proof.name))
        .collect();
    let home = target().join("formal");
    std::fs::create_dir_all(&home)
        .map_err(|error| Failure::Work(format!("cannot create {}: {error}", home.display())))?;
    let python = environment(&home.join("venv"), &sources.join("requirements.txt"))?;
    let tools = Tools::find(&python, &home)?;
    let queue = Mutex::new(jobs(&chosen, &options));
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some(job) = next(&queue) {
                    if let Err(why) = tools.check(&job) {
                        println!("rtl-formal: {}: FAILED", job.title());
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(why);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failed.is_empty() { Ok(()) } else { Err(Failure::Work(failed.join("\nxtask: "))) }
}

/// Takes the next job from the queue.
fn next<'a>(queue: &Mutex<VecDeque<Job<'a>>>) -> Option<Job<'a>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// All that is to be checked. Induction first: it takes longest, and so none of it is left for the end.
fn jobs<'a>(proofs: &[&'a Proof], options: &Options) -> VecDeque<Job<'a>> {
    let mut jobs = VecDeque::new();
    for proof in proofs {
        if let Some(steps) = proof.induction {
            jobs.push_back(Job { proof, kind: Kind::Induction(steps) });
        }
    }
    for proof in proofs {
        let steps = options.depth.unwrap_or(0).max(proof.bounded);
        jobs.push_back(Job { proof, kind: Kind::FromReset(steps) });
        jobs.push_back(Job { proof, kind: Kind::Cover(proof.cover) });
        if options.faults {
            jobs.extend(proof.faults.iter().map(|fault| Job { proof, kind: Kind::Fault(fault) }));
        }
    }
    jobs
}

fn options(args: &[String]) -> Result<Options, Failure> {
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8);
    let mut options = Options { depth: None, faults: true, jobs, names: Vec::new() };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = || {
            args.next()
                .and_then(|text| text.parse().ok())
                .filter(|number| *number > 0)
                .ok_or_else(|| Failure::Usage(format!("{arg} takes a number above 0")))
        };
        match arg.as_str() {
            "--depth" => options.depth = Some(number()?),
            "--jobs" => options.jobs = number()? as usize,
            "--no-faults" => options.faults = false,
            _ if arg.starts_with('-') => {
                return Err(Failure::Usage(format!(
                    "rtl-formal takes --list, --depth N, --jobs N, --no-faults and names, not `{arg}`"
                )));
            }
            _ => options.names.push(arg.clone()),
        }
    }
    Ok(options)
}
