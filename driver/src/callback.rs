// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Callbacks: registered once, named by number afterwards, so that submitting allocates nothing.

use crate::pending::Settled;
use std::sync::{Arc, OnceLock};

/// Who is told of an outcome.
pub trait OnSettled: Send + Sync {
    /// The command that was given `token` is settled. Called exactly once for it, on whichever
    /// thread finds out, possibly before the submitting call has returned. No lock of the driver's is
    /// held that submitting takes; waiting in here would make everybody wait, and a reset must be
    /// asked for elsewhere: inside, `recover` and `close` fail after their deadline.
    fn settled(&self, token: u64, settled: Settled);
}

/// A registered callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallbackId(pub(crate) u32);

/// How many callbacks can be registered with one device.
pub const MAX_CALLBACKS: usize = 64;

/// The registered callbacks; they stay as long as the device is open.
pub(crate) struct Callbacks([OnceLock<Arc<dyn OnSettled>>; MAX_CALLBACKS]);

impl Callbacks {
    pub(crate) fn new() -> Self {
        Self([const { OnceLock::new() }; MAX_CALLBACKS])
    }

    /// Registers one more; `None` if all places are taken.
    pub(crate) fn register(&self, callback: Arc<dyn OnSettled>) -> Option<CallbackId> {
        let mut callback = callback;
        for (id, place) in (0..).zip(&self.0) {
            match place.set(callback) {
                Ok(()) => return Some(CallbackId(id)),
                Err(back) => callback = back,
            }
        }
        None
    }

    pub(crate) fn call(&self, id: u32, token: u64, settled: Settled) {
        if let Some(callback) = self.0[id as usize].get() {
            callback.settled(token, settled);
        }
    }
}
