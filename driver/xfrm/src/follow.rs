// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Follows the kernel's SA database, message by message.

use std::collections::BTreeMap;

use netlink_packet_xfrm::constants::{XFRM_MSG_GETPOLICY, XFRM_MSG_GETSA, XFRM_MSG_UPDSA};

use crate::body::{Body, GetSa};
use crate::counts::EventCounts;
use crate::direction::Evidence;
use crate::dump::{Dumps, What};
use crate::duplicate::Duplicates;
use crate::identity::{SaId, protocol_matches};
use crate::message::Message;
use crate::options::Options;
use crate::requests::Requests;
use crate::sa::Sa;
use crate::sink::{Removal, Sink, SinkError};
use crate::skipped::Skipped;
use crate::table::{State, Table};

const LARVAL: &str = "larval: no keys yet";
const NO_DIRECTION: &str =
    "direction unknown: no XFRMA_SA_DIR, no matching policy, give --local ADDR";
const MIGRATED: &str = "a MIGRATE event moved SAs without saying which";
const OVERRUN: &str = "the kernel lost messages";
const SINK_FAILED: &str = "the sink failed, so what it holds is uncertain";

/// Follows the kernel's SA database and tells a [`Sink`] about it.
///
/// Feed it every XFRM message of a source in order, requests by user space included: they change
/// nothing, but tell replies from events and complete dumps from filtered ones.
///
/// After an error of the sink the follower stays usable, but [`Follower::resync_needed`] is set.
pub struct Follower {
    use_dumps: bool,
    pub(crate) table: Table,
    pub(crate) evidence: Evidence,
    /// The evidence that held SAs were last weighed by.
    pub(crate) weighed: u64,
    pub(crate) dumps: Dumps,
    requests: Requests,
    duplicates: Duplicates,
    counts: EventCounts,
    pub(crate) unmatched: u64,
    pub(crate) refused: BTreeMap<SaId, Skipped>,
    resync: Option<&'static str>,
}

impl Follower {
    /// A follower that knows no SA yet.
    pub fn new(options: Options) -> Self {
        Self {
            use_dumps: options.use_dumps,
            table: Table::default(),
            evidence: Evidence::new(options.locals),
            weighed: 0,
            dumps: Dumps::default(),
            requests: Requests::default(),
            duplicates: Duplicates::default(),
            counts: EventCounts::default(),
            unmatched: 0,
            refused: BTreeMap::new(),
            resync: None,
        }
    }

    /// Learns directions from a message ahead of time.
    ///
    /// An IKE daemon installs policies after the SAs that they tell about. Showing the follower a
    /// whole capture first saves it from holding those SAs until then. Messages other than the
    /// kernel's policies are ignored, and so are dumped policies without `use_dumps`.
    pub fn learn_policies(&mut self, message: &Message) {
        let header = message.header;
        if header.is_request() || (header.is_multipart() && !self.use_dumps) {
            return;
        }
        if let Body::Policy(policy) | Body::DelPolicy(Some(policy)) = &message.body {
            self.evidence.learn(policy);
        }
    }

    /// Applies the next message.
    pub fn apply(&mut self, message: &Message, sink: &mut dyn Sink) -> Result<(), SinkError> {
        let outcome = self.dispatch(message, sink).and_then(|()| self.weigh_held(sink));
        if outcome.is_err() {
            self.resync = Some(SINK_FAILED);
        }
        outcome
    }

    /// How many events there were.
    pub fn events(&self) -> EventCounts {
        self.counts
    }

    /// How many events were about SAs that were never seen.
    ///
    /// That is normal at the beginning of a capture, and for larval SAs: the kernel tells about
    /// their end, but not about their beginning.
    pub fn unmatched(&self) -> u64 {
        self.unmatched
    }

    /// The SAs that the sink does not hold, sorted.
    ///
    /// Those that it cannot take stay listed when they are gone. Larval SAs and those without a
    /// known direction are listed only while they are so.
    pub fn skipped(&self) -> Vec<Skipped> {
        let current = self.table.iter().filter_map(|record| {
            let reason = match record.state {
                State::Larval => LARVAL,
                State::Held => NO_DIRECTION,
                State::Taken(_) | State::Refused(_) => return None,
            };
            Some((record.sa.id, Skipped::new(&record.sa, reason)))
        });
        let mut all = self.refused.clone();
        all.extend(current);
        let mut all: Vec<_> = all.into_values().collect();
        all.sort_unstable();
        all
    }

    /// The SAs that the kernel has, in no particular order; keys are left out of all but those
    /// whose direction is unknown.
    pub fn known(&self) -> impl Iterator<Item = &Sa> {
        self.table.iter().map(|record| &record.sa)
    }

