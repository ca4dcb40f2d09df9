// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The command on a PCI function: what it says of a capture is what it says on the model in its own
//! process, and `bench` and `caps` run.

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

use esnic_guest::lane;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::*;

/// Where the guest has them (`xtask/src/guest.rs`).
const CAPTURES: &str = "/captures";

/// A function with as many rows as the command's model has.
fn function() -> String {
    lane::plug(&Params { sa_capacity: 4096, ring_log2: 12, ..small() })
}

/// How the command ends and what it prints.
#[track_caller]
fn run(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new("/bin/esnic").args(args).output().expect("the guest has it");
    (output.status.code(), String::from_utf8(output.stdout).expect("text"))
}

/// As [`run`], errors included.
#[track_caller]
fn run_all(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new("/bin/esnic").args(args).output().expect("the guest has it");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("text"))
}

/// What it prints, if it ends well.
#[track_caller]
fn esnic(args: &[&str]) -> String {
    let (code, said) = run(args);
    assert_eq!(code, Some(0), "{args:?}: {said}");
    said
}

/// Every capture, in the order of names.
fn captures(below: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(below).expect("captures").flatten().map(|file| file.path());
    let mut all: Vec<PathBuf> = files
        .flat_map(|path| if path.is_dir() { captures(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|ext| ext == "pcap" || ext == "pcapng"))
        .collect();
    all.sort();
    all
}

#[test]
fn sync_says_of_each_capture_what_it_says_in_process() {
    let address = function();
    let all = captures(Path::new(CAPTURES));
    assert!(all.len() >= 77, "{} captures", all.len());
    for path in thin(&all) {
        let path = path.to_str().expect("a name");
        let said = |device: &str| run(&["sync", "--json", "--capture", path, "--device", device]);
        let ((ended, here), (ended_there, there)) = (said("model"), said(&address));
        assert_eq!(ended_there, ended, "{path}: {there}");
        // The device's name is all that differs.
        let named = |name: &str| format!("\"kind\":\"{name}\"");
        let squeeze = |text: &str| text.replace("\": ", "\":");
        let (here, there) = (squeeze(&here), squeeze(&there));
        assert!(there.contains(&named(&address)), "{path}: {there}");
        assert_eq!(there.replace(&named(&address), &named("model")), here, "{path}");
    }
}

#[test]
fn bench_runs_and_reports() {
    let address = function();
    let said = esnic(&["bench", "--json", "--seconds", "1", "--sas", "64", "--device", &address]);
    println!("{said}");
    assert!(said.contains(&address), "{said}");
    let figure = said.split("\"updates_per_second\":").nth(1).expect("the figure");
    let figure = figure.trim_start().split([',', '\n', '}']).next().expect("a number");
    assert!(figure.trim().parse::<f64>().is_ok_and(|updates| updates > 0.0), "{said}");
}

#[test]
fn requests_as_bytes_get_the_answers_that_they_get_in_process() {
    let address = function();
    let said =
        |device: &str| esnic(&["oid", "--script", "/scripts/walk.jsonl", "--device", device]);
    let here = said("model");
    assert!(here.lines().count() > 5, "{here}");
    assert_eq!(said(&address), here);
}

/// What `esnic devices --json` says of this function.
fn listed(address: &str) -> String {
    let said = esnic(&["devices", "--json"]);
    let objects = said.split("\n  {").map(|one| one.replace([' ', '\n'], ""));
    let mut own = objects.filter(|one| one.contains(&format!("\"address\":\"{address}\"")));
    own.next().unwrap_or_else(|| panic!("{address} is not in {said}"))
}

#[test]
fn a_function_is_listed_given_back_and_lent_again() {
    let address = function();
    let seen = listed(&address);
    for part in [
        "\"ids\":\"1234:e51c\"",
        "\"driver\":\"vfio-pci\"",
        "\"capacity\":4096",
        "\"held_by\":[]",
        "\"ready\":true",
    ] {
        assert!(seen.contains(part), "{part} is not in {seen}");
    }
    assert!(!seen.contains("\"iommu_group\":null"), "{seen}");

    // While somebody has it, it is not taken away, and it is said who has it.
    let held = esnic_driver::transport::Vfio::open(address.parse().expect("an address"));
    let held = held.unwrap_or_else(|error| panic!("{error}"));
    let me = std::process::id();
    assert!(listed(&address).contains(&format!("\"pid\":{me},")), "{}", listed(&address));
    let (code, said) = run_all(&["unbind", &address]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("process {me} (")), "{said}");
    drop(held);

    esnic(&["unbind", &address]);
    let seen = listed(&address);
    assert!(seen.contains("\"driver\":null") && seen.contains("\"ready\":false"), "{seen}");
    assert!(seen.contains(&format!("`esnicbind{address}`")), "{seen}");
    let (code, said) = run_all(&["caps", "--device", &address]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("`esnic bind {address}`")), "{said}");
    esnic(&["bind", &address]);
    assert!(listed(&address).contains("\"ready\":true"), "{}", listed(&address));
    assert!(esnic(&["caps", "--device", &address]).contains("4096"));
    // A person reads the same.
    let table = esnic(&["devices"]);
    assert!(table.contains(&address) && table.contains("vfio-pci"), "{table}");
}

#[test]
fn caps_tells_what_the_device_offers() {
    let address = function();
    let said = esnic(&["caps", "--device", &address]);
    assert!(said.contains("4096"), "{said}");
}
