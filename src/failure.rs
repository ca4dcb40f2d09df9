// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How the command fails: which exit code, and which one sentence.

/// Why the command does not end with 0.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The device does not hold what it should, or failed: exit code 1.
    NotInStep(Option<anyhow::Error>),
    /// The command line or the input is wrong: exit code 2.
    Input(anyhow::Error),
}

impl Failure {
    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::NotInStep(_) => 1,
            Self::Input(_) => 2,
        }
    }

    /// What to say; nothing if the output has said it already.
    pub(crate) fn error(&self) -> Option<&anyhow::Error> {
        match self {
            Self::NotInStep(error) => error.as_ref(),
            Self::Input(error) => Some(error),
        }
    }

    /// The device failed.
    pub(crate) fn device(error: impl Into<anyhow::Error>) -> Self {
        Self::NotInStep(Some(error.into()))
    }
}
