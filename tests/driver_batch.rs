// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Batches: one doorbell, a status for each item, order within an SA (C5-22).

#[macro_use]
mod support;

use support::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn with_sas<B: Backend>(config: Config, count: u32) -> (Manager<B>, Link<B>, Vec<SaHandle>) {
    let (manager, link) = open::<B>(small(), config);
    let all = (0..count)
        .map(|n| {
            let (sa, ticket) = manager.add(&esp(n)).unwrap();
            done(&ticket);
            sa
        })
        .collect();
    (manager, link, all)
}

#[track_caller]
fn status<T: Transport>(batch: &Batch<T>, k: usize) -> Status {
    let settled = batch.outcome(k).expect("it is over").expect("it was sent");
    settled.outcome().expect("no reset came between").status
}

fn doorbells(events: &[Event]) -> usize {
    let tail = Doorbell::SQ_TAIL.address(0);
    events.iter().filter(|e| matches!(e, Event::Write { offset, .. } if *offset == tail)).count()
}

fn a_batch_rings_one_doorbell<B: Backend>() {
    let (manager, link, all) = with_sas::<B>(Config { sq_log2: 6, cq_log2: 6, ..config() }, 40);
    let mut batch = manager.batch(40);
    for (n, &sa) in (0..).zip(&all) {
        // Neither these two kinds nor a deletion fit into an UPDATE4.
        match n % 3 {
            0 => batch.update(sa, update(&esp(n), Change::top(Top::new(n, n)))),
            1 => batch.update(sa, update(&esp(n), Change::resync(n))),
            _ => batch.delete(sa),
        }
    }
    link.record();
    assert_eq!(batch.submit().unwrap(), 40);
    let events = link.recorded();
    assert_eq!(doorbells(&events), 1, "{events:x?}");
    assert_eq!(events.first(), Some(&Event::Fence), "R40: slots before the doorbell");
    batch.run(soon()).unwrap();
    assert_eq!(batch.ok_count(), 40);
    assert_eq!(manager.diff().unwrap(), []);
}

fn a_pair_each_rings_once<B: Backend>() {
    let (manager, link, all) = with_sas::<B>(Config { queue_pairs: 4, ..config() }, 32);
    let mut batch = manager.batch(32);
    for (n, &sa) in (0..).zip(&all) {
        batch.update(sa, hi(n, 1));
    }
    link.record();
    assert_eq!(batch.submit().unwrap(), 32);
    assert_eq!(link.recorded().iter().filter(|e| matches!(e, Event::Write { .. })).count(), 4);
    batch.run(soon()).unwrap();
    assert_eq!(batch.ok_count(), 32);
}

fn four_updates_of_the_high_half_share_a_command<B: Backend>() {
    let (manager, link, all) = with_sas::<B>(config(), 32);
    let Some(_) = B::executed(link.device()) else {
        not_asked(B::NAME, "it does not tell what it executed");
        return;
    };
    let mut batch = manager.batch(32);
    for (n, &sa) in (0..).zip(&all) {
        batch.update(sa, hi(n, 3));
    }
    batch.run(soon()).unwrap();
    assert_eq!(B::executed(link.device()), Some(vec![Opcode::Update4 as u8; 8]));
    assert_eq!(batch.ok_count(), 32);
    for &sa in &all {
        assert_eq!(top_of(&manager, sa), (3, 0, false));
    }
    assert_eq!(manager.diff().unwrap(), []);
}

fn an_update4_advances_and_resynchronises_like_single_updates<B: Backend>() {
    let (manager, _) = open::<B>(small(), config());
    let cases = [
        (Top::new(0, 0x8000_0000), true, (1, 0, true)),
        (Top::new(0, 0x7FFF_FFFF), true, (1, 0, false)),
        (Top::new(0, 0), false, (1, 0, false)),
        (Top::new(1, 77), true, (1, 77, true)),
        (Top::new(u32::MAX, u32::MAX), true, (1, 0, false)),
        (Top::new(1, 0), false, (1, 0, false)),
        (Top::new(0, u32::MAX), true, (1, 0, true)),
        (Top::new(2, 9), true, (1, 0, false)),
    ];
    let mut batch = manager.batch(8);
    let mut all = Vec::new();
    for (n, (top, lo_valid, _)) in (0..).zip(cases) {
        let (sa, ticket) = manager.add(&SaSpec { top, lo_valid, ..esp(n) }).unwrap();
        done(&ticket);
        batch.update(sa, hi(n, 1));
        all.push(sa);
    }
    batch.run(soon()).unwrap();
    assert_eq!(batch.ok_count(), 8);
    for ((top, _, after), sa) in cases.into_iter().zip(all) {
        assert_eq!(top_of(&manager, sa), after, "from {top}");
    }
    assert_eq!(manager.diff().unwrap(), []);
}

