// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A request that was taken and has not ended: its parts, one a node, and what became of each.

use super::inbound::Keys;
use super::layout::AddSaEx;
use super::parse::{self, Bundle, Malformed};
use super::{Completion, Kind, NdisStatus, Request, number};
use crate::sa::{SaHandle, SaUpdate};
use esnic_abi::Protocol;
use std::collections::HashSet;
use std::time::Instant;
use zeroize::Zeroize;

/// What one node asks for.
pub(super) enum Job {
    Update(SaHandle, SaUpdate),
    Delete(SaHandle),
    /// Gone while it is being submitted.
    Add(Option<Box<Bundle>>),
}

/// How far a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not submitted.
    Waiting,
    /// The device has it, or will at once.
    Sent,
    Done(NdisStatus),
}

/// One node.
pub(super) struct Part {
    pub(super) job: Job,
    pub(super) stage: Stage,
    /// Of an ADD, once it is known; of a DELETE, what it names.
    pub(super) sa: Option<SaHandle>,
    /// Of an ADD: whether it has an ESP element, and an AH element.
    pub(super) uses: (bool, bool),
    /// Of an ADD that was let in.
    pub(super) keys: Option<Keys>,
    /// Queue pair and number of the command, once it was submitted.
    pub(super) command: Option<(usize, u32)>,
}

impl Part {
    fn new(job: Job, stage: Stage) -> Self {
        let bundle = match &job {
            Job::Add(bundle) => bundle.as_deref(),
            Job::Update(..) | Job::Delete(_) => None,
        };
        let has = |protocol| {
            bundle.is_some_and(|all| all.elements().any(|element| element.protocol == protocol))
        };
        let uses = (has(Protocol::Esp), has(Protocol::Ah));
        Self { job, stage, uses, sa: None, keys: None, command: None }
    }

    fn deletion(sa: SaHandle) -> Self {
        Self { sa: Some(sa), ..Self::new(Job::Delete(sa), Stage::Waiting) }
    }

    /// The SA that it is about, if there is one yet.
    pub(super) fn names(&self) -> Option<SaHandle> {
        match self.job {
            Job::Update(sa, _) | Job::Delete(sa) => Some(sa),
            Job::Add(_) => None,
        }
    }
}

/// A request.
pub(super) struct Work {
    pub(super) request: Request,
    pub(super) parts: Vec<Part>,
    /// The part to submit next.
    pub(super) next: usize,
    /// Parts that have not ended.
    open: usize,
    /// Somebody is submitting parts of it, and says when that is over.
    pub(super) held: bool,
    /// It stands in lines, not in the queue.
    pub(super) parked: bool,
    /// The round in which its SA was last found busy.
    pub(super) tried: u64,
    /// It was completed before its end; what it left under way goes on.
    pub(super) detached: bool,
    /// The port's own: nobody is told of it, and it survives resets.
    pub(super) own: bool,
    pub(super) begun: Instant,
}

impl Work {
    /// Takes a request apart.
    ///
    /// # Errors
    /// With the request, if nothing of it can be done.
    pub(super) fn new(mut request: Request) -> Result<Self, (Request, Malformed)> {
        let parts = parts(&request);
        // They are in the parts by now.
        wipe(&mut request);
        match parts {
            Ok(parts) => Ok(Self::of(request, parts)),
            Err(why) => Err((request, why)),
        }
    }

    /// The deletion of a bundle whose handle nobody was given.
    pub(super) fn own_deletion(sa: SaHandle) -> Self {
        let request = Request { id: 0, oid: number::DELETE_SA, kind: Kind::Set, nodes: Vec::new() };
        Self { own: true, detached: true, ..Self::of(request, vec![Part::deletion(sa)]) }
    }

    fn of(request: Request, parts: Vec<Part>) -> Self {
        let open = parts.iter().filter(|part| !matches!(part.stage, Stage::Done(_))).count();
        Self {
            request,
            parts,
            next: 0,
            open,
            held: false,
            parked: false,
            tried: 0,
            detached: false,
            own: false,
            begun: Instant::now(),
        }
    }

