// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The list of proofs, `rtl-sim/formal/proofs.txt`.

use crate::Failure;
use std::path::Path;

/// One proof.
pub(super) struct Proof {
    /// Its harness is `NAME.sv`, the module `NAME_formal`.
    pub(super) name: String,
    pub(super) about: String,
    /// Further files beside the harness.
    pub(super) files: Vec<String>,
    /// Steps from which the next one follows, if the proof is for any number of steps.
    pub(super) induction: Option<u32>,
    /// Steps that are checked from reset; with induction this is its base.
    pub(super) bounded: u32,
    /// Steps in which every cover goal is reached.
    pub(super) cover: u32,
    /// Parameters of the harness for cover goals alone.
    pub(super) cover_with: Vec<String>,
    /// What is made smaller in every check, for the solver.
    pub(super) narrowed: Vec<Edit>,
    pub(super) faults: Vec<Fault>,
}

/// Text that is once in a file, and what it becomes.
pub(super) struct Edit {
    pub(super) file: String,
    pub(super) old: String,
    pub(super) new: String,
}

/// One line of the sources that is made wrong.
pub(super) struct Fault {
    pub(super) name: String,
    /// Steps from reset within which an assertion fails; without, the induction step does.
    pub(super) steps: Option<u32>,
    pub(super) edit: Edit,
}

impl Proof {
    /// How it is proved, for a person.
    pub(super) fn method(&self) -> String {
        match self.induction {
            Some(steps) => format!("any number of cycles: induction over {steps} steps"),
            None => format!("bounded: {} steps from reset", self.bounded),
        }
    }
}

/// Reads the list.
pub(super) fn read(path: &Path) -> Result<Vec<Proof>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Work(format!("cannot read {}: {error}", path.display())))?;
    let mut proofs: Vec<Proof> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let taken = if word == "proof" {
            proof(rest).map(|proof| proofs.push(proof))
        } else {
            proofs.last_mut().and_then(|proof| member(proof, word, rest.trim()))
        };
        taken.ok_or_else(|| {
            Failure::Work(format!("{}:{}: `{line}` makes no sense", path.display(), number + 1))
        })?;
    }
    // A proof that nothing can refute, or that may be vacuous, is none.
    for proof in &proofs {
        if proof.faults.is_empty() || proof.cover == 0 || proof.bounded == 0 {
            let name = &proof.name;
            return Err(Failure::Work(format!(
                "proof {name} needs `bounded`, `cover` and a `fault`"
            )));
        }
        // Induction is sound only on a base that is as long as its hypothesis.
        if proof.induction.is_some_and(|steps| steps > proof.bounded) {
            let name = &proof.name;
            return Err(Failure::Work(format!(
                "proof {name}: `bounded` is shorter than `induction`"
            )));
        }
    }
    Ok(proofs)
}

fn proof(rest: &str) -> Option<Proof> {
    let (name, about) = rest.split_once(':')?;
    Some(Proof {
        name: name.trim().to_owned(),
        about: about.trim().to_owned(),
        files: Vec::new(),
        induction: None,
        bounded: 0,
        cover: 0,
        cover_with: Vec::new(),
        narrowed: Vec::new(),
        faults: Vec::new(),
    })
}

fn member(proof: &mut Proof, word: &str, rest: &str) -> Option<()> {
    match word {
        "files" => proof.files = rest.split_whitespace().map(str::to_owned).collect(),
        "induction" => proof.induction = Some(rest.parse().ok()?),
        "bounded" => proof.bounded = rest.parse().ok()?,
        "cover" => {
            let mut words = rest.split_whitespace();
            proof.cover = words.next()?.parse().ok()?;
            proof.cover_with = words.map(str::to_owned).collect();
        }
        "narrow" => proof.narrowed.push(edit(&mut rest.split(" | "))?),
        "fault" => {
            let mut parts = rest.split(" | ");
            let mut head = parts.next()?.split_whitespace();
            let (name, steps) = (head.next()?.to_owned(), head.next()?);
            let steps = if steps == "step" { None } else { Some(steps.parse().ok()?) };
            let edit = edit(&mut parts)?;
            if head.next().is_some() {
                return None;
            }
            proof.faults.push(Fault { name, steps, edit });
        }
        _ => return None,
    }
    Some(())
}

/// File, text, and what it becomes. The mark between the parts may be in one: written `\\|`.
fn edit<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Option<Edit> {
    let mut part = || parts.next().map(|part| part.trim().replace("\\|", "|"));
    let edit = Edit { file: part()?, old: part()?, new: part()? };
    (edit.old != edit.new && parts.next().is_none()).then_some(edit)
}
