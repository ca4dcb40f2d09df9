// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The direct doorbell ring (§2.3): laps, halves in any order, epochs, strict order.

#[macro_use]
mod common;

use common::cmd::esp;
use common::{
    Backend, Bar, Cmd, Counters, Params, Path, QpState, QueuePair, Rig, Shape, Split, Status,
    Transport, regs,
};

for_each_backend!(
    the_direct_path_needs_no_dma_read,
    entries_go_round_with_laps_of_any_depth,
    an_entry_may_come_as_two_dwords_in_either_order,
    an_entry_of_another_lap_does_not_count,
    an_entry_of_another_epoch_is_dropped_and_its_place_stays_free,
    entries_are_taken_strictly_in_order,
    every_pair_has_a_doorbell_ring_of_its_own,
    nothing_written_while_off_counts,
    r13_stores_take_effect_in_the_order_accepted,
    r29_both_paths_may_run_side_by_side,
    a_build_without_the_direct_path_takes_nothing_there,
    places_beyond_the_depth_are_holes,
);

fn the_direct_path_needs_no_dma_read<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.run(Path::Direct, esp(1, 1)).ok();
    rig.run(Path::Direct, Cmd::hi(&esp(1, 1), 5)).ok();
    rig.run(Path::Direct, Cmd::delete(1, 1)).ok();
    assert_eq!(rig.counter(Counters::DMA_RD_TLP), 0);
    assert_eq!(rig.counter(Counters::CMD_DIRECT), 3);
    assert_eq!(rig.pairs[0].reg(QueuePair::SQ_HEAD), 0);
}

fn entries_go_round_with_laps_of_any_depth<B: Backend>() {
    for direct_log2 in 0..=6 {
        let params = Params { direct_log2, ..Rig::<B>::small() };
        let mut rig = Rig::<B>::with(params, &[Shape::default()]);
        let depth = 1 << direct_log2;
        for round in 0..5u32 {
            // All entries of a round at once, each to a stage buffer of its own while there are.
            for chunk in (0..depth).collect::<Vec<u32>>().chunks(16) {
                for &k in chunk {
                    let cmd = rig.stamp(esp(k % 64, round + 1));
                    rig.pairs[0].stage(k % 64, &cmd, Split::Lines);
                    rig.pairs[0].knock(k % 64, cmd.cookie());
                }
                for done in rig.pairs[0].reap(chunk.len()) {
                    done.ok();
                }
            }
            assert_eq!(rig.pairs[0].direct_head(), depth * (round + 1));
            for k in 0..depth {
                rig.exec(Cmd::delete(k, round + 1)).ok();
            }
        }
    }
}

fn an_entry_may_come_as_two_dwords_in_either_order<B: Backend>() {
    let mut rig = Rig::<B>::new();
    // More than one lap, so that the old lap bit is there in both dwords.
    for k in 0..40u32 {
        let cmd = rig.stamp(Cmd::query(1, 1));
        rig.pairs[0].stage(1, &cmd, Split::Lines);
        let at = rig.pairs[0].direct_address();
        let (_, entry) = rig.pairs[0].direct_entry(1, cmd.cookie());
        let halves = [(at, entry as u32), (at + 4, (entry >> 32) as u32)];
        let (first, second) = if k % 2 == 0 { (0, 1) } else { (1, 0) };
        rig.link.write32(Bar::Registers, halves[first].0, halves[first].1);
        rig.settle();
        assert_eq!(rig.pairs[0].poll(), None, "half an entry is none");
        rig.link.write32(Bar::Registers, halves[second].0, halves[second].1);
        rig.pairs[0].knocks += 1;
        let done = rig.pairs[0].next().expect(Status::Empty);
        assert_eq!(done.cookie, cmd.cookie());
    }
}

fn an_entry_of_another_lap_does_not_count<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let cmd = rig.stamp(Cmd::query(1, 1));
    rig.pairs[0].stage(1, &cmd, Split::Lines);
    let (place, entry) = rig.pairs[0].direct_entry(1, cmd.cookie());
    const LAPS: u64 = 1 << 63 | 1 << 31;
    for wrong in [entry ^ LAPS, entry ^ 1 << 31, entry ^ 1 << 63] {
        regs::ring_direct(&*rig.link, 0, place, wrong);
        rig.assert_quiet();
        assert_eq!(rig.pairs[0].direct_head(), 0);
    }
    regs::ring_direct(&*rig.link, 0, place, entry);
    rig.pairs[0].next().expect(Status::Empty);
}

fn an_entry_of_another_epoch_is_dropped_and_its_place_stays_free<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.run(Path::Direct, Cmd::query(1, 1)).expect(Status::Empty);
    let cmd = rig.stamp(esp(1, 1));
    rig.pairs[0].stage(1, &cmd, Split::Lines);
    let (place, entry) = rig.pairs[0].direct_entry(1, cmd.cookie());
    for bit in 24..31 {
        regs::ring_direct(&*rig.link, 0, place, entry ^ 1 << bit);
    }
    rig.assert_quiet();
    assert_eq!(rig.counter(Counters::EPOCH_DROP), 7);
    assert_eq!(rig.counter(Counters::SA_LIVE), 0);
    regs::ring_direct(&*rig.link, 0, place, entry);
    rig.pairs[0].next().ok();
}

