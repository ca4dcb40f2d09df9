// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How the shadow follows an SA's sequence number: which updates are sent, and what their completions
//! say of the number (§7 of the device manual).

use super::element::Element;
use super::encode::Change;
use super::settle::done;
use crate::core::Core;
use crate::cq::Broken;
use crate::pending::{Entry, Outcome, Target};
use crate::transport::Transport;
use esnic_abi::{Status, Top, UpdateMode};

/// Bits of an UPDATE's `detail` above its mode: the driver made it a compare-and-set; it is one;
/// it goes forward only.
const AUTO_CAS: u8 = 0x10;
const CAS: u8 = 0x20;
const MONOTONE: u8 = 0x40;

/// The change that is sent for `wanted`, and how the completion is to be read. An absolute HI after
/// one whose outcome is not known could pull the device back (R36). What is above the shadow's value goes
/// forward only: whether the doubtful one took effect, or is about to, makes no difference to it. What is
/// not, is a compare-and-set.
pub(super) fn careful(element: &Element, wanted: Change) -> (Change, u8) {
    let mode = wanted.mode as u8;
    let retry = element.flow().doubt
        && wanted.mode == UpdateMode::Hi
        && wanted.expected_hi.is_none()
        && !wanted.monotone;
    let known = element.top().0.hi();
    match (retry, wanted.top.hi() > known) {
        (true, true) => (wanted.forward_only(), mode | MONOTONE),
        (true, false) => (wanted.expecting(known), mode | AUTO_CAS | CAS),
        (false, _) => {
            let cas = if wanted.expected_hi.is_some() { CAS } else { 0 };
            let monotone = if wanted.monotone { MONOTONE } else { 0 };
            (wanted, mode | cas | monotone)
        }
    }
}

impl<T: Transport> Core<T> {
    pub(super) fn settle_update(
        &self,
        entry: &Entry,
        target: Target,
        detail: u8,
        outcome: &Outcome,
    ) -> Result<(), Broken> {
        let element = self.shadow(target);
        let (wanted, held) = (Top(target.wanted), Top(outcome.result));
        let mut said = *outcome;
        let whole = detail & 3 == UpdateMode::Top as u8;
        let believable = match outcome.status {
            Status::Ok if whole => held == wanted && outcome.lo_valid,
            Status::Ok if detail & 3 == UpdateMode::Resync as u8 => {
                held == wanted && !outcome.lo_valid
            }
            // A new high half begins at 0; the one that was held keeps its low half (§7).
            Status::Ok => held.hi() == wanted.hi() && (!outcome.changed || held.lo() == 0),
            Status::Conflict => detail & CAS != 0,
            Status::Backward if whole => detail & MONOTONE != 0 && wanted < held,
            Status::Backward => detail & MONOTONE != 0 && wanted.hi() < held.hi(),
            _ => true,
        };
        if !believable {
            return Err(Broken::Result);
        }
        match outcome.status {
            Status::Ok => follow_top(element, held, outcome.lo_valid)?,
            Status::Conflict => {
                follow_top(element, held, outcome.lo_valid)?;
                // The doubtful predecessor had taken effect after all.
                if detail & AUTO_CAS != 0 && held.hi() == wanted.hi() {
                    said.status = Status::Ok;
                }
            }
            Status::Backward | Status::NotEsn => follow_top(element, held, outcome.lo_valid)?,
            Status::Empty | Status::Stale => return self.settle_lost(entry, target, outcome),
            _ => {}
        }
        entry.say(done(said));
        self.settled(target.handle.index.0, true, |state| state);
        Ok(())
    }

    pub(super) fn settle_update4(
        &self,
        entry: &Entry,
        items: usize,
        outcome: &Outcome,
    ) -> Result<(), Broken> {
        let bytes = outcome.result.to_le_bytes();
        let statuses = bytes[..4].iter().map(|&byte| Status::from_code(byte));
        let changed = bytes[4];
        let clean = bytes[items..4].iter().chain(&bytes[5..]).all(|&byte| byte == 0)
            && changed >> items == 0;
        let all_ok = bytes[..items].iter().all(|&byte| byte == 0);
        // Every item before any is believed; one that failed has altered nothing.
        for (k, status) in (0..items).zip(statuses.clone()) {
            match status.ok_or(Broken::Status)? {
                Status::Ok => {}
                Status::BadField
                | Status::BadIndex
                | Status::Empty
                | Status::Stale
                | Status::NotEsn
                | Status::Conflict => {
                    if changed >> k & 1 == 1 {
                        return Err(Broken::Result);
                    }
                }
                _ => return Err(Broken::StatusImpossible),
            }
        }
        let expected = match outcome.status {
            Status::Ok => all_ok,
            Status::Items => !all_ok,
            // Nothing was carried out.
            _ => outcome.result == 0 && changed == 0,
        };
        if !clean || !expected {
            return Err(Broken::Result);
        }
        let carried_out = matches!(outcome.status, Status::Ok | Status::Items);
        for (k, status) in (0..items).zip(statuses) {
            let target = entry.target(k);
            let element = self.shadow(target);
            match status {
                Some(Status::Ok) if carried_out => {
                    let altered = changed >> k & 1 == 1;
                    #[allow(clippy::cast_possible_truncation)]
                    let hi = target.wanted as u32;
                    follow_hi(element, hi, altered);
                }
                Some(Status::Empty | Status::Stale) => self.mark_lost(element),
                _ => {}
            }
            self.settled(target.handle.index.0, carried_out, |state| state);
        }
        entry.say(done(*outcome));
        Ok(())
    }
}

/// Takes over a `top` that a completion tells. No entry has a low half that is not known and not 0, or a
/// high half without ESN (§7): believed, it would be refused when the SA is put back after a reset.
pub(super) fn follow_top(element: &Element, top: Top, known: bool) -> Result<(), Broken> {
    let (_, _, esn) = element.identity();
    if !known && top.lo() != 0 || !esn && top.hi() != 0 {
        return Err(Broken::Result);
    }
    element.set_top(top, known);
    Ok(())
}

/// What the shadow knows after an UPDATE4 item in mode HI that the device carried out. Its
/// completion has no room for `top`; by the rule of §7 a change is either an advance, which keeps
/// the low half known, or a resynchronisation, which does not.
fn follow_hi(element: &Element, hi: u32, altered: bool) {
    let (top, known) = element.top();
    if altered {
        let advance = top.hi().checked_add(1) == Some(hi) && known && top.lo() >= 1 << 31;
        element.set_top(Top::new(hi, 0), advance);
    } else if top.hi() != hi {
        // The device had moved on by itself: where to is not known.
        element.set_top(Top::new(hi, 0), false);
    }
}
