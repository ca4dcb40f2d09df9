// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reset, and the table put back (§11, C5-20): nothing is forgotten, nothing is lost silently.

#[macro_use]
mod support;

use support::*;

fn fill<T: Transport>(manager: &SaManager<T>, count: u32) -> Vec<SaHandle> {
    (0..count)
        .map(|n| {
            let (sa, ticket) = manager.add(&esp(n)).unwrap();
            done(&ticket);
            sa
        })
        .collect()
}

fn a_restore_keeps_handles_and_newest_tops<B: Backend>() {
    for live in thin([rounds(4096), 64, 1]) {
        let params = Params { sa_capacity: 4096, ..small() };
        let (manager, _) = open::<B>(params, config());
        let all = fill(&manager, live);
        for (n, &sa) in (0..).zip(&all) {
            let change = Change::top(Top::new(n, n + 9));
            done(&manager.update(sa, update(&esp(n), change)).unwrap());
        }
        let before = manager.read_table().unwrap();
        let report = manager.recover(Verify::All).unwrap();
        assert_eq!((report.restored, report.verified), (live as usize, live as usize));
        assert_eq!((report.lost, report.differences, report.aborted), (vec![], vec![], 0));
        assert_eq!(manager.read_table().unwrap(), before);
        assert_eq!(manager.diff().unwrap(), []);
        // And it goes on as before.
        done(&manager.update(all[0], hi(0, 5)).unwrap());
        done(&manager.delete(all[0]).unwrap());
    }
}

fn a_table_of_a_million_rows_is_put_back<B: Backend>() {
    const ROWS: u32 = rounds(1 << 20);
    let params = Params { sa_capacity: 1 << 20, ring_log2: 12, ..small() };
    let config = Config { sq_log2: 12, cq_log2: 12, max_sas: Some(ROWS), ..config() };
    let (manager, link) = open::<B>(params, config);
    manager.set_path_policy(PathPolicy::Ring);
    let mut last = None;
    for n in 0..ROWS {
        last = loop {
            match manager.add(&esp(n)) {
                Ok((sa, _)) => break Some(sa),
                Err(SubmitError::Full) => link.relax(),
                Err(other) => panic!("{other}"),
            }
        };
    }
    while manager.poll() > 0 || manager.state(last.unwrap()) != Some(State::Live) {
        link.relax();
    }
    assert_eq!(manager.add(&esp(0)).err(), Some(SubmitError::TableFull));
    let report = manager.recover(Verify::Sample).unwrap();
    // Each by its digest, 64 in full: reading all of it back takes longer than the rest.
    assert_eq!((report.restored, report.lost), (ROWS as usize, vec![]));
    assert_eq!((report.verified, report.differences), (64, vec![]));
}

fn what_the_device_completed_before_the_reset_is_known<B: Backend>() {
    let (manager, link) = open::<B>(small(), config());
    let sa = fill(&manager, 1)[0];
    let ticket = manager.update(sa, hi(0, 1)).unwrap();
    // The completion is in memory; nobody has looked.
    let_it_run::<B>(&link);
    let report = manager.recover(Verify::All).unwrap();
    assert_eq!(report.aborted, 0);
    done(&ticket);
    assert_eq!(top_of(&manager, sa), (1, 0, false));
    assert_eq!(manager.diff().unwrap(), []);
}

fn commands_under_way_settle_as_aborted<B: Backend>() {
    for policy in [PathPolicy::Ring, PathPolicy::Direct] {
        let (manager, link) = open::<B>(small(), config());
        manager.set_path_policy(policy);
        let all = fill(&manager, 3);
        let room = manager.room();
        misbehave!(B, link, |faults| faults.stuck = Stuck::UntilReset);
        let update = manager.update(all[0], hi(0, 1)).unwrap();
        let delete = manager.delete(all[1]).unwrap();
        let (added, add) = manager.add(&esp(9)).unwrap();
        let (_, bundle) = manager.add_bundle(&esp(10), &ah(10)).unwrap();
        let report = manager.recover(Verify::All).unwrap();
        for ticket in [update, delete, add, bundle] {
            assert_eq!(settled(&ticket), Settled::Aborted);
        }
        assert_eq!((report.restored, report.aborted), (2, 5));
        assert_eq!(top_of(&manager, all[0]), (0, 1, true));
        assert_eq!(manager.update(all[1], hi(1, 1)).err(), Some(SubmitError::NotFound));
        assert_eq!(manager.update(added, hi(9, 1)).err(), Some(SubmitError::NotFound));
        assert_eq!(manager.diff().unwrap(), []);
        let stats = manager.stats();
        assert_eq!((stats.in_flight, stats.pending, stats.keys), (0, 0, 2));
        assert_eq!(manager.room(), room + 1);
    }
}

