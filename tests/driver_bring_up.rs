// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Start and stop (§11, D1): from whatever state, in the safe order, and nothing left behind.

#[macro_use]
mod support;

use esnic_abi::regs::QueuePair;
use esnic_abi::{ABI_HASH, DEVICE_ID, DeviceState};
use esnic_driver::regs;
use support::*;

fn quick() -> Config {
    let mut config = config();
    config.timeouts.reset = Duration::from_millis(20);
    config
}

/// Takes the device from a manager as a crash would: no stop, no reset.
fn crash<B: Backend>(manager: Manager<B>) {
    std::mem::forget(manager);
}

#[track_caller]
fn works<B: Backend>(manager: &Manager<B>) {
    let (sa, ticket) = manager.add(&esp(1)).unwrap();
    done(&ticket);
    done(&manager.update(sa, hi(1, 1)).unwrap());
    assert_eq!(manager.read_table().unwrap().len(), 1);
    assert_eq!(manager.diff().unwrap(), []);
}

fn a_device_that_a_crashed_process_left_running_is_taken_over<B: Backend>() {
    let (first, link) = open::<B>(small(), Config { queue_pairs: 4, ..config() });
    let (_, ticket) = first.add(&esp(7)).unwrap();
    done(&ticket);
    let old = regs::global(&link, Global::INSTANCE);
    crash::<B>(first);
    std::mem::forget(ticket);
    let second = open_on::<B>(&link, config());
    let new = regs::global(&link, Global::INSTANCE);
    assert_ne!(old & 0x7F, new & 0x7F, "late doorbells of the old instance are dropped (R47)");
    assert_eq!(second.read_table().unwrap(), [], "nothing of the old one is left");
    works::<B>(&second);
    assert_eq!(B::iommu_faults(link.device()).unwrap_or(0), 0);
}

fn a_pair_in_error_is_taken_over<B: Backend>() {
    let (first, link) = open::<B>(small(), config());
    misbehave!(B, link, |faults| faults.fail_read = Trigger::always());
    first.set_path_policy(PathPolicy::Ring);
    let (_, ticket) = first.add(&esp(1)).unwrap();
    let failed = ticket.wait_default();
    assert!(
        matches!(failed, Err(WaitError::Device(Error::QueuePair { pair: 0, .. }))),
        "{failed:?}"
    );
    crash::<B>(first);
    std::mem::forget(ticket);
    B::misbehave(link.device(), |faults| *faults = Faults::default());
    works::<B>(&open_on::<B>(&link, config()));
}

fn a_fatal_device_is_taken_over<B: Backend>() {
    let (first, link) = open::<B>(small(), config());
    misbehave!(B, link, |faults| faults.fatal = Some(Fatal { cause: 2, info: 3 }));
    work_until(&first, "FATAL", || first.diff().is_err());
    assert_eq!(first.diff(), Err(Error::Fatal { cause: 2, info: 3 }));
    crash::<B>(first);
    works::<B>(&open_on::<B>(&link, config()));
}

/// Position of the one event that `is` names.
#[track_caller]
fn only(events: &[Event], what: &str, is: impl Fn(&Event) -> bool) -> usize {
    let at: Vec<_> = (0..events.len()).filter(|&k| is(&events[k])).collect();
    assert_eq!(at.len(), 1, "{what}: {at:?} of {events:x?}");
    at[0]
}

