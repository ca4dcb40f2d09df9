// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Files of a client that have the bytes of its memory.
//!
//! A file is mapped only if its seals forbid to shrink it: otherwise its owner could cut it off while
//! it is being read, and the reader would die of SIGBUS. Other files are read and written by system
//! calls, which then fail. Either way a file is opened once, however many ranges of it are mapped: a
//! guest maps its memory page by page, and each page comes with a descriptor.

use super::Fault;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, OFlags, SealFlags, fcntl_get_seals, fcntl_getfl, fstat, fstatfs};
use rustix::io::{Errno, pread, pwrite};
use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use vm_memory::{FileOffset, MmapRegion, VolatileMemory};

/// Bytes that one client's files may take of this process's address space.
const MAX_MAPPED: u64 = 1 << 40;

/// Files that one client may have mapped: each costs a descriptor.
const MAX_FILES: usize = 512;

/// File systems that hold nothing but memory. Any other may make who reads it wait for as long as
/// its owner likes.
const TMPFS: i64 = 0x0102_1994;
const HUGETLBFS: i64 = 0x9584_58F6;

/// A file's bytes.
#[derive(Clone, Debug)]
pub(crate) enum Backing {
    /// Part of this address space, from the first byte of the file on.
    Mapped(Arc<MmapRegion>),
    /// To be read and written by system calls.
    Open(Arc<OwnedFd>),
}

/// Identity of an open file: device, inode, whether it is to be written.
type Key = (u64, u64, bool);

/// Files in use.
#[derive(Debug, Default)]
pub(super) struct Files {
    known: HashMap<Key, Known>,
}

#[derive(Debug)]
enum Known {
    Mapped(Weak<MmapRegion>),
    Open(Weak<OwnedFd>),
}

impl Known {
    fn backing(&self) -> Option<Backing> {
        match self {
            Self::Mapped(region) => region.upgrade().map(Backing::Mapped),
            Self::Open(fd) => fd.upgrade().map(Backing::Open),
        }
    }
}

impl Files {
    /// Takes a file whose bytes `offset..offset + len` are to be reached.
    pub(super) fn open(
        &mut self,
        fd: OwnedFd,
        offset: u64,
        len: u64,
        write: bool,
    ) -> Result<Backing, Errno> {
        let stat = fstat(&fd)?;
        let size = u64::try_from(stat.st_size).map_err(|_| Errno::INVAL)?;
        let end = offset.checked_add(len).ok_or(Errno::INVAL)?;
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if !regular || end > size || !offset.is_multiple_of(crate::wire::PAGE) {
            return Err(Errno::INVAL);
        }
        let huge = match fstatfs(&fd)?.f_type {
            TMPFS => false,
            HUGETLBFS => true,
            _ => return Err(Errno::INVAL),
        };
        let flags = fcntl_getfl(&fd)?;
        match flags & OFlags::RWMODE {
            OFlags::RDWR => {}
            OFlags::RDONLY if !write => {}
            _ => return Err(Errno::ACCESS),
        }
        let key = (stat.st_dev, stat.st_ino, write);
        let known = self.known.get(&key).and_then(Known::backing);
        match &known {
            // One that has grown since is mapped once more.
            Some(Backing::Mapped(region)) if (region.size() as u64) < end => {}
            Some(backing) => return Ok(backing.clone()),
            None => {}
        }
        self.tidy();
        if known.is_none() && self.known.len() >= MAX_FILES {
            return Err(Errno::NFILE);
        }
        let seals = fcntl_get_seals(&fd).unwrap_or(SealFlags::empty());
        let backing = if seals.contains(SealFlags::SHRINK) {
            if self.mapped().saturating_add(size) > MAX_MAPPED {
                return Err(Errno::NOMEM);
            }
            let region = Arc::new(map(fd, size, write, huge)?);
            self.known.insert(key, Known::Mapped(Arc::downgrade(&region)));
            Backing::Mapped(region)
        } else {
            let fd = Arc::new(fd);
            self.known.insert(key, Known::Open(Arc::downgrade(&fd)));
            Backing::Open(fd)
        };
        Ok(backing)
    }

