// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Outcomes: waited for, polled, called back, let go, late, and lost (R36, R44, R46).

#[macro_use]
mod support;

use std::sync::Mutex;
use support::*;

/// Writes down what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<(u64, Settled)>>);

impl OnSettled for Told {
    fn settled(&self, token: u64, settled: Settled) {
        self.0.lock().unwrap().push((token, settled));
    }
}

impl Told {
    fn take(&self) -> Vec<(u64, Settled)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn one<B: Backend>(config: Config) -> (Manager<B>, Link<B>, SaHandle) {
    let (manager, link) = open::<B>(small(), config);
    let (sa, ticket) = manager.add(&esp(1)).unwrap();
    done(&ticket);
    drop(ticket);
    (manager, link, sa)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(2)
}

fn an_outcome_is_told_once_whatever_the_order<B: Backend>() {
    let (manager, link, sa) = one::<B>(config());
    manager.set_path_policy(PathPolicy::Ring);
    let told = Arc::new(Told::default());
    let callback = manager.register(told.clone()).unwrap();
    let pending = || manager.stats().pending;
    // Completed before the callback is there, and after.
    for early in [true, false] {
        let ticket = manager.update(sa, hi(1, 1)).unwrap();
        if early {
            let_it_run::<B>(&link);
            manager.poll();
        }
        ticket.notify(callback, 7);
        let_it_run::<B>(&link);
        manager.poll();
        let [(7, settled)] = told.take()[..] else {
            panic!("early {early}");
        };
        assert!(settled.is_ok());
        assert_eq!(pending(), 0);
    }
    // Dropped before and after.
    for early in [true, false] {
        let ticket = manager.update(sa, hi(1, 2)).unwrap();
        if early {
            let_it_run::<B>(&link);
            manager.poll();
            assert_eq!(pending(), 1, "kept until it is looked at");
        }
        drop(ticket);
        let_it_run::<B>(&link);
        manager.poll();
        assert_eq!(pending(), 0);
    }
    assert_eq!(top_of(&manager, sa).0, 2, "the shadow follows all the same");
    // Cancelled before and after.
    let ticket = manager.update(sa, hi(1, 3)).unwrap();
    assert_eq!(ticket.cancel(), None);
    let ticket = manager.update(sa, hi(1, 4)).unwrap();
    done(&ticket);
    assert!(ticket.cancel().unwrap().is_ok());
    // Looked at again and again.
    let ticket = manager.update(sa, hi(1, 5)).unwrap();
    let first = settled(&ticket);
    assert_eq!((ticket.poll(), settled(&ticket)), (Some(first), first));
    drop(ticket);
    assert_eq!((told.take(), pending()), (vec![], 0));
}

fn as_many_callbacks_as_promised<B: Backend>() {
    let (manager, ..) = one::<B>(config());
    let told = Arc::new(Told::default());
    for _ in 0..esnic_driver::callback::MAX_CALLBACKS {
        assert!(manager.register(told.clone()).is_some());
    }
    assert!(manager.register(told).is_none());
}

/// Submits the next update from inside the callback of the last.
struct Chain<T: Transport> {
    manager: Mutex<Option<(SaManager<T>, SaHandle, esnic_driver::CallbackId)>>,
    calls: AtomicU64,
}

impl<T: Transport> OnSettled for Chain<T> {
    fn settled(&self, token: u64, settled: Settled) {
        assert!(settled.is_ok(), "{settled}");
        self.calls.fetch_add(1, Ordering::Relaxed);
        let next = self.manager.lock().unwrap().clone();
        if let Some((manager, sa, callback)) = next
            && token > 0
        {
            manager.poll();
            let ticket = manager.update(sa, hi(1, token as u32)).unwrap();
            ticket.notify(callback, token - 1);
        }
    }
}

fn a_callback_may_submit_and_poll<B: Backend>() {
    let (manager, link, sa) = one::<B>(Config { cq_log2: 1, sq_log2: 1, ..config() });
    let chain = Arc::new(Chain { manager: Mutex::new(None), calls: 0.into() });
    let callback = manager.register(chain.clone()).unwrap();
    *chain.manager.lock().unwrap() = Some((manager.clone(), sa, callback));
    manager.query(sa).unwrap().notify(callback, 500);
    let (begun, calls) = (Instant::now(), || chain.calls.load(Ordering::Relaxed));
    while calls() < 501 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{} calls", calls());
        manager.poll();
        link.relax();
    }
    let_it_run::<B>(&link);
    manager.poll();
    assert_eq!(calls(), 501);
    *chain.manager.lock().unwrap() = None;
    assert_eq!(manager.stats().pending, 0);
}

