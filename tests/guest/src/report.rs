// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the guest tells the host, line by line on the console: `@` and a word, then text.
//!
//! | line | meaning |
//! |---|---|
//! | `@up TEXT` | the guest is ready |
//! | `@list PROGRAM COUNT` | so many tests are about to run from this program |
//! | `@run PROGRAM TEST` | this test starts |
//! | `@pass PROGRAM TEST MS` | it passed, in so many milliseconds |
//! | `@unasked PROGRAM TEST WHY` | it passed as far as this device lets it run |
//! | `@fail PROGRAM TEST MS` | it did not |
//! | `@skip PROGRAM TEST` | it is marked as ignored |
//! | `@out TEXT` | a line of what the last test printed, if it failed |
//! | `@kernel TEXT` | a line of the kernel's log |
//! | `@note TEXT` | what a person should know |
//! | `@end` | everything ran; without this line it did not |

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::sync::Mutex;

/// One line at a time, whatever threads there are.
static CONSOLE: Mutex<Option<File>> = Mutex::new(None);

/// Most of a line that is passed on.
const LONGEST: usize = 2000;

/// Writes one line.
pub(crate) fn line(word: &str, text: &str) {
    let mut console = match CONSOLE.lock() {
        Ok(console) => console,
        Err(poisoned) => poisoned.into_inner(),
    };
    if console.is_none() {
        *console = File::options().write(true).open("/dev/console").ok();
    }
    let Some(console) = console.as_mut() else { return };
    let text: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    // Nobody is left to tell of a console that does not work.
    let _ = console.write_all(format!("@{word} {text}\n").as_bytes());
}

/// Writes as many lines as the text has.
pub(crate) fn lines(word: &str, text: &str) {
    text.lines().for_each(|text| line(word, text));
}

/// A line that is put together like a format string.
macro_rules! say {
    ($word:literal, $($text:tt)*) => { $crate::report::line($word, &format!($($text)*)) };
}

/// What a person should know.
macro_rules! note {
    ($($text:tt)*) => { $crate::report::line("note", &format!($($text)*)) };
}

pub(crate) use {note, say};

/// The kernel's log, passed on beside the tests that made it speak.
pub(crate) struct Kernel(File);

impl Kernel {
    pub(crate) fn open() -> Result<Self, String> {
        use rustix::fs::{Mode, OFlags, open};
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = open("/dev/kmsg", flags, Mode::empty());
        file.map(|file| Self(file.into())).map_err(|error| format!("/dev/kmsg: {error}"))
    }

    /// Passes on what came since the last call.
    pub(crate) fn pass_on(&mut self) {
        let mut record = [0; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(len) => {
                    let text = String::from_utf8_lossy(&record[..len]);
                    // "level,number,microseconds,flags;text", then lines about the device.
                    let (head, text) = text.split_once(';').unwrap_or(("", &text));
                    let micros: u64 =
                        head.split(',').nth(2).and_then(|n| n.parse().ok()).unwrap_or(0);
                    let text = text.lines().next().unwrap_or_default();
                    say!("kernel", "{:>10.6} {text}", micros as f64 / 1e6);
                }
                // The log overran this reader; what is left is still worth having.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                    note!("kernel log: lines lost")
                }
                Err(_) => return,
            }
        }
    }
}
