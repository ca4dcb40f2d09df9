// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The device as a whole: bring-up, stop, reset (§11 of the device manual).
//!
//! Order matters everywhere here. Up: bus mastering off, reset, READY, check who it is, instance,
//! interrupts, RUN, bus mastering on, pairs. Down: the other way round. A device that a crashed
//! process left running can therefore never write into what this process maps.

use crate::config::{Config, Limits};
use crate::direct::Stages;
use crate::error::Error;
use crate::gate::Gate;
use crate::pair::QueuePair;
use crate::regs;
use crate::resets::Resets;
use crate::transport::Transport;
use esnic_abi::regs::{Counters, Global, global};
use esnic_abi::{ABI_HASH, DEVICE_ID, DeviceState, Epoch, Params, QpState};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What the device is and can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    /// How it is reached.
    pub name: String,
    /// Major and minor version of the contract.
    pub version: (u16, u16),
    /// Hash of its layout.
    pub abi_hash: u64,
    /// Its sizes and abilities.
    pub params: Params,
}

/// A device that is up.
pub(crate) struct Nic<T: Transport> {
    pub(crate) transport: T,
    pub(crate) params: Params,
    pub(crate) config: Config,
    pub(crate) pairs: Box<[QueuePair]>,
    pub(crate) stages: Stages,
    /// What every submitter passes.
    pub(crate) gate: Gate,
    epoch: AtomicU16,
    /// START of the present instance.
    start: AtomicU32,
    /// Those of this driver's own.
    pub(crate) resets: Resets,
}

/// Looks at a device without disturbing it.
///
/// # Errors
/// If it is gone, is something else, speaks another layout, or reports an impossible build.
pub fn probe<T: Transport>(t: &T) -> Result<Caps, Error> {
    let id = regs::global(t, Global::ID);
    if id == u32::MAX {
        return Err(Error::Gone);
    }
    if id != DEVICE_ID {
        return Err(Error::NotEsnic { found: id });
    }
    let found = regs::global64(t, Global::ABI_HASH, 0);
    let compatible = || (0..4).any(|k| regs::global64(t, Global::COMPAT_HASH, k) == ABI_HASH);
    if found != ABI_HASH && !compatible() {
        return Err(Error::OtherLayout { found });
    }
    let version = regs::global(t, Global::VERSION);
    let params = Params::from_registers(
        regs::global(t, Global::FEATURES),
        regs::global(t, Global::ALGS),
        regs::global(t, Global::SA_CAPACITY),
        regs::global(t, Global::LIMITS),
        regs::global(t, Global::MAX_WINDOW),
    )?;
    #[allow(clippy::cast_possible_truncation)]
    let half = |field: esnic_abi::layout::Field| field.get(version) as u16;
    Ok(Caps {
        name: t.name(),
        version: (half(global::VERSION::MAJOR), half(global::VERSION::MINOR)),
        abi_hash: found,
        params,
    })
}

/// A counter of the device, by name.
pub fn counter<T: Transport>(t: &T, counter: Counters) -> u64 {
    regs::counter(t, counter)
}

impl<T: Transport> Nic<T> {
    /// Brings a device up from whatever state it is in.
    pub(crate) fn open(transport: T, config: Config) -> Result<Self, Error> {
        // The instance before this one, whoever's it was: the new one must differ from it (R47).
        let old = match regs::global(&transport, Global::ID) {
            DEVICE_ID => regs::global(&transport, Global::INSTANCE) as u16,
            _ => 0,
        };
        reset(&transport, config.timeouts.reset)?;
        let params = probe(&transport)?.params;
        let limits = Limits::of(&config, &params)?;
        let pairs = (0..config.queue_pairs)
            .map(|n| QueuePair::new(&transport, n, &limits))
            .collect::<Result<Box<[_]>, _>>()?;
        let stages = Stages::new(params.stage_log2.into());
        let gate = Gate::closed();
        let nic = Self {
            transport,
            params,
            config,
            pairs,
            stages,
            gate,
            epoch: old.into(),
            start: limits.start.into(),
            resets: Resets::new(),
        };
        nic.run(limits.start)?;
        Ok(nic)
    }

