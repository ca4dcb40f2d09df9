// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The follower's rules that no capture shows, with messages made by hand.

mod common;

use std::net::IpAddr;

use common::build::{GETSA, IN, NEWSA, OUT, REQUEST, SaSpec, dump_request, flush, message, parse};
use common::{Call, Run};
use esnic_xfrm::{
    Direction, Encap, Follower, Mark, Options, Removal, Replay, Sa, SaId, Sink, SinkError, Verdict,
};

fn locals(addresses: &[&str]) -> Options {
    let locals = addresses.iter().map(|address| address.parse::<IpAddr>().unwrap()).collect();
    Options { locals, use_dumps: true }
}

fn run() -> Run {
    Run::new(locals(&["10.9.0.1"]))
}

/// An answer with an SA goes to a port; an event of a request without one looks alike otherwise.
#[test]
fn an_event_is_not_taken_for_an_answer() {
    let mut run = run();
    run.feed(&[message(GETSA, REQUEST, 1, 0, &OUT.id()), OUT.added()]);
    assert_eq!(run.follower.events().newsa, 1);
    run.feed(&[OUT.sa(NEWSA, 0, 1, 99), IN.sa(NEWSA, 0, 1, 99)]);
    assert_eq!(run.follower.events().newsa, 2, "one is the answer, the other is another SA");
}

#[test]
fn marks_are_part_of_the_name() {
    let marked = SaSpec { mark: Some((0x10, 0xff)), ..OUT };
    let other = SaSpec { mark: Some((0x20, 0xff)), ..OUT };
    let mut run = run();
    run.feed(&[OUT.added(), marked.added(), other.added()]);
    assert_eq!(run.sink.table.len(), 3);
    run.feed(&[SaSpec { out: 9, ..marked.clone() }.ae(), other.del()]);
    assert_eq!(run.sink.table.len(), 2);
    let numbers: Vec<_> =
        run.sink.table.values().map(|(sa, _)| (sa.id.mark, sa.replay.out)).collect();
    let mark = Mark { v: 0x10, m: 0xff };
    assert_eq!(numbers, [(Mark::default(), 0), (mark, 9)]);
    run.feed(&[marked.expire(1)]);
    assert_eq!(run.sink.table.len(), 1);
}

#[test]
fn flushes_match_by_protocol() {
    let odd = SaSpec { spi: 5, proto: 43, ..OUT };
    let ah = SaSpec { spi: 6, proto: 51, ..OUT };
    for (proto, left) in [(0, vec![]), (50, vec![5, 6]), (51, vec![5, OUT.spi]), (255, vec![5])] {
        let mut run = run();
        run.feed(&[OUT.added(), odd.added(), ah.added(), flush(proto)]);
        assert_eq!(run.spis(), left, "{proto}");
    }
}

#[test]
fn requests_change_nothing() {
    let mut run = run();
    run.feed(&[OUT.sa(0x10, REQUEST | 4, 1, 0), message(0x1c, REQUEST, 1, 0, &[0; 4])]);
    run.feed(&[OUT.added(), message(0x1c, REQUEST | 4, 1, 0, &[0; 4])]);
    assert_eq!(run.spis(), [OUT.spi]);
    assert_eq!(run.follower.events().flush, 0);
    // The kernel refuses what it cannot read, and so nothing happens.
    run.feed(&[message(0x10, REQUEST, 1, 0, &[1, 2, 3]), message(0x11, REQUEST, 1, 0, &[])]);
}

#[test]
fn numbers_may_go_back() {
    let mut run = run();
    run.feed(&[SaSpec { out: 1 << 33, ..OUT }.added(), SaSpec { out: 5, ..OUT }.ae()]);
    assert_eq!(run.sink.log.last(), Some(&Call::Advance(OUT.spi, 5, 0)));
}

#[test]
fn the_short_form_does_not_speak_for_esn() {
    let mut run = run();
    run.feed(&[SaSpec { out: 1 << 33, ..OUT }.added()]);
    run.feed(&[SaSpec { out: 5, esn: false, ..OUT }.ae()]);
    assert_eq!(run.sink.table.values().next().unwrap().0.replay.out, 1 << 33);
}

#[test]
fn strangers_are_harmless_and_counted() {
    let mut run = run();
    run.feed(&[OUT.ae(), OUT.del(), OUT.expire(0), OUT.expire(1)]);
    assert_eq!(run.sink.log, []);
    assert_eq!(run.follower.unmatched(), 4);
    let events = run.follower.events();
    assert_eq!((events.newae, events.delsa, events.expire), (1, 1, 2));
}

/// Added, deleted, and added again within a second, by commands that number by the second.
#[test]
fn equal_events_after_something_else_are_no_copies() {
    let mut run = run();
    run.feed(&[OUT.added(), OUT.added(), OUT.del(), OUT.del(), OUT.added()]);
    assert_eq!(run.spis(), [OUT.spi]);
    assert_eq!((run.follower.events().newsa, run.follower.events().delsa), (2, 1));
    run.feed(&[flush(0), OUT.added()]);
    assert_eq!(run.follower.events().newsa, 3);
    assert_eq!(run.spis(), [OUT.spi]);
}

