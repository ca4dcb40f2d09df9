// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a port makes of a device that refuses, forgets or goes away.

#[macro_use]
mod support;

use esnic_driver::NdisStatus;
use esnic_driver::oid::{Completion, Host, Indication, Port, Request, indication, number};
use std::sync::{Mutex, OnceLock};
use support::oids::*;
use support::*;

on_every_backend!(
    an_add_that_the_device_refuses_leaves_nothing,
    an_ability_that_the_device_denies_is_not_supported,
    an_update_that_the_device_refuses_is_a_failure,
    an_sa_that_the_device_forgot_is_no_sa,
    a_list_goes_on_behind_an_sa_that_is_lost,
    an_sa_that_a_reset_lost_fails_until_it_is_deleted,
    a_device_that_goes_away_is_noticed,
    a_reset_without_a_device_ends_everything,
    what_is_removed_is_quiet,
    after_a_removal_it_stays_removed,
    a_table_that_its_owner_closed_takes_nothing,
    a_dropped_port_aborts_what_is_outstanding,
    a_request_that_meets_the_end_is_completed,
    nothing_begins_once_a_reset_has,
);

const SUCCESS: NdisStatus = NdisStatus::SUCCESS;

fn an_add_that_the_device_refuses_leaves_nothing<B: Backend>() {
    // As many bundles as there may be, so that a place that is lost is missed.
    let tiny = Params { sa_capacity: 2, stage_log2: 1, ..Params::default() };
    let desk = Desk::<B>::with(tiny, config(), options());
    assert_eq!(desk.port.manager().bundle_capacity(), 1);
    for round in 0..3 {
        misbehave!(B, desk.link, |faults| faults.verify_add = Trigger::next());
        let done = desk.run(set(number::ADD_SA, [Add::esp(1).bytes()]));
        assert_eq!((done.status, handle_of(&done, 0)), (NdisStatus::FAILURE, 0), "round {round}");
        desk.quiet();
        assert_eq!(desk.table(), []);
    }
    // Neither its SPI nor its place is taken.
    let sa = desk.add(&Add::esp(1));
    assert_eq!(desk.delete(sa), SUCCESS);
    desk.assert_clean();
}

fn an_ability_that_the_device_denies_is_not_supported<B: Backend>() {
    // The completion of that ADD, from a device that is exactly the same.
    let add = Add::esp(1);
    let spec = SaSpec {
        spi: Spi(1),
        mode: Mode::Transport,
        replay_window: 0,
        top: Top::new(0, 0),
        lo_valid: false,
        keys: KeyMaterial::new(add.keys[32..].try_into().unwrap(), &add.keys[..32]).unwrap(),
        ..esp(0)
    };
    let twin = Desk::<B>::new();
    let (_, ticket) = twin.port.manager().add(&spec).unwrap();
    let digest = done(&ticket);
    drop((ticket, twin));
    let desk = Desk::<B>::new();
    misbehave!(B, desk.link, |faults| {
        faults.corrupt_completion = Trigger::next();
        faults.corrupt_mask[..8].copy_from_slice(&digest.to_le_bytes());
        faults.corrupt_mask[14] = Status::Unsupported as u8;
        // It changed nothing, it says.
        faults.corrupt_mask[15] = 0x40;
    });
    let told = desk.run(set(number::ADD_SA, [add.bytes()]));
    assert_eq!((told.status, handle_of(&told, 0)), (NdisStatus::NOT_SUPPORTED, 0));
}

fn an_update_that_the_device_refuses_is_a_failure<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    // A fresh SA's own value changes nothing, so that only the status has to be another: BAD_FIELD.
    misbehave!(B, desk.link, |faults| {
        faults.corrupt_completion = Trigger::next();
        faults.corrupt_mask[14] = Status::BadField as u8;
    });
    assert_eq!(desk.update(sa, ESP, 1, 0), NdisStatus::FAILURE);
    assert_eq!(desk.update(sa, ESP, 1, 3), SUCCESS);
    desk.assert_clean();
}

fn an_sa_that_the_device_forgot_is_no_sa<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    misbehave!(B, desk.link, |faults| {
        faults.corrupt_completion = Trigger::next();
        faults.corrupt_mask[14] = Status::Empty as u8;
    });
    assert_eq!(desk.update(sa, ESP, 1, 0), NdisStatus::INVALID_PARAMETER, "there is none, it says");
    assert_eq!(desk.update(sa, ESP, 1, 3), NdisStatus::FAILURE, "from now on it is lost");
    assert_eq!(desk.delete(sa), SUCCESS);
    assert_eq!(desk.table(), []);
}

