// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What can be in a function: the model or the RTL, with the hooks that tests have behind its pins.

use crate::common::{self, Fault, Took};
use crate::support;
use esnic_abi::{Bar, Device, FunctionConfig, Host, Params};
use esnic_model::{Faults, Model};
use esnic_rtl::{Bus, RtlDevice};
use std::str::FromStr;

/// Which of them the bench has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Model,
    Rtl,
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "model" => Ok(Self::Model),
            "rtl" => Ok(Self::Rtl),
            _ => Err(format!("--device takes model or rtl, not {text}")),
        }
    }
}

/// One of them.
pub(crate) enum Plugged {
    Model(Box<Model>),
    Rtl(Box<RtlDevice>),
}

impl Plugged {
    /// A device fresh from power-on.
    pub(crate) fn new(kind: Kind, params: Params) -> Result<Self, String> {
        match kind {
            Kind::Model => {
                let mut model = Model::new(params).map_err(|error| error.to_string())?;
                model.set_trace(true);
                Ok(Self::Model(Box::new(model)))
            }
            Kind::Rtl => {
                let rtl = RtlDevice::new(params, Bus::from_env());
                let mut rtl = rtl.map_err(|error| error.to_string())?;
                rtl.log_issued(true);
                Ok(Self::Rtl(Box::new(rtl)))
            }
        }
    }

    /// What is in a function until a test asks for something: any device of that capacity.
    pub(crate) fn first(kind: Kind, capacity: u32) -> Result<Self, String> {
        let usual = Params::default();
        let most = capacity.checked_ilog2().unwrap_or(0) as u8;
        let usual =
            Params { sa_capacity: capacity, stage_log2: usual.stage_log2.min(most), ..usual };
        match kind {
            Kind::Model => Self::new(kind, usual),
            Kind::Rtl => {
                let mut builds = esnic_rtl::builds().map(|(_, params)| params);
                let found = builds.find(|params| params.sa_capacity == capacity);
                Self::new(kind, found.unwrap_or(usual))
            }
        }
    }

    /// Makes it fail once.
    pub(crate) fn inject(&mut self, fault: Fault) {
        match self {
            Self::Model(model) => common::model::inject(model, fault),
            Self::Rtl(rtl) => common::rtl::inject(rtl, fault),
        }
    }

    /// Turns its knobs. False if it has not all of those that this takes.
    pub(crate) fn misbehave(&mut self, change: impl FnOnce(&mut Faults)) -> bool {
        match self {
            Self::Model(model) => {
                change(model.faults_mut());
                true
            }
            Self::Rtl(rtl) => support::rtl::misbehave(rtl, change),
        }
    }

    /// What it executed since the last call, in order: who asked for it, and the opcode byte.
    pub(crate) fn executed(&mut self) -> Vec<(Took, u8)> {
        match self {
            Self::Model(model) => {
                let executed = model.take_trace().into_iter().map(|one| {
                    let (pair, direct) = (one.queue_pair.into(), one.direct);
                    (Took { pair, direct, cookie: one.cookie.0 }, one.opcode_byte)
                });
                executed.collect()
            }
            Self::Rtl(rtl) => {
                let issued = rtl.take_issued().into_iter().map(|one| {
                    let (pair, direct) = (one.queue_pair.into(), one.direct);
                    (Took { pair, direct, cookie: one.cookie }, one.opcode_byte)
                });
                issued.collect()
            }
        }
    }

    /// Whether all memory of an SA slot is zero.
    pub(crate) fn is_wiped(&mut self, index: u32) -> bool {
        match self {
            Self::Model(model) => model.raw_row_is_zero(index),
            Self::Rtl(rtl) => rtl.raw_row_is_zero(index),
        }
    }

    fn pins(&mut self) -> &mut dyn Device {
        match self {
            Self::Model(model) => &mut **model,
            Self::Rtl(rtl) => &mut **rtl,
        }
    }
}

impl Device for Plugged {
    fn bar_bytes(&self, bar: Bar) -> u64 {
        match self {
            Self::Model(model) => model.bar_bytes(bar),
            Self::Rtl(rtl) => rtl.bar_bytes(bar),
        }
    }

    fn read(&mut self, bar: Bar, offset: u64, out: &mut [u8]) {
        self.pins().read(bar, offset, out);
    }

    fn write(&mut self, bar: Bar, offset: u64, data: &[u8]) {
        self.pins().write(bar, offset, data);
    }

    fn configure(&mut self, config: FunctionConfig) {
        self.pins().configure(config);
    }

    fn reset(&mut self) {
        self.pins().reset();
    }

    fn step(&mut self, host: &mut dyn Host, cycles: u32) -> bool {
        self.pins().step(host, cycles)
    }
}
