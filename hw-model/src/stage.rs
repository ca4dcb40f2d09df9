// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Stage buffers: where stores into the SA table wait for their direct doorbell (§5).
//!
//! A store of the host may arrive in any pieces, late, or not at all, and stores for different SAs
//! may meet in one buffer. The tag and the written bits are what lets the device tell a whole
//! command from anything else (R17).

use crate::paged::Paged;
use esnic_abi::{Add, Opcode, QUERY_RECORD, UPDATE_CAS};
use zerocopy::transmute_ref;
use zeroize::Zeroize;

/// Bytes of a buffer: the longest command.
const BYTES: usize = Add::LEN;

/// A staged command, taken out of its buffer. May hold a key.
pub(crate) type Staged = zeroize::Zeroizing<[u8; BYTES]>;

/// One buffer; empty while no dword is written.
#[derive(Clone, Zeroize)]
struct Buffer {
    tag: u32,
    /// Bit d: dword d was written since the buffer was emptied.
    written: u32,
    /// Zero wherever nothing was written.
    bytes: [u8; BYTES],
}

impl Default for Buffer {
    fn default() -> Self {
        Self { tag: 0, written: 0, bytes: [0; BYTES] }
    }
}

/// All buffers; slot i uses buffer i mod S.
pub(crate) struct Stage {
    buffers: Paged<Buffer>,
    mask: u32,
}

impl Stage {
    pub(crate) fn new(log2: u8) -> Self {
        Self { buffers: Paged::new(1 << log2), mask: (1 << log2) - 1 }
    }

    /// A store of whole dwords into slot `index`, from dword `first` on. Another tag empties the
    /// buffer first.
    pub(crate) fn store(&mut self, index: u32, first: usize, dwords: &[u8]) {
        let buffer = self.buffers.make(index & self.mask);
        if buffer.tag != index {
            buffer.zeroize();
            buffer.tag = index;
        }
        buffer.bytes[4 * first..][..dwords.len()].copy_from_slice(dwords);
        let count = dwords.len() / 4;
        // All of the 32 dwords fit the mask only in 64 bits.
        #[allow(clippy::cast_possible_truncation)]
        let bits = (((1u64 << count) - 1) << first) as u32;
        buffer.written |= bits;
    }

    /// Whether the command staged for slot `index` would write host memory; asked before it is taken.
    pub(crate) fn holds_record_query(&self, index: u32) -> bool {
        self.buffers.get(index & self.mask).is_some_and(|buffer| {
            buffer.tag == index
                && buffer.bytes[0] == Opcode::Query as u8
                && buffer.bytes[1] & QUERY_RECORD != 0
        })
    }

    /// Takes what is staged for slot `index`, and empties the buffer (R18). It goes straight to where the
    /// caller has it: what is returned leaves copies behind, keys and all.
    ///
    /// False is status STAGE: it is not there, not whole, or not what the doorbell names. A buffer
    /// that is tagged for another slot is left alone, since its owner did nothing wrong.
    pub(crate) fn take(&mut self, index: u32, cookie: u32, staged: &mut Staged) -> bool {
        let Some(buffer) = self.buffers.get_mut(index & self.mask) else { return false };
        if buffer.tag != index {
            return false;
        }
        staged.copy_from_slice(&buffer.bytes);
        let written = buffer.written;
        buffer.zeroize();
        let add: &Add = transmute_ref!(&**staged);
        let required = required_dwords(add.header.opcode, add.header.flags);
        let named = add.header.index.get() == index && add.header.cookie.get() == cookie;
        written & required == required && named
    }

    /// Empties the buffer if it is tagged with slot `index`: DELETE, by either path (R18).
    pub(crate) fn empty(&mut self, index: u32) {
        if let Some(buffer) = self.buffers.get_mut(index & self.mask)
            && buffer.tag == index
        {
            buffer.zeroize();
        }
    }

    /// Whether no byte is staged for slot `index`.
    pub(crate) fn is_empty(&self, index: u32) -> bool {
        self.buffers.get(index & self.mask).is_none_or(|buffer| {
            buffer.tag != index || (buffer.written == 0 && buffer.bytes == [0; BYTES])
        })
    }

    /// Empties every buffer: reset.
    pub(crate) fn clear(&mut self) {
        self.buffers.clear();
    }
}

/// Dwords that must have been written for the command that dword 0 announces (§4.1). Opcodes that
/// are unknown or not for this path need the header, so that their own status can be told.
fn required_dwords(opcode: u8, flags: u8) -> u32 {
    const HEADER: u32 = 0xF;
    let Some(opcode) = Opcode::from_code(opcode) else {
        return HEADER;
    };
    match opcode {
        Opcode::Add => u32::MAX,
        Opcode::Update if flags & UPDATE_CAS != 0 => 0x1FF,
        Opcode::Update => 0xFF,
        Opcode::Query if flags & QUERY_RECORD != 0 => 0x3F,
        Opcode::Resolve => 0x1F,
        Opcode::Delete | Opcode::Query => HEADER,
        Opcode::Nop | Opcode::Fence | Opcode::AddSecond | Opcode::Update4 => HEADER,
    }
}
