// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The functions that C calls for files to sleep on: interrupts, and the wish to have the device back.
#![allow(clippy::missing_safety_doc, reason = "the comments are C's; the header says it for all")]

use crate::calls::enter;
use crate::foreign::Caller;
use crate::registry;
use crate::types::*;
use std::os::fd::IntoRawFd;

/// Takes the interrupt of a queue pair (0 for the first) from the driver, as a file for poll or epoll:
/// esnic_poll and look at the tickets; esnic_event_arm and look at the tickets again; sleep until the
/// file is readable. What completes after that look makes it so; so do resets and esnic_close.
///
/// fd: gets an eventfd that does not block. It is the caller's, who closes it; the device need not be
/// open for that.
///
/// ESNIC_E_NO_EVENT: no such pair, opened without ESNIC_OPEN_INTERRUPTS, or a device that is in this
/// process and moves only while somebody polls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn esnic_event_fd(device: esnic_device, pair: u32, fd: *mut i32) -> i32 {
    let call = |caller: Caller<'_>| {
        let fd = caller.place(fd, "fd")?;
        fd.put(registry::find(device)?.event_fd(pair)?.into_raw_fd());
        Ok(())
    };
    // SAFETY: the arguments are this function's.
    unsafe { enter(call) }
}

/// Takes in what made the file readable, and asks for one interrupt at the next completion that no
/// ticket shows yet. No need to read the file.
///
/// ESNIC_E_NO_EVENT: esnic_event_fd was not called for this pair.
#[unsafe(no_mangle)]
pub extern "C" fn esnic_event_arm(device: esnic_device, pair: u32) -> i32 {
    // SAFETY: there are no pointers.
    unsafe { enter(|_| registry::find(device)?.event_arm(pair)) }
}

/// Gives the interrupt back to the driver, whose waits sleep on it again. The file stays the caller's.
///
/// ESNIC_E_NO_EVENT: esnic_event_fd was not called for this pair.
#[unsafe(no_mangle)]
pub extern "C" fn esnic_event_release(device: esnic_device, pair: u32) -> i32 {
    // SAFETY: there are no pointers.
    unsafe { enter(|_| registry::find(device)?.event_release(pair)) }
}

/// A file that becomes readable when the host wants the device back: somebody unbinds it, or is about
/// to pull it out. The host waits until esnic_close.
///
/// fd: gets it. It is the caller's, who closes it.
///
/// ESNIC_E_NO_EVENT: this host or device tells of no such thing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn esnic_removal_fd(device: esnic_device, fd: *mut i32) -> i32 {
    let call = |caller: Caller<'_>| {
        let fd = caller.place(fd, "fd")?;
        fd.put(registry::find(device)?.removal_fd()?.into_raw_fd());
        Ok(())
    };
    // SAFETY: the arguments are this function's.
    unsafe { enter(call) }
}
