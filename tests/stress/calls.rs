// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Callbacks: each token is called once.

use esnic_driver::{OnSettled, Settled};
use std::sync::atomic::{AtomicU64, Ordering};

/// Who is told.
pub(crate) struct Calls {
    next: AtomicU64,
    /// A bit a token.
    called: Box<[AtomicU64]>,
}

impl Calls {
    /// Room for this many tokens.
    pub(crate) fn new(tokens: u64) -> Self {
        Self { next: 0.into(), called: (0..tokens / 64 + 1).map(|_| 0.into()).collect() }
    }

    /// A token that nobody has.
    pub(crate) fn token(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Tokens that were called.
    pub(crate) fn due(&self) -> u64 {
        self.called.iter().map(|word| u64::from(word.load(Ordering::Relaxed).count_ones())).sum()
    }
}

impl OnSettled for Calls {
    fn settled(&self, token: u64, settled: Settled) {
        crate::deeds::plausible(settled);
        let word = &self.called[usize::try_from(token / 64).expect("a token given out")];
        let bit = 1 << (token % 64);
        let before = word.fetch_or(bit, Ordering::Relaxed);
        assert_eq!(before & bit, 0, "token {token} is called twice");
    }
}