    /// Which instance the device belongs to.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Relaxed))
    }

    /// From READY to pairs that take commands.
    pub(crate) fn run(&self, start: u32) -> Result<(), Error> {
        let t = &self.transport;
        self.start.store(start, Ordering::Relaxed);
        let instance = instance(self.epoch());
        regs::set_global64(t, Global::INSTANCE, instance);
        if regs::global64(t, Global::INSTANCE, 0) != instance {
            return Err(Error::Misbehaves { what: "it does not keep INSTANCE".to_owned() });
        }
        #[allow(clippy::cast_possible_truncation)]
        self.epoch.store(instance as u16, Ordering::Relaxed);
        if self.config.interrupts {
            t.enable_interrupts(u16::from(self.params.queue_pairs) + 1)?;
        }
        regs::set_global(t, Global::CONTROL, global::CONTROL::RUN.put(0, 1));
        await_state(t, DeviceState::Running, self.config.timeouts.reset)?;
        t.set_bus_master(true)?;
        for pair in &self.pairs {
            pair.start(t, start, self.config.timeouts.queue_pair)?;
        }
        Ok(())
    }

    /// Lets nobody in any more and waits until the last submitter is out; then reads one register,
    /// so that every store they made has arrived (R47).
    pub(crate) fn close_gate(&self) -> Result<(), Error> {
        self.gate.close();
        let begun = Instant::now();
        while !self.gate.is_empty() {
            if begun.elapsed() >= self.config.timeouts.command {
                let what = "a submitting thread does not come back";
                return Err(Error::Stuck { what });
            }
            std::thread::yield_now();
        }
        let _ = regs::global(&self.transport, Global::ID);
        Ok(())
    }

    /// What is wrong with the device or one of its pairs, if anything is.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.check_ours(&self.pairs)
    }

    /// What keeps commands of pair `pair` from being completed, if anything does. The error of
    /// another pair does not (R26).
    pub(crate) fn check_pair(&self, pair: usize) -> Result<(), Error> {
        self.check_ours(std::slice::from_ref(&self.pairs[pair]))
    }

    /// What keeps commands of every pair from being completed, if anything does.
    pub(crate) fn check_device(&self) -> Result<(), Error> {
        self.check_ours(&[])
    }

    /// As [`Self::check`], for whoever resets the device itself and has it up again.
    pub(crate) fn check_restore(&self) -> Result<(), Error> {
        self.look(&self.pairs)?.map_or(Ok(()), |found| Err(Error::ForeignReset { found }))
    }

    fn check_ours(&self, pairs: &[QueuePair]) -> Result<(), Error> {
        let before = self.resets.now();
        match self.look(pairs)? {
            Some(found) if !self.resets.any_since(before) => Err(Error::ForeignReset { found }),
            _ => Ok(()),
        }
    }

    /// What is wrong with the device or one of `pairs`; else, in what the device is not as this driver
    /// left it.
    fn look(&self, pairs: &[QueuePair]) -> Result<Option<String>, Error> {
        let t = &self.transport;
        t.check()?;
        let status = regs::global(t, Global::STATUS);
        if status == u32::MAX {
            return Err(Error::Gone);
        }
        let state = state(status);
        if state == Some(DeviceState::Fatal) {
            let cause = regs::global(t, Global::FATAL_CAUSE);
            let info = regs::global(t, Global::FATAL_INFO);
            return Err(Error::Fatal { cause, info });
        }
        let epoch = regs::global(t, Global::INSTANCE);
        let mut found = if state != Some(DeviceState::Running) {
            Some(format!("it is in {}", state.map_or("an unknown state", DeviceState::name)))
        } else if epoch as u16 != self.epoch().0 {
            Some("it runs for another instance".to_owned())
        } else {
            None
        };
        for pair in pairs {
            if pair.check(t)? == Some(QpState::Disabled) && found.is_none() {
                found = Some(format!("queue pair {} is off", pair.number));
            }
        }
        Ok(found)
    }

    /// Stops everything in the safe order; goes on past errors and returns the first.
    pub(crate) fn halt(&self) -> Result<(), Error> {
        let t = &self.transport;
        let mut first = Ok(());
        let mut note = |result: Result<(), Error>| {
            if first.is_ok() {
                first = result;
            }
        };
        if self.config.interrupts {
            note(t.disable_interrupts());
        }
        for pair in &self.pairs {
            note(pair.stop(t, self.config.timeouts.queue_pair));
        }
        regs::set_global(t, Global::CONTROL, 0);
        note(reset(t, self.config.timeouts.reset));
        first
    }

    /// The next START that differs from the present one: late doorbells of the old instance then
    /// are ignored (R47).
    pub(crate) fn next_start(&self) -> u32 {
        let step = 2 << self.config.sq_log2.max(self.config.cq_log2);
        self.start.load(Ordering::Relaxed).wrapping_add(step)
    }
}

