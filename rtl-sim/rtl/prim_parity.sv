// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// One parity bit for each 64 bits of a row: as many as fit beside them in a column of 72.
module prim_parity #(
  parameter int unsigned Width = 64,
  localparam int unsigned Bits = (Width + 63) / 64
) (
  input  logic [Width-1:0] data_i,
  output logic [Bits-1:0]  parity_o
);
  logic [64*Bits-1:0] padded;
  assign padded = (64*Bits)'(data_i);

  always_comb begin
    for (int unsigned i = 0; i < Bits; i++) parity_o[i] = ^padded[64*i +: 64];
  end
endmodule
