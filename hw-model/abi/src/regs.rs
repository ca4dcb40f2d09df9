// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every register. BAR 0 holds the global page, the queue pairs' blocks and their doorbell pages;
//! BAR 4 holds what PCI says about MSI-X (PCI Local Bus 3.0, section 6.8.2).
//!
//! Registers take aligned accesses of four bytes; an aligned one of eight acts as two dwords, low
//! one first. A write that does not cover a whole dword is ignored and counted in `BAD_ACCESS`.

registers! {
    /// The global page: who the device is, what it can do, how it is.
    Global / global in bar 0 at 0x0 stride 0 count 1 size 0x100 {
        /// "ESNC". All ones: the device is gone.
        0x000 ID: 32 RO = 0x434E_5345;
        /// Version of the contract.
        0x004 VERSION: 32 RO = 0x0001_0000 {
            /// Minor versions only use what was reserved.
            MINOR[15:0],
            /// Major versions break.
            MAJOR[31:16],
        };
        /// Hash of the frozen layout of this minor version.
        0x008 ABI_HASH: 64 RO = param;
        /// What the device offers.
        0x010 FEATURES: 32 RO = param {
            /// The direct path.
            DIRECT[0:0],
            /// UPDATE4.
            UPDATE4[1:1],
            /// QUERY with a record.
            RECORD[2:2],
            /// RESOLVE.
            PROBE[3:3],
            /// RESOLVE with COMMIT.
            PROBE_COMMIT[4:4],
            /// Extended sequence numbers.
            ESN[5:5],
            /// Authentication header.
            AH[6:6],
            /// Encapsulating security payload.
            ESP[7:7],
            /// IPv4.
            IPV4[8:8],
            /// IPv6.
            IPV6[9:9],
            /// Transport mode.
            TRANSPORT[10:10],
            /// Tunnel mode.
            TUNNEL[11:11],
            /// Transport mode inside UDP.
            UDP_TRANSPORT[12:12],
            /// Tunnel mode inside UDP.
            UDP_TUNNEL[13:13],
            /// A datapath; 0 in version 1.
            DATAPATH[16:16],
            /// Events; 0 in version 1.
            EVENTS[17:17],
            /// Virtual functions; 0 in version 1.
            VF[18:18],
        };
        /// Algorithms (bit a: algorithm a) and lengths of the integrity check value.
        0x014 ALGS: 32 RO = param {
            /// Algorithm 1.
            AES_GCM_128[1:1],
            /// Algorithm 2.
            AES_GCM_192[2:2],
            /// Algorithm 3.
            AES_GCM_256[3:3],
            /// Algorithm 4.
            AES_GMAC_128[4:4],
            /// Algorithm 5.
            AES_GMAC_192[5:5],
            /// Algorithm 6.
            AES_GMAC_256[6:6],
            /// Check values of 8 bytes.
            ICV_8[16:16],
            /// Check values of 12 bytes.
            ICV_12[17:17],
            /// Check values of 16 bytes.
            ICV_16[18:18],
        };
        /// SA slots: a power of two, at most 2^20.
        0x018 SA_CAPACITY: 32 RO = param {
            /// The number of slots.
            SLOTS[23:0],
        };
        /// Sizes of the build.
        0x01C LIMITS: 32 RO = param {
            /// Queue pairs, 1 to 64.
            QUEUE_PAIRS[7:0],
            /// log2 of the largest ring, at most 15.
            RING_LOG2[11:8],
            /// log2 of the entries of a direct doorbell ring, at most 6.
            DIRECT_LOG2[15:12],
            /// log2 of the stage buffers.
            STAGE_LOG2[20:16],
        };
        /// Largest replay window that ADD stores.
        0x020 MAX_WINDOW: 32 RO = param {
            /// Packets.
            PACKETS[15:0],
        };
        /// Switches.
        0x024 CONTROL: 32 RW = 0 {
            /// READY to RUNNING and back (R22).
            RUN[0:0],
            /// Writing 1 resets the device; reads 0 (R20).
            SOFT_RESET[1:1],
        };
        /// How the device is.
        0x028 STATUS: 32 RO = 0 {
            /// A DeviceState.
            STATE[2:0],
        };
        /// SA slots that are not scrubbed yet.
        0x02C SCRUB_LEFT: 32 RO = param {
            /// Slots.
            SLOTS[23:0],
        };
        /// A number of the host's, writable in READY only; its low 16 bits are EPOCH and must not be
        /// 0 before RUN.
        0x030 INSTANCE: 64 RW = 0;
        /// Why the device is in FATAL.
        0x038 FATAL_CAUSE: 32 RO = 0 {
            /// A memory of the table failed its check.
            TABLE_ECC[0:0],
            /// An invariant failed.
            INTERNAL[1:1],
            /// An answer that belongs to no request.
            DMA_TAG[2:2],
            /// A packet holds an entry for too long.
            DRAIN_STUCK[3:3],
        };
        /// Detail of the first cause.
        0x03C FATAL_INFO: 32 RO = 0;
        /// Causes of the vector for faults and events.
        0x040 INT_CAUSE: 32 W1C = 0 {
            /// The device entered FATAL.
            FATAL[0:0],
            /// A queue pair entered ERROR.
            QP_ERROR[1:1],
            /// Never set in version 1.
            EVENT[2:2],
        };
        /// Which causes send a message (R5).
        0x044 INT_ENABLE: 32 RW = 0 {
            /// FATAL.
            FATAL[0:0],
            /// QP_ERROR.
            QP_ERROR[1:1],
            /// EVENT.
            EVENT[2:2],
        };
        /// Bit n: queue pair n is in ERROR.
        0x048 QP_ERROR_MAP: 64 RO = 0;
        /// For tests; does nothing.
        0x050 SCRATCH: 32 RW = 0;
        /// Hashes of every minor version that the device implements, its own first; 0: none.
        0x060 COMPAT_HASH: 64 [4] RO = param;
    }
}

