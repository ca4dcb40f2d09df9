// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Memory that the device can reach. The only kind of memory whose content the driver does not own:
//! everything in it is read by volatile or atomic accesses, once, and never by reference.

use crate::error::Error;
use esnic_abi::Iova;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use vm_memory::{Bytes, FileOffset, MmapRegion, VolatileMemory, VolatileSlice};

/// What the device may do with a buffer; the IOMMU enforces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DmaAccess {
    /// The device only reads: submission rings.
    DeviceReads,
    /// The device only writes: completion rings, records.
    DeviceWrites,
}

/// What a transport does when a buffer goes away.
pub trait Unmap: Send + Sync {
    /// Makes the range unreachable for the device. Called once, after the buffer was wiped.
    fn unmap(&self, iova: Iova, len_bytes: usize);
}

/// A page-aligned piece of memory with an address in the device's address space.
pub struct DmaBuffer {
    region: Arc<MmapRegion>,
    iova: Iova,
    unmap: Arc<dyn Unmap>,
}

impl DmaBuffer {
    /// Puts together memory and the address at which the device sees it. For transports.
    pub fn new(region: Arc<MmapRegion>, iova: Iova, unmap: Arc<dyn Unmap>) -> Self {
        Self { region, iova, unmap }
    }

    /// Where the device finds it.
    #[must_use]
    pub fn iova(&self) -> Iova {
        self.iova
    }

    /// Its length.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.region.size()
    }

    fn slice(&self, offset: usize, len_bytes: usize) -> VolatileSlice<'_> {
        self.region.get_slice(offset, len_bytes).expect("the driver stays inside its buffers")
    }

    fn quadword(&self, offset: usize) -> &AtomicU64 {
        self.region.get_atomic_ref(offset).expect("the driver stays inside its buffers")
    }

    /// Copies `bytes` in. Nothing orders it; see [`crate::transport::Transport::store_fence`].
    ///
    /// # Panics
    /// If the range is outside the buffer, which is a mistake of the driver.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        self.slice(offset, bytes.len()).copy_from(bytes);
    }

    /// Copies out.
    ///
    /// # Panics
    /// If the range is outside the buffer, which is a mistake of the driver.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) {
        self.slice(offset, bytes.len()).copy_to(bytes);
    }

    /// One read of eight bytes at a multiple of eight.
    ///
    /// # Panics
    /// If the place is outside the buffer or misaligned, which is a mistake of the driver.
    #[must_use]
    pub fn load(&self, offset: usize, order: Ordering) -> u64 {
        u64::from_le(self.quadword(offset).load(order))
    }

    /// Overwrites a range with zeros, by stores that no optimiser drops.
    ///
    /// # Panics
    /// If the range is outside the buffer, which is a mistake of the driver.
    pub fn wipe(&self, offset: usize, len_bytes: usize) {
        const ZEROS: [u8; 128] = [0; 128];
        let mut done = 0;
        while done < len_bytes {
            let step = (len_bytes - done).min(ZEROS.len());
            self.slice(offset + done, step).copy_from(&ZEROS[..step]);
            done += step;
        }
    }

    /// Whether every byte is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        let mut bytes = vec![0; self.len_bytes()];
        self.region.as_volatile_slice().read_slice(&mut bytes, 0).is_ok()
            && bytes.iter().all(|&b| b == 0)
    }
}

impl Drop for DmaBuffer {
    fn drop(&mut self) {
        self.wipe(0, self.len_bytes());
        self.unmap.unmap(self.iova, self.len_bytes());
    }
}

impl std::fmt::Debug for DmaBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DmaBuffer({} bytes at {})", self.len_bytes(), self.iova)
    }
}

/// Gives zeroed anonymous memory of `len_bytes`, rounded up to pages, for a [`DmaBuffer`]: locked as
/// far as limits allow, left out of core dumps and of forked children.
///
/// # Errors
/// If the system has none.
pub fn allocate(len_bytes: usize) -> Result<Arc<MmapRegion>, Error> {
    let rounded = pages(len_bytes);
    let region = MmapRegion::new(rounded)
        .map_err(|source| Error::DmaMemory { len_bytes: rounded, reason: source.to_string() })?;
    Ok(hide(region))
}

/// As [`allocate`], in a file that can be handed to another process, which may be sure that it
/// neither shrinks nor grows.
///
/// # Errors
/// If the system has none.
pub fn allocate_shared(len_bytes: usize) -> Result<(Arc<MmapRegion>, File), Error> {
    let rounded = pages(len_bytes);
    let fail = |reason: String| Error::DmaMemory { len_bytes: rounded, reason };
    let file = esnic_vfio_user::memory::sealed("esnic", rounded as u64)
        .map_err(|errno| fail(errno.to_string()))?;
    let keep = file.try_clone().map_err(|error| fail(error.to_string()))?;
    let region = MmapRegion::from_file(FileOffset::new(file, 0), rounded)
        .map_err(|error| fail(error.to_string()))?;
    Ok((hide(region), keep))
}

fn pages(len_bytes: usize) -> usize {
    len_bytes.max(1).next_multiple_of(4096)
}

fn hide(region: MmapRegion) -> Arc<MmapRegion> {
    // A submission ring holds keys until they are fetched. Where limits forbid locking, an IOMMU
    // mapping pins the pages anyway, and without one there is only a simulator.
    let _ = crate::secret::protect(&region);
    Arc::new(region)
}
