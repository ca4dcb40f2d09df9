// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What was fetched once and stays below `target/guest`: a directory with a stamp, which names the
//! recipe, the version, and the SHA-256 of every file. It is checked at each use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const STAMP: &str = "stamp";
const SUMS: &str = "sums";

/// How often something is fetched that does not come: networks have their moments.
const TRIES: u32 = 3;

/// The version of what is there, if it is whole and was made by this recipe.
pub(super) fn version(place: &Path, recipe: &str) -> Option<String> {
    let stamp = fs::read_to_string(place.join(STAMP)).ok()?;
    let version = stamp.strip_prefix(recipe)?.strip_prefix('\n')?.trim_end().to_owned();
    let status = Command::new("sha256sum")
        .args(["--check", "--strict", "--status", SUMS])
        .current_dir(place)
        .stderr(Stdio::null())
        .status();
    if status.is_ok_and(|status| status.success()) {
        return Some(version);
    }
    println!("{} is damaged: fetching it again", place.display());
    None
}

/// Has `make` fill an empty directory, and puts it in place with its stamp once it is complete.
pub(super) fn keep(
    place: &Path,
    recipe: &str,
    make: impl Fn(&Path) -> Result<String, String>,
) -> Result<String, String> {
    let explain = |path: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let new = place.with_extension("new");
    let _old = fs::remove_dir_all(place);
    let mut tries = 1..;
    let version = loop {
        let _old = fs::remove_dir_all(&new);
        fs::create_dir_all(&new).map_err(|e| explain(&new, &e))?;
        match make(&new) {
            Ok(version) => break version,
            Err(why) if tries.next() < Some(TRIES) => println!("once more, since {why}"),
            Err(why) => return Err(why),
        }
    };
    let mut files = Vec::new();
    list(&new, Path::new(""), &mut files).map_err(|e| explain(&new, &e))?;
    files.sort();
    let sums = Command::new("sha256sum")
        .arg("--")
        .args(&files)
        .current_dir(&new)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| explain(Path::new("sha256sum"), &e))?;
    if !sums.status.success() {
        return Err("sha256sum failed".into());
    }
    fs::write(new.join(SUMS), sums.stdout).map_err(|e| explain(&new, &e))?;
    fs::write(new.join(STAMP), format!("{recipe}\n{version}\n")).map_err(|e| explain(&new, &e))?;
    fs::rename(&new, place).map_err(|e| explain(place, &e))?;
    Ok(version)
}

/// Files below `root/at`, as paths below `root`.
fn list(root: &Path, at: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(root.join(at))? {
        let entry = entry?;
        let (path, kind) = (at.join(entry.file_name()), entry.file_type()?);
        if kind.is_dir() {
            list(root, &path, files)?;
        } else if kind.is_file() {
            files.push(path);
        }
    }
    Ok(())
}
