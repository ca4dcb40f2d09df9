// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The rules of direct requests, a test a row (docs/ipsecov2.md, G1 to G18).

#[macro_use]
mod support;

use esnic_driver::NdisStatus;
use esnic_driver::oid::{
    Completion, Host, Indication, Kind, Options, Port, Request, indication, number,
};
use std::sync::{Mutex, OnceLock};
use support::oids::*;
use support::*;

on_every_backend!(
    g01_submit_cancel_and_completion_are_there,
    g02_any_number_is_outstanding_from_any_thread,
    g03_submit_never_waits_for_the_device,
    g04_each_request_is_completed_once_and_never_as_pending,
    g05_a_completion_may_come_before_submit_returns,
    g06_a_cancel_ends_what_has_not_ended,
    g07_what_was_cancelled_happened_as_a_whole_or_not_at_all,
    g08_a_lost_completion_ends_as_failure,
    g09_a_short_buffer_is_told_its_length,
    g10_revision_and_size_are_checked_first,
    g11_success_tells_bytes_and_revision,
    g12_unknown_and_unsupported_are_told_apart,
    g13_no_status_asks_for_an_indication,
    g14_the_same_number_as_query_or_method_is_refused,
    g15_during_a_reset_nothing_begins_and_all_that_began_ends,
    g16_without_a_device_everything_ends_at_once,
    g17_halting_waits_for_what_is_outstanding,
    g18_paused_is_no_reason_to_refuse,
);

const SUCCESS: NdisStatus = NdisStatus::SUCCESS;

fn g01_submit_cancel_and_completion_are_there<B: Backend>() {
    let desk = Desk::<B>::new();
    desk.port.submit(numbered(7, set(number::ADD_SA, [Add::esp(1).bytes()])));
    desk.port.cancel(7);
    let all = desk.wait();
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].id, all[0].oid), (7, number::ADD_SA));
    desk.assert_clean();
}

fn g02_any_number_is_outstanding_from_any_thread<B: Backend>() {
    const THREADS: u32 = 4;
    let each = rounds(100).max(8);
    let desk = Desk::<B>::new();
    let handles: Vec<u64> = (1..=THREADS).map(|n| desk.add(&Add::esp(n))).collect();
    let port = &desk.port;
    std::thread::scope(|scope| {
        for (n, &handle) in (1..).zip(&handles) {
            scope.spawn(move || {
                for hi in 1..=each {
                    let request = set(number::UPDATE_SA, [update_sa(handle, ESP, n, hi)]);
                    port.submit(numbered(u64::from(n) << 32 | u64::from(hi), request));
                }
            });
        }
    });
    let all = desk.wait();
    assert_eq!(all.len(), (THREADS * each) as usize);
    let ids: std::collections::HashSet<u64> = all.iter().map(|done| done.id).collect();
    assert_eq!(ids.len(), all.len(), "each once");
    assert!(all.iter().all(|done| done.status == SUCCESS));
    // What each thread submitted last is what holds.
    let wanted: Vec<_> = (1..=THREADS).map(|n| (n, each)).collect();
    assert_eq!(desk.table(), wanted);
    desk.assert_clean();
}

fn g03_submit_never_waits_for_the_device<B: Backend>() {
    let desk = Desk::<B>::new();
    let handle = desk.add(&Add::esp(1));
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    let begun = Instant::now();
    // Far more than the rings hold.
    for hi in 0..200 {
        desk.port.submit(set(number::UPDATE_SA, [update_sa(handle, ESP, 1, hi)]));
    }
    // A single wait would be as long as the patience, 20 s.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(desk.completions(), [], "and nothing is told that has not happened");
    assert_eq!(desk.port.outstanding(), 200);
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::No);
    let all = desk.wait();
    assert_eq!(all.len(), 200);
    assert!(all.iter().all(|done| done.status == SUCCESS));
    assert_eq!(desk.table(), [(1, 199)]);
}

