// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One guest: the bench and QEMU are started, watched and, whatever happens, ended.

use super::machine;
use super::report::Report;
use crate::{Failure, Outcome};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// Most of each log that is kept. A QEMU whose device server died writes lines without end.
const MOST_LOG: u64 = 16 << 20;

/// How long the bench may take until its sockets are there.
const BENCH_PATIENCE: Duration = Duration::from_secs(60);

/// What to run, and where.
pub(super) struct Run<'a> {
    /// `model` or `rtl`.
    pub(super) device: &'a str,
    /// The bench's program.
    pub(super) bench: &'a Path,
    /// QEMU with all its arguments.
    pub(super) qemu: Command,
    /// Where sockets and logs go.
    pub(super) place: &'a Path,
    /// When it must be over.
    pub(super) patience: Duration,
}

/// A child that does not outlive this.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _status = self.0.wait();
    }
}

/// A line of QEMU's output, or the end of it.
enum Said {
    Line(String),
    End,
}

impl Run<'_> {
    /// Runs the tests.
    pub(super) fn tests(mut self) -> Outcome {
        let begun = Instant::now();
        let mut bench = self.start_bench()?;
        self.qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut qemu = start(&mut self.qemu, self.place)?;
        let (tell, told) = mpsc::channel();
        let log = self.place.join("console.log");
        follow(qemu.0.stdout.take(), &log, Some(tell))?;
        follow(qemu.0.stderr.take(), &self.place.join("qemu.log"), None)?;

        let mut report = Report::default();
        let deadline = begun + self.patience;
        let broken = loop {
            match told.recv_timeout(Duration::from_millis(100)) {
                Ok(Said::Line(line)) => {
                    if let Some(text) = report.take(&line) {
                        println!("{text}");
                    }
                    continue;
                }
                Ok(Said::End) | Err(RecvTimeoutError::Disconnected) => break None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() > deadline {
                break Some(format!("the guest was ended after {} s", self.patience.as_secs()));
            }
            if !report.has_ended()
                && let Ok(Some(status)) = bench.0.try_wait()
            {
                // QEMU would go on for ever, reading all ones.
                break Some(format!("the bench ended in the middle of the run ({status})"));
            }
        };
        drop(qemu);
        drop(bench);
        println!("\nguest: full log in {}", shown(&log));
        let quiet = report.has_ended() && broken.is_none();
        for name in ["qemu.log", "bench.log"] {
            let path = self.place.join(name);
            let text = fs::read_to_string(&path).unwrap_or_default();
            if !quiet && !text.is_empty() {
                println!("guest: the end of {}:", shown(&path));
                let lines: Vec<_> = text.lines().collect();
                lines[lines.len().saturating_sub(20)..]
                    .iter()
                    .for_each(|line| println!("  {line}"));
            }
        }
        report.finish(broken, begun.elapsed())
    }

    /// Gives the console to the person in front of it.
    pub(super) fn shell(mut self) -> Outcome {
        let mut bench = self.start_bench()?;
        let mut qemu = start(&mut self.qemu, self.place)?;
        loop {
            if let Ok(Some(status)) = qemu.0.try_wait() {
                return if status.success() {
                    Ok(())
                } else {
                    Err(Failure::Work(format!("QEMU failed ({status})")))
                };
            }
            if let Ok(Some(status)) = bench.0.try_wait() {
                return Err(Failure::Work(format!("the bench ended ({status})")));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Starts the bench and waits until it serves.
    fn start_bench(&self) -> Result<Guarded, Failure> {
        let path = self.place.join("bench.log");
        let log = File::create(&path).map_err(|e| refused(&path, &e))?;
        let mut command = Command::new(self.bench);
        command.args(["--device", self.device, "--control", "control.sock"]);
        for function in machine::functions() {
            command.arg("--function").arg(function.for_bench());
        }
        // It ends when its input does, so it does not outlive this program, however that ends.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut bench = start(&mut command, self.place)?;
        let (tell, told) = mpsc::channel();
        let out = bench.0.stdout.take();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = out.map(|out| BufReader::new(out).read_line(&mut line));
            let _nobody_waits = tell.send(matches!(read, Some(Ok(_))) && line == "ready\n");
        });
        if told.recv_timeout(BENCH_PATIENCE) == Ok(true) {
            return Ok(bench);
        }
        let why = fs::read_to_string(&path).unwrap_or_default();
        Err(Failure::Work(format!("the bench does not serve; {}: {}", shown(&path), why.trim())))
    }
}

fn start(command: &mut Command, place: &Path) -> Result<Guarded, Failure> {
    let name = PathBuf::from(command.get_program());
    command.current_dir(place).spawn().map(Guarded).map_err(|e| refused(&name, &e))
}

/// Copies a stream into a file up to a limit, and its lines to whoever listens.
fn follow(
    stream: Option<impl Read + Send + 'static>,
    log: &Path,
    tell: Option<Sender<Said>>,
) -> Outcome {
    let mut file = File::create(log).map_err(|e| refused(log, &e))?;
    let Some(stream) = stream else { return Ok(()) };
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let (mut line, mut room) = (Vec::new(), MOST_LOG);
        loop {
            line.clear();
            // A line without end counts as several.
            let read = stream.by_ref().take(1 << 16).read_until(b'\n', &mut line);
            if !matches!(read, Ok(1..)) {
                break;
            }
            if line.len() as u64 <= room {
                room -= line.len() as u64;
                let _disk_full = file.write_all(&line);
            }
            if let Some(tell) = &tell {
                let _nobody_listens =
                    tell.send(Said::Line(String::from_utf8_lossy(&line).into_owned()));
            }
        }
        if let Some(tell) = &tell {
            let _nobody_listens = tell.send(Said::End);
        }
    });
    Ok(())
}

fn refused(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Work(format!("{}: {error}", path.display()))
}

/// A path as a person would type it.
fn shown(path: &Path) -> String {
    let root = crate::process::root().canonicalize().unwrap_or_default();
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    full.strip_prefix(&root).unwrap_or(&full).display().to_string()
}
