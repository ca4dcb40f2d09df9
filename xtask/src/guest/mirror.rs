// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where this machine gets its Debian packages from, as its own sources for apt say.

use std::path::{Path, PathBuf};

/// Releases of Debian whose mirror has the one that is wanted here too.
const RELEASES: &[&str] = &[
    "oldstable",
    "stable",
    "testing",
    "unstable",
    "sid",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
];

/// URIs of this machine's Debian mirrors, each once. `ESNIC_DEBIAN_MIRROR` in the environment stands
/// for them all.
pub(super) fn all() -> Vec<String> {
    if let Ok(named) = std::env::var("ESNIC_DEBIAN_MIRROR") {
        return vec![named];
    }
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let more = std::fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    files.extend(more.map(|file| file.path()));
    files.sort();
    let mut found: Vec<String> = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        for uri in in_file(&path, &text) {
            if !found.contains(&uri) {
                found.push(uri);
            }
        }
    }
    found
}

fn in_file(path: &Path, text: &str) -> Vec<String> {
    match path.extension().and_then(|ext| ext.to_str()) {
        Some("list") => text.lines().filter_map(one_line).collect(),
        Some("sources") => text.split("\n\n").flat_map(stanza).collect(),
        _ => Vec::new(),
    }
}

/// Whether packages of the release proper are there, rather than its security updates.
fn suits<'a>(mut suites: impl Iterator<Item = &'a str>) -> bool {
    suites.any(|suite| {
        RELEASES.contains(&suite.split('-').next().unwrap_or(suite)) && !suite.contains("security")
    })
}

/// `deb [options] URI SUITE COMPONENT…`
fn one_line(line: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("deb ")?.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace();
    let (uri, suite) = (words.next()?, words.next()?);
    (suits([suite].into_iter()) && words.any(|word| word == "main")).then(|| uri.to_owned())
}

/// Fields of a stanza, as deb822 has them.
fn stanza(text: &str) -> Vec<String> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let field = |name: &str| {
        let found = fields.iter().find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value).split_whitespace()
    };
    let good = field("types").any(|kind| kind == "deb")
        && field("enabled").all(|on| on != "no")
        && field("components").any(|word| word == "main")
        && suits(field("suites"));
    if good { field("uris").map(str::to_owned).collect() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_read_and_other_archives_left_out() {
        let list = "# comment\ndeb-src http://a/debian bookworm main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://b/debian bookworm-updates main contrib\n\
                    deb http://c/ubuntu noble main\ndeb http://d/debian-security bookworm-security main\n";
        assert_eq!(in_file(Path::new("x.list"), list), ["http://b/debian"]);
        let sources = "Types: deb\nURIs: http://e/debian\nSuites: trixie trixie-updates\nComponents: main\n\n\
                       # off\nTypes: deb\nEnabled: no\nURIs: http://f/debian\nSuites: trixie\nComponents: main\n\n\
                       Types: deb\nURIs: http://g/debian-security\nSuites: trixie-security\nComponents: main\n\n\
                       Types: deb deb-src\nURIs:\n http://h/debian\n http://i/debian\nSuites: sid\nComponents: main\n";
        let found = in_file(Path::new("x.sources"), sources);
        assert_eq!(found, ["http://e/debian", "http://h/debian", "http://i/debian"]);
        assert!(in_file(Path::new("x.bak"), list).is_empty());
    }
}
