// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The test programs: each test in a process of its own, so that what one leaves behind (a device in
//! use, a thread, a panic while panicking) ends with it.

use crate::order::Order;
use crate::report::{self, Kernel, note, say};
use esnic_guest::lane::LANE;
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpgid};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Where the host put them.
const PROGRAMS: &str = "/tests";

/// Most bytes of a failed test's output that are passed on: its end, where the reason is.
const MOST_OUTPUT: usize = 64 << 10;

/// How a line begins that says what is not asked (`tests/support/asked.rs`).
const NOT_ASKED: &str = "not asked of ";

/// Programs that go first, since they have the longest tests.
const FIRST: &str = "vfio_";

/// A test to run.
struct Test {
    program: String,
    path: PathBuf,
    name: String,
}

/// Runs what is asked for, several at once.
pub(crate) fn run_all(order: &Order, kernel: &mut Kernel) -> Result<(), String> {
    let programs = std::fs::read_dir(PROGRAMS).map_err(|error| format!("{PROGRAMS}: {error}"))?;
    let mut programs: Vec<_> = programs.flatten().map(|file| file.path()).collect();
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    programs.sort_by_key(|path| (!name(path).starts_with(FIRST), path.clone()));
    let mut queue = VecDeque::new();
    for path in programs {
        let program = name(&path);
        let ignored = list(&path, &["--ignored"])?;
        let tests = list(&path, &[])?;
        let wanted: Vec<_> = tests.into_iter().filter(|test| order.wants(&program, test)).collect();
        say!("list", "{program} {}", wanted.len());
        for name in wanted {
            if ignored.contains(&name) {
                say!("skip", "{program} {name}");
            } else {
                queue.push_back(Test { program: program.clone(), path: path.clone(), name });
            }
        }
    }
    let (told, tests) = (&Mutex::new(kernel), &Mutex::new(queue));
    std::thread::scope(|scope| {
        for lane in 0..order.lanes {
            scope.spawn(move || {
                loop {
                    let next = lock(tests).pop_front();
                    let Some(test) = next else { break };
                    one(order, lane, &test, told);
                }
            });
        }
    });
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The tests that a program has.
fn list(path: &Path, more: &[&str]) -> Result<Vec<String>, String> {
    let output = Command::new(path).args(["--list", "--format", "terse"]).args(more).output();
    let output = output.map_err(|error| format!("{}: {error}", path.display()))?;
    if !output.status.success() {
        return Err(format!("{} cannot list its tests: {}", path.display(), output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// Runs one test and tells what came of it.
fn one(order: &Order, lane: usize, test: &Test, told: &Mutex<&mut Kernel>) {
    let Test { program, name, path } = test;
    say!("run", "{program} {name}");
    let start = Instant::now();
    let outcome = attempt(order, lane, path, name, start + order.patience);
    let millis = start.elapsed().as_millis();
    // What belongs to one test stays together.
    let mut kernel = lock(told);
    match outcome {
        Ok(None) => say!("pass", "{program} {name} {millis}"),
        Ok(Some(why)) => say!("unasked", "{program} {name} {why}"),
        Err(output) => {
            say!("fail", "{program} {name} {millis}");
            report::lines("out", &output);
        }
    }
    kernel.pass_on();
}

/// If the test ran and passed: what it, or the rest of it, was not asked for. Else what it had to say.
fn attempt(
    order: &Order,
    lane: usize,
    path: &Path,
    test: &str,
    deadline: Instant,
) -> Result<Option<String>, String> {
    // A file rather than a pipe: nobody has to read while the test runs, and nothing of it is lost.
    let log = &format!("/tmp/output-{lane}");
    let mut output = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(log)
        .map_err(|error| format!("{log}: {error}"))?;
    let other = || output.try_clone().map(Stdio::from).map_err(|error| format!("{log}: {error}"));
    let child = Command::new(path)
        .args(["--exact", test, "--test-threads", "1", "--show-output"])
        .envs(order.environment.iter().map(|(name, value)| (name, value)))
        .env("RUST_BACKTRACE", "1")
        .env(LANE, lane.to_string())
        .stdin(Stdio::null())
        .stdout(other()?)
        .stderr(other()?)
        .process_group(0)
        .spawn();
    let mut child = child.map_err(|error| format!("{}: {error}", path.display()))?;
    let status = wait(&mut child, deadline);
    end_group(&child);

    let mut text = Vec::new();
    let read = output.rewind().and_then(|()| output.read_to_end(&mut text));
    if let Err(error) = read {
        note!("{log}: {error}");
    }
    let text =
        String::from_utf8_lossy(&text[text.len().saturating_sub(MOST_OUTPUT)..]).into_owned();
    match status {
        // A test that was not found would pass too, if only the exit code were looked at.
        Some(status) if status.success() && text.contains("test result: ok. 1 passed") => {
            let unasked = text.lines().find(|line| line.starts_with(NOT_ASKED));
            Ok(unasked.map(str::to_owned))
        }
        Some(status) => Err(format!("{text}\n{status}")),
        None => Err(format!(
            "{text}\nended by the guest: it took longer than {} s",
            order.patience.as_secs()
        )),
    }
}

/// Waits for the end; kills at the deadline.
fn wait(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            Ok(None) => {
                end_group(child);
                let _killed = child.wait();
                return None;
            }
            Err(error) => {
                note!("cannot wait for a test: {error}");
                return None;
            }
        }
    }
}

/// Ends what a test left running, and takes in what became the first process's own.
fn end_group(child: &Child) {
    if let Ok(id) = i32::try_from(child.id())
        && let Some(group) = Pid::from_raw(id)
    {
        // Usually nobody is left.
        let _ = kill_process_group(group, Signal::KILL);
        while let Ok(Some(_)) = waitpgid(group, WaitOptions::NOHANG) {}
    }
}
