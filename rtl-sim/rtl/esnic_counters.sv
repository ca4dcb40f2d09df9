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
  input  logic        rd_en_i,
  input  logic [7:0]  rd_addr_i,
  output logic [31:0] rd_data_o
);
  localparam int unsigned Count = 20;
  logic [Count-1:0][63:0] count_q;

  // Events come from all of the device, so they are counted a cycle later: just in time for a read that
  // follows on the access that was the event.
  events_t events_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) events_q <= '0;
    else events_q <= clear_i ? '0 : events_i;
  end

  // A counter moves when its event comes; the others keep what they have.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) count_q <= '0;
    else if (clear_i) count_q <= '0;
    else begin
      count_q[COUNTERS_CYCLES_OFFSET[7:3]] <= count_q[COUNTERS_CYCLES_OFFSET[7:3]] + 64'd1;
      if (events_q.cmd_ring) begin
        count_q[COUNTERS_CMD_RING_OFFSET[7:3]] <= count_q[COUNTERS_CMD_RING_OFFSET[7:3]] + 64'd1;
      end
      if (events_q.cmd_direct) begin
        count_q[COUNTERS_CMD_DIRECT_OFFSET[7:3]] <= count_q[COUNTERS_CMD_DIRECT_OFFSET[7:3]] +
            64'd1;
      end
      if (events_q.cpl_ok != '0 || events_q.undo_ok != '0) begin
        count_q[COUNTERS_CPL_OK_OFFSET[7:3]] <= count_q[COUNTERS_CPL_OK_OFFSET[7:3]] +
            64'(events_q.cpl_ok) - 64'(events_q.undo_ok);
      end
      if (events_q.cpl_err != '0 || events_q.undo_err != '0) begin
        count_q[COUNTERS_CPL_ERR_OFFSET[7:3]] <= count_q[COUNTERS_CPL_ERR_OFFSET[7:3]] +
            64'(events_q.cpl_err) - 64'(events_q.undo_err);
      end
      if (events_q.rd) begin
        count_q[COUNTERS_DMA_RD_TLP_OFFSET[7:3]] <= count_q[COUNTERS_DMA_RD_TLP_OFFSET[7:3]] +
            64'd1;
      end
      if (events_q.rd) begin
        count_q[COUNTERS_DMA_RD_BYTES_OFFSET[7:3]] <= count_q[COUNTERS_DMA_RD_BYTES_OFFSET[7:3]] +
            64'(events_q.rd_bytes);
      end
      if (events_q.wr) begin
        count_q[COUNTERS_DMA_WR_TLP_OFFSET[7:3]] <= count_q[COUNTERS_DMA_WR_TLP_OFFSET[7:3]] +
            64'd1;
      end
      if (events_q.wr) begin
        count_q[COUNTERS_DMA_WR_BYTES_OFFSET[7:3]] <= count_q[COUNTERS_DMA_WR_BYTES_OFFSET[7:3]] +
            64'(events_q.wr_bytes);
      end
      if (events_q.stall_cq) begin
        count_q[COUNTERS_STALL_CQ_OFFSET[7:3]] <= count_q[COUNTERS_STALL_CQ_OFFSET[7:3]] + 64'd1;
      end
      if (events_q.stall_fetch) begin
        count_q[COUNTERS_STALL_FETCH_OFFSET[7:3]] <= count_q[COUNTERS_STALL_FETCH_OFFSET[7:3]] +
            64'd1;
      end
      if (events_q.bypass_capture) begin
        count_q[COUNTERS_BYPASS_CAPTURE_OFFSET[7:3]] <=
            count_q[COUNTERS_BYPASS_CAPTURE_OFFSET[7:3]] + 64'd1;
      end
      if (events_q.bypass_exec) begin
        count_q[COUNTERS_BYPASS_EXEC_OFFSET[7:3]] <= count_q[COUNTERS_BYPASS_EXEC_OFFSET[7:3]] +
            64'd1;
      end
      if (events_q.stage_drop != '0) begin
        count_q[COUNTERS_STAGE_DROP_OFFSET[7:3]] <= count_q[COUNTERS_STAGE_DROP_OFFSET[7:3]] +
            64'(events_q.stage_drop);
      end
      if (events_q.bad_access) begin
        count_q[COUNTERS_BAD_ACCESS_OFFSET[7:3]] <= count_q[COUNTERS_BAD_ACCESS_OFFSET[7:3]] +
            64'd1;
      end
      if (events_q.stale_db) begin
        count_q[COUNTERS_STALE_DB_OFFSET[7:3]] <= count_q[COUNTERS_STALE_DB_OFFSET[7:3]] + 64'd1;
      end
      if (events_q.epoch_drop) begin
        count_q[COUNTERS_EPOCH_DROP_OFFSET[7:3]] <= count_q[COUNTERS_EPOCH_DROP_OFFSET[7:3]] +
            64'd1;
      end
      if (events_q.msix_sent) begin
        count_q[COUNTERS_MSIX_SENT_OFFSET[7:3]] <= count_q[COUNTERS_MSIX_SENT_OFFSET[7:3]] + 64'd1;
      end
      if (events_q.sa_up || events_q.sa_down) begin
        count_q[COUNTERS_SA_LIVE_OFFSET[7:3]] <= count_q[COUNTERS_SA_LIVE_OFFSET[7:3]] +
            64'(events_q.sa_up) - 64'(events_q.sa_down);
      end
      if (events_q.dma_error != '0) begin
        count_q[COUNTERS_DMA_ERRORS_OFFSET[7:3]] <= count_q[COUNTERS_DMA_ERRORS_OFFSET[7:3]] +
            64'(events_q.dma_error);
      end
    end
  end

  logic [5:0] rd_counter;
  assign rd_counter = 6'(rd_addr_i[7:3]);
  assign rd_data_o = (rd_en_i && 32'(rd_counter) < Count)
      ? count_q[rd_counter[4:0]][32*rd_addr_i[2] +: 32] : '0;
endmodule
