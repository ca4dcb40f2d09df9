// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Printing: one JSON object, or tables for people.

use comfy_table::{ContentArrangement, Table, presets};
use esnic_abi::{Algorithm, Direction, Mode, Protocol};
use std::fmt;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::sync::atomic::{AtomicU8, Ordering};

/// An empty table with these headings. On a terminal it fits the width.
pub(crate) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    // A serial line is a terminal of no known width.
    if table.width() != Some(0) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table.set_header(headings);
    table
}

/// "esp" or "ah".
pub(crate) const fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Esp => "esp",
        Protocol::Ah => "ah",
    }
}

/// "in" or "out".
pub(crate) const fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "in",
        Direction::Out => "out",
    }
}

/// "transport" or "tunnel".
pub(crate) const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Transport => "transport",
        Mode::Tunnel => "tunnel",
    }
}

/// "aes-gcm-256/16": the algorithm, its key in bits, its check value in bytes.
pub(crate) fn algorithm(algorithm: Algorithm, icv_len: u8) -> String {
    let kind = if algorithm.is_gmac() { "gmac" } else { "gcm" };
    format!("aes-{kind}-{}/{icv_len}", algorithm.key_len_bytes() * 8)
}

/// Whether standard output has failed: 0 no, 1 nobody reads it any more, 2 otherwise.
static FAILED: AtomicU8 = AtomicU8::new(0);

/// Writes a line to standard output. After a failure it writes nothing more: the work goes on to its
/// orderly end, and [`failed`] tells.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    if FAILED.load(Ordering::Relaxed) != 0 {
        return;
    }
    match writeln!(stdout().lock(), "{text}") {
        Ok(()) => {}
        // `| head`: a reader that has seen enough is no failure.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => FAILED.store(1, Ordering::Relaxed),
        Err(error) => {
            FAILED.store(2, Ordering::Relaxed);
            complain!("esnic: cannot write to standard output: {error}");
        }
    }
}

/// Whether something that had to be said could not be written, and somebody wanted to read it.
pub(crate) fn failed() -> bool {
    FAILED.load(Ordering::Relaxed) == 2
}

/// Writes a line to standard error. Where that cannot be written, there is nobody left to tell.
pub(crate) fn error_line(text: fmt::Arguments<'_>) {
    let _ = writeln!(stderr().lock(), "{text}");
}

/// As `println!`, by [`line`].
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}

/// As `eprintln!`, by [`error_line`].
macro_rules! complain {
    ($($text:tt)*) => { $crate::output::error_line(format_args!($($text)*)) };
}

pub(crate) use {complain, say};
