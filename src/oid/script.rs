// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The lines of a script. All of it is read before any of it is done, so that a mistake in the last line
//! costs nothing.

use anyhow::{Context, anyhow, bail};
use esnic_driver::oid::{Kind, Request};
use serde::Deserialize;
use zeroize::Zeroize;

/// A line, and where it is.
pub(super) struct Line {
    /// From 1 on.
    pub(super) number: usize,
    pub(super) step: Step,
}

/// What a line asks for.
pub(super) enum Step {
    Request(Request),
    Cancel(u64),
    Reset,
    Remove,
}

/// Every member that a line can have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    id: Option<u64>,
    oid: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    nodes: Option<Vec<String>>,
    cancel: Option<u64>,
    reset: Option<bool>,
    remove: Option<bool>,
}

/// Reads a script. Empty lines, and those that begin with `#`, are left out.
pub(super) fn parse(text: &str) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let step = step(line).with_context(|| format!("line {number}"))?;
        lines.push(Line { number, step });
    }
    Ok(lines)
}

fn step(line: &str) -> anyhow::Result<Step> {
    // Its message may quote the line, where a key may be: only the place is told.
    let object: Object = serde_json::from_str(line).map_err(|error| {
        anyhow!(
            "column {}: this is no object that a line can be ({:?})",
            error.column(),
            error.classify()
        )
    })?;
    match object {
        Object { cancel: Some(id), id: None, oid: None, reset: None, remove: None, .. } => {
            Ok(Step::Cancel(id))
        }
        Object { reset: Some(true), id: None, oid: None, cancel: None, remove: None, .. } => {
            Ok(Step::Reset)
        }
        Object { remove: Some(true), id: None, oid: None, cancel: None, reset: None, .. } => {
            Ok(Step::Remove)
        }
        Object { id, oid: Some(oid), kind, nodes, cancel: None, reset: None, remove: None } => {
            let kind = match kind.as_deref() {
                None | Some("set") => Kind::Set,
                Some("query") => Kind::Query,
                Some("method") => Kind::Method,
                Some(_) => bail!("`type` is `set`, `query` or `method`"),
            };
            let mut all = Vec::new();
            for (k, mut text) in nodes.unwrap_or_default().into_iter().enumerate() {
                let bytes = hex::decode(&text);
                text.zeroize();
                all.push(
                    bytes
                        .map_err(|_| anyhow!("node {k} is no even number of hexadecimal digits"))?
                        .into(),
                );
            }
            Ok(Step::Request(Request { id: id.unwrap_or(0), oid: number(&oid)?, kind, nodes: all }))
        }
        _ => bail!("a line has `oid`, or `cancel`, or `reset`: true, or `remove`: true"),
    }
}

/// `0xFC030204`, or the same number in decimal.
fn number(text: &str) -> anyhow::Result<u32> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| anyhow!("`oid` is a number of 32 bits, as \"0xFC030204\""))
}

#[cfg(test)]
mod tests {
    use super::{Kind, Step, parse};

    #[test]
    fn every_kind_of_line_is_read() {
        let text = "# a script\n\n{\"id\":1,\"oid\":\"0xFC030204\",\"type\":\"set\",\"nodes\":[\"00ff\",\"\"]}\n\
                    {\"oid\":\"4228055556\",\"type\":\"method\"}\n {\"cancel\":7}\n{\"reset\":true}\n{\"remove\":true}";
        let lines = parse(text).unwrap();
        assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), [3, 4, 5, 6, 7]);
        let Step::Request(first) = &lines[0].step else { panic!("a request") };
        assert_eq!((first.id, first.oid, first.kind), (1, 0xFC03_0204, Kind::Set));
        assert_eq!(
            first.nodes.iter().map(|node| node.bytes()).collect::<Vec<_>>(),
            [&[0, 0xFF][..], &[]]
        );
        let Step::Request(second) = &lines[1].step else { panic!("a request") };
        assert_eq!((second.id, second.oid, second.kind), (0, 0xFC03_0204, Kind::Method));
        assert!(matches!(lines[2].step, Step::Cancel(7)));
        assert!(matches!(lines[3].step, Step::Reset) && matches!(lines[4].step, Step::Remove));
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_without_its_bytes() {
        for (line, wrong) in [
            ("{", "column"),
            ("[]", "column"),
            ("{\"nodes\":\"c0ffee\"}", "column"),
            ("{\"oid\":\"0xFC030204\",\"key\":\"c0ffee\"}", "column"),
            ("{\"id\":1}", "a line has"),
            ("{\"cancel\":1,\"reset\":true}", "a line has"),
            ("{\"reset\":false}", "a line has"),
            ("{\"oid\":\"FC030204\"}", "32 bits"),
            ("{\"oid\":\"1\",\"type\":\"get\"}", "`type`"),
            ("{\"oid\":\"1\",\"nodes\":[\"c0ffe\"]}", "node 0"),
            ("{\"oid\":\"1\",\"nodes\":[\"\",\"xx\"]}", "node 1"),
        ] {
            let error = parse(&format!("\n{line}")).err().map(|error| format!("{error:#}"));
            let error = error.unwrap_or_else(|| panic!("{line} is taken"));
            assert!(error.starts_with("line 2: ") && error.contains(wrong), "{error}");
            assert!(!error.contains("c0ff"), "{error}");
        }
    }
}
