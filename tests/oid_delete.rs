// SPDX-License-Identifier: Apache-2.0 OR MIT
//! DELETE_SA, a test a row (docs/ipsecov2.md, D1 to D12).

#[macro_use]
mod support;

use esnic_driver::NdisStatus;
use esnic_driver::oid::{Request, number};
use support::oids::*;
use support::*;

on_every_backend!(
    d01_a_deleted_sa_is_gone_with_its_keys,
    d02_a_deletion_that_pends_ends_as_success,
    d03_during_a_reset_it_is_not_accepted,
    d04_a_reset_aborts_it,
    d05_there_is_no_other_status,
    d06_an_unknown_handle_is_deleted_already,
    d07_a_device_that_does_not_delete_is_asked_again,
    d08_a_slot_waits_for_all_that_names_it,
    d09_afterwards_the_handle_is_nobodys,
    d10_no_sa_goes_by_itself,
    d11_each_direction_is_deleted_by_itself,
    d12_every_entry_of_a_list_is_worked_off,
);

const SUCCESS: NdisStatus = NdisStatus::SUCCESS;

fn d01_a_deleted_sa_is_gone_with_its_keys<B: Backend>() {
    let desk = Desk::<B>::new();
    let (one, two) = (desk.add(&Add::esp(1)), desk.add(&Add::bundle(2, 3)));
    assert_eq!(desk.port.manager().stats().keys, 3);
    assert_eq!(desk.delete(two), SUCCESS);
    assert_eq!(desk.table(), [(1, 0)]);
    assert_eq!(desk.port.manager().stats().keys, 1);
    assert_eq!(desk.run(set(number::DELETE_SA, [delete_sa(one)])).status, SUCCESS);
    assert_eq!(desk.table(), []);
    assert_eq!(desk.port.manager().stats().keys, 0);
    for row in 0..3 {
        assert_ne!(B::is_wiped(desk.link.device(), row), Some(false), "row {row}");
    }
    desk.assert_clean();
}

fn d02_a_deletion_that_pends_ends_as_success<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    desk.port.submit(set(number::DELETE_SA, [delete_sa(sa)]));
    desk.port.poll();
    assert_eq!(desk.completions(), [], "not before the device has done it");
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::No);
    assert_eq!(desk.wait()[0].status, SUCCESS);
    assert_eq!(desk.table(), []);
}

fn d03_during_a_reset_it_is_not_accepted<B: Backend>() {
    // Requests in the middle of a reset, at the port's own level: g15. Here: a reset that fails and leaves
    // the port in it.
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    misbehave!(B, desk.link, |faults| faults.fail_read = Trigger::Nth(1));
    assert!(desk.port.reset(Verify::All).is_err());
    assert_eq!(desk.delete(sa), NdisStatus::NOT_ACCEPTED);
    assert_eq!(desk.update(sa, ESP, 1, 1), NdisStatus::RESET_IN_PROGRESS);
    desk.port.reset(Verify::All).unwrap();
    assert_eq!(desk.table(), [(1, 0)], "nothing was forgotten");
    assert_eq!(desk.delete(sa), SUCCESS);
    desk.assert_clean();
}

fn d04_a_reset_aborts_it<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    desk.port.submit(set(number::DELETE_SA, [delete_sa(sa)]));
    desk.port.reset(Verify::All).unwrap();
    let told = desk.completions();
    assert_eq!(told.len(), 1, "before the reset is over");
    assert_eq!(told[0].status, NdisStatus::REQUEST_ABORTED);
    // It was on its way out: a reset does not bring it back.
    assert_eq!(desk.table(), []);
    assert_eq!(desk.delete(sa), SUCCESS);
    assert_ne!(desk.add(&Add::esp(1)), 0, "its SPI is free again");
}

fn d05_there_is_no_other_status<B: Backend>() {
    let desk = Desk::<B>::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut note = |status: NdisStatus| {
        seen.insert(status.0);
    };
    let sa = desk.add(&Add::esp(1));
    note(desk.delete(0));
    note(desk.delete(u64::MAX));
    for len in 0..30 {
        note(desk.run(set(number::DELETE_SA, [vec![0xFF; len]])).status);
    }
    note(desk.run(set(number::DELETE_SA, [])).status);
    note(desk.delete(sa));
    desk.port.remove();
    note(desk.delete(sa));
    let legal = [SUCCESS, NdisStatus::NOT_ACCEPTED, NdisStatus::REQUEST_ABORTED].map(|s| s.0);
    assert_eq!(seen, legal.into(), "all three, and none besides");
}

