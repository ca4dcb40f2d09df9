// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What an ADD says is what the device holds: each member of an element, each algorithm, and where the keys
//! are. And whatever becomes of it, no key comes back.

#[macro_use]
mod support;

use esnic_driver::NdisStatus;
use esnic_driver::oid::{Completion, Kind, Ndis, Options, Request, number};
use support::oids::*;
use support::*;

on_every_backend!(
    each_algorithm_arrives_as_it_is_named,
    what_the_structures_do_not_say_is_the_least,
    algorithms_for_authentication_are_told_apart,
    each_end_of_ipv6_is_where_it_belongs,
    udp_is_for_the_esp_element,
    keys_may_begin_right_behind_the_structure,
    no_key_comes_back_from_a_refusal,
);

const SUCCESS: NdisStatus = NdisStatus::SUCCESS;

/// The algorithms by their bits, with the bytes of key and salt.
const GCM: [(u32, usize, Algorithm); 3] = [
    (0x08, 20, Algorithm::AesGcm128),
    (0x10, 28, Algorithm::AesGcm192),
    (0x20, 36, Algorithm::AesGcm256),
];
const GMAC: [(u32, usize, Algorithm); 3] = [
    (0x08, 20, Algorithm::AesGmac128),
    (0x10, 28, Algorithm::AesGmac192),
    (0x20, 36, Algorithm::AesGmac256),
];

/// One element that authenticates and does not encrypt.
fn authenticated(spi: u32, operation: u32, auth: [u32; 4], null: u32) -> Add {
    let mut add = Add::esp(spi);
    add.elements[0].operation = operation;
    add.elements[0].auth = auth;
    add.elements[0].enc = [null, 0, 0, 0];
    add
}

fn each_algorithm_arrives_as_it_is_named<B: Backend>() {
    let desk = Desk::<B>::new();
    let mut wanted = Vec::new();
    let mut add = |add: &Add, protocol, (len, algorithm, icv): (usize, Algorithm, u8)| {
        let sa = SaHandle::from_bits(desk.add(add));
        let (key, salt) = add.keys[..len].split_last_chunk::<4>().unwrap();
        let keys = KeyMaterial::new(*salt, key).unwrap();
        assert!(desk.port.manager().has_keys(sa, &keys), "{algorithm:?}");
        wanted.push((add.elements[0].spi, protocol, algorithm, icv));
    };
    let mut spis = 1..;
    for (bit, len, algorithm) in GCM {
        for icv in [8, 12, 16] {
            let mut one = Add::esp(spis.next().unwrap());
            one.elements[0].enc = [bit, len as u32, 0, icv.into()];
            add(&one, Protocol::Esp, (len, algorithm, icv));
        }
    }
    // Null encryption may be named, or left out.
    for (bit, len, algorithm) in GMAC {
        for (operation, null, protocol) in
            [(ESP, 0, Protocol::Esp), (ESP, 1, Protocol::Esp), (AH, 0, Protocol::Ah)]
        {
            let auth = [bit, len as u32, 0, 0];
            let one = authenticated(spis.next().unwrap(), operation, auth, null);
            add(&one, protocol, (len, algorithm, 16));
        }
    }
    let rows = desk.port.manager().read_table().unwrap();
    let held = rows.iter().map(|row| (row.spi.0, row.protocol, row.algorithm, row.icv_len));
    assert_eq!(held.collect::<Vec<_>>(), wanted);
    // A key of another algorithm's length is none of this one's.
    for (bit, len, algorithm) in GCM {
        for other in [20, 28, 36].into_iter().filter(|&other| other != len) {
            let mut one = Add::esp(100);
            one.elements[0].enc = [bit, other as u32, 0, 16];
            let done = desk.run(set(number::ADD_SA, [one.bytes()]));
            assert_eq!(done.status, NdisStatus::INVALID_DATA, "{algorithm:?} {other}");
        }
    }
    desk.assert_clean();
}

fn what_the_structures_do_not_say_is_the_least<B: Backend>() {
    let desk = Desk::<B>::new();
    let mut one = Add::esp(1);
    one.elements[0].hi = 7;
    desk.add(&one);
    let rows = desk.port.manager().read_table().unwrap();
    assert_eq!(rows[0].replay_window, 0, "the host looks for replays");
    assert_eq!((rows[0].top, rows[0].lo_valid), (Top::new(7, 0), false), "no packet was seen");
    assert_eq!((rows[0].mode, rows[0].udp), (Mode::Transport, None));
}

fn algorithms_for_authentication_are_told_apart<B: Backend>() {
    let desk = Desk::<B>::new();
    for operation in [AH, ESP] {
        let status = |bits: u32| {
            let add = authenticated(1, operation, [bits, 36, 0, 0], 0);
            desk.run(set(number::ADD_SA, [add.bytes()])).status
        };
        for hmac in [0x1, 0x2, 0x4] {
            assert_eq!(status(hmac), NdisStatus::NOT_SUPPORTED, "{hmac:#x}");
        }
        for wrong in [0, 0x28, 0x3, 0x40] {
            assert_eq!(status(wrong), NdisStatus::INVALID_DATA, "{wrong:#x}");
        }
    }
    assert_eq!(desk.table(), []);
}

