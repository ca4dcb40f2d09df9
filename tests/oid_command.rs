// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `esnic oid`: the same script gives the same output, handles included, on every device of this process;
//! and no key is in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/oid").join(name)
}

fn esnic(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esnic"));
    command.arg("oid").args(args).stdin(Stdio::null()).output().expect("the command")
}

/// Plays the walk; gives what it prints.
#[track_caller]
fn walk(more: &[&str]) -> String {
    let script = data("walk.jsonl");
    let script = script.to_str().expect("a name");
    let output = esnic(&[&["--script", script], more].concat());
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*text), (Some(0), ""));
    String::from_utf8(output.stdout).expect("text")
}

fn expected() -> String {
    std::fs::read_to_string(data("walk.out")).expect("the output of the walk")
}

#[test]
fn the_same_script_gives_the_same_output_every_time() {
    for _ in 0..5 {
        assert_eq!(walk(&[]), expected());
    }
}

#[test]
#[cfg(feature = "rtl")]
fn the_rtl_gives_the_same_output() {
    assert_eq!(walk(&["--device", "rtl"]), expected());
}

#[test]
fn what_it_prints_is_one_object_a_completion() {
    let requests = std::fs::read_to_string(data("walk.jsonl")).expect("the walk");
    let ids = requests.lines().filter(|line| line.contains("\"oid\"")).count();
    let objects: Vec<serde_json::Value> =
        expected().lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    assert_eq!(objects.len(), ids);
    let mut told: Vec<_> = objects.iter().map(|one| one["id"].as_u64().expect("an id")).collect();
    told.sort_unstable();
    assert_eq!(told, (1..=ids as u64).collect::<Vec<_>>());
    for name in [
        "SUCCESS",
        "INVALID_PARAMETER",
        "INVALID_LENGTH",
        "NOT_SUPPORTED",
        "INVALID_OID",
        "REQUEST_ABORTED",
        "NOT_ACCEPTED",
    ] {
        assert!(objects.iter().any(|one| one["name"] == name), "{name} is part of the walk");
    }
}

#[test]
fn keys_are_wiped_from_what_it_prints() {
    // The keys of the walk are runs of bytes that go up by one, from 0xC0, 0xA0 and 0xD0.
    let expected = expected();
    for key in ["c0c1c2c3", "a0a1a2a3", "d0d1d2d3"] {
        let script = std::fs::read_to_string(data("walk.jsonl")).expect("the walk");
        assert!(script.contains(key), "it goes in");
        assert!(!expected.contains(key), "and does not come out");
    }
}

