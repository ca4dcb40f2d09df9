// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What can stand behind the driver. A new device under test is one more `impl Backend` and one more
//! line in `on_every_backend!`; no test changes.

use super::recorder::Recorder;
use core::ops::Range;
use esnic_abi::Params;
use esnic_driver::transport::Transport;
use esnic_driver::{Config, KeyMemory, SaManager, Timeouts};
use esnic_model::Faults;
use std::time::Duration;

/// A way to make a device, and the hooks behind its pins that this kind of device has.
pub trait Backend: 'static {
    /// For people.
    const NAME: &'static str;
    /// How the device is reached.
    type Link: Transport;
    /// Whether the device moves by itself, or only while somebody polls it.
    const RUNS: bool = false;

    /// A device fresh from power-on.
    fn plug(params: Params) -> Self::Link;

    /// Turns the knobs of a device that can misbehave. False if this kind has none: then the test
    /// that asks for it has nothing to show here, and ends.
    fn misbehave(_link: &Self::Link, _change: impl FnOnce(&mut Faults)) -> bool {
        false
    }

    /// Buffers that the device can reach.
    fn mappings(_link: &Self::Link) -> Option<usize> {
        None
    }

    /// DMA requests that the IOMMU refused.
    fn iommu_faults(_link: &Self::Link) -> Option<u64> {
        None
    }

    /// Whether nothing of an entry is left in an SA slot, key included.
    fn is_wiped(_link: &Self::Link, _index: u32) -> Option<bool> {
        None
    }

    /// Addresses of this process that stand for the inside of the device, where a key belongs: an empty
    /// one if the device is elsewhere, none if it keeps a key in its row alone.
    fn inside(_link: &Self::Link) -> Vec<Range<usize>> {
        Vec::new()
    }

    /// Looks at every opcode byte that was executed since the last look, in order.
    fn executed(_link: &Self::Link) -> Option<Vec<u8>> {
        None
    }
}

/// The transport of every test: a backend's, with a recorder in between.
pub type Link<B> = Recorder<<B as Backend>::Link>;

/// The manager of every test.
pub type Manager<B> = SaManager<Link<B>>;

/// Deadlines that a test of a broken device can wait for; keys need not be locked.
pub fn config() -> Config {
    Config {
        key_memory: KeyMemory::BestEffort,
        sq_log2: 4,
        cq_log2: 4,
        timeouts: Timeouts {
            command: Duration::from_secs(20),
            queue_pair: Duration::from_millis(500),
            reset: Duration::from_secs(20),
        },
        ..Config::default()
    }
}

/// A device of this kind, open, and the way to it.
pub fn open<B: Backend>(params: Params, config: Config) -> (Manager<B>, Link<B>) {
    let link = Recorder::new(B::plug(params));
    (open_on::<B>(&link, config), link)
}

/// As [`open`], on a device that is there already.
pub fn open_on<B: Backend>(link: &Link<B>, config: Config) -> Manager<B> {
    SaManager::open(link.clone(), config).unwrap_or_else(|error| panic!("{}: {error}", B::NAME))
}

/// The tests of a file, once per backend: `on_every_backend!(one_promise, another);` where each
/// promise is a `fn one_promise<B: Backend>()`. A promise that is not listed is dead code, which
/// the lints refuse.
#[cfg(not(esnic_guest))]
macro_rules! on_every_backend {
    ($($promise:ident),* $(,)?) => {
        mod model {
            $( #[test] fn $promise() { super::$promise::<crate::support::Model>(); } )*
        }
        mod rtl {
            $( #[test] fn $promise() { super::$promise::<crate::support::Rtl>(); } )*
        }
        mod vfio_user {
            $( #[test] fn $promise() { super::$promise::<crate::support::VfioUser>(); } )*
        }
    };
}

/// The same in the test guest, where the kernel's VFIO is the one way to a device.
#[cfg(esnic_guest)]
macro_rules! on_every_backend {
    ($($promise:ident),* $(,)?) => {
        mod vfio {
            $( #[test] fn $promise() { super::$promise::<crate::support::Vfio>(); } )*
        }
    };
}

/// Ends the test where a backend has not the knobs it asks for.
macro_rules! misbehave {
    ($backend:ident, $link:expr, $change:expr) => {
        if !$backend::misbehave($link.device(), $change) {
            $crate::support::not_asked($backend::NAME, "it cannot be made to fail like that");
            return;
        }
    };
}
