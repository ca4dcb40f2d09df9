// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The device's address space: memory that it can reach, each buffer in one direction, and nothing
//! else. It keeps the function open until the last buffer is gone.

use super::attachment::Attachment;
use super::iova::{Addresses, Range};
use crate::dma::{self, DmaAccess, DmaBuffer, Unmap};
use crate::error::Error;
use esnic_abi::Iova;
use rustix::process::{Resource, getrlimit};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use vm_memory::{Bytes, MmapRegion, VolatileMemory};

/// Length of a huge page. A buffer of a multiple of it is tried in huge pages first.
const HUGE: usize = 2 << 20;

/// What a kernel that does not tell its ranges can translate at least: 39 bits, without the window in
/// which x86 has interrupts.
const USUAL: [Range; 2] =
    [Range { first: 0, last: 0xFEDF_FFFF }, Range { first: 0xFEF0_0000, last: (1 << 39) - 1 }];

/// The address space of one function.
pub(super) struct Space {
    pub(super) attachment: Attachment,
    state: Mutex<State>,
}

struct State {
    addresses: Addresses,
    /// Memory that the device can reach, by address.
    mapped: BTreeMap<u64, Arc<MmapRegion>>,
}

impl Space {
    pub(super) fn new(attachment: Attachment) -> Result<Self, Error> {
        let ranges = attachment.ranges().map_err(|error| Error::Transport {
            name: attachment.address.to_string(),
            what: format!(
                "the kernel does not say what its IOMMU can do: {error}; see the kernel log"
            ),
        })?;
        let ranges = if ranges.is_empty() { USUAL.to_vec() } else { ranges };
        let state = State { addresses: Addresses::new(ranges), mapped: BTreeMap::new() };
        Ok(Self { attachment, state: Mutex::new(state) })
    }

    /// Buffers that the device can reach now.
    pub(super) fn mappings(&self) -> usize {
        self.lock().mapped.len()
    }

    /// Memory at an address of its own.
    pub(super) fn allocate(
        self: &Arc<Self>,
        len_bytes: usize,
        access: DmaAccess,
    ) -> Result<DmaBuffer, Error> {
        let region = memory(len_bytes)?;
        touch(&region);
        let len = region.size() as u64;
        let align = if region.size().is_multiple_of(HUGE) { HUGE } else { 4096 } as u64;
        let fail = |reason| Error::DmaMemory { len_bytes: region.size(), reason };
        let mut state = self.lock();
        let iova = state.addresses.take(len, align).ok_or_else(|| {
            let few = "no address of the device's is free: the IOMMU translates too few; use fewer queue \
                       pairs or smaller rings";
            fail(few.to_owned())
        })?;
        if let Err(error) = self.attachment.map(iova, &region, access) {
            state.addresses.give_back(iova);
            return Err(fail(self.why(&error)));
        }
        state.mapped.insert(iova, region.clone());
        Ok(DmaBuffer::new(region, Iova(iova), self.clone()))
    }

    /// Why a mapping was refused, and what to do.
    fn why(&self, error: &io::Error) -> String {
        match error.raw_os_error() {
            Some(libc::ENOMEM) => match getrlimit(Resource::Memlock).current {
                Some(bytes) => format!(
                    "the memlock limit of {} KiB is too low; raise it (ulimit -l, LimitMEMLOCK=)",
                    bytes / 1024
                ),
                None => "the system has no memory that it can pin; free some".to_owned(),
            },
            Some(libc::ENOSPC) => format!(
                "the kernel allows no more mappings ({} left); raise dma_entry_limit of \
                 vfio_iommu_type1",
                self.attachment.entries().unwrap_or(0)
            ),
            _ => format!("the IOMMU refuses it: {error}; see the kernel log"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unmap for Space {
    fn unmap(&self, iova: Iova, len_bytes: usize) {
        let mut state = self.lock();
        // Memory that the device may still reach is nobody else's, ever: it stays in the table.
        if self.attachment.unmap(iova.0, len_bytes as u64).is_ok() {
            state.mapped.remove(&iova.0);
            state.addresses.give_back(iova.0);
        }
    }
}

/// Writes to every page. A page that was never written to is the one page of zeros that all processes
/// share; kernels before 6.2 would let the device read that one for ever, and this process write to
/// another.
fn touch(region: &MmapRegion) {
    for at in (0..region.size()).step_by(4096) {
        region.as_volatile_slice().write_obj(0u8, at).expect("the place is inside");
    }
}

/// Memory in huge pages, if its length deserves them and there are any; else in usual ones. The IOMMU's
/// mapping pins it either way.
fn memory(len_bytes: usize) -> Result<Arc<MmapRegion>, Error> {
    if len_bytes > 0 && len_bytes.is_multiple_of(HUGE) {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_ANONYMOUS | libc::MAP_PRIVATE | libc::MAP_HUGETLB;
        if let Ok(region) = MmapRegion::build(None, len_bytes, access, kind | libc::MAP_HUGE_2MB)
            && crate::secret::hide(&region).is_ok()
        {
            return Ok(Arc::new(region));
        }
    }
    dma::allocate(len_bytes)
}
