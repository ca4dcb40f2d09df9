// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which way an SA's packets go, from what the policies say.
//!
//! Before Linux 6.10 an SA does not know its own direction. The templates of `out` policies name
//! SAs that begin at this machine; those of `in` and `forward` policies SAs that end here.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use crate::identity::{Direction, Mode};
use crate::policy::{Policy, PolicyDirection, Prefix, Selector, Template};
use crate::sa::Sa;

/// Everything that policies and the user have said about directions.
///
/// It only grows: a deleted policy is still evidence for the SAs that it was made for.
pub(crate) struct Evidence {
    /// Addresses that the user calls this machine's.
    given: HashSet<IpAddr>,
    /// This machine's addresses as templates have them.
    derived: HashSet<IpAddr>,
    /// Templates with both addresses.
    exact: HashMap<(IpAddr, IpAddr), Vec<Clue>>,
    /// Templates that leave addresses open, with those that they may stand for.
    ranges: Vec<(Selector, Clue)>,
    /// What was learnt already; many policies share their templates.
    known: HashSet<(Direction, Template, Option<Selector>)>,
    /// Grows with the evidence.
    generation: u64,
}

/// What a template says about an SA between fitting addresses.
#[derive(Clone, Copy)]
struct Clue {
    direction: Direction,
    proto: u8,
    mode: Mode,
    reqid: u32,
}

/// What several sources say together.
#[derive(Clone, Copy, Default)]
struct Votes {
    inn: bool,
    out: bool,
}

impl Evidence {
    pub(crate) fn new(given: impl IntoIterator<Item = IpAddr>) -> Self {
        Self {
            given: given.into_iter().collect(),
            derived: HashSet::new(),
            exact: HashMap::new(),
            ranges: Vec::new(),
            known: HashSet::new(),
            generation: 0,
        }
    }

    /// A number that changes when there is new evidence.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Takes a policy's templates as evidence.
    pub(crate) fn learn(&mut self, policy: &Policy) {
        let direction = match policy.direction {
            PolicyDirection::Out => Direction::Out,
            PolicyDirection::In | PolicyDirection::Forward => Direction::In,
            PolicyDirection::Other(_) => return,
        };
        for template in &policy.templates {
            let selector = policy.selector.filter(|_| template.mode == Mode::Transport);
            if self.known.insert((direction, *template, selector)) {
                self.learn_template(direction, template, selector);
                self.generation += 1;
            }
        }
    }

    fn learn_template(
        &mut self,
        direction: Direction,
        template: &Template,
        selector: Option<Selector>,
    ) {
        let Template { src, dst, proto, mode, reqid } = *template;
        let clue = Clue { direction, proto, mode, reqid };
        let src = meant(src, selector.map(|selector| selector.src));
        let dst = meant(dst, selector.map(|selector| selector.dst));
        let local = match direction {
            Direction::Out => src,
            Direction::In => dst,
        };
        if local.is_host() && !local.address.is_unspecified() {
            self.derived.insert(local.address);
        }
        if src.is_host() && dst.is_host() {
            self.exact.entry((src.address, dst.address)).or_default().push(clue);
        } else {
            self.ranges.push((Selector { src, dst }, clue));
        }
    }

    /// The direction of an SA that does not tell it itself; `None` if there is no evidence, or if
    /// what there is contradicts itself.
    ///
    /// Templates that fit the SA count most; then which of its addresses other templates show to
    /// be local; then which of them the user says are.
    pub(crate) fn direction(&self, sa: &Sa) -> Option<Direction> {
        let exact = self.exact.get(&(sa.src, sa.id.dst)).into_iter().flatten();
        let ranges = self.ranges.iter().filter(|(addresses, _)| {
            addresses.src.contains(sa.src) && addresses.dst.contains(sa.id.dst)
        });
        let mut votes = Votes::default();
        for clue in exact.chain(ranges.map(|(_, clue)| clue)).filter(|clue| clue.fits(sa)) {
            votes.add(clue.direction);
        }
        // Contradicting policies settle nothing, but what the user says is no guess.
        match votes {
            Votes { inn: true, out: false } => Some(Direction::In),
            Votes { inn: false, out: true } => Some(Direction::Out),
            Votes { inn: true, out: true } => by_locals(&self.given, sa),
            Votes { inn: false, out: false } => {
                by_locals(&self.derived, sa).or_else(|| by_locals(&self.given, sa))
            }
        }
    }
}

impl Clue {
    fn fits(&self, sa: &Sa) -> bool {
        self.proto == sa.id.proto
            && self.mode == sa.mode
            && (self.reqid == sa.reqid || self.reqid == 0 || sa.reqid == 0)
    }
}

impl Votes {
    fn add(&mut self, direction: Direction) {
        match direction {
            Direction::In => self.inn = true,
            Direction::Out => self.out = true,
        }
    }
}

/// The addresses that a template's address stands for.
///
/// In transport mode an open one stands for the address of the packet itself, which the selector
/// limits; in tunnel mode it may be anything.
fn meant(address: IpAddr, selected: Option<Prefix>) -> Prefix {
    if !address.is_unspecified() {
        return Prefix::host(address);
    }
    selected.unwrap_or(Prefix { address, length: 0 })
}

fn by_locals(locals: &HashSet<IpAddr>, sa: &Sa) -> Option<Direction> {
    match (locals.contains(&sa.src), locals.contains(&sa.id.dst)) {
        (true, false) => Some(Direction::Out),
        (false, true) => Some(Direction::In),
        _ => None,
    }
}
