// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Execution: one command, at one instant (R30).
//!
//! The checks stand in the order of the table in §4.7, and the first that fails ends the command; a
//! command that ends so has changed nothing (R14). Ring and direct path come together here.

use crate::check;
use crate::counters::CounterFile;
use crate::esn::{self, Position};
use crate::fault::Faults;
use crate::sa::{Entry, SaTable};
use crate::stage::Stage;
use crate::trace::Executed;
use esnic_abi::regs::Counters;
use esnic_abi::regs::global::FEATURES;
use esnic_abi::{
    ADD_LO_VALID, Add, Bare, DmaFault, Generation, Header, Host, Opcode, Params, QUERY_ANY,
    QUERY_RECORD, Query, QueryRecord, RESOLVE_COMMIT, Resolve, SlotState, Status, digest,
};
use zerocopy::{IntoBytes, transmute_ref};

/// What commands work on: everything of the device but its queues and interrupts.
pub(crate) struct Core {
    pub(crate) params: Params,
    /// `INSTANCE[15:0]`.
    pub(crate) epoch: u16,
    pub(crate) table: SaTable,
    pub(crate) stage: Stage,
    pub(crate) counters: CounterFile,
    pub(crate) faults: Faults,
    /// What was executed, while somebody wants to know.
    pub(crate) trace: Option<Vec<Executed>>,
}

/// The way a command came in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// From a submission ring.
    Ring,
    /// By a direct doorbell.
    Direct,
}

/// A command as it was taken.
pub(crate) struct Command<'a> {
    pub(crate) path: Path,
    pub(crate) slot: &'a [u8; 64],
    /// Both halves, if this is an ADD whose second half can be where it belongs (R9).
    pub(crate) add: Option<&'a Add>,
}

impl Command<'_> {
    pub(crate) fn header(&self) -> &Header {
        let command: &Bare = transmute_ref!(self.slot);
        &command.header
    }

    /// Cycles that the command keeps the pipeline (§9): those that read a row back take two.
    pub(crate) fn cycles(&self) -> u32 {
        match Opcode::from_code(self.header().opcode) {
            Some(Opcode::Add | Opcode::Delete | Opcode::Query) => 2,
            Some(
                Opcode::Nop
                | Opcode::Fence
                | Opcode::AddSecond
                | Opcode::Update
                | Opcode::Update4
                | Opcode::Resolve,
            )
            | None => 1,
        }
    }
}

/// How a command ended; the part of its completion that execution decides.
#[derive(Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) status: Status,
    pub(crate) result: u64,
    pub(crate) lo_valid: bool,
    pub(crate) changed: bool,
}

impl Outcome {
    /// A status with result 0.
    pub(crate) const fn plain(status: Status) -> Self {
        Self { status, result: 0, lo_valid: false, changed: false }
    }

    /// A status with the generation held.
    const fn generation(status: Status, held: Generation) -> Self {
        Self { result: held.0 as u64, ..Self::plain(status) }
    }

    /// A status with `top`.
    pub(crate) const fn top(status: Status, held: Position) -> Self {
        Self { result: held.top().0, lo_valid: held.lo_valid, ..Self::plain(status) }
    }
}

/// A check: go on, or end with this outcome.
pub(crate) type Check<T = ()> = Result<T, Outcome>;

/// `Err` with a plain status unless `ok`.
pub(crate) fn require(ok: bool, status: Status) -> Check {
    if ok { Ok(()) } else { Err(Outcome::plain(status)) }
}

