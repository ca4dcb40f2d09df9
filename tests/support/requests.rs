// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Requests as bytes, made by hand from the offsets that the documents give.

use esnic_driver::oid::{Completion, Kind, Request, number};

/// Offsets of `OffloadHandle` in ADD_SA and ADD_SA_EX.
pub const HANDLE: usize = 0x38;
pub const HANDLE_EX: usize = 0x30;

/// Elements' operations.
pub const AH: u32 = 1;
pub const ESP: u32 = 2;

/// AES-GCM and GMAC with keys of 256 bits.
pub const AES_256: u32 = 0x20;

/// A request to set something, without an id.
pub fn set<const N: usize>(oid: u32, nodes: [Vec<u8>; N]) -> Request {
    Request { id: 0, oid, kind: Kind::Set, nodes: nodes.map(Into::into).to_vec() }
}

/// The same, that can be cancelled.
pub fn numbered(id: u64, request: Request) -> Request {
    Request { id, ..request }
}

/// The handle in node `k` of what an ADD_SA left.
#[track_caller]
pub fn handle_of(done: &Completion, k: usize) -> u64 {
    let bytes = &done.nodes[k].bytes()[HANDLE..HANDLE + 8];
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

/// The same of an ADD_SA_EX.
#[track_caller]
pub fn handle_ex_of(done: &Completion) -> u64 {
    let bytes = &done.nodes[0].bytes()[HANDLE_EX..HANDLE_EX + 8];
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

pub fn put(node: &mut [u8], at: usize, value: u32) {
    node[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Kind 0x80, revision 1, and a size.
pub fn header(node: &mut [u8], size: u16) {
    node[..2].copy_from_slice(&[0x80, 1]);
    node[2..4].copy_from_slice(&size.to_le_bytes());
}

/// UPDATE_SA.
pub fn update_sa(handle: u64, operation: u32, spi: u32, hi: u32) -> Vec<u8> {
    let mut node = vec![0; 0x20];
    header(&mut node, 0x20);
    node[8..16].copy_from_slice(&handle.to_le_bytes());
    put(&mut node, 0x10, operation);
    put(&mut node, 0x14, spi);
    put(&mut node, 0x18, hi);
    node
}

/// DELETE_SA.
pub fn delete_sa(handle: u64) -> Vec<u8> {
    let mut node = vec![0; 0x18];
    header(&mut node, 0x18);
    node[0x10..0x18].copy_from_slice(&handle.to_le_bytes());
    node
}

/// `NDIS_OFFLOAD_PARAMETERS` with this switch.
pub fn parameters(ipsec_v2: u8) -> Request {
    let mut node = vec![0; 24];
    header(&mut node, 22);
    node[1] = 2;
    node[0x14] = ipsec_v2;
    set(number::PARAMETERS, [node])
}

/// One element of an ADD.
#[derive(Clone, Copy)]
pub struct Element {
    pub flags: u32,
    pub operation: u32,
    pub spi: u32,
    /// Identifier, length of the key, where it begins, and the rest.
    pub auth: [u32; 4],
    pub enc: [u32; 4],
    pub hi: u32,
}

/// What an ADD says, with every member open to tests.
#[derive(Clone)]
pub struct Add {
    pub count: u32,
    pub flags: u32,
    pub endpoints: [u8; 32],
    pub udp: u32,
    pub elements: [Element; 2],
    pub keys: Vec<u8>,
}

/// No element.
pub const NOTHING: Element =
    Element { flags: 0, operation: 0, spi: 0, auth: [0; 4], enc: [0; 4], hi: 0 };

impl Add {
    /// An inbound ESP SA with ESN, AES-256-GCM, between two IPv4 addresses.
    pub fn esp(spi: u32) -> Self {
        let mut endpoints = [0; 32];
        endpoints[..8].copy_from_slice(&[192, 0, 2, 1, 198, 51, 100, 1]);
        let element =
            Element { flags: 1, operation: ESP, spi, enc: [AES_256, 36, 0, 16], hi: 0, ..NOTHING };
        // Bytes that are told from any other by being large.
        let keys = (0..36).map(|n| 0xC0 + n).collect();
        Self { count: 1, flags: 1, endpoints, udp: 0, elements: [element, NOTHING], keys }
    }

    /// The same with AH around it.
    pub fn bundle(esp: u32, ah: u32) -> Self {
        let mut bundle = Self::esp(esp);
        bundle.elements[1] =
            Element { flags: 1, operation: AH, spi: ah, auth: [AES_256, 36, 36, 0], ..NOTHING };
        bundle.count = 2;
        bundle.keys.extend((0..36).map(|n| 0x80 + n));
        bundle
    }

    pub fn outbound(mut self) -> Self {
        self.flags &= !1;
        self
    }

    /// As ADD_SA.
    pub fn bytes(&self) -> Vec<u8> {
        let mut node = vec![0; 0xA8];
        header(&mut node, 0xA9);
        put(&mut node, 0x10, self.count);
        put(&mut node, 0x14, self.flags);
        node[0x18..0x38].copy_from_slice(&self.endpoints);
        // What is there before must not be taken for a handle.
        node[0x38..0x40].fill(0xEE);
        put(&mut node, 0x40, self.udp);
        self.put_elements(&mut node[0x44..0xA4]);
        put(&mut node, 0xA4, self.keys.len() as u32);
        node.extend(&self.keys);
        node
    }

    /// As ADD_SA_EX.
    pub fn bytes_ex(&self) -> Vec<u8> {
        let mut node = vec![0; 0xB0];
        header(&mut node, 0xB0);
        put(&mut node, 0x04, self.count);
        put(&mut node, 0x08, self.flags);
        node[0x0C..0x2C].copy_from_slice(&self.endpoints);
        node[0x30..0x38].fill(0xEE);
        put(&mut node, 0x38, self.udp);
        self.put_elements(&mut node[0x3C..0x9C]);
        put(&mut node, 0x9C, self.keys.len() as u32);
        put(&mut node, 0xA0, 0xB0);
        node.extend(&self.keys);
        node
    }

    fn put_elements(&self, to: &mut [u8]) {
        for (element, to) in self.elements.iter().zip(to.chunks_exact_mut(48)) {
            let words = [element.flags, element.operation, element.spi];
            let words = words.into_iter().chain(element.auth).chain(element.enc);
            for (k, word) in words.chain([element.hi]).enumerate() {
                put(to, 4 * k, word);
            }
        }
    }
}
