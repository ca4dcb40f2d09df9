// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `esnic devices`: the esnic functions of this host, and what stands between them and user space.

use crate::Outcome;
use crate::args::DevicesArgs;
use crate::failure::Failure;
use crate::output::{self, say};
use esnic_driver::pci::{Function, Holder, Host};
use serde::Serialize;

#[derive(Serialize)]
struct Object {
    address: String,
    ids: String,
    class: String,
    driver: Option<String>,
    iommu_group: Option<u32>,
    /// Who else is in the group, with their drivers.
    neighbours: Vec<Other>,
    /// SAs, from the length of BAR 2: the device is not asked.
    capacity: Option<u64>,
    /// Processes that have it open.
    held_by: Vec<Process>,
    /// Whether `--device ADDRESS` would find it as it is.
    ready: bool,
    /// Why not, and what to do.
    reason: Option<String>,
}

#[derive(Serialize)]
struct Other {
    address: String,
    driver: Option<String>,
}

#[derive(Serialize)]
struct Process {
    pid: u32,
    name: String,
}

/// Runs the subcommand.
pub(crate) fn run(args: &DevicesArgs) -> Outcome {
    let host = Host::default();
    let all = host.functions().map_err(Failure::device)?;
    let found: Vec<Object> =
        all.iter().filter(|one| one.is_esnic()).map(|one| look(&host, one)).collect();
    if args.json {
        let text = serde_json::to_string_pretty(&found).map_err(Failure::device)?;
        say!("{text}");
    } else if found.is_empty() {
        let ids = esnic_driver::pci::Ids::ESNIC;
        say!(
            "There is no esnic device ({ids}) among the {} PCI functions of this host.",
            all.len()
        );
    } else {
        print(&found);
    }
    Ok(())
}

fn look(host: &Host, function: &Function) -> Object {
    let group = function.group(host).ok();
    let neighbours = group.iter().flat_map(|group| &group.neighbours);
    let neighbours = neighbours
        .map(|one| Other { address: one.address.to_string(), driver: one.driver.clone() });
    let holders = function.holders(host);
    let reason = function.ready(host).and_then(|_| function.free(host)).err();
    Object {
        address: function.address.to_string(),
        ids: function.ids.to_string(),
        class: format!("{:06x}", function.class),
        driver: function.driver.clone(),
        iommu_group: function.group,
        neighbours: neighbours.collect(),
        capacity: function.capacity(),
        held_by: holders.into_iter().map(|Holder { pid, name }| Process { pid, name }).collect(),
        ready: reason.is_none(),
        reason: reason.map(|refusal| refusal.to_string()),
    }
}

fn print(found: &[Object]) {
    let dash = || "-".to_owned();
    let mut table =
        output::table(&["address", "SA slots", "driver", "IOMMU group", "beside it", "held by"]);
    for one in found {
        let beside = one.neighbours.iter().map(|other| {
            format!("{} ({})", other.address, other.driver.as_deref().unwrap_or("no driver"))
        });
        let held = one.held_by.iter().map(|process| format!("{} ({})", process.pid, process.name));
        let list = |list: Vec<String>| if list.is_empty() { dash() } else { list.join("\n") };
        table.add_row([
            one.address.clone(),
            one.capacity.map_or_else(dash, |capacity| capacity.to_string()),
            one.driver.clone().unwrap_or_else(dash),
            one.iommu_group.map_or_else(dash, |group| group.to_string()),
            list(beside.collect()),
            list(held.collect()),
        ]);
    }
    say!("{table}");
    for reason in found.iter().filter_map(|one| one.reason.as_deref()) {
        say!("{reason}");
    }
}
