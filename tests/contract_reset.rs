// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reset of either kind (R20), what it forgets, and late stores of the instance before (R47).

#[macro_use]
mod common;

use common::cmd::esp;
use common::{
    Backend, Bar, Cmd, Counters, Doorbell, Global, MsixPba, MsixTable, Path, QpState, QueuePair,
    Rig, Shape, Split, Status, Transport, not_asked, regs, thin,
};
use esnic_abi::DeviceState;

for_each_backend!(
    r20_reset_puts_every_register_back,
    r20_reset_ends_dma_and_drops_what_was_under_way,
    r20_reset_forgets_table_generations_and_stage,
    r20_flr_also_resets_configuration_space,
    r20_only_a_function_level_reset_touches_the_msix_table,
    r28_handles_come_back_unchanged_after_reset,
    r47_late_stores_hit_nothing_while_the_device_is_not_running,
    r47_late_direct_doorbells_of_the_old_epoch_are_dropped,
    r47_late_staged_commands_of_the_old_epoch_end_in_bad_epoch,
    r47_late_ring_doorbells_miss_the_new_start,
);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Flr,
    Soft,
}

const KINDS: [Kind; 2] = [Kind::Flr, Kind::Soft];

/// Resets as the driver must: Bus Master off first.
fn reset<B: Backend>(rig: &Rig<B>, kind: Kind) {
    rig.link.set_bus_master(false).expect("configuration space");
    strike(rig, kind);
    rig.await_state(DeviceState::Ready);
}

fn strike<B: Backend>(rig: &Rig<B>, kind: Kind) {
    match kind {
        Kind::Flr => rig.link.reset().expect("a reset"),
        Kind::Soft => rig.set_global(Global::CONTROL, 2),
    }
}

/// Starts again as another instance with one pair.
fn restart<B: Backend>(rig: &mut Rig<B>, instance: u64, shape: Shape) {
    rig.start(instance);
    rig.pairs.clear();
    rig.open(shape);
}

fn r20_reset_puts_every_register_back<B: Backend>() {
    for kind in KINDS {
        let image = |rig: &Rig<B>| -> Vec<u32> {
            let cycles = Counters::CYCLES.address(0);
            let clock = [cycles, cycles + 4];
            // The page of the global block and those of two pairs, and samples of the rest.
            let first = (0..0x1000).chain(0x4_0000..0x4_2000).step_by(4);
            let rest = (0x1000..0x4_0000).chain(0x4_2000..0x8_0000).step_by(4);
            let registers = first.chain(thin(thin(rest))).filter(|at| !clock.contains(at));
            registers.map(|at| rig.link.read32(Bar::Registers, at)).collect()
        };
        let fresh = image(&Rig::<B>::ready(Rig::<B>::small()));
        let mut rig = Rig::<B>::new();
        rig.open(Shape::of(3, 4).about_to_wrap());
        rig.set_global(Global::SCRATCH, 0x1234);
        rig.set_global(Global::INT_ENABLE, 7);
        rig.pairs[0].set(QueuePair::COALESCE, 0x0003_0002);
        rig.add(&esp(1, 1));
        rig.run(Path::Direct, Cmd::delete(1, 1)).ok();
        // One pair in ERROR, so that causes, map and address are set too.
        rig.pairs[1].ring_at(rig.pairs[1].tail.wrapping_add(100));
        rig.pairs[1].await_state(QpState::Error);
        assert_ne!(image(&rig), fresh);
        reset(&rig, kind);
        assert_eq!(image(&rig), fresh, "{kind:?}");
    }
}

