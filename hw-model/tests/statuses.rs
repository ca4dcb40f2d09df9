// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The table of §4.7: every status, and that the first that applies is the one that is told. Each
//! list begins with a command that has every defect, and takes them away one by one.

mod common;

use common::*;
use esnic_abi::regs::QueuePair;
use esnic_abi::{Add, Bare, Completion, Opcode, Params, Query, Resolve, Status, Update, Update4};
use esnic_model::Trigger;
use zerocopy::IntoBytes;

/// A status, and what takes its cause away.
type Repair<C> = (Status, fn(&mut C));

/// Gives `command` to `run` again and again, repairing one defect after each status.
fn peel<C: Clone>(mut command: C, repairs: &[Repair<C>], mut run: impl FnMut(&C) -> Completion) {
    for (expected, repair) in repairs {
        assert_eq!(status(&run(&command)), *expected);
        repair(&mut command);
    }
    assert_eq!(status(&run(&command)), Status::Ok);
}

#[test]
fn update_tells_the_first_defect() {
    let mut bench = Bench::new();
    bench.ring(add(1, 9).as_bytes());
    let mut worst = update(5000, 8, 4);
    worst.header.opcode = 0x3F;
    worst.header.epoch = 1.into();
    worst.header.flags = 3;
    worst.rsvd1[27] = 1;
    worst.protocol = 1;
    worst.spi = 1.into();
    worst.expected_hi = 4.into();
    let repairs: &[Repair<Update>] = &[
        (Status::BadOpcode, |u| u.header.opcode = Opcode::Update as u8),
        (Status::BadEpoch, |u| u.header.epoch = EPOCH.into()),
        (Status::BadField, |u| u.rsvd1[27] = 0),
        (Status::BadIndex, |u| u.header.index = 2.into()),
        (Status::Empty, |u| u.header.index = 1.into()),
        (Status::Stale, |u| u.header.generation = 9.into()),
        (Status::WrongProto, |u| u.protocol = 2),
        (Status::WrongSpi, |u| u.spi = 0x1234_5678.into()),
        (Status::Conflict, |u| u.expected_hi = 5.into()),
        (Status::Backward, |u| u.hi = 5.into()),
    ];
    peel(worst, repairs, |u| bench.ring(u.as_bytes()));
}

#[test]
fn add_tells_the_first_defect() {
    let params = Params { max_window: 1024, ..Params::default() };
    let mut bench = Bench::running(params);
    bench.enable(Rings::small(0));
    bench.ring(add(1, 9).as_bytes());
    bench.model.faults_mut().verify_add = Trigger::next();
    let mut worst = add(5000, 9);
    worst.header.epoch = 1.into();
    worst.second_cookie = 1.into();
    worst.rsvd0 = 1;
    worst.replay_window = 1025.into();
    let repairs: &[Repair<Add>] = &[
        (Status::BadEpoch, |a| a.header.epoch = EPOCH.into()),
        (Status::BadPair, |a| a.second_cookie = a.header.cookie),
        (Status::BadField, |a| a.rsvd0 = 0),
        (Status::BadIndex, |a| a.header.index = 1.into()),
        (Status::Unsupported, |a| a.replay_window = 1024.into()),
        (Status::Occupied, |a| a.header.index = 2.into()),
        (Status::Verify, |a| a.header.generation = 10.into()),
        (Status::Occupied, |a| a.header.index = 3.into()),
    ];
    peel(worst, repairs, |a| bench.ring(a.as_bytes()));
    // The slot of the failed ADD: generation remembered, nothing shown, free again by DELETE only.
    let bad = bench.view(2);
    assert_eq!((bad[0], bad[12], &bad[16..]), (3, 9, &[0; 112][..]));
    let done = bench.ring(bare(Opcode::Delete, 2, 9).as_bytes());
    assert_eq!((status(&done), done.result.get()), (Status::Ok, 0));
    let old = bench.ring(add(2, 9).as_bytes());
    assert_eq!((status(&old), old.result.get()), (Status::OldGeneration, 9));
    assert!(bench.model.raw_row_is_zero(2));
}