fn g04_each_request_is_completed_once_and_never_as_pending<B: Backend>() {
    let desk = Desk::<B>::new();
    let mut wanted = 0;
    let mut random = fastrand::Rng::with_seed(4);
    for n in 1..=rounds(400).max(40) {
        let request = match random.u8(..4) {
            0 => set(number::ADD_SA, [Add::esp(n).bytes()]),
            1 => set(number::UPDATE_SA, [update_sa(random.u64(1 << 32..1 << 33), ESP, n, n)]),
            2 => set(number::DELETE_SA, [delete_sa(random.u64(1 << 32..1 << 33))]),
            _ => set(number::UPDATE_SA, [vec![0; random.usize(..40)]]),
        };
        desk.port.submit(numbered(n.into(), request));
        wanted += 1;
        if random.u8(..8) == 0 {
            desk.port.cancel(random.u64(1..=n.into()));
        }
        if random.bool() {
            desk.port.poll();
        }
    }
    let all = desk.wait();
    assert_eq!(all.len(), wanted);
    let ids: std::collections::HashSet<u64> = all.iter().map(|done| done.id).collect();
    assert_eq!(ids.len(), wanted);
    assert!(all.iter().all(|done| done.status != NdisStatus::PENDING));
    desk.port.poll();
    assert_eq!(desk.completions(), []);
}

fn g05_a_completion_may_come_before_submit_returns<B: Backend>() {
    /// Submits the next request from inside the completion of the last one.
    struct Chain<B: Backend> {
        port: OnceLock<Port<Link<B>>>,
        seen: Mutex<Vec<NdisStatus>>,
    }
    impl<B: Backend> Host for Chain<B> {
        fn complete(&self, done: Completion) {
            let count = {
                let mut seen = self.seen.lock().unwrap();
                seen.push(done.status);
                seen.len()
            };
            if count < 10 {
                self.port.get().unwrap().submit(set(0xFFFF_0000, []));
            }
        }
    }
    let (manager, _) = open::<B>(small(), config());
    let chain = Arc::new(Chain::<B> { port: OnceLock::new(), seen: Mutex::default() });
    let port = Port::new(manager, options(), chain.clone()).unwrap();
    assert!(chain.port.set(port.clone()).is_ok());
    port.submit(set(0xFFFF_0000, []));
    assert_eq!(*chain.seen.lock().unwrap(), [NdisStatus::INVALID_OID; 10], "on return");
    // The host holds the port; this ends that circle.
    port.remove();
}

fn g06_a_cancel_ends_what_has_not_ended<B: Backend>() {
    let desk = Desk::<B>::new();
    let handles = [1, 2, 3].map(|n| desk.add(&Add::esp(n)));
    let request = |id, n: u32, hi| {
        let node = update_sa(handles[n as usize - 1], ESP, n, hi);
        numbered(id, set(number::UPDATE_SA, [node]))
    };
    // One that has ended keeps its status, and unknown ids are nobody's.
    desk.port.submit(request(5, 1, 1));
    assert_eq!(desk.wait()[0].status, SUCCESS);
    for id in [5, 0, 99] {
        desk.port.cancel(id);
    }
    assert_eq!(desk.completions(), []);
    // Nobody has polled: these have not ended, whatever the device has done.
    desk.port.submit(request(6, 1, 2));
    desk.port.submit(request(7, 2, 3));
    desk.port.submit(request(0, 3, 4));
    desk.port.cancel(6);
    desk.port.cancel(0);
    let now = desk.completions();
    assert_eq!(now.len(), 1, "at once");
    assert_eq!((now[0].id, now[0].status), (6, NdisStatus::REQUEST_ABORTED));
    let mut rest = desk.wait();
    rest.sort_by_key(|done| done.id);
    assert_eq!(rest.iter().map(|done| done.id).collect::<Vec<_>>(), [0, 7]);
    assert!(rest.iter().all(|done| done.status == SUCCESS));
    // Two requests with one id are cancelled together.
    desk.port.submit(request(8, 2, 5));
    desk.port.submit(request(8, 3, 5));
    desk.port.cancel(8);
    let both = desk.completions();
    assert_eq!(both.len(), 2);
    assert!(both.iter().all(|done| done.status == NdisStatus::REQUEST_ABORTED));
    assert_eq!(desk.wait(), []);
    desk.assert_clean();
}