fn r20_reset_ends_dma_and_drops_what_was_under_way<B: Backend>() {
    for kind in KINDS {
        // From "told" to "almost done", one more poll of the device each time.
        for cycles in thin(0..24) {
            let mut rig = Rig::<B>::new();
            for _ in 0..16 {
                let nop = rig.stamp(Cmd::nop());
                rig.pairs[0].put(&nop);
            }
            rig.pairs[0].arm();
            rig.pairs[0].ring();
            B::step(&rig.link, cycles);
            strike(&rig, kind);
            if B::step(&rig.link, 0).is_none() {
                // It runs by itself: the store is on its way, and what was offered before it arrives still.
                rig.await_state(DeviceState::Ready);
            }
            let mut before = vec![0; 16 << 6];
            rig.pairs[0].cq.read(0, &mut before);
            rig.await_state(DeviceState::Ready);
            rig.link.set_bus_master(true).expect("configuration space");
            rig.settle();
            let mut after = vec![0; 16 << 6];
            rig.pairs[0].cq.read(0, &mut after);
            assert!(before == after, "{kind:?} after {cycles} cycles: DMA after reset");
            assert_eq!(rig.counter(Counters::MSIX_SENT), 0);
            assert_eq!(rig.counter(Counters::DMA_RD_TLP), 0);
            restart(&mut rig, 3, Shape::default());
            rig.exec(Cmd::nop()).ok();
            rig.assert_quiet();
        }
    }
}

fn r20_reset_forgets_table_generations_and_stage<B: Backend>() {
    for kind in KINDS {
        let mut rig = Rig::<B>::new();
        rig.add(&esp(1, 100));
        rig.add(&esp(2, 100));
        rig.exec(Cmd::delete(2, 100)).ok();
        let staged = rig.stamp(esp(9, 1));
        rig.pairs[0].stage(9, &staged, Split::Lines);
        reset(&rig, kind);
        for (i, row) in rig.table().iter().enumerate() {
            assert_eq!((row.state, row.generation.get(), row.index.get()), (0, 0, i as u32));
            assert_ne!(B::is_wiped(&rig.link, i as u32), Some(false), "row {i}");
        }
        // With the very same epoch and cookie: what was staged is gone, not just out of date.
        let instance = 0x5EED_0000_0000_0000 | u64::from(rig.epoch);
        restart(&mut rig, instance, Shape::default());
        rig.pairs[0].knock(9, staged.cookie());
        rig.pairs[0].next().expect(Status::Stage);
    }
}

fn r20_flr_also_resets_configuration_space<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.link.reset().expect("a reset");
    rig.await_state(DeviceState::Ready);
    regs::set_global64(&*rig.link, Global::INSTANCE, 5);
    rig.epoch = 5;
    rig.set_global(Global::CONTROL, 1);
    rig.await_state(DeviceState::Running);
    rig.pairs.clear();
    rig.open(Shape::default());
    // Bus Master is off, so nothing moves until it is on again.
    let nop = rig.stamp(Cmd::nop());
    rig.pairs[0].put(&nop);
    rig.pairs[0].ring();
    rig.assert_quiet();
    rig.link.set_bus_master(true).expect("configuration space");
    rig.pairs[0].next().ok();
}

/// The kernel wrote the table and does not know of a SOFT_RESET; what was pending is gone either way.
fn r20_only_a_function_level_reset_touches_the_msix_table<B: Backend>() {
    if !B::SHOWS_MSIX {
        not_asked(B::NAME, "its MSI-X table is the kernel's");
        return;
    }
    for kind in KINDS {
        let mut rig = Rig::<B>::new();
        let entry = |rig: &Rig<B>, vector: u32| {
            MsixTable::ALL.iter().map(|r| rig.link.read32(Bar::Msix, r.address(vector))).collect()
        };
        for (k, register) in (1..).zip(MsixTable::ALL) {
            rig.link.write32(Bar::Msix, register.address(0), 0x1111_1110 * k + k % 2);
            rig.link.write32(Bar::Msix, register.address(1), 0x0101_0100 * k);
        }
        rig.link.write32(Bar::Msix, MsixTable::MSG_CTRL.address(0), 1);
        rig.pairs[0].arm();
        rig.exec(Cmd::nop()).ok();
        rig.settle();
        let pending = |rig: &Rig<B>| rig.link.read32(Bar::Msix, MsixPba::PENDING.address(0));
        assert_eq!(pending(&rig), 1);
        let before: [Vec<u32>; 2] = [entry(&rig, 0), entry(&rig, 1)];
        reset(&rig, kind);
        let after = [entry(&rig, 0), entry(&rig, 1)];
        if kind == Kind::Soft {
            assert_eq!(after, before);
        } else {
            assert_eq!(after, [vec![0, 0, 0, 1], vec![0, 0, 0, 1]], "empty and masked");
        }
        assert_eq!(pending(&rig), 0, "{kind:?}");
    }
}

