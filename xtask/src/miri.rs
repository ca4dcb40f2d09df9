// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask miri`: the driver's tests of memory and threads in an interpreter that knows what Rust and
//! its memory model forbid.

use crate::nightly;
use crate::process::{root, run as run_command};
use crate::{Failure, Outcome};

/// What Miri runs: everything that touches memory by pointers, or by several threads.
///
/// Left out, since they call what Miri does not have: `pci` (a tree of files, and no `unsafe`), `eventfd`
/// (ppoll), `mapping` (SIGBUS, fork, mappings of files). Left out, since there is neither
/// `unsafe` nor a thread and Miri takes long: `iova`, `nic`.
const TESTS: &[&str] = &[
    "direct::",
    "gate::",
    "oid::",
    "pair::sleepers::",
    "pending::",
    "sa::element::",
    "secret::",
    "sq::",
    "transport::sim::",
    "transport::vfio::sys::",
];

/// Runs them.
pub(crate) fn run(args: &[String]) -> Outcome {
    if let Some(arg) = args.first() {
        return Err(Failure::Usage(format!("miri takes no `{arg}`")));
    }
    let mut command = nightly::cargo("miri", "miri")?;
    command.args(["test", "--locked", "--package", "esnic-driver", "--lib"]);
    command.arg("--target-dir").arg(root().join("target/miri")).arg("--").args(TESTS);
    // Clocks, for deadlines.
    command.env("MIRIFLAGS", "-Zmiri-disable-isolation");
    run_command(command)
}
