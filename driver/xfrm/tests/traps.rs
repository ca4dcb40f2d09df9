// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One test for each trap of real XFRM messages that a capture shows.

mod common;

use common::{Call, Recorder, Run, file, follow, options};
use esnic_xfrm::{Body, Direction, EventCounts, Follower, Removal, Replay};

/// An UPDSA event repeats a request with another key, window, reqid, mode and number; the kernel
/// keeps its own.
#[test]
fn updsa_of_a_live_sa_is_an_echo() {
    for kernel in ["k6.1", "k6.12"] {
        let name = format!("1-manual/{kernel}/update-traps-v4-transport-gcm128-esn-w64/nl-A.pcap");
        let file = file(&name);
        let mut run = Run::new(options(&file, false));
        let mut echoes = 0;
        for message in file.messages() {
            let before = run.sink.table.clone();
            let log = run.sink.log.len();
            run.apply(&message);
            if message.header.kind == 0x1a && !message.header.is_request() {
                let Body::Sa(echo) = &message.body else { panic!() };
                let (held, _) = &before[&echo.id];
                echoes += u32::from(
                    echo.algorithm != held.algorithm
                        || echo.replay_window != held.replay_window
                        || echo.reqid != held.reqid
                        || echo.replay != held.replay,
                );
                assert_eq!(run.sink.table, before);
                assert_eq!(run.sink.log.len(), log);
            }
        }
        assert!(echoes >= 2, "{name}: {echoes} echoes differ from the SA");
    }
}

/// An inbound SA of an IKE daemon appears with an UPDSA alone.
#[test]
fn updsa_of_a_larval_sa_is_the_sa() {
    let file = file("3-strongswan/k6.12/tunnel-gcm256-esn-time-rekey/nl-A.pcap");
    let mut run = Run::new(options(&file, false));
    let mut promoted = 0;
    for message in file.messages() {
        let larval = run.follower.skipped();
        run.apply(&message);
        if let Body::Sa(sa) = &message.body
            && message.header.kind == 0x1a
            && !message.header.is_request()
        {
            assert!(
                larval
                    .iter()
                    .any(|skipped| skipped.spi == sa.id.spi
                        && skipped.reason == "larval: no keys yet")
            );
            assert_eq!(run.sink.table[&sa.id].1, Direction::In);
            assert_eq!(run.follower.skipped(), []);
            promoted += 1;
        }
    }
    assert_eq!(promoted, run.follower.events().updsa);
    assert!(promoted > 3);
}

/// A hard limit ends an SA with EXPIRE and no DELSA; a soft one changes nothing.
#[test]
fn hard_expire_is_the_end() {
    let file = file("5-expiry/k6.1/packets-soft5-hard10/nl-A.pcap");
    let mut run = Run::new(options(&file, false));
    let (mut soft, mut hard) = (0, 0);
    for message in file.messages() {
        let before = run.sink.table.clone();
        run.apply(&message);
        if let Body::Expire(expire) = &message.body {
            if !expire.hard {
                assert_eq!(run.sink.table, before);
                soft += 1;
            } else if before.contains_key(&expire.id) {
                assert!(!run.sink.table.contains_key(&expire.id));
                hard += 1;
            }
        }
    }
    assert_eq!((soft, hard), (1, 1));
    assert_eq!(run.follower.events().delsa, 0);
    assert!(run.sink.log.contains(&Call::Remove(run.sink.log[0].spi(), Removal::Expired)));
}

/// Larval SAs expire under names that no event announced.
#[test]
fn larval_sas_come_and_go() {
    let file = file("5-expiry/k6.1/acquire-larval/nl-A.pcap");
    let run = follow(&file, options(&file, false));
    assert!(run.follower.unmatched() > 0);
    assert_eq!(run.sink.log, []);
    let mut run = Run::new(options(&file, true));
    let mut listed = 0;
    for message in file.messages() {
        run.apply(&message);
        listed = listed.max(run.follower.skipped().len());
    }
    assert!(listed > 0);
    assert_eq!(run.sink.log, []);
    assert_eq!(run.follower.skipped(), [], "they are gone at the end");
}

/// One FLUSHSA for 150 SAs.
#[test]
fn a_flush_is_one_message() {
    let file = file("4-storm/k6.1/storm300/nl-A.pcap");
    let mut run = Run::new(options(&file, false));
    let mut largest = 0;
    for message in file.messages() {
        let before = run.sink.table.len();
        run.apply(&message);
        if let Body::Flush { .. } = message.body
            && !message.header.is_request()
        {
            largest = largest.max(before);
            assert!(run.sink.table.is_empty());
        }
    }
    assert!(largest >= 150, "{largest}");
}

