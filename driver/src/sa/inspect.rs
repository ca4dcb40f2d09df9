// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the device really holds, and where that differs from what it should. Keys are not part of
//! either: the device does not give them out, and the shadow's are in the vault.

use super::element::{Element, State, handle};
use super::spec::address;
use super::{SaHandle, SaManager, SaSpec};
use crate::core::Core;
use crate::error::Error;
use crate::pair::QueuePair;
use crate::secret::KeyMaterial;
use crate::transport::Transport;
use esnic_abi::{
    Algorithm, Bar, Direction, LiveView, Mode, Protocol, SA_ESN, SA_SLOT_BYTES, SlotState, Spi,
    Top, UdpEncap,
};
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use zerocopy::{FromBytes, IntoBytes};

/// A live row of the device's table, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The entry; for one half of a bundle, that half's own.
    pub handle: SaHandle,
    /// SPI.
    pub spi: Spi,
    /// ESP or AH.
    pub protocol: Protocol,
    /// For packets from the network or to it.
    pub direction: Direction,
    /// Transport or tunnel.
    pub mode: Mode,
    /// Algorithm and key length.
    pub algorithm: Algorithm,
    /// Bytes of the integrity check value.
    pub icv_len: u8,
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// UDP encapsulation, with ports.
    pub udp: Option<(UdpEncap, u16, u16)>,
    /// Extended sequence numbers.
    pub esn: bool,
    /// Replay window in packets.
    pub replay_window: u16,
    /// Highest number used so far.
    pub top: Top,
    /// Whether its low half is known.
    pub lo_valid: bool,
    /// Row of the bundle's other half.
    pub peer: Option<u32>,
}

/// A row that does not hold what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The row.
    pub row: u32,
    /// What differs: "spi: shadow 0x1, device 0x2".
    pub what: Vec<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}: {}", self.row, self.what.join("; "))
    }
}

/// A live row that holds a number which means nothing.
fn nonsense(row: u32, what: &str, value: u8) -> Error {
    Error::Misbehaves { what: format!("row {row} of its table has {what} {value}") }
}

fn decode(row: u32, view: &LiveView) -> Result<Row, Error> {
    let protocol = Protocol::from_code(view.protocol);
    let direction = Direction::from_code(view.direction);
    let mode = Mode::from_code(view.mode);
    let algorithm = Algorithm::from_code(view.algorithm);
    let encap = UdpEncap::from_code(view.udp_encap);
    let peer = view.peer.get();
    Ok(Row {
        handle: SaHandle(handle(row, esnic_abi::Generation(view.generation.get()))),
        spi: Spi(view.spi.get()),
        protocol: protocol.ok_or_else(|| nonsense(row, "protocol", view.protocol))?,
        direction: direction.ok_or_else(|| nonsense(row, "direction", view.direction))?,
        mode: mode.ok_or_else(|| nonsense(row, "mode", view.mode))?,
        algorithm: algorithm.ok_or_else(|| nonsense(row, "algorithm", view.algorithm))?,
        icv_len: view.icv_len,
        src: address(view.family, view.src),
        dst: address(view.family, view.dst),
        udp: match encap.ok_or_else(|| nonsense(row, "UDP encapsulation", view.udp_encap))? {
            UdpEncap::None => None,
            encap => Some((encap, view.udp_src.get(), view.udp_dst.get())),
        },
        esn: view.sa_flags.get() & SA_ESN != 0,
        replay_window: view.replay_window.get(),
        top: Top::new(view.hi.get(), view.lo.get()),
        lo_valid: view.lo_valid != 0,
        peer: (peer != esnic_abi::NO_PEER).then_some(peer),
    })
}

impl<T: Transport> SaManager<T> {
    /// Every live row, read from the device. Exact while no command is under way for the row;
    /// otherwise a row may be seen between two updates of it, never half of one.
    ///
    /// # Errors
    /// If the device is gone, stopped or reset by somebody else, or a row holds a number that means
    /// nothing.
    pub fn read_table(&self) -> Result<Vec<Row>, Error> {
        let capacity = self.core.nic.params.sa_capacity;
        self.core.nic.check()?;
        let mut rows = Vec::new();
        for row in 0..capacity {
            if self.core.slot_state(row) == SlotState::Live as u8 {
                rows.push(decode(row, &self.core.read_row(row))?);
            }
        }
        Ok(rows)
    }

    /// Every row in which the device's table and the shadow differ; none is what it should be.
    /// Exact while no command is under way.
    ///
    /// # Errors
    /// If the device is gone, stopped or reset by somebody else.
    pub fn diff(&self) -> Result<Vec<Difference>, Error> {
        self.core.nic.check()?;
        let rows = 0..self.core.nic.params.sa_capacity;
        Ok(rows.filter_map(|row| self.core.diff_row(row)).collect())
    }

    /// The newest `top` that the driver knows of an element, and whether its low half is known.
    /// `None` if there is no such SA.
    #[must_use]
    pub fn known_top(&self, sa: SaHandle) -> Option<(Top, bool)> {
        let element = self.core.element(sa.0).ok()?;
        element.while_alive(sa.0, Element::top).ok()
    }

    /// In which state of its life an SA is; `None` if the handle names none.
    #[must_use]
    pub fn state(&self, sa: SaHandle) -> Option<State> {
        let flow = self.core.element(sa.0).ok()?.flow();
        (flow.generation == sa.0.generation).then_some(flow.state)
    }

