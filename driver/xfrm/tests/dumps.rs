// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What dumps prove and what they do not, with messages made by hand.

mod common;

use common::build::{
    DUMP, ERROR, GETPOLICY, IN, INTR, MULTI, NEWSA, OUT, REQUEST, SaSpec, attribute, done,
    dump_request, filtered_request, flush, message,
};
use common::{Call, Run};
use esnic_xfrm::{Options, Removal};

const THIRD: SaSpec = SaSpec { spi: 0x1003, ..OUT };

fn run() -> Run {
    let locals = vec!["10.9.0.1".parse().unwrap()];
    let mut run = Run::new(Options { locals, use_dumps: true });
    run.feed(&[OUT.added(), IN.added()]);
    assert_eq!(run.spis(), [IN.spi, OUT.spi]);
    run
}

#[test]
fn a_complete_dump_removes_what_it_does_not_list() {
    for pid in [0, 77] {
        let mut run = run();
        run.feed(&[dump_request(5, pid), IN.dumped(5, 77), done(5, 77, 0)]);
        assert_eq!(run.spis(), [IN.spi]);
        assert_eq!(run.sink.log.last(), Some(&Call::Remove(OUT.spi, Removal::Missing)));
    }
}

#[test]
fn an_empty_dump_removes_everything() {
    let mut run = run();
    run.feed(&[dump_request(5, 0), done(5, 77, 0)]);
    assert_eq!(run.spis(), []);
}

#[test]
fn an_empty_filter_is_none() {
    let mut run = run();
    run.feed(&[filtered_request(5, 0, 0, 0, 0), IN.dumped(5, 77), done(5, 77, 0)]);
    assert_eq!(run.spis(), [IN.spi]);
}

#[test]
fn filtered_dumps_remove_nothing() {
    let by_proto = message(0x12, REQUEST | DUMP, 5, 0, &attribute(25, &[50]));
    for request in [
        filtered_request(5, 0, 2, 0, 0),
        filtered_request(5, 0, 0, 32, 0),
        filtered_request(5, 0, 0, 0, 24),
        by_proto,
    ] {
        let mut run = run();
        run.feed(&[request, IN.dumped(5, 77), done(5, 77, 0)]);
        assert_eq!(run.spis(), [IN.spi, OUT.spi]);
    }
}

#[test]
fn interrupted_failed_and_unasked_dumps_remove_nothing() {
    let interrupted = IN.sa(NEWSA, MULTI | INTR, 5, 77);
    let interrupted_end = message(3, MULTI | INTR, 5, 77, &[0; 4]);
    let asked = || dump_request(5, 77);
    for messages in [
        vec![asked(), interrupted, done(5, 77, 0)],
        vec![asked(), IN.dumped(5, 77), interrupted_end],
        vec![asked(), IN.dumped(5, 77), done(5, 77, -105)],
        vec![IN.dumped(5, 77), done(5, 77, 0)],
        vec![dump_request(6, 77), IN.dumped(5, 77), done(5, 77, 0)],
        vec![dump_request(5, 78), IN.dumped(5, 77), done(5, 77, 0)],
    ] {
        let mut run = run();
        run.feed(&messages);
        assert_eq!(run.spis(), [IN.spi, OUT.spi]);
    }
}

#[test]
fn interleaved_dumps_are_kept_apart() {
    let mut run = run();
    run.feed(&[
        dump_request(5, 0),
        filtered_request(6, 88, 2, 0, 0),
        IN.dumped(5, 77),
        OUT.dumped(6, 88),
        done(6, 88, 0),
    ]);
    assert_eq!(run.spis(), [IN.spi, OUT.spi]);
    run.feed(&[done(5, 77, 0)]);
    assert_eq!(run.spis(), [IN.spi]);
}

/// Two `ip` commands in one second use the same number and no port. Neither dump proves an
/// absence if one of them is filtered.
#[test]
fn dumps_that_cannot_be_told_apart_are_doubted() {
    let mut run = run();
    run.feed(&[
        dump_request(5, 0),
        filtered_request(5, 0, 10, 0, 0),
        done(5, 88, 0),
        IN.dumped(5, 77),
        done(5, 77, 0),
    ]);
    assert_eq!(run.spis(), [IN.spi, OUT.spi]);
    let policies = message(GETPOLICY, REQUEST | DUMP, 6, 0, &[]);
    run.feed(&[dump_request(6, 0), policies, done(6, 88, 0), done(6, 77, 0)]);
    assert_eq!(run.spis(), [IN.spi, OUT.spi]);
    // Equal ones need not be told apart.
    run.feed(&[dump_request(7, 0), dump_request(7, 0)]);
    run.feed(&[IN.dumped(7, 77), IN.dumped(7, 88), done(7, 77, 0), done(7, 88, 0)]);
    assert_eq!(run.spis(), [IN.spi]);
}

