// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask setup`: is everything here that building and testing needs?

use crate::process::{cargo_tool, root, version};
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
    if let Some(free) = free_mib() {
        let enough = free >= BUILD_MIB;
        let more = if enough { "" } else { "; a whole build from nothing takes more" };
        found("disk", &format!("{} GiB free{more}", free / 1024));
    }
    Ok(())
}

/// What `target/` takes after the whole gate, roughly.
const BUILD_MIB: u64 = 8 * 1024;

/// What is free where things are built, by `df` in the form that POSIX gives it.
fn free_mib() -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(root()).output().ok()?;
    available(&String::from_utf8_lossy(&output.stdout)).map(|kib| kib / 1024)
}

/// The fourth column of the line below the headings.
fn available(df: &str) -> Option<u64> {
    df.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()
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

#[cfg(test)]
mod tests {
    use super::available;

    #[test]
    fn what_is_free_is_read() {
        let df = "Filesystem 1024-blocks Used Available Capacity Mounted on\n\
                  /dev/vda 100 40 60 40% /a b\n";
        assert_eq!(available(df), Some(60));
        assert_eq!(available("df: no such file"), None);
    }
}
