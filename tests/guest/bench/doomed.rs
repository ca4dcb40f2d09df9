// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A function whose server is killed by a test: it is another bench, with that one function and no line.

use crate::READY;
use crate::device::Kind;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Time in which a busy guest asks the device for something.
const UNTIL_BUSY: Duration = Duration::from_millis(500);

/// The function and the process that serves it.
pub(crate) struct Doomed {
    address: String,
    server: Child,
}

impl Doomed {
    /// Starts the process; it serves when this returns.
    pub(crate) fn start(kind: Kind, text: &str) -> Result<Self, String> {
        let (address, _) = text.split_once('=').ok_or_else(|| format!("--doomed {text}"))?;
        let program = std::env::current_exe().map_err(|e| format!("this program: {e}"))?;
        let mut server = Command::new(program)
            .args(["--device", kind.name(), "--function", text])
            // It ends when this end of its input does.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("the server of {address}: {e}"))?;
        let mut said = String::new();
        let read = server.stdout.take().map(|out| BufReader::new(out).read_line(&mut said));
        if !matches!(read, Some(Ok(_))) || said.trim() != READY {
            return Err(format!("the server of {address} does not serve"));
        }
        Ok(Self { address: address.to_owned(), server })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Kills the process, as `kill -9` does, in the middle of a request: it is stopped first, until one waits
    /// for it. QEMU 11.1 survives that, but may abort if its next message finds the socket closed.
    pub(crate) fn kill(&mut self) -> Result<(), String> {
        let explain = |e: std::io::Error| format!("the server of {}: {e}", self.address);
        kill_process(Pid::from_child(&self.server), Signal::STOP).map_err(|e| explain(e.into()))?;
        std::thread::sleep(UNTIL_BUSY);
        self.server.kill().map_err(explain)?;
        self.server.wait().map(drop).map_err(explain)
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.server.kill().and_then(|()| self.server.wait());
    }
}
