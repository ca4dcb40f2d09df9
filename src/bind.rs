// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `esnic bind` and `esnic unbind`: lends a PCI function to user space, and gives it back to the driver
//! that had it.

use crate::Outcome;
use crate::args::{BindArgs, UnbindArgs};
use crate::failure::Failure;
use crate::output::say;
use esnic_driver::pci::{Binding, Bound, Host, Unbound, VFIO_DRIVER};

/// Runs `esnic bind`.
pub(crate) fn bind(args: &BindArgs) -> Outcome {
    let (host, address) = (Host::default(), args.address);
    let binding = Binding { any_id: args.any_id };
    match binding.bind(&host, address).map_err(Failure::device)? {
        Bound::Already => say!("{address} is bound to {VFIO_DRIVER} already."),
        Bound::From(None) => say!("{address} is bound to {VFIO_DRIVER}; no driver had it."),
        Bound::From(Some(driver)) => {
            say!(
                "{address} is bound to {VFIO_DRIVER}; `esnic unbind {address}` gives it back to {driver}."
            );
        }
    }
    Ok(())
}

/// Runs `esnic unbind`.
pub(crate) fn unbind(args: &UnbindArgs) -> Outcome {
    let (host, address) = (Host::default(), args.address);
    let function = host.function(address).map_err(Failure::device)?;
    match function.unbind(&host).map_err(Failure::device)? {
        Unbound::Already(None) => say!("{address} is bound to no driver; nothing was to be done."),
        Unbound::Already(Some(driver)) => {
            say!("{address} is bound to {driver}, not {VFIO_DRIVER}; nothing was to be done.");
        }
        Unbound::To(None) => say!("{address} is bound to no driver, as it was."),
        Unbound::To(Some(driver)) => say!("{address} is bound to {driver} again."),
    }
    Ok(())
}
