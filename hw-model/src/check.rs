// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Statuses 5 and 7: whether the fields of a command are in order, and whether this build offers what
//! they ask for. Pure functions of the command; the table is not looked at.

use esnic_abi::regs::global::FEATURES;
use esnic_abi::{
    ADD_LO_VALID, Add, Algorithm, Bare, Cookie, Direction, Header, Mode, Params, Protocol,
    QUERY_ANY, QUERY_RECORD, Query, RECORD_ALIGN, RESOLVE_COMMIT, Resolve, SA_ESN, UPDATE_CAS,
    UPDATE_MONOTONE, UPDATE4_COUNT_MASK, UPDATE4_STEP, UdpEncap, Update, Update4, Update4Item,
    UpdateMode,
};

/// Header of a command that names an entry.
fn addressed(header: &Header, flags: u8) -> bool {
    header.generation.get() != 0 && common(header, flags)
}

/// Header of a command that names none.
fn unaddressed(header: &Header, flags: u8) -> bool {
    header.index.get() == 0 && header.generation.get() == 0 && common(header, flags)
}

fn common(header: &Header, flags: u8) -> bool {
    header.flags & !flags == 0 && header.cookie.get() & !Cookie::MASK == 0
}

/// NOP and FENCE.
pub(crate) fn marker(command: &Bare) -> bool {
    unaddressed(&command.header, 0) && command.rsvd0 == [0; 48]
}

/// DELETE.
pub(crate) fn delete(command: &Bare) -> bool {
    addressed(&command.header, 0) && command.rsvd0 == [0; 48]
}

/// QUERY. With ANY there is no generation to compare, so none may be given.
pub(crate) fn query(command: &Query) -> bool {
    let header = &command.header;
    let generation = if header.flags & QUERY_ANY != 0 {
        header.generation.get() == 0
    } else {
        header.generation.get() != 0
    };
    let addr = command.record_addr.get();
    let addr = if header.flags & QUERY_RECORD != 0 {
        addr.is_multiple_of(RECORD_ALIGN)
    } else {
        addr == 0
    };
    generation && addr && common(header, QUERY_RECORD | QUERY_ANY) && command.rsvd0 == [0; 40]
}

/// RESOLVE.
pub(crate) fn resolve(command: &Resolve) -> bool {
    addressed(&command.header, RESOLVE_COMMIT) && command.rsvd0 == [0; 44]
}

/// UPDATE: its mode, if the command is in order.
pub(crate) fn update(command: &Update) -> Option<UpdateMode> {
    let mode = UpdateMode::from_code(command.mode)?;
    let cas = command.header.flags & UPDATE_CAS != 0;
    (addressed(&command.header, UPDATE_CAS | UPDATE_MONOTONE)
        && Protocol::from_code(command.protocol).is_some()
        && command.rsvd0.get() == 0
        && (mode == UpdateMode::Top || command.lo.get() == 0)
        && (cas || command.expected_hi.get() == 0)
        && command.rsvd1 == [0; 28])
        .then_some(mode)
}

/// UPDATE4: the number of its items, if the command is in order. The items are checked one by one.
pub(crate) fn update4(command: &Update4, items: &[Update4Item; 4]) -> Option<usize> {
    let count = usize::from(command.header.flags & UPDATE4_COUNT_MASK);
    (unaddressed(&command.header, UPDATE4_COUNT_MASK | UPDATE4_STEP)
        && (1..=Update4::MAX_ITEMS).contains(&count)
        && items[count..].iter().all(|unused| *unused == Update4Item::default()))
    .then_some(count)
}

/// An ADD that is in order: its enumerations, read once.
pub(crate) struct AddCodes {
    protocol: Protocol,
    mode: Mode,
    algorithm: Algorithm,
    udp: UdpEncap,
}

/// ADD (§4.2).
pub(crate) fn add(add: &Add) -> Option<AddCodes> {
    let read = AddCodes {
        protocol: Protocol::from_code(add.protocol)?,
        mode: Mode::from_code(add.mode)?,
        algorithm: Algorithm::from_code(add.algorithm)?,
        udp: UdpEncap::from_code(add.udp_encap)?,
    };
    Direction::from_code(add.direction)?;
    let icv = match add.icv_len {
        16 => true,
        8 | 12 => !read.algorithm.is_gmac(),
        _ => return None,
    };
    let family = match add.family {
        4 => add.src[4..] == [0; 12] && add.dst[4..] == [0; 12],
        6 => true,
        _ => return None,
    };
    let protocol = match read.protocol {
        Protocol::Esp => true,
        Protocol::Ah => read.algorithm.is_gmac() && read.udp == UdpEncap::None,
    };
    let ports = read.udp != UdpEncap::None || (add.udp_src.get() == 0 && add.udp_dst.get() == 0);
    let esn = add.sa_flags.get() & SA_ESN != 0;
    let lo_valid = add.second_flags & ADD_LO_VALID != 0;
    let key_tail = &add.key[read.algorithm.key_len_bytes()..];
    (addressed(&add.header, 0)
        && add.spi.get() != 0
        && icv
        && family
        && protocol
        && ports
        && add.sa_flags.get() & !SA_ESN == 0
        && add.rsvd0 == 0
        && add.second_flags & !ADD_LO_VALID == 0
        && (esn || add.hi.get() == 0)
        && (lo_valid || add.lo.get() == 0)
        && add.rsvd1 == [0; 4]
        && key_tail.iter().all(|byte| *byte == 0))
    .then_some(read)
}

/// Whether this build offers what an ADD asks for (status UNSUPPORTED).
pub(crate) fn offered(add: &Add, read: &AddCodes, params: &Params) -> bool {
    let protocol = match read.protocol {
        Protocol::Ah => FEATURES::AH,
        Protocol::Esp => FEATURES::ESP,
    };
    let mode = match read.mode {
        Mode::Transport => FEATURES::TRANSPORT,
        Mode::Tunnel => FEATURES::TUNNEL,
    };
    let family = if add.family == 4 { FEATURES::IPV4 } else { FEATURES::IPV6 };
    let udp = match read.udp {
        UdpEncap::None => true,
        UdpEncap::Transport => FEATURES::UDP_TRANSPORT.is_set(params.features),
        UdpEncap::Tunnel => FEATURES::UDP_TUNNEL.is_set(params.features),
        UdpEncap::TransportOverUdpTunnel | UdpEncap::UdpTransportOverTunnel => false,
    };
    let esn = add.sa_flags.get() & SA_ESN == 0 || FEATURES::ESN.is_set(params.features);
    protocol.is_set(params.features)
        && mode.is_set(params.features)
        && family.is_set(params.features)
        && udp
        && esn
        && params.offers(read.algorithm, add.icv_len)
        && add.replay_window.get() <= params.max_window
}
