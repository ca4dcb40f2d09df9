// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What `sync` has to say at the end: what the device holds, read back from it, whether that is what
//! it should hold, and what could not be offloaded.

use crate::output::{self, say};
use esnic_driver::transport::Transport;
use esnic_driver::{Difference, Error, Row, SaHandle, SaManager};
use esnic_xfrm::{EventCounts, Follower, Skipped};
use serde::Serialize;

/// The outcome of following an input.
pub struct Report {
    /// What the device holds, sorted by SPI.
    pub rows: Vec<Row>,
    /// What it cannot hold, and why.
    pub skipped: Vec<Skipped>,
    /// Where it does not hold what it should.
    pub diff: Vec<Difference>,
    /// How many events there were.
    pub events: EventCounts,
    unmatched: u64,
    resync: Option<&'static str>,
    recovered: u32,
    kind: String,
    capacity: u32,
    abi_hash: u64,
    /// The input was damaged here; everything before it was followed.
    pub input_error: Option<anyhow::Error>,
    /// The device failed.
    pub device_error: Option<anyhow::Error>,
}

#[derive(Serialize)]
struct Sa {
    spi: String,
    proto: &'static str,
    src: String,
    dst: String,
    mode: &'static str,
    dir: &'static str,
    algorithm: String,
    esn: bool,
    esn_hi: u32,
    seq_lo: u32,
    replay_window: u16,
}

#[derive(Serialize)]
struct SkippedSa<'r> {
    spi: String,
    proto: &'r str,
    src: String,
    dst: String,
    reason: &'r str,
}

#[derive(Serialize)]
struct Events {
    newsa: u64,
    updsa: u64,
    delsa: u64,
    newae: u64,
    expire: u64,
    flush: u64,
}

#[derive(Serialize)]
struct Device<'r> {
    kind: &'r str,
    capacity: u32,
    abi_hash: String,
}

#[derive(Serialize)]
struct Object<'r> {
    sas: Vec<Sa>,
    skipped: Vec<SkippedSa<'r>>,
    diff: Vec<String>,
    events: Events,
    device: Device<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resync_needed: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Report {
    /// Reads the device back and compares it with the shadow.
    pub(super) fn new<T: Transport>(
        manager: &SaManager<T>,
        kind: &str,
        follower: &Follower,
        recovered: u32,
    ) -> Result<Self, Error> {
        let mut rows = manager.read_table()?;
        rows.sort_by_key(|row| (row.spi, row.protocol as u8, row.dst, row.src));
        let caps = manager.caps()?;
        Ok(Self {
            rows,
            skipped: follower.skipped(),
            diff: manager.diff()?,
            events: follower.events(),
            unmatched: follower.unmatched(),
            resync: follower.resync_needed(),
            recovered,
            kind: kind.to_owned(),
            capacity: caps.params.sa_capacity,
            abi_hash: caps.abi_hash,
            input_error: None,
            device_error: None,
        })
    }

    /// Whether the device holds what the events said.
    #[must_use]
    pub fn is_in_step(&self) -> bool {
        self.diff.is_empty() && self.device_error.is_none() && self.resync.is_none()
    }

    /// Whether two devices hold the same.
    #[must_use]
    pub fn same_table(&self, other: &Self) -> bool {
        let key = |row: &Row| Row { handle: SaHandle::from_bits(0), ..row.clone() };
        self.rows.iter().map(key).eq(other.rows.iter().map(key))
    }

    /// The report as one JSON object.
    ///
    /// # Errors
    /// None that this object can cause.
    pub fn json(&self) -> serde_json::Result<String> {
        let error = self.device_error.as_ref().or(self.input_error.as_ref());
        let EventCounts { newsa, updsa, delsa, newae, expire, flush } = self.events;
        serde_json::to_string_pretty(&Object {
            sas: self.rows.iter().map(sa).collect(),
            skipped: self.skipped.iter().map(skipped).collect(),
            diff: self.diff.iter().map(ToString::to_string).collect(),
            events: Events { newsa, updsa, delsa, newae, expire, flush },
            device: Device {
                kind: &self.kind,
                capacity: self.capacity,
                abi_hash: format!("{:#018x}", self.abi_hash),
            },
            resync_needed: self.resync,
            error: error.map(|error| format!("{error:#}")),
        })
    }

    /// The report as tables.
    pub fn print(&self) {
        say!("The {} device holds {} SAs:", self.kind, self.rows.len());
        if !self.rows.is_empty() {
            say!("{}", self.table());
        }
        if !self.skipped.is_empty() {
            say!("Not offloaded:");
            let mut table = output::table(&["SPI", "protocol", "from", "to", "why"]);
            for one in self.skipped.iter().map(skipped) {
                table.add_row([&one.spi, one.proto, &one.src, &one.dst, one.reason]);
            }
            say!("{table}");
        }
        let EventCounts { newsa, updsa, delsa, newae, expire, flush } = self.events;
        say!(
            "Events: {newsa} NEWSA, {updsa} UPDSA, {delsa} DELSA, {newae} NEWAE, {expire} EXPIRE, \
             {flush} FLUSHSA; {} named SAs never seen.",
            self.unmatched
        );
        if self.recovered > 0 {
            say!("The device was reset and restored {} times.", self.recovered);
        }
        if let Some(reason) = self.resync {
            say!("The kernel's table is no longer known: {reason}.");
        }
        if let Some(error) = &self.device_error {
            say!("The device failed: {error:#}.");
        }
        if self.is_in_step() {
            say!("In step: the table read back from the device is what it should be.");
        } else if self.diff.is_empty() {
            say!("NOT in step: the device holds what the driver wants, but see above.");
        } else {
            say!("NOT in step, {} rows differ:", self.diff.len());
            self.diff.iter().for_each(|difference| say!("  {difference}"));
        }
    }

    fn table(&self) -> comfy_table::Table {
        let headings = [
            "SPI",
            "protocol",
            "dir",
            "mode",
            "from",
            "to",
            "algorithm",
            "ESN",
            "top (hi:lo)",
            "window",
        ];
        let mut table = output::table(&headings);
        for row in &self.rows {
            table.add_row([
                row.spi.to_string(),
                output::protocol(row.protocol).to_owned(),
                output::direction(row.direction).to_owned(),
                output::mode(row.mode).to_owned(),
                row.src.to_string(),
                row.dst.to_string(),
                output::algorithm(row.algorithm, row.icv_len),
                if row.esn { "yes" } else { "no" }.to_owned(),
                row.top.to_string(),
                row.replay_window.to_string(),
            ]);
        }
        table
    }
}

fn sa(row: &Row) -> Sa {
    Sa {
        spi: row.spi.to_string(),
        proto: output::protocol(row.protocol),
        src: row.src.to_string(),
        dst: row.dst.to_string(),
        mode: output::mode(row.mode),
        dir: output::direction(row.direction),
        algorithm: output::algorithm(row.algorithm, row.icv_len),
        esn: row.esn,
        esn_hi: row.top.hi(),
        seq_lo: row.top.lo(),
        replay_window: row.replay_window,
    }
}

fn skipped(one: &Skipped) -> SkippedSa<'_> {
    SkippedSa {
        spi: format!("{:#010x}", one.spi),
        proto: &one.proto,
        src: one.src.to_string(),
        dst: one.dst.to_string(),
        reason: &one.reason,
    }
}
