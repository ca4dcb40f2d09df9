// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every dword of BAR 0 and BAR 4, against the layout of the abi: what it reads after reset, who may
//! write which bits of it, and that there is nothing where the layout has nothing (§1, §2).

#[macro_use]
mod common;

use common::{
    Backend, Bar, Counters, Global, MsixTable, Params, QueuePair, Rig, Transport, not_asked, regs,
    thin,
};
use esnic_abi::layout::{Access, Register, Reset};
use esnic_abi::{ABI_HASH, BAR0_BYTES, BAR4_BYTES, LAYOUT};
use std::collections::HashMap;

for_each_backend!(
    bars_have_the_lengths_of_the_layout,
    every_dword_reads_its_reset_value,
    what_the_host_may_not_write_stays_as_it_is,
    what_the_host_may_write_holds_its_fields_and_no_more,
    compat_hash_lists_the_own_layout_first,
    an_aligned_8_byte_access_is_two_dwords_low_first,
    a_write_of_less_than_a_dword_is_ignored_and_counted,
    reads_of_any_size_change_nothing,
    nothing_is_beyond_the_end_of_a_bar,
    writable_bits_do_not_leak_into_neighbours,
);

/// A dword that the layout defines and this build has.
#[derive(Clone, Copy)]
struct Place {
    block: &'static str,
    n: u32,
    register: &'static Register,
    /// Which element of an array.
    k: u32,
    /// Low or high dword of it.
    part: u32,
}

impl Place {
    fn name(&self) -> String {
        let Self { block, n, k, .. } = self;
        format!("{block}[{n}].{}[{k}] dword {}", self.register.name, self.part)
    }

    fn defined(&self) -> u32 {
        (self.register.defined_bits() >> (32 * self.part)) as u32
    }

    fn is(&self, names: &[&str]) -> bool {
        names.contains(&self.register.name)
    }
}

/// A build in which neither the queue pairs nor the vectors are as many as there can be.
fn build() -> Params {
    Params {
        sa_capacity: 32,
        queue_pairs: 3,
        direct_log2: 2,
        stage_log2: 1,
        ring_log2: 5,
        max_window: 1024,
        ..Params::default()
    }
}

/// Everything that the layout puts into one BAR, by address.
fn places(bar: Bar, params: Params) -> HashMap<u64, Place> {
    let mut places = HashMap::new();
    for block in LAYOUT.blocks.iter().filter(|b| u32::from(b.bar) == bar.number()) {
        let built = match block.name {
            "QueuePair" | "Doorbell" => params.queue_pairs.into(),
            "MsixTable" => u32::from(params.queue_pairs) + 1,
            _ => block.count,
        };
        for (n, register) in (0..built).flat_map(|n| block.registers.iter().map(move |r| (n, r))) {
            let dwords = u32::from(register.bits) / 32;
            for at in 0..register.count * dwords {
                let place =
                    Place { block: block.name, n, register, k: at / dwords, part: at % dwords };
                let address = block.base + block.stride * n + register.offset + 4 * at;
                assert!(places.insert(address.into(), place).is_none(), "{}", place.name());
            }
        }
    }
    places
}

/// What a dword reads in READY straight after reset; none if it moves by itself.
fn expected(place: &Place, params: Params) -> Option<u32> {
    let value = match (place.register.reset, place.register.name) {
        (_, "CYCLES") => return None,
        (_, "STATUS") => 2,
        (_, "SCRUB_LEFT") => 0,
        (Reset::Value(value), _) => value,
        (Reset::Parameter, "ABI_HASH") => ABI_HASH,
        (Reset::Parameter, "FEATURES") => params.features.into(),
        (Reset::Parameter, "ALGS") => params.algs.into(),
        (Reset::Parameter, "SA_CAPACITY") => params.sa_capacity.into(),
        (Reset::Parameter, "LIMITS") => params.limits().into(),
        (Reset::Parameter, "MAX_WINDOW") => params.max_window.into(),
        (Reset::Parameter, "COMPAT_HASH") if place.k == 0 => ABI_HASH,
        (Reset::Parameter, "COMPAT_HASH") => 0,
        (Reset::Parameter, name) => panic!("{name}: this test does not know what it reads"),
    };
    Some((value >> (32 * place.part)) as u32)
}

/// BARs and their lengths; without the MSI-X table where it is the kernel's.
fn bars<B: Backend>() -> impl Iterator<Item = (Bar, u64)> {
    let all = [(Bar::Registers, BAR0_BYTES), (Bar::Msix, BAR4_BYTES)];
    if !B::SHOWS_MSIX {
        not_asked(B::NAME, "its MSI-X table is the kernel's");
    }
    all.into_iter().filter(|(bar, _)| B::SHOWS_MSIX || *bar != Bar::Msix)
}

