// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Numbers with names. Those of the device's contract are written out here, since the header is
//! printed from the text, and held against the contract by the test below.
#![allow(non_camel_case_types, reason = "they are called as in C")]

/// Major version of this interface: one that differs does not fit.
pub const ESNIC_ABI_MAJOR: u32 = 1;
/// Minor version of this interface: grows when functions, codes or members are added.
pub const ESNIC_ABI_MINOR: u32 = 0;
/// Version of this header, for esnic_config.abi_version.
pub const ESNIC_ABI_VERSION: u32 = (ESNIC_ABI_MAJOR << 16) | ESNIC_ABI_MINOR;

/// What functions return: 0, or why not, which is negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum esnic_error {
    /// Done.
    ESNIC_OK = 0,
    /// An argument makes no sense: NULL, a number out of range, an unknown flag, reserved bytes in use.
    ESNIC_E_INVALID = -1,
    /// A structure says a size that it cannot have, or uses members that this library does not know.
    ESNIC_E_SIZE = -2,
    /// Header and library do not fit.
    ESNIC_E_VERSION = -3,
    /// No open device has this number.
    ESNIC_E_HANDLE = -4,
    /// There is no such ticket of this device, or it was used up.
    ESNIC_E_TICKET = -5,
    /// Somebody else is at it: another thread has the ticket, the interrupt or the reset, or the SA
    /// has commands outstanding by the other path. Try again after esnic_poll.
    ESNIC_E_BUSY = -6,
    /// There is no room for another request now: esnic_poll, use up tickets, try again.
    ESNIC_E_FULL = -7,
    /// Every slot of the SA table is taken.
    ESNIC_E_TABLE_FULL = -8,
    /// No live SA has this handle.
    ESNIC_E_NOT_FOUND = -9,
    /// The SA has no element of this protocol, or it has another SPI, or no extended sequence numbers.
    ESNIC_E_MISMATCH = -10,
    /// The device does not hold the SA any more: delete it and add it again.
    ESNIC_E_LOST = -11,
    /// The device cannot take the SA; keep it in software.
    ESNIC_E_UNSUPPORTED = -12,
    /// The device is being reset, or closed.
    ESNIC_E_CLOSED = -13,
    /// There is no outcome yet. The ticket stays good.
    ESNIC_E_PENDING = -14,
    /// The time is over, and there is no outcome. The command may still be carried out, the ticket
    /// stays good.
    ESNIC_E_TIMEOUT = -15,
    /// The device refused: see esnic_outcome.status. The ticket is used up.
    ESNIC_E_REFUSED = -16,
    /// A reset came between; whether the command took effect does not matter any more, since the
    /// table was put back without it. The ticket is used up.
    ESNIC_E_ABORTED = -17,
    /// At least one item of the batch did not succeed: see esnic_item.error of each.
    ESNIC_E_ITEMS = -18,
    /// The device is gone, stopped, broken, or none of esnic's: see esnic_last_error, then try
    /// esnic_recover.
    ESNIC_E_DEVICE = -19,
    /// The host refuses: no such device, no permission, no memory, no file left.
    ESNIC_E_HOST = -20,
    /// There is no such file to sleep on: interrupts are off, or the device is in this process.
    ESNIC_E_NO_EVENT = -21,
    /// A bug in esnic, which has said on standard error where.
    ESNIC_E_INTERNAL = -22,
}

