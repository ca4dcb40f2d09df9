// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tickets by number. A number is good once: each use of a slot has another one, until they are through.
//! A slot is locked only to take its ticket out or put it in, never while somebody waits.

use crate::codes::esnic_error::{ESNIC_E_BUSY, ESNIC_E_FULL, ESNIC_E_TICKET};
use crate::fail::Fail;
use crate::types::esnic_ticket;
use crossbeam::queue::ArrayQueue;
use esnic_driver::Ticket;
use esnic_driver::transport::Transport;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bits of a number: which slot, which use of it, and at the top which device, of 4096. The header says when
/// a number comes back.
const SLOT_BITS: u32 = 22;
const USE_BITS: u32 = 30;

enum State<T: Transport> {
    Free,
    Held(Ticket<T>),
    /// A thread waits for it.
    Lent,
}

struct Slot<T: Transport> {
    /// Which use this is; never 0.
    uses: u64,
    state: State<T>,
}

/// The use of a slot after this one.
const fn next(uses: u64) -> u64 {
    uses % ((1 << USE_BITS) - 1) + 1
}

/// The tickets of one device.
pub(crate) struct Tickets<T: Transport> {
    slots: Box<[Mutex<Slot<T>>]>,
    free: ArrayQueue<usize>,
    serial: u64,
}

/// A slot for a ticket to come.
pub(crate) struct Reserved<'t, T: Transport> {
    tickets: &'t Tickets<T>,
    slot: Option<usize>,
}

/// A ticket in the hands of one thread. It goes back when this is dropped, unless it was used up.
pub(crate) struct Lent<'t, T: Transport> {
    tickets: &'t Tickets<T>,
    slot: usize,
    ticket: Option<Ticket<T>>,
}

impl<T: Transport> Tickets<T> {
    /// Room for `count` tickets of device `serial`.
    pub(crate) fn new(count: usize, serial: u64) -> Self {
        assert!((1..=1 << SLOT_BITS).contains(&count), "{count} tickets");
        let free = ArrayQueue::new(count);
        (0..count).for_each(|slot| free.push(slot).expect("the queue has room for every slot"));
        let slot = || Mutex::new(Slot { uses: 1, state: State::Free });
        Self { slots: (0..count).map(|_| slot()).collect(), free, serial }
    }

    fn lock(&self, slot: usize) -> MutexGuard<'_, Slot<T>> {
        self.slots[slot].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self, slot: usize, uses: u64) -> esnic_ticket {
        self.serial << (SLOT_BITS + USE_BITS) | uses << SLOT_BITS | slot as u64
    }

    /// A slot, before anything is sent whose ticket would have none.
    pub(crate) fn reserve(&self) -> Result<Reserved<'_, T>, Fail> {
        let slot = self.free.pop().ok_or_else(|| Fail::plain(ESNIC_E_FULL))?;
        Ok(Reserved { tickets: self, slot: Some(slot) })
    }

    /// Takes the ticket with this number into the thread's hands.
    pub(crate) fn lend(&self, number: esnic_ticket) -> Result<Lent<'_, T>, Fail> {
        let none = || Fail::plain(ESNIC_E_TICKET);
        #[allow(clippy::cast_possible_truncation)]
        let at = (number & ((1 << SLOT_BITS) - 1)) as usize;
        if at >= self.slots.len() {
            return Err(none());
        }
        let mut slot = self.lock(at);
        if self.number(at, slot.uses) != number {
            return Err(none());
        }
        match std::mem::replace(&mut slot.state, State::Lent) {
            State::Held(ticket) => {
                drop(slot);
                Ok(Lent { tickets: self, slot: at, ticket: Some(ticket) })
            }
            State::Lent => Err(Fail::new(ESNIC_E_BUSY, "another thread is using this ticket")),
            State::Free => {
                slot.state = State::Free;
                Err(none())
            }
        }
    }
}

impl<T: Transport> Reserved<'_, T> {
    /// Puts the ticket in, and gives its number.
    pub(crate) fn put(mut self, ticket: Ticket<T>) -> esnic_ticket {
        let at = self.slot.take().expect("only this takes the slot");
        let mut slot = self.tickets.lock(at);
        slot.state = State::Held(ticket);
        self.tickets.number(at, slot.uses)
    }
}

impl<T: Transport> Drop for Reserved<'_, T> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.tickets.free.push(slot).expect("the queue has room for every slot");
        }
    }
}

impl<T: Transport> Lent<'_, T> {
    /// The ticket.
    pub(crate) fn ticket(&self) -> &Ticket<T> {
        self.ticket.as_ref().expect("only dropping takes it")
    }

    /// Its number is good no more.
    pub(crate) fn use_up(mut self) {
        // The driver's part is free before the slot is: whoever gets the slot finds room there.
        drop(self.ticket.take());
    }
}

impl<T: Transport> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        let mut slot = self.tickets.lock(self.slot);
        if let Some(ticket) = self.ticket.take() {
            slot.state = State::Held(ticket);
            return;
        }
        slot.state = State::Free;
        slot.uses = next(slot.uses);
        drop(slot);
        self.tickets.free.push(self.slot).expect("the queue has room for every slot");
    }
}

#[cfg(test)]
mod tests {
    use super::{Tickets, USE_BITS, next};
    use esnic_driver::transport::Sim;
    use esnic_model::Model;
    use std::collections::BTreeSet;

    fn tickets(serial: u64) -> Tickets<Sim<Model>> {
        Tickets::new(1, serial)
    }

    #[test]
    fn a_number_comes_back_when_the_header_says() {
        let first = |serial| tickets(serial).number(0, 1);
        let numbers: BTreeSet<_> = (1..=4096).map(first).collect();
        assert_eq!(numbers.len(), 4096, "two of 4096 devices that follow each other give the same");
        assert_eq!(first(1), first(4097));
        let last = (1 << USE_BITS) - 1;
        assert_ne!(tickets(1).number(0, last), first(1));
        assert_eq!((next(1), next(last)), (2, 1));
    }
}
