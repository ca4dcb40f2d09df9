// SPDX-License-Identifier: Apache-2.0 OR MIT
//! UPDATE_SA, a test a row (docs/ipsecov2.md, U1 to U20).

#[macro_use]
mod support;

use esnic_driver::NdisStatus;
use esnic_driver::oid::number;
use support::oids::*;
use support::*;

on_every_backend!(
    u01_the_high_half_is_replaced_in_device_and_shadow,
    u02_only_that_element_of_a_bundle_changes,
    u03_an_unknown_handle_is_refused,
    u04_a_device_without_esn_refuses,
    u05_an_element_without_esn_refuses,
    u06_an_operation_that_the_bundle_lacks_is_refused,
    u07_another_spi_is_refused,
    u08_the_same_value_again_succeeds,
    u09_any_value_is_taken,
    u10_inbound_and_outbound_are_updated_alike,
    u11_success_means_that_the_device_has_it,
    u12_packets_of_both_sides_of_the_wrap_are_told_apart,
    u13_the_last_of_concurrent_updates_holds,
    u14_update_and_delete_have_one_order,
    u15_before_its_add_has_ended_an_sa_is_unknown,
    u16_a_device_that_fails_leaves_the_sa_whole,
    u17_a_list_is_done_as_a_whole_or_not_at_all,
    u18_nothing_else_changes_and_no_key_travels,
    u19_the_newest_value_survives_a_reset,
    u20_other_sas_are_not_held_up,
);

const SUCCESS: NdisStatus = NdisStatus::SUCCESS;
const REFUSED: NdisStatus = NdisStatus::INVALID_PARAMETER;

fn handle(bits: u64) -> SaHandle {
    SaHandle::from_bits(bits)
}

fn u01_the_high_half_is_replaced_in_device_and_shadow<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    assert_eq!(desk.update(sa, ESP, 1, 5), SUCCESS);
    assert_eq!(desk.table(), [(1, 5)]);
    desk.assert_clean();
}

fn u02_only_that_element_of_a_bundle_changes<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::bundle(1, 2));
    let halves = || {
        let mut all = desk.table();
        all.sort_unstable();
        all
    };
    assert_eq!(desk.update(sa, AH, 2, 7), SUCCESS);
    assert_eq!(halves(), [(1, 0), (2, 7)]);
    assert_eq!(desk.update(sa, ESP, 1, 3), SUCCESS);
    assert_eq!(halves(), [(1, 3), (2, 7)]);
    desk.assert_clean();
}

fn u03_an_unknown_handle_is_refused<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    for stranger in [0, 1, u64::MAX, sa + 1, sa + (1 << 32), sa.wrapping_sub(1 << 32), 1 << 63] {
        assert_eq!(desk.update(stranger, ESP, 1, 5), REFUSED, "{stranger:#x}");
    }
    assert_eq!(desk.delete(sa), SUCCESS);
    assert_eq!(desk.update(sa, ESP, 1, 5), REFUSED, "it was deleted");
    // The slot's next entry is not meant either.
    let next = desk.add(&Add::esp(1));
    assert_ne!(next, sa);
    assert_eq!(desk.update(sa, ESP, 1, 5), REFUSED);
    assert_eq!(desk.table(), [(1, 0)]);
    // Nor is a bundle by its other row.
    let bundle = desk.add(&Add::bundle(7, 8));
    for stranger in (0..8).map(|row| bundle >> 32 << 32 | row).filter(|&row| row != bundle) {
        assert_eq!(desk.update(stranger, ESP, 7, 5), REFUSED, "{stranger:#x}");
        assert_eq!(desk.update(stranger, AH, 8, 5), REFUSED, "{stranger:#x}");
    }
    assert!(desk.table().iter().all(|&(_, hi)| hi == 0));
}

fn u04_a_device_without_esn_refuses<B: Backend>() {
    let esn = esnic_abi::regs::global::FEATURES::ESN.put(0, 1);
    let less = Params { features: small().features & !esn, ..small() };
    let desk = Desk::<B>::with(less, config(), options());
    let mut plain = Add::esp(1);
    plain.elements[0].flags = 0;
    let sa = desk.add(&plain);
    assert_eq!(desk.update(sa, ESP, 1, 1), REFUSED);
    assert_eq!(desk.table(), [(1, 0)]);
}

