// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The lines of a script. All of it is read before any of it is done, so that a mistake in the last line
//! costs nothing. Nodes may hold keys: their digits are read where they stand, and copied nowhere.

use anyhow::{Context, anyhow, bail};
use esnic_driver::oid::{Kind, Node, Request};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use std::fmt;
use zeroize::Zeroizing;

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
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Object<'l> {
    id: Option<u64>,
    #[serde(borrow)]
    oid: Option<&'l str>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'l str>,
    #[serde(borrow)]
    nodes: Option<Nodes<'l>>,
    cancel: Option<u64>,
    reset: Option<bool>,
    remove: Option<bool>,
}

/// The digits of each node.
struct Nodes<'l>(Vec<&'l str>);

impl<'l, 'n> Deserialize<'l> for Nodes<'n>
where
    'l: 'n,
{
    fn deserialize<D: Deserializer<'l>>(from: D) -> Result<Self, D::Error> {
        struct List;

        impl<'l> Visitor<'l> for List {
            type Value = Nodes<'l>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of strings")
            }

            fn visit_seq<A: SeqAccess<'l>>(self, mut list: A) -> Result<Nodes<'l>, A::Error> {
                let mut all = Vec::new();
                while let Some(digits) = list.next_element()? {
                    all.push(digits);
                }
                Ok(Nodes(all))
            }

            /// One node without its list. Left alone, it would be quoted in the error.
            fn visit_str<E: Error>(self, _: &str) -> Result<Nodes<'l>, E> {
                Err(E::custom("no list"))
            }
        }

        from.deserialize_any(List)
    }
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
    // A string with one would be put together elsewhere, and nothing on a line needs it.
    if let Some(at) = line.find('\\') {
        bail!("column {}: no string here has a backslash", at + 1);
    }
    // Its message may quote the line, where a key may be: only the place is told.
    let object: Object<'_> = serde_json::from_str(line).map_err(|error| {
        anyhow!(
            "column {}: this is no object that a line can be ({:?})",
            error.column(),
            error.classify()
        )
    })?;
    let Object { id, oid, kind, nodes, cancel, reset, remove } = object;
    // What else is on a line that is no request.
    let alone = |verb: &str| {
        let others = [("id", id.is_some()), ("type", kind.is_some()), ("nodes", nodes.is_some())];
        match others.into_iter().find(|&(_, there)| there) {
            Some((member, _)) => Err(anyhow!("`{member}` does not go with `{verb}`")),
            None => Ok(()),
        }
    };
    match (oid, cancel, reset, remove) {
        (None, Some(id), None, None) => alone("cancel").map(|()| Step::Cancel(id)),
        (None, None, Some(true), None) => alone("reset").map(|()| Step::Reset),
        (None, None, None, Some(true)) => alone("remove").map(|()| Step::Remove),
        (Some(oid), None, None, None) => {
            let kind = match kind {
                None | Some("set") => Kind::Set,
                Some("query") => Kind::Query,
                Some("method") => Kind::Method,
                Some(_) => bail!("`type` is `set`, `query` or `method`"),
            };
            let digits = nodes.map(|nodes| nodes.0).unwrap_or_default();
            let nodes = digits.into_iter().enumerate().map(|(k, digits)| {
                node(digits)
                    .ok_or_else(|| anyhow!("node {k} is no even number of hexadecimal digits"))
            });
            let nodes = nodes.collect::<anyhow::Result<_>>()?;
            Ok(Step::Request(Request { id: id.unwrap_or(0), oid: number(oid)?, kind, nodes }))
        }
        _ => bail!("a line has `oid`, or `cancel`, or `reset`: true, or `remove`: true"),
    }
}

/// The bytes of a node. If there is a mistake behind some of them, those are wiped.
fn node(digits: &str) -> Option<Node> {
    let mut bytes = Zeroizing::new(vec![0; digits.len() / 2]);
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(std::mem::take(&mut *bytes).into())
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
            ("{\"cancel\":1,\"oid\":\"1\"}", "a line has"),
            ("{\"cancel\":1,\"id\":1}", "`id` does not go with `cancel`"),
            ("{\"cancel\":1,\"type\":\"set\"}", "`type` does not go with `cancel`"),
            ("{\"cancel\":1,\"nodes\":[]}", "`nodes` does not go with `cancel`"),
            ("{\"reset\":true,\"id\":1}", "`id` does not go with `reset`"),
            ("{\"reset\":true,\"type\":\"get\"}", "`type` does not go with `reset`"),
            ("{\"reset\":true,\"nodes\":[\"c0ffee\"]}", "`nodes` does not go with `reset`"),
            ("{\"remove\":true,\"id\":1}", "`id` does not go with `remove`"),
            ("{\"remove\":true,\"type\":\"set\"}", "`type` does not go with `remove`"),
            ("{\"remove\":true,\"nodes\":[\"c0ff\"]}", "`nodes` does not go with `remove`"),
            ("{\"oid\":\"1\",\"nodes\":[\"c0\\u0066f\"]}", "column 24: no string here"),
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
