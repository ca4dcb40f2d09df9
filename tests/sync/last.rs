// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the kernel has at the end of a capture: its last dump, and the few events after it, applied
//! in the plainest way.

use super::truth::{self, Sa, dumps, replay_esn, replay_legacy, sa};
use super::wire::{self, Message, attributes, messages, records};
use std::net::IpAddr;

/// The SAs at the end of a capture.
pub fn last(file: &[u8]) -> Vec<Sa> {
    let dump = dumps(file).pop();
    let (packet, mut sas) = dump.map_or((0, Vec::new()), |dump| (dump.packet, dump.sas));
    let after = records(file).into_iter().filter(|record| record.number > packet);
    for record in after {
        let told = messages(record.data).into_iter();
        told.filter(|message| message.flags & (wire::REQUEST | wire::MULTI) == 0)
            .for_each(|message| apply(&mut sas, &message));
    }
    sas
}

fn apply(sas: &mut Vec<Sa>, message: &Message<'_>) {
    let body = message.body;
    match message.kind {
        wire::NEWSA | wire::UPDSA => {
            let new = sa(body).unwrap();
            let old = sas.iter().position(|old| is(old, (new.dst, new.spi, new.proto)));
            match old.map(|place| &mut sas[place]) {
                None => sas.push(new),
                // An UPDSA event of a live SA is an echo of the request.
                Some(old) if message.kind == wire::NEWSA || old.is_larval() => *old = new,
                Some(_) => {}
            }
        }
        wire::DELSA => sas.retain(|sa| !is(sa, id(body, 0))),
        wire::EXPIRE if body[224] == 1 => sas.retain(|sa| !is(sa, id(body, 56))),
        wire::FLUSHSA => sas.retain(|sa| body[0] != 0 && body[0] != sa.proto),
        wire::NEWAE => {
            if let Some(sa) = sas.iter_mut().find(|sa| is(sa, id(body, 0))) {
                numbers(sa, &body[48..]);
            }
        }
        _ => {}
    }
}

fn is(sa: &Sa, id: (IpAddr, u32, u8)) -> bool {
    (sa.dst, sa.spi, sa.proto) == id
}

/// Destination, SPI and protocol from an `xfrm_id` or an `xfrm_usersa_id`.
fn id(body: &[u8], at: usize) -> (IpAddr, u32, u8) {
    let spi = u32::from_be_bytes(*body[at + 16..].first_chunk().unwrap());
    // The id at the front has family and protocol; the one inside usersa_info, protocol alone.
    let (family, proto) = match at {
        0 => (wire::u16_at(body, 20), body[22]),
        _ => (wire::u16_at(body, 212), body[at + 20]),
    };
    let dst = truth::address(body, at, family.unwrap()).unwrap();
    (dst, spi, proto)
}

fn numbers(sa: &mut Sa, extras: &[u8]) {
    for (kind, value) in attributes(extras) {
        match kind {
            10 if !sa.esn => (sa.out, sa.inn) = replay_legacy(value).unwrap(),
            23 if sa.esn => (sa.out, sa.inn, _) = replay_esn(value).unwrap(),
            _ => {}
        }
    }
}
