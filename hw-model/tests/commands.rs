// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What commands do, by both paths.

mod common;

use common::*;
use esnic_abi::regs::Counters;
use esnic_abi::{
    LiveView, Opcode, Query, QueryRecord, Resolve, Status, Update4, Update4Item, digest,
};
use zerocopy::{FromBytes, IntoBytes};

#[test]
fn an_entry_lives_and_dies_by_the_ring() {
    let mut bench = Bench::new();
    let done = bench.ring(add(7, 1).as_bytes());
    assert_eq!(status(&done), Status::Ok);
    assert_eq!(opcode(&done), Opcode::Add as u32);
    assert!(changed(&done) && lo_valid(&done));
    let view = LiveView::read_from_bytes(&bench.view(7)).unwrap();
    assert_eq!(done.result.get(), digest(&view));
    assert_eq!(bench.counter(Counters::SA_LIVE), 1);

    let done = bench.ring(update(7, 1, 6).as_bytes());
    assert_eq!((status(&done), done.result.get()), (Status::Ok, 6 << 32));
    assert!(changed(&done) && lo_valid(&done));

    let done = bench.ring(bare(Opcode::Delete, 7, 1).as_bytes());
    assert_eq!((status(&done), done.result.get()), (Status::Ok, 6 << 32));
    assert!(bench.model.raw_row_is_zero(7));
    assert_eq!(bench.counter(Counters::SA_LIVE), 0);
}

#[test]
fn an_entry_lives_and_dies_by_the_direct_path() {
    let mut bench = Bench::new();
    assert_eq!(status(&bench.direct(add(7, 1).as_bytes())), Status::Ok);
    assert_eq!(status(&bench.direct(update(7, 1, 6).as_bytes())), Status::Ok);
    let resolve =
        Resolve { header: header(Opcode::Resolve, 7, 1), seq: 9.into(), ..Resolve::default() };
    let done = bench.direct(resolve.as_bytes());
    assert_eq!((status(&done), done.result.get()), (Status::Ok, 6 << 32 | 9));
    let query = Query { header: header(Opcode::Query, 7, 1), ..Query::default() };
    assert_eq!(bench.direct(query.as_bytes()).result.get(), 6 << 32);
    let done = bench.direct(bare(Opcode::Delete, 7, 1).as_bytes());
    assert_eq!((status(&done), done.result.get()), (Status::Ok, 6 << 32));
    assert!(bench.model.raw_row_is_zero(7));
    assert_eq!(bench.counter(Counters::CMD_DIRECT), 5);
}

#[test]
fn a_query_writes_its_record_before_its_completion() {
    let mut bench = Bench::new();
    bench.ring(add(3, 9).as_bytes());
    let view = bench.view(3);
    let mut query = Query {
        header: header(Opcode::Query, 3, 9),
        record_addr: 0x3000.into(),
        ..Query::default()
    };
    query.header.flags = 1;
    bench.memory.dma.clear();
    assert_eq!(status(&bench.ring(query.as_bytes())), Status::Ok);
    let writes: Vec<_> = bench.memory.dma.iter().filter(|dma| dma.2).collect();
    assert_eq!(writes[0], &(0x3000, 128, true), "R42");
    assert_eq!(writes.len(), 2);
    let record = QueryRecord::read_from_bytes(&bench.memory.bytes[0x3000..0x3080]).unwrap();
    assert_eq!(record.view, view[..88]);
    assert_eq!(bench.memory.bytes[0x3058..0x3080], [0; 40]);
}

#[test]
fn no_view_shows_salt_or_key() {
    let mut bench = Bench::new();
    bench.ring(add(3, 9).as_bytes());
    assert_eq!(bench.view(3)[88..], [0; 40], "R33");
    bench.stage(5, add(5, 1).as_bytes());
    assert_eq!(bench.view(5)[16..], [0; 112], "R15");
    assert!(!bench.model.raw_row_is_zero(5), "it is staged all the same");
}

