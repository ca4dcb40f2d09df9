// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Commands as bytes. The only encoder: submission, retry and restore all come through here.

use crate::secret::Keys;
use esnic_abi::{
    ADD_LO_VALID, Add, Bare, Cookie, Epoch, Handle, Header, LiveView, Opcode, QUERY_RECORD, Query,
    RESOLVE_COMMIT, Resolve, UPDATE_CAS, UPDATE_MONOTONE, Update as Record, Update4, UpdateMode,
};
use zerocopy::FromBytes;

/// What every command begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) epoch: Epoch,
    pub(crate) cookie: Cookie,
}

fn header(stamp: Stamp, opcode: Opcode, flags: u8, handle: Option<Handle>) -> Header {
    Header {
        opcode: opcode as u8,
        flags,
        epoch: stamp.epoch.0.into(),
        cookie: stamp.cookie.0.into(),
        index: handle.map_or(0, |h| h.index.0).into(),
        generation: handle.map_or(0, |h| h.generation.0).into(),
    }
}

/// ADD of what the shadow says, with the keys, written in place: no copy of a key stays behind.
pub(crate) fn add(bytes: &mut [u8; Add::LEN], stamp: Stamp, view: &LiveView, keys: Keys<'_>) {
    let handle =
        Handle::from_bits(u64::from(view.generation.get()) << 32 | u64::from(view.index.get()));
    let add = Add::mut_from_bytes(bytes).expect("it is 128 bytes");
    add.header = header(stamp, Opcode::Add, 0, Some(handle));
    add.spi = view.spi;
    add.protocol = view.protocol;
    add.direction = view.direction;
    add.mode = view.mode;
    add.algorithm = view.algorithm;
    add.icv_len = view.icv_len;
    add.family = view.family;
    add.sa_flags = view.sa_flags;
    add.udp_encap = view.udp_encap;
    add.replay_window = view.replay_window;
    add.src = view.src;
    add.dst = view.dst;
    add.second_opcode = Opcode::AddSecond as u8;
    add.second_flags = if view.lo_valid == 0 { 0 } else { ADD_LO_VALID };
    add.second_epoch = add.header.epoch;
    add.second_cookie = add.header.cookie;
    add.hi = view.hi;
    add.lo = view.lo;
    add.udp_src = view.udp_src;
    add.udp_dst = view.udp_dst;
    add.peer = view.peer;
    add.salt = *keys.salt;
    add.key = *keys.key;
}

/// What an UPDATE shall do (§7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which half, or both.
    pub mode: UpdateMode,
    /// The new value; its low half is used by [`UpdateMode::Top`] only.
    pub top: esnic_abi::Top,
    /// Only if the high half held is this one: makes a repetition harmless (R36).
    pub expected_hi: Option<u32>,
    /// Never backward.
    pub monotone: bool,
}

impl Change {
    /// Gives the high half alone, as IPsecOV2's UPDATE_SA does.
    #[must_use]
    pub const fn hi(hi: u32) -> Self {
        Self {
            mode: UpdateMode::Hi,
            top: esnic_abi::Top::new(hi, 0),
            expected_hi: None,
            monotone: false,
        }
    }

    /// Gives both halves.
    #[must_use]
    pub const fn top(top: esnic_abi::Top) -> Self {
        Self { mode: UpdateMode::Top, top, expected_hi: None, monotone: false }
    }

    /// Gives the high half and forgets the low one.
    #[must_use]
    pub const fn resync(hi: u32) -> Self {
        Self { mode: UpdateMode::Resync, ..Self::hi(hi) }
    }

    /// Only if the high half held is `hi`.
    #[must_use]
    pub const fn expecting(mut self, hi: u32) -> Self {
        self.expected_hi = Some(hi);
        self
    }

    /// Never backward.
    #[must_use]
    pub const fn forward_only(mut self) -> Self {
        self.monotone = true;
        self
    }

    /// Whether UPDATE4 can carry it.
    pub(crate) fn is_compact(self) -> bool {
        self.mode == UpdateMode::Hi && self.expected_hi.is_none() && !self.monotone
    }
}

pub(crate) fn update(
    stamp: Stamp,
    handle: Handle,
    spi: u32,
    protocol: u8,
    change: Change,
) -> Record {
    let mut flags = 0;
    if change.expected_hi.is_some() {
        flags |= UPDATE_CAS;
    }
    if change.monotone {
        flags |= UPDATE_MONOTONE;
    }
    let lo = if change.mode == UpdateMode::Top { change.top.lo() } else { 0 };
    Record {
        header: header(stamp, Opcode::Update, flags, Some(handle)),
        spi: spi.into(),
        protocol,
        mode: change.mode as u8,
        hi: change.top.hi().into(),
        lo: lo.into(),
        expected_hi: change.expected_hi.unwrap_or(0).into(),
        ..Record::default()
    }
}

/// Up to four updates in mode HI.
pub(crate) fn update4(stamp: Stamp, items: &[(Handle, u32)]) -> Update4 {
    #[allow(clippy::cast_possible_truncation)]
    let count = items.len() as u8;
    let mut command =
        Update4 { header: header(stamp, Opcode::Update4, count, None), ..Update4::default() };
    for (k, (handle, hi)) in items.iter().enumerate() {
        let item = command.item_mut(k);
        item.index = handle.index.0.into();
        item.generation = handle.generation.0.into();
        item.hi = (*hi).into();
    }
    command
}

pub(crate) fn delete(stamp: Stamp, handle: Handle) -> Bare {
    Bare { header: header(stamp, Opcode::Delete, 0, Some(handle)), ..Bare::default() }
}

pub(crate) fn query(stamp: Stamp, handle: Handle, record: Option<u64>) -> Query {
    let flags = if record.is_some() { QUERY_RECORD } else { 0 };
    Query {
        header: header(stamp, Opcode::Query, flags, Some(handle)),
        record_addr: record.unwrap_or(0).into(),
        ..Query::default()
    }
}

pub(crate) fn resolve(stamp: Stamp, handle: Handle, seq: u32, commit: bool) -> Resolve {
    let flags = if commit { RESOLVE_COMMIT } else { 0 };
    Resolve {
        header: header(stamp, Opcode::Resolve, flags, Some(handle)),
        seq: seq.into(),
        ..Resolve::default()
    }
}

/// Quadwords of a command that the direct path must store: as many as the device asks for, rounded
/// up (§4.1).
pub(crate) fn staged_quadwords(opcode: Opcode, command: &[u8]) -> usize {
    match opcode {
        Opcode::Add => Add::LEN / 8,
        // Dword 8 only with CAS.
        Opcode::Update if command[1] & UPDATE_CAS != 0 => 5,
        Opcode::Update => 4,
        Opcode::Query if command[1] & QUERY_RECORD != 0 => 3,
        Opcode::Resolve => 3,
        _ => 2,
    }
}
