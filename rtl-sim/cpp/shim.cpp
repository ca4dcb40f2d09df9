// SPDX-License-Identifier: Apache-2.0 OR MIT
// One build of the device behind plain functions. build.rs compiles this file once a build, with
// ESNIC_RTL_MODEL as the class that Verilator made and ESNIC_RTL_OPS(f) naming this build's f. ESNIC_RTL_STRAPS says
// whether the RTL takes as inputs what else is a parameter of it.
#include "shim.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_fst_c.h"
#endif

#include <cstring>
#include <strings.h>
#include <memory>
#include <type_traits>

bool esnic_rtl_failed();
#if VM_COVERAGE
void esnic_rtl_cover(VerilatedContext &context);
#endif

// The library's base of what Verilator makes; later releases have none.
class VerilatedModule;

namespace {

template <typename Made, typename Base> constexpr std::size_t base_bytes() {
    if constexpr (std::is_base_of_v<Base, Made>) {
        return sizeof(Base);
    } else {
        return 0;
    }
}

struct Device {
    // Time, randomness and failures of one device must not reach another one, hence a context each.
    VerilatedContext context;
    std::unique_ptr<ESNIC_RTL_MODEL> top;
#if VM_TRACE
    std::unique_ptr<VerilatedFstC> trace;
#endif

    explicit Device(const esnic_rtl_straps &straps) {
#if VM_TRACE
        context.traceEverOn(true);
#endif
        top = std::make_unique<ESNIC_RTL_MODEL>(&context, "top");
        top->clk_i = 0;
        top->rst_ni = 0;
#if ESNIC_RTL_STRAPS
        top->cfg_features_i = straps.features;
        top->cfg_algs_i = straps.algs;
        top->cfg_max_window_i = straps.max_window;
        top->cfg_ring_log2_i = straps.ring_log2;
#else
        (void)straps;
#endif
    }

    // Scopes leave by way of the thread's context, which need not be this device's any more.
    ~Device() {
        Verilated::threadContextp(&context);
#if VM_TRACE
        trace.reset();
#endif
#if VM_COVERAGE
        esnic_rtl_cover(context);
#endif
        // Registers and memories may hold keys. All that is between what the library put in front of them
        // and the one pointer behind them is plain data.
        auto &root = *top->rootp;
        constexpr auto front = base_bytes<std::remove_reference_t<decltype(root)>, VerilatedModule>();
        auto *first = reinterpret_cast<char *>(&root) + front;
        const auto *last = reinterpret_cast<const char *>(&root.vlSymsp);
        explicit_bzero(first, last - first);
        top.reset();
    }