#[test]
fn items_of_update4_are_independent() {
    let mut bench = Bench::new();
    for index in 0..3 {
        bench.ring(add(index, 1).as_bytes());
    }
    let item = |index: u32, generation: u32, hi: u32| Update4Item {
        index: index.into(),
        generation: generation.into(),
        hi: hi.into(),
    };
    let mut command = Update4 {
        header: header(Opcode::Update4, 0, 0),
        item0: item(0, 1, 6),
        item1: item(1, 2, 6),
        item2: item(4096, 1, 6),
        item3: item(2, 1, 5),
    };
    command.header.flags = 4;
    let done = bench.ring(command.as_bytes());
    assert_eq!(status(&done), Status::Items);
    let stale = Status::Stale as u8;
    let bad_index = Status::BadIndex as u8;
    assert_eq!(done.result.get().to_le_bytes(), [0, stale, bad_index, 0, 1, 0, 0, 0]);
    assert!(changed(&done));

    // STEP: each item expects the half before its own.
    command.header.flags = 4 | 8;
    command.item1 = item(1, 1, 6);
    command.item2 = item(2, 1, 0);
    command.item3 = item(3, 1, 6);
    let done = bench.ring(command.as_bytes());
    let conflict = Status::Conflict as u8;
    let empty = Status::Empty as u8;
    assert_eq!(done.result.get().to_le_bytes(), [conflict, 0, conflict, empty, 2, 0, 0, 0]);
}

#[test]
fn cas_step_and_monotone_follow_section_7() {
    let mut bench = Bench::new();
    bench.ring(add(1, 1).as_bytes());
    let cas = |expected: u32, hi: u32| {
        let mut update = update(1, 1, hi);
        update.header.flags = 1;
        update.expected_hi = expected.into();
        update
    };
    let done = bench.ring(cas(4, 6).as_bytes());
    assert_eq!((status(&done), done.result.get() >> 32), (Status::Conflict, 5));
    assert!(!changed(&done) && lo_valid(&done));
    assert_eq!(status(&bench.ring(cas(5, 6).as_bytes())), Status::Ok);
    assert_eq!(status(&bench.ring(cas(6, 5).as_bytes())), Status::Ok);

    let monotone = |mode: u8, hi: u32, lo: u32| {
        let mut update = update(1, 1, hi);
        update.header.flags = 2;
        update.mode = mode;
        update.lo = lo.into();
        update
    };
    let top = bench.ring(monotone(1, 5, 0x10).as_bytes());
    assert_eq!((status(&top), top.result.get()), (Status::Ok, 5 << 32 | 0x10));
    for (mode, hi, lo, expected, moved) in [
        (0, 5, 0, Status::Ok, false),
        (0, 4, 0, Status::Backward, false),
        (2, 4, 0, Status::Backward, false),
        (1, 5, 0x0F, Status::Backward, false),
        (1, 5, 0x10, Status::Ok, false),
        (1, 5, 0x11, Status::Ok, true),
        (2, 5, 0, Status::Ok, true),
        (1, 5, 0, Status::Ok, true),
    ] {
        let done = bench.ring(monotone(mode, hi, lo).as_bytes());
        assert_eq!((status(&done), changed(&done)), (expected, moved), "mode {mode}: {hi}:{lo:x}");
    }
}

#[test]
fn commit_acts_as_an_authenticated_packet() {
    let mut bench = Bench::new();
    bench.ring(add(1, 1).as_bytes());
    let mut resolve =
        Resolve { header: header(Opcode::Resolve, 1, 1), seq: 2.into(), ..Resolve::default() };
    let done = bench.ring(resolve.as_bytes());
    assert_eq!((done.result.get(), changed(&done)), (5 << 32 | 2, false));
    resolve.seq = 0x8000_0003.into();
    resolve.header.flags = 1;
    let done = bench.ring(resolve.as_bytes());
    assert_eq!((done.result.get(), changed(&done)), (5 << 32 | 0x8000_0003, true));
    resolve.seq = 2.into();
    let done = bench.ring(resolve.as_bytes());
    assert_eq!((done.result.get(), changed(&done)), (6 << 32 | 2, true));
}

#[test]
fn generations_outlive_their_entries() {
    let mut bench = Bench::new();
    bench.ring(add(1, 5).as_bytes());
    bench.ring(bare(Opcode::Delete, 1, 5).as_bytes());
    for old in [5, 4, 0x8000_0005] {
        let done = bench.ring(add(1, old).as_bytes());
        assert_eq!((status(&done), done.result.get()), (Status::OldGeneration, 5), "R21: {old:x}");
    }
    assert_eq!(status(&bench.ring(add(1, 0x8000_0004).as_bytes())), Status::Ok);
    let done = bench.ring(bare(Opcode::Delete, 1, 5).as_bytes());
    assert_eq!((status(&done), done.result.get()), (Status::Stale, 0x8000_0004));
}
