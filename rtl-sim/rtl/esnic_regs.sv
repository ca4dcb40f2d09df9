// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What each dword of BAR 0 and BAR 4 reads. Combinational: the host port gathers what an access touches.
module esnic_regs
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned SaCapacity = 4096,
  parameter int unsigned QueuePairs = 8,
  parameter int unsigned DirectLog2 = 6,
  parameter int unsigned StageLog2 = 6
) (
  input  straps_t     straps_i,
  input  logic        rd_en_i,
  input  logic        rd_msix_i,
  input  logic [18:0] rd_addr_i,
  output logic [31:0] rd_data_o,

  input  logic [2:0]  state_i,
  input  logic [31:0] scrub_left_i,
  input  logic [63:0] instance_i,
  input  logic [3:0]  fatal_cause_i,
  input  logic [31:0] fatal_info_i,
  input  logic [2:0]  int_cause_i,
  input  logic [2:0]  int_enable_i,
  input  logic [63:0] error_map_i,
  input  logic [31:0] scratch_i,
  input  logic [31:0] counter_i,
  input  logic [31:0] pair_i,
  input  logic [31:0] msix_i
);
  logic [31:0] limits, control, page;

  always_comb begin
    limits = '0;
    limits[GLOBAL_LIMITS_QUEUE_PAIRS_LSB +: GLOBAL_LIMITS_QUEUE_PAIRS_WIDTH] =
        GLOBAL_LIMITS_QUEUE_PAIRS_WIDTH'(QueuePairs);
    limits[GLOBAL_LIMITS_RING_LOG2_LSB +: GLOBAL_LIMITS_RING_LOG2_WIDTH] =
        GLOBAL_LIMITS_RING_LOG2_WIDTH'(straps_i.ring_log2);
    limits[GLOBAL_LIMITS_DIRECT_LOG2_LSB +: GLOBAL_LIMITS_DIRECT_LOG2_WIDTH] =
        GLOBAL_LIMITS_DIRECT_LOG2_WIDTH'(DirectLog2);
    limits[GLOBAL_LIMITS_STAGE_LOG2_LSB +: GLOBAL_LIMITS_STAGE_LOG2_WIDTH] =
        GLOBAL_LIMITS_STAGE_LOG2_WIDTH'(StageLog2);
    control = '0;
    control[GLOBAL_CONTROL_RUN_LSB] = state_i == DEVICE_STATE_RUNNING;
  end

  always_comb begin
    page = '0;
    if (rd_en_i) begin
      unique case (rd_addr_i[7:0])
        8'(GLOBAL_ID_OFFSET): page = DEVICE_ID;
        8'(GLOBAL_VERSION_OFFSET): page = VERSION_1_0;
        // This minor version implements no other (COMPAT_HASH).
        8'(GLOBAL_ABI_HASH_OFFSET), 8'(GLOBAL_COMPAT_HASH_OFFSET): page = AbiHash[31:0];
        8'(GLOBAL_ABI_HASH_OFFSET + 4), 8'(GLOBAL_COMPAT_HASH_OFFSET + 4): page = AbiHash[63:32];
        8'(GLOBAL_FEATURES_OFFSET): page = straps_i.features;
        8'(GLOBAL_ALGS_OFFSET): page = straps_i.algs;
        8'(GLOBAL_SA_CAPACITY_OFFSET): page = SaCapacity;
        8'(GLOBAL_LIMITS_OFFSET): page = limits;
        8'(GLOBAL_MAX_WINDOW_OFFSET): page = 32'(straps_i.max_window);
        8'(GLOBAL_CONTROL_OFFSET): page = control;
        8'(GLOBAL_STATUS_OFFSET): page = 32'(state_i);
        8'(GLOBAL_SCRUB_LEFT_OFFSET): page = scrub_left_i;
        8'(GLOBAL_INSTANCE_OFFSET): page = instance_i[31:0];
        8'(GLOBAL_INSTANCE_OFFSET + 4): page = instance_i[63:32];
        8'(GLOBAL_FATAL_CAUSE_OFFSET): page = 32'(fatal_cause_i);
        8'(GLOBAL_FATAL_INFO_OFFSET): page = fatal_info_i;
        8'(GLOBAL_INT_CAUSE_OFFSET): page = 32'(int_cause_i);
        8'(GLOBAL_INT_ENABLE_OFFSET): page = 32'(int_enable_i);
        8'(GLOBAL_QP_ERROR_MAP_OFFSET): page = error_map_i[31:0];
        8'(GLOBAL_QP_ERROR_MAP_OFFSET + 4): page = error_map_i[63:32];
        8'(GLOBAL_SCRATCH_OFFSET): page = scratch_i;
        default: ;
      endcase
    end
  end

  always_comb begin
    rd_data_o = '0;
    if (!rd_en_i) rd_data_o = '0;
    else if (rd_msix_i) rd_data_o = msix_i;
    else if (rd_addr_i[18:8] == GLOBAL_BASE[18:8]) rd_data_o = page;
    else if (rd_addr_i[18:8] == COUNTERS_BASE[18:8]) rd_data_o = counter_i;
    else rd_data_o = pair_i;
  end
endmodule
