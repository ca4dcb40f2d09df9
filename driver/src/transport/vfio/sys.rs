// SPDX-License-Identifier: Apache-2.0 OR MIT
//! System calls of VFIO and iommufd that the crate `vfio-ioctls` does not have, or whose error it does
//! not tell: reset, interrupts, mappings for one direction, and the IOMMU's ranges.
//!
//! This is one of the files that hold the driver's `unsafe`: each block is one system call.

use super::iova::Range;
use crate::dma::DmaAccess;
use iommufd_bindings::iommufd as uapi;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use vfio_bindings::bindings::vfio;
use vm_memory::MmapRegion;

/// The number of a VFIO or iommufd request, `_IO(';', n)`. The two share a letter and not a number.
const fn request(number: u32) -> libc::Ioctl {
    ((vfio::VFIO_TYPE as u32) << 8 | number) as libc::Ioctl
}

const DEVICE_SET_IRQS: libc::Ioctl = request(vfio::VFIO_BASE + 10);
const DEVICE_RESET: libc::Ioctl = request(vfio::VFIO_BASE + 11);
const IOMMU_GET_INFO: libc::Ioctl = request(vfio::VFIO_BASE + 12);
const IOMMU_MAP_DMA: libc::Ioctl = request(vfio::VFIO_BASE + 13);
const IOMMU_UNMAP_DMA: libc::Ioctl = request(vfio::VFIO_BASE + 14);
const IOAS_IOVA_RANGES: libc::Ioctl = request(uapi::IOMMUFD_CMD_IOAS_IOVA_RANGES);

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The file behind something that keeps it open.
pub(super) fn fd(owner: &impl AsRawFd) -> BorrowedFd<'_> {
    // SAFETY: whatever lends its file by `AsRawFd` here, `VfioDevice`, `VfioContainer` or `IommuFd`,
    // owns it and closes it when dropped, which the borrow forbids.
    unsafe { BorrowedFd::borrow_raw(owner.as_raw_fd()) }
}

/// Resets the function.
pub(super) fn reset(device: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes no argument.
    check(unsafe { libc::ioctl(device.as_raw_fd(), DEVICE_RESET) })
}

/// Has the interrupts of `index`, from the first on, signal these eventfds; none turns them off.
pub(super) fn set_irqs(device: BorrowedFd<'_>, index: u32, files: &[RawFd]) -> io::Result<()> {
    let data = if files.is_empty() {
        vfio::VFIO_IRQ_SET_DATA_NONE
    } else {
        vfio::VFIO_IRQ_SET_DATA_EVENTFD
    };
    // Five dwords and then the files: `vfio_irq_set` with its array.
    let len = 5 + files.len();
    let fits = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let bytes = u32::try_from(4 * len).map_err(fits)?;
    let count = u32::try_from(files.len()).map_err(fits)?;
    let mut set = vec![bytes, data | vfio::VFIO_IRQ_SET_ACTION_TRIGGER, index, 0, count];
    set.extend(files.iter().map(|file| file.cast_unsigned()));
    // SAFETY: the record is as long as its first member says, and is only read.
    check(unsafe { libc::ioctl(device.as_raw_fd(), DEVICE_SET_IRQS, set.as_ptr()) })
}

/// Lets the device reach `region` at `iova`, in one direction.
pub(super) fn map(
    container: BorrowedFd<'_>,
    iova: u64,
    region: &MmapRegion,
    access: DmaAccess,
) -> io::Result<()> {
    let flags = match access {
        DmaAccess::DeviceReads => vfio::VFIO_DMA_MAP_FLAG_READ,
        DmaAccess::DeviceWrites => vfio::VFIO_DMA_MAP_FLAG_WRITE,
    };
    let map = vfio::vfio_iommu_type1_dma_map {
        argsz: size_of::<vfio::vfio_iommu_type1_dma_map>() as u32,
        flags,
        vaddr: region.as_ptr() as u64,
        iova,
        size: region.size() as u64,
    };
    // SAFETY: the record is valid and only read. The device may now change the region at any time; it
    // is used by volatile and atomic accesses alone (`crate::dma`), and is kept until it is unmapped.
    check(unsafe { libc::ioctl(container.as_raw_fd(), IOMMU_MAP_DMA, &raw const map) })
}

