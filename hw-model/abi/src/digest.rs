// SPDX-License-Identifier: Apache-2.0 OR MIT
//! DIGEST: what ADD answers with, so that the host knows that the row holds what it meant (§4.2).

use crate::desc::LiveView;
use zerocopy::IntoBytes;

/// XOR over k = 1..10 of the k-th quadword of the live view, rotated left by 6k.
///
/// Quadword 0 (state and rsvd) and everything from byte 88 on (salt and key) do not enter it.
#[must_use]
pub fn digest(view: &LiveView) -> u64 {
    let (quadwords, _) = view.as_bytes().as_chunks::<8>();
    (1..=10u32)
        .zip(&quadwords[1..])
        .fold(0, |sum, (k, bytes)| sum ^ u64::from_le_bytes(*bytes).rotate_left(6 * k))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromBytes;

    fn view(set: &[(usize, u8)]) -> LiveView {
        let mut bytes = [0; LiveView::LEN];
        for &(at, byte) in set {
            bytes[at] = byte;
        }
        LiveView::read_from_bytes(&bytes).unwrap()
    }

    #[test]
    fn each_quadword_has_a_rotation_of_its_own() {
        assert_eq!(digest(&view(&[])), 0);
        for k in 1..=10 {
            assert_eq!(digest(&view(&[(8 * k, 1)])), 1u64.rotate_left(6 * k as u32), "QW({k})");
        }
    }

    #[test]
    fn neither_state_nor_salt_nor_key_enters() {
        for at in (0..8).chain(88..128) {
            assert_eq!(digest(&view(&[(at, 0xFF)])), 0, "byte {at}");
        }
    }
}