/// The same SPI moves to another address and goes on with its old numbers.
#[test]
fn mobike_moves_keep_the_numbers() {
    for side in ["A", "B"] {
        let file = file(&format!("3-strongswan/k6.1/mobike-v4-to-v4-esn/nl-{side}.pcap"));
        let mut run = Run::new(options(&file, false));
        let mut moved = Vec::new();
        for message in file.messages() {
            run.apply(&message);
            if let Body::Sa(sa) = &message.body
                && message.header.kind == 0x10
                && message.header.flags == 0
                && sa.replay != Replay::default()
                && run.sink.log.last() == Some(&Call::Present(sa.id.spi, run.sink.table[&sa.id].1))
            {
                let twins = run.sink.table.keys().filter(|id| id.spi == sa.id.spi).count();
                assert_eq!(twins, 1, "the old one is gone");
                moved.push(sa.id.spi);
            }
        }
        moved.sort_unstable();
        moved.dedup();
        assert_eq!(moved.len(), 2, "{side}: one SA in each direction has moved");
    }
}

/// strongSwan 5.9 repeats XFRMA_REPLAY_ESN_VAL in the requests of a move.
#[test]
fn attributes_may_occur_twice() {
    let file = file("3-strongswan/k6.1/mobike-v4-to-v4-esn/nl-A.pcap");
    let twice = file.packets().map(Result::unwrap).filter(|packet| packet.family == 6).find(|p| {
        let raw = &common::truth::raw(p.data)[0];
        raw.kind == 0x10 && raw.flags & 1 != 0 && count(raw.body, 23) == 2
    });
    let message = twice.unwrap().messages().next().unwrap().unwrap();
    let Body::Sa(sa) = message.body else { panic!("{:?}", message.body) };
    assert_ne!(sa.replay, Replay::default());
}

fn count(body: &[u8], kind: u16) -> usize {
    let mut at = 224;
    let mut found = 0;
    while at + 4 <= body.len() {
        found += usize::from(body[at + 2..at + 4] == kind.to_le_bytes());
        at += usize::from(u16::from_le_bytes([body[at], body[at + 1]])).next_multiple_of(4);
    }
    found
}

/// iproute2 announces a bitmap in its requests and sends none.
#[test]
fn the_replay_bitmap_may_be_absent() {
    let file = file("1-manual/k6.1/v4-transport-gcm256-esn-w4096/nl-A.pcap");
    let request = file.messages().into_iter().find(|message| message.header.kind == 0x10).unwrap();
    assert!(request.header.is_request());
    let Body::Sa(sa) = request.body else { panic!("{:?}", request.body) };
    assert_eq!((sa.replay_window, sa.esn), (4096, true));
}

/// With two subscribers nlmon has every EXPIRE twice.
#[test]
fn copies_count_once() {
    let file = file("3-strongswan/k6.1/transport-gcm128-esn-trap-packet-rekey/nl-A.pcap");
    let all =
        file.messages().iter().filter(|message| matches!(message.body, Body::Expire(_))).count()
            as u64;
    let run = follow(&file, options(&file, false));
    assert_eq!(run.follower.events().expire * 2, all);
}

/// The window is in the attribute, of whatever size; the body's byte is 0 then.
#[test]
fn odd_windows_and_none() {
    for (name, window) in [
        ("2-esn-wrap/k6.1/odd-w100-replayed-v4-transport-gcm128", 100),
        ("2-esn-wrap/k6.1/odd-w96-hi0-v4-transport-gcm128", 96),
        ("2-esn-wrap/k6.1/noesn-overflow32-v4-transport-gcm128-w32", 32),
        ("1-manual/k6.1/v4-transport-gcm256-esn-w4096", 4096),
    ] {
        let file = file(&format!("{name}/nl-A.pcap"));
        let found = file.messages().into_iter().any(|message| match message.body {
            Body::Sa(sa) => !message.header.is_request() && sa.replay_window == window,
            _ => false,
        });
        assert!(found, "{name}");
    }
    // Linux 6.12 allows outbound SAs no window at all.
    let file = file("3-strongswan/k6.12/tunnel-gcm256-esn-time-rekey/nl-A.pcap");
    let windows: Vec<_> = file
        .messages()
        .into_iter()
        .filter_map(|message| match message.body {
            Body::Sa(sa) if sa.direction == Some(Direction::Out) => Some(sa.replay_window),
            _ => None,
        })
        .collect();
    assert!(!windows.is_empty() && windows.iter().all(|window| *window == 0));
}

