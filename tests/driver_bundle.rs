// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bundles: an ESP and an AH SA behind one handle (§11).

#[macro_use]
mod support;

use support::*;

/// Bundles of 64 rows, with rings as small as they can be, or not.
fn rings() -> [Config; 2] {
    let tiny = Config { sq_log2: 1, cq_log2: 1, ..config() };
    [config(), tiny]
}

#[track_caller]
fn bundle<T: Transport>(manager: &SaManager<T>, n: u32) -> SaHandle {
    let (sa, ticket) = manager.add_bundle(&esp(n), &ah(n)).unwrap();
    done(&ticket);
    sa
}

/// Lets the driver do what it owes the device, after which it has so much room.
#[track_caller]
fn calm<T: Transport>(manager: &SaManager<T>, room: usize) {
    let is_done = || manager.in_flight() == 0 && manager.room() == room;
    work_until(manager, "all rows are given back", is_done);
}

fn a_bundle_is_two_rows_behind_one_handle<B: Backend>() {
    for config in rings() {
        let (manager, _) = open::<B>(small(), config);
        let room = manager.room();
        assert_eq!(manager.bundle_capacity(), room / 2);
        let sa = bundle(&manager, 1);
        let rows = manager.read_table().unwrap();
        let [first, second] = rows.as_slice() else {
            panic!("{} rows", rows.len());
        };
        assert_eq!((first.handle, first.protocol), (sa, Protocol::Esp));
        assert_eq!(second.protocol, Protocol::Ah);
        assert_eq!(first.peer, Some(second.handle.row()));
        assert_eq!(second.peer, Some(sa.row()));
        // One element moves, the other does not.
        let higher = update(&ah(1), Change::top(Top::new(3, 3)));
        done(&manager.update(sa, higher).unwrap());
        assert_eq!(top_of(&manager, sa), (0, 1, true));
        assert_eq!(top_of(&manager, second.handle), (3, 3, true));
        assert_eq!(manager.diff().unwrap(), []);
        done(&manager.delete(sa).unwrap());
        assert_eq!(manager.read_table().unwrap(), []);
        assert_eq!((manager.room(), manager.stats().keys), (room, 0));
        assert_eq!(manager.delete(second.handle).err(), Some(SubmitError::NotFound));
    }
}

fn what_is_no_bundle_is_refused<B: Backend>() {
    let (manager, _) = open::<B>(small(), config());
    let room = manager.room();
    let other_way = SaSpec { direction: Direction::Out, ..ah(1) };
    for (first, second) in [(esp(1), esp(2)), (ah(1), ah(2)), (ah(1), esp(1)), (esp(1), other_way)]
    {
        let refused = manager.add_bundle(&first, &second).err();
        assert_eq!(refused, Some(SubmitError::Bundle));
    }
    assert_eq!(manager.room(), room);
}

fn one_free_slot_is_not_room_for_a_bundle<B: Backend>() {
    let (manager, _) = open::<B>(small(), Config { max_sas: Some(3), ..config() });
    bundle(&manager, 1);
    assert_eq!(manager.add_bundle(&esp(2), &ah(2)).err(), Some(SubmitError::TableFull));
    done(&manager.add(&esp(3)).unwrap().1);
    assert_eq!(manager.room(), 0);
}

fn the_failure_of_either_half_deletes_the_other<B: Backend>() {
    for config in rings() {
        for failing in [1, 2] {
            let (manager, link) = open::<B>(small(), config.clone());
            let room = manager.room();
            misbehave!(B, link, |faults| faults.verify_add = Trigger::Nth(failing));
            let (sa, ticket) = manager.add_bundle(&esp(1), &ah(1)).unwrap();
            assert_eq!(outcome(&ticket).status, Status::Verify, "half {failing}");
            calm(&manager, room);
            assert_eq!(manager.read_table().unwrap(), [], "half {failing}");
            assert_eq!(manager.diff().unwrap(), [], "half {failing}");
            assert_eq!((manager.room(), manager.stats().keys), (room, 0), "half {failing}");
            assert_eq!(manager.delete(sa).err(), Some(SubmitError::NotFound));
            drop(ticket);
            assert_eq!(manager.stats().pending, 0);
        }
    }
}

fn slots_of_a_bundle_wait_for_each_other<B: Backend>() {
    // One half's deletion fails for a while: neither slot is used before both are gone.
    for failing in [1, 2] {
        let (manager, link) = open::<B>(small(), Config { max_sas: Some(2), ..config() });
        let sa = bundle(&manager, 1);
        misbehave!(B, link, |faults| faults.verify_delete = Trigger::Nth(failing));
        done(&manager.delete(sa).unwrap());
        assert_eq!(manager.room(), 0, "half {failing}");
        assert_eq!(manager.add(&esp(9)).err(), Some(SubmitError::TableFull));
        calm(&manager, 2);
        bundle(&manager, 2);
    }
}

fn esp_is_never_live_before_its_ah<B: Backend>() {
    // Also where AH has to wait for room: the ring is full of other commands.
    for config in rings() {
        let (manager, link) = open::<B>(small(), config.clone());
        manager.set_path_policy(PathPolicy::Ring);
        let other = manager.add(&esp(7)).unwrap();
        done(&other.1);
        let room = manager.room();
        for filled in 0..4 {
            misbehave!(B, link, |faults| faults.stuck = Stuck::UntilReset);
            let busy: Vec<_> = (0..filled).filter_map(|_| manager.query(other.0).ok()).collect();
            let added = manager.add_bundle(&esp(1), &ah(1));
            B::misbehave(link.device(), |faults| faults.stuck = Stuck::No);
            let Ok((sa, ticket)) = added else {
                drop(busy);
                calm(&manager, room);
                continue;
            };
            let ready = Instant::now() + Duration::from_secs(20);
            while ticket.poll().is_none() && Instant::now() < ready {
                let live = |protocol| {
                    let rows = manager.read_table().unwrap();
                    rows.iter().any(|row| row.protocol == protocol && row.peer.is_some())
                };
                assert!(!live(Protocol::Esp) || live(Protocol::Ah), "after {filled} commands");
                link.relax();
            }
            done(&ticket);
            drop(busy);
            done(&manager.delete(sa).unwrap());
        }
        assert_eq!(manager.diff().unwrap(), []);
    }
}

fn a_thousand_bundles_come_and_go_in_rings_of_two<B: Backend>() {
    let [_, tiny] = rings();
    let (manager, _) = open::<B>(small(), tiny);
    let room = manager.room();
    for n in 0..1000 {
        let sa = bundle(&manager, n);
        drop(manager.delete(sa).unwrap());
    }
    calm(&manager, room);
    assert_eq!(manager.stats().pending, 0);
    assert_eq!(manager.diff().unwrap(), []);
}

on_every_backend!(
    a_bundle_is_two_rows_behind_one_handle,
    what_is_no_bundle_is_refused,
    one_free_slot_is_not_room_for_a_bundle,
    the_failure_of_either_half_deletes_the_other,
    slots_of_a_bundle_wait_for_each_other,
    esp_is_never_live_before_its_ah,
    a_thousand_bundles_come_and_go_in_rings_of_two,
);
