// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Capture formats: pcap with both time resolutions, pcapng, and what is refused.

mod common;

use std::time::Duration;

use common::build::{IN, OUT, cooked, pcap};
use common::{file, messages};
use esnic_xfrm::{Capture, Damage, Error, Message, Packets, Source};
use zeroize::Zeroizing;

const ETHERNET: u16 = 1;
const NETLINK: u16 = 253;

fn block(kind: u32, content: &[u8]) -> Vec<u8> {
    let padded = content.len().next_multiple_of(4);
    let length = (12 + padded as u32).to_le_bytes();
    let mut bytes = [kind.to_le_bytes(), length].concat();
    bytes.extend(content);
    bytes.resize(8 + padded, 0);
    bytes.extend(length);
    bytes
}

fn section() -> Vec<u8> {
    let mut content = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
    content.extend([1, 0, 0, 0]);
    content.extend([0xff; 8]);
    block(0x0a0d_0d0a, &content)
}

/// An interface; `resolution` is the if_tsresol option.
fn interface(link: u16, snap: u32, resolution: Option<u8>) -> Vec<u8> {
    let mut content = [link.to_le_bytes(), [0, 0]].concat();
    content.extend(snap.to_le_bytes());
    if let Some(resolution) = resolution {
        content.extend([9, 0, 1, 0, resolution, 0, 0, 0, 0, 0, 0, 0]);
    }
    block(1, &content)
}

fn enhanced(interface: u32, ticks: u64, data: &[u8], original: usize) -> Vec<u8> {
    let mut content = interface.to_le_bytes().to_vec();
    content.extend(((ticks >> 32) as u32).to_le_bytes());
    content.extend((ticks as u32).to_le_bytes());
    content.extend((data.len() as u32).to_le_bytes());
    content.extend((original as u32).to_le_bytes());
    content.extend(data);
    content.resize(content.len().next_multiple_of(4), 0);
    // opt_comment, opt_endofopt.
    content.extend([1, 0, 3, 0, b'y', b'e', b's', 0, 0, 0, 0, 0]);
    block(6, &content)
}

fn simple(data: &[u8], original: usize) -> Vec<u8> {
    block(3, &[&(original as u32).to_le_bytes(), data].concat())
}

fn whole(data: &[u8]) -> Vec<u8> {
    [&cooked(6)[..], data].concat()
}

/// Offsets and numbers differ between the formats; the messages may not.
fn bodies(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| format!("{:?} {:?}", message.header, message.body)).collect()
}

fn error(data: &[u8]) -> Error {
    match Packets::over(data) {
        Ok(packets) => packets.map(Result::err).find_map(|error| error).unwrap(),
        Err(error) => error,
    }
}

#[test]
fn pcapng_gives_the_same_messages_as_pcap() {
    let file = file("3-strongswan/k6.1/mobike-v4-to-v4-esn/nl-A.pcap");
    let mut ng = [section(), interface(ETHERNET, 0, None), interface(NETLINK, 0, Some(9))].concat();
    let mut times = Vec::new();
    for packet in file.packets().map(Result::unwrap) {
        let begin = packet.offset as usize - 16;
        let data = &file.data[begin..packet.offset as usize + packet.data.len()];
        ng.extend(enhanced(1, packet.timestamp.as_nanos() as u64, data, data.len()));
        // What is to be skipped, and counts if it is a packet.
        ng.extend(enhanced(0, 5, &[0xab; 61], 1500));
        ng.extend(block(5, &[0; 12]));
        ng.extend(block(0x8000_0001, &[1, 2, 3]));
        times.push(packet.timestamp);
    }
    assert_eq!(bodies(&messages(&ng)), bodies(&file.messages()));
    let packets: Vec<_> = Packets::over(&ng).unwrap().map(Result::unwrap).collect();
    assert!(packets.iter().map(|packet| packet.timestamp).eq(times));
    assert!(packets.iter().enumerate().all(|(index, p)| p.number == 2 * index as u64 + 1));
    for packet in packets {
        let begin = packet.offset as usize;
        assert_eq!(packet.data, &ng[begin..begin + packet.data.len()]);
    }
}

#[test]
fn simple_packets_and_further_sections() {
    let data = whole(&OUT.added());
    let other = whole(&IN.added());
    let ng = [
        section(),
        interface(NETLINK, 65535, None),
        simple(&data, data.len()),
        section(),
        interface(ETHERNET, 0, None),
        interface(NETLINK, 0, Some(0x8a)),
        simple(&[1; 60], 60),
        enhanced(1, 1536, &other, other.len()),
    ]
    .concat();
    let packets: Vec<_> = Packets::over(&ng).unwrap().map(Result::unwrap).collect();
    let seen: Vec<_> = packets.iter().map(|p| (p.number, p.data, p.timestamp)).collect();
    let (out, inn) = (OUT.added(), IN.added());
    let half = Duration::from_millis(1500);
    assert_eq!(seen, [(1, &out[..], Duration::ZERO), (3, &inn[..], half)]);
}

