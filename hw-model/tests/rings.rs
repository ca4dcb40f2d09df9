// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Submission and completion rings: reads, credits, phases, turns, stops and errors.

mod common;

use common::*;
use esnic_abi::regs::{Counters, Doorbell, Global, QueuePair};
use esnic_abi::{Device, FunctionConfig, Opcode, Params, Query, Status};
use esnic_model::Trigger;
use zerocopy::IntoBytes;

const DISABLED: u32 = 0;
const ENABLED: u32 = 1;
const STOPPING: u32 = 2;
const ERROR: u32 = 3;

fn nop(cookie: u32) -> esnic_abi::Bare {
    let mut nop = bare(Opcode::Nop, 0, 0);
    nop.header.cookie = cookie.into();
    nop
}

fn bench(rings: Rings) -> Bench {
    let mut bench = Bench::running(Params::default());
    bench.enable(rings);
    bench
}

#[test]
fn reads_stay_in_their_block_and_before_tail_and_end() {
    let mut bench = bench(Rings::small(0));
    for count in [3, 10] {
        for _ in 0..count {
            bench.fill(0, nop(0).as_bytes());
        }
        bench.publish(0);
        bench.settle();
        bench.pop_all(0);
    }
    let base = Rings::small(0).sq_base();
    let reads: Vec<_> = bench.memory.dma.iter().filter(|dma| !dma.2).collect();
    assert_eq!(
        reads,
        [&(base, 192, false), &(base + 192, 320, false), &(base + 512, 320, false)],
        "R11"
    );
}

#[test]
fn four_completions_share_an_aligned_write() {
    let mut bench = bench(Rings::small(0));
    for count in [1, 7] {
        for _ in 0..count {
            bench.fill(0, nop(0).as_bytes());
        }
        bench.publish(0);
        bench.settle();
    }
    let base = Rings::small(0).cq_base();
    let writes: Vec<_> = bench.memory.dma.iter().filter(|dma| dma.2).collect();
    assert_eq!(writes, [&(base, 16, true), &(base + 16, 48, true), &(base + 64, 64, true)]);
}

#[test]
fn smallest_rings_wrap_past_2_to_the_32_with_the_right_phase() {
    let mut bench = bench(Rings { pair: 0, sq_log2: 1, cq_log2: 1, start: 0xFFFF_FFFC });
    for cookie in 0..12 {
        let done = bench.ring(nop(cookie).as_bytes());
        assert_eq!(done.cookie.get(), cookie);
        let sq_head = 0xFFFC_u16.wrapping_add(1 + cookie as u16);
        assert_eq!(done.sq_head.get(), sq_head, "R10");
    }
    assert_eq!(bench.pair(0, QueuePair::CQ_TAIL), 8);
    assert_eq!(status(&bench.ring(add(1, 1).as_bytes())), Status::Ok);
}

#[test]
fn nothing_is_fetched_without_credit() {
    let mut bench = bench(Rings { cq_log2: 1, ..Rings::small(0) });
    for cookie in 0..5 {
        bench.fill(0, nop(cookie).as_bytes());
    }
    bench.publish(0);
    bench.settle();
    assert_eq!(bench.pair(0, QueuePair::SQ_HEAD), 2, "R7");
    let stalls = bench.counter(Counters::STALL_CQ);
    bench.step(50);
    assert_eq!(bench.counter(Counters::STALL_CQ), stalls + 50);
    for told in 1..=3 {
        assert!(bench.pop(0).is_some());
        bench.tell(0);
        bench.settle();
        assert_eq!(bench.pair(0, QueuePair::CQ_TAIL), 2 + told);
    }
}

#[test]
fn one_credit_is_enough_for_an_add() {
    let mut bench = bench(Rings { cq_log2: 1, ..Rings::small(0) });
    bench.fill(0, nop(1).as_bytes());
    bench.fill(0, nop(2).as_bytes());
    bench.publish(0);
    bench.settle();
    bench.pop(0);
    bench.tell(0);
    bench.fill(0, add(1, 1).as_bytes());
    bench.fill(0, nop(3).as_bytes());
    bench.publish(0);
    bench.settle();
    assert_eq!(bench.pair(0, QueuePair::SQ_HEAD), 4, "R9: both halves");
    assert_eq!(bench.pop_all(0).len(), 2);
    bench.settle();
    assert_eq!(bench.pop_all(0).len(), 1);
}

