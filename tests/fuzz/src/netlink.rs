// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Netlink messages and captures of them: an error that says where, or a result; the follower tells its sink
//! nothing that contradicts itself; and nothing costs more memory than the input is long, by a factor.
//!
//! The first byte says how the rest is to be taken.

use crate::heap;
use crate::input::Input;
use crate::sink::Held;
use esnic_xfrm::{Error, Follower, Message, NETLINK_XFRM, Options, Packet, Packets};
use std::time::Duration;

/// The rest is a capture file, rather than packets, each with its length in two bytes before it.
pub const CAPTURE: u8 = 1;
/// The rest is one packet.
pub const ONE: u8 = 2;
/// Dumps count.
pub const DUMPS: u8 = 4;
/// The sink takes AEAD only.
pub const PICKY: u8 = 8;
/// Policies are learnt first.
pub const POLICIES: u8 = 16;
/// The captured machine's addresses are known.
pub const LOCALS: u8 = 32;

/// Bytes that a byte of input may cost: messages are kept in dumps, and an SA is larger than its message.
const BYTES_PER_BYTE: usize = 64;
/// Bytes that nothing may cost.
const BYTES_AT_LEAST: usize = 64 << 10;

/// The target.
///
/// # Panics
/// If something does not hold.
pub fn run(data: &[u8]) {
    let ((), most) = heap::most(|| follow(data));
    let limit = BYTES_AT_LEAST + BYTES_PER_BYTE * data.len();
    assert!(most <= limit, "{} bytes cost {most}", data.len());
}

fn follow(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.u8();
    let locals = if how & LOCALS == 0 {
        Vec::new()
    } else {
        ["10.9.0.1", "10.9.0.11", "fd09::1"].iter().filter_map(|one| one.parse().ok()).collect()
    };
    let mut follower = Follower::new(Options { locals, use_dumps: how & DUMPS != 0 });
    let mut sink = Held { picky: how & PICKY != 0, ..Held::default() };
    let packets = packets(how, input.rest());
    if how & POLICIES != 0 {
        for message in packets.iter().flat_map(|packet| packet.messages().flatten()) {
            follower.learn_policies(&message);
        }
    }
    for packet in &packets {
        for message in messages(packet) {
            follower.apply(&message, &mut sink).expect("the sink refuses nothing by an error");
        }
    }
    for skipped in follower.skipped() {
        assert!(!format!("{skipped:?}").is_empty());
    }
}

/// The packets of an input, up to the first that cannot be read.
fn packets(how: u8, data: &[u8]) -> Vec<Packet<'_>> {
    let packet = |number, data| Packet {
        number,
        offset: 40,
        timestamp: Duration::ZERO,
        family: NETLINK_XFRM,
        data,
    };
    if how & CAPTURE != 0 {
        return captured(data);
    }
    if how & ONE != 0 {
        return vec![packet(1, data)];
    }
    let (mut rest, mut number) = (Input::new(data), 0);
    std::iter::from_fn(|| {
        number += 1;
        (!rest.is_empty()).then(|| {
            let len = rest.u16();
            packet(number, rest.bytes(len.into()))
        })
    })
    .collect()
}

fn captured(data: &[u8]) -> Vec<Packet<'_>> {
    let mut all = match Packets::over(data) {
        Ok(all) => all,
        Err(error) => {
            is_one_line(&error);
            return Vec::new();
        }
    };
    let mut packets: Vec<Packet<'_>> = Vec::new();
    while let Some(next) = all.next() {
        match next {
            Ok(packet) => {
                let last = packets.last().map_or((0, 0), |last| (last.number, last.offset));
                assert!((packet.number, packet.offset) > last, "packets are in order");
                let begin = usize::try_from(packet.offset).expect("an offset in the file");
                let place = data.get(begin..begin + packet.data.len());
                assert_eq!(place.map(<[u8]>::as_ptr), Some(packet.data.as_ptr()), "it is there");
                packets.push(packet);
            }
            Err(error) => {
                let text = is_one_line(&error);
                if let Error::Record { packet, offset, .. } = error {
                    let place = format!("packet {packet} at file offset {offset}: ");
                    assert!(text.starts_with(&place), "{text}");
                    assert!(offset <= data.len() as u64, "{text}");
                    assert!(packet > packets.last().map_or(0, |last| last.number), "{text}");
                }
                assert!(all.next().is_none(), "an error is the end");
            }
        }
    }
    packets
}

/// The messages of a packet, up to the first that cannot be read.
fn messages(packet: &Packet<'_>) -> Vec<Message> {
    let (mut good, mut all) = (Vec::new(), packet.messages());
    while let Some(next) = all.next() {
        match next {
            Ok(message) => good.push(message),
            Err(error) => {
                let text = is_one_line(&error);
                let Error::Message { packet: number, offset, fault } = error else {
                    panic!("not an error of a message: {text}")
                };
                assert_eq!((number, offset), (packet.number, packet.offset));
                assert!(
                    text.starts_with(&format!("packet {number}, byte {} ", fault.offset)),
                    "{text}"
                );
                assert!(fault.offset <= packet.data.len(), "{text}");
                assert!(all.next().is_none(), "an error is the end");
            }
        }
    }
    good
}

fn is_one_line(error: &Error) -> String {
    let text = error.to_string();
    assert!(text.len() < 400 && !text.contains('\n'), "{text}");
    text
}
