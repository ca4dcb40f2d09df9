// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What was committed: how large each block may be, how memories are to be mapped, and which ways of logic
//! are deeper than the rest and why.

use super::report::{Figures, Report};
use std::collections::BTreeMap;

/// Deeper ways have to be explained; what is explained has to be as deep as this at least, for a change
/// elsewhere in a block may move a way by a level.
pub(super) const DEPTH: u64 = 12;

/// `rtl-sim/synth/limits.txt`.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// Of each block, and of the whole device as `device`.
    pub(super) blocks: BTreeMap<String, Figures>,
    /// Of each large memory, the cell that it is made of and how many of them.
    memories: BTreeMap<String, (String, u64)>,
    /// Columns of 4,096 x 72: those of the SA table, and all.
    columns: BTreeMap<String, u64>,
}

impl Limits {
    /// Reads three kinds of lines: `block` with a number a figure, `memory`, `columns`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut limits = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            let fault =
                || format!("limits.txt, line {}: cannot read `{}`", number + 1, line.trim());
            let numbers = |words: &[&str]| -> Result<Vec<u64>, String> {
                words.iter().map(|word| word.parse().map_err(|_| fault())).collect()
            };
            let new = match words[..] {
                [] => true,
                ["block", name, ref rest @ ..] => {
                    let figures = Figures::from_list(&numbers(rest)?).ok_or_else(fault)?;
                    limits.blocks.insert(name.to_owned(), figures).is_none()
                }
                ["memory", name, cell, count] => {
                    let count = numbers(&[count])?[0];
                    limits.memories.insert(name.to_owned(), (cell.to_owned(), count)).is_none()
                }
                ["columns", what, count] => {
                    let count = numbers(&[count])?[0];
                    limits.columns.insert(what.to_owned(), count).is_none()
                }
                _ => return Err(fault()),
            };
            if !new {
                return Err(format!("limits.txt, line {}: given twice", number + 1));
            }
        }
        Ok(limits)
    }

    /// What of a report is beyond these limits, a sentence each.
    pub(super) fn violations(&self, report: &Report) -> Vec<String> {
        let mut found = Vec::new();
        let measured: BTreeMap<&str, &Figures> = report.all().collect();
        for (name, figures) in &measured {
            let Some(limits) = self.blocks.get(*name) else {
                found.push(format!("{name} has no limits in limits.txt"));
                continue;
            };
            for ((figure, value), (_, limit)) in figures.list().into_iter().zip(limits.list()) {
                if value > limit {
                    found.push(format!("{name}: {value} {figure}, and the limit is {limit}"));
                }
            }
        }
        for name in self.blocks.keys().filter(|name| !measured.contains_key(name.as_str())) {
            found.push(format!("{name} has limits, and is not in the netlist"));
        }
        for (name, (cell, limit)) in &self.memories {
            let cells = report.memories.get(name);
            let count = cells.and_then(|cells| cells.get(cell)).copied().unwrap_or(0);
            if count == 0 {
                found.push(format!("{name}: is to be made of {cell}, and none is there"));
            } else if count > *limit {
                found.push(format!("{name}: {count} {cell}, and the limit is {limit}"));
            }
            for other in cells.into_iter().flat_map(BTreeMap::keys).filter(|other| *other != cell) {
                found.push(format!("{name}: is to be made of {cell}, and {other} is in it"));
            }
        }
        for (what, columns) in [("sa", report.sa_columns()), ("device", report.columns())] {
            match self.columns.get(what) {
                None => found.push(format!("limits.txt says nothing of the columns of `{what}`")),
                // Sixteenths, since the smallest RAM is one of them.
                Some(limit) if columns > 16 * limit => found.push(format!(
                    "{what}: {} columns of 4,096 x 72, and the limit is {limit}",
                    super::report::sixteenths(columns)
                )),
                Some(_) => {}
            }
        }
        found
    }
}

/// `rtl-sim/synth/paths.txt`: for each end of a deep way, how deep it may be; the reasons are for people.
#[derive(Debug, Default)]
pub(super) struct Explained {
    pub(super) ends: BTreeMap<String, u64>,
}

impl Explained {
    /// Reads paragraphs: a reason that begins at the margin, then indented lines with an end and its levels.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut explained = Self::default();
        let mut reason = None;
        let mut ends = 0;
        // The blank line at the end closes the last paragraph.
        for (number, line) in text.lines().chain([""]).enumerate() {
            let fault =
                |number: usize, what: &str| format!("paths.txt, line {}: {what}", number + 1);
            if line.starts_with('#') {
                continue;
            }
            if line.trim().is_empty() {
                if let Some(number) = reason.filter(|_| ends == 0) {
                    return Err(fault(number, "the reason explains nothing"));
                }
                (reason, ends) = (None, 0);
                continue;
            }
            if !line.starts_with(' ') {
                reason.get_or_insert(number);
                continue;
            }
            if reason.is_none() {
                return Err(fault(number, "no reason is given"));
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let (end, levels) = match words[..] {
                [end, levels] => levels.parse().ok().map(|levels| (end, levels)),
                _ => None,
            }
            .ok_or_else(|| fault(number, "not an end and its levels"))?;
            if explained.ends.insert(end.to_owned(), levels).is_some() {
                return Err(fault(number, "given twice"));
            }
            ends += 1;
        }
        Ok(explained)
    }

