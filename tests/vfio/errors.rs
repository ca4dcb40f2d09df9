// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An error of the device that the bus reports (AER), which the kernel passes on by an eventfd. The test
//! rings it in the kernel's place.

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use support::*;

/// Which eventfd of the machine's this file is; none if it is another kind of file.
fn eventfd_id(number: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("eventfd-id:")?.trim().parse().ok())
}

/// The one eventfd of this process that is not `other`, by another file.
fn eventfd_beside(other: impl AsFd) -> OwnedFd {
    let other = eventfd_id(other.as_fd().as_raw_fd()).expect("an eventfd");
    let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let numbers = files.filter_map(|file| file.file_name().to_str()?.parse().ok());
    let found: Vec<i32> =
        numbers.filter(|&number| eventfd_id(number).is_some_and(|id| id != other)).collect();
    let [number] = found.as_slice() else { panic!("{found:?}") };
    let this = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    pidfd_getfd(this, *number, PidfdGetfdFlags::empty()).unwrap()
}

#[test]
fn an_error_that_the_bus_reports_is_told_until_a_reset_ends_it() {
    // It polls: so the kernel has two files of it, for errors and for the host's wish to have it back.
    let (manager, link) = open::<Vfio>(small(), config());
    let (sa, ticket) = manager.add(&esp(1)).unwrap();
    done(&ticket);
    assert_eq!(manager.check(), Ok(()));
    let bell = eventfd_beside(link.device().removal_fd().expect("the kernel can ask"));
    for round in 1..=3 {
        assert_eq!(rustix::io::write(&bell, &1u64.to_ne_bytes()), Ok(8));
        for _ in 0..2 {
            let told = manager.check();
            let Err(Error::Transport { name, what }) = &told else { panic!("{told:?}") };
            assert_eq!(*name, link.name());
            assert!(what.contains("reset it"), "{what}");
        }
        // Who waits for something that does not come is told so, too.
        misbehave!(Vfio, link, |faults| faults.stuck = Stuck::UntilReset);
        let failed = manager.update(sa, hi(1, round)).unwrap().wait_default();
        let told = manager.check().expect_err("it is still so");
        assert_eq!(failed, Err(WaitError::Device(told)), "round {round}");
        assert_eq!(manager.recover(Verify::All).unwrap().restored, 1);
        assert_eq!(manager.check(), Ok(()));
        done(&manager.update(sa, hi(1, round)).unwrap());
    }
    assert_eq!(manager.diff().unwrap(), []);
}
