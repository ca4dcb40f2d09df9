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
    assert!(said.contains("updates_per_second"), "{said}");
}

#[test]
fn caps_tells_what_the_device_offers() {
    let address = function();
    let said = esnic(&["caps", "--device", &address]);
    assert!(said.contains("4096"), "{said}");
}
