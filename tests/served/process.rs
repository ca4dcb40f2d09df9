// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `esnic serve` and its clients as processes of their own.

use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A process that does not outlive its test.
pub struct Process(pub Child);

impl Process {
    /// Starts `esnic` with these arguments.
    pub fn start<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_esnic"));
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Waits until the system says that it is in this state.
    #[track_caller]
    pub fn await_state(&self, state: char) {
        let begun = Instant::now();
        let path = format!("/proc/{}/stat", self.0.id());
        // The name before it is in parentheses.
        while !std::fs::read_to_string(&path).unwrap().contains(&format!(") {state} ")) {
            assert!(begun.elapsed() < PATIENCE, "it does not get into state {state}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until it has ended.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What it said on standard error.
    pub fn complaints(&mut self) -> String {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut self.0.stderr.take().unwrap(), &mut text).unwrap();
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that is up: it has said so for each of its sockets.
pub struct Server {
    pub process: Process,
    pub sockets: Vec<PathBuf>,
}

impl Server {
    pub fn start(sockets: &[PathBuf], more: &[&str]) -> Self {
        let mut args = vec!["serve".to_owned()];
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        for path in sockets {
            args.extend(["--socket".to_owned(), path.to_str().unwrap().to_owned()]);
        }
        let mut process = Process::start(args);
        let mut lines = BufReader::new(process.0.stdout.as_mut().unwrap()).lines();
        for path in sockets {
            let line = lines.next().expect("a line for each socket").unwrap();
            assert!(line.ends_with(&format!("is served on {}", path.display())), "{line}");
        }
        Self { process, sockets: sockets.to_vec() }
    }

    /// What `--device` takes.
    pub fn device(&self, k: usize) -> String {
        format!("vfio-user:{}", self.sockets[k].display())
    }

    pub fn path(&self) -> &Path {
        &self.sockets[0]
    }
}
