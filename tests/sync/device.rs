// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The model behind the driver, to be followed with many times.

use super::File;
use esnic::sync::{Input, Report, follow};
use esnic_abi::Params;
use esnic_driver::transport::Sim;
use esnic_driver::{Config, KeyMemory, Row, SaManager, Timeouts};
use esnic_model::{Faults, Model};
use esnic_xfrm::Capture;
use std::net::IpAddr;
use std::time::Duration;
use zeroize::Zeroizing;

/// What to follow, and how.
#[derive(Clone, Default)]
pub struct Follow {
    pub locals: Vec<IpAddr>,
    pub until: Option<u64>,
    pub no_dumps: bool,
}

impl Follow {
    pub fn of(file: &File) -> Self {
        let locals = file.addresses();
        Self { locals, ..Self::default() }
    }
}

/// An open device.
pub struct Nic {
    pub manager: SaManager<Sim<Model>>,
    capacity: usize,
}

impl Nic {
    pub fn new(capacity: u32) -> Self {
        let params = Params { sa_capacity: capacity, stage_log2: 4, ..Params::default() };
        let config = Config {
            key_memory: KeyMemory::BestEffort,
            timeouts: Timeouts { command: Duration::from_secs(1), ..Timeouts::default() },
            ..Config::default()
        };
        let sim = Sim::new("model", Model::new(params).unwrap());
        Self { manager: SaManager::open(sim, config).unwrap(), capacity: capacity as usize }
    }

    /// Turns the model's fault knobs.
    pub fn faults(&self, turn: impl FnOnce(&mut Faults)) {
        self.manager.transport().with_device(|model| turn(model.faults_mut()));
    }

    /// Follows a capture; an error is one of its very beginning, or of a device that is gone.
    pub fn follow(&self, data: Vec<u8>, how: &Follow) -> anyhow::Result<Report> {
        self.follow_and(data, how, &mut || ())
    }

    /// As [`Nic::follow`], and calls `tick` after each packet.
    pub fn follow_and(
        &self,
        data: Vec<u8>,
        how: &Follow,
        tick: &mut dyn FnMut(),
    ) -> anyhow::Result<Report> {
        let input = Input {
            capture: Capture::from_bytes(Zeroizing::new(data))?,
            locals: how.locals.clone(),
            until: how.until,
            use_dumps: !how.no_dumps,
        };
        Ok(follow(&self.manager, "model", &input, None, tick)?)
    }

    /// Deletes what a run left, and makes sure that nothing else is left of it.
    #[track_caller]
    pub fn clear(&self, rows: &[Row]) {
        for row in rows {
            let deleted = self.manager.delete(row.handle).unwrap().wait_default();
            assert!(deleted.unwrap().is_ok(), "{row:?}");
        }
        let stats = self.manager.stats();
        let left = (stats.in_flight, stats.pending, stats.keys, stats.lost);
        assert_eq!(left, (0, 0, 0, 0));
        assert_eq!(self.manager.room(), self.capacity);
    }
}
