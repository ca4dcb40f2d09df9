// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Configuration, as far as it needs no packets, a test a row (docs/ipsecov2.md, P8, P9 and P12).

#[macro_use]
mod support;

use esnic_driver::NdisStatus;
use esnic_driver::oid::{Completion, Kind, Request, indication, number};
use support::oids::*;
use support::*;

on_every_backend!(
    p08_a_change_of_the_switches_is_indicated,
    p09_sas_stay_when_offload_is_switched_off,
    p12_the_capabilities_say_what_the_device_can,
    capabilities_are_those_of_the_device,
    the_switch_is_that_of_the_adapter,
    each_protocol_is_switched_by_itself,
    parameters_that_contradict_change_nothing,
    encapsulation_is_kept_for_each_version_of_ip,
    each_number_is_asked_in_its_own_way,
);

const SUCCESS: NdisStatus = NdisStatus::SUCCESS;

/// `NDIS_OFFLOAD_ENCAPSULATION` with these words for IPv4 and IPv6.
fn encapsulation(ipv4: [u32; 3], ipv6: [u32; 3]) -> Request {
    let mut node = vec![0; 28];
    header(&mut node, 28);
    node[0] = 0xA8;
    for (k, word) in ipv4.into_iter().chain(ipv6).enumerate() {
        put(&mut node, 4 + 4 * k, word);
    }
    set(number::ENCAPSULATION, [node])
}

#[track_caller]
fn query<B: Backend>(desk: &Desk<B>, number: u32, room: usize) -> Vec<u8> {
    let done = desk.run(Request { kind: Kind::Query, ..set(number, [vec![0; room]]) });
    assert_eq!((done.status, done.bytes_needed), (SUCCESS, 0));
    done.nodes[0].bytes()[..done.bytes_written as usize].to_vec()
}

fn p08_a_change_of_the_switches_is_indicated<B: Backend>() {
    let desk = Desk::<B>::new();
    let on = query(&desk, number::CURRENT_CONFIG, 144);
    assert_eq!(desk.run(parameters(3)).status, SUCCESS);
    let told = desk.indications();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].status, indication::CURRENT_CONFIG);
    let now = query(&desk, number::CURRENT_CONFIG, 144);
    assert_eq!(told[0].node.as_ref().unwrap().bytes(), now, "with what there is now");
    let (ah, esp, both) = (now[112 + 7], now[112 + 8], now[112 + 9]);
    assert_eq!((ah, esp, both), (0, 1, 0));
    assert_eq!(desk.run(parameters(4)).status, SUCCESS);
    assert_eq!(query(&desk, number::CURRENT_CONFIG, 144), on);
    desk.indications();
    for wrong in [5, 255] {
        assert_eq!(desk.run(parameters(wrong)).status, NdisStatus::INVALID_DATA);
    }
    // The link layer: Ethernet or nothing.
    let on = [1, 2, 14];
    assert_eq!(desk.run(encapsulation(on, on)).status, SUCCESS);
    assert_eq!(desk.indications().len(), 1);
    let held = query(&desk, number::ENCAPSULATION, 28);
    assert_eq!(held[4..8], 1u32.to_le_bytes());
    for kind in [0, 1, 4, 8] {
        let refused = desk.run(encapsulation([1, kind, 14], on)).status;
        assert_eq!(refused, NdisStatus::INVALID_PARAMETER, "{kind}");
    }
    assert_eq!(desk.run(encapsulation([3, 2, 14], on)).status, NdisStatus::INVALID_PARAMETER);
    assert_eq!(query(&desk, number::ENCAPSULATION, 28), held);
    assert_eq!(desk.indications(), [], "what was refused changes nothing");
}

fn p09_sas_stay_when_offload_is_switched_off<B: Backend>() {
    let desk = Desk::<B>::new();
    let sa = desk.add(&Add::bundle(1, 2));
    assert_eq!(desk.run(parameters(1)).status, SUCCESS);
    assert_eq!(query(&desk, number::CURRENT_CONFIG, 144)[112..144], [0; 32]);
    assert_eq!(desk.table().len(), 2);
    assert_eq!(desk.update(sa, ESP, 1, 4), SUCCESS);
    desk.port.reset(Verify::All).unwrap();
    assert_eq!(desk.table().len(), 2);
    assert_eq!(desk.delete(sa), SUCCESS);
    desk.assert_clean();
}

