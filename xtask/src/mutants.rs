// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask rtl-mutants`: does a wrong line in the RTL get caught, and by which test?
//!
//! The tests are linked once, against a shared library. For each mutant only that library is built
//! anew: from a copy of the RTL with one line changed. Lock-step goes first, since it catches most
//! within seconds; what it lets through meets the contract tests and the RTL's own. Nobody catches it: a failure.

mod list;

use crate::process::target;
use crate::rtl::{LOCKSTEP, PATIENCE, PROGRAMS, Program, Verdict, build_library, link_programs};
use crate::{Failure, Outcome};
use list::Mutant;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Mutants that are built and tested at once.
const LANES: usize = 2;

/// Commands for all of lock-step together, by which its tests take their share.
const OPS: &str = "400000";

/// What is asked for on the command line.
struct Wanted {
    names: Vec<String>,
    /// So many, evenly from the list.
    some: Option<usize>,
}

/// How a mutant fared.
enum Fate {
    Caught(String),
    Survived,
    /// It does not compile, so nothing was tested.
    Stillborn(Failure),
}

/// What all lanes share.
struct Tests {
    lockstep: Program,
    contract: Vec<Program>,
    /// Tests that need a build of the RTL that is not compiled here.
    without: Vec<(String, String)>,
}

/// Runs the mutants.
pub(crate) fn run(args: &[String]) -> Outcome {
    let mutants = list::read()?;
    if args == ["--list"] {
        for Mutant { name, breaks, .. } in &mutants {
            println!("{name:<24} {breaks}");
        }
        return Ok(());
    }
    let chosen = choose(mutants, &parse(args)?)?;
    let home = target().join("rtl-mutants");
    let start = Instant::now();
    let tests = prepare(&home)?;
    println!("rtl-mutants: tests and RTL are ready, {:.0} s", start.elapsed().as_secs_f64());

    let queue = Mutex::new(chosen.iter());
    let report = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for lane in 0..LANES {
            let (queue, report, tests, home) = (&queue, &report, &tests, &home);
            scope.spawn(move || {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.next());
                    let Some(mutant) = next else { break };
                    let start = Instant::now();
                    let lane = home.join(format!("lane{lane}"));
                    let fate = one(mutant, &lane, tests);
                    tell(mutant, &fate, start.elapsed());
                    if let Ok(mut report) = report.lock() {
                        report.push((mutant.name.clone(), fate));
                    }
                }
            });
        }
    });
    let report = report.into_inner().unwrap_or_default();
    conclude(&report, chosen.len(), start.elapsed())
}

fn parse(args: &[String]) -> Result<Wanted, Failure> {
    let mut wanted = Wanted { names: Vec::new(), some: None };
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--some" {
            let count = rest.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
            let usage = || Failure::Usage("--some takes a number of mutants".into());
            wanted.some = Some(count.ok_or_else(usage)?);
        } else if arg.starts_with('-') {
            return Err(Failure::Usage(format!("rtl-mutants takes no `{arg}`")));
        } else {
            wanted.names.push(arg.clone());
        }
    }
    Ok(wanted)
}

fn choose(mutants: Vec<Mutant>, wanted: &Wanted) -> Result<Vec<Mutant>, Failure> {
    for name in &wanted.names {
        if !mutants.iter().any(|mutant| mutant.name == *name) {
            let usage = format!("there is no mutant `{name}`; --list shows them");
            return Err(Failure::Usage(usage));
        }
    }
    let named = |mutant: &Mutant| wanted.names.is_empty() || wanted.names.contains(&mutant.name);
    let chosen: Vec<Mutant> = mutants.into_iter().filter(named).collect();
    let Some(some) = wanted.some.filter(|some| *some < chosen.len()) else { return Ok(chosen) };
    let count = chosen.len();
    let kept = chosen.into_iter().enumerate();
    // Number k of `some` is where k / some of the list is.
    let kept = kept.filter(|(k, _)| k * some / count != (k + 1) * some / count);
    Ok(kept.map(|(_, mutant)| mutant).collect())
}

