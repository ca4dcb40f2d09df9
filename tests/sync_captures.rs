// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `esnic sync` on every real capture, against every dump that the kernel made in it. The dumps are
//! decoded by `sync/truth.rs`, which shares no code with the command.

mod sync;

use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use sync::{Dump, File, Sa, dumps, files, last, object, wire};

/// Dumps of all captures together, so that none is lost on the way to the tests.
const DUMPS: usize = 197;

/// What names an SA in the output.
type Key = (String, String, String, String);

fn key(value: &Value) -> Key {
    let text = |name: &str| value[name].as_str().unwrap().to_owned();
    (text("spi"), text("proto"), text("src"), text("dst"))
}

/// The objects of a list by what names them; none may be there twice.
fn by_key(list: &Value) -> BTreeMap<Key, Value> {
    let list = list.as_array().unwrap();
    let map: BTreeMap<_, _> = list.iter().map(|one| (key(one), one.clone())).collect();
    assert_eq!(map.len(), list.len(), "named twice: {list:#?}");
    map
}

/// What a device holds that has what a dump lists, and what it cannot hold.
struct Expected {
    held: BTreeMap<Key, Value>,
    skipped: BTreeMap<Key, Sa>,
}

fn expected(dump: &Dump, addresses: &[IpAddr]) -> Expected {
    let mut held = BTreeMap::new();
    let mut skipped = BTreeMap::new();
    for sa in &dump.sas {
        let out = sa.is_out(addresses);
        let object = sa.json(out.unwrap_or(false));
        let new = if sa.is_supported() && out.is_some() {
            held.insert(key(&object), object).is_none()
        } else {
            skipped.insert(key(&object), sa.clone()).is_none()
        };
        assert!(new, "listed twice: {sa:?}");
    }
    Expected { held, skipped }
}

/// Whether a reason says what is the matter with the SA.
fn explains(reason: &str, sa: &Sa) -> bool {
    if sa.is_larval() {
        return reason.starts_with("larval");
    }
    let algorithm = "the device has no ";
    match sa {
        Sa { proto: 50 | 51, mode: 0 | 1, .. } => reason.starts_with(algorithm),
        Sa { proto: 50 | 51, .. } => reason.ends_with("neither transport nor tunnel mode"),
        _ => reason.ends_with("neither ESP nor AH"),
    }
}

#[track_caller]
fn check_skipped(object: &Value, expected: &Expected, place: &str) {
    let skipped = by_key(&object["skipped"]);
    for (key, sa) in &expected.skipped {
        let one = skipped.get(key).unwrap_or_else(|| panic!("{place}: {key:?} is not skipped"));
        let reason = one["reason"].as_str().unwrap();
        assert!(explains(reason, sa), "{place}: {reason} of {sa:?}");
    }
}

/// SAs that are listed as skipped must not be ones that the device can hold.
#[track_caller]
fn nothing_is_skipped_for_nothing(object: &Value, expected: &Expected, place: &str) {
    for key in by_key(&object["skipped"]).keys() {
        assert!(!expected.held.contains_key(key), "{place}: {key:?}");
    }
}

fn until(dump: &Dump) -> [String; 2] {
    ["--until".to_owned(), dump.packet.to_string()]
}

/// Runs `check` on every dump of every capture.
fn at_every_dump(check: impl Fn(&File, &Dump, &str) + Sync) {
    let files = files();
    let work: Vec<_> = files
        .iter()
        .flat_map(|file| dumps(&file.data).into_iter().map(move |dump| (file, dump)))
        .collect();
    assert_eq!(work.len(), DUMPS);
    let listed: usize = work.iter().map(|(_, dump)| dump.sas.len()).sum();
    assert!(listed > 500, "{listed}");
    for (file, dump) in &work {
        check(file, dump, &format!("{} packet {}", file.name, dump.packet));
    }
}

#[test]
fn at_every_dump_the_device_holds_what_the_kernel_lists() {
    at_every_dump(|file, dump, place| {
        let [flag, packet] = until(dump);
        let object = object(&sync::sync(file, true, &[&flag, &packet]));
        let expected = expected(dump, &file.addresses());
        assert_eq!(by_key(&object["sas"]), expected.held, "{place}");
        check_skipped(&object, &expected, place);
        nothing_is_skipped_for_nothing(&object, &expected, place);
    });
}

