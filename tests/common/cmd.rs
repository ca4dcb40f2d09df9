// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Commands as the bytes that travel, built from the typed records of the abi.

use esnic_abi::{
    Add, Algorithm, Bare, Direction, Header, LiveView, Mode, NO_PEER, Opcode, Protocol, Query,
    Resolve, SlotState, Update, Update4, Update4Item, UpdateMode, codes,
};
use std::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// One command: 64 bytes, ADD 128.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cmd {
    bytes: [u8; 128],
    len: usize,
}

impl Cmd {
    /// The bytes of any record that is a command.
    pub fn new<T: IntoBytes + Immutable>(record: &T) -> Self {
        let from = record.as_bytes();
        let mut bytes = [0; 128];
        bytes[..from.len()].copy_from_slice(from);
        Self { bytes, len: from.len() }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    pub fn is_add(&self) -> bool {
        self.len == Add::LEN
    }

    pub fn as_record<T: FromBytes>(&self) -> T {
        T::read_from_prefix(&self.bytes).expect("128 bytes suffice").0
    }

    pub fn header(&self) -> Header {
        self.as_record()
    }

    pub fn opcode(&self) -> u8 {
        self.bytes[0]
    }

    pub fn cookie(&self) -> u32 {
        self.header().cookie.get()
    }

    pub fn index(&self) -> u32 {
        self.header().index.get()
    }

    /// The same with this epoch, in both halves.
    pub fn epoch(mut self, epoch: u16) -> Self {
        for half in self.bytes_mut().chunks_mut(64) {
            half[2..4].copy_from_slice(&epoch.to_le_bytes());
        }
        self
    }

    /// The same with this cookie, in both halves.
    pub fn with_cookie(mut self, cookie: u32) -> Self {
        for half in self.bytes_mut().chunks_mut(64) {
            half[4..8].copy_from_slice(&cookie.to_le_bytes());
        }
        self
    }

    /// The same with byte `at` replaced.
    pub fn byte(mut self, at: usize, value: u8) -> Self {
        self.bytes_mut()[at] = value;
        self
    }

    /// The same with the dword at byte `at` replaced.
    pub fn dword(mut self, at: usize, value: u32) -> Self {
        self.bytes_mut()[at..at + 4].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// The same with one bit turned over, bit 0 being bit 0 of byte 0.
    pub fn flip(mut self, bit: usize) -> Self {
        self.bytes_mut()[bit / 8] ^= 1 << (bit % 8);
        self
    }

    pub fn dwords(&self) -> Vec<u32> {
        let (chunks, _) = self.bytes().as_chunks::<4>();
        chunks.iter().map(|c| u32::from_le_bytes(*c)).collect()
    }

    pub fn quadwords(&self) -> Vec<u64> {
        let (chunks, _) = self.bytes().as_chunks::<8>();
        chunks.iter().map(|c| u64::from_le_bytes(*c)).collect()
    }

    /// Dwords that the direct path must find written (§4.1).
    pub fn required(&self) -> Vec<usize> {
        let flagged = |bit| self.bytes[1] & bit != 0;
        match Opcode::from_code(self.bytes[0]) {
            Some(Opcode::Add) => (0..32).collect(),
            Some(Opcode::Update) if flagged(codes::UPDATE_CAS) => (0..9).collect(),
            Some(Opcode::Update) => (0..8).collect(),
            Some(Opcode::Query) if flagged(codes::QUERY_RECORD) => (0..6).collect(),
            Some(Opcode::Resolve) => (0..5).collect(),
            _ => (0..4).collect(),
        }
    }

    pub fn nop() -> Self {
        Self::new(&bare(Opcode::Nop, 0, 0))
    }

    pub fn fence() -> Self {
        Self::new(&bare(Opcode::Fence, 0, 0))
    }

    pub fn delete(index: u32, generation: u32) -> Self {
        Self::new(&bare(Opcode::Delete, index, generation))
    }

    /// QUERY of one entry, by generation.
    pub fn query(index: u32, generation: u32) -> Self {
        Self::new(&Query {
            header: header(Opcode::Query, 0, index, generation),
            ..Query::default()
        })
    }

    /// QUERY of whatever the slot holds, with the record written to `address`.
    pub fn query_any(index: u32, address: u64) -> Self {
        let flags = codes::QUERY_ANY | codes::QUERY_RECORD;
        Self::new(&Query {
            header: header(Opcode::Query, flags, index, 0),
            record_addr: address.into(),
            ..Query::default()
        })
    }

    /// RESOLVE without COMMIT.
    pub fn resolve(index: u32, generation: u32, seq: u32) -> Self {
        Self::new(&Resolve {
            header: header(Opcode::Resolve, 0, index, generation),
            seq: seq.into(),
            ..Resolve::default()
        })
    }

    /// RESOLVE with COMMIT: an authenticated packet.
    pub fn packet(index: u32, generation: u32, seq: u32) -> Self {
        Self::resolve(index, generation, seq).byte(1, codes::RESOLVE_COMMIT)
    }

    /// UPDATE of the entry that `sa` made, in mode HI.
    pub fn hi(sa: &Add, hi: u32) -> Self {
        Self::update(sa, UpdateMode::Hi, 0, (hi, 0), 0)
    }

    /// UPDATE of the entry that `sa` made, in mode TOP.
    pub fn top(sa: &Add, hi: u32, lo: u32) -> Self {
        Self::update(sa, UpdateMode::Top, 0, (hi, lo), 0)
    }

    /// UPDATE of the entry that `sa` made, in mode RESYNC.
    pub fn resync(sa: &Add, hi: u32) -> Self {
        Self::update(sa, UpdateMode::Resync, 0, (hi, 0), 0)
    }

    /// UPDATE in mode HI that expects `expected`.
    pub fn cas(sa: &Add, expected: u32, hi: u32) -> Self {
        Self::update(sa, UpdateMode::Hi, codes::UPDATE_CAS, (hi, 0), expected)
    }

    pub fn update(sa: &Add, mode: UpdateMode, flags: u8, to: (u32, u32), expected: u32) -> Self {
        let (index, generation) = (sa.header.index.get(), sa.header.generation.get());
        Self::new(&Update {
            header: header(Opcode::Update, flags, index, generation),
            spi: sa.spi,
            protocol: sa.protocol,
            mode: mode as u8,
            hi: to.0.into(),
            lo: to.1.into(),
            expected_hi: expected.into(),
            ..Update::default()
        })
    }

    /// UPDATE4 with items (index, generation, hi).
    pub fn update4(step: bool, items: &[(u32, u32, u32)]) -> Self {
        let flags = items.len() as u8 | if step { codes::UPDATE4_STEP } else { 0 };
        let mut record =
            Update4 { header: header(Opcode::Update4, flags, 0, 0), ..Update4::default() };
        for (k, &(index, generation, hi)) in items.iter().enumerate() {
            *record.item_mut(k) =
                Update4Item { index: index.into(), generation: generation.into(), hi: hi.into() };
        }
        Self::new(&record)
    }
}

impl From<Add> for Cmd {
    fn from(add: Add) -> Self {
        Self::new(&add)
    }
}

impl fmt::Debug for Cmd {
    /// Salt and key are left out, here too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, dword) in self.dwords().iter().take(22).enumerate() {
            write!(f, "{}{dword:x}", if k == 0 { "[" } else { " " })?;
        }
        f.write_str("]")
    }
}

