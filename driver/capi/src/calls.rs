// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The functions that C calls. Each one only says who does the work: panics and failures become codes
//! in [`enter`], pointers are followed in `foreign`. What holds for all of them is at the top of the
//! header.
#![allow(clippy::missing_safety_doc, reason = "the comments are C's; the header says it for all")]

use crate::codes::esnic_error::*;
use crate::codes::{ESNIC_ABI_VERSION, ESNIC_MAX_ITEMS, ESNIC_RECOVER_VERIFY_ALL, esnic_error};
use crate::fail::{self, Fail};
use crate::foreign::Caller;
use crate::types::*;
use crate::{convert, open, registry};
use esnic_driver::Verify;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Does what a function of the header promises.
///
/// # Safety
/// It is called by such a function, and asks `Caller` about that function's arguments only: they are
/// NULL or good, as the header demands of whoever calls it.
pub(super) unsafe fn enter(call: impl FnOnce(Caller<'_>) -> Result<(), Fail>) -> i32 {
    // SAFETY: as promised above.
    let caller = unsafe { Caller::trusted() };
    // What a panic leaves behind is behind locks that do not mind, or atomics.
    let outcome = catch_unwind(AssertUnwindSafe(|| call(caller)));
    // What was panicked with is not repeated: nobody has checked that no key is in it.
    match outcome.unwrap_or_else(|_| Err(Fail::plain(ESNIC_E_INTERNAL))) {
        Ok(()) => ESNIC_OK as i32,
        Err(failure) => {
            let code = failure.code as i32;
            fail::keep(failure.text);
            code
        }
    }
}

/// Version of the interface that the library has: ESNIC_ABI_VERSION of the header that it came with.
#[unsafe(no_mangle)]
pub extern "C" fn esnic_abi_version() -> u32 {
    ESNIC_ABI_VERSION
}

/// Release of the library, as "0.1.0". The text lasts.
#[unsafe(no_mangle)]
pub extern "C" fn esnic_version() -> *const c_char {
    const RELEASE: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    RELEASE.as_ptr().cast()
}

/// What a return value means, in a sentence. Never NULL, also for a number that is none. The text
/// lasts.
#[unsafe(no_mangle)]
pub extern "C" fn esnic_strerror(error: i32) -> *const c_char {
    esnic_error::from_number(error).map_or(c"an unknown error", esnic_error::text).as_ptr()
}

/// Name of an esnic_outcome.status, as "CONFLICT"; "?" for a number that is none. The text lasts.
#[unsafe(no_mangle)]
pub extern "C" fn esnic_status_name(status: u32) -> *const c_char {
    convert::status_name(status).unwrap_or(c"?").as_ptr()
}

/// Copies the sentence that tells of the last call of this thread that failed: which argument, which
/// file, what to do. It never has a key in it. A call that succeeds does not touch it.
///
/// buffer: of `size` bytes; gets the text and a 0, cut off if it is longer. May be NULL if size is 0.
///
/// Returns how many bytes the whole text has, without the 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn esnic_last_error(buffer: *mut c_char, size: usize) -> usize {
    let text = fail::last();
    // SAFETY: the caller's buffer, as the header demands.
    let caller = unsafe { Caller::trusted() };
    caller.text(buffer, size, &text);
    text.len()
}

/// Opens a device: resets it and brings it up with an empty table. Waits up to reset_timeout_ms for
/// either, and a tenth of a second for each queue pair.
///
/// name: "model", the executable model in this process; "vfio-user:PATH", what another process serves
/// on that socket; "0000:03:00.0", a PCI function that is bound to vfio-pci.
///
/// device: gets its number, which esnic_close gives back.
///
/// ESNIC_E_VERSION: another header. ESNIC_E_INVALID: no such name, or wishes that the device does not
/// fulfil. ESNIC_E_HOST: it is not lent, or keys cannot be locked into memory. ESNIC_E_DEVICE: it is
/// none of esnic's, or does not come up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn esnic_open(
    name: *const c_char,
    config: *const esnic_config,
    device: *mut esnic_device,
) -> i32 {
    let call = |caller: Caller<'_>| {
        let name = caller.string(name, "name")?;
        let config = caller.record(config)?;
        let device = caller.place(device, "device")?;
        device.put(open::open(&name, &config)?);
        Ok(())
    };
    // SAFETY: the arguments are this function's.
    unsafe { enter(call) }
}