    void settle() {
        top->eval();
#if VM_TRACE
        if (trace) trace->dump(context.time());
#endif
        context.timeInc(1);
    }
};

template <typename Wide> void put(Wide &pin, const std::uint32_t (&words)[16]) {
    std::memcpy(&pin[0], words, sizeof words);
}

template <typename Wide> void get(std::uint32_t (&words)[16], const Wide &pin) {
    std::memcpy(words, &pin[0], sizeof words);
}

void drive(ESNIC_RTL_MODEL &top, const esnic_rtl_in &in) {
    top.rst_ni = in.rst_n;
    top.cfg_bus_master_i = in.bus_master;
    top.cfg_msix_enable_i = in.msix_enable;
    top.cfg_msix_mask_i = in.msix_mask;
    top.flr_i = in.flr;

    top.s_axi_awvalid = in.s_awvalid;
    top.s_axi_awid = in.s_awid;
    top.s_axi_awaddr = in.s_awaddr;
    top.s_axi_awsize = in.s_awsize;
    top.s_axi_awlen = 0;
    top.s_axi_awburst = 1;
    top.s_axi_wvalid = in.s_wvalid;
    // A reset finds nothing on the wires of before it.
    if (in.s_wvalid || in.flr) put(top.s_axi_wdata, in.s_wdata);
    top.s_axi_wstrb = in.s_wstrb;
    top.s_axi_wlast = in.s_wvalid;
    top.s_axi_bready = in.s_bready;
    top.s_axi_arvalid = in.s_arvalid;
    top.s_axi_arid = in.s_arid;
    top.s_axi_araddr = in.s_araddr;
    top.s_axi_arsize = in.s_arsize;
    top.s_axi_arlen = 0;
    top.s_axi_arburst = 1;
    top.s_axi_rready = in.s_rready;

    top.m_axi_awready = in.m_awready;
    top.m_axi_wready = in.m_wready;
    top.m_axi_bvalid = in.m_bvalid;
    top.m_axi_bid = in.m_bid;
    top.m_axi_bresp = in.m_bresp;
    top.m_axi_arready = in.m_arready;
    top.m_axi_rvalid = in.m_rvalid;
    if (in.m_rvalid || in.flr) put(top.m_axi_rdata, in.m_rdata);
    top.m_axi_rid = in.m_rid;
    top.m_axi_rresp = in.m_rresp;
    top.m_axi_rlast = in.m_rlast;

    top.msix_ready_i = in.msix_ready;

    top.lk_valid_i = in.lk_valid;
    top.lk_index_i = in.lk_index;
    top.st_valid_i = in.st_valid;
    top.st_index_i = in.st_index;
    top.st_generation_i = in.st_generation;
    top.st_commit_i = in.st_commit;
    top.st_number_i = in.st_number;

    top.dbg_hold_i = in.dbg_hold;
    top.dbg_flip_add_i = in.dbg_flip_add;
    top.dbg_flip_delete_i = in.dbg_flip_delete;
    top.dbg_fatal_i = in.dbg_fatal;
    top.dbg_fatal_info_i = in.dbg_fatal_info;
}

// Whether the bits from `low` on, `count` of them, are zero.
template <typename Row> bool zero(const Row &row, unsigned low, unsigned count) {
    for (unsigned bit = low; bit < low + count; ++bit) {
        if constexpr (std::is_integral_v<Row>) {
            if (row >> bit & 1) return false;
        } else if (row[bit / 32] >> bit % 32 & 1) {
            return false;
        }
    }
    return true;
}

// Another value for one bit of a row, as radiation would give it.
template <typename Row> void upset(Row &row, unsigned bit) {
    row[bit / 32] ^= std::uint32_t{1} << bit % 32;
}

void sample(const ESNIC_RTL_MODEL &top, esnic_rtl_out &out) {
    out.s_awready = top.s_axi_awready;
    out.s_wready = top.s_axi_wready;
    out.s_bvalid = top.s_axi_bvalid;
    out.s_bid = top.s_axi_bid;
    out.s_bresp = top.s_axi_bresp;
    out.s_arready = top.s_axi_arready;
    out.s_rvalid = top.s_axi_rvalid;
    out.s_rid = top.s_axi_rid;
    out.s_rresp = top.s_axi_rresp;
    out.s_rlast = top.s_axi_rlast;
    if (out.s_rvalid) get(out.s_rdata, top.s_axi_rdata);

    out.m_awvalid = top.m_axi_awvalid;
    out.m_awid = top.m_axi_awid;
    out.m_awaddr = top.m_axi_awaddr;
    out.m_awlen = top.m_axi_awlen;
    out.m_awsize = top.m_axi_awsize;
    out.m_awburst = top.m_axi_awburst;
    out.m_wvalid = top.m_axi_wvalid;
    out.m_wlast = top.m_axi_wlast;
    out.m_wstrb = top.m_axi_wstrb;
    if (out.m_wvalid) get(out.m_wdata, top.m_axi_wdata);
    out.m_bready = top.m_axi_bready;
    out.m_arvalid = top.m_axi_arvalid;
    out.m_arid = top.m_axi_arid;
    out.m_araddr = top.m_axi_araddr;
    out.m_arlen = top.m_axi_arlen;
    out.m_arsize = top.m_axi_arsize;
    out.m_arburst = top.m_axi_arburst;
    out.m_rready = top.m_axi_rready;

    out.msix_valid = top.msix_valid_o;
    out.msix_vector = top.msix_vector_o;

    out.lk_valid = top.lk_valid_o;
    if (out.lk_valid) std::memcpy(out.lk_entry, &top.lk_entry_o[0], sizeof out.lk_entry);
    out.st_valid = top.st_valid_o;
    if (out.st_valid) std::memcpy(out.st_top, &top.st_top_o[0], sizeof out.st_top);

    out.dbg_valid = top.dbg_valid_o;
    out.dbg_pair = top.dbg_pair_o;
    out.dbg_ring = top.dbg_ring_o;
    out.dbg_cookie = top.dbg_cookie_o;
    out.dbg_opcode = top.dbg_opcode_o;
    out.dbg_flipped = top.dbg_flipped_o;
}

}  // namespace