fn p12_the_capabilities_say_what_the_device_can<B: Backend>() {
    let desk = Desk::<B>::new();
    let caps = query(&desk, number::HARDWARE_CAPABILITIES, 200);
    assert_eq!(caps.len(), 144);
    assert_eq!(caps[..4], [0xA7, 2, 144, 0]);
    assert!(caps[4..112].iter().all(|&byte| byte == 0), "no other offload");
    let word = |at: usize| u32::from_le_bytes(caps[112 + at..112 + at + 4].try_into().unwrap());
    let flag = |at: usize| caps[112 + at];
    assert_eq!(word(0), 2, "Ethernet");
    // IPv6, AH, ESP, both, transport, tunnel, ESN; neither options, nor headers, nor LSO.
    assert_eq!([4, 7, 8, 9, 0xA, 0xB, 0xE].map(flag), [1; 7]);
    assert_eq!([5, 6, 0xC, 0xD, 0xF].map(flag), [0; 5]);
    assert_eq!((word(0x10), word(0x14), word(0x18)), (3, 0x38, 0x39));
    assert_eq!(word(0x1C), desk.port.manager().bundle_capacity() as u32, "in bundles");
    drop(desk);
    // And a device that can less says less.
    use esnic_abi::regs::global::FEATURES;
    let none = FEATURES::ESN.put(0, 1) | FEATURES::AH.put(0, 1) | FEATURES::UDP_TUNNEL.put(0, 1);
    let less = Params { features: small().features & !none, ..small() };
    let desk = Desk::<B>::with(less, config(), options());
    let caps = query(&desk, number::HARDWARE_CAPABILITIES, 144);
    assert_eq!([7, 8, 9, 0xE].map(|at| caps[112 + at]), [0, 1, 0, 0]);
    assert_eq!(caps[112 + 0x10], 1);
    assert_eq!(u32::from_le_bytes(caps[140..144].try_into().unwrap()), 64, "each of one element");
}

fn capabilities_are_those_of_the_device<B: Backend>() {
    use esnic_abi::regs::global::{ALGS, FEATURES};
    let with = |params: Params| {
        let desk = Desk::<B>::with(params, config(), options());
        query(&desk, number::HARDWARE_CAPABILITIES, 144)[112..].to_vec()
    };
    let word = |caps: &[u8], at: usize| u32::from_le_bytes(caps[at..at + 4].try_into().unwrap());
    let all = with(small());
    // Each ability has its flag, and no other: those of both elements count in "combined".
    let flags = [
        (FEATURES::IPV6, vec![0x4]),
        (FEATURES::AH, vec![0x7, 0x9]),
        (FEATURES::ESP, vec![0x8, 0x9]),
        (FEATURES::TRANSPORT, vec![0xA]),
        (FEATURES::TUNNEL, vec![0xB]),
        (FEATURES::ESN, vec![0xE]),
    ];
    for (feature, places) in flags {
        let less = Params { features: small().features & !feature.put(0, 1), ..small() };
        let caps = with(less);
        for at in 0x4..0x10 {
            let wanted = if places.contains(&at) { 0 } else { all[at] };
            assert_eq!(caps[at], wanted, "{} and byte {at:#x}", feature.name);
        }
    }
    // Each algorithm has its bit. Without one that authenticates there is no null encryption.
    let gmac = [Algorithm::AesGmac128, Algorithm::AesGmac192, Algorithm::AesGmac256];
    let gcm = [Algorithm::AesGcm128, Algorithm::AesGcm192, Algorithm::AesGcm256];
    let without = |algorithms: &[Algorithm]| {
        let none = algorithms.iter().fold(0, |word, &one| word | 1 << one as u32);
        let caps = with(Params { algs: small().algs & !none, ..small() });
        (word(&caps, 0x14), word(&caps, 0x18))
    };
    for (k, bit) in [0x8, 0x10, 0x20].into_iter().enumerate() {
        assert_eq!(without(&[gmac[k]]), (0x38 & !bit, 0x39), "{:?}", gmac[k]);
        assert_eq!(without(&[gcm[k]]), (0x38, 0x39 & !bit), "{:?}", gcm[k]);
    }
    assert_eq!(without(&gmac), (0, 0x38));
    // Without any there is no offload.
    let none = [gmac, gcm].concat().iter().fold(0, |word, &one| word | 1 << one as u32);
    let params = Params { algs: small().algs & !none, ..small() };
    let desk = Desk::<B>::with(params, config(), options());
    assert_eq!(desk.update(1, ESP, 1, 1), NdisStatus::NOT_SUPPORTED);
    drop(desk);
    // A device may have no other length of the check value than the longest.
    let shorter = ALGS::ICV_8.put(0, 1) | ALGS::ICV_12.put(0, 1);
    let caps = with(Params { algs: small().algs & !shorter, ..small() });
    assert_eq!((word(&caps, 0x14), word(&caps, 0x18)), (0x38, 0x39));
}