fn entries_are_taken_strictly_in_order<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let mut doorbells = vec![];
    for index in 0..8 {
        let cmd = rig.stamp(esp(index, 1));
        rig.pairs[0].stage(index, &cmd, Split::Lines);
        doorbells.push(rig.pairs[0].direct_entry(index, cmd.cookie()));
        rig.pairs[0].knocks += 1;
    }
    // Producers that claimed 7..1 are faster than the one that claimed 0.
    for &(place, entry) in doorbells[1..].iter().rev() {
        regs::ring_direct(&*rig.link, 0, place, entry);
    }
    rig.assert_quiet();
    assert_eq!((rig.pairs[0].direct_head(), rig.counter(Counters::SA_LIVE)), (0, 0));
    let (place, entry) = doorbells[0];
    regs::ring_direct(&*rig.link, 0, place, entry);
    let done = rig.pairs[0].reap(8);
    let cookies: Vec<u64> = done.iter().map(|d| d.ok().cookie.into()).collect();
    let knocked: Vec<u64> = doorbells.iter().map(|d| d.1 >> 32 & 0x7FFF_FFFF).collect();
    assert_eq!(cookies, knocked);
}

fn every_pair_has_a_doorbell_ring_of_its_own<B: Backend>() {
    let mut rig = Rig::<B>::with(Rig::<B>::small(), &[Shape::default(); 4]);
    for pair in 0..4usize {
        let index = pair as u32;
        let cmd = rig.stamp(esp(index, 1));
        rig.run_raw(pair, Path::Direct, cmd).ok();
    }
    let heads = [0, 1, 2, 3].map(|pair: usize| rig.pairs[pair].direct_head());
    assert_eq!(heads, [1; 4]);
    rig.assert_quiet();
}

fn nothing_written_while_off_counts<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let cmd = rig.stamp(esp(1, 1));
    rig.pairs[0].stage(1, &cmd, Split::Lines);
    rig.pairs[0].disable();
    let (place, entry) = rig.pairs[0].direct_entry(1, cmd.cookie());
    regs::ring_direct(&*rig.link, 0, place, entry);
    rig.pairs[0].write_config();
    rig.pairs[0].enable();
    rig.assert_quiet();
    assert_eq!(rig.counter(Counters::SA_LIVE), 0);
    regs::ring_direct(&*rig.link, 0, place, entry);
    rig.pairs[0].next().ok();
}

/// Slot, doorbell, slot, doorbell, without waiting: each command has the bytes of its own store.
fn r13_stores_take_effect_in_the_order_accepted<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let sa = esp(1, 1);
    rig.add(&sa);
    for split in Split::ALL {
        let slots: Vec<u32> = (0..8).map(|k| 1 + 2 * k).collect();
        for (hi, &slot) in slots.iter().enumerate() {
            // All but the first miss; none may be seen with the bytes of another.
            let cmd = rig.stamp(Cmd::top(&sa, hi as u32, 0)).dword(8, slot);
            rig.pairs[0].stage(slot, &cmd, split);
            rig.pairs[0].knock(slot, cmd.cookie());
        }
        let done = rig.pairs[0].reap(8);
        done[0].ok();
        done[1..].iter().for_each(|d| assert_eq!(d.status, Status::Empty));
    }
    // A doorbell that overtakes its store finds nothing.
    let cmd = rig.stamp(Cmd::query(1, 1));
    rig.pairs[0].knock(1, cmd.cookie());
    rig.pairs[0].next().expect(Status::Stage);
}

fn r29_both_paths_may_run_side_by_side<B: Backend>() {
    let mut rig = Rig::<B>::new();
    for index in 0..16 {
        rig.add(&esp(index, 1));
    }
    for round in 1..20 {
        for index in 0..16 {
            let cmd = rig.stamp(Cmd::top(&esp(index, 1), round, index));
            if index % 2 == 0 {
                rig.pairs[0].put(&cmd);
                rig.pairs[0].ring();
            } else {
                rig.pairs[0].stage(index, &cmd, Split::Quadwords);
                rig.pairs[0].knock(index, cmd.cookie());
            }
        }
        for done in rig.pairs[0].reap(16) {
            done.ok();
        }
        (0..16).for_each(|index| assert_eq!(rig.top(index), (round, index, true)));
    }
    assert_eq!(rig.pairs[0].state(), QpState::Enabled);
}

fn a_build_without_the_direct_path_takes_nothing_there<B: Backend>() {
    let direct = esnic_abi::regs::global::FEATURES::DIRECT.mask();
    let params = Params { features: Params::default().features & !direct, ..Rig::<B>::small() };
    let mut rig = Rig::<B>::with(params, &[Shape::default()]);
    rig.add(&esp(1, 1));
    let cmd = rig.stamp(Cmd::delete(1, 1));
    rig.pairs[0].stage(1, &cmd, Split::Lines);
    rig.pairs[0].knock(1, cmd.cookie());
    rig.settle();
    assert_eq!(rig.counter(Counters::SA_LIVE), 1, "never with effect");
    rig.exec(Cmd::query(1, 1)).ok();
}

fn places_beyond_the_depth_are_holes<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let cmd = rig.stamp(esp(1, 1));
    rig.pairs[0].stage(1, &cmd, Split::Lines);
    let (_, entry) = rig.pairs[0].direct_entry(1, cmd.cookie());
    // The build has 16 of 64 places.
    for place in 16..64 {
        regs::ring_direct(&*rig.link, 0, place, entry);
    }
    rig.assert_quiet();
    regs::ring_direct(&*rig.link, 0, 0, entry);
    rig.pairs[0].next().ok();
}
