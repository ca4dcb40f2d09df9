// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Small memory that is read within the cycle, inferred as LUT RAM; each read port is a copy.
module prim_ram_lut #(
  parameter int unsigned Depth = 8,
  parameter int unsigned Width = 32,
  parameter int unsigned Reads = 1,
  localparam int unsigned AddrW = (Depth > 1) ? $clog2(Depth) : 1
) (
  input  logic                        clk_i,
  input  logic                        we_i,
  input  logic [AddrW-1:0]            waddr_i,
  input  logic [Width-1:0]            wdata_i,
  input  logic [Reads-1:0][AddrW-1:0] raddr_i,
  output logic [Reads-1:0][Width-1:0] rdata_o
);
  logic [Width-1:0] mem [Depth];

  always_ff @(posedge clk_i) begin
    if (we_i) mem[waddr_i] <= wdata_i;
  end

  for (genvar r = 0; r < Reads; r++) begin : gen_read
    assign rdata_o[r] = mem[raddr_i[r]];
  end
endmodule