fn start_and_stop_are_in_the_safe_order<B: Backend>() {
    let link = Recorder::new(B::plug(small()));
    link.record();
    let manager = open_on::<B>(&link, Config { interrupts: true, ..config() });
    let up = link.recorded();
    let control = Global::CONTROL.address(0);
    let enable = QueuePair::QP_CTRL.address(0);
    let write = |offset, value| move |e: &Event| *e == Event::Write { offset, value };
    let order = [
        only(&up, "bus master off", |e| *e == Event::BusMaster(false)),
        only(&up, "reset", |e| *e == Event::Reset),
        up.iter().position(|e| matches!(e, Event::Memory(_))).unwrap(),
        only(
            &up,
            "INSTANCE",
            |e| matches!(e, Event::Write { offset, .. } if *offset == Global::INSTANCE.address(0)),
        ),
        only(&up, "MSI-X on", |e| matches!(e, Event::Interrupts(Some(5)))),
        only(&up, "RUN", write(control, 1)),
        only(&up, "bus master on", |e| *e == Event::BusMaster(true)),
        only(
            &up,
            "SQ_BASE",
            |e| matches!(e, Event::Write { offset, .. } if *offset == QueuePair::SQ_BASE.address(0)),
        ),
        only(&up, "pair on", write(enable, 1)),
    ];
    assert!(order.is_sorted(), "{order:?} of {up:x?}");
    link.record();
    drop(manager);
    let down = link.recorded();
    let order = [
        only(&down, "MSI-X off", |e| *e == Event::Interrupts(None)),
        only(&down, "pair off", write(enable, 0)),
        only(&down, "RUN off", write(control, 0)),
        only(&down, "bus master off", |e| *e == Event::BusMaster(false)),
        only(&down, "reset", |e| *e == Event::Reset),
    ];
    assert!(order.is_sorted(), "{order:?} of {down:x?}");
}

fn nothing_is_left_behind<B: Backend>() {
    for close in [false, true] {
        let (manager, link) = open::<B>(small(), Config { queue_pairs: 4, ..config() });
        works::<B>(&manager);
        if let Some(mapped) = B::mappings(link.device()) {
            assert_eq!(mapped, 8, "two rings a pair");
        }
        if close {
            manager.close().unwrap();
        }
        drop(manager);
        assert_eq!(B::mappings(link.device()).unwrap_or(0), 0);
        assert_eq!(B::iommu_faults(link.device()).unwrap_or(0), 0);
        let status = regs::global(&link, Global::STATUS);
        assert_eq!(status, DeviceState::Ready as u32);
        assert_eq!(regs::global(&link, Global::INSTANCE), 0);
        for row in 0..64 {
            assert_ne!(B::is_wiped(link.device(), row), Some(false), "row {row}");
        }
    }
}

fn late_stores_of_an_old_instance_do_nothing<B: Backend>() {
    // R47: a thread of the old instance stores its doorbells after the new one has begun.
    let (first, link) = open::<B>(small(), config());
    works::<B>(&first);
    link.record();
    for policy in [PathPolicy::Ring, PathPolicy::Direct] {
        first.set_path_policy(policy);
        done(&first.add(&esp(2)).unwrap().1);
    }
    let doorbells: Vec<_> = link
        .recorded()
        .into_iter()
        .filter(|e| matches!(e, Event::Write { offset, .. } if *offset >= 0x4_0000))
        .collect();
    assert!(doorbells.len() >= 2);
    crash::<B>(first);
    let config = Config { start: 1 << 20, ..config() };
    let second = open_on::<B>(&link, config);
    for event in doorbells {
        if let Event::Write { offset, value } = event {
            if offset % 0x1000 >= 0x800 {
                link.write64(Bar::Registers, offset, value);
            } else {
                link.write32(Bar::Registers, offset, value as u32);
            }
        }
    }
    works::<B>(&second);
    assert_eq!(second.stats().in_flight, 0);
}

fn what_is_no_device_of_ours_is_refused<B: Backend>() {
    let link = Recorder::new(B::plug(small()));
    let attempt = || SaManager::open(link.clone(), config()).map(drop).unwrap_err();
    let id = Global::ID.address(0);
    let hash = Global::ABI_HASH.address(0);
    let compat = Global::COMPAT_HASH.address(0);
    link.lie(id, 0xE51C_1234);
    assert_eq!(attempt(), Error::NotEsnic { found: 0xE51C_1234 });
    link.lie(id, u32::MAX);
    assert_eq!(attempt(), Error::Gone);
    link.be_honest();
    // Another layout, unless it says that it speaks ours too.
    link.lie(hash, !(ABI_HASH as u32));
    link.lie(compat, 0);
    let found = ABI_HASH ^ 0xFFFF_FFFF;
    assert_eq!(attempt(), Error::OtherLayout { found });
    link.lie(compat + 24, ABI_HASH as u32);
    link.lie(compat + 28, (ABI_HASH >> 32) as u32);
    works::<B>(&open_on::<B>(&link, config()));
    link.be_honest();
    for (register, value) in [
        (Global::SA_CAPACITY, 3),
        (Global::SA_CAPACITY, 0),
        (Global::SA_CAPACITY, 1 << 21),
        (Global::LIMITS, 0),
        (Global::LIMITS, 65),
        (Global::MAX_WINDOW, 4097),
        (Global::FEATURES, u32::MAX),
        (Global::ALGS, u32::MAX),
    ] {
        link.lie(register.address(0), value);
        assert!(matches!(attempt(), Error::Params(_)), "{register:?} {value:#x}: {}", attempt());
        link.be_honest();
    }
    assert_eq!(regs::global(&link, Global::ID), DEVICE_ID);
    works::<B>(&open_on::<B>(&link, config()));
}

