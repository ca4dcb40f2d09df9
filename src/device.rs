// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which device a subcommand drives, and how it is opened.

use crate::args::DeviceArgs;
use crate::failure::Failure;
use anyhow::Context;
use esnic_abi::Params;
use esnic_driver::transport::{Sim, Transport};
use esnic_driver::{Config, KeyMemory, SaManager};
use esnic_model::Model;
use std::str::FromStr;

/// A kind of device, as `--device` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The executable model, in this process.
    Model,
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "model" => Ok(Self::Model),
            _ => Err("this build can drive `model`".to_owned()),
        }
    }
}

impl Kind {
    /// The name that `--device` takes.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
        }
    }
}

/// Something to do with an open device, of whatever kind.
pub(crate) trait Job {
    /// What comes out.
    type Out;

    /// Does it.
    fn run<T: Transport>(self, manager: &SaManager<T>) -> Result<Self::Out, Failure>;
}

/// Opens the device, does the job, and closes the device in order.
pub(crate) fn with<J: Job>(args: &DeviceArgs, config: Config, job: J) -> Result<J::Out, Failure> {
    match args.device {
        Kind::Model => {
            let usual = Params::default();
            // A small table has no more stage buffers than rows.
            let most = args.capacity.checked_ilog2().unwrap_or(0) as u8;
            let params = Params {
                sa_capacity: args.capacity,
                stage_log2: usual.stage_log2.min(most),
                ..usual
            };
            let model = Model::new(params).context("--capacity").map_err(Failure::Input)?;
            // What a model is given are test keys; where limits forbid locking, it still runs.
            let config = Config { key_memory: KeyMemory::BestEffort, ..config };
            on(Sim::new(Kind::Model.name(), model), config, job)
        }
    }
}

fn on<T: Transport, J: Job>(transport: T, config: Config, job: J) -> Result<J::Out, Failure> {
    let name = transport.name();
    let open = SaManager::open(transport, config);
    let manager = open.with_context(|| format!("cannot open {name}")).map_err(Failure::device)?;
    let out = job.run(&manager)?;
    manager.close().with_context(|| format!("cannot close {name}")).map_err(Failure::device)?;
    Ok(out)
}
