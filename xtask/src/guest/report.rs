// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the guest says, line by line, and what it comes to. `tests/guest/src/report.rs` has the lines.

use crate::{Failure, Outcome};
use std::time::Duration;

/// Words in the kernel's log that somebody has to look at.
const ALARMS: &[&str] =
    &["DMAR: [", "BUG:", "WARNING:", "Oops", "Call Trace", "Kernel panic", "hung task"];

/// Everything so far.
#[derive(Default)]
pub(super) struct Report {
    expected: usize,
    passed: usize,
    failed: Vec<(String, Vec<String>)>,
    unasked: usize,
    skipped: usize,
    running: Vec<String>,
    last_failed: bool,
    ended: bool,
    noted: Vec<String>,
}

impl Report {
    /// Takes a line in. Gives what a person wants to see of it at once.
    pub(super) fn take(&mut self, line: &str) -> Option<String> {
        // The kernel's last words, or QEMU's, have no `@`; they may stand before it in a line.
        let (word, text) = line.split_once('@')?.1.split_once(' ')?;
        let text = text.trim_end();
        match word {
            "up" => return Some(format!("guest: up {text}")),
            "list" => {
                let count = text.rsplit(' ').next().and_then(|n| n.parse::<usize>().ok());
                self.expected += count.unwrap_or(0);
            }
            "run" => self.running.push(text.to_owned()),
            "pass" => {
                let (test, seconds) = timed(text);
                self.running.retain(|running| running != test);
                self.last_failed = false;
                self.passed += 1;
                return Some(format!("ok     {seconds:>7.2} s  {test}"));
            }
            "fail" => {
                let (test, seconds) = timed(text);
                self.running.retain(|running| running != test);
                self.last_failed = true;
                self.failed.push((test.to_owned(), Vec::new()));
                return Some(format!("FAILED {seconds:>7.2} s  {test}"));
            }
            "unasked" => {
                let mut words = text.splitn(3, ' ');
                let test = [words.next(), words.next()].map(Option::unwrap_or_default).join(" ");
                self.running.retain(|running| *running != test);
                self.last_failed = false;
                self.unasked += 1;
                return Some(format!("part              {text}"));
            }
            "skip" => {
                self.skipped += 1;
                return Some(format!("ignored          {text}"));
            }
            "out" => {
                if let Some((_, output)) = self.failed.last_mut().filter(|_| self.last_failed) {
                    output.push(text.to_owned());
                }
            }
            "kernel" if ALARMS.iter().any(|alarm| text.contains(alarm)) => {
                if let Some((_, output)) = self.failed.last_mut().filter(|_| self.last_failed) {
                    output.push(format!("kernel: {text}"));
                }
                return Some(format!("guest kernel: {text}"));
            }
            "note" => {
                self.noted.push(text.to_owned());
                return Some(format!("guest: {text}"));
            }
            "end" => self.ended = true,
            _ => {}
        }
        None
    }

    /// Whether the guest has said that it is done.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Prints what failed and the sum. `broken`: why the guest did not come to its end.
    pub(super) fn finish(mut self, broken: Option<String>, time: Duration) -> Outcome {
        for test in std::mem::take(&mut self.running) {
            self.failed.push((test, vec!["the guest ended in the middle of it".to_owned()]));
        }
        for (test, output) in &self.failed {
            println!("\n---- {test}");
            output.iter().for_each(|line| println!("{line}"));
        }
        let not_run = self
            .expected
            .saturating_sub(self.passed + self.failed.len() + self.unasked + self.skipped);
        let mut sum = format!("{} passed, {} failed", self.passed, self.failed.len());
        for (count, what) in
            [(self.unasked, "not asked in full"), (self.skipped, "ignored"), (not_run, "not run")]
        {
            if count > 0 {
                sum.push_str(&format!(", {count} {what}"));
            }
        }
        println!("\nguest: {sum}, {:.1} s", time.as_secs_f64());
        let failure = |why: String| Err(Failure::Work(why));
        match broken {
            Some(why) => failure(why),
            None if !self.ended => failure(match self.noted.last() {
                Some(note) => format!("the guest turned itself off early: {note}"),
                None => "the guest turned itself off before it was done".to_owned(),
            }),
            None if !self.failed.is_empty() => failure("tests failed in the guest".to_owned()),
            None if self.expected == 0 => {
                failure("no test of the guest has such a name".to_owned())
            }
            None if not_run > 0 => failure("tests of the guest were not run".to_owned()),
            None => Ok(()),
        }
    }
}

/// A test, and its milliseconds as seconds.
fn timed(text: &str) -> (&str, f64) {
    let (test, millis) = text.rsplit_once(' ').unwrap_or((text, "0"));
    (test, millis.parse::<f64>().unwrap_or(0.0) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::Report;
    use std::time::Duration;

    fn after(lines: &[&str]) -> Report {
        let mut report = Report::default();
        lines.iter().for_each(|line| drop(report.take(line)));
        report
    }

    fn outcome(lines: &[&str]) -> Result<(), String> {
        after(lines).finish(None, Duration::ZERO).map_err(|failure| failure.to_string())
    }

    #[test]
    fn all_is_well_only_if_each_expected_test_passed_and_the_guest_came_to_its_end() {
        let good = ["@list p 1", "@run p t", "@pass p t 12", "@end "];
        assert_eq!(outcome(&good), Ok(()));
        assert!(outcome(&good[..3]).is_err(), "no end");
        assert!(
            outcome(&["@list p 2", "@run p t", "@pass p t 12", "@end "]).is_err(),
            "one is missing"
        );
        assert!(outcome(&["@list p 1", "@run p t", "@fail p t 12", "@out why", "@end "]).is_err());
        assert!(outcome(&["@list p 0", "@end "]).is_err(), "nothing ran");
        assert!(outcome(&["@list p 1", "@run p t", "@end "]).is_err(), "ended in the middle");
        assert_eq!(
            outcome(&["@list p 1", "@run p t", "@unasked p t no such pin", "@end "]),
            Ok(())
        );
        assert!(
            outcome(&["@list p 1", "noise", "@run p t", "[0.1] x@pass p t 1", "@end "]).is_ok()
        );
    }

    #[test]
    fn lines_for_people() {
        let mut report = Report::default();
        assert_eq!(
            report.take("@pass p vfio::t 1250").as_deref(),
            Some("ok        1.25 s  p vfio::t")
        );
        assert_eq!(report.take("@kernel 1.0 usual").as_deref(), None);
        let fault = report.take("@kernel  1.0 DMAR: [DMA Read] fault");
        assert_eq!(fault.as_deref(), Some("guest kernel:  1.0 DMAR: [DMA Read] fault"));
    }
}
