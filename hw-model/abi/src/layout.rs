// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The layout as plain data: what the macros produce and what [`crate::emit`] prints.

/// Who may do what with a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only; writes are ignored.
    RO,
    /// Read and write.
    RW,
    /// Write only; reads give zero.
    WO,
    /// Read; writing a one clears that bit.
    W1C,
}

/// What a register holds after reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// This value, in every device.
    Value(u64),
    /// A constant of the build, see [`crate::Params`].
    Parameter,
}

/// Some bits of a register or of a record's member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name, identical in Rust, SystemVerilog and the manual.
    pub name: &'static str,
    /// Lowest bit.
    pub lsb: u8,
    /// Number of bits.
    pub width: u8,
    /// What it means.
    pub doc: &'static str,
}

impl Field {
    /// The bits of this field, in place.
    #[must_use]
    pub const fn mask(&self) -> u32 {
        ((((1u64 << self.width) - 1) << self.lsb) & 0xFFFF_FFFF) as u32
    }

    /// The field's value inside `word`.
    #[must_use]
    pub const fn get(&self, word: u32) -> u32 {
        (word & self.mask()) >> self.lsb
    }

    /// `word` with the field set to `value`; bits that do not fit are cut off.
    #[must_use]
    pub const fn put(&self, word: u32, value: u32) -> u32 {
        (word & !self.mask()) | ((value << self.lsb) & self.mask())
    }

    /// Whether any bit of the field is set in `word`.
    #[must_use]
    pub const fn is_set(&self, word: u32) -> bool {
        word & self.mask() != 0
    }
}

/// One register, or an array of equal ones.
#[derive(Clone, Copy, Debug)]
pub struct Register {
    /// Name, identical in Rust, SystemVerilog and the manual.
    pub name: &'static str,
    /// Bytes from the start of its block.
    pub offset: u32,
    /// Width in bits: 32 or 64. A 64-bit register is two dwords, low one first.
    pub bits: u8,
    /// Number of equal registers, one after the other.
    pub count: u32,
    /// Access kind.
    pub access: Access,
    /// Value after reset.
    pub reset: Reset,
    /// What it is for.
    pub doc: &'static str,
    /// Its fields; none if the register is one number. Bits outside all fields are reserved.
    pub fields: &'static [Field],
}

impl Register {
    /// Bytes that the register, with all its repetitions, covers.
    #[must_use]
    pub const fn len_bytes(&self) -> u32 {
        self.bits as u32 / 8 * self.count
    }

    /// The bits that mean something, as a mask over the register's width.
    #[must_use]
    pub const fn defined_bits(&self) -> u64 {
        if self.fields.is_empty() {
            return if self.bits == 64 { u64::MAX } else { 0xFFFF_FFFF };
        }
        let mut mask = 0;
        let mut i = 0;
        while i < self.fields.len() {
            mask |= self.fields[i].mask() as u64;
            i += 1;
        }
        mask
    }
}

/// A page of registers that may repeat.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Name, identical in Rust, SystemVerilog and the manual.
    pub name: &'static str,
    /// Number of the PCI BAR.
    pub bar: u8,
    /// Bytes from the start of the BAR to the first repetition.
    pub base: u32,
    /// Bytes from one repetition to the next; zero if there is one only.
    pub stride: u32,
    /// Most repetitions there can be.
    pub count: u32,
    /// Bytes of one repetition, holes included.
    pub size: u32,
    /// What the block is for.
    pub doc: &'static str,
    /// Its registers by ascending offset.
    pub registers: &'static [Register],
}

/// How the bytes of a record's member are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A little-endian integer.
    Integer,
    /// Bytes in wire order; never swapped.
    Bytes,
    /// Another record, by name.
    Record(&'static str),
}

/// One member of a record.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Name; `rsvd…` members are zero when written and are checked.
    pub name: &'static str,
    /// Bytes from the start of the record.
    pub offset: usize,
    /// Length in bytes.
    pub len_bytes: usize,
    /// How to read it.
    pub kind: Kind,
    /// What it means.
    pub doc: &'static str,
    /// Its bit fields, if it has any.
    pub fields: &'static [Field],
}

/// A record in memory: a command, a completion, a view of an SA slot.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// Name in Rust; SystemVerilog says it in lower snake case with `_t`.
    pub name: &'static str,
    /// Length in bytes.
    pub len_bytes: usize,
    /// What it is.
    pub doc: &'static str,
    /// Its members, without gaps.
    pub members: &'static [Member],
}

/// One code of an enumeration.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// Name.
    pub name: &'static str,
    /// Number on the wire.
    pub value: u32,
    /// What it means.
    pub doc: &'static str,
}

/// An enumeration.
#[derive(Clone, Copy, Debug)]
pub struct Codes {
    /// Name in Rust; SystemVerilog says it in lower snake case with `_e`.
    pub name: &'static str,
    /// Bits that it takes on the wire.
    pub width: u8,
    /// What it enumerates.
    pub doc: &'static str,
    /// The codes.
    pub codes: &'static [Code],
}