/// Closes a device: everything under way is aborted, the device is reset, keys are wiped. Its number,
/// handles and tickets are good no more, whatever is returned. Calls that other threads are in end
/// soon; what they use is freed by the last one.
///
/// ESNIC_E_DEVICE, ESNIC_E_BUSY: it did not stop in order.
#[unsafe(no_mangle)]
pub extern "C" fn esnic_close(device: esnic_device) -> i32 {
    // SAFETY: there are no pointers.
    unsafe { enter(|_| registry::remove(device)?.close()) }
}

/// Says what a device is and can do.
///
/// ESNIC_E_DEVICE: it is gone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn esnic_caps(device: esnic_device, caps: *mut esnic_caps) -> i32 {
    let call = |caller: Caller<'_>| {
        let caps = caller.out_there(caps)?;
        caps.put(&registry::find(device)?.caps()?);
        Ok(())
    };
    // SAFETY: the arguments are this function's.
    unsafe { enter(call) }
}

/// Adds an SA. The key is copied during the call.
///
/// sa: gets the handle, which is good once the ticket says ESNIC_OK. ticket: gets the ticket.
///
/// ESNIC_E_INVALID, ESNIC_E_UNSUPPORTED: the SA contradicts itself, or is more than the device offers.
/// ESNIC_E_TABLE_FULL, ESNIC_E_FULL, ESNIC_E_BUSY, ESNIC_E_CLOSED. Nothing has changed then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn esnic_add(
    device: esnic_device,
    spec: *const esnic_sa,
    sa: *mut esnic_handle,
    ticket: *mut esnic_ticket,
) -> i32 {
    let call = |caller: Caller<'_>| {
        let (place, to) = (caller.place(sa, "sa")?, caller.place(ticket, "ticket")?);
        let device = registry::find(device)?;
        let (handle, ticket) = device.add(&convert::sa(caller, spec)?)?;
        place.put(handle);
        to.put(ticket);
        Ok(())
    };
    // SAFETY: the arguments are this function's.
    unsafe { enter(call) }
}

/// Adds an ESP SA and an AH SA of the same direction behind one handle; if one fails, the other is
/// deleted again. As esnic_add otherwise.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn esnic_add_bundle(
    device: esnic_device,
    esp: *const esnic_sa,
    ah: *const esnic_sa,
    sa: *mut esnic_handle,
    ticket: *mut esnic_ticket,
) -> i32 {
    let call = |caller: Caller<'_>| {
        let (place, to) = (caller.place(sa, "sa")?, caller.place(ticket, "ticket")?);
        let device = registry::find(device)?;
        let (esp, ah) = (convert::sa(caller, esp)?, convert::sa(caller, ah)?);
        let (handle, ticket) = device.add_bundle(&esp, &ah)?;
        place.put(handle);
        to.put(ticket);
        Ok(())
    };
    // SAFETY: the arguments are this function's.
    unsafe { enter(call) }
}

/// Moves the sequence numbers of one element. Updates of one SA take effect in the order of the calls.
/// After one that timed out, the next is made a compare-and-set by the driver, so that it cannot pull
/// the device back.
///
/// ESNIC_E_BUSY: an earlier request for the SA is under way on the direct path, which takes one an SA:
/// wait for its ticket, or esnic_poll, and try again. ESNIC_E_NOT_FOUND, ESNIC_E_MISMATCH, ESNIC_E_LOST,
/// ESNIC_E_FULL, ESNIC_E_CLOSED. Nothing has changed then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn esnic_update(
    device: esnic_device,
    sa: esnic_handle,
    update: *const esnic_update,
    ticket: *mut esnic_ticket,
) -> i32 {
    let call = |caller: Caller<'_>| {
        let to = caller.place(ticket, "ticket")?;
        let update = convert::update(&caller.record(update)?)?;
        to.put(registry::find(device)?.update(sa, update)?);
        Ok(())
    };
    // SAFETY: the arguments are this function's.
    unsafe { enter(call) }
}

