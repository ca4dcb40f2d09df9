// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Memory that the device reaches through the IOMMU: what is large enough is in huge pages where the host
//! has some.

#[macro_use]
#[path = "../common/mod.rs"]
mod common;

use common::{Cmd, DmaAccess, PATIENCE, Rig, Transport, Vfio, esp};
use esnic_driver::dma::DmaBuffer;
use std::time::Instant;

const PAGE: usize = 4096;
const HUGE: usize = 2 << 20;

/// Huge pages of the machine: `HugePages_Total` or `HugePages_Free`.
fn huge_pages(which: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").expect("what memory there is");
    let line = text.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':'));
    line.and_then(|number| number.trim().parse().ok()).expect("the kernel has huge pages")
}

#[test]
fn what_is_large_is_in_huge_pages_if_there_are_any() {
    const WANTED: u64 = 4;
    let mut rig = Rig::<Vfio>::new();
    rig.add(&esp(7, 1));
    let link = rig.link.clone();
    let mut is_reached = |buffer: &DmaBuffer| {
        for at in [0, HUGE - PAGE] {
            let query = Cmd::query_any(7, buffer.iova().0 + at as u64);
            rig.exec(query).ok();
            let mut record = [0; 128];
            buffer.read(at, &mut record);
            assert_ne!(record, [0; 128], "at {at}");
        }
    };
    let reserve = |pages: u64| {
        // Other tests may have left no two megabytes in one piece.
        let deadline = Instant::now() + PATIENCE;
        while huge_pages("HugePages_Total") != pages {
            assert!(Instant::now() < deadline, "{} of {pages}", huge_pages("HugePages_Total"));
            std::fs::write("/proc/sys/vm/compact_memory", "1").expect("it is root");
            std::fs::write("/proc/sys/vm/nr_hugepages", pages.to_string()).expect("it is root");
        }
    };
    let large = || link.dma_alloc(HUGE, DmaAccess::DeviceWrites).expect("memory");

    reserve(WANTED);
    let buffer = large();
    assert_eq!(huge_pages("HugePages_Free"), WANTED - 1, "it is one huge page");
    assert_eq!(buffer.iova().0 % HUGE as u64, 0, "for the IOMMU, too");
    is_reached(&buffer);
    drop(buffer);
    assert_eq!(huge_pages("HugePages_Free"), WANTED, "it is given back");
    // None left, then none at all: usual ones do.
    let held: Vec<_> = (0..WANTED).map(|_| large()).collect();
    assert_eq!(huge_pages("HugePages_Free"), 0);
    is_reached(&large());
    drop(held);
    reserve(0);
    is_reached(&large());
}
