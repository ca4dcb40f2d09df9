// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `esnic sync`: reads XFRM events, drives the device, and compares the two.

mod convert;
mod report;
mod sink;

use crate::Outcome;
use crate::args::SyncArgs;
use crate::device::{self, Job};
use crate::failure::Failure;
use crate::output::{complain, say};
use anyhow::{Context, anyhow};
use esnic_driver::transport::Transport;
use esnic_driver::{Config, SaManager};
use esnic_xfrm::{Capture, Follower, Options};
use indicatif::{ProgressBar, ProgressStyle};
use sink::NicSink;
use std::io::{IsTerminal, Read, stdin};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

pub use report::Report;
pub use sink::Log;

/// Runs the subcommand.
pub(crate) fn run(args: &SyncArgs) -> Outcome {
    let input = Input {
        capture: open(&args.capture)?,
        locals: args.locals.clone(),
        until: args.until,
        use_dumps: !args.no_dumps,
    };
    let log: Log<'_> = match (args.verbose, args.json) {
        (false, _) => None,
        (true, false) => Some(Box::new(|line| say!("{line}"))),
        // Standard output is the object's.
        (true, true) => Some(Box::new(|line| complain!("{line}"))),
    };
    let quiet = args.json || args.verbose;
    let kind = args.device.device.name();
    let job = Sync { input: &input, log, quiet, kind: &kind };
    let report = device::with(&args.device, Config::default(), job)?;
    if args.json {
        say!("{}", report.json().map_err(Failure::device)?);
    } else {
        report.print();
    }
    verdict(report)
}

/// Packets that are further apart than this are not batched: whoever follows the kernel live would
/// have sent the first one's updates before the second one came.
const BATCH_WINDOW: Duration = Duration::from_millis(1);

/// Where events come from, and how far to follow them.
pub struct Input {
    /// The capture.
    pub capture: Capture,
    /// Addresses of the captured host.
    pub locals: Vec<IpAddr>,
    /// Last packet to look at.
    pub until: Option<u64>,
    /// Whether dump replies count.
    pub use_dumps: bool,
}

fn open(path: &Path) -> Result<Capture, Failure> {
    let opened = if path.as_os_str() == "-" {
        let mut from: Box<dyn Read> = Box::new(stdin().lock());
        Capture::read(&mut from)
    } else {
        Capture::open(path)
    };
    opened.with_context(|| path.display().to_string()).map_err(Failure::Input)
}

/// What a report comes to as an exit code.
pub(crate) fn verdict(report: Report) -> Outcome {
    let in_step = report.is_in_step();
    match (report.device_error, report.input_error) {
        (Some(error), _) => Err(Failure::NotInStep(Some(error))),
        (None, Some(error)) => Err(Failure::Input(error)),
        (None, None) if in_step => Ok(()),
        (None, None) => Err(Failure::NotInStep(None)),
    }
}

/// Follows an input with a device.
pub(crate) struct Sync<'i> {
    /// What to follow.
    pub(crate) input: &'i Input,
    /// Who is told of every change.
    pub(crate) log: Log<'i>,
    /// No progress bar.
    pub(crate) quiet: bool,
    /// What `--device` calls the device.
    pub(crate) kind: &'i str,
}

impl Job for Sync<'_> {
    type Out = Report;

    fn run<T: Transport>(self, manager: &SaManager<T>) -> Result<Report, Failure> {
        let total = self.input.until.unwrap_or(u64::MAX);
        let count = self.input.capture.packets().take_while(Result::is_ok).count() as u64;
        let bar = progress(self.quiet, count.min(total));
        let report = follow(manager, self.kind, self.input, self.log, &mut || bar.inc(1));
        bar.finish_and_clear();
        report.map_err(Failure::device)
    }
}

/// Follows `input` with a device, calls the device `kind` in the report, tells `log` of every
/// change, and calls `tick` after each packet.
///
/// What goes wrong on the way is in the report: everything before it was followed.
///
/// # Errors
/// If the device cannot even be read back.
pub fn follow<T: Transport>(
    manager: &SaManager<T>,
    kind: &str,
    input: &Input,
    log: Log<'_>,
    tick: &mut dyn FnMut(),
) -> Result<Report, esnic_driver::Error> {
    let options = Options { locals: input.locals.clone(), use_dumps: input.use_dumps };
    let mut follower = Follower::new(options);
    let mut sink = NicSink::new(manager, log);
    learn(input, &mut follower);
    let followed = apply(input, &mut follower, &mut sink, tick);
    let finished = sink.finish();
    let report = |sink: &NicSink<'_, T>| Report::new(manager, kind, &follower, sink.recovered());
    let mut report = match report(&sink) {
        // It failed after the last event, or nobody has noticed before.
        Err(error) if finished.is_ok() && !matches!(followed, Err(Stopped::Device(_))) => {
            sink.recover(&sink::chain(&error)).map_err(|_| error)?;
            report(&sink)?
        }
        report => report?,
    };
    match followed {
        Ok(()) => {}
        Err(Stopped::Input(error)) => report.input_error = Some(error),
        Err(Stopped::Device(error)) => report.device_error = Some(error),
    }
    if let (None, Err(error)) = (&report.device_error, finished) {
        report.device_error = Some(anyhow!(error).context("after the last packet"));
    }
    Ok(report)
}

/// Why following ended early.
enum Stopped {
    Input(anyhow::Error),
    Device(anyhow::Error),
}

/// Shows the follower the policies first: they come after the SAs whose directions they tell.
/// What is damaged is reported when it is followed.
fn learn(input: &Input, follower: &mut Follower) {
    for packet in input.capture.packets().map_while(Result::ok) {
        packet.messages().map_while(Result::ok).for_each(|message| {
            follower.learn_policies(&message);
        });
    }
}

fn apply<T: Transport>(
    input: &Input,
    follower: &mut Follower,
    sink: &mut NicSink<'_, T>,
    tick: &mut dyn FnMut(),
) -> Result<(), Stopped> {
    let last = input.until.unwrap_or(u64::MAX);
    let mut batched_since = Duration::ZERO;
    let mut packets = input.capture.packets();
    let mut number = 0;
    // The next packet is not even looked at: it may be damaged.
    while number < last
        && let Some(packet) = packets.next()
    {
        let packet = packet.map_err(|error| Stopped::Input(error.into()))?;
        let before = std::mem::replace(&mut number, packet.number);
        // A file counts packets of other interfaces, too.
        if number > last {
            break;
        }
        if packet.timestamp.abs_diff(batched_since) > BATCH_WINDOW {
            sink.flush().map_err(|error| {
                Stopped::Device(anyhow!(error).context(format!("after packet {before}")))
            })?;
            batched_since = packet.timestamp;
        }
        for message in packet.messages() {
            let message = message.map_err(|error| Stopped::Input(error.into()))?;
            follower.apply(&message, sink).map_err(|error| {
                Stopped::Device(anyhow!(error).context(format!("packet {}", packet.number)))
            })?;
        }
        tick();
    }
    Ok(())
}

fn progress(quiet: bool, packets: u64) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} packet {pos} of {len}, {per_sec}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(packets).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
