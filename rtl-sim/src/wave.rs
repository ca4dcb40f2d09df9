// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Waveforms: of the cycles that somebody asked for, or of the last ones before a test failed.
//!
//! A waveform shows everything inside the device, keys too. Whoever wants one runs the device with test
//! keys.

use crate::error::RtlError;
use crate::ffi::Verilated;
use core::ops::Range;
use std::ffi::CString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Names a directory in which each device leaves the waveform of its last cycles if its test fails.
const DIRECTORY: &str = "ESNIC_RTL_WAVES";

/// The last cycles are at least so many, and at most twice as many.
const LAST: u64 = 20_000;

/// Devices of this process that had such a waveform.
static DEVICES: AtomicU32 = AtomicU32::new(0);

/// A file and the cycles that go into it.
struct Wave {
    path: CString,
    cycles: Range<u64>,
    open: bool,
}

/// Two files by turns, so that one of them always is whole.
struct Last {
    files: [PathBuf; 2],
    turn: usize,
    /// A program that is no test does not panic when what it says is wrong: its files stay.
    always: bool,
}

/// The waveforms of one device.
#[derive(Default)]
pub(crate) struct Waves {
    wave: Option<Wave>,
    last: Option<Last>,
    traced: u64,
}

impl Waves {
    /// What the environment asks for: nothing, or the last cycles.
    pub(crate) fn from_env(build: &str) -> Self {
        let directory = std::env::var_os(DIRECTORY).filter(|_| cfg!(feature = "trace"));
        let Some(directory) = directory.map(PathBuf::from) else { return Self::default() };
        let thread = std::thread::current();
        // The test harness calls a test's thread by the name of the test.
        let test = thread.name().unwrap_or("unnamed").replace("::", ".");
        let number = DEVICES.fetch_add(1, Ordering::Relaxed);
        let file = |turn: &str| directory.join(format!("{test}-{number}-{build}-{turn}.fst"));
        let last = Last { files: [file("a"), file("b")], turn: 0, always: test == "main" };
        Self { last: Some(last), ..Self::default() }
    }

    /// Writes these cycles to a file from now on, and to no other.
    pub(crate) fn ask(
        &mut self,
        model: &mut Verilated,
        path: &Path,
        cycles: Range<u64>,
    ) -> Result<(), RtlError> {
        if !cfg!(feature = "trace") {
            return Err(RtlError::NoTrace);
        }
        let wave = Wave::new(path, cycles)?;
        model.trace_close();
        self.traced = 0;
        self.last = None;
        self.wave = Some(wave);
        Ok(())
    }

    /// Cycles that were written since they were asked for.
    pub(crate) fn traced(&self) -> u64 {
        self.traced
    }

    /// Whether [`Waves::turn`] has anything to do.
    pub(crate) fn wanted(&self) -> bool {
        self.wave.is_some() || self.last.is_some()
    }

    /// Before cycle `now`: opens a file when its first cycle comes, and closes it after its last.
    pub(crate) fn turn(&mut self, model: &mut Verilated, now: u64) {
        if self.wave.as_ref().is_some_and(|wave| wave.open && !wave.cycles.contains(&now)) {
            model.trace_close();
            self.wave = None;
        }
        if self.wave.is_none()
            && let Some(last) = &mut self.last
        {
            last.turn = 1 - last.turn;
            // A file that cannot be written is no reason to fail another test than the one that does.
            self.wave = Wave::new(&last.files[last.turn], now..now + LAST).ok();
        }
        let Some(wave) = &mut self.wave else { return };
        if !wave.open && wave.cycles.contains(&now) {
            wave.open = model.trace_open(&wave.path);
        }
        self.traced += u64::from(wave.open);
    }

    /// Ends it, and says where the last cycles are if this thread fails.
    pub(crate) fn close(&mut self, model: &mut Verilated) {
        model.trace_close();
        self.wave = None;
        let Some(last) = self.last.take() else { return };
        if last.always || std::thread::panicking() {
            let name = last.files[last.turn].display();
            eprintln!("RTL: the last cycles, with the keys of this test, are in {name}");
            return;
        }
        for file in &last.files {
            // One of them may never have been begun.
            let _ = std::fs::remove_file(file);
        }
    }
}

impl Wave {
    fn new(path: &Path, cycles: Range<u64>) -> Result<Self, RtlError> {
        // Tried now, because the library that writes waveforms does not say what is wrong.
        let refused = |source| RtlError::TraceFile { path: path.to_owned(), source };
        File::create(path).map_err(refused)?;
        let path = CString::new(path.as_os_str().as_encoded_bytes())
            .map_err(|error| refused(error.into()))?;
        Ok(Self { path, cycles, open: false })
    }
}
