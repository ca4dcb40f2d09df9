// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Netlink attributes: type, length, value, padded to four bytes.

use crate::bytes::Bytes;
use crate::error::{Fault, Flaw};

const HEADER: usize = 4;
/// The two top bits of the type say "nested" and "network byte order".
const TYPE_MASK: u16 = 0x3fff;

/// One attribute.
#[derive(Clone, Copy)]
pub(crate) struct Attribute<'a> {
    pub(crate) kind: u16,
    pub(crate) value: Bytes<'a>,
}

/// The attributes behind a message's fixed part, in their order.
///
/// An attribute may occur twice (strongSwan 5.9 repeats `XFRMA_REPLAY_ESN_VAL` in the requests of
/// a MOBIKE move); the kernel lets the last one count, and so do all readers here.
#[derive(Clone)]
pub(crate) struct Attributes<'a> {
    rest: Bytes<'a>,
}

impl<'a> Attributes<'a> {
    pub(crate) fn new(bytes: Bytes<'a>) -> Self {
        Self { rest: bytes }
    }

    /// The last attribute of a type, looking no further than the first damaged one.
    ///
    /// That is how the kernel reads a dump request.
    pub(crate) fn last_readable(self, kind: u16) -> Option<Bytes<'a>> {
        self.map_while(Result::ok).filter(|attr| attr.kind == kind).last().map(|attr| attr.value)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let left = self.rest.len();
        // Up to three bytes are the padding of the message, not an attribute.
        if left < HEADER {
            return None;
        }
        let offset = self.rest.offset;
        let data = self.rest.data;
        let length = u16::from_le_bytes([data[0], data[1]]);
        let kind = u16::from_le_bytes([data[2], data[3]]) & TYPE_MASK;
        let end = usize::from(length);
        if end < HEADER || end > left {
            self.rest = Bytes::new(&[], offset + left);
            return Some(Err(Flaw::AttributeLength { length, left }.at(offset)));
        }
        // The last attribute's padding may be absent.
        let next = end.next_multiple_of(4).min(left);
        self.rest = Bytes::new(&data[next..], offset + next);
        Some(Ok(Attribute { kind, value: Bytes::new(&data[HEADER..end], offset + HEADER) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(data: &[u8]) -> Vec<Result<(u16, usize), Fault>> {
        Attributes::new(Bytes::new(data, 100))
            .map(|attr| attr.map(|attr| (attr.kind, attr.value.len())))
            .collect()
    }

    #[test]
    fn last_padding_may_be_absent() {
        assert_eq!(kinds(&[5, 0, 33, 0, 1, 0, 0, 0, 5, 0, 7, 0, 2]), [Ok((33, 1)), Ok((7, 1))]);
    }

    #[test]
    fn flags_in_the_type_are_ignored() {
        assert_eq!(kinds(&[4, 0, 6, 0x80]), [Ok((6, 0))]);
    }

    #[test]
    fn impossible_lengths_name_their_offset_and_end_the_list() {
        let short = Flaw::AttributeLength { length: 3, left: 8 }.at(100);
        assert_eq!(kinds(&[3, 0, 1, 0, 4, 0, 1, 0]), [Err(short)]);
        let long = Flaw::AttributeLength { length: 9, left: 4 }.at(104);
        assert_eq!(kinds(&[4, 0, 1, 0, 9, 0, 1, 0]), [Ok((1, 0)), Err(long)]);
    }

    #[test]
    fn stray_bytes_are_padding() {
        assert_eq!(kinds(&[0, 0, 0]), []);
    }
}
