// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a caller wants of a device, and whether the device can do it.

use crate::error::Error;
use crate::secret::KeyMemory;
use esnic_abi::Params;
use std::time::Duration;

/// How long the driver waits, at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a command; R43 promises far less.
    pub command: Duration,
    /// For a queue pair to start or stop (R44).
    pub queue_pair: Duration,
    /// For READY after a reset (R20 promises 100 ms).
    pub reset: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            command: Duration::from_secs(1),
            queue_pair: Duration::from_secs(1),
            reset: Duration::from_secs(1),
        }
    }
}

/// What the caller wants of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Queue pairs to use. SAs are spread over them; threads that submit to different pairs do not
    /// meet.
    pub queue_pairs: u32,
    /// log2 of the slots of each submission ring.
    pub sq_log2: u32,
    /// log2 of the entries of each completion ring: how many commands a pair can have in flight.
    pub cq_log2: u32,
    /// First value of every ring index; a multiple of twice the larger ring. For tests.
    pub start: u32,
    /// SAs that the driver keeps track of; `None` for as many as the device has.
    pub max_sas: Option<u32>,
    /// Whether keys may be in memory that can be swapped out.
    pub key_memory: KeyMemory,
    /// Whether to turn interrupts on: then a wait polls for a short while only, and sleeps until the
    /// queue pair's interrupt. Without, it polls.
    pub interrupts: bool,
    /// Deadlines.
    pub timeouts: Timeouts,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            queue_pairs: 1,
            sq_log2: 8,
            cq_log2: 8,
            start: 0,
            max_sas: None,
            key_memory: KeyMemory::Locked,
            interrupts: false,
            timeouts: Timeouts::default(),
        }
    }
}

/// Sizes that are settled once the device has been looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) sq_log2: u32,
    pub(crate) cq_log2: u32,
    pub(crate) direct_log2: u32,
    pub(crate) start: u32,
}

impl Limits {
    /// What `config` asks for, on a device with these sizes.
    ///
    /// # Errors
    /// If the device cannot do it; says what it can.
    pub(crate) fn of(config: &Config, params: &Params) -> Result<Self, Error> {
        let refuse = |what: String| Err(Error::Config { what });
        let (pairs, has) = (config.queue_pairs, u32::from(params.queue_pairs));
        if pairs == 0 || pairs > has {
            return refuse(format!("{pairs} queue pairs wanted, the device has {has}"));
        }
        for (name, log2) in [("submission", config.sq_log2), ("completion", config.cq_log2)] {
            if !(1..=u32::from(params.ring_log2)).contains(&log2) {
                let most = params.ring_log2;
                return refuse(format!(
                    "a {name} ring of 2^{log2} wanted, 2^1 to 2^{most} are possible"
                ));
            }
        }
        let unit = 2u32 << config.sq_log2.max(config.cq_log2);
        if !config.start.is_multiple_of(unit) {
            return refuse(format!(
                "start is {:#x}, must be a multiple of {unit:#x}",
                config.start
            ));
        }
        if let Some(sas) = config.max_sas
            && (sas == 0 || sas > params.sa_capacity)
        {
            return refuse(format!("{sas} SAs wanted, the device has {}", params.sa_capacity));
        }
        Ok(Self {
            sq_log2: config.sq_log2,
            cq_log2: config.cq_log2,
            direct_log2: params.direct_log2.into(),
            start: config.start,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_wishes_are_named() {
        let params = Params::default();
        let wish = |change: &dyn Fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            Limits::of(&config, &params).map(drop).map_err(|e| e.to_string())
        };
        assert_eq!(wish(&|_| {}), Ok(()));
        assert!(wish(&|c| c.queue_pairs = 9).unwrap_err().contains("the device has 8"));
        assert!(wish(&|c| c.sq_log2 = 13).unwrap_err().contains("2^1 to 2^12"));
        assert!(wish(&|c| c.start = 256).unwrap_err().contains("0x200"));
        assert!(wish(&|c| c.max_sas = Some(4097)).unwrap_err().contains("4096"));
    }
}
