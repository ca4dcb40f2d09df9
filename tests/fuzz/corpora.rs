// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every input of the corpora, and what they were grown from, runs through its target: what fuzzing found
//! once stays found, with any compiler.

use esnic_fuzz::{TARGETS, Target, corpus, seeds};
use std::fs;

/// Runs all inputs of a target; the message of the one that fails names its file.
#[track_caller]
fn replay((name, run): Target) {
    let mut inputs: Vec<(String, Vec<u8>)> = fs::read_dir(corpus(name))
        .expect("the corpus")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            (path.display().to_string(), fs::read(&path).expect("an input"))
        })
        .collect();
    inputs.sort();
    assert!(inputs.len() >= 20, "{} inputs are no corpus", inputs.len());
    let seeds = seeds::of(name);
    assert!(!seeds.is_empty());
    inputs.extend((0..).zip(seeds).map(|(k, seed): (u32, _)| (format!("seed {k}"), seed)));
    for (file, input) in &inputs {
        let outcome = std::panic::catch_unwind(|| run(input));
        assert!(outcome.is_ok(), "{name} fails with {file}");
    }
    println!("{name}: {} inputs", inputs.len());
}

#[test]
fn request() {
    replay(TARGETS[0]);
}

#[test]
fn netlink() {
    replay(TARGETS[1]);
}

#[test]
fn completion() {
    replay(TARGETS[2]);
}

/// They are for replay in a moment, not an archive.
#[test]
fn the_corpora_are_small() {
    let (mut files, mut bytes) = (0, 0);
    for (name, _) in TARGETS {
        for entry in fs::read_dir(corpus(name)).expect("the corpus").flatten() {
            files += 1;
            bytes += entry.metadata().expect("a file").len();
        }
    }
    assert!(files <= 300 && bytes <= 500_000, "{files} files, {bytes} bytes");
}