#[test]
fn doorbells_behind_are_stale_and_beyond_are_errors() {
    let mut bench = bench(Rings::small(0));
    bench.ring(nop(0).as_bytes());
    bench.doorbell(0, Doorbell::SQ_TAIL, 0);
    bench.doorbell(0, Doorbell::CQ_HEAD, 0);
    assert_eq!(bench.counter(Counters::STALE_DB), 2);
    assert_eq!(bench.pair_state(0), (ENABLED, 0));
    bench.doorbell(0, Doorbell::SQ_TAIL, 1 + 17);
    assert_eq!(bench.pair_state(0), (ERROR, 2));
    assert_eq!(bench.global(Global::QP_ERROR_MAP), 1);
    assert_eq!(bench.global(Global::INT_CAUSE), 2);
    bench.write_pair(0, QueuePair::QP_CTRL, 0);
    bench.settle();
    assert_eq!(bench.pair_state(0).0, DISABLED);
    bench.enable(Rings::small(0));
    assert_eq!(bench.pair_state(0), (ENABLED, 0));
    bench.doorbell(0, Doorbell::CQ_HEAD, 1);
    assert_eq!(bench.pair_state(0), (ERROR, 2));
}

#[test]
fn impossible_configurations_are_refused() {
    for (register, value) in [
        (QueuePair::SQ_BASE, 0x800),
        (QueuePair::CQ_BASE, 0x10),
        (QueuePair::RING_SIZE, 0x0400),
        (QueuePair::RING_SIZE, 0x0004),
        (QueuePair::RING_SIZE, 0x0D04),
        (QueuePair::START, 16),
    ] {
        let mut bench = bench(Rings::small(1));
        bench.write_pair(0, QueuePair::RING_SIZE, 0x0404);
        bench.write_pair(0, register, value);
        bench.write_pair(0, QueuePair::QP_CTRL, 1);
        assert_eq!(bench.pair_state(0), (ERROR, 1), "{register:?} {value:x}");
        assert_eq!(bench.pair_state(1).0, ENABLED, "R26");
    }
}

#[test]
fn a_read_error_ends_the_ring_there() {
    for poison in [false, true] {
        let mut bench = bench(Rings::small(0));
        let second = Trigger::Nth(2);
        if poison {
            bench.model.faults_mut().poison_read = second;
        } else {
            bench.model.faults_mut().fail_read = second;
        }
        for _ in 0..9 {
            bench.fill(0, nop(0).as_bytes());
        }
        bench.publish(0);
        bench.settle();
        assert_eq!(bench.pop_all(0).len(), 8, "R27");
        assert_eq!(bench.pair_state(0), (ERROR, 3));
        let failed = Rings::small(0).sq_base() + 512;
        assert_eq!(u64::from(bench.pair(0, QueuePair::QP_ERR_ADDR)), failed);
        assert_eq!(bench.pair(0, QueuePair::SQ_HEAD), 8);
        assert_eq!(bench.counter(Counters::DMA_ERRORS), 1);
    }
}

#[test]
fn a_completion_that_cannot_be_written_stops_its_pair_only() {
    let mut bench = bench(Rings::small(0));
    bench.enable(Rings::small(1));
    let cq = Rings::small(0).cq_base();
    bench.model.faults_mut().fail_write = Trigger::Within(cq..cq + 256);
    for pair in [0, 1] {
        bench.fill(pair, nop(0).as_bytes());
        bench.publish(pair);
    }
    bench.settle();
    assert_eq!(bench.pair_state(0), (ERROR, 4));
    assert_eq!(u64::from(bench.pair(0, QueuePair::QP_ERR_ADDR)), cq);
    assert_eq!(bench.pop_all(1).len(), 1);
}

