// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the README says of the netlink crates, so that a release which mends it is noticed.

mod common;

use std::panic::catch_unwind;

use common::build::{DUMP, GETSA, OUT, REQUEST};
use esnic_xfrm::Body;
use netlink_packet_core::ParseableParametrized as _;
use netlink_packet_xfrm::XfrmMessage;

fn parse(kind: u16, body: &[u8]) -> Result<XfrmMessage, netlink_packet_core::DecodeError> {
    XfrmMessage::parse_with_param(body, kind)
}

/// A dump request without a filter, as iproute2 sends it, has no body.
#[test]
fn it_panics_on_real_dump_requests() {
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = catch_unwind(|| parse(GETSA, &[]).is_ok());
    let _ = std::panic::take_hook();
    assert!(outcome.is_err());
    let real = common::files().iter().any(|file| {
        file.messages().iter().zip(raws(file)).any(|(message, (kind, flags, length))| {
            assert_eq!(message.header.kind, kind);
            kind == GETSA && flags == REQUEST | DUMP && length == 0
        })
    });
    assert!(real);
}

fn raws(file: &common::File) -> Vec<(u16, u16, usize)> {
    let packets = file.packets().map(Result::unwrap).filter(|packet| packet.family == 6);
    packets
        .flat_map(|packet| {
            let raws = common::truth::raw(packet.data);
            raws.iter().map(|raw| (raw.kind, raw.flags, raw.body.len())).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn it_shows_keys() {
    let body = &OUT.added()[16..];
    let shown = format!("{:?}", parse(0x10, body).unwrap());
    assert!(shown.contains("90, 90, 90, 90"));
}

#[test]
fn it_does_not_know_the_direction() {
    let told = common::build::SaSpec { dir: Some(2), ..OUT }.added();
    let shown = format!("{:?}", parse(0x10, &told[16..]).unwrap());
    assert!(shown.contains("Other(DefaultNla { kind: 33"), "{shown}");
}

#[test]
fn it_does_not_check_key_lengths() {
    let mut message = OUT.added();
    let length = 16 + 224 + 4 + 64;
    message[length..length + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(parse(0x10, &message[16..]).is_ok());
    let error = common::build::packet(&message).messages().next().unwrap().unwrap_err();
    let place = format!("packet 1, byte {length} of its netlink data (offset {} of", 40 + length);
    assert!(error.to_string().starts_with(&place), "{error}");
}

/// Where it can read a kernel message, both readers agree.
#[test]
fn where_it_reads_it_agrees() {
    let mut agreed = 0;
    for file in common::files() {
        let packets = file.packets().map(Result::unwrap).filter(|packet| packet.family == 6);
        for packet in packets {
            let messages = packet.messages().map(Result::unwrap);
            for (ours, raw) in messages.zip(common::truth::raw(packet.data)) {
                if raw.flags & REQUEST != 0 {
                    continue;
                }
                match (ours.body, raw.kind) {
                    (Body::Sa(sa), 0x10 | 0x1a) => {
                        let (XfrmMessage::AddSa(theirs) | XfrmMessage::UpdateSa(theirs)) =
                            parse(raw.kind, raw.body).unwrap()
                        else {
                            panic!()
                        };
                        let info = theirs.user_sa_info;
                        assert_eq!(
                            (sa.id.spi, sa.id.proto, sa.reqid, sa.flags, sa.family),
                            (info.id.spi, info.id.proto, info.reqid, info.flags, info.family)
                        );
                        agreed += 1;
                    }
                    (Body::Ae(ae), _) => {
                        let XfrmMessage::NewAsyncEvent(theirs) = parse(raw.kind, raw.body).unwrap()
                        else {
                            panic!()
                        };
                        assert_eq!(ae.id.spi, theirs.id.sa_id.spi);
                        assert_eq!((ae.flags, ae.reqid), (theirs.id.flags, theirs.id.reqid));
                        agreed += 1;
                    }
                    _ => {}
                }
            }
        }
    }
    assert!(agreed > 2000, "{agreed}");
}
