// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask rtl-waves`: runs a failing test of the RTL again, with waveforms compiled in.
//!
//! Tracing makes the RTL ten times as slow, so tests run without, and a test that fails is run once
//! more. With the seed that it printed it does the same again. `cargo xtask test` does this by itself.

use crate::process::{cargo, root, target};
use crate::{Failure, Outcome};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Tests that are run again after one run of all; what makes more of them fail is seen in these.
const MOST: usize = 3;

/// One test, as nextest names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Test {
    binary: String,
    name: String,
}

impl Test {
    /// Whether it drives the RTL in its own process.
    fn has_waves(&self) -> bool {
        self.name.contains("rtl::")
            || self.binary.contains("rtl")
            || self.binary == "esnic::lockstep"
    }
}

/// Runs the tests again whose names are given, as `BINARY TEST` or `BINARY::TEST` of nextest's output.
pub(crate) fn run(args: &[String]) -> Outcome {
    let usage =
        || Failure::Usage("rtl-waves takes a binary and a test, as nextest prints them".into());
    let [binary, name] = args else { return Err(usage()) };
    let test = Test { binary: binary.clone(), name: name.clone() };
    if !test.has_waves() {
        return Err(Failure::Usage(format!("{binary} {name} does not drive the RTL")));
    }
    match again(&test)? {
        true => println!("rtl-waves: {binary} {name} passes, so there is nothing to look at"),
        false => tell(&test),
    }
    Ok(())
}

/// Where nextest leaves its report under some profile.
pub(crate) fn report(profile: &str) -> PathBuf {
    target().join("nextest").join(profile).join("junit.xml")
}

/// Runs again what failed on the RTL in the run that left this report.
pub(crate) fn after(report: &Path) {
    let text = fs::read_to_string(report).unwrap_or_default();
    let failed: Vec<Test> = failed(&text).into_iter().filter(Test::has_waves).collect();
    for test in failed.iter().take(MOST) {
        let Test { binary, name } = test;
        println!("rtl-waves: running {binary} {name} again, with waveforms");
        match again(test) {
            Ok(true) => {
                println!("rtl-waves: {binary} {name} passed this time; was its seed another one?")
            }
            Ok(false) => tell(test),
            Err(failure) => println!("rtl-waves: {failure}"),
        }
    }
    if failed.len() > MOST {
        println!("rtl-waves: {} more failed on the RTL", failed.len() - MOST);
    }
}

fn home(test: &Test) -> PathBuf {
    let name = format!("{} {}", test.binary, test.name).replace([':', ' ', '/'], "_");
    target().join("rtl-waves").join(name)
}

/// Whether it passes.
fn again(test: &Test) -> Result<bool, Failure> {
    let home = home(test);
    let work = |e| Failure::Work(format!("{}: {e}", home.display()));
    if home.exists() {
        fs::remove_dir_all(&home).map_err(work)?;
    }
    fs::create_dir_all(&home).map_err(work)?;
    let log = File::create(home.join("log.txt")).map_err(work)?;
    let only = format!("binary_id(={}) & test(={})", test.binary, test.name);
    let mut nextest = cargo(&["nextest", "run", "--workspace", "--features", "esnic/trace"]);
    nextest
        .args(["--no-capture", "-E", &only])
        .env("ESNIC_RTL_WAVES", fs::canonicalize(&home).map_err(work)?)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(work)?)
        .stderr(log);
    let status = nextest.status().map_err(work)?;
    // 100 is nextest's word for a test that failed; the others mean that it did not come that far.
    match status.code() {
        Some(0) => Ok(true),
        Some(100) => Ok(false),
        _ => {
            Err(Failure::Work(format!("nextest: {status}; see {}", home.join("log.txt").display())))
        }
    }
}

/// Where to look.
fn tell(test: &Test) {
    let home = home(test);
    let root = root();
    let shown = |path: &Path| path.strip_prefix(&root).unwrap_or(path).display().to_string();
    println!("rtl-waves: {} {}: {}/log.txt has its seed", test.binary, test.name, shown(&home));
    let files: BTreeSet<PathBuf> =
        fs::read_dir(&home).into_iter().flatten().flatten().map(|file| file.path()).collect();
    for file in files.iter().filter(|file| file.extension().is_some_and(|ext| ext == "fst")) {
        println!("rtl-waves:   waveform {}", shown(file));
    }
}

/// The tests that failed, from a report in the form of JUnit.
fn failed(text: &str) -> BTreeSet<Test> {
    let mut failed = BTreeSet::new();
    for case in text.split("<testcase ").skip(1) {
        let (head, rest) = case.split_once('>').unwrap_or((case, ""));
        let body = rest.split("</testcase>").next().unwrap_or("");
        let broken = !head.ends_with('/') && (body.contains("<failure") || body.contains("<error"));
        let attribute = |name: &str| {
            let (_, value) = head.split_once(&format!("{name}=\""))?;
            Some(value.split_once('"')?.0.to_owned())
        };
        // `name` also ends `classname`.
        let (binary, name) = (
            attribute("classname"),
            attribute(" name").or_else(|| {
                let value = head.strip_prefix("name=\"")?;
                Some(value.split_once('"')?.0.to_owned())
            }),
        );
        if let (true, Some(binary), Some(name)) = (broken, binary, name) {
            failed.insert(Test { binary, name });
        }
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::{Test, failed};

    #[test]
    fn what_failed_is_found_in_the_report() {
        let text = r#"<testsuite name="esnic::contract_esn">
            <testcase name="rtl::a" classname="esnic::contract_esn" time="0.1"></testcase>
            <testcase name="rtl::b" classname="esnic::contract_esn"><failure message="x">y</failure>
            </testcase>
            <testcase name="c" classname="esnic::lockstep"/>
            <testcase classname="esnic-rtl::bridge" name="d"><error/></testcase></testsuite>"#;
        let test = |binary: &str, name: &str| Test { binary: binary.into(), name: name.into() };
        let all: Vec<Test> = failed(text).into_iter().collect();
        assert_eq!(all, [test("esnic-rtl::bridge", "d"), test("esnic::contract_esn", "rtl::b")]);
        assert!(all.iter().all(Test::has_waves));
        assert!(!test("esnic::contract_esn", "model::b").has_waves());
        assert!(failed("no report").is_empty());
    }
}