/// Takes the range away from the device; all of it, or it is an error.
pub(super) fn unmap(container: BorrowedFd<'_>, iova: u64, len: u64) -> io::Result<()> {
    let mut unmap = vfio::vfio_iommu_type1_dma_unmap {
        argsz: size_of::<vfio::vfio_iommu_type1_dma_unmap>() as u32,
        iova,
        size: len,
        ..Default::default()
    };
    // SAFETY: the record is valid; the kernel writes the length that it unmapped into it.
    check(unsafe { libc::ioctl(container.as_raw_fd(), IOMMU_UNMAP_DMA, &raw mut unmap) })?;
    if unmap.size == len { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// What the IOMMU of a container can do.
pub(super) struct Iommu {
    /// Addresses that it translates; empty if the kernel does not say.
    pub(super) ranges: Vec<Range>,
    /// Mappings that may still be made, if the kernel says so.
    pub(super) entries: Option<u32>,
}

/// Asks a container about its IOMMU.
pub(super) fn iommu(container: BorrowedFd<'_>) -> io::Result<Iommu> {
    let ask = |info: &mut [u64]| {
        let bytes = u64::try_from(size_of_val(info)).expect("an answer is short");
        // First dword: how long the record is.
        info[0] = bytes;
        // SAFETY: the record is as long as it says, aligned as the kernel's is, and the kernel writes no
        // further.
        check(unsafe { libc::ioctl(container.as_raw_fd(), IOMMU_GET_INFO, info.as_mut_ptr()) })
    };
    let mut info = vec![0u64; size_of::<vfio::vfio_iommu_type1_info>() / 8];
    ask(&mut info)?;
    // The kernel says how long the whole answer is.
    let needed = (info[0] & 0xFFFF_FFFF) as usize;
    if needed > size_of_val(&*info) {
        info = vec![0; needed.div_ceil(8)];
        ask(&mut info)?;
    }
    let bytes: Vec<u8> = info.iter().flat_map(|quadword| quadword.to_ne_bytes()).collect();
    Ok(capabilities(&bytes))
}

/// Reads the chain of capabilities behind `vfio_iommu_type1_info`. Ends where it makes no sense.
fn capabilities(info: &[u8]) -> Iommu {
    let dword = |at: usize| {
        let bytes = info.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_ne_bytes(bytes))
    };
    let quadword = |at: usize| {
        let bytes = info.get(at..at + 8)?.try_into().ok()?;
        Some(u64::from_ne_bytes(bytes))
    };
    let mut found = Iommu { ranges: Vec::new(), entries: None };
    let chained = dword(4).is_some_and(|flags| flags & vfio::VFIO_IOMMU_INFO_CAPS != 0);
    let mut at = dword(16).filter(|_| chained).unwrap_or(0) as usize;
    let mut last = 0;
    // Each capability lies behind the one before: a chain that runs in circles ends too.
    while at > last
        && let (Some(head), Some(next)) = (dword(at), dword(at + 4))
    {
        match head & 0xFFFF {
            vfio::VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE => {
                let count = dword(at + 8).unwrap_or(0) as usize;
                let range = |k: usize| {
                    let first = quadword(at + 16 + 16 * k)?;
                    Some(Range { first, last: quadword(at + 24 + 16 * k)? })
                };
                found.ranges = (0..count).map_while(range).collect();
            }
            vfio::VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL => found.entries = dword(at + 8),
            _ => {}
        }
        (last, at) = (at, next as usize);
    }
    found
}

/// Addresses that an address space of iommufd translates.
pub(super) fn ioas_ranges(iommufd: BorrowedFd<'_>, ioas: u32) -> io::Result<Vec<Range>> {
    let mut found = vec![uapi::iommu_iova_range::default(); 16];
    loop {
        let mut ask = uapi::iommu_ioas_iova_ranges {
            size: size_of::<uapi::iommu_ioas_iova_ranges>() as u32,
            ioas_id: ioas,
            num_iovas: u32::try_from(found.len()).expect("an answer is short"),
            allowed_iovas: found.as_mut_ptr() as u64,
            ..Default::default()
        };
        // SAFETY: the record is valid, and names an array of as many ranges as it says.
        let asked =
            check(unsafe { libc::ioctl(iommufd.as_raw_fd(), IOAS_IOVA_RANGES, &raw mut ask) });
        let count = ask.num_iovas as usize;
        match asked {
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) && count > found.len() => {
                found.resize(count, uapi::iommu_iova_range::default());
            }
            Err(error) => return Err(error),
            Ok(()) => {
                found.truncate(count);
                let range = |r: uapi::iommu_iova_range| Range { first: r.start, last: r.last };
                return Ok(found.into_iter().map(range).collect());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `vfio_iommu_type1_info` with these capabilities: id and the rest of each.
    fn info(caps: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [0u32, vfio::VFIO_IOMMU_INFO_CAPS, 0, 0, 24, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        for (k, (id, rest)) in caps.iter().enumerate() {
            let next = if k + 1 < caps.len() { bytes.len() + 8 + rest.len() } else { 0 };
            bytes.extend(id.to_ne_bytes());
            bytes.extend(1u16.to_ne_bytes());
            bytes.extend((next as u32).to_ne_bytes());
            bytes.extend(rest);
        }
        bytes
    }

    fn ranges(ranges: &[(u64, u64)]) -> Vec<u8> {
        let mut rest = (ranges.len() as u32).to_ne_bytes().to_vec();
        rest.extend([0; 4]);
        rest.extend(ranges.iter().flat_map(|&(a, b)| [a, b]).flat_map(u64::to_ne_bytes));
        rest
    }

    #[test]
    fn ranges_and_entries_are_found_wherever_they_stand() {
        let two = [(0, 0xFEDF_FFFF), (0xFEF0_0000, 0x7F_FFFF_FFFF)];
        let avail = (3, vec![0xFF, 0xFF, 0, 0]);
        let migration = (2, vec![7; 24]);
        for caps in [
            vec![(1, ranges(&two)), avail.clone(), migration.clone()],
            vec![migration, avail, (1, ranges(&two))],
        ] {
            let found = capabilities(&info(&caps));
            let list: Vec<(u64, u64)> = found.ranges.iter().map(|r| (r.first, r.last)).collect();
            assert_eq!((list, found.entries), (two.to_vec(), Some(0xFFFF)));
        }
    }

    #[test]
    fn an_answer_that_makes_no_sense_ends_somewhere() {
        let whole = info(&[(1, ranges(&[(0, 9), (20, 29)])), (3, vec![1, 0, 0, 0])]);
        for len in 0..whole.len() {
            let found = capabilities(&whole[..len]);
            assert!(found.ranges.len() <= 2);
        }
        let mut circle = info(&[(3, vec![1, 0, 0, 0]), (2, vec![0; 24])]);
        let last = circle.len() - 28;
        circle[last..last + 4].copy_from_slice(&24u32.to_ne_bytes());
        assert_eq!(capabilities(&circle).entries, Some(1));
        assert!(capabilities(&[0; 24]).ranges.is_empty(), "no capabilities");
    }
}
