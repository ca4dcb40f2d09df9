// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which device a subcommand drives, and how it is opened.

#[cfg(feature = "rtl")]
mod rtl;

use crate::args::DeviceArgs;
use crate::failure::Failure;
use anyhow::{Context, anyhow};
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
    /// The RTL, compiled, in this process.
    #[cfg(feature = "rtl")]
    Rtl,
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "model" => Ok(Self::Model),
            #[cfg(feature = "rtl")]
            "rtl" => Ok(Self::Rtl),
            #[cfg(not(feature = "rtl"))]
            "rtl" => Err("this build has no `rtl`; `cargo xtask setup` installs what building it takes, and \
                 `cargo run --release --features rtl --` runs esnic with it"
                .to_owned()),
            #[cfg(feature = "rtl")]
            _ => Err("this build can drive `model` and `rtl`".to_owned()),
            #[cfg(not(feature = "rtl"))]
            _ => Err("this build can drive `model`; one with `--features rtl` also `rtl`".to_owned()),
        }
    }
}

impl Kind {
    /// The name that `--device` takes.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            #[cfg(feature = "rtl")]
            Self::Rtl => "rtl",
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
    // What a device in this process is given are test keys; where limits forbid locking, it still runs.
    let config = Config { key_memory: KeyMemory::BestEffort, ..config };
    if args.trace.is_some() && !cfg!(feature = "trace") {
        return Err(Failure::Input(anyhow!(
            "--trace: this build writes no waveforms; `cargo run --release --features trace --` runs one that does"
        )));
    }
    match args.device {
        Kind::Model => {
            if args.trace.is_some() {
                return Err(Failure::Input(anyhow!("--trace: only `--device rtl` has waveforms")));
            }
            let usual = Params::default();
            // A small table has no more stage buffers than rows.
            let most = args.capacity.checked_ilog2().unwrap_or(0) as u8;
            let params = Params {
                sa_capacity: args.capacity,
                stage_log2: usual.stage_log2.min(most),
                ..usual
            };
            let model = Model::new(params).context("--capacity").map_err(Failure::Input)?;
            on(Sim::new(args.device.name(), model), config, job, |_| ())
        }
        #[cfg(feature = "rtl")]
        Kind::Rtl => rtl::with(args, config, job),
    }
}

/// Does the job on a device; `last` gets a look at it before it is closed.
fn on<T: Transport, J: Job>(
    transport: T,
    config: Config,
    job: J,
    last: impl FnOnce(&T),
) -> Result<J::Out, Failure> {
    let name = transport.name();
    let open = SaManager::open(transport, config);
    let manager = open.with_context(|| format!("cannot open {name}")).map_err(Failure::device)?;
    let out = job.run(&manager)?;
    last(manager.transport());
    manager.close().with_context(|| format!("cannot close {name}")).map_err(Failure::device)?;
    Ok(out)
}
