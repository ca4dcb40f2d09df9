// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask rtl-coverage`: which lines of the RTL do lock-step, the contract tests and the RTL's own run?
//!
//! At least 95 of a hundred have to run, and each that does not has its explanation in
//! `rtl-sim/coverage.txt`. Bits that move are counted too, and only reported.

mod points;

use crate::process::{root, target};
use crate::rtl::{LOCKSTEP, PATIENCE, PROGRAMS, Program, Verdict, build_library, link_programs};
use crate::{Failure, Outcome};
use points::FileCover;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Of a hundred lines that can run.
const THRESHOLD: usize = 95;

/// Commands for all of lock-step together, by which its tests take their share.
const OPS: &str = "200000";

/// Counting makes the RTL several times as slow.
const SLOWER: u32 = 4;

/// Lines that may stay without a run, by file, each with the reason.
type Explained = BTreeMap<String, BTreeMap<String, String>>;

/// Runs the tests and reports.
pub(crate) fn run(args: &[String]) -> Outcome {
    if let Some(arg) = args.first() {
        return Err(Failure::Usage(format!("rtl-coverage takes no `{arg}`")));
    }
    let explained = read_explained()?;
    let cover = measure()?;
    report(&cover);
    judge(&cover, &explained)
}

/// Runs every test that the small build of the RTL suffices for.
fn measure() -> Result<BTreeMap<String, FileCover>, Failure> {
    let home = target().join("rtl-coverage");
    let work = |e| Failure::Work(format!("{}: {e}", home.display()));
    let counts = home.join("counts");
    if counts.exists() {
        fs::remove_dir_all(&counts).map_err(work)?;
    }
    fs::create_dir_all(&counts).map_err(work)?;
    let tests = target().join("rtl-mutants").join("tests");
    let programs = link_programs(PROGRAMS, &tests, &[])?;
    let rtl = root().join("rtl-sim/rtl");
    let library = build_library(&rtl, &home.join("target"), &[("ESNIC_RTL_COVERAGE", "1")])?;

    let into = counts.to_string_lossy().into_owned();
    let extra = [("ESNIC_OPS", OPS), ("ESNIC_RTL_COVERAGE", into.as_str())];
    for program in &programs {
        let filters: Vec<Vec<&str>> = if program.name == "lockstep" {
            LOCKSTEP.iter().map(|test| vec![*test, "--exact"]).collect()
        } else {
            vec![program.on_rtl().to_vec()]
        };
        for filter in filters {
            println!("rtl-coverage: {} {}", program.name, filter.first().unwrap_or(&""));
            let patience = PATIENCE * SLOWER;
            match program.run(&filter, &library, &home, &extra, patience)? {
                Verdict::Passed => {}
                Verdict::Failed(failed) => {
                    excuse(program, &failed, &library, &home, patience)?;
                }
                Verdict::Hung => {
                    return Err(Failure::Work(format!("{} {filter:?} hangs", program.name)));
                }
            }
        }
    }
    let mut cover = BTreeMap::new();
    for file in fs::read_dir(&counts).map_err(work)? {
        points::add(&file.map_err(work)?.path(), &mut cover)?;
    }
    if cover.is_empty() {
        return Err(Failure::Work(format!("nothing was counted in {}", counts.display())));
    }
    Ok(cover)
}

