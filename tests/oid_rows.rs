// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every row of the contract (docs/ipsecov2.md) has a test of its name, and no test is of a row that is not
//! there.

use std::collections::BTreeSet;
use std::path::Path;

/// "G1" as "g01".
fn name(row: &str) -> Option<String> {
    let (letter, number) = row.split_at_checked(1)?;
    let number: u32 = number.parse().ok()?;
    matches!(letter, "G" | "A" | "U" | "D" | "P")
        .then(|| format!("{}{number:02}", letter.to_lowercase()))
}

fn rows() -> BTreeSet<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ipsecov2.md");
    let text = std::fs::read_to_string(&page).unwrap_or_else(|e| panic!("{}: {e}", page.display()));
    let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
    cells.filter_map(|(first, _)| name(first)).collect()
}

/// Whether a test of this prefix is named for a row.
fn is_row(prefix: &str) -> bool {
    prefix.chars().any(|c| c.is_ascii_digit())
}

fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for file in std::fs::read_dir(&home).expect("the tests").flatten().map(|file| file.path()) {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !stem.starts_with("oid_") || stem == "oid_rows" {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("a source");
        // As they are listed for every backend: what is not listed does not run.
        let listed =
            text.split("on_every_backend!(").skip(1).filter_map(|rest| rest.split_once(");"));
        for test in listed.flat_map(|(list, _)| list.split(',')) {
            // A promise without a row has a name without a number.
            if let Some((row, _)) = test.trim().split_once('_').filter(|(row, _)| is_row(row)) {
                assert!(found.insert(row.to_owned()), "{row} has two tests");
            }
        }
    }
    found
}

#[test]
fn each_row_has_a_test_and_each_test_a_row() {
    let (rows, tests) = (rows(), tests());
    assert_eq!(rows.len(), 18 + 14 + 20 + 12 + 3, "rows of the page");
    assert_eq!(
        rows.difference(&tests).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "without a test"
    );
    assert_eq!(tests.difference(&rows).collect::<Vec<_>>(), Vec::<&String>::new(), "without a row");
}