/// Every dword with something in it, and the holes.
fn dwords(bytes: u64, places: &HashMap<u64, Place>) -> impl Iterator<Item = u64> {
    let holes = (0..bytes).step_by(4).filter(|address| !places.contains_key(address));
    places.keys().copied().chain(thin(thin(holes)))
}

/// Checks every dword of both BARs against its reset value; holes read 0.
#[track_caller]
fn assert_as_after_reset<B: Backend>(rig: &Rig<B>, except: &[&str]) {
    for (bar, bytes) in bars::<B>() {
        let places = places(bar, rig.params);
        for address in dwords(bytes, &places) {
            let got = rig.link.read32(bar, address);
            let Some(place) = places.get(&address) else {
                assert_eq!(got, 0, "a hole of {bar:?} at {address:#x}");
                continue;
            };
            let want = expected(place, rig.params).filter(|_| !place.is(except));
            assert_eq!(got, want.unwrap_or(got), "{} at {address:#x}", place.name());
        }
    }
}

fn bars_have_the_lengths_of_the_layout<B: Backend>() {
    for sa_capacity in [2, 64, 4096, 1 << 20] {
        let params = Params { sa_capacity, stage_log2: 1, ..Params::default() };
        let link = B::plug(params);
        assert_eq!(link.bar_bytes(Bar::Registers), 512 << 10);
        assert_eq!(link.bar_bytes(Bar::Table), 128 * u64::from(sa_capacity));
        assert_eq!(link.bar_bytes(Bar::Msix), 16 << 10);
    }
}

fn every_dword_reads_its_reset_value<B: Backend>() {
    assert_as_after_reset(&Rig::<B>::ready(build()), &[]);
    let most = Params { sa_capacity: 64, queue_pairs: 64, ..Params::default() };
    assert_as_after_reset(&Rig::<B>::ready(most), &[]);
}

fn what_the_host_may_not_write_stays_as_it_is<B: Backend>() {
    let rig = Rig::<B>::ready(build());
    for (bar, bytes) in bars::<B>() {
        let places = places(bar, rig.params);
        for address in dwords(bytes, &places) {
            let access = places.get(&address).map(|place| place.register.access);
            if access != Some(Access::RW) {
                for pattern in [!0, 0x5555_5555, 0xAAAA_AAAA, 0] {
                    rig.link.write32(bar, address, pattern);
                }
            }
        }
    }
    // A doorbell of a pair that is off is nobody's: it may count as stale, nothing else.
    assert_as_after_reset(&rig, &["STALE_DB"]);
}

fn what_the_host_may_write_holds_its_fields_and_no_more<B: Backend>() {
    let rig = Rig::<B>::ready(build());
    for (bar, _) in bars::<B>() {
        for (address, place) in places(bar, rig.params) {
            // These two act at once; tests of the life cycle are about them.
            if place.register.access != Access::RW || place.is(&["CONTROL", "QP_CTRL"]) {
                continue;
            }
            for pattern in [!0, 0x5555_5555, 0xAAAA_AAAA, 0x0F0F_F0F0, 0] {
                rig.link.write32(bar, address, pattern);
                let got = rig.link.read32(bar, address);
                assert_eq!(got, pattern & place.defined(), "{}", place.name());
            }
            let reset = expected(&place, rig.params).expect("it does not move by itself");
            rig.link.write32(bar, address, reset);
        }
    }
    assert_as_after_reset(&rig, &[]);
}

fn writable_bits_do_not_leak_into_neighbours<B: Backend>() {
    let rig = Rig::<B>::ready(build());
    let mut written = HashMap::new();
    for (bar, _) in bars::<B>() {
        for (address, place) in places(bar, rig.params) {
            if place.register.access == Access::RW && !place.is(&["CONTROL", "QP_CTRL"]) {
                let value = (address as u32).wrapping_mul(0x9E37_79B1) & place.defined();
                rig.link.write32(bar, address, value);
                written.insert((bar, address), (value, place.name()));
            }
        }
    }
    for ((bar, address), (value, name)) in written {
        assert_eq!(rig.link.read32(bar, address), value, "{name}");
    }
}

