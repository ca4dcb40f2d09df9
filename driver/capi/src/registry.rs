// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which devices are open, by number. Numbers are never used again, so a stale one is an error.

use crate::codes::esnic_error::ESNIC_E_HANDLE;
use crate::device::Device;
use crate::fail::Fail;
use crate::types::esnic_device;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// What all numbers have in common: no index, size or ticket looks like one.
const MARK: u64 = 0xE51C << 48;

static DEVICES: RwLock<BTreeMap<esnic_device, Arc<dyn Device>>> = RwLock::new(BTreeMap::new());
static SERIAL: AtomicU64 = AtomicU64::new(1);

/// Gives a device, which learns the serial number, its number.
pub(crate) fn enter<D: Device + 'static>(device: impl FnOnce(u64) -> D) -> esnic_device {
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let number = MARK | serial;
    let device: Arc<dyn Device> = Arc::new(device(serial));
    DEVICES.write().unwrap_or_else(PoisonError::into_inner).insert(number, device);
    number
}

/// The device. It lasts until the last call that has it is over, also if another thread closes it.
pub(crate) fn find(number: esnic_device) -> Result<Arc<dyn Device>, Fail> {
    let devices = DEVICES.read().unwrap_or_else(PoisonError::into_inner);
    devices.get(&number).cloned().ok_or_else(|| Fail::plain(ESNIC_E_HANDLE))
}

/// Takes the device out: nobody finds it any more.
pub(crate) fn remove(number: esnic_device) -> Result<Arc<dyn Device>, Fail> {
    let mut devices = DEVICES.write().unwrap_or_else(PoisonError::into_inner);
    devices.remove(&number).ok_or_else(|| Fail::plain(ESNIC_E_HANDLE))
}