#[test]
fn copies_may_have_others_between_them() {
    let mut run = run();
    run.feed(&[OUT.added(), IN.added(), OUT.expire(0), IN.expire(0), OUT.expire(0), IN.expire(0)]);
    assert_eq!(run.follower.events().expire, 2);
}

#[test]
fn larval_sas_are_listed_until_they_are_more() {
    let larval = SaSpec { key: None, esn: false, ..IN };
    let mut run = run();
    run.feed(&[message(0x16, REQUEST, 1, 0, &[larval.info(), vec![0; 8]].concat())]);
    run.feed(&[larval.sa(0x10, 0, 1, 99)]);
    assert_eq!(run.follower.skipped()[0].reason, "larval: no keys yet");
    assert_eq!(run.follower.events().newsa, 0);
    run.feed(&[IN.upd()]);
    assert_eq!(run.follower.skipped(), []);
    assert_eq!(run.sink.log, [Call::Present(IN.spi, Direction::In)]);
}

/// An ALLOCSPI gives its SPI to the larval SA of an ACQUIRE, which thereby loses SPI 0.
#[test]
fn an_acquired_sa_gets_its_spi() {
    let acquired = SaSpec { key: None, spi: 0, ..OUT };
    let allocated = SaSpec { spi: 0x777, ..acquired.clone() };
    let mut run = run();
    run.feed(&[dump_request(1, 5), acquired.dumped(1, 5), allocated.sa(0x10, 0, 2, 5)]);
    let listed: Vec<_> = run.follower.skipped().iter().map(|skipped| skipped.spi).collect();
    assert_eq!(listed, [0x777]);
}

#[test]
fn encapsulation_changes_between_equal_kinds_only() {
    let natted = SaSpec { encap: Some((4500, 4500)), ..OUT };
    let mut run = run();
    run.feed(&[natted.added(), SaSpec { encap: Some((4501, 4500)), ..OUT }.upd()]);
    let encap = Encap { kind: 2, sport: 4501, dport: 4500 };
    assert_eq!(run.sink.log.last(), Some(&Call::Encap(OUT.spi, encap)));
    let calls = run.sink.log.len();
    run.feed(&[OUT.upd(), IN.added(), SaSpec { encap: Some((1, 2)), ..IN }.upd()]);
    assert_eq!(run.sink.log.len(), calls + 1);
}

#[test]
fn the_follower_keeps_no_keys_of_settled_sas() {
    let mut run = run();
    run.feed(&[OUT.added()]);
    let known = run.follower.known().next().unwrap();
    let esnic_xfrm::Algorithm::Aead(aead) = &known.algorithm else { panic!() };
    assert!(aead.key.is_empty());
    assert_eq!(aead.icv_bits, 128);
}

/// A sink that refuses or fails after it has taken an SA.
struct Moody(Vec<&'static str>);

impl Sink for Moody {
    fn present(&mut self, sa: &Sa, _: Direction) -> Result<Verdict, SinkError> {
        self.0.push("present");
        match sa.reqid {
            1 => Ok(Verdict::Taken),
            2 => Ok(Verdict::Skipped("no".into())),
            _ => Err("broken".into()),
        }
    }

    fn advance(&mut self, _: &SaId, _: Replay) -> Result<(), SinkError> {
        self.0.push("advance");
        Ok(())
    }

    fn encap(&mut self, _: &SaId, _: Encap) -> Result<(), SinkError> {
        self.0.push("encap");
        Ok(())
    }

    fn remove(&mut self, _: &SaId, why: Removal) -> Result<(), SinkError> {
        self.0.push(if why == Removal::Replaced { "replaced" } else { "removed" });
        Ok(())
    }
}

#[test]
fn a_refused_replacement_is_removed_and_listed_for_good() {
    let mut follower = Follower::new(locals(&["10.9.0.1"]));
    let mut sink = Moody(Vec::new());
    let refused = SaSpec { reqid: 2, ..OUT };
    for data in
        [OUT.added(), refused.added(), SaSpec { out: 4, ..refused.clone() }.ae(), refused.del()]
    {
        follower.apply(&parse(&data), &mut sink).unwrap();
    }
    assert_eq!(sink.0, ["present", "present", "replaced"]);
    assert_eq!(follower.skipped().len(), 1);
    assert_eq!(follower.skipped()[0].reason, "no");
    follower.apply(&parse(&OUT.added()), &mut sink).unwrap();
    assert_eq!(follower.skipped(), [], "it is taken now");
}

#[test]
fn a_failing_sink_asks_for_a_resync() {
    let mut follower = Follower::new(locals(&["10.9.0.1"]));
    let broken = SaSpec { reqid: 3, ..OUT };
    let error = follower.apply(&parse(&broken.added()), &mut Moody(Vec::new())).unwrap_err();
    assert_eq!(error.to_string(), "broken");
    assert!(follower.resync_needed().is_some());
}
