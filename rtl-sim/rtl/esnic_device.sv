// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The device's state machine (device manual 6.1), the writable registers of the global page, and
// vector Q. `clear_o` returns every other block to its reset state within the cycle; what is on the
// bus by then is finished there and its answers are dropped (R20).
`include "esnic_assert.svh"
module esnic_device
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned SaCapacity = 4096,
  parameter int unsigned ScrubRows = 4096,  // of the deepest memory
  localparam int unsigned RowW = $clog2(ScrubRows)
) (
  input  logic            clk_i,
  input  logic            rst_ni,
  input  logic            flr_i,
  input  logic            cfg_bus_master_i,
  input  logic            cfg_msix_enable_i,
  input  logic            cfg_msix_mask_i,
  input  reg_wr_t         wr_i,

  input  logic            all_disabled_i,   // every pair
  input  logic            drained_i,        // the bus owes no answer
  input  logic            qp_error_i,       // a pair entered ERROR
  input  logic [3:0]      fatal_cause_i,
  input  logic [31:0]     fatal_info_i,

  output logic            clear_o,
  output logic            flr_o,
  output logic            bus_master_o,
  output logic            msix_on_o,        // messages may be sent (R4, R24)
  output logic [2:0]      state_o,
  output logic            run_o,            // RUNNING
  output logic            readable_o,       // READY or RUNNING
  output logic            scrub_o,          // row `scrub_row_o` of every memory becomes zero
  output logic [RowW-1:0] scrub_row_o,
  output logic [31:0]     scrub_left_o,
  output logic [63:0]     instance_o,
  output logic [3:0]      fatal_cause_o,
  output logic [31:0]     fatal_info_o,
  output logic [2:0]      int_cause_o,
  output logic [2:0]      int_enable_o,
  output logic [31:0]     scratch_o,
  output logic            fire_o            // vector Q (R5)
);
  device_state_e state_d, state_q;
  logic [RowW:0] row_d, row_q;
  logic [63:0] instance_d, instance_q;
  logic [3:0]  fatal_cause, fatal_cause_d, fatal_cause_q;
  logic [31:0] fatal_info_d, fatal_info_q;
  logic [2:0]  int_cause_d, int_cause_q, int_enable_d, int_enable_q;
  logic [31:0] scratch_d, scratch_q;

  // ---- Writes to the global page ------------------------------------------------------------------

  logic global_we, control_we, soft_reset, rows_left;

  assign global_we = wr_i.valid && !wr_i.msix && wr_i.addr[18:8] == '0;
  assign control_we = global_we && wr_i.addr[7:0] == 8'(GLOBAL_CONTROL_OFFSET);
  assign soft_reset = control_we && wr_i.data[GLOBAL_CONTROL_SOFT_RESET_LSB];
  // Configuration comes through registers, so that no wire leads from the edge through all of the device.
  logic flr_q, bus_master_q, msix_on_q;
  assign clear_o = soft_reset || flr_q;
  assign flr_o = flr_q;
  assign bus_master_o = bus_master_q;
  assign msix_on_o = bus_master_q && msix_on_q;
  assign rows_left = 32'(row_q) != 32'(ScrubRows);

  // ---- State --------------------------------------------------------------------------------------

  // A state that there is not, as after an upset of its register, is FATAL with a cause like any other.
  always_comb begin
    fatal_cause = fatal_cause_i;
    if (!(state_q inside {DEVICE_STATE_RESET, DEVICE_STATE_SCRUB, DEVICE_STATE_READY,
                          DEVICE_STATE_RUNNING, DEVICE_STATE_FATAL})) begin
      fatal_cause[GLOBAL_FATAL_CAUSE_INTERNAL_LSB] = 1'b1;
    end
  end

  always_comb begin
    state_d = state_q;
    row_d = row_q;
    unique case (state_q)
      DEVICE_STATE_RESET: state_d = DEVICE_STATE_SCRUB;
      DEVICE_STATE_SCRUB: begin
        if (rows_left) row_d = row_q + 1'b1;
        // Reads of before the reset may still come; READY means that none can hit anything.
        if (32'(row_d) == 32'(ScrubRows) && drained_i) state_d = DEVICE_STATE_READY;
      end
      DEVICE_STATE_READY: begin
        // R22: without an epoch, late doorbells could not be told apart.
        if (control_we && wr_i.data[GLOBAL_CONTROL_RUN_LSB] && instance_q[15:0] != '0) begin
          state_d = DEVICE_STATE_RUNNING;
        end
      end
      DEVICE_STATE_RUNNING: begin
        // R47: a late RUN=0 of an old instance finds pairs enabled, and does nothing.
        if (control_we && !wr_i.data[GLOBAL_CONTROL_RUN_LSB] && all_disabled_i) begin
          state_d = DEVICE_STATE_READY;
        end
      end
      DEVICE_STATE_FATAL: ;
      default: ;
    endcase
    if (fatal_cause != '0) state_d = DEVICE_STATE_FATAL;
    if (clear_o) begin
      state_d = DEVICE_STATE_RESET;
      row_d = '0;
    end
  end

  assign state_o = state_q;
  assign run_o = state_q == DEVICE_STATE_RUNNING;
  assign readable_o = state_q inside {DEVICE_STATE_READY, DEVICE_STATE_RUNNING};
  assign scrub_o = state_q == DEVICE_STATE_SCRUB && rows_left;
  assign scrub_row_o = row_q[RowW-1:0];
  // The table may be smaller than the deepest memory: then it is clean earlier.
  assign scrub_left_o = (32'(row_q) < SaCapacity) ? SaCapacity - 32'(row_q) : '0;

  // ---- Registers and vector Q ---------------------------------------------------------------------

  logic [2:0] raised, due_before, due_after;
  logic int_we;

  always_comb begin
    instance_d = instance_q;
    scratch_d = scratch_q;
    int_enable_d = int_enable_q;
    raised = '0;
    raised[GLOBAL_INT_CAUSE_FATAL_LSB] = fatal_cause != '0;
    raised[GLOBAL_INT_CAUSE_QP_ERROR_LSB] = qp_error_i;
    int_cause_d = int_cause_q;
    int_we = 1'b0;
    fatal_cause_d = fatal_cause_q | fatal_cause;
    // The first cause keeps its detail: the others usually follow from it.
    fatal_info_d = (fatal_cause_q == '0 && fatal_cause != '0) ? fatal_info_i : fatal_info_q;
    if (global_we) begin
      unique case (wr_i.addr[7:0])
        8'(GLOBAL_INSTANCE_OFFSET):
          if (state_q == DEVICE_STATE_READY) instance_d[31:0] = wr_i.data;
        8'(GLOBAL_INSTANCE_OFFSET + 4):
          if (state_q == DEVICE_STATE_READY) instance_d[63:32] = wr_i.data;
        8'(GLOBAL_INT_CAUSE_OFFSET): begin
          int_cause_d = int_cause_q & ~wr_i.data[2:0];
          int_we = 1'b1;
        end
        8'(GLOBAL_INT_ENABLE_OFFSET): begin
          int_enable_d = wr_i.data[2:0];
          int_we = 1'b1;
        end
        8'(GLOBAL_SCRATCH_OFFSET): scratch_d = wr_i.data;
        default: ;
      endcase
    end
    int_cause_d |= raised;
    due_before = int_cause_q & int_enable_q;
    due_after = int_cause_d & int_enable_d;
    fire_o = due_after != '0 && (int_we || due_before == '0) && !clear_o;
    if (clear_o) begin
      instance_d = '0;
      scratch_d = '0;
      int_cause_d = '0;
      int_enable_d = '0;
      fatal_cause_d = '0;
      fatal_info_d = '0;
    end
  end

  assign instance_o = instance_q;
  assign fatal_cause_o = fatal_cause_q;
  assign fatal_info_o = fatal_info_q;
  assign int_cause_o = int_cause_q;
  assign int_enable_o = int_enable_q;
  assign scratch_o = scratch_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      {flr_q, bus_master_q, msix_on_q} <= '0;
      state_q <= DEVICE_STATE_RESET;
      row_q <= '0;
      instance_q <= '0;
      fatal_cause_q <= '0;
      fatal_info_q <= '0;
      int_cause_q <= '0;
      int_enable_q <= '0;
      scratch_q <= '0;
    end else begin
      flr_q <= flr_i;
      bus_master_q <= cfg_bus_master_i;
      msix_on_q <= cfg_msix_enable_i && !cfg_msix_mask_i;
      state_q <= state_d;
      row_q <= row_d;
      instance_q <= instance_d;
      fatal_cause_q <= fatal_cause_d;
      fatal_info_q <= fatal_info_d;
      int_cause_q <= int_cause_d;
      int_enable_q <= int_enable_d;
      scratch_q <= scratch_d;
    end
  end

  // R23: FATAL has a cause.
  `ESNIC_ASSERT(FatalSaysWhy_A, state_q != DEVICE_STATE_FATAL || fatal_cause_q != '0)
  // R23: only a reset leads out of FATAL.
  `ESNIC_ASSERT_NEXT(FatalStays_A, state_q == DEVICE_STATE_FATAL && !clear_o,
                     state_q == DEVICE_STATE_FATAL)
endmodule
