// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// prim_arbiter_rr: it grants one that asks, the first one after the one that was taken last, and so none
// waits while more than N - 1 others are taken.
module arbiter_formal #(
  parameter int unsigned N = 9,     // not a power of two: the vectors of eight pairs
  localparam int unsigned IdxW = $clog2(N)
) (
  input logic         clk_i,
  input logic         clear_i,
  input logic [N-1:0] req_i,
  input logic         take_i
);
  logic rst_ni = 1'b0;
  always_ff @(posedge clk_i) rst_ni <= 1'b1;

  logic valid;
  logic [IdxW-1:0] idx;
  prim_arbiter_rr #(.N(N)) u_arb (
    .clk_i, .rst_ni, .clear_i, .req_i, .valid_o(valid), .idx_o(idx), .take_i(take_i && valid),
    .take_idx_i(idx)
  );

  // One requester is watched, and it is any.
  logic [IdxW-1:0] watched_q, last_q;
  logic [IdxW:0] others_q, turn;
  logic waits, taken;
  always_ff @(posedge clk_i) watched_q <= watched_q;
  assign waits = req_i[watched_q];
  assign taken = take_i && valid;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) begin
      last_q <= IdxW'(N - 1);
      others_q <= '0;
    end else begin
      if (taken) last_q <= idx;
      // How many were taken before it since it began to ask without a break.
      if (!waits || (taken && idx == watched_q)) others_q <= '0;
      else if (taken) others_q <= others_q + 1'b1;
    end
  end

  // How many places are between the last one and the watched one.
  always_comb begin
    turn = (IdxW+1)'(watched_q) - (IdxW+1)'(last_q) - 1'b1;
    if (watched_q <= last_q) turn = turn + (IdxW+1)'(N);
  end

  logic between;    // somebody asks who is nearer to the last one than the one granted
  logic [N-1:0] nearer;
  for (genvar i = 0; i < N; i++) begin : gen_nearer
    assign nearer[i] = req_i[i] && ((IdxW'(i) > last_q) == (idx > last_q) ? IdxW'(i) < idx
                                                                           : IdxW'(i) > last_q);
  end
  assign between = nearer != '0;

  always_comb assume (32'(watched_q) < N);

  logic [N-1:0] mask;
  for (genvar i = 0; i < N; i++) begin : gen_mask
    assign mask[i] = IdxW'(i) > last_q;
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      Mask: assert (u_arb.mask_q == mask && 32'(last_q) < N);
      Valid: assert (valid == (req_i != '0));
      if (valid) Asks: assert (32'(idx) < N && req_i[idx]);
      if (valid) InTurn: assert (!between);
      Turn: assert (32'(others_q) + 32'(turn) < N);
      Fair: assert (32'(others_q) < N);
      Longest: cover (32'(others_q) == N - 1 && taken && idx == watched_q);
      Around: cover (taken && idx < last_q && watched_q == idx);
    end
  end
endmodule
