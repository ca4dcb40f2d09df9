// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a build leaves out (FEATURES, ALGS, MAX_WINDOW): UNSUPPORTED, or an unknown command.

#[macro_use]
mod common;

use common::cmd::esp;
use common::{Add, Backend, Cmd, Params, Path, Rig, Shape, Status};
use esnic_abi::codes;
use esnic_abi::regs::global::{ALGS, FEATURES};

for_each_backend!(
    what_a_build_does_not_offer_is_unsupported,
    commands_that_a_build_does_not_offer_are_unknown,
    commands_of_the_ring_are_unknown_on_the_direct_path,
);

/// A change of a good ADD that needs something, and the FEATURES or ALGS bit of that.
type Need = (fn(&mut Add), u32, u32);

fn what_a_build_does_not_offer_is_unsupported<B: Backend>() {
    let gmac = |add: &mut Add| add.algorithm = 6;
    let needs: [Need; 16] = [
        (|add| (add.protocol, add.algorithm) = (1, 6), FEATURES::AH.mask(), 0),
        (|_| {}, FEATURES::ESP.mask(), 0),
        (|_| {}, FEATURES::ESN.mask(), 0),
        (|_| {}, FEATURES::IPV4.mask(), 0),
        (|add| add.family = 6, FEATURES::IPV6.mask(), 0),
        (|add| add.mode = 1, FEATURES::TRANSPORT.mask(), 0),
        (|_| {}, FEATURES::TUNNEL.mask(), 0),
        (|add| add.udp_encap = 1, FEATURES::UDP_TRANSPORT.mask(), 0),
        (|add| add.udp_encap = 2, FEATURES::UDP_TUNNEL.mask(), 0),
        (|_| {}, 0, ALGS::AES_GCM_256.mask()),
        (|add| (add.algorithm, add.key) = (1, [0; 32]), 0, ALGS::AES_GCM_128.mask()),
        (|add| (add.algorithm, add.key) = (5, [0; 32]), 0, ALGS::AES_GMAC_192.mask()),
        (gmac, 0, ALGS::AES_GMAC_256.mask()),
        (|add| add.icv_len = 8, 0, ALGS::ICV_8.mask()),
        (|add| add.icv_len = 12, 0, ALGS::ICV_12.mask()),
        (|_| {}, 0, ALGS::ICV_16.mask()),
    ];
    for (change, feature, alg) in needs {
        let with = |features: u32, algs: u32| Params {
            features: Params::default().features & !features,
            algs: Params::default().algs & !algs,
            ..Rig::<B>::small()
        };
        let mut sa = esp(7, 1);
        change(&mut sa);
        let mut rig = Rig::<B>::with(with(feature, alg), &[Shape::default()]);
        for path in Path::BOTH {
            rig.run(path, sa).expect(Status::Unsupported);
        }
        assert_eq!(rig.view(7).generation.get(), 0);
        drop(rig);
        Rig::<B>::with(with(0, 0), &[Shape::default()]).add(&sa);
    }
    let params = Params { max_window: 100, ..Rig::<B>::small() };
    let mut rig = Rig::<B>::with(params, &[Shape::default()]);
    let window = |index, packets: u16| Add { replay_window: packets.into(), ..esp(index, 1) };
    rig.exec(window(7, 101)).expect(Status::Unsupported);
    rig.exec(window(7, 100)).ok();
    // The two UDP forms of IPsecOV2 that version 1 does not have.
    for form in [4, 8] {
        rig.exec(Cmd::from(window(8, 0)).byte(28, form)).expect(Status::Unsupported);
    }
}

fn commands_that_a_build_does_not_offer_are_unknown<B: Backend>() {
    let without = |field: esnic_abi::layout::Field| Params {
        features: Params::default().features & !field.mask(),
        ..Rig::<B>::small()
    };
    let mut rig = Rig::<B>::with(without(FEATURES::UPDATE4), &[Shape::default()]);
    rig.add(&esp(7, 1));
    rig.exec(Cmd::update4(false, &[(7, 1, 1)])).expect(Status::BadOpcode);
    drop(rig);
    let mut rig = Rig::<B>::with(without(FEATURES::PROBE), &[Shape::default()]);
    rig.add(&esp(7, 1));
    for path in Path::BOTH {
        rig.run(path, Cmd::resolve(7, 1, 1)).expect(Status::BadOpcode);
        rig.run(path, Cmd::packet(7, 1, 1)).expect(Status::BadOpcode);
    }
    drop(rig);
    // Flags of commands that are there are UNSUPPORTED.
    let mut rig = Rig::<B>::with(without(FEATURES::PROBE_COMMIT), &[Shape::default()]);
    rig.add(&esp(7, 1));
    rig.exec(Cmd::resolve(7, 1, 1)).ok();
    rig.exec(Cmd::packet(7, 1, 1)).expect(Status::Unsupported);
    drop(rig);
    let mut rig = Rig::<B>::with(without(FEATURES::RECORD), &[Shape::default()]);
    let buffer = rig.buffer();
    rig.exec(Cmd::query_any(7, buffer.iova().0)).expect(Status::Unsupported);
    rig.exec(Cmd::query(7, 0).byte(1, codes::QUERY_ANY)).ok();
    assert!(buffer.is_zero());
}

fn commands_of_the_ring_are_unknown_on_the_direct_path<B: Backend>() {
    let mut rig = Rig::<B>::new();
    rig.add(&esp(7, 1));
    let second = Cmd::delete(7, 1).byte(0, 0x11);
    for cmd in [Cmd::nop(), Cmd::fence(), Cmd::update4(false, &[(7, 1, 1)]), second] {
        let done = rig.run(Path::Direct, cmd.dword(8, 7)).expect(Status::BadOpcode);
        assert_eq!(done.opcode, cmd.opcode());
    }
    rig.exec(second).expect(Status::BadOpcode);
    assert_eq!(rig.top(7), (0, 0, true));
}