    /// An element as it would have to be added now, keys included: for whoever must add it again
    /// with something changed. `None` if there is no such SA.
    #[must_use]
    pub fn spec(&self, sa: SaHandle) -> Option<SaSpec> {
        let element = self.core.element(sa.0).ok()?;
        let flow = element.flow();
        if flow.generation != sa.0.generation || !matches!(flow.state, State::Live | State::Lost) {
            return None;
        }
        let row = decode(sa.row(), &element.view()).ok()?;
        let keys = self.core.vault.with(sa.row() as usize, KeyMaterial::copy_of);
        // What was read belongs to `sa` only if the slot is still in the same life.
        fence(Ordering::Acquire);
        let after = element.flow();
        if (after.generation, after.state) != (flow.generation, flow.state) {
            return None;
        }
        Some(SaSpec {
            spi: row.spi,
            protocol: row.protocol,
            direction: row.direction,
            mode: row.mode,
            algorithm: row.algorithm,
            icv_len: row.icv_len,
            src: row.src,
            dst: row.dst,
            udp: row.udp.map(|(_, src, dst)| super::UdpPorts { src, dst }),
            esn: row.esn,
            replay_window: row.replay_window,
            top: row.top,
            lo_valid: row.lo_valid,
            keys,
        })
    }

    /// Whether the SA was added with these keys, found out in constant time. False if there is no
    /// such SA.
    #[must_use]
    pub fn has_keys(&self, sa: SaHandle, keys: &KeyMaterial) -> bool {
        let held = |state| matches!(state, Some(State::Live | State::Adding | State::Lost));
        let Ok(_) = self.core.element(sa.0) else { return false };
        let same = self.core.vault.with(sa.row() as usize, |kept| kept.same_as(keys.keys()));
        // What was read belongs to `sa` only if the slot is still in that life.
        fence(Ordering::Acquire);
        same && held(self.state(sa))
    }
}

/// Things that happen rarely and that an operator wants to know of, since the device was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Commands that the device has not completed, now.
    pub in_flight: u32,
    /// Entries of the pending tables in use, now: commands, and outcomes nobody has looked at.
    pub pending: usize,
    /// SAs whose keys are kept, now.
    pub keys: usize,
    /// Requests refused because a ring was full even after taking completions.
    pub full: u64,
    /// Waits that ended without an outcome.
    pub timeouts: u64,
    /// Resets with restore.
    pub resets: u64,
    /// SAs that turned out not to be in the device.
    pub lost: u64,
    /// Deletions that the device did not carry out and that were tried again.
    pub delete_retries: u64,
}

impl<T: Transport> SaManager<T> {
    /// Commands that the device has not completed, now.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.core.nic.pairs.iter().map(QueuePair::in_flight).sum()
    }

    /// What there is to count. Walks all shadows; for people and tests, not for every packet.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let core = &self.core;
        let tally = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            in_flight: self.in_flight(),
            pending: core.nic.pairs.iter().map(QueuePair::used).sum(),
            keys: (0..core.elements.len()).filter(|&index| !core.vault.is_empty(index)).count(),
            full: tally(&core.tallies.full),
            timeouts: tally(&core.tallies.timeouts),
            resets: tally(&core.tallies.resets),
            lost: tally(&core.tallies.lost),
            delete_retries: tally(&core.tallies.delete_retries),
        }
    }
}

impl<T: Transport> Core<T> {
    fn slot_state(&self, row: u32) -> u8 {
        self.nic.transport.read32(Bar::Table, SA_SLOT_BYTES * u64::from(row)) as u8
    }

    /// The row, read until two reads of it agree (R16), at most a few times.
    fn read_row(&self, row: u32) -> LiveView {
        let mut last = self.read_row_once(row);
        for _ in 0..4 {
            let again = self.read_row_once(row);
            if again == last {
                break;
            }
            last = again;
        }
        last
    }

    fn read_row_once(&self, row: u32) -> LiveView {
        let mut bytes = [0; LiveView::LEN];
        let place = SA_SLOT_BYTES * u64::from(row);
        for (at, to) in (0u64..).step_by(4).zip(bytes.as_chunks_mut::<4>().0) {
            *to = self.nic.transport.read32(Bar::Table, place + at).to_le_bytes();
        }
        LiveView::read_from_bytes(&bytes).expect("it is 128 bytes")
    }

    pub(crate) fn diff_row(&self, row: u32) -> Option<Difference> {
        let element = self.elements.get(row as usize);
        let flow = element.map(Element::flow);
        let expected = flow.is_some_and(|flow| flow.state == State::Live);
        let state = self.slot_state(row);
        let live = state == SlotState::Live as u8;
        let mut what = Vec::new();
        match (expected, live) {
            (false, false) if state == SlotState::Free as u8 => return None,
            (true, true) => {
                let shadow = element.map(Element::view)?;
                compare(&shadow, &self.read_row(row), &mut what);
            }
            _ => {
                let name = SlotState::from_code(state).map_or("an unknown state", SlotState::name);
                let shadow = flow.map_or(State::Free, |flow| flow.state);
                what.push(format!("state: shadow {shadow:?}, device {name}"));
            }
        }
        (!what.is_empty()).then_some(Difference { row, what })
    }
}

/// Notes every member in which two views differ.
fn compare(shadow: &LiveView, device: &LiveView, what: &mut Vec<String>) {
    for member in LiveView::RECORD.members {
        let range = member.offset..member.offset + member.len_bytes;
        let (a, b) = (&shadow.as_bytes()[range.clone()], &device.as_bytes()[range]);
        if a != b {
            what.push(format!("{}: shadow {}, device {}", member.name, hex(a), hex(b)));
        }
    }
}

/// Little-endian bytes as one number.
fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}
