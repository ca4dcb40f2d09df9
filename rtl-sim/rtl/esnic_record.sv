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
  typedef enum logic [1:0] { StIdle, StWait, StDone } state_e;

  state_e  state_d, state_q;
  logic    bad_d, bad_q, front_valid, pop;
  record_t front;
  query_record_t image;

  // The scheduler lets in no more records than there are places.
  logic unused_ready;
  prim_fifo #(.Width($bits(record_t)), .Depth(Records)) u_fifo (
    .clk_i, .rst_ni, .clear_i, .valid_i, .ready_o(unused_ready), .data_i(record_i),
    .valid_o(front_valid), .ready_i(pop), .data_o(front)
  );

  // Without a datapath the counters are 0.
  always_comb begin
    image = '0;
    image.view = front.view;
  end
  assign wr_iova_o = front.iova;
  assign wr_data_o = image;

  always_comb begin
    state_d = state_q;
    bad_d = bad_q;
    wr_valid_o = 1'b0;
    done_valid_o = 1'b0;
    pop = 1'b0;
    unique case (state_q)
      StIdle: begin
        wr_valid_o = front_valid;
        if (front_valid && wr_ready_i) state_d = StWait;
      end
      StWait: begin
        if (answered_i) begin
          bad_d = answered_bad_i;
          state_d = StDone;
        end
      end
      StDone: begin
        done_valid_o = 1'b1;
        if (done_ready_i) begin
          pop = 1'b1;
          state_d = StIdle;
        end
      end
      default: state_d = StIdle;
    endcase
    if (clear_i) state_d = StIdle;
  end

  always_comb begin
    done_o = front.done;
    if (bad_q) done_o.status = STATUS_DMA_ERROR;
  end
  assign pop_o = pop;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= StIdle;
      bad_q <= 1'b0;
    end else begin
      state_q <= state_d;
      bad_q <= bad_d;
    end
  end

  `ESNIC_ASSERT(AnswerIsAwaited_A, !answered_i || state_q == StWait)
endmodule