fn u05_an_element_without_esn_refuses<B: Backend>() {
    let desk = Desk::<B>::new();
    let mut bundle = Add::bundle(1, 2);
    bundle.elements[0].flags = 0;
    let sa = desk.add(&bundle);
    assert_eq!(desk.update(sa, ESP, 1, 1), REFUSED);
    assert_eq!(desk.update(sa, ESP, 1, 0), REFUSED, "not even the value that it has");
    assert_eq!(desk.update(sa, AH, 2, 1), SUCCESS, "the other one has it");
    desk.assert_clean();
}

fn u06_an_operation_that_the_bundle_lacks_is_refused<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    for operation in [0, AH, 3, 4, u32::MAX] {
        assert_eq!(desk.update(sa, operation, 1, 5), REFUSED, "{operation}");
    }
    assert_eq!(desk.table(), [(1, 0)]);
}

fn u07_another_spi_is_refused<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::bundle(1, 2));
    for (operation, spi) in [(ESP, 0), (ESP, 2), (AH, 1), (ESP, 1 << 24), (AH, u32::MAX)] {
        assert_eq!(desk.update(sa, operation, spi, 5), REFUSED, "{operation} {spi}");
    }
    assert!(desk.table().iter().all(|row| row.1 == 0), "and it is no new value");
}

fn u08_the_same_value_again_succeeds<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    for _ in 0..3 {
        assert_eq!(desk.update(sa, ESP, 1, 5), SUCCESS);
        assert_eq!(desk.table(), [(1, 5)]);
    }
}

fn u09_any_value_is_taken<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    for hi in [1, 2, 0, u32::MAX, 7, 0x8000_0000, 0x7FFF_FFFF, u32::MAX, 0] {
        assert_eq!(desk.update(sa, ESP, 1, hi), SUCCESS);
        assert_eq!(desk.table(), [(1, hi)]);
    }
}

fn u10_inbound_and_outbound_are_updated_alike<B: Backend>() {
    let desk = Desk::<B>::new();
    let inbound = desk.add(&Add::esp(1));
    let outbound = desk.add(&Add::esp(2).outbound());
    assert_eq!(desk.update(inbound, ESP, 1, 3), SUCCESS);
    assert_eq!(desk.update(outbound, ESP, 2, 4), SUCCESS);
    assert_eq!(desk.table(), [(1, 3), (2, 4)]);
}

fn u11_success_means_that_the_device_has_it<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    for hi in 1..=rounds(60) {
        desk.port.submit(set(number::UPDATE_SA, [update_sa(sa, ESP, 1, hi)]));
        let deadline = Instant::now() + Duration::from_secs(20);
        // The row itself is read at the moment of the completion, without another command between.
        while desk.port.outstanding() > 0 {
            desk.port.poll();
            desk.link.relax();
            assert!(Instant::now() < deadline);
        }
        assert_eq!(desk.table(), [(1, hi)]);
        assert_eq!(desk.completions()[0].status, SUCCESS);
    }
}

fn u12_packets_of_both_sides_of_the_wrap_are_told_apart<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    let manager = desk.port.manager();
    let number = |seq: u32, commit: bool| {
        let ticket = manager.resolve(handle(sa), seq, commit).unwrap();
        done(&ticket)
    };
    assert_eq!(desk.update(sa, ESP, 1, 6), SUCCESS);
    assert_eq!(number(0xFFFF_FF00, true), 0x6_FFFF_FF00, "traffic shortly before the wrap");
    assert_eq!(desk.update(sa, ESP, 1, 7), SUCCESS);
    for (seq, wanted) in [(0xFFFF_FF80, 0x6_FFFF_FF80), (0, 0x7_0000_0000), (5, 0x7_0000_0005)] {
        assert_eq!(number(seq, false), wanted, "{seq:#x}");
    }
    assert_eq!(number(5, true), 0x7_0000_0005);
    assert_eq!(number(0xFFFF_FFF0, false), 0x6_FFFF_FFF0, "a straggler, still");
    // Late, when the device has got there by itself: nothing changes.
    assert_eq!(desk.update(sa, ESP, 1, 7), SUCCESS);
    assert_eq!(number(6, false), 0x7_0000_0006);
}

