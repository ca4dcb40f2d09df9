// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The direct path: stage buffers and the doorbell ring.

mod common;

use common::*;
use esnic_abi::regs::{Counters, Doorbell, Global, QueuePair};
use esnic_abi::{Bar, Device, Opcode, Params, Status};
use zerocopy::IntoBytes;

/// Default build, two entries running.
fn bench() -> Bench {
    let mut bench = Bench::new();
    for index in [1, 65] {
        bench.ring(add(index, 1).as_bytes());
    }
    bench
}

fn answer(bench: &mut Bench) -> Status {
    bench.settle();
    let all = bench.pop_all(0);
    assert_eq!(all.len(), 1);
    status(&all[0])
}

#[test]
fn stores_may_be_split_and_reordered() {
    let mut bench = bench();
    let command = update(1, 1, 6);
    let bytes = command.as_bytes();
    for at in (0..64).step_by(8).rev() {
        bench.model.write(Bar::Table, 128 + at as u64, &bytes[at..at + 8]);
    }
    bench.ring_direct(0, 1, command.header.cookie.get());
    assert_eq!(answer(&mut bench), Status::Ok);
}

#[test]
fn only_what_the_command_needs_must_be_written() {
    let mut bench = bench();
    let command = update(1, 1, 6);
    for (dwords, expected) in [(7, Status::Stage), (8, Status::Ok)] {
        bench.stage(1, &command.as_bytes()[..4 * dwords]);
        bench.ring_direct(0, 1, command.header.cookie.get());
        assert_eq!(answer(&mut bench), expected, "{dwords} dwords");
    }
    // CAS needs the expected half too, even if it is zero.
    let mut cas = update(1, 1, 7);
    cas.header.flags = 1;
    for (dwords, expected) in [(8, Status::Stage), (9, Status::Conflict)] {
        bench.stage(1, &cas.as_bytes()[..4 * dwords]);
        bench.ring_direct(0, 1, cas.header.cookie.get());
        assert_eq!(answer(&mut bench), expected, "CAS, {dwords} dwords");
    }
    let entry = add(2, 1);
    for (dwords, expected) in [(31, Status::Stage), (32, Status::Ok)] {
        bench.stage(2, &entry.as_bytes()[..4 * dwords]);
        bench.ring_direct(0, 2, entry.header.cookie.get());
        assert_eq!(answer(&mut bench), expected, "ADD, {dwords} dwords");
    }
}

#[test]
fn taking_a_command_empties_its_buffer() {
    let mut bench = bench();
    let command = update(1, 1, 6);
    assert_eq!(status(&bench.direct(command.as_bytes())), Status::Ok);
    bench.ring_direct(0, 1, command.header.cookie.get());
    assert_eq!(answer(&mut bench), Status::Stage, "R18");
    // Also one that ended in STAGE: its rest is not a start for the next one.
    bench.stage(1, &command.as_bytes()[..16]);
    bench.ring_direct(0, 1, 1);
    assert_eq!(answer(&mut bench), Status::Stage);
    bench.model.write(Bar::Table, 128 + 16, &command.as_bytes()[16..]);
    bench.ring_direct(0, 1, command.header.cookie.get());
    assert_eq!(answer(&mut bench), Status::Stage);
}

#[test]
fn another_tag_empties_the_buffer_and_another_name_leaves_it() {
    let mut bench = bench();
    let (one, other) = (update(1, 1, 6), update(65, 1, 6));
    bench.stage(1, one.as_bytes());
    // Slots 1 and 65 share a buffer; this doorbell names the one that is not there.
    bench.ring_direct(0, 65, other.header.cookie.get());
    assert_eq!(answer(&mut bench), Status::Stage, "R17");
    bench.ring_direct(0, 1, one.header.cookie.get());
    assert_eq!(answer(&mut bench), Status::Ok);
    bench.stage(1, &one.as_bytes()[..32]);
    bench.stage(65, &other.as_bytes()[32..]);
    bench.ring_direct(0, 65, other.header.cookie.get());
    assert_eq!(answer(&mut bench), Status::Stage);
}

#[test]
fn doorbell_and_header_must_agree() {
    let mut bench = bench();
    let command = update(1, 1, 6);
    bench.stage(1, command.as_bytes());
    bench.ring_direct(0, 1, command.header.cookie.get() + 1);
    bench.settle();
    let done = bench.pop_all(0)[0];
    assert_eq!(status(&done), Status::Stage);
    assert_eq!(done.cookie.get(), command.header.cookie.get() + 1);
    assert_eq!(opcode(&done), 0);
    bench.stage(2, command.as_bytes());
    bench.ring_direct(0, 2, command.header.cookie.get());
    assert_eq!(answer(&mut bench), Status::Stage, "index");
}

