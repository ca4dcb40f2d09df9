// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Register file of BAR 0 and BAR 4: access rules, and what each register reads and does.
//!
//! Each `match` names every register of its block, so a register that is added to the contract does
//! not compile until it has a meaning here.

use crate::model::Model;
use esnic_abi::regs::global::{CONTROL, STATUS};
use esnic_abi::regs::queue_pair::{QP_CTRL, QP_STATUS};
use esnic_abi::regs::{Counters, Doorbell, Global, MsixPba, MsixTable, QueuePair};
use esnic_abi::{ABI_HASH, Bar, DEVICE_ID, DeviceState, QpState, VERSION_1_0};

/// A dword of a 64-bit register.
#[allow(clippy::cast_possible_truncation)]
const fn dword_of(value: u64, dword: u32) -> u32 {
    (value >> (32 * dword)) as u32
}

/// `value` with one of its dwords replaced.
const fn with_dword(value: u64, dword: u32, new: u32) -> u64 {
    let shift = 32 * dword;
    (value & !(0xFFFF_FFFF << shift)) | (new as u64) << shift
}

/// Bits of a register that can be written; the others read 0.
#[allow(clippy::cast_possible_truncation)]
const fn defined(register: &esnic_abi::layout::Register) -> u32 {
    register.defined_bits() as u32
}

/// A place in a repeating block: which repetition, and where in it. None outside all of them.
fn place(block: &esnic_abi::layout::Block, offset: u64) -> Option<(usize, u32)> {
    let inside = offset.checked_sub(block.base.into())?;
    let (n, at) = if block.stride == 0 {
        (0, inside)
    } else {
        (inside / u64::from(block.stride), inside % u64::from(block.stride))
    };
    let at = u32::try_from(at).ok().filter(|at| *at < block.size)?;
    let n = usize::try_from(n).ok().filter(|n| *n < block.count as usize)?;
    Some((n, at))
}

impl Model {
    /// A read access to registers: the bytes of the dwords it touches.
    pub(crate) fn read_registers(&self, bar: Bar, offset: u64, out: &mut [u8]) {
        let mut at = offset;
        let mut rest = out;
        while !rest.is_empty() {
            let skip = (at % 4) as usize;
            let dword = self.register_dword(bar, at - skip as u64).to_le_bytes();
            let len = (4 - skip).min(rest.len());
            let (part, after) = rest.split_at_mut(len);
            part.copy_from_slice(&dword[skip..skip + len]);
            rest = after;
            at = at.wrapping_add(len as u64);
        }
    }

    /// A write access to registers: one whole dword, or an aligned pair of them, low one first.
    pub(crate) fn write_registers(&mut self, bar: Bar, offset: u64, data: &[u8]) {
        let (dwords, rest) = data.as_chunks::<4>();
        let whole = rest.is_empty()
            && matches!(dwords.len(), 1 | 2)
            && offset.is_multiple_of(data.len() as u64);
        if !whole {
            self.core.counters[Counters::BAD_ACCESS] += 1;
            return;
        }
        for (k, dword) in (0..).zip(dwords) {
            self.write_register(bar, offset + 4 * k, u32::from_le_bytes(*dword));
        }
    }

    /// The dword at `offset`, which is aligned.
    fn register_dword(&self, bar: Bar, offset: u64) -> u32 {
        match bar {
            Bar::Table => 0,
            Bar::Msix => {
                if let Some((n, at)) = place(&MsixTable::BLOCK, offset) {
                    MsixTable::decode(at).map_or(0, |(register, _)| self.msix.read(n, register))
                } else if let Some((_, at)) = place(&MsixPba::BLOCK, offset) {
                    match MsixPba::decode(at) {
                        Some((MsixPba::PENDING, dword)) => self.msix.pending_dword(dword),
                        None => 0,
                    }
                } else {
                    0
                }
            }
            Bar::Registers => {
                if let Some((_, at)) = place(&Global::BLOCK, offset) {
                    Global::decode(at).map_or(0, |(register, dword)| self.global(register, dword))
                } else if let Some((_, at)) = place(&Counters::BLOCK, offset) {
                    Counters::decode(at)
                        .map_or(0, |(counter, dword)| dword_of(self.core.counters[counter], dword))
                } else if let Some((n, at)) = place(&QueuePair::BLOCK, offset) {
                    match (self.pairs.get(n), QueuePair::decode(at)) {
                        (Some(pair), Some((register, dword))) => pair_dword(pair, register, dword),
                        _ => 0,
                    }
                } else {
                    // Doorbells are write-only; the rest is not mapped.
                    0
                }
            }
        }
    }

    fn global(&self, register: Global, dword: u32) -> u32 {
        let params = &self.core.params;
        match register {
            Global::ID => DEVICE_ID,
            Global::VERSION => VERSION_1_0,
            Global::ABI_HASH => dword_of(ABI_HASH, dword),
            Global::FEATURES => params.features,
            Global::ALGS => params.algs,
            Global::SA_CAPACITY => params.sa_capacity,
            Global::LIMITS => params.limits(),
            Global::MAX_WINDOW => params.max_window.into(),
            Global::CONTROL => CONTROL::RUN.put(0, (self.state == DeviceState::Running).into()),
            Global::STATUS => STATUS::STATE.put(0, self.state as u32),
            Global::SCRUB_LEFT => self.scrub_left,
            Global::INSTANCE => dword_of(self.instance, dword),
            Global::FATAL_CAUSE => self.fatal_cause,
            Global::FATAL_INFO => self.fatal_info,
            Global::INT_CAUSE => self.int_cause,
            Global::INT_ENABLE => self.int_enable,
            Global::QP_ERROR_MAP => dword_of(self.qp_error_map(), dword),
            Global::SCRATCH => self.scratch,
            // This minor version implements no other.
            Global::COMPAT_HASH if dword < 2 => dword_of(ABI_HASH, dword),
            Global::COMPAT_HASH => 0,
        }
    }

