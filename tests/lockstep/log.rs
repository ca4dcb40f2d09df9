// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What happened last, kept cheaply and told only when something went wrong. Keys are test keys, and
//! are left out all the same.

use crate::pair::{Entry, Sent, Verdict};
use esnic_rtl::Issued;
use std::collections::VecDeque;
use std::fmt;

/// How much is kept.
const KEPT: usize = 120;

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub enum Note {
    Sent { pair: usize, sent: Sent },
    Issued(Issued),
    Done { pair: usize, entry: Entry },
    Message(u16),
    Refused { iova: u64, write: bool },
    Told { pair: usize, tail: u32 },
    Consumed { pair: usize, head: u32 },
    Armed { pair: usize, consumed: u32, coalesce: u32 },
    Deed(&'static str, u64),
}

/// The last notes.
#[derive(Default)]
pub struct Log(VecDeque<Note>);

impl Log {
    pub fn push(&mut self, note: Note) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(note);
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent { pair, sent } if sent.direct => {
                let (place, entry) = (sent.place, sent.entry);
                write!(f, "pair {pair}: direct place {place}, {entry:x}: {:?}", sent.cmd)
            }
            Self::Sent { pair, sent } => {
                write!(f, "pair {pair}: slot {:x}: {:?}", sent.place, sent.cmd)
            }
            Self::Issued(Issued { cycle, queue_pair, direct, cookie, opcode_byte }) => {
                let path = if *direct { "direct" } else { "ring" };
                write!(f, "    cycle {cycle}: pair {queue_pair} issues by {path} ")?;
                write!(f, "cookie {cookie:x} opcode {opcode_byte:x}")
            }
            Self::Done { pair, entry } => {
                let Verdict { result, cookie, status, info } = entry.verdict;
                write!(f, "  pair {pair} completes cookie {cookie:x}: status {status} ")?;
                write!(f, "result {result:x} info {info:x} sq_head {:x}", entry.sq_head)
            }
            Self::Message(vector) => write!(f, "  vector {vector} fires"),
            Self::Refused { iova, write } => write!(f, "  refused {iova:#x}, write: {write}"),
            Self::Told { pair, tail } => write!(f, "pair {pair}: SQ_TAIL {tail:x}"),
            Self::Consumed { pair, head } => write!(f, "pair {pair}: CQ_HEAD {head:x}"),
            Self::Armed { pair, consumed, coalesce } => {
                write!(f, "pair {pair}: CQ_ARM {consumed:x}, coalesce {coalesce:x}")
            }
            Self::Deed(what, value) => write!(f, "{what} {value:#x}"),
        }
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}
