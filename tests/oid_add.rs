// SPDX-License-Identifier: Apache-2.0 OR MIT
//! ADD_SA and ADD_SA_EX, a test a row (docs/ipsecov2.md, A1 to A14).

#[macro_use]
mod support;

use esnic_driver::NdisStatus;
use esnic_driver::oid::{Ndis, Options, number};
use support::oids::*;
use support::*;

on_every_backend!(
    a01_an_sa_is_added_and_its_handle_is_there_at_the_end,
    a02_of_a_list_the_good_ones_are_added,
    a03_a_list_without_a_good_one_fails,
    a04_a_full_table_has_no_resources,
    a05_what_was_switched_off_meanwhile_fails,
    a06_contradictions_are_invalid,
    a07_keys_outside_the_buffer_are_invalid,
    a08_esn_takes_a_device_that_has_it,
    a09_the_first_high_half_counts_with_esn_only,
    a10_what_is_not_offered_is_not_supported,
    a11_an_address_of_zero_is_any,
    a12_nothing_is_there_before_the_completion,
    a13_each_version_has_its_way,
    a14_an_inbound_sa_is_not_added_twice,
);

const SUCCESS: NdisStatus = NdisStatus::SUCCESS;

/// The status of an ADD, both ways, which must be one.
#[track_caller]
fn refused<B: Backend>(desk: &Desk<B>, add: &Add) -> NdisStatus {
    let done = desk.run(set(number::ADD_SA, [add.bytes()]));
    let ex = desk.run(set(number::ADD_SA_EX, [add.bytes_ex()]));
    assert_eq!((done.status, handle_of(&done, 0)), (ex.status, 0));
    assert_eq!(handle_ex_of(&ex), 0);
    assert_eq!(desk.table(), [], "nothing is there");
    done.status
}

fn a01_an_sa_is_added_and_its_handle_is_there_at_the_end<B: Backend>() {
    let desk = Desk::<B>::new();
    let done = desk.run(set(number::ADD_SA, [Add::esp(0x1234).bytes()]));
    assert_eq!(done.status, SUCCESS);
    let handle = handle_of(&done, 0);
    let bundle = desk.run(set(number::ADD_SA_EX, [Add::bundle(2, 3).bytes_ex()]));
    let second = handle_ex_of(&bundle);
    assert!(bundle.status == SUCCESS && handle != 0 && second != 0 && handle != second);
    let rows = desk.port.manager().read_table().unwrap();
    assert_eq!(rows[0].handle.bits(), handle);
    let row = &rows[0];
    assert_eq!((row.spi.0, row.protocol, row.direction), (0x1234, Protocol::Esp, Direction::In));
    assert_eq!((row.algorithm, row.icv_len, row.esn), (Algorithm::AesGcm256, 16, true));
    assert_eq!(
        (row.src.to_string(), row.dst.to_string()),
        ("192.0.2.1".into(), "198.51.100.1".into())
    );
    // Whatever else the node said is as it was, but for the keys, which are gone.
    let (before, after) = (Add::esp(0x1234).bytes(), done.nodes[0].bytes());
    assert_eq!(
        (&after[..HANDLE], &after[HANDLE + 8..0xA8]),
        (&before[..HANDLE], &before[HANDLE + 8..0xA8])
    );
    assert!(after[0xA8..].iter().all(|&byte| byte == 0));
    assert!(bundle.nodes[0].bytes()[0xB0..].iter().all(|&byte| byte == 0));
    // The device has the right ones.
    let mut key = [0; 32];
    key.copy_from_slice(&Add::esp(1).keys[..32]);
    let keys = KeyMaterial::new(Add::esp(1).keys[32..36].try_into().unwrap(), &key).unwrap();
    assert!(desk.port.manager().has_keys(SaHandle::from_bits(handle), &keys));
    desk.assert_clean();
}

