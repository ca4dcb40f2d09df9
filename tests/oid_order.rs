// SPDX-License-Identifier: Apache-2.0 OR MIT
//! IPsecOV2 requests that meet: on one SA, with resets and ends of the port, and from within completions.

#[macro_use]
mod support;

use esnic_driver::NdisStatus;
use esnic_driver::oid::{Completion, Host, Options, Port, Request, number};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, OnceLock};
use support::oids::{Add, Desk, ESP, delete_sa, handle_of, numbered, options, set, update_sa};
use support::*;

const SUCCESS: NdisStatus = NdisStatus::SUCCESS;
const ABORTED: NdisStatus = NdisStatus::REQUEST_ABORTED;

fn update(id: u64, handle: u64, spi: u32, hi: u32) -> Request {
    numbered(id, set(number::UPDATE_SA, [update_sa(handle, ESP, spi, hi)]))
}

fn delete(id: u64, handle: u64) -> Request {
    numbered(id, set(number::DELETE_SA, [delete_sa(handle)]))
}

/// Ids and statuses, by id.
fn ends(mut all: Vec<Completion>) -> Vec<(u64, NdisStatus)> {
    all.sort_by_key(|done| done.id);
    all.iter().map(|done| (done.id, done.status)).collect()
}

/// Polls until `count` completions were told.
#[track_caller]
fn told<B: Backend>(desk: &Desk<B>, count: usize) -> Vec<Completion> {
    let (mut all, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(30));
    while all.len() < count {
        desk.port.poll();
        desk.link.relax();
        all.extend(desk.completions());
        assert!(Instant::now() < deadline, "{} of {count} were told", all.len());
    }
    all
}

fn a_repeated_deletion_ends_with_the_first<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    desk.port.submit(delete(1, sa));
    desk.port.cancel(1);
    assert_eq!(ends(desk.completions()), [(1, ABORTED)]);
    desk.port.submit(delete(2, sa));
    desk.port.submit(numbered(3, set(number::DELETE_SA, [delete_sa(sa), delete_sa(sa)])));
    desk.port.submit(delete(4, sa));
    desk.port.cancel(4);
    desk.port.poll();
    assert_eq!(ends(desk.completions()), [(4, ABORTED)], "the row is there, so nothing has ended");
    assert_eq!(desk.table(), [(1, 0)]);
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::No);
    assert_eq!(ends(desk.wait()), [(2, SUCCESS), (3, SUCCESS)]);
    assert_eq!(desk.table(), []);
    assert_ne!(desk.add(&Add::esp(1)), 0, "what SUCCESS has deleted is in nobody's way");
    desk.assert_clean();
}

fn a_repeated_deletion_ends_as_the_first<B: Backend>() {
    let desk = Desk::<B>::new();
    let sas = [1, 2].map(|n| desk.add(&Add::esp(n)));
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    desk.port.submit(delete(1, sas[0]));
    desk.port.submit(delete(2, sas[0]));
    desk.port.reset(Verify::All).unwrap();
    assert_eq!(ends(desk.completions()), [(1, ABORTED), (2, ABORTED)]);
    assert_eq!(desk.table(), [(2, 0)]);
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::UntilReset);
    desk.port.submit(delete(3, sas[1]));
    desk.port.submit(delete(4, sas[1]));
    desk.port.remove();
    let gone = NdisStatus::NOT_ACCEPTED;
    assert_eq!(ends(desk.completions()), [(3, gone), (4, gone)]);
}

fn one_busy_sa_holds_up_no_other<B: Backend>() {
    let desk = Desk::<B>::new();
    let [a, b] = [1, 2].map(|n| desk.add(&Add::esp(n)));
    // By the direct path, which takes one command of an SA at a time.
    misbehave!(B, desk.link, |faults| faults.drop_completion = Trigger::next());
    desk.port.submit(update(1, a, 1, 1));
    desk.port.submit(update(2, a, 1, 2));
    desk.port.submit(update(3, b, 2, 3));
    assert_eq!(ends(told(&desk, 1)), [(3, SUCCESS)]);
    // What names both waits for both, and nothing overtakes it.
    let both = [update_sa(a, ESP, 1, 4), update_sa(b, ESP, 2, 4)];
    desk.port.submit(numbered(4, set(number::UPDATE_SA, both)));
    desk.port.submit(update(5, b, 2, 5));
    desk.port.submit(delete(6, b));
    for _ in 0..100 {
        desk.port.poll();
        desk.link.relax();
    }
    assert_eq!((ends(desk.completions()), desk.port.outstanding()), (vec![], 5));
    // One that waits may be cancelled, and is in nobody's way then.
    desk.port.cancel(4);
    assert_eq!(ends(told(&desk, 3)), [(4, ABORTED), (5, SUCCESS), (6, SUCCESS)]);
    assert_eq!(desk.table(), [(1, 1)], "nothing of what was cancelled has happened");
    desk.port.reset(Verify::All).unwrap();
    assert_eq!(ends(desk.completions()), [(1, ABORTED), (2, ABORTED)]);
    assert_eq!(desk.update(a, ESP, 1, 7), SUCCESS);
    desk.assert_clean();
}

