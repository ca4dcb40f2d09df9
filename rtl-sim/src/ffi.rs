// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The compiled device behind `cpp/shim.h`. All `unsafe` of this crate is here.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::NonNull;
use esnic_abi::Params;
use std::ffi::CString;

/// What the world drives: `esnic_rtl_in`.
#[repr(C)]
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub(crate) struct Inputs {
    pub s_awaddr: u64,
    pub s_wstrb: u64,
    pub s_araddr: u64,
    pub st_number: u64,
    pub s_wdata: [u32; 16],
    pub m_rdata: [u32; 16],
    pub lk_index: u32,
    pub st_index: u32,
    pub st_generation: u32,
    pub dbg_fatal_info: u32,
    pub rst_n: u8,
    pub bus_master: u8,
    pub msix_enable: u8,
    pub msix_mask: u8,
    pub flr: u8,
    pub s_awid: u8,
    pub s_awsize: u8,
    pub s_awvalid: u8,
    pub s_wvalid: u8,
    pub s_bready: u8,
    pub s_arid: u8,
    pub s_arsize: u8,
    pub s_arvalid: u8,
    pub s_rready: u8,
    pub m_awready: u8,
    pub m_wready: u8,
    pub m_bid: u8,
    pub m_bresp: u8,
    pub m_bvalid: u8,
    pub m_arready: u8,
    pub m_rid: u8,
    pub m_rresp: u8,
    pub m_rlast: u8,
    pub m_rvalid: u8,
    pub msix_ready: u8,
    pub lk_valid: u8,
    pub st_valid: u8,
    pub st_commit: u8,
    pub dbg_hold: u8,
    pub dbg_flip_add: u8,
    pub dbg_flip_delete: u8,
    pub dbg_fatal: u8,
}

/// What the device drives: `esnic_rtl_out`.
#[repr(C)]
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub(crate) struct Outputs {
    pub m_awaddr: u64,
    pub m_wstrb: u64,
    pub m_araddr: u64,
    pub s_rdata: [u32; 16],
    pub m_wdata: [u32; 16],
    pub lk_entry: [u32; 22],
    pub st_top: [u32; 3],
    pub dbg_cookie: u32,
    pub s_awready: u8,
    pub s_wready: u8,
    pub s_bid: u8,
    pub s_bresp: u8,
    pub s_bvalid: u8,
    pub s_arready: u8,
    pub s_rid: u8,
    pub s_rresp: u8,
    pub s_rlast: u8,
    pub s_rvalid: u8,
    pub m_awid: u8,
    pub m_awlen: u8,
    pub m_awsize: u8,
    pub m_awburst: u8,
    pub m_awvalid: u8,
    pub m_wlast: u8,
    pub m_wvalid: u8,
    pub m_bready: u8,
    pub m_arid: u8,
    pub m_arlen: u8,
    pub m_arsize: u8,
    pub m_arburst: u8,
    pub m_arvalid: u8,
    pub m_rready: u8,
    pub msix_valid: u8,
    pub msix_vector: u8,
    pub lk_valid: u8,
    pub st_valid: u8,
    pub dbg_valid: u8,
    pub dbg_pair: u8,
    pub dbg_ring: u8,
    pub dbg_opcode: u8,
    pub dbg_flipped: u8,
}

/// What a device is told before it leaves reset: `esnic_rtl_straps`.
#[repr(C)]
struct Straps {
    features: u32,
    algs: u32,
    max_window: u16,
    ring_log2: u8,
}

/// One build: `esnic_rtl_build`.
#[repr(C)]
pub(crate) struct Build {
    name: *const c_char,
    sa_capacity: u32,
    queue_pairs: u32,
    ring_log2: u32,
    direct_log2: u32,
    stage_log2: u32,
    max_window: u32,
    features: u32,
    algs: u32,
    tags: u32,
    has_straps: u32,
    create: unsafe extern "C" fn(*const Straps) -> *mut c_void,
    destroy: unsafe extern "C" fn(*mut c_void),
    cycle: unsafe extern "C" fn(*mut c_void, *const Inputs, *mut Outputs) -> c_int,
    inside: unsafe extern "C" fn(*mut c_void, *mut usize) -> *const c_void,
    is_wiped: unsafe extern "C" fn(*mut c_void, u32) -> c_int,
    upset: unsafe extern "C" fn(*mut c_void, u32, u32, u32),
    trace_open: unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int,
    trace_close: unsafe extern "C" fn(*mut c_void),
}

// SAFETY: the C++ side never writes to a build after the program was loaded.
unsafe impl Sync for Build {}

unsafe extern "C" {
    fn esnic_rtl_builds(count: *mut usize) -> *const Build;
    fn esnic_rtl_failure() -> *const c_char;
}

/// Every build that was compiled.
pub(crate) fn builds() -> &'static [Build] {
    let mut count = 0;
    // SAFETY: the function only writes the number of rows, to a place that can hold it.
    let first = unsafe { esnic_rtl_builds(&raw mut count) };
    // SAFETY: it returns a constant table of that many rows, never null, made by build.rs for this
    // layout of `Build`.
    unsafe { core::slice::from_raw_parts(first, count) }
}

