// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A device that fails while a capture is followed: it is reset, its table is put back, and it ends
//! in step with the kernel. A device that is gone is an error.

mod sync;

use esnic::sync::Report;
use esnic_driver::{PathPolicy, Row, SaHandle};
use esnic_model::{Fatal, Faults, Stuck, Trigger};
use std::thread;
use std::time::{Duration, Instant};
use sync::{File, Follow, Nic, dumps, file, wire};

const MANUAL: &str = "1-manual/k6.1/v4-transport-gcm128-esn-w64/nl-A.pcap";
const STORM: &str = "4-storm/k6.1/storm300/nl-A.pcap";

/// Three waits of the sink at the most, and what a busy machine adds.
const PATIENCE: Duration = Duration::from_secs(30);

fn table(report: &Report) -> Vec<Row> {
    let handle = SaHandle::from_bits(0);
    let rows = report.rows.iter();
    rows.map(|row| Row { handle, ..row.clone() }).collect()
}

/// Follows a capture on a device that starts to fail after a packet.
fn failing(
    nic: &Nic,
    file: &File,
    how: &Follow,
    after: u64,
    turn: fn(&mut Faults),
) -> anyhow::Result<Report> {
    let mut packet = 0;
    let begun = Instant::now();
    let report = nic.follow_and(file.data.clone(), how, &mut || {
        packet += 1;
        if packet == after {
            nic.faults(turn);
        }
    });
    assert!(packet >= after, "the capture ended before the fault");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    report
}

/// The first packet with such an event.
fn first(file: &File, kind: u16) -> u64 {
    let records = wire::records(&file.data).into_iter();
    let has = |data| wire::messages(data).iter().any(|message| message.is_event(kind));
    records.into_iter().find(|record| has(record.data)).unwrap().number
}

/// Before the first ADD, before the first UPDATE, before the first DELETE: whatever the device does
/// then, the table ends as that of a healthy device.
#[track_caller]
fn is_survived(turn: fn(&mut Faults)) {
    let file = file(MANUAL);
    let places = [wire::NEWSA, wire::NEWAE, wire::DELSA].map(|kind| first(&file, kind) - 1);
    thread::scope(|scope| {
        for after in places {
            let file = &file;
            scope.spawn(move || {
                let (nic, healthy) = (Nic::new(16), Nic::new(16));
                // Up to the next dump but one, so that SAs are left to compare.
                let dump = dumps(&file.data)
                    .into_iter()
                    .filter(|dump| dump.packet > after && !dump.sas.is_empty());
                let until = dump.map(|dump| dump.packet).next();
                let how = Follow { until, ..Follow::of(file) };
                let expected = healthy.follow(file.data.clone(), &how).unwrap();
                let report = failing(&nic, file, &how, after, turn).unwrap();
                assert!(report.device_error.is_none(), "{:?}", report.device_error);
                assert!(report.is_in_step(), "{:?}", report.diff);
                assert_eq!(table(&report), table(&expected));
                assert_eq!(nic.manager.stats().resets, 1, "after packet {after}");
                nic.clear(&report.rows);
            });
        }
    });
}

#[test]
fn a_dropped_completion_is_survived() {
    is_survived(|faults| faults.drop_completion = Trigger::next());
}

#[test]
fn a_lost_dma_write_is_survived() {
    is_survived(|faults| faults.lose_write = Trigger::next());
}

/// Only the ring is read by DMA, so commands are made to go there.
#[test]
fn a_failed_dma_read_is_survived() {
    let file = file(MANUAL);
    let how = Follow::of(&file);
    for kind in [wire::NEWSA, wire::NEWAE, wire::DELSA] {
        let nic = Nic::new(16);
        nic.manager.set_path_policy(PathPolicy::Ring);
        let report = failing(&nic, &file, &how, first(&file, kind) - 1, |faults| {
            faults.fail_read = Trigger::next()
        });
        let report = report.unwrap();
        assert!(report.is_in_step(), "{:?}", report.diff);
        assert_eq!(nic.manager.stats().resets, 1);
        nic.clear(&report.rows);
    }
}

/// A DELETE that leaves something behind is done again, without a reset.
#[test]
fn a_delete_that_does_not_verify_is_done_again() {
    let file = file(MANUAL);
    let nic = Nic::new(16);
    let after = first(&file, wire::DELSA) - 1;
    let report = failing(&nic, &file, &Follow::of(&file), after, |faults| {
        faults.verify_delete = Trigger::next()
    });
    let report = report.unwrap();
    assert!(report.is_in_step(), "{:?}", report.diff);
    let stats = nic.manager.stats();
    assert_eq!((stats.resets, stats.delete_retries), (0, 1));
    nic.clear(&report.rows);
}

#[test]
fn a_failed_dma_write_is_survived() {
    is_survived(|faults| faults.fail_write = Trigger::next());
}

