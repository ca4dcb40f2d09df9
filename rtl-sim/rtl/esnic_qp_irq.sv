// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// When a pair's vector fires (R1): once for each CQ_ARM, when enough completions beyond it are in memory,
// or one of them has waited long enough.
`include "esnic_assert.svh"
module esnic_qp_irq
  import esnic_pkg::*;
#(
  parameter int unsigned QueuePairs = 8,
  localparam int unsigned IdxW = (QueuePairs > 1) ? $clog2(QueuePairs) : 1
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  input  logic                        clear_i,
  input  logic [QueuePairs-1:0]       off_i,        // DISABLED
  input  logic [QueuePairs-1:0][31:0] cq_done_i,    // completions whose write was answered (R3)
  input  logic                        arm_i,
  input  logic                        coalesce_we_i,
  input  pair_t                       wr_pair_i,
  input  logic [31:0]                 wr_data_i,
  input  pair_t                       rd_pair_i,
  output logic [31:0]                 coalesce_o,
  output logic [QueuePairs-1:0]       fire_o
);
  typedef logic [IdxW-1:0] idx_t;

  idx_t w;
  logic [QueuePairs-1:0][31:0] coalesce;
  assign w = wr_pair_i[IdxW-1:0];
  assign coalesce_o = coalesce[rd_pair_i[IdxW-1:0]];

  // Whether so many completions are beyond the ARM; 0 counts as 1.
  function automatic logic reached(logic [31:0] ahead, logic [15:0] wanted);
    return !ahead[31] && ahead != '0 && ahead >= 32'(wanted);
  endfunction

  for (genvar q = 0; q < QueuePairs; q++) begin : gen_pair
    logic        armed_q, since_q, beyond, fire, mine;
    logic [31:0] arm_q, coalesce_q;
    logic [23:0] waited_q;

    assign coalesce[q] = coalesce_q;
    assign fire_o[q] = fire;
    assign mine = w == idx_t'(q);

    always_comb begin
      beyond = 1'b0;
      fire = 1'b0;
      if (armed_q) begin
        beyond = reached(cq_done_i[q] - arm_q, 16'd1);
        fire = !off_i[q] && !(arm_i && mine) &&
            (reached(cq_done_i[q] - arm_q, coalesce_q[15:0]) ||
             (coalesce_q[31:16] != '0 && since_q && waited_q >= {coalesce_q[31:16], 8'd0}));
      end
    end

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) {armed_q, since_q, arm_q, coalesce_q, waited_q} <= '0;
      else if (clear_i) {armed_q, since_q, arm_q, coalesce_q, waited_q} <= '0;
      else begin
        if (armed_q) begin
          if (fire || off_i[q]) begin
            armed_q <= 1'b0;
            since_q <= 1'b0;
          end else if (!since_q) begin
            // Time runs from the later of the ARM and the first completion beyond it.
            since_q <= beyond;
            waited_q <= 24'd1;
          end else if (waited_q != '1) begin
            waited_q <= waited_q + 24'd1;
          end
        end
        if (arm_i && mine) begin
          armed_q <= 1'b1;
          since_q <= 1'b0;
          arm_q <= wr_data_i;
        end
        if (coalesce_we_i && mine) coalesce_q <= wr_data_i;
      end
    end

    `ESNIC_ASSERT(FiresArmed_A, !fire || armed_q)
  end
endmodule
