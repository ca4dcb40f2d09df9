// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Configuration space of the function: a PCI Express endpoint with FLR, power management, MSI-X and
//! three 64-bit BARs (section 1 of the device manual).

use esnic_abi::{Bar, FunctionConfig};

/// Its length, as PCI Express has it.
pub(super) const BYTES: usize = 4096;

const VENDOR: u16 = 0x1234;
const DEVICE: u16 = 0xE51C;
const REVISION: u8 = 1;
/// Encryption controller; network and computing.
const CLASS: [u8; 3] = [0x00, 0x00, 0x10];

/// Offsets in the header that every function has.
mod header {
    pub(super) const VENDOR: usize = 0x00;
    pub(super) const DEVICE: usize = 0x02;
    pub(super) const COMMAND: usize = 0x04;
    pub(super) const STATUS: usize = 0x06;
    pub(super) const REVISION: usize = 0x08;
    pub(super) const CLASS: usize = 0x09;
    pub(super) const CACHE_LINE: usize = 0x0C;
    pub(super) const BARS: usize = 0x10;
    pub(super) const SUBSYSTEM_VENDOR: usize = 0x2C;
    pub(super) const SUBSYSTEM: usize = 0x2E;
    pub(super) const CAPABILITIES: usize = 0x34;
    pub(super) const INTERRUPT_LINE: usize = 0x3C;
}

/// Bits of the command register that can be written: memory, bus master, parity, SERR, no INTx.
const COMMAND_BITS: u16 = 1 << 1 | BUS_MASTER | 1 << 6 | 1 << 8 | 1 << 10;
const BUS_MASTER: u16 = 1 << 2;
/// Bits of the status register. Immediate readiness: configuration space, which is the server's, answers at
/// once after a reset and on waking, so that hosts need not wait 100 ms and 10 ms (PCI Express 4.0, 7.5.1.1.4).
const STATUS_IMMEDIATE: u16 = 1 << 0;
/// There are capabilities.
const STATUS_CAPABILITIES: u16 = 1 << 4;

/// A 64-bit BAR, and one without side effects of reading.
const BAR_64: u32 = 0b0100;
const BAR_PREFETCHABLE: u32 = 0b1000;

/// Power management: 8 bytes.
const PM: usize = 0x40;
const PM_ID: u8 = 0x01;
/// Version 3; neither D1, D2 nor PME.
const PM_CAPABILITIES: u16 = 3;
const PMCSR: usize = PM + 4;
const PMCSR_STATE: u16 = 0b11;
/// Going back to D0 keeps what there is.
const PMCSR_NO_SOFT_RESET: u16 = 1 << 3;
const D0: u16 = 0;
const D3_HOT: u16 = 3;

/// MSI-X: 12 bytes.
const MSIX: usize = 0x50;
const MSIX_ID: u8 = 0x11;
const MSIX_CONTROL: usize = MSIX + 2;
const MSIX_ENABLE: u16 = 1 << 15;
const MSIX_FUNCTION_MASK: u16 = 1 << 14;
/// Where the pending bits are in the BAR.
const PBA: u32 = 0x2000;

/// PCI Express, version 2 of the structure: 60 bytes.
const EXPRESS: usize = 0x60;
const EXPRESS_ID: u8 = 0x10;
/// Version 2, an endpoint.
const EXPRESS_CAPABILITIES: u16 = 2;
const EXPRESS_DEVICE: usize = EXPRESS + 0x04;
/// Role-based errors; function level reset; payloads of 128 bytes.
const DEVICE_CAPABILITIES: u32 = 1 << 15 | 1 << 28;
const DEVICE_CONTROL: usize = EXPRESS + 0x08;
/// Four kinds of error reports, payload, read request, extended tags. Relaxed ordering and no-snoop
/// stay zero: the device uses neither.
const DEVICE_CONTROL_BITS: u16 = 0b1111 | 0b111 << 5 | 1 << 8 | 0b111 << 12;
/// Read requests of 512 bytes.
const DEVICE_CONTROL_RESET: u16 = 0b010 << 12;
const DEVICE_CONTROL_FLR: u16 = 1 << 15;
const LINK: usize = EXPRESS + 0x0C;
/// One lane of 2.5 GT/s: what it is in truth nobody can tell here.
const LINK_CAPABILITIES: u32 = 0x11;
const LINK_STATUS: usize = EXPRESS + 0x12;
const LINK_2: usize = EXPRESS + 0x2C;
const LINK_SPEEDS: u32 = 1 << 1;

