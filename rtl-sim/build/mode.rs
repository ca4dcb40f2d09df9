// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ways to build that differ from the usual one: with waveforms, and what mutants and coverage need.

use crate::list::Build;
use std::path::{Path, PathBuf};

/// How this run differs from the usual one.
pub(crate) struct Mode {
    /// Feature `trace`: the device can write waveforms.
    pub(crate) trace: bool,
    /// `ESNIC_RTL_BUILDS`: only the builds of these names, separated by commas; `none` for none, which is
    /// enough where nothing is linked: lints and documentation.
    only: Option<String>,
    /// `ESNIC_RTL_SHARED`: a shared library, so that programs that were linked once run with any RTL
    /// that has the same builds. Such RTL is a mutant, and its lint is nobody's business.
    pub(crate) shared: bool,
    /// `ESNIC_RTL_COVERAGE`: the device counts which lines ran and which bits moved, and writes that
    /// to a file in the directory that the same variable names when it runs.
    pub(crate) coverage: bool,
}

impl Mode {
    /// What the environment says.
    pub(crate) fn of_environment() -> Self {
        for name in ["ESNIC_RTL_BUILDS", "ESNIC_RTL_SHARED"] {
            println!("cargo::rerun-if-env-changed={name}");
        }
        // Its value is read when the device runs; here only its presence counts.
        println!("cargo::rerun-if-env-changed=ESNIC_RTL_COVERAGE");
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        Self {
            trace: std::env::var_os("CARGO_FEATURE_TRACE").is_some(),
            only: std::env::var("ESNIC_RTL_BUILDS").ok().filter(|names| !names.is_empty()),
            shared: set("ESNIC_RTL_SHARED"),
            coverage: set("ESNIC_RTL_COVERAGE"),
        }
    }

    /// The builds that are wanted.
    pub(crate) fn select(&self, all: Vec<Build>) -> Result<Vec<Build>, String> {
        let Some(only) = &self.only else { return Ok(all) };
        if only == "none" {
            return Ok(Vec::new());
        }
        let wanted: Vec<&str> = only.split(',').collect();
        for name in &wanted {
            if !all.iter().any(|build| build.name == *name) {
                return Err(format!("ESNIC_RTL_BUILDS names `{name}`, which is no build"));
            }
        }
        Ok(all.into_iter().filter(|build| wanted.contains(&build.name.as_str())).collect())
    }

    /// What Verilator is told beside the usual.
    pub(crate) fn verilator(&self) -> &'static [&'static str] {
        match (self.shared, self.coverage) {
            // Where it splits a block by what is assigned there, Verilator 5.006 leaves counters of branches at 0
            // that were taken. Unsplit, some blocks look like loops.
            (_, true) => &["--coverage-line", "--coverage-toggle", "-fno-split", "-Wno-UNOPTFLAT"],
            (true, false) => &["-Wno-fatal"],
            (false, false) => &[],
        }
    }
}

/// Links a shared library, in the place of the static one that `cc` makes.
pub(crate) fn link_shared(build: &cc::Build, more: &[PathBuf], out: &Path) -> Result<(), String> {
    let failed = |why: String| format!("cannot link the RTL as a shared library: {why}");
    let objects = build.try_compile_intermediates().map_err(|e| failed(e.to_string()))?;
    let compiler = build.try_get_compiler().map_err(|e| failed(e.to_string()))?;
    let mut command = compiler.to_command();
    command.arg("-shared").arg("-o").arg(out.join("libesnic_rtl.so")).args(objects).args(more);
    let output = command.output().map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    println!("cargo::rustc-link-search=native={}", out.display());
    println!("cargo::rustc-link-lib=dylib=esnic_rtl");
    Ok(())
}
