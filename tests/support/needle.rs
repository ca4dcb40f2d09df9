// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A key that can be searched for in the whole memory of this process.

use super::sas::esp;
use core::ops::Range;
use esnic_driver::{KeyMaterial, SaSpec};
use std::io::{Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

const WINDOW_BYTES: usize = 1 << 20;

/// Where memory is copied to be searched.
static WINDOW: Mutex<[u8; WINDOW_BYTES]> = Mutex::new([0; WINDOW_BYTES]);

/// 24 random bytes in the middle of a key, of which only the complement is kept, so that the search
/// does not find what it searches for.
pub struct Needle([u8; 24]);

impl Needle {
    /// Another key for each seed.
    pub fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        Self(std::array::from_fn(|_| random.u8(1..)))
    }

    /// An SA with this key; the stack below is overwritten afterwards.
    #[inline(never)]
    pub fn spec(&self, n: u32) -> SaSpec {
        let mut key = [0xC3; 32];
        for (to, from) in key[4..28].iter_mut().zip(&self.0) {
            *to = !from;
        }
        let spec = SaSpec { keys: KeyMaterial::new([1, 2, 3, 4], &key).unwrap(), ..esp(n) };
        key.fill(0);
        std::hint::black_box(&mut key);
        spec
    }

    /// Names of the mappings of this process that hold the key, once for each place that is not inside
    /// the device.
    pub fn places(&self, inside: &[Range<usize>]) -> Vec<String> {
        scrub_stack();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mut memory = std::fs::File::open("/proc/self/mem").unwrap();
        let mut window = WINDOW.lock().unwrap_or_else(PoisonError::into_inner);
        let own = window.as_ptr() as u64..window.as_ptr() as u64 + WINDOW_BYTES as u64;
        let mut found = Vec::new();
        for line in maps.lines() {
            let mut words = line.split_whitespace();
            let (range, rights) = (words.next().unwrap(), words.next().unwrap());
            let (first, last) = range.split_once('-').unwrap();
            let [first, last] = [first, last].map(|s| u64::from_str_radix(s, 16).unwrap());
            if !rights.starts_with("rw") {
                continue;
            }
            let mut at = first;
            while at < last {
                let len = (last - at).min(WINDOW_BYTES as u64) as usize;
                memory.seek(SeekFrom::Start(at)).unwrap();
                let read = memory.read_exact(&mut window[..len]).is_ok();
                let is_key = |bytes: &[u8]| bytes.iter().zip(&self.0).all(|(a, b)| *a == !b);
                let hits = window[..len].windows(24).enumerate();
                let hits = hits.filter(|(_, bytes)| read && is_key(bytes));
                let places = hits.map(|(k, _)| at + k as u64).filter(|place| !own.contains(place));
                let left_out =
                    |place: &u64| inside.iter().any(|range| range.contains(&(*place as usize)));
                let places = places.filter(|place| !left_out(place));
                found.extend(places.map(|_| line.to_owned()));
                // What is found must not be found again here.
                window.fill(0);
                at += if len < WINDOW_BYTES { len } else { len - 23 } as u64;
            }
        }
        found
    }
}

/// Overwrites what calls left on the stack.
#[inline(never)]
fn scrub_stack() {
    let mut below = [0u8; 256 << 10];
    std::hint::black_box(&mut below);
    below.fill(0);
    std::hint::black_box(&mut below);
}
