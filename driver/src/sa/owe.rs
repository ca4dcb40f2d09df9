// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the driver owes the device: commands that must be sent, now or as soon as there is room. A
//! deletion that was accepted, the second half of a bundle, a deletion to be tried again.

use super::element::{Flow, Path, State, handle};
use super::life::alive;
use super::{SubmitError, encode};
use crate::core::{Command, Core, NoRoom};
use crate::pending::{Kind, NONE, Target};
use crate::transport::Transport;
use esnic_abi::{Handle, Opcode};
use zerocopy::IntoBytes;
use zeroize::Zeroizing;

impl<T: Transport> Core<T> {
    /// Deletes an SA and its bundle's other half.
    pub(crate) fn delete(&self, sa: Handle) -> Result<(usize, u32), SubmitError> {
        let element = self.element(sa)?;
        let pair = element.pair();
        let peer = element.peer();
        let kind = Kind { opcode: Opcode::Delete, detail: 0, targets: 1, direct: 0 };
        let targets = [Target { handle: sa, wanted: 0 }];
        let parts = 1 + u32::from(peer.is_some());
        // Room first: from the next step on there is no way back.
        let operation = self
            .pair(pair)
            .pending
            .take_operation(kind, &targets, parts)
            .ok_or(SubmitError::Full)?;
        let doomed = element.shift(|flow| match alive(flow, sa) {
            Ok(()) | Err(SubmitError::Lost) => Ok(Flow { state: State::Deleting, ..flow }),
            Err(other) => Err(other),
        });
        if let Err(refusal) = doomed {
            self.pair(pair).pending.untake(operation);
            return Err(refusal);
        }
        if let Some(peer) = peer {
            let doomed = self.elements[peer as usize].shift(|flow| match flow.state {
                State::Adding | State::Live | State::Lost => {
                    Ok(Flow { state: State::Deleting, ..flow })
                }
                State::Free | State::Deleting | State::Dead => Err(()),
            });
            match doomed {
                Ok(_) => drop(self.owe(peer, operation)),
                // It is on its way out already, with nobody waiting for it.
                Err(()) => drop(self.pair(pair).pending.drop_part(operation)),
            }
        }
        self.owe(sa.index.0, operation);
        Ok((pair, operation))
    }

    /// Sends the command that slot `index` needs for its state, now or as soon as there is room.
    /// Whether it was now.
    pub(crate) fn owe(&self, index: u32, operation: u32) -> bool {
        self.elements[index as usize].set_waiting(operation);
        let paid = self.pay(index).is_ok();
        if !paid {
            self.todo
                .push(index)
                .expect("the queue has room for every slot, and each is in it once");
        }
        paid
    }

    /// Sends what slot `index` waits for: an ADD or a DELETE of what the shadow says.
    fn pay(&self, index: u32) -> Result<(), NoRoom> {
        let element = &self.elements[index as usize];
        let flow = element.flow();
        // In order behind whatever is outstanding, by the same path; deletions by ring otherwise.
        let path = if flow.outstanding > 0 { flow.path } else { Path::Ring };
        let sa = handle(index, flow.generation);
        let opcode = if flow.state == State::Adding { Opcode::Add } else { Opcode::Delete };
        let command = Command {
            pair: element.pair(),
            path,
            kind: Kind { opcode, detail: 0, targets: 1, direct: 0 },
            targets: &[Target { handle: sa, wanted: 0 }],
            held: false,
            parent: element.waiting(),
        };
        // Before it is sent: afterwards the slot may be another's already.
        element.set_waiting(NONE);
        element.force(|flow| Flow { path, outstanding: flow.outstanding + 1, ..flow });
        let sent = self.send(&command, |stamp, put| match opcode {
            Opcode::Add => self.put_add(stamp, index, put),
            _ => put(encode::delete(stamp, sa).as_bytes()),
        });
        if sent.is_err() {
            element.force(|flow| Flow { outstanding: flow.outstanding - 1, ..flow });
            element.set_waiting(command.parent);
        }
        sent.map(drop)
    }

    pub(super) fn put_add(&self, stamp: encode::Stamp, index: u32, put: &dyn Fn(&[u8])) {
        let view = self.elements[index as usize].view();
        self.vault.with(index as usize, |keys| {
            let mut bytes = Zeroizing::new([0; esnic_abi::Add::LEN]);
            encode::add(&mut bytes, stamp, &view, keys);
            put(bytes.as_slice());
        });
    }

    /// Does what is owed to the device, as far as there is room.
    pub(crate) fn do_todo(&self) {
        for _ in 0..self.todo.len() {
            let Some(inside) = self.nic.gate.enter() else {
                return;
            };
            let Some(index) = self.todo.pop() else { return };
            let element = &self.elements[index as usize];
            // Before it is sent: afterwards the slot may be another's already.
            let (pair, next) = (element.pair(), self.behind(index));
            let paid = self.pay(index);
            if paid.is_err() {
                self.todo.push(index).expect("it was just taken out");
            } else {
                if let Some(next) = next {
                    self.owe(next, self.elements[next as usize].waiting());
                }
                self.pair(pair).publish(&self.nic.transport);
            }
            drop(inside);
            if paid.is_err() {
                return;
            }
        }
    }

    /// The half of a bundle whose ADD waits until that of slot `index` is sent.
    pub(crate) fn behind(&self, index: u32) -> Option<u32> {
        let adding = self.elements[index as usize].flow().state == State::Adding;
        let peer = self.elements[index as usize].peer()?;
        let behind = &self.elements[peer as usize];
        let waits = behind.flow().state == State::Adding && behind.waiting() != NONE;
        (adding && waits).then_some(peer)
    }
}
