// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The guest's end of the bench's control line: its second serial port.
//!
//! One line asks, one line answers: `ok TEXT`, `no` (this kind of device cannot), or `error TEXT`.

use rustix::fs::{FlockOperation, flock};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Where the bench listens.
const PORT: &str = "/dev/ttyS1";

/// Asks the bench. Nothing if this kind of device cannot do it.
///
/// # Panics
/// If the bench is not there, or calls it an error: with what it says.
#[must_use]
#[track_caller]
pub fn ask(request: &str) -> Option<String> {
    static LINE: OnceLock<Mutex<File>> = OnceLock::new();
    let line = LINE.get_or_init(|| {
        Mutex::new(open().unwrap_or_else(|error| panic!("the bench's line {PORT}: {error}")))
    });
    let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
    let answer = exchange(&mut line, request)
        .unwrap_or_else(|error| panic!("the bench on {PORT}: {error}, asked `{request}`"));
    match answer.split_once(' ').unwrap_or((&answer, "")) {
        ("ok", text) => Some(text.to_owned()),
        ("no", _) => None,
        ("error", text) => panic!("{text}"),
        _ => panic!("the bench answered `{answer}` to `{request}`"),
    }
}

fn open() -> io::Result<File> {
    let file = File::options().read(true).write(true).open(PORT)?;
    flock(&file, FlockOperation::LockExclusive)?;
    let mut mode = tcgetattr(&file)?;
    mode.make_raw();
    tcsetattr(&file, OptionalActions::Flush, &mode)?;
    flock(&file, FlockOperation::Unlock)?;
    Ok(file)
}

/// Other processes ask too: whoever has the lock has the line.
fn exchange(line: &mut File, request: &str) -> io::Result<String> {
    flock(&*line, FlockOperation::LockExclusive)?;
    let answer = alone(line, request);
    flock(&*line, FlockOperation::Unlock)?;
    answer
}

fn alone(line: &mut File, request: &str) -> io::Result<String> {
    line.write_all(format!("{request}\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut part = [0; 512];
    while answer.last() != Some(&b'\n') {
        let len = line.read(&mut part)?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&part[..len]);
    }
    Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
}
