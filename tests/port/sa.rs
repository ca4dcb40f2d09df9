// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What happens to one SA, as its history tells it, and what may happen.

use crate::support::histories;
use stateright::semantics::SequentialSpec;

/// Threads at a time; the one behind them looks at what is left.
pub(crate) const THREADS: usize = 3;

/// What is asked for about one SA.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ask {
    Update(u32),
    /// Of the manager.
    Query,
    /// At the device's own table, past the driver.
    Look,
    /// The first thing that a deletion does: the driver takes nothing for the SA any more, though the
    /// device still has it.
    Doom,
    Delete,
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answer {
    Done,
    Holds(u32),
    Missing,
}

/// What holds of an SA if requests come one at a time.
#[derive(Clone, Debug)]
pub(crate) struct Sa {
    hi: Option<u32>,
    doomed: bool,
    /// Nobody looks past the driver: then what it took before a deletion is as good as done before it.
    strict: bool,
}

impl Sa {
    pub(crate) fn new(strict: bool) -> Self {
        Self { hi: Some(0), doomed: false, strict }
    }

    fn is_open(&self) -> bool {
        self.hi.is_some() && !(self.strict && self.doomed)
    }
}

impl SequentialSpec for Sa {
    type Op = Ask;
    type Ret = Answer;

    /// What becomes of a request whose end nobody is told.
    fn invoke(&mut self, ask: &Ask) -> Answer {
        match *ask {
            Ask::Update(hi) if self.is_open() => self.hi = Some(hi),
            Ask::Update(_) => return Answer::Missing,
            Ask::Doom => self.doomed = true,
            Ask::Delete => self.hi = None,
            Ask::Query | Ask::Look => unreachable!("they are always answered"),
        }
        Answer::Done
    }

    fn is_valid_step(&mut self, ask: &Ask, answer: &Answer) -> bool {
        match (*ask, *answer) {
            (Ask::Update(_), Answer::Done) => self.invoke(ask) == Answer::Done,
            (Ask::Delete, Answer::Done) => {
                // Whether or not it was there.
                self.hi = None;
                true
            }
            (Ask::Query, Answer::Holds(hi)) => self.is_open() && self.hi == Some(hi),
            (Ask::Look, Answer::Holds(hi)) => self.hi == Some(hi),
            (Ask::Look, Answer::Missing) => self.hi.is_none(),
            (Ask::Update(_) | Ask::Query, Answer::Missing) => self.hi.is_none() || self.doomed,
            _ => false,
        }
    }
}

/// What a thread wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Want {
    Add,
    Of(u64, Ask),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    Added(u64),
    Full,
    Told(Answer),
    /// By a cancel or a reset.
    Aborted,
}

pub(crate) type Event = (usize, Result<Want, End>);

/// What happened to one SA, which is there from the beginning: nobody knew it earlier. (A history is
/// linearizable if that of each object is.)
pub(crate) fn of_sa(events: &[Event], sa: u64) -> Vec<histories::Event<Sa>> {
    // Threads that do one thing, of which nobody is told.
    let mut silent = THREADS + 1..;
    let mut one = || silent.next().expect("without end");
    // The first of these serves for all: they are done once, at any time since.
    let (mut doomed, mut perhaps_deleted) = (false, false);
    let mut of = Vec::new();
    for (k, &(thread, ref event)) in events.iter().enumerate() {
        let same = |other: &&Event| other.0 == thread;
        match event {
            Ok(Want::Of(of_sa, ask)) if *of_sa == sa => {
                if *ask == Ask::Delete && !std::mem::replace(&mut doomed, true) {
                    of.push((one(), Ok(Ask::Doom)));
                }
                let end = events[k + 1..].iter().find(same);
                if end.is_none_or(|end| end.1 != Err(End::Aborted)) {
                    of.push((thread, Ok(*ask)));
                } else if *ask != Ask::Delete || !std::mem::replace(&mut perhaps_deleted, true) {
                    of.push((one(), Ok(*ask)));
                }
            }
            Err(End::Told(answer)) => {
                let asked = events[..k].iter().rev().find(same).expect("it was asked").1;
                if matches!(asked, Ok(Want::Of(of_sa, _)) if of_sa == sa) {
                    of.push((thread, Err(*answer)));
                }
            }
            _ => {}
        }
    }
    of
}