fn requests_keep_their_order_behind_a_busy_sa<B: Backend>() {
    let desk = Desk::<B>::new();
    let [a, b, c] = [1, 2, 3].map(|n| desk.add(&Add::esp(n)));
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    desk.port.submit(update(1, a, 1, 1));
    desk.port.submit(update(2, a, 1, 2));
    let list = [(b, 2), (a, 1), (c, 3)].map(|(sa, spi)| update_sa(sa, ESP, spi, 3));
    desk.port.submit(numbered(3, set(number::UPDATE_SA, list)));
    desk.port.submit(update(4, c, 3, 4));
    desk.port.submit(update(5, b, 2, 5));
    // Twice in one list, and once more behind it.
    desk.port.submit(numbered(6, set(number::DELETE_SA, [a, c, a].map(delete_sa))));
    desk.port.submit(update(7, a, 1, 7));
    desk.port.submit(update(8, b, 2, 8));
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::No);
    let wanted =
        (1..=8).map(|id| (id, if id == 7 { NdisStatus::INVALID_PARAMETER } else { SUCCESS }));
    assert_eq!(ends(desk.wait()), wanted.collect::<Vec<_>>());
    assert_eq!(desk.table(), [(2, 8)]);
    desk.assert_clean();
}

fn lists_that_name_the_same_sas_crosswise_go_on<B: Backend>() {
    let desk = Desk::<B>::new();
    let [a, b] = [1, 2].map(|n| desk.add(&Add::esp(n)));
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    desk.port.submit(update(1, a, 1, 1));
    desk.port.submit(update(2, a, 1, 2));
    desk.port.submit(update(3, b, 2, 3));
    desk.port.submit(update(4, b, 2, 4));
    // The first names one twice, and both name both, in another order.
    desk.port.submit(numbered(5, set(number::DELETE_SA, [a, b, a, b].map(delete_sa))));
    desk.port.submit(numbered(6, set(number::DELETE_SA, [b, a, b].map(delete_sa))));
    desk.port.submit(numbered(7, set(number::DELETE_SA, [a, a, b].map(delete_sa))));
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::No);
    assert_eq!(ends(desk.wait()), (1..=7).map(|id| (id, SUCCESS)).collect::<Vec<_>>());
    desk.assert_clean();
}

fn an_update_does_not_depend_on_a_doubtful_one<B: Backend>() {
    let patience = Duration::from_secs(3);
    let desk = Desk::<B>::with(small(), config(), Options { patience, ..options() });
    // In order behind the doubtful one.
    desk.port.manager().set_path_policy(PathPolicy::Ring);
    let sa = desk.add(&Add::esp(1));
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    assert_eq!(desk.run(update(1, sa, 1, 6)).status, NdisStatus::FAILURE);
    (2..5).for_each(|id| desk.port.submit(update(id, sa, 1, id as u32 + 5)));
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::No);
    assert_eq!(ends(desk.wait()), [(2, SUCCESS), (3, SUCCESS), (4, SUCCESS)]);
    assert_eq!(desk.table(), [(1, 9)]);
    desk.assert_clean();
}

fn a_repeated_update_does_not_pull_the_device_back<B: Backend>() {
    // U16, R36: the device did it, nobody knows, and traffic has taken it to the next half.
    let patience = Duration::from_secs(3);
    let desk = Desk::<B>::with(small(), config(), Options { patience, ..options() });
    desk.port.manager().set_path_policy(PathPolicy::Ring);
    let sa = desk.add(&Add::esp(1));
    misbehave!(B, desk.link, |faults| faults.drop_completion = Trigger::always());
    assert_eq!(desk.run(update(1, sa, 1, 1)).status, NdisStatus::FAILURE);
    for seq in [0x7FFF_FFFF, 0xFFFF_FFF0, 5] {
        drop(desk.port.manager().resolve(SaHandle::from_bits(sa), seq, true).unwrap());
    }
    let_it_run::<B>(&desk.link);
    B::misbehave(desk.link.device(), |faults| faults.drop_completion = Trigger::Never);
    assert_eq!(desk.run(update(2, sa, 1, 1)).status, NdisStatus::FAILURE);
    assert_eq!(desk.table(), [(1, 2)]);
    assert_eq!(desk.run(update(3, sa, 1, 3)).status, SUCCESS);
    assert_eq!(desk.table(), [(1, 3)]);
}

