// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a fuzzer begins with: real data, in the form that the targets read.

use crate::request::{NUMBERS, step};
use crate::{completion, netlink};
use esnic_xfrm::{NETLINK_XFRM, Packets};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The seeds of a target; none if there is no such target.
///
/// # Panics
/// If the data of the tests are not there.
#[must_use]
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "request" => requests(),
        "netlink" => messages(),
        "completion" => completion::seeds(),
        _ => Vec::new(),
    }
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data").join(name)
}

/// The walk through all requests, as a whole, up to its removal, and each request by itself.
fn requests() -> Vec<Vec<u8>> {
    let walk = fs::read_to_string(data("oid/walk.jsonl")).expect("the walk");
    let lines = walk.lines().filter(|line| line.starts_with('{'));
    let (mut whole, mut seeds) = (Vec::new(), BTreeSet::new());
    for line in lines {
        let line: serde_json::Value = serde_json::from_str(line).expect("an object");
        let one = step_of(&line);
        whole.extend(&one);
        whole.push(step::WAIT);
        seeds.insert(one);
    }
    [whole].into_iter().chain(seeds).collect()
}

fn step_of(line: &serde_json::Value) -> Vec<u8> {
    if line["reset"] == true {
        return vec![step::PORT, 8];
    }
    if line["remove"] == true {
        return vec![step::PORT, 15];
    }
    if let Some(id) = line["cancel"].as_u64() {
        return vec![step::CANCEL, id.min(15) as u8];
    }
    let oid = line["oid"].as_str().and_then(|text| text.strip_prefix("0x"));
    let oid = oid.and_then(|text| u32::from_str_radix(text, 16).ok()).unwrap_or_default();
    let mut bytes = vec![step::SUBMIT];
    match NUMBERS.iter().position(|&number| number == oid) {
        Some(k) => bytes.push(k as u8),
        None => {
            bytes.push(8);
            bytes.extend(oid.to_le_bytes());
        }
    }
    bytes.push(match line["type"].as_str() {
        Some("query") => 15,
        Some("method") => 14,
        _ => 0,
    });
    bytes.push(line["id"].as_u64().unwrap_or(0).min(255) as u8);
    let nodes = line["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    bytes.push(nodes.len() as u8);
    for node in nodes {
        let node = hex::decode(node.as_str().unwrap_or_default()).unwrap_or_default();
        // Raw.
        bytes.push(0);
        bytes.extend((node.len() as u16).to_le_bytes());
        bytes.extend(node);
    }
    bytes
}

/// Packets of the captures, those that differ by kind, flags and length; and the smallest captures.
fn messages() -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    let mut folders = vec![data("xfrm")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the captures").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "pcap") {
                files.push(fs::read(path).expect("a capture"));
            }
        }
    }
    files.sort_by_key(|file| (file.len(), file.first().copied()));
    let (mut seeds, mut seen) = (Vec::new(), BTreeSet::new());
    for file in &files {
        let packets: Vec<_> = Packets::over(file).expect("a capture").flatten().collect();
        let xfrm = packets.iter().filter(|packet| packet.family == NETLINK_XFRM);
        let mut begin = vec![netlink::DUMPS | netlink::POLICIES | netlink::LOCALS];
        for packet in xfrm {
            if begin.len() + packet.data.len() < 4000 {
                begin.extend((packet.data.len() as u16).to_le_bytes());
                begin.extend(packet.data);
            }
            let like = (packet.data.get(4..8).map(<[u8]>::to_vec), packet.data.len());
            if packet.data.len() < 1500 && seen.insert(like) {
                seeds.push([&[netlink::ONE | netlink::DUMPS], packet.data].concat());
            }
        }
        if begin.len() > 1 && seen.insert((Some(b"begin".to_vec()), begin.len())) {
            seeds.push(begin);
        }
    }
    for file in files.iter().take(4) {
        seeds.push([&[netlink::CAPTURE | netlink::DUMPS], &file[..file.len().min(4000)]].concat());
    }
    seeds
}
