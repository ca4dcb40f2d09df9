// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One test for each trap of the kernel's messages that decides what the device holds.

mod sync;

use serde_json::Value;
use std::collections::BTreeSet;
use sync::wire::{self, Message};
use sync::{File, Follow, Nic, Sa, esnic, file, files, object, truth};

/// The packets with an event that fits.
fn packets(file: &File, fits: impl Fn(&Message<'_>) -> bool) -> Vec<u64> {
    let records = wire::records(&file.data).into_iter();
    records
        .filter(|record| wire::messages(record.data).iter().any(&fits))
        .map(|record| record.number)
        .collect()
}

/// What the command says after a packet, events alone.
fn after(file: &File, packet: u64) -> Value {
    let until = packet.to_string();
    object(&sync::sync(file, true, &["--no-dumps", "--until", &until]))
}

fn spis(object: &Value) -> Vec<&str> {
    let sas = object["sas"].as_array().unwrap().iter();
    sas.map(|sa| sa["spi"].as_str().unwrap()).collect()
}

fn top(sa: &Value) -> (u64, u64) {
    (sa["esn_hi"].as_u64().unwrap(), sa["seq_lo"].as_u64().unwrap())
}

/// An UPDSA event of a live SA repeats the request: another key, window, mode, number. The kernel
/// keeps its own, and so does the device.
#[test]
fn an_updsa_event_of_a_live_sa_is_an_echo() {
    for kernel in ["k6.1", "k6.12"] {
        let file =
            file(&format!("1-manual/{kernel}/update-traps-v4-transport-gcm128-esn-w64/nl-A.pcap"));
        let echoes = packets(&file, |message| message.is_event(wire::UPDSA));
        assert_eq!(echoes.len(), 3);
        for packet in &echoes {
            let (before, echoed) = (after(&file, packet - 1), after(&file, *packet));
            assert_eq!(before["sas"], echoed["sas"], "{kernel} packet {packet}");
            assert_eq!(spis(&echoed).len(), 2);
        }
        let messages = wire::all_messages(&file.data);
        let told = |kind| {
            let told = messages.iter().filter(move |message| message.is_event(kind));
            told.map(|message| truth::sa(message.body).unwrap())
        };
        let first: Vec<Sa> = told(wire::NEWSA).collect();
        let lies: Vec<Sa> = told(wire::UPDSA).filter(|sa| !first.contains(sa)).collect();
        assert!(lies.iter().any(|lie| lie.window == 256 && lie.out == 1000));
        assert!(lies.iter().any(|lie| lie.mode == 1 && !lie.esn));
        // The key in the device is the first one, too.
        let nic = Nic::new(16);
        let report = nic.follow(file.data.clone(), &Follow::of(&file)).unwrap();
        assert_eq!(report.rows.len(), 2);
        for row in &report.rows {
            let is_it = |sa: &&Sa| sa.spi == row.spi.0;
            let sa = first.iter().find(is_it).unwrap();
            assert!(nic.manager.has_keys(row.handle, &sync::damage::material(sa)));
            let other = lies.iter().filter(is_it).find(|lie| lie.aead != sa.aead);
            assert!(other.is_none_or(|lie| {
                !nic.manager.has_keys(row.handle, &sync::damage::material(lie))
            }));
        }
    }
}

/// Of an IKE daemon's inbound SA no event but an UPDSA tells: then its content is right.
#[test]
fn an_updsa_event_of_a_larval_sa_is_the_sa() {
    for kernel in ["k6.1", "k6.12"] {
        let file = file(&format!("3-strongswan/{kernel}/tunnel-gcm256-esn-time-rekey/nl-A.pcap"));
        let births = packets(&file, |message| message.is_event(wire::UPDSA));
        assert!(births.len() >= 3, "{}", births.len());
        for packet in births {
            let (before, born) = (after(&file, packet - 1), after(&file, packet));
            let old = spis(&before);
            let new: Vec<_> = spis(&born).into_iter().filter(|spi| !old.contains(spi)).collect();
            assert_eq!(new.len(), 1, "packet {packet}");
            let sas = born["sas"].as_array().unwrap();
            let sa = sas.iter().find(|sa| sa["spi"] == new[0]).unwrap();
            assert_eq!((&sa["dir"], top(sa)), (&Value::from("in"), (0, 0)));
            // Before, it was skipped as larval; now it is not any more.
            let reason = &before["skipped"][0]["reason"];
            assert!(reason.as_str().unwrap().starts_with("larval"), "{before}");
            assert_eq!(born["skipped"], Value::Array(Vec::new()));
        }
    }
}

/// A hard EXPIRE is the only sign of an SA's end; a soft one is none.
#[test]
fn a_hard_expire_removes_and_a_soft_one_does_not() {
    for variant in ["packets-soft5-hard10", "time-soft2-hard4", "mixed-time-soft1-packets-hard8"] {
        let file = file(&format!("5-expiry/k6.1/{variant}/nl-A.pcap"));
        let expire = |hard: u8| {
            let is_it = move |message: &Message<'_>| {
                message.is_event(wire::EXPIRE)
                    && message.body[224] == hard
                    && message.body[72..76] != [0; 4]
            };
            packets(&file, is_it)[0]
        };
        let (soft, hard) = (expire(0), expire(1));
        assert!(soft < hard);
        assert_eq!(after(&file, soft - 1)["sas"], after(&file, soft)["sas"]);
        assert_eq!(spis(&after(&file, hard - 1)).len(), 1, "{variant}");
        let gone = after(&file, hard);
        assert_eq!(spis(&gone), [""; 0], "{variant}");
        assert_eq!(gone["events"]["delsa"], 0);
    }
}

