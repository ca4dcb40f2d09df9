// SPDX-License-Identifier: Apache-2.0 OR MIT
// The compiled device as C sees it: pins in, pins out, one call a clock cycle. src/ffi.rs declares
// the same structs; the two change together.
#ifndef ESNIC_RTL_SHIM_H
#define ESNIC_RTL_SHIM_H

#include <cstddef>
#include <cstdint>

extern "C" {

// What the world drives. Data pins count only while their valid pin is high.
struct esnic_rtl_in {
    std::uint64_t s_awaddr, s_wstrb, s_araddr, st_number;
    std::uint32_t s_wdata[16];
    std::uint32_t m_rdata[16];
    std::uint32_t lk_index, st_index, st_generation;
    std::uint32_t dbg_fatal_info;
    std::uint8_t rst_n, bus_master, msix_enable, msix_mask, flr;
    std::uint8_t s_awid, s_awsize, s_awvalid, s_wvalid, s_bready;
    std::uint8_t s_arid, s_arsize, s_arvalid, s_rready;
    std::uint8_t m_awready, m_wready, m_bid, m_bresp, m_bvalid;
    std::uint8_t m_arready, m_rid, m_rresp, m_rlast, m_rvalid;
    std::uint8_t msix_ready;
    std::uint8_t lk_valid, st_valid, st_commit;
    std::uint8_t dbg_hold, dbg_flip_add, dbg_flip_delete, dbg_fatal;
};

// What the device drives, as it stands just before the rising edge.
struct esnic_rtl_out {
    std::uint64_t m_awaddr, m_wstrb, m_araddr;
    std::uint32_t s_rdata[16];
    std::uint32_t m_wdata[16];
    std::uint32_t lk_entry[22], st_top[3];
    std::uint32_t dbg_cookie;
    std::uint8_t s_awready, s_wready, s_bid, s_bresp, s_bvalid;
    std::uint8_t s_arready, s_rid, s_rresp, s_rlast, s_rvalid;
    std::uint8_t m_awid, m_awlen, m_awsize, m_awburst, m_awvalid, m_wlast, m_wvalid, m_bready;
    std::uint8_t m_arid, m_arlen, m_arsize, m_arburst, m_arvalid, m_rready;
    std::uint8_t msix_valid, msix_vector;
    std::uint8_t lk_valid, st_valid;
    std::uint8_t dbg_valid, dbg_pair, dbg_ring, dbg_opcode, dbg_flipped;
};

// What a device is told once, before it leaves reset, and what does not change any more.
struct esnic_rtl_straps {
    std::uint32_t features, algs;
    std::uint16_t max_window;
    std::uint8_t ring_log2;
};

// One build of the device: its parameters, and how to run it. Where it has straps, the values here are only the
// usual ones.
struct esnic_rtl_build {
    const char *name;
    std::uint32_t sa_capacity, queue_pairs, ring_log2, direct_log2, stage_log2, max_window;
    std::uint32_t features, algs, tags, has_straps;
    void *(*create)(const esnic_rtl_straps *straps);
    void (*destroy)(void *device);
    // Gives one clock cycle; 0, or 1 if the RTL itself reported a failure.
    int (*cycle)(void *device, const esnic_rtl_in *in, esnic_rtl_out *out);
    // Where all registers and memories of the device are.
    const void *(*inside)(void *device, std::size_t *bytes);
    // 1 if nothing of an entry is left in a slot of the SA table, nor in what is staged for it.
    int (*is_wiped)(void *device, std::uint32_t index);
    // Flips a bit of a row of the SA table: memory 0 control, 1 state, 2 configuration.
    void (*upset)(void *device, std::uint32_t memory, std::uint32_t index, std::uint32_t bit);
    // Starts a waveform; 0, or 1 if this library was compiled without waveforms.
    int (*trace_open)(void *device, const char *path);
    void (*trace_close)(void *device);
};

// Every build in this library.
const esnic_rtl_build *esnic_rtl_builds(std::size_t *count);

// The first failure that the RTL reported on this thread since the last call, or null. It stays
// valid until the thread's next call.
const char *esnic_rtl_failure();
}

#endif
