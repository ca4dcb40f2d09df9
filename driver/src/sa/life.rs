// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lives of a slot: a handle names one of them, commands are counted in and out of it, and the next
//! begins when nothing of it is left. All that threads race for, and nothing that knows a device.

use super::SubmitError;
use super::element::{Element, Flow, Path, State, handle};
use crate::sync::{Ordering, fence};
use esnic_abi::{Handle, LiveView};

/// Whether a request may name this entry.
pub(crate) fn alive(flow: Flow, sa: Handle) -> Result<(), SubmitError> {
    match flow.state {
        _ if flow.generation != sa.generation => Err(SubmitError::NotFound),
        State::Live => Ok(()),
        State::Lost => Err(SubmitError::Lost),
        State::Free | State::Adding | State::Deleting | State::Dead => Err(SubmitError::NotFound),
    }
}

impl Element {
    /// Begins the slot's next life, as slot `index` with commands over `pair`. The caller has taken
    /// the slot out of the list of free ones.
    pub(super) fn begin(
        &self,
        index: u32,
        pair: u32,
        view: impl FnOnce(Handle) -> LiveView,
    ) -> Handle {
        let before = self.force(|flow| Flow {
            generation: flow.generation.next(),
            state: State::Adding,
            path: Path::Ring,
            doubt: false,
            used: true,
            outstanding: 0,
        });
        // Release: whoever reads what follows sees the new generation too.
        fence(Ordering::Release);
        let sa = handle(index, before.generation.next());
        self.set_pair(pair);
        self.set_waiting(crate::pending::NONE);
        self.set_view(&view(sa));
        sa
    }

    /// Counts a command in on a live SA; gives the path that it must take (R29).
    pub(super) fn enter(&self, sa: Handle, wanted: Path) -> Result<Path, SubmitError> {
        let before = self.shift(|flow| {
            alive(flow, sa)?;
            let path = if flow.outstanding > 0 { flow.path } else { wanted };
            let outstanding = flow.outstanding.checked_add(1).ok_or(SubmitError::Full)?;
            Ok::<_, SubmitError>(Flow { path, outstanding, ..flow })
        })?;
        Ok(if before.outstanding > 0 { before.path } else { wanted })
    }

    /// Counts out a command that was counted in and not sent.
    pub(super) fn leave(&self) {
        self.force(|flow| Flow { outstanding: flow.outstanding - 1, ..flow });
    }

    /// Counts a completed command out; `known` if nothing about the entry is doubtful any more.
    /// Returns in which state the slot was.
    pub(super) fn complete(&self, known: bool, state: impl Fn(State) -> State) -> State {
        let before = self.force(|flow| {
            let outstanding = flow.outstanding.saturating_sub(1);
            let doubt = flow.doubt && !(known && outstanding == 0);
            Flow { outstanding, doubt, state: state(flow.state), ..flow }
        });
        before.state
    }

    /// The device has nothing of this life any more.
    pub(super) fn end(&self) {
        self.force(|flow| Flow { state: State::Free, doubt: false, ..flow });
    }

    /// What `read` finds, if all of it belongs to the life that `sa` names.
    pub(super) fn while_alive<R>(
        &self,
        sa: Handle,
        read: impl FnOnce(&Self) -> R,
    ) -> Result<R, SubmitError> {
        let found = read(self);
        // Acquire: pairs with the fences of `begin` and `bury`.
        fence(Ordering::Acquire);
        alive(self.flow(), sa)?;
        Ok(found)
    }
}

/// Takes slot `index` out of use once it is empty, no command that names it is under way, and the same
/// is true of its bundle's other half: a command that was late would meet the next life (R29).
/// Returns the slots that the caller, and nobody else, is to give back.
pub(super) fn bury(elements: &[Element], index: u32) -> Option<[Option<u32>; 2]> {
    let flow = |index: u32| elements[index as usize].flow();
    let seen = flow(index);
    if !seen.is_spent() {
        return None;
    }
    // SeqCst: both halves may come to this point at once. Between ending one's own half and looking at
    // the other lies a full barrier, so at least one of the two finds both spent.
    fence(Ordering::SeqCst);
    let peer = elements[index as usize].peer();
    let other = peer.map(flow);
    fence(Ordering::Acquire);
    if other.is_some_and(|other| !other.is_spent()) || flow(index) != seen {
        return None;
    }
    // If both do: who moves the lower one gives back both.
    let (first, seen) = match (peer, other) {
        (Some(peer), Some(other)) if peer < index => (peer, other),
        _ => (index, seen),
    };
    let unused = |flow: Flow| Flow { used: false, ..flow };
    let won = elements[first as usize].shift(|now| match now == seen {
        true => Ok(unused(now)),
        false => Err(()),
    });
    if won.is_err() {
        return None;
    }
    let both = [Some(index), peer];
    for half in both.into_iter().flatten() {
        elements[half as usize].force(unused);
    }
    // Release: whoever reads what is cleared sees that the life is over.
    fence(Ordering::Release);
    for half in both.into_iter().flatten() {
        elements[half as usize].clear_view();
    }
    Some(both)
}

#[cfg(all(test, loom))]
mod models;
