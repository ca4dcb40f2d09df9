// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which functions of the guest a test has. Tests run in lanes, side by side, each with functions of its
//! own; what there is only one of goes from lane to lane.

use crate::control::ask;
use crate::wire;
use esnic_abi::Params;
use rustix::fs::{FlockOperation, flock};
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Mutex, PoisonError};

/// The variable that tells a test its lane.
pub const LANE: &str = "ESNIC_LANE";

/// Plugs a device with these parameters into a function, fresh from power-on; gives its address. The
/// function then belongs to this process until its end.
///
/// # Panics
/// If the guest has no such function, or the bench no such device.
#[must_use]
#[track_caller]
pub fn plug(params: &Params) -> String {
    static OWNED: Mutex<BTreeMap<String, File>> = Mutex::new(BTreeMap::new());
    let lane = std::env::var(LANE).unwrap_or_else(|_| "0".to_owned());
    let address = ask(&format!("where {lane} {}", params.sa_capacity));
    let address = address.expect("every bench knows its functions");
    let mut owned = OWNED.lock().unwrap_or_else(PoisonError::into_inner);
    owned.entry(address.clone()).or_insert_with(|| {
        let path = format!("/tmp/function-{address}");
        let file = File::create(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        flock(&file, FlockOperation::LockExclusive)
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        file
    });
    let plugged = ask(&format!("plug {address} {}", wire::params_text(params)));
    plugged.expect("every bench can plug a device in");
    address
}
