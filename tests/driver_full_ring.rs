// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The smallest rings, all indexes wrapping (C5-10, R6 to R9).

#[macro_use]
mod support;

use support::*;

/// Rings of `1 << log2`, whose indexes wrap soon.
fn wrapping(log2: u32) -> Config {
    let unit = 2u32 << log2;
    Config { sq_log2: log2, cq_log2: log2, start: 0u32.wrapping_sub(4 * unit), ..config() }
}

/// Tries again as long as there is no room.
fn patiently<T: Transport, R>(
    manager: &SaManager<T>,
    submit: impl Fn() -> Result<R, SubmitError>,
) -> R {
    for _ in 0..1_000_000 {
        match submit() {
            Err(SubmitError::Full) => manager.transport().relax(),
            Ok(submitted) => return submitted,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the ring does not move any more");
}

fn a_full_ring_refuses_and_loses_nothing<B: Backend>() {
    for log2 in [1, 2, 5] {
        let (manager, link) = open::<B>(small(), wrapping(log2));
        manager.set_path_policy(PathPolicy::Ring);
        let (sa, ticket) = manager.add(&esp(1)).unwrap();
        done(&ticket);
        drop(ticket);
        for round in 1..=rounds(200) {
            let mut tickets = Vec::new();
            misbehave!(B, link, |faults| faults.stuck = Stuck::UntilReset);
            let refused = loop {
                match manager
                    .update(sa, update(&esp(1), Change::top(Top::new(round, tickets.len() as u32))))
                {
                    Ok(ticket) => tickets.push(ticket),
                    Err(refused) => break refused,
                }
            };
            assert_eq!((refused, tickets.len()), (SubmitError::Full, 1 << log2));
            assert_eq!(manager.add(&esp(2)).err(), Some(SubmitError::Full));
            B::misbehave(link.device(), |faults| faults.stuck = Stuck::No);
            for (n, ticket) in tickets.iter().enumerate() {
                assert_eq!(Top(done(ticket)), Top::new(round, n as u32));
            }
        }
        assert_eq!(manager.diff().unwrap(), []);
        assert_eq!(manager.room(), 63, "refused ADDs keep no slot");
    }
}

fn every_kind_of_command_goes_through_rings_of_two<B: Backend>() {
    let (manager, _) = open::<B>(small(), wrapping(1));
    for policy in [PathPolicy::Ring, PathPolicy::Direct, PathPolicy::default()] {
        manager.set_path_policy(policy);
        for n in 0..300 {
            let (sa, ticket) = patiently(&manager, || manager.add(&esp(n)));
            done(&ticket);
            // One command more or less before each ADD: its gap is a NOP every other time (R9).
            for _ in 0..n % 3 {
                done(&manager.update(sa, hi(n, n)).unwrap());
            }
            assert_eq!(
                done(&manager.query(sa).unwrap()) >> 32,
                u64::from(if n % 3 == 0 { 0 } else { n })
            );
            done(&manager.delete(sa).unwrap());
        }
    }
    assert_eq!(manager.diff().unwrap(), []);
    assert_eq!((manager.stats().pending, manager.stats().in_flight), (0, 0));
}

fn a_gap_alone_does_not_stop_the_ring<B: Backend>() {
    // An ADD that finds an odd slot and no room behind its NOP: the NOP must be told all the same.
    let (manager, _) = open::<B>(small(), wrapping(1));
    manager.set_path_policy(PathPolicy::Ring);
    let (sa, ticket) = manager.add(&esp(1)).unwrap();
    done(&ticket);
    done(&manager.query(sa).unwrap());
    done(&patiently(&manager, || manager.add(&esp(2))).1);
}

fn direct_doorbells_go_round<B: Backend>() {
    let params = Params { direct_log2: 1, stage_log2: 1, ..small() };
    let (manager, link) = open::<B>(params, config());
    manager.set_path_policy(PathPolicy::Direct);
    let all: Vec<_> = (0..4)
        .map(|n| {
            let (sa, ticket) = manager.add(&esp(n)).unwrap();
            done(&ticket);
            sa
        })
        .collect();
    for round in 1..100 {
        link.record();
        let tickets: Vec<_> =
            (0..).zip(&all).map(|(n, &sa)| manager.update(sa, hi(n, round)).unwrap()).collect();
        let staged = link.recorded().iter().filter(|e| matches!(e, Event::Staged { .. })).count();
        assert_eq!(staged, 2, "two entries and two buffers; the others go by ring (R19)");
        for ticket in &tickets {
            done(ticket);
        }
    }
    assert_eq!(manager.diff().unwrap(), []);
}

fn deletions_wait_for_room_and_are_all_carried_out<B: Backend>() {
    // Once accepted, a deletion needs no further entry that a ticket could hold.
    let (manager, _) = open::<B>(small(), wrapping(1));
    let all: Vec<_> = (0..60)
        .map(|n| {
            let (sa, ticket) = manager.add(&esp(n)).unwrap();
            done(&ticket);
            sa
        })
        .collect();
    let mut tickets = std::collections::VecDeque::new();
    for &sa in &all {
        let ticket = loop {
            match manager.delete(sa) {
                Ok(ticket) => break ticket,
                Err(SubmitError::Full) => {
                    done(&tickets.pop_front().expect("held tickets are why it is full"));
                }
                Err(other) => panic!("{other}"),
            }
        };
        tickets.push_back(ticket);
        // The newest first: the older ones are still held.
        done(tickets.back().unwrap());
    }
    drop(tickets);
    assert_eq!((manager.room(), manager.stats().pending), (64, 0));
    assert_eq!(manager.diff().unwrap(), []);
}

on_every_backend!(
    a_full_ring_refuses_and_loses_nothing,
    every_kind_of_command_goes_through_rings_of_two,
    a_gap_alone_does_not_stop_the_ring,
    direct_doorbells_go_round,
    deletions_wait_for_room_and_are_all_carried_out,
);