/// A named number.
#[derive(Clone, Copy, Debug)]
pub struct Constant {
    /// Name.
    pub name: &'static str,
    /// Value.
    pub value: u64,
    /// Bits that it takes.
    pub width: u8,
    /// What it is.
    pub doc: &'static str,
}

/// The whole contract as data.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Register blocks.
    pub blocks: &'static [Block],
    /// Records.
    pub records: &'static [Record],
    /// Enumerations.
    pub codes: &'static [Codes],
    /// Named numbers.
    pub constants: &'static [Constant],
}

/// FNV-1a, 64 bits: small enough to run in the compiler, and not meant to resist anybody.
struct Fnv(u64);

impl Fnv {
    const fn byte(self, byte: u8) -> Self {
        Self((self.0 ^ byte as u64).wrapping_mul(0x0000_0100_0000_01B3))
    }

    const fn number(mut self, number: u64) -> Self {
        let bytes = number.to_le_bytes();
        let mut i = 0;
        while i < 8 {
            self = self.byte(bytes[i]);
            i += 1;
        }
        self
    }

    /// A name, ended by a byte that no name contains.
    const fn name(mut self, name: &str) -> Self {
        let bytes = name.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            self = self.byte(bytes[i]);
            i += 1;
        }
        self.byte(0)
    }

    const fn fields(mut self, fields: &[Field]) -> Self {
        let mut i = 0;
        while i < fields.len() {
            self = self.name(fields[i].name);
            self = self.number(fields[i].lsb as u64).number(fields[i].width as u64);
            i += 1;
        }
        self
    }

    const fn block(mut self, block: &Block) -> Self {
        self = self.name(block.name).number(block.bar as u64).number(block.base as u64);
        self = self.number(block.stride as u64).number(block.count as u64);
        let mut i = 0;
        while i < block.registers.len() {
            let register = &block.registers[i];
            self = self.name(register.name).number(register.offset as u64);
            self = self.number(register.bits as u64).number(register.count as u64);
            self = self.number(register.access as u64);
            self = match register.reset {
                Reset::Value(value) => self.number(1).number(value),
                Reset::Parameter => self.number(0),
            };
            self = self.fields(register.fields);
            i += 1;
        }
        self
    }

    const fn record(mut self, record: &Record) -> Self {
        self = self.name(record.name).number(record.len_bytes as u64);
        let mut i = 0;
        while i < record.members.len() {
            let member = &record.members[i];
            self = self.name(member.name).number(member.offset as u64);
            self = self.number(member.len_bytes as u64);
            self = match member.kind {
                Kind::Integer => self.number(0),
                Kind::Bytes => self.number(1),
                Kind::Record(name) => self.number(2).name(name),
            };
            self = self.fields(member.fields);
            i += 1;
        }
        self
    }
}

/// Hash of everything in `layout` but the prose; see [`crate::ABI_HASH`].
#[must_use]
pub const fn hash(layout: &Layout) -> u64 {
    let mut fnv = Fnv(0xCBF2_9CE4_8422_2325);
    let mut i = 0;
    while i < layout.blocks.len() {
        fnv = fnv.block(&layout.blocks[i]);
        i += 1;
    }
    i = 0;
    while i < layout.records.len() {
        fnv = fnv.record(&layout.records[i]);
        i += 1;
    }
    i = 0;
    while i < layout.codes.len() {
        let codes = &layout.codes[i];
        fnv = fnv.name(codes.name).number(codes.width as u64);
        let mut k = 0;
        while k < codes.codes.len() {
            fnv = fnv.name(codes.codes[k].name).number(codes.codes[k].value as u64);
            k += 1;
        }
        i += 1;
    }
    i = 0;
    while i < layout.constants.len() {
        fnv = fnv.name(layout.constants[i].name).number(layout.constants[i].value);
        i += 1;
    }
    fnv.0
}

/// Fails the build if registers are misaligned, overlap, leave their block, or have fields that
/// overlap or leave their register.
pub(crate) const fn check_block(block: &Block) {
    let mut end = 0;
    let mut i = 0;
    while i < block.registers.len() {
        let register = &block.registers[i];
        assert!(register.bits == 32 || register.bits == 64, "a register's width");
        assert!(register.offset.is_multiple_of(register.bits as u32 / 8), "a register's alignment");
        assert!(register.offset >= end, "registers overlap or are out of order");
        end = register.offset + register.len_bytes();
        let mut seen = 0;
        let mut k = 0;
        while k < register.fields.len() {
            let field = &register.fields[k];
            assert!(field.lsb as u32 + field.width as u32 <= 32, "a field leaves its register");
            assert!(seen & field.mask() == 0, "fields overlap");
            seen |= field.mask();
            k += 1;
        }
        i += 1;
    }
    assert!(end <= block.size, "registers leave their block");
    assert!(block.count == 1 || block.stride >= block.size, "repetitions overlap");
}
