// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Compiles the RTL: Verilator turns it into C++, the C++ compiler turns that into a library.
//!
//! The parameters of RTL are fixed when it is compiled, so each build of `build/list.rs` is compiled
//! by itself, under a class name of its own. Environment variables, all for unusual needs:
//! `VERILATOR` (which program), `ESNIC_RTL_DIR` (another copy of `rtl/`, such as a mutant),
//! `ESNIC_RTL_MARCH` (the `-march` of the C++ compiler; empty for none), and those of `build/mode.rs`.

#[path = "build/list.rs"]
mod list;
#[path = "build/mode.rs"]
mod mode;
#[path = "build/verilator.rs"]
mod verilator;

use list::Build;
use mode::Mode;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use verilator::{Top, Verilator};

/// Reads that the device may have in flight: what the RTL has by itself.
const TAGS: u32 = 32;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // Cargo shows what a failing build script wrote here.
            eprintln!("esnic-rtl: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    for name in
        ["VERILATOR", "VERILATOR_ROOT", "ESNIC_VERILATOR", "ESNIC_RTL_DIR", "ESNIC_RTL_MARCH"]
    {
        println!("cargo::rerun-if-env-changed={name}");
    }
    for place in ["build.rs", "build", "cpp", "lint"] {
        println!("cargo::rerun-if-changed={place}");
    }
    let home = PathBuf::from(env("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env("OUT_DIR")?);
    let rtl = match std::env::var_os("ESNIC_RTL_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => home.join("rtl"),
    };
    watch(&rtl)?;

    let mode = Mode::of_environment();
    let builds = list::builds(std::env::var_os("CARGO_FEATURE_TEST_BUILDS").is_some());
    let builds = mode.select(builds)?;
    if builds.is_empty() {
        return Ok(());
    }
    let verilator = Verilator::find()?;
    let top = Top::read(&rtl.join("esnic_top.sv"))?;

    let sources = verilator.translate_all(&builds, &top, &mode, &home, &rtl, &out)?;
    std::fs::write(out.join("builds.cpp"), table(&builds, &top)).map_err(|e| e.to_string())?;

    // What people wait for is optimised. What runs rarely or once is compiled quickly: the builds of single
    // tests, and of every build what makes and traces a device.
    let base = compiler(&verilator, &home, &top, &mode)?;
    let mut quick = base.clone();
    let mut fast = base;
    // Counting makes the code several times as long, and a mutant runs for seconds: to optimise either takes
    // longer than it saves.
    fast.opt_level(if mode.coverage || mode.shared { 1 } else { 3 })
        .file(out.join("builds.cpp"))
        .file(home.join("cpp/runtime.cpp"))
        .files(verilator.runtime(&mode))
        .files(mode.coverage.then(|| home.join("cpp/coverage.cpp")));
    quick.opt_level(1);
    for (build, sources) in builds.iter().zip(sources) {
        let compiler = if build.quick { &mut quick } else { &mut fast };
        compiler.file(sources.often);
        quick.file(sources.rarely);
    }
    let objects = quick.try_compile_intermediates().map_err(refused)?;
    if mode.shared {
        mode::link_shared(&fast, &objects, &out)?;
    } else {
        fast.objects(objects).try_compile("esnic_rtl").map_err(refused)?;
    }
    if mode.trace {
        println!("cargo::rustc-link-lib=z");
    }
    Ok(())
}

fn refused(error: cc::Error) -> String {
    format!("the C++ compiler refused what Verilator made: {error}")
}

/// Cargo looks at the RTL file by file: a directory's own time does not tell of an edit.
fn watch(rtl: &Path) -> Result<(), String> {
    println!("cargo::rerun-if-changed={}", rtl.display());
    let files = std::fs::read_dir(rtl)
        .map_err(|e| format!("cannot list the RTL in {}: {e}", rtl.display()))?;
    for file in files.flatten() {
        println!("cargo::rerun-if-changed={}", file.path().display());
    }
    Ok(())
}

/// What all C++ is compiled with.
fn compiler(
    verilator: &Verilator,
    home: &Path,
    top: &Top,
    mode: &Mode,
) -> Result<cc::Build, String> {
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        // Generated code is not ours to tidy up.
        .warnings(false)
        .debug(false)
        .include(verilator.include())
        .include(verilator.include().join("vltstd"))
        .include(home.join("cpp"))
        .define("VL_USER_STOP", None)
        .define("VL_USER_FATAL", None)
        .define("VL_USER_FINISH", None)
        .define("ESNIC_RTL_STRAPS", if top.has_straps() { "1" } else { "0" })
        .define("VM_COVERAGE", if mode.coverage { "1" } else { "0" })
        .define("VM_SC", "0")
        .define("VM_TRACE", if mode.trace { "1" } else { "0" })
        .define("VM_TRACE_FST", if mode.trace { "1" } else { "0" });
    let same_machine = env("HOST")? == env("TARGET")?;
    let march = std::env::var("ESNIC_RTL_MARCH").unwrap_or_else(|_| "native".into());
    if same_machine && !march.is_empty() {
        // A quarter faster here, and the library never leaves the machine that made it.
        build.flag_if_supported(format!("-march={march}"));
    }
    Ok(build)
}

/// The list of builds, as C++ source.
fn table(builds: &[Build], top: &Top) -> String {
    let mut text = String::from("#include \"shim.h\"\nextern \"C\" {\n");
    let mut rows = String::new();
    for build in builds {
        let (name, p) = (&build.name, &build.params);
        let ops = |op: &str| format!("esnic_rtl_{name}_{op}");
        let _ = writeln!(
            text,
            "void *{}(const esnic_rtl_straps *);\nvoid {}(void *);\nint {}(void *, const esnic_rtl_in *, esnic_rtl_out *);\n\
             const void *{}(void *, std::size_t *);\nint {}(void *, std::uint32_t);\nvoid {}(void *, std::uint32_t, std::uint32_t, std::uint32_t);\nint {}(void *, const char *);\nvoid {}(void *);",
            ops("create"),
            ops("destroy"),
            ops("cycle"),
            ops("inside"),
            ops("is_wiped"),
            ops("upset"),
            ops("trace_open"),
            ops("trace_close"),
        );
        let _ = writeln!(
            rows,
            "    {{\"{name}\", {}, {}, {}, {}, {}, {}, {}u, {}u, {TAGS}, {}, {}, {}, {}, {}, {}, {}, {}, {}}},",
            p.sa_capacity,
            p.queue_pairs,
            p.ring_log2,
            p.direct_log2,
            p.stage_log2,
            p.max_window,
            p.features,
            p.algs,
            u8::from(top.has_straps()),
            ops("create"),
            ops("destroy"),
            ops("cycle"),
            ops("inside"),
            ops("is_wiped"),
            ops("upset"),
            ops("trace_open"),
            ops("trace_close"),
        );
    }
    let _ = write!(
        text,
        "}}\nstatic const esnic_rtl_build builds[] = {{\n{rows}}};\n\
         extern \"C\" const esnic_rtl_build *esnic_rtl_builds(std::size_t *count) {{\n    \
         *count = sizeof builds / sizeof *builds;\n    return builds;\n}}\n"
    );
    text
}

fn env(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|e| format!("cargo did not set {name}: {e}"))
}
