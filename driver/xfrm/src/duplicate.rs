// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Copies of one message.
//!
//! nlmon shows a multicast once for every socket that receives it. The copies are equal byte for
//! byte and follow each other closely, though other CPUs' messages may come between them.

use std::collections::VecDeque;

use crate::body::Body;
use crate::identity::SaId;
use crate::message::{Header, Message};

/// How many messages may lie between copies.
const WINDOW: usize = 16;

/// The kernel's latest messages.
#[derive(Default)]
pub(crate) struct Duplicates {
    recent: VecDeque<Seen>,
}

struct Seen {
    digest: u64,
    header: Header,
    about: About,
}

#[derive(Clone, Copy, PartialEq)]
enum About {
    One(SaId),
    All,
    Nothing,
}

impl Duplicates {
    /// Whether the message is a copy of one that was seen; if not, it is remembered.
    pub(crate) fn seen(&mut self, message: &Message) -> bool {
        if self.recent.iter().any(|seen| seen.digest == message.digest) {
            return true;
        }
        let about = about(&message.body);
        // An equal message after something else happened to the same SA is a new one: an SA can
        // be added, deleted, and added again within the second that iproute2 counts its sequence
        // numbers in.
        self.recent.retain(|seen| match (about, seen.about) {
            (About::Nothing, _) | (_, About::Nothing) => true,
            (About::One(new), About::One(old)) => new != old,
            (About::All, _) | (_, About::All) => false,
        });
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(Seen { digest: message.digest, header: message.header, about });
        false
    }

    /// A request: an event that answers it is new, even if it looks like an earlier one.
    pub(crate) fn request(&mut self, header: Header) {
        self.recent.retain(|seen| (seen.header.seq, seen.header.pid) != (header.seq, header.pid));
    }
}

fn about(body: &Body) -> About {
    match body {
        Body::Sa(sa) => About::One(sa.id),
        Body::DelSa(gone) => About::One(gone.id),
        Body::Expire(expire) => About::One(expire.id),
        Body::Ae(ae) => About::One(ae.id),
        Body::Flush { .. } | Body::Migrate => About::All,
        _ => About::Nothing,
    }
}