fn a_bundle_that_is_half_way_is_no_bundle_afterwards<B: Backend>() {
    let tiny = Config { sq_log2: 1, cq_log2: 1, ..config() };
    for (config, cut) in [(config(), 0), (config(), 1), (tiny.clone(), 0), (tiny, 1)] {
        let (manager, link) = open::<B>(small(), config);
        let room = manager.room();
        let (whole, ticket) = manager.add_bundle(&esp(1), &ah(1)).unwrap();
        done(&ticket);
        drop(ticket);
        misbehave!(B, link, |faults| faults.stuck = Stuck::UntilReset);
        let ticket = if cut == 0 {
            manager.add_bundle(&esp(2), &ah(2)).unwrap().1
        } else {
            manager.delete(whole).unwrap()
        };
        let report = manager.recover(Verify::All).unwrap();
        assert_eq!(settled(&ticket), Settled::Aborted);
        assert_eq!(report.restored, if cut == 0 { 2 } else { 0 });
        assert_eq!(manager.room(), room - report.restored);
        assert_eq!(manager.diff().unwrap(), []);
        drop(ticket);
        assert_eq!(manager.stats().pending, 0);
    }
}

fn a_refused_sa_is_lost_by_name<B: Backend>() {
    let (manager, link) = open::<B>(small(), config());
    let all = fill(&manager, 3);
    let room = manager.room();
    misbehave!(B, link, |faults| faults.verify_add = Trigger::Nth(2));
    let report = manager.recover(Verify::All).unwrap();
    assert_eq!((report.restored, report.lost), (2, vec![all[1]]));
    assert_eq!(manager.state(all[1]), Some(State::Lost));
    assert_eq!(manager.update(all[1], hi(1, 1)).err(), Some(SubmitError::Lost));
    assert_eq!(manager.stats().lost, 1);
    done(&manager.delete(all[1]).unwrap());
    assert_eq!((manager.room(), manager.stats().keys), (room + 1, 2));
    assert_eq!(manager.diff().unwrap(), []);
}

fn a_lost_half_is_reported_by_the_handle_its_owner_has<B: Backend>() {
    for failing in [1, 2] {
        let (manager, link) = open::<B>(small(), config());
        let (sa, ticket) = manager.add_bundle(&esp(1), &ah(1)).unwrap();
        done(&ticket);
        misbehave!(B, link, |faults| faults.verify_add = Trigger::Nth(failing));
        let report = manager.recover(Verify::All).unwrap();
        assert_eq!(report.lost, [sa], "half {failing}");
        done(&manager.delete(sa).unwrap());
        assert_eq!(manager.room(), 64);
    }
    let (manager, link) = open::<B>(small(), config());
    let (sa, ticket) = manager.add_bundle(&esp(1), &ah(1)).unwrap();
    done(&ticket);
    misbehave!(B, link, |faults| faults.verify_add = Trigger::always());
    assert_eq!(manager.recover(Verify::All).unwrap().lost, [sa], "once");
}

fn what_is_lost_comes_back_with_the_next_reset<B: Backend>() {
    let (manager, link) = open::<B>(small(), config());
    let sa = fill(&manager, 1)[0];
    misbehave!(B, link, |faults| faults.verify_add = Trigger::next());
    assert_eq!(manager.recover(Verify::All).unwrap().lost, [sa]);
    assert_eq!(manager.recover(Verify::All).unwrap().restored, 1);
    assert_eq!(top_of(&manager, sa), (0, 1, true));
}

fn a_failed_restore_forgets_nothing<B: Backend>() {
    let (manager, link) = open::<B>(small(), config());
    let all = fill(&manager, 40);
    // The device goes at the n-th read of the ring during the restore, and later comes back.
    for nth in [1, 2, 3] {
        misbehave!(B, link, |faults| faults.fail_read = Trigger::Nth(nth));
        let failed = manager.recover(Verify::All);
        assert!(matches!(failed, Err(Error::QueuePair { .. })), "{failed:?}");
        assert_eq!(manager.update(all[0], hi(0, 1)).err(), Some(SubmitError::Closed));
        let report = manager.recover(Verify::All).unwrap();
        assert_eq!((report.restored, report.lost), (40, vec![]));
    }
    B::misbehave(link.device(), |faults| faults.gone = true);
    assert_eq!(manager.recover(Verify::All), Err(Error::Gone));
    assert_eq!(manager.recover(Verify::All), Err(Error::Gone));
    B::misbehave(link.device(), |faults| faults.gone = false);
    assert_eq!(manager.recover(Verify::All).unwrap().restored, 40);
    assert_eq!(manager.diff().unwrap(), []);
}

