// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Figures, their limits, and how both are printed.

use crate::host::Result;
use std::fmt::{self, Write};

/// Digits after the point of everything that is printed.
const DIGITS: usize = 4;

/// One in a limit's file is so many of these.
const ONE: u64 = 10_u64.pow(DIGITS as u32);

/// A number as the quotient of two counts, so that nothing is rounded before it is compared.
#[derive(Clone, Copy)]
pub(crate) struct Ratio {
    pub(crate) of: u64,
    pub(crate) per: u64,
}

impl Ratio {
    pub(crate) const fn new(of: u64, per: u64) -> Self {
        Self { of, per }
    }

    /// This one times `per` to `of` of another.
    pub(crate) const fn divided_by(self, other: Self) -> Self {
        Self { of: self.of * other.per, per: self.per * other.of }
    }

    /// Which is the greater one; quotients of counts of nothing do not come up.
    pub(crate) fn above(self, other: Self) -> bool {
        u128::from(self.of) * u128::from(other.per) > u128::from(other.of) * u128::from(self.per)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (of, per) = (u128::from(self.of), u128::from(self.per.max(1)));
        let scaled = (of * u128::from(ONE) + per / 2) / per;
        let (whole, part) = (scaled / u128::from(ONE), scaled % u128::from(ONE));
        f.pad(&format!("{whole}.{part:0DIGITS$}"))
    }
}

/// A measured number.
pub(crate) struct Figure {
    /// What it is: a name of the limits' file.
    pub(crate) name: &'static str,
    /// Under which circumstances; may be empty.
    pub(crate) case: String,
    pub(crate) value: Ratio,
}

/// What a figure may be.
#[derive(Clone, Copy)]
enum Bound {
    Most(Ratio),
    Least(Ratio),
    None,
}

impl Bound {
    fn holds(self, value: Ratio) -> bool {
        match self {
            Self::Most(limit) => !value.above(limit),
            Self::Least(limit) => !limit.above(value),
            Self::None => true,
        }
    }

    /// Sign and number, each empty if there is none.
    fn words(self) -> (&'static str, String) {
        match self {
            Self::Most(limit) => ("<=", limit.to_string()),
            Self::Least(limit) => (">=", limit.to_string()),
            Self::None => ("", String::new()),
        }
    }
}

/// The limits' file: lines of `NAME <= NUMBER`, `NAME >= NUMBER` or `NAME reported`.
pub(crate) struct Limits<'a> {
    lines: Vec<(&'a str, Bound)>,
}

impl<'a> Limits<'a> {
    /// # Errors
    /// The first line that is not understood, or that names a figure again.
    pub(crate) fn parse(text: &'a str) -> Result<Self> {
        let mut lines: Vec<(&str, Bound)> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let words: Vec<&str> =
                line.split('#').next().unwrap_or_default().split_whitespace().collect();
            let (name, bound) = match words[..] {
                [] => continue,
                [name, "<=", limit] => (name, decimal(limit).map(Bound::Most)),
                [name, ">=", limit] => (name, decimal(limit).map(Bound::Least)),
                [name, "reported"] => (name, Some(Bound::None)),
                _ => (line, None),
            };
            let bound = bound.ok_or_else(|| {
                format!("limits, line {number}: `{line}` is neither `NAME <= N`, `NAME >= N` nor `NAME reported`")
            })?;
            if lines.iter().any(|(other, _)| *other == name) {
                return Err(format!("limits, line {number}: `{name}` has a limit already"));
            }
            lines.push((name, bound));
        }
        Ok(Self { lines })
    }

    fn of(&self, figure: &Figure) -> Result<Bound> {
        let found = self.lines.iter().find(|(name, _)| *name == figure.name);
        found
            .map(|(_, bound)| *bound)
            .ok_or_else(|| format!("`{}` has no line in the limits", figure.name))
    }
}

/// A number with at most as many digits after the point as are compared.
fn decimal(text: &str) -> Option<Ratio> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > DIGITS || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: u64 = format!("{part:0<DIGITS$}").parse().ok()?;
    Some(Ratio::new(whole.parse::<u64>().ok()?.checked_mul(ONE)?.checked_add(part)?, ONE))
}

