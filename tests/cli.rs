// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The command as its users see it: what it says of itself, what it prints, and how it ends.

mod sync;

use serde_json::Value;
use std::collections::BTreeMap;
use sync::{File, Ran, esnic, esnic_fed, file, object, wire};

const SAMPLE: &str = "2-esn-wrap/k6.1/wrap32-hi0-v4-transport-gcm128-w64/nl-A.pcap";

/// How an error is told: a line on standard error, nothing on standard output.
#[track_caller]
fn refused(ran: &Ran, says: &str) {
    assert_eq!((ran.code, ran.text()), (Some(2), ""), "{ran:?}");
    assert!(ran.err.contains(says), "{:?} does not say {says:?}", ran.err);
}

/// A message that is esnic's own: one sentence on one line.
#[track_caller]
fn one_sentence(err: &str) {
    assert!(err.starts_with("esnic: ") && err.ends_with('\n'), "{err:?}");
    assert_eq!(err.lines().count(), 1, "{err:?}");
}

/// The flags that a help text lists.
fn flags(help: &str) -> Vec<&str> {
    let words = help.lines().filter_map(|line| {
        let line = line.trim_start();
        line.starts_with('-').then(|| line.split_whitespace().find(|word| word.starts_with("--")))
    });
    words.flatten().map(|word| word.trim_end_matches(',')).collect()
}

