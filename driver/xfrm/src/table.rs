// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the follower knows about each SA, keys left out.

use std::collections::{BTreeSet, HashMap};

use crate::identity::{Direction, SaId};
use crate::sa::Sa;

/// An SA of the kernel and where it stands with the sink.
#[derive(Debug)]
pub(crate) struct Record {
    /// Without its key, unless it is held.
    pub(crate) sa: Sa,
    pub(crate) state: State,
}

/// Where an SA stands with the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It has no algorithm yet.
    Larval,
    /// Its direction is unknown; it keeps its key until that is settled.
    Held,
    /// The sink has it.
    Taken(Direction),
    /// The sink cannot take it.
    Refused(Direction),
}

impl State {
    /// The direction that the sink was told.
    pub(crate) fn direction(self) -> Option<Direction> {
        match self {
            Self::Taken(direction) | Self::Refused(direction) => Some(direction),
            Self::Larval | Self::Held => None,
        }
    }
}

/// All SAs of the kernel that were seen and are not gone.
#[derive(Default)]
pub(crate) struct Table {
    records: HashMap<SaId, Record>,
    held: BTreeSet<SaId>,
}

impl Table {
    pub(crate) fn get(&self, id: &SaId) -> Option<&Record> {
        self.records.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &SaId) -> Option<&mut Record> {
        self.records.get_mut(id)
    }

    /// Puts an SA in the place of what was there; its key goes unless it is held.
    pub(crate) fn put(&mut self, sa: &Sa, state: State) {
        let kept = if state == State::Held { sa.clone() } else { sa.without_key() };
        if state == State::Held {
            self.held.insert(sa.id);
        } else {
            self.held.remove(&sa.id);
        }
        self.records.insert(sa.id, Record { sa: kept, state });
    }

    pub(crate) fn remove(&mut self, id: &SaId) -> Option<Record> {
        self.held.remove(id);
        self.records.remove(id)
    }

    /// The held SAs, in an order that does not depend on chance.
    pub(crate) fn held(&self) -> Vec<SaId> {
        self.held.iter().copied().collect()
    }

    pub(crate) fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// The SAs that fit, in an order that does not depend on chance.
    pub(crate) fn matching(&self, fits: impl Fn(&SaId) -> bool) -> Vec<SaId> {
        let mut ids: Vec<_> = self.records.keys().copied().filter(fits).collect();
        ids.sort_unstable();
        ids
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }
}