/// What a write did beyond changing bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing that the device has to know.
    None,
    /// [`ConfigSpace::function`] is another one.
    Changed,
    /// A function level reset was asked for.
    Reset,
}

/// The space: bytes, which bits of them can be written, and what they are after a reset.
pub(super) struct ConfigSpace {
    now: Box<[u8]>,
    fresh: Box<[u8]>,
    writable: Box<[u8]>,
}

impl ConfigSpace {
    /// That of a function with BARs of these lengths and so many MSI-X vectors.
    pub(super) fn new(bar_bytes: impl Fn(Bar) -> u64, vectors: u16) -> Self {
        let mut space = Self {
            now: Box::new([]),
            fresh: vec![0; BYTES].into(),
            writable: vec![0; BYTES].into(),
        };
        space.header();
        for bar in [Bar::Registers, Bar::Table, Bar::Msix] {
            space.bar(bar, bar_bytes(bar));
        }
        space.power();
        space.msix(vectors);
        space.express();
        space.now = space.fresh.clone();
        space
    }

    fn header(&mut self) {
        self.put(header::VENDOR, &VENDOR.to_le_bytes());
        self.put(header::DEVICE, &DEVICE.to_le_bytes());
        self.allow(header::COMMAND, &COMMAND_BITS.to_le_bytes());
        self.put(header::STATUS, &(STATUS_IMMEDIATE | STATUS_CAPABILITIES).to_le_bytes());
        self.put(header::REVISION, &[REVISION]);
        self.put(header::CLASS, &CLASS);
        self.allow(header::CACHE_LINE, &[0xFF]);
        self.put(header::SUBSYSTEM_VENDOR, &VENDOR.to_le_bytes());
        self.put(header::SUBSYSTEM, &DEVICE.to_le_bytes());
        self.put(header::CAPABILITIES, &[PM as u8]);
        self.allow(header::INTERRUPT_LINE, &[0xFF]);
    }

    fn bar(&mut self, bar: Bar, bytes: u64) {
        let place = header::BARS + 4 * bar.number() as usize;
        let kind = if bar == Bar::Table { BAR_64 | BAR_PREFETCHABLE } else { BAR_64 };
        self.put(place, &kind.to_le_bytes());
        // Bits below the length and the kind stay as they are; that is how hosts learn it.
        let address = !(bytes.next_power_of_two().max(16) - 1);
        self.allow(place, &address.to_le_bytes());
    }

    fn power(&mut self) {
        self.put(PM, &[PM_ID, MSIX as u8]);
        self.put(PM + 2, &PM_CAPABILITIES.to_le_bytes());
        self.put(PMCSR, &PMCSR_NO_SOFT_RESET.to_le_bytes());
        self.allow(PMCSR, &PMCSR_STATE.to_le_bytes());
    }

    fn msix(&mut self, vectors: u16) {
        self.put(MSIX, &[MSIX_ID, EXPRESS as u8]);
        self.put(MSIX_CONTROL, &(vectors - 1).to_le_bytes());
        self.allow(MSIX_CONTROL, &(MSIX_ENABLE | MSIX_FUNCTION_MASK).to_le_bytes());
        let bar = Bar::Msix.number();
        self.put(MSIX + 4, &bar.to_le_bytes());
        self.put(MSIX + 8, &(PBA | bar).to_le_bytes());
    }

    fn express(&mut self) {
        self.put(EXPRESS, &[EXPRESS_ID, 0]);
        self.put(EXPRESS + 2, &EXPRESS_CAPABILITIES.to_le_bytes());
        self.put(EXPRESS_DEVICE, &DEVICE_CAPABILITIES.to_le_bytes());
        self.put(DEVICE_CONTROL, &DEVICE_CONTROL_RESET.to_le_bytes());
        self.allow(DEVICE_CONTROL, &DEVICE_CONTROL_BITS.to_le_bytes());
        self.put(LINK, &LINK_CAPABILITIES.to_le_bytes());
        self.put(LINK_STATUS, &(LINK_CAPABILITIES as u16).to_le_bytes());
        self.put(LINK_2, &LINK_SPEEDS.to_le_bytes());
    }

