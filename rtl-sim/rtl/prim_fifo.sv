// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// First in, first out; `Depth` is a power of two. With `FallThrough` an empty FIFO shows what is being
// pushed in the same cycle. The payload sits in LUT RAM and is not reset.
`include "esnic_assert.svh"
module prim_fifo #(
  parameter int unsigned Width = 32,
  parameter int unsigned Depth = 8,
  parameter bit          FallThrough = 1'b0,
  localparam int unsigned PtrW = $clog2(Depth)
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             clear_i,
  input  logic             valid_i,
  output logic             ready_o,
  input  logic [Width-1:0] data_i,
  output logic             valid_o,
  input  logic             ready_i,
  output logic [Width-1:0] data_o
);
  logic [PtrW:0] wptr_d, wptr_q, rptr_d, rptr_q;
  logic [Width-1:0] front;
  logic empty, full, through, push, pop;

  assign empty = wptr_q == rptr_q;
  assign full = wptr_q == {~rptr_q[PtrW], rptr_q[PtrW-1:0]};
  assign ready_o = !full;
  assign valid_o = !empty || (FallThrough && valid_i);
  assign through = FallThrough && empty && valid_i && ready_i;
  assign data_o = (FallThrough && empty) ? data_i : front;
  assign push = valid_i && !full && !through;
  assign pop = !empty && ready_i;

  always_comb begin
    wptr_d = wptr_q + (PtrW+1)'(push);
    rptr_d = rptr_q + (PtrW+1)'(pop);
    if (clear_i) begin
      wptr_d = '0;
      rptr_d = '0;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      wptr_q <= '0;
      rptr_q <= '0;
    end else begin
      wptr_q <= wptr_d;
      rptr_q <= rptr_d;
    end
  end

  prim_ram_lut #(.Depth(Depth), .Width(Width)) u_mem (
    .clk_i, .we_i(push), .waddr_i(wptr_q[PtrW-1:0]), .wdata_i(data_i),
    .raddr_i(rptr_q[PtrW-1:0]), .rdata_o(front)
  );

  `ESNIC_ASSERT(NoOverrun_A, !(valid_i && full))
endmodule
