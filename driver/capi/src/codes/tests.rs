// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The header's numbers are the contract's.

use super::*;
use esnic_abi::layout::Codes;
use esnic_abi::regs::Global;
use std::collections::BTreeMap;

/// Every `NAME = NUMBER` of the enumerations above, as the header prints them.
fn written() -> BTreeMap<&'static str, &'static str> {
    let text = include_str!("../codes.rs");
    text.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = ")).collect()
}

#[test]
fn every_code_of_the_contract_has_its_number_here() {
    let sets: &[(&str, &Codes)] = &[
        ("ESNIC_STATUS_", &esnic_abi::Status::CODES),
        ("ESNIC_", &esnic_abi::Protocol::CODES),
        ("ESNIC_", &esnic_abi::Direction::CODES),
        ("ESNIC_", &esnic_abi::Mode::CODES),
        ("ESNIC_", &esnic_abi::Algorithm::CODES),
        ("ESNIC_", &esnic_abi::UpdateMode::CODES),
    ];
    let written = written();
    for (prefix, codes) in sets {
        for code in codes.codes {
            let name = format!("{prefix}{}", code.name);
            assert_eq!(written.get(&*name), Some(&&*code.value.to_string()), "{name}");
        }
    }
}

#[test]
fn every_bit_of_the_registers_is_where_the_device_has_it() {
    let named = [
        ("ESN", ESNIC_FEATURE_ESN),
        ("AH", ESNIC_FEATURE_AH),
        ("ESP", ESNIC_FEATURE_ESP),
        ("IPV4", ESNIC_FEATURE_IPV4),
        ("IPV6", ESNIC_FEATURE_IPV6),
        ("TRANSPORT", ESNIC_FEATURE_TRANSPORT),
        ("TUNNEL", ESNIC_FEATURE_TUNNEL),
        ("UDP_TRANSPORT", ESNIC_FEATURE_UDP_TRANSPORT),
        ("UDP_TUNNEL", ESNIC_FEATURE_UDP_TUNNEL),
        ("ICV_8", ESNIC_ICV_8),
        ("ICV_12", ESNIC_ICV_12),
        ("ICV_16", ESNIC_ICV_16),
    ];
    for (name, bit) in named {
        let fields = [Global::FEATURES, Global::ALGS].map(|register| register.register().fields);
        let found = fields.iter().copied().flatten().find(|field| field.name == name);
        assert_eq!(found.map(esnic_abi::layout::Field::mask), Some(bit), "{name}");
    }
}

#[test]
fn the_states_are_the_drivers() {
    use esnic_driver::State;
    let same = [
        (esnic_state::ESNIC_ADDING, State::Adding),
        (esnic_state::ESNIC_LIVE, State::Live),
        (esnic_state::ESNIC_DELETING, State::Deleting),
        (esnic_state::ESNIC_DEAD, State::Dead),
        (esnic_state::ESNIC_LOST, State::Lost),
    ];
    for (ours, theirs) in same {
        assert_eq!(ours as u32, theirs as u32);
    }
}
