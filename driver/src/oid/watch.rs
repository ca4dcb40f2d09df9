// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a port does besides its requests: it gives up on what takes too long, and notices when the device is
//! gone.

use super::NdisStatus;
use super::port::Inner;
use super::work::{Job, Stage};
use crate::error::Error;
use crate::transport::Transport;
use std::time::{Duration, Instant};

/// How often a port with requests outstanding looks whether the device is still there.
const LOOK_AFTER: Duration = Duration::from_millis(10);

impl<T: Transport> Inner<T> {
    /// Looks after requests that are outstanding, now and then.
    pub(super) fn watch(&self) {
        let now = Instant::now();
        {
            let mut look = self.look.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if now < *look {
                return;
            }
            *look = now + LOOK_AFTER;
        }
        let (told, doubtful) = {
            let mut table = self.desk.lock();
            if table.outstanding() == 0 {
                return;
            }
            let late = table.serials(|work| {
                !work.detached && now.duration_since(work.begun) >= self.options.patience
            });
            let parts = late.iter().filter_map(|serial| table.works.get(serial));
            let parts = parts.flat_map(|work| &work.parts);
            let doubtful: Vec<_> = parts
                .filter(|part| part.stage == Stage::Sent && matches!(part.job, Job::Update(..)))
                .filter_map(|part| part.command)
                .collect();
            (table.detach(&late, NdisStatus::FAILURE), doubtful)
        };
        for (pair, number) in doubtful {
            // The next update of that SA must not be pulled back by this one.
            self.manager.core.doubt(pair, number);
        }
        self.desk.tell(told);
        if self.manager.check() == Err(Error::Gone) {
            self.remove();
        }
    }
}