fn r28_handles_come_back_unchanged_after_reset<B: Backend>() {
    for kind in KINDS {
        let mut rig = Rig::<B>::new();
        let sas = [esp(0, 1), esp(1, 0xFFFF_FFFF), esp(63, 0x8000_0000)];
        let digests = sas.map(|sa| rig.add(&sa).result);
        let before = rig.table();
        reset(&rig, kind);
        restart(&mut rig, 4, Shape::default());
        assert_eq!(sas.map(|sa| rig.add(&sa).result), digests);
        assert_eq!(rig.table(), before);
    }
}

fn r47_late_stores_hit_nothing_while_the_device_is_not_running<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let late = rig.stamp(esp(9, 1));
    reset(&rig, Kind::Flr);
    rig.pairs[0].stage(9, &late, Split::Lines);
    rig.pairs[0].knock(9, late.cookie());
    rig.pairs[0].tail = 8;
    rig.pairs[0].ring();
    regs::ring(&*rig.link, 0, Doorbell::CQ_HEAD, 8);
    regs::ring(&*rig.link, 0, Doorbell::CQ_ARM, 8);
    assert_eq!(rig.counter(Counters::STAGE_DROP), 32, "all dwords of the slot");
    restart(&mut rig, 6, Shape::default());
    rig.assert_quiet();
    assert_eq!(rig.pairs[0].state(), QpState::Enabled);
    assert_eq!(rig.pairs[0].reg(QueuePair::SQ_TAIL), 0);
    assert_eq!(rig.pairs[0].direct_head(), 0);
    rig.run(Path::Direct, esp(9, 1)).ok();
}

fn r47_late_direct_doorbells_of_the_old_epoch_are_dropped<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let (place, late) = rig.pairs[0].direct_entry(9, 77);
    reset(&rig, Kind::Flr);
    let instance = u64::from(rig.epoch) + 1;
    restart(&mut rig, instance, Shape::default());
    regs::ring_direct(&*rig.link, 0, place, late);
    rig.assert_quiet();
    assert_eq!(rig.counter(Counters::EPOCH_DROP), 1);
    // The place is still free for the new instance.
    rig.run(Path::Direct, esp(9, 1)).ok();
}

fn r47_late_staged_commands_of_the_old_epoch_end_in_bad_epoch<B: Backend>() {
    let mut rig = Rig::<B>::new();
    let late = rig.stamp(esp(9, 1));
    reset(&rig, Kind::Flr);
    let instance = u64::from(rig.epoch) + 1;
    restart(&mut rig, instance, Shape::default());
    rig.pairs[0].stage(9, &late, Split::Lines);
    rig.pairs[0].knock(9, late.cookie());
    rig.pairs[0].next().expect(Status::BadEpoch);
    rig.run_raw(0, Path::Ring, late).expect(Status::BadEpoch);
    assert_eq!(rig.view(9).generation.get(), 0);
}

/// The new START is half the number space away, so an old tail is behind it, or far ahead.
fn r47_late_ring_doorbells_miss_the_new_start<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.exec(Cmd::nop()).ok();
    let late = rig.pairs[0].tail + 3;
    for (start, stays) in [(0x4000_0000, true), (0xC000_0000, false)] {
        reset(&rig, Kind::Flr);
        let shape = Shape { start, ..Shape::default() };
        restart(&mut rig, 8, shape);
        rig.pairs[0].ring_at(late);
        rig.settle();
        let state = rig.pairs[0].state();
        if stays {
            assert_eq!((state, rig.counter(Counters::STALE_DB)), (QpState::Enabled, 1));
            rig.exec(Cmd::nop()).ok();
        } else {
            assert_eq!(state, QpState::Error);
        }
        assert_eq!(rig.pairs[0].poll(), None);
    }
}