/// Deletes an SA, or both elements of a bundle. The handle is good no more at once.
///
/// ESNIC_E_NOT_FOUND, ESNIC_E_FULL, ESNIC_E_BUSY, ESNIC_E_CLOSED: nothing has changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn esnic_delete(
    device: esnic_device,
    sa: esnic_handle,
    ticket: *mut esnic_ticket,
) -> i32 {
    let call = |caller: Caller<'_>| {
        let to = caller.place(ticket, "ticket")?;
        to.put(registry::find(device)?.delete(sa)?);
        Ok(())
    };
    // SAFETY: the arguments are this function's.
    unsafe { enter(call) }
}

/// Asks the device for the sequence numbers of an SA, of a bundle for those of its ESP element: they
/// are the outcome's result.
///
/// ESNIC_E_NOT_FOUND, ESNIC_E_LOST, ESNIC_E_FULL, ESNIC_E_BUSY, ESNIC_E_CLOSED: nothing was asked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn esnic_query(
    device: esnic_device,
    sa: esnic_handle,
    ticket: *mut esnic_ticket,
) -> i32 {
    let call = |caller: Caller<'_>| {
        let to = caller.place(ticket, "ticket")?;
        to.put(registry::find(device)?.query(sa)?);
        Ok(())
    };
    // SAFETY: the arguments are this function's.
    unsafe { enter(call) }
}

/// Sends many updates and deletions together, and waits for all of them up to timeout_ms milliseconds.
/// Items of one SA take effect in their order. One that fails does not touch the others.
///
/// items: `count` of them, at most ESNIC_MAX_ITEMS; their out members are written.
///
/// failed: gets how many items did not succeed; may be NULL.
///
/// ESNIC_E_ITEMS: some did not; each says why. ESNIC_E_INVALID, ESNIC_E_SIZE: an item makes no sense;
/// nothing was sent, and no item written. ESNIC_E_DEVICE, ESNIC_E_CLOSED: the device failed on the
/// way; items say how far it came.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn esnic_batch(
    device: esnic_device,
    items: *mut esnic_item,
    count: u32,
    timeout_ms: u32,
    failed: *mut u32,
) -> i32 {
    let call = |caller: Caller<'_>| {
        if count > ESNIC_MAX_ITEMS {
            return Err(Fail::invalid(format!("count is above {ESNIC_MAX_ITEMS}")));
        }
        let (items, told) = (caller.array(items, count)?, caller.place_if(failed));
        let device = registry::find(device)?;
        let failed = device.batch(&items, Duration::from_millis(timeout_ms.into()))?;
        if let Some(told) = told {
            told.put(failed);
        }
        if failed == 0 { Ok(()) } else { Err(Fail::plain(ESNIC_E_ITEMS)) }
    };
    // SAFETY: the arguments are this function's.
    unsafe { enter(call) }
}

/// Says what the driver knows of an SA, without asking the device: its state, and for one that is live
/// the newest sequence numbers that the device has acknowledged.
///
/// ESNIC_E_NOT_FOUND: no SA has this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn esnic_known(
    device: esnic_device,
    sa: esnic_handle,
    known: *mut esnic_known,
) -> i32 {
    let call = |caller: Caller<'_>| {
        let known = caller.out_there(known)?;
        known.put(&registry::find(device)?.known(sa)?);
        Ok(())
    };
    // SAFETY: the arguments are this function's.
    unsafe { enter(call) }
}

/// Takes whatever completions are there, and lets the driver do what it owes the device. Never waits
/// for the device; where nothing is there, it gives the core away for some microseconds.
///
/// taken: gets how many there were; may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn esnic_poll(device: esnic_device, taken: *mut u32) -> i32 {
    let call = |caller: Caller<'_>| {
        let count = registry::find(device)?.poll();
        if let Some(taken) = caller.place_if(taken) {
            taken.put(count);
        }
        Ok(())
    };
    // SAFETY: the arguments are this function's.
    unsafe { enter(call) }
}

