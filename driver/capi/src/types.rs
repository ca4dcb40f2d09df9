// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Structures of the header. None has padding: what is between members is a member, and 0.
#![allow(non_camel_case_types, reason = "they are called as in C")]

/// An open device. Never 0; never given out twice by one process.
pub type esnic_device = u64;

/// An SA, or a bundle of two, of one device: good from an add that succeeded until its deletion, also
/// across resets, and never again. Never 0. It does not say which device: another one has SAs with the
/// same handles.
pub type esnic_handle = u64;

/// A request under way. Never 0. It is used up by the outcome, or by esnic_ticket_drop.
pub type esnic_ticket = u64;

/// How to open a device. Everything but size and abi_version may be 0.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct esnic_config {
    /// sizeof(struct esnic_config).
    pub size: u32,
    /// ESNIC_ABI_VERSION.
    pub abi_version: u32,
    /// ESNIC_OPEN_ flags.
    pub flags: u32,
    /// Queue pairs to use; 0 for one. Threads that submit to different pairs do not meet.
    pub queue_pairs: u32,
    /// log2 of the slots of each submission ring; 0 for 8.
    pub sq_log2: u32,
    /// log2 of the entries of each completion ring: how many commands a pair can have under way.
    /// Tickets that are not used up: twice as many. 0 for 8.
    pub cq_log2: u32,
    /// SAs to keep track of; 0 for as many as the device has.
    pub max_sas: u32,
    /// Rows of the SA table of the device "model", a power of two from 2 to 1048576; 0 for 4096.
    /// 0 for any other device.
    pub model_rows: u32,
    /// How long a step may take where the library itself waits for commands or threads, in
    /// milliseconds; 0 for 1000.
    pub command_timeout_ms: u32,
    /// How long a reset may take, and coming up after it, in milliseconds; 0 for 1000.
    pub reset_timeout_ms: u32,
}

/// What a device is and can do.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct esnic_caps {
    /// sizeof(struct esnic_caps), before the call.
    pub size: u32,
    /// Version of the device's contract: major in the upper 16 bits, minor in the lower ones.
    pub contract: u32,
    /// Hash of the layout that the device speaks.
    pub abi_hash: u64,
    /// Rows of the SA table.
    pub sa_capacity: u32,
    /// Bundles that fit into an empty table.
    pub bundle_capacity: u32,
    /// SAs that there is room for now; a bundle takes two.
    pub room: u32,
    /// Queue pairs that the device has.
    pub queue_pairs: u32,
    /// Entries of the largest ring.
    pub ring_entries: u32,
    /// Doorbells of the direct path a queue pair.
    pub direct_entries: u32,
    /// Stage buffers of the direct path.
    pub stage_buffers: u32,
    /// Largest replay window, in packets.
    pub max_window: u32,
    /// ESNIC_FEATURE_ bits. Others are the driver's concern.
    pub features: u32,
    /// Bit a: algorithm a of enum esnic_algorithm. ESNIC_ICV_ bits.
    pub algorithms: u32,
    /// ESNIC_CAPS_ flags.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
    /// How the device is reached, ended by a 0; cut off if it is longer.
    pub name: [u8; 64],
}