fn a02_of_a_list_the_good_ones_are_added<B: Backend>() {
    let desk = Desk::<B>::new();
    let mut bad = Add::esp(2);
    bad.elements[0].enc[0] = 0x40;
    let mut short = Add::esp(5).bytes();
    short.truncate(100);
    let nodes = [Add::esp(1).bytes(), bad.bytes(), Add::bundle(3, 4).bytes(), short];
    let done = desk.run(set(number::ADD_SA, nodes));
    assert_eq!(done.status, SUCCESS);
    let handles = [0, 1, 2].map(|k| handle_of(&done, k));
    assert!(handles[0] != 0 && handles[1] == 0 && handles[2] != 0, "{handles:x?}");
    let mut spis: Vec<u32> = desk.table().iter().map(|row| row.0).collect();
    spis.sort_unstable();
    assert_eq!(spis, [1, 3, 4]);
    assert_eq!(desk.delete(handles[0]), SUCCESS);
    assert_eq!(desk.delete(handles[2]), SUCCESS);
    desk.assert_clean();
}

fn a03_a_list_without_a_good_one_fails<B: Backend>() {
    let desk = Desk::<B>::new();
    let mut cbc = Add::esp(1);
    cbc.elements[0].enc[0] = 0x40;
    let mut none = Add::esp(2);
    none.count = 0;
    let done = desk.run(set(number::ADD_SA, [cbc.bytes(), none.bytes()]));
    assert_eq!(done.status, NdisStatus::NOT_SUPPORTED, "that of the first");
    assert_eq!([0, 1].map(|k| handle_of(&done, k)), [0, 0]);
    // Of the first, too, where the other one gets as far as the table.
    let there = desk.add(&Add::esp(3));
    let done = desk.run(set(number::ADD_SA, [cbc.bytes(), Add::esp(3).bytes()]));
    assert_eq!((done.status, handle_of(&done, 1)), (NdisStatus::NOT_SUPPORTED, 0));
    assert_eq!(desk.delete(there), SUCCESS);
    assert_eq!(desk.run(set(number::ADD_SA, [])).status, NdisStatus::INVALID_DATA);
    let two = [Add::esp(1).bytes_ex(), Add::esp(2).bytes_ex()];
    let done = desk.run(set(number::ADD_SA_EX, two));
    assert_eq!(done.status, NdisStatus::INVALID_DATA, "it has no list");
    assert_eq!(desk.table(), []);
    desk.assert_clean();
}

fn a04_a_full_table_has_no_resources<B: Backend>() {
    let desk = Desk::<B>::new();
    let most = desk.port.manager().bundle_capacity() as u32;
    let handles: Vec<u64> = (0..most)
        .map(|n| {
            desk.add(&if n % 2 == 0 { Add::bundle(1000 + n, 2000 + n) } else { Add::esp(1000 + n) })
        })
        .collect();
    let one_more = || desk.run(set(number::ADD_SA, [Add::esp(1).bytes()]));
    for _ in 0..3 {
        let done = one_more();
        assert_eq!((done.status, handle_of(&done, 0)), (NdisStatus::RESOURCES, 0));
    }
    assert_eq!(desk.delete(handles[3]), SUCCESS);
    assert_eq!(one_more().status, SUCCESS, "a deletion makes room");
    assert_eq!(one_more().status, NdisStatus::RESOURCES);
    desk.assert_clean();
}

fn a05_what_was_switched_off_meanwhile_fails<B: Backend>() {
    let desk = Desk::<B>::new();
    // Off before it is begun.
    assert_eq!(desk.run(parameters(2)).status, SUCCESS);
    assert_eq!(refused(&desk, &Add::esp(1)), NdisStatus::NOT_SUPPORTED);
    assert_eq!(refused(&desk, &Add::bundle(1, 2)), NdisStatus::NOT_SUPPORTED);
    assert_eq!(desk.run(parameters(4)).status, SUCCESS);
    // Off while it is on its way: the device has it, and must lose it again.
    desk.port.submit(set(number::ADD_SA, [Add::esp(1).bytes()]));
    desk.port.submit(parameters(1));
    let all = desk.wait();
    let add = all.iter().find(|done| done.oid == number::ADD_SA).unwrap();
    assert_eq!((add.status, handle_of(add, 0)), (NdisStatus::NOT_SUPPORTED, 0));
    desk.quiet();
    assert_eq!(desk.run(parameters(4)).status, SUCCESS);
    assert_ne!(desk.add(&Add::esp(1)), 0, "its place is free again");
}

