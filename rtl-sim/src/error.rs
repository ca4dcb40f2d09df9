// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Why there is no device.

use esnic_abi::{Params, ParamsError};
use std::path::PathBuf;

/// Why there is no device, or no waveform of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RtlError {
    /// No device can have these parameters.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// RTL is compiled for its parameters, and for these it was not.
    #[error("the RTL was not compiled for {wanted:?}; its builds are {}", builds.join(", "))]
    NoBuild {
        /// What was asked for.
        wanted: Box<Params>,
        /// The names of the builds that there are.
        builds: Vec<&'static str>,
    },
    /// The crate was compiled without its feature `trace`.
    #[error("this program was compiled without waveforms; its feature `trace` adds them")]
    NoTrace,
    /// There is no such file, and none can be made.
    #[error("no waveform can be written to {}", .path.display())]
    TraceFile {
        /// Where to.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