fn g07_what_was_cancelled_happened_as_a_whole_or_not_at_all<B: Backend>() {
    let desk = Desk::<B>::new();
    let many: Vec<u64> = (1..=20).map(|n| desk.add(&Add::esp(n))).collect();
    for round in 1..=rounds(40).max(4) {
        // A list longer than the rings, so that some of it waits for room.
        let nodes = (1..).zip(&many).map(|(n, &handle)| update_sa(handle, ESP, n, round).into());
        let nodes = nodes.collect();
        let request = Request { id: 1, oid: number::UPDATE_SA, kind: Kind::Set, nodes };
        if round % 2 == 0 {
            // Behind a crowd, so that nothing of it has begun.
            for hi in 0..100 {
                desk.port.submit(set(number::UPDATE_SA, [update_sa(many[0], ESP, 1, hi)]));
            }
            desk.port.submit(set(number::UPDATE_SA, [update_sa(many[0], ESP, 1, round - 1)]));
        }
        desk.port.submit(request);
        desk.port.cancel(1);
        let all = desk.wait();
        let aborted = all.iter().filter(|done| done.status == NdisStatus::REQUEST_ABORTED);
        assert_eq!(aborted.count(), 1);
        // What goes on in the background comes to its end.
        desk.quiet();
        let mut halves: Vec<u32> = desk.table().iter().map(|row| row.1).collect();
        halves.dedup();
        assert_eq!(halves.len(), 1, "round {round}: half of it happened");
        assert!(halves[0] == round || halves[0] + 1 == round);
        // The next round begins at a known place.
        let reset = (1..).zip(&many).map(|(n, &handle)| update_sa(handle, ESP, n, round).into());
        let nodes = reset.collect();
        let request = Request { id: 0, oid: number::UPDATE_SA, kind: Kind::Set, nodes };
        assert_eq!(desk.run(request).status, SUCCESS);
        assert_eq!(desk.port.manager().diff().unwrap(), [], "the shadow followed");
    }
    // An ADD that was cancelled leaves nothing behind, and its SPI is free again.
    desk.port.submit(numbered(2, set(number::ADD_SA, [Add::esp(100).bytes()])));
    desk.port.cancel(2);
    let done = desk.wait();
    assert_eq!((done[0].status, handle_of(&done[0], 0)), (NdisStatus::REQUEST_ABORTED, 0));
    desk.quiet();
    assert_ne!(desk.add(&Add::esp(100)), 0);
}

fn g08_a_lost_completion_ends_as_failure<B: Backend>() {
    let patience = Duration::from_secs(3);
    let desk = Desk::<B>::with(small(), config(), Options { patience, ..options() });
    let handle = desk.add(&Add::esp(1));
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    let update = || set(number::UPDATE_SA, [update_sa(handle, ESP, 1, 9)]);
    assert_eq!(desk.run(update()).status, NdisStatus::FAILURE);
    let delete = desk.run(set(number::DELETE_SA, [delete_sa(handle)]));
    assert_eq!(delete.status, NdisStatus::REQUEST_ABORTED, "all that a deletion may say");
    // What comes late is nobody's.
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::No);
    desk.quiet();
    assert_eq!(desk.completions(), []);
    assert_eq!(desk.table(), []);
}

fn g09_a_short_buffer_is_told_its_length<B: Backend>() {
    let desk = Desk::<B>::new();
    let all = [
        (number::UPDATE_SA, update_sa(1, ESP, 1, 1), 28),
        (number::ADD_SA, Add::esp(1).bytes(), 0xA9),
        (number::ADD_SA_EX, Add::esp(1).bytes_ex(), 0xAA),
        (number::DELETE_SA, delete_sa(1), 24),
    ];
    for (number, node, least) in all {
        for len in 0..least {
            let mut node = node[..len].to_vec();
            if len >= 4 {
                header(&mut node, least as u16);
            }
            let done = desk.run(set(number, [node]));
            let status = match number {
                number::DELETE_SA => NdisStatus::REQUEST_ABORTED,
                _ => NdisStatus::INVALID_LENGTH,
            };
            assert_eq!((done.status, done.bytes_needed as usize), (status, least), "{len} bytes");
            assert_eq!((done.bytes_read, done.supported_revision), (0, 0));
        }
    }
    // A size that the buffer does not have.
    let mut node = update_sa(1, ESP, 1, 1);
    header(&mut node, 100);
    let done = desk.run(set(number::UPDATE_SA, [node]));
    assert_eq!((done.status, done.bytes_needed), (NdisStatus::INVALID_LENGTH, 100));
    // A query without room.
    for number in [number::CURRENT_CONFIG, number::HARDWARE_CAPABILITIES] {
        let request = Request { kind: Kind::Query, ..set(number, [vec![0; 143]]) };
        let done = desk.run(request);
        assert_eq!((done.status, done.bytes_needed), (NdisStatus::BUFFER_TOO_SHORT, 144));
    }
    desk.assert_clean();
}