    /// Forgets files that no map refers to any more.
    pub(super) fn tidy(&mut self) {
        self.known.retain(|_, known| known.backing().is_some());
    }

    pub(super) fn mapped(&self) -> u64 {
        let sizes = self.known.values().filter_map(|known| match known.backing()? {
            Backing::Mapped(region) => Some(region.size() as u64),
            Backing::Open(_) => None,
        });
        sizes.sum()
    }
}

fn map(fd: OwnedFd, size: u64, write: bool, huge: bool) -> Result<MmapRegion, Errno> {
    let size = usize::try_from(size).map_err(|_| Errno::NOMEM)?;
    let prot = libc::PROT_READ | if write { libc::PROT_WRITE } else { 0 };
    // Pages of a file of huge ones must be reserved now: there may be none left when they are
    // touched, and that is SIGBUS again.
    let flags = libc::MAP_SHARED | if huge { 0 } else { libc::MAP_NORESERVE };
    MmapRegion::build(Some(FileOffset::new(File::from(fd), 0)), size, prot, flags)
        .map_err(|_| Errno::NOMEM)
}

impl Backing {
    pub(super) fn read(&self, at: u64, out: &mut [u8]) -> Result<(), Fault> {
        match self {
            Self::Mapped(region) => {
                let at = usize::try_from(at).map_err(|_| Fault)?;
                region.get_slice(at, out.len()).map_err(|_| Fault)?.copy_to(out);
                Ok(())
            }
            Self::Open(fd) => {
                exactly(out.len(), |done| pread(fd.as_fd(), &mut out[done..], at + done as u64))
            }
        }
    }

    pub(super) fn write(&self, at: u64, data: &[u8]) -> Result<(), Fault> {
        let (quadwords, rest) = data.as_chunks::<8>();
        let whole = at.is_multiple_of(8) && rest.is_empty();
        match self {
            Self::Mapped(region) => {
                let at = usize::try_from(at).map_err(|_| Fault)?;
                if !whole {
                    region.get_slice(at, data.len()).map_err(|_| Fault)?.copy_from(data);
                    return Ok(());
                }
                for (k, quadword) in quadwords.iter().enumerate() {
                    // Release: who sees a later group sees the earlier ones too.
                    region
                        .get_atomic_ref::<AtomicU64>(at + 8 * k)
                        .map_err(|_| Fault)?
                        .store(u64::from_ne_bytes(*quadword), Ordering::Release);
                }
                Ok(())
            }
            Self::Open(fd) => {
                let step = if whole { 8 } else { data.len().max(1) };
                for (k, part) in data.chunks(step).enumerate() {
                    let at = at + (k * step) as u64;
                    // A file that was cut off is not made longer again.
                    let end = at + part.len() as u64;
                    if fstat(fd.as_fd()).map_or(true, |stat| (stat.st_size as u64) < end) {
                        return Err(Fault);
                    }
                    exactly(part.len(), |done| {
                        pwrite(fd.as_fd(), &part[done..], at + done as u64)
                    })?;
                }
                Ok(())
            }
        }
    }
}

/// Repeats a system call until all is done.
fn exactly(len: usize, mut call: impl FnMut(usize) -> Result<usize, Errno>) -> Result<(), Fault> {
    let mut done = 0;
    while done < len {
        match call(done) {
            Ok(0) => return Err(Fault),
            Ok(bytes) => done += bytes,
            Err(Errno::INTR) => {}
            Err(_) => return Err(Fault),
        }
    }
    Ok(())
}

/// Makes a file of `len` bytes of memory that can neither shrink nor grow, for a client to map.
///
/// # Errors
/// What the system says.
pub fn sealed(name: &str, len: u64) -> Result<File, Errno> {
    use rustix::fs::{MemfdFlags, fcntl_add_seals, ftruncate, memfd_create};
    let fd = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&fd, len)?;
    fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(File::from(fd))
}
