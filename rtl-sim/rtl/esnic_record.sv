// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Records of QUERY: each is written and answered before its completion is let go (R42), so a write that
// is refused becomes DMA_ERROR.
`include "esnic_assert.svh"
module esnic_record
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned Records = 2
) (
  input  logic          clk_i,
  input  logic          rst_ni,
  input  logic          clear_i,

  input  logic          valid_i,
  input  record_t       record_i,

  output logic          wr_valid_o,
  input  logic          wr_ready_i,
  output logic [63:0]   wr_iova_o,
  output logic [1023:0] wr_data_o,
  input  logic          answered_i,
  input  logic          answered_bad_i,

  output logic          done_valid_o,
  input  logic          done_ready_i,
  output done_t         done_o,
  output logic          pop_o
);
  // What is to be written, whose turn it was, and how it went: all in order, so one queue each.
  typedef struct packed {
    logic [63:0]  iova;
    logic [703:0] view;
  } write_t;

  write_t front;
  done_t  done;
  logic   bad, sent, ended;
  query_record_t image;

  // The scheduler lets in no more records than there are places.
  logic unused_write_ready, unused_done_ready, unused_bad_ready, unused_done_valid;
  prim_fifo #(.Width($bits(write_t)), .Depth(Records)) u_write (
    .clk_i, .rst_ni, .clear_i, .valid_i, .ready_o(unused_write_ready),
    .data_i({record_i.iova, record_i.view}), .valid_o(wr_valid_o), .ready_i(sent), .data_o(front)
  );
  prim_fifo #(.Width($bits(done_t)), .Depth(Records)) u_done (
    .clk_i, .rst_ni, .clear_i, .valid_i, .ready_o(unused_done_ready), .data_i(record_i.done),
    .valid_o(unused_done_valid), .ready_i(ended), .data_o(done)
  );
  prim_fifo #(.Width(1), .Depth(Records)) u_bad (
    .clk_i, .rst_ni, .clear_i, .valid_i(answered_i), .ready_o(unused_bad_ready),
    .data_i(answered_bad_i), .valid_o(done_valid_o), .ready_i(ended), .data_o(bad)
  );

  assign sent = wr_valid_o && wr_ready_i;
  assign ended = done_valid_o && done_ready_i;

  // Without a datapath the counters are 0.
  always_comb begin
    image = '0;
    if (wr_valid_o) image.view = front.view;
  end
  assign wr_iova_o = front.iova;
  assign wr_data_o = image;

  always_comb begin
    done_o = done;
    if (bad) done_o.status = STATUS_DMA_ERROR;
  end
  assign pop_o = ended;

  `ESNIC_ASSERT(DoneIsThere_A, !done_valid_o || unused_done_valid)
endmodule