#[test]
fn the_end_of_a_policy_dump_is_none_of_sas() {
    let policies = message(GETPOLICY, REQUEST | DUMP, 5, 0, &[]);
    let mut run = run();
    run.feed(&[policies, done(5, 77, 0)]);
    assert_eq!(run.spis(), [IN.spi, OUT.spi]);
}

#[test]
fn a_refused_dump_has_no_end() {
    let mut run = run();
    let refusal = [(-16_i32).to_le_bytes().to_vec(), dump_request(5, 0)].concat();
    run.feed(&[dump_request(5, 0), message(ERROR, 0, 5, 77, &refusal), done(5, 77, 0)]);
    assert_eq!(run.spis(), [IN.spi, OUT.spi]);
}

/// An SA that comes while a dump runs may be missing in it.
#[test]
fn news_during_a_dump_survive_it() {
    let mut run = run();
    run.feed(&[dump_request(5, 77), IN.dumped(5, 77), THIRD.added(), done(5, 77, 0)]);
    assert_eq!(run.spis(), [IN.spi, THIRD.spi]);
}

/// An SA that goes while a dump runs may be listed in it.
#[test]
fn deleted_during_a_dump_is_deleted() {
    for end in [OUT.del(), OUT.expire(1), flush(50), flush(0), flush(255)] {
        let mut run = run();
        run.feed(&[dump_request(5, 77), end, OUT.dumped(5, 77), done(5, 77, 0)]);
        assert!(!run.spis().contains(&OUT.spi));
        // The next dump is another matter.
        run.feed(&[dump_request(6, 77), OUT.dumped(6, 77), done(6, 77, 0)]);
        assert_eq!(run.spis(), [OUT.spi]);
    }
}

/// Made anew while the dump runs: the event is the truth, the entry may be of the old one.
#[test]
fn recreated_during_a_dump_is_the_new_one() {
    let renewed = SaSpec { key: Some([7; 20]), ..OUT };
    let mut run = run();
    run.feed(&[dump_request(5, 77), OUT.del(), renewed.added()]);
    run.feed(&[OUT.dumped(5, 77), done(5, 77, 0)]);
    let (sa, _) = run.sink.table.values().next().unwrap();
    let esnic_xfrm::Algorithm::Aead(aead) = &sa.algorithm else { panic!() };
    assert_eq!(aead.key.expose(), [7; 20]);
}

/// A flush does not touch what came after it.
#[test]
fn flushed_and_made_anew_during_a_dump() {
    let mut run = run();
    run.feed(&[dump_request(5, 77), flush(0), THIRD.added(), THIRD.dumped(5, 77), done(5, 77, 0)]);
    assert_eq!(run.spis(), [THIRD.spi]);
}

#[test]
fn entries_are_the_truth_at_their_moment() {
    let ahead = SaSpec { out: 0x1_0000_0007, ..OUT };
    let mut run = run();
    run.feed(&[dump_request(5, 77), ahead.dumped(5, 77), IN.dumped(5, 77), done(5, 77, 0)]);
    let (sa, _) = run.sink.table.values().find(|(sa, _)| sa.id.spi == OUT.spi).unwrap();
    assert_eq!(sa.replay.out, 0x1_0000_0007);
}

#[test]
fn without_dumps_nothing_of_them_is_seen() {
    let locals = vec!["10.9.0.1".parse().unwrap()];
    let mut run = Run::new(Options { locals, use_dumps: false });
    run.feed(&[OUT.added(), dump_request(5, 77), IN.dumped(5, 77), done(5, 77, 0)]);
    assert_eq!(run.spis(), [OUT.spi]);
    assert_eq!(run.follower.events().newsa, 1);
}

/// Requests that are never answered and dumps that never end do not pile up, nor confuse others.
#[test]
fn endless_dumps_are_forgotten() {
    let mut run = run();
    for seq in 0..1000 {
        run.feed(&[dump_request(seq, 0), OUT.dumped(seq, 5000 + seq)]);
    }
    run.feed(&[dump_request(2000, 0), IN.dumped(2000, 77), done(2000, 77, 0)]);
    assert_eq!(run.spis(), [IN.spi]);
}

/// A resync is over with a complete dump only.
#[test]
fn resync_ends_with_a_complete_dump() {
    let mut run = run();
    run.feed(&[message(common::build::MIGRATE, 0, 3, 0, &[0; 64])]);
    assert!(run.follower.resync_needed().unwrap().contains("MIGRATE"));
    run.feed(&[filtered_request(5, 77, 2, 0, 0), OUT.dumped(5, 77), done(5, 77, 0)]);
    assert!(run.follower.resync_needed().is_some());
    run.feed(&[dump_request(6, 77), OUT.dumped(6, 77), done(6, 77, 0)]);
    assert_eq!(run.follower.resync_needed(), None);
    assert_eq!(run.spis(), [OUT.spi]);
    // Losses during the dump leave it in doubt.
    run.feed(&[dump_request(7, 77), message(4, 0, 0, 0, &[]), done(7, 77, 0)]);
    assert!(run.follower.resync_needed().is_some());
    assert_eq!(run.spis(), [OUT.spi]);
}