fn g10_revision_and_size_are_checked_first<B: Backend>() {
    let desk = Desk::<B>::new();
    let handle = desk.add(&Add::esp(1));
    let with = |at: usize, value: u8| {
        let mut node = update_sa(handle, ESP, 1, 5);
        node[at] = value;
        desk.run(set(number::UPDATE_SA, [node])).status
    };
    assert_eq!(with(0, 0x81), NdisStatus::INVALID_DATA, "another kind of structure");
    assert_eq!(with(1, 0), NdisStatus::INVALID_DATA, "revision 0");
    assert_eq!(with(2, 27), NdisStatus::INVALID_DATA, "a size that is too small");
    assert_eq!(desk.table(), [(1, 0)]);
    assert_eq!(with(2, 28), SUCCESS, "without the padding");
    assert_eq!(with(1, 2), SUCCESS, "a later revision");
    let mut later = update_sa(handle, ESP, 1, 6);
    later.extend([0xFF; 32]);
    header(&mut later, 64);
    later[1] = 200;
    let done = desk.run(set(number::UPDATE_SA, [later]));
    assert_eq!((done.status, done.supported_revision), (SUCCESS, 1), "and a larger one");
    assert_eq!(desk.table(), [(1, 6)]);
}

fn g11_success_tells_bytes_and_revision<B: Backend>() {
    let desk = Desk::<B>::new();
    let told = |done: &Completion| {
        assert_eq!((done.status, done.bytes_needed), (SUCCESS, 0));
        (done.bytes_read, done.supported_revision)
    };
    let add = desk.run(set(number::ADD_SA, [Add::esp(1).bytes()]));
    assert_eq!(told(&add), (0xA8 + 36, 1));
    let ex = desk.run(set(number::ADD_SA_EX, [Add::esp(2).bytes_ex()]));
    assert_eq!(told(&ex), (0xB0 + 36, 1));
    let (one, two) = (handle_of(&add, 0), handle_ex_of(&ex));
    let updates = [update_sa(one, ESP, 1, 3), update_sa(two, ESP, 2, 3)];
    assert_eq!(told(&desk.run(set(number::UPDATE_SA, updates))), (64, 1));
    let deletes = [delete_sa(one), delete_sa(two)];
    assert_eq!(told(&desk.run(set(number::DELETE_SA, deletes))), (48, 1));
}

fn g12_unknown_and_unsupported_are_told_apart<B: Backend>() {
    let desk = Desk::<B>::new();
    for number in [0, 0xFC03_0201, 0xFC03_0206, u32::MAX] {
        let status = desk.run(set(number, [vec![0; 64]])).status;
        assert_eq!(status, NdisStatus::INVALID_OID, "{number:#x}");
    }
    drop(desk);
    // A device without tunnel mode has no IPsec offload to offer.
    let tunnel = esnic_abi::regs::global::FEATURES::TUNNEL.put(0, 1);
    let less = Params { features: small().features & !tunnel, ..small() };
    let desk = Desk::<B>::with(less, config(), options());
    for (number, node) in [
        (number::ADD_SA, Add::esp(1).bytes()),
        (number::ADD_SA_EX, Add::esp(1).bytes_ex()),
        (number::UPDATE_SA, update_sa(1, ESP, 1, 1)),
    ] {
        assert_eq!(desk.run(set(number, [node])).status, NdisStatus::NOT_SUPPORTED);
    }
}

fn g13_no_status_asks_for_an_indication<B: Backend>() {
    let desk = Desk::<B>::new();
    let mut random = fastrand::Rng::with_seed(13);
    // INDICATION_REQUIRED and PENDING are nowhere; deletions have their own three.
    let handle = desk.add(&Add::esp(1));
    for _ in 0..rounds(2_000) {
        let number = random.choice([number::UPDATE_SA, number::ADD_SA, number::DELETE_SA]).unwrap();
        let mut node = match number {
            number::UPDATE_SA => update_sa(handle, ESP, 1, 1),
            number::ADD_SA => Add::bundle(random.u32(1..99), 7).bytes(),
            _ => delete_sa(handle),
        };
        for _ in 0..random.usize(..3) {
            let at = random.usize(..node.len());
            node[at] = random.u8(..);
        }
        let done = desk.run(set(number, [node]));
        let allowed: &[NdisStatus] = match number {
            number::DELETE_SA => &[SUCCESS, NdisStatus::REQUEST_ABORTED],
            _ => &[
                SUCCESS,
                NdisStatus::INVALID_PARAMETER,
                NdisStatus::INVALID_DATA,
                NdisStatus::INVALID_LENGTH,
                NdisStatus::NOT_SUPPORTED,
                NdisStatus::RESOURCES,
            ],
        };
        assert!(allowed.contains(&done.status), "{number:#x}: {:?}", done.status);
    }
}

