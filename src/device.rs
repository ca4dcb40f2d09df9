// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which device a subcommand drives, and how it is opened.

#[cfg(feature = "rtl")]
pub(crate) mod rtl;

use crate::args::DeviceArgs;
use crate::failure::Failure;
use anyhow::{Context, anyhow};
use esnic_abi::Params;
use esnic_driver::pci::Address;
use esnic_driver::transport::{Sim, Transport, Vfio, VfioUser};
use esnic_driver::{Config, KeyMemory, SaManager};
use esnic_model::Model;
use std::borrow::Cow;
use std::path::PathBuf;
use std::str::FromStr;

/// What `--device` begins with for a device of another process.
const VFIO_USER: &str = "vfio-user:";

/// A kind of device, as `--device` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The executable model, in this process.
    Model,
    /// The RTL, compiled, in this process.
    #[cfg(feature = "rtl")]
    Rtl,
    /// What another process offers on this socket.
    VfioUser(PathBuf),
    /// The PCI function there, through the kernel's VFIO.
    Vfio(Address),
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix(VFIO_USER) {
            return match path {
                "" => {
                    Err("it takes the path of a socket, as in vfio-user:/run/esnic.sock".to_owned())
                }
                path => Ok(Self::VfioUser(path.into())),
            };
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Vfio(address));
        }
        match text {
            "model" => Ok(Self::Model),
            #[cfg(feature = "rtl")]
            "rtl" => Ok(Self::Rtl),
            #[cfg(not(feature = "rtl"))]
            "rtl" => Err("this build has no `rtl`; `cargo xtask setup` installs what building it takes, and \
                 `cargo run --release --features rtl --` runs esnic with it"
                .to_owned()),
            #[cfg(feature = "rtl")]
            _ => Err("this build can drive `model`, `rtl`, `vfio-user:PATH` and a PCI function as `0000:03:00.0`".to_owned()),
            #[cfg(not(feature = "rtl"))]
            _ => Err("this build can drive `model`, `vfio-user:PATH` and a PCI function as `0000:03:00.0`; one with `--features rtl` also `rtl`".to_owned()),
        }
    }
}

impl Kind {
    /// The name that `--device` takes.
    pub(crate) fn name(&self) -> Cow<'static, str> {
        match self {
            Self::Model => "model".into(),
            #[cfg(feature = "rtl")]
            Self::Rtl => "rtl".into(),
            Self::VfioUser(path) => format!("{VFIO_USER}{}", path.display()).into(),
            Self::Vfio(address) => address.to_string().into(),
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
    // What a device that is a program is given are test keys; where limits forbid locking, it still
    // runs. A real one's are real.
    let key_memory = match args.device {
        Kind::Vfio(_) => KeyMemory::Locked,
        _ => KeyMemory::BestEffort,
    };
    let config = Config { key_memory, ..config };
    check_trace(args)?;
    match &args.device {
        Kind::Model => on(Sim::new("model", model(args)?), config, job, |_| ()),
        #[cfg(feature = "rtl")]
        Kind::Rtl => rtl::with(args, config, job),
        Kind::VfioUser(path) => {
            if args.capacity.is_some() {
                return Err(Failure::Input(anyhow!(
                    "--capacity: a device of another process has as many rows as it has; give it to `esnic serve`"
                )));
            }
            let transport = VfioUser::connect(path).map_err(Failure::device)?;
            on(transport, config, job, |_| ())
        }
        Kind::Vfio(address) => {
            if args.capacity.is_some() {
                return Err(Failure::Input(anyhow!(
                    "--capacity: {address} has as many rows as it has"
                )));
            }
            on(Vfio::open(*address).map_err(Failure::device)?, config, job, |_| ())
        }
    }
}

/// Refuses a waveform of what has none, or in a build that writes none.
pub(crate) fn check_trace(args: &DeviceArgs) -> Result<(), Failure> {
    if args.trace.is_none() {
        return Ok(());
    }
    let what = match args.device {
        _ if !cfg!(feature = "trace") => {
            "this build writes no waveforms; `cargo run --release --features trace --` runs one that does"
        }
        Kind::Model => "only `--device rtl` has waveforms",
        Kind::Vfio(_) => "only `--device rtl` has waveforms",
        Kind::VfioUser(_) => {
            "the process that has the device writes its waveform; give it to `esnic serve`"
        }
        #[cfg(feature = "rtl")]
        Kind::Rtl => return Ok(()),
    };
    Err(Failure::Input(anyhow!("--trace: {what}")))
}

/// How a device that this process makes is built.
fn params(args: &DeviceArgs) -> Params {
    let usual = Params::default();
    // A small table has no more stage buffers than rows.
    let most = args.rows().checked_ilog2().unwrap_or(0) as u8;
    Params { sa_capacity: args.rows(), stage_log2: usual.stage_log2.min(most), ..usual }
}

/// The model.
pub(crate) fn model(args: &DeviceArgs) -> Result<Model, Failure> {
    Model::new(params(args)).context("--capacity").map_err(Failure::Input)
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
