// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Memory with two independent ports, inferred as UltraRAM or as true dual-port block RAM: port A writes or
// reads, port B only reads. Port B never waits for port A. What it reads from a row that port A writes in
// the same cycle is undefined in the memories of many devices, so nobody may look at it: in simulation it
// is wrong.
module prim_ram_2p #(
  parameter int unsigned Depth = 64,
  parameter int unsigned Width = 72,
  localparam int unsigned AddrW = (Depth > 1) ? $clog2(Depth) : 1
) (
  input  logic             clk_i,
  input  logic             a_en_i,
  input  logic             a_we_i,
  input  logic [AddrW-1:0] a_addr_i,
  input  logic [Width-1:0] a_wdata_i,
  output logic [Width-1:0] a_rdata_o,
  input  logic             b_en_i,
  input  logic [AddrW-1:0] b_addr_i,
  output logic [Width-1:0] b_rdata_o
);
  logic [Width-1:0] mem [Depth];

  always_ff @(posedge clk_i) begin
    if (a_en_i) begin
      if (a_we_i) mem[a_addr_i] <= a_wdata_i;
      else a_rdata_o <= mem[a_addr_i];
    end
  end

  always_ff @(posedge clk_i) begin
    if (b_en_i) b_rdata_o <= mem[b_addr_i];
`ifndef SYNTHESIS
    if (b_en_i && a_en_i && a_we_i && a_addr_i == b_addr_i) b_rdata_o <= ~mem[b_addr_i];
`endif  // SYNTHESIS
  end
endmodule
