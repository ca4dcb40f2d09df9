// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The pending table: what the driver knows of each command between submission and the moment when
//! nobody wants its outcome any more.
//!
//! An entry's number and use count make the cookie (R45), so a duplicate or late completion is
//! recognised. An entry goes back to the free list when its last part is done: the device's
//! (`IN_FLIGHT`), the ticket's (`HELD`), the callback's (`NOTIFY`). All fields are atomics that one
//! party writes before handing over, so there is no `unsafe` here.

mod entry;

use crate::cq::Broken;
use crate::sync::{ArrayQueue, Ordering};
use esnic_abi::Cookie;

pub(crate) use entry::{Entry, Kind, Target};
pub use entry::{Outcome, Settled};

/// The operation is not over: this command, or one that is part of it, is not completed.
const IN_FLIGHT: u32 = 1;
/// A ticket refers to the entry.
const HELD: u32 = 2;
/// A callback is to be called.
const NOTIFY: u32 = 4;
/// The device has not completed this very command.
const COMMAND: u32 = 8;

/// "No other entry".
pub(crate) const NONE: u32 = u32::MAX;

/// What `finish` leaves to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Notify {
    pub(crate) callback: u32,
    pub(crate) token: u64,
    pub(crate) settled: Settled,
}

/// Entries by number.
pub(crate) struct Pending {
    entries: Box<[Entry]>,
    /// Free entries for what callers hold: tickets and operations.
    held: ArrayQueue<u32>,
    /// Free entries for commands that nobody holds. No ticket can use these up, so a command that
    /// the driver owes the device finds one as soon as others of its kind are completed.
    own: ArrayQueue<u32>,
    /// Bits of a cookie that name the entry.
    log2: u32,
}

impl Pending {
    /// A table of `1 << log2` entries for what callers hold, at most 2^16, and half as many for
    /// commands that nobody holds.
    pub(crate) fn new(log2: u32) -> Self {
        let held = 1 << log2;
        let all = held + (held / 2).max(1);
        let queue = |numbers: std::ops::Range<u32>| {
            let queue = ArrayQueue::new(numbers.len());
            for number in numbers {
                queue.push(number).expect("the queue has room for every entry");
            }
            queue
        };
        Self {
            entries: (0..all).map(|_| Entry::new()).collect(),
            held: queue(0..held),
            own: queue(held..all),
            log2: log2 + 1,
        }
    }

    /// Takes an entry for a command; `None` if all are in use. `held`: a ticket will refer to it.
    pub(crate) fn take(&self, kind: Kind, targets: &[Target], held: bool) -> Option<u32> {
        self.claim(kind, targets, 1, COMMAND | if held { HELD } else { 0 })
    }

    /// Takes an entry for an operation of `parts` commands with entries of their own, which
    /// [`Self::adopt`] names. A ticket will refer to it.
    pub(crate) fn take_operation(&self, kind: Kind, targets: &[Target], parts: u32) -> Option<u32> {
        self.claim(kind, targets, parts, HELD)
    }

    fn claim(&self, kind: Kind, targets: &[Target], open: u32, state: u32) -> Option<u32> {
        let number = if state & HELD == 0 { self.own.pop()? } else { self.held.pop()? };
        let entry = &self.entries[number as usize];
        entry.kind.store(kind.pack(), Ordering::Relaxed);
        for (k, target) in targets.iter().enumerate() {
            entry.targets[k].store(target.handle.bits(), Ordering::Relaxed);
            entry.wanted[k].store(target.wanted, Ordering::Relaxed);
        }
        entry.parent.store(NONE, Ordering::Relaxed);
        entry.said.store(0, Ordering::Relaxed);
        entry.open.store(open, Ordering::Relaxed);
        // The command reaches the device, and its completion the reaper, by way of the ring's own
        // release and acquire; this release is for those who look at the table itself.
        entry.state.store(IN_FLIGHT | state, Ordering::Release);
        Some(number)
    }

    /// Makes `child` one of the commands of `parent`'s operation; it is not published yet.
    pub(crate) fn adopt(&self, child: u32, parent: u32) {
        self.entries[child as usize].parent.store(parent, Ordering::Relaxed);
    }