fn g14_the_same_number_as_query_or_method_is_refused<B: Backend>() {
    let desk = Desk::<B>::new();
    let handle = desk.add(&Add::esp(1));
    for kind in [Kind::Query, Kind::Method] {
        for (number, node) in [
            (number::UPDATE_SA, update_sa(handle, ESP, 1, 9)),
            (number::DELETE_SA, delete_sa(handle)),
            (number::ADD_SA, Add::esp(2).bytes()),
            (number::ADD_SA_EX, Add::esp(2).bytes_ex()),
        ] {
            let done = desk.run(Request { kind, ..set(number, [node]) });
            assert_eq!(done.status, NdisStatus::NOT_SUPPORTED, "{kind:?} {number:#x}");
        }
    }
    assert_eq!(desk.table(), [(1, 0)], "and nothing has happened");
}

fn g15_during_a_reset_nothing_begins_and_all_that_began_ends<B: Backend>() {
    /// Submits while the reset is under way: from the indication that it begins.
    struct Meddler<B: Backend> {
        port: OnceLock<Port<Link<B>>>,
        handle: OnceLock<u64>,
        seen: Mutex<Vec<String>>,
    }
    impl<B: Backend> Host for Meddler<B> {
        fn complete(&self, done: Completion) {
            if done.id == 50 {
                self.handle.set(handle_of(&done, 0)).unwrap();
                return;
            }
            self.seen.lock().unwrap().push(format!("{} {:?}", done.id, done.status));
        }
        fn indicate(&self, indication: Indication) {
            self.seen.lock().unwrap().push(indication::name(indication.status).to_owned());
            if indication.status == indication::RESET_START {
                let (port, handle) = (self.port.get().unwrap(), *self.handle.get().unwrap());
                let update = set(number::UPDATE_SA, [update_sa(handle, ESP, 1, 9)]);
                port.submit(numbered(51, update));
                port.submit(numbered(52, set(number::ADD_SA, [Add::esp(2).bytes()])));
                port.submit(numbered(53, set(number::DELETE_SA, [delete_sa(handle)])));
            }
        }
    }
    let (manager, link) = open::<B>(small(), config());
    let meddler = Arc::new(Meddler::<B> {
        port: OnceLock::new(),
        handle: OnceLock::new(),
        seen: Mutex::default(),
    });
    let port = Port::new(manager, options(), meddler.clone()).unwrap();
    assert!(meddler.port.set(port.clone()).is_ok());
    // By the port: it takes no handle that it has not told.
    port.submit(numbered(50, set(number::ADD_SA, [Add::esp(1).bytes()])));
    assert!(port.wait_idle(Instant::now() + Duration::from_secs(20)));
    let sa = *meddler.handle.get().unwrap();
    // More than fits, so that some wait in the queue; none has ended.
    let stuck = B::misbehave(link.device(), |faults| faults.stuck = Stuck::UntilReset);
    for id in 1..=40 {
        let node = update_sa(sa, ESP, 1, id as u32);
        port.submit(numbered(id, set(number::UPDATE_SA, [node])));
    }
    let report = port.reset(Verify::All).unwrap();
    assert_eq!((report.restored, report.lost.len()), (1, 0));
    let seen = std::mem::take(&mut *meddler.seen.lock().unwrap());
    assert_eq!(
        (seen.first().map(String::as_str), seen.last().map(String::as_str)),
        (Some("RESET_START"), Some("RESET_END"))
    );
    for refused in ["51 RESET_IN_PROGRESS", "52 RESET_IN_PROGRESS", "53 NOT_ACCEPTED"] {
        assert!(seen.iter().any(|one| one == refused), "{refused}: {seen:?}");
    }
    // Each has ended before the reset has: as aborted, or, if the device came to it, as done.
    assert_eq!(seen.len(), 40 + 3 + 2);
    let aborted = seen.iter().filter(|one| one.ends_with("REQUEST_ABORTED")).count();
    assert!(aborted >= if stuck { 40 } else { 1 }, "{seen:?}");
    // And it goes on.
    let node = update_sa(sa, ESP, 1, 99);
    port.submit(numbered(60, set(number::UPDATE_SA, [node])));
    assert!(port.wait_idle(Instant::now() + Duration::from_secs(20)));
    assert_eq!(*meddler.seen.lock().unwrap(), ["60 SUCCESS"]);
    assert_eq!(port.manager().read_table().unwrap()[0].top.hi(), 99);
    port.remove();
}

