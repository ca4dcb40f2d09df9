// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Runs the command as a user would.

use super::File;
use serde_json::Value;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long any run of the command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: Vec<u8>,
    pub err: String,
}

impl Ran {
    pub fn text(&self) -> &str {
        str::from_utf8(&self.out).unwrap()
    }

    /// Standard output as exactly one JSON object.
    #[track_caller]
    pub fn json(&self) -> Value {
        let value: Value =
            serde_json::from_slice(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert!(value.is_object(), "{value}");
        value
    }
}

/// The command with these arguments, not started yet.
pub fn command<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esnic"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs the command.
pub fn esnic<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Ran {
    finish(command(args).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

/// Runs the command with something on standard input.
pub fn esnic_fed(args: &[&str], input: &[u8]) -> Ran {
    let mut child = command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Whoever does not read all of it need not.
    let feeder = thread::spawn(move || drop(stdin.write_all(&input)));
    let ran = gather(child);
    feeder.join().unwrap();
    ran
}

fn finish(command: &mut Command) -> Ran {
    gather(command.spawn().unwrap())
}

fn gather(mut child: Child) -> Ran {
    fn reader(from: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            from.unwrap().read_to_end(&mut bytes).unwrap();
            bytes
        })
    }
    let out = reader(child.stdout.take());
    let err = reader(child.stderr.take());
    let status = wait(&mut child);
    Ran {
        code: status.code(),
        out: out.join().unwrap(),
        err: String::from_utf8(err.join().unwrap()).unwrap(),
    }
}

/// Waits for the end, but not forever.
pub fn wait(child: &mut Child) -> ExitStatus {
    let begun = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("the command does not end");
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Runs `esnic sync --json` on a capture. With `locals`, the captured machine's addresses are given.
pub fn sync(file: &File, locals: bool, more: &[&str]) -> Ran {
    let mut args = vec!["sync", "--capture", &file.path, "--json"];
    if locals {
        args.extend(file.locals().iter().flat_map(|address| ["--local", address]));
    }
    args.extend(more);
    esnic(args)
}

/// The object of a run that must end in step.
#[track_caller]
pub fn object(ran: &Ran) -> Value {
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    let object = ran.json();
    assert_eq!(object["diff"], Value::Array(Vec::new()));
    object
}
