// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How a request about one SA becomes a command: find the element, count the command in, send it.

use super::element::{Element, Flow, Path, handle};
use super::life::alive;
use super::{SaUpdate, SubmitError, encode, follow};
use crate::core::{Command, Core, NoRoom};
use crate::pending::{Kind, NONE, Target};
use crate::transport::Transport;
use esnic_abi::{Handle, Opcode};
use std::sync::atomic::Ordering;
use zerocopy::IntoBytes;

impl<T: Transport> Core<T> {
    /// Tries; where there is no room, takes completions and tries once more.
    pub(super) fn again<R>(
        &self,
        submit: impl Fn(&Self) -> Result<R, SubmitError>,
    ) -> Result<R, SubmitError> {
        match submit(self) {
            Err(SubmitError::Full | SubmitError::Busy) => {
                self.poll();
                let result = submit(self);
                if matches!(result, Err(SubmitError::Full)) {
                    self.tallies.full.fetch_add(1, Ordering::Relaxed);
                }
                result
            }
            result => result,
        }
    }

    /// Sends a command that was counted in; counts it out again if there is no room. A direct
    /// command that finds the direct path taken goes by ring, if it is the SA's only one.
    pub(super) fn send_entered(
        &self,
        element: &Element,
        sa: Handle,
        wanted: u64,
        path: Path,
        kind: Kind,
        encode: impl Fn(encode::Stamp, &dyn Fn(&[u8])),
    ) -> Result<(usize, u32), SubmitError> {
        let pair = element.pair();
        let targets = [Target { handle: sa, wanted }];
        let mut command = Command { pair, path, kind, targets: &targets, held: true, parent: NONE };
        let mut sent = self.send(&command, &encode);
        let mut refusal = SubmitError::Full;
        if sent.is_err() && path == Path::Direct {
            let alone = element.shift(|flow| match flow.outstanding {
                1 => Ok(Flow { path: Path::Ring, ..flow }),
                _ => Err(SubmitError::Busy),
            });
            match alone {
                Ok(_) => {
                    command.path = Path::Ring;
                    sent = self.send(&command, &encode);
                }
                Err(busy) => refusal = busy,
            }
        }
        sent.map(|number| (pair, number)).map_err(|NoRoom| {
            self.leave(sa.index.0);
            refusal
        })
    }

    /// Counts out a command that was counted in and not sent.
    pub(crate) fn leave(&self, index: u32) {
        self.elements[index as usize].leave();
        self.give_back(index);
    }

    /// The element of `sa` that an update is for, if the update fits it.
    pub(crate) fn resolve_target(
        &self,
        sa: Handle,
        update: &SaUpdate,
    ) -> Result<(&Element, Handle), SubmitError> {
        self.element(sa)?.while_alive(sa, |_| self.look_up(sa, update))?
    }

    fn look_up(&self, sa: Handle, update: &SaUpdate) -> Result<(&Element, Handle), SubmitError> {
        let mut element = self.element(sa)?;
        let mut target = sa;
        alive(element.flow(), sa)?;
        let mut identity = element.identity();
        if identity.1 != update.protocol as u8 {
            let peer = element.peer().ok_or(SubmitError::WrongProtocol(update.protocol))?;
            element = &self.elements[peer as usize];
            target = handle(peer, element.flow().generation);
            alive(element.flow(), target)?;
            identity = element.identity();
        }
        let (spi, protocol, esn) = identity;
        if protocol != update.protocol as u8 {
            return Err(SubmitError::WrongProtocol(update.protocol));
        }
        if spi != update.spi.0 {
            return Err(SubmitError::WrongSpi(update.spi));
        }
        let plain = update.change.mode == esnic_abi::UpdateMode::Top
            && update.change.top.hi() == 0
            && update.change.expected_hi.is_none();
        if !esn && !plain {
            return Err(SubmitError::NotEsn);
        }
        Ok((element, target))
    }

    /// Sends one UPDATE.
    pub(crate) fn update(
        &self,
        sa: Handle,
        update: SaUpdate,
        wanted: Path,
    ) -> Result<(usize, u32), SubmitError> {
        let (element, target) = self.resolve_target(sa, &update)?;
        let path = element.enter(target, wanted)?;
        let (change, detail) = follow::careful(element, update.change);
        let kind = Kind { opcode: Opcode::Update, detail, targets: 1, direct: 0 };
        let (spi, protocol) = (update.spi.0, update.protocol as u8);
        self.send_entered(element, target, change.top.0, path, kind, |stamp, put| {
            put(encode::update(stamp, target, spi, protocol, change).as_bytes());
        })
    }
}