/// How the device ended a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum esnic_status {
    /// Done.
    ESNIC_STATUS_OK = 0,
    /// Direct path: what is staged and what the doorbell names do not belong together.
    ESNIC_STATUS_STAGE = 1,
    /// Unknown or not offered.
    ESNIC_STATUS_BAD_OPCODE = 2,
    /// The command was made for another instance.
    ESNIC_STATUS_BAD_EPOCH = 3,
    /// An ADD without its second half.
    ESNIC_STATUS_BAD_PAIR = 4,
    /// A member is out of range.
    ESNIC_STATUS_BAD_FIELD = 5,
    /// There is no such row.
    ESNIC_STATUS_BAD_INDEX = 6,
    /// Valid, but not offered by this device.
    ESNIC_STATUS_UNSUPPORTED = 7,
    /// The row is taken.
    ESNIC_STATUS_OCCUPIED = 8,
    /// The row has had a newer generation.
    ESNIC_STATUS_OLD_GENERATION = 9,
    /// The row is being deleted already.
    ESNIC_STATUS_DRAINING = 10,
    /// The row holds nothing.
    ESNIC_STATUS_EMPTY = 11,
    /// The row holds an SA of another generation.
    ESNIC_STATUS_STALE = 12,
    /// The SA has another protocol.
    ESNIC_STATUS_WRONG_PROTO = 13,
    /// The SA has another SPI.
    ESNIC_STATUS_WRONG_SPI = 14,
    /// The SA has no extended sequence numbers.
    ESNIC_STATUS_NOT_ESN = 15,
    /// Compare-and-set: another high half is held, which the result has; nothing changed.
    ESNIC_STATUS_CONFLICT = 16,
    /// Monotone: the new value is below the held one, which the result has; nothing changed.
    ESNIC_STATUS_BACKWARD = 17,
    /// What was read back is not what was written.
    ESNIC_STATUS_VERIFY = 18,
    /// The device could not write a record.
    ESNIC_STATUS_DMA_ERROR = 19,
    /// Never in an outcome: items are reported one by one.
    ESNIC_STATUS_ITEMS = 20,
}

/// IPsec protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum esnic_protocol {
    /// Authentication header (RFC 4302).
    ESNIC_AH = 1,
    /// Encapsulating security payload (RFC 4303).
    ESNIC_ESP = 2,
}

/// Which packets an SA is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum esnic_direction {
    /// From the network.
    ESNIC_IN = 1,
    /// To the network.
    ESNIC_OUT = 2,
}

/// What is inside (RFC 4301 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum esnic_mode {
    /// An upper-layer payload.
    ESNIC_TRANSPORT = 1,
    /// A whole IP packet.
    ESNIC_TUNNEL = 2,
}

/// Algorithm and length of its key. Number a is bit a of esnic_caps.algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum esnic_algorithm {
    /// AES-GCM, 128 bits (RFC 4106); ESP only.
    ESNIC_AES_GCM_128 = 1,
    /// AES-GCM, 192 bits (RFC 4106); ESP only.
    ESNIC_AES_GCM_192 = 2,
    /// AES-GCM, 256 bits (RFC 4106); ESP only.
    ESNIC_AES_GCM_256 = 3,
    /// AES-GMAC, 128 bits (RFC 4543); check value of 16 bytes.
    ESNIC_AES_GMAC_128 = 4,
    /// AES-GMAC, 192 bits (RFC 4543); check value of 16 bytes.
    ESNIC_AES_GMAC_192 = 5,
    /// AES-GMAC, 256 bits (RFC 4543); check value of 16 bytes.
    ESNIC_AES_GMAC_256 = 6,
}

/// What an update gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum esnic_update_mode {
    /// The high half alone, as IPsecOV2's UPDATE_SA does. The one that is held changes nothing. The next
    /// one, where the low half is 2^31 or more, is the wrap: the low half begins at 0. Any other one
    /// is taken as told, and the low half is not known any more.
    ESNIC_HI = 0,
    /// Both halves.
    ESNIC_TOP = 1,
    /// The high half, and the low one is not known any more.
    ESNIC_RESYNC = 2,
}

/// In which state of its life an SA is, as the driver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum esnic_state {
    /// It is on its way to the device.
    ESNIC_ADDING = 1,
    /// The device has it.
    ESNIC_LIVE = 2,
    /// It is being deleted.
    ESNIC_DELETING = 3,
    /// It is deleted, and the device has not carried that out yet.
    ESNIC_DEAD = 4,
    /// The device does not have it, though it should.
    ESNIC_LOST = 5,
}

