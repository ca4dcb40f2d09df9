// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Commands as bytes, and what must come back for each.

use esnic_abi::{
    ADD_LO_VALID, Add, Algorithm, Bare, Direction, Header, LiveView, Mode, NO_PEER, Opcode,
    Protocol, QUERY_RECORD, Query, SA_ESN, SlotState, Update, Update4, Update4Item, UpdateMode,
    digest,
};
use zerocopy::{FromBytes, IntoBytes};

/// What `INSTANCE` is set to; its low half is the epoch of every command.
pub(crate) const INSTANCE: u64 = 0x0123_4567_89AB_0051;

/// Epoch of every command.
#[allow(clippy::cast_possible_truncation)]
pub(crate) const EPOCH: u16 = INSTANCE as u16;

/// A command that is ready to be posted but for its cookie, which the queue pair gives.
pub(crate) struct Command {
    /// One or two slots of a ring.
    pub(crate) bytes: [u8; 128],
    /// How many.
    pub(crate) slots: u32,
    pub(crate) answer: Answer,
}

/// The only answer that is taken: everything is predictable, because one host knows all there is.
#[derive(Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) opcode: Opcode,
    pub(crate) result: u64,
    /// It also writes a record about this SA slot.
    pub(crate) record: Option<u32>,
}

impl Command {
    fn new(record: &[u8], opcode: Opcode, result: u64) -> Self {
        let mut bytes = [0; 128];
        bytes[..record.len()].copy_from_slice(record);
        let slots = if record.len() == 128 { 2 } else { 1 };
        Self { bytes, slots, answer: Answer { opcode, result, record: None } }
    }

    /// Writes the cookie to where the command has it.
    pub(crate) fn set_cookie(&mut self, cookie: u32) {
        self.bytes[4..8].copy_from_slice(&cookie.to_le_bytes());
        if self.slots == 2 {
            self.bytes[68..72].copy_from_slice(&cookie.to_le_bytes());
        }
    }
}

fn header(opcode: Opcode, flags: u8, index: u32, generation: u32) -> Header {
    Header {
        opcode: opcode as u8,
        flags,
        epoch: EPOCH.into(),
        cookie: 0.into(),
        index: index.into(),
        generation: generation.into(),
    }
}

const fn spi(index: u32) -> u32 {
    0x1000 + index
}

/// High half of `top` with which an element begins.
const fn first_hi(index: u32) -> u32 {
    index + 1
}

/// `top` while only high halves were told.
const fn top(hi: u32) -> u64 {
    (hi as u64) << 32
}

/// ADD of an ESP tunnel with the longest key.
pub(crate) fn add(index: u32, generation: u32) -> Command {
    let mut add = Add {
        header: header(Opcode::Add, 0, index, generation),
        spi: spi(index).into(),
        protocol: Protocol::Esp as u8,
        direction: Direction::Out as u8,
        mode: Mode::Tunnel as u8,
        algorithm: Algorithm::AesGcm256 as u8,
        icv_len: 16,
        family: 4,
        sa_flags: SA_ESN.into(),
        replay_window: 64.into(),
        second_opcode: Opcode::AddSecond as u8,
        second_flags: ADD_LO_VALID,
        second_epoch: EPOCH.into(),
        hi: first_hi(index).into(),
        peer: NO_PEER.into(),
        salt: [0x5A; 4],
        key: [0xA5; 32],
        ..Add::default()
    };
    add.src[..4].copy_from_slice(&[10, 0, 0, 1]);
    add.dst[..4].copy_from_slice(&[10, 9, 0, 1]);
    // The entry shows bytes 8..87 of the command, but for what is only of the command (4.2).
    let mut view = [0; LiveView::LEN];
    view[..88].copy_from_slice(&add.as_bytes()[..88]);
    let mut view = LiveView::read_from_bytes(&view).unwrap_or_default();
    view.state = SlotState::Live as u8;
    view.rsvd1 = 0;
    view.rsvd2 = 0;
    view.rsvd3 = [0; 6];
    view.lo_valid = 1;
    Command::new(add.as_bytes(), Opcode::Add, digest(&view))
}

/// DELETE of an element that was not updated since its ADD.
pub(crate) fn delete(index: u32, generation: u32) -> Command {
    let header = header(Opcode::Delete, 0, index, generation);
    let bare = Bare { header, ..Bare::default() };
    Command::new(bare.as_bytes(), Opcode::Delete, top(first_hi(index)))
}

/// QUERY of an element that was not updated since its ADD.
pub(crate) fn query(index: u32, generation: u32) -> Command {
    let header = header(Opcode::Query, 0, index, generation);
    let query = Query { header, ..Query::default() };
    Command::new(query.as_bytes(), Opcode::Query, top(first_hi(index)))
}

/// The same, with the record to this address.
pub(crate) fn query_record(index: u32, generation: u32, address: u64) -> Command {
    let header = header(Opcode::Query, QUERY_RECORD, index, generation);
    let query = Query { header, record_addr: address.into(), ..Query::default() };
    let mut command = Command::new(query.as_bytes(), Opcode::Query, top(first_hi(index)));
    command.answer.record = Some(index);
    command
}

/// UPDATE to a high half that no element ever had, as IPsecOV2 does.
pub(crate) fn update(index: u32, generation: u32, hi: u32) -> Command {
    let update = Update {
        header: header(Opcode::Update, 0, index, generation),
        spi: spi(index).into(),
        protocol: Protocol::Esp as u8,
        mode: UpdateMode::Hi as u8,
        hi: hi.into(),
        ..Update::default()
    };
    Command::new(update.as_bytes(), Opcode::Update, top(hi))
}

/// Four of them in one command, to high halves from `hi` on.
pub(crate) fn update4(indexes: [u32; 4], generation: u32, hi: u32) -> Command {
    let mut update = Update4 { header: header(Opcode::Update4, 4, 0, 0), ..Update4::default() };
    for (k, index) in (0..).zip(indexes) {
        *update.item_mut(k as usize) =
            Update4Item { index: index.into(), generation: generation.into(), hi: (hi + k).into() };
    }
    // Every item is OK, and every one changed its entry.
    Command::new(update.as_bytes(), Opcode::Update4, 0xF << 32)
}
