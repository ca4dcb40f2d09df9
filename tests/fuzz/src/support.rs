// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the tests of the root package have to make devices and requests with.
#![allow(dead_code, missing_docs, unreachable_pub, unused_macros)]

#[path = "../../support/backend.rs"]
#[macro_use]
pub mod backend;
#[path = "../../support/hostile.rs"]
pub mod hostile;
#[path = "../../support/model.rs"]
pub mod model;
#[path = "../../support/oids.rs"]
pub mod oids;
#[path = "../../support/recorder.rs"]
pub mod recorder;
#[path = "../../support/requests.rs"]
pub mod requests;
#[path = "../../support/sas.rs"]
pub mod sas;
#[path = "../../support/small.rs"]
pub mod small;