/// Plays this script, which nothing is wrong with; gives the objects that it prints.
#[track_caller]
fn play(name: &str, text: &str) -> Vec<serde_json::Value> {
    let script = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("oid-{name}-{}.jsonl", std::process::id()));
    std::fs::write(&script, text).expect("room");
    let output = esnic(&["--script", script.to_str().expect("a name")]);
    std::fs::remove_file(&script).expect("it is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*said), (Some(0), ""));
    let lines = String::from_utf8(output.stdout).expect("text");
    lines.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

#[test]
fn keys_do_not_come_out_under_another_number() {
    // The nodes of the walk's two ADDs, ADD_SA and ADD_SA_EX, with their keys: every byte from 0xA0 on that
    // is followed by the next is one of a key.
    let walk = std::fs::read_to_string(data("walk.jsonl")).expect("the walk");
    let node = |id: u64| {
        let start = format!("{{\"id\":{id},");
        let line = walk.lines().find(|line| line.starts_with(&start)).expect("it is there");
        let request: serde_json::Value = serde_json::from_str(line).expect("an object");
        request["nodes"][0].as_str().expect("a node").to_owned()
    };
    let shows = |bytes: &[u8]| bytes.windows(2).any(|two| two[0] >= 0xA0 && two[0] + 1 == two[1]);
    let adds = [node(2), node(3)];
    let numbers = [
        0xFC03_0202_u32,
        0xFC03_0203,
        0xFC03_0204,
        0xFC03_0205,
        0xFC01_020B,
        0xFC01_020C,
        0xFC01_020D,
        0x0101_010A,
        0xFC03_0299,
        0,
    ];
    let mut script = String::new();
    let mut asked = 0;
    for number in numbers {
        for kind in ["set", "query", "method"] {
            for add in &adds {
                assert!(shows(&hex::decode(add).expect("digits")), "it goes in");
                script += &format!(
                    "{{\"oid\":\"{number:#x}\",\"type\":\"{kind}\",\"nodes\":[\"{add}\"]}}\n"
                );
                asked += 1;
            }
        }
    }
    // Once on a device, once without one.
    let told = play("other-number", &format!("{script}{{\"remove\":true}}\n{script}"));
    assert_eq!(told.len(), 2 * asked);
    for one in told {
        let printed = one["nodes"][0].as_str().expect("a node");
        let bytes = hex::decode(printed).expect("digits");
        assert!(adds.iter().any(|add| add.len() == printed.len()), "as long as it was: {one}");
        assert!(!shows(&bytes), "{one}");
    }
}

#[test]
fn what_is_no_key_comes_back_as_it_is() {
    let update = format!("80012000{}", "11".repeat(28));
    let told = play(
        "shown",
        &format!(
            "{{\"oid\":\"0xFC030204\",\"nodes\":[\"{update}2222\"]}}\n{{\"oid\":\"7\",\"nodes\":[\"33\",\"\"]}}"
        ),
    );
    // The structure, and zeros for what is behind it; of a number that nobody knows, zeros.
    assert_eq!(told[0]["nodes"][0], format!("{}{}", &update[..56], "00".repeat(6)));
    assert_eq!(told[1]["nodes"], serde_json::json!(["00", ""]));
}

#[test]
fn indications_are_told_on_demand() {
    let told = walk(&["--indications"]);
    let names = ["RESET_START", "RESET_END"];
    let places = names.map(|name| told.find(name).unwrap_or_else(|| panic!("{name}: {told}")));
    assert!(places[0] < places[1]);
    let rest: String = told
        .lines()
        .filter(|line| !line.contains("\"indication\""))
        .map(|l| format!("{l}\n"))
        .collect();
    assert_eq!(rest, expected());
}

#[test]
fn versions_differ_in_how_sas_are_added() {
    let status = |ndis: &str, id: u64| {
        let text = walk(&["--ndis", ndis]);
        let line = text.lines().find(|line| line.starts_with(&format!("{{\"id\":{id},")));
        let object: serde_json::Value = serde_json::from_str(line.expect("told")).expect("JSON");
        object["name"].as_str().expect("a name").to_owned()
    };
    // The second request is ADD_SA, the third is ADD_SA_EX.
    assert_eq!((status("6.20", 2), status("6.20", 3)), ("SUCCESS".into(), "NOT_SUPPORTED".into()));
    assert_eq!((status("6.30", 2), status("6.30", 3)), ("NOT_SUPPORTED".into(), "SUCCESS".into()));
}

#[test]
fn a_mistake_in_the_last_line_costs_nothing() {
    let script = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("oid-mistake-{}.jsonl", std::process::id()));
    let text = std::fs::read_to_string(data("walk.jsonl")).expect("the walk");
    std::fs::write(&script, format!("{text}{{\"oid\":\"1\",\"nodes\":[\"c0ffe\"]}}\n"))
        .expect("room");
    let output = esnic(&["--script", script.to_str().expect("a name")]);
    std::fs::remove_file(&script).expect("it is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout), (Some(2), vec![]));
    let line = format!("line {}: node 0", text.lines().count() + 1);
    assert!(said.contains(&line) && !said.contains("c0ff"), "{said}");

    let missing = esnic(&["--script", "/nowhere/at/all"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/nowhere/at/all"));
}
