// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What Verilator counted: lines that ran, and bits that moved.

use crate::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One file of the RTL.
#[derive(Default)]
pub(crate) struct FileCover {
    /// Of each line that can run: how often it did.
    pub(crate) lines: BTreeMap<usize, u64>,
    /// Bits that can move, by declaration and name; and those that did.
    bits: BTreeMap<String, u64>,
}

impl FileCover {
    /// Lines that never ran.
    pub(crate) fn holes(&self) -> BTreeSet<usize> {
        self.lines.iter().filter(|(_, count)| **count == 0).map(|(line, _)| *line).collect()
    }

    /// Bits that moved, and all.
    pub(crate) fn toggled(&self) -> (usize, usize) {
        let moved = self.bits.values().filter(|count| **count != 0).count();
        (moved, self.bits.len())
    }
}

/// Adds what a file of counts says, by name of the file of the RTL.
pub(crate) fn add(path: &Path, to: &mut BTreeMap<String, FileCover>) -> Result<(), Failure> {
    let text = std::fs::read(path)
        .map_err(|e| Failure::Work(format!("cannot read {}: {e}", path.display())))?;
    for line in String::from_utf8_lossy(&text).lines() {
        add_point(line, to).ok_or_else(|| {
            Failure::Work(format!("{} is not what Verilator writes: {line:?}", path.display()))
        })?;
    }
    Ok(())
}

/// `C 'KEYS' COUNT`, where each of KEYS is 01 NAME 02 VALUE.
fn add_point(line: &str, to: &mut BTreeMap<String, FileCover>) -> Option<()> {
    let (keys, count) = line.strip_prefix("C '")?.rsplit_once("' ")?;
    let count: u64 = count.parse().ok()?;
    let key = |name: &str| {
        keys.split('\u{1}').find_map(|key| key.split_once('\u{2}').filter(|(k, _)| *k == name))
    };
    let value = |name| key(name).map(|(_, value)| value);
    let file = Path::new(value("f")?).file_name()?.to_str()?.to_owned();
    let cover = to.entry(file).or_default();
    if value("page")?.starts_with("v_toggle") {
        let bit = format!("{}.{}", value("l")?, value("o")?);
        *cover.bits.entry(bit).or_default() += count;
    } else {
        for number in numbers(value("S").unwrap_or(value("l")?))? {
            *cover.lines.entry(number).or_default() += count;
        }
    }
    Some(())
}

/// `3,5-7` as numbers.
fn numbers(list: &str) -> Option<Vec<usize>> {
    let mut all = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        all.extend(first.parse().ok()?..=last.parse::<usize>().ok()?);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::add_point;
    use std::collections::BTreeMap;

    #[test]
    fn points_of_several_instances_are_summed_by_line_and_bit() {
        let mut to = BTreeMap::new();
        let line = |count| {
            format!(
                "C '\u{1}f\u{2}/a/x.sv\u{1}l\u{2}3\u{1}page\u{2}v_line/x\u{1}S\u{2}3,5-6' {count}"
            )
        };
        let bit = "C '\u{1}f\u{2}/a/x.sv\u{1}l\u{2}9\u{1}page\u{2}v_toggle/x\u{1}o\u{2}b[1]' 0";
        for point in [line(0), line(0), bit.to_owned()] {
            add_point(&point, &mut to).expect("a point");
        }
        assert_eq!(to["x.sv"].holes().into_iter().collect::<Vec<_>>(), [3, 5, 6]);
        assert_eq!(to["x.sv"].toggled(), (0, 1));
        add_point(&line(2), &mut to).expect("a point");
        assert!(to["x.sv"].holes().is_empty());
        assert_eq!(add_point("C 'x' y", &mut to), None);
    }
}
