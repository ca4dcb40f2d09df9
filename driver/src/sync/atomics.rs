// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Loom's atomics, with a place to plant mistakes: an operation asks where it stands in the source, and
//! if the model that runs has planted one there, it is carried out like that.

use std::panic::Location;

pub(crate) use loom::sync::atomic::Ordering;

/// What is wrong with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It orders nothing. A fence is gone.
    Relaxed,
    /// Reading and writing are two steps, and somebody may come between. A comparison that was good
    /// still is.
    Torn,
    /// A write overwrites whatever came between; so a comparison is always good.
    Blind,
}

#[cfg(test)]
fn planted(at: &Location<'_>) -> Option<Fault> {
    super::plant::at(at)
}

#[cfg(not(test))]
fn planted(_: &Location<'_>) -> Option<Fault> {
    None
}

/// A barrier.
#[track_caller]
pub(crate) fn fence(order: Ordering) {
    if planted(Location::caller()).is_none() {
        loom::sync::atomic::fence(order);
    }
}

macro_rules! atomic {
    ($name:ident, $value:ty) => {
        pub(crate) struct $name(loom::sync::atomic::$name);

        impl From<$value> for $name {
            fn from(value: $value) -> Self {
                Self::new(value)
            }
        }

        #[allow(dead_code, reason = "each type has all of them, whichever are called")]
        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                Self(loom::sync::atomic::$name::new(value))
            }

            #[track_caller]
            pub(crate) fn load(&self, order: Ordering) -> $value {
                self.0.load(match planted(Location::caller()) {
                    Some(_) => Ordering::Relaxed,
                    None => order,
                })
            }

            #[track_caller]
            pub(crate) fn store(&self, value: $value, order: Ordering) {
                let order = match planted(Location::caller()) {
                    Some(_) => Ordering::Relaxed,
                    None => order,
                };
                self.0.store(value, order);
            }

            #[track_caller]
            fn change(
                &self,
                order: Ordering,
                whole: impl FnOnce(&loom::sync::atomic::$name, Ordering) -> $value,
                step: impl FnOnce($value) -> $value,
            ) -> $value {
                match planted(Location::caller()) {
                    None => whole(&self.0, order),
                    Some(Fault::Relaxed) => whole(&self.0, Ordering::Relaxed),
                    Some(Fault::Torn | Fault::Blind) => {
                        let before = self.0.load(Ordering::Acquire);
                        self.0.store(step(before), Ordering::Release);
                        before
                    }
                }
            }

            #[track_caller]
            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                self.change(order, |a, order| a.swap(value, order), |_| value)
            }

            #[track_caller]
            pub(crate) fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                self.change(order, |a, order| a.fetch_and(value, order), |before| before & value)
            }

            #[track_caller]
            pub(crate) fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                self.change(order, |a, order| a.fetch_or(value, order), |before| before | value)
            }

            #[track_caller]
            pub(crate) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                match planted(Location::caller()) {
                    None => self.0.compare_exchange(current, new, success, failure),
                    Some(Fault::Relaxed) => {
                        let relaxed = Ordering::Relaxed;
                        self.0.compare_exchange(current, new, relaxed, relaxed)
                    }
                    Some(Fault::Torn) => {
                        let before = self.0.load(Ordering::Acquire);
                        if before != current {
                            return Err(before);
                        }
                        self.0.store(new, Ordering::Release);
                        Ok(before)
                    }
                    Some(Fault::Blind) => Ok(self.0.swap(new, Ordering::AcqRel)),
                }
            }

            #[track_caller]
            pub(crate) fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(current, new, success, failure)
            }
        }
    };
}

macro_rules! counter {
    ($name:ident, $value:ty) => {
        atomic!($name, $value);

        #[allow(dead_code, reason = "each type has all of them, whichever are called")]
        impl $name {
            #[track_caller]
            pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                let step = |before: $value| before.wrapping_add(value);
                self.change(order, |a, order| a.fetch_add(value, order), step)
            }

            #[track_caller]
            pub(crate) fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                let step = |before: $value| before.wrapping_sub(value);
                self.change(order, |a, order| a.fetch_sub(value, order), step)
            }
        }
    };
}

atomic!(AtomicBool, bool);
counter!(AtomicU32, u32);
counter!(AtomicU64, u64);
