// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Memory with a write port and a read port: UltraRAM or block RAM where it is deep, else LUT RAM. A read
// in the cycle of a write to the same row gives the old row. Rows can be written in columns of `ColumnW`
// bits.
module prim_ram_1r1w #(
  parameter int unsigned Depth = 64,
  parameter int unsigned Width = 72,
  parameter int unsigned ColumnW = Width,
  localparam int unsigned Columns = Width / ColumnW,
  localparam int unsigned AddrW = (Depth > 1) ? $clog2(Depth) : 1
) (
  input  logic               clk_i,
  input  logic [Columns-1:0] we_i,
  input  logic [AddrW-1:0]   waddr_i,
  input  logic [Width-1:0]   wdata_i,
  input  logic               re_i,
  input  logic [AddrW-1:0]   raddr_i,
  output logic [Width-1:0]   rdata_o
);
  logic [Width-1:0] mem [Depth];

  // No reset: SCRUB writes every row before anything reads one (R20).
  always_ff @(posedge clk_i) begin
    if (we_i != '0) begin
      for (int unsigned c = 0; c < Columns; c++) begin
        if (we_i[c]) mem[waddr_i][c*ColumnW +: ColumnW] <= wdata_i[c*ColumnW +: ColumnW];
      end
    end
    if (re_i) rdata_o <= mem[raddr_i];
  end
endmodule