/// Links the tests, and runs them on the RTL as it is: what fails there catches nothing.
fn prepare(home: &Path) -> Result<Tests, Failure> {
    let mut programs = link_programs(PROGRAMS, &home.join("tests"), &[])?;
    let at = programs.iter().position(|program| program.name == "lockstep");
    let at = at.ok_or_else(|| Failure::Work("there is no test program `lockstep`".into()))?;
    let lockstep = programs.remove(at);
    let mut tests = Tests { lockstep, contract: programs, without: Vec::new() };

    let right = home.join("right");
    let library = build_library(&list::copy_rtl(&right)?, &home.join("lane0/target"), &[])?;
    if let Some(by) = in_lockstep(&tests, &library, &right)? {
        return Err(Failure::Work(format!(
            "{by} fails on the RTL as it is; see {}",
            right.display()
        )));
    }
    for program in &tests.contract {
        let verdict = program.run(program.on_rtl(), &library, &right, &[], PATIENCE)?;
        let failed = match verdict {
            Verdict::Passed => Vec::new(),
            Verdict::Failed(failed) => failed,
            Verdict::Hung => vec![program.name.clone()],
        };
        for test in failed {
            if !program.lacks_build(&test, &library, &right, PATIENCE)? {
                return Err(Failure::Work(format!(
                    "{}::{test} fails on the RTL as it is; see {}",
                    program.name,
                    right.display()
                )));
            }
            tests.without.push((program.name.clone(), test));
        }
    }
    if !tests.without.is_empty() {
        println!(
            "rtl-mutants: {} contract tests need another build of the RTL and are left out",
            tests.without.len()
        );
    }
    Ok(tests)
}

/// The life of one mutant.
fn one(mutant: &Mutant, lane: &Path, tests: &Tests) -> Fate {
    match try_one(mutant, lane, tests) {
        Ok(Some(by)) => Fate::Caught(by),
        Ok(None) => Fate::Survived,
        Err(failure) => Fate::Stillborn(failure),
    }
}

fn try_one(mutant: &Mutant, lane: &Path, tests: &Tests) -> Result<Option<String>, Failure> {
    let rtl = mutant.copy_to(lane)?;
    let library = build_library(&rtl, &lane.join("target"), &[])?;
    if let Some(by) = in_lockstep(tests, &library, lane)? {
        return Ok(Some(by));
    }
    in_contract(tests, &library, lane)
}

/// The first test of lock-step that fails.
fn in_lockstep(tests: &Tests, library: &Path, home: &Path) -> Result<Option<String>, Failure> {
    for test in LOCKSTEP {
        let (filter, ops) = ([*test, "--exact"], [("ESNIC_OPS", OPS)]);
        match tests.lockstep.run(&filter, library, home, &ops, PATIENCE)? {
            Verdict::Passed => {}
            Verdict::Failed(_) => return Ok(Some(format!("lockstep::{test}"))),
            Verdict::Hung => return Ok(Some(format!("lockstep::{test}, which hangs"))),
        }
    }
    Ok(None)
}

/// The first contract test that fails.
fn in_contract(tests: &Tests, library: &Path, home: &Path) -> Result<Option<String>, Failure> {
    for program in &tests.contract {
        let skipped: Vec<&str> = tests
            .without
            .iter()
            .filter(|(of, _)| *of == program.name)
            .flat_map(|(_, test)| ["--skip", test])
            .collect();
        let filter = [program.on_rtl(), skipped.as_slice()].concat();
        match program.run(&filter, library, home, &[], PATIENCE)? {
            Verdict::Passed => {}
            Verdict::Failed(failed) => {
                return Ok(failed.first().map(|test| format!("{}::{test}", program.name)));
            }
            Verdict::Hung => return Ok(Some(format!("{}, which hangs", program.name))),
        }
    }
    Ok(None)
}

fn tell(mutant: &Mutant, fate: &Fate, took: Duration) {
    let Mutant { name, breaks, .. } = mutant;
    let seconds = took.as_secs_f64();
    match fate {
        Fate::Caught(by) => println!("{name:<24} caught by {by}, {seconds:.0} s"),
        Fate::Survived => println!("{name:<24} SURVIVED, {seconds:.0} s: {breaks}"),
        Fate::Stillborn(why) => println!("{name:<24} NOT TESTED, {seconds:.0} s: {why}"),
    }
}

fn conclude(report: &[(String, Fate)], chosen: usize, took: Duration) -> Outcome {
    let count = |kind: fn(&Fate) -> bool| report.iter().filter(|(_, fate)| kind(fate)).count();
    let caught = count(|fate| matches!(fate, Fate::Caught(_)));
    let survived = count(|fate| matches!(fate, Fate::Survived));
    println!(
        "rtl-mutants: {caught} of {chosen} caught, {survived} survived, {:.0} s",
        took.as_secs_f64()
    );
    if caught == chosen {
        return Ok(());
    }
    let names: Vec<&str> = report
        .iter()
        .filter(|(_, fate)| !matches!(fate, Fate::Caught(_)))
        .map(|(name, _)| name.as_str())
        .collect();
    Err(Failure::Work(format!("not caught: {}", names.join(", "))))
}