    fn put(&mut self, place: usize, bytes: &[u8]) {
        self.fresh[place..place + bytes.len()].copy_from_slice(bytes);
    }

    fn allow(&mut self, place: usize, bits: &[u8]) {
        self.writable[place..place + bits.len()].copy_from_slice(bits);
    }

    /// Reads; beyond the end there are zeros.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) {
        for (k, byte) in out.iter_mut().enumerate() {
            let place = usize::try_from(offset).ok().and_then(|offset| offset.checked_add(k));
            *byte = place.and_then(|place| self.now.get(place)).copied().unwrap_or(0);
        }
    }

    /// Writes the bits that can be written.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> Effect {
        let before = self.function();
        let state = self.word(PMCSR) & PMCSR_STATE;
        let mut reset = false;
        for (k, &byte) in data.iter().enumerate() {
            let place = usize::try_from(offset).ok().and_then(|offset| offset.checked_add(k));
            let Some(place) = place.filter(|place| *place < BYTES) else { break };
            let bits = self.writable[place];
            self.now[place] = self.now[place] & !bits | byte & bits;
            let [_, upper] = DEVICE_CONTROL_FLR.to_le_bytes();
            reset |= place == DEVICE_CONTROL + 1 && byte & upper != 0;
        }
        // States that there are not leave it in the one that it is in.
        let wanted = self.word(PMCSR) & PMCSR_STATE;
        if wanted != D0 && wanted != D3_HOT {
            let kept = self.word(PMCSR) & !PMCSR_STATE | state;
            self.now[PMCSR..PMCSR + 2].copy_from_slice(&kept.to_le_bytes());
        }
        match () {
            () if reset => Effect::Reset,
            () if self.function() != before => Effect::Changed,
            () => Effect::None,
        }
    }

    /// As after a reset.
    pub(super) fn reset(&mut self) {
        self.now.copy_from_slice(&self.fresh);
    }

    /// Whether the function is awake. In D3hot it takes configuration accesses only, and starts
    /// nothing.
    pub(super) fn is_awake(&self) -> bool {
        self.word(PMCSR) & PMCSR_STATE == D0
    }

    /// The bits that the device has to know.
    pub(super) fn function(&self) -> FunctionConfig {
        let awake = self.is_awake();
        let msix = self.word(MSIX_CONTROL);
        FunctionConfig {
            bus_master: awake && self.word(header::COMMAND) & BUS_MASTER != 0,
            msix_enable: awake && msix & MSIX_ENABLE != 0,
            msix_mask: msix & MSIX_FUNCTION_MASK != 0,
        }
    }

    fn word(&self, place: usize) -> u16 {
        u16::from_le_bytes([self.now[place], self.now[place + 1]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> ConfigSpace {
        let bytes = |bar| match bar {
            Bar::Registers => 512 << 10,
            Bar::Table => 64 * 128,
            Bar::Msix => 16 << 10,
        };
        ConfigSpace::new(bytes, 5)
    }

    fn dword(space: &ConfigSpace, place: u64) -> u32 {
        let mut bytes = [0; 4];
        space.read(place, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    #[test]
    fn the_header_says_what_the_manual_says() {
        let space = space();
        assert_eq!(dword(&space, 0), 0xE51C_1234);
        assert_eq!(dword(&space, 4), 0x0011_0000, "immediate readiness, capabilities");
        assert_eq!(dword(&space, 8), 0x1000_0001, "class, revision");
        assert_eq!(dword(&space, 0x2C), 0xE51C_1234);
        assert_eq!(dword(&space, 0x100), 0, "no extended capabilities");
        assert_eq!(dword(&space, 4092), 0);
        assert_eq!(dword(&space, 4094), 0, "half outside");
    }

    #[test]
    fn capabilities_form_a_list_and_do_not_overlap() {
        let space = space();
        let len = |id| match id {
            PM_ID => 8,
            MSIX_ID => 12,
            EXPRESS_ID => 60,
            other => panic!("capability {other:#x}"),
        };
        let (mut at, mut found, mut end) = (dword(&space, 0x34) as u8, Vec::new(), 0x40);
        while at != 0 {
            assert!(at.is_multiple_of(4) && usize::from(at) >= end, "{at:#x}");
            let [id, next, ..] = dword(&space, at.into()).to_le_bytes();
            end = usize::from(at) + len(id);
            found.push(id);
            at = next;
        }
        assert_eq!(found, [PM_ID, MSIX_ID, EXPRESS_ID]);
        assert!(end <= 256);
    }

    #[test]
    fn bars_tell_their_length_and_take_an_address() {
        let mut space = space();
        for (bar, kind, bytes) in [(0, 0x4, 512u64 << 10), (2, 0xC, 8192), (4, 0x4, 16 << 10)] {
            let place = 0x10 + 4 * bar;
            space.write(place, &[0xFF; 8]);
            let (low, high) = (dword(&space, place), dword(&space, place + 4));
            assert_eq!(low & 0xF, kind);
            assert_eq!((!(u64::from(high) << 32 | u64::from(low & !0xF))).wrapping_add(1), bytes);
            space.write(place, &0x12_3456_0000_0000u64.to_le_bytes());
            assert_eq!((dword(&space, place), dword(&space, place + 4)), (kind, 0x12_3456));
        }
    }

    #[test]
    fn command_and_msix_reach_the_device() {
        let mut space = space();
        assert_eq!(space.write(4, &[0x06, 0]), Effect::Changed);
        let on = FunctionConfig { bus_master: true, ..FunctionConfig::default() };
        assert_eq!(space.function(), on);
        assert_eq!(space.write(4, &[0x06, 0]), Effect::None);
        assert_eq!(dword(&space, MSIX as u64) >> 16, 4, "five vectors");
        assert_eq!(space.write(MSIX_CONTROL as u64 + 1, &[0xC0]), Effect::Changed);
        assert_eq!(space.function(), FunctionConfig { msix_enable: true, msix_mask: true, ..on });
        assert_eq!(space.write(0, &[0xFF; 4]), Effect::None, "identity cannot be written");
        assert_eq!(dword(&space, 0), 0xE51C_1234);
    }

    #[test]
    fn sleep_stops_the_device_and_waking_keeps_its_bits() {
        let mut space = space();
        space.write(4, &[0x06, 0]);
        assert_eq!(space.write(PMCSR as u64, &[1]), Effect::None, "there is no D1");
        assert!(space.is_awake());
        assert_eq!(space.write(PMCSR as u64, &[3, 0]), Effect::Changed);
        assert!(!space.is_awake() && !space.function().bus_master);
        assert_eq!(dword(&space, PMCSR as u64), 0b1011);
        assert_eq!(space.write(PMCSR as u64, &[2, 0]), Effect::None, "nor D2");
        assert!(!space.is_awake());
        assert_eq!(space.write(PMCSR as u64, &[0, 0]), Effect::Changed);
        assert!(space.function().bus_master);
    }

    #[test]
    fn function_level_reset_is_asked_for_by_one_bit() {
        let mut space = space();
        let control = DEVICE_CONTROL as u64;
        assert_eq!(dword(&space, EXPRESS_DEVICE as u64) >> 28 & 1, 1, "offered");
        assert_eq!(space.write(control, &[0x0F, 0x20]), Effect::None);
        assert_eq!(space.write(control, &[0x0F, 0xA0]), Effect::Reset);
        assert_eq!(space.write(control + 1, &[0x80]), Effect::Reset);
        assert_eq!(dword(&space, control) as u16 & DEVICE_CONTROL_FLR, 0, "reads zero");
        space.write(4, &[0x06, 0]);
        space.reset();
        assert_eq!(space.function(), FunctionConfig::default());
        assert_eq!(dword(&space, control) as u16, DEVICE_CONTROL_RESET);
    }
}
