// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A prompt for a person.

use crate::order::Order;
use std::process::{Command, Stdio};

const WELCOME: &str = "
esnic test guest. The device is bound to vfio-pci:
";

const HINTS: &str = "
  esnic caps --device ADDRESS     what it is
  /tests                          the test programs
  exit                            turn the guest off (Ctrl-A x ends it at once)
";

/// Runs the shell on the console until the person leaves.
pub(crate) fn run(order: &Order) -> Result<(), String> {
    let busybox = "/bin/busybox";
    let install = Command::new(busybox).args(["--install", "-s", "/bin"]).status();
    install.map_err(|error| format!("{busybox}: {error}"))?;
    println!("{WELCOME}");
    for function in &order.functions {
        println!("  {function}");
    }
    println!("{HINTS}");
    // `setsid -c` makes the console its terminal, so that Ctrl-C reaches what runs in it.
    let mut shell = Command::new(busybox);
    shell
        .args(["setsid", "-c", busybox, "sh", "-l"])
        .current_dir("/")
        .env("PATH", "/bin")
        .env("HOME", "/")
        .env("PS1", "guest:\\w# ")
        .env("TERM", "vt102")
        .envs(order.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::inherit());
    shell.status().map(drop).map_err(|error| format!("{busybox}: {error}"))
}