/// Panics when called.
struct Bomb;
impl OnSettled for Bomb {
    fn settled(&self, _: u64, _: Settled) {
        panic!("a bomb of the test's");
    }
}

fn a_callback_that_panics_stops_nobody_else<B: Backend>() {
    let (manager, link, sa) = one::<B>(Config { cq_log2: 1, ..config() });
    let callback = manager.register(Arc::new(Bomb)).unwrap();
    for _ in 0..10 {
        manager.query(sa).unwrap().notify(callback, 0);
        let_it_run::<B>(&link);
        let poll = std::panic::AssertUnwindSafe(|| manager.poll());
        assert!(std::panic::catch_unwind(poll).is_err());
        done(&manager.query(sa).unwrap());
    }
    assert_eq!((manager.stats().pending, manager.stats().in_flight), (0, 0));
}

fn outcomes_that_nobody_looks_at_fill_the_table_gracefully<B: Backend>() {
    for policy in [PathPolicy::Ring, PathPolicy::Direct] {
        let (manager, _, sa) = one::<B>(config());
        manager.set_path_policy(policy);
        let mut held = Vec::new();
        let refused = loop {
            match manager.query(sa) {
                Ok(ticket) => {
                    done(&ticket);
                    held.push(ticket);
                }
                Err(error) => break error,
            }
        };
        assert_eq!((refused, held.len()), (SubmitError::Full, 32), "twice the completion ring");
        // What needs no ticket goes on; and one that goes makes room for one.
        held.pop();
        let delete = manager.delete(sa).unwrap();
        done(&delete);
        assert!(manager.stats().full > 0);
        drop((held, delete));
        assert_eq!(manager.stats().pending, 0);
    }
}

fn a_stuck_device_times_out_with_a_suspicion<B: Backend>() {
    let (manager, link, sa) = one::<B>(config());
    misbehave!(B, link, |faults| faults.stuck = Stuck::UntilReset);
    for (policy, expected) in
        [(PathPolicy::Direct, Suspicion::NotCompleted), (PathPolicy::Ring, Suspicion::NotFetched)]
    {
        manager.set_path_policy(policy);
        let other = manager.add(&esp(2)).unwrap().1;
        let failed = other.wait(soon()).unwrap_err();
        assert!(
            matches!(failed, WaitError::Timeout { suspicion, .. } if suspicion == expected),
            "{failed}"
        );
    }
    assert_eq!(manager.stats().timeouts, 2);
    assert_eq!(top_of(&manager, sa), (0, 1, true));
    assert_eq!(manager.recover(Verify::All).unwrap().restored, 1);
}

fn a_completion_that_does_not_arrive_is_told_from_one_that_is_not_made<B: Backend>() {
    // R46.
    let (manager, link, sa) = one::<B>(config());
    misbehave!(B, link, |faults| faults.lose_write = Trigger::next());
    let ticket = manager.query(sa).unwrap();
    let_it_run::<B>(&link);
    let failed = ticket.wait(soon()).unwrap_err();
    assert!(
        matches!(failed, WaitError::Timeout { suspicion: Suspicion::DmaWrite, .. }),
        "{failed}"
    );
    manager.recover(Verify::All).unwrap();
    assert_eq!(settled(&ticket), Settled::Aborted);
    misbehave!(B, link, |faults| faults.drop_completion = Trigger::next());
    let ticket = manager.query(sa).unwrap();
    let_it_run::<B>(&link);
    let failed = ticket.wait(soon()).unwrap_err();
    assert!(
        matches!(failed, WaitError::Timeout { suspicion: Suspicion::NotCompleted, .. }),
        "{failed}"
    );
}

