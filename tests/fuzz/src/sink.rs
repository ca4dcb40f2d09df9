// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A sink that holds the follower to what `esnic_xfrm::Sink` promises.

use esnic_xfrm::{Direction, Encap, Removal, Replay, Sa, SaId, Sink, SinkError, Verdict};
use std::collections::BTreeMap;

/// Holds everything, or, if it is picky, what it can tell a key of.
#[derive(Default)]
pub(crate) struct Held {
    /// What it holds.
    pub(crate) table: BTreeMap<SaId, Sa>,
    /// Whether it refuses what is not AEAD.
    pub(crate) picky: bool,
}

impl Sink for Held {
    fn present(&mut self, sa: &Sa, _: Direction) -> Result<Verdict, SinkError> {
        assert!(!sa.is_larval(), "presented before it has an algorithm");
        match &sa.algorithm {
            esnic_xfrm::Algorithm::Aead(aead) => {
                assert!(!aead.key.is_empty(), "presented without its key");
            }
            // One that it held stays until it is told.
            _ if self.picky => return Ok(Verdict::Skipped("not AEAD".to_owned())),
            _ => {}
        }
        self.table.insert(sa.id, sa.clone());
        Ok(Verdict::Taken)
    }

    fn advance(&mut self, id: &SaId, replay: Replay) -> Result<(), SinkError> {
        let sa = self.table.get_mut(id).expect("advance of an SA that is held");
        assert_ne!(sa.replay, replay, "advance by something");
        sa.replay = replay;
        Ok(())
    }

    fn encap(&mut self, id: &SaId, encap: Encap) -> Result<(), SinkError> {
        self.table.get_mut(id).expect("encap of an SA that is held").encap = Some(encap);
        Ok(())
    }

    fn remove(&mut self, id: &SaId, _: Removal) -> Result<(), SinkError> {
        assert!(self.table.remove(id).is_some(), "removal of an SA that is held");
        Ok(())
    }
}
