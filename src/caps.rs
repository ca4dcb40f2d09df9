// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `esnic caps`: what a device is and can do.

use crate::Outcome;
use crate::args::CapsArgs;
use crate::device::{self, Job};
use crate::failure::Failure;
use crate::output::{self, say};
use esnic_abi::layout::Field;
use esnic_abi::regs::Global;
use esnic_driver::transport::Transport;
use esnic_driver::{Caps, Config, SaManager};
use serde::Serialize;

#[derive(Serialize)]
struct Object<'c> {
    device: &'c str,
    version: String,
    abi_hash: String,
    sa_capacity: u32,
    bundle_capacity: usize,
    queue_pairs: u8,
    largest_ring: u32,
    direct_entries: u32,
    stage_buffers: u32,
    max_window: u16,
    features: Vec<&'static str>,
    algorithms: Vec<&'static str>,
    keys_locked: bool,
}

/// Runs the subcommand.
pub(crate) fn run(args: &CapsArgs) -> Outcome {
    let (caps, bundles, locked) = device::with(&args.device, Config::default(), Look)?;
    let params = &caps.params;
    let object = Object {
        device: &caps.name,
        version: format!("{}.{}", caps.version.0, caps.version.1),
        abi_hash: format!("{:#018x}", caps.abi_hash),
        sa_capacity: params.sa_capacity,
        bundle_capacity: bundles,
        queue_pairs: params.queue_pairs,
        largest_ring: 1 << params.ring_log2,
        direct_entries: 1 << params.direct_log2,
        stage_buffers: 1 << params.stage_log2,
        max_window: params.max_window,
        features: set(Global::FEATURES, params.features),
        algorithms: set(Global::ALGS, params.algs),
        keys_locked: locked,
    };
    if args.json {
        let text = serde_json::to_string_pretty(&object).map_err(Failure::device)?;
        say!("{text}");
    } else {
        print(&object);
    }
    Ok(())
}

struct Look;

impl Job for Look {
    type Out = (Caps, usize, bool);

    fn run<T: Transport>(self, manager: &SaManager<T>) -> Result<Self::Out, Failure> {
        let caps = manager.caps().map_err(Failure::device)?;
        Ok((caps, manager.bundle_capacity(), manager.keys_are_locked()))
    }
}

/// Names of the bits that are set in a register.
fn set(register: Global, word: u32) -> Vec<&'static str> {
    let fields = register.register().fields.iter();
    fields.filter(|field: &&Field| field.is_set(word)).map(|field| field.name).collect()
}

fn print(caps: &Object<'_>) {
    let mut table = output::table(&["what", "value"]);
    let mut row = |what: &str, value: String| {
        table.add_row([what.to_owned(), value]);
    };
    row("device", caps.device.to_owned());
    row("contract", format!("version {}, ABI_HASH {}", caps.version, caps.abi_hash));
    row("SA slots", caps.sa_capacity.to_string());
    row("bundles (ESP + AH)", caps.bundle_capacity.to_string());
    row("queue pairs", caps.queue_pairs.to_string());
    row("largest ring", format!("{} entries", caps.largest_ring));
    row("direct doorbells", format!("{} a pair", caps.direct_entries));
    row("stage buffers", caps.stage_buffers.to_string());
    row("largest replay window", format!("{} packets", caps.max_window));
    row("features", caps.features.join(" "));
    row("algorithms", caps.algorithms.join(" "));
    row("keys in locked memory", if caps.keys_locked { "yes" } else { "no" }.to_owned());
    say!("{table}");
}