fn each_end_of_ipv6_is_where_it_belongs<B: Backend>() {
    let desk = Desk::<B>::new();
    let mut six = Add::esp(1);
    six.flags |= 0x10;
    six.endpoints[..16]
        .copy_from_slice(&0x2001_0db8_0000_0000_0000_0000_0000_0001u128.to_be_bytes());
    six.endpoints[16..]
        .copy_from_slice(&0x2001_0db8_0000_0000_0000_0000_0000_0002u128.to_be_bytes());
    desk.add(&six);
    let rows = desk.port.manager().read_table().unwrap();
    let ends = (rows[0].src.to_string(), rows[0].dst.to_string());
    assert_eq!(ends, ("2001:db8::1".into(), "2001:db8::2".into()));
}

fn udp_is_for_the_esp_element<B: Backend>() {
    let desk = Desk::<B>::new();
    desk.add(&Add { udp: 2, ..Add::bundle(1, 2) });
    let rows = desk.port.manager().read_table().unwrap();
    let mut held: Vec<_> = rows
        .iter()
        .map(|row| (row.protocol == Protocol::Ah, row.mode, row.udp.is_some()))
        .collect();
    held.sort_by_key(|row| row.0);
    assert_eq!(held, [(false, Mode::Tunnel, true), (true, Mode::Transport, false)]);
    // Nothing puts AH into UDP.
    let mut alone = Add::bundle(3, 4);
    (alone.count, alone.elements) = (1, [alone.elements[1], NOTHING]);
    desk.add(&alone);
    for udp in [1, 2, 4, 8] {
        let done = desk.run(set(number::ADD_SA, [Add { udp, ..alone.clone() }.bytes()]));
        assert_eq!(done.status, NdisStatus::INVALID_DATA, "{udp}");
    }
}

fn keys_may_begin_right_behind_the_structure<B: Backend>() {
    let desk = Desk::<B>::new();
    let add = Add::esp(1);
    let mut node = add.bytes_ex();
    node.truncate(0xAA);
    header(&mut node, 0xAA);
    put(&mut node, 0xA0, 0xAA);
    node.extend(&add.keys);
    let done = desk.run(set(number::ADD_SA_EX, [node]));
    assert_eq!(done.status, SUCCESS);
    let keys = KeyMaterial::new(add.keys[32..].try_into().unwrap(), &add.keys[..32]).unwrap();
    assert!(desk.port.manager().has_keys(SaHandle::from_bits(handle_ex_of(&done)), &keys));
    assert!(
        done.nodes[0].bytes()[0xAA..].iter().all(|&byte| byte == 0),
        "and are wiped from there"
    );
}

fn no_key_comes_back_from_a_refusal<B: Backend>() {
    #[track_caller]
    fn assert_wiped(done: &Completion) {
        assert_ne!(done.status, SUCCESS);
        // Bytes of the keys are large, and nothing else is but for the addresses.
        let (fixed, handle) = match done.oid {
            number::ADD_SA => (0xA8, HANDLE),
            _ => (0xAA, HANDLE_EX),
        };
        for node in &done.nodes {
            assert!(node.bytes()[fixed..].iter().all(|&byte| byte == 0), "{:?}", done.status);
            assert_eq!(node.bytes()[handle..handle + 8], [0; 8], "{:?}", done.status);
        }
    }
    let both = |desk: &Desk<B>, add: &Add| {
        assert_wiped(&desk.run(set(number::ADD_SA, [add.bytes()])));
        assert_wiped(&desk.run(set(number::ADD_SA_EX, [add.bytes_ex()])));
    };
    let desk = Desk::<B>::new();
    let mut wrong = Add::esp(1);
    wrong.count = 3;
    both(&desk, &wrong);
    let mut cbc = Add::esp(1);
    cbc.elements[0].enc[0] = 0x40;
    both(&desk, &cbc);
    assert_wiped(&desk.run(set(number::ADD_SA_EX, [wrong.bytes_ex(), wrong.bytes_ex()])));
    let query = Request { kind: Kind::Query, ..set(number::ADD_SA, [Add::esp(1).bytes()]) };
    assert_wiped(&desk.run(query));
    desk.port.remove();
    both(&desk, &Add::esp(1));
    drop(desk);
    for (ndis, request) in [
        (Ndis::V6_30, set(number::ADD_SA, [Add::esp(1).bytes()])),
        (Ndis::V6_20, set(number::ADD_SA_EX, [Add::esp(1).bytes_ex()])),
    ] {
        let desk = Desk::<B>::with(small(), config(), Options { ndis, ..options() });
        assert_wiped(&desk.run(request));
    }
}
