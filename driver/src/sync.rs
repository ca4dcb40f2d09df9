// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the lock-free parts are made of: the standard library's atomics and crossbeam's queue. While
//! `cargo xtask loom` checks models of these parts, it is loom's atomics and a queue that loom sees.

#[cfg(not(loom))]
pub(crate) use crossbeam::queue::ArrayQueue;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

#[cfg(loom)]
mod atomics;
#[cfg(all(loom, test))]
pub(crate) mod plant;
#[cfg(loom)]
mod queue;

#[cfg(loom)]
pub(crate) use atomics::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
#[cfg(loom)]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(loom)]
pub(crate) use queue::ArrayQueue;