#[test]
fn a_device_that_stops_working_until_reset_is_survived() {
    is_survived(|faults| faults.stuck = Stuck::UntilReset);
}

#[test]
fn an_internal_error_is_survived() {
    is_survived(|faults| faults.fatal = Some(Fatal { cause: 1, info: 7 }));
}

#[test]
fn a_duplicate_completion_is_survived() {
    is_survived(|faults| faults.duplicate_completion = Trigger::next());
}

/// An ADD that the device cannot verify is no SA: it is skipped, and tried again at the next dump.
#[test]
fn an_add_that_does_not_verify_is_skipped_until_the_kernel_lists_the_sa() {
    let file = file(MANUAL);
    let add = first(&file, wire::NEWSA);
    let listed = dumps(&file.data).into_iter().find(|dump| !dump.sas.is_empty()).unwrap();
    for (until, held, skipped) in [(add, 0, 1), (listed.packet, listed.sas.len(), 0)] {
        let nic = Nic::new(16);
        let how = Follow { until: Some(until), ..Follow::of(&file) };
        let report =
            failing(&nic, &file, &how, add - 1, |faults| faults.verify_add = Trigger::next());
        let report = report.unwrap();
        assert!(report.is_in_step(), "{:?}", report.diff);
        assert_eq!((report.rows.len(), report.skipped.len()), (held, skipped), "packet {until}");
        for one in &report.skipped {
            assert!(one.reason.starts_with("the device refuses it with"), "{}", one.reason);
        }
        nic.clear(&report.rows);
    }
}

/// A completion of nothing but garbage, in each of its bytes.
#[test]
fn a_garbage_completion_is_survived() {
    is_survived(|faults| {
        faults.corrupt_completion = Trigger::next();
        faults.corrupt_mask = [0x5A; 16];
    });
}

/// A completion with every bit the wrong way round has the wrong phase, too: nobody ever sees it.
#[test]
fn an_inverted_completion_is_survived() {
    is_survived(|faults| {
        faults.corrupt_completion = Trigger::next();
        faults.corrupt_mask = [0xFF; 16];
    });
}

/// Garbage again and again, among hundreds of SAs.
#[test]
fn a_storm_is_followed_by_a_device_that_fails_again_and_again() {
    let file = file(STORM);
    let largest = dumps(&file.data).into_iter().max_by_key(|dump| dump.sas.len()).unwrap();
    let how = Follow { until: Some(largest.packet), ..Follow::of(&file) };
    let (nic, healthy) = (Nic::new(1024), Nic::new(1024));
    let expected = healthy.follow(file.data.clone(), &how).unwrap();
    let mut packet = 0;
    let report = nic.follow_and(file.data.clone(), &how, &mut || {
        packet += 1;
        if packet % 97 == 0 {
            nic.faults(|faults| {
                faults.corrupt_completion = Trigger::next();
                faults.corrupt_mask = [0x5A; 16];
            });
        }
    });
    let report = report.unwrap();
    assert!(report.is_in_step(), "{:?} {:?}", report.diff, report.device_error);
    assert_eq!(table(&report), table(&expected));
    assert_eq!(report.rows.len(), largest.sas.iter().filter(|sa| sa.is_supported()).count());
    let resets = nic.manager.stats().resets;
    assert!(resets >= 5, "{resets} resets in {packet} packets");
    nic.clear(&report.rows);
}

/// A reset does not help: the report says that the device failed, and at which packet.
#[test]
fn a_device_that_stays_stuck_is_not_in_step() {
    let file = file(MANUAL);
    for kind in [wire::NEWSA, wire::NEWAE, wire::DELSA] {
        let nic = Nic::new(16);
        let report = failing(&nic, &file, &Follow::of(&file), first(&file, kind) - 1, |faults| {
            faults.stuck = Stuck::Always;
        });
        let report = report.unwrap();
        assert!(!report.is_in_step());
        let error = format!("{:#}", report.device_error.as_ref().unwrap());
        let place = error.split(": ").next().unwrap();
        assert!(place.starts_with("packet ") || place.starts_with("after packet "), "{error}");
        assert!(error.contains("no completion within"), "{error}");
        assert!(!error.contains('\n'), "{error}");
        // The object says it, too.
        let object: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(object["error"], error);
    }
}

#[test]
fn a_device_that_is_gone_ends_with_a_clear_error() {
    let file = file(MANUAL);
    for kind in [wire::NEWSA, wire::NEWAE, wire::DELSA] {
        let nic = Nic::new(16);
        let after = first(&file, kind) - 1;
        let gone = failing(&nic, &file, &Follow::of(&file), after, |faults| faults.gone = true);
        let error = format!("{:#}", gone.err().expect("it cannot be read back"));
        assert!(
            error.contains("the device is gone: it answers every read with all ones"),
            "{error}"
        );
    }
}