impl Core {
    /// Carries out one command.
    pub(crate) fn execute(&mut self, command: &Command<'_>, host: &mut dyn Host) -> Outcome {
        match self.attempt(command, host) {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    fn attempt(&mut self, command: &Command<'_>, host: &mut dyn Host) -> Check<Outcome> {
        let header = command.header();
        let opcode = self.opcode(header.opcode, command.path)?;
        require(header.epoch.get() == self.epoch, Status::BadEpoch)?;
        match opcode {
            Opcode::Nop | Opcode::Fence => {
                require(check::marker(transmute_ref!(command.slot)), Status::BadField)?;
                Ok(Outcome::plain(Status::Ok))
            }
            Opcode::Add => self.add(command.add),
            Opcode::Update => self.update(transmute_ref!(command.slot)),
            Opcode::Update4 => self.update4(transmute_ref!(command.slot)),
            Opcode::Delete => self.delete(transmute_ref!(command.slot)),
            Opcode::Query => self.query(transmute_ref!(command.slot), host),
            Opcode::Resolve => self.resolve(transmute_ref!(command.slot)),
            Opcode::AddSecond => Err(Outcome::plain(Status::BadOpcode)),
        }
    }

    /// Status BAD_OPCODE: unknown, not offered, or not for this path.
    fn opcode(&self, code: u8, path: Path) -> Check<Opcode> {
        let bad = Outcome::plain(Status::BadOpcode);
        let opcode = Opcode::from_code(code).ok_or(bad)?;
        let has = |feature: esnic_abi::layout::Field| feature.is_set(self.params.features);
        let ok = match opcode {
            Opcode::Nop | Opcode::Fence => path == Path::Ring,
            Opcode::Update4 => path == Path::Ring && has(FEATURES::UPDATE4),
            Opcode::Resolve => has(FEATURES::PROBE),
            Opcode::Add | Opcode::Update | Opcode::Delete | Opcode::Query => true,
            Opcode::AddSecond => false,
        };
        ok.then_some(opcode).ok_or(bad)
    }

    /// Status BAD_INDEX, then the entry.
    pub(crate) fn entry_at(&self, index: u32) -> Check<Entry> {
        require(index < self.params.sa_capacity, Status::BadIndex)?;
        Ok(self.table.entry(index))
    }

    /// Statuses EMPTY and STALE, for all commands but ADD and DELETE.
    pub(crate) fn live(entry: &Entry, generation: u32) -> Check {
        if entry.state.0 != SlotState::Live {
            Err(Outcome::generation(Status::Empty, entry.generation))
        } else if entry.generation.0 != generation {
            Err(Outcome::generation(Status::Stale, entry.generation))
        } else {
            Ok(())
        }
    }

    fn add(&mut self, add: Option<&Add>) -> Check<Outcome> {
        let add = add.ok_or(Outcome::plain(Status::BadPair))?;
        let paired = add.second_opcode == Opcode::AddSecond as u8
            && add.second_epoch == add.header.epoch
            && add.second_cookie == add.header.cookie;
        require(paired, Status::BadPair)?;
        let codes = check::add(add).ok_or(Outcome::plain(Status::BadField))?;
        let index = add.header.index.get();
        let entry = self.entry_at(index)?;
        require(check::offered(add, &codes, &self.params), Status::Unsupported)?;
        if entry.state.0 != SlotState::Free {
            return Err(Outcome::generation(Status::Occupied, entry.generation));
        }
        // R21: what makes a late ADD harmless.
        if !Generation(add.header.generation.get()).is_newer_than(entry.generation) {
            return Err(Outcome::generation(Status::OldGeneration, entry.generation));
        }
        self.table.write(index, add);
        let failed = self.faults.verify_add.hit(index.into(), 1);
        if failed || !self.table.holds(index, add) {
            self.table.set_state(index, SlotState::Bad);
            return Ok(Outcome { changed: true, ..Outcome::plain(Status::Verify) });
        }
        let position = Position {
            hi: add.hi.get(),
            lo: add.lo.get(),
            lo_valid: add.second_flags & ADD_LO_VALID != 0,
        };
        self.table.set_position(index, position);
        self.table.set_state(index, SlotState::Live);
        self.counters[Counters::SA_LIVE] += 1;
        Ok(Outcome {
            status: Status::Ok,
            result: digest(&self.table.live_view(index)),
            lo_valid: position.lo_valid,
            changed: true,
        })
    }

    /// Without a datapath no packet holds the entry, so DRAINING lasts no time and R32 asks only for
    /// the zeros.
    fn delete(&mut self, command: &Bare) -> Check<Outcome> {
        require(check::delete(command), Status::BadField)?;
        let index = command.header.index.get();
        let entry = self.entry_at(index)?;
        let same = entry.generation.0 == command.header.generation.get();
        let held = |status| Err(Outcome::generation(status, entry.generation));
        match entry.state.0 {
            SlotState::Draining if same => return held(Status::Draining),
            SlotState::Draining | SlotState::Free => return held(Status::Empty),
            SlotState::Live | SlotState::Bad if !same => return held(Status::Stale),
            SlotState::Live => self.counters[Counters::SA_LIVE] -= 1,
            SlotState::Bad => {}
        }
        self.table.wipe(index);
        self.stage.empty(index);
        let failed = self.faults.verify_delete.hit(index.into(), 1);
        if failed || !self.table.is_wiped(index) {
            self.table.set_state(index, SlotState::Bad);
            return Ok(Outcome { changed: true, ..Outcome::plain(Status::Verify) });
        }
        Ok(Outcome {
            status: Status::Ok,
            result: entry.position.top().0,
            lo_valid: false,
            changed: true,
        })
    }

    fn query(&mut self, command: &Query, host: &mut dyn Host) -> Check<Outcome> {
        let header = &command.header;
        require(check::query(command), Status::BadField)?;
        let index = header.index.get();
        let entry = self.entry_at(index)?;
        let record = header.flags & QUERY_RECORD != 0;
        let offered = !record || FEATURES::RECORD.is_set(self.params.features);
        require(offered, Status::Unsupported)?;
        if header.flags & QUERY_ANY == 0 {
            Self::live(&entry, header.generation.get())?;
        }
        if record {
            let mut image = QueryRecord::default();
            let view = self.table.live_view(index);
            image.view.copy_from_slice(&view.as_bytes()[..88]);
            // R42: before the completion, which is made after this returns.
            self.dma_write(host, command.record_addr.get(), image.as_bytes())
                .map_err(|DmaFault| Outcome::top(Status::DmaError, entry.position))?;
        }
        Ok(Outcome::top(Status::Ok, entry.position))
    }

    /// RESOLVE, with COMMIT in the same instant. No packet is ever between its number and its
    /// authentication here, so R34 holds by itself.
    fn resolve(&mut self, command: &Resolve) -> Check<Outcome> {
        let header = &command.header;
        require(check::resolve(command), Status::BadField)?;
        let index = header.index.get();
        let entry = self.entry_at(index)?;
        let commit = header.flags & RESOLVE_COMMIT != 0;
        let offered = !commit || FEATURES::PROBE_COMMIT.is_set(self.params.features);
        require(offered, Status::Unsupported)?;
        Self::live(&entry, header.generation.get())?;
        let number = esn::resolve(entry.esn, entry.position, command.seq.get());
        let after =
            if commit { esn::authenticated(entry.position, number) } else { entry.position };
        let changed = after != entry.position;
        if changed {
            self.table.set_position(index, after);
        }
        Ok(Outcome { status: Status::Ok, result: number.0, lo_valid: after.lo_valid, changed })
    }

    /// A posted write to the host.
    pub(crate) fn dma_write(
        &mut self,
        host: &mut dyn Host,
        iova: u64,
        data: &[u8],
    ) -> Result<(), DmaFault> {
        let len = data.len() as u64;
        self.counters[Counters::DMA_WR_TLP] += 1;
        self.counters[Counters::DMA_WR_BYTES] += len;
        let written = if self.faults.fail_write.hit(iova, len) {
            Err(DmaFault)
        } else if self.faults.lose_write.hit(iova, len) {
            Ok(())
        } else {
            host.dma_write(iova, data)
        };
        if written.is_err() {
            self.counters[Counters::DMA_ERRORS] += 1;
        }
        written
    }

    /// A read of the host's memory; poisoned data is an error like any other.
    pub(crate) fn dma_read(
        &mut self,
        host: &mut dyn Host,
        iova: u64,
        out: &mut [u8],
    ) -> Result<(), DmaFault> {
        let len = out.len() as u64;
        self.counters[Counters::DMA_RD_TLP] += 1;
        self.counters[Counters::DMA_RD_BYTES] += len;
        let read = if self.faults.fail_read.hit(iova, len) {
            Err(DmaFault)
        } else {
            let read = host.dma_read(iova, out);
            if self.faults.poison_read.hit(iova, len) { Err(DmaFault) } else { read }
        };
        if read.is_err() {
            self.counters[Counters::DMA_ERRORS] += 1;
        }
        read
    }
}