fn compat_hash_lists_the_own_layout_first<B: Backend>() {
    let rig = Rig::<B>::ready(build());
    assert_eq!(regs::global64(&*rig.link, Global::COMPAT_HASH, 0), ABI_HASH);
    let hashes = (0..4).map(|k| regs::global64(&*rig.link, Global::COMPAT_HASH, k));
    let hashes: Vec<_> = hashes.collect();
    let end = hashes.iter().position(|&h| h == 0).unwrap_or(4);
    assert!(hashes[end..].iter().all(|&h| h == 0), "{hashes:x?}: 0 means none");
}

fn an_aligned_8_byte_access_is_two_dwords_low_first<B: Backend>() {
    let rig = Rig::<B>::ready(build());
    let bases = QueuePair::SQ_BASE.address(1);
    rig.link.write64(Bar::Registers, bases, 0x1122_3344_5566_7788);
    assert_eq!(rig.link.read32(Bar::Registers, bases), 0x5566_7788);
    assert_eq!(rig.link.read32(Bar::Registers, bases + 4), 0x1122_3344);
    // Two registers, and one that is not there.
    rig.link.write64(Bar::Registers, Global::SCRATCH.address(0), !0);
    assert_eq!(rig.global(Global::SCRATCH), !0);
    let both = QueuePair::RING_SIZE.address(2);
    rig.link.write64(Bar::Registers, both, 0x0000_4000_0000_0503);
    assert_eq!(rig.link.read32(Bar::Registers, both), 0x0503);
    assert_eq!(rig.link.read32(Bar::Registers, both + 4), 0x4000);
    assert_eq!(rig.counter(Counters::BAD_ACCESS), 0);
    B::pins(&rig.link, |device| {
        let mut bytes = [0; 8];
        device.read(Bar::Registers, bases, &mut bytes);
        assert_eq!(u64::from_le_bytes(bytes), 0x1122_3344_5566_7788);
    });
}

fn a_write_of_less_than_a_dword_is_ignored_and_counted<B: Backend>() {
    let rig = Rig::<B>::ready(build());
    let scratch = Global::SCRATCH.address(0);
    let data = MsixTable::MSG_DATA.address(1);
    rig.set_global(Global::SCRATCH, 0x0123_4567);
    rig.link.write32(Bar::Msix, data, 0x89AB_CDEF);
    let pieces = [(0, 1), (1, 1), (2, 1), (3, 1), (0, 2), (1, 2), (2, 2), (0, 3), (1, 3)];
    let tried = B::pins(&rig.link, |device| {
        for (offset, len) in pieces {
            device.write(Bar::Registers, scratch + offset, &[0xFF; 8][..len]);
            device.write(Bar::Msix, data + offset, &[0xFF; 8][..len]);
        }
        // Four bytes across two dwords cover neither.
        for offset in 1..4 {
            device.write(Bar::Registers, scratch + offset, &[0xFF; 4]);
        }
    });
    assert_eq!(rig.global(Global::SCRATCH), 0x0123_4567);
    assert_eq!(rig.link.read32(Bar::Msix, data), 0x89AB_CDEF);
    if tried.is_some() {
        let counted = rig.counter(Counters::BAD_ACCESS);
        let on_registers = pieces.len() as u64 + 3;
        assert!(counted >= on_registers, "{counted} of {on_registers}");
    }
}

fn reads_of_any_size_change_nothing<B: Backend>() {
    let rig = Rig::<B>::ready(build());
    rig.set_global(Global::SCRATCH, 0x0123_4567);
    B::pins(&rig.link, |device| {
        for (bar, bytes) in bars::<B>() {
            for address in (0..bytes - 8).step_by(3) {
                for len in [1, 2, 4, 8] {
                    device.read(bar, address, &mut [0; 8][..len]);
                }
            }
        }
    });
    assert_as_after_reset(&rig, &["SCRATCH"]);
    assert_eq!(rig.global(Global::SCRATCH), 0x0123_4567);
}

fn nothing_is_beyond_the_end_of_a_bar<B: Backend>() {
    let rig = Rig::<B>::ready(build());
    B::pins(&rig.link, |device| {
        for bar in [Bar::Registers, Bar::Table, Bar::Msix] {
            let end = device.bar_bytes(bar);
            // With the same low bits as a register, and far away.
            for address in [end, end + Global::SCRATCH.address(0), 1 << 32, u64::MAX - 7] {
                device.write(bar, address, &[0xFF; 4]);
                let mut bytes = [0xEE; 4];
                device.read(bar, address, &mut bytes);
                assert_eq!(bytes, [0; 4], "{bar:?} at {address:#x}");
            }
        }
    });
    assert_as_after_reset(&rig, &["BAD_ACCESS", "STAGE_DROP"]);
}
