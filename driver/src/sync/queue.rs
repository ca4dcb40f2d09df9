// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A queue with the interface of crossbeam's that loom sees.
//!
//! It promises no more than crossbeam's does, and that on purpose: who takes an item out sees what was
//! done before it and its predecessors were put in. Nothing else is ordered, least of all a push after
//! the pop that made room for it.

use super::{AtomicU32, Ordering};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A queue of limited length.
pub(crate) struct ArrayQueue<T> {
    /// Where threads meet, as far as loom is concerned: each use of the queue is one access.
    turn: AtomicU32,
    /// Loom runs one thread at a time and switches only at its own atomics: this is never contended.
    items: Mutex<VecDeque<T>>,
    capacity: usize,
}

impl<T> ArrayQueue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { turn: 0.into(), items: Mutex::new(VecDeque::with_capacity(capacity)), capacity }
    }

    fn items(&self, order: Ordering) -> MutexGuard<'_, VecDeque<T>> {
        self.turn.fetch_add(1, order);
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        let mut items = self.items(Ordering::Release);
        if items.len() == self.capacity {
            return Err(item);
        }
        items.push_back(item);
        Ok(())
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.items(Ordering::Acquire).pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.items(Ordering::Relaxed).len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }
}