fn a_device_that_does_not_get_ready_is_given_up<B: Backend>() {
    let link = Recorder::new(B::plug(small()));
    for (reads, found) in [(1, Some(DeviceState::Scrub)), (4, Some(DeviceState::Fatal)), (7, None)]
    {
        link.lie(Global::STATUS.address(0), reads);
        let error = SaManager::open(link.clone(), quick()).map(drop).unwrap_err();
        let Error::State { found: seen, expected, waited } = error else {
            panic!("{error}");
        };
        assert_eq!((seen, expected), (found, DeviceState::Ready));
        assert!(waited >= Duration::from_millis(20));
    }
    assert_eq!(B::mappings(link.device()).unwrap_or(0), 0);
}

/// A look that was in time counts, and so does what the next one finds, however long the thread stood still in
/// between.
fn a_thread_that_stands_still_does_not_take_the_device_for_slow<B: Backend>() {
    if B::RUNS {
        // It may be as late itself: with the machine, not with this thread's looks.
        return not_asked(B::NAME, "it does not move in step with those who look at it");
    }
    let link = Recorder::new(B::plug(small()));
    // Five times as long as a reset may take.
    link.stall_once(Global::STATUS.address(0), Duration::from_millis(100));
    works::<B>(&open_on::<B>(&link, quick()));
}

fn a_device_that_does_not_keep_its_configuration_is_refused<B: Backend>() {
    // It would read and write elsewhere.
    for register in [QueuePair::SQ_BASE, QueuePair::CQ_BASE, QueuePair::RING_SIZE, QueuePair::START]
    {
        let link = Recorder::new(B::plug(small()));
        link.lie(register.address(0), 0x4000);
        let error = SaManager::open(link.clone(), config()).map(drop).unwrap_err();
        assert!(matches!(error, Error::Misbehaves { .. }), "{register:?}: {error}");
        assert_eq!(B::mappings(link.device()).unwrap_or(0), 0);
    }
}

fn wishes_that_the_device_cannot_fulfil_are_refused<B: Backend>() {
    let link = Recorder::new(B::plug(small()));
    let wishes = [
        Config { queue_pairs: 0, ..config() },
        Config { queue_pairs: 5, ..config() },
        Config { sq_log2: 0, ..config() },
        Config { sq_log2: 11, ..config() },
        Config { cq_log2: 0, ..config() },
        Config { cq_log2: 11, ..config() },
        Config { start: 8, ..config() },
        Config { max_sas: Some(0), ..config() },
        Config { max_sas: Some(65), ..config() },
    ];
    for wish in wishes {
        let error = SaManager::open(link.clone(), wish.clone()).map(drop).unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{wish:?}: {error}");
        assert!(std::error::Error::source(&error).is_none());
    }
}

on_every_backend!(
    a_device_that_a_crashed_process_left_running_is_taken_over,
    a_pair_in_error_is_taken_over,
    a_fatal_device_is_taken_over,
    start_and_stop_are_in_the_safe_order,
    nothing_is_left_behind,
    late_stores_of_an_old_instance_do_nothing,
    what_is_no_device_of_ours_is_refused,
    a_device_that_does_not_get_ready_is_given_up,
    a_thread_that_stands_still_does_not_take_the_device_for_slow,
    a_device_that_does_not_keep_its_configuration_is_refused,
    wishes_that_the_device_cannot_fulfil_are_refused,
);
