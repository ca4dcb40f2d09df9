// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How much memory a piece of code has at most: what an input may cost is one of the things to check.
#![allow(unsafe_code, reason = "an allocator is made of unsafe functions")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes that this thread has now, and had at most; what other threads free is not seen.
    static NOW: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

struct Counting;

fn count(bytes: isize) {
    // A thread that ends has no counter any more, and nothing to count.
    let _ = NOW.try_with(|now| {
        let (held, most) = now.get();
        let held = held.wrapping_add(bytes);
        now.set((held, most.max(held)));
    });
}

// SAFETY: every call goes to the system's allocator as it came; counting touches one `Cell`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps the promises of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps the promises of `GlobalAlloc::alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller keeps the promises of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        count(len.cast_signed() - layout.size().cast_signed());
        // SAFETY: the caller keeps the promises of `GlobalAlloc::realloc`.
        unsafe { System.realloc(place, layout, len) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `f`; gives also how many bytes it had at most, beyond what the thread had before.
pub fn most<R>(f: impl FnOnce() -> R) -> (R, usize) {
    NOW.set((0, 0));
    let result = f();
    let (_, most) = NOW.get();
    (result, usize::try_from(most).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_freed_counts_too() {
        let (_, most) = super::most(|| drop(Vec::<u8>::with_capacity(100_000)));
        assert!((100_000..110_000).contains(&most), "{most}");
    }
}
