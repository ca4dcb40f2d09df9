// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The first process of the test guest: mounts, loads modules, gives the functions to `vfio-pci`, runs
//! the tests one by one, and turns the machine off. `cargo xtask guest` packs it as `/init`.
//!
//! What it has to say goes to the console, a line at a time ([`report`]). It never returns: whatever
//! goes wrong is said, and ends in power-off, so that nobody waits for a dead guest.
#![forbid(unsafe_code)]

mod order;
mod program;
mod report;
mod shell;
mod system;

use order::Order;
use report::{note, say};
use std::panic::PanicHookInfo;

fn main() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        report::lines("note", &format!("the guest's first process panicked: {info}"));
        system::power_off();
    }));
    if std::process::id() != 1 {
        eprintln!("esnic-guest is the first process of a guest; `cargo xtask guest` starts it");
        std::process::exit(2);
    }
    if let Err(why) = run() {
        note!("{why}");
    }
    system::power_off();
}

fn run() -> Result<(), String> {
    system::mount_all()?;
    let order = Order::read("/order")?;
    let mut kernel = report::Kernel::open()?;
    system::load_modules("/modules")?;
    for function in &order.functions {
        system::give_to_vfio(function)?;
    }
    kernel.pass_on();
    let (seconds, _) = system::uptime();
    say!("up", "{seconds:.1} s after power-on, {} functions", order.functions.len());
    if order.shell {
        return shell::run(&order);
    }
    program::run_all(&order, &mut kernel)?;
    say!("end", "");
    Ok(())
}