    /// One of the commands of `parent`'s operation will not come.
    pub(crate) fn drop_part(&self, parent: u32) -> Option<Notify> {
        self.close(parent)
    }

    /// Gives back an entry whose command was never published.
    pub(crate) fn untake(&self, number: u32) {
        self.entries[number as usize].state.store(0, Ordering::Relaxed);
        self.recycle(number);
    }

    /// Changes the description of a command that is not published yet.
    pub(crate) fn set_kind(&self, number: u32, kind: Kind) {
        self.entries[number as usize].kind.store(kind.pack(), Ordering::Relaxed);
    }

    pub(crate) fn entry(&self, number: u32) -> &Entry {
        &self.entries[number as usize]
    }

    /// Every entry.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        (0..).take(self.entries.len())
    }

    /// Entries in use.
    pub(crate) fn used(&self) -> usize {
        self.entries.len() - self.held.len() - self.own.len()
    }

    /// The cookie of an entry's present use.
    pub(crate) fn cookie(&self, number: u32) -> Cookie {
        let uses = self.entries[number as usize].uses.load(Ordering::Relaxed);
        Cookie((uses << self.log2 | number) & Cookie::MASK)
    }

    /// The entry that a completion's cookie names, if its use is the present one and its command is
    /// pending.
    pub(crate) fn find(&self, cookie: u32) -> Result<u32, Broken> {
        let number = cookie & ((1 << self.log2) - 1);
        if number as usize >= self.entries.len() {
            return Err(Broken::CookieUnknown);
        }
        // In this order: an entry that a later use has opened shows that use's cookie. The other way
        // round the use could end and another begin in between, and a duplicate be taken for its.
        let present = self.entry(number).is_open() && self.cookie(number).0 == cookie;
        present.then_some(number).ok_or(Broken::CookieNotPending)
    }

    /// One command of the operation is completed, and its own entry (if it is a part) done with.
    /// When it was the operation's last: the outcome becomes visible, and the caller must call the
    /// callback if one is returned.
    pub(crate) fn finish(&self, number: u32) -> Option<Notify> {
        let parent = self.entry(number).parent();
        if parent == NONE {
            return self.end(number, COMMAND | IN_FLIGHT);
        }
        // A part: nobody holds it.
        self.entry(number).state.store(0, Ordering::Relaxed);
        self.recycle(number);
        self.close(parent)
    }

    fn close(&self, owner: u32) -> Option<Notify> {
        if self.entry(owner).open.fetch_sub(1, Ordering::AcqRel) > 1 {
            return None;
        }
        self.end(owner, IN_FLIGHT)
    }

    /// Makes the outcome visible, by taking `flags` away.
    fn end(&self, owner: u32, flags: u32) -> Option<Notify> {
        let entry = self.entry(owner);
        // AcqRel: what was said is visible to whoever sees the flag gone; and a callback that was
        // attached before is visible here.
        let before = entry.state.fetch_and(!flags, Ordering::AcqRel);
        if before & NOTIFY != 0 {
            return Some(self.take_notify(owner));
        }
        if before & HELD == 0 {
            self.recycle(owner);
        }
        None
    }

    /// The outcome, once there is one.
    pub(crate) fn poll(&self, number: u32) -> Option<Settled> {
        let entry = self.entry(number);
        (!entry.is_in_flight()).then(|| entry.settled())
    }

    /// The ticket goes away.
    pub(crate) fn let_go(&self, number: u32) {
        let before = self.entry(number).state.fetch_and(!HELD, Ordering::AcqRel);
        if before & IN_FLIGHT == 0 {
            self.recycle(number);
        }
    }

    /// Turns the ticket's part into a callback's. If the outcome is there already, it is returned
    /// and the caller must call the callback.
    pub(crate) fn attach(&self, number: u32, callback: u32, token: u64) -> Option<Notify> {
        let entry = self.entry(number);
        entry.callback.store(callback, Ordering::Relaxed);
        entry.token.store(token, Ordering::Relaxed);
        let before = entry.state.fetch_or(NOTIFY, Ordering::AcqRel);
        (before & IN_FLIGHT == 0).then(|| self.take_notify(number))
    }

    fn take_notify(&self, number: u32) -> Notify {
        let entry = self.entry(number);
        let notify = Notify {
            callback: entry.callback.load(Ordering::Relaxed),
            token: entry.token.load(Ordering::Relaxed),
            settled: entry.settled(),
        };
        entry.state.store(0, Ordering::Relaxed);
        self.recycle(number);
        notify
    }

    fn recycle(&self, number: u32) {
        // Whoever recycles is alone with the entry: no read-modify-write is needed.
        let uses = &self.entry(number).uses;
        uses.store(uses.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        let queue = if (number as usize) < self.held.capacity() { &self.held } else { &self.own };
        queue.push(number).expect("the queue has room for every entry");
    }
}

