// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Random programs against the integer-only oracle: a million commands, and not one answer that
//! differs. `ESNIC_SEED` chooses other programs, `ESNIC_OPS` another length of each.

#[macro_use]
mod common;

use common::program::{Plan, run};
use common::{Backend, Params, Rig, Shape};

for_each_backend!(
    one_slot_and_rings_of_two,
    two_slots_whose_generations_wrap,
    four_slots_whose_ring_indices_wrap,
    sixty_four_slots_spread_over_a_large_table,
    one_stage_buffer_for_all,
    eight_threads_that_share_four_slots,
    two_threads_that_share_one_slot,
    four_threads_that_share_many_slots_by_rings_of_two,
);

fn plan<B: Backend>(name: &'static str, ops: usize) -> Plan {
    Plan {
        name,
        ops,
        params: Rig::<B>::small(),
        shape: Shape::of(6, 6),
        handles: 4,
        threads: 1,
        generation: 0,
    }
}

fn one_slot_and_rings_of_two<B: Backend>() {
    run::<B>(Plan {
        shape: Shape::of(1, 1),
        handles: 1,
        ..plan::<B>("one slot, rings of two", 100_000)
    });
}

fn two_slots_whose_generations_wrap<B: Backend>() {
    run::<B>(Plan {
        handles: 2,
        generation: 0xFFFF_FFF0,
        ..plan::<B>("two slots, generation wrap", 150_000)
    });
}

/// START is the last possible one, so that SQ, CQ and phase wrap in the first rounds; the direct
/// ring of one entry turns its lap every time.
fn four_slots_whose_ring_indices_wrap<B: Backend>() {
    let params = Params { direct_log2: 0, ..Rig::<B>::small() };
    run::<B>(Plan {
        params,
        shape: Shape::of(10, 9).about_to_wrap(),
        ..plan::<B>("four slots, index wrap", 150_000)
    });
}

fn sixty_four_slots_spread_over_a_large_table<B: Backend>() {
    let params = Params { sa_capacity: 1 << 20, stage_log2: 6, ..Rig::<B>::small() };
    run::<B>(Plan {
        params,
        shape: Shape::of(10, 10),
        handles: 64,
        ..plan::<B>("64 slots of a million", 150_000)
    });
}

fn one_stage_buffer_for_all<B: Backend>() {
    let params = Params { stage_log2: 0, ..Rig::<B>::small() };
    run::<B>(Plan { params, handles: 4, ..plan::<B>("one stage buffer", 50_000) });
}

fn eight_threads_that_share_four_slots<B: Backend>() {
    let params = Params { queue_pairs: 8, ..Rig::<B>::small() };
    run::<B>(Plan {
        params,
        threads: 8,
        generation: 0xFFFF_FFFE,
        ..plan::<B>("eight threads, four slots", 200_000)
    });
}

fn two_threads_that_share_one_slot<B: Backend>() {
    run::<B>(Plan {
        handles: 1,
        threads: 2,
        shape: Shape::of(4, 3).about_to_wrap(),
        ..plan::<B>("two threads, one slot", 100_000)
    });
}

fn four_threads_that_share_many_slots_by_rings_of_two<B: Backend>() {
    run::<B>(Plan {
        handles: 64,
        threads: 4,
        shape: Shape::of(1, 2),
        ..plan::<B>("four threads, 64 slots, rings of two", 100_000)
    });
}