fn a06_contradictions_are_invalid<B: Backend>() {
    let desk = Desk::<B>::new();
    let mut wrong: Vec<(&str, Add)> = Vec::new();
    let mut add = |what, base: Add, change: &dyn Fn(&mut Add)| {
        let mut one = base;
        change(&mut one);
        wrong.push((what, one));
    };
    let (esp, both) = (Add::esp(1), Add::bundle(1, 2));
    for count in [0, 3, u32::MAX] {
        add("a number of headers", esp.clone(), &|a| a.count = count);
    }
    add("AH before ESP", both.clone(), &|a| a.elements.swap(0, 1));
    add("ESP twice", both.clone(), &|a| a.elements[1] = a.elements[0]);
    add("AH twice", both.clone(), &|a| a.elements[0] = a.elements[1]);
    add("AH that encrypts", both.clone(), &|a| a.elements[1].enc = [AES_256, 36, 36, 16]);
    add("AH without an algorithm", both.clone(), &|a| a.elements[1].auth = [0; 4]);
    add("GCM and authentication", esp.clone(), &|a| a.elements[0].auth = [AES_256, 36, 0, 0]);
    add("two algorithms at once", esp.clone(), &|a| a.elements[0].enc[0] = 0x28);
    add("an algorithm without a number", esp.clone(), &|a| a.elements[0].enc[0] = 0x200);
    add("authentication without a number", esp.clone(), &|a| a.elements[0].auth[0] = 0x40);
    for operation in [0, 3, u32::MAX] {
        add("an operation", esp.clone(), &|a| a.elements[0].operation = operation);
    }
    add("SPI 0", esp.clone(), &|a| a.elements[0].spi = 0);
    add("flags of the element", esp.clone(), &|a| a.elements[0].flags = 2);
    for flags in [0x2, 0x4, 0x20, 0x8000_0000] {
        add("flags", esp.clone(), &|a| a.flags |= flags);
    }
    add("flags of UDP", esp.clone(), &|a| a.udp = 0x10);
    for icv in [0, 4, 17, 128] {
        add("a check value", esp.clone(), &|a| a.elements[0].enc[3] = icv);
    }
    for len in [0, 4, 16, 32, 35] {
        add("a length of the key", esp.clone(), &|a| a.elements[0].enc[1] = len);
    }
    for (what, one) in &wrong {
        assert_eq!(refused(&desk, one), NdisStatus::INVALID_DATA, "{what}");
    }
    // And each of them, put right, is taken.
    assert_ne!(desk.add(&esp), 0);
    assert_ne!(desk.add(&Add::bundle(3, 4)), 0);
}

fn a07_keys_outside_the_buffer_are_invalid<B: Backend>() {
    let desk = Desk::<B>::new();
    for (len, offset) in
        [(37, 0), (36, 1), (36, 37), (36, u32::MAX), (u32::MAX, 0), (u32::MAX, u32::MAX)]
    {
        let mut add = Add::esp(1);
        add.elements[0].enc[1] = len;
        add.elements[0].enc[2] = offset;
        assert_eq!(refused(&desk, &add), NdisStatus::INVALID_DATA, "{len} {offset}");
    }
    for len in [37, 1000, 0x7FFF_FFFF, u32::MAX] {
        let mut node = Add::esp(1).bytes();
        put(&mut node, 0xA4, len);
        let done = desk.run(set(number::ADD_SA, [node]));
        assert_eq!(done.status, NdisStatus::INVALID_DATA, "{len}");
        for offset in [0xB0, 0xB1, 0, 0x30, 0xA9, u32::MAX - 35, u32::MAX] {
            let mut node = Add::esp(1).bytes_ex();
            put(&mut node, 0x9C, len);
            put(&mut node, 0xA0, offset);
            let done = desk.run(set(number::ADD_SA_EX, [node]));
            assert_eq!(done.status, NdisStatus::INVALID_DATA, "{len} {offset}");
        }
    }
    // Inside the structure is not behind it.
    let mut node = Add::esp(1).bytes_ex();
    put(&mut node, 0xA0, 0x60);
    assert_eq!(desk.run(set(number::ADD_SA_EX, [node])).status, NdisStatus::INVALID_DATA);
    assert_eq!(desk.table(), []);
}