#[test]
fn a_stopped_pair_has_told_everything_it_fetched() {
    let mut bench = bench(Rings::small(0));
    for _ in 0..12 {
        bench.fill(0, nop(0).as_bytes());
    }
    bench.publish(0);
    bench.step(3);
    bench.write_pair(0, QueuePair::QP_CTRL, 0);
    assert_eq!(bench.pair_state(0).0, STOPPING);
    bench.settle();
    assert_eq!(bench.pair_state(0).0, DISABLED);
    assert_eq!(bench.pair(0, QueuePair::SQ_HEAD), 8, "R25");
    assert_eq!(bench.pop_all(0).len(), 8);
    // RUN = 0 is heard now, and was not before (R47).
    bench.write_global(Global::CONTROL, 0);
    assert_eq!(bench.global(Global::STATUS), 2);
}

#[test]
fn run_ends_only_when_all_pairs_are_disabled() {
    let mut bench = bench(Rings::small(0));
    bench.write_global(Global::CONTROL, 0);
    assert_eq!(bench.global(Global::STATUS), 3);
}

#[test]
fn a_fence_waits_for_completions_and_holds_what_follows() {
    let mut bench = bench(Rings::small(0));
    bench.model.set_trace(true);
    bench.model.faults_mut().delay_cycles = 100;
    for command in [nop(1), bare(Opcode::Fence, 0, 0), nop(2)] {
        bench.fill(0, command.as_bytes());
    }
    bench.publish(0);
    bench.step(99);
    assert_eq!(bench.model.take_trace().len(), 1);
    bench.step(100);
    let executed = bench.model.take_trace();
    assert_eq!(executed.len(), 1);
    assert_eq!(executed[0].opcode_byte, Opcode::Fence as u8);
    assert_eq!(bench.pop_all(0).len(), 1);
    bench.settle();
    assert_eq!(bench.pop_all(0).len(), 2);
}

#[test]
fn a_waiting_fence_does_not_hold_other_pairs() {
    let mut bench = bench(Rings::small(0));
    bench.enable(Rings::small(1));
    bench.model.set_trace(true);
    bench.model.faults_mut().delay_cycles = 1000;
    bench.fill(0, nop(1).as_bytes());
    bench.fill(0, bare(Opcode::Fence, 0, 0).as_bytes());
    bench.fill(1, nop(2).as_bytes());
    bench.publish(0);
    bench.publish(1);
    bench.step(10);
    let pairs: Vec<_> = bench.model.take_trace().iter().map(|e| e.queue_pair).collect();
    assert_eq!(pairs, [0, 1]);
}

#[test]
fn pairs_take_turns_by_read_and_direct_entries_alternate() {
    let mut bench = bench(Rings::small(0));
    bench.enable(Rings::small(1));
    bench.model.set_trace(true);
    for _ in 0..12 {
        bench.fill(0, nop(0).as_bytes());
        bench.fill(1, nop(0).as_bytes());
    }
    bench.publish(0);
    bench.publish(1);
    for index in 0..3 {
        bench.ring_direct(1, index, 0);
    }
    bench.settle();
    let order: Vec<_> = bench.model.take_trace().iter().map(|e| (e.queue_pair, e.direct)).collect();
    let ring: Vec<_> = order.iter().filter(|e| !e.1).map(|e| e.0).collect();
    let turns: Vec<_> = [(0, 8), (1, 8), (0, 4), (1, 4)]
        .iter()
        .flat_map(|&(pair, count)| std::iter::repeat_n(pair, count))
        .collect();
    assert_eq!(ring, turns, "R11");
    assert_eq!(order[..6].iter().filter(|e| e.1).count(), 3, "R11");
}

#[test]
fn without_bus_master_dma_waits_and_nothing_is_lost() {
    let mut bench = bench(Rings::small(0));
    let off = FunctionConfig { bus_master: false, msix_enable: true, msix_mask: false };
    let mut query = Query { header: header(Opcode::Query, 1, 0), ..Query::default() };
    query.header.flags = 3;
    for command in [nop(1).as_bytes(), query.as_bytes()] {
        bench.fill(0, command);
    }
    bench.publish(0);
    bench.step(1);
    bench.model.configure(off);
    bench.memory.dma.clear();
    assert!(!bench.step(10_000), "only the host can help");
    assert!(bench.memory.dma.is_empty(), "R24");
    bench.model.configure(FunctionConfig { bus_master: true, ..off });
    bench.settle();
    assert_eq!(bench.pop_all(0).len(), 2);
    assert_eq!(bench.pair_state(0), (ENABLED, 0));
}
