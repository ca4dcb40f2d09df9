// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What becomes of a port as a whole.

use super::NdisStatus;

/// Whether a port takes requests, and submits them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    /// The data path rests; requests do not.
    pub(super) paused: bool,
    pub(super) reset: Reset,
    pub(super) end: End,
}

/// Whether the device is being reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reset {
    #[default]
    No,
    Running,
    /// It did not come up; until another one does.
    Failed,
}

/// Whether the port is at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    #[default]
    Open,
    /// No new ones, and those that are there are waited for.
    Halting,
    Closed,
    /// The device is gone.
    Removed,
    /// The port is gone, the device is not.
    Dropped,
}

impl State {
    /// The status of requests that come now, if they are not taken.
    pub(super) fn refusal(&self) -> Option<NdisStatus> {
        match (self.end, self.reset) {
            (End::Removed, _) => Some(NdisStatus::NOT_ACCEPTED),
            (End::Halting | End::Closed | End::Dropped, _) => Some(NdisStatus::CLOSING),
            (End::Open, Reset::Running | Reset::Failed) => Some(NdisStatus::RESET_IN_PROGRESS),
            (End::Open, Reset::No) => None,
        }
    }

    /// Whether requests go to the device.
    pub(super) fn submits(&self) -> bool {
        self.reset == Reset::No && matches!(self.end, End::Open | End::Halting)
    }
}