fn bad_items_in_the_middle_do_not_touch_the_others<B: Backend>() {
    for (policy, count) in
        [(PathPolicy::Ring, 12), (PathPolicy::Direct, 12), (PathPolicy::default(), 12)]
    {
        let (manager, _, all) = with_sas::<B>(config(), count);
        manager.set_path_policy(policy);
        let mut batch = manager.batch(16);
        done(&manager.delete(all[4]).unwrap());
        for (n, &sa) in (0..).zip(&all) {
            match n {
                4 => batch.update(sa, hi(4, 1)),
                5 => batch.update(sa, hi(6, 1)),
                7 => batch.update(sa, SaUpdate { protocol: Protocol::Ah, ..hi(7, 1) }),
                8 => batch.update(sa, update(&esp(8), Change::hi(1).expecting(9))),
                9 => batch.delete(sa),
                10 => batch.update(SaHandle::from_bits(3), hi(10, 1)),
                _ => batch.update(sa, hi(n, 1)),
            }
        }
        batch.run(soon()).unwrap();
        for (k, &sa) in all.iter().enumerate() {
            match k {
                4 | 10 => assert_eq!(batch.outcome(k), Some(Err(SubmitError::NotFound))),
                5 => assert_eq!(batch.outcome(k), Some(Err(SubmitError::WrongSpi(esp(6).spi)))),
                7 => assert_eq!(
                    batch.outcome(k),
                    Some(Err(SubmitError::WrongProtocol(Protocol::Ah)))
                ),
                8 => assert_eq!(status(&batch, k), Status::Conflict),
                9 => assert_eq!(
                    (status(&batch, k), manager.state(sa)),
                    (Status::Ok, Some(State::Free))
                ),
                _ => {
                    assert_eq!(status(&batch, k), Status::Ok, "item {k}");
                    assert_eq!(top_of(&manager, sa).0, 1, "item {k}");
                }
            }
        }
        assert_eq!(batch.ok_count(), 7);
        assert_eq!(manager.diff().unwrap(), []);
    }
}

fn an_item_that_the_device_does_not_find_is_lost_alone<B: Backend>() {
    // The device loses an entry behind the driver's back: it is deleted through another driver's
    // eyes, here by a failed read-back at the restore and a shadow that is told so.
    let (manager, link, all) = with_sas::<B>(config(), 4);
    misbehave!(B, link, |faults| faults.verify_add = Trigger::Nth(3));
    assert_eq!(manager.recover(Verify::All).unwrap().lost, [all[2]]);
    let mut batch = manager.batch(4);
    for (n, &sa) in (0..).zip(&all) {
        batch.update(sa, hi(n, 1));
    }
    batch.run(soon()).unwrap();
    assert_eq!(batch.outcome(2), Some(Err(SubmitError::Lost)));
    assert_eq!(batch.ok_count(), 3);
}

fn items_of_one_sa_take_effect_in_order<B: Backend>() {
    for policy in [PathPolicy::Ring, PathPolicy::Direct] {
        let (manager, _, all) = with_sas::<B>(config(), 2);
        manager.set_path_policy(policy);
        let mut batch = manager.batch(64);
        for round in 1..=20 {
            batch.update(all[0], hi(0, round));
            batch.update(all[1], update(&esp(1), Change::hi(round).expecting(round - 1)));
        }
        batch.delete(all[0]);
        batch.update(all[0], hi(0, 99));
        batch.run(soon()).unwrap();
        assert_eq!(batch.ok_count(), 41, "{policy:?}");
        assert_eq!(batch.outcome(41), Some(Err(SubmitError::NotFound)));
        assert_eq!(top_of(&manager, all[1]).0, 20);
        assert_eq!(manager.diff().unwrap(), []);
    }
}

fn a_batch_may_be_larger_than_everything<B: Backend>() {
    // Larger than the rings and than the table of pending commands; each kind of item.
    for log2 in [1, 3] {
        let config = Config { sq_log2: log2, cq_log2: log2, ..config() };
        for policy in [PathPolicy::Ring, PathPolicy::Direct] {
            let (manager, _, all) = with_sas::<B>(config.clone(), 60);
            manager.set_path_policy(policy);
            let mut batch = manager.batch(240);
            for (n, &sa) in (0..).zip(&all) {
                batch.update(sa, update(&esp(n), Change::top(Top::new(1, 1))));
                batch.update(sa, hi(n, 2));
                batch.update(sa, hi(n, 3));
            }
            all.iter().take(50).for_each(|&sa| batch.delete(sa));
            batch.run(soon()).unwrap();
            assert_eq!(batch.ok_count(), batch.len());
            assert_eq!(manager.read_table().unwrap().len(), 10);
            assert_eq!(manager.diff().unwrap(), []);
            batch.clear();
            assert_eq!((manager.stats().pending, manager.stats().in_flight), (0, 0));
        }
    }
}

