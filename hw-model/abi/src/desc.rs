// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Records in memory: commands, completions, the views of an SA slot.
//!
//! Byte order, once for all:
//!
//! ```text
//! memory byte      0        1        2        3        4   …
//! packed struct  [7:0]   [15:8]  [23:16]  [31:24]  [39:32] …      byte n = bits [8n+7:8n]
//! integer 0x11223344 at byte 0:  44 33 22 11                      little-endian
//! address 10.9.0.1   at byte 32: 0a 09 00 01, then 12 zero bytes  wire order, never swapped
//! ```
//!
//! SPI and UDP ports are integers by value; addresses, keys and salts are byte arrays in wire order.
//! Members named `rsvd…` are zero when written, and are checked (status BAD_FIELD).

use crate::layout::Record;
use zerocopy::little_endian::{U16, U32, U64};

record! {
    /// First 16 bytes of every command.
    plain Header [16] {
        /// An Opcode.
        0 opcode: u8 as int,
        /// By opcode.
        1 flags: u8 as int,
        /// EPOCH of the instance that made the command.
        2 epoch: U16 as int,
        /// Comes back in the completion; bit 31 is 0.
        4 cookie: U32 as int,
        /// SA slot; 0 in NOP, FENCE, UPDATE4.
        8 index: U32 as int,
        /// Generation of the entry; 0 in NOP, FENCE, UPDATE4, QUERY with ANY.
        12 generation: U32 as int,
    }
}

record! {
    /// NOP, FENCE and DELETE: nothing but the header.
    plain Bare [64] {
        /// Opcode NOP, FENCE or DELETE.
        0 header: Header as record,
        /// Zero.
        16 rsvd0: [u8; 48] as bytes,
    }
}

record! {
    /// ADD: two slots, so that all of an entry arrives at once (R9). The only record with a key.
    secret Add [128] {
        /// Opcode ADD.
        0 header: Header as record,
        /// SPI, not 0.
        16 spi: U32 as int,
        /// A Protocol.
        20 protocol: u8 as int,
        /// A Direction.
        21 direction: u8 as int,
        /// A Mode.
        22 mode: u8 as int,
        /// An Algorithm.
        23 algorithm: u8 as int,
        /// Bytes of the integrity check value: 8, 12 or 16.
        24 icv_len: u8 as int,
        /// IP version of the addresses: 4 or 6.
        25 family: u8 as int,
        /// SA_ESN; other bits zero.
        26 sa_flags: U16 as int,
        /// A UdpEncap.
        28 udp_encap: u8 as int,
        /// Zero.
        29 rsvd0: u8 as int,
        /// Replay window in packets, kept exactly as given.
        30 replay_window: U16 as int,
        /// Source address; all zero means any.
        32 src: [u8; 16] as bytes,
        /// Destination address; all zero means any.
        48 dst: [u8; 16] as bytes,
        /// Opcode ADD_SECOND.
        64 second_opcode: u8 as int,
        /// ADD_LO_VALID; other bits zero.
        65 second_flags: u8 as int,
        /// As `header.epoch`.
        66 second_epoch: U16 as int,
        /// As `header.cookie`.
        68 second_cookie: U32 as int,
        /// High half of the highest number used so far.
        72 hi: U32 as int,
        /// Low half of it, 0 without ADD_LO_VALID.
        76 lo: U32 as int,
        /// UDP source port, by value.
        80 udp_src: U16 as int,
        /// UDP destination port, by value.
        82 udp_dst: U16 as int,
        /// Index of the bundle's other element, or NO_PEER. Kept and shown, not interpreted.
        84 peer: U32 as int,
        /// Salt of the nonce (RFC 4106 section 4).
        88 salt: [u8; 4] as bytes,
        /// Zero.
        92 rsvd1: [u8; 4] as bytes,
        /// Key; the rest is zero.
        96 key: [u8; 32] as bytes,
    }
}

record! {
    /// UPDATE: moves `top` of one entry (§7).
    plain Update [64] {
        /// Opcode UPDATE.
        0 header: Header as record,
        /// SPI that the entry must have.
        16 spi: U32 as int,
        /// Protocol that the entry must have.
        20 protocol: u8 as int,
        /// An UpdateMode.
        21 mode: u8 as int,
        /// Zero.
        22 rsvd0: U16 as int,
        /// New high half.
        24 hi: U32 as int,
        /// New low half; mode TOP only.
        28 lo: U32 as int,
        /// High half that must be held; UPDATE_CAS only.
        32 expected_hi: U32 as int,
        /// Zero.
        36 rsvd1: [u8; 28] as bytes,
    }
}

record! {
    /// One item of UPDATE4: an UPDATE in mode HI.
    plain Update4Item [12] {
        /// SA slot.
        0 index: U32 as int,
        /// Generation of the entry.
        4 generation: U32 as int,
        /// New high half.
        8 hi: U32 as int,
    }
}

record! {
    /// UPDATE4: up to four updates in one slot.
    plain Update4 [64] {
        /// Opcode UPDATE4; the number of items is in the flags.
        0 header: Header as record,
        /// First item.
        16 item0: Update4Item as record,
        /// Second item; zero if unused.
        28 item1: Update4Item as record,
        /// Third item; zero if unused.
        40 item2: Update4Item as record,
        /// Fourth item; zero if unused.
        52 item3: Update4Item as record,
    }
}

impl Update4 {
    /// Most items in one command.
    pub const MAX_ITEMS: usize = 4;

    /// The items as an array.
    #[must_use]
    pub const fn items(&self) -> [Update4Item; Self::MAX_ITEMS] {
        [self.item0, self.item1, self.item2, self.item3]
    }

