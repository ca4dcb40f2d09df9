// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// prim_fifo: what goes in comes out, in the order in which it went in, and none is lost, made up or
// written over. One push is watched, and it is any: how many are ahead of it, and where it stands.
module fifo_check #(
  parameter int unsigned Depth = 8,
  parameter bit FallThrough = 1'b0,
  parameter int unsigned Width = 4,
  localparam int unsigned PtrW = $clog2(Depth)
) (
  input logic             clk_i,
  input logic             rst_ni,
  input logic             clear_i,
  input logic             valid_i,
  input logic [Width-1:0] data_i,
  input logic             ready_i,
  input logic             watch_i     // this push is the one
);
  logic ready, valid;
  logic [Width-1:0] data;
  prim_fifo #(.Width(Width), .Depth(Depth), .FallThrough(FallThrough)) u_fifo (
    .clk_i, .rst_ni, .clear_i, .valid_i, .ready_o(ready), .data_i, .valid_o(valid), .ready_i,
    .data_o(data)
  );

  // NoOverrun_A of the FIFO is the duty of who pushes; each user's proof shows it.
  always_comb assume (!valid_i || ready);

  // What is inside, and of the watched one: whether it is inside, and how many are ahead.
  logic [PtrW:0] count_q, ahead_q;
  logic watched_q, push, pop;
  logic [Width-1:0] item_q;
  assign push = valid_i && ready;
  assign pop = valid && ready_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) {count_q, ahead_q, watched_q} <= '0;
    else begin
      count_q <= count_q + (PtrW+1)'(push) - (PtrW+1)'(pop);
      if (watched_q) begin
        if (pop && ahead_q == '0) watched_q <= 1'b0;
        else if (pop) ahead_q <= ahead_q - 1'b1;
      end else if (push && watch_i && !(pop && count_q == '0)) begin
        watched_q <= 1'b1;
        ahead_q <= count_q - (PtrW+1)'(pop);
        item_q <= data_i;
      end
    end
  end

  logic [PtrW-1:0] place;
  assign place = u_fifo.rptr_q[PtrW-1:0] + ahead_q[PtrW-1:0];

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      Count: assert (32'(count_q) <= Depth && (PtrW+1)'(u_fifo.wptr_q - u_fifo.rptr_q) == count_q);
      Full: assert (ready == (32'(count_q) < Depth));
      Empty: assert (valid == (count_q != '0 || (FallThrough && valid_i)));
      if (count_q == '0 && FallThrough && valid_i) Through: assert (data == data_i);
      if (watched_q) begin
        Inside: assert (ahead_q < count_q && u_fifo.u_mem.mem[place] == item_q);
        if (ahead_q == '0) InOrder: assert (data == item_q);
      end
      Filled: cover (32'(count_q) == Depth && watched_q && ahead_q != '0);
      Wrapped: cover (watched_q && pop && ahead_q == '0 && u_fifo.rptr_q[PtrW-1:0] == '1 &&
                      u_fifo.rptr_q[PtrW]);
    end
  end
  if (FallThrough) begin : gen_through
    always_ff @(posedge clk_i) if (rst_ni) Passed: cover (push && pop && count_q == '0);
  end
endmodule

module fifo_formal (
  input logic       clk_i,
  input logic       clear_i,
  input logic [2:0] valid_i,
  input logic [2:0] ready_i,
  input logic [2:0] watch_i,
  input logic [3:0] data_i
);
  logic rst_ni = 1'b0;
  always_ff @(posedge clk_i) rst_ni <= 1'b1;

  fifo_check #(.Depth(2)) u_two (
    .clk_i, .rst_ni, .clear_i, .valid_i(valid_i[0]), .data_i, .ready_i(ready_i[0]), .watch_i(watch_i[0])
  );
  fifo_check #(.Depth(8)) u_eight (
    .clk_i, .rst_ni, .clear_i, .valid_i(valid_i[1]), .data_i, .ready_i(ready_i[1]), .watch_i(watch_i[1])
  );
  fifo_check #(.Depth(4), .FallThrough(1'b1)) u_through (
    .clk_i, .rst_ni, .clear_i, .valid_i(valid_i[2]), .data_i, .ready_i(ready_i[2]), .watch_i(watch_i[2])
  );
endmodule