fn u13_the_last_of_concurrent_updates_holds<B: Backend>() {
    const THREADS: u32 = 4;
    let each = rounds(100).max(8);
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    let port = &desk.port;
    std::thread::scope(|scope| {
        for thread in 1..=THREADS {
            scope.spawn(move || {
                for n in 0..each {
                    let hi = thread << 16 | n;
                    let request = set(number::UPDATE_SA, [update_sa(sa, ESP, 1, hi)]);
                    port.submit(numbered(hi.into(), request));
                    port.poll();
                }
            });
        }
    });
    let all = desk.wait();
    assert_eq!(all.len(), (THREADS * each) as usize);
    // Completions are told by several threads: the last one may be told a little before another.
    let last: Vec<u32> = all.iter().rev().take(THREADS as usize).map(|d| d.id as u32).collect();
    let held = desk.table()[0].1;
    assert!(last.contains(&held), "{held:#x} is none of the last: {last:x?}");
    // Of each thread's updates none overtook another.
    assert_eq!(held & 0xFFFF, each - 1);
    // And one at a time, it is the last one exactly.
    for hi in 1..20 {
        assert_eq!(desk.update(sa, ESP, 1, hi), SUCCESS);
        assert_eq!(desk.table(), [(1, hi)]);
    }
    desk.assert_clean();
}

fn u14_update_and_delete_have_one_order<B: Backend>() {
    let desk = Desk::<B>::new();
    for round in 1..=rounds(200) {
        let sa = desk.add(&Add::esp(1));
        let go = std::sync::Barrier::new(2);
        let port = &desk.port;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                go.wait();
                port.submit(numbered(1, set(number::UPDATE_SA, [update_sa(sa, ESP, 1, round)])));
            });
            scope.spawn(|| {
                go.wait();
                port.submit(numbered(2, set(number::DELETE_SA, [delete_sa(sa)])));
            });
        });
        let mut all = desk.wait();
        all.sort_by_key(|done| done.id);
        assert!([SUCCESS, REFUSED].contains(&all[0].status), "{:?}", all[0].status);
        assert_eq!(all[1].status, SUCCESS);
        // The slot's next life has not heard of it.
        let next = desk.add(&Add::esp(1));
        assert_eq!(desk.table(), [(1, 0)]);
        assert_eq!(desk.delete(next), SUCCESS);
    }
    // In the order of one thread.
    let sa = desk.add(&Add::esp(1));
    desk.port.submit(numbered(1, set(number::UPDATE_SA, [update_sa(sa, ESP, 1, 5)])));
    desk.port.submit(numbered(2, set(number::DELETE_SA, [delete_sa(sa)])));
    desk.port.submit(numbered(3, set(number::UPDATE_SA, [update_sa(sa, ESP, 1, 6)])));
    let mut all = desk.wait();
    all.sort_by_key(|done| done.id);
    assert_eq!(all.iter().map(|d| d.status).collect::<Vec<_>>(), [SUCCESS, SUCCESS, REFUSED]);
    desk.assert_clean();
}

fn u15_before_its_add_has_ended_an_sa_is_unknown<B: Backend>() {
    // The handle that it will have, known from a device that is exactly the same.
    let foreseen = Desk::<B>::new().add(&Add::esp(1));
    let desk = Desk::<B>::new();
    desk.port.submit(numbered(1, set(number::ADD_SA, [Add::esp(1).bytes()])));
    desk.port.submit(numbered(2, set(number::UPDATE_SA, [update_sa(foreseen, ESP, 1, 5)])));
    let mut all = desk.wait();
    all.sort_by_key(|done| done.id);
    assert_eq!(handle_of(&all[0], 0), foreseen);
    assert_eq!((all[0].status, all[1].status), (SUCCESS, REFUSED));
    assert_eq!(desk.table(), [(1, 0)]);
}

fn u16_a_device_that_fails_leaves_the_sa_whole<B: Backend>() {
    let patience = Duration::from_secs(3);
    let options = esnic_driver::oid::Options { patience, ..options() };
    let desk = Desk::<B>::with(small(), config(), options);
    let sa = desk.add(&Add::esp(1));
    assert_eq!(desk.update(sa, ESP, 1, 5), SUCCESS);
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    assert_eq!(desk.update(sa, ESP, 1, 6), NdisStatus::FAILURE);
    assert_eq!(desk.table(), [(1, 5)], "not half of it");
    // The device comes to itself, and the next one goes through whatever became of the last.
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::No);
    assert_eq!(desk.update(sa, ESP, 1, 7), SUCCESS);
    assert_eq!(desk.table(), [(1, 7)]);
    desk.assert_clean();
}