fn the_switch_is_that_of_the_adapter<B: Backend>() {
    let both = |ipv6, ipv4| {
        let mut request = vec![0; 24];
        header(&mut request, 22);
        (request[1], request[0x14], request[0x15]) = (2, ipv6, ipv4);
        set(number::PARAMETERS, [request])
    };
    let esp = |desk: &Desk<B>| {
        let done = desk.run(set(number::ADD_SA, [Add::esp(1).bytes()]));
        if done.status == SUCCESS {
            assert_eq!(desk.delete(handle_of(&done, 0)), SUCCESS);
        }
        done.status
    };
    let six = esnic_abi::regs::global::FEATURES::IPV6.put(0, 1);
    let less = Params { features: small().features & !six, ..small() };
    for (params, has_six) in [(small(), true), (less, false)] {
        let desk = Desk::<B>::with(params, config(), options());
        let switch = |mine, others| if has_six { both(mine, others) } else { both(others, mine) };
        assert_eq!(desk.run(switch(4, 1)).status, SUCCESS);
        assert_eq!(esp(&desk), SUCCESS, "the other one is not looked at");
        assert_eq!(desk.run(switch(2, 4)).status, SUCCESS);
        assert_eq!(esp(&desk), NdisStatus::NOT_SUPPORTED);
        // No change: as it is, and that is indicated, too.
        desk.indications();
        assert_eq!(desk.run(switch(0, 4)).status, SUCCESS);
        assert_eq!(esp(&desk), NdisStatus::NOT_SUPPORTED);
        let told = desk.indications();
        assert_eq!(told.len(), 1);
        assert_eq!(
            told[0].node.as_ref().unwrap().bytes(),
            query(&desk, number::CURRENT_CONFIG, 144)
        );
        assert_eq!(desk.run(switch(3, 0)).status, SUCCESS);
        assert_eq!(esp(&desk), SUCCESS);
    }
}

fn each_protocol_is_switched_by_itself<B: Backend>() {
    let desk = Desk::<B>::new();
    let mut ah = Add::bundle(1, 2);
    ah.elements[0] = ah.elements[1];
    ah.count = 1;
    let all = [Add::esp(1), ah, Add::bundle(1, 2)];
    let off = NdisStatus::NOT_SUPPORTED;
    for (switch, wanted) in [
        (1, [off, off, off]),
        (2, [off, SUCCESS, off]),
        (3, [SUCCESS, off, off]),
        (4, [SUCCESS, SUCCESS, SUCCESS]),
    ] {
        for (add, status) in all.iter().zip(wanted) {
            let add = || set(number::ADD_SA, [add.bytes()]);
            let forget = |done: &Completion| {
                assert_eq!(done.status, status, "{switch}");
                if status == SUCCESS {
                    assert_eq!(desk.delete(handle_of(done, 0)), SUCCESS);
                }
            };
            // Before it is begun, and while it is on its way: nobody has polled.
            assert_eq!(desk.run(parameters(switch)).status, SUCCESS);
            forget(&desk.run(add()));
            assert_eq!(desk.table(), [], "{switch}");
            assert_eq!(desk.run(parameters(4)).status, SUCCESS);
            desk.port.submit(add());
            desk.port.submit(parameters(switch));
            forget(desk.wait().iter().find(|done| done.oid == number::ADD_SA).unwrap());
            desk.quiet();
            assert_eq!(desk.table(), [], "{switch}");
        }
    }
    desk.assert_clean();
}

