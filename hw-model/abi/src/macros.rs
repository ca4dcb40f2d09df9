// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The four macros in which the contract is written: `registers!`, `record!`, `codes!` and
//! `constants!`. Each expands to typed Rust and to an entry of [`crate::LAYOUT`].
//!
//! They are used inside this crate only; a second user would mean a second truth.

/// One block of registers.
///
/// `OFFSET NAME: BITS ACCESS = RESET;` with an optional `[COUNT]` after the width for an array, and
/// an optional `{ FIELD[msb:lsb], … }` after the reset value (`param` for a constant of the build).
/// Gives an enum with a variant per register, and a module with a module of field constants per
/// register. Order, overlap and size are checked by the compiler.
macro_rules! registers {
    (
        $(#[doc = $bdoc:literal])*
        $block:ident / $fields:ident in bar $bar:literal at $base:literal stride $stride:literal
            count $count:literal size $size:literal {
            $(
                $(#[doc = $doc:literal])*
                $offset:literal $name:ident : $bits:literal $([$n:literal])? $access:ident = $reset:tt
                $({ $( $(#[doc = $fdoc:literal])* $field:ident [$msb:literal : $lsb:literal] ),* $(,)? })? ;
            )*
        }
    ) => {
        $(#[doc = $bdoc])*
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $block { $( $(#[doc = $doc])* $name, )* }

        impl $block {
            /// The block as data.
            pub const BLOCK: $crate::layout::Block = $crate::layout::Block {
                name: stringify!($block),
                bar: $bar,
                base: $base,
                stride: $stride,
                count: $count,
                size: $size,
                doc: concat!($($bdoc, "\n"),*),
                registers: &[$( $crate::layout::Register {
                    name: stringify!($name),
                    offset: $offset,
                    bits: $bits,
                    count: registers!(@count $($n)?),
                    access: $crate::layout::Access::$access,
                    reset: registers!(@reset $reset),
                    doc: concat!($($doc, "\n"),*),
                    fields: &[$($( $fields::$name::$field ),*)?],
                } ),*],
            };

            /// Every register of the block, by ascending offset.
            pub const ALL: &'static [Self] = &[$( Self::$name ),*];

            /// The register as data.
            #[must_use]
            pub const fn register(self) -> &'static $crate::layout::Register {
                &Self::BLOCK.registers[self as usize]
            }

            /// Bytes from the start of the block.
            #[must_use]
            pub const fn offset(self) -> u32 {
                self.register().offset
            }

            /// Bytes from the start of the BAR, in repetition `n` of the block.
            #[must_use]
            pub const fn address(self, n: u32) -> u64 {
                (Self::BLOCK.base + Self::BLOCK.stride * n + self.offset()) as u64
            }

            /// The register that covers byte `offset` of the block, and the dword inside it.
            #[must_use]
            pub const fn decode(offset: u32) -> Option<(Self, u32)> {
                let dword = offset & !3;
                $( if dword.wrapping_sub($offset) < $bits / 8 * registers!(@count $($n)?) {
                    return Some((Self::$name, (dword - $offset) / 4));
                } )*
                None
            }
        }

        /// Fields, a module per register.
        pub mod $fields {
            $(
                $(#[doc = $doc])*
                #[allow(non_snake_case)]
                pub mod $name {
                    $($(
                        $(#[doc = $fdoc])*
                        pub const $field: $crate::layout::Field = $crate::layout::Field {
                            name: stringify!($field),
                            lsb: $lsb,
                            width: $msb - $lsb + 1,
                            doc: concat!($($fdoc, "\n"),*),
                        };
                    )*)?
                }
            )*
        }

        const _: () = $crate::layout::check_block(&$block::BLOCK);
    };
    (@count) => { 1 };
    (@count $n:literal) => { $n };
    (@reset param) => { $crate::layout::Reset::Parameter };
    (@reset $value:literal) => { $crate::layout::Reset::Value($value) };
}

/// A record in memory: `OFFSET NAME: TYPE,` without gaps.
///
/// Gives a `#[repr(C)]` struct whose integers are little-endian by type, so that it turns into bytes
/// and back without `unsafe`. A `secret` record has no `Debug`. A member may carry bit fields,
/// `{ FIELD[msb:lsb], … }`, which become constants `NAME_FIELD` of the struct.
macro_rules! record {
    (@debug secret $name:ident) => {
        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!(stringify!($name), " { .. }"))
            }
        }
    };
    (@debug plain $name:ident) => {
        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(stringify!($name))?;
                zerocopy::IntoBytes::as_bytes(self).fmt(f)
            }
        }
    };
    (
        $(#[doc = $rdoc:literal])*
        $secrecy:ident $name:ident [$len:literal] {
            $( $(#[doc = $doc:literal])* $offset:literal $member:ident : $type:ty as $kind:ident
               $({ $( $(#[doc = $fdoc:literal])* $field:ident [$msb:literal : $lsb:literal] ),* $(,)? })? , )*
        }
    ) => {
        $(#[doc = $rdoc])*
        #[repr(C)]
        #[derive(
            Clone, Copy, PartialEq, Eq,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout, zerocopy::Immutable,
            zerocopy::Unaligned,
        )]
        pub struct $name { $( $(#[doc = $doc])* pub $member: $type, )* }

        record!(@debug $secrecy $name);

        impl Default for $name {
            fn default() -> Self {
                zerocopy::FromZeros::new_zeroed()
            }
        }

        impl $name {
            /// The record as data.
            pub const RECORD: $crate::layout::Record = $crate::layout::Record {
                name: stringify!($name),
                len_bytes: $len,
                doc: concat!($($rdoc, "\n"),*),
                members: &[$( $crate::layout::Member {
                    name: stringify!($member),
                    offset: $offset,
                    len_bytes: core::mem::size_of::<$type>(),
                    kind: record!(@kind $kind $type),
                    doc: concat!($($doc, "\n"),*),
                    fields: &[$($( $crate::layout::Field {
                        name: stringify!($field),
                        lsb: $lsb,
                        width: $msb - $lsb + 1,
                        doc: concat!($($fdoc, "\n"),*),
                    } ),*)?],
                } ),*],
            };

            /// Length in bytes.
            pub const LEN: usize = $len;

            $($($(
                $(#[doc = $fdoc])*
                pub const $field: $crate::layout::Field = $crate::layout::Field {
                    name: stringify!($field),
                    lsb: $lsb,
                    width: $msb - $lsb + 1,
                    doc: concat!($($fdoc, "\n"),*),
                };
            )*)?)*
        }

        const _: () = {
            assert!(core::mem::size_of::<$name>() == $len, "the record's length");
            $( assert!(core::mem::offset_of!($name, $member) == $offset, "a member's place"); )*
        };
    };
    (@kind int $type:ty) => { $crate::layout::Kind::Integer };
    (@kind bytes $type:ty) => { $crate::layout::Kind::Bytes };
    (@kind record $type:ty) => { $crate::layout::Kind::Record(<$type>::RECORD.name) };
}

/// An enumeration of wire codes: `Name = VALUE "NAME",`. Gives the enum, `TryFrom` its integer, and
/// names.
macro_rules! codes {
    (
        $(#[doc = $edoc:literal])*
        $name:ident : $repr:ident bits $width:literal {
            $( $(#[doc = $doc:literal])* $variant:ident = $value:literal $text:literal , )*
        }
    ) => {
        $(#[doc = $edoc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr($repr)]
        pub enum $name { $( $(#[doc = $doc])* $variant = $value, )* }

        impl $name {
            /// The enumeration as data.
            pub const CODES: $crate::layout::Codes = $crate::layout::Codes {
                name: stringify!($name),
                width: $width,
                doc: concat!($($edoc, "\n"),*),
                codes: &[$( $crate::layout::Code {
                    name: $text,
                    value: $value,
                    doc: concat!($($doc, "\n"),*),
                } ),*],
            };

            /// Every code.
            pub const ALL: &'static [Self] = &[$( Self::$variant ),*];

            /// Its name in manuals, logs and SystemVerilog.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $text ),* }
            }

            /// The code with number `value`, if there is one.
            #[must_use]
            pub const fn from_code(value: $repr) -> Option<Self> {
                match value { $( $value => Some(Self::$variant), )* _ => None }
            }
        }

        impl TryFrom<$repr> for $name {
            type Error = $crate::numbers::UnknownCode;

            fn try_from(value: $repr) -> Result<Self, $crate::numbers::UnknownCode> {
                Self::from_code(value).ok_or($crate::numbers::UnknownCode {
                    what: stringify!($name),
                    value: value.into(),
                })
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

/// Named numbers: `NAME: TYPE bits WIDTH = VALUE;`.
macro_rules! constants {
    ( $( $(#[doc = $doc:literal])* $name:ident : $type:ident bits $width:literal = $value:literal ; )* ) => {
        $( $(#[doc = $doc])* pub const $name: $type = $value; )*

        /// Every named number, as data.
        pub const CONSTANTS: &[$crate::layout::Constant] = &[$( $crate::layout::Constant {
            name: stringify!($name),
            value: $value,
            width: $width,
            doc: concat!($($doc, "\n"),*),
        } ),*];
    };
}
