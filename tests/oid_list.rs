// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lists that are longer than the rings, cancelled when some of their entries have ended, some are under way
//! and some wait; and what is behind them in the queue.

#[macro_use]
mod support;

use esnic_driver::NdisStatus;
use esnic_driver::oid::{Request, number};
use support::oids::*;
use support::*;

on_every_backend!(
    a_list_of_adds_that_waits_for_room_is_added_whole,
    a_cancelled_list_of_adds_is_undone,
    the_rest_of_a_cancelled_list_of_adds_is_not_begun,
    a_cancelled_list_of_updates_deletes_nothing,
    a_cancelled_list_of_deletions_goes_on,
    what_had_not_begun_is_dropped,
    a_cancel_that_comes_twice_is_told_once,
    a_cancel_meets_requests_on_their_way,
    two_deletions_of_one_sa_both_succeed,
    what_ends_together_ends_in_order,
    refusals_take_no_room,
    a_list_has_an_end,
    a_port_is_quiet_when_all_of_it_is_over,
);

const SUCCESS: NdisStatus = NdisStatus::SUCCESS;
const ABORTED: NdisStatus = NdisStatus::REQUEST_ABORTED;

/// More than the rings hold.
const MANY: u32 = 30;

fn list(oid: u32, nodes: impl IntoIterator<Item = Vec<u8>>) -> Request {
    Request { nodes: nodes.into_iter().map(Into::into).collect(), ..set(oid, []) }
}

fn adds() -> Request {
    list(number::ADD_SA, (1..=MANY).map(|spi| Add::esp(spi).bytes()))
}

/// Takes completions of what the device has, without submitting what waits in the port's queue.
fn settle<B: Backend>(desk: &Desk<B>) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while desk.port.manager().in_flight() > 0 {
        desk.port.manager().poll();
        // A served device that was told to work again may sleep until somebody looks at it.
        assert_eq!(desk.port.manager().check(), Ok(()));
        desk.link.relax();
        assert!(Instant::now() < deadline, "it hangs");
    }
}

fn spis<B: Backend>(desk: &Desk<B>) -> Vec<u32> {
    let mut all: Vec<u32> = desk.table().iter().map(|row| row.0).collect();
    all.sort_unstable();
    all
}

fn a_list_of_adds_that_waits_for_room_is_added_whole<B: Backend>() {
    let desk = Desk::<B>::new();
    let done = desk.run(adds());
    assert_eq!(done.status, SUCCESS);
    let handles: Vec<u64> = (0..MANY as usize).map(|k| handle_of(&done, k)).collect();
    assert!(handles.iter().all(|&handle| handle != 0), "{handles:x?}");
    assert_eq!(spis(&desk), (1..=MANY).collect::<Vec<_>>());
    let done = desk.run(list(number::DELETE_SA, handles.into_iter().map(delete_sa)));
    assert_eq!((done.status, desk.table()), (SUCCESS, vec![]));
    desk.assert_clean();
}

fn a_cancelled_list_of_adds_is_undone<B: Backend>() {
    let desk = Desk::<B>::new();
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    desk.port.submit(numbered(1, adds()));
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::No);
    settle(&desk);
    assert!(!desk.table().is_empty(), "some of it is done");
    desk.port.cancel(1);
    let all = desk.completions();
    assert_eq!((all.len(), all[0].status), (1, ABORTED));
    assert!((0..MANY as usize).all(|k| handle_of(&all[0], k) == 0), "and nobody has a handle");
    desk.quiet();
    assert_eq!(desk.table(), []);
    assert_eq!(desk.run(adds()).status, SUCCESS, "SPIs and places are free again");
    assert_eq!(desk.table().len(), MANY as usize);
    desk.assert_clean();
}

fn the_rest_of_a_cancelled_list_of_adds_is_not_begun<B: Backend>() {
    let desk = Desk::<B>::new();
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    desk.port.submit(numbered(1, adds()));
    desk.port.cancel(1);
    assert_eq!(desk.completions().len(), 1);
    // The last of its SPIs is not taken: this ADD is behind that list in the queue.
    desk.port.submit(numbered(2, set(number::ADD_SA, [Add::esp(MANY).bytes()])));
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::No);
    assert_eq!(desk.wait()[0].status, SUCCESS);
    desk.quiet();
    assert_eq!(desk.table(), [(MANY, 0)]);
}