registers! {
    /// Counters since reset. Read the high dword, the low one, and the high one again until it
    /// repeats.
    Counters / counters in bar 0 at 0x100 stride 0 count 1 size 0x100 {
        /// Device cycles.
        0x000 CYCLES: 64 RO = 0;
        /// Commands taken from rings.
        0x008 CMD_RING: 64 RO = 0;
        /// Commands taken from the direct path.
        0x010 CMD_DIRECT: 64 RO = 0;
        /// Completions with status OK.
        0x018 CPL_OK: 64 RO = 0;
        /// Completions with another status.
        0x020 CPL_ERR: 64 RO = 0;
        /// Read requests sent.
        0x028 DMA_RD_TLP: 64 RO = 0;
        /// Bytes asked for by them.
        0x030 DMA_RD_BYTES: 64 RO = 0;
        /// Write requests sent, interrupts not counted.
        0x038 DMA_WR_TLP: 64 RO = 0;
        /// Bytes carried by them.
        0x040 DMA_WR_BYTES: 64 RO = 0;
        /// Cycles in which a command waited for a completion entry (R7).
        0x048 STALL_CQ: 64 RO = 0;
        /// Cycles in which execution waited for a fetch that was under way.
        0x050 STALL_FETCH: 64 RO = 0;
        /// Uses of the pipeline's first bypass.
        0x058 BYPASS_CAPTURE: 64 RO = 0;
        /// Uses of the pipeline's second bypass.
        0x060 BYPASS_EXEC: 64 RO = 0;
        /// Dwords written to the SA table that were not staged.
        0x068 STAGE_DROP: 64 RO = 0;
        /// Register writes that did not cover a whole dword.
        0x070 BAD_ACCESS: 64 RO = 0;
        /// Tail or head doorbells that were behind what was known.
        0x078 STALE_DB: 64 RO = 0;
        /// Direct doorbells of another epoch.
        0x080 EPOCH_DROP: 64 RO = 0;
        /// Interrupt messages sent.
        0x088 MSIX_SENT: 64 RO = 0;
        /// Slots that are LIVE now.
        0x090 SA_LIVE: 64 RO = 0;
        /// DMA requests that were answered with an error.
        0x098 DMA_ERRORS: 64 RO = 0;
    }
}

