// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every real capture against the dumps that it holds.

mod common;

use std::collections::{BTreeMap, HashMap, HashSet};

use common::truth::{self, Entry};
use common::{File, Recorder, Run, files, options};
use esnic_xfrm::{Algorithm, Direction, EventCounts, Mode, Options, Sa, Source};

/// What the sink holds, in the terms of a dump.
fn held(sink: &Recorder) -> Vec<Entry> {
    let mut entries: Vec<_> = sink.table.values().map(|(sa, _)| entry(sa)).collect();
    entries.sort();
    entries
}

fn entry(sa: &Sa) -> Entry {
    let mut entry = Entry {
        dst: sa.id.dst,
        spi: sa.id.spi,
        proto: sa.id.proto,
        mark: (sa.id.mark.v, sa.id.mark.m),
        src: sa.src,
        family: sa.family,
        mode: match sa.mode {
            Mode::Transport => 0,
            Mode::Tunnel => 1,
            Mode::Other(other) => other,
        },
        reqid: sa.reqid,
        if_id: sa.if_id,
        flags: sa.flags,
        extra_flags: sa.extra_flags,
        dir: match sa.direction {
            None => 0,
            Some(Direction::In) => 1,
            Some(Direction::Out) => 2,
        },
        aead: None,
        names: [None, None, None],
        encap: sa.encap.map(|encap| (encap.kind, encap.sport, encap.dport)),
        window: sa.replay_window,
        out: sa.replay.out,
        inn: sa.replay.inn,
    };
    match &sa.algorithm {
        Algorithm::None => {}
        Algorithm::Aead(aead) => {
            let name = aead.name.clone().into_bytes();
            entry.aead = Some((name, aead.key.expose().to_vec(), aead.icv_bits));
        }
        Algorithm::Named(named) => {
            entry.names = [&named.crypt, &named.auth, &named.comp]
                .map(|name| name.clone().map(String::into_bytes));
        }
    }
    entry
}

/// Follows a capture and calls `check` at the end of every dump of SAs with what it listed.
fn at_every_dump(
    file: &File,
    options: Options,
    mut check: impl FnMut(&Run, Vec<Entry>, u64),
) -> u64 {
    let mut run = Run::new(options);
    for message in file.messages() {
        run.follower.learn_policies(&message);
    }
    let mut dumps = 0;
    let mut listed: HashMap<(u32, u32), Vec<Entry>> = HashMap::new();
    // Which dumps are of SAs: an empty one has no entry to tell.
    let mut requested: Vec<(u32, u16)> = Vec::new();
    for packet in file.packets() {
        let packet = packet.unwrap();
        for message in packet.messages() {
            run.apply(&message.unwrap());
        }
        if packet.family != 6 {
            continue;
        }
        for raw in truth::raw(packet.data) {
            let key = (raw.seq, raw.pid);
            match (raw.kind, raw.flags) {
                (kind @ (0x12 | 0x15), flags) if flags & 0x301 == 0x301 => {
                    requested.push((raw.seq, kind));
                }
                (0x10, 2) => listed.entry(key).or_default().push(truth::entry(raw.body)),
                (3, _) => {
                    let position = requested.iter().position(|(seq, _)| *seq == raw.seq).unwrap();
                    let (_, kind) = requested.remove(position);
                    if kind == 0x12 {
                        dumps += 1;
                        let mut entries = listed.remove(&key).unwrap_or_default();
                        entries.retain(|entry| !entry.is_larval());
                        entries.sort();
                        check(&run, entries, packet.number);
                    }
                }
                _ => {}
            }
        }
    }
    dumps
}

#[test]
fn with_dumps_the_table_equals_every_dump() {
    let mut dumps = 0;
    for file in files() {
        dumps += at_every_dump(&file, options(&file, true), |run, entries, packet| {
            assert_eq!(held(&run.sink), entries, "{} packet {packet}", file.name);
            assert_eq!(run.follower.resync_needed(), None);
        });
    }
    assert!(dumps >= 179, "{dumps}");
}

#[test]
fn without_dumps_the_table_equals_every_dump_but_for_numbers_that_lag() {
    for file in files() {
        at_every_dump(&file, options(&file, false), |run, entries, packet| {
            let mut held = held(&run.sink);
            let place = format!("{} packet {packet}", file.name);
            assert_eq!(held.len(), entries.len(), "{place}");
            for (ours, theirs) in held.iter_mut().zip(&entries) {
                assert!(ours.out <= theirs.out && ours.inn <= theirs.inn, "{place}: {ours:?}");
                (ours.out, ours.inn) = (theirs.out, theirs.inn);
            }
            assert_eq!(held, entries, "{place}");
        });
    }
}