    /// Item `k`, for writing.
    ///
    /// # Panics
    /// If `k` is not below [`Self::MAX_ITEMS`].
    pub const fn item_mut(&mut self, k: usize) -> &mut Update4Item {
        match k {
            0 => &mut self.item0,
            1 => &mut self.item1,
            2 => &mut self.item2,
            3 => &mut self.item3,
            _ => panic!("UPDATE4 has four items"),
        }
    }
}

record! {
    /// QUERY: reads an entry.
    plain Query [64] {
        /// Opcode QUERY.
        0 header: Header as record,
        /// Where the record goes; QUERY_RECORD only. 128-byte aligned.
        16 record_addr: U64 as int,
        /// Zero.
        24 rsvd0: [u8; 40] as bytes,
    }
}

record! {
    /// RESOLVE: asks which 64-bit number a number from the wire stands for.
    plain Resolve [64] {
        /// Opcode RESOLVE.
        0 header: Header as record,
        /// Sequence number from the wire.
        16 seq: U32 as int,
        /// Zero.
        20 rsvd0: [u8; 44] as bytes,
    }
}

record! {
    /// A completion. Its bytes 8..15 become visible no earlier than 0..7 (R12).
    plain Completion [16] {
        /// By command; `top` is `hi·2^32 + lo`.
        0 result: U64 as int,
        /// Cookie of the command.
        8 cookie: U32 as int,
        /// Low 16 bits of SQ_HEAD: slots before it were fetched (R10).
        12 sq_head: U16 as int,
        /// A Status.
        14 status: u8 as int,
        /// What else there is to say.
        15 info: u8 as int {
            /// Opcode of the command; 0 with status STAGE.
            OPCODE[4:0],
            /// `lo_valid` of the entry after the command.
            LO_VALID[5:5],
            /// The command altered the entry.
            CHANGED[6:6],
            /// Phase of this round of the ring (R6).
            PHASE[7:7],
        },
    }
}

record! {
    /// What reading an SA slot in BAR 2 gives: never a salt or key byte.
    plain LiveView [128] {
        /// A SlotState. Not LIVE: bytes from 16 on are zero.
        0 state: u8 as int,
        /// Zero.
        1 rsvd0: [u8; 7] as bytes,
        /// The slot's own number.
        8 index: U32 as int,
        /// Generation of the last ADD that wrote the row.
        12 generation: U32 as int,
        /// As in ADD.
        16 spi: U32 as int,
        /// As in ADD.
        20 protocol: u8 as int,
        /// As in ADD.
        21 direction: u8 as int,
        /// As in ADD.
        22 mode: u8 as int,
        /// As in ADD.
        23 algorithm: u8 as int,
        /// As in ADD.
        24 icv_len: u8 as int,
        /// As in ADD.
        25 family: u8 as int,
        /// As in ADD.
        26 sa_flags: U16 as int,
        /// As in ADD.
        28 udp_encap: u8 as int,
        /// Zero.
        29 rsvd1: u8 as int,
        /// As in ADD.
        30 replay_window: U16 as int,
        /// As in ADD.
        32 src: [u8; 16] as bytes,
        /// As in ADD.
        48 dst: [u8; 16] as bytes,
        /// Zero.
        64 rsvd2: u8 as int,
        /// Bit 0: `lo` is known.
        65 lo_valid: u8 as int,
        /// Zero.
        66 rsvd3: [u8; 6] as bytes,
        /// High half of `top`.
        72 hi: U32 as int,
        /// Low half of `top`.
        76 lo: U32 as int,
        /// As in ADD.
        80 udp_src: U16 as int,
        /// As in ADD.
        82 udp_dst: U16 as int,
        /// As in ADD.
        84 peer: U32 as int,
        /// Zero, always: salt and key live here and are not shown (R33).
        88 rsvd4: [u8; 40] as bytes,
    }
}

record! {
    /// What QUERY writes: the live view up to byte 87, then counters (0 without a datapath).
    plain QueryRecord [128] {
        /// Bytes 0..87 of the live view.
        0 view: [u8; 88] as bytes,
        /// Packets that used the entry.
        88 packets: U64 as int,
        /// Bytes of them.
        96 bytes: U64 as int,
        /// Packets that failed authentication.
        104 auth_fail: U32 as int,
        /// Packets that were replays.
        108 replay_drop: U32 as int,
        /// Zero.
        112 rsvd0: [u8; 16] as bytes,
    }
}

record! {
    /// An entry of the direct doorbell ring. It counts once both dwords carry the lap that is due.
    plain DirectEntry [8] {
        /// Which SA.
        0 target: U32 as int {
            /// SA slot.
            INDEX[23:0],
            /// Low 7 bits of EPOCH.
            EPOCH[30:24],
            /// 1 in the first round of the ring, 0 in the second, and so on.
            TARGET_LAP[31:31],
        },
        /// Which command.
        4 claim: U32 as int {
            /// Cookie of the staged command.
            COOKIE[30:0],
            /// As TARGET_LAP.
            CLAIM_LAP[31:31],
        },
    }
}

/// Every record, as data; a record follows those it contains.
pub const RECORDS: &[Record] = &[
    Header::RECORD,
    Bare::RECORD,
    Add::RECORD,
    Update::RECORD,
    Update4Item::RECORD,
    Update4::RECORD,
    Query::RECORD,
    Resolve::RECORD,
    Completion::RECORD,
    LiveView::RECORD,
    QueryRecord::RECORD,
    DirectEntry::RECORD,
];
