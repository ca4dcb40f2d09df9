// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the two ends tell each other first: a version, and a string of JSON with their limits.

use crate::wire::{Header, MAX_DATA, MAX_FDS, MAX_MAPS, PAGE};
use serde_json::{Map, Value, json};

/// Limits of the other end, as far as anybody here cares. What it does not tell is what the protocol
/// says it is then; what it tells beyond these is its own affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Descriptors that it takes with one message.
    pub max_msg_fds: usize,
    /// Bytes of data that it takes with one access.
    pub max_data: usize,
    /// Whether it knows REGION_WRITE_MULTI.
    pub write_multiple: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_msg_fds: 1, max_data: 1 << 20, write_multiple: false }
    }
}

/// The string is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads the string behind the version: absent, or JSON with a zero byte behind it. Some leave the
/// zero byte out.
///
/// # Errors
/// If it is something else, or a limit is no number.
pub fn parse(bytes: &[u8]) -> Result<Limits, Malformed> {
    let mut limits = Limits::default();
    let text = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    if text.is_empty() {
        return Ok(limits);
    }
    let value: Value = serde_json::from_slice(text).map_err(|_| Malformed)?;
    let empty = Map::new();
    let told = match value.as_object().ok_or(Malformed)?.get("capabilities") {
        None | Some(Value::Null) => &empty,
        Some(other) => other.as_object().ok_or(Malformed)?,
    };
    let number = |name: &str, otherwise: usize| match told.get(name) {
        None | Some(Value::Null) => Ok(otherwise),
        Some(value) => value.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or(Malformed),
    };
    limits.max_msg_fds = number("max_msg_fds", limits.max_msg_fds)?;
    limits.max_data = number("max_data_xfer_size", limits.max_data)?;
    limits.write_multiple = told.get("write_multiple") == Some(&Value::Bool(true));
    Ok(limits)
}

/// The string that says what this end takes. An answer offers nothing that was not asked for.
#[must_use]
pub fn offer(write_multiple: bool) -> Vec<u8> {
    let mut told = json!({
        "max_msg_fds": MAX_FDS,
        "max_data_xfer_size": MAX_DATA,
        "max_dma_maps": MAX_MAPS,
        "pgsizes": PAGE,
    });
    if write_multiple {
        told["write_multiple"] = true.into();
    }
    let mut text = json!({ "capabilities": told }).to_string().into_bytes();
    text.push(0);
    text
}

/// Longest string that is looked at.
pub const MAX_TEXT: usize = 4096 - Header::LEN;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_qemu_says_is_understood() {
        let text = br#"{"capabilities": {"max_msg_fds": 16, "max_data_xfer_size": 1048576, "pgsizes": 4096,
            "max_dma_maps": 65535, "migration": {"pgsize": 4096, "max_bitmap_size": 268435456},
            "write_multiple": true}}"#;
        let mut text = text.to_vec();
        text.push(0);
        let limits = parse(&text).unwrap();
        assert_eq!(limits, Limits { max_msg_fds: 16, max_data: 1 << 20, write_multiple: true });
    }

    #[test]
    fn what_is_not_told_is_as_the_protocol_has_it() {
        for text in [&b""[..], b"\0", b"{}", b"{}\0", br#"{"capabilities":{}}"#, br#"{"more":1}"#] {
            assert_eq!(parse(text), Ok(Limits::default()));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let nonsense: [&[u8]; 8] = [
            b"{",
            b"[]",
            b"3",
            b"{}\0\0",
            br#"{"capabilities":[]}"#,
            br#"{"capabilities":{"max_msg_fds":-1}}"#,
            br#"{"capabilities":{"max_msg_fds":"x"}}"#,
            b"\xFF\xFE",
        ];
        for text in nonsense {
            assert_eq!(parse(text), Err(Malformed), "{}", String::from_utf8_lossy(text));
        }
        let deep = [b"[".repeat(4000), b"]".repeat(4000)].concat();
        assert_eq!(parse(&deep), Err(Malformed));
    }

    #[test]
    fn an_offer_can_be_read() {
        for multi in [false, true] {
            let limits = parse(&offer(multi)).unwrap();
            let wanted = Limits { max_msg_fds: MAX_FDS, max_data: MAX_DATA, write_multiple: multi };
            assert_eq!(limits, wanted);
        }
    }
}
