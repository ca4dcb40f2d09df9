// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What can go wrong between the driver and a device as a whole. What can go wrong with one request
//! is in [`crate::ticket`] and [`crate::sa`].

use esnic_abi::{DeviceState, ParamsError, QpCause};
use std::time::Duration;

/// Why a device cannot be used, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Every read gives all ones.
    #[error(
        "the device is gone: it answers every read with all ones; look for a removed card or a link \
         that is down"
    )]
    Gone,
    /// Something else answers.
    #[error(
        "this is no esnic device, check which one is named: ID reads {found:#010x}, expected {:#010x}",
        esnic_abi::DEVICE_ID
    )]
    NotEsnic {
        /// What `ID` reads.
        found: u32,
    },
    /// The device speaks another layout.
    #[error(
        "the device speaks another layout: its ABI_HASH is {found:#018x}, this driver's is \
         {:#018x}, and COMPAT_HASH does not list it; use driver and device of one release",
        esnic_abi::ABI_HASH
    )]
    OtherLayout {
        /// What `ABI_HASH` reads.
        found: u64,
    },
    /// A parameter that the device reports cannot be.
    #[error("the device reports an impossible build; it is broken, or no esnic device")]
    Params(#[from] ParamsError),
    /// The caller asked for something that this device does not have.
    #[error("{what}")]
    Config {
        /// What is wanted and what there is.
        what: String,
    },
    /// The device is there, but does not do what every esnic device does.
    #[error("the device misbehaves: {what}; reset it, and replace it if that does not help")]
    Misbehaves {
        /// What it does or does not.
        what: String,
    },
    /// Something in this process holds up a reset.
    #[error("the reset cannot begin: {what}; try again once that has ended")]
    Stuck {
        /// What it waits for.
        what: &'static str,
    },
    /// The device did not reach a state in time.
    #[error(
        "the device is in {} after {waited:?}, expected {expected}; try again, with a longer deadline if \
         the machine is busy, and replace it if that does not help",
        name(*.found)
    )]
    State {
        /// What `STATUS` reads, if it is a state at all.
        found: Option<DeviceState>,
        /// What it should be.
        expected: DeviceState,
        /// How long the driver waited.
        waited: Duration,
    },
    /// The device stopped because an invariant failed.
    #[error("the device stopped with FATAL, cause {cause:#x}, info {info:#x}; reset it")]
    Fatal {
        /// What `FATAL_CAUSE` reads.
        cause: u32,
        /// What `FATAL_INFO` reads.
        info: u32,
    },
    /// Somebody else reset the device, or set it up for himself: commands that were under way are lost,
    /// and so is the table.
    #[error(
        "the device was reset behind this driver's back: {found}; find out who does that, then recover \
         the device, which puts the table back"
    )]
    ForeignReset {
        /// In what it is not as this driver left it.
        found: String,
    },
    /// A queue pair stopped.
    #[error(
        "queue pair {pair} stopped with {}, DMA address {address:#x}; reset the device",
        .cause.map_or("an unknown cause", QpCause::name)
    )]
    QueuePair {
        /// Which.
        pair: u32,
        /// Why, if the number is known.
        cause: Option<QpCause>,
        /// Address of the DMA that failed.
        address: u64,
    },
    /// A queue pair did not start or stop in time.
    #[error(
        "queue pair {pair} did not {what} within {waited:?}; reset the device, and replace it if that \
         does not help"
    )]
    QueuePairTimeout {
        /// Which.
        pair: u32,
        /// "start" or "stop".
        what: &'static str,
        /// How long the driver waited.
        waited: Duration,
    },
    /// There is no memory for the device.
    #[error("cannot get {len_bytes} bytes of memory for the device: {reason}")]
    DmaMemory {
        /// How much was wanted.
        len_bytes: usize,
        /// What the system says.
        reason: String,
    },
    /// Memory that holds keys could not be locked.
    #[error(
        "cannot lock {len_bytes} bytes for keys: {reason}; raise the memlock limit (ulimit -l), or \
         allow keys in swappable memory"
    )]
    KeyMemory {
        /// How much was wanted.
        len_bytes: usize,
        /// What the system says.
        reason: String,
    },
    /// The transport failed.
    #[error("{name}: {what}")]
    Transport {
        /// Which device.
        name: String,
        /// What failed and what to do.
        what: String,
    },
    /// The host does not lend the function.
    #[error(transparent)]
    Host(#[from] crate::pci::Refusal),
    /// The driver was closed: the keys are wiped, so there is nothing to restore from.
    #[error("the device was closed; open it again")]
    Closed,
    /// The device broke the contract.
    #[error("the device broke the contract, reset it, and replace it if that does not help: {0}")]
    Protocol(#[from] crate::cq::Violation),
}

fn name(state: Option<DeviceState>) -> &'static str {
    state.map_or("an unknown state", DeviceState::name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cq::{Broken, Violation};

    /// One of each that comes from the device.
    fn all() -> Vec<Error> {
        let (what, waited) = (String::new(), Duration::from_secs(1));
        let broken = Violation { pair: 0, at: 7, bytes: [0xAB; 16], broken: Broken::Opcode };
        vec![
            Error::Gone,
            Error::NotEsnic { found: 1 },
            Error::OtherLayout { found: 1 },
            Error::Params(ParamsError { what: "max_window", value: 5000, must: "at most 4096" }),
            Error::Misbehaves { what },
            Error::Stuck { what: "a callback does not return" },
            Error::State { found: None, expected: DeviceState::Ready, waited },
            Error::Fatal { cause: 1, info: 2 },
            Error::ForeignReset { found: "it is in READY".to_owned() },
            Error::QueuePair { pair: 0, cause: None, address: 1 },
            Error::QueuePairTimeout { pair: 0, what: "stop", waited },
            Error::Closed,
            Error::Protocol(broken),
        ]
    }

    #[test]
    fn every_error_of_a_device_says_what_to_do() {
        for error in all() {
            let remedy = match &error {
                Error::Gone => "look for",
                Error::NotEsnic { .. } => "check which one is named",
                Error::OtherLayout { .. } => "use driver and device of one release",
                Error::Params(_) => "it is broken, or no esnic device",
                Error::Misbehaves { .. } => "reset it, and replace it",
                Error::Stuck { .. } => "try again once",
                Error::State { .. } => "try again, with a longer deadline",
                Error::Fatal { .. } => "reset it",
                Error::ForeignReset { .. } => "find out who does that, then recover the device",
                Error::QueuePair { .. } => "reset the device",
                Error::QueuePairTimeout { .. } => "reset the device, and replace it",
                Error::Closed => "open it again",
                Error::Protocol(_) => "reset it, and replace it",
                // Whoever makes them says it.
                Error::Config { .. }
                | Error::DmaMemory { .. }
                | Error::KeyMemory { .. }
                | Error::Transport { .. }
                | Error::Host(_) => "",
            };
            let text = error.to_string();
            assert!(text.contains(remedy), "{text}");
        }
    }
}
