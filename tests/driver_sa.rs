// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One SA at a time: every call, both paths, and what the shadow knows afterwards.

#[macro_use]
mod support;

use support::*;

const PATHS: [PathPolicy; 2] = [PathPolicy::Ring, PathPolicy::Direct];

/// Runs `f` on a fresh small device, once by ring and once by the direct path.
fn both_paths<B: Backend>(f: impl Fn(&Manager<B>)) {
    for policy in PATHS {
        let (manager, _) = open::<B>(small(), config());
        manager.set_path_policy(policy);
        f(&manager);
        assert_eq!(manager.diff().unwrap(), [], "{policy:?}");
        let stats = manager.stats();
        assert_eq!((stats.in_flight, stats.pending), (0, 0), "{policy:?}");
    }
}

#[track_caller]
fn add<T: Transport>(manager: &SaManager<T>, spec: &SaSpec) -> SaHandle {
    let (sa, ticket) = manager.add(spec).unwrap();
    done(&ticket);
    sa
}

fn an_sa_lives_from_add_to_delete<B: Backend>() {
    both_paths::<B>(|manager| {
        let room = manager.room();
        let (sa, ticket) = manager.add(&esp(1)).unwrap();
        assert_eq!(manager.state(sa), Some(State::Adding));
        assert_eq!(manager.update(sa, hi(1, 1)).err(), Some(SubmitError::NotFound));
        assert_eq!(manager.delete(sa).err(), Some(SubmitError::NotFound));
        done(&ticket);
        assert_eq!(manager.state(sa), Some(State::Live));
        assert_eq!(top_of(manager, sa), (0, 1, true));
        assert!(manager.has_keys(sa, &keys(1)) && !manager.has_keys(sa, &keys(2)));
        let rows = manager.read_table().unwrap();
        assert_eq!((rows.len(), rows[0].handle, rows[0].spi), (1, sa, esp(1).spi));
        let last = done(&manager.delete(sa).unwrap());
        assert_eq!(last, 1, "DELETE answers the final top");
        assert_eq!(manager.read_table().unwrap(), []);
        assert!(!manager.has_keys(sa, &keys(1)));
        for refused in
            [manager.update(sa, hi(1, 1)).err(), manager.query(sa).err(), manager.delete(sa).err()]
        {
            assert_eq!(refused, Some(SubmitError::NotFound));
        }
        assert_eq!(manager.room(), room);
        assert_eq!(manager.stats().keys, 0);
    });
}

fn every_mode_moves_device_and_shadow_alike<B: Backend>() {
    // From `top` 0:8000_0000, known.
    let cases = [
        (Change::hi(1), (1, 0, true)),
        (Change::hi(0), (0, 0x8000_0000, true)),
        (Change::hi(2), (2, 0, false)),
        (Change::top(Top::new(7, 9)), (7, 9, true)),
        (Change::resync(5), (5, 0, false)),
        (Change::hi(1).expecting(0), (1, 0, true)),
        (Change::top(Top::new(3, 4)).expecting(0), (3, 4, true)),
        (Change::resync(4).expecting(0), (4, 0, false)),
        (Change::hi(1).forward_only(), (1, 0, true)),
        (Change::top(Top::new(0, 0x8000_0000)).forward_only(), (0, 0x8000_0000, true)),
        (Change::hi(u32::MAX), (u32::MAX, 0, false)),
    ];
    both_paths::<B>(|manager| {
        for (n, (change, after)) in (0..).zip(cases) {
            let spec = SaSpec { top: Top::new(0, 0x8000_0000), ..esp(n) };
            let sa = add(manager, &spec);
            let result = done(&manager.update(sa, update(&spec, change)).unwrap());
            assert_eq!(Top(result), Top::new(after.0, after.1), "{change:?}");
            assert_eq!(top_of(manager, sa), after, "{change:?}");
            assert_eq!(manager.diff().unwrap(), [], "{change:?}");
        }
    });
}

