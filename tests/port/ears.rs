// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The host of a port, which knows what must be told by when.

use crate::support::{AtomicU64, Ordering};
use esnic_driver::oid::{Completion, Host, Indication, indication};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of a request.
#[derive(Default)]
pub(crate) struct Place {
    /// `submit` has returned.
    pub(crate) taken: bool,
    pub(crate) told: Option<Completion>,
    /// Whoever waited for it knows.
    pub(crate) seen: bool,
}

/// The host: each request is told once, and before the end of a reset that came later.
#[derive(Default)]
pub(crate) struct Ears {
    pub(crate) places: Mutex<BTreeMap<u64, Place>>,
    /// What is outstanding as a reset begins.
    pub(crate) due: Mutex<Vec<u64>>,
    next: AtomicU64,
}

impl Ears {
    /// A number for a request.
    pub(crate) fn expect(&self) -> u64 {
        let id = 1 + self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.places).insert(id, Place::default());
        id
    }

    pub(crate) fn take(&self, id: u64) -> Option<Completion> {
        let mut places = lock(&self.places);
        let place = places.get_mut(&id).expect("it was submitted");
        let told = place.told.take();
        place.seen |= told.is_some();
        told
    }
}

impl Host for Ears {
    fn complete(&self, completion: Completion) {
        let mut places = lock(&self.places);
        let place = places.get_mut(&completion.id).expect("it was submitted, in this history");
        assert!(place.told.is_none() && !place.seen, "{completion:?} is told twice");
        place.told = Some(completion);
    }

    fn indicate(&self, indication: Indication) {
        if indication.status == indication::RESET_END {
            let places = lock(&self.places);
            let missing = |id: &&u64| places[id].told.is_none() && !places[id].seen;
            let late: Vec<u64> = lock(&self.due).iter().filter(missing).copied().collect();
            assert_eq!(late, [0; 0], "requests that end after the reset that ended them");
        }
    }
}
