// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask loom`: models of the driver's lock-free parts, in every order that the memory model allows.
//!
//! The models stand beside what they check, in `driver/src/**/models.rs`, and run the code that ships. What
//! they show, and what not, is in `docs/concurrency.md`.

use crate::process::{cargo, root, run as run_command};
use crate::{Failure, Outcome};

/// Preemptions within one execution, at the most: with three threads there is no end to them otherwise.
const PREEMPTIONS: u32 = 3;

/// Checks every model; with `--preemptions N`, with another bound, where 0 stands for none.
pub(crate) fn run(args: &[String]) -> Outcome {
    let (bound, names) = match args {
        [option, bound, names @ ..] if option == "--preemptions" => {
            let bound = bound.parse().map_err(|_| {
                Failure::Usage(format!("--preemptions takes a number, and `{bound}` is none"))
            })?;
            (bound, names)
        }
        names => (PREEMPTIONS, names),
    };
    // A target directory of its own: everything is compiled differently with this flag.
    let mut command =
        cargo(&["test", "--locked", "--release", "--package", "esnic-driver", "--lib"]);
    command.arg("--target-dir").arg(root().join("target/loom")).arg("--");
    // A second filter would not narrow the first.
    match names {
        [] => command.arg("models::"),
        names => command.args(names),
    };
    command.env("RUSTFLAGS", "--cfg loom").env("CARGO_PROFILE_RELEASE_LTO", "off");
    // Planted mistakes end in panics, by the dozen.
    command.env("RUST_BACKTRACE", "0");
    // It would win over the flags above.
    command.env_remove("CARGO_ENCODED_RUSTFLAGS");
    match bound {
        0 => command.env_remove("LOOM_MAX_PREEMPTIONS"),
        bound => command.env("LOOM_MAX_PREEMPTIONS", bound.to_string()),
    };
    println!(
        "loom: {}",
        match bound {
            0 => "every order".to_owned(),
            bound => format!("every order with at most {bound} preemptions"),
        }
    );
    run_command(command)
}