fn every_instance_begins_elsewhere<B: Backend>() {
    // R47: another epoch, and START elsewhere, also after an attempt that failed.
    let (manager, link) = open::<B>(small(), config());
    let instance = || {
        let epoch = esnic_driver::regs::global(&link, Global::INSTANCE) & 0x7F;
        let start = esnic_driver::regs::queue_pair(&link, 0, esnic_abi::regs::QueuePair::START);
        (epoch, start)
    };
    let mut last = instance();
    for round in 0..rounds(60) / 3 {
        if round % 3 == 1 {
            misbehave!(B, link, |faults| faults.gone = true);
            assert_eq!(manager.recover(Verify::Sample), Err(Error::Gone));
            B::misbehave(link.device(), |faults| faults.gone = false);
        }
        manager.recover(Verify::Sample).unwrap();
        let now = instance();
        assert!(now.0 != last.0 && now.1 != last.1, "{now:x?} after {last:x?}");
        last = now;
    }
}

fn nothing_comes_back_after_close<B: Backend>() {
    let (manager, _) = open::<B>(small(), config());
    let sa = fill(&manager, 1)[0];
    manager.close().unwrap();
    assert_eq!(manager.recover(Verify::All), Err(Error::Closed), "the keys are gone");
    assert_eq!(manager.add(&esp(2)).err(), Some(SubmitError::Closed));
    assert_eq!(manager.state(sa), Some(State::Free));
    assert_eq!((manager.stats().keys, manager.read_table().unwrap().len()), (0, 0));
    manager.close().unwrap();
}

/// The error for what somebody else did, whose text names it.
#[track_caller]
fn assert_foreign<R: std::fmt::Debug>(result: Result<R, impl Into<WaitError>>, named: &str) {
    match result.map_err(Into::into) {
        Err(WaitError::Device(Error::ForeignReset { found })) if found.contains(named) => {}
        other => panic!("{other:?}, not about {named}"),
    }
}

fn a_reset_by_somebody_else_is_told_and_mended<B: Backend>() {
    for (interrupts, policy) in [(false, PathPolicy::Ring), (true, PathPolicy::Direct)] {
        let (manager, link) = open::<B>(small(), Config { interrupts, ..config() });
        manager.set_path_policy(policy);
        let all = fill(&manager, 3);
        let before = manager.update(all[0], hi(0, 1)).unwrap();
        link.reset().unwrap();
        let after = manager.update(all[1], hi(1, 1)).unwrap();
        // The deadline is 20 seconds away; that it is not waited for shows in the error.
        assert_foreign(after.wait_default(), "it is in ");
        let early = before.wait_default();
        // Perhaps it was completed before.
        if !matches!(early, Ok(settled) if settled.is_ok()) {
            assert_foreign(early.clone(), "it is in ");
        }
        assert_eq!(manager.stats().timeouts, 0);
        assert_foreign(manager.check(), "it is in ");
        assert_foreign(manager.diff(), "it is in ");
        let report = manager.recover(Verify::All).unwrap();
        assert_eq!((report.restored, report.lost, report.differences), (3, vec![], vec![]));
        assert_eq!(settled(&after), Settled::Aborted);
        assert_eq!(top_of(&manager, all[1]), (0, 1, true));
        done(&manager.update(all[1], hi(1, 1)).unwrap());
        assert_eq!((manager.check(), manager.diff().unwrap()), (Ok(()), vec![]));
    }
}

fn a_batch_does_not_wait_for_a_device_that_somebody_reset<B: Backend>() {
    let (manager, link) = open::<B>(small(), config());
    let sa = fill(&manager, 1)[0];
    link.reset().unwrap();
    let mut batch = manager.batch(100);
    // More than there is room for.
    (1..=100).for_each(|n| batch.update(sa, hi(0, n)));
    let late = Instant::now() + config().timeouts.command;
    assert_foreign(batch.run(late), "it is in ");
    assert!(batch.sent() < 100 && Instant::now() < late);
    drop(batch);
    assert_eq!(manager.recover(Verify::All).unwrap().restored, 1);
}

