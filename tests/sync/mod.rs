// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the tests of `esnic sync` share: the captures, a decoder that shares no code with
//! `esnic-xfrm`, a way to run the command, and a small device for many runs.
//!
//! Every test file compiles its own copy of this module and takes what it needs.
#![allow(dead_code, unreachable_pub, unused_imports)]

pub mod command;
pub mod damage;
pub mod device;
pub mod last;
pub mod truth;
pub mod wire;

pub use command::{Ran, esnic, esnic_fed, object, sync};
pub use device::{Follow, Nic};
pub use last::last;
pub use truth::{Dump, Sa, dumps};

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Where the captures are.
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/xfrm");

/// How many captures there are: a test of all of them must not run on none.
const COUNT: usize = 77;

/// A capture of the test data.
pub struct File {
    /// Its path below the test data.
    pub name: String,
    pub path: String,
    pub data: Vec<u8>,
}

impl File {
    /// The addresses of the machine that was captured.
    pub fn locals(&self) -> &'static [&'static str] {
        match self.name.ends_with("nl-A.pcap") {
            true => &["10.9.0.1", "10.9.0.11", "fd09::1"],
            false => &["10.9.0.2", "fd09::2"],
        }
    }

    pub fn addresses(&self) -> Vec<IpAddr> {
        let parsed = self.locals().iter().map(|address| address.parse());
        parsed.map(Result::unwrap).collect()
    }

    pub fn is_small(&self) -> bool {
        self.data.len() < 30_000
    }
}

/// One capture by its path below the test data.
pub fn file(name: &str) -> File {
    let path = Path::new(DATA).join(name);
    let data = fs::read(&path).unwrap();
    File { name: name.to_owned(), path: path.to_str().unwrap().to_owned(), data }
}

/// All captures.
pub fn files() -> Vec<File> {
    let mut names = Vec::new();
    let mut folders = vec![PathBuf::from(DATA)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "pcap") {
                let name = path.strip_prefix(DATA).unwrap();
                names.push(name.to_str().unwrap().to_owned());
            }
        }
    }
    names.sort();
    assert_eq!(names.len(), COUNT);
    names.iter().map(|name| file(name)).collect()
}

/// `ESNIC_SEED` or the usual one; printed, so that a failure can be seen again.
pub fn seed() -> u64 {
    let seed = number("ESNIC_SEED", 0x65_736e_6963);
    println!("ESNIC_SEED={seed}");
    seed
}

/// `ESNIC_CASES` or as many as usual.
pub fn cases(usual: u64) -> u64 {
    number("ESNIC_CASES", usual)
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect(name))
}
