// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Configuration, as far as it needs no packets, a test a row (docs/ipsecov2.md, P8, P9 and P12).

#[macro_use]
mod support;

use esnic_driver::NdisStatus;
use esnic_driver::oid::{Kind, Request, indication, number};
use support::oids::*;
use support::*;

on_every_backend!(
    p08_a_change_of_the_switches_is_indicated,
    p09_sas_stay_when_offload_is_switched_off,
    p12_the_capabilities_say_what_the_device_can,
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
