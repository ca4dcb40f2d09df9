// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A device whose memory is turned off while it works, as when it is put to sleep: the kernel takes the
//! mapped BARs away, and each access to one raises SIGBUS. To the driver that is a device that is gone.

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use support::needle::Needle;
use support::*;

/// Where the kernel has the command register of a function's file: region 7, the configuration space.
const COMMAND: u64 = (7 << 40) + 4;

/// Answers to accesses of its memory.
const MEMORY: u16 = 1 << 1;

/// The one function that this process has open, by another file.
fn function() -> OwnedFd {
    let is_function = |path: &std::path::Path| {
        let to = std::fs::read_link(path).unwrap_or_default();
        let to = to.to_str().unwrap_or_default();
        to == "anon_inode:[vfio-device]" || to.starts_with("/dev/vfio/devices/")
    };
    let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let open: Vec<_> = files.map(|file| file.path()).filter(|path| is_function(path)).collect();
    let [path] = open.as_slice() else { panic!("{open:?}") };
    let number = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let this = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    pidfd_getfd(this, number, PidfdGetfdFlags::empty()).unwrap()
}

/// Clears and sets bits of the command register, behind the driver's back.
fn command(function: impl AsFd, clear: u16, set: u16) {
    let mut bytes = [0; 2];
    assert_eq!(rustix::io::pread(&function, &mut bytes, COMMAND), Ok(2));
    let wanted = u16::from_le_bytes(bytes) & !clear | set;
    assert_eq!(rustix::io::pwrite(&function, &wanted.to_le_bytes(), COMMAND), Ok(2));
}

#[test]
fn a_device_whose_memory_is_turned_off_is_gone_and_the_process_lives() {
    for policy in [PathPolicy::Ring, PathPolicy::Direct] {
        let (manager, link) = open::<Vfio>(small(), Config { interrupts: true, ..config() });
        manager.set_path_policy(policy);
        let needle = Needle::new(12);
        let (sa, ticket) = manager.add(&needle.spec(1)).unwrap();
        done(&ticket);
        let function = function();
        command(&function, MEMORY, 0);
        // The first access after it is a store, and on the direct path part of a key.
        let added = manager.add(&needle.spec(2)).map(|(_, ticket)| ticket);
        let waited = added.unwrap().wait_default();
        assert_eq!(waited, Err(WaitError::Device(Error::Gone)), "{policy:?}");
        let places = [(Bar::Registers, 0), (Bar::Table, 0), (Bar::Table, 124)];
        for (bar, offset) in places {
            assert_eq!(link.read32(bar, offset), u32::MAX, "{bar:?}");
        }
        assert_eq!(manager.check(), Err(Error::Gone));
        assert_eq!(manager.update(sa, hi(1, 1)).unwrap().wait_default(), waited);
        // What is behind the addresses now is not the device: that comes back with the next opening.
        command(&function, 0, MEMORY);
        drop(function);
        assert_eq!(manager.check(), Err(Error::Gone));
        assert_eq!(manager.recover(Verify::All).unwrap_err(), Error::Gone);
        assert_eq!(manager.close().unwrap_err(), Error::Gone);
        assert_eq!(needle.places(&[]), [""; 0], "of what was stored into the void");
        drop((manager, link, ticket));
        let (manager, _) = open::<Vfio>(small(), config());
        done(&manager.add(&needle.spec(1)).unwrap().1);
    }
}