#[test]
fn direct_commands_tell_stage_first() {
    let mut bench = Bench::new();
    bench.ring(add(1, 9).as_bytes());
    let mut nop = bare(Opcode::Nop, 1, 9);
    nop.header.epoch = 1.into();
    // Of an opcode that is not for this path, the header is what must be there.
    bench.stage(1, &nop.as_bytes()[..12]);
    bench.ring_direct(0, 1, nop.header.cookie.get());
    bench.settle();
    let done = bench.pop_all(0)[0];
    assert_eq!((status(&done), opcode(&done)), (Status::Stage, 0));
    let done = bench.direct(nop.as_bytes());
    assert_eq!((status(&done), opcode(&done)), (Status::BadOpcode, 1));
    for opcode in [Opcode::Fence, Opcode::Update4, Opcode::AddSecond] {
        let done = bench.direct(bare(opcode, 1, 9).as_bytes());
        assert_eq!(status(&done), Status::BadOpcode);
    }
    let mut pair = add(2, 1);
    pair.second_epoch = 1.into();
    assert_eq!(status(&bench.direct(pair.as_bytes())), Status::BadPair);
}

#[test]
fn update_without_esn_moves_the_low_half_only() {
    let mut bench = Bench::new();
    let mut plain = add(1, 1);
    plain.sa_flags = 0.into();
    plain.hi = 0.into();
    bench.ring(plain.as_bytes());
    let mut update = update(1, 1, 0);
    let done = bench.ring(update.as_bytes());
    assert_eq!((status(&done), done.result.get()), (Status::NotEsn, 0x8000_0000));
    update.mode = 1;
    update.header.flags = 1;
    assert_eq!(status(&bench.ring(update.as_bytes())), Status::NotEsn, "CAS");
    update.header.flags = 0;
    update.hi = 1.into();
    assert_eq!(status(&bench.ring(update.as_bytes())), Status::NotEsn, "hi");
    update.hi = 0.into();
    update.lo = 7.into();
    let done = bench.ring(update.as_bytes());
    assert_eq!((status(&done), done.result.get()), (Status::Ok, 7));
}

#[test]
fn delete_tells_empty_and_stale_and_survives_a_failed_read_back() {
    let mut bench = Bench::new();
    let delete = |generation| bare(Opcode::Delete, 1, generation);
    assert_eq!(status(&bench.ring(delete(1).as_bytes())), Status::Empty);
    bench.ring(add(1, 4).as_bytes());
    let done = bench.ring(delete(3).as_bytes());
    assert_eq!((status(&done), done.result.get()), (Status::Stale, 4));
    bench.model.faults_mut().verify_delete = Trigger::next();
    let done = bench.ring(delete(4).as_bytes());
    assert_eq!((status(&done), done.result.get()), (Status::Verify, 0));
    assert_eq!(status(&bench.ring(update(1, 4, 6).as_bytes())), Status::Empty);
    assert_eq!(status(&bench.ring(delete(4).as_bytes())), Status::Ok);
    let done = bench.ring(delete(4).as_bytes());
    assert_eq!((status(&done), done.result.get()), (Status::Empty, 4));
}