#[test]
fn times_have_micro_or_nanoseconds() {
    let micro = pcap(&[OUT.added()]);
    let mut nano = micro.clone();
    nano[..4].copy_from_slice(&0xa1b2_3c4d_u32.to_le_bytes());
    let time = |data: &[u8]| Packets::over(data).unwrap().next().unwrap().unwrap().timestamp;
    assert_eq!(time(&micro), Duration::new(1, 2000));
    assert_eq!(time(&nano), Duration::new(1, 2));
}

#[test]
fn other_link_types_say_how_to_capture() {
    let mut wrong = pcap(&[OUT.added()]);
    wrong[20] = 1;
    let ng = [section(), interface(ETHERNET, 0, None), enhanced(0, 0, &[0; 60], 60)].concat();
    for data in [wrong, ng] {
        let error = error(&data);
        assert!(matches!(error, Error::LinkType { found: 1 }), "{error}");
        assert!(error.to_string().contains("type nlmon"), "{error}");
    }
}

#[test]
fn big_endian_is_not_supported() {
    let mut big = section();
    big[8..12].reverse();
    for data in [vec![0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4], vec![0xa1, 0xb2, 0x3c, 0x4d], big] {
        let error = error(&data);
        assert!(matches!(error, Error::BigEndian { packet: 1, offset: 0 }), "{error}");
        assert!(error.to_string().contains("not supported"), "{error}");
    }
}

#[test]
fn other_files_are_not_captures() {
    for data in [&b"#!/bin/sh\n"[..], b"ab", &[0; 100]] {
        assert!(matches!(error(data), Error::NotACapture));
    }
    // The beginning of nothing and of a header look the same.
    for data in [&[][..], &[0xd4], &[0x0a, 0x0d]] {
        let error = error(data);
        assert!(matches!(error, Error::Record { damage: Damage::HeaderCut, .. }), "{error}");
    }
}

#[test]
fn snapped_packets_name_their_number() {
    let data = whole(&OUT.added());
    let mut snapped = pcap(&[OUT.added(), OUT.added()]);
    let second = 24 + 16 + data.len();
    snapped[second + 12] += 1;
    let head = [section(), interface(NETLINK, 128, None)].concat();
    let ng = [&head[..], &enhanced(0, 0, &data, data.len()), &enhanced(0, 0, &data[..128], 400)];
    let ng_simple = [&head[..], &simple(&data[..64], 64), &simple(&data[..128], 400)];
    for data in [snapped, ng.concat(), ng_simple.concat()] {
        let error = error(&data);
        assert!(
            matches!(error, Error::Record { packet: 2, damage: Damage::Snapped { .. }, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("captured"), "{error}");
    }
}

#[test]
fn damaged_blocks_name_their_packet() {
    let data = whole(&OUT.added());
    let head = [section(), interface(NETLINK, 0, None)].concat();
    let good = enhanced(0, 0, &data, data.len());
    let mut lengths_differ = good.clone();
    *lengths_differ.last_mut().unwrap() = 1;
    let mut too_long_inside = good.clone();
    too_long_inside[20..24].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut odd = good.clone();
    odd[4] += 1;
    let unknown = enhanced(7, 0, &data, data.len());
    let cut = good[..good.len() - 1].to_vec();
    let short = enhanced(0, 0, &data[..15], 15);
    for bad in [lengths_differ, too_long_inside, odd, unknown, cut, short] {
        let file = [head.clone(), good.clone(), bad].concat();
        let mut packets = Packets::over(&file).unwrap();
        assert!(packets.next().unwrap().is_ok());
        let error = packets.next().unwrap().unwrap_err();
        assert!(matches!(error, Error::Record { packet: 2, .. }), "{error}");
        let place = format!("packet 2 at file offset {}: ", head.len() + good.len());
        assert!(error.to_string().starts_with(&place), "{error}");
        assert!(packets.next().is_none());
    }
}

#[test]
fn captures_are_read_from_anything() {
    let data = pcap(&[OUT.added(), IN.added()]);
    // A reader that gives little at a time, and more in all than was expected.
    struct Slow<'a>(&'a [u8]);
    impl std::io::Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let length = into.len().min(7);
            self.0.read(&mut into[..length])
        }
    }
    let mut capture = Capture::read(Slow(&data)).unwrap();
    assert_eq!(capture.next().unwrap().unwrap().data, OUT.added());
    assert_eq!(capture.packets().count(), 2);
    assert_eq!(capture.next().unwrap().unwrap().data, IN.added());
    assert!(capture.next().unwrap().is_none() && capture.ended());

    let large = pcap(&vec![OUT.added(); 1000]);
    assert_eq!(Capture::read(Slow(&large)).unwrap().packets().count(), 1000);
    let mut bad = Capture::from_bytes(Zeroizing::new(data[..data.len() - 1].to_vec())).unwrap();
    assert!(bad.next().unwrap().is_some());
    assert!(bad.next().is_err());
    assert!(bad.next().unwrap().is_none());
    assert!(matches!(Capture::open("no such file"), Err(Error::Read(_))));
}