    /// Ways that are deeper than they may be, and explanations of what is not deep: a sentence each.
    pub(super) fn violations(&self, report: &Report) -> Vec<String> {
        let mut found = Vec::new();
        for path in report.deep() {
            let way = format!("{}: {} levels from {}", path.end, path.levels, path.start);
            match self.ends.get(&path.end) {
                None => {
                    found.push(format!("{way}, more than {DEPTH}, and paths.txt does not say why"))
                }
                Some(limit) if path.levels > *limit => {
                    found.push(format!("{way}, and paths.txt explains {limit}"));
                }
                Some(_) => {}
            }
        }
        for end in self.ends.keys() {
            match report.paths.iter().find(|path| path.end == *end) {
                None => found.push(format!("{end}: paths.txt explains it, and nothing ends there")),
                Some(path) if path.levels < DEPTH => found.push(format!(
                    "{end}: paths.txt explains it, and it is only {} levels deep",
                    path.levels
                )),
                Some(_) => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    const LIMITS: &str = "# by hand\nblock a 10 5 0 1 1 4\nblock device 10 5 0 1 1 13 # all\n\
        memory a.u_m URAM288 1\ncolumns sa 1\ncolumns device 2\n";
    const PATHS: &str = "# by hand\n\nBecause it is\nso.\n  a.deep_q 13\n\nElse.\n  a.other_q 14\n";

    fn limited(text: &str) -> Vec<String> {
        Limits::parse(text).unwrap().violations(&report())
    }

    #[test]
    fn within_the_limits_nothing_is_said() {
        assert_eq!(limited(LIMITS), Vec::<String>::new());
        let paths = PATHS.replace("\nElse.\n  a.other_q 14\n", "");
        assert_eq!(Explained::parse(&paths).unwrap().violations(&report()), Vec::<String>::new());
    }

    #[test]
    fn a_limit_that_is_missed_says_block_figure_and_limit() {
        for (from, to, wanted) in [
            ("block a 10", "block a 9", "a: 10 luts, and the limit is 9"),
            ("block a 10 5 0 1 1 4", "block a 10 5 0 1 1 3", "a: 4 levels, and the limit is 3"),
            ("block device 10 5", "block device 10 4", "device: 5 ffs, and the limit is 4"),
            ("block a 10 5 0 1 1 4\n", "", "a has no limits in limits.txt"),
            (
                "columns device 2",
                "columns device 1",
                "device: 1 1/16 columns of 4,096 x 72, and the limit is 1",
            ),
            ("columns sa 1", "", "limits.txt says nothing of the columns of `sa`"),
            ("URAM288 1", "URAM288 0", "a.u_m: 1 URAM288, and the limit is 0"),
            (
                "a.u_m URAM288",
                "a.u_x URAM288",
                "a.u_x: is to be made of URAM288, and none is there",
            ),
        ] {
            assert_eq!(limited(&LIMITS.replace(from, to)), [wanted]);
        }
        let more = format!("{LIMITS}block b 1 1 1 1 1 1\n");
        assert_eq!(limited(&more), ["b has limits, and is not in the netlist"]);
        let other = limited(&LIMITS.replace("URAM288", "RAMB36E2"));
        assert_eq!(other.len(), 2, "{other:?}");
    }

    #[test]
    fn a_deep_way_is_explained_no_further_than_it_is() {
        let said = |text: &str| Explained::parse(text).unwrap().violations(&report());
        assert_eq!(said(PATHS), Vec::<String>::new());
        let less = said(&PATHS.replace("a.deep_q 13", "a.deep_q 12"));
        assert_eq!(less, ["a.deep_q: 13 levels from a.from_q, and paths.txt explains 12"]);
        let shallow = said(&PATHS.replace("other", "shallow"));
        assert_eq!(shallow, ["a.shallow_q: paths.txt explains it, and it is only 11 levels deep"]);
        let gone = said(&PATHS.replace("other", "gone"));
        assert_eq!(gone, ["a.gone_q: paths.txt explains it, and nothing ends there"]);
        let none =
            "a.deep_q: 13 levels from a.from_q, more than 12, and paths.txt does not say why";
        assert_eq!(said(""), [none]);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in
            ["block a 1 2", "block a 1 2 3 4 5 x", "memory a", "columns sa one", "colums sa 1"]
        {
            assert!(Limits::parse(text).unwrap_err().contains("cannot read"), "{text}");
        }
        assert!(Limits::parse("columns sa 1\ncolumns sa 1\n").unwrap_err().contains("twice"));
        for (text, wanted) in [
            ("  a 13\n", "no reason"),
            ("Why.\n  a\n", "not an end"),
            ("Why.\n  a x\n", "not an end"),
            ("Why.\n  a 13\n  a 13\n", "twice"),
            ("Why.\n", "explains nothing"),
            ("Why.\n\nAnd why.\n  a 13\n", "explains nothing"),
        ] {
            assert!(Explained::parse(text).unwrap_err().contains(wanted), "{text:?}");
        }
    }
}
