// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Requests of IPsecOV2 to a port whose device is the model: any bytes in the nodes, any order, with cancels,
//! resets and polls in between. What comes back is held against `docs/ipsecov2.md`.
//!
//! An input is a list of steps, one byte each with what it takes behind it. Nodes are raw bytes, or made
//! well-formed from a few bytes and then damaged, so that requests get behind the checks.

mod book;
mod node;

use crate::input::Input;
use crate::support::model::Model;
use crate::support::oids::Desk;
use book::Book;
use esnic_driver::Verify;
use esnic_driver::oid::{Kind, Request, number};
use esnic_driver::transport::Transport;
use std::time::{Duration, Instant};

/// Steps by number; every other byte is one of these, modulo their number.
pub mod step {
    /// A request; 0 to 7.
    pub const SUBMIT: u8 = 0;
    /// A cancel: an id's byte.
    pub const CANCEL: u8 = 8;
    /// Completions are taken.
    pub const POLL: u8 = 9;
    /// The device moves: a byte says how often.
    pub const MOVE: u8 = 11;
    /// Something happens to the port as a whole: a byte says what.
    pub const PORT: u8 = 13;
    /// Everything that is outstanding is waited for.
    pub const WAIT: u8 = 14;
    /// How many there are.
    pub const COUNT: u8 = 16;
}

/// Numbers of requests by byte, modulo ten; 8 is any number, 9 is ADD_SA again.
pub const NUMBERS: [u32; 8] = [
    number::ADD_SA,
    number::ADD_SA_EX,
    number::UPDATE_SA,
    number::DELETE_SA,
    number::PARAMETERS,
    number::ENCAPSULATION,
    number::CURRENT_CONFIG,
    number::HARDWARE_CAPABILITIES,
];

/// More would only be slower.
const MOST_STEPS: usize = 64;

/// The target.
///
/// # Panics
/// If something does not hold.
pub fn run(data: &[u8]) {
    let desk = Desk::<Model>::new();
    let mut book = Book::default();
    let mut input = Input::new(data);
    let mut state = State::Open;
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            break;
        }
        match input.u8() % step::COUNT {
            step::CANCEL => {
                let id = id(&mut input, book.submitted().saturating_sub(1));
                desk.port.cancel(id);
                book.take(desk.completions());
                book.cancelled(id);
            }
            step::POLL | 10 => desk.port.poll(),
            step::MOVE | 12 => {
                (0..=input.u8() % 4).for_each(|_| desk.link.relax());
            }
            step::PORT => state = turn(&desk, input.u8(), state),
            step::WAIT | 15 => {
                assert!(desk.port.wait_idle(soon()), "it hangs");
                book.take(desk.completions());
                book.is_even();
            }
            _ => submit(&desk, &mut book, &mut input),
        }
        book.take(desk.completions());
    }
    end(&desk, &mut book, state);
}

/// What became of the port.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Halted,
    Removed,
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(15)
}

fn submit(desk: &Desk<Model>, book: &mut Book, input: &mut Input<'_>) {
    let oid = match input.u8() % 10 {
        8 => input.u32(),
        9 => number::ADD_SA,
        k => NUMBERS[usize::from(k)],
    };
    let kind = match input.u8() % 16 {
        14 => Kind::Method,
        15 => Kind::Query,
        // What can only be asked is asked.
        k if k > 0 && matches!(oid, number::CURRENT_CONFIG | number::HARDWARE_CAPABILITIES) => {
            Kind::Query
        }
        _ => Kind::Set,
    };
    let id = id(input, book.submitted());
    let mut nodes: Vec<Vec<u8>> = Vec::new();
    for _ in 0..input.u8() % 8 {
        node::make(oid, book, input, &mut nodes);
    }
    let nodes = nodes.into_iter().map(Into::into).collect();
    let request = Request { id, oid, kind, nodes };
    book.submit(&request);
    desk.port.submit(request);
}

/// 0, one of those that several requests have, or one of its own.
fn id(input: &mut Input<'_>, fresh: u64) -> u64 {
    match input.u8() {
        shared @ 0..16 => shared.into(),
        _ => 1000 + fresh,
    }
}

fn turn(desk: &Desk<Model>, how: u8, state: State) -> State {
    match how % 16 {
        0..4 => desk.port.pause(),
        4..8 => desk.port.restart(),
        8..13 => match desk.port.reset(Verify::All) {
            Ok(report) => {
                assert!(state == State::Open);
                assert_eq!((report.lost, report.differences), (vec![], vec![]));
            }
            Err(error) => assert!(state != State::Open, "an honest device comes back: {error}"),
        },
        13 | 14 => match desk.port.halt(soon()) {
            Ok(()) if state == State::Open => return State::Halted,
            Ok(()) => {}
            Err(error) => assert!(state != State::Open, "nothing is stuck: {error}"),
        },
        _ => {
            desk.port.remove();
            return if state == State::Open { State::Removed } else { state };
        }
    }
    state
}

/// Everything ends, and device and shadow agree.
fn end(desk: &Desk<Model>, book: &mut Book, state: State) {
    assert!(desk.port.wait_idle(soon()), "it hangs");
    if state == State::Open {
        desk.assert_clean();
    }
    assert_eq!(desk.port.outstanding(), 0);
    book.take(desk.completions());
    book.is_even();
    if state == State::Open {
        book.agrees(desk.port.manager());
    }
    for indication in desk.indications() {
        assert_ne!(esnic_driver::oid::indication::name(indication.status), "UNKNOWN");
    }
}