impl Build {
    /// Its name in `build/list.rs`.
    pub(crate) fn name(&self) -> &'static str {
        // SAFETY: build.rs makes the name a string literal.
        let name = unsafe { CStr::from_ptr(self.name) };
        name.to_str().unwrap_or("?")
    }

    /// What it was compiled with; with straps, some of it can be chosen.
    pub(crate) fn params(&self) -> Params {
        // build.rs took them from fields of these widths.
        #[allow(clippy::cast_possible_truncation)]
        Params {
            sa_capacity: self.sa_capacity,
            queue_pairs: self.queue_pairs as u8,
            ring_log2: self.ring_log2 as u8,
            direct_log2: self.direct_log2 as u8,
            stage_log2: self.stage_log2 as u8,
            max_window: self.max_window as u16,
            features: self.features,
            algs: self.algs,
        }
    }

    /// Whether a device with these parameters can be made of it.
    pub(crate) fn fits(&self, wanted: &Params) -> bool {
        let mut own = self.params();
        if self.has_straps != 0 {
            own.features = wanted.features;
            own.algs = wanted.algs;
            own.max_window = wanted.max_window;
            own.ring_log2 = wanted.ring_log2;
        }
        own == *wanted
    }

    /// Reads that it may have in flight.
    pub(crate) fn tags(&self) -> usize {
        self.tags as usize
    }
}

/// A memory of the SA table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// SPI, generation, state.
    Control,
    /// `top` and `lo_valid`.
    State,
    /// What packets need, key included.
    Configuration,
}

impl Row {
    /// Bits of a row, without its parity.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Control => 69,
            Self::State => 65,
            Self::Configuration => 697,
        }
    }
}

/// One device of some build.
pub(crate) struct Verilated {
    build: &'static Build,
    raw: NonNull<c_void>,
}

// SAFETY: a Verilated model with a context of its own has no tie to the thread that made it; the
// shim tells Verilator's library which context is in use before each cycle.
unsafe impl Send for Verilated {}

impl Verilated {
    /// A device with its clock low and its reset asserted. The build must fit the parameters.
    pub(crate) fn new(build: &'static Build, params: &Params) -> Self {
        debug_assert!(build.fits(params));
        let straps = Straps {
            features: params.features,
            algs: params.algs,
            max_window: params.max_window,
            ring_log2: params.ring_log2,
        };
        // SAFETY: the function belongs to this build, and only reads the straps while it runs.
        let raw = unsafe { (build.create)(&raw const straps) };
        let raw = NonNull::new(raw).expect("operator new throws, it does not return null");
        Self { build, raw }
    }

    /// One clock cycle.
    ///
    /// # Errors
    /// What an assertion in the RTL said.
    pub(crate) fn cycle(&mut self, inputs: &Inputs, outputs: &mut Outputs) -> Result<(), String> {
        // SAFETY: `raw` is this build's device, alive until drop and used by nobody else while it
        // is borrowed here; both structs have the layout that the shim expects.
        let failed = unsafe { (self.build.cycle)(self.raw.as_ptr(), inputs, outputs) };
        if failed == 0 {
            return Ok(());
        }
        Err(failure())
    }

    /// Addresses of all its registers and memories.
    pub(crate) fn inside(&mut self) -> core::ops::Range<usize> {
        let mut bytes = 0;
        // SAFETY: as in `cycle`; the function only writes the length, to a place that can hold it.
        let first = unsafe { (self.build.inside)(self.raw.as_ptr(), &raw mut bytes) };
        first.addr()..first.addr() + bytes
    }

    /// Whether nothing of an entry is left in a slot.
    ///
    /// # Panics
    /// If there is no such slot.
    pub(crate) fn is_wiped(&mut self, index: u32) -> bool {
        assert!(index < self.build.sa_capacity, "slot {index} of {}", self.build.sa_capacity);
        // SAFETY: as in `cycle`; the index is inside the table of this build.
        unsafe { (self.build.is_wiped)(self.raw.as_ptr(), index) != 0 }
    }

    /// Flips a bit of a row.
    ///
    /// # Panics
    /// If there is no such bit.
    pub(crate) fn upset(&mut self, row: Row, index: u32, bit: u32) {
        assert!(index < self.build.sa_capacity, "slot {index} of {}", self.build.sa_capacity);
        assert!(bit < row.bits(), "bit {bit} of {}", row.bits());
        // SAFETY: as in `cycle`; the bit is inside the row, and the row inside the table of this build.
        unsafe { (self.build.upset)(self.raw.as_ptr(), row as u32, index, bit) }
    }

    /// Starts a waveform. False if this library was compiled without.
    pub(crate) fn trace_open(&mut self, path: &CString) -> bool {
        // SAFETY: as in `cycle`; the path ends in a null byte and is only read.
        unsafe { (self.build.trace_open)(self.raw.as_ptr(), path.as_ptr()) == 0 }
    }

    /// Ends the waveform, if there is one.
    pub(crate) fn trace_close(&mut self) {
        // SAFETY: as in `cycle`.
        unsafe { (self.build.trace_close)(self.raw.as_ptr()) }
    }
}

impl Drop for Verilated {
    fn drop(&mut self) {
        self.trace_close();
        // SAFETY: `raw` came from this build's `create`, and this is the last use of it.
        unsafe { (self.build.destroy)(self.raw.as_ptr()) }
    }
}

/// What the RTL reported on this thread.
fn failure() -> String {
    // SAFETY: the function takes nothing, and keeps what it returns until this thread's next call.
    let text = unsafe { esnic_rtl_failure() };
    if text.is_null() {
        return "a failure without words".to_owned();
    }
    // SAFETY: not null, so a string that ends in a null byte; copied before the next call.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}
