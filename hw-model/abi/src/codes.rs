// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Enumerations and named numbers of the contract.

use crate::layout::Codes;

codes! {
    /// What a command asks for.
    Opcode: u8 bits 5 {
        /// Does nothing; completes. Fills the odd slot before an ADD. Ring only.
        Nop = 0x01 "NOP",
        /// Completes after the completions of all earlier ring commands of its pair. Ring only.
        Fence = 0x02 "FENCE",
        /// Makes an entry live. 128 bytes.
        Add = 0x10 "ADD",
        /// The second half of ADD; never a command of its own.
        AddSecond = 0x11 "ADD_SECOND",
        /// Moves `top`, and nothing else, of a live entry.
        Update = 0x12 "UPDATE",
        /// Up to four UPDATEs in mode HI. Ring only.
        Update4 = 0x13 "UPDATE4",
        /// Drains, zeroes and frees an entry.
        Delete = 0x14 "DELETE",
        /// Reads an entry, never its key.
        Query = 0x15 "QUERY",
        /// Applies the ESN rule to a sequence number from the wire.
        Resolve = 0x16 "RESOLVE",
    }
}

codes! {
    /// How a command ended. The numbers are also the order of checking: the first that applies.
    Status: u8 bits 8 {
        /// Done.
        Ok = 0 "OK",
        /// Direct path: what is staged and what the doorbell names do not belong together.
        Stage = 1 "STAGE",
        /// Unknown opcode, not offered, or not allowed on this path; a lone second half.
        BadOpcode = 2 "BAD_OPCODE",
        /// The command was made for another instance.
        BadEpoch = 3 "BAD_EPOCH",
        /// ADD without its second half, or on an odd ring slot.
        BadPair = 4 "BAD_PAIR",
        /// Reserved bits set, an enumeration out of range, or a forbidden combination.
        BadField = 5 "BAD_FIELD",
        /// The index is not below `SA_CAPACITY`.
        BadIndex = 6 "BAD_INDEX",
        /// Valid, but not in FEATURES, ALGS or MAX_WINDOW.
        Unsupported = 7 "UNSUPPORTED",
        /// ADD to a slot that is not FREE.
        Occupied = 8 "OCCUPIED",
        /// ADD with a generation that is not newer than the last one (R21).
        OldGeneration = 9 "OLD_GENERATION",
        /// DELETE of an entry that is draining already.
        Draining = 10 "DRAINING",
        /// There is no such live entry.
        Empty = 11 "EMPTY",
        /// The slot holds an entry of another generation.
        Stale = 12 "STALE",
        /// UPDATE names another protocol than the entry has.
        WrongProto = 13 "WRONG_PROTO",
        /// UPDATE names another SPI than the entry has.
        WrongSpi = 14 "WRONG_SPI",
        /// UPDATE of an entry without extended sequence numbers.
        NotEsn = 15 "NOT_ESN",
        /// Compare-and-set: another high half is held; nothing changed.
        Conflict = 16 "CONFLICT",
        /// MONOTONE: the new value is below the held one; nothing changed.
        Backward = 17 "BACKWARD",
        /// What was read back differs from what was written; the slot is BAD now.
        Verify = 18 "VERIFY",
        /// The record of a QUERY could not be written.
        DmaError = 19 "DMA_ERROR",
        /// UPDATE4: at least one item is not OK; the result has each item's status.
        Items = 20 "ITEMS",
    }
}

codes! {
    /// IPsec protocol of an element.
    Protocol: u8 bits 8 {
        /// Authentication header (RFC 4302).
        Ah = 1 "AH",
        /// Encapsulating security payload (RFC 4303).
        Esp = 2 "ESP",
    }
}

codes! {
    /// Which packets an element is for.
    Direction: u8 bits 8 {
        /// Packets that come from the network.
        In = 1 "IN",
        /// Packets that go to the network.
        Out = 2 "OUT",
    }
}

codes! {
    /// What is inside the IPsec header (RFC 4301 section 4.1).
    Mode: u8 bits 8 {
        /// An upper-layer payload.
        Transport = 1 "TRANSPORT",
        /// A whole IP packet.
        Tunnel = 2 "TUNNEL",
    }
}

