// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The command `esnic`: puts driver, devices and event sources together, one file a subcommand.
//!
//! What it does lives in this library, so that tests, and programs that follow XFRM themselves, can
//! use it without a process: [`sync::follow`] is the main job.
#![forbid(unsafe_code)]

mod args;
mod bench;
mod bind;
mod caps;
mod demo;
mod device;
mod devices;
mod failure;
mod oid;
mod output;
pub mod serve;
pub mod sync;

use clap::Parser;
use failure::Failure;
use output::complain;
use std::process::ExitCode;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    // Keys pass through this process: no core dump, no look into its memory by others.
    let hidden =
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    if let Err(error) = hidden {
        complain!("esnic: warning: core dumps of this process stay possible: {error}");
    }
    let outcome = match args::Args::parse().command {
        None => demo::run(),
        Some(args::Command::Sync(args)) => sync::run(&args),
        Some(args::Command::Caps(args)) => caps::run(&args),
        Some(args::Command::Bench(args)) => bench::run(&args),
        Some(args::Command::Oid(args)) => oid::run(&args),
        Some(args::Command::Serve(args)) => serve::run(&args),
        Some(args::Command::Devices(args)) => devices::run(&args),
        Some(args::Command::Bind(args)) => bind::bind(&args),
        Some(args::Command::Unbind(args)) => bind::unbind(&args),
    };
    match outcome {
        Ok(()) if output::failed() => ExitCode::from(2),
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(error) = failure.error() {
                complain!("esnic: {error:#}");
            }
            ExitCode::from(failure.code())
        }
    }
}

/// What a subcommand comes to.
type Outcome = Result<(), Failure>;