extern "C" {

void *ESNIC_RTL_OPS(create)(const esnic_rtl_straps *straps) { return new Device(*straps); }

void ESNIC_RTL_OPS(destroy)(void *device) { delete static_cast<Device *>(device); }

int ESNIC_RTL_OPS(cycle)(void *device, const esnic_rtl_in *in, esnic_rtl_out *out) {
    Device &self = *static_cast<Device *>(device);
    // The caller may have moved to another thread since.
    Verilated::threadContextp(&self.context);
    // The low half of the cycle lets the inputs through combinational paths; then comes the edge.
    self.top->clk_i = 0;
    drive(*self.top, *in);
    self.settle();
    sample(*self.top, *out);
    self.top->clk_i = 1;
    self.settle();
    return esnic_rtl_failed() ? 1 : 0;
}

const void *ESNIC_RTL_OPS(inside)(void *device, std::size_t *bytes) {
    const auto *root = static_cast<Device *>(device)->top->rootp;
    *bytes = sizeof *root;
    return root;
}

// Looks into memories by the names that the RTL gives them. Fields are those of ctl_t and head_t.
int ESNIC_RTL_OPS(is_wiped)(void *device, std::uint32_t index) {
    const auto &root = *static_cast<Device *>(device)->top->rootp;
    const auto &ctl = root.esnic_top__DOT__u_sa__DOT__u_ctl__DOT__mem[index];
    const auto &top = root.esnic_top__DOT__u_sa__DOT__u_top__DOT__mem[index];
    const auto &cfg = root.esnic_top__DOT__u_sa__DOT__u_cfg__DOT__mem[index];
    const auto &heads = root.esnic_top__DOT__u_stage__DOT__u_head_take__DOT__mem;
    const auto &stage = root.esnic_top__DOT__u_stage__DOT__u_data__DOT__mem;
    const auto buffer = index % (sizeof heads.m_storage / sizeof heads.m_storage[0]);
    const auto head = heads[buffer];
    const bool staged = head >> 32 == index && !zero(head, 0, 32);
    // Protocol, direction, ESN and state; the SPI. The generation stays (R28).
    return zero(ctl, 0, 5) && zero(ctl, 37, 32) && zero(top, 0, 65) && zero(cfg, 0, 697) &&
           !staged && (head >> 32 != index || zero(stage[buffer], 0, 1024));
}

void ESNIC_RTL_OPS(upset)(void *device, std::uint32_t memory, std::uint32_t index, std::uint32_t bit) {
    auto &root = *static_cast<Device *>(device)->top->rootp;
    switch (memory) {
    case 0: upset(root.esnic_top__DOT__u_sa__DOT__u_ctl__DOT__mem[index], bit); break;
    case 1: upset(root.esnic_top__DOT__u_sa__DOT__u_top__DOT__mem[index], bit); break;
    default: upset(root.esnic_top__DOT__u_sa__DOT__u_cfg__DOT__mem[index], bit); break;
    }
}

int ESNIC_RTL_OPS(trace_open)(void *device, const char *path) {
#if VM_TRACE
    Device &self = *static_cast<Device *>(device);
    self.trace = std::make_unique<VerilatedFstC>();
    self.top->trace(self.trace.get(), 99);
    self.trace->open(path);
    return 0;
#else
    (void)device;
    (void)path;
    return 1;
#endif
}

void ESNIC_RTL_OPS(trace_close)(void *device) {
#if VM_TRACE
    Device &self = *static_cast<Device *>(device);
    if (self.trace) self.trace->close();
    self.trace.reset();
#else
    (void)device;
#endif
}
}