    /// Ends a part, and with it what it keeps of keys.
    pub(super) fn end(&mut self, k: usize, status: NdisStatus) {
        let part = &mut self.parts[k];
        if !matches!(part.stage, Stage::Done(_)) {
            self.open -= 1;
        }
        part.stage = Stage::Done(status);
        if let Job::Add(bundle) = &mut part.job {
            *bundle = None;
        }
    }

    /// SAs that it waits to be submitted for, from the next one on.
    pub(super) fn names(&self) -> impl Iterator<Item = SaHandle> {
        let waiting = self.parts[self.next..].iter().filter(|part| part.stage == Stage::Waiting);
        waiting.filter_map(Part::names)
    }

    /// Whether nothing of it has been submitted.
    pub(super) fn is_untouched(&self) -> bool {
        self.next == 0 && !self.held
    }

    /// Whether every part has ended.
    pub(super) fn is_over(&self) -> bool {
        !self.held && self.open == 0
    }

    /// Whether its rest was dropped, or there is none.
    pub(super) fn is_sent(&self) -> bool {
        self.next == self.parts.len()
    }

    /// Ends every part that was not submitted.
    pub(super) fn drop_rest(&mut self, status: NdisStatus) {
        for k in self.next..self.parts.len() {
            if self.parts[k].stage == Stage::Waiting {
                self.end(k, status);
            }
        }
        self.next = self.parts.len();
    }

    /// The status of the whole: an ADD succeeds if any of its nodes does; whatever else, if all do.
    fn status(&self) -> NdisStatus {
        let mut ends = self.parts.iter().map(|part| match part.stage {
            Stage::Done(status) => status,
            Stage::Waiting | Stage::Sent => NdisStatus::REQUEST_ABORTED,
        });
        let any = matches!(self.request.oid, number::ADD_SA | number::ADD_SA_EX);
        let success = NdisStatus::SUCCESS;
        if any && ends.clone().any(|end| end == success) {
            return success;
        }
        ends.find(|&end| end != success).unwrap_or(success)
    }

    /// Handles that its completion tells.
    pub(super) fn given(&self) -> impl Iterator<Item = SaHandle> {
        let added = |part: &&Part| {
            matches!(part.job, Job::Add(_)) && part.stage == Stage::Done(NdisStatus::SUCCESS)
        };
        self.parts.iter().filter(added).filter_map(|part| part.sa)
    }

    /// What is told of it, by its parts.
    pub(super) fn completion(&mut self) -> Completion {
        self.completion_as(self.status())
    }

    /// What is told of it; if that is no success, no handle is given.
    pub(super) fn completion_as(&mut self, status: NdisStatus) -> Completion {
        // Id and number stay: a cancel may still look for them.
        let nodes = std::mem::take(&mut self.request.nodes);
        let mut request = Request { nodes, ..self.request };
        if let Some(place) = handle_place(request.oid) {
            for (node, part) in request.nodes.iter_mut().zip(&self.parts) {
                let given =
                    status == NdisStatus::SUCCESS && part.stage == Stage::Done(NdisStatus::SUCCESS);
                let handle = part.sa.filter(|_| given).map_or(0, SaHandle::bits);
                if let Some(to) = node.0.get_mut(place..place + 8) {
                    to.copy_from_slice(&handle.to_le_bytes());
                }
            }
        }
        end(request, Malformed { status, bytes_needed: 0 })
    }
}

