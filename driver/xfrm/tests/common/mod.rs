// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the tests share: the captures, a sink that remembers, and messages made by hand.
#![allow(dead_code, unreachable_pub, missing_docs)]

pub mod build;
pub mod truth;

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use esnic_xfrm::{
    Direction, Encap, Follower, Message, Options, Packets, Removal, Replay, Sa, SaId, Sink,
    SinkError, Verdict,
};

pub const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/xfrm");

/// A capture of the test data.
pub struct File {
    pub path: PathBuf,
    /// Its path below the test data.
    pub name: String,
    pub data: Vec<u8>,
}

impl File {
    /// The addresses of the machine that was captured.
    pub fn locals(&self) -> Vec<IpAddr> {
        let addresses: &[&str] = if self.name.ends_with("nl-A.pcap") {
            &["10.9.0.1", "10.9.0.11", "fd09::1"]
        } else {
            &["10.9.0.2", "fd09::2"]
        };
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    pub fn packets(&self) -> Packets<'_> {
        Packets::over(&self.data).unwrap()
    }

    pub fn messages(&self) -> Vec<Message> {
        messages(&self.data)
    }
}

pub fn messages(data: &[u8]) -> Vec<Message> {
    Packets::over(data)
        .unwrap()
        .flat_map(|packet| packet.unwrap().messages())
        .map(Result::unwrap)
        .collect()
}

/// One capture by its path below the test data.
pub fn file(name: &str) -> File {
    let path = Path::new(DATA).join(name);
    let data = fs::read(&path).unwrap();
    File { path, name: name.to_owned(), data }
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
            } else if path.extension().is_some_and(|extension| extension == "pcap") {
                let name = path.strip_prefix(DATA).unwrap().to_str().unwrap();
                names.push(name.to_owned());
            }
        }
    }
    names.sort();
    assert_eq!(names.len(), 77);
    names.iter().map(|name| file(name)).collect()
}

/// A sink that holds everything, or everything that a test lets it.
#[derive(Default)]
pub struct Recorder {
    pub table: BTreeMap<SaId, (Sa, Direction)>,
    pub log: Vec<Call>,
    /// Refuses what is not AEAD.
    pub picky: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Present(u32, Direction),
    Advance(u32, u64, u64),
    Encap(u32, Encap),
    Remove(u32, Removal),
}

impl Sink for Recorder {
    fn present(&mut self, sa: &Sa, direction: Direction) -> Result<Verdict, SinkError> {
        assert!(!sa.is_larval());
        if let esnic_xfrm::Algorithm::Aead(aead) = &sa.algorithm {
            assert!(!aead.key.is_empty(), "presented without its key");
        } else if self.picky {
            self.table.remove(&sa.id);
            return Ok(Verdict::Skipped(format!("no {} in this device", sa.algorithm)));
        }
        self.table.insert(sa.id, (sa.clone(), direction));
        self.log.push(Call::Present(sa.id.spi, direction));
        Ok(Verdict::Taken)
    }

    fn advance(&mut self, id: &SaId, replay: Replay) -> Result<(), SinkError> {
        self.log.push(Call::Advance(id.spi, replay.out, replay.inn));
        let sa = &mut self.table.get_mut(id).expect("advance of an SA that is not held").0;
        assert_ne!(sa.replay, replay, "advance by nothing");
        sa.replay = replay;
        Ok(())
    }

    fn encap(&mut self, id: &SaId, encap: Encap) -> Result<(), SinkError> {
        self.log.push(Call::Encap(id.spi, encap));
        self.table.get_mut(id).expect("encap of an SA that is not held").0.encap = Some(encap);
        Ok(())
    }

    fn remove(&mut self, id: &SaId, why: Removal) -> Result<(), SinkError> {
        self.log.push(Call::Remove(id.spi, why));
        assert!(self.picky || self.table.contains_key(id), "removal of an SA that is not held");
        self.table.remove(id);
        Ok(())
    }
}

/// A follower and what it tells.
pub struct Run {
    pub follower: Follower,
    pub sink: Recorder,
}

impl Run {
    pub fn new(options: Options) -> Self {
        Self { follower: Follower::new(options), sink: Recorder::default() }
    }

    pub fn apply(&mut self, message: &Message) {
        self.follower.apply(message, &mut self.sink).unwrap();
    }

    /// Applies messages made by hand, one packet each.
    pub fn feed(&mut self, messages: &[Vec<u8>]) {
        for data in messages {
            self.apply(&build::parse(data));
        }
    }

    pub fn spis(&self) -> Vec<u32> {
        self.sink.table.values().map(|(sa, _)| sa.id.spi).collect()
    }
}

/// Follows a whole capture, policies first.
pub fn follow(file: &File, options: Options) -> Run {
    let messages = file.messages();
    let mut run = Run::new(options);
    messages.iter().for_each(|message| run.follower.learn_policies(message));
    messages.iter().for_each(|message| run.apply(message));
    run
}

pub fn options(file: &File, use_dumps: bool) -> Options {
    Options { locals: file.locals(), use_dumps }
}