fn a_list_goes_on_behind_an_sa_that_is_lost<B: Backend>() {
    let desk = Desk::<B>::new();
    let handles: Vec<u64> = (1..=30).map(|n| desk.add(&Add::esp(n))).collect();
    misbehave!(B, desk.link, |faults| {
        faults.stuck = Stuck::UntilReset;
        faults.corrupt_completion = Trigger::next();
        faults.corrupt_mask[14] = Status::Empty as u8;
    });
    // More than the rings hold: the rest is submitted when the first has been lost.
    let nodes = (1..).zip(&handles).map(|(n, &sa)| update_sa(sa, ESP, n, n - 1).into()).collect();
    desk.port.submit(Request { nodes, ..set(number::UPDATE_SA, []) });
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::No);
    assert_eq!(desk.wait()[0].status, NdisStatus::INVALID_PARAMETER);
    assert_eq!(desk.table(), (1..=30).map(|n| (n, n - 1)).collect::<Vec<_>>());
}

fn an_sa_that_a_reset_lost_fails_until_it_is_deleted<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    misbehave!(B, desk.link, |faults| faults.verify_add = Trigger::next());
    assert_eq!(desk.port.reset(Verify::All).unwrap().lost, [SaHandle::from_bits(sa)]);
    assert_eq!(desk.update(sa, ESP, 1, 1), NdisStatus::FAILURE);
    assert_eq!(desk.delete(sa), SUCCESS);
    desk.quiet();
    assert_ne!(desk.add(&Add::esp(1)), 0, "and its SPI is free");
}

fn a_device_that_goes_away_is_noticed<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    for id in 1..=3 {
        desk.port.submit(numbered(id, set(number::UPDATE_SA, [update_sa(sa, ESP, 1, 1)])));
    }
    B::misbehave(desk.link.device(), |faults| faults.gone = true);
    // By itself, since requests are outstanding, and long before they are late.
    let all = desk.wait();
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|done| done.status == NdisStatus::NOT_ACCEPTED), "{all:?}");
    assert_eq!(desk.delete(sa), NdisStatus::NOT_ACCEPTED);
    assert_eq!(desk.port.manager().stats().keys, 0);
}

fn a_reset_without_a_device_ends_everything<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    desk.port.submit(set(number::UPDATE_SA, [update_sa(sa, ESP, 1, 1)]));
    B::misbehave(desk.link.device(), |faults| faults.gone = true);
    assert_eq!(desk.port.reset(Verify::All), Err(Error::Gone));
    assert_eq!(desk.completions().len(), 1);
    assert_eq!(desk.update(sa, ESP, 1, 1), NdisStatus::NOT_ACCEPTED);
    assert_eq!(desk.port.reset(Verify::All), Err(Error::Gone), "nor is it looked for again");
}

fn what_is_removed_is_quiet<B: Backend>() {
    let desk = Desk::<B>::new();
    let handles: Vec<u64> = (1..=20).map(|n| desk.add(&Add::esp(n))).collect();
    // A list of which some is under way and some waits; and an ADD that nobody wants, still to be deleted.
    let nodes = (1..).zip(&handles).map(|(n, &sa)| update_sa(sa, ESP, n, 1).into()).collect();
    desk.port.submit(numbered(1, set(number::ADD_SA, [Add::esp(100).bytes()])));
    desk.port.cancel(1);
    while desk.port.manager().in_flight() > 0 {
        desk.port.manager().poll();
        desk.link.relax();
    }
    assert!(!desk.port.is_quiet(), "somebody has to delete it");
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::UntilReset);
    let list = Request { nodes, ..set(number::UPDATE_SA, []) };
    desk.port.submit(numbered(2, list));
    desk.port.remove();
    let told: Vec<_> = desk.completions().iter().map(|done| (done.id, done.status)).collect();
    assert_eq!(told, [(1, NdisStatus::REQUEST_ABORTED), (2, NdisStatus::NOT_ACCEPTED)]);
    desk.port.poll();
    assert!(desk.port.is_quiet(), "nothing is left to do");
}

fn after_a_removal_it_stays_removed<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    desk.port.remove();
    desk.port.pause();
    desk.port.restart();
    let _ = desk.port.halt(Instant::now());
    assert_eq!(desk.update(sa, ESP, 1, 1), NdisStatus::NOT_ACCEPTED);
    assert_eq!(desk.run(parameters(1)).status, NdisStatus::NOT_ACCEPTED, "configuration, too");
    assert_eq!(desk.port.reset(Verify::All), Err(Error::Gone));
    drop(desk);
    // And what is closed stays closed.
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    desk.port.halt(Instant::now() + Duration::from_secs(20)).unwrap();
    assert_eq!(desk.port.manager().stats().keys, 0, "the device, too");
    desk.port.remove();
    assert_eq!(desk.update(sa, ESP, 1, 1), NdisStatus::CLOSING);
    assert_eq!(desk.port.reset(Verify::All), Err(Error::Closed));
    assert_eq!(desk.update(sa, ESP, 1, 1), NdisStatus::CLOSING);
    assert_eq!(desk.indications(), [], "no reset has begun");
}