fn a_cancelled_list_of_updates_deletes_nothing<B: Backend>() {
    let desk = Desk::<B>::new();
    let done = desk.run(adds());
    let updates = (1..=MANY).map(|n| update_sa(handle_of(&done, n as usize - 1), ESP, n, 4));
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    desk.port.submit(numbered(1, list(number::UPDATE_SA, updates)));
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::No);
    settle(&desk);
    desk.port.cancel(1);
    assert_eq!(desk.wait()[0].status, ABORTED);
    desk.quiet();
    // It had begun, so it is done as a whole, and what it was done to is there.
    let mut table = desk.table();
    table.sort_unstable();
    assert_eq!(table, (1..=MANY).map(|n| (n, 4)).collect::<Vec<_>>());
    assert_eq!(desk.update(handle_of(&done, 0), ESP, 1, 5), SUCCESS);
    desk.assert_clean();
}

fn a_cancelled_list_of_deletions_goes_on<B: Backend>() {
    let desk = Desk::<B>::new();
    let done = desk.run(adds());
    let handles = (0..MANY as usize).map(|k| handle_of(&done, k));
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    desk.port.submit(numbered(1, list(number::DELETE_SA, handles.map(delete_sa))));
    desk.port.cancel(1);
    assert_eq!(desk.completions()[0].status, ABORTED);
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::No);
    desk.quiet();
    assert_eq!(desk.table(), [], "what was begun cannot be undone");
    desk.assert_clean();
}

fn what_had_not_begun_is_dropped<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    let other = desk.add(&Add::esp(2));
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    // Nothing gets past these.
    for hi in 1..=100 {
        desk.port.submit(set(number::UPDATE_SA, [update_sa(sa, ESP, 1, hi)]));
    }
    let nodes = [update_sa(sa, ESP, 1, 999), update_sa(other, ESP, 2, 999)];
    desk.port.submit(numbered(1, set(number::UPDATE_SA, nodes)));
    desk.port.submit(numbered(1, set(number::DELETE_SA, [delete_sa(other)])));
    desk.port.submit(numbered(1, set(number::ADD_SA, [Add::esp(3).bytes()])));
    desk.port.cancel(1);
    assert_eq!(desk.completions().len(), 3);
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::No);
    assert_eq!(desk.wait().len(), 100);
    desk.quiet();
    assert_eq!(desk.table(), [(1, 100), (2, 0)]);
    assert_eq!(desk.delete(other), SUCCESS);
    desk.assert_clean();
}

fn a_cancel_that_comes_twice_is_told_once<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    desk.port.submit(numbered(1, set(number::UPDATE_SA, [update_sa(sa, ESP, 1, 1)])));
    desk.port.cancel(1);
    desk.port.cancel(1);
    assert_eq!(desk.completions().len(), 1);
    assert_eq!(desk.port.outstanding(), 0);
    // It goes on, and a removal has nothing to tell of it.
    assert!(!desk.port.is_quiet());
    desk.port.remove();
    assert_eq!(desk.completions(), []);
}

fn a_cancel_meets_requests_on_their_way<B: Backend>() {
    let desk = Desk::<B>::new();
    let each = rounds(400);
    let now = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while now.load(Ordering::Relaxed) < u64::MAX {
                desk.port.cancel(now.load(Ordering::Relaxed));
            }
        });
        for n in 1..=each {
            now.store(n.into(), Ordering::Relaxed);
            let nodes = [Add::esp(3 * n).bytes(), Add::bundle(3 * n + 1, 3 * n + 2).bytes()];
            desk.port.submit(numbered(n.into(), set(number::ADD_SA, nodes)));
            let all = desk.wait();
            assert_eq!(all.len(), 1, "{n}: once");
            assert!([SUCCESS, ABORTED].contains(&all[0].status), "{:?}", all[0].status);
            let given = [0, 1].map(|k| handle_of(&all[0], k));
            assert!(given.iter().all(|&handle| (handle != 0) == (all[0].status == SUCCESS)));
            // By number 0, which no cancel means.
            desk.port.submit(set(number::DELETE_SA, given.map(delete_sa)));
            assert_eq!(desk.wait()[0].status, SUCCESS);
        }
        now.store(u64::MAX, Ordering::Relaxed);
    });
    // Nothing is left that nobody knows of, in the device or of room.
    desk.quiet();
    assert_eq!(desk.table(), []);
    let most = desk.port.manager().bundle_capacity() as u32;
    (1..=most).for_each(|n| assert_ne!(desk.add(&Add::esp(n)), 0));
    desk.assert_clean();
}