fn header(opcode: Opcode, flags: u8, index: u32, generation: u32) -> Header {
    Header {
        opcode: opcode as u8,
        flags,
        index: index.into(),
        generation: generation.into(),
        ..Header::default()
    }
}

fn bare(opcode: Opcode, index: u32, generation: u32) -> Bare {
    Bare { header: header(opcode, 0, index, generation), ..Bare::default() }
}

/// A plain inbound ESP tunnel with ESN, `top` 0:00000000 known; a key and salt of its own.
pub fn esp(index: u32, generation: u32) -> Add {
    let mut random = fastrand::Rng::with_seed(u64::from(index) << 32 | u64::from(generation));
    Add {
        header: header(Opcode::Add, 0, index, generation),
        spi: (0x0100_0000 + index * 16 + 1).into(),
        protocol: Protocol::Esp as u8,
        direction: Direction::In as u8,
        mode: Mode::Tunnel as u8,
        algorithm: Algorithm::AesGcm256 as u8,
        icv_len: 16,
        family: 4,
        sa_flags: codes::SA_ESN.into(),
        replay_window: 64.into(),
        src: [192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        dst: [198, 51, 100, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        second_opcode: Opcode::AddSecond as u8,
        second_flags: codes::ADD_LO_VALID,
        peer: NO_PEER.into(),
        salt: std::array::from_fn(|_| random.u8(1..)),
        key: std::array::from_fn(|_| random.u8(1..)),
        ..Add::default()
    }
}

/// [`esp`] with a `top` of its own; without `valid`, `lo` has to be 0.
pub fn esp_at(index: u32, generation: u32, hi: u32, lo: u32, valid: bool) -> Add {
    Add { hi: hi.into(), lo: lo.into(), second_flags: valid.into(), ..esp(index, generation) }
}

/// What BAR 2 shows of the entry that `add` makes (§5), byte by byte.
pub fn live_view(add: &Add) -> LiveView {
    let from = add.as_bytes();
    let mut bytes = [0; LiveView::LEN];
    bytes[0] = SlotState::Live as u8;
    bytes[8..64].copy_from_slice(&from[8..64]);
    bytes[65] = from[65];
    bytes[72..88].copy_from_slice(&from[72..88]);
    LiveView::read_from_bytes(&bytes).expect("128 bytes")
}

/// DIGEST as §4.2 words it: quadwords 1..10, each turned left by six more than the one before.
pub fn digest_of(view: &LiveView) -> u64 {
    let mut sum = 0u64;
    for k in 1..=10usize {
        let mut quadword = [0; 8];
        quadword.copy_from_slice(&view.as_bytes()[8 * k..8 * k + 8]);
        let turned = u128::from(u64::from_le_bytes(quadword)) << (6 * k);
        sum ^= turned as u64 | (turned >> 64) as u64;
    }
    sum
}