#[cfg(all(test, loom))]
mod models;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use esnic_abi::{Opcode, Status};

    const KIND: Kind = Kind { opcode: Opcode::Update, detail: 1, targets: 0, direct: 0 };
    const DONE: Settled = Settled::Completed(Outcome {
        status: Status::Conflict,
        result: 7,
        lo_valid: true,
        changed: false,
    });

    #[test]
    fn a_cookie_is_good_for_one_completion() {
        let pending = Pending::new(2);
        let number = pending.take(KIND, &[], false).unwrap();
        let cookie = pending.cookie(number);
        assert_eq!(pending.find(cookie.0), Ok(number));
        pending.entry(number).say(DONE);
        assert_eq!(pending.finish(number), None);
        assert_eq!(pending.find(cookie.0), Err(Broken::CookieNotPending), "a duplicate");
        for _ in 0..3 {
            pending.untake(pending.take(KIND, &[], false).unwrap());
        }
        assert_eq!(pending.take(KIND, &[], false), Some(number));
        assert_eq!(
            pending.find(cookie.0),
            Err(Broken::CookieNotPending),
            "a late one, while the entry is used again"
        );
        assert_ne!(pending.cookie(number), cookie);
    }

    #[test]
    fn an_outcome_waits_for_its_ticket() {
        let pending = Pending::new(0);
        let number = pending.take(KIND, &[], true).unwrap();
        assert_eq!(pending.poll(number), None);
        pending.entry(number).say(DONE);
        pending.finish(number);
        assert_eq!(pending.poll(number), Some(DONE));
        assert_eq!(pending.take(KIND, &[], true), None, "it is still the ticket's");
        pending.let_go(number);
        assert!(pending.take(KIND, &[], true).is_some());
    }

    #[test]
    fn a_callback_is_due_exactly_once_whoever_comes_first() {
        for attach_first in [true, false] {
            let pending = Pending::new(0);
            let number = pending.take(KIND, &[], true).unwrap();
            pending.entry(number).say(DONE);
            let (a, b) = if attach_first {
                (pending.attach(number, 3, 4), pending.finish(number))
            } else {
                let b = pending.finish(number);
                (pending.attach(number, 3, 4), b)
            };
            let due: Vec<_> = a.into_iter().chain(b).collect();
            assert_eq!(due, [Notify { callback: 3, token: 4, settled: DONE }]);
            assert_eq!(pending.used(), 0);
        }
    }

    #[test]
    fn an_operation_of_two_commands_ends_with_the_second() {
        let pending = Pending::new(1);
        let parent = pending.take_operation(KIND, &[], 2).unwrap();
        let child = pending.take(KIND, &[], false).unwrap();
        pending.adopt(child, parent);
        assert_eq!(
            pending.find(pending.cookie(parent).0),
            Err(Broken::CookieNotPending),
            "no command has its cookie"
        );
        pending.entry(parent).say(DONE);
        pending.finish(child);
        assert_eq!(pending.poll(parent), None);
        pending.drop_part(parent);
        assert_eq!(pending.poll(parent), Some(DONE));
        assert_eq!(pending.used(), 1, "the ticket's");
    }

    #[test]
    fn a_cookie_outside_the_table_was_never_given_out() {
        let pending = Pending::new(1);
        assert_eq!(pending.find(3), Err(Broken::CookieUnknown));
    }

    #[test]
    fn held_outcomes_leave_room_for_what_the_driver_owes() {
        let pending = Pending::new(1);
        for _ in 0..2 {
            pending.take_operation(KIND, &[], 1).unwrap();
        }
        assert_eq!(pending.take(KIND, &[], true), None);
        assert!(pending.take(KIND, &[], false).is_some());
    }
}