fn a_refused_update_says_what_is_held_and_changes_nothing<B: Backend>() {
    both_paths::<B>(|manager| {
        let spec = SaSpec { top: Top::new(5, 0x10), ..esp(1) };
        let sa = add(manager, &spec);
        for (change, status) in [
            (Change::hi(6).expecting(4), Status::Conflict),
            (Change::hi(4).forward_only(), Status::Backward),
            (Change::resync(4).forward_only(), Status::Backward),
            (Change::top(Top::new(5, 0xF)).forward_only(), Status::Backward),
        ] {
            let told = outcome(&manager.update(sa, update(&spec, change)).unwrap());
            assert_eq!((told.status, Top(told.result)), (status, spec.top), "{change:?}");
            assert!(!told.changed);
            assert_eq!(top_of(manager, sa), (5, 0x10, true));
        }
    });
}

fn a_refusal_of_the_device_teaches_the_shadow<B: Backend>() {
    // The device moves by packets that the driver does not see (C5-6, C5-12).
    both_paths::<B>(|manager| {
        let sa = add(manager, &SaSpec { top: Top::new(5, 0xFFFF_FFF0), ..esp(1) });
        assert_eq!(done(&manager.resolve(sa, 3, false).unwrap()), Top::new(6, 3).0);
        assert_eq!(top_of(manager, sa), (5, 0xFFFF_FFF0, true), "looking moves nothing");
        assert_eq!(done(&manager.resolve(sa, 3, true).unwrap()), Top::new(6, 3).0);
        assert_eq!(top_of(manager, sa), (6, 3, true));
        let told =
            outcome(&manager.update(sa, update(&esp(1), Change::hi(6).expecting(5))).unwrap());
        assert_eq!((told.status, Top(told.result)), (Status::Conflict, Top::new(6, 3)));
        assert_eq!(done(&manager.query(sa).unwrap()), Top::new(6, 3).0);
        assert_eq!(top_of(manager, sa), (6, 3, true));
    });
}

fn requests_that_do_not_fit_the_sa_never_reach_the_device<B: Backend>() {
    both_paths::<B>(|manager| {
        let sa = add(manager, &esp(1));
        let plain = SaSpec { esn: false, ..esp(2) };
        let short = add(manager, &plain);
        let wrong_protocol = SaUpdate { protocol: Protocol::Ah, ..hi(1, 1) };
        let stale = SaHandle::from_bits(sa.bits() + (1 << 32));
        let outside = SaHandle::from_bits(1 << 32 | 0xFF_FFFF);
        for (refused, why) in [
            (manager.update(sa, wrong_protocol).err(), SubmitError::WrongProtocol(Protocol::Ah)),
            (manager.update(sa, hi(2, 1)).err(), SubmitError::WrongSpi(esp(2).spi)),
            (manager.update(short, hi(2, 0)).err(), SubmitError::NotEsn),
            (manager.update(short, update(&plain, Change::resync(0))).err(), SubmitError::NotEsn),
            (
                manager.update(short, update(&plain, Change::top(Top::new(1, 0)))).err(),
                SubmitError::NotEsn,
            ),
            (
                manager
                    .update(short, update(&plain, Change::top(Top::new(0, 9)).expecting(0)))
                    .err(),
                SubmitError::NotEsn,
            ),
            (manager.update(stale, hi(1, 1)).err(), SubmitError::NotFound),
            (manager.update(outside, hi(1, 1)).err(), SubmitError::NotFound),
            (manager.delete(SaHandle::from_bits(0)).err(), SubmitError::NotFound),
        ] {
            assert_eq!(refused, Some(why));
        }
        // The one update that a number without extension takes.
        done(&manager.update(short, update(&plain, Change::top(Top::new(0, 9)))).unwrap());
        assert_eq!(top_of(manager, short), (0, 9, true));
    });
}

fn a_full_table_refuses_and_a_deletion_makes_room<B: Backend>() {
    both_paths::<B>(|manager| {
        let room = manager.room();
        let all: Vec<_> = (0..room as u32).map(|n| add(manager, &esp(n))).collect();
        assert_eq!(manager.add(&esp(999)).err(), Some(SubmitError::TableFull));
        assert_eq!(manager.stats().keys, room);
        done(&manager.delete(all[7]).unwrap());
        let again = add(manager, &esp(999));
        assert_eq!(again.row(), all[7].row());
        assert_eq!(again.bits() >> 32, (all[7].bits() >> 32) + 1, "generations grow");
        assert_eq!(manager.update(all[7], hi(7, 1)).err(), Some(SubmitError::NotFound));
    });
}

