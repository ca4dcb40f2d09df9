// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What every part of the bus needs to know in one clock cycle.

use crate::bus::{Bus, Faults, Stuck};
use crate::pcie::Traffic;
use fastrand::Rng;

/// One clock cycle.
pub(crate) struct Cycle<'a> {
    /// Its number since power-on.
    pub(crate) now: u64,
    pub(crate) bus: &'a Bus,
    pub(crate) faults: &'a mut Faults,
    pub(crate) rng: &'a mut Rng,
    pub(crate) traffic: &'a mut Traffic,
}

impl Cycle<'_> {
    /// Whether the bus takes and answers what the device asks for.
    pub(crate) fn moves(&self) -> bool {
        self.faults.stuck == Stuck::No
    }
}