/// Every flag of every help text is one that works, and there is none that no help text has.
#[test]
fn help_texts_list_exactly_the_flags_that_work() {
    let sample = file(SAMPLE).path;
    let shared: &[&[&str]] =
        &[&["--device", "model"], &["--capacity", "64"], &["--json"], &["--help"]];
    let sync: &[&[&str]] = &[
        &["--capture", &sample],
        &["--local", "10.9.0.1"],
        &["--until", "7"],
        &["--no-dumps"],
        &["--verbose"],
    ];
    let bench: &[&[&str]] = &[
        &["--batch", "8"],
        &["--depth", "2"],
        &["--sas", "16"],
        &["--threads", "2"],
        &["--seconds", "0.02"],
        &["--path", "auto"],
        &["--path", "ring"],
        &["--path", "direct"],
        &["--mode", "top"],
        &["--mode", "hi"],
    ];
    for (name, needs, own) in [
        ("sync", &["--capture", &*sample][..], sync),
        ("caps", &[], &[]),
        ("bench", &["--seconds", "0.02", "--sas", "16"], bench),
    ] {
        let help = esnic([name, "--help"]);
        assert_eq!((help.code, &*help.err), (Some(0), ""));
        let mut listed = flags(help.text());
        for case in shared.iter().chain(own) {
            let mut args = vec![name];
            // No flag is given twice.
            let rest = needs.chunks(2).filter(|need| need[0] != case[0]);
            args.extend(rest.flatten());
            args.extend(*case);
            let ran = esnic(&args);
            assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{args:?}");
            assert!(!ran.out.is_empty(), "{args:?}");
            assert!(help.text().contains(case[0]), "{} is not in the help of {name}", case[0]);
            listed.retain(|flag| flag != &case[0]);
        }
        // A model has no waveform: below, `usage_errors_end_with_2` sees these refused.
        for flag in ["--trace", "--trace-cycles"] {
            assert!(listed.contains(&flag), "{flag} is not in the help of {name}");
            listed.retain(|one| *one != flag);
        }
        assert_eq!(listed, [""; 0], "flags of {name} that no test knows");
    }
    let help = esnic(["--help"]);
    for word in [
        "sync",
        "caps",
        "bench",
        "serve",
        "devices",
        "bind",
        "unbind",
        "--version",
        "0 in step",
        "1 not in step",
        "2 usage",
    ] {
        assert!(help.text().contains(word), "{word}");
    }
    let version = esnic(["--version"]);
    assert_eq!(version.text(), concat!("esnic ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn usage_errors_end_with_2() {
    let sample = &*file(SAMPLE).path;
    let sync = |more: &[&str]| esnic([&["sync", "--capture", sample], more].concat());
    refused(&sync(&["--bogus"]), "--bogus");
    refused(&sync(&["--until", "0"]), "--until");
    refused(&sync(&["--until", "-1"]), "-1");
    refused(&sync(&["--local", "10.9.0"]), "--local");
    refused(&sync(&["--device", "nic0"]), "this build can drive `model`");
    refused(&sync(&["--trace", "x.fst"]), "--trace");
    refused(&sync(&["--trace-cycles", "0..9"]), "--trace");
    refused(&esnic(["bench", "--depth", "0"]), "--depth");
    refused(&esnic(["sync"]), "--capture");
    refused(&esnic(["nonsense"]), "nonsense");
    refused(&esnic(["bench", "--batch", "0"]), "--batch");
    for bad in [
        sync(&["--capacity", "1000"]),
        sync(&["--capacity", "0"]),
        sync(&["--capacity", "1"]),
        sync(&["--capacity", "2097152"]),
        esnic(["caps", "--capacity", "1000"]),
    ] {
        refused(&bad, "a power of two from 2 to 2^20");
        one_sentence(&bad.err);
    }
    for bad in [
        esnic(["bench", "--seconds", "0"]),
        esnic(["bench", "--seconds", "nan"]),
        esnic(["bench", "--sas", "5000"]),
        esnic(["bench", "--sas", "3", "--threads", "4", "--seconds", "0.1"]),
    ] {
        refused(&bad, "--s");
        one_sentence(&bad.err);
    }
}

/// PCI functions of the machine that the tests run on: none of them is touched.
#[test]
fn pci_functions_are_listed_and_what_is_not_there_is_refused() {
    let nowhere = "ffff:ff:1f.7";
    let listed = esnic(["devices", "--json"]);
    let array: Vec<serde_json::Value> = serde_json::from_slice(&listed.out).unwrap();
    assert_eq!((listed.code, array.iter().all(|row| row.is_object())), (Some(0), true));
    let table = esnic(["devices"]);
    assert_eq!((table.code, &*table.err), (Some(0), ""));
    assert!(!table.out.is_empty());
    for args in [
        &["bind", nowhere][..],
        &["bind", "--any-id", nowhere],
        &["unbind", nowhere],
        &["caps", "--device", nowhere],
    ] {
        let ran = esnic(args);
        assert_eq!((ran.code, ran.text()), (Some(1), ""), "{ran:?}");
        one_sentence(&ran.err);
        assert!(ran.err.contains("there is no PCI function ffff:ff:1f.7"), "{}", ran.err);
    }
    refused(&esnic(["bind"]), "BDF");
    refused(&esnic(["bind", "03:00"]), "which looks like 0000:03:00.0");
    refused(&esnic(["unbind", "model"]), "which looks like 0000:03:00.0");
    refused(&esnic(["caps", "--device", nowhere, "--capacity", "64"]), "--capacity");
    refused(&esnic(["caps", "--device", nowhere, "--trace", "x.fst"]), "--trace");
    refused(&esnic(["serve", "--device", nowhere, "--socket", "x"]), "--device");
    for (name, flag) in [("devices", "--json"), ("bind", "--any-id"), ("unbind", "--help")] {
        let help = esnic([name, "--help"]);
        assert!(flags(help.text()).contains(&flag), "{}", help.text());
    }
}

#[test]
fn what_is_no_capture_is_an_input_error() {
    let sync = |input: &[u8]| esnic_fed(&["sync", "--capture", "-", "--json"], input);
    let missing = esnic(["sync", "--capture", "no/such/file"]);
    refused(&missing, "no/such/file: cannot read the capture: No such file");
    let mut ethernet = file(SAMPLE).data;
    ethernet[20..24].copy_from_slice(&1u32.to_le_bytes());
    let big: Vec<u8> = [0xA1, 0xB2, 0xC3, 0xD4].into_iter().chain([0; 20]).collect();
    for (bad, says) in [
        (missing, "esnic: "),
        (sync(b"SPI,proto,src,dst\n1,50,10.9.0.1,10.9.0.2\n"), "not a capture file"),
        (sync(b""), "packet 1 at file offset 0"),
        (sync(&ethernet), "the capture's link type is 1, not 253 (netlink)"),
        (sync(&big), "big-endian"),
    ] {
        refused(&bad, says);
        one_sentence(&bad.err);
    }
}

/// A capture that ends inside its 21st packet.
fn damaged() -> (File, u64, usize) {
    let mut file = file(SAMPLE);
    let record = wire::records(&file.data)[20];
    let (number, begin) = (record.number, record.begin);
    file.data.truncate(begin + 40);
    (file, number, begin)
}

#[test]
fn damage_keeps_what_was_before_it_and_ends_with_2() {
    let (file, number, begin) = damaged();
    let args = ["sync", "--capture", "-", "--json", "--local", "10.9.0.1"];
    let ran = esnic_fed(&args, &file.data);
    assert_eq!(ran.code, Some(2));
    one_sentence(&ran.err);
    let place = format!("packet {number} at file offset {begin}: ");
    assert!(ran.err.contains(&place), "{}", ran.err);
    let cut = ran.json();
    let whole = object(&esnic_fed(&args, &file.data[..begin]));
    for key in ["sas", "skipped", "diff", "events", "device"] {
        assert_eq!(cut[key], whole[key]);
    }
    assert_eq!(whole["sas"].as_array().unwrap().len(), 2);
    assert_eq!(ran.err.strip_prefix("esnic: ").unwrap().trim_end(), cut["error"]);
    // As a table, too.
    let ran = esnic_fed(&["sync", "--capture", "-"], &file.data);
    assert!(ran.code == Some(2) && ran.text().contains("0x00002101"), "{ran:?}");
}

/// Whoever stops before the damage does not meet it.
#[test]
fn until_stops_before_damage() {
    let (file, number, _) = damaged();
    for (until, code) in [(number - 2, 0), (number - 1, 0), (number, 2), (number + 1, 2)] {
        let until = until.to_string();
        let ran = esnic_fed(&["sync", "--capture", "-", "--until", &until], &file.data);
        assert_eq!(ran.code, Some(code), "--until {until}: {}", ran.err);
    }
}

#[test]
fn without_arguments_it_shows_the_high_half_advance() {
    let ran = esnic([""; 0]);
    assert_eq!((ran.code, &*ran.err), (Some(0), ""));
    assert_eq!(ran.text().matches(": high half 5 to 6").count(), 2, "{}", ran.text());
    for says in ["6:00000018", "In step", "says the same of every SA", "acknowledged updates"] {
        assert!(ran.text().contains(says), "{says}: {}", ran.text());
    }
}

#[test]
fn caps_tells_the_parameters_of_the_device() {
    let caps = esnic(["caps", "--json", "--capacity", "1024"]).json();
    assert_eq!((&caps["device"], &caps["sa_capacity"]), (&"model".into(), &1024.into()));
    assert_eq!(caps["abi_hash"], format!("{:#018x}", esnic_abi::ABI_HASH));
    let has = |list: &str, name: &str| caps[list].as_array().unwrap().contains(&name.into());
    assert!(has("features", "ESN") && has("algorithms", "AES_GCM_256"), "{caps}");
    assert!(esnic(["caps"]).text().contains("4096"));
    let least = esnic(["caps", "--json", "--capacity", "2"]).json();
    assert_eq!((&least["sa_capacity"], &least["stage_buffers"]), (&2.into(), &2.into()));
}

/// Every number in an object; none may be missing, as NaN would be.
fn numbers(value: &Value, path: &str, into: &mut BTreeMap<String, f64>) {
    for (key, value) in value.as_object().unwrap() {
        assert!(!value.is_null(), "{path}{key} is no number");
        match value.as_f64() {
            Some(number) => drop(into.insert(format!("{path}{key}"), number)),
            None if value.is_object() => numbers(value, &format!("{path}{key}."), into),
            None => assert!(value.is_string()),
        }
    }
}

#[test]
fn bench_figures_are_sane() {
    for more in
        [&[][..], &["--path", "direct", "--batch", "1"], &["--mode", "hi", "--threads", "2"]]
    {
        let args = [&["bench", "--json", "--seconds", "0.2"], more].concat();
        let mut figures = BTreeMap::new();
        numbers(&esnic(&args).json(), "", &mut figures);
        let at = |key: &str| figures[key];
        assert!(at("updates") > 0.0 && at("seconds") >= 0.2, "{figures:?}");
        let rate = at("updates") / at("seconds");
        assert!((at("updates_per_second") / rate - 1.0).abs() < 1e-9, "{figures:?}");
        let [p50, p99, max] = ["p50", "p99", "max"].map(|key| at(&format!("latency_us.{key}")));
        assert!(0.0 < p50 && p50 <= p99 && p99 <= max, "{figures:?}");
        assert!(at("per_update.dma_write_bytes") > 0.0 && at("per_update.device_cycles") > 0.0);
    }
}
