// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A slice that remembers where in the packet it came from, so that every error can say so.

use crate::error::{Fault, Flaw};

/// Bytes of a packet and the offset of the first of them.
#[derive(Clone, Copy)]
pub(crate) struct Bytes<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) offset: usize,
}

impl<'a> Bytes<'a> {
    pub(crate) fn new(data: &'a [u8], offset: usize) -> Self {
        Self { data, offset }
    }

    pub(crate) fn len(&self) -> usize {
        self.data.len()
    }

    /// The first `need` bytes and the rest; `what` names the structure in the error.
    pub(crate) fn split(
        self,
        need: usize,
        what: &'static str,
    ) -> Result<(Bytes<'a>, Bytes<'a>), Fault> {
        match self.data.split_at_checked(need) {
            Some((head, tail)) => {
                Ok((Bytes::new(head, self.offset), Bytes::new(tail, self.offset + need)))
            }
            None => Err(self.short(need, what)),
        }
    }

    /// Reads a fixed structure of `need` bytes from the front with one of the field's parsers.
    ///
    /// Those check the length themselves, but their errors know no offset.
    pub(crate) fn fixed<T, E>(
        self,
        need: usize,
        what: &'static str,
        parse: impl Fn(&[u8]) -> Result<T, E>,
    ) -> Result<(T, Bytes<'a>), Fault> {
        let (head, tail) = self.split(need, what)?;
        let value = parse(head.data).map_err(|_| self.short(need, what))?;
        Ok((value, tail))
    }

    pub(crate) fn u8(self, what: &'static str) -> Result<u8, Fault> {
        self.data.first().copied().ok_or_else(|| self.short(1, what))
    }

    pub(crate) fn u16(self, what: &'static str) -> Result<u16, Fault> {
        let bytes = self.data.first_chunk().ok_or_else(|| self.short(2, what))?;
        Ok(u16::from_le_bytes(*bytes))
    }

    pub(crate) fn u32(self, what: &'static str) -> Result<u32, Fault> {
        let bytes = self.data.first_chunk().ok_or_else(|| self.short(4, what))?;
        Ok(u32::from_le_bytes(*bytes))
    }

    fn short(self, need: usize, what: &'static str) -> Fault {
        Flaw::Short { what, need, left: self.data.len() }.at(self.offset)
    }
}
