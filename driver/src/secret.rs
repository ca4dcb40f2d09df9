// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keys: how they come in, and where they stay.
//!
//! A key is in three places of this process: in the caller's [`KeyMaterial`], in the vault while its
//! SA exists (a restore after a reset needs it), and in a submission slot until the device has
//! fetched it. Each is wiped when it is done with. The vault is locked into memory, excluded from
//! core dumps, and empty in a forked child.
//!
//! This file and `transport/vfio` are where the driver's `unsafe` lives; here it is three system
//! calls about pages that this file owns.

use crate::error::Error;
use std::fmt;
use std::sync::Arc;
use vm_memory::{Bytes, MmapRegion, VolatileMemory};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Salt and key of one SA. Wiped on drop; never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct KeyMaterial {
    salt: [u8; 4],
    key: [u8; 32],
}

impl KeyMaterial {
    /// Takes a salt (RFC 4106 section 4) and a key of 16, 24 or 32 bytes. The caller wipes its own
    /// copy.
    ///
    /// # Errors
    /// The length that the key has, if it is none of these.
    pub fn new(salt: [u8; 4], key: &[u8]) -> Result<Self, usize> {
        if !matches!(key.len(), 16 | 24 | 32) {
            return Err(key.len());
        }
        let mut material = Self { salt, key: [0; 32] };
        material.key[..key.len()].copy_from_slice(key);
        Ok(material)
    }

    pub(crate) fn salt(&self) -> &[u8; 4] {
        &self.salt
    }

    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Whether everything from byte `len` of the key on is zero, as a key of that length has it.
    pub(crate) fn fits(&self, len: usize) -> bool {
        self.key[len..].iter().all(|&b| b == 0)
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let pairs = self.salt.iter().zip(&other.salt).chain(self.key.iter().zip(&other.key));
        std::hint::black_box(pairs.fold(0, |sum, (a, b)| sum | (a ^ b))) == 0
    }
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyMaterial(..)")
    }
}

/// Whether keys may sit in memory that the system can swap out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KeyMemory {
    /// No: without locked memory the device is not opened.
    #[default]
    Locked,
    /// Lock if the limits allow it; for tests and demonstrations with test keys.
    BestEffort,
}

/// Bytes that one SA has in the vault: salt, key, padding.
const CELL: usize = 64;

/// Keys of every SA, by index, in memory that neither swap nor core dumps nor children see.
pub(crate) struct Vault {
    region: Arc<MmapRegion>,
    locked: bool,
}

impl Vault {
    /// Makes room for `cells` SAs.
    pub(crate) fn new(cells: usize, policy: KeyMemory) -> Result<Self, Error> {
        let region = crate::dma::allocate(cells * CELL)?;
        let locked = match protect(&region) {
            Ok(()) => true,
            Err(_) if policy == KeyMemory::BestEffort => false,
            Err(error) => {
                let reason = error.to_string();
                return Err(Error::KeyMemory { len_bytes: region.size(), reason });
            }
        };
        Ok(Self { region, locked })
    }

    /// Whether the pages are locked.
    pub(crate) fn is_locked(&self) -> bool {
        self.locked
    }

    pub(crate) fn put(&self, index: usize, keys: &KeyMaterial) {
        let mut cell = Zeroizing::new([0; CELL]);
        cell[..4].copy_from_slice(&keys.salt);
        cell[4..36].copy_from_slice(&keys.key);
        self.write(index, &cell);
    }

    /// Runs `f` on the keys of `index`; the copy it sees is wiped afterwards.
    pub(crate) fn with<R>(&self, index: usize, f: impl FnOnce(&KeyMaterial) -> R) -> R {
        let mut cell = Zeroizing::new([0; CELL]);
        self.region
            .as_volatile_slice()
            .read_slice(cell.as_mut_slice(), index * CELL)
            .expect("the index is below the capacity");
        let mut keys = KeyMaterial { salt: [0; 4], key: [0; 32] };
        keys.salt.copy_from_slice(&cell[..4]);
        keys.key.copy_from_slice(&cell[4..36]);
        f(&keys)
    }

    pub(crate) fn wipe(&self, index: usize) {
        self.write(index, &[0; CELL]);
    }

    /// Whether nothing is kept for `index`.
    pub(crate) fn is_empty(&self, index: usize) -> bool {
        self.with(index, |keys| keys.salt == [0; 4] && keys.key == [0; 32])
    }

    fn write(&self, index: usize, cell: &[u8; CELL]) {
        self.region
            .as_volatile_slice()
            .write_slice(cell, index * CELL)
            .expect("the index is below the capacity");
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        for index in 0..self.region.size() / CELL {
            self.wipe(index);
        }
    }
}

/// Keeps the pages of `region` out of core dumps and out of forked children, and locks them: the
/// part that a limit can forbid comes last.
pub(crate) fn protect(region: &MmapRegion) -> std::io::Result<()> {
    let (start, len) = (region.as_ptr().cast(), region.size());
    for advice in [libc::MADV_DONTDUMP, libc::MADV_WIPEONFORK] {
        // SAFETY: the range is exactly the mapping that `region` owns and keeps for longer than this
        // call; both kinds of advice leave the content of this process alone.
        if unsafe { libc::madvise(start, len, advice) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    // SAFETY: as above; locking changes no content.
    if unsafe { libc::mlock2(start, len, libc::MLOCK_ONFAULT) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vault_keeps_what_it_is_given_until_it_is_wiped() {
        let vault = Vault::new(100, KeyMemory::BestEffort).unwrap();
        let keys = KeyMaterial::new([1, 2, 3, 4], &[7; 32]).unwrap();
        vault.put(99, &keys);
        assert!(vault.with(99, |kept| kept.same_as(&keys)));
        assert!(vault.is_empty(98));
        vault.wipe(99);
        assert!(vault.is_empty(99));
    }

    #[test]
    fn keys_are_not_printed() {
        let keys = KeyMaterial::new([0xAB; 4], &[0xAB; 16]).unwrap();
        let text = format!("{keys:?}");
        assert!(!text.contains("171") && !text.to_lowercase().contains("ab, "), "{text}");
    }

    #[test]
    fn odd_key_lengths_are_refused() {
        assert_eq!(KeyMaterial::new([0; 4], &[0; 20]).unwrap_err(), 20);
    }
}
