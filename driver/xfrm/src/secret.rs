// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Key bytes that are wiped when they are dropped and never shown.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Key material: wiped on drop, compared in constant time, invisible in `Debug`.
///
/// A clone is a second copy in memory, and wiped on its own.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    /// Copies key bytes. The caller wipes its own copy.
    pub fn new(bytes: &[u8]) -> Self {
        // One allocation of the final size: nothing is moved, so no unwiped copy stays behind.
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes, for the one place that hands them to a device.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every byte is zero, in time that does not depend on the bytes.
    ///
    /// A kernel under lockdown (confidentiality) reports SAs with their keys zeroed; such a
    /// "key" must not be given to a device.
    pub fn is_all_zero(&self) -> bool {
        self.0.iter().fold(0, |any, byte| any | byte) == 0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_shows_the_length_only() {
        assert_eq!(format!("{:?}", Secret::new(&[0xab; 20])), "Secret(20 bytes)");
    }

    #[test]
    fn equality_looks_at_every_byte_and_the_length() {
        let key = Secret::new(&[1, 2, 3]);
        assert_eq!(key, Secret::new(&[1, 2, 3]));
        assert_ne!(key, Secret::new(&[1, 2, 4]));
        assert_ne!(key, Secret::new(&[1, 2]));
        assert!(!key.is_all_zero());
        assert!(Secret::new(&[0; 20]).is_all_zero());
    }
}
