// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The command line.

use crate::device::Kind;
use clap::{Parser, Subcommand, ValueEnum};
use core::ops::Range;
use esnic_driver::pci::Address;
use std::net::IpAddr;
use std::path::PathBuf;

/// Keeps the SA table of an IPsec SmartNIC in step with the kernel's XFRM database.
///
/// Without a subcommand: a demonstration on a capture that is part of the program.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 in step, 1 not in step or device failed, 2 usage or input error."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Follow XFRM events and leave the device's table as the kernel has it.
    Sync(SyncArgs),
    /// Say what a device is and can do.
    Caps(CapsArgs),
    /// Measure acknowledged updates of sequence numbers.
    Bench(BenchArgs),
    /// Play a script of IPsecOV2 requests, as bytes, to a device.
    ///
    /// One JSON object a line: {"id":1,"oid":"0xFC030204","type":"set","nodes":["hex…"]}, or
    /// {"cancel":1}, {"reset":true}, {"remove":true}. Before a request is submitted, all that came before
    /// it has ended; a cancel, a reset or a removal meets what the line before it began, unless the device
    /// runs by itself and has come to it: over vfio-user or VFIO such a request may end either way. Prints
    /// one JSON object a completion, with the nodes as they are left: handles filled in; behind a structure,
    /// where keys may be, zeros.
    Oid(OidArgs),
    /// Offer a device as a PCI function over vfio-user, to other processes or to QEMU.
    ///
    /// It says a line for each socket once it can be used, and ends with SIGINT or SIGTERM. A
    /// function has one client at a time; the next one finds it reset.
    Serve(ServeArgs),
    /// List the esnic functions of this host, and what stands between them and user space.
    Devices(DevicesArgs),
    /// Lend a PCI function to user space: bind it to vfio-pci. Takes root.
    ///
    /// Refuses what the host would miss: a function that is in use, or whose IOMMU group holds
    /// another one that a driver of the host has.
    Bind(BindArgs),
    /// Give a function back to the driver that had it before `esnic bind`. Takes root.
    Unbind(UnbindArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct DevicesArgs {
    /// Print one JSON array instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BindArgs {
    /// The function, as 0000:03:00.0.
    #[arg(value_name = "BDF")]
    pub(crate) address: Address,
    /// Take a function whose ids are not an esnic device's, as a shell may be built with others.
    #[arg(long)]
    pub(crate) any_id: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct UnbindArgs {
    /// The function, as 0000:03:00.0.
    #[arg(value_name = "BDF")]
    pub(crate) address: Address,
}

/// Which device.
#[derive(Debug, clap::Args)]
pub(crate) struct DeviceArgs {
    /// The device: `model` is the executable model, in this process; `rtl` the compiled RTL, which is
    /// there if the program was built with `--features rtl`; `vfio-user:PATH` one that another
    /// process offers on that socket, as `esnic serve` does; `0000:03:00.0` the PCI function there,
    /// which `esnic bind` has lent to user space.
    #[arg(long, value_name = "DEVICE", default_value = "model")]
    pub(crate) device: Kind,
    /// Rows of the SA table: a power of two from 2 to 1048576 for the model; RTL is compiled for 4096
    /// and for 65536. Any other device has as many as it has. [default: 4096]
    #[arg(long, value_name = "ROWS")]
    pub(crate) capacity: Option<u32>,
    /// Write a waveform of the RTL to this file, in the format FST. Takes a program that was built
    /// with `--features trace`.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Clock cycles that the waveform covers, from A up to but not including B, counted from power-on.
    #[arg(long, value_name = "A..B", value_parser = cycles, default_value = "0..100000", requires = "trace")]
    pub(crate) trace_cycles: Range<u64>,
}

impl DeviceArgs {
    /// The model as it is without arguments.
    pub(crate) fn model() -> Self {
        Self { device: Kind::Model, capacity: None, trace: None, trace_cycles: 0..0 }
    }

    /// Rows of the SA table of a device that this process makes.
    pub(crate) fn rows(&self) -> u32 {
        self.capacity.unwrap_or(esnic_abi::Params::default().sa_capacity)
    }
}

/// Two numbers with two dots between them.
fn cycles(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("it takes two numbers, as in 1000..2000")?;
    let number = |text: &str| text.parse::<u64>().map_err(|e| format!("`{text}`: {e}"));
    let range = number(from)?..number(to)?;
    if range.is_empty() { Err("there is no cycle in it".to_owned()) } else { Ok(range) }
}

#[derive(Debug, clap::Args)]
pub(crate) struct SyncArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// A capture of an nlmon device, pcap or pcapng; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) capture: PathBuf,
    /// An address of the captured host, for SAs whose direction neither XFRMA_SA_DIR nor a policy
    /// tells. May be given several times.
    #[arg(long = "local", value_name = "ADDR")]
    pub(crate) locals: Vec<IpAddr>,
    /// Stop after this packet of the file, counted from 1.
    #[arg(long, value_name = "PACKET", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) until: Option<u64>,
    /// Take the kernel's dump replies for unseen, so that they can serve as the truth to compare
    /// with.
    #[arg(long)]
    pub(crate) no_dumps: bool,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
    /// Say what each event did to the device.
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CapsArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct OidArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// The script; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) script: PathBuf,
    /// How SAs are added: by ADD_SA as in NDIS 6.20, by ADD_SA_EX as in NDIS 6.30, or both.
    #[arg(long, value_enum, default_value = "any")]
    pub(crate) ndis: NdisArg,
    /// Print a line for each status indication, too.
    #[arg(long)]
    pub(crate) indications: bool,
}

/// A version of NDIS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NdisArg {
    /// ADD_SA and ADD_SA_EX.
    Any,
    /// ADD_SA.
    #[value(name = "6.20")]
    V6_20,
    /// ADD_SA_EX.
    #[value(name = "6.30")]
    V6_30,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Where to listen, a path that is made. Each further one gets a device of its own.
    #[arg(long = "socket", value_name = "PATH", required = true)]
    pub(crate) sockets: Vec<PathBuf>,
}

/// Which path the benchmark's commands take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PathArg {
    /// As the driver chooses: direct for one or two commands, ring for more.
    Auto,
    /// Always the ring.
    Ring,
    /// Direct wherever possible.
    Direct,
}

/// What the benchmark's updates give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeArg {
    /// Both halves, one UPDATE each: what following XFRM takes.
    Top,
    /// The high half, four to an UPDATE4 in batches: what IPsecOV2's UPDATE_SA takes.
    Hi,
}

impl BenchArgs {
    /// Batches under way, if nothing else is asked for: with 32 in a batch 256 updates, enough for a
    /// microsecond to memory at one update a cycle of 250 MHz.
    pub(crate) const DEPTH: u32 = 8;
}

#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Updates that share one doorbell.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) batch: u32,
    /// Batches that each thread keeps under way.
    #[arg(long, value_name = "N", default_value_t = BenchArgs::DEPTH, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) depth: u32,
    /// SAs to update in turn [default: 1024, or as many as the device has rows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) sas: Option<u32>,
    /// Threads that submit, each to a queue pair of its own as far as the device has them.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) threads: u32,
    /// How long to measure.
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// Which path commands take.
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) path: PathArg,
    /// What the updates give.
    #[arg(long, value_enum, default_value = "top")]
    pub(crate) mode: ModeArg,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}