fn a08_esn_takes_a_device_that_has_it<B: Backend>() {
    let esn = esnic_abi::regs::global::FEATURES::ESN.put(0, 1);
    let less = Params { features: small().features & !esn, ..small() };
    let desk = Desk::<B>::with(less, config(), options());
    assert_eq!(refused(&desk, &Add::esp(1)), NdisStatus::NOT_SUPPORTED);
    let mut plain = Add::esp(1);
    plain.elements[0].flags = 0;
    assert_ne!(desk.add(&plain), 0);
}

fn a09_the_first_high_half_counts_with_esn_only<B: Backend>() {
    let desk = Desk::<B>::new();
    let mut with = Add::bundle(1, 2);
    with.elements[0].hi = 5;
    with.elements[1].hi = u32::MAX;
    desk.add(&with);
    let mut without = Add::esp(3);
    without.elements[0].flags = 0;
    without.elements[0].hi = 9;
    desk.add(&without);
    let mut table = desk.table();
    table.sort_unstable();
    assert_eq!(table, [(1, 5), (2, u32::MAX), (3, 0)]);
}

fn a10_what_is_not_offered_is_not_supported<B: Backend>() {
    use esnic_abi::regs::global::FEATURES;
    let v6 = |mut add: Add| {
        add.flags |= 0x10;
        add.endpoints = [0x20; 32];
        add
    };
    let udp = |udp| Add { udp, ..Add::esp(1) };
    let ah = || {
        let mut add = Add::bundle(1, 2);
        add.elements[0] = add.elements[1];
        add.count = 1;
        add
    };
    let cases = [
        (FEATURES::IPV6, v6(Add::esp(1))),
        (FEATURES::AH, ah()),
        (FEATURES::AH, Add::bundle(1, 2)),
        (FEATURES::UDP_TRANSPORT, udp(1)),
        (FEATURES::UDP_TUNNEL, udp(2)),
        (FEATURES::TRANSPORT, Add::esp(1)),
    ];
    for (feature, add) in thin(cases) {
        let less = Params { features: small().features & !feature.put(0, 1), ..small() };
        let desk = Desk::<B>::with(less, config(), options());
        assert_eq!(refused(&desk, &add), NdisStatus::NOT_SUPPORTED, "{}", feature.name);
    }
    // Nested forms no device has; what there is works.
    let desk = Desk::<B>::new();
    for nested in [3, 4, 8, 15] {
        assert_eq!(refused(&desk, &udp(nested)), NdisStatus::NOT_SUPPORTED);
    }
    for n in [0x1u32, 0x2, 0x4, 0x40, 0x80, 0x100] {
        // Other ciphers, and null encryption without authentication.
        let mut add = Add::esp(1);
        add.elements[0].enc[0] = n;
        let status = if n == 1 { NdisStatus::INVALID_DATA } else { NdisStatus::NOT_SUPPORTED };
        assert_eq!(refused(&desk, &add), status, "{n:#x}");
    }
    let (transport, tunnel) = (Add { udp: 1, ..Add::esp(10) }, Add { udp: 2, ..Add::esp(11) });
    let mut null = Add::esp(12);
    null.elements[0].enc = [1, 0, 0, 0];
    null.elements[0].auth = [AES_256, 36, 0, 0];
    for add in [transport, tunnel, v6(Add::esp(13)), null] {
        assert_ne!(desk.add(&add), 0);
    }
    let rows = desk.port.manager().read_table().unwrap();
    let ports = rows.iter().filter_map(|row| row.udp.map(|(_, src, dst)| (row.mode, src, dst)));
    assert_eq!(
        ports.collect::<Vec<_>>(),
        [(Mode::Transport, 4500, 4500), (Mode::Tunnel, 4500, 4500)]
    );
}

