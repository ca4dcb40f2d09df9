// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What `esnic sync` prints, where it reads from, and where it writes to.

mod sync;

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use sync::command::{command, wait};
use sync::{dumps, esnic, esnic_fed, file, object, wire};

const SAMPLE: &str = "2-esn-wrap/k6.1/wrap32-hi0-v4-transport-gcm128-w64/nl-A.pcap";

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn the_json_object_has_exactly_its_keys() {
    let mut ike = file("3-strongswan/k6.1/tunnel-gcm256-esn-time-rekey/nl-A.pcap");
    let largest = dumps(&ike.data).into_iter().max_by_key(|dump| dump.sas.len()).unwrap();
    let others = file("6-other-algs/k6.1/ah-esp-auth-v4/nl-A.pcap");
    let until = largest.packet.to_string();
    let ok = object(&sync::sync(&ike, false, &["--until", &until]));
    let skipping = object(&sync::sync(&others, true, &[]));
    for object in [&ok, &skipping] {
        assert_eq!(keys(object), ["device", "diff", "events", "sas", "skipped"]);
        assert_eq!(
            keys(&object["events"]),
            ["delsa", "expire", "flush", "newae", "newsa", "updsa"]
        );
        assert_eq!(keys(&object["device"]), ["abi_hash", "capacity", "kind"]);
        assert_eq!(object["device"]["abi_hash"], format!("{:#018x}", esnic_abi::ABI_HASH));
        assert_eq!(
            (&object["device"]["kind"], &object["device"]["capacity"]),
            (&"model".into(), &4096.into())
        );
    }
    assert!(ok["sas"].as_array().unwrap().len() >= 3);
    for sa in ok["sas"].as_array().unwrap() {
        let wanted = [
            "algorithm",
            "dir",
            "dst",
            "esn",
            "esn_hi",
            "mode",
            "proto",
            "replay_window",
            "seq_lo",
            "spi",
            "src",
        ];
        assert_eq!(keys(sa), wanted);
    }
    assert!(skipping["skipped"].as_array().unwrap().len() > 5);
    for skipped in skipping["skipped"].as_array().unwrap() {
        assert_eq!(keys(skipped), ["dst", "proto", "reason", "spi", "src"]);
    }
    ike.data.truncate(5000);
    let error = esnic_fed(&["sync", "--capture", "-", "--json"], &ike.data);
    assert_eq!(keys(&error.json()), ["device", "diff", "error", "events", "sas", "skipped"]);
}

#[test]
fn two_runs_print_the_same_bytes() {
    for name in ["4-storm/k6.1/storm300/nl-A.pcap", "6-other-algs/k6.1/ah-esp-auth-v4/nl-A.pcap"] {
        let file = file(name);
        let largest = dumps(&file.data).into_iter().max_by_key(|dump| dump.sas.len()).unwrap();
        let until = largest.packet.to_string();
        for mode in [&["--until", &until][..], &["-v"]] {
            let [one, two] = [(); 2].map(|()| sync::sync(&file, true, mode));
            assert_eq!((one.code, &one.out, &one.err), (two.code, &two.out, &two.err));
            assert_eq!(one.code, Some(0));
        }
        let table = || esnic(["sync", "--capture", &file.path, "--until", &until]);
        assert_eq!(table().out, table().out);
    }
}

/// A pcap file as pcapng says it.
fn pcapng(pcap: &[u8]) -> Vec<u8> {
    fn block(kind: u32, words: &[u32], data: &[u8]) -> Vec<u8> {
        let length = (12 + 4 * words.len() + data.len().next_multiple_of(4)) as u32;
        let mut block = [kind, length].map(u32::to_le_bytes).concat();
        block.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        block.extend(data);
        block.resize(length as usize - 4, 0);
        block.extend(length.to_le_bytes());
        block
    }
    let mut file = block(0x0A0D_0D0A, &[0x1A2B_3C4D, 1, u32::MAX, u32::MAX], &[]);
    file.extend(block(1, &[253, 0], &[]));
    for record in wire::records(pcap) {
        let word = |k: usize| wire::u32_at(pcap, record.begin + 4 * k).unwrap();
        let micros = u64::from(word(0)) * 1_000_000 + u64::from(word(1));
        let head = [0, (micros >> 32) as u32, micros as u32, word(2), word(3)];
        file.extend(block(6, &head, &pcap[record.begin + 16..record.end]));
    }
    file
}

#[test]
fn pcapng_and_standard_input_give_the_same_as_a_file() {
    for name in [SAMPLE, "3-strongswan/k6.12/tunnel-gcm256-esn-time-rekey/nl-B.pcap"] {
        let file = file(name);
        let packet = dumps(&file.data).last().unwrap().packet.to_string();
        let named = sync::sync(&file, false, &["--until", &packet]);
        object(&named);
        let piped = ["sync", "--capture", "-", "--json", "--until", &packet];
        assert_eq!(esnic_fed(&piped, &file.data).out, named.out);
        assert_eq!(esnic_fed(&piped, &pcapng(&file.data)).out, named.out);
    }
}

/// A full table is no failure: what does not fit is listed.
#[test]
fn a_full_table_skips_the_rest_and_says_so() {
    let file = file("4-storm/k6.1/storm300/nl-A.pcap");
    let all = dumps(&file.data).into_iter().max_by_key(|dump| dump.sas.len()).unwrap();
    let until = all.packet.to_string();
    for capacity in ["2", "128"] {
        let object = object(&sync::sync(&file, true, &["--until", &until, "--capacity", capacity]));
        let count = |key: &str| object[key].as_array().unwrap().len();
        assert_eq!(count("sas"), capacity.parse::<usize>().unwrap());
        assert!(count("sas") + count("skipped") >= all.sas.len());
        for one in object["skipped"].as_array().unwrap() {
            assert_eq!(one["reason"], "the SA table is full");
        }
    }
}

/// Where nobody reads standard output or standard error any more, the command ends without a word.
#[test]
fn a_closed_pipe_is_no_panic() {
    let storm = file("4-storm/k6.1/storm300/nl-A.pcap").path;
    let base = ["sync", "--capture", &storm, "--local", "10.9.0.1"];
    for (more, closed_out) in
        [(&["-v"][..], true), (&["--json"], true), (&[], true), (&["-v", "--json"], false)]
    {
        let mut child = command([&base, more].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (closed, open): (Box<dyn std::io::Read>, Box<dyn std::io::Read + Send>) = if closed_out
        {
            (Box::new(out), Box::new(err))
        } else {
            (Box::new(err), Box::new(out))
        };
        let rest = std::thread::spawn(|| BufReader::new(open).lines().count());
        let mut line = String::new();
        let mut reader = BufReader::with_capacity(16, closed);
        reader.read_line(&mut line).unwrap();
        drop(reader);
        assert!(!line.is_empty());
        assert_eq!(wait(&mut child).code(), Some(0), "{more:?}");
        let said = rest.join().unwrap();
        assert!(!closed_out || said == 0, "{said} lines on standard error");
    }
    let gone = command(["sync", "--capture", "no/such/file"])
        .stderr(std::fs::File::open("/dev/null").unwrap())
        .status();
    assert_eq!(gone.unwrap().code(), Some(2), "with a standard error that cannot be written");
}
