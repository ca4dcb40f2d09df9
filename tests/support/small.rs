// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The device that most tests use: small, so that whole tables can be looked at.

use esnic_abi::Params;

/// 64 SA slots, 4 queue pairs, 16 stage buffers.
pub fn small() -> Params {
    Params {
        sa_capacity: 64,
        queue_pairs: 4,
        ring_log2: 10,
        direct_log2: 4,
        stage_log2: 4,
        ..Params::default()
    }
}