fn d06_an_unknown_handle_is_deleted_already<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    for stranger in [0, 1, sa + 1, sa + (1 << 32), u64::MAX] {
        assert_eq!(desk.delete(stranger), SUCCESS, "{stranger:#x}");
    }
    assert_eq!(desk.table(), [(1, 0)], "without effect");
    assert_eq!(desk.delete(sa), SUCCESS);
    let next = desk.add(&Add::esp(1));
    assert_eq!(desk.delete(sa), SUCCESS, "once more, when its slot is another's");
    assert_eq!(desk.table().len(), 1);
    assert_eq!(desk.update(next, ESP, 1, 1), SUCCESS);
    // A bundle has one handle, and its other row none.
    let bundle = desk.add(&Add::bundle(7, 8));
    for stranger in
        (0..8).map(|row| bundle >> 32 << 32 | row).filter(|row| ![bundle, next].contains(row))
    {
        assert_eq!(desk.delete(stranger), SUCCESS, "{stranger:#x}");
    }
    assert_eq!(desk.table().len(), 3);
    assert_eq!(desk.delete(bundle), SUCCESS);
    assert_ne!(desk.add(&Add::bundle(7, 8)), bundle);
}

fn d07_a_device_that_does_not_delete_is_asked_again<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    misbehave!(B, desk.link, |faults| faults.verify_delete = Trigger::next());
    assert_eq!(desk.delete(sa), SUCCESS);
    assert_eq!(desk.update(sa, ESP, 1, 1), NdisStatus::INVALID_PARAMETER, "it is dead at once");
    desk.quiet();
    assert_eq!(desk.table(), []);
    assert_eq!(desk.port.manager().diff().unwrap(), []);
}

fn d08_a_slot_waits_for_all_that_names_it<B: Backend>() {
    // The smallest table with room for one bundle: the next ADD can only have the same slots.
    let tiny = Params { sa_capacity: 2, stage_log2: 1, ..Params::default() };
    let desk = Desk::<B>::with(tiny, config(), options());
    let mut last = desk.add(&Add::esp(1));
    for round in 1..=rounds(100) {
        let sa = last;
        for hi in 0..5 {
            desk.port.submit(set(number::UPDATE_SA, [update_sa(sa, ESP, 1, 100 + hi)]));
        }
        desk.port.submit(set(number::DELETE_SA, [delete_sa(sa)]));
        let all = desk.wait();
        assert!(
            all.iter().all(|done| done.status == SUCCESS),
            "round {round}: they came before it"
        );
        last = desk.add(&Add::esp(1));
        assert_ne!(last, sa);
        assert_eq!(desk.table(), [(1, 0)], "round {round}: none of them met the next life");
    }
    desk.assert_clean();
}

fn d09_afterwards_the_handle_is_nobodys<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::esp(1));
    assert_eq!(desk.delete(sa), SUCCESS);
    assert_eq!(desk.update(sa, ESP, 1, 1), NdisStatus::INVALID_PARAMETER);
    assert_eq!(desk.table(), [], "the SPI is nobody's");
    assert!(desk.port.manager().query(SaHandle::from_bits(sa)).is_err());
}

fn d10_no_sa_goes_by_itself<B: Backend>() {
    let desk = Desk::<B>::new();
    let sas: Vec<u64> = (1..=5).map(|n| desk.add(&Add::esp(n))).collect();
    let before = desk.table();
    // Failing updates, full tables, pauses and resets take none away.
    assert_eq!(desk.update(sas[0], AH, 1, 1), NdisStatus::INVALID_PARAMETER);
    desk.port.pause();
    desk.port.restart();
    desk.port.reset(Verify::All).unwrap();
    desk.port.reset(Verify::Sample).unwrap();
    assert_eq!(desk.table(), before);
    for &sa in &sas {
        assert_eq!(desk.delete(sa), SUCCESS);
    }
    desk.assert_clean();
}

fn d11_each_direction_is_deleted_by_itself<B: Backend>() {
    let desk = Desk::<B>::new();
    let inbound = desk.add(&Add::esp(1));
    let outbound = desk.add(&Add::esp(2).outbound());
    assert_eq!(desk.delete(inbound), SUCCESS);
    assert_eq!(desk.table(), [(2, 0)], "its peer stays");
    assert_eq!(desk.update(outbound, ESP, 2, 3), SUCCESS, "and works");
    assert_eq!(desk.delete(inbound), SUCCESS, "to ask again is harmless");
    assert_eq!(desk.delete(outbound), SUCCESS);
    desk.assert_clean();
}

fn d12_every_entry_of_a_list_is_worked_off<B: Backend>() {
    let desk = Desk::<B>::new();
    let sas: Vec<u64> = (1..=20).map(|n| desk.add(&Add::esp(n))).collect();
    // More than the rings hold, with strangers in between.
    let nodes = sas.iter().flat_map(|&sa| [delete_sa(sa), delete_sa(sa + 1)]);
    let nodes = nodes.map(Into::into).collect();
    let done = desk.run(Request { nodes, ..set(number::DELETE_SA, []) });
    assert_eq!(done.status, SUCCESS);
    assert_eq!(desk.table(), []);
    desk.assert_clean();
}
