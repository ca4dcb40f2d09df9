// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How tests in the guest talk to the bench on the host, which plugs devices in and reaches behind
//! their pins: [`wire`] has the words, [`control`] the way there,
//! and [`lane`] says which functions are whose.
#![forbid(unsafe_code)]

pub mod control;
pub mod lane;
pub mod wire;
