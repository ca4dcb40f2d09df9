// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the traffic would cost on PCI Express: packets and bytes, framing included.
//!
//! Counted from the bus's side, so that the device's own counters can be held against it. Overheads
//! are those of `docs/device.md`, section 9: a write or a read request costs 24 bytes, a completion
//! 20, beside its data.

/// Bytes around the data of a write, and of a read request as a whole.
const REQUEST: u64 = 24;

/// Bytes around the data of a completion.
const COMPLETION: u64 = 20;

/// Packets of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packets {
    /// How many.
    pub count: u64,
    /// Bytes on the wire, overhead included.
    pub bytes: u64,
}

impl Packets {
    /// One more packet.
    fn add(&mut self, overhead: u64, data: usize) {
        self.count += 1;
        self.bytes += overhead + data as u64;
    }
}

/// Everything that crossed the bus since power-on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Host to device: writes to BARs.
    pub mmio_writes: Packets,
    /// Host to device: requests to read BARs.
    pub mmio_reads: Packets,
    /// Device to host: answers to these.
    pub mmio_read_data: Packets,
    /// Device to host: requests to read memory.
    pub reads: Packets,
    /// Host to device: answers to these.
    pub read_data: Packets,
    /// Device to host: writes to memory.
    pub writes: Packets,
    /// Device to host: interrupt messages.
    pub messages: Packets,
}

impl Traffic {
    /// Bytes that went from host to device.
    #[must_use]
    pub const fn bytes_to_device(&self) -> u64 {
        self.mmio_writes.bytes + self.mmio_reads.bytes + self.read_data.bytes
    }

    /// Bytes that went from device to host.
    #[must_use]
    pub const fn bytes_to_host(&self) -> u64 {
        self.mmio_read_data.bytes + self.reads.bytes + self.writes.bytes + self.messages.bytes
    }

    pub(crate) fn mmio_write(&mut self, len: usize) {
        self.mmio_writes.add(REQUEST, len);
    }

    pub(crate) fn mmio_read(&mut self, len: usize) {
        self.mmio_reads.add(REQUEST, 0);
        self.mmio_read_data.add(COMPLETION, len);
    }

    pub(crate) fn read(&mut self) {
        self.reads.add(REQUEST, 0);
    }

    pub(crate) fn read_data(&mut self, len: usize) {
        self.read_data.add(COMPLETION, len);
    }

    pub(crate) fn write(&mut self, len: usize) {
        self.writes.add(REQUEST, len);
    }

    pub(crate) fn message(&mut self) {
        // A message is a write of one dword.
        self.messages.add(REQUEST, 4);
    }
}