fn a_late_completion_still_counts<B: Backend>() {
    let (manager, link, sa) = one::<B>(config());
    misbehave!(B, link, |faults| faults.stuck = Stuck::UntilReset);
    let ticket = manager.update(sa, update(&esp(1), Change::top(Top::new(4, 4)))).unwrap();
    assert!(ticket.wait(soon()).is_err());
    assert_eq!(top_of(&manager, sa), (0, 1, true), "unknown is not done");
    B::misbehave(link.device(), |faults| faults.stuck = Stuck::No);
    done(&ticket);
    assert_eq!(top_of(&manager, sa), (4, 4, true));
    assert_eq!(manager.diff().unwrap(), []);
}

fn a_doubtful_update_is_repeated_with_care<B: Backend>() {
    // R36. The device has executed the first one and nobody knows; or will only now.
    for executed in [true, false] {
        let (manager, link, sa) = one::<B>(config());
        manager.set_path_policy(PathPolicy::Ring);
        let fault = |faults: &mut Faults| match executed {
            true => faults.drop_completion = Trigger::next(),
            false => faults.stuck = Stuck::UntilReset,
        };
        misbehave!(B, link, fault);
        let first = manager.update(sa, hi(1, 1)).unwrap();
        assert!(first.wait(soon()).is_err());
        let again = manager.update(sa, hi(1, 1)).unwrap();
        B::misbehave(link.device(), |faults| faults.stuck = Stuck::No);
        assert!(settled(&again).is_ok(), "whether it had been done or not");
        assert_eq!(top_of(&manager, sa), (1, 0, false), "executed {executed}");
        assert_eq!(manager.diff().unwrap(), []);
    }
}

fn a_repeated_update_never_pulls_the_device_back<B: Backend>() {
    // R36. After the first update the device went on to the next half by itself.
    let (manager, link, sa) = one::<B>(config());
    manager.set_path_policy(PathPolicy::Ring);
    misbehave!(B, link, |faults| faults.drop_completion = Trigger::always());
    let first = manager.update(sa, hi(1, 1)).unwrap();
    let traffic = [
        manager.resolve(sa, 0x7FFF_FFFF, true).unwrap(),
        manager.resolve(sa, 0xFFFF_FFF0, true).unwrap(),
        manager.resolve(sa, 5, true).unwrap(),
    ];
    let_it_run::<B>(&link);
    assert!(first.wait(soon()).is_err());
    B::misbehave(link.device(), |faults| faults.drop_completion = Trigger::Never);
    let again = outcome(&manager.update(sa, hi(1, 1)).unwrap());
    assert_eq!((again.status, Top(again.result)), (Status::Backward, Top::new(2, 5)));
    assert_eq!(top_of(&manager, sa), (2, 5, true));
    assert_eq!(manager.diff().unwrap(), []);
    drop(traffic);
    // Without doubt, back is back: the caller's word counts.
    manager.recover(Verify::All).unwrap();
    done(&manager.update(sa, hi(1, 1)).unwrap());
    assert_eq!(top_of(&manager, sa), (1, 0, false));
}

fn what_follows_a_doubtful_update_does_not_depend_on_it<B: Backend>() {
    // R36. Forward, whatever became of the first one; back, only from what is known.
    let (manager, link, sa) = one::<B>(config());
    manager.set_path_policy(PathPolicy::Ring);
    done(&manager.update(sa, hi(1, 5)).unwrap());
    misbehave!(B, link, |faults| faults.stuck = Stuck::UntilReset);
    let first = manager.update(sa, hi(1, 6)).unwrap();
    assert!(first.wait(soon()).is_err());
    let ahead = [7, 8].map(|high| manager.update(sa, hi(1, high)).unwrap());
    let back = manager.update(sa, hi(1, 3)).unwrap();
    B::misbehave(link.device(), |faults| faults.stuck = Stuck::No);
    assert!(ahead.iter().all(|ticket| settled(ticket).is_ok()));
    let back = outcome(&back);
    assert_eq!((back.status, Top(back.result).hi()), (Status::Conflict, 8), "not 5 any more");
    assert_eq!(top_of(&manager, sa), (8, 0, false));
    assert_eq!(manager.diff().unwrap(), []);
}

