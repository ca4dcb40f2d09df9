// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask fuzz`: libFuzzer on what comes from outside. The targets are in `tests/fuzz`.
//!
//! The stable compiler has all that coverage takes: a pass of LLVM's that counts edges and shows
//! comparisons. Only the address sanitizer (`--asan`) is a matter of nightly.

use crate::process::{cargo, root, run as run_command, shown, target};
use crate::{Failure, Outcome};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Targets, and how long an input gets: longer ones only repeat themselves.
const TARGETS: [(&str, u32); 3] = [("request", 2048), ("netlink", 4096), ("completion", 1024)];

/// What the targets are compiled with, as cargo-fuzz does.
const COVERAGE: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=16",
];

/// Files that something was found with, which no minimising throws away.
const FOUND: &str = "found-";

/// What is asked for on the command line.
struct Wanted {
    targets: Vec<(&'static str, u32)>,
    seconds: u32,
    asan: bool,
    minimise: bool,
}

/// Fuzzes the targets named, or all.
pub(crate) fn run(args: &[String]) -> Outcome {
    let wanted = parse(args)?;
    let programs = build(&wanted)?;
    let queue = Mutex::new(VecDeque::from(wanted.targets.clone()));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    // Each keeps one core busy.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let work = || {
            while let Some((name, longest)) = next() {
                one(&wanted, &programs.join(name), name, longest)?;
            }
            Ok(())
        };
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        // All come to their end, whoever finds something.
        let died = || Err(Failure::Work("a worker died".into()));
        let ends: Vec<Outcome> =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| died())).collect();
        ends.into_iter().collect()
    })
}

/// What is wanted of one target.
fn one(wanted: &Wanted, program: &Path, name: &str, longest: u32) -> Outcome {
    let lair = Lair::new(name)?;
    seed(name, &lair.grown)?;
    if wanted.minimise {
        minimise(program, name, &lair, longest)
    } else {
        fuzz(program, name, &lair, longest, wanted.seconds)
    }
}

fn parse(args: &[String]) -> Result<Wanted, Failure> {
    let mut wanted = Wanted { targets: Vec::new(), seconds: 20, asan: false, minimise: false };
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--asan" => wanted.asan = true,
            "--minimise" => wanted.minimise = true,
            "--seconds" => {
                let seconds = rest.next().and_then(|text| text.parse().ok());
                wanted.seconds = seconds.filter(|&seconds| seconds > 0).ok_or_else(|| {
                    Failure::Usage("--seconds takes a number of at least 1".into())
                })?;
            }
            name => wanted.targets.push(
                TARGETS.into_iter().find(|(known, _)| *known == name).ok_or_else(|| {
                    let known = TARGETS.map(|(name, _)| name).join(", ");
                    Failure::Usage(format!("there is no target `{name}`; there are {known}"))
                })?,
            ),
        }
    }
    if wanted.targets.is_empty() {
        wanted.targets.extend(TARGETS);
    }
    Ok(wanted)
}

/// Where a target's files are.
struct Lair {
    /// The committed corpus.
    corpus: PathBuf,
    /// What is found on this machine grows here.
    grown: PathBuf,
    /// Inputs that something fails with.
    found: PathBuf,
    log: PathBuf,
}

impl Lair {
    fn new(name: &str) -> Result<Self, Failure> {
        let home = target().join("fuzz");
        let lair = Self {
            corpus: root().join("tests/fuzz/corpus").join(name),
            grown: home.join("grown").join(name),
            found: home.join("found").join(name),
            log: home.join(format!("{name}.log")),
        };
        for directory in [&lair.grown, &lair.found] {
            fs::create_dir_all(directory).map_err(|error| cannot("make", directory, &error))?;
        }
        Ok(lair)
    }
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::Work(format!("cannot {what} {}: {error}", path.display()))
}

/// Builds the programs; gives the directory they are in.
fn build(wanted: &Wanted) -> Result<PathBuf, Failure> {
    let host = host()?;
    let (mut command, home) = if wanted.asan {
        // Not the cargo that started this: a flag of nightly's.
        let mut nightly = Command::new("rustup");
        nightly.args(["run", "--install", "nightly", "cargo"]).current_dir(root());
        nightly.env_remove("CARGO").env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
        (nightly, target().join("fuzz/asan"))
    } else {
        (cargo(&[]), target().join("fuzz/stable"))
    };
    let mut flags: Vec<&str> = COVERAGE.to_vec();
    if wanted.asan {
        flags.push("-Zsanitizer=address");
    }
    command.args(["build", "--locked", "--package", "esnic-fuzz", "--features", "libfuzzer"]);
    command.args(["--profile", "fuzz"]);
    // Named even where it is the host: what runs while building is left alone then.
    command.arg("--target").arg(&host).arg("--target-dir").arg(&home);
    for (name, _) in TARGETS {
        command.args(["--bin", name]);
    }
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    run_command(command)?;
    Ok(home.join(host).join("fuzz"))
}

