// SPDX-License-Identifier: Apache-2.0 OR MIT
//! NDIS statuses, by number and name.

use std::fmt;

/// How a request ended. Compare with [`NdisStatus::SUCCESS`]: two statuses that are no success have the
/// severity bits of one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NdisStatus(pub u32);

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $value:literal,)*) => {
        impl NdisStatus {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// Its name, without `NDIS_STATUS_`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($value => stringify!($name),)*
                    _ => "UNKNOWN",
                }
            }
        }
    };
}

statuses! {
    /// Done.
    SUCCESS = 0x0000_0000,
    /// The completion comes later. Never the status of a completion.
    PENDING = 0x0000_0103,
    /// Not taken: the device is gone, or, for a deletion, is being reset or halted.
    NOT_ACCEPTED = 0x0001_0003,
    /// The device refused, or did not answer in time.
    FAILURE = 0xC000_0001,
    /// What the request names does not exist, or may not be asked of it.
    INVALID_PARAMETER = 0xC000_000D,
    /// No room.
    RESOURCES = 0xC000_009A,
    /// Known, and not offered.
    NOT_SUPPORTED = 0xC000_00BB,
    /// The device is being closed.
    CLOSING = 0xC001_0002,
    /// Stopped by a cancel or a reset.
    REQUEST_ABORTED = 0xC001_000C,
    /// Not begun, since the device is being reset.
    RESET_IN_PROGRESS = 0xC001_000D,
    /// The buffer is shorter than what it must hold; `bytes_needed` says what it takes.
    INVALID_LENGTH = 0xC001_0014,
    /// The content contradicts itself, or is out of bounds.
    INVALID_DATA = 0xC001_0015,
    /// There is not enough room for the answer; `bytes_needed` says what it takes.
    BUFFER_TOO_SHORT = 0xC001_0016,
    /// No such request.
    INVALID_OID = 0xC001_0017,
}

impl fmt::Display for NdisStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:#010X})", self.name(), self.0)
    }
}

impl fmt::Debug for NdisStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