codes! {
    /// Algorithm and key length. Number a is bit a of `ALGS`.
    Algorithm: u8 bits 8 {
        /// AES-GCM with a 128-bit key (RFC 4106); ESP only.
        AesGcm128 = 1 "AES_GCM_128",
        /// AES-GCM with a 192-bit key (RFC 4106); ESP only.
        AesGcm192 = 2 "AES_GCM_192",
        /// AES-GCM with a 256-bit key (RFC 4106); ESP only.
        AesGcm256 = 3 "AES_GCM_256",
        /// AES-GMAC with a 128-bit key (RFC 4543); 16-byte ICV.
        AesGmac128 = 4 "AES_GMAC_128",
        /// AES-GMAC with a 192-bit key (RFC 4543); 16-byte ICV.
        AesGmac192 = 5 "AES_GMAC_192",
        /// AES-GMAC with a 256-bit key (RFC 4543); 16-byte ICV.
        AesGmac256 = 6 "AES_GMAC_256",
    }
}

impl Algorithm {
    /// Bytes of the key, salt not counted.
    #[must_use]
    pub const fn key_len_bytes(self) -> usize {
        match self {
            Self::AesGcm128 | Self::AesGmac128 => 16,
            Self::AesGcm192 | Self::AesGmac192 => 24,
            Self::AesGcm256 | Self::AesGmac256 => 32,
        }
    }

    /// Whether it only authenticates (RFC 4543).
    #[must_use]
    pub const fn is_gmac(self) -> bool {
        matches!(self, Self::AesGmac128 | Self::AesGmac192 | Self::AesGmac256)
    }
}

codes! {
    /// UDP encapsulation of ESP (RFC 3948); the numbers are IPsecOV2's.
    UdpEncap: u8 bits 8 {
        /// No UDP header.
        None = 0 "NONE",
        /// An ESP transport packet inside UDP.
        Transport = 1 "TRANSPORT",
        /// An ESP tunnel packet inside UDP.
        Tunnel = 2 "TUNNEL",
        /// Transport over a tunnel that is inside UDP; not offered in version 1.
        TransportOverUdpTunnel = 4 "TRANSPORT_OVER_UDP_TUNNEL",
        /// Transport inside UDP over a tunnel; not offered in version 1.
        UdpTransportOverTunnel = 8 "UDP_TRANSPORT_OVER_TUNNEL",
    }
}

codes! {
    /// What an UPDATE gives (§7).
    UpdateMode: u8 bits 8 {
        /// The high half alone, as UPDATE_SA of IPsecOV2 does.
        Hi = 0 "HI",
        /// Both halves.
        Top = 1 "TOP",
        /// The high half, and forget the low one.
        Resync = 2 "RESYNC",
    }
}

codes! {
    /// Life of an SA slot.
    SlotState: u8 bits 8 {
        /// Nothing there.
        Free = 0 "FREE",
        /// An entry that packets and commands use.
        Live = 1 "LIVE",
        /// Deleted, but a packet in flight still holds it.
        Draining = 2 "DRAINING",
        /// A read-back differed; only DELETE is accepted.
        Bad = 3 "BAD",
    }
}

codes! {
    /// Life of the device.
    DeviceState: u8 bits 3 {
        /// Reset is being carried out.
        Reset = 0 "RESET",
        /// Every memory is being zeroed, one row a cycle.
        Scrub = 1 "SCRUB",
        /// The table is empty or kept; nothing is fetched.
        Ready = 2 "READY",
        /// Queue pairs may run.
        Running = 3 "RUNNING",
        /// An invariant failed; only a reset helps (R23).
        Fatal = 4 "FATAL",
    }
}

codes! {
    /// Life of a queue pair.
    QpState: u8 bits 3 {
        /// Off; its configuration can be written.
        Disabled = 0 "DISABLED",
        /// Fetching and completing.
        Enabled = 1 "ENABLED",
        /// Finishing what it has, taking nothing new (R25).
        Stopping = 2 "STOPPING",
        /// Stopped by an error (R26).
        Error = 3 "ERROR",
    }
}

