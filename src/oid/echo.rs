// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is printed of a node that comes back. The driver has wiped the keys of what it took for an ADD; but
//! an ADD's bytes may come under another number, by mistake, and then nobody has.

use esnic_driver::oid::layout::*;
use esnic_driver::oid::number;

/// Bytes of a number's nodes that are no key, whatever request they were made for: the number's own
/// structure, up to where the keys of either ADD can begin. None, if nobody knows the number.
fn keyless(number: u32) -> usize {
    let own = match number {
        number::ADD_SA => size_of::<AddSa>(),
        number::ADD_SA_EX => size_of::<AddSaEx>(),
        number::UPDATE_SA => size_of::<UpdateSa>(),
        number::DELETE_SA => size_of::<DeleteSa>(),
        number::PARAMETERS => size_of::<OffloadParameters>(),
        number::ENCAPSULATION => size_of::<OffloadEncapsulation>(),
        number::CURRENT_CONFIG | number::HARDWARE_CAPABILITIES => size_of::<Offload>(),
        _ => 0,
    };
    own.min(size_of::<AddSa>()).min(size_of::<AddSaEx>())
}

/// The digits of a node; what may be a key is zeros.
pub(super) fn shown(number: u32, node: &[u8]) -> String {
    let known = keyless(number).min(node.len());
    let mut digits = hex::encode(&node[..known]);
    digits.extend(std::iter::repeat_n("00", node.len() - known));
    digits
}
