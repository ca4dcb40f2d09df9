// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Replies to single requests, which look just like events.
//!
//! A GETSA is answered by a NEWSA with no flags, and so is an ALLOCSPI; a GETAE by a NEWAE. Only
//! the requests before them tell that nothing has happened. A multicast socket does not get such
//! replies; a capture holds both them and the requests.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::body::{Body, GetSa};
use crate::identity::SaId;
use crate::message::{Header, Message};

/// How many requests may be without an answer; a refused one may never get any.
const LIMIT: usize = 64;

/// Requests that wait for their answers.
#[derive(Default)]
pub(crate) struct Requests {
    pending: VecDeque<Pending>,
}

struct Pending {
    header: Header,
    wants: Wants,
}

enum Wants {
    Sa(SaId),
    Spi { dst: IpAddr, proto: u8 },
    Ae(SaId),
}

impl Requests {
    /// Remembers a request if it will be answered by a message of its own.
    pub(crate) fn request(&mut self, message: &Message) {
        let wants = match message.body {
            Body::GetSa(GetSa::One(id)) => Wants::Sa(id),
            Body::AllocSpi { dst, proto } => Wants::Spi { dst, proto },
            Body::GetAe(id) => Wants::Ae(id),
            _ => return,
        };
        if self.pending.len() == LIMIT {
            self.pending.pop_front();
        }
        self.pending.push_back(Pending { header: message.header, wants });
    }

    /// Whether the message is the answer to a request, which is then settled.
    pub(crate) fn is_reply(&mut self, message: &Message) -> bool {
        let answers = |pending: &Pending| {
            from(pending.header, message.header) && pending.wants.is_met_by(message)
        };
        let position = self.pending.iter().position(answers);
        position.and_then(|position| self.pending.remove(position)).is_some()
    }

    /// An NLMSG_ERROR to a request of type `of`.
    pub(crate) fn refused(&mut self, answer: Header, of: u16) {
        let refused = |pending: &Pending| pending.header.kind == of && from(pending.header, answer);
        if let Some(position) = self.pending.iter().position(refused) {
            self.pending.remove(position);
        }
    }
}

impl Wants {
    fn is_met_by(&self, message: &Message) -> bool {
        // The mark is left out: a request may name the SA by a mark that its mask lets match.
        let same = |id: &SaId, wanted: &SaId| {
            (id.dst, id.spi, id.proto) == (wanted.dst, wanted.spi, wanted.proto)
        };
        // Replies with an SA have the requester's port even if the request had 0; an event that
        // happens to have the same number has 0, too. A reply to GETAE repeats the 0.
        let to_a_port = message.header.pid != 0;
        match (self, &message.body) {
            (Self::Sa(wanted), Body::Sa(sa)) => to_a_port && same(&sa.id, wanted),
            (Self::Spi { dst, proto }, Body::Sa(sa)) => {
                to_a_port && sa.is_larval() && sa.id.dst == *dst && sa.id.proto == *proto
            }
            (Self::Ae(wanted), Body::Ae(ae)) => same(&ae.id, wanted),
            _ => false,
        }
    }
}

/// Whether an answer may belong to a request, by their headers.
///
/// The reply has the requester's true port; iproute2 leaves 0 in its requests.
pub(crate) fn from(request: Header, answer: Header) -> bool {
    request.seq == answer.seq && (request.pid == 0 || request.pid == answer.pid)
}