fn a_wait_with_interrupts_sleeps_until_one_comes<B: Backend>() {
    let (manager, link, sa) = one::<B>(Config { interrupts: true, ..config() });
    manager.set_path_policy(PathPolicy::Ring);
    let arms = |link: &Link<B>| {
        let arm = Doorbell::CQ_ARM.address(0);
        let is_arm =
            |event: &&Event| matches!(event, Event::Write { offset, .. } if *offset == arm);
        link.recorded().iter().filter(is_arm).count()
    };
    // Far more cycles than a wait polls for.
    misbehave!(B, link, |faults| faults.delay_cycles = 200_000);
    // A device that runs by itself may be done before anybody polls, if this thread is kept from its
    // processor meanwhile.
    let tries = if B::RUNS { 50 } else { 1 };
    let slept = (0..tries).any(|n| {
        B::misbehave(link.device(), |faults| faults.delay_cycles = 200_000 << (n / 8));
        link.record();
        let ticket = manager.update(sa, hi(1, 1)).unwrap();
        assert!(ticket.wait(Instant::now() + Duration::from_secs(10)).unwrap().is_ok());
        arms(&link) >= 1
    });
    assert!(slept, "R1: it asked for an interrupt");
    // One that was asked for when its completion was there already is still to come.
    let_it_run::<B>(&link);
    let sent = esnic_driver::counter(&link, Counters::MSIX_SENT);
    assert!(sent >= 1, "R2: and got one");
    // An outcome that comes at once needs none. What comes at once from a device that runs by itself
    // is a matter of the machine; but it gets no more than it asked for.
    B::misbehave(link.device(), |faults| faults.delay_cycles = 0);
    link.record();
    done(&manager.update(sa, hi(1, 2)).unwrap());
    let_it_run::<B>(&link);
    let asked = arms(&link);
    assert!(asked == 0 || B::RUNS, "{asked} times");
    let more = esnic_driver::counter(&link, Counters::MSIX_SENT) - sent;
    assert!(more <= asked as u64, "R2: no storm");
}

/// Asks for a reset from inside a callback, which is forbidden.
struct Resets<B: Backend>(Mutex<Option<Manager<B>>>, Mutex<Vec<Result<(), Error>>>);

impl<B: Backend> OnSettled for Resets<B> {
    fn settled(&self, _: u64, _: Settled) {
        let manager = self.0.lock().unwrap().take();
        if let Some(manager) = manager {
            self.1.lock().unwrap().push(manager.recover(Verify::Sample).map(drop));
        }
    }
}

fn a_callback_of_a_reset_cannot_hang_it<B: Backend>() {
    let timeouts = Timeouts { command: Duration::from_secs(1), ..config().timeouts };
    let (manager, link, sa) = one::<B>(Config { timeouts, ..config() });
    misbehave!(B, link, |faults| faults.stuck = Stuck::UntilReset);
    let resets = Arc::new(Resets::<B>(Mutex::new(Some(manager.clone())), Mutex::default()));
    let callback = manager.register(resets.clone()).unwrap();
    manager.update(sa, hi(1, 1)).unwrap().notify(callback, 0);
    manager.recover(Verify::All).unwrap();
    let inner = std::mem::take(&mut *resets.1.lock().unwrap());
    assert!(matches!(inner.as_slice(), [Err(Error::Stuck { .. })]), "{inner:?}");
    done(&manager.update(sa, hi(1, 1)).unwrap());
}

on_every_backend!(
    a_callback_of_a_reset_cannot_hang_it,
    a_wait_with_interrupts_sleeps_until_one_comes,
    an_outcome_is_told_once_whatever_the_order,
    as_many_callbacks_as_promised,
    a_callback_may_submit_and_poll,
    a_callback_that_panics_stops_nobody_else,
    outcomes_that_nobody_looks_at_fill_the_table_gracefully,
    a_stuck_device_times_out_with_a_suspicion,
    a_completion_that_does_not_arrive_is_told_from_one_that_is_not_made,
    a_late_completion_still_counts,
    a_doubtful_update_is_repeated_with_care,
    a_repeated_update_never_pulls_the_device_back,
    what_follows_a_doubtful_update_does_not_depend_on_it,
);