/// Figures beside their limits.
pub(crate) struct Report {
    rows: Vec<(Figure, Bound)>,
}

impl Report {
    /// # Errors
    /// A figure without a line in the limits, or a line without a figure: one of them is misspelt.
    pub(crate) fn new(figures: Vec<Figure>, limits: &Limits<'_>) -> Result<Self> {
        for (name, _) in &limits.lines {
            if !figures.iter().any(|figure| figure.name == *name) {
                return Err(format!("`{name}` of the limits was not measured"));
            }
        }
        let rows =
            figures.into_iter().map(|figure| limits.of(&figure).map(|bound| (figure, bound)));
        Ok(Self { rows: rows.collect::<Result<_>>()? })
    }

    /// A sentence for every figure that is beyond its limit.
    pub(crate) fn misses(&self) -> impl Iterator<Item = String> {
        self.rows.iter().filter(|(figure, bound)| !bound.holds(figure.value)).map(
            |(figure, bound)| {
                let (sign, limit) = bound.words();
                let Figure { name, case, value } = figure;
                let case = if case.is_empty() { String::new() } else { format!(" ({case})") };
                format!("{name}{case} is {value}, must be {sign} {limit}")
            },
        )
    }

    /// For a person.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        for (figure, bound) in &self.rows {
            let (sign, limit) = bound.words();
            let miss = if bound.holds(figure.value) { "" } else { "  MISSED" };
            let Figure { name, case, value } = figure;
            let line = format!("{name:<24} {case:<32} {value:>12}  {sign:2} {limit}{miss}");
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }

    /// For a program. Names and cases are plain words, so nothing in them needs escaping.
    pub(crate) fn json(&self) -> String {
        let rows = self.rows.iter().map(|(figure, bound)| {
            let (most, least) = match bound {
                Bound::Most(limit) => (limit.to_string(), "null".into()),
                Bound::Least(limit) => ("null".into(), limit.to_string()),
                Bound::None => ("null".into(), "null".to_string()),
            };
            let Figure { name, case, value } = figure;
            let ok = bound.holds(*value);
            format!(
                r#"    {{"name": "{name}", "case": "{case}", "value": {value}, "most": {most}, "least": {least}, "ok": {ok}}}"#
            )
        });
        let rows: Vec<String> = rows.collect();
        format!(
            "{{\n  \"figures\": [\n{}\n  ],\n  \"ok\": {}\n}}\n",
            rows.join(",\n"),
            self.misses().next().is_none()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(of: u64, per: u64) -> Vec<Figure> {
        vec![Figure { name: "a", case: "b".into(), value: Ratio::new(of, per) }]
    }

    #[test]
    fn a_limit_is_compared_without_rounding() {
        let limits = Limits::parse("# why\na <= 1.02 # how\n").expect("a good file");
        let report = Report::new(figure(102, 100), &limits).expect("all there");
        assert_eq!(report.misses().count(), 0);
        // It prints as 1.0200 and is above it.
        let report = Report::new(figure(1_020_001, 1_000_000), &limits).expect("all there");
        let misses: Vec<_> = report.misses().collect();
        assert_eq!(misses, ["a (b) is 1.0200, must be <= 1.0200"]);
        assert!(
            report
                .json()
                .contains(r#""value": 1.0200, "most": 1.0200, "least": null, "ok": false"#)
        );
        let least = Limits::parse("a >= 0.97").expect("a good file");
        let report = Report::new(figure(96, 100), &least).expect("all there");
        assert_eq!(report.misses().count(), 1);
    }

    #[test]
    fn mistakes_in_the_limits_are_named() {
        for text in ["a < 1", "a <= 1.00001", "a <= x", "a", "a <= 1\na >= 2"] {
            assert!(Limits::parse(text).is_err(), "{text}");
        }
        let both = Limits::parse("a reported\nb <= 1").expect("a good file");
        assert!(Report::new(figure(1, 1), &both).is_err(), "b was not measured");
        let other = Limits::parse("").expect("a good file");
        assert!(Report::new(figure(1, 1), &other).is_err(), "a has no line");
    }
}