    /// Why the kernel's table can no longer be known from events alone, if so.
    ///
    /// Ask the kernel for a dump (a live source does so on its own when it loses messages) and
    /// feed it to the follower: the end of a complete one clears this. A capture offers no such
    /// way; what the sink holds is then doubtful from here to the capture's next dump.
    pub fn resync_needed(&self) -> Option<&'static str> {
        self.resync
    }

    fn dispatch(&mut self, message: &Message, sink: &mut dyn Sink) -> Result<(), SinkError> {
        let header = message.header;
        if header.is_request() {
            self.request(message);
            return Ok(());
        }
        match &message.body {
            Body::Done { code } => return self.dump_done(message, *code, sink),
            Body::Error { of, .. } => {
                self.refuse(message, *of);
                return Ok(());
            }
            Body::Overrun => {
                self.resync = Some(OVERRUN);
                self.dumps.lost();
                return Ok(());
            }
            Body::Sa(sa) if header.is_multipart() => return self.dumped(message, sa, sink),
            _ => {}
        }
        self.learn_policies(message);
        if header.is_multipart() {
            if matches!(message.body, Body::Policy(_)) && self.use_dumps {
                self.dumps.lists_policy(header);
            }
            return Ok(());
        }
        if self.requests.is_reply(message) {
            return self.reply(&message.body, sink);
        }
        if self.duplicates.seen(message) {
            return Ok(());
        }
        self.event(message, sink)
    }

    fn request(&mut self, message: &Message) {
        self.duplicates.request(message.header);
        self.requests.request(message);
        match message.body {
            Body::GetSa(GetSa::Dump { limited }) => {
                self.dumps.request(message.header, What::Sas, limited);
            }
            Body::GetPolicy { dump: true } => {
                self.dumps.request(message.header, What::Policies, false);
            }
            _ => {}
        }
    }

    /// An NLMSG_ERROR to a message of type `of`; with code 0 its answer came before.
    fn refuse(&mut self, message: &Message, of: u16) {
        self.requests.refused(message.header, of);
        match of {
            XFRM_MSG_GETSA => self.dumps.refused(message.header, What::Sas),
            XFRM_MSG_GETPOLICY => self.dumps.refused(message.header, What::Policies),
            _ => {}
        }
    }

    fn dumped(&mut self, message: &Message, sa: &Sa, sink: &mut dyn Sink) -> Result<(), SinkError> {
        if self.use_dumps && self.dumps.lists(message.header, sa.id) {
            self.truth(sa, sink)?;
        }
        Ok(())
    }

    fn dump_done(
        &mut self,
        message: &Message,
        code: i32,
        sink: &mut dyn Sink,
    ) -> Result<(), SinkError> {
        let survivors = self.dumps.done(message.header, code);
        let Some(survivors) = survivors.filter(|_| self.use_dumps) else {
            return Ok(());
        };
        for id in self.table.matching(|id| !survivors.contains(id)) {
            self.remove(&id, Removal::Missing, sink)?;
        }
        self.resync = None;
        Ok(())
    }

    /// An answer to a request: true, but nothing has happened.
    fn reply(&mut self, body: &Body, sink: &mut dyn Sink) -> Result<(), SinkError> {
        match body {
            Body::Sa(sa) => {
                self.dumps.alive(sa.id);
                self.truth(sa, sink)
            }
            Body::Ae(ae) => self.numbers(ae, sink),
            _ => Ok(()),
        }
    }

    fn event(&mut self, message: &Message, sink: &mut dyn Sink) -> Result<(), SinkError> {
        match &message.body {
            Body::Sa(sa) if message.header.kind == XFRM_MSG_UPDSA => {
                self.counts.updsa += 1;
                self.dumps.alive(sa.id);
                self.updated(sa, sink)
            }
            Body::Sa(sa) => {
                self.counts.newsa += 1;
                self.dumps.alive(sa.id);
                self.truth(sa, sink)
            }
            Body::DelSa(gone) => {
                self.counts.delsa += 1;
                self.gone(&gone.id, Removal::Deleted, sink)
            }
            Body::Expire(expire) => {
                self.counts.expire += 1;
                if expire.hard {
                    return self.gone(&expire.id, Removal::Expired, sink);
                }
                self.unmatched += u64::from(self.table.get(&expire.id).is_none());
                Ok(())
            }
            Body::Flush { proto } => {
                self.counts.flush += 1;
                self.dumps.flushed(*proto);
                for id in self.table.matching(|id| protocol_matches(id.proto, *proto)) {
                    self.remove(&id, Removal::Flushed, sink)?;
                }
                Ok(())
            }
            Body::Ae(ae) => {
                self.counts.newae += 1;
                self.numbers(ae, sink)
            }
            // The kernel has moved SAs to other addresses with nothing but this message, which
            // names the policy; of several SAs that fit it moves one. Nobody can tell which.
            Body::Migrate => {
                self.resync = Some(MIGRATED);
                self.dumps.lost();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
