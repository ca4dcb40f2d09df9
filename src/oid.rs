// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `esnic oid`: a script of IPsecOV2 requests as bytes, one JSON object a line, and what became of them.

mod echo;
mod script;
mod source;

use crate::Outcome;
use crate::args::{NdisArg, OidArgs};
use crate::device::{self, Job};
use crate::failure::Failure;
use crate::output::say;
use anyhow::{Context, anyhow};
use esnic_driver::oid::{Completion, Host, Indication, Ndis, Options, Port, indication};
use esnic_driver::transport::Transport;
use esnic_driver::{Config, SaManager, Verify};
use script::{Line, Step};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the requests before a line may take. Each ends by itself long before.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the subcommand.
pub(crate) fn run(args: &OidArgs) -> Outcome {
    let path = args.script.display();
    let text = if args.script.as_os_str() == "-" {
        source::read(std::io::stdin()).context("standard input")
    } else {
        std::fs::File::open(&args.script).and_then(source::read).with_context(|| path.to_string())
    }
    .map_err(Failure::Input)?;
    // All of it before any of it is done.
    let lines = script::parse(&text).with_context(|| path.to_string()).map_err(Failure::Input)?;
    let ndis = match args.ndis {
        NdisArg::Any => Ndis::Any,
        NdisArg::V6_20 => Ndis::V6_20,
        NdisArg::V6_30 => Ndis::V6_30,
    };
    let options = Options { ndis, ..Options::default() };
    let printer = Arc::new(Printer { indications: args.indications });
    device::with(&args.device, Config::default(), Play { lines, options, printer })
}

/// A line of output for each completion.
#[derive(Serialize)]
struct Ended {
    id: u64,
    status: String,
    name: &'static str,
    bytes_needed: u32,
    bytes_read: u32,
    #[serde(skip_serializing_if = "is_zero")]
    bytes_written: u32,
    supported_revision: u8,
    nodes: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A line of output for each indication.
#[derive(Serialize)]
struct Indicated {
    indication: String,
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
}

/// Prints what it is told.
struct Printer {
    indications: bool,
}

fn print(object: &impl Serialize) {
    match serde_json::to_string(object) {
        Ok(line) => say!("{line}"),
        Err(error) => crate::output::complain!("esnic: {error}"),
    }
}

impl Host for Printer {
    fn complete(&self, done: Completion) {
        print(&Ended {
            id: done.id,
            status: format!("{:#010X}", done.status.0).replacen("0X", "0x", 1),
            name: done.status.name(),
            bytes_needed: done.bytes_needed,
            bytes_read: done.bytes_read,
            bytes_written: done.bytes_written,
            supported_revision: done.supported_revision,
            nodes: done.nodes.iter().map(|node| echo::shown(done.oid, node.bytes())).collect(),
        });
    }

    fn indicate(&self, told: Indication) {
        if self.indications {
            print(&Indicated {
                indication: format!("{:#010x}", told.status),
                name: indication::name(told.status),
                node: told.node.map(|node| hex::encode(node.bytes())),
            });
        }
    }
}

/// The script on an open device.
struct Play {
    lines: Vec<Line>,
    options: Options,
    printer: Arc<Printer>,
}

impl Job for Play {
    type Out = ();

    fn run<T: Transport>(self, manager: &SaManager<T>) -> Result<(), Failure> {
        let port = Port::new(manager.clone(), self.options, self.printer);
        let port = port.map_err(Failure::device)?;
        let idle = |number: usize| match port.wait_idle(Instant::now() + PATIENCE) {
            true => Ok(()),
            false => {
                Err(Failure::device(anyhow!("line {number}: what came before it does not end")))
            }
        };
        let mut last = 0;
        for Line { number, step } in self.lines {
            last = number;
            match step {
                Step::Request(request) => {
                    // Only then does the same script mean the same thing every time.
                    idle(number)?;
                    port.submit(request);
                }
                Step::Cancel(id) => port.cancel(id),
                Step::Reset => {
                    let report = port.reset(Verify::All).with_context(|| format!("line {number}"));
                    let report = report.map_err(Failure::device)?;
                    if !report.lost.is_empty() || !report.differences.is_empty() {
                        return Err(Failure::device(anyhow!(
                            "line {number}: after the reset {} SAs are lost and {} rows differ",
                            report.lost.len(),
                            report.differences.len()
                        )));
                    }
                }
                Step::Remove => port.remove(),
            }
        }
        idle(last)
    }
}