/// The machine that the compiler is for.
fn host() -> Result<String, Failure> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.ok()
        .and_then(|text| {
            text.lines().find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        })
        .ok_or_else(|| Failure::Work("`rustc -vV` does not say which machine it is for".into()))
}

/// Writes what a corpus grows from.
fn seed(name: &str, directory: &Path) -> Outcome {
    let mut command = cargo(&["run", "--quiet", "--locked", "--package", "esnic-fuzz"]);
    command.args(["--bin", "fuzz-seeds", "--", name]).arg(directory);
    run_command(command)
}

fn fuzz(program: &Path, name: &str, lair: &Lair, longest: u32, seconds: u32) -> Outcome {
    let mut command = Command::new(program);
    command.current_dir(root());
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={longest}"));
    // A hang is a failure, and so is a heap out of bounds.
    command.args(["-timeout=30", "-rss_limit_mb=2048", "-print_final_stats=1"]);
    command.arg(format!("-artifact_prefix={}/", lair.found.display()));
    command.arg(&lair.grown).arg(&lair.corpus);
    let log = File::create(&lair.log).map_err(|error| cannot("write", &lair.log, &error))?;
    let status = command
        .stderr(log)
        .status()
        .map_err(|error| Failure::Work(format!("cannot start `{}`: {error}", shown(&command))))?;
    let text = fs::read_to_string(&lair.log).unwrap_or_default();
    if status.success() {
        let runs = runs(&text).ok_or_else(|| {
            Failure::Work(format!("{name} did not say how often it ran: {}", lair.log.display()))
        })?;
        println!("fuzz: {name}: {runs} inputs in {seconds} s, nothing found");
        return Ok(());
    }
    let said = text.lines().skip_while(|line| !line.contains("panicked at")).take(12);
    said.for_each(|line| println!("{line}"));
    Err(Failure::Work(format!(
        "{name} fails ({status}): {} has it all. The input is in {}; mend what is wrong, and commit it \
         as tests/fuzz/corpus/{name}/{FOUND}WHAT",
        lair.log.display(),
        lair.found.display()
    )))
}

/// How many inputs a run tried, as it says itself.
fn runs(log: &str) -> Option<u64> {
    let line = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    line.and_then(|number| number.trim().parse().ok())
}

/// Replaces the committed corpus by the smallest choice that reaches as many places.
fn minimise(program: &Path, name: &str, lair: &Lair, longest: u32) -> Outcome {
    let least = target().join("fuzz/least").join(name);
    if least.exists() {
        fs::remove_dir_all(&least).map_err(|error| cannot("empty", &least, &error))?;
    }
    fs::create_dir_all(&least).map_err(|error| cannot("make", &least, &error))?;
    let mut command = Command::new(program);
    command.current_dir(root()).arg(format!("-max_len={longest}"));
    // By places reached, not by how often: a corpus to commit, not one to grow from.
    command.args(["-set_cover_merge=1", "-use_counters=0", "-verbosity=0"]);
    command.arg(&least).arg(&lair.grown).arg(&lair.corpus);
    run_command(command)?;
    let entries = |of: &Path| -> Result<Vec<PathBuf>, Failure> {
        let read = fs::read_dir(of).map_err(|error| cannot("read", of, &error))?;
        Ok(read.flatten().map(|entry| entry.path()).collect())
    };
    let is_found = |path: &Path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(FOUND))
    };
    for old in entries(&lair.corpus)?.into_iter().filter(|path| !is_found(path)) {
        fs::remove_file(&old).map_err(|error| cannot("remove", &old, &error))?;
    }
    let new = entries(&least)?;
    for from in &new {
        let to = lair.corpus.join(from.file_name().unwrap_or_default());
        fs::copy(from, &to).map_err(|error| cannot("write", &to, &error))?;
    }
    println!("fuzz: {name}: {} inputs are left", new.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{parse, runs};

    #[test]
    fn a_run_without_its_figures_is_none() {
        assert_eq!(runs("Done\nstat::number_of_executed_units: 1234\n"), Some(1234));
        assert_eq!(runs("==1== ERROR: libFuzzer: deadly signal"), None);
    }

    #[test]
    fn targets_and_seconds_are_checked() {
        let wanted = |args: &[&str]| parse(&args.iter().map(|&arg| arg.into()).collect::<Vec<_>>());
        assert_eq!(
            wanted(&[]).map(|wanted| (wanted.targets.len(), wanted.seconds)).ok(),
            Some((3, 20))
        );
        assert!(wanted(&["nobody"]).is_err());
        assert!(wanted(&["--seconds", "0"]).is_err());
        assert!(wanted(&["netlink", "--seconds", "5"]).is_ok());
    }
}
