// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask oid-rows`: runs the tests of the IPsecOV2 contract on every way to a device, and writes
//! `docs/ipsecov2-tests.md`: row, test, and what came of it.

use crate::process::{cargo, root, run as run_command, target};
use crate::{Failure, Outcome, guest};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The page with the rows.
const RULES: &str = "docs/ipsecov2.md";
/// The page that is written.
const PAGE: &str = "docs/ipsecov2-tests.md";

/// The ways to a device, as the page names them, and as tests do.
const WAYS: [(&str, &str); 5] = [
    ("model", "model"),
    ("RTL", "rtl"),
    ("vfio-user", "vfio_user"),
    ("VFIO, model", "guest model"),
    ("VFIO, RTL", "guest rtl"),
];

/// What came of tests: by way and name.
type Results = BTreeMap<(String, String), &'static str>;

/// Runs the tests and writes the page.
pub(crate) fn run(args: &[String]) -> Outcome {
    if let Some(arg) = args.first() {
        return Err(Failure::Usage(format!("oid-rows takes no `{arg}`")));
    }
    let report = target().join("nextest/default/junit.xml");
    let _old = fs::remove_file(&report);
    let mut tests = cargo(&["nextest", "run", "--no-fail-fast", "--features", "esnic/rtl"]);
    tests.args(["--profile", "default", "-E", "binary(/^oid_/)"]);
    // A test that fails is to be on the page, too.
    let mut outcomes = vec![run_command(tests)];
    for device in ["model", "rtl"] {
        outcomes.push(guest::run(&["--device".into(), device.into(), "oid_".into()]));
    }
    let mut results = Results::new();
    take_report(&mut results, &read(&report)?);
    for device in ["model", "rtl"] {
        let log = root().join(format!("target/guest/run-{device}/console.log"));
        take_log(&mut results, &format!("guest {device}"), &read(&log)?);
    }
    let rules = read(&root().join(RULES))?;
    let text = page(&rules, &results)?;
    let place = root().join(PAGE);
    fs::write(&place, text).map_err(|e| Failure::Work(format!("{}: {e}", place.display())))?;
    println!("oid-rows: wrote {PAGE}");
    outcomes.into_iter().collect()
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|e| Failure::Work(format!("{}: {e}", path.display())))
}

/// Takes in what nextest reports: `model::g01_…` and so on.
fn take_report(results: &mut Results, text: &str) {
    for case in text.split("<testcase ").skip(1) {
        let (head, rest) = case.split_once('>').unwrap_or((case, ""));
        let name = head.split_once("name=\"").and_then(|(_, rest)| rest.split_once('"'));
        let Some((way, test)) = name.and_then(|(name, _)| name.split_once("::")) else { continue };
        let body = rest.split("</testcase>").next().unwrap_or_default();
        let failed = !head.ends_with('/') && (body.contains("<failure") || body.contains("<error"));
        let result = if failed { "failed" } else { "passed" };
        results.insert((way.to_owned(), test.to_owned()), result);
    }
}

/// Takes in what a guest says: `@pass oid_add vfio::a01_… 679`.
fn take_log(results: &mut Results, way: &str, text: &str) {
    for line in text.lines() {
        let Some((_, said)) = line.split_once('@') else { continue };
        let mut words = said.split_whitespace();
        let result = match words.next() {
            Some("pass") => "passed",
            Some("unasked") => "in part",
            Some("fail") => "failed",
            _ => continue,
        };
        if let Some(test) = words.nth(1).and_then(|name| name.strip_prefix("vfio::")) {
            results.insert((way.to_owned(), test.to_owned()), result);
        }
    }
}

/// The rows of the contract, in order: "G1" and its rule.
fn rows(rules: &str) -> Vec<(&str, &str)> {
    let cells = rules.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let row = |cell: &str| {
        let (letter, number) = cell.split_at_checked(1).unwrap_or_default();
        "GAUDP".contains(letter) && !letter.is_empty() && number.parse::<u32>().is_ok()
    };
    cells
        .filter(|(cell, _)| row(cell))
        .map(|(cell, rest)| (cell, rest.split(" | ").next().unwrap_or_default()))
        .collect()
}

fn page(rules: &str, results: &Results) -> Result<String, Failure> {
    let mut text = String::from(
        "# The IPsecOV2 contract: row, test, result\n\n\
         Written by `cargo xtask oid-rows`, which runs the tests. [ipsecov2.md](ipsecov2.md) has the rows in full. *In part* means \
         that\nthe rest of a test asks for a fault that this way to a device cannot be made to have; the RTL in process lacks the \
         same ones,\nand passes without telling.\n\n",
    );
    let ways = WAYS.map(|(name, _)| name).join(" | ");
    let _ = writeln!(text, "| row | rule | test | {ways} |\n|---|---|---|---|---|---|---|---|");
    for (row, rule) in rows(rules) {
        let (letter, number) = row.split_at(1);
        let prefix = format!("{}{:0>2}_", letter.to_lowercase(), number);
        let test = results.keys().map(|(_, test)| test).find(|test| test.starts_with(&prefix));
        let test = test.ok_or_else(|| Failure::Work(format!("no test of row {row} has run")))?;
        let cells = WAYS.map(|(_, way)| {
            let result = results.get(&(way.to_owned(), test.clone()));
            result.copied().unwrap_or("not run")
        });
        let _ = writeln!(text, "| {row} | {rule} | `{test}` | {} |", cells.join(" | "));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::{Results, page, rows, take_log, take_report};

    const RULES: &str = "| # | rule | | why |\n|---|---|---|---|\n| G1 | One. | D | |\n| U12 | Two | I | x |\n| Yes | no | |\n";

    #[test]
    fn rows_are_found_in_the_page() {
        assert_eq!(rows(RULES), [("G1", "One."), ("U12", "Two")]);
    }

    #[test]
    fn results_come_from_reports_and_logs() {
        let mut results = Results::new();
        let report = "<testcase name=\"model::g01_a\" time=\"1\">\n</testcase><testcase name=\"rtl::g01_a\">\
                      <failure/></testcase><testcase name=\"model::u12_b\" time=\"2\"/><testcase name=\"alone\"/>";
        take_report(&mut results, report);
        take_log(
            &mut results,
            "guest rtl",
            "@pass oid_x vfio::g01_a 3\n[ 1.0] x@unasked oid_x vfio::u12_b not asked\n@run oid_x vfio::g01_a",
        );
        let text = page(RULES, &results).unwrap();
        assert!(
            text.contains("| G1 | One. | `g01_a` | passed | failed | not run | not run | passed |")
        );
        assert!(
            text.contains(
                "| U12 | Two | `u12_b` | passed | not run | not run | not run | in part |"
            )
        );
        assert!(page(&format!("{RULES}| D1 | three | D | |\n"), &results).is_err());
    }
}
