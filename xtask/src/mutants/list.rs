// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The mutants of `rtl-sim/mutants.txt`: what each changes, and copies of the RTL with the change made.

use crate::Failure;
use crate::process::root;
use std::fs;
use std::path::{Path, PathBuf};

/// One wrong line.
#[derive(Clone, Default)]
pub(crate) struct Mutant {
    pub(crate) name: String,
    /// What is wrong then.
    pub(crate) breaks: String,
    file: String,
    /// The line as it is, and as it becomes; both without the blanks around them.
    right: String,
    wrong: String,
}

/// Where the RTL is, and where its mutants are described.
pub(crate) fn rtl() -> PathBuf {
    root().join("rtl-sim/rtl")
}

fn list() -> PathBuf {
    root().join("rtl-sim/mutants.txt")
}

/// Reads the list, and checks that each change can be made.
pub(crate) fn read() -> Result<Vec<Mutant>, Failure> {
    let path = list();
    let text = fs::read_to_string(&path)
        .map_err(|e| Failure::Work(format!("cannot read {}: {e}", path.display())))?;
    let mutants =
        parse(&text).map_err(|why| Failure::Work(format!("{}: {why}", path.display())))?;
    let wrong: Vec<String> = mutants.iter().filter_map(|mutant| mutant.apply().err()).collect();
    if !wrong.is_empty() {
        let wrong = wrong.join("\n  ");
        return Err(Failure::Work(format!(
            "{} and the RTL do not fit together; whoever changed a line changes its mutant:\n  {wrong}",
            path.display()
        )));
    }
    Ok(mutants)
}

/// `[name]`, then lines `file`, `breaks`, `-` and `+`, one each.
fn parse(text: &str) -> Result<Vec<Mutant>, String> {
    let mut mutants: Vec<Mutant> = Vec::new();
    for (k, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(name) = name.filter(|name| !name.contains(' ')) {
            if mutants.iter().any(|mutant| mutant.name == name) {
                return Err(format!("line {k}: there is a second mutant `{name}`"));
            }
            mutants.push(Mutant { name: name.to_owned(), ..Mutant::default() });
            continue;
        }
        let mutant = mutants.last_mut().ok_or(format!("line {k}: comes before the first name"))?;
        let (word, value) = line.split_once(' ').unwrap_or((line, ""));
        let place = match word {
            "file" => &mut mutant.file,
            "breaks" => &mut mutant.breaks,
            "-" => &mut mutant.right,
            "+" => &mut mutant.wrong,
            _ => return Err(format!("line {k}: `{word}` is neither of file, breaks, -, +")),
        };
        if !place.is_empty() || value.is_empty() {
            return Err(format!("line {k}: `{word}` twice, or without a value"));
        }
        value.trim().clone_into(place);
    }
    let whole = |mutant: &&Mutant| {
        [&mutant.file, &mutant.breaks, &mutant.right, &mutant.wrong].iter().any(|s| s.is_empty())
    };
    match mutants.iter().find(whole) {
        Some(mutant) => Err(format!("mutant `{}` lacks one of file, breaks, -, +", mutant.name)),
        None => Ok(mutants),
    }
}

impl Mutant {
    /// The text of the file with the change made.
    fn apply(&self) -> Result<String, String> {
        let path = rtl().join(&self.file);
        let text = fs::read_to_string(&path)
            .map_err(|e| format!("{}: cannot read {}: {e}", self.name, path.display()))?;
        self.change(&text)
    }

    fn change(&self, text: &str) -> Result<String, String> {
        let hits = text.lines().filter(|line| line.trim() == self.right).count();
        if hits != 1 {
            let Self { name, file, right, .. } = self;
            return Err(format!("{name}: {file} has {hits} lines `{right}`, not one"));
        }
        let change = |line: &str| {
            let blanks = line.len() - line.trim_start().len();
            if line.trim() == self.right {
                format!("{}{}\n", &line[..blanks], self.wrong)
            } else {
                format!("{line}\n")
            }
        };
        Ok(text.lines().map(change).collect())
    }

    /// A copy of the RTL in `home`, with the change made; its lint waivers come along.
    pub(crate) fn copy_to(&self, home: &Path) -> Result<PathBuf, Failure> {
        let copy = copy_rtl(home)?;
        let text = self.apply().map_err(Failure::Work)?;
        let path = copy.join(&self.file);
        fs::write(&path, text)
            .map_err(|e| Failure::Work(format!("cannot write {}: {e}", path.display())))?;
        Ok(copy)
    }
}

/// A copy of the RTL in `home`, in place of any other one.
pub(crate) fn copy_rtl(home: &Path) -> Result<PathBuf, Failure> {
    let from = rtl();
    for (from, name) in [(from.clone(), "rtl"), (from.join("../lint"), "lint")] {
        let to = home.join(name);
        let work =
            |e| Failure::Work(format!("cannot copy {} to {}: {e}", from.display(), to.display()));
        if to.exists() {
            fs::remove_dir_all(&to).map_err(work)?;
        }
        fs::create_dir_all(&to).map_err(work)?;
        for file in fs::read_dir(&from).map_err(work)? {
            let file = file.map_err(work)?;
            fs::copy(file.path(), to.join(file.file_name())).map_err(work)?;
        }
    }
    Ok(home.join("rtl"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    const ONE: &str = "# text\n[a]\nfile x.sv\nbreaks all of it\n- a = b;\n+ a = 1'b0;\n";

    #[test]
    fn one_line_changes_and_only_if_it_is_there_once() {
        let mutants = parse(ONE).expect("a list");
        assert_eq!(mutants[0].change("x;\n  a = b;\ny;\n").expect("once"), "x;\n  a = 1'b0;\ny;\n");
        assert!(mutants[0].change("a = b;\na = b;\n").is_err());
        assert!(mutants[0].change("a = c;\n").is_err());
    }

    #[test]
    fn what_is_not_a_list_is_named_by_its_line() {
        let fails = |text: &str, why: &str| {
            let Err(said) = parse(text) else { panic!("{text}") };
            assert!(said.contains(why), "{said}");
        };
        fails("file x\n", "line 1");
        fails("[a]\nfile x\nfile y\n", "line 3");
        fails("[a]\nspeed 9\n", "line 2");
        fails("[a]\nfile x\n", "lacks");
        fails(&format!("{ONE}{ONE}"), "second");
    }
}
