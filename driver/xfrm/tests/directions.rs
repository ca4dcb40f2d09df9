// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where an SA's direction comes from, with messages made by hand.

mod common;

use std::net::IpAddr;

use common::build::{IN, MULTI, OUT, REQUEST, SaSpec, TemplateSpec, flush, parse, policy};
use common::{Call, Run};
use esnic_xfrm::{Direction, Follower, Options};

fn locals(addresses: &[&str]) -> Options {
    let locals = addresses.iter().map(|address| address.parse::<IpAddr>().unwrap()).collect();
    Options { locals, use_dumps: true }
}

const TUNNEL: SaSpec = SaSpec { mode: 1, ..OUT };
const OUTSIDE: TemplateSpec = ("10.9.0.1", "10.9.0.2", 50, 1, 1);
const INNER: [(&str, u8); 2] = [("10.1.0.0", 16), ("10.2.0.0", 16)];

fn directions(messages: &[Vec<u8>], options: Options) -> Vec<Direction> {
    let mut run = Run::new(options);
    run.feed(messages);
    run.sink.table.values().map(|(_, direction)| *direction).collect()
}

#[test]
fn templates_tell_directions() {
    let forward: TemplateSpec = ("10.9.0.2", "10.9.0.1", 50, 1, 2);
    let inbound = SaSpec { mode: 1, ..IN };
    for (sa, direction, template, expected) in [
        (TUNNEL, 1, OUTSIDE, Direction::Out),
        (TUNNEL, 0, OUTSIDE, Direction::In),
        (inbound.clone(), 0, forward, Direction::In),
        (inbound.clone(), 2, forward, Direction::In),
        // Another SA's template still tells which address is local.
        (SaSpec { reqid: 7, ..TUNNEL }, 1, OUTSIDE, Direction::Out),
        (inbound, 1, OUTSIDE, Direction::In),
    ] {
        let messages = [policy(direction, INNER, &[template], 0), sa.added()];
        assert_eq!(directions(&messages, Options::default()), [expected], "{sa:?} {template:?}");
    }
}

/// In transport mode a template without addresses means those of the packets.
#[test]
fn selectors_stand_in_for_open_templates() {
    let open: TemplateSpec = ("0.0.0.0", "0.0.0.0", 50, 0, 0);
    let hosts = [("10.9.0.1", 32), ("10.9.0.2", 32)];
    let nets = [("10.9.0.0", 31), ("10.9.0.2", 31)];
    for selector in [hosts, nets] {
        let messages = [policy(1, selector, &[open], 0), OUT.added()];
        assert_eq!(directions(&messages, Options::default()), [Direction::Out]);
    }
    // Whole networks on both sides tell nothing.
    let all = [("0.0.0.0", 0), ("0.0.0.0", 0)];
    let messages = [policy(1, all, &[open], 0), policy(0, all, &[open], 0), OUT.added()];
    assert_eq!(directions(&messages, Options::default()), []);
}

#[test]
fn contradicting_policies_settle_nothing() {
    let messages =
        [policy(1, INNER, &[OUTSIDE], 0), policy(0, INNER, &[OUTSIDE], 0), TUNNEL.added()];
    assert_eq!(directions(&messages, Options::default()), []);
    // What the user says is no guess.
    assert_eq!(directions(&messages, locals(&["10.9.0.1"])), [Direction::Out]);
}

#[test]
fn given_addresses_settle_only_what_is_clear() {
    for (given, expected) in [
        (vec!["10.9.0.1"], vec![Direction::Out]),
        (vec!["10.9.0.2"], vec![Direction::In]),
        (vec!["10.9.0.1", "10.9.0.2"], vec![]),
        (vec!["10.9.0.3"], vec![]),
    ] {
        assert_eq!(directions(&[OUT.added()], locals(&given)), expected);
    }
}

#[test]
fn the_sa_knows_best() {
    let told = SaSpec { dir: Some(1), mode: 1, ..OUT };
    let messages = [policy(1, INNER, &[OUTSIDE], 0), told.added()];
    assert_eq!(directions(&messages, locals(&["10.9.0.1"])), [Direction::In]);
}

/// A held SA keeps its numbers current, and is presented with them when its direction is clear.
#[test]
fn held_sas_are_presented_later() {
    let mut run = Run::new(Options::default());
    run.feed(&[TUNNEL.added(), SaSpec { out: 7, ..TUNNEL }.ae()]);
    assert_eq!(run.sink.log, []);
    let skipped = run.follower.skipped();
    assert_eq!(
        skipped[0].reason,
        "direction unknown: no XFRMA_SA_DIR, no matching policy, give --local ADDR"
    );
    run.feed(&[policy(1, INNER, &[OUTSIDE], 0)]);
    assert_eq!(run.sink.log, [Call::Present(TUNNEL.spi, Direction::Out)]);
    assert_eq!(run.sink.table.values().next().unwrap().0.replay.out, 7);
    assert_eq!(run.follower.skipped(), []);
}

#[test]
fn a_newae_can_tell_the_direction_of_a_held_sa() {
    let mut run = Run::new(Options::default());
    run.feed(&[OUT.added(), SaSpec { dir: Some(2), out: 3, ..OUT }.ae()]);
    assert_eq!(run.sink.log, [Call::Present(OUT.spi, Direction::Out)]);
}

#[test]
fn held_sas_that_go_are_forgotten() {
    for end in [OUT.del(), OUT.expire(1), flush(50)] {
        let mut run = Run::new(Options::default());
        run.feed(&[OUT.added(), end, policy(1, INNER, &[OUTSIDE], 0)]);
        assert_eq!(run.sink.log, []);
        assert_eq!(run.follower.skipped(), []);
        assert_eq!(run.follower.known().count(), 0);
    }
}

/// Policies are installed after the SAs and deleted before them; both count from the beginning.
#[test]
fn policies_may_be_learnt_ahead() {
    let mut follower = Follower::new(Options { use_dumps: false, ..Options::default() });
    follower.learn_policies(&parse(&policy(1, INNER, &[OUTSIDE], REQUEST)));
    follower.learn_policies(&parse(&policy(1, INNER, &[OUTSIDE], MULTI)));
    let mut run = Run { follower, sink: Default::default() };
    run.feed(&[TUNNEL.added()]);
    assert_eq!(run.sink.log, [], "neither requests nor unseen dumps count");
    run.follower.learn_policies(&parse(&policy(1, INNER, &[OUTSIDE], 0)));
    run.feed(&[TUNNEL.ae()]);
    assert_eq!(run.sink.log, [Call::Present(TUNNEL.spi, Direction::Out)]);
}
