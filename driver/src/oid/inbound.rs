// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bundles that are there, by handle, and what finds an inbound packet's SA: SPI, destination and protocol,
//! which may therefore not be given twice.

use super::parse::Bundle;
use crate::sa::SaHandle;
use crate::sa::SaSpec;
use esnic_abi::Direction;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// What an inbound packet is found by.
type Key = (u32, IpAddr, u8);

/// The keys of one bundle: none if it is outbound.
pub(super) type Keys = [Option<Key>; 2];

/// All bundles.
#[derive(Default)]
pub(super) struct Bundles {
    taken: HashSet<Key>,
    keys: HashMap<SaHandle, Keys>,
    /// Those whose handle somebody has.
    given: HashSet<SaHandle>,
    /// Those whose deletion is under way, and the parts of requests that wait for its end as well.
    leaving: HashMap<SaHandle, Vec<(u64, usize)>>,
    /// Those that are being added, too.
    count: usize,
}

/// Why a bundle cannot come in.
pub(super) enum NoEntry {
    /// There are as many as there may be.
    Full,
    /// Another SA would get its packets.
    Twice,
}

fn key(spec: &SaSpec) -> Option<Key> {
    (spec.direction == Direction::In).then_some((spec.spi.0, spec.dst, spec.protocol as u8))
}

impl Bundles {
    /// Reserves a place.
    pub(super) fn reserve(&mut self, bundle: &Bundle, most: usize) -> Result<Keys, NoEntry> {
        if self.count >= most {
            return Err(NoEntry::Full);
        }
        let keys = [key(&bundle.first), bundle.second.as_ref().and_then(key)];
        if keys.iter().flatten().any(|key| self.taken.contains(key)) {
            return Err(NoEntry::Twice);
        }
        self.taken.extend(keys.iter().flatten());
        self.count += 1;
        Ok(keys)
    }

    /// Gives a place back that came to nothing.
    pub(super) fn release(&mut self, keys: &Keys) {
        keys.iter().flatten().for_each(|key| {
            self.taken.remove(key);
        });
        self.count -= 1;
    }

    /// The bundle is there.
    pub(super) fn enter(&mut self, sa: SaHandle, keys: Keys) {
        self.keys.insert(sa, keys);
    }

    /// Its handle is told.
    pub(super) fn give(&mut self, sa: SaHandle) {
        self.given.insert(sa);
    }

    /// Whether this is a handle that was told. A number that the manager could make something of is not
    /// enough: that of a bundle's second row, say, or of one whose ADD has not ended.
    pub(super) fn is_given(&self, sa: SaHandle) -> bool {
        self.given.contains(&sa)
    }

    /// The bundle's deletion is under way; or not, after all.
    pub(super) fn goes(&mut self, sa: SaHandle, goes: bool) {
        if goes {
            self.leaving.entry(sa).or_default();
        } else {
            self.leaving.remove(&sa);
        }
    }

    /// Has part `k` of a request wait for the end of the bundle's deletion, if one is under way.
    pub(super) fn await_end(&mut self, sa: SaHandle, serial: u64, k: usize) -> bool {
        let others = self.leaving.get_mut(&sa);
        others.map(|others| others.push((serial, k))).is_some()
    }

    /// The bundle is not there any more, if it was. Gives whoever waits for that.
    pub(super) fn leave(&mut self, sa: SaHandle) -> Vec<(u64, usize)> {
        self.given.remove(&sa);
        if let Some(keys) = self.keys.remove(&sa) {
            self.release(&keys);
        }
        self.leaving.remove(&sa).unwrap_or_default()
    }
}