/// Each of these fields, wrong by itself, is BAD_FIELD.
#[test]
fn every_field_of_add_is_checked() {
    let mut bench = Bench::new();
    let defects: &[fn(&mut Add)] = &[
        |a| a.header.flags = 1,
        |a| a.header.generation = 0.into(),
        |a| {
            a.header.cookie = 0x8000_0000.into();
            a.second_cookie = a.header.cookie;
        },
        |a| a.spi = 0.into(),
        |a| a.protocol = 3,
        |a| a.protocol = 1,
        |a| a.direction = 0,
        |a| a.mode = 3,
        |a| a.algorithm = 7,
        |a| a.algorithm = 0,
        |a| a.icv_len = 10,
        |a| {
            a.algorithm = 6;
            a.icv_len = 12;
        },
        |a| a.family = 5,
        |a| a.family = 4,
        |a| a.sa_flags = 0x0101.into(),
        |a| a.udp_encap = 3,
        |a| {
            a.protocol = 1;
            a.algorithm = 6;
            a.udp_encap = 1;
        },
        |a| a.udp_src = 1.into(),
        |a| a.udp_dst = 1.into(),
        |a| a.second_flags = 3,
        |a| a.second_flags = 0,
        |a| a.sa_flags = 0.into(),
        |a| a.rsvd0 = 1,
        |a| a.rsvd1[3] = 1,
        |a| a.algorithm = 1,
        |a| a.algorithm = 2,
    ];
    for (k, defect) in defects.iter().enumerate() {
        let mut command = add(1, 1);
        defect(&mut command);
        let done = bench.ring(command.as_bytes());
        assert_eq!(status(&done), Status::BadField, "defect {k}");
    }
    // UDP encapsulations that are defined, but not offered.
    for udp in [4, 8] {
        let mut command = add(1, 1);
        command.udp_encap = udp;
        assert_eq!(status(&bench.ring(command.as_bytes())), Status::Unsupported);
    }
    assert!(bench.model.raw_row_is_zero(1), "R14");
}

#[test]
fn every_field_of_the_short_commands_is_checked() {
    let mut bench = Bench::new();
    bench.ring(add(1, 1).as_bytes());
    let mut bad = Vec::new();
    let mut with = |bytes: &[u8], at: usize, value: u8| {
        let mut command: [u8; 64] = bytes.try_into().expect("one slot");
        command[at] = value;
        bad.push((command, at));
    };
    for opcode in [Opcode::Nop, Opcode::Fence] {
        for (at, value) in [(1, 1), (7, 0x80), (8, 1), (12, 1), (16, 1), (63, 1)] {
            with(bare(opcode, 0, 0).as_bytes(), at, value);
        }
    }
    for (at, value) in [(1, 1), (7, 0x80), (12, 0), (16, 1), (63, 1)] {
        with(bare(Opcode::Delete, 1, 1).as_bytes(), at, value);
    }
    let good = update(1, 1, 6);
    for (at, value) in
        [(1, 4), (12, 0), (20, 0), (20, 3), (21, 3), (22, 1), (28, 1), (32, 1), (36, 1)]
    {
        with(good.as_bytes(), at, value);
    }
    let query = Query { header: header(Opcode::Query, 1, 1), ..Query::default() };
    for (at, value) in [(1, 4), (1, 2), (12, 0), (16, 0x80), (63, 1)] {
        with(query.as_bytes(), at, value);
    }
    let mut record = query;
    record.header.flags = 1;
    with(record.as_bytes(), 16, 0x40);
    let resolve = Resolve { header: header(Opcode::Resolve, 1, 1), ..Resolve::default() };
    for (at, value) in [(1, 2), (12, 0), (20, 1), (63, 1)] {
        with(resolve.as_bytes(), at, value);
    }
    let mut four = Update4 { header: header(Opcode::Update4, 0, 0), ..Update4::default() };
    four.header.flags = 1;
    four.item0.index = 1.into();
    for (at, value) in [(1, 0), (1, 5), (1, 0x11), (8, 1), (12, 1), (28, 1), (63, 1)] {
        with(four.as_bytes(), at, value);
    }
    for (command, at) in bad {
        let done = bench.ring(&command);
        assert_eq!(status(&done), Status::BadField, "opcode {:x}, byte {at}", command[0]);
    }
}

