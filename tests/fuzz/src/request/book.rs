// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What was asked of a port and what it answered.

use super::node;
use crate::input::Input;
use crate::support::oids::{HANDLE, HANDLE_EX};
use esnic_driver::oid::layout::{AddSa, AddSaEx};
use esnic_driver::oid::{Completion, Kind, Request, number};
use esnic_driver::transport::Transport;
use esnic_driver::{NdisStatus, SaHandle, SaManager};
use std::collections::{HashMap, HashSet};

/// Bytes of an ADD before its keys.
const FIXED: usize = size_of::<AddSa>();
const FIXED_EX: usize = size_of::<AddSaEx>();

/// An SA that somebody was given.
struct Given {
    handle: u64,
    spis: [u32; 2],
}

/// What a request is told by from its completion; several may be alike.
type Alike = (u64, u32, Vec<Vec<u8>>);

/// A request without a completion.
#[derive(Clone, Debug)]
struct Open {
    kind: Kind,
    /// Handles that it names and that somebody had when it was submitted. Of others it may hear or not.
    known: Vec<u64>,
}

/// Everything that was asked and answered.
#[derive(Default)]
pub(super) struct Book {
    submitted: u64,
    /// Requests without a completion, in the order in which they came, by what cannot change in their nodes.
    open: HashMap<Alike, Vec<Open>>,
    given: Vec<Given>,
    /// Handles that a DELETE named, whatever came of it.
    named: HashSet<u64>,
    /// Handles that are gone, as a DELETE said.
    gone: HashSet<u64>,
}

/// Where the keys of a request's nodes begin, and its handle.
fn places(oid: u32) -> Option<(usize, usize)> {
    match oid {
        number::ADD_SA => Some((FIXED, HANDLE)),
        number::ADD_SA_EX => Some((FIXED_EX, HANDLE_EX)),
        _ => None,
    }
}

/// A node without keys and handle, which are all that may change.
fn lasting(oid: u32, kind: Kind, bytes: &[u8]) -> Vec<u8> {
    // An answer is written over whatever was there.
    if kind == Kind::Query && places(oid).is_none() {
        return vec![0; bytes.len()];
    }
    let mut bytes = bytes.to_vec();
    if let Some((fixed, handle)) = places(oid) {
        for range in [handle..handle + 8, fixed..bytes.len()] {
            if let Some(part) = bytes.get_mut(range) {
                part.fill(0);
            }
        }
    }
    bytes
}

fn handle_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8).and_then(|part| part.try_into().ok()).map(u64::from_le_bytes)
}

impl Book {
    pub(super) fn submitted(&self) -> u64 {
        self.submitted
    }

    /// A handle that was given, or any number, and the SPIs that go with it.
    pub(super) fn handle(&self, input: &mut Input<'_>) -> (u64, [u32; 2]) {
        let k = input.u8();
        if k == 0xFF {
            return (input.u64(), [1, 1]);
        }
        let given = self.given.get(usize::from(k) % self.given.len().max(1));
        given.map_or((0, [1, 1]), |given| (given.handle, given.spis))
    }

    /// It goes to the port now.
    pub(super) fn submit(&mut self, request: &Request) {
        self.submitted += 1;
        if request.oid == number::DELETE_SA {
            let handles = request.nodes.iter().filter_map(|node| handle_at(node.bytes(), 0x10));
            self.named.extend(handles);
        }
        let nodes =
            request.nodes.iter().map(|node| lasting(request.oid, request.kind, node.bytes()));
        let alike = (request.id, request.oid, nodes.collect());
        let known = request.nodes.iter().filter_map(|node| handle_at(node.bytes(), 0x10));
        let known = known.filter(|handle| self.given.iter().any(|given| given.handle == *handle));
        let open = Open { kind: request.kind, known: known.collect() };
        self.open.entry(alike).or_default().push(open);
    }

    /// Those with this id have ended, now that `cancel` has returned; id 0 cannot be cancelled.
    pub(super) fn cancelled(&self, id: u64) {
        let left = self.open.iter().any(|((of, ..), kinds)| *of == id && !kinds.is_empty());
        assert!(id == 0 || !left, "{id} is cancelled and goes on");
    }

    /// Completions, in the order in which they were told.
    pub(super) fn take(&mut self, told: Vec<Completion>) {
        told.iter().for_each(|done| self.one(done));
    }

