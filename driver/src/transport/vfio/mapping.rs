// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A BAR in this process's address space, as volatile cells.
//!
//! This is one of the files that hold the driver's `unsafe`: the mapping itself, the cells over it, and
//! the fence that orders stores to it.

use super::sigbus::Watch;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{Ordering, fence};
use volatile_register::RW;

/// A BAR, or what is left of it. What is gone reads all ones, and takes stores without effect.
pub(super) struct Mapping {
    start: NonNull<u8>,
    len: usize,
    watch: &'static Watch,
}

// SAFETY: the mapping is memory of the process, not of a thread, and lives as long as this value.
unsafe impl Send for Mapping {}

// SAFETY: all accesses are single volatile loads and stores of aligned cells; the bus orders them.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of `file` from `offset` on.
    pub(super) fn new(file: impl AsFd, offset: u64, len: u64) -> io::Result<Self> {
        let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let len = usize::try_from(len).map_err(too_long)?;
        let offset = libc::off_t::try_from(offset).map_err(too_long)?;
        let (access, fd) = (libc::PROT_READ | libc::PROT_WRITE, file.as_fd().as_raw_fd());
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that is there.
        let start =
            unsafe { libc::mmap(ptr::null_mut(), len, access, libc::MAP_SHARED, fd, offset) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        match Watch::begin(start.as_ptr() as usize, len) {
            Ok(watch) => Ok(Self { start, len, watch }),
            Err(error) => {
                // SAFETY: the mapping made above, which nobody else knows.
                unsafe { libc::munmap(start.as_ptr().cast(), len) };
                Err(error)
            }
        }
    }

    /// Whether the BAR is no longer behind it.
    pub(super) fn is_gone(&self) -> bool {
        self.watch.is_gone()
    }

    fn dwords(&self) -> &[RW<u32>] {
        // SAFETY: the mapping is page aligned, `len` bytes long, and lives as long as `self`; a cell is
        // as long as its dword, and may change behind a shared reference.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.len / 4) }
    }

    fn quadwords(&self) -> &[RW<u64>] {
        // SAFETY: as in `dwords`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.len / 8) }
    }

    /// Reads a dword; all ones outside the BAR, and once it is gone.
    pub(super) fn read32(&self, offset: u64) -> u32 {
        let cell = usize::try_from(offset / 4).ok().and_then(|k| self.dwords().get(k));
        let value = cell.map_or(u32::MAX, RW::read);
        // Only now the mark: a read of what stands in the BAR's place, which another thread may have put
        // there, finds it set. Pairs with the handler's fence.
        fence(Ordering::Acquire);
        if self.is_gone() { u32::MAX } else { value }
    }

    /// Writes a dword; nothing happens outside the BAR.
    pub(super) fn write32(&self, offset: u64, value: u32) {
        let cell = usize::try_from(offset / 4).ok().and_then(|k| self.dwords().get(k));
        if let Some(cell) = cell.filter(|_| !self.is_gone()) {
            // SAFETY: what a store does to the device is what the caller wants of it; it can harm memory
            // only through the IOMMU.
            unsafe { cell.write(value) };
        }
    }

    /// Writes a quadword by one store; nothing happens outside the BAR. It stays in memory if the BAR is
    /// gone: for what is no secret.
    pub(super) fn write64(&self, offset: u64, value: u64) {
        let cell = usize::try_from(offset / 8).ok().and_then(|k| self.quadwords().get(k));
        if let Some(cell) = cell.filter(|_| !self.is_gone()) {
            // SAFETY: as in `write32`.
            unsafe { cell.write(value) };
        }
    }

    /// Writes quadwords from `offset` on, ascending, each by one store; nothing happens if they do not all
    /// lie inside the BAR.
    pub(super) fn store(&self, offset: u64, quadwords: &[u64]) {
        let cells = usize::try_from(offset / 8).ok().and_then(|k| self.quadwords().get(k..));
        let cells = cells.and_then(|cells| cells.get(..quadwords.len()));
        let Some(cells) = cells.filter(|_| !self.is_gone()) else { return };
        for (cell, &quadword) in cells.iter().zip(quadwords) {
            // SAFETY: as in `write32`.
            unsafe { cell.write(quadword) };
        }
        // Only now the mark, also on processors that load before they have stored: a store into what
        // stands in the BAR's place finds it set. Pairs with the handler's fence.
        fence(Ordering::SeqCst);
        if self.is_gone() {
            // What went there may be part of a key.
            for cell in cells {
                // SAFETY: as in `write32`.
                unsafe { cell.write(0) };
            }
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.watch.end();
        // SAFETY: the mapping is this value's own, and no cell outlives it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// Orders every earlier store of this thread, to memory and to BARs, before every later one.
pub(super) fn store_fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: orders stores, and touches nothing; the compiler moves no access across it.
    unsafe {
        std::arch::asm!("sfence", options(nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("dmb oshst", options(nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    compile_error!("it is not known which instruction orders stores to BARs here");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::process::Command;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    const PAGE: u64 = 4096;

    /// One of them takes every place that there is.
    fn turn() -> MutexGuard<'static, ()> {
        static TURN: Mutex<()> = Mutex::new(());
        TURN.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file shorter than its mapping: what is behind its end raises SIGBUS, as a BAR does whose
    /// function was pulled out.
    fn short(pages: u64) -> File {
        let path = std::env::temp_dir().join(format!("esnic-bar-{}", fresh()));
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file.set_len(pages * PAGE).unwrap();
        file
    }

    fn fresh() -> String {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
    }

    #[test]
    fn cells_are_where_their_offsets_say() {
        let _turn = turn();
        let file = short(2);
        let bar = Mapping::new(&file, PAGE, PAGE).unwrap();
        bar.write32(8, 0x0403_0201);
        bar.write64(16, 0x1122_3344_5566_7788);
        bar.store(24, &[1, 2]);
        let mut bytes = [0; 40];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, PAGE).unwrap();
        assert_eq!(bytes[8..12], [1, 2, 3, 4]);
        assert_eq!(bytes[16..24], 0x1122_3344_5566_7788u64.to_le_bytes());
        assert_eq!((bytes[24], bytes[32]), (1, 2));
        assert_eq!(bar.read32(20), 0x1122_3344);
        // Outside nothing is touched.
        assert_eq!(bar.read32(PAGE), u32::MAX);
        bar.write32(PAGE, 1);
        bar.write64(u64::MAX - 7, 1);
        bar.store(u64::MAX - 7, &[1, 1]);
        bar.store(PAGE - 8, &[1, 1]);
        assert_eq!(bar.read32(PAGE - 8), 0);
        assert!(!bar.is_gone());
    }

    #[test]
    fn a_bar_that_vanishes_reads_all_ones_and_takes_stores_without_effect() {
        let _turn = turn();
        let file = short(4);
        let others = Mapping::new(short(1), 0, PAGE).unwrap();
        let bar = Mapping::new(&file, 0, 4 * PAGE).unwrap();
        bar.write32(0, 7);
        assert_eq!(bar.read32(0), 7);
        file.set_len(0).unwrap();
        bar.store(PAGE, &[0x4B45_5921; 4]);
        assert!(bar.is_gone());
        for offset in [0, 4, PAGE, 4 * PAGE - 4] {
            assert_eq!(bar.read32(offset), u32::MAX);
        }
        bar.write32(0, 1);
        assert_eq!(bar.read32(0), u32::MAX);
        // Past the check, to what stands in the BAR's place.
        for cell in &bar.quadwords()[PAGE as usize / 8..][..4] {
            assert_eq!(cell.read(), 0, "what was stored into the void does not stay in memory");
        }
        // Nobody else is.
        others.write32(0, 9);
        assert_eq!((others.read32(0), others.is_gone()), (9, false));
    }

    #[test]
    fn it_vanishes_for_all_threads_at_once() {
        let _turn = turn();
        let file = short(1);
        let bar = Mapping::new(&file, 0, PAGE).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| while bar.read32(0) != u32::MAX {});
            }
            file.set_len(0).unwrap();
        });
    }

    #[test]
    fn places_to_watch_are_used_again_and_run_out_with_a_word() {
        let _turn = turn();
        let file = short(1);
        for _ in 0..1000 {
            drop(Mapping::new(&file, 0, PAGE).unwrap());
        }
        let mut all = Vec::new();
        let error = loop {
            match Mapping::new(&file, 0, PAGE) {
                Ok(bar) => all.push(bar),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("close a device first"), "{error}");
        assert!(all.len() > 150);
    }

    /// Not a test by itself: dies, in a process of its own, of a signal that is none of the driver's.
    #[test]
    fn a_signal_about_anything_else_ends_the_process_as_ever() {
        const CHILD: &str = "ESNIC_TEST_SIGBUS_CHILD";
        if std::env::var_os(CHILD).is_some() {
            let bar = Mapping::new(short(1), 0, PAGE).unwrap();
            let file = short(1);
            // SAFETY: a new mapping touches nothing that is there.
            let start = unsafe {
                let (len, access) = (PAGE as usize, libc::PROT_READ);
                libc::mmap(ptr::null_mut(), len, access, libc::MAP_SHARED, file.as_raw_fd(), 0)
            };
            file.set_len(0).unwrap();
            // SAFETY: deliberately none: this raises SIGBUS.
            let byte = unsafe { ptr::read_volatile(start.cast::<u8>()) };
            panic!("read {byte} from nowhere, {}", bar.is_gone());
        }
        let child = Command::new(std::env::current_exe().unwrap())
            .env(CHILD, "1")
            .args(["--exact", "transport::vfio::mapping::tests::a_signal_about_anything_else_ends_the_process_as_ever"])
            .output()
            .unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&child.status);
        assert_eq!(signal, Some(libc::SIGBUS), "{child:?}");
    }
}
