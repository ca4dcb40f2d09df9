// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The ESN rule (device manual 7) on 32-bit halves: what a number from the wire stands for, and what is
// held after an UPDATE or after a packet. Purely combinational; everything that moves `top` is here.
module esnic_update
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
(
  input  logic        esn_i,
  input  top_t        held_i,

  // UPDATE.
  input  logic [1:0]  mode_i,
  input  logic [31:0] hi_i,
  input  logic [31:0] lo_i,
  output top_t        updated_o,

  // RESOLVE of `lo_i`, and what is held once that packet is authenticated.
  output logic [63:0] number_o,
  output top_t        resolved_o,

  // A packet that was authenticated as hi_i:lo_i.
  output top_t        packet_o
);
  function automatic top_t authenticated(top_t held, logic [63:0] number);
    return (!held.lo_valid || number > {held.hi, held.lo})
        ? '{lo_valid: 1'b1, hi: number[63:32], lo: number[31:0]} : held;
  endfunction

  // ---- UPDATE -------------------------------------------------------------------------------------

  logic advance;
  // Never from 2^32 - 1 (R35), and only when the low half has shown that the wrap is near.
  assign advance = hi_i == held_i.hi + 32'd1 && held_i.hi != '1 && held_i.lo_valid && held_i.lo[31];

  always_comb begin
    updated_o = '{lo_valid: 1'b0, hi: hi_i, lo: '0};
    unique case (mode_i)
      2'(UPDATE_MODE_TOP): updated_o = '{lo_valid: 1'b1, hi: hi_i, lo: lo_i};
      2'(UPDATE_MODE_HI): begin
        if (hi_i == held_i.hi) updated_o = held_i;
        else updated_o.lo_valid = advance;
      end
      default: ;
    endcase
  end

  // ---- RESOLVE ------------------------------------------------------------------------------------

  logic [31:0] distance, hi;
  // At a distance of exactly 2^31 the sign bit makes the tie go down.
  assign distance = lo_i - held_i.lo;

  always_comb begin
    hi = held_i.hi;
    if (esn_i && held_i.lo_valid) begin
      if (!distance[31] && lo_i < held_i.lo && held_i.hi != '1) hi = held_i.hi + 32'd1;
      if (distance[31] && lo_i > held_i.lo && held_i.hi != '0) hi = held_i.hi - 32'd1;
    end
  end

  assign number_o = {hi, lo_i};
  assign resolved_o = authenticated(held_i, number_o);
  assign packet_o = authenticated(held_i, {hi_i, lo_i});
endmodule