/// One ESP or AH SA.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct esnic_sa {
    /// sizeof(struct esnic_sa).
    pub size: u32,
    /// SPI as a number, not 0: ntohl of what the packet has.
    pub spi: u32,
    /// enum esnic_protocol.
    pub protocol: u8,
    /// enum esnic_direction.
    pub direction: u8,
    /// enum esnic_mode.
    pub mode: u8,
    /// enum esnic_algorithm.
    pub algorithm: u8,
    /// Bytes of the integrity check value: 8, 12 or 16.
    pub icv_len: u8,
    /// 4 or 6: IP version of src and dst.
    pub family: u8,
    /// ESNIC_SA_ flags.
    pub flags: u16,
    /// Replay window in packets.
    pub replay_window: u32,
    /// UDP source port as a number; 0 without ESNIC_SA_UDP.
    pub udp_src: u16,
    /// UDP destination port as a number; 0 without ESNIC_SA_UDP.
    pub udp_dst: u16,
    /// Source address in the order of the wire, IPv4 in the first four bytes and 0 behind them;
    /// all 0 for any.
    pub src: [u8; 16],
    /// Destination address, in the same form.
    pub dst: [u8; 16],
    /// High half of the highest sequence number used so far; 0 without ESNIC_SA_ESN.
    pub hi: u32,
    /// Low half of it.
    pub lo: u32,
    /// Key and behind it the salt of four bytes, as KEYMAT has them (RFC 4106 section 8.1). Read
    /// during the call only. Wipe yours when you are done with it; the library wipes its copies.
    pub key: *const u8,
    /// Bytes at key: 20, 28 or 36, as the algorithm has it.
    pub key_len: u32,
    /// 0.
    pub reserved: u32,
}

/// How the sequence numbers of one element shall move.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct esnic_update {
    /// sizeof(struct esnic_update).
    pub size: u32,
    /// SPI that the element must have.
    pub spi: u32,
    /// enum esnic_protocol: which element of a bundle.
    pub protocol: u8,
    /// enum esnic_update_mode.
    pub mode: u8,
    /// ESNIC_UPDATE_ flags.
    pub flags: u16,
    /// With ESNIC_UPDATE_CAS: the high half that must be held. 0 without.
    pub expected_hi: u32,
    /// New high half.
    pub hi: u32,
    /// New low half with ESNIC_TOP; 0 without.
    pub lo: u32,
}

/// What the device said about a command.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct esnic_outcome {
    /// sizeof(struct esnic_outcome), before the call.
    pub size: u32,
    /// enum esnic_status.
    pub status: u32,
    /// ESNIC_OUTCOME_ flags.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
    /// Update and query: hi * 2^32 + lo that the device holds now, also with CONFLICT and BACKWARD.
    pub result: u64,
}

/// One request of a batch, and what became of it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct esnic_item {
    /// sizeof(struct esnic_item), the same in every item of a batch.
    pub size: u32,
    /// enum esnic_op.
    pub op: u32,
    /// Which SA.
    pub sa: esnic_handle,
    /// As in esnic_update, and 0 for a deletion.
    pub spi: u32,
    /// As in esnic_update, and 0 for a deletion.
    pub protocol: u8,
    /// As in esnic_update, and 0 for a deletion.
    pub mode: u8,
    /// As in esnic_update, and 0 for a deletion.
    pub flags: u16,
    /// As in esnic_update, and 0 for a deletion.
    pub expected_hi: u32,
    /// As in esnic_update, and 0 for a deletion.
    pub hi: u32,
    /// As in esnic_update, and 0 for a deletion.
    pub lo: u32,
    /// Out: what esnic_ticket_wait would return for this item. ESNIC_E_FULL: it was not sent.
    pub error: i32,
    /// Out: as in esnic_outcome.
    pub status: u32,
    /// Out: as in esnic_outcome. A batch of high halves is told whether each changed, not more.
    pub outcome_flags: u32,
    /// Out: as in esnic_outcome; 0 where a batch of high halves is not told.
    pub result: u64,
}

/// What the driver knows of an SA, without asking the device.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct esnic_known {
    /// sizeof(struct esnic_known), before the call.
    pub size: u32,
    /// enum esnic_state.
    pub state: u32,
    /// High half of the newest number known.
    pub hi: u32,
    /// Low half of it.
    pub lo: u32,
    /// ESNIC_KNOWN_ flags.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
}

/// What a reset with restore did.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct esnic_report {
    /// sizeof(struct esnic_report), before the call.
    pub size: u32,
    /// Elements that the device holds again.
    pub restored: u32,
    /// SAs that it does not.
    pub lost: u32,
    /// Commands that were under way, whose outcome is unknown.
    pub aborted: u32,
    /// Rows that were read back in full and are right.
    pub verified: u32,
    /// Rows that were read back and are not.
    pub differences: u32,
}