fn a_table_that_its_owner_closed_takes_nothing<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    // Not by way of the port, as a reset of the owner's would be.
    desk.port.manager().close().unwrap();
    let done = desk.run(set(number::ADD_SA, [Add::esp(2).bytes()]));
    assert_eq!((done.status, handle_of(&done, 0)), (NdisStatus::RESET_IN_PROGRESS, 0));
    assert!([SUCCESS, NdisStatus::NOT_ACCEPTED].contains(&desk.delete(sa)));
}

fn a_dropped_port_aborts_what_is_outstanding<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    for id in 1..=40 {
        desk.port.submit(numbered(id, set(number::UPDATE_SA, [update_sa(sa, ESP, 1, 1)])));
    }
    desk.port.submit(numbered(41, set(number::ADD_SA, [Add::esp(2).bytes()])));
    let Desk { port, told, link } = desk;
    let other = port.clone();
    drop(port);
    assert_eq!(other.outstanding(), 41, "a clone is the same port");
    drop(other);
    let all = told.take_completions();
    assert_eq!(all.iter().map(|done| done.id).collect::<Vec<_>>(), (1..=41).collect::<Vec<_>>());
    assert!(all.iter().all(|done| done.status == NdisStatus::REQUEST_ABORTED));
    drop(link);
}

fn a_request_that_meets_the_end_is_completed<B: Backend>() {
    for round in 0..rounds(20) {
        let desk = Desk::<B>::new();
        // It takes a while to read so many, of which none is there.
        let nodes = (0..1 << 16).map(|n| update_sa(n, ESP, 1, 1).into()).collect();
        let request = Request { nodes, ..set(number::UPDATE_SA, []) };
        let go = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                go.wait();
                desk.port.submit(request);
            });
            go.wait();
            std::thread::sleep(Duration::from_micros(200 * u64::from(round)));
            desk.port.remove();
        });
        let all = desk.completions();
        assert_eq!(all.len(), 1, "round {round}");
        let ends = [NdisStatus::NOT_ACCEPTED, NdisStatus::INVALID_PARAMETER];
        assert!(ends.contains(&all[0].status), "{:?}", all[0].status);
        assert_eq!(desk.port.outstanding(), 0);
    }
}

fn nothing_begins_once_a_reset_has<B: Backend>() {
    /// When a reset begins, lets the device do what it has, and polls.
    struct Helper<B: Backend> {
        way: OnceLock<(Port<Link<B>>, Link<B>)>,
        seen: Mutex<Vec<Completion>>,
    }
    impl<B: Backend> Host for Helper<B> {
        fn complete(&self, done: Completion) {
            self.seen.lock().unwrap().push(done);
        }
        fn indicate(&self, indication: Indication) {
            let Some((port, link)) = self.way.get() else { return };
            if indication.status == indication::RESET_START {
                B::misbehave(link.device(), |faults| faults.stuck = Stuck::No);
                let deadline = Instant::now() + Duration::from_secs(20);
                while port.manager().in_flight() > 0 && Instant::now() < deadline {
                    port.poll();
                    link.relax();
                }
            }
        }
    }
    let (manager, link) = open::<B>(small(), config());
    let helper = Arc::new(Helper::<B> { way: OnceLock::new(), seen: Mutex::default() });
    let port = Port::new(manager, options(), helper.clone()).unwrap();
    port.submit(set(number::ADD_SA, [Add::esp(1).bytes()]));
    assert!(port.wait_idle(Instant::now() + Duration::from_secs(20)));
    let sa = handle_of(&std::mem::take(&mut *helper.seen.lock().unwrap())[0], 0);
    misbehave!(B, link, |faults| faults.stuck = Stuck::UntilReset);
    for id in 1..=40 {
        let node = update_sa(sa, ESP, 1, id as u32);
        port.submit(numbered(id, set(number::UPDATE_SA, [node])));
    }
    let begun = port.manager().in_flight();
    assert!(helper.way.set((port.clone(), link)).is_ok());
    port.reset(Verify::All).unwrap();
    let seen = std::mem::take(&mut *helper.seen.lock().unwrap());
    assert_eq!(seen.len(), 40);
    let done = seen.iter().filter(|done| done.status == SUCCESS).count();
    assert_eq!(done, begun as usize, "what had begun, and no other");
    let aborted = seen.iter().filter(|done| done.status == NdisStatus::REQUEST_ABORTED).count();
    assert_eq!(aborted, 40 - begun as usize);
    assert_eq!(port.manager().read_table().unwrap()[0].top.hi(), begun);
    port.remove();
}
