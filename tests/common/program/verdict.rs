// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What came back, beside what the oracle says.

use super::Ran;
use crate::common::backend::{Backend, Took};
use crate::common::oracle::{Expected, Oracle};
use crate::common::pair::Path;
use crate::common::rig::Rig;
use esnic_abi::{Opcode, Status};
use std::collections::{HashMap, HashSet, VecDeque};

/// Operations on a slot that a report shows.
const SHOWN: usize = 20;

/// Commands after which a program must have been everywhere.
pub const RICH: usize = 50_000;

/// Where that is.
pub const ENDS: &[(Opcode, &[Path], &[Status])] = {
    use Opcode::{Add, Delete, Query, Resolve, Update, Update4};
    use Status::{
        Backward, BadEpoch, BadField, Conflict, Empty, Items, NotEsn, Occupied, Ok, OldGeneration,
        Stage, Stale, WrongProto, WrongSpi,
    };
    let both = &Path::BOTH;
    &[
        (Add, both, &[Ok, BadField, Occupied, OldGeneration]),
        (
            Update,
            both,
            &[
                Ok, BadEpoch, BadField, Empty, Stale, WrongProto, WrongSpi, NotEsn, Conflict,
                Backward,
            ],
        ),
        (Update4, &[Path::Ring], &[Ok, BadField, Items]),
        (Delete, both, &[Ok, Empty, Stale]),
        (Query, both, &[Ok, BadField, Empty, Stale]),
        (Resolve, both, &[Ok, BadField, Empty, Stale]),
        (Update, &[Path::Direct], &[Stage]),
        (Add, &[Path::Direct], &[Stage]),
    ]
};

/// Replays what ran.
pub struct Judge {
    oracle: Oracle,
    told: String,
    judged: usize,
    /// Which ends each opcode came to, by which path.
    seen: HashSet<(Path, Opcode, Status)>,
    /// The last operations that named a slot.
    past: HashMap<u32, VecDeque<(usize, Ran)>>,
}

impl Judge {
    pub fn new(oracle: Oracle, told: String) -> Self {
        Self { oracle, told, judged: 0, seen: HashSet::new(), past: HashMap::new() }
    }

    /// A log whose order of effect is known: of one worker alone.
    pub fn in_order(&mut self, log: &[Ran]) {
        log.iter().for_each(|ran| self.judge(ran));
    }

    /// The logs of workers that shared slots, in the order in which the device executed.
    pub fn replay(&mut self, logs: &[Vec<Ran>], trace: &[Took]) {
        // Per pair and path, execution keeps the order of submission.
        let mut queues: HashMap<(u32, bool), VecDeque<&Ran>> = HashMap::new();
        for (pair, log) in logs.iter().enumerate() {
            for ran in log {
                let way = (pair as u32, ran.path == Path::Direct);
                queues.entry(way).or_default().push_back(ran);
            }
        }
        for took in trace {
            let queue = queues.get_mut(&(took.pair, took.direct));
            let ran = queue.and_then(VecDeque::pop_front);
            let ran = ran.unwrap_or_else(|| panic!("{}: {took:x?} of nobody", self.told));
            let order = format!("{}: order of pair {} broken", self.told, took.pair);
            assert_eq!(ran.done.cookie, took.cookie, "{order}");
            self.judge(ran);
        }
        let missed: usize = queues.values().map(VecDeque::len).sum();
        assert_eq!(missed, 0, "{}: completed but never executed", self.told);
    }

    fn judge(&mut self, ran: &Ran) {
        let expected = self.oracle.execute(ran.path, &ran.cmd, ran.staged);
        let done = ran.done;
        let got = Expected {
            status: done.status,
            result: done.result,
            opcode: done.opcode,
            lo_valid: done.lo_valid,
            changed: done.changed,
            record: ran.record,
        };
        let named = named(ran);
        if got != expected {
            let past = named.iter().map(|index| self.history(*index));
            let past: String = past.collect();
            panic!(
                "{}\noperation {}: {}\nexpected {expected:x?}\ngot      {got:x?}\n{past}",
                self.told,
                self.judged,
                line(ran)
            );
        }
        for index in named {
            let past = self.past.entry(index).or_default();
            if past.len() == SHOWN {
                past.pop_front();
            }
            past.push_back((self.judged, *ran));
        }
        self.judged += 1;
        if let Some(opcode) = Opcode::from_code(ran.cmd.opcode()) {
            self.seen.insert((ran.path, opcode, done.status));
        }
    }

    fn history(&self, index: u32) -> String {
        let past = self.past.get(&index).into_iter().flatten();
        let lines = past.map(|(at, ran)| format!("  {at}: {}\n", line(ran)));
        format!("before that on slot {index}:\n{}", lines.collect::<String>())
    }

    /// A place where a program of this length must have been, and was not.
    pub fn missing(&self) -> Option<(Path, Opcode, Status)> {
        let mut ways = ENDS.iter().flat_map(|&(opcode, paths, ends)| {
            paths.iter().flat_map(move |&path| ends.iter().map(move |&end| (path, opcode, end)))
        });
        let long = self.judged >= RICH;
        ways.find(|way| long && !self.seen.contains(way))
    }

    /// A program that misses what it is for proves nothing.
    pub fn assert_rich(&self, ops: usize) {
        assert!(self.judged >= ops, "{}: {} judged", self.told, self.judged);
        let missing = self.missing();
        assert!(missing.is_none(), "{}: never saw {missing:?}", self.told);
    }

    /// The whole table, and the slots in use once more.
    pub fn compare_table<B: Backend>(&self, rig: &Rig<B>, indices: &[u32]) {
        // Reading a million slots takes longer than the program did.
        let few = rig.params.sa_capacity <= 4096;
        let all = 0..if few { rig.params.sa_capacity } else { 0 };
        for index in all.chain(indices.iter().copied()) {
            let (expected, got) = (self.oracle.view(index), rig.view(index));
            let past = || self.history(index);
            assert!(
                got == expected,
                "{}\nslot {index}: expected {expected:x?}\ngot {got:x?}\n{}",
                self.told,
                past()
            );
        }
    }
}

/// The slots that a command names.
fn named(ran: &Ran) -> Vec<u32> {
    let dwords = ran.cmd.dwords();
    match Opcode::from_code(ran.cmd.opcode()) {
        Some(Opcode::Nop | Opcode::Fence) => vec![],
        Some(Opcode::Update4) => vec![dwords[4], dwords[7], dwords[10], dwords[13]],
        _ => vec![dwords[2]],
    }
}

fn line(ran: &Ran) -> String {
    let name = Opcode::from_code(ran.cmd.opcode()).map_or("?", Opcode::name);
    let staged = if ran.staged { "" } else { " (badly staged)" };
    let (path, cmd, done) = (ran.path, ran.cmd, ran.done);
    let answer = format!("{} {:x} v{}", done.status, done.result, u8::from(done.lo_valid));
    format!("{name} by {path:?}{staged} {cmd:?} -> {answer}")
}
