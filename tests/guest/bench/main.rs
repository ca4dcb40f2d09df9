// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The bench of the test guest, on the host: it serves a device for each of the guest's PCI functions,
//! and listens to what tests in the guest ask for on their second serial port.
//!
//! `guest-bench --device model|rtl --control SOCKET --function ADDRESS=CAPACITY:VECTORS:SOCKET…`
//!
//! It says `ready` once everything listens, and ends when its standard input does, or the line.
// Both kinds of backends of the tests bring the module of their sockets along.
#![allow(clippy::duplicate_mod)]

#[macro_use]
#[path = "../../common/mod.rs"]
mod common;
#[macro_use]
#[path = "../../support/mod.rs"]
mod support;

mod device;
mod line;

use device::Plugged;
use esnic::serve::{Served, serve};
use esnic_abi::Params;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// From one access of QEMU's to the next it takes some 100 µs.
const SPIN: Duration = Duration::from_micros(100);

/// A function of the guest's machine, and the device that is in it now.
struct Function {
    address: String,
    capacity: u32,
    served: Served<Plugged>,
}

/// Everything.
struct Bench {
    kind: device::Kind,
    functions: Vec<Function>,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("guest-bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let (mut kind, mut control, mut functions) = (None, None, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().ok_or_else(|| format!("{arg} takes a value"))?;
        match arg.as_str() {
            "--device" => kind = Some(value.parse()?),
            "--control" => control = Some(value),
            "--function" => functions.push(value),
            _ => return Err(format!("there is no {arg}")),
        }
    }
    let kind = kind.ok_or("--device is missing")?;
    let functions: Result<Vec<_>, _> = functions.iter().map(|text| function(kind, text)).collect();
    let mut bench = Bench { kind, functions: functions? };
    let control = control.ok_or("--control is missing")?;
    let listener = UnixListener::bind(&control).map_err(|e| format!("{control}: {e}"))?;
    end_with_input();
    println!("ready");
    std::io::stdout().flush().map_err(|e| format!("standard output: {e}"))?;
    let (line, _) = listener.accept().map_err(|e| format!("{control}: {e}"))?;
    line::attend(line, &mut bench).map_err(|e| format!("{control}: {e}"))
}

/// `ADDRESS=CAPACITY:VECTORS:SOCKET`
fn function(kind: device::Kind, text: &str) -> Result<Function, String> {
    let wrong = || format!("--function {text}");
    let (address, rest) = text.split_once('=').ok_or_else(wrong)?;
    let mut words = rest.splitn(3, ':');
    let mut word = || words.next().ok_or_else(wrong);
    let capacity = word()?.parse().map_err(|_| wrong())?;
    let vectors = word()?.parse().map_err(|_| wrong())?;
    let socket = word()?;
    let device = Plugged::first(kind, capacity)?;
    let served = serve(device, vectors, Path::new(socket)).map_err(|e| format!("{socket}: {e}"))?;
    served.remote().spin_for(SPIN);
    Ok(Function { address: address.to_owned(), capacity, served })
}

/// Whoever started this holds the other end of standard input, as long as it lives.
fn end_with_input() {
    std::thread::spawn(|| {
        let mut rest = [0; 64];
        while matches!(std::io::stdin().read(&mut rest), Ok(1..)) {}
        std::process::exit(0);
    });
}

impl Bench {
    /// The function at an address.
    fn at(&self, address: &str) -> Result<&Function, String> {
        let found = self.functions.iter().find(|one| one.address == address);
        found.ok_or_else(|| format!("the bench has no function {address}"))
    }

    /// The address of the function with so many SA slots that a lane has; lanes may share one.
    fn of_lane(&self, lane: usize, capacity: u32) -> Result<&str, String> {
        let all = self.functions.iter().filter(|one| one.capacity == capacity);
        let all: Vec<&Function> = all.collect();
        let of_lane = all.get(lane % all.len().max(1));
        let of_lane = of_lane
            .ok_or_else(|| format!("no function of the guest has a table of {capacity} rows"))?;
        Ok(&of_lane.address)
    }

    /// Plugs a device in, fresh from power-on.
    fn plug(&self, address: &str, params: Params) -> Result<(), String> {
        let device = Plugged::new(self.kind, params)?;
        match self.at(address)?.served.replace(device) {
            Ok(_old) => Ok(()),
            Err(_) => Err(format!("{address} has a BAR of another length")),
        }
    }
}