fn a11_an_address_of_zero_is_any<B: Backend>() {
    let desk = Desk::<B>::new();
    let mut any = Add::esp(1);
    any.endpoints = [0; 32];
    desk.add(&any);
    let mut from_any = Add::esp(2);
    from_any.endpoints[..4].fill(0);
    desk.add(&from_any);
    let rows = desk.port.manager().read_table().unwrap();
    let addresses = |k: usize| (rows[k].src.to_string(), rows[k].dst.to_string());
    assert_eq!(addresses(0), ("0.0.0.0".into(), "0.0.0.0".into()));
    assert_eq!(addresses(1), ("0.0.0.0".into(), "198.51.100.1".into()));
}

fn a12_nothing_is_there_before_the_completion<B: Backend>() {
    let desk = Desk::<B>::new();
    misbehave!(B, desk.link, |faults| faults.stuck = Stuck::UntilReset);
    desk.port.submit(set(number::ADD_SA, [Add::esp(1).bytes()]));
    for _ in 0..20 {
        desk.port.poll();
        desk.link.relax();
    }
    assert_eq!(desk.completions(), []);
    assert_eq!(desk.table(), [], "no row is live that nobody was told of");
    B::misbehave(desk.link.device(), |faults| faults.stuck = Stuck::No);
    assert_eq!(desk.wait()[0].status, SUCCESS);
    assert_eq!(desk.table().len(), 1);
}

fn a13_each_version_has_its_way<B: Backend>() {
    let add = |ndis| {
        let desk = Desk::<B>::with(small(), config(), Options { ndis, ..options() });
        let old = desk.run(set(number::ADD_SA, [Add::esp(1).bytes()])).status;
        let new = desk.run(set(number::ADD_SA_EX, [Add::esp(2).bytes_ex()])).status;
        (old, new)
    };
    let no = NdisStatus::NOT_SUPPORTED;
    assert_eq!(add(Ndis::Any), (SUCCESS, SUCCESS));
    assert_eq!(add(Ndis::V6_20), (SUCCESS, no));
    assert_eq!(add(Ndis::V6_30), (no, SUCCESS));
}

fn a14_an_inbound_sa_is_not_added_twice<B: Backend>() {
    let desk = Desk::<B>::new();
    let first = desk.add(&Add::bundle(1, 2));
    let status = |add: &Add| desk.run(set(number::ADD_SA, [add.bytes()])).status;
    let twice = NdisStatus::INVALID_PARAMETER;
    assert_eq!(status(&Add::esp(1)), twice);
    assert_eq!(status(&Add::bundle(3, 2)), twice, "by its other half");
    let mut elsewhere = Add::esp(1);
    elsewhere.endpoints[7] = 2;
    assert_eq!(status(&elsewhere), SUCCESS, "to another destination");
    assert_eq!(status(&Add::esp(2)), SUCCESS, "of another protocol");
    // Outbound ones are found by their handles.
    assert_eq!(status(&Add::esp(1).outbound()), SUCCESS);
    assert_eq!(status(&Add::esp(1).outbound()), SUCCESS);
    // Within one list, too.
    let done = desk.run(set(number::ADD_SA, [Add::esp(9).bytes(), Add::esp(9).bytes()]));
    assert!(handle_of(&done, 0) != 0 && handle_of(&done, 1) == 0);
    assert_eq!(desk.delete(first), SUCCESS);
    assert_eq!(status(&Add::bundle(1, 3)), SUCCESS, "once it is gone");
    desk.assert_clean();
}