fn a_batch_that_finds_no_room_in_time_says_so<B: Backend>() {
    // All entries are held by tickets that nobody looks at.
    let (manager, _, all) = with_sas::<B>(Config { sq_log2: 1, cq_log2: 1, ..config() }, 1);
    let held: Vec<_> = std::iter::from_fn(|| {
        let ticket = manager.query(all[0]).ok()?;
        done(&ticket);
        Some(ticket)
    })
    .collect();
    let mut batch = manager.batch(1);
    batch.update(all[0], hi(0, 1));
    let error = batch.run(Instant::now() + Duration::from_millis(1)).unwrap_err();
    assert!(
        matches!(error, WaitError::Timeout { suspicion: Suspicion::NotSubmitted, .. }),
        "{error}"
    );
    assert_eq!(batch.outcome(0), None);
    drop(held);
    batch.run(soon()).unwrap();
    assert_eq!(batch.ok_count(), 1);
}

fn a_reset_in_the_middle_leaves_every_item_with_an_outcome<B: Backend>() {
    let (manager, link, all) = with_sas::<B>(config(), 60);
    let mut batch = manager.batch(60);
    for (n, &sa) in (0..).zip(&all) {
        batch.update(sa, update(&esp(n), Change::top(Top::new(7, 7))));
    }
    misbehave!(B, link, |faults| faults.drop_completion = Trigger::Nth(9));
    let sent = batch.submit().unwrap();
    // A device that runs by itself makes room meanwhile.
    assert!(0 < sent && (sent < 60 || B::RUNS), "{sent} fit");
    if B::RUNS {
        let_it_run::<B>(&link);
    } else {
        link.relax();
    }
    let report = manager.recover(Verify::All).unwrap();
    assert_eq!((report.restored, report.differences), (60, vec![]));
    assert!(report.aborted >= 1, "at least the one whose completion was never made");
    batch.run(soon()).unwrap();
    for (k, &sa) in all.iter().enumerate() {
        let settled = batch.outcome(k).unwrap().unwrap();
        let high = top_of(&manager, sa).0;
        // Aborted: the restore put back what was known before.
        assert_eq!(high, if settled == Settled::Aborted { 0 } else { 7 }, "item {k}");
    }
    assert_eq!(batch.ok_count(), 60 - report.aborted);
    assert_eq!(manager.diff().unwrap(), []);
}

fn a_batch_is_used_again<B: Backend>() {
    let (manager, _, all) = with_sas::<B>(config(), 8);
    let mut batch = manager.batch(8);
    for round in 0..100 {
        assert!(batch.is_empty());
        for (n, &sa) in (0..).zip(&all) {
            batch.update(sa, hi(n, round));
        }
        assert_eq!(batch.submit().unwrap(), 8);
        while !batch.is_settled() {
            manager.transport().relax();
        }
        assert_eq!((batch.len(), batch.ok_count()), (8, 8));
        batch.clear();
    }
    manager.close().unwrap();
    batch.update(all[0], hi(0, 1));
    assert_eq!(batch.submit(), Err(SubmitError::Closed));
    batch.run(soon()).unwrap();
    assert_eq!(batch.outcome(0), Some(Err(SubmitError::Closed)));
}

fn a_batch_that_is_cut_off_does_not_pass_for_settled<B: Backend>() {
    let (manager, link, all) = with_sas::<B>(config(), 40);
    manager.set_path_policy(PathPolicy::Ring);
    misbehave!(B, link, |faults| {
        faults.corrupt_completion = Trigger::next();
        faults.corrupt_mask = [0xFF; 16];
        faults.corrupt_mask[15] = 0x7F;
    });
    let mut batch = manager.batch(40);
    for (n, &sa) in (0..).zip(&all) {
        batch.update(sa, update(&esp(n), Change::top(Top::new(n, n))));
    }
    let sent = batch.submit().unwrap();
    assert!(sent < 40, "more than fits into the ring");
    let deadline = soon();
    while manager.query(all[39]).err() != Some(SubmitError::Closed) {
        manager.poll();
        link.relax();
        assert!(Instant::now() < deadline, "the driver takes a broken completion");
    }
    // What was not sent is refused; what was sent has no outcome, and the device is not asked again.
    let cut_off = batch.run(soon());
    assert!(matches!(cut_off, Err(WaitError::Device(Error::Protocol(_)))), "{cut_off:?}");
    assert!((sent..40).all(|k| batch.outcome(k) == Some(Err(SubmitError::Closed))));
    assert!((0..sent).any(|k| batch.outcome(k).is_none()));
    manager.recover(Verify::All).unwrap();
    assert!((0..sent).all(|k| matches!(batch.outcome(k), Some(Ok(_)))));
    assert_eq!(manager.diff().unwrap(), []);
}

on_every_backend!(
    a_batch_that_is_cut_off_does_not_pass_for_settled,
    a_batch_rings_one_doorbell,
    a_pair_each_rings_once,
    four_updates_of_the_high_half_share_a_command,
    an_update4_advances_and_resynchronises_like_single_updates,
    bad_items_in_the_middle_do_not_touch_the_others,
    an_item_that_the_device_does_not_find_is_lost_alone,
    items_of_one_sa_take_effect_in_order,
    a_batch_may_be_larger_than_everything,
    a_batch_that_finds_no_room_in_time_says_so,
    a_reset_in_the_middle_leaves_every_item_with_an_outcome,
    a_batch_is_used_again,
);