fn whoever_takes_the_device_over_or_turns_a_pair_off_is_noticed<B: Backend>() {
    let (first, link) = open::<B>(small(), config());
    let sa = fill(&first, 1)[0];
    let second = open_on::<B>(&link, config());
    assert_foreign(first.check(), "another instance");
    assert_eq!(second.check(), Ok(()));
    drop(second);
    assert_eq!(first.recover(Verify::All).unwrap().restored, 1);
    esnic_driver::regs::set_queue_pair(&link, 0, esnic_abi::regs::QueuePair::QP_CTRL, 0);
    assert_foreign(first.update(sa, hi(0, 1)).unwrap().wait_default(), "queue pair 0 is off");
    assert_eq!(first.stats().timeouts, 0);
    assert_eq!(first.recover(Verify::All).unwrap().restored, 1);
    assert_eq!((first.check(), first.diff().unwrap()), (Ok(()), vec![]));
}

fn a_reset_that_the_host_refuses_is_made_from_within<B: Backend>() {
    // Linux refuses one while it waits for the function to be given back, which is when its owner closes.
    let (manager, link) = open::<B>(small(), config());
    let global = |register| esnic_driver::regs::global(&link, register);
    fill(&manager, 40);
    let epoch = global(Global::INSTANCE);
    link.refuse_resets(true);
    let report = manager.recover(Verify::All).unwrap();
    assert_eq!((report.restored, report.lost), (40, vec![]));
    assert_eq!(manager.diff().unwrap(), []);
    assert_ne!(global(Global::INSTANCE), epoch);
    manager.close().unwrap();
    let ready = u32::from(esnic_abi::DeviceState::Ready as u8);
    assert_eq!((global(Global::STATUS), global(Global::INSTANCE)), (ready, 0));
    drop(manager);
    let manager = open_on::<B>(&link, config());
    assert_eq!(manager.read_table().unwrap().len(), 0, "nothing of before is left");
    fill(&manager, 1);
}

fn a_refused_reset_of_a_device_that_is_gone_is_no_success<B: Backend>() {
    let (manager, link) = open::<B>(small(), config());
    fill(&manager, 1);
    link.refuse_resets(true);
    misbehave!(B, link, |faults| faults.gone = true);
    assert_eq!(manager.close(), Err(Error::Gone));
}

fn tickets_of_other_threads_settle_while_the_device_is_reset<B: Backend>() {
    [false, true].into_iter().for_each(settle_while_the_device_is_reset::<B>);
}

fn settle_while_the_device_is_reset<B: Backend>(interrupts: bool) {
    let (manager, link) = open::<B>(small(), Config { queue_pairs: 2, interrupts, ..config() });
    let all = fill(&manager, 16);
    let stop = AtomicBool::new(false);
    let (settled, closed) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (manager, all, stop, settled, closed) = (&manager, &all, &stop, &settled, &closed);
            scope.spawn(move || {
                let mut next = 0;
                while !stop.load(Ordering::Relaxed) {
                    let k = (next * 3 + thread) % 16;
                    next += 1;
                    match manager.update(all[k], hi(k as u32, next as u32)) {
                        Ok(ticket) => {
                            let _either = ticket.wait_default().unwrap();
                            settled.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(SubmitError::Closed) => {
                            closed.fetch_add(1, Ordering::Relaxed);
                            std::thread::yield_now();
                        }
                        // While its restore is under way.
                        Err(SubmitError::Full | SubmitError::Busy | SubmitError::Lost) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
        for _ in 0..rounds(50) {
            let report = manager.recover(Verify::All).unwrap();
            assert_eq!((report.restored, report.differences), (16, vec![]));
            let until = settled.load(Ordering::Relaxed) + 20;
            while settled.load(Ordering::Relaxed) < until {
                link.relax();
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(closed.load(Ordering::Relaxed) > 0);
    assert_eq!(manager.diff().unwrap(), []);
    let stats = manager.stats();
    assert_eq!((stats.in_flight, stats.pending, stats.keys), (0, 0, 16));
}

on_every_backend!(
    a_restore_keeps_handles_and_newest_tops,
    a_table_of_a_million_rows_is_put_back,
    what_the_device_completed_before_the_reset_is_known,
    commands_under_way_settle_as_aborted,
    a_bundle_that_is_half_way_is_no_bundle_afterwards,
    a_refused_sa_is_lost_by_name,
    a_lost_half_is_reported_by_the_handle_its_owner_has,
    what_is_lost_comes_back_with_the_next_reset,
    a_failed_restore_forgets_nothing,
    every_instance_begins_elsewhere,
    nothing_comes_back_after_close,
    a_reset_by_somebody_else_is_told_and_mended,
    a_batch_does_not_wait_for_a_device_that_somebody_reset,
    whoever_takes_the_device_over_or_turns_a_pair_off_is_noticed,
    a_reset_that_the_host_refuses_is_made_from_within,
    a_refused_reset_of_a_device_that_is_gone_is_no_success,
    tickets_of_other_threads_settle_while_the_device_is_reset,
);