    fn one(&mut self, done: &Completion) {
        let Open { kind, known } = self.find(done);
        let success = done.status == NdisStatus::SUCCESS;
        assert_ne!(done.status, NdisStatus::PENDING);
        assert_ne!(done.status.name(), "UNKNOWN");
        let lengths: usize = done.nodes.iter().map(|node| node.bytes().len()).sum();
        assert!(success || done.bytes_read == 0 && done.bytes_written == 0);
        assert_eq!(success, done.supported_revision != 0, "{done:?}");
        if success && kind == Kind::Set {
            assert_eq!(done.bytes_read as usize, lengths, "{done:?}");
        }
        let short = [
            NdisStatus::INVALID_LENGTH,
            NdisStatus::BUFFER_TOO_SHORT,
            // The end of a deletion that is malformed.
            NdisStatus::REQUEST_ABORTED,
        ];
        assert!(done.bytes_needed == 0 || short.contains(&done.status), "{done:?}");
        match (done.oid, kind) {
            (number::DELETE_SA, Kind::Set) => self.deleted(done, known),
            (number::ADD_SA | number::ADD_SA_EX, _) => self.added(done),
            (number::UPDATE_SA, Kind::Set) if success => {
                for handle in done.nodes.iter().filter_map(|node| handle_at(node.bytes(), 8)) {
                    assert!(self.given.iter().any(|given| given.handle == handle), "{done:?}");
                }
            }
            _ => {}
        }
    }

    /// The request that a completion is for, which has had none. A completion does not say the kind: of two
    /// requests that are otherwise alike, what is not supported is sooner a query than a set.
    fn find(&mut self, done: &Completion) -> Open {
        let mut kinds = [Kind::Set, Kind::Query, Kind::Method];
        if done.status == NdisStatus::NOT_SUPPORTED {
            kinds.reverse();
        }
        for kind in kinds {
            let nodes = done.nodes.iter().map(|node| lasting(done.oid, kind, node.bytes()));
            let alike = (done.id, done.oid, nodes.collect());
            let Some(open) = self.open.get_mut(&alike) else { continue };
            let Some(at) = open.iter().position(|one| one.kind == kind) else { continue };
            return open.remove(at);
        }
        panic!("nobody waits for this, or its nodes have changed: {done:?}");
    }

    fn deleted(&mut self, done: &Completion, known: Vec<u64>) {
        assert!(
            [NdisStatus::SUCCESS, NdisStatus::NOT_ACCEPTED, NdisStatus::REQUEST_ABORTED]
                .contains(&done.status),
            "{done:?}"
        );
        if done.status == NdisStatus::SUCCESS {
            self.gone.extend(known);
        }
    }

    fn added(&mut self, done: &Completion) {
        let (fixed, place) = places(done.oid).expect("an ADD");
        let mut any = false;
        for node in done.nodes.iter().map(esnic_driver::oid::Node::bytes) {
            let keys = node.get(fixed..).unwrap_or_default();
            assert!(keys.iter().all(|&byte| byte == 0), "bytes of a key are left");
            let Some(handle) = handle_at(node, place) else { continue };
            if handle == 0 {
                continue;
            }
            any = true;
            assert!(self.given.iter().all(|given| given.handle != handle), "given twice: {done:?}");
            self.given.push(Given { handle, spis: node::spis(done.oid, node) });
        }
        assert_eq!(any, done.status == NdisStatus::SUCCESS, "a handle is a success: {done:?}");
    }

    /// Every request has its completion.
    pub(super) fn is_even(&self) {
        let left: Vec<_> = self.open.iter().filter(|(_, kinds)| !kinds.is_empty()).collect();
        let left = left.iter().map(|((id, oid, _), kinds)| (id, oid, kinds)).collect::<Vec<_>>();
        assert!(left.is_empty(), "without a completion: {left:x?}");
    }

    /// No SA goes without a DELETE, and none stays after one; nothing is there that nobody was given.
    pub(super) fn agrees<T: Transport>(&self, manager: &SaManager<T>) {
        let mut live = 0;
        for given in &self.given {
            let known = manager.known_top(SaHandle::from_bits(given.handle)).is_some();
            let (named, gone) =
                (self.named.contains(&given.handle), self.gone.contains(&given.handle));
            assert!(known || named, "{:#x} has gone by itself", given.handle);
            assert!(!(known && gone), "{:#x} is still there", given.handle);
            live += usize::from(known);
        }
        let rows = manager.read_table().expect("a table").len();
        assert!((live..=2 * live).contains(&rows), "{live} SAs in {rows} rows");
    }
}