codes! {
    /// Why a queue pair is in ERROR.
    QpCause: u8 bits 8 {
        /// None.
        None = 0 "NONE",
        /// Enabled with a ring that is misaligned or of an impossible size, or with a wrong START.
        BadConfig = 1 "BAD_CONFIG",
        /// A tail or head that cannot be.
        BadDoorbell = 2 "BAD_DOORBELL",
        /// A ring read failed or brought poisoned data (R27).
        SqRead = 3 "SQ_READ",
        /// A completion could not be written.
        CqWrite = 4 "CQ_WRITE",
    }
}

/// Every enumeration, as data.
pub const CODES: &[Codes] = &[
    Opcode::CODES,
    Status::CODES,
    Protocol::CODES,
    Direction::CODES,
    Mode::CODES,
    Algorithm::CODES,
    UdpEncap::CODES,
    UpdateMode::CODES,
    SlotState::CODES,
    DeviceState::CODES,
    QpState::CODES,
    QpCause::CODES,
];

constants! {
    /// "ESNC", what `ID` reads.
    DEVICE_ID: u32 bits 32 = 0x434E_5345;
    /// Version of the contract: major in bits 31..16, minor in 15..0.
    VERSION_1_0: u32 bits 32 = 0x0001_0000;
    /// PCI vendor; a build parameter of the shell.
    PCI_VENDOR: u16 bits 16 = 0x1234;
    /// PCI device; a build parameter of the shell.
    PCI_DEVICE: u16 bits 16 = 0xE51C;
    /// PCI class code: network encryption.
    PCI_CLASS: u32 bits 24 = 0x10_0000;
    /// Length of BAR 0.
    BAR0_BYTES: u64 bits 32 = 0x8_0000;
    /// Length of BAR 4.
    BAR4_BYTES: u64 bits 32 = 0x4000;
    /// Bytes of one SA slot in BAR 2.
    SA_SLOT_BYTES: u64 bits 8 = 128;
    /// Bytes of one slot of a submission ring.
    SQ_SLOT_BYTES: u64 bits 8 = 64;
    /// Bytes of one completion.
    CQ_ENTRY_BYTES: u64 bits 8 = 16;
    /// Bytes of the largest ring read, which never crosses a multiple of itself (R11).
    FETCH_BYTES: u64 bits 16 = 512;
    /// Alignment of the record of a QUERY.
    RECORD_ALIGN: u64 bits 8 = 128;
    /// Alignment of SQ_BASE and CQ_BASE.
    RING_ALIGN: u64 bits 16 = 4096;
    /// "No other element" in `peer`.
    NO_PEER: u32 bits 32 = 0xFFFF_FFFF;
    /// Flag of ADD's second half: `lo` is known.
    ADD_LO_VALID: u8 bits 8 = 0x01;
    /// Bit of ADD's `sa_flags`: extended sequence numbers.
    SA_ESN: u16 bits 16 = 0x0001;
    /// Bit of ADD's `sa_flags`, reserved: the device numbers packets.
    SA_SEQ_ALLOC: u16 bits 16 = 0x0100;
    /// Flag of UPDATE: only if the high half held equals `expected_hi`.
    UPDATE_CAS: u8 bits 8 = 0x01;
    /// Flag of UPDATE: never backward.
    UPDATE_MONOTONE: u8 bits 8 = 0x02;
    /// Bits of UPDATE4's flags that hold the number of items.
    UPDATE4_COUNT_MASK: u8 bits 8 = 0x07;
    /// Flag of UPDATE4: each item is a compare-and-set that expects the high half before it.
    UPDATE4_STEP: u8 bits 8 = 0x08;
    /// Flag of QUERY: write the record.
    QUERY_RECORD: u8 bits 8 = 0x01;
    /// Flag of QUERY: whatever the slot holds.
    QUERY_ANY: u8 bits 8 = 0x02;
    /// Flag of RESOLVE: act as that packet, authenticated.
    RESOLVE_COMMIT: u8 bits 8 = 0x01;
}