#[test]
fn what_a_build_lacks_is_unsupported_and_its_opcodes_are_unknown() {
    let params = Params { features: 0x3FFF & !(0b1_1110), ..Params::default() };
    let mut bench = Bench::running(params);
    bench.enable(Rings::small(0));
    bench.ring(add(1, 1).as_bytes());
    let mut query = Query { header: header(Opcode::Query, 1, 1), ..Query::default() };
    query.header.flags = 1;
    assert_eq!(status(&bench.ring(query.as_bytes())), Status::Unsupported);
    for opcode in [Opcode::Update4, Opcode::Resolve] {
        let done = bench.ring(bare(opcode, 0, 0).as_bytes());
        assert_eq!(status(&done), Status::BadOpcode, "{opcode}");
    }
    for bit in [5, 7, 9, 11] {
        let mut bench =
            Bench::running(Params { features: 0x3FFF & !(1 << bit), ..Params::default() });
        bench.enable(Rings::small(0));
        let done = bench.ring(add(1, 1).as_bytes());
        assert_eq!(status(&done), Status::Unsupported, "FEATURES bit {bit}");
    }
}

#[test]
fn a_refused_record_is_dma_error_with_top() {
    let mut bench = Bench::new();
    bench.ring(add(1, 1).as_bytes());
    let mut query = Query {
        header: header(Opcode::Query, 1, 1),
        record_addr: (1 << 40).into(),
        ..Query::default()
    };
    query.header.flags = 1;
    let done = bench.ring(query.as_bytes());
    assert_eq!((status(&done), done.result.get()), (Status::DmaError, 5 << 32 | 0x8000_0000));
    assert!(lo_valid(&done));
    // ANY sees whatever is there, also nothing.
    let mut any: Query = query;
    any.header = header(Opcode::Query, 9, 0);
    any.header.flags = 2;
    any.record_addr = 0.into();
    let done = bench.ring(any.as_bytes());
    assert_eq!((status(&done), done.result.get()), (Status::Ok, 0));
}

/// R14: what an ADD takes from the ring when it is malformed.
#[test]
fn a_malformed_pair_consumes_what_belongs_to_it() {
    let mut bench = Bench::new();
    let nop: Bare = bare(Opcode::Nop, 0, 0);
    let entry = add(1, 1);
    let (first, second) = entry.as_bytes().split_at(64);
    let mut run = |slots: &[&[u8]]| {
        for slot in slots {
            bench.fill(0, slot);
        }
        bench.publish(0);
        bench.settle();
        let statuses: Vec<_> = bench.pop_all(0).iter().map(status).collect();
        if bench.tail(0) % 2 == 1 {
            bench.ring(nop.as_bytes());
        }
        assert_eq!(bench.pair(0, QueuePair::SQ_HEAD), bench.tail(0));
        statuses
    };
    let nop = nop.as_bytes();
    assert_eq!(run(&[nop, first, second, nop]), [Status::Ok, Status::BadPair, Status::Ok]);
    assert_eq!(run(&[first, nop]), [Status::BadPair, Status::Ok]);
    assert_eq!(run(&[first]), [Status::BadPair]);
    assert_eq!(run(&[second, nop]), [Status::BadOpcode, Status::Ok]);
}

/// R14, where the second half is in another read than the first: it is still no command.
#[test]
fn an_odd_pair_over_the_end_of_a_read_is_one_command() {
    let mut bench = Bench::new();
    let nop = bare(Opcode::Nop, 0, 0);
    for _ in 0..7 {
        bench.fill(0, nop.as_bytes());
    }
    bench.fill(0, add(1, 1).as_bytes());
    bench.fill(0, nop.as_bytes());
    bench.publish(0);
    bench.settle();
    let statuses: Vec<_> = bench.pop_all(0).iter().map(status).collect();
    assert_eq!(statuses.len(), 9);
    assert_eq!(statuses[7..], [Status::BadPair, Status::Ok]);
    assert!(bench.model.raw_row_is_zero(1));
}