impl<T: Transport> Drop for Nic<T> {
    /// The rings are freed after this: the device must not write into them any more.
    fn drop(&mut self) {
        self.gate.close();
        let _ = self.halt();
    }
}

/// Bus mastering off, then reset, then READY (R20). A host may have no reset to give, as Linux while it
/// waits for the function to be given back: then the device resets itself, which leaves no less behind.
pub(crate) fn reset<T: Transport>(t: &T, within: Duration) -> Result<(), Error> {
    t.set_bus_master(false)?;
    match t.reset() {
        Ok(()) => await_state(t, DeviceState::Ready, within),
        Err(Error::Gone) => Err(Error::Gone),
        Err(refused) => {
            regs::set_global(t, Global::CONTROL, global::CONTROL::SOFT_RESET.mask());
            // What the host said tells more than a device that does not answer to that either.
            await_state(t, DeviceState::Ready, within).map_err(|error| match error {
                Error::Gone => Error::Gone,
                _ => refused,
            })
        }
    }
}

fn await_state<T: Transport>(t: &T, wanted: DeviceState, within: Duration) -> Result<(), Error> {
    let begun = Instant::now();
    loop {
        // Before the look, as in a pair.
        let late = begun.elapsed() >= within;
        let status = regs::global(t, Global::STATUS);
        if status == u32::MAX && regs::global(t, Global::ID) == u32::MAX {
            return Err(Error::Gone);
        }
        let found = state(status);
        if found == Some(wanted) {
            return Ok(());
        }
        if late {
            return Err(Error::State { found, expected: wanted, waited: begun.elapsed() });
        }
        t.relax();
    }
}

fn state(status: u32) -> Option<DeviceState> {
    u8::try_from(global::STATUS::STATE.get(status)).ok().and_then(DeviceState::from_code)
}

/// A random nonce whose low 16 bits are not 0 and whose low 7 bits are not those of `old`.
fn instance(old: Epoch) -> u64 {
    loop {
        // The standard library's hasher is seeded by the system; no more is needed of a nonce that
        // only has to differ.
        let nonce = RandomState::new().build_hasher().finish();
        #[allow(clippy::cast_possible_truncation)]
        let epoch = nonce as u16;
        if epoch != 0 && (epoch ^ old.0) & 0x7F != 0 {
            return nonce;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_never_like_the_one_before() {
        let mut old = Epoch(0);
        for _ in 0..1000 {
            let nonce = instance(old);
            let epoch = Epoch(nonce as u16);
            assert_ne!(epoch.0, 0);
            assert_ne!(epoch.0 & 0x7F, old.0 & 0x7F);
            old = epoch;
        }
    }
}