/// Kinds of items of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum esnic_op {
    /// As esnic_update.
    ESNIC_OP_UPDATE = 1,
    /// As esnic_delete.
    ESNIC_OP_DELETE = 2,
}

/// esnic_config.flags: turn interrupts on. Waits sleep then, and esnic_event_fd works.
pub const ESNIC_OPEN_INTERRUPTS: u32 = 1;
/// esnic_config.flags: keys may be in memory that is swapped out, if the limit of locked memory
/// (ulimit -l) asks for it. For test keys.
pub const ESNIC_OPEN_SWAPPABLE_KEYS: u32 = 2;

/// esnic_sa.flags: extended sequence numbers (RFC 4303 section 2.2.1).
pub const ESNIC_SA_ESN: u16 = 1;
/// esnic_sa.flags: lo is known. Without, lo is 0.
pub const ESNIC_SA_LO_KNOWN: u16 = 2;
/// esnic_sa.flags: ESP inside UDP, with udp_src and udp_dst (RFC 3948).
pub const ESNIC_SA_UDP: u16 = 4;

/// esnic_update.flags: only if the high half that is held is expected_hi.
pub const ESNIC_UPDATE_CAS: u16 = 1;
/// esnic_update.flags: never backward.
pub const ESNIC_UPDATE_MONOTONE: u16 = 2;

/// esnic_outcome.flags: the command altered the SA.
pub const ESNIC_OUTCOME_CHANGED: u32 = 1;
/// esnic_outcome.flags: the low half is known after the command.
pub const ESNIC_OUTCOME_LO_KNOWN: u32 = 2;

/// esnic_known.flags: the low half is known.
pub const ESNIC_KNOWN_LO: u32 = 1;

/// esnic_caps.flags: keys are in memory that is never swapped out.
pub const ESNIC_CAPS_KEYS_LOCKED: u32 = 1;

/// Flags of esnic_recover: read every row back in full, not a sample of 64.
pub const ESNIC_RECOVER_VERIFY_ALL: u32 = 1;

/// Most items of one batch.
pub const ESNIC_MAX_ITEMS: u32 = 65536;

/// esnic_caps.features: extended sequence numbers.
pub const ESNIC_FEATURE_ESN: u32 = 1 << 5;
/// esnic_caps.features: AH, and with it bundles.
pub const ESNIC_FEATURE_AH: u32 = 1 << 6;
/// esnic_caps.features: ESP.
pub const ESNIC_FEATURE_ESP: u32 = 1 << 7;
/// esnic_caps.features: IPv4.
pub const ESNIC_FEATURE_IPV4: u32 = 1 << 8;
/// esnic_caps.features: IPv6.
pub const ESNIC_FEATURE_IPV6: u32 = 1 << 9;
/// esnic_caps.features: transport mode.
pub const ESNIC_FEATURE_TRANSPORT: u32 = 1 << 10;
/// esnic_caps.features: tunnel mode.
pub const ESNIC_FEATURE_TUNNEL: u32 = 1 << 11;
/// esnic_caps.features: transport mode inside UDP.
pub const ESNIC_FEATURE_UDP_TRANSPORT: u32 = 1 << 12;
/// esnic_caps.features: tunnel mode inside UDP.
pub const ESNIC_FEATURE_UDP_TUNNEL: u32 = 1 << 13;

/// esnic_caps.algorithms: check values of 8 bytes.
pub const ESNIC_ICV_8: u32 = 1 << 16;
/// esnic_caps.algorithms: check values of 12 bytes.
pub const ESNIC_ICV_12: u32 = 1 << 17;
/// esnic_caps.algorithms: check values of 16 bytes.
pub const ESNIC_ICV_16: u32 = 1 << 18;

#[cfg(test)]
#[path = "codes/tests.rs"]
mod tests;