/// One FLUSHSA message empties the table.
#[test]
fn a_flush_removes_every_sa_with_one_event() {
    let file = file("4-storm/k6.1/storm300/nl-A.pcap");
    let flush = packets(&file, |message| message.is_event(wire::FLUSHSA));
    assert_eq!(flush.len(), 1);
    assert_eq!(spis(&after(&file, flush[0] - 1)).len(), 150);
    let flushed = after(&file, flush[0]);
    assert_eq!(spis(&flushed), [""; 0]);
    let events = &flushed["events"];
    let counts = ["newsa", "updsa", "delsa", "flush"].map(|name| events[name].as_u64().unwrap());
    assert_eq!(counts, [600, 100, 450, 1]);
}

/// Larval SAs have no keys: listed while they are there, never held, and their end is no surprise.
#[test]
fn larval_sas_are_listed_and_never_held() {
    let file = file("5-expiry/k6.1/acquire-larval/nl-A.pcap");
    let mut larval = BTreeSet::new();
    for dump in truth::dumps(&file.data) {
        let object = object(&sync::sync(&file, true, &["--until", &dump.packet.to_string()]));
        assert_eq!(spis(&object), [""; 0]);
        let skipped = object["skipped"].as_array().unwrap();
        assert_eq!(skipped.len(), dump.sas.len(), "packet {}", dump.packet);
        for one in skipped {
            assert_eq!(one["reason"], "larval: no keys yet");
            larval.insert(one["spi"].as_str().unwrap().to_owned());
        }
    }
    // It is from an ACQUIRE and has no SPI yet.
    assert_eq!(larval, BTreeSet::from(["0x00000000".to_owned()]));
    let end = object(&sync::sync(&file, true, &[]));
    assert_eq!(end["skipped"], Value::Array(Vec::new()));
}

