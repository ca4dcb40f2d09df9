// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Why a call fails: a code, and a sentence that is kept for the thread. What a caller handed in is
//! not quoted in it, so no key can be.

use crate::codes::esnic_error::{self, *};
use esnic_driver::{Error, SubmitError, WaitError};
use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::CStr;

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fail {
    pub(crate) code: esnic_error,
    pub(crate) text: Cow<'static, str>,
}

impl Fail {
    pub(crate) fn new(code: esnic_error, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into() }
    }

    /// An argument makes no sense.
    pub(crate) fn invalid(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ESNIC_E_INVALID, text)
    }

    /// With the code's own sentence.
    pub(crate) fn plain(code: esnic_error) -> Self {
        Self::new(code, code.text().to_str().unwrap_or_default())
    }
}

impl From<SubmitError> for Fail {
    fn from(error: SubmitError) -> Self {
        let code = match &error {
            SubmitError::Full => ESNIC_E_FULL,
            SubmitError::Busy => ESNIC_E_BUSY,
            SubmitError::TableFull => ESNIC_E_TABLE_FULL,
            SubmitError::NotFound => ESNIC_E_NOT_FOUND,
            SubmitError::WrongProtocol(_) | SubmitError::WrongSpi(_) | SubmitError::NotEsn => {
                ESNIC_E_MISMATCH
            }
            SubmitError::Lost => ESNIC_E_LOST,
            SubmitError::Unsupported(esnic_driver::Unsupported::Contradiction(_))
            | SubmitError::Bundle => ESNIC_E_INVALID,
            SubmitError::Unsupported(_) => ESNIC_E_UNSUPPORTED,
            SubmitError::Closed => ESNIC_E_CLOSED,
            _ => ESNIC_E_INTERNAL,
        };
        Self::new(code, error.to_string())
    }
}

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Config { .. } => ESNIC_E_INVALID,
            Error::DmaMemory { .. }
            | Error::KeyMemory { .. }
            | Error::Transport { .. }
            | Error::Host(_) => ESNIC_E_HOST,
            Error::Stuck { .. } => ESNIC_E_BUSY,
            Error::Closed => ESNIC_E_CLOSED,
            _ => ESNIC_E_DEVICE,
        };
        Self::new(code, error.to_string())
    }
}

impl From<WaitError> for Fail {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::Timeout { .. } => Self::new(ESNIC_E_TIMEOUT, error.to_string()),
            WaitError::Device(device) => Self::from(device),
            _ => Self::new(ESNIC_E_INTERNAL, error.to_string()),
        }
    }
}

thread_local! {
    static LAST: RefCell<Cow<'static, str>> = const { RefCell::new(Cow::Borrowed("")) };
}

/// Keeps the sentence for this thread.
pub(crate) fn keep(text: Cow<'static, str>) {
    // A thread that is ending has none any more.
    let _ = LAST.try_with(|last| last.replace(text));
}

/// The sentence of this thread's last failure.
pub(crate) fn last() -> Cow<'static, str> {
    LAST.try_with(|last| last.borrow().clone()).unwrap_or_default()
}

/// Every code, with its sentence.
const TEXTS: &[(esnic_error, &CStr)] = &[
    (ESNIC_OK, c"no error"),
    (ESNIC_E_INVALID, c"an argument makes no sense"),
    (ESNIC_E_SIZE, c"a structure has a size or members that this library does not know"),
    (ESNIC_E_VERSION, c"the program was compiled for another version of esnic"),
    (ESNIC_E_HANDLE, c"no open device has this number"),
    (ESNIC_E_TICKET, c"the device has no such ticket, or it was used up"),
    (ESNIC_E_BUSY, c"somebody else is at it; poll and try again"),
    (ESNIC_E_FULL, c"there is no room for another request; poll, use up tickets, try again"),
    (ESNIC_E_TABLE_FULL, c"the SA table is full"),
    (ESNIC_E_NOT_FOUND, c"no SA has this handle"),
    (ESNIC_E_MISMATCH, c"the SA has another protocol or SPI, or no extended sequence numbers"),
    (ESNIC_E_LOST, c"the device does not hold the SA any more; delete it and add it again"),
    (ESNIC_E_UNSUPPORTED, c"the device cannot take the SA"),
    (ESNIC_E_CLOSED, c"the device is being reset or closed"),
    (ESNIC_E_PENDING, c"there is no outcome yet"),
    (ESNIC_E_TIMEOUT, c"there was no outcome in time"),
    (ESNIC_E_REFUSED, c"the device refused the command"),
    (ESNIC_E_ABORTED, c"a reset aborted the command"),
    (ESNIC_E_ITEMS, c"not every item of the batch succeeded"),
    (ESNIC_E_DEVICE, c"the device is gone, stopped or broken"),
    (ESNIC_E_HOST, c"the host refuses"),
    (ESNIC_E_NO_EVENT, c"there is no such file to sleep on"),
    (ESNIC_E_INTERNAL, c"a bug in esnic"),
];

impl esnic_error {
    /// The code with this number.
    pub(crate) fn from_number(number: i32) -> Option<Self> {
        TEXTS.iter().map(|&(code, _)| code).find(|&code| code as i32 == number)
    }

    /// What it means, in a sentence.
    pub(crate) fn text(self) -> &'static CStr {
        let found = TEXTS.iter().find(|(code, _)| *code == self);
        found.map_or(c"an unknown error", |(_, text)| text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_sentence_of_its_own() {
        for (k, (code, text)) in TEXTS.iter().enumerate() {
            assert_eq!(*code as i32, -(k as i32), "{code:?} is out of its place");
            assert!(TEXTS[..k].iter().all(|(_, other)| other != text), "{code:?}");
        }
        assert_eq!(TEXTS.last().map(|(code, _)| *code), Some(ESNIC_E_INTERNAL), "the last code");
    }
}
