// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask setup`: is everything here that building and testing needs?

use crate::process::{cargo_tool, version};
use crate::{Failure, Outcome, verilator};
use std::process::Command;

/// Checks the tools, and installs those that are missing and can be installed.
pub(crate) fn run(args: &[String]) -> Outcome {
    if let Some(arg) = args.first() {
        return Err(Failure::Usage(format!("setup takes no `{arg}`")));
    }
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let rustc = version(Command::new(rustc)).ok_or_else(|| {
        Failure::Work("rustc does not run; install Rust from https://rustup.rs".into())
    })?;
    found("rustc", &rustc);
    match cxx() {
        Some(cxx) => found("C++ compiler", &cxx),
        None => {
            return Err(Failure::Work(
                "there is no C++ compiler, which the RTL needs, and this task cannot install one; \
                 `apt install g++` does on Debian"
                    .into(),
            ));
        }
    }
    found("Verilator", &verilator::ensure()?);
    found("cargo-nextest", &cargo_tool("nextest")?);
    Ok(())
}

fn found(what: &str, version: &str) {
    println!("setup: {what}: {version}");
}

/// The C++ compiler of the environment, or else the first usual name that answers.
fn cxx() -> Option<String> {
    let named = std::env::var("CXX").ok();
    named
        .iter()
        .map(String::as_str)
        .chain(["c++", "g++", "clang++"])
        .find_map(|name| version(Command::new(name)))
}
