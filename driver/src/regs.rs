// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Registers by name over a [`Transport`]. No offset is written anywhere else in the driver.

use crate::transport::Transport;
use esnic_abi::Bar;
use esnic_abi::regs::{Counters, Doorbell, Global, QueuePair};

/// Reads a 32-bit register of the global page.
pub fn global<T: Transport>(t: &T, register: Global) -> u32 {
    t.read32(Bar::Registers, register.address(0))
}

/// Writes a 32-bit register of the global page.
pub fn set_global<T: Transport>(t: &T, register: Global, value: u32) {
    t.write32(Bar::Registers, register.address(0), value);
}

/// Reads entry `k` of a 64-bit register of the global page. Its halves do not change by themselves.
pub fn global64<T: Transport>(t: &T, register: Global, k: u32) -> u64 {
    pair(t, register.address(0) + 8 * u64::from(k))
}

/// Writes a 64-bit register of the global page.
pub fn set_global64<T: Transport>(t: &T, register: Global, value: u64) {
    t.write64(Bar::Registers, register.address(0), value);
}

/// Reads a counter: high, low, high, until high repeats. A device that never repeats it is cut off.
pub fn counter<T: Transport>(t: &T, register: Counters) -> u64 {
    let place = register.address(0);
    let mut high = t.read32(Bar::Registers, place + 4);
    let mut low = 0;
    for _ in 0..8 {
        low = t.read32(Bar::Registers, place);
        let again = t.read32(Bar::Registers, place + 4);
        if again == high {
            break;
        }
        high = again;
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Reads a 32-bit register of queue pair `n`.
pub fn queue_pair<T: Transport>(t: &T, n: u32, register: QueuePair) -> u32 {
    t.read32(Bar::Registers, register.address(n))
}

/// Reads a 64-bit register of queue pair `n`.
pub fn queue_pair64<T: Transport>(t: &T, n: u32, register: QueuePair) -> u64 {
    pair(t, register.address(n))
}

/// Writes a 32-bit register of queue pair `n`.
pub fn set_queue_pair<T: Transport>(t: &T, n: u32, register: QueuePair, value: u32) {
    t.write32(Bar::Registers, register.address(n), value);
}

/// Writes a 64-bit register of queue pair `n`.
pub fn set_queue_pair64<T: Transport>(t: &T, n: u32, register: QueuePair, value: u64) {
    t.write64(Bar::Registers, register.address(n), value);
}

/// Rings a 32-bit doorbell of queue pair `n`.
pub fn ring<T: Transport>(t: &T, n: u32, register: Doorbell, value: u32) {
    t.write32(Bar::Registers, register.address(n), value);
}

/// Tells the new submission tail and the completions consumed, in one store.
pub fn ring_both<T: Transport>(t: &T, n: u32, sq_tail: u32, cq_head: u32) {
    let both = u64::from(cq_head) << 32 | u64::from(sq_tail);
    t.write64(Bar::Registers, Doorbell::SQ_TAIL.address(n), both);
}

/// Writes entry `p` of queue pair `n`'s direct doorbell ring.
pub fn ring_direct<T: Transport>(t: &T, n: u32, p: u32, entry: u64) {
    t.write64(Bar::Registers, Doorbell::DIRECT.address(n) + 8 * u64::from(p), entry);
}

fn pair<T: Transport>(t: &T, place: u64) -> u64 {
    let low = t.read32(Bar::Registers, place);
    let high = t.read32(Bar::Registers, place + 4);
    u64::from(high) << 32 | u64::from(low)
}
