// SPDX-License-Identifier: Apache-2.0 OR MIT
//! nlmon captures: pcap and pcapng files of link type 253 (netlink), little-endian.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::cursor::Cursor;
use crate::source::Source;
use crate::{Error, Packet};

/// A capture, held in memory as a whole and wiped on drop: its packets hold keys.
pub struct Capture {
    data: Zeroizing<Vec<u8>>,
    cursor: Cursor,
}

impl Capture {
    /// Opens and reads a capture file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::Read)?;
        let expected = file.metadata().map_or(0, |meta| meta.len());
        Self::read_sized(file, usize::try_from(expected).unwrap_or(0))
    }

    /// Reads a capture to its end.
    pub fn read(from: impl Read) -> Result<Self, Error> {
        Self::read_sized(from, 0)
    }

    /// Takes a capture that is in memory already.
    pub fn from_bytes(data: Zeroizing<Vec<u8>>) -> Result<Self, Error> {
        let cursor = Cursor::new(&data)?;
        Ok(Self { data, cursor })
    }

    /// All packets from the beginning, independent of [`Source::next`].
    ///
    /// After an error the iterator is at its end.
    pub fn packets(&self) -> Packets<'_> {
        // The header was good when the capture was made, so it is still.
        Packets { data: &self.data, cursor: self.cursor.rewound() }
    }

    fn read_sized(mut from: impl Read, expected: usize) -> Result<Self, Error> {
        // `read_to_end` would grow the vector by moving it, leaving copies of keys behind.
        let mut data = Zeroizing::new(vec![0; expected.max(1 << 16).saturating_add(1)]);
        let mut filled = 0;
        loop {
            if filled == data.len() {
                let mut larger = Zeroizing::new(vec![0; data.len().saturating_mul(2)]);
                larger[..filled].copy_from_slice(&data);
                data = larger;
            }
            match from.read(&mut data[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Read(error)),
            }
        }
        data.truncate(filled);
        Self::from_bytes(data)
    }
}

impl Source for Capture {
    fn next(&mut self) -> Result<Option<Packet<'_>>, Error> {
        self.cursor.next(&self.data).transpose()
    }

    fn ended(&self) -> bool {
        self.cursor.ended(&self.data)
    }
}

/// Shows no bytes: they hold keys.
impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("length", &self.data.len()).finish_non_exhaustive()
    }
}

/// The packets of a capture, in order.
pub struct Packets<'a> {
    data: &'a [u8],
    cursor: Cursor,
}

impl<'a> Packets<'a> {
    /// Reads a capture from borrowed bytes, which stay the caller's to wipe.
    pub fn over(data: &'a [u8]) -> Result<Self, Error> {
        Ok(Self { data, cursor: Cursor::new(data)? })
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.cursor.next(self.data)
    }
}

/// Shows no bytes: they hold keys.
impl fmt::Debug for Packets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packets").finish_non_exhaustive()
    }
}