/// Events alone lead to the same table; only low halves may be behind, by what no event has told.
#[test]
fn without_dumps_only_low_halves_lag() {
    at_every_dump(|file, dump, place| {
        let [flag, packet] = until(dump);
        let object = object(&sync::sync(file, true, &[&flag, &packet, "--no-dumps"]));
        let expected = expected(dump, &file.addresses());
        let mut held = by_key(&object["sas"]);
        for (key, ours) in &mut held {
            let Some(theirs) = expected.held.get(key) else {
                continue;
            };
            let low = |value: &Value| value["seq_lo"].as_u64().unwrap();
            assert!(low(ours) <= low(theirs), "{place}: {ours:#} ahead of {theirs:#}");
            ours["seq_lo"] = theirs["seq_lo"].clone();
        }
        assert_eq!(held, expected.held, "{place}");
        nothing_is_skipped_for_nothing(&object, &expected, place);
        // A larval SA that an ACQUIRE made shows in dumps alone.
        let told = |sa: &Sa| !sa.is_larval();
        let Expected { held, skipped } = expected;
        let skipped = skipped.into_iter().filter(|(_, sa)| told(sa)).collect();
        check_skipped(&object, &Expected { held, skipped }, place);
    });
}

/// Policies tell directions as well as `--local` does.
#[test]
fn without_local_addresses_policies_tell_the_directions() {
    let told = AtomicUsize::new(0);
    at_every_dump(|file, dump, place| {
        if !has_policies(file) {
            return;
        }
        told.fetch_add(dump.sas.len(), Ordering::Relaxed);
        for more in [None, Some("--no-dumps")] {
            let [flag, packet] = until(dump);
            let args: Vec<_> = [&*flag, &*packet].into_iter().chain(more).collect();
            let without = sync::sync(file, false, &args);
            let with = sync::sync(file, true, &args);
            assert_eq!(without.text(), with.text(), "{place} {more:?}");
            object(&without);
        }
    });
    assert!(told.into_inner() > 150);
}

fn has_policies(file: &File) -> bool {
    let messages = wire::all_messages(&file.data);
    messages.iter().any(|message| message.is_event(wire::NEWPOLICY))
}

/// An IKE daemon installs policies after SAs; the device need not wait for them.
#[test]
fn directions_are_known_before_the_policies_that_tell_them() {
    for kernel in ["k6.1", "k6.12"] {
        let file =
            sync::file(&format!("3-strongswan/{kernel}/tunnel-gcm256-esn-time-rekey/nl-A.pcap"));
        let first = |kind| {
            let told = wire::records(&file.data).into_iter().find(|record| {
                let messages = wire::messages(record.data);
                messages.iter().any(|message| message.is_event(kind))
            });
            told.unwrap().number
        };
        let born = first(wire::UPDSA);
        assert!(born < first(wire::NEWPOLICY));
        let object = object(&sync::sync(&file, false, &["--until", &born.to_string()]));
        let directions: Vec<_> = by_key(&object["sas"]).into_values().collect();
        assert_eq!(directions.len(), 1, "{kernel}");
        assert_eq!(directions[0]["dir"], "in");
    }
}

/// Without policies and `--local`, a direction that the SA does not tell itself is not guessed.
#[test]
fn a_direction_that_nothing_tells_is_not_guessed() {
    let left_open = AtomicUsize::new(0);
    at_every_dump(|file, dump, place| {
        if has_policies(file) {
            return;
        }
        let [flag, packet] = until(dump);
        let object = object(&sync::sync(file, false, &[&flag, &packet]));
        // No address is known to be local, so only XFRMA_SA_DIR counts.
        let expected = expected(dump, &[]);
        assert_eq!(by_key(&object["sas"]), expected.held, "{place}");
        let skipped = by_key(&object["skipped"]);
        for (key, sa) in expected.skipped.iter().filter(|(_, sa)| !sa.is_larval()) {
            let reason = skipped[key]["reason"].as_str().unwrap();
            assert!(reason.starts_with("direction unknown"), "{place}: {sa:?}");
            left_open.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert!(left_open.into_inner() > 20);
}

/// At the end of each capture: its last dump, and what events said after it.
#[test]
fn at_its_end_every_capture_is_followed() {
    let mut changed = 0;
    for file in files() {
        let dump = Dump { packet: u64::MAX, sas: last(&file.data) };
        changed += usize::from(dumps(&file.data).pop().is_none_or(|last| last.sas != dump.sas));
        let expected = expected(&dump, &file.addresses());
        let object = object(&sync::sync(&file, true, &[]));
        assert_eq!(by_key(&object["sas"]), expected.held, "{}", file.name);
        check_skipped(&object, &expected, &file.name);
        let spis: Vec<_> = object["sas"].as_array().unwrap().iter().map(|sa| &sa["spi"]).collect();
        assert!(spis.is_sorted_by_key(|spi| spi.as_str()), "{}", file.name);
    }
    assert!(changed >= 5, "{changed}: too few captures end otherwise than their last dump");
}