fn parameters_that_contradict_change_nothing<B: Backend>() {
    let desk = Desk::<B>::new();
    let on = query(&desk, number::CURRENT_CONFIG, 144);
    let with = |at: usize, value: u8| {
        let mut node = vec![0; 24];
        header(&mut node, 22);
        (node[1], node[0x14]) = (2, 1);
        node[at] = value;
        desk.run(set(number::PARAMETERS, [node])).status
    };
    assert_eq!(with(1, 1), NdisStatus::INVALID_DATA, "revision 1 has no such switch");
    for (at, value) in [(0x10, 1), (0x13, 0x80), (0x14, 5), (0x15, 5), (0, 0xA7)] {
        assert_eq!(with(at, value), NdisStatus::INVALID_DATA, "byte {at:#x}");
    }
    for nodes in [vec![], vec![vec![0; 24], vec![0; 24]]] {
        let nodes = nodes.into_iter().map(Into::into).collect();
        let done = desk.run(Request { nodes, ..set(number::PARAMETERS, []) });
        assert_eq!(done.status, NdisStatus::INVALID_DATA, "one structure");
    }
    let two = parameters(1);
    let nodes = [two.nodes.clone(), two.nodes.clone()].concat();
    assert_eq!(desk.run(Request { nodes, ..two }).status, NdisStatus::INVALID_DATA);
    assert_eq!(query(&desk, number::CURRENT_CONFIG, 144), on);
    assert_eq!(desk.indications(), []);
    // A set tells what it read, and what it understood.
    let done = desk.run(parameters(4));
    assert_eq!((done.bytes_read, done.bytes_written, done.supported_revision), (24, 0, 2));
}

fn encapsulation_is_kept_for_each_version_of_ip<B: Backend>() {
    let desk = Desk::<B>::new();
    let held = || {
        let node = query(&desk, number::ENCAPSULATION, 28);
        assert_eq!(node[..4], [0xA8, 1, 28, 0], "its header");
        let words =
            node[4..].chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
        words.collect::<Vec<_>>()
    };
    assert_eq!(held(), [2, 2, 0, 2, 2, 0], "off at the start");
    let done = desk.run(encapsulation([1, 2, 14], [1, 2, 18]));
    assert_eq!((done.status, done.bytes_read, done.supported_revision), (SUCCESS, 28, 1));
    assert_eq!(held(), [1, 2, 14, 1, 2, 18]);
    assert_eq!(desk.run(encapsulation([0, 0, 0], [2, 0, 0])).status, SUCCESS);
    assert_eq!(held(), [1, 2, 14, 2, 0, 0], "0 leaves it, and what is off needs no kind");
    assert_eq!(desk.run(encapsulation([2, 2, 14], [0, 7, 7])).status, SUCCESS);
    assert_eq!(held(), [2, 2, 14, 2, 0, 0]);
    desk.indications();
    for wrong in [[1, 4, 14], [3, 2, 14]] {
        let refused = desk.run(encapsulation([1, 2, 14], wrong)).status;
        assert_eq!(refused, NdisStatus::INVALID_PARAMETER, "of IPv6, too");
    }
    assert_eq!(held(), [2, 2, 14, 2, 0, 0]);
    assert_eq!(desk.indications(), []);
}

fn each_number_is_asked_in_its_own_way<B: Backend>() {
    let desk = Desk::<B>::new();
    let all = [
        (number::PARAMETERS, [true, false, false], 2),
        (number::ENCAPSULATION, [true, true, false], 1),
        (number::CURRENT_CONFIG, [false, true, false], 2),
        (number::HARDWARE_CAPABILITIES, [false, true, false], 2),
    ];
    for (number, ways, revision) in all {
        for (kind, offered) in [Kind::Set, Kind::Query, Kind::Method].into_iter().zip(ways) {
            let room = Request { kind, ..set(number, [vec![0; 144]]) };
            let done = desk.run(room);
            assert_eq!(done.status != NdisStatus::NOT_SUPPORTED, offered, "{number:#x} {kind:?}");
            if kind == Kind::Query && offered {
                let told = (done.status, done.bytes_read, done.supported_revision);
                assert_eq!(told, (SUCCESS, 0, revision), "{number:#x}");
            }
        }
    }
    // One buffer, for one answer; without any, it is told how large it should be.
    let ask = |nodes| Request { kind: Kind::Query, ..set(number::CURRENT_CONFIG, nodes) };
    let two = ask([vec![0; 144], vec![0; 144]]);
    assert_eq!(desk.run(two).status, NdisStatus::INVALID_DATA);
    let none = Request { nodes: Vec::new(), ..ask([vec![], vec![]]) };
    let done = desk.run(none);
    assert_eq!((done.status, done.bytes_needed), (NdisStatus::BUFFER_TOO_SHORT, 144));
    let short = Request { kind: Kind::Query, ..set(number::ENCAPSULATION, [vec![0; 27]]) };
    let done = desk.run(short);
    assert_eq!((done.status, done.bytes_needed), (NdisStatus::BUFFER_TOO_SHORT, 28));
    assert_eq!(desk.indications(), [], "to ask changes nothing");
}
