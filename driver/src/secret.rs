// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keys: how they come in, and where they stay.
//!
//! The driver has a key in three places: in the caller's [`KeyMaterial`], in the vault while its SA
//! exists (a restore after a reset needs it), and in a submission slot until the device has
//! fetched it. Each is wiped when it is done with. The vault is locked into memory, and so are
//! the rings as far as limits allow; both are left out of core dumps and of forked children.
//!
//! This is one of the files that hold the driver's `unsafe`: system calls about pages that it owns.

use crate::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use vm_memory::{MmapRegion, VolatileMemory};
use zeroize::{Zeroize, Zeroizing};

/// Salt and key of one SA. Wiped on drop; never printed. Behind a box, so that moving it leaves no copy.
#[derive(Clone)]
pub struct KeyMaterial(Box<Zeroizing<Material>>);

/// Salt and key, wherever they are kept.
#[derive(Clone, Default, Zeroize)]
struct Material {
    salt: [u8; 4],
    key: [u8; 32],
}

/// A look at a salt and a key.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'k> {
    pub(crate) salt: &'k [u8; 4],
    pub(crate) key: &'k [u8; 32],
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
        let mut material = Self(Box::default());
        material.0.salt = salt;
        material.0.key[..key.len()].copy_from_slice(key);
        Ok(material)
    }

    /// A copy that is wiped on its own.
    pub(crate) fn copy_of(keys: Keys<'_>) -> Self {
        let mut material = Self(Box::default());
        material.0.salt = *keys.salt;
        material.0.key = *keys.key;
        material
    }

    pub(crate) fn keys(&self) -> Keys<'_> {
        Keys { salt: &self.0.salt, key: &self.0.key }
    }

    /// Whether everything from byte `len` of the key on is zero, as a key of that length has it.
    pub(crate) fn fits(&self, len: usize) -> bool {
        self.0.key[len..].iter().all(|&b| b == 0)
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.keys().same_as(other.keys())
    }
}

impl Keys<'_> {
    /// As [`KeyMaterial::same_as`].
    pub(crate) fn same_as(self, other: Keys<'_>) -> bool {
        let pairs = self.salt.iter().zip(other.salt).chain(self.key.iter().zip(other.key));
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
///
/// Whoever asks by an old handle reads a cell while it is wiped or filled for another SA, and finds out
/// afterwards that what it read means nothing; so cells are read and written as atomics.
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

    pub(crate) fn put(&self, index: usize, keys: Keys<'_>) {
        let mut cell = Zeroizing::new([0; CELL]);
        cell[..4].copy_from_slice(keys.salt);
        cell[4..36].copy_from_slice(keys.key);
        self.write(index, &cell);
    }

    /// Runs `f` on the keys of `index`; the copy it sees is wiped afterwards.
    pub(crate) fn with<R>(&self, index: usize, f: impl FnOnce(Keys<'_>) -> R) -> R {
        let mut cell = Zeroizing::new([0; CELL]);
        for (k, bytes) in cell.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *bytes = self.quadword(index, k).load(Ordering::Relaxed).to_ne_bytes();
        }
        let (salt, rest) = cell.split_first_chunk().expect("a cell is longer than a salt");
        let (key, _) = rest.split_first_chunk().expect("a cell holds a key behind the salt");
        f(Keys { salt, key })
    }

    pub(crate) fn wipe(&self, index: usize) {
        self.write(index, &[0; CELL]);
    }

    /// Whether nothing is kept for `index`.
    pub(crate) fn is_empty(&self, index: usize) -> bool {
        self.with(index, |keys| *keys.salt == [0; 4] && *keys.key == [0; 32])
    }

    fn write(&self, index: usize, cell: &[u8; CELL]) {
        // Release: whoever reads these bytes sees in which state the slot is by now.
        fence(Ordering::Release);
        for (k, bytes) in cell.as_chunks::<8>().0.iter().enumerate() {
            self.quadword(index, k).store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
    }

    fn quadword(&self, index: usize, k: usize) -> &AtomicU64 {
        let place = self.region.get_atomic_ref(index * CELL + 8 * k);
        place.expect("the index is below the capacity")
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
pub(crate) fn protect(region: &MmapRegion) -> io::Result<()> {
    // A child would share the pages of a file, so that wiping them is no way to hide them.
    let shared = region.file_offset().is_some();
    advise(region, libc::MADV_DONTDUMP)?;
    advise(region, if shared { libc::MADV_DONTFORK } else { libc::MADV_WIPEONFORK })?;
    lock(region)
}

/// Keeps huge pages, which are never swapped, out of core dumps and of forked children.
pub(crate) fn hide(region: &MmapRegion) -> io::Result<()> {
    advise(region, libc::MADV_DONTDUMP)?;
    advise(region, libc::MADV_DONTFORK)
}

/// Miri knows memory, and no pages: nothing to advise.
#[cfg(miri)]
fn advise(_: &MmapRegion, _: libc::c_int) -> io::Result<()> {
    Ok(())
}

/// One of the kinds of advice that leave the content of this process alone.
#[cfg(not(miri))]
fn advise(region: &MmapRegion, advice: libc::c_int) -> io::Result<()> {
    let (start, len) = (region.as_ptr().cast(), region.size());
    // SAFETY: the range is exactly the mapping that `region` owns and keeps for longer than this
    // call; each kind of advice leaves the content of this process alone.
    match unsafe { libc::madvise(start, len, advice) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// As above: nothing to lock.
#[cfg(miri)]
fn lock(_: &MmapRegion) -> io::Result<()> {
    Ok(())
}

#[cfg(not(miri))]
fn lock(region: &MmapRegion) -> io::Result<()> {
    let (start, len) = (region.as_ptr().cast(), region.size());
    // SAFETY: as in `advise`; locking changes no content.
    match unsafe { libc::mlock2(start, len, libc::MLOCK_ONFAULT) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vault_keeps_what_it_is_given_until_it_is_wiped() {
        let vault = Vault::new(100, KeyMemory::BestEffort).unwrap();
        let keys = KeyMaterial::new([1, 2, 3, 4], &[7; 32]).unwrap();
        vault.put(99, keys.keys());
        assert!(vault.with(99, |kept| kept.same_as(keys.keys())));
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
