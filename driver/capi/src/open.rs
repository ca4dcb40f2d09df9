// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Opening a device by the name that the command `esnic` gives it.

use crate::adopt;
use crate::codes::esnic_error::ESNIC_E_VERSION;
use crate::codes::*;
use crate::convert::flags;
use crate::fail::Fail;
use crate::types::{esnic_config, esnic_device};
use esnic_abi::Params;
use esnic_driver::pci::Address;
use esnic_driver::transport::{Sim, Vfio, VfioUser};
use esnic_driver::{Config, KeyMemory, Timeouts};
use esnic_model::Model;
use std::path::Path;
use std::time::Duration;

/// Opens the device `name`.
pub(crate) fn open(name: &str, wanted: &esnic_config) -> Result<esnic_device, Fail> {
    let (major, minor) = (wanted.abi_version >> 16, wanted.abi_version & 0xFFFF);
    if major != ESNIC_ABI_MAJOR || minor > ESNIC_ABI_MINOR {
        let text = format!(
            "the program was compiled with esnic.h {major}.{minor}, this library has \
             {ESNIC_ABI_MAJOR}.{ESNIC_ABI_MINOR}"
        );
        return Err(Fail::new(ESNIC_E_VERSION, text));
    }
    let config = config(wanted)?;
    if name == "model" {
        let params = params(wanted.model_rows)?;
        let model =
            Model::new(params).map_err(|error| Fail::invalid(format!("model_rows: {error}")))?;
        return Ok(adopt(Sim::new("model", model), config)?);
    }
    if wanted.model_rows != 0 {
        return Err(Fail::invalid("model_rows: only the device `model` has as many as one likes"));
    }
    match name.strip_prefix("vfio-user:") {
        Some("") => Err(Fail::invalid(
            "name: it takes the path of a socket, as in vfio-user:/run/esnic.sock",
        )),
        Some(path) => Ok(adopt(VfioUser::connect(Path::new(path))?, config)?),
        None => {
            let address: Address = name.parse().map_err(|_| {
                Fail::invalid(
                    "name: devices are `model`, `vfio-user:PATH` and a PCI function as \
                     `0000:03:00.0`",
                )
            })?;
            Ok(adopt(Vfio::open(address)?, config)?)
        }
    }
}

fn config(wanted: &esnic_config) -> Result<Config, Fail> {
    flags("flag of esnic_open", wanted.flags, ESNIC_OPEN_INTERRUPTS | ESNIC_OPEN_SWAPPABLE_KEYS)?;
    let usual = Config::default();
    let or = |value: u32, usual: u32| if value == 0 { usual } else { value };
    let or_ms = |value: u32, usual: Duration| match value {
        0 => usual,
        ms => Duration::from_millis(ms.into()),
    };
    let swappable = wanted.flags & ESNIC_OPEN_SWAPPABLE_KEYS != 0;
    Ok(Config {
        queue_pairs: or(wanted.queue_pairs, usual.queue_pairs),
        sq_log2: or(wanted.sq_log2, usual.sq_log2),
        cq_log2: or(wanted.cq_log2, usual.cq_log2),
        start: usual.start,
        max_sas: (wanted.max_sas != 0).then_some(wanted.max_sas),
        key_memory: if swappable { KeyMemory::BestEffort } else { KeyMemory::Locked },
        interrupts: wanted.flags & ESNIC_OPEN_INTERRUPTS != 0,
        timeouts: Timeouts {
            command: or_ms(wanted.command_timeout_ms, usual.timeouts.command),
            reset: or_ms(wanted.reset_timeout_ms, usual.timeouts.reset),
            ..usual.timeouts
        },
    })
}

/// How the model is built.
fn params(rows: u32) -> Result<Params, Fail> {
    let usual = Params::default();
    let rows = if rows == 0 { usual.sa_capacity } else { rows };
    // A small table has no more stage buffers than rows.
    let most = u8::try_from(rows.ilog2()).unwrap_or(u8::MAX);
    Ok(Params { sa_capacity: rows, stage_log2: usual.stage_log2.min(most), ..usual })
}