fn u17_a_list_is_done_as_a_whole_or_not_at_all<B: Backend>() {
    let desk = Desk::<B>::new();
    let (one, two) = (desk.add(&Add::esp(1)), desk.add(&Add::bundle(2, 3)));
    let run = |nodes: Vec<Vec<u8>>| {
        let nodes = nodes.into_iter().map(Into::into).collect();
        desk.run(esnic_driver::oid::Request { nodes, ..set(number::UPDATE_SA, []) }).status
    };
    let halves = || {
        let mut all = desk.table();
        all.sort_unstable();
        all.iter().map(|row| row.1).collect::<Vec<_>>()
    };
    let good = |hi| {
        vec![update_sa(one, ESP, 1, hi), update_sa(two, ESP, 2, hi), update_sa(two, AH, 3, hi)]
    };
    assert_eq!(run(good(4)), SUCCESS);
    assert_eq!(halves(), [4, 4, 4]);
    // One that is wrong, at each place, and in each way.
    let wrong =
        [update_sa(one + 1, ESP, 1, 9), update_sa(one, AH, 1, 9), update_sa(one, ESP, 2, 9)];
    for bad in &wrong {
        for place in 0..=3 {
            let mut nodes = good(9);
            nodes.insert(place, bad.clone());
            assert_eq!(run(nodes), REFUSED);
        }
    }
    let mut short = good(9);
    short[2].truncate(20);
    header(&mut short[2], 28);
    assert_eq!(run(short), NdisStatus::INVALID_LENGTH);
    // The same element twice: nobody could tell which value holds.
    let mut twice = good(9);
    twice.push(update_sa(one, ESP, 1, 10));
    assert_eq!(run(twice), REFUSED);
    assert_eq!(run(vec![]), NdisStatus::INVALID_DATA);
    assert_eq!(halves(), [4, 4, 4], "none of them did anything");
    desk.assert_clean();
}

fn u18_nothing_else_changes_and_no_key_travels<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::bundle(1, 2));
    let other = desk.add(&Add::esp(3).outbound());
    let rows = || desk.port.manager().read_table().unwrap();
    let before = rows();
    assert_eq!(desk.update(sa, ESP, 1, 9), SUCCESS);
    let mut after = rows();
    assert_ne!(after, before);
    for (row, was) in after.iter_mut().zip(&before) {
        if row.spi.0 == 1 {
            assert_eq!(row.top.hi(), 9);
            row.top = was.top;
        }
    }
    assert_eq!(after, before);
    let keys = desk.port.manager().stats().keys;
    assert_eq!(keys, 3, "the keys are where they were");
    assert_eq!(desk.delete(other), SUCCESS);
    assert_eq!(size_of::<esnic_driver::oid::layout::UpdateSa>(), 28, "it has no place for a key");
}

fn u19_the_newest_value_survives_a_reset<B: Backend>() {
    let desk = Desk::<B>::new();
    let (one, two) = (desk.add(&Add::esp(1)), desk.add(&Add::bundle(2, 3)));
    assert_eq!(desk.update(one, ESP, 1, 5), SUCCESS);
    assert_eq!(desk.update(one, ESP, 1, 3), SUCCESS);
    assert_eq!(desk.update(two, AH, 3, 8), SUCCESS);
    let before = desk.table();
    let report = desk.port.reset(Verify::All).unwrap();
    assert_eq!((report.restored, report.lost.len(), report.differences.len()), (3, 0, 0));
    assert_eq!(desk.table(), before);
    assert_eq!(desk.update(one, ESP, 1, 6), SUCCESS, "by the same handles");
    assert_eq!(desk.delete(two), SUCCESS);
    desk.assert_clean();
}

fn u20_other_sas_are_not_held_up<B: Backend>() {
    let desk = Desk::<B>::with(small(), Config { queue_pairs: 2, ..config() }, options());
    let sas: Vec<u64> = (1..=8).map(|n| desk.add(&Add::esp(n))).collect();
    for hi in 1..=rounds(50) {
        // All at once: none of them waits for the end of another.
        for (n, &sa) in (1..).zip(&sas) {
            desk.port
                .submit(numbered(n, set(number::UPDATE_SA, [update_sa(sa, ESP, n as u32, hi)])));
        }
        assert!(desk.port.manager().in_flight() > 1 || desk.port.outstanding() < 8);
        let all = desk.wait();
        assert_eq!(all.len(), 8);
        assert!(all.iter().all(|done| done.status == SUCCESS));
    }
    desk.assert_clean();
}
