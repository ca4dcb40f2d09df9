// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The text of a script, where keys may be: it is in one place, and wiped there.

use std::io::{Error, ErrorKind, Read, Result};
use zeroize::{Zeroize, Zeroizing};

/// As much is asked for at a time, at least. Standard input has a buffer of its own, which it passes by for
/// whoever asks for as much as goes into it, or more.
const ROOM: usize = 1 << 16;

/// Reads all of it.
pub(super) fn read(mut from: impl Read) -> Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(vec![0; 2 * ROOM]);
    let mut len = 0;
    loop {
        if bytes.len() - len < ROOM {
            // By itself a vector grows by leaving its bytes behind somewhere.
            let mut larger = Zeroizing::new(vec![0; 2 * bytes.len()]);
            larger[..len].copy_from_slice(&bytes[..len]);
            bytes = larger;
        }
        match from.read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(len);
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            error.into_bytes().zeroize();
            Err(Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
        }
    }
}