/// Failures that only come from a missing build are none.
fn excuse(
    program: &Program,
    failed: &[String],
    library: &Path,
    home: &Path,
    patience: Duration,
) -> Outcome {
    for test in failed {
        if !program.lacks_build(test, library, home, patience)? {
            let name = &program.name;
            return Err(Failure::Work(format!("{name}::{test} fails; see {}", home.display())));
        }
    }
    Ok(())
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

fn report(cover: &BTreeMap<String, FileCover>) {
    println!("{:<22} {:>14} {:>18}", "file", "lines", "bits that moved");
    let mut sum = [0; 4];
    let row = |name: &str, [ran, lines, moved, bits]: [usize; 4]| {
        let (by_line, by_bit) = (percent(ran, lines), percent(moved, bits));
        println!(
            "{name:<22} {ran:>4}/{lines:<4} {by_line:>4.0}% {moved:>6}/{bits:<6} {by_bit:>4.0}%"
        );
    };
    for (name, file) in cover {
        let lines = file.lines.len();
        let (moved, bits) = file.toggled();
        let counts = [lines - file.holes().len(), lines, moved, bits];
        row(name, counts);
        for (total, count) in sum.iter_mut().zip(counts) {
            *total += count;
        }
    }
    row("all", sum);
}

/// Holds the holes against the threshold and the explanations.
fn judge(cover: &BTreeMap<String, FileCover>, explained: &Explained) -> Outcome {
    let mut open = Vec::new();
    let (mut lines, mut holes) = (0, 0);
    let mut used: BTreeSet<(&str, String)> = BTreeSet::new();
    for (name, file) in cover {
        lines += file.lines.len();
        holes += file.holes().len();
        let path = root().join("rtl-sim/rtl").join(name);
        let text = fs::read_to_string(&path)
            .map_err(|e| Failure::Work(format!("cannot read {}: {e}", path.display())))?;
        let text: Vec<&str> = text.lines().map(str::trim).collect();
        let known = explained.get(name);
        for number in file.holes() {
            let line = text.get(number - 1).copied().unwrap_or_default();
            match known.and_then(|known| known.get(line)) {
                Some(why) => {
                    println!("hole {name}:{number}: `{line}`: {why}");
                    used.insert((name, line.to_owned()));
                }
                None => open.push(format!("{name}:{number}: `{line}`")),
            }
        }
    }
    for (file, known) in explained {
        for line in known.keys().filter(|line| !used.contains(&(file.as_str(), (*line).clone()))) {
            println!("note: coverage.txt explains `{line}` of {file}, which runs or is gone");
        }
    }
    let ran = percent(lines - holes, lines);
    println!(
        "rtl-coverage: {ran:.1} % of {lines} lines, {holes} holes, {} unexplained",
        open.len()
    );
    if (lines - holes) * 100 < THRESHOLD * lines {
        return Err(Failure::Work(format!(
            "{ran:.1} % of the lines run, wanted are {THRESHOLD} %"
        )));
    }
    if !open.is_empty() {
        let open = open.join("\n  ");
        return Err(Failure::Work(format!(
            "these lines never run; a test for each, or a reason in rtl-sim/coverage.txt:\n  {open}"
        )));
    }
    Ok(())
}

fn read_explained() -> Result<Explained, Failure> {
    let path = root().join("rtl-sim/coverage.txt");
    let text = fs::read_to_string(&path)
        .map_err(|e| Failure::Work(format!("cannot read {}: {e}", path.display())))?;
    parse_explained(&text).map_err(|why| Failure::Work(format!("{}: {why}", path.display())))
}

/// `[file]`, then groups of lines `- text` that end with a line `why text`.
fn parse_explained(text: &str) -> Result<Explained, String> {
    let mut all = Explained::new();
    let mut file = None;
    let mut group: Vec<String> = Vec::new();
    for (k, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            file = Some(name.to_owned());
        } else if let Some(hole) = line.strip_prefix("- ") {
            group.push(hole.trim().to_owned());
        } else if let Some(why) = line.strip_prefix("why ") {
            let name = file.clone().ok_or(format!("line {k}: comes before the first file"))?;
            let known = all.entry(name).or_default();
            known.extend(group.drain(..).map(|hole| (hole, why.to_owned())));
        } else {
            return Err(format!("line {k}: begins with neither of [, -, why"));
        }
    }
    if group.is_empty() { Ok(all) } else { Err(format!("no reason for `{}`", group[0])) }
}

#[cfg(test)]
mod tests {
    use super::parse_explained;

    #[test]
    fn every_hole_in_the_list_has_a_reason() {
        let good = "[a.sv]\n- x = 1;\n- y = 2;\nwhy nobody can\n";
        let all = parse_explained(good).expect("a list");
        assert_eq!(all["a.sv"]["y = 2;"], "nobody can");
        assert!(parse_explained("[a.sv]\n- x = 1;\n").is_err());
        assert!(parse_explained("- x = 1;\nwhy so\n").is_err());
        assert!(parse_explained("[a.sv]\nx = 1;\n").is_err());
    }
}