fn two_deletions_of_one_sa_both_succeed<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    // Nobody polls: the second meets an SA that is on its way out.
    desk.port.submit(set(number::DELETE_SA, [delete_sa(sa)]));
    desk.port.submit(set(number::DELETE_SA, [delete_sa(sa)]));
    let all = desk.wait();
    assert_eq!(all.iter().map(|done| done.status).collect::<Vec<_>>(), [SUCCESS; 2]);
    // And within one list.
    let sa = desk.add(&Add::esp(1));
    let done = desk.run(set(number::DELETE_SA, [delete_sa(sa), delete_sa(sa)]));
    assert_eq!((done.status, desk.table()), (SUCCESS, vec![]));
    desk.assert_clean();
}

fn what_ends_together_ends_in_order<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    let submit = || {
        for id in 1..=40 {
            let hi = id as u32;
            desk.port.submit(numbered(id, set(number::UPDATE_SA, [update_sa(sa, ESP, 1, hi)])));
        }
    };
    let in_order = || {
        let ids: Vec<u64> = desk.completions().iter().map(|done| done.id).collect();
        assert_eq!(ids, (1..=40).collect::<Vec<_>>());
    };
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    submit();
    desk.port.reset(Verify::All).unwrap();
    in_order();
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::UntilReset);
    submit();
    desk.port.remove();
    in_order();
}

fn refusals_take_no_room<B: Backend>() {
    let desk = Desk::<B>::new();
    let most = desk.port.manager().bundle_capacity() as u32;
    let sa = desk.add(&Add::esp(1));
    for _ in 0..=most {
        let done = desk.run(set(number::ADD_SA, [Add::esp(1).bytes()]));
        assert_eq!(done.status, NdisStatus::INVALID_PARAMETER, "it is there already");
    }
    for n in 2..=most {
        desk.add(&Add::esp(n));
    }
    assert_eq!(desk.delete(sa), SUCCESS);
    assert_ne!(desk.add(&Add::esp(1)), 0);
    desk.assert_clean();
}

fn a_list_has_an_end<B: Backend>() {
    let desk = Desk::<B>::new();
    // As many as a command's number has room for; the handles are nobody's.
    let most = 1 << 16;
    for (len, status) in
        [(most, NdisStatus::INVALID_PARAMETER), (most + 1, NdisStatus::INVALID_DATA)]
    {
        let nodes = (0..len).map(|n| update_sa(n, ESP, 1, 1));
        assert_eq!(desk.run(list(number::UPDATE_SA, nodes)).status, status, "{len}");
    }
}

fn a_port_is_quiet_when_all_of_it_is_over<B: Backend>() {
    let desk = Desk::<B>::new();
    assert!(desk.port.is_quiet());
    let sa = desk.add(&Add::esp(1));
    assert!(desk.port.is_quiet());
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    // A command of the manager's owner is something, too.
    let ticket = desk.port.manager().query(SaHandle::from_bits(sa)).unwrap();
    assert!(!desk.port.is_quiet());
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::No);
    done(&ticket);
    assert!(desk.port.is_quiet());
    // One that waits in the queue, and nothing under way.
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::UntilReset);
    desk.port.submit(numbered(1, adds()));
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::No);
    settle(&desk);
    assert_eq!(desk.port.manager().in_flight(), 0);
    assert!(!desk.port.is_quiet());
    assert_eq!(desk.wait()[0].status, SUCCESS);
    assert!(desk.port.is_quiet());
}
