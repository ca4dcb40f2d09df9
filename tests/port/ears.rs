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
struct Place {
    /// `submit` has returned.
    taken: bool,
    told: Option<Completion>,
    /// Whoever waited for it knows.
    seen: bool,
}

impl Place {
    fn is_over(&self) -> bool {
        self.told.is_some() || self.seen
    }
}

/// The host: each request is told once, and before the end of a reset that came later.
#[derive(Default)]
pub(crate) struct Ears {
    places: Mutex<BTreeMap<u64, Place>>,
    /// What is outstanding as a reset begins.
    due: Mutex<Vec<u64>>,
    next: AtomicU64,
}

impl Ears {
    /// A number for a request.
    pub(crate) fn expect(&self) -> u64 {
        let id = 1 + self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.places).insert(id, Place::default());
        id
    }

    /// Its `submit` has returned.
    pub(crate) fn is_taken(&self, id: u64) {
        lock(&self.places).get_mut(&id).expect("it was expected").taken = true;
    }

    /// A reset begins, which ends all that was taken before.
    pub(crate) fn reset_begins(&self) {
        let places = lock(&self.places);
        let due = places.iter().filter(|(_, place)| place.taken && !place.is_over());
        *lock(&self.due) = due.map(|(&id, _)| id).collect();
    }

    /// Forgets all, when all is over.
    #[track_caller]
    pub(crate) fn forget(&self) {
        lock(&self.due).clear();
        let all = std::mem::take(&mut *lock(&self.places));
        assert!(all.values().all(|place| place.seen), "requests that never ended");
    }

    /// What a request was told, if it was; once.
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
        assert!(!place.is_over(), "{completion:?} is told twice");
        place.told = Some(completion);
    }

    fn indicate(&self, indication: Indication) {
        if indication.status == indication::RESET_END {
            let places = lock(&self.places);
            let missing = |id: &&u64| !places[id].is_over();
            let late: Vec<u64> = lock(&self.due).iter().filter(missing).copied().collect();
            assert_eq!(late, [0; 0], "requests that end after the reset that ended them");
        }
    }
}
