// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The counters of the global page, 64 bits each, in the order of their registers.
module esnic_counters
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
(
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        clear_i,
  input  events_t     events_i,
  input  logic [7:0]  rd_addr_i,
  output logic [31:0] rd_data_o
);
  localparam int unsigned Count = 20;
  logic [Count-1:0][63:0] count_d, count_q;

  always_comb begin
    count_d = count_q;
    count_d[COUNTERS_CYCLES_OFFSET[7:3]] += 64'd1;
    count_d[COUNTERS_CMD_RING_OFFSET[7:3]] += 64'(events_i.cmd_ring);
    count_d[COUNTERS_CMD_DIRECT_OFFSET[7:3]] += 64'(events_i.cmd_direct);
    count_d[COUNTERS_CPL_OK_OFFSET[7:3]] += 64'(events_i.cpl_ok) - 64'(events_i.undo_ok);
    count_d[COUNTERS_CPL_ERR_OFFSET[7:3]] += 64'(events_i.cpl_err) - 64'(events_i.undo_err);
    count_d[COUNTERS_DMA_RD_TLP_OFFSET[7:3]] += 64'(events_i.rd);
    count_d[COUNTERS_DMA_RD_BYTES_OFFSET[7:3]] += 64'(events_i.rd_bytes);
    count_d[COUNTERS_DMA_WR_TLP_OFFSET[7:3]] += 64'(events_i.wr);
    count_d[COUNTERS_DMA_WR_BYTES_OFFSET[7:3]] += 64'(events_i.wr_bytes);
    count_d[COUNTERS_STALL_CQ_OFFSET[7:3]] += 64'(events_i.stall_cq);
    count_d[COUNTERS_STALL_FETCH_OFFSET[7:3]] += 64'(events_i.stall_fetch);
    count_d[COUNTERS_BYPASS_CAPTURE_OFFSET[7:3]] += 64'(events_i.bypass_capture);
    count_d[COUNTERS_BYPASS_EXEC_OFFSET[7:3]] += 64'(events_i.bypass_exec);
    count_d[COUNTERS_STAGE_DROP_OFFSET[7:3]] += 64'(events_i.stage_drop);
    count_d[COUNTERS_BAD_ACCESS_OFFSET[7:3]] += 64'(events_i.bad_access);
    count_d[COUNTERS_STALE_DB_OFFSET[7:3]] += 64'(events_i.stale_db);
    count_d[COUNTERS_EPOCH_DROP_OFFSET[7:3]] += 64'(events_i.epoch_drop);
    count_d[COUNTERS_MSIX_SENT_OFFSET[7:3]] += 64'(events_i.msix_sent);
    count_d[COUNTERS_SA_LIVE_OFFSET[7:3]] += 64'(events_i.sa_up) - 64'(events_i.sa_down);
    count_d[COUNTERS_DMA_ERRORS_OFFSET[7:3]] += 64'(events_i.dma_error);
    if (clear_i) count_d = '0;
  end

  logic [5:0] rd_counter;
  assign rd_counter = 6'(rd_addr_i[7:3]);
  assign rd_data_o = (32'(rd_counter) < Count)
      ? count_q[rd_counter[4:0]][32*rd_addr_i[2] +: 32] : '0;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) count_q <= '0;
    else count_q <= count_d;
  end
endmodule
