// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The signal that the kernel sends when a mapped BAR is no longer behind its addresses: the function
//! was pulled out, or sleeps. It means "gone", not "crash".
//!
//! The handler puts ordinary memory in the BAR's place and marks it as gone, so that the access that
//! faulted, and every one after it, ends; [`super::mapping`] answers all ones from then on. A signal
//! about any other address goes to whoever was there before.
//!
//! This is one of the files that hold the driver's `unsafe`: a signal handler is nothing else.

use libc::{c_int, c_void, sigaction, siginfo_t};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, OnceLock, PoisonError};

/// BARs that can be mapped at one time: three for each of 64 functions.
const WATCHES: usize = 192;

/// A range of addresses that may vanish.
pub(super) struct Watch {
    /// First address; 0 while nobody uses this place.
    start: AtomicUsize,
    len: AtomicUsize,
    gone: AtomicBool,
}

static TABLE: [Watch; WATCHES] = [const { Watch::unused() }; WATCHES];

/// Held while the table changes. The handler reads it without.
static CHANGING: Mutex<()> = Mutex::new(());

/// Who had the signal before; set before the handler is.
static BEFORE: OnceLock<sigaction> = OnceLock::new();

impl Watch {
    const fn unused() -> Self {
        Self { start: AtomicUsize::new(0), len: AtomicUsize::new(0), gone: AtomicBool::new(false) }
    }

    /// Watches `len` bytes from `start` on, until [`Self::end`].
    pub(super) fn begin(start: usize, len: usize) -> io::Result<&'static Self> {
        let _alone = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
        install()?;
        let unused = TABLE.iter().find(|watch| watch.start.load(Ordering::Relaxed) == 0);
        let watch = unused.ok_or_else(|| {
            io::Error::other(format!("{WATCHES} BARs are mapped already; close a device first"))
        })?;
        // The 0 that ended the use before, ahead of the new length: pairs with the fence in `covers`.
        fence(Ordering::Release);
        watch.gone.store(false, Ordering::Relaxed);
        watch.len.store(len, Ordering::Relaxed);
        // Release: pairs with the handler's acquire; last, so that no half of it is ever seen.
        watch.start.store(start, Ordering::Release);
        Ok(watch)
    }

    /// Ends it; nothing touches the range any more.
    pub(super) fn end(&self) {
        let _alone = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
        self.start.store(0, Ordering::Release);
    }

    /// Whether the range has vanished.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn covers(&self, address: usize) -> Option<(usize, usize)> {
        let start = self.start.load(Ordering::Acquire);
        let len = self.len.load(Ordering::Relaxed);
        // Both of one use: this place may be taken anew meanwhile, and what is behind the range is not
        // the driver's to replace.
        fence(Ordering::Acquire);
        let start = if self.start.load(Ordering::Relaxed) == start { start } else { 0 };
        (start != 0 && address.wrapping_sub(start) < len).then_some((start, len))
    }
}

/// Puts the handler in place, once in a process.
fn install() -> io::Result<()> {
    if BEFORE.get().is_some() {
        return Ok(());
    }
    let mut before = MaybeUninit::<sigaction>::uninit();
    // SAFETY: asks only; `before` has room for the answer.
    if unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), before.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above has succeeded, so it is filled in.
    let before = unsafe { before.assume_init() };
    // Before the handler, which reads it.
    let _ = BEFORE.set(before);
    // SAFETY: a `sigaction` of zeros is a valid one: no flags, no mask, the default action.
    let mut action: sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = on_sigbus;
    action.sa_sigaction = handler as usize;
    // ONSTACK, as whoever was there before may depend on it for a stack that has overflowed.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler has the signature that SA_SIGINFO asks for, and calls only what a handler may.
    if unsafe { libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// May call only what is allowed in a handler: atomics, and `mmap`, which is a bare system call.
extern "C" fn on_sigbus(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel hands a valid record to a handler with SA_SIGINFO.
    let record = unsafe { &*info };
    // A code of 0 or less means that a process sent it; then there is no address.
    let sent = record.si_code <= 0;
    // SAFETY: the record is about SIGBUS, which has an address; what a sender put there is not used.
    let address = unsafe { record.si_addr() } as usize;
    let found = TABLE.iter().find(|watch| !sent && watch.covers(address).is_some());
    if let Some(watch) = found
        && let Some((start, len)) = watch.covers(address)
    {
        // First, so that nobody takes what is put there for the device's answer.
        watch.gone.store(true, Ordering::SeqCst);
        // The mark before the memory: pairs with the fences of `Mapping::read32` and `Mapping::store`.
        fence(Ordering::SeqCst);
        // SAFETY: the address of this thread's own variable.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: valid as long as the thread is.
        let kept = unsafe { *errno };
        // SAFETY: the range is a mapping of the driver's own, watched until it is unmapped. Everybody
        // accesses it by volatile loads and stores alone, for which any memory will do.
        let placed = unsafe {
            libc::mmap(
                start as *mut c_void,
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        // SAFETY: as above.
        unsafe { *errno = kept };
        if placed != libc::MAP_FAILED {
            return;
        }
    }
    pass_on(signal, info, context, sent);
}

/// What would have happened without this handler.
fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void, sent: bool) {
    let before = BEFORE.get();
    match before.map_or(libc::SIG_DFL, |before| before.sa_sigaction) {
        libc::SIG_IGN if sent => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: a `sigaction` of zeros is a valid one: the default action.
            let default: sigaction = unsafe { std::mem::zeroed() };
            // SAFETY: sets the default action; allowed in a handler.
            unsafe { libc::sigaction(signal, &raw const default, ptr::null_mut()) };
            // An access faults again on return, and then ends the process. What a process sent comes
            // again here, once the handler is left.
            if sent {
                // SAFETY: allowed in a handler.
                unsafe { libc::raise(signal) };
            }
        }
        handler if before.is_some_and(|before| before.sa_flags & libc::SA_SIGINFO != 0) => {
            // SAFETY: with SA_SIGINFO, whoever set it promised a function of this signature.
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: without SA_SIGINFO, whoever set it promised a function of this signature.
            let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
    }
}
