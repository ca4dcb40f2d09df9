// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The device as a whole: its blocks, how they are built, and what a test may look at.

use crate::counters::CounterFile;
use crate::exec::Core;
use crate::fault::Faults;
use crate::msix::Msix;
use crate::qp::QueuePair;
use crate::sa::SaTable;
use crate::stage::Stage;
use crate::trace::Executed;
use esnic_abi::{DeviceState, FunctionConfig, Params, ParamsError};

/// A whole esnic device.
///
/// It is driven through [`esnic_abi::Device`], and moves only inside `step`. The same accesses and
/// steps give the same run.
///
/// ```
/// use esnic_abi::{Bar, DEVICE_ID, Device, Params, regs::Global};
/// let mut device = esnic_model::Model::new(Params::default())?;
/// let mut id = [0; 4];
/// device.read(Bar::Registers, Global::ID.address(0), &mut id);
/// assert_eq!(u32::from_le_bytes(id), DEVICE_ID);
/// # Ok::<(), esnic_abi::ParamsError>(())
/// ```
pub struct Model {
    pub(crate) core: Core,
    pub(crate) config: FunctionConfig,
    pub(crate) state: DeviceState,
    pub(crate) scrub_left: u32,
    pub(crate) instance: u64,
    pub(crate) fatal_cause: u32,
    pub(crate) fatal_info: u32,
    pub(crate) int_cause: u32,
    pub(crate) int_enable: u32,
    pub(crate) scratch: u32,
    pub(crate) pairs: Vec<QueuePair>,
    pub(crate) msix: Msix,
    pub(crate) turns: Turns,
}

/// What the scheduler remembers from cycle to cycle.
#[derive(Default)]
pub(crate) struct Turns {
    /// Bit n: pair n is not DISABLED.
    pub(crate) alive: u64,
    /// The pair whose read is under way, or that is next.
    pub(crate) ring: usize,
    /// The pair whose direct entry is next.
    pub(crate) direct: usize,
    /// Bit n: something was stored into the direct ring of pair n since it was last seen empty.
    pub(crate) belled: u64,
    /// The last command came from a ring, so a direct one goes first (R11).
    pub(crate) ring_was_last: bool,
    /// Cycles that the last command still takes.
    pub(crate) busy: u32,
    /// No timer and no delay ends before this cycle.
    pub(crate) next_event: u64,
}

impl Model {
    /// A device just out of power-on reset, of the given build.
    ///
    /// # Errors
    /// If the build cannot be; see [`Params::validate`].
    pub fn new(params: Params) -> Result<Self, ParamsError> {
        params.validate()?;
        let vectors = usize::from(params.queue_pairs) + 1;
        Ok(Self {
            core: Core {
                params,
                epoch: 0,
                table: SaTable::new(params.sa_capacity),
                stage: Stage::new(params.stage_log2),
                counters: CounterFile::new(),
                faults: Faults::default(),
                trace: None,
            },
            config: FunctionConfig::default(),
            state: DeviceState::Reset,
            scrub_left: params.sa_capacity,
            instance: 0,
            fatal_cause: 0,
            fatal_info: 0,
            int_cause: 0,
            int_enable: 0,
            scratch: 0,
            pairs: (0..params.queue_pairs).map(|_| QueuePair::new(params.direct_log2)).collect(),
            msix: Msix::new(vectors),
            turns: Turns::default(),
        })
    }

    /// The build.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.core.params
    }

    /// The bits of configuration space, as set last.
    #[must_use]
    pub fn config(&self) -> FunctionConfig {
        self.config
    }

    /// The knobs that make it misbehave.
    pub fn faults_mut(&mut self) -> &mut Faults {
        &mut self.core.faults
    }

    /// Starts or stops recording what is executed; starting forgets what was recorded.
    pub fn set_trace(&mut self, on: bool) {
        self.core.trace = on.then(Vec::new);
    }

    /// What was executed since the last call, in order of execution.
    pub fn take_trace(&mut self) -> Vec<Executed> {
        self.core.trace.as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// Whether nothing of an entry is left in slot `index`: row with salt and key, control word but
    /// for its generation, state word, and what was staged for it. For tests of R18 and R32, which
    /// so need not see a key.
    #[must_use]
    pub fn raw_row_is_zero(&self, index: u32) -> bool {
        self.core.table.is_free(index)
            && self.core.table.is_wiped(index)
            && self.core.stage.is_empty(index)
    }

    /// The current cycle. Reset starts it again from 0.
    pub(crate) fn now(&self) -> u64 {
        self.core.counters[esnic_abi::regs::Counters::CYCLES]
    }
}
