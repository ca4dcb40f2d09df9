// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Mistakes that models plant in the code they check: a model that cannot fail shows nothing.

pub(crate) use super::atomics::Fault;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};

thread_local! {
    /// File, line and what is wrong there. Loom runs a model's threads on the thread of its test.
    static PLANTED: Cell<Option<(&'static str, u32, Fault)>> = const { Cell::new(None) };
}

/// What is planted at a place in the source.
pub(crate) fn at(place: &Location<'_>) -> Option<Fault> {
    let (file, line, fault) = PLANTED.get()?;
    (place.line() == line && place.file().ends_with(file)).then_some(fault)
}

/// A file of the driver, as the models name it.
pub(crate) struct Source {
    /// Its path, from `src` on.
    pub(crate) file: &'static str,
    pub(crate) text: &'static str,
}

/// Names a file of the driver, by its path from `src` on.
macro_rules! source {
    ($file:literal) => {
        $crate::sync::plant::Source {
            file: concat!("src/", $file),
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/", $file)),
        }
    };
}
pub(crate) use source;

impl Source {
    /// The one line that `needle` stands in; the next one if it ends in a line feed.
    fn line(&self, needle: &str) -> u32 {
        let (needle, below) = match needle.strip_suffix('\n') {
            Some(needle) => (needle, 1),
            None => (needle, 0),
        };
        let mut lines = (1..).zip(self.text.lines()).filter(|(_, line)| line.contains(needle));
        let (line, _) = lines.next().unwrap_or_else(|| panic!("{needle}: not in {}", self.file));
        assert!(lines.next().is_none(), "{needle}: more than once in {}", self.file);
        line + below
    }

    /// Runs `model` with a mistake in the line that `needle` names. It must panic, and say `expected`.
    #[track_caller]
    pub(crate) fn caught(&self, needle: &str, fault: Fault, expected: &str, model: fn()) {
        PLANTED.set(Some((self.file, self.line(needle), fault)));
        let outcome = catch_unwind(AssertUnwindSafe(|| loom::model(model)));
        PLANTED.set(None);
        let Err(panic) = outcome else {
            panic!("{fault:?} in {needle:?} of {} goes unnoticed", self.file);
        };
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default();
        assert!(
            text.contains(expected),
            "{fault:?} in `{needle}` of {}: caught, but not by what it breaks: {text}",
            self.file
        );
    }
}