fn slots_are_used_again_oldest_free_first<B: Backend>() {
    both_paths::<B>(|manager| {
        let all: Vec<_> = (0..manager.room() as u32).map(|n| add(manager, &esp(n))).collect();
        let order = [9, 3, 50, 4];
        for k in order {
            done(&manager.delete(all[k]).unwrap());
        }
        for k in order {
            assert_eq!(add(manager, &esp(100)).row(), all[k].row());
        }
    });
}

fn nothing_leaks_in_many_lives<B: Backend>() {
    // 100,000 lives of SAs and bundles in a table of 64.
    let (manager, _) = open::<B>(small(), config());
    let room = manager.room();
    for round in 0..rounds(1000) {
        manager.set_path_policy(PATHS[round as usize % 2]);
        let mut live = Vec::new();
        for n in 0..50 {
            live.push(add(&manager, &esp(n)));
        }
        for sa in live.drain(..) {
            done(&manager.delete(sa).unwrap());
        }
        for n in 0..25 {
            let (sa, ticket) = manager.add_bundle(&esp(n), &ah(n)).unwrap();
            done(&ticket);
            live.push(sa);
        }
        for sa in live {
            done(&manager.delete(sa).unwrap());
        }
    }
    let stats = manager.stats();
    assert_eq!((stats.in_flight, stats.pending, stats.keys), (0, 0, 0));
    assert_eq!(manager.room(), room);
    assert_eq!(manager.diff().unwrap(), []);
}

fn generations_grow_over_failures_too<B: Backend>() {
    let (manager, link) = open::<B>(small(), Config { max_sas: Some(1), ..config() });
    let mut last = 0;
    for round in 0..20 {
        if round % 2 == 0 {
            misbehave!(B, link, |faults| faults.verify_add = Trigger::next());
        }
        let (sa, ticket) = manager.add(&esp(round)).unwrap();
        let told = outcome(&ticket);
        let generation = sa.bits() >> 32;
        assert!(generation > last, "{generation} after {last}");
        last = generation;
        if round % 2 == 0 {
            assert_eq!(told.status, Status::Verify);
            while manager.room() == 0 {
                manager.poll();
                manager.transport().relax();
            }
            assert_eq!(manager.stats().keys, 0);
        } else {
            assert_eq!(told.status, Status::Ok);
            done(&manager.delete(sa).unwrap());
        }
    }
    assert_eq!(manager.diff().unwrap(), []);
}

fn a_deletion_that_fails_succeeds_upward_and_is_tried_again<B: Backend>() {
    let (manager, link) = open::<B>(small(), Config { max_sas: Some(1), ..config() });
    let sa = add(&manager, &esp(1));
    misbehave!(B, link, |faults| faults.verify_delete = Trigger::next());
    done(&manager.delete(sa).unwrap());
    assert_eq!(manager.add(&esp(2)).err(), Some(SubmitError::TableFull), "it is dead");
    while manager.room() == 0 {
        manager.poll();
        manager.transport().relax();
    }
    assert_eq!(manager.stats().delete_retries, 1);
    add(&manager, &esp(2));
    assert_eq!(manager.diff().unwrap(), []);
}

on_every_backend!(
    an_sa_lives_from_add_to_delete,
    every_mode_moves_device_and_shadow_alike,
    a_refused_update_says_what_is_held_and_changes_nothing,
    a_refusal_of_the_device_teaches_the_shadow,
    requests_that_do_not_fit_the_sa_never_reach_the_device,
    a_full_table_refuses_and_a_deletion_makes_room,
    slots_are_used_again_oldest_free_first,
    nothing_leaks_in_many_lives,
    generations_grow_over_failures_too,
    a_deletion_that_fails_succeeds_upward_and_is_tried_again,
);
