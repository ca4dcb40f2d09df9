// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Completions that nobody should have written: a device whose honest ones are bent, and which writes others
//! while commands are pending. The driver does not panic; what it knows of an SA moves only to where a request
//! or a completion said; a broken promise closes the gate, and after a reset all is well.

use crate::input::Input;
use crate::support::backend::config;
use crate::support::hostile::{Bytes, Hostile};
use crate::support::recorder::Recorder;
use crate::support::sas::{done, esp, hi, keys, update};
use crate::support::small::small;
use esnic_abi::{Status, Top};
use esnic_driver::transport::{Sim, Transport};
use esnic_driver::{Change, Error, PathPolicy, SaHandle, SaManager, SubmitError, Ticket, Verify};
use esnic_model::Stuck;
use std::collections::BTreeSet;
use std::time::Duration;

type Link = Recorder<Sim<Hostile>>;

/// Steps by number; every other byte is one of these, modulo their number.
mod step {
    /// A command; a byte says which. 0 to 2.
    pub(super) const SUBMIT: u8 = 0;
    /// Sixteen bytes, as they are; 3 to 5.
    pub(super) const FORGE: u8 = 3;
    /// The last honest completion again, with some bytes changed; 6 and 7.
    pub(super) const AGAIN: u8 = 6;
    /// The next honest ones get a bit flipped.
    pub(super) const BEND: u8 = 8;
    /// No more of that.
    pub(super) const BEHAVE: u8 = 9;
    /// The device does nothing more until it is reset.
    pub(super) const STICK: u8 = 10;
    /// A reset.
    pub(super) const RECOVER: u8 = 11;
    /// How many there are; the rest move the device and take completions.
    pub(super) const COUNT: u8 = 14;
}

/// More would only be slower.
const MOST_STEPS: usize = 64;

/// The target.
///
/// # Panics
/// If something does not hold.
pub fn run(data: &[u8]) {
    let mut victim = Victim::new();
    let mut input = Input::new(data);
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            break;
        }
        match input.u8() % step::COUNT {
            step::SUBMIT..step::FORGE => victim.submit(&mut input),
            step::FORGE..step::AGAIN => {
                let forged = input.array();
                victim.forge(forged);
            }
            step::AGAIN | 7 => {
                let mut forged = victim.last;
                for _ in 0..input.u8() % 4 {
                    forged[usize::from(input.u8() % 16)] = input.u8();
                }
                victim.forge(forged);
            }
            step::BEND => {
                let bit = usize::from(input.u8() % 128);
                victim.link.device().with_device(|device| {
                    device.touch = Some(Box::new(move |_, mut bytes: Bytes| {
                        bytes[bit / 8] ^= 1 << (bit % 8);
                        bytes
                    }));
                });
            }
            step::BEHAVE => victim.behave(),
            step::STICK => victim
                .link
                .device()
                .with_device(|device| device.model.faults_mut().stuck = Stuck::UntilReset),
            step::RECOVER => victim.recover(),
            _ => victim.look(),
        }
    }
    victim.look();
    victim.recover();
}

/// A manager with an SA, its hostile device, and what may be said about the SA.
struct Victim {
    manager: SaManager<Link>,
    link: Link,
    sa: SaHandle,
    /// Another one, that comes and goes.
    second: Option<SaHandle>,
    tickets: Vec<Ticket<Link>>,
    /// The last honest completion.
    last: Bytes,
    /// Halves of sequence numbers that a request or a completion named.
    his: BTreeSet<u32>,
    los: BTreeSet<u32>,
    /// What was known at the last look, and whether the gate was closed then.
    known: Option<(Top, bool)>,
    closed: bool,
}

const FIRST: Top = Top::new(0, 0x8000_0000);

impl Victim {
    fn new() -> Self {
        let mut config = config();
        // A stuck device does not stop in order; nobody waits for it here.
        config.timeouts.queue_pair = Duration::ZERO;
        let link = Recorder::new(Sim::new("hostile", Hostile::new(small())));
        let manager = SaManager::open(link.clone(), config).expect("an honest device opens");
        manager.set_path_policy(PathPolicy::Ring);
        let spec = esnic_driver::SaSpec { top: FIRST, ..esp(1) };
        let (sa, ticket) = manager.add(&spec).expect("there is room");
        done(&ticket);
        drop(ticket);
        let last = link.device().with_device(|device| device.seen.drain(..).next_back());
        let known = manager.known_top(sa);
        Self {
            manager,
            link,
            sa,
            second: None,
            tickets: Vec::new(),
            last: last.expect("the completion of the ADD"),
            his: [FIRST.hi()].into(),
            los: [FIRST.lo()].into(),
            known,
            closed: false,
        }
    }

