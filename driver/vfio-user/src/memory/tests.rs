// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tests of memory: rights, ranges, and files of clients that mean no good.

use super::file::sealed;
use super::*;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use std::fs::File;
use std::os::unix::fs::FileExt;

const K: u64 = 1024;

fn map(first: u64, size: u64, file: Option<(&File, u64)>) -> Map {
    let file = file.map(|(file, at)| (file.try_clone().unwrap().into(), at));
    Map { range: first..=first + (size - 1), read: true, write: true, file }
}

fn loose(len: u64) -> File {
    let fd = memfd_create("loose", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&fd, len).unwrap();
    File::from(fd)
}

fn read(memory: &Memory, address: u64, len: usize) -> Result<Vec<u8>, Fault> {
    let mut out = vec![0; len];
    memory.read(address, &mut out).map(|()| out)
}

#[test]
fn bytes_go_to_and_from_the_file_whether_it_is_mapped_or_not() {
    for file in [sealed("sealed", 16 * K).unwrap(), loose(16 * K)] {
        let mut memory = Memory::new();
        memory.map(map(1 << 40, 8 * K, Some((&file, 8 * K)))).unwrap();
        memory.write((1 << 40) + 16, &[7; 24]).unwrap();
        memory.write((1 << 40) + 41, &[8; 3]).unwrap();
        let mut seen = [0; 32];
        file.read_exact_at(&mut seen, 8 * K + 15).unwrap();
        assert_eq!(seen[..2], [0, 7]);
        assert_eq!(seen[24..30], [7, 0, 8, 8, 8, 0]);
        file.write_all_at(&[9; 8], 16 * K - 8).unwrap();
        assert_eq!(read(&memory, (1 << 40) + 8 * K - 8, 8).unwrap(), [9; 8]);
        assert_eq!(read(&memory, (1 << 40) + 8 * K - 7, 8), Err(Fault), "one byte too far");
        assert_eq!(memory.write((1 << 40) - 1, &[0; 2]), Err(Fault));
    }
}

#[test]
fn an_access_goes_on_into_the_next_map() {
    let file = sealed("file", 16 * K).unwrap();
    let mut memory = Memory::new();
    memory.map(map(0x10_000, 4 * K, Some((&file, 12 * K)))).unwrap();
    memory.map(map(0x11_000, 4 * K, Some((&file, 0)))).unwrap();
    let data: Vec<u8> = (0..64).collect();
    memory.write(0x10_FE0, &data).unwrap();
    assert_eq!(read(&memory, 0x10_FE0, 64).unwrap(), data);
    let mut seen = [0; 32];
    file.read_exact_at(&mut seen, 0).unwrap();
    assert_eq!(seen, data[32..]);
}

#[test]
fn rights_hold() {
    let file = sealed("file", 8 * K).unwrap();
    let mut memory = Memory::new();
    memory.map(Map { write: false, ..map(0, 4 * K, Some((&file, 0))) }).unwrap();
    memory.map(Map { read: false, ..map(4 * K, 4 * K, Some((&file, 4 * K))) }).unwrap();
    assert_eq!(memory.write(0, &[1; 8]), Err(Fault));
    assert_eq!(read(&memory, 4 * K, 8), Err(Fault));
    read(&memory, 0, 8).unwrap();
    memory.write(4 * K, &[1; 8]).unwrap();
    let neither = Map { read: false, write: false, ..map(8 * K, 4 * K, None) };
    assert_eq!(memory.map(neither), Err(Errno::INVAL));
}

#[test]
fn a_map_without_a_file_is_there_and_cannot_be_reached() {
    let mut memory = Memory::new();
    memory.map(map(0, 4 * K, None)).unwrap();
    assert_eq!(read(&memory, 0, 1), Err(Fault));
    assert_eq!(memory.maps(), 1);
}

#[test]
fn overlaps_are_refused_and_the_very_same_range_is_replaced() {
    let file = sealed("file", 32 * K).unwrap();
    let mut memory = Memory::new();
    memory.map(map(8 * K, 8 * K, Some((&file, 0)))).unwrap();
    for (first, size) in [(8, 4), (12, 4), (4, 8), (0, 32), (12, 8), (8, 12)] {
        let again = map(first * K, size * K, Some((&file, 0)));
        assert_eq!(memory.map(again), Err(Errno::EXIST), "{first} {size}");
    }
    file.write_all_at(&[5; 8], 16 * K).unwrap();
    memory.map(map(8 * K, 8 * K, Some((&file, 16 * K)))).unwrap();
    assert_eq!(read(&memory, 8 * K, 8).unwrap(), [5; 8]);
    assert_eq!(memory.maps(), 1);
}

#[test]
fn unmaps_of_every_kind() {
    let file = sealed("file", 64 * K).unwrap();
    file.write_all_at(&[1; 4096], 12 * K).unwrap();
    let mut memory = Memory::new();
    // Nothing there.
    memory.unmap(&(0..=u64::MAX));
    memory.unmap(&(0xFEF0_0000..=u64::MAX));
    for page in 0..8 {
        memory.map(map(page * 4 * K, 4 * K, Some((&file, page * 4 * K)))).unwrap();
    }
    // Spans two, beginning before and ending behind the middle of others.
    memory.unmap(&(4 * K..=12 * K - 1));
    assert_eq!(memory.maps(), 6);
    read(&memory, 0, 4096).unwrap();
    assert_eq!(read(&memory, 4 * K, 1), Err(Fault));
    assert_eq!(read(&memory, 12 * K, 1).unwrap(), [1]);
    // To the end of the address space.
    memory.unmap(&(16 * K..=u64::MAX));
    assert_eq!(memory.maps(), 2);
    // Cuts one in two.
    memory.map(map(1 << 20, 64 * K, Some((&file, 0)))).unwrap();
    memory.unmap(&((1 << 20) + 4 * K..=(1 << 20) + 8 * K - 1));
    assert_eq!(memory.maps(), 4);
    read(&memory, 1 << 20, 4096).unwrap();
    assert_eq!(read(&memory, (1 << 20) + 4 * K, 1), Err(Fault));
    assert_eq!(read(&memory, (1 << 20) + 12 * K, 8).unwrap(), [1; 8], "the right bytes follow");
    memory.unmap(&(0..=u64::MAX));
    assert_eq!(memory.maps(), 0);
    assert_eq!(memory.files.mapped(), 0);
}