/// Looks for the outcome of a ticket; takes completions as esnic_poll does.
///
/// ESNIC_OK, ESNIC_E_REFUSED, ESNIC_E_ABORTED: that is it, and the ticket is used up; outcome is
/// written, unless NULL. ESNIC_E_PENDING: not yet. ESNIC_E_TICKET: no such ticket, or used up.
/// ESNIC_E_BUSY: another thread waits for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn esnic_ticket_look(
    device: esnic_device,
    ticket: esnic_ticket,
    outcome: *mut esnic_outcome,
) -> i32 {
    let call =
        |caller: Caller<'_>| registry::find(device)?.settle(ticket, None, &caller.out(outcome)?);
    // SAFETY: the arguments are this function's.
    unsafe { enter(call) }
}

/// Waits for the outcome of a ticket up to timeout_ms milliseconds. Taking completions of all tickets
/// on the way, it needs no esnic_poll beside it.
///
/// As esnic_ticket_look, and ESNIC_E_TIMEOUT: not yet; the command may still be carried out, and the
/// ticket stays good. ESNIC_E_DEVICE: there will be none before esnic_recover; the ticket stays good.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn esnic_ticket_wait(
    device: esnic_device,
    ticket: esnic_ticket,
    timeout_ms: u32,
    outcome: *mut esnic_outcome,
) -> i32 {
    let call = |caller: Caller<'_>| {
        let timeout = Duration::from_millis(timeout_ms.into());
        registry::find(device)?.settle(ticket, Some(timeout), &caller.out(outcome)?)
    };
    // SAFETY: the arguments are this function's.
    unsafe { enter(call) }
}

/// Gives a ticket up, and its outcome. The command goes on, is never half done, and the driver follows
/// it.
///
/// ESNIC_E_TICKET: no such ticket, or used up. ESNIC_E_BUSY: another thread waits for it.
#[unsafe(no_mangle)]
pub extern "C" fn esnic_ticket_drop(device: esnic_device, ticket: esnic_ticket) -> i32 {
    // SAFETY: there are no pointers.
    unsafe { enter(|_| registry::find(device)?.let_go(ticket)) }
}

/// Looks whether the device and its queue pairs are well. A device that hangs wakes nobody: a loop that
/// sleeps asks this now and then.
///
/// ESNIC_E_DEVICE: what is wrong is in esnic_last_error.
#[unsafe(no_mangle)]
pub extern "C" fn esnic_check(device: esnic_device) -> i32 {
    // SAFETY: there are no pointers.
    unsafe { enter(|_| registry::find(device)?.check()) }
}

/// Resets a device and puts its table back, with unchanged handles and the newest sequence numbers that
/// are known. Tickets end with ESNIC_E_ABORTED, requests of other threads fail with ESNIC_E_CLOSED
/// meanwhile.
///
/// flags: 0 or ESNIC_RECOVER_VERIFY_ALL.
///
/// report: may be NULL. lost: gets the handles of up to `room` SAs that the device does not hold any
/// more; may be NULL if room is 0.
///
/// ESNIC_E_DEVICE: it does not come up; nothing is forgotten, so try again. ESNIC_E_BUSY: another
/// thread is at it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn esnic_recover(
    device: esnic_device,
    flags: u32,
    lost: *mut esnic_handle,
    room: u32,
    report: *mut esnic_report,
) -> i32 {
    let call = |caller: Caller<'_>| {
        convert::flags("flag of esnic_recover", flags, ESNIC_RECOVER_VERIFY_ALL)?;
        let report = caller.out(report)?;
        let list = if room == 0 { None } else { Some(caller.place(lost, "lost")?) };
        let all = flags & ESNIC_RECOVER_VERIFY_ALL != 0;
        let verify = if all { Verify::All } else { Verify::Sample };
        let (told, handles) = registry::find(device)?.recover(verify)?;
        report.put(&told);
        if list.is_some() {
            caller.list(lost, room, &handles);
        }
        Ok(())
    };
    // SAFETY: the arguments are this function's.
    unsafe { enter(call) }
}
