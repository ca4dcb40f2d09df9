// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a completion can say at all, whatever was asked (4.7 of the device manual).

use crate::pending::{Kind, Outcome};
use esnic_abi::{Opcode, Status};

/// Which statuses a command can end with (4.7); of these, the driver's own encoder rules out none,
/// since a device of another build may refuse what this one takes.
pub(super) fn possible(kind: Kind, status: Status) -> bool {
    use Opcode as O;
    use Status as S;
    let opcode = kind.opcode;
    match status {
        S::Ok => opcode != O::AddSecond,
        S::Stage => kind.direct > 0,
        S::BadOpcode | S::BadEpoch | S::BadField => true,
        S::BadPair | S::Occupied | S::OldGeneration => opcode == O::Add,
        S::Unsupported => matches!(opcode, O::Add | O::Query | O::Resolve),
        S::BadIndex => !matches!(opcode, O::Nop | O::Fence | O::Update4),
        S::Draining => opcode == O::Delete,
        S::Empty | S::Stale => {
            matches!(opcode, O::Update | O::Delete | O::Query | O::Resolve)
        }
        S::WrongProto | S::WrongSpi | S::NotEsn | S::Conflict | S::Backward => opcode == O::Update,
        S::Verify => matches!(opcode, O::Add | O::Delete),
        S::DmaError => opcode == O::Query,
        S::Items => opcode == O::Update4,
    }
}

/// Whether result and `changed` are as the status has them (4.7, R14). What depends on the command's
/// content is up to whoever settles it.
pub(super) fn consistent(kind: Kind, outcome: &Outcome) -> bool {
    use Opcode as O;
    use Status as S;
    let result = match outcome.status {
        S::Ok => !matches!(kind.opcode, O::Nop | O::Fence) || outcome.result == 0,
        S::Items | S::DmaError | S::NotEsn | S::Conflict | S::Backward => true,
        S::Occupied | S::OldGeneration | S::Draining | S::Empty | S::Stale => {
            outcome.result <= u64::from(u32::MAX)
        }
        S::Stage
        | S::BadOpcode
        | S::BadEpoch
        | S::BadPair
        | S::BadField
        | S::BadIndex
        | S::Unsupported
        | S::WrongProto
        | S::WrongSpi
        | S::Verify => outcome.result == 0,
    };
    let changed = match (outcome.status, kind.opcode) {
        (S::Ok, O::Add | O::Delete) => outcome.changed,
        (S::Ok, O::Nop | O::Fence | O::Query) => !outcome.changed,
        (S::Ok | S::Items | S::Verify, _) => true,
        _ => !outcome.changed,
    };
    result && changed
}