#[test]
fn delete_by_the_ring_empties_the_buffer_of_its_slot() {
    let mut bench = bench();
    bench.stage(1, update(1, 1, 6).as_bytes());
    bench.stage(2, update(2, 1, 6).as_bytes());
    bench.ring(bare(Opcode::Delete, 1, 1).as_bytes());
    assert!(bench.model.raw_row_is_zero(1), "R18");
    assert!(!bench.model.raw_row_is_zero(2));
}

#[test]
fn pieces_of_dwords_are_dropped_and_counted() {
    let mut bench = bench();
    // Bytes 2..15: a piece, three dwords but the last byte, so a piece again.
    bench.model.write(Bar::Table, 128 + 2, &[0; 13]);
    assert_eq!(bench.counter(Counters::STAGE_DROP), 2);
    bench.model.write(Bar::Table, 128 + 5, &[0; 2]);
    assert_eq!(bench.counter(Counters::STAGE_DROP), 3);
    // A store over the end of a slot stages in both.
    bench.model.write(Bar::Table, 128 + 120, &[1; 16]);
    assert!(!bench.model.raw_row_is_zero(2));
    assert_eq!(bench.counter(Counters::STAGE_DROP), 3);
    let mut ready = Bench::ready(Params::default());
    ready.stage(1, &[1; 64]);
    assert_eq!(ready.counter(Counters::STAGE_DROP), 16);
    assert!(ready.model.raw_row_is_zero(1));
}

#[test]
fn laps_keep_rounds_apart_and_order_is_strict() {
    let mut bench = Bench::running(Params { direct_log2: 1, ..Params::default() });
    bench.enable(Rings::small(0));
    let dword = |bench: &mut Bench, k: u32, which: u64| {
        let entry = direct_entry(k, 2, k, k, EPOCH);
        let value = if which == 0 { entry.target } else { entry.claim };
        let at = Doorbell::DIRECT.address(0) + 8 * u64::from(k % 2) + 4 * which;
        bench.write(Bar::Registers, at, value.get());
    };
    let cookies = |bench: &mut Bench| -> Vec<u32> {
        bench.settle();
        bench.pop_all(0).iter().map(|done| done.cookie.get()).collect()
    };
    // Round 0: the second entry first, and its dwords in the other order.
    dword(&mut bench, 1, 1);
    dword(&mut bench, 1, 0);
    assert!(cookies(&mut bench).is_empty());
    dword(&mut bench, 0, 1);
    assert!(cookies(&mut bench).is_empty());
    dword(&mut bench, 0, 0);
    assert_eq!(cookies(&mut bench), [0, 1]);
    // What lies there is of the last round, until both dwords are new.
    for k in 2..9 {
        dword(&mut bench, k, 0);
        assert!(cookies(&mut bench).is_empty());
        dword(&mut bench, k, 1);
        assert_eq!(cookies(&mut bench), [k]);
    }
    assert_eq!(bench.pair(0, QueuePair::DIRECT_HEAD), 9);
}

#[test]
fn another_epoch_is_dropped() {
    let mut bench = bench();
    let entry = direct_entry(0, 64, 1, 5, EPOCH + 1);
    bench.model.write(Bar::Registers, Doorbell::DIRECT.address(0), entry.as_bytes());
    bench.settle();
    assert_eq!(bench.counter(Counters::EPOCH_DROP), 1, "R47");
    assert!(bench.pop_all(0).is_empty());
    bench.ring_direct(0, 1, 5);
    assert_eq!(answer(&mut bench), Status::Stage);
}

#[test]
fn a_disabled_pair_drops_doorbells_and_enabling_clears_the_ring() {
    let mut bench = bench();
    bench.write_pair(0, QueuePair::QP_CTRL, 0);
    bench.settle();
    bench.ring_direct(0, 1, 5);
    bench.enable(Rings::small(0));
    bench.settle();
    assert!(bench.pop_all(0).is_empty());
    assert_eq!(bench.pair(0, QueuePair::DIRECT_HEAD), 0);
}

#[test]
fn a_build_without_the_direct_path_ignores_it() {
    let mut bench = Bench::running(Params { features: 0x3FFE, ..Params::default() });
    bench.enable(Rings::small(0));
    bench.stage(1, &[1; 64]);
    assert_eq!(bench.counter(Counters::STAGE_DROP), 16);
    bench.ring_direct(0, 1, 5);
    bench.settle();
    assert!(bench.pop_all(0).is_empty());
    assert_eq!(bench.global(Global::FEATURES) & 1, 0);
}

#[test]
fn direct_entries_wait_for_credit() {
    let mut bench = Bench::running(Params::default());
    bench.enable(Rings { cq_log2: 1, ..Rings::small(0) });
    for k in 0..3 {
        bench.ring_direct(0, k, k);
    }
    bench.settle();
    assert_eq!(bench.pair(0, QueuePair::DIRECT_HEAD), 2, "R7");
    assert_eq!(bench.pop_all(0).len(), 2);
    bench.settle();
    assert_eq!(bench.pop_all(0).len(), 1);
}
