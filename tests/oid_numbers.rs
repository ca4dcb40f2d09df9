// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Numbers and names of IPsecOV2, and what a log shows.

use esnic_driver::NdisStatus;
use esnic_driver::oid::{Node, indication, number};

/// Numbers as the documents give them, written once more: who changes one must change both.
#[test]
fn numbers_are_those_of_windows() {
    let numbers = [
        (number::ADD_SA, 0xFC03_0202),
        (number::DELETE_SA, 0xFC03_0203),
        (number::UPDATE_SA, 0xFC03_0204),
        (number::ADD_SA_EX, 0xFC03_0205),
        (number::CURRENT_CONFIG, 0xFC01_020B),
        (number::PARAMETERS, 0xFC01_020C),
        (number::HARDWARE_CAPABILITIES, 0xFC01_020D),
        (number::ENCAPSULATION, 0x0101_010A),
        (indication::RESET_START, 0x4001_0004),
        (indication::RESET_END, 0x4001_0005),
        (indication::CURRENT_CONFIG, 0x4002_0006),
    ];
    for (ours, theirs) in numbers {
        assert_eq!(ours, theirs, "{theirs:#010x}");
    }
    let names = [
        (indication::RESET_START, "RESET_START"),
        (indication::RESET_END, "RESET_END"),
        (indication::CURRENT_CONFIG, "TASK_OFFLOAD_CURRENT_CONFIG"),
        (0, "UNKNOWN"),
    ];
    for (number, name) in names {
        assert_eq!(indication::name(number), name);
    }
}

#[test]
fn statuses_are_those_of_windows() {
    let statuses = [
        (NdisStatus::SUCCESS, 0, "SUCCESS"),
        (NdisStatus::PENDING, 0x103, "PENDING"),
        (NdisStatus::NOT_ACCEPTED, 0x0001_0003, "NOT_ACCEPTED"),
        (NdisStatus::FAILURE, 0xC000_0001, "FAILURE"),
        (NdisStatus::INVALID_PARAMETER, 0xC000_000D, "INVALID_PARAMETER"),
        (NdisStatus::RESOURCES, 0xC000_009A, "RESOURCES"),
        (NdisStatus::NOT_SUPPORTED, 0xC000_00BB, "NOT_SUPPORTED"),
        (NdisStatus::CLOSING, 0xC001_0002, "CLOSING"),
        (NdisStatus::REQUEST_ABORTED, 0xC001_000C, "REQUEST_ABORTED"),
        (NdisStatus::RESET_IN_PROGRESS, 0xC001_000D, "RESET_IN_PROGRESS"),
        (NdisStatus::INVALID_LENGTH, 0xC001_0014, "INVALID_LENGTH"),
        (NdisStatus::INVALID_DATA, 0xC001_0015, "INVALID_DATA"),
        (NdisStatus::BUFFER_TOO_SHORT, 0xC001_0016, "BUFFER_TOO_SHORT"),
        (NdisStatus::INVALID_OID, 0xC001_0017, "INVALID_OID"),
        (NdisStatus(1), 1, "UNKNOWN"),
    ];
    for (ours, theirs, name) in statuses {
        assert_eq!((ours.0, ours.name()), (theirs, name));
        assert_eq!(ours.to_string(), format!("{name} ({theirs:#010X})"));
        assert_eq!(format!("{ours:?}"), name);
    }
}

#[test]
fn a_node_in_a_log_shows_no_key() {
    let node = Node::from(vec![0xC7; 204]);
    assert_eq!(format!("{node:?}"), "204 bytes");
}
