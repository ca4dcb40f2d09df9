// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What BAD_FIELD means for ADD (§4.2).

use esnic_abi::Add;

pub fn all_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| b == 0)
}

/// Every reason for BAD_FIELD that ADD has (§4.2), header epoch and pair excepted.
pub fn well_formed(add: &Add) -> bool {
    let (gcm, ah, udp) = (add.algorithm <= 3, add.protocol == 1, add.udp_encap != 0);
    let key_len = [16, 24, 32][usize::from((add.algorithm.wrapping_sub(1)) % 3)];
    let ranges = add.header.flags == 0
        && add.header.generation.get() != 0
        && add.spi.get() != 0
        && matches!(add.protocol, 1 | 2)
        && matches!(add.direction, 1 | 2)
        && matches!(add.mode, 1 | 2)
        && matches!(add.algorithm, 1..=6)
        && matches!(add.icv_len, 8 | 12 | 16)
        && matches!(add.family, 4 | 6)
        && add.sa_flags.get() & !1 == 0
        && matches!(add.udp_encap, 0 | 1 | 2 | 4 | 8)
        && add.second_flags & !1 == 0;
    let combinations = !(gcm && ah)
        && (gcm || add.icv_len == 16)
        && !(udp && ah)
        && (udp || (add.udp_src.get() == 0 && add.udp_dst.get() == 0))
        && (add.sa_flags.get() == 1 || add.hi.get() == 0)
        && (add.second_flags == 1 || add.lo.get() == 0);
    let ipv4 = add.family != 4 || (all_zero(&add.src[4..]) && all_zero(&add.dst[4..]));
    let zeros = add.rsvd0 == 0 && add.rsvd1 == [0; 4] && all_zero(&add.key[key_len..]);
    ranges && combinations && ipv4 && zeros
}
