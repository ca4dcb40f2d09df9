// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Dumps: which SAs there are, told in several messages while the table may change.

use std::collections::HashSet;

use crate::identity::{SaId, protocol_matches};
use crate::message::Header;

/// How many dumps may be under way; one whose requester went away never ends.
const LIMIT: usize = 32;

/// What is dumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Sas,
    Policies,
}

/// A dump under way, from its request to its NLMSG_DONE.
struct Dump {
    what: What,
    seq: u32,
    /// The requester's port: 0 in iproute2's requests, so known only from the first reply on.
    pid: Option<u32>,
    /// Whether SAs that it does not list may exist nevertheless.
    partial: bool,
    listed: HashSet<SaId>,
    /// SAs that events showed to exist while the dump ran; it may have missed them.
    alive: HashSet<SaId>,
    /// SAs that events removed while the dump ran; it may list them from before.
    gone: HashSet<SaId>,
    flushed: Vec<u8>,
}

/// All SAs that exist at the end of a complete dump.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Survivors {
    listed: HashSet<SaId>,
    alive: HashSet<SaId>,
}

impl Survivors {
    pub(crate) fn contains(&self, id: &SaId) -> bool {
        self.listed.contains(id) || self.alive.contains(id)
    }
}

/// The dumps under way, of any number of requesters.
#[derive(Default)]
pub(crate) struct Dumps {
    running: Vec<Dump>,
}

impl Dumps {
    /// A dump request.
    pub(crate) fn request(&mut self, header: Header, what: What, limited: bool) {
        let pid = Some(header.pid).filter(|pid| *pid != 0);
        // A requester has one dump at a time, so an older one of the same name never ended.
        self.running.retain(|dump| {
            pid.is_none() || (dump.what, dump.seq, dump.pid) != (what, header.seq, pid)
        });
        self.begin(Dump::new(what, header.seq, pid, limited));
    }

    /// An NLMSG_ERROR to a dump request.
    pub(crate) fn refused(&mut self, answer: Header, what: What) {
        let refused = |dump: &Dump| {
            dump.what == what
                && dump.seq == answer.seq
                && dump.pid.is_none_or(|pid| pid == answer.pid)
        };
        if let Some(position) = self.running.iter().position(refused) {
            self.running.remove(position);
        }
    }

    /// An SA in a dump; whether it is news, not something that an event has overtaken.
    pub(crate) fn lists(&mut self, header: Header, id: SaId) -> bool {
        let dump = self.claim(header, What::Sas);
        dump.listed.insert(id);
        !dump.gone.contains(&id)
            && (dump.alive.contains(&id)
                || !dump.flushed.iter().any(|wanted| protocol_matches(id.proto, *wanted)))
    }

    /// A policy in a dump.
    pub(crate) fn lists_policy(&mut self, header: Header) {
        self.claim(header, What::Policies);
    }

    /// An event showed that the SA exists.
    pub(crate) fn alive(&mut self, id: SaId) {
        for dump in &mut self.running {
            dump.alive.insert(id);
        }
    }

    /// An event removed the SA.
    pub(crate) fn gone(&mut self, id: SaId) {
        for dump in &mut self.running {
            dump.alive.remove(&id);
            dump.gone.insert(id);
            dump.listed.remove(&id);
        }
    }

    /// An event removed all SAs of a protocol.
    pub(crate) fn flushed(&mut self, proto: u8) {
        for dump in &mut self.running {
            let hit = |id: &SaId| protocol_matches(id.proto, proto);
            dump.gone.extend(dump.alive.extract_if(hit));
            dump.listed.retain(|id| !hit(id));
            if !dump.flushed.contains(&proto) {
                dump.flushed.push(proto);
            }
        }
    }

    /// Messages were lost: what dumps under way know of events is incomplete.
    pub(crate) fn lost(&mut self) {
        for dump in &mut self.running {
            dump.partial = true;
        }
    }

    /// An NLMSG_DONE; the SAs that exist if it ends a dump that tells.
    pub(crate) fn done(&mut self, header: Header, code: i32) -> Option<Survivors> {
        let position = self.ended_by(header)?;
        let dump = self.running.remove(position);
        let complete = !dump.partial && code >= 0 && !header.is_incomplete();
        (complete && dump.what == What::Sas)
            .then_some(Survivors { listed: dump.listed, alive: dump.alive })
    }

    /// Which dump an NLMSG_DONE ends. An empty dump has no other reply.
    fn ended_by(&mut self, header: Header) -> Option<usize> {
        let named = |dump: &Dump| dump.seq == header.seq && dump.pid == Some(header.pid);
        if let Some(position) = self.running.iter().position(named) {
            return Some(position);
        }
        let open = |dump: &Dump| dump.seq == header.seq && dump.pid.is_none();
        let first = self.running.iter().position(open)?;
        self.doubt_unless_alone(open);
        Some(first)
    }

    /// The dump that a reply belongs to; one without a request, which can prove no absence, is
    /// begun.
    fn claim(&mut self, header: Header, what: What) -> &mut Dump {
        let named = |dump: &Dump| {
            dump.what == what && dump.seq == header.seq && dump.pid == Some(header.pid)
        };
        let open = |dump: &Dump| dump.what == what && dump.seq == header.seq && dump.pid.is_none();
        let position = self.running.iter().position(named).or_else(|| {
            let first = self.running.iter().position(open)?;
            self.doubt_unless_alone(open);
            Some(first)
        });
        let position = position.unwrap_or_else(|| {
            self.begin(Dump::new(what, header.seq, Some(header.pid), true));
            self.running.len() - 1
        });
        let dump = &mut self.running[position];
        dump.pid = Some(header.pid);
        dump.partial |= header.is_incomplete();
        dump
    }

    /// Several requests with the same number and no port cannot be told apart, so that a filter
    /// or a request for policies may be taken for a full dump: none of them proves an absence.
    fn doubt_unless_alone(&mut self, open: impl Fn(&Dump) -> bool) {
        let mut similar = self.running.iter().filter(|dump| open(dump));
        let Some(first) = similar.next() else { return };
        let alike = (first.what, first.partial);
        if !similar.all(|dump| (dump.what, dump.partial) == alike) {
            self.running.iter_mut().filter(|dump| open(dump)).for_each(|dump| dump.partial = true);
        }
    }

    fn begin(&mut self, dump: Dump) {
        if self.running.len() == LIMIT {
            self.running.remove(0);
        }
        self.running.push(dump);
    }
}

impl Dump {
    fn new(what: What, seq: u32, pid: Option<u32>, partial: bool) -> Self {
        Self {
            what,
            seq,
            pid,
            partial,
            listed: HashSet::new(),
            alive: HashSet::new(),
            gone: HashSet::new(),
            flushed: Vec::new(),
        }
    }
}
