// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// All queue pairs: hands each one the accesses and events that are its own, and gathers what they say.
module esnic_qp_array
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned QueuePairs = 8,
  parameter int unsigned RingLog2 = 12
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  input  logic                        clear_i,
  input  logic                        run_i,
  input  logic                        bus_master_i,
  input  reg_wr_t                     wr_i,
  input  logic                        wr_half_i,
  input  logic [18:0]                 rd_addr_i,
  output logic [31:0]                 rd_data_o,

  output qp_t  [QueuePairs-1:0]       qp_o,
  output logic [QueuePairs-1:0]       enabled_o,
  output logic [QueuePairs-1:0]       may_take_o,
  output logic [QueuePairs-1:0]       fire_o,
  output logic [63:0]                 error_map_o,
  output logic                        failed_o,
  output logic                        stale_o,
  output logic                        starves_o,
  output logic                        all_disabled_o,

  // A dword of a direct doorbell ring.
  output logic                        direct_we_o,
  output pair_t                       direct_pair_o,
  output logic [6:0]                  direct_dword_o,
  input  logic [QueuePairs-1:0]       direct_ready_i,
  input  logic [QueuePairs-1:0][31:0] direct_head_i,

  input  logic                        take_i,
  input  pair_t                       take_pair_i,
  input  logic [QueuePairs-1:0]       fetch_i,
  input  logic [3:0]                  fetch_slots_i,
  input  logic                        fetch_ext_i,
  input  logic                        read_failed_i,
  input  pair_t                       read_pair_i,
  input  logic [63:0]                 read_iova_i,
  input  ring_step_t                  step_i,
  input  logic                        direct_cmd_i,
  input  pair_t                       direct_cmd_pair_i,
  input  group_t                      sent_i,
  input  logic [QueuePairs-1:0][2:0]  dropped_i,
  input  group_t                      answered_i,
  input  logic                        answered_bad_i,
  input  logic [63:0]                 answered_iova_i
);
  // BAR 0: blocks of 0x100 bytes, doorbell pages of 0x1000.
  logic       in_blocks, in_bells, bell_direct;
  logic [5:0] block_pair, bell_pair, rd_pair;
  logic       rd_in;
  localparam int unsigned IdxW = (QueuePairs > 1) ? $clog2(QueuePairs) : 1;

  assign in_blocks = wr_i.valid && !wr_i.msix && wr_i.addr[18:14] == QUEUE_PAIR_BASE[18:14];
  assign in_bells = wr_i.valid && !wr_i.msix && wr_i.addr[18] == DOORBELL_BASE[18];
  assign block_pair = wr_i.addr[13:8];
  assign bell_pair = wr_i.addr[17:12];
  // The direct ring is a power of two in size, in the upper half of its page.
  assign bell_direct = in_bells && wr_i.addr[11:9] == DOORBELL_DIRECT_OFFSET[11:9];
  assign rd_in = rd_addr_i[18:14] == QUEUE_PAIR_BASE[18:14] && 32'(rd_pair) < QueuePairs;
  assign rd_pair = rd_addr_i[13:8];

  logic [QueuePairs-1:0][31:0] rd_data;
  logic [QueuePairs-1:0] failed, stale, starves, settled, enabled;

  for (genvar q = 0; q < QueuePairs; q++) begin : gen_pair
    esnic_qp #(.RingLog2(RingLog2), .Index(q)) u_qp (
      .clk_i, .rst_ni, .clear_i, .run_i, .bus_master_i,
      .reg_we_i(in_blocks && block_pair == 6'(q)),
      .bell_we_i(in_bells && bell_pair == 6'(q) && wr_i.addr[11:8] == '0),
      .wr_addr_i(wr_i.addr[7:0]),
      .wr_data_i(wr_i.data),
      .rd_addr_i(rd_addr_i[7:0]),
      .rd_data_o(rd_data[q]),
      .qp_o(qp_o[q]),
      .enabled_o(enabled_o[q]),
      .failed_o(failed[q]),
      .stale_o(stale[q]),
      .fire_o(fire_o[q]),
      .direct_ready_i(direct_ready_i[q]),
      .direct_head_i(direct_head_i[q]),
      .take_i(take_i && take_pair_i == pair_t'(q)),
      .fetch_i(fetch_i[q]),
      .fetch_slots_i,
      .fetch_ext_i,
      .read_failed_i(read_failed_i && read_pair_i == pair_t'(q)),
      .read_iova_i,
      .step_i,
      .direct_cmd_i(direct_cmd_i && direct_cmd_pair_i == pair_t'(q)),
      .sent_i,
      .dropped_i(dropped_i[q]),
      .answered_i,
      .answered_bad_i,
      .answered_iova_i
    );
    assign enabled[q] = qp_o[q].state == QP_STATE_ENABLED;
    // An access of eight bytes may replace both dwords of an entry: it is not looked at in between.
    assign may_take_o[q] = enabled[q] && qp_o[q].has_credit && run_i && !wr_half_i;
    assign settled[q] = qp_o[q].settled;
    assign starves[q] = qp_o[q].starves;
  end

  always_comb begin
    error_map_o = '0;
    for (int unsigned q = 0; q < QueuePairs; q++) begin
      error_map_o[q] = qp_o[q].state == QP_STATE_ERROR;
    end
  end

  assign failed_o = |failed;
  assign stale_o = |stale;
  assign starves_o = |starves;
  assign all_disabled_o = settled == '0;
  assign rd_data_o = rd_in ? rd_data[rd_pair[IdxW-1:0]] : '0;
  // Whatever is written while the pair is not ENABLED is dropped (2.3).
  assign direct_we_o = bell_direct && 32'(bell_pair) < QueuePairs && enabled[bell_pair[IdxW-1:0]];
  assign direct_pair_o = bell_pair;
  assign direct_dword_o = wr_i.addr[8:2];
endmodule
