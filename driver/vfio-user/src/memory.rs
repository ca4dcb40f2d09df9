// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The memory of a client as a device reaches it, by the addresses that the client chose: what an
//! IOMMU is to a card.
//!
//! Clients map and unmap as they please, and not as mirror images: one range in thousands of pages,
//! ranges without a file, ranges to unmap that nothing is in, that span a dozen maps, that cut one in
//! two, that end at 2^64.

mod file;

use crate::function::Map;
use crate::wire::{MAX_MAPS, PAGE};
use file::{Backing, Files};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

pub use file::sealed;

/// An access hit a place that is not mapped, not with the right that it takes, or without bytes
/// behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// What is mapped from one address on.
#[derive(Clone, Debug)]
struct Mapping {
    last: u64,
    read: bool,
    write: bool,
    /// The bytes, and which of them is the first here.
    bytes: Option<(Backing, u64)>,
}

/// All that a client has mapped.
#[derive(Debug, Default)]
pub struct Memory {
    maps: BTreeMap<u64, Mapping>,
    files: Files,
}

impl Memory {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many ranges are mapped.
    #[must_use]
    pub fn maps(&self) -> usize {
        self.maps.len()
    }

    /// Maps a range. One that is mapped already exactly so is replaced.
    ///
    /// # Errors
    /// EINVAL if it is not made of pages, or the file is none that memory can be in; EEXIST if part of
    /// it is mapped; ENOSPC if there are too many; EACCES if the descriptor does not allow what the
    /// map does.
    pub fn map(&mut self, map: Map) -> Result<(), Errno> {
        let (first, last) = map.range.into_inner();
        let aligned = first.is_multiple_of(PAGE) && last.wrapping_add(1).is_multiple_of(PAGE);
        if last < first || !aligned || !(map.read || map.write) {
            return Err(Errno::INVAL);
        }
        let same = self.maps.get(&first).is_some_and(|old| old.last == last);
        if !same && self.overlapping(first, last).next().is_some() {
            return Err(Errno::EXIST);
        }
        if !same && self.maps.len() >= MAX_MAPS {
            return Err(Errno::NOSPC);
        }
        let bytes = match map.file {
            None => None,
            Some((fd, offset)) => {
                let len = (last - first).checked_add(1).ok_or(Errno::INVAL)?;
                Some((self.files.open(fd, offset, len, map.write)?, offset))
            }
        };
        self.maps.insert(first, Mapping { last, read: map.read, write: map.write, bytes });
        Ok(())
    }

    /// Unmaps whatever is in a range, and the part of a map that is.
    pub fn unmap(&mut self, range: &RangeInclusive<u64>) {
        let (first, last) = (*range.start(), *range.end());
        if last < first {
            return;
        }
        let hit: Vec<u64> = self.overlapping(first, last).collect();
        for begin in hit {
            let Some(old) = self.maps.remove(&begin) else { continue };
            if begin < first {
                self.maps.insert(begin, Mapping { last: first - 1, ..old.clone() });
            }
            if old.last > last {
                let skipped = last - begin + 1;
                let bytes = old.bytes.map(|(backing, at)| (backing, at + skipped));
                self.maps.insert(last + 1, Mapping { bytes, ..old });
            }
        }
        self.files.tidy();
    }

    /// Unmaps everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Reads from `address` on.
    ///
    /// # Errors
    /// If any byte cannot be read; `out` may be partly filled then.
    pub fn read(&self, address: u64, out: &mut [u8]) -> Result<(), Fault> {
        let mut rest = out;
        self.pieces(
            address,
            rest.len(),
            |mapping| mapping.read,
            |backing, at, len| {
                let (now, later) = std::mem::take(&mut rest).split_at_mut(len);
                rest = later;
                backing.read(at, now)
            },
        )
    }

    /// Writes from `address` on. Aligned groups of eight bytes become visible in ascending order,
    /// each at once.
    ///
    /// # Errors
    /// If any byte cannot be written; those before it may have been.
    pub fn write(&self, address: u64, data: &[u8]) -> Result<(), Fault> {
        let mut rest = data;
        self.pieces(
            address,
            rest.len(),
            |mapping| mapping.write,
            |backing, at, len| {
                let (now, later) = rest.split_at(len);
                rest = later;
                backing.write(at, now)
            },
        )
    }

    /// Runs `access` on the parts of a range, one after the other.
    fn pieces(
        &self,
        mut address: u64,
        mut len: usize,
        allowed: impl Fn(&Mapping) -> bool,
        mut access: impl FnMut(&Backing, u64, usize) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        while len > 0 {
            let (first, mapping) = self.maps.range(..=address).next_back().ok_or(Fault)?;
            if mapping.last < address || !allowed(mapping) {
                return Err(Fault);
            }
            let (backing, begin) = mapping.bytes.as_ref().ok_or(Fault)?;
            let here = usize::try_from(mapping.last - address).unwrap_or(usize::MAX);
            let now = len.min(here.saturating_add(1));
            access(backing, begin + (address - first), now)?;
            len -= now;
            // Beyond the last address there is nothing.
            match address.checked_add(now as u64) {
                Some(next) => address = next,
                None if len == 0 => {}
                None => return Err(Fault),
            }
        }
        Ok(())
    }

    /// First addresses of the maps that have a part in a range.
    fn overlapping(&self, first: u64, last: u64) -> impl Iterator<Item = u64> + '_ {
        let before = self.maps.range(..first).next_back();
        let before = before.filter(move |(_, mapping)| mapping.last >= first);
        before.into_iter().chain(self.maps.range(first..=last)).map(|(begin, _)| *begin)
    }
}

#[cfg(test)]
mod tests;