fn a_dropped_port_leaves_no_sa_without_an_owner<B: Backend>() {
    let desk = Desk::<B>::new();
    let kept = desk.add(&Add::esp(1));
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    for n in 2..5 {
        desk.port.submit(numbered(n.into(), set(number::ADD_SA, [Add::bundle(n, n).bytes()])));
    }
    let Desk { port, link, told } = desk;
    let manager = port.manager().clone();
    drop(port);
    assert_eq!(ends(told.take_completions()), [(2, ABORTED), (3, ABORTED), (4, ABORTED)]);
    B::misbehave(link.device(), |faults| faults.stuck = Stuck::No);
    let deadline = Instant::now() + Duration::from_secs(30);
    while manager.stats().keys > 1 || manager.in_flight() > 0 {
        manager.poll();
        link.relax();
        assert!(Instant::now() < deadline, "{:?}", manager.stats());
    }
    let rows: Vec<_> = manager.read_table().unwrap().iter().map(|row| row.handle).collect();
    assert_eq!(rows, [SaHandle::from_bits(kept)], "only what somebody has a handle of");
}

fn what_a_port_had_still_to_delete_goes_with_it<B: Backend>() {
    let desk = Desk::<B>::new();
    let kept = desk.add(&Add::esp(1));
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    desk.port.submit(numbered(2, set(number::ADD_SA, [Add::bundle(2, 2).bytes()])));
    desk.port.cancel(2);
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::No);
    let Desk { port, link, .. } = desk;
    let manager = port.manager().clone();
    let calm = |most| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while manager.stats().keys > most || manager.in_flight() > 0 {
            manager.poll();
            // A served device that was told to work again may sleep until somebody looks at it.
            assert_eq!(manager.check(), Ok(()));
            link.relax();
            assert!(Instant::now() < deadline, "{:?}", manager.stats());
        }
    };
    // The device has added it, and the port has not been polled since.
    calm(3);
    assert_eq!(manager.read_table().unwrap().len(), 3);
    drop(port);
    calm(1);
    let rows: Vec<_> = manager.read_table().unwrap().iter().map(|row| row.handle).collect();
    assert_eq!(rows, [SaHandle::from_bits(kept)]);
}

fn a_device_that_is_pulled_out_ends_everything<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    misbehave!(B, desk.link, |faults| faults.gone = true);
    (1..9).for_each(|id| desk.port.submit(update(id, sa, 1, 1)));
    desk.port.submit(delete(9, sa));
    let all = told(&desk, 9);
    assert!(all.iter().all(|done| done.status == NdisStatus::NOT_ACCEPTED), "{all:?}");
    assert_eq!(desk.update(sa, ESP, 1, 1), NdisStatus::NOT_ACCEPTED);
    assert_eq!(desk.port.reset(Verify::All), Err(esnic_driver::Error::Gone));
    assert_eq!(desk.port.manager().stats().keys, 0, "the keys are wiped");
}

fn nothing_is_lost_between_resets_and_the_end<B: Backend>() {
    let desk = Desk::<B>::with(small(), Config { queue_pairs: 2, ..config() }, options());
    let sas: Vec<_> = (1..=3).map(|n| desk.add(&Add::esp(n))).collect();
    let submitted = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    let (port, link) = (&desk.port, &desk.link);
    std::thread::scope(|scope| {
        for (n, &sa) in (1..).zip(&sas) {
            let (submitted, over) = (&submitted, &over);
            scope.spawn(move || {
                for hi in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let id = submitted.fetch_add(1, Ordering::Relaxed) + 1;
                    match hi % 8 {
                        7 => port.submit(numbered(id, set(number::ADD_SA, [Add::esp(n).bytes()]))),
                        _ => port.submit(update(id, sa, n, hi)),
                    }
                    if hi % 5 == 0 {
                        port.cancel(id);
                    }
                    port.poll();
                    while port.outstanding() > 200 {
                        port.poll();
                        link.relax();
                    }
                }
            });
        }
        for _ in 0..rounds(20) {
            // Of two at once, one is told.
            let other = scope.spawn(|| port.reset(Verify::Sample));
            let ended = [port.reset(Verify::Sample), other.join().unwrap()];
            assert!(ended.iter().any(Result::is_ok), "{ended:?}");
        }
        port.halt(Instant::now() + Duration::from_secs(30)).unwrap();
        over.store(true, Ordering::Relaxed);
    });
    let mut ids: Vec<_> = desk.completions().iter().map(|done| done.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=submitted.load(Ordering::Relaxed)).collect::<Vec<_>>(), "each once");
    assert_eq!(desk.port.outstanding(), 0);
}

