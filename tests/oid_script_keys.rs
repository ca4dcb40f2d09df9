// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reading a script leaves no key behind in memory that was given back, whatever is wrong with it: an
//! allocator that looks.

#[path = "../src/oid/script.rs"]
#[allow(dead_code, unreachable_pub, reason = "the command uses all of it")]
mod script;
#[path = "../src/oid/source.rs"]
mod source;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Read;
use zeroize::Zeroizing;

/// A byte of the test key. As it is and in digits; four in a row are nothing else.
const KEY: [&[u8]; 2] = [&[0x5E; 4], b"5e5e5e5e"];

thread_local! {
    /// Places with a key that this thread gave back while it looks; `None` while it does not.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

struct Looking;

// SAFETY: every call goes to the system's allocator with the layout it came with. Growing is what the trait
// makes of these two.
unsafe impl GlobalAlloc for Looking {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // With zeros, so that there is something to look at.
        // SAFETY: the caller keeps the promises of `GlobalAlloc::alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        if LEFT.try_with(Cell::get).ok().flatten().is_some() {
            // SAFETY: the caller has no use for it any more, and it began as zeros.
            let bytes = unsafe { std::slice::from_raw_parts(place, layout.size()) };
            if KEY.iter().any(|key| bytes.windows(key.len()).any(|part| part == *key)) {
                LEFT.set(LEFT.get().map(|left| left + 1));
            }
        }
        // SAFETY: the caller keeps the promises of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Looking = Looking;

/// Reads this script; whether it can be, and how many places with a key were left.
fn left(text: &str) -> (bool, usize) {
    LEFT.set(Some(0));
    let read = source::read(text.as_bytes()).map_err(anyhow::Error::from);
    let parsed = read.and_then(|text| script::parse(&text));
    let good = parsed.is_ok();
    drop(parsed);
    (good, LEFT.take().expect("it was looking"))
}

#[test]
fn the_allocator_sees_what_is_left() {
    for key in KEY {
        LEFT.set(Some(0));
        drop(key.to_vec());
        drop(Zeroizing::new(key.to_vec()));
        assert_eq!(LEFT.take(), Some(1));
    }
}

#[test]
fn no_key_is_left_behind() {
    let key = "5e".repeat(36);
    let good = format!("{{\"oid\":\"0xFC030202\",\"nodes\":[\"{key}\",\"{key}\"]}}\n");
    assert_eq!(left(&good), (true, 0));
    for wrong in [
        format!("{{\"oid\":\"1\",\"nodes\":[\"xx\",\"{key}\",\"{key}\"]}}"),
        format!("{{\"oid\":\"1\",\"nodes\":[\"{key}\",\"{key}x\"]}}"),
        format!("{{\"oid\":\"1\",\"nodes\":[\"{key}\",\"{key}xx\",\"{key}\"]}}"),
        format!("{{\"oid\":\"x\",\"nodes\":[\"{key}\"]}}"),
        format!("{{\"oid\":\"1\",\"type\":\"get\",\"nodes\":[\"{key}\"]}}"),
        format!("{{\"oid\":\"1\",\"nodes\":[\"{key}\"],"),
        format!("{{\"oid\":\"1\",\"nodes\":[\"{key}\",1]}}"),
        format!("{{\"oid\":\"1\",\"nodes\":\"{key}\"}}"),
        format!("{{\"oid\":\"1\",\"nodes\":[\"\\u0035{key}\"]}}"),
        format!("{{\"reset\":true,\"nodes\":[\"{key}\"]}}"),
    ] {
        assert_eq!(left(&format!("{good}{wrong}\n{good}")), (false, 0), "{wrong}");
    }
}

/// A reader that gives little at a time, as a pipe does.
struct Drops<'t>(&'t [u8]);

impl Read for Drops<'_> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let len = to.len().min(1000);
        self.0.by_ref().take(len as u64).read(to)
    }
}

#[test]
fn a_long_script_is_read_whole_and_leaves_nothing() {
    let line = format!("{{\"oid\":\"1\",\"nodes\":[\"{}\"]}}\n", "5e".repeat(500));
    let text = line.repeat(1000);
    LEFT.set(Some(0));
    let read = source::read(Drops(text.as_bytes())).expect("nothing is wrong");
    let same = *read == text;
    drop(read);
    assert_eq!((same, LEFT.take()), (true, Some(0)));

    LEFT.set(Some(0));
    let broken = source::read(&[text.as_bytes(), &[0xFF]].concat()[..]).map(drop);
    let left = LEFT.take();
    // The bytes that it was fed with, which are the test's own.
    assert_eq!((broken.is_err(), left), (true, Some(1)));
}