    fn qp_error_map(&self) -> u64 {
        let in_error = |pair: &crate::qp::QueuePair| u64::from(pair.state == QpState::Error);
        (0..).zip(&self.pairs).fold(0, |map, (n, pair)| map | in_error(pair) << n)
    }

    /// Writes the dword at `offset`, which is aligned.
    fn write_register(&mut self, bar: Bar, offset: u64, value: u32) {
        match bar {
            Bar::Table => {}
            Bar::Msix => {
                // The pending bits are read-only.
                if let Some((n, at)) = place(&MsixTable::BLOCK, offset)
                    && let Some((register, _)) = MsixTable::decode(at)
                {
                    self.msix.write(n, register, value);
                }
            }
            Bar::Registers => {
                if let Some((n, at)) = place(&Doorbell::BLOCK, offset) {
                    self.ring_doorbell(n, at, value);
                } else if let Some((n, at)) = place(&QueuePair::BLOCK, offset) {
                    if let Some((register, dword)) = QueuePair::decode(at) {
                        self.write_pair(n, register, dword, value);
                    }
                } else if let Some((_, at)) = place(&Global::BLOCK, offset)
                    && let Some((register, dword)) = Global::decode(at)
                {
                    self.write_global(register, dword, value);
                }
            }
        }
    }

    fn write_global(&mut self, register: Global, dword: u32, value: u32) {
        match register {
            Global::CONTROL => self.control(value),
            Global::INSTANCE => {
                if self.state == DeviceState::Ready {
                    self.instance = with_dword(self.instance, dword, value);
                    // EPOCH is the low 16 bits.
                    #[allow(clippy::cast_possible_truncation)]
                    let epoch = self.instance as u16;
                    self.core.epoch = epoch;
                }
            }
            Global::INT_CAUSE => {
                self.int_cause &= !value;
                self.repeat_event();
            }
            Global::INT_ENABLE => {
                self.int_enable = value & defined(Global::INT_ENABLE.register());
                self.repeat_event();
            }
            Global::SCRATCH => self.scratch = value,
            Global::ID
            | Global::VERSION
            | Global::ABI_HASH
            | Global::FEATURES
            | Global::ALGS
            | Global::SA_CAPACITY
            | Global::LIMITS
            | Global::MAX_WINDOW
            | Global::STATUS
            | Global::SCRUB_LEFT
            | Global::FATAL_CAUSE
            | Global::FATAL_INFO
            | Global::QP_ERROR_MAP
            | Global::COMPAT_HASH => {}
        }
    }

    fn write_pair(&mut self, n: usize, register: QueuePair, dword: u32, value: u32) {
        let Some(pair) = self.pairs.get_mut(n) else {
            return;
        };
        let free = pair.state == QpState::Disabled;
        match register {
            QueuePair::QP_CTRL => self.switch_pair(n, QP_CTRL::ENABLE.is_set(value)),
            QueuePair::COALESCE => {
                pair.coalesce = value;
                self.check_arm(n);
            }
            QueuePair::SQ_BASE if free => pair.sq_base = with_dword(pair.sq_base, dword, value),
            QueuePair::CQ_BASE if free => pair.cq_base = with_dword(pair.cq_base, dword, value),
            QueuePair::RING_SIZE if free => {
                pair.ring_size = value & defined(QueuePair::RING_SIZE.register());
            }
            QueuePair::START if free => pair.start = value,
            QueuePair::SQ_BASE
            | QueuePair::CQ_BASE
            | QueuePair::RING_SIZE
            | QueuePair::START
            | QueuePair::QP_STATUS
            | QueuePair::SQ_HEAD
            | QueuePair::SQ_TAIL
            | QueuePair::CQ_TAIL
            | QueuePair::CQ_HEAD
            | QueuePair::DIRECT_HEAD
            | QueuePair::QP_ERR_ADDR
            | QueuePair::COMMANDS
            | QueuePair::COMPLETIONS
            | QueuePair::ERRORS
            | QueuePair::IRQS => {}
        }
    }
}

fn pair_dword(pair: &crate::qp::QueuePair, register: QueuePair, dword: u32) -> u32 {
    match register {
        QueuePair::QP_CTRL => QP_CTRL::ENABLE.put(0, pair.enable.into()),
        QueuePair::QP_STATUS => {
            let status = QP_STATUS::STATE.put(0, pair.state as u32);
            QP_STATUS::CAUSE.put(status, pair.cause as u32)
        }
        QueuePair::SQ_BASE => dword_of(pair.sq_base, dword),
        QueuePair::CQ_BASE => dword_of(pair.cq_base, dword),
        QueuePair::RING_SIZE => pair.ring_size,
        QueuePair::START => pair.start,
        QueuePair::COALESCE => pair.coalesce,
        QueuePair::SQ_HEAD => pair.sq.head.0,
        QueuePair::SQ_TAIL => pair.sq.tail.0,
        QueuePair::CQ_TAIL => pair.cq.tail.0,
        QueuePair::CQ_HEAD => pair.cq.head.0,
        QueuePair::DIRECT_HEAD => pair.direct.head,
        QueuePair::QP_ERR_ADDR => dword_of(pair.err_addr, dword),
        QueuePair::COMMANDS => dword_of(pair.commands, dword),
        QueuePair::COMPLETIONS => dword_of(pair.completions, dword),
        QueuePair::ERRORS => dword_of(pair.errors, dword),
        QueuePair::IRQS => dword_of(pair.irqs, dword),
    }
}
