// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A device that goes, fails, or stops a pair while commands are under way (D3, R23, R26).

#[macro_use]
mod support;

use support::*;

fn a_device_that_goes_is_noticed_at_once<B: Backend>() {
    let (manager, link) = open::<B>(small(), config());
    let (sa, ticket) = manager.add(&esp(1)).unwrap();
    done(&ticket);
    // It gets no further than into the ring.
    misbehave!(B, link, |faults| faults.stuck = Stuck::UntilReset);
    let under_way = manager.query(sa).unwrap();
    B::misbehave(link.device(), |faults| faults.gone = true);
    // The deadline is 20 seconds away; that it is not waited for shows in the error.
    assert_eq!(under_way.wait_default(), Err(WaitError::Device(Error::Gone)));
    assert_eq!(manager.stats().timeouts, 0);
    assert_eq!(manager.caps(), Err(Error::Gone));
    assert_eq!(manager.diff(), Err(Error::Gone));
    B::misbehave(link.device(), |faults| faults.gone = false);
    assert_eq!(manager.recover(Verify::All).unwrap().restored, 1);
}

fn a_fatal_device_says_why<B: Backend>() {
    let (manager, link) = open::<B>(small(), config());
    let (sa, ticket) = manager.add(&esp(1)).unwrap();
    done(&ticket);
    misbehave!(B, link, |faults| faults.fatal = Some(Fatal { cause: 1, info: 77 }));
    let failed = manager.query(sa).unwrap().wait_default();
    assert_eq!(failed, Err(WaitError::Device(Error::Fatal { cause: 1, info: 77 })));
    assert_eq!(manager.recover(Verify::All).unwrap().restored, 1);
    assert_eq!(manager.diff().unwrap(), []);
}

fn a_pair_in_error_stops_only_itself<B: Backend>() {
    // R26.
    let (manager, link) = open::<B>(small(), Config { queue_pairs: 2, ..config() });
    manager.set_path_policy(PathPolicy::Ring);
    let all = [0, 1].map(|n| {
        let (sa, ticket) = manager.add(&esp(n)).unwrap();
        done(&ticket);
        sa
    });
    misbehave!(B, link, |faults| faults.poison_read = Trigger::next());
    let failed = manager.query(all[0]).unwrap().wait_default();
    let Err(WaitError::Device(Error::QueuePair { pair: 0, cause, .. })) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(cause, Some(esnic_abi::QpCause::SqRead));
    done(&manager.query(all[1]).unwrap());
    // Also where the other one takes its time.
    B::misbehave(link.device(), |faults| faults.stuck = Stuck::UntilReset);
    let slow = manager.query(all[1]).unwrap();
    let late = slow.wait(Instant::now() + Duration::from_millis(50));
    assert!(matches!(late, Err(WaitError::Timeout { .. })), "{late:?}");
    assert_eq!(manager.recover(Verify::All).unwrap().restored, 2);
}

on_every_backend!(
    a_device_that_goes_is_noticed_at_once,
    a_fatal_device_says_why,
    a_pair_in_error_stops_only_itself,
);
