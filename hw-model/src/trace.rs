// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What was executed, in order: the white-box view that tests compare with their own idea.

use esnic_abi::{Cookie, Status};

/// One executed command. It never holds more than its completion says, so no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executed {
    /// The pair that brought it.
    pub queue_pair: u8,
    /// It came by the direct path.
    pub direct: bool,
    /// Its cookie; of the doorbell, if the status is STAGE.
    pub cookie: Cookie,
    /// Its opcode byte, known or not; 0 if the status is STAGE.
    pub opcode_byte: u8,
    /// How it ended.
    pub status: Status,
    /// The result in its completion.
    pub result: u64,
    /// The completion's bit: `lo_valid` of the entry after the command.
    pub lo_valid: bool,
    /// The completion's bit: the command altered the entry.
    pub changed: bool,
}