fn g16_without_a_device_everything_ends_at_once<B: Backend>() {
    let desk = Desk::<B>::new();
    let handle = desk.add(&Add::esp(1));
    let stuck = B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::UntilReset);
    for id in 1..=40 {
        desk.port.submit(numbered(id, set(number::UPDATE_SA, [update_sa(handle, ESP, 1, 1)])));
    }
    desk.port.submit(numbered(41, set(number::DELETE_SA, [delete_sa(handle)])));
    // A device that works may have done some of it: looking for room took completions.
    let before = desk.completions();
    assert!(before.iter().all(|done| done.status == SUCCESS));
    assert!(before.is_empty() || !stuck);
    desk.port.remove();
    let all = desk.completions();
    assert_eq!(before.len() + all.len(), 41, "on return");
    assert!(all.iter().all(|done| done.status == NdisStatus::NOT_ACCEPTED), "{all:?}");
    // And from now on.
    for (number, node) in [
        (number::UPDATE_SA, update_sa(handle, ESP, 1, 1)),
        (number::DELETE_SA, delete_sa(handle)),
        (number::ADD_SA, Add::esp(2).bytes()),
    ] {
        desk.port.submit(set(number, [node]));
        let told = desk.completions();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].status, NdisStatus::NOT_ACCEPTED);
    }
    assert_eq!(desk.port.reset(Verify::All), Err(Error::Gone));
    assert_eq!(desk.port.manager().stats().keys, 0, "the keys are wiped");
}

fn g17_halting_waits_for_what_is_outstanding<B: Backend>() {
    let desk = Desk::<B>::new();
    let handle = desk.add(&Add::esp(1));
    for hi in 1..=40 {
        desk.port.submit(set(number::UPDATE_SA, [update_sa(handle, ESP, 1, hi)]));
    }
    desk.port.halt(Instant::now() + Duration::from_secs(20)).unwrap();
    let all = desk.completions();
    assert_eq!(all.len(), 40);
    assert!(all.iter().all(|done| done.status == SUCCESS), "none was dropped");
    let late = desk.run(set(number::UPDATE_SA, [update_sa(handle, ESP, 1, 1)]));
    assert_eq!(late.status, NdisStatus::CLOSING);
    assert_eq!(desk.delete(handle), NdisStatus::NOT_ACCEPTED);

    drop(desk);
    // What does not end is not waited for without end, and nothing is closed under it.
    let desk = Desk::<B>::new();
    let handle = desk.add(&Add::esp(1));
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    desk.port.submit(set(number::UPDATE_SA, [update_sa(handle, ESP, 1, 1)]));
    let halted = desk.port.halt(Instant::now() + Duration::from_millis(50));
    assert!(matches!(halted, Err(Error::Stuck { .. })), "{halted:?}");
    assert_eq!(desk.completions(), []);
    // It goes on halting: nothing new comes in meanwhile, and it is not reset.
    desk.port.submit(set(number::UPDATE_SA, [update_sa(handle, ESP, 1, 2)]));
    desk.port.submit(set(number::DELETE_SA, [delete_sa(handle)]));
    let refused: Vec<_> = desk.completions().iter().map(|done| done.status).collect();
    assert_eq!(refused, [NdisStatus::CLOSING, NdisStatus::NOT_ACCEPTED]);
    assert_eq!(desk.port.reset(Verify::All), Err(Error::Closed));
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::No);
    desk.port.halt(Instant::now() + Duration::from_secs(20)).unwrap();
    assert_eq!(desk.completions()[0].status, SUCCESS);
}

fn g18_paused_is_no_reason_to_refuse<B: Backend>() {
    let desk = Desk::<B>::new();
    assert!(!desk.port.is_paused());
    desk.port.pause();
    let handle = desk.add(&Add::esp(1));
    assert_eq!(desk.update(handle, ESP, 1, 2), SUCCESS);
    desk.port.reset(Verify::All).unwrap();
    assert_eq!(desk.table(), [(1, 2)]);
    assert!(desk.port.is_paused(), "a reset does not end it");
    desk.port.restart();
    assert!(!desk.port.is_paused());
    assert_eq!(desk.delete(handle), SUCCESS);
    desk.assert_clean();
}