/// The completion of a request that ends like this. Success means that all of its bytes were read.
pub(super) fn end(mut request: Request, how: Malformed) -> Completion {
    let status = match how.status {
        // A deletion may end in no other way.
        status if request.oid == number::DELETE_SA && request.kind == Kind::Set => match status {
            NdisStatus::SUCCESS | NdisStatus::NOT_ACCEPTED => status,
            NdisStatus::RESET_IN_PROGRESS | NdisStatus::CLOSING => NdisStatus::NOT_ACCEPTED,
            _ => NdisStatus::REQUEST_ABORTED,
        },
        status => status,
    };
    let success = status == NdisStatus::SUCCESS;
    wipe(&mut request);
    if let Some(place) = handle_place(request.oid).filter(|_| !success) {
        for node in &mut request.nodes {
            if let Some(to) = node.0.get_mut(place..place + 8) {
                to.fill(0);
            }
        }
    }
    let read: usize = request.nodes.iter().map(|node| node.bytes().len()).sum();
    Completion {
        id: request.id,
        oid: request.oid,
        status,
        bytes_needed: how.bytes_needed,
        bytes_read: if success { u32::try_from(read).unwrap_or(u32::MAX) } else { 0 },
        bytes_written: 0,
        supported_revision: u8::from(success),
        nodes: request.nodes,
    }
}

fn handle_place(number: u32) -> Option<usize> {
    match number {
        number::ADD_SA => Some(parse::ADD_HANDLE),
        number::ADD_SA_EX => Some(parse::ADD_EX_HANDLE),
        _ => None,
    }
}

/// Wipes whatever may be a key in the nodes of an ADD, well-formed or not.
pub(super) fn wipe(request: &mut Request) {
    let fixed = match request.oid {
        number::ADD_SA => size_of::<super::layout::AddSa>(),
        number::ADD_SA_EX => size_of::<AddSaEx>(),
        _ => return,
    };
    for node in &mut request.nodes {
        if let Some(keys) = node.0.get_mut(fixed..) {
            keys.zeroize();
        }
    }
}

/// Most nodes of one request.
pub(super) const MAX_NODES: usize = 1 << 16;

fn parts(request: &Request) -> Result<Vec<Part>, Malformed> {
    let nodes = &request.nodes;
    // An empty list asks for nothing, and an ADD_SA_EX has no list.
    let single = request.oid == number::ADD_SA_EX;
    if nodes.is_empty() || nodes.len() > if single { 1 } else { MAX_NODES } {
        return Err(NdisStatus::INVALID_DATA.into());
    }
    let bytes = nodes.iter().map(super::Node::bytes);
    match request.oid {
        number::UPDATE_SA => {
            let mut seen = HashSet::new();
            let mut parts = Vec::with_capacity(nodes.len());
            for node in bytes {
                let (sa, update) = parse::update(node)?;
                // Which of two values is meant, nobody could tell from one status.
                if !seen.insert((sa, update.protocol as u8)) {
                    return Err(NdisStatus::INVALID_PARAMETER.into());
                }
                parts.push(Part::new(Job::Update(sa, update), Stage::Waiting));
            }
            Ok(parts)
        }
        number::DELETE_SA => {
            let mut seen = HashSet::new();
            let mut parts = Vec::with_capacity(nodes.len());
            for node in bytes {
                let sa = parse::delete(node)?;
                let mut part = Part::deletion(sa);
                if !seen.insert(sa) {
                    // The first one does it, and the request does not end before that has.
                    part.stage = Stage::Done(NdisStatus::SUCCESS);
                }
                parts.push(part);
            }
            Ok(parts)
        }
        _ => {
            let read = if single { parse::add_ex } else { parse::add };
            let mut all = Vec::with_capacity(nodes.len());
            let mut first = None;
            for node in bytes {
                all.push(match read(node) {
                    Ok(bundle) => Part::new(Job::Add(Some(Box::new(bundle))), Stage::Waiting),
                    Err(why) => {
                        first.get_or_insert(why);
                        Part::new(Job::Add(None), Stage::Done(why.status))
                    }
                });
            }
            match first {
                // There is nothing to try.
                Some(why) if all.iter().all(|part| part.stage != Stage::Waiting) => Err(why),
                _ => Ok(all),
            }
        }
    }
}