/// Submits, cancels and polls from within.
struct Chain<B: Backend> {
    port: OnceLock<Port<Link<B>>>,
    sa: OnceLock<u64>,
    told: Mutex<Vec<Completion>>,
}

const ADDED: u64 = 500;
const PANICS: u64 = 600;

impl<B: Backend> Host for Chain<B> {
    fn complete(&self, done: Completion) {
        let (id, status) = (done.id, done.status);
        if id == ADDED {
            self.sa.set(handle_of(&done, 0)).unwrap();
            return;
        }
        self.told.lock().unwrap().push(done);
        if id < 30 && status == SUCCESS {
            let (port, sa) = (self.port.get().unwrap(), *self.sa.get().unwrap());
            port.submit(update(id + 1, sa, 1, id as u32 + 1));
            port.submit(update(100 + id, sa, 2, 0));
            port.submit(update(200 + id, sa, 1, 0));
            port.cancel(200 + id);
            port.poll();
        }
        assert_ne!(id, PANICS, "planned");
    }
}

fn a_completion_may_submit_cancel_and_poll<B: Backend>() {
    let (manager, _link) = open::<B>(small(), config());
    let chain =
        Arc::new(Chain::<B> { port: OnceLock::new(), sa: OnceLock::new(), told: Mutex::default() });
    let port = Port::new(manager, options(), chain.clone()).unwrap();
    assert!(chain.port.set(port.clone()).is_ok());
    let soon = || Instant::now() + Duration::from_secs(30);
    port.submit(numbered(ADDED, set(number::ADD_SA, [Add::esp(1).bytes()])));
    assert!(port.wait_idle(soon()));
    let sa = *chain.sa.get().unwrap();
    port.submit(update(1, sa, 1, 1));
    assert!(port.wait_idle(soon()));
    let all = ends(std::mem::take(&mut *chain.told.lock().unwrap()));
    let of = |range: std::ops::Range<u64>| all.iter().filter(move |(id, _)| range.contains(id));
    assert!(of(1..31).all(|(_, status)| *status == SUCCESS) && of(1..31).count() == 30, "{all:?}");
    assert!(of(100..130).all(|(_, status)| *status == NdisStatus::INVALID_PARAMETER), "{all:?}");
    // Some were done before they could be cancelled.
    assert!(of(200..230).all(|(_, status)| [SUCCESS, ABORTED].contains(status)), "{all:?}");
    assert_eq!(all.len(), 30 + 29 + 29, "each once: {all:?}");
    // A host that panics is told no more of that request, and of all others as ever.
    let caught = catch_unwind(AssertUnwindSafe(|| port.submit(update(PANICS, sa, 2, 0))));
    assert!(caught.is_err());
    port.submit(update(31, sa, 1, 77));
    assert!(port.wait_idle(soon()));
    let all = ends(std::mem::take(&mut *chain.told.lock().unwrap()));
    assert_eq!(all, [(31, SUCCESS), (PANICS, NdisStatus::INVALID_PARAMETER)]);
    assert_eq!(port.manager().read_table().unwrap()[0].top.hi(), 77);
    port.remove();
}

on_every_backend!(
    a_repeated_deletion_ends_with_the_first,
    a_repeated_deletion_ends_as_the_first,
    one_busy_sa_holds_up_no_other,
    requests_keep_their_order_behind_a_busy_sa,
    lists_that_name_the_same_sas_crosswise_go_on,
    an_update_does_not_depend_on_a_doubtful_one,
    a_repeated_update_does_not_pull_the_device_back,
    a_dropped_port_leaves_no_sa_without_an_owner,
    what_a_port_had_still_to_delete_goes_with_it,
    a_device_that_is_pulled_out_ends_everything,
    nothing_is_lost_between_resets_and_the_end,
    a_completion_may_submit_cancel_and_poll,
);