/// MOBIKE deletes an SA and adds it again under the same SPI between other addresses, with the
/// numbers that it had: they must not begin anew.
#[test]
fn a_mobike_move_carries_the_numbers_along() {
    for side in ["A", "B"] {
        let file = file(&format!("3-strongswan/k6.1/mobike-v4-to-v4-esn/nl-{side}.pcap"));
        // The first NEWSA of each SPI between the new addresses; replies to GETSA follow it.
        let mut moved = BTreeSet::new();
        let mut moves = Vec::new();
        for record in wire::records(&file.data) {
            let told = wire::messages(record.data).into_iter();
            for message in told.filter(|message| message.is_event(wire::NEWSA)) {
                let sa = truth::sa(message.body).unwrap();
                let new = [sa.src, sa.dst].contains(&"10.9.0.11".parse().unwrap());
                if new && moved.insert(sa.spi) {
                    assert_eq!(sa.out + sa.inn, 0x19);
                    moves.push(record.number);
                }
            }
        }
        assert_eq!(moves.len(), 2, "in and out");
        let second = after(&file, moves[1]);
        let sas = second["sas"].as_array().unwrap();
        assert_eq!(sas.len(), 2);
        for sa in sas {
            assert_eq!(top(sa), (0, 0x19), "{side}: {sa}");
            let ends = [&sa["src"], &sa["dst"]].map(|end| end.as_str().unwrap());
            assert!(ends.contains(&"10.9.0.11") && ends.contains(&"10.9.0.2"));
        }
        // Nothing is held at the old address, and the SPIs are those of before.
        let deleted = packets(&file, |message| message.is_event(wire::DELSA));
        let before = after(&file, deleted[0] - 1);
        assert_eq!(spis(&before), spis(&second));
        let old = before["sas"].as_array().unwrap();
        assert!(old.iter().all(|sa| sa["src"] == "10.9.0.1" || sa["dst"] == "10.9.0.1"));
    }
}

/// nlmon shows a multicast once for every socket that gets it; it has happened once.
#[test]
fn copies_of_an_event_count_once() {
    let mut copied = 0;
    for file in files() {
        let messages = wire::all_messages(&file.data);
        let expires = messages.iter().filter(|message| message.is_event(wire::EXPIRE));
        let all: Vec<_> = expires.map(|message| message.body).collect();
        let mut once = all.clone();
        once.dedup();
        copied += all.len() - once.len();
        let object = object(&sync::sync(&file, true, &[]));
        assert_eq!(object["events"]["expire"], once.len(), "{}", file.name);
    }
    assert!(copied > 5, "{copied} copies in all captures");
}

/// Windows that are no power of two are kept as they are, across 2^32.
#[test]
fn odd_windows_are_kept_as_given() {
    for (variant, window) in
        [("odd-w96-hi0-v4-transport-gcm128", 96), ("odd-w100-replayed-v4-transport-gcm128", 100)]
    {
        for side in ["A", "B"] {
            let file = file(&format!("2-esn-wrap/k6.1/{variant}/nl-{side}.pcap"));
            let object = object(&sync::sync(&file, true, &["--no-dumps"]));
            let sas = object["sas"].as_array().unwrap();
            assert_eq!(sas.len(), 2);
            for sa in sas {
                assert_eq!((&sa["replay_window"], &sa["esn_hi"]), (&window.into(), &1.into()));
            }
        }
    }
}

/// The UPDSA of a NAT that changed its port is the one thing that an UPDSA event says truly: the SA
/// is there again with the new port, and all of its numbers.
#[test]
fn a_new_nat_port_keeps_the_numbers() {
    let file = file("6-other-algs/k6.1/natt-espinudp-v4/nl-A.pcap");
    let change = packets(&file, |message| message.is_event(wire::UPDSA))[0];
    let nic = Nic::new(16);
    let mut seen = Vec::new();
    for (until, no_dumps) in [(change - 1, true), (change, true), (change, false), (u64::MAX, true)]
    {
        let how = Follow { until: Some(until), no_dumps, ..Follow::of(&file) };
        let report = nic.follow(file.data.clone(), &how).unwrap();
        assert!(report.is_in_step() && report.rows.len() == 2);
        let row = &report.rows[0];
        assert_eq!(report.rows[1].udp.map(|(_, src, dst)| (src, dst)), Some((4500, 4500)));
        let keys: Vec<Sa> = truth::spelled(&file.data);
        let sa = keys.iter().find(|sa| sa.spi == row.spi.0).unwrap();
        assert!(nic.manager.has_keys(row.handle, &sync::damage::material(sa)));
        seen.push((row.spi.0, row.udp.map(|(_, src, dst)| (src, dst)), row.top.0));
        nic.clear(&report.rows);
    }
    let (old, new) = (Some((4500, 4500)), Some((4501, 4500)));
    assert_eq!(seen, [(0x6201, old, 4), (0x6201, new, 4), (0x6201, new, 4), (0x6201, new, 8)]);
}

