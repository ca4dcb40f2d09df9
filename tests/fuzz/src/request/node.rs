// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Nodes from the bytes of an input.

use super::book::Book;
use crate::input::Input;
use crate::support::oids::{AH, Add, ESP, delete_sa, update_sa};
use esnic_driver::oid::number;

/// A node's first byte, modulo eight, that says that it is raw: a length in two bytes, then the node.
pub(crate) const RAW: u8 = 0;

/// Longest raw node, one more than any that has a meaning by much.
const MOST: u16 = 1024;

/// Makes the next node of a request.
pub(super) fn make(oid: u32, book: &Book, input: &mut Input<'_>, nodes: &mut Vec<Vec<u8>>) {
    let node = match input.u8() % 8 {
        RAW => {
            let len = input.u16() % MOST;
            input.bytes(len.into()).to_vec()
        }
        1 => damaged(add(oid, Add::esp(spi(input))), input),
        2 => damaged(add(oid, Add::bundle(spi(input), spi(input))), input),
        3 => damaged(add(oid, Add::esp(spi(input)).outbound()), input),
        4 => {
            let (handle, spis) = book.handle(input);
            let operation = u32::from(input.u8() % 4);
            let spi = match (input.u8() % 8, operation) {
                (0, _) => spi(input),
                (_, AH) => spis[1],
                _ => spis[0],
            };
            let hi = match input.u8() {
                few @ 0..128 => few.into(),
                many => u32::MAX - u32::from(many - 128),
            };
            damaged(update_sa(handle, operation, spi, hi), input)
        }
        5 => {
            let (handle, _) = book.handle(input);
            damaged(delete_sa(handle), input)
        }
        // Room for an answer.
        6 => vec![input.u8(); input.u8().into()],
        _ => {
            // A list that is longer than a ring.
            let last = nodes.last().cloned().unwrap_or_default();
            for _ in 0..input.u8() % 24 {
                nodes.push(last.clone());
            }
            last
        }
    };
    nodes.push(node);
}

/// Few, so that they meet again.
fn spi(input: &mut Input<'_>) -> u32 {
    u32::from(input.u8() % 64)
}

fn add(oid: u32, sa: Add) -> Vec<u8> {
    if oid == number::ADD_SA_EX { sa.bytes_ex() } else { sa.bytes() }
}

/// A few bytes changed, and perhaps cut.
fn damaged(mut node: Vec<u8>, input: &mut Input<'_>) -> Vec<u8> {
    let how = input.u8();
    for _ in 0..how % 4 {
        let (at, value) = (usize::from(input.u8()), input.u8());
        if let Some(byte) = node.get_mut(at) {
            *byte = value;
        }
    }
    if how >= 0xE0 {
        let cut = usize::from(input.u8()).min(node.len());
        node.truncate(node.len() - cut);
    }
    node
}

/// What elements an ADD names, by SPI: ESP, then AH.
pub(super) fn spis(oid: u32, node: &[u8]) -> [u32; 2] {
    let first = if oid == number::ADD_SA_EX { 0x3C } else { 0x44 };
    let word = |at: usize| {
        node.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes)
    };
    let mut spis = [0; 2];
    for at in [first, first + 48] {
        match word(at + 4) {
            ESP => spis[0] = word(at + 8),
            AH => spis[1] = word(at + 8),
            _ => {}
        }
    }
    spis
}
