// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask stress`: everything that the driver can do, from eight threads at once, under
//! ThreadSanitizer. The test is `tests/stress`; the gate runs a hundredth of it, without the sanitizer.

use crate::nightly;
use crate::process::{cargo, root, run as run_command};
use crate::{Failure, Outcome};

/// Commands where the caller does not say how many.
const OPS: u64 = 10_000_000;

/// Runs the test; with `--plain`, without the sanitizer.
pub(crate) fn run(args: &[String]) -> Outcome {
    let (plain, ops) = match args {
        [option, rest @ ..] if option == "--plain" => (true, rest),
        rest => (false, rest),
    };
    let ops = match ops {
        [] => OPS,
        [ops] => ops.parse().map_err(|_| Failure::Usage(format!("`{ops}` is no number")))?,
        [_, other, ..] => return Err(Failure::Usage(format!("stress takes no `{other}`"))),
    };
    let test = ["--locked", "--release", "--package", "esnic-stress", "--test", "stress"];
    let mut command = if plain {
        let mut command = cargo(&["test"]);
        command.args(test);
        command
    } else {
        // The standard library with it: a synchronisation that the sanitizer does not see looks like none.
        let mut command = nightly::cargo("test", "rust-src")?;
        command.args(test).args(["-Zbuild-std", "--target", nightly::HOST]);
        command.arg("--target-dir").arg(root().join("target/tsan"));
        command.env("RUSTFLAGS", "-Zsanitizer=thread --cfg esnic_tsan");
        command.env_remove("CARGO_ENCODED_RUSTFLAGS");
        command.env("TSAN_OPTIONS", "halt_on_error=0 exitcode=66 history_size=4");
        command
    };
    command.args(["--", "--nocapture"]).env("CARGO_PROFILE_RELEASE_LTO", "off");
    command.env("ESNIC_OPS", ops.to_string());
    run_command(command)
}