registers! {
    /// Queue pair n. The RW registers take writes only while the pair is DISABLED, QP_CTRL and
    /// COALESCE always.
    QueuePair / queue_pair in bar 0 at 0x4000 stride 0x100 count 64 size 0x100 {
        /// Switches.
        0x00 QP_CTRL: 32 RW = 0 {
            /// Turns the pair on and off.
            ENABLE[0:0],
        };
        /// How the pair is.
        0x04 QP_STATUS: 32 RO = 0 {
            /// A QpState.
            STATE[2:0],
            /// A QpCause.
            CAUSE[15:8],
        };
        /// Address of the submission ring, 4 KiB aligned.
        0x08 SQ_BASE: 64 RW = 0;
        /// Address of the completion ring, 4 KiB aligned.
        0x10 CQ_BASE: 64 RW = 0;
        /// Sizes of the rings, each 1 to LIMITS.RING_LOG2.
        0x18 RING_SIZE: 32 RW = 0 {
            /// log2 of the submission ring's slots.
            SQ_LOG2[3:0],
            /// log2 of the completion ring's entries.
            CQ_LOG2[11:8],
        };
        /// First value of every ring index of the pair: a multiple of twice the larger ring.
        0x1C START: 32 RW = 0;
        /// When CQ_ARM fires (R1).
        0x20 COALESCE: 32 RW = 0 {
            /// Completions; 0 counts as 1.
            COUNT[15:0],
            /// Units of 256 cycles; 0: never by time.
            TIME[31:16],
        };
        /// Submission slots fetched.
        0x24 SQ_HEAD: 32 RO = 0;
        /// Submission slots that the host told of.
        0x28 SQ_TAIL: 32 RO = 0;
        /// Completions written.
        0x2C CQ_TAIL: 32 RO = 0;
        /// Completions that the host consumed.
        0x30 CQ_HEAD: 32 RO = 0;
        /// Direct doorbell entries taken.
        0x34 DIRECT_HEAD: 32 RO = 0;
        /// Address of the DMA that failed.
        0x38 QP_ERR_ADDR: 64 RO = 0;
        /// Commands taken by the pair.
        0x40 COMMANDS: 64 RO = 0;
        /// Completions written by the pair.
        0x48 COMPLETIONS: 64 RO = 0;
        /// Completions of the pair whose status is not OK.
        0x50 ERRORS: 64 RO = 0;
        /// Interrupts that the pair asked for.
        0x58 IRQS: 64 RO = 0;
    }
}

registers! {
    /// Doorbell page of queue pair n.
    Doorbell / doorbell in bar 0 at 0x40000 stride 0x1000 count 64 size 0x1000 {
        /// New submission tail, a ring index. Behind the known one: ignored (STALE_DB). More than
        /// the ring ahead of SQ_HEAD: BAD_DOORBELL.
        0x000 SQ_TAIL: 32 WO = 0;
        /// Completions consumed, a ring index. Behind the known one: ignored (STALE_DB). Ahead of
        /// CQ_TAIL: BAD_DOORBELL.
        0x004 CQ_HEAD: 32 WO = 0;
        /// Completions consumed so far; asks for one interrupt (R1).
        0x008 CQ_ARM: 32 WO = 0;
        /// Direct doorbell ring; each entry is a DirectEntry.
        0x800 DIRECT: 64 [64] WO = 0;
    }
}

registers! {
    /// MSI-X table entry n (PCI Local Bus 3.0, section 6.8.2).
    MsixTable / msix_table in bar 4 at 0x0 stride 0x10 count 65 size 0x10 {
        /// Address of the message, low dword.
        0x0 MSG_ADDR_LO: 32 RW = 0;
        /// Address of the message, high dword.
        0x4 MSG_ADDR_HI: 32 RW = 0;
        /// Data of the message.
        0x8 MSG_DATA: 32 RW = 0;
        /// Vector control.
        0xC MSG_CTRL: 32 RW = 1 {
            /// The vector is masked.
            MASK[0:0],
        };
    }
}

registers! {
    /// MSI-X pending bits (PCI Local Bus 3.0, section 6.8.2.10).
    MsixPba / msix_pba in bar 4 at 0x2000 stride 0 count 1 size 0x10 {
        /// Bit n: vector n fired while it could not be sent (R4).
        0x0 PENDING: 64 [2] RO = 0;
    }
}
