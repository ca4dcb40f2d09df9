// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Slots of the SA table: taken for an ADD, in their next generation, and given back once nothing of
//! their last life is left.

use super::element::Flow;
use super::{SaSpec, SubmitError, life};
use crate::core::Core;
use crate::pending::{Kind, Target};
use crate::transport::Transport;
use esnic_abi::{Handle, Opcode, Protocol};
use std::sync::atomic::Ordering;

impl<T: Transport> Core<T> {
    pub(super) fn add_one(&self, spec: &SaSpec) -> Result<(Handle, usize, u32), SubmitError> {
        spec.check(&self.nic.params)?;
        let inside = self.nic.gate.enter().ok_or(SubmitError::Closed)?;
        let index = self.free.pop().ok_or(SubmitError::TableFull)?;
        let sa = self.occupy(index, index, spec, None);
        let element = &self.elements[index as usize];
        element.force(|flow| Flow { outstanding: 1, ..flow });
        let kind = Kind { opcode: Opcode::Add, detail: 0, targets: 1, direct: 0 };
        let path = self.choose(1);
        element.force(|flow| Flow { path, ..flow });
        let sent = self.send_entered(element, sa, 0, path, kind, |stamp, put| {
            self.put_add(stamp, index, put);
        });
        match sent {
            Ok((pair, number)) => {
                self.pair(pair).publish(&self.nic.transport);
                drop(inside);
                Ok((sa, pair, number))
            }
            Err(refusal) => {
                self.vacate(index);
                Err(refusal)
            }
        }
    }

    pub(super) fn add_two(
        &self,
        esp: &SaSpec,
        ah: &SaSpec,
    ) -> Result<(Handle, usize, u32), SubmitError> {
        let fits = esp.protocol == Protocol::Esp
            && ah.protocol == Protocol::Ah
            && esp.direction == ah.direction;
        if !fits {
            return Err(SubmitError::Bundle);
        }
        for spec in [esp, ah] {
            spec.check(&self.nic.params)?;
        }
        let inside = self.nic.gate.enter().ok_or(SubmitError::Closed)?;
        let first = self.free.pop().ok_or(SubmitError::TableFull)?;
        let Some(second) = self.free.pop() else {
            self.free.push(first).expect("it was just taken out");
            return Err(SubmitError::TableFull);
        };
        let sa = self.occupy(first, first, esp, Some(second));
        self.occupy(second, first, ah, Some(first));
        let pair = self.elements[first as usize].pair();
        let kind = Kind { opcode: Opcode::Add, detail: 0, targets: 1, direct: 0 };
        let targets = [Target { handle: sa, wanted: 0 }];
        let Some(operation) = self.pair(pair).pending.take_operation(kind, &targets, 2) else {
            for index in [first, second] {
                self.vacate(index);
            }
            return Err(SubmitError::Full);
        };
        // AH first: if it has to wait for room, ESP waits behind it.
        self.elements[first as usize].set_waiting(operation);
        let sent = self.owe(second, operation);
        if sent {
            self.owe(first, operation);
        }
        self.pair(pair).publish(&self.nic.transport);
        drop(inside);
        Ok((sa, pair, operation))
    }

    /// Puts an SA into a free slot's shadow, in its next generation. `primary` decides the pair.
    fn occupy(&self, index: u32, primary: u32, spec: &SaSpec, peer: Option<u32>) -> Handle {
        let pair = primary % self.nic.config.queue_pairs;
        let sa = self.elements[index as usize].begin(index, pair, |sa| spec.view(sa, peer));
        self.vault.put(index as usize, spec.keys.keys());
        sa
    }

    /// Empties a slot's shadow, and gives the slot back if nothing stands in the way.
    pub(crate) fn vacate(&self, index: u32) {
        let element = &self.elements[index as usize];
        self.vault.wipe(index as usize);
        element.failures.store(0, Ordering::Relaxed);
        element.end();
        self.give_back(index);
    }

    /// Gives a slot back, and its bundle's other half with it, if nothing of their life is left.
    pub(crate) fn give_back(&self, index: u32) {
        for half in life::bury(&self.elements, index).into_iter().flatten().flatten() {
            self.free
                .push(half)
                .expect("the queue has room for every slot, and each is in it once");
        }
    }
}
