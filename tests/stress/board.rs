// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The SAs that all threads know of and use.

use esnic_driver::SaHandle;
use std::sync::{Mutex, PoisonError};

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) number: u32,
    pub(crate) sa: SaHandle,
    pub(crate) bundle: bool,
}

/// Places that an SA stands in, or none.
pub(crate) struct Board(Box<[Mutex<Option<Known>>]>);

impl Board {
    pub(crate) fn new(places: usize) -> Self {
        Self((0..places).map(|_| Mutex::default()).collect())
    }

    /// Some place, and what stands there.
    pub(crate) fn look(&self, random: &mut fastrand::Rng) -> (usize, Option<Known>) {
        let place = random.usize(..self.0.len());
        (place, *self.lock(place))
    }

    /// Puts in or takes out; returns what stood there.
    pub(crate) fn replace(&self, place: usize, known: Option<Known>) -> Option<Known> {
        std::mem::replace(&mut *self.lock(place), known)
    }

    /// Takes out everything.
    pub(crate) fn drain(&self) -> impl Iterator<Item = (usize, Known)> {
        (0..self.0.len()).filter_map(|place| Some((place, self.replace(place, None)?)))
    }

    fn lock(&self, place: usize) -> std::sync::MutexGuard<'_, Option<Known>> {
        self.0[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