/// Without ESN an SA stops at 2^32 - 1: it has no high half to go to.
#[test]
fn without_esn_the_numbers_end_at_the_last_one() {
    for side in ["A", "B"] {
        let file = file(&format!(
            "2-esn-wrap/k6.1/noesn-overflow32-v4-transport-gcm128-w32/nl-{side}.pcap"
        ));
        let object = object(&sync::sync(&file, true, &[]));
        let sas = object["sas"].as_array().unwrap();
        assert_eq!(sas.len(), 2);
        for sa in sas {
            assert_eq!((&sa["esn"], &sa["replay_window"]), (&false.into(), &32.into()));
            assert_eq!(top(sa), (0, 0xFFFF_FFFF), "{side}: {sa}");
        }
    }
}

/// What the device has no engine for is listed with what it lacks; its neighbours are held.
#[test]
fn what_the_device_lacks_is_skipped_with_the_reason() {
    let file = file("6-other-algs/k6.1/ah-esp-auth-v4/nl-A.pcap");
    let last_add = *packets(&file, |message| message.is_event(wire::NEWSA)).last().unwrap();
    let object = after(&file, last_add);
    let skipped = object["skipped"].as_array().unwrap().iter();
    let skipped: Vec<_> = skipped
        .map(|one| ["spi", "proto", "reason"].map(|name| one[name].as_str().unwrap()))
        .collect();
    assert_eq!(
        skipped,
        [
            ["0x00006101", "ah", "the device has no hmac(sha256)"],
            ["0x00006102", "ah", "the device has no hmac(sha256)"],
            ["0x00006103", "esp", "the device has no cbc(aes)+hmac(sha256)"],
            ["0x00006104", "esp", "the device has no cbc(aes)+hmac(sha256)"],
            ["0x00006105", "esp", "the device has no rfc7539esp(chacha20,poly1305)"],
            ["0x00006108", "esp", "the device has no rfc3686(ctr(aes))+hmac(sha1)"],
            ["0x00006109", "esp", "the device has no ecb(cipher_null)+hmac(sha512)"],
            ["0x0000610c", "esp", "beet is neither transport nor tunnel mode"],
            ["0x0000610d", "comp", "comp is neither ESP nor AH"],
        ]
    );
    let held = ["0x00006106", "0x00006107", "0x0000610a", "0x0000610b", "0x0000610f"];
    assert_eq!(spis(&object), held);
    let algorithms = [0, 1, 4].map(|k| object["sas"][k]["algorithm"].as_str().unwrap());
    assert_eq!(algorithms, ["aes-gcm-128/8", "aes-gcm-128/12", "aes-gmac-128/16"]);
}

/// Whoever watches sees the wrap happen.
#[test]
fn verbose_lines_name_every_change_of_the_device() {
    let file = file("2-esn-wrap/k6.1/wrap32-hi5-v4-tunnel-gcm256-w256/nl-A.pcap");
    let ran = esnic(["sync", "--capture", &file.path, "--local", "10.9.0.1", "--no-dumps", "-v"]);
    let lines: Vec<_> = ran.text().lines().collect();
    let wraps = lines.iter().filter(|line| line.ends_with(": high half 5 to 6"));
    assert_eq!((ran.code, wraps.count()), (Some(0), 2));
    assert_eq!(lines.iter().filter(|line| line.starts_with("ADD ")).count(), 2);
}