#[test]
fn directions_are_those_of_the_addresses() {
    let mut seen = 0;
    for file in files() {
        let locals = file.locals();
        // Policies and XFRMA_SA_DIR alone: they may leave a direction open, but never err.
        let alone = Options { locals: Vec::new(), use_dumps: false };
        for options in [alone, options(&file, true)] {
            at_every_dump(&file, options, |run, _, packet| {
                for (sa, direction) in run.sink.table.values() {
                    let out = locals.contains(&sa.src);
                    assert_ne!(out, locals.contains(&sa.id.dst));
                    let by_address = if out { Direction::Out } else { Direction::In };
                    // One capture has an SA whose XFRMA_SA_DIR belies its addresses; it counts.
                    let expected = sa.direction.unwrap_or(by_address);
                    assert_eq!(*direction, expected, "{} packet {packet}", file.name);
                    seen += 1;
                }
            });
        }
    }
    assert!(seen > 500, "{seen}");
}

/// The ends of what happened: nothing is left over, and nothing is skipped that a device could
/// take.
#[test]
fn everything_is_presented_when_the_addresses_are_known() {
    for file in files() {
        let run = common::follow(&file, options(&file, true));
        let unsettled: Vec<_> = run
            .follower
            .skipped()
            .into_iter()
            .filter(|skipped| !skipped.reason.starts_with("larval"))
            .collect();
        assert_eq!(unsettled, [], "{}", file.name);
    }
}

/// Events counted from the bytes alone: no requests, no dumps, no copies, no answers.
#[test]
fn events_are_counted_once() {
    for file in files() {
        let mut expected = EventCounts::default();
        let mut asked: HashSet<(u16, u32)> = HashSet::new();
        let mut last: Vec<Vec<u8>> = Vec::new();
        for packet in file.packets().map(Result::unwrap).filter(|packet| packet.family == 6) {
            for raw in truth::raw(packet.data) {
                if raw.flags & 1 != 0 {
                    let kind = if raw.kind == 0x16 { 0x12 } else { raw.kind };
                    if raw.flags & 0x300 == 0 {
                        asked.insert((kind, raw.seq));
                    }
                    last.clear();
                    continue;
                }
                let bytes = [&raw.kind.to_le_bytes(), raw.body].concat();
                let answer = match raw.kind {
                    0x10 => asked.contains(&(0x12, raw.seq)) && raw.pid != 0,
                    0x1e => asked.contains(&(0x1f, raw.seq)),
                    _ => false,
                };
                if raw.flags & 2 != 0 || answer || last.contains(&bytes) {
                    continue;
                }
                last.push(bytes);
                *match raw.kind {
                    0x10 => &mut expected.newsa,
                    0x1a => &mut expected.updsa,
                    0x11 => &mut expected.delsa,
                    0x1e => &mut expected.newae,
                    0x18 => &mut expected.expire,
                    0x1c => &mut expected.flush,
                    _ => continue,
                } += 1;
            }
        }
        for use_dumps in [false, true] {
            let run = common::follow(&file, options(&file, use_dumps));
            assert_eq!(run.follower.events(), expected, "{}", file.name);
        }
    }
}

#[test]
fn a_capture_is_a_source_of_the_same_packets() {
    for file in files() {
        let mut capture = esnic_xfrm::Capture::open(&file.path).unwrap();
        let numbers: Vec<_> =
            capture.packets().map(|packet| packet.unwrap()).map(|p| (p.number, p.offset)).collect();
        let mut again = Vec::new();
        while let Some(packet) = capture.next().unwrap() {
            let begin = packet.offset as usize;
            assert_eq!(packet.data, &file.data[begin..begin + packet.data.len()]);
            again.push((packet.number, packet.offset));
        }
        assert!(capture.ended());
        assert_eq!(numbers, again);
        assert!(numbers.iter().map(|(number, _)| *number).eq(1..=numbers.len() as u64));
    }
}

/// No key of any capture is in the Debug output of anything public, in any usual notation.
#[test]
fn keys_are_never_shown() {
    for file in files().iter().filter(|file| !file.name.contains("storm")) {
        let run = common::follow(file, options(file, true));
        let mut shown = format!("{:?}", run.follower.known().collect::<Vec<_>>());
        let mut keys: BTreeMap<Vec<u8>, ()> = BTreeMap::new();
        let capture = esnic_xfrm::Capture::open(&file.path).unwrap();
        shown += &format!("{capture:?} {:?}", capture.packets());
        for packet in file.packets().map(Result::unwrap) {
            shown += &format!("{packet:?} {:?}", packet.messages());
            for message in packet.messages() {
                let message = message.unwrap();
                shown += &format!("{message:?} {message:#?}");
                if let esnic_xfrm::Body::Sa(sa) = &message.body
                    && let Algorithm::Aead(aead) = &sa.algorithm
                {
                    keys.insert(aead.key.expose().to_vec(), ());
                }
            }
        }
        let shown = shown.to_lowercase();
        for key in keys.keys() {
            let part = &key[..8];
            let hex: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
            let list: Vec<_> = part.iter().map(u8::to_string).collect();
            let lines: Vec<_> = part.iter().map(|byte| format!("0x{byte:02x}")).collect();
            for secret in [hex, list.join(", "), lines.join(", ")] {
                assert!(!shown.contains(&secret), "{}: {secret}", file.name);
            }
        }
    }
}