#[test]
fn the_last_page_of_the_address_space_is_a_page() {
    let file = sealed("file", 8 * K).unwrap();
    let mut memory = Memory::new();
    let range = u64::MAX - 4095..=u64::MAX;
    let (fd, read, write) = (file.try_clone().unwrap().into(), true, true);
    memory.map(Map { range, read, write, file: Some((fd, 4 * K)) }).unwrap();
    memory.write(u64::MAX - 7, &[3; 8]).unwrap();
    assert_eq!(super::tests::read(&memory, u64::MAX - 7, 8).unwrap(), [3; 8]);
    assert_eq!(memory.write(u64::MAX - 7, &[3; 9]), Err(Fault), "and does not wrap around");
    // All of it: a length that 64 bits do not hold.
    memory.clear();
    let fd = file.try_clone().unwrap().into();
    let all = Map { range: 0..=u64::MAX, read, write, file: Some((fd, 0)) };
    assert_eq!(memory.map(all), Err(Errno::INVAL));
}

#[test]
fn what_is_not_made_of_pages_is_refused() {
    let file = sealed("file", 16 * K).unwrap();
    let mut memory = Memory::new();
    for (first, size, at) in [(1, 4 * K, 0), (0, 4 * K - 1, 0), (0, 1, 0), (0, 4 * K, 8)] {
        let odd = map(first, size, Some((&file, at)));
        assert_eq!(memory.map(odd), Err(Errno::INVAL), "{first} {size} {at}");
    }
    // Beyond the file's end, by little and by much.
    for at in [16 * K, 12 * K, u64::MAX - 4095] {
        assert_eq!(memory.map(map(0, 8 * K, Some((&file, at)))), Err(Errno::INVAL), "{at:#x}");
    }
    assert_eq!(memory.maps(), 0);
}

#[test]
fn only_files_that_are_memory_are_taken() {
    let mut memory = Memory::new();
    for path in ["/dev/zero", "/proc/self/maps", "/", "/dev/null", "/proc/self/exe"] {
        let file = File::open(path).unwrap();
        let odd = Map { write: false, ..map(0, 4 * K, Some((&file, 0))) };
        assert_eq!(memory.map(odd), Err(Errno::INVAL), "{path}");
    }
}

#[test]
fn a_descriptor_that_only_reads_lets_nobody_write() {
    let file = loose(8 * K);
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    let reader = File::open(&path).unwrap();
    let mut memory = Memory::new();
    assert_eq!(memory.map(map(0, 4 * K, Some((&reader, 0)))), Err(Errno::ACCESS));
    memory.map(Map { write: false, ..map(0, 4 * K, Some((&reader, 0))) }).unwrap();
    let writer = File::options().write(true).open(&path).unwrap();
    assert_eq!(memory.map(map(8 * K, 4 * K, Some((&writer, 0)))), Err(Errno::ACCESS));
}

#[test]
fn a_file_that_shrinks_faults_and_does_not_kill() {
    let file = loose(8 * K);
    let mut memory = Memory::new();
    memory.map(map(0, 8 * K, Some((&file, 0)))).unwrap();
    memory.write(4 * K, &[1; 16]).unwrap();
    ftruncate(&file, 4 * K + 8).unwrap();
    assert_eq!(read(&memory, 4 * K, 16), Err(Fault));
    assert_eq!(memory.write(4 * K, &[1; 16]), Err(Fault));
    assert_eq!(file.metadata().unwrap().len(), 4 * K + 8, "nor does it grow again");
    ftruncate(&file, 0).unwrap();
    assert_eq!(read(&memory, 0, 1), Err(Fault));
}

#[test]
fn a_file_is_kept_once_however_often_it_is_mapped() {
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    for file in [sealed("file", 4096 * K).unwrap(), loose(4096 * K)] {
        let mut memory = Memory::new();
        memory.map(map(1 << 30, 4 * K, Some((&file, 0)))).unwrap();
        let before = descriptors();
        for page in 0..1024 {
            memory.map(map(page * 4 * K, 4 * K, Some((&file, page * 4 * K)))).unwrap();
        }
        // Other tests of this process open and close files too.
        assert!(descriptors() < before + 200, "{before} then {}", descriptors());
    }
}

#[test]
fn there_is_an_end_to_what_can_be_mapped() {
    let mut memory = Memory::new();
    for page in 0..MAX_MAPS as u64 {
        memory.map(map(page * 4 * K, 4 * K, None)).unwrap();
    }
    assert_eq!(memory.map(map(1 << 40, 4 * K, None)), Err(Errno::NOSPC));
    memory.unmap(&(0..=4 * K - 1));
    memory.map(map(1 << 40, 4 * K, None)).unwrap();
    // And to how much of this process's addresses.
    memory.clear();
    let big = sealed("big", 1 << 40).unwrap();
    memory.map(map(0, 4 * K, Some((&big, 0)))).unwrap();
    let more = sealed("more", 4 * K).unwrap();
    assert_eq!(memory.map(map(4 * K, 4 * K, Some((&more, 0)))), Err(Errno::NOMEM));
}