    fn submit(&mut self, input: &mut Input<'_>) {
        let (manager, sa) = (&self.manager, self.sa);
        let (what, value) = (input.u8(), u32::from(input.u8()));
        let submitted = match what % 8 {
            0 => manager.query(sa),
            1 => {
                self.his.insert(value);
                manager.update(sa, hi(1, value))
            }
            2 => {
                let top = Top::new(value, input.u32());
                self.his.insert(top.hi());
                self.los.insert(top.lo());
                manager.update(sa, update(&esp(1), Change::top(top)))
            }
            3 => manager.add(&esp(2)).map(|(handle, ticket)| {
                self.second = Some(handle);
                ticket
            }),
            4 => match self.second {
                Some(second) => manager.delete(second),
                None => return,
            },
            5 => {
                self.los.insert(value);
                manager.resolve(sa, value, input.u8() % 2 == 1)
            }
            6 => {
                let mut batch = manager.batch(4);
                for k in 0..1 + value % 4 {
                    self.his.insert(value + k);
                    batch.update(sa, hi(1, value + k));
                }
                let _ = batch.submit();
                return;
            }
            _ => manager.delete(sa),
        };
        match submitted {
            Ok(ticket) => {
                assert!(!self.closed, "the gate is closed");
                self.tickets.push(ticket);
            }
            Err(SubmitError::Closed) => assert!(self.closed, "nobody closed it"),
            Err(SubmitError::NotFound | SubmitError::Full | SubmitError::Busy) => {}
            Err(error) => panic!("{error}"),
        }
        self.look_only();
    }

    fn forge(&mut self, forged: Bytes) {
        self.says(&forged);
        self.link.device().with_device(|device| device.forged.push_back(forged));
        self.look();
    }

    /// What a completion says about sequence numbers.
    fn says(&mut self, bytes: &Bytes) {
        let (lo, rest) = bytes.split_first_chunk().expect("sixteen bytes");
        let (hi, _) = rest.split_first_chunk().expect("twelve bytes");
        self.los.insert(u32::from_le_bytes(*lo));
        self.his.insert(u32::from_le_bytes(*hi));
    }

    /// Moves the device, takes completions, and looks what came of it.
    fn look(&mut self) {
        self.link.relax();
        let seen: Vec<Bytes> =
            self.link.device().with_device(|device| device.seen.drain(..).collect());
        for bytes in &seen {
            self.says(bytes);
        }
        self.last = seen.last().copied().unwrap_or(self.last);
        self.manager.poll();
        self.look_only();
    }

    fn look_only(&mut self) {
        let known = self.manager.known_top(self.sa);
        if self.closed {
            assert_eq!(known, self.known, "it moved behind a closed gate");
        }
        if let Some((top, _)) = known {
            let (hi, lo) = (top.hi(), top.lo());
            assert!(self.his.contains(&hi) && self.los.contains(&lo), "{top:?} out of nothing");
            assert!(self.manager.has_keys(self.sa, &keys(1)), "its keys have changed");
        }
        self.known = known;
        self.closed |= matches!(self.manager.check(), Err(Error::Protocol(_)));
        if self.closed {
            let refused = self.manager.query(self.sa).err();
            let dead = known.is_none() && refused == Some(SubmitError::NotFound);
            assert!(refused == Some(SubmitError::Closed) || dead, "{refused:?}");
        }
    }

    fn behave(&self) {
        self.link.device().with_device(|device| {
            device.touch = None;
            device.forged.clear();
        });
    }

    /// A reset: everything is settled, device and shadow agree, and the device's word is right.
    fn recover(&mut self) {
        self.behave();
        let before = self.manager.known_top(self.sa);
        let report = self.manager.recover(Verify::All).expect("an honest device comes back");
        assert_eq!((&report.lost[..], &report.differences[..]), (&[][..], &[][..]));
        for ticket in self.tickets.drain(..) {
            assert!(ticket.poll().is_some(), "a reset settles everything");
        }
        assert_eq!(self.manager.check(), Ok(()));
        assert_eq!(self.manager.diff(), Ok(vec![]));
        assert_eq!(self.manager.stats().in_flight, 0);
        if let Some((top, valid)) = self.manager.known_top(self.sa) {
            assert!(before.is_some(), "it came back from the dead");
            let result = done(&self.manager.query(self.sa).expect("an open gate"));
            let said = Top::new((result >> 32) as u32, result as u32);
            assert_eq!(said.hi(), top.hi());
            assert!(!valid || said.lo() == top.lo(), "{said:?}, {top:?}");
            self.his.insert(said.hi());
            self.los.insert(said.lo());
        }
        self.closed = false;
        self.known = self.manager.known_top(self.sa);
        let _: Vec<Bytes> =
            self.link.device().with_device(|device| device.seen.drain(..).collect());
    }
}

/// Every command by itself, honest; the same with a completion that says each status in turn; and bits flipped.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for what in 0..8 {
        let command = [step::SUBMIT, what, 7, 0, 0, 0, 0];
        seeds.push([&command[..], &[13, 13, step::RECOVER]].concat());
        for status in [Status::Ok, Status::Stale, Status::Occupied, Status::Conflict] {
            // The next cookie, and a head that is right.
            let forged = [7, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, status as u8, 0];
            let steps = [&[step::STICK], &command[..], &[step::FORGE], &forged].concat();
            seeds.push(steps);
        }
        for bit in [0, 32, 64, 96, 112, 125, 126, 127] {
            seeds.push([&[step::BEND, bit], &command[..], &[13, 13]].concat());
        }
        seeds.push([&command[..], &[13, step::AGAIN, 0, step::AGAIN, 1, 14, what]].concat());
    }
    seeds
}
