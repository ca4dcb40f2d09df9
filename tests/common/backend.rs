// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What can stand behind the boundary. A new device under test is one more `impl Backend` and one
//! more line in `for_each_backend!`; no test changes.

use esnic_abi::{Device, Params};
use esnic_driver::transport::Transport;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A way to make a device, and the hooks behind its pins that this kind of device has. A test that
/// needs a hook which is not there checks what it can without it.
pub trait Backend: 'static {
    /// For people.
    const NAME: &'static str;
    /// How the device is reached.
    type Link: Transport;
    /// Whether the bus tells the device of a write that it refuses. A real one does not (R46).
    const TELLS: bool = true;
    /// Whether the driver writes the device's own MSI-X table. Behind the kernel's VFIO it is the kernel's, and
    /// masks by eventfd: tests/vfio/interrupts.rs.
    const SHOWS_MSIX: bool = true;
    /// How long an interrupt may be on its way from the device to the host, where that is not a matter of
    /// the device's clock.
    const ON_ITS_WAY: Duration = Duration::ZERO;

    /// A device fresh from power-on.
    fn plug(params: Params) -> Self::Link;

    /// Accesses of any size, past the transport.
    fn pins<R>(_link: &Self::Link, _f: impl FnOnce(&mut dyn Device) -> R) -> Option<R> {
        None
    }

    /// Gives the device exactly so many cycles.
    fn step(_link: &Self::Link, _cycles: u32) -> Option<()> {
        None
    }

    /// Makes the device fail.
    fn inject(_link: &Self::Link, _fault: Fault) -> Option<()> {
        None
    }

    /// What was executed since the last call, in order over all pairs and paths.
    fn trace(_link: &Self::Link) -> Option<Vec<Took>> {
        None
    }

    /// Buffers that the device can reach.
    fn mappings(_link: &Self::Link) -> Option<usize> {
        None
    }

    /// Reads and writes of the device's that were refused so far, where the bus does not tell it of writes.
    fn refused(_link: &Self::Link) -> Option<(u64, u64)> {
        None
    }

    /// Whether all memory of an SA slot is zero, keys included: the row, and what is staged for it.
    fn is_wiped(_link: &Self::Link, _index: u32) -> Option<bool> {
        None
    }
}

/// Ways to fail that a host cannot bring about by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The next ADD reads back something else.
    VerifyAdd,
    /// The next DELETE reads back something else.
    VerifyDelete,
    /// An invariant fails now; FATAL_INFO shows this.
    Internal(u32),
    /// A memory of the table fails its check now; FATAL_INFO shows this.
    TableEcc(u32),
    /// The data of the next ring read arrives poisoned.
    PoisonedRead,
    /// The bus refuses the next ring read.
    FailedRead,
    /// The bus refuses the next write.
    FailedWrite,
}

/// For the line to a bench that has the device.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VerifyAdd => f.write_str("verify-add"),
            Self::VerifyDelete => f.write_str("verify-delete"),
            Self::Internal(info) => write!(f, "internal {info}"),
            Self::TableEcc(info) => write!(f, "table-ecc {info}"),
            Self::PoisonedRead => f.write_str("poisoned-read"),
            Self::FailedRead => f.write_str("failed-read"),
            Self::FailedWrite => f.write_str("failed-write"),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, number) = text.split_once(' ').unwrap_or((text, ""));
        let info = || number.parse().map_err(|_| format!("`{text}` has no number"));
        match name {
            "verify-add" => Ok(Self::VerifyAdd),
            "verify-delete" => Ok(Self::VerifyDelete),
            "internal" => info().map(Self::Internal),
            "table-ecc" => info().map(Self::TableEcc),
            "poisoned-read" => Ok(Self::PoisonedRead),
            "failed-read" => Ok(Self::FailedRead),
            "failed-write" => Ok(Self::FailedWrite),
            _ => Err(format!("`{text}` is no fault")),
        }
    }
}

/// One executed command; `PAIR:DIRECT:COOKIE` on the line from a bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Took {
    pub pair: u32,
    pub direct: bool,
    pub cookie: u32,
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.pair, u8::from(self.direct), self.cookie)
    }
}

impl FromStr for Took {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Result<Vec<u32>, _> = text.split(':').map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[pair, direct, cookie]) => Ok(Self { pair, direct: direct == 1, cookie }),
            _ => Err(format!("`{text}` is no command that ran")),
        }
    }
}

/// The tests of a file, once per backend: `for_each_backend!(one_promise, another);` where each
/// promise is a `fn one_promise<B: Backend>()`. A promise that is not listed is dead code, which
/// the lints refuse.
#[cfg(not(esnic_guest))]
macro_rules! for_each_backend {
    ($($promise:ident),* $(,)?) => {
        mod model {
            $( #[test] fn $promise() { super::$promise::<crate::common::Model>(); } )*
        }
        mod rtl {
            $( #[test] fn $promise() { super::$promise::<crate::common::Rtl>(); } )*
        }
        mod vfio_user {
            $( #[test] fn $promise() { super::$promise::<crate::common::VfioUser>(); } )*
        }
    };
}

/// The same in the test guest, where the kernel's VFIO is the one way to a device.
#[cfg(esnic_guest)]
macro_rules! for_each_backend {
    ($($promise:ident),* $(,)?) => {
        mod vfio {
            $( #[test] fn $promise() { super::$promise::<crate::common::Vfio>(); } )*
        }
    };
}
