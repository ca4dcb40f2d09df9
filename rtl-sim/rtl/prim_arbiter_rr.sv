// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Round robin: grants the first request after the one that was taken last. A grant may be taken later
// than it is given, so the taker says which one it was.
module prim_arbiter_rr #(
  parameter int unsigned N = 8,
  localparam int unsigned IdxW = (N > 1) ? $clog2(N) : 1
) (
  input  logic            clk_i,
  input  logic            rst_ni,
  input  logic            clear_i,
  input  logic [N-1:0]    req_i,
  output logic            valid_o,
  output logic [IdxW-1:0] idx_o,
  input  logic            take_i,
  input  logic [IdxW-1:0] take_idx_i
);
  assign valid_o = |req_i;

  // Bits above the one taken last.
  logic [N-1:0] mask_d, mask_q;
  logic [IdxW-1:0] high, low;
  logic high_valid;

  // Loops run downwards so that the lowest request wins.
  always_comb begin
    high = '0;
    low = '0;
    high_valid = 1'b0;
    if (valid_o) begin
      for (int i = int'(N) - 1; i >= 0; i--) begin
        if (req_i[i]) low = IdxW'(i);
        if (req_i[i] && mask_q[i]) begin
          high = IdxW'(i);
          high_valid = 1'b1;
        end
      end
    end
  end

  assign idx_o = high_valid ? high : low;

  always_comb begin
    mask_d = mask_q;
    if (take_i) begin
      for (int unsigned i = 0; i < N; i++) mask_d[i] = IdxW'(i) > take_idx_i;
    end
    if (clear_i) mask_d = '0;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) mask_q <= '0;
    else mask_q <= mask_d;
  end
endmodule
