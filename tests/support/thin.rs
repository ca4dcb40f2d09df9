// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How often to repeat what only gets more thorough by repetition. In the guest an access to a register
//! takes a thousand times as long; the tests are there for the way to the device, while those on the host
//! go through everything.

use std::iter::StepBy;

const GUEST: bool = cfg!(esnic_guest);

/// As many rounds; in the guest one in twenty.
pub const fn rounds(usual: u32) -> u32 {
    if GUEST { usual.div_ceil(20) } else { usual }
}

/// All of them; in the guest every thirteenth, which in rows of 4, 8 or 16 is each place in turn.
pub fn thin<I: IntoIterator>(all: I) -> StepBy<I::IntoIter> {
    all.into_iter().step_by(if GUEST { 13 } else { 1 })
}
