// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The line to the guest: one line asks, one line answers. `tests/guest/src/control.rs` is its other end.
//!
//! | request | answer |
//! |---|---|
//! | `where LANE CAPACITY` | the address of the function with so many SA slots that this lane has |
//! | `plug ADDRESS PARAMS` | nothing; a device with these is there now, fresh from power-on |
//! | `pull ADDRESS` | nothing; that slot is empty from now on |
//! | `inject ADDRESS FAULT` | nothing; the device fails once |
//! | `faults ADDRESS` | the knobs as they are |
//! | `misbehave ADDRESS FAULTS` | nothing, or `no` if this kind of device has not such knobs |
//! | `trace ADDRESS` | commands executed and not told yet, as many as fit; empty if there is none |
//! | `executed ADDRESS` | the same, as opcode bytes |
//! | `refused ADDRESS` | DMA reads and writes of the device that its host refused |
//! | `wiped ADDRESS INDEX` | whether all memory of an SA slot is zero: `yes` or `not` |

use super::Bench;
use crate::common::Took;
use esnic_guest::wire;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

/// Commands that one answer tells: as many as a serial port buffers.
const TOLD_AT_ONCE: usize = 100;

/// Executed commands that were not told yet, by address.
type Untold = BTreeMap<String, VecDeque<(Took, u8)>>;

/// Answers until the other end is gone.
pub(crate) fn attend(line: UnixStream, bench: &mut Bench) -> io::Result<()> {
    let mut answers = line.try_clone()?;
    let mut untold = Untold::new();
    for request in BufReader::new(line).lines() {
        let request = request?;
        let answer = match answer(bench, &mut untold, request.trim()) {
            Ok(Some(text)) => format!("ok {text}\n"),
            Ok(None) => "no\n".to_owned(),
            Err(why) => format!("error {}\n", why.replace('\n', " ")),
        };
        answers.write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// Nothing if this kind of device cannot do it.
fn answer(bench: &mut Bench, untold: &mut Untold, request: &str) -> Result<Option<String>, String> {
    let (verb, rest) = request.split_once(' ').unwrap_or((request, ""));
    let (address, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    match verb {
        "where" => {
            let lane = address.parse().map_err(|_| format!("`{address}` is no lane"))?;
            let capacity = rest.parse().map_err(|_| format!("`{rest}` is no capacity"))?;
            return Ok(Some(bench.of_lane(lane, capacity)?.to_owned()));
        }
        "plug" => {
            bench.plug(address, wire::params(rest)?)?;
            untold.remove(address);
            return Ok(Some(String::new()));
        }
        _ => {}
    }
    let served = &bench.at(address)?.served;
    match verb {
        "pull" => {
            served.pull();
            Ok(Some(String::new()))
        }
        "inject" => {
            let fault = rest.parse()?;
            served.with_device(|device| device.inject(fault));
            Ok(Some(String::new()))
        }
        "faults" => {
            let mut now = String::new();
            served.with_device(|device| device.misbehave(|faults| now = wire::faults_text(faults)));
            Ok(Some(now))
        }
        "misbehave" => {
            let wanted = wire::faults(rest)?;
            let can = served.with_device(|device| device.misbehave(|faults| *faults = wanted));
            Ok(can.then(String::new))
        }
        "trace" | "executed" => {
            let waiting = untold.entry(address.to_owned()).or_default();
            waiting.extend(served.with_device(|device| device.executed()));
            let now = waiting.len().min(TOLD_AT_ONCE);
            let told = waiting.drain(..now).map(|(took, opcode)| match verb {
                "trace" => took.to_string(),
                _ => opcode.to_string(),
            });
            Ok(Some(told.collect::<Vec<_>>().join(" ")))
        }
        "refused" => {
            let faults = served.faults();
            Ok(Some(format!("{} {}", faults.reads, faults.writes)))
        }
        "wiped" => {
            let index = rest.parse().map_err(|_| format!("`{rest}` is no slot"))?;
            let wiped = served.with_device(|device| device.is_wiped(index));
            Ok(Some(if wiped { "yes" } else { "not" }.to_owned()))
        }
        _ => Err(format!("the bench does not know `{verb}`")),
    }
}