/// The upper half of the number moves with a NEWAE, and so it does through 2^32.
#[test]
fn numbers_cross_32_bits() {
    let file = file("2-esn-wrap/k6.12/wrap32-hi0-v4-transport-gcm128-w64/nl-A.pcap");
    let run = follow(&file, options(&file, false));
    let highest = run.sink.log.iter().filter_map(|call| match call {
        Call::Advance(_, out, inn) => Some(*out.max(inn)),
        _ => None,
    });
    assert_eq!(highest.max().unwrap() >> 32, 1);
}

/// A number is told only when it has changed.
#[test]
fn equal_numbers_are_not_told() {
    // The recorder asserts it; here it is made sure that something was told at all.
    let file = file("2-esn-wrap/k6.1/flood-v4-tunnel-gcm256-w256/nl-A.pcap");
    let run = follow(&file, options(&file, false));
    assert!(run.sink.log.iter().any(|call| matches!(call, Call::Advance(..))));
}

/// An UPDSA moves the ports of a NAT traversal, the one thing that it does to a live SA; MAPPING
/// does not touch it.
#[test]
fn updsa_moves_the_ports() {
    let side_a = file("6-other-algs/k6.1/natt-espinudp-v4/nl-A.pcap");
    let run = follow(&side_a, options(&side_a, false));
    let moved: Vec<_> = run
        .sink
        .log
        .iter()
        .filter_map(|call| match call {
            Call::Encap(_, encap) => Some((encap.kind, encap.sport, encap.dport)),
            _ => None,
        })
        .collect();
    assert_eq!(moved, [(2, 4501, 4500)]);

    let side_b = file("6-other-algs/k6.1/natt-espinudp-v4/nl-B.pcap");
    let mappings: Vec<_> = side_b
        .messages()
        .into_iter()
        .filter_map(|message| match message.body {
            Body::Mapping(mapping) => Some((mapping.old.1, mapping.new.1)),
            _ => None,
        })
        .collect();
    assert_eq!(mappings, [(4500, 4501); 4]);
    let run = follow(&side_b, options(&side_b, false));
    assert!(!run.sink.log.iter().any(|call| matches!(call, Call::Encap(..))));
}

/// GETSA and ALLOCSPI are answered by what looks like events.
#[test]
fn answers_are_no_events() {
    let file = file("3-strongswan/k6.1/mobike-v4-to-v4-esn/nl-A.pcap");
    let run = follow(&file, options(&file, false));
    // Set-up: one NEWSA; the move: two. The UPDSA is the inbound SA's set-up.
    let EventCounts { newsa, updsa, delsa, .. } = run.follower.events();
    assert_eq!((newsa, updsa, delsa), (3, 1, 4));
}

/// What a device cannot take is listed with its reason, once, and stays listed.
#[test]
fn what_cannot_be_taken_is_listed() {
    let file = file("6-other-algs/k6.1/ah-esp-auth-v4/nl-A.pcap");
    let mut run = Run {
        follower: Follower::new(options(&file, true)),
        sink: Recorder { picky: true, ..Recorder::default() },
    };
    file.messages().iter().for_each(|message| run.apply(message));
    let skipped = run.follower.skipped();
    let protos: std::collections::BTreeSet<_> =
        skipped.iter().map(|skipped| skipped.proto.as_ref()).collect();
    assert!(protos.is_superset(&["ah", "comp", "esp"].into()), "{protos:?}");
    assert!(skipped.iter().any(|skipped| skipped.reason.contains("cbc(aes)+")));
    assert!(skipped.is_sorted());
    let mut names: Vec<_> =
        skipped.iter().map(|skipped| (skipped.spi, &skipped.proto, skipped.dst)).collect();
    names.dedup();
    assert_eq!(names.len(), skipped.len());
}

trait Spi {
    fn spi(&self) -> u32;
}

impl Spi for Call {
    fn spi(&self) -> u32 {
        match *self {
            Call::Present(spi, _)
            | Call::Advance(spi, ..)
            | Call::Encap(spi, _)
            | Call::Remove(spi, _) => spi,
        }
    }
}
