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
  output logic        update_moves_o,    // it differs from what is held

  // RESOLVE of `lo_i`, and what is held once that packet is authenticated.
  output logic [63:0] number_o,
  output top_t        resolved_o,
  output logic        resolve_moves_o,

  // A packet that was authenticated as hi_i:lo_i.
  output top_t        packet_o,
  output logic        packet_moves_o
);

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

  // Found beside the new value and not after it, which keeps the way short. While lo is not valid it is
  // 0 (R31), so that a RESYNC to the same high half changes nothing then.
  logic same_hi;
  assign same_hi = hi_i == held_i.hi;
  always_comb begin
    unique case (mode_i)
      2'(UPDATE_MODE_TOP): update_moves_o = !same_hi || !held_i.lo_valid || lo_i != held_i.lo;
      2'(UPDATE_MODE_HI): update_moves_o = !same_hi;
      default: update_moves_o = !same_hi || held_i.lo_valid;
    endcase
  end

  // ---- RESOLVE ------------------------------------------------------------------------------------

  logic [31:0] distance, hi;
  logic up, down;
  // At a distance of exactly 2^31 the sign bit makes the tie go down.
  assign distance = lo_i - held_i.lo;

  assign up = esn_i && held_i.lo_valid && !distance[31] && lo_i < held_i.lo && held_i.hi != '1;
  assign down = esn_i && held_i.lo_valid && distance[31] && lo_i > held_i.lo && held_i.hi != '0;

  always_comb begin
    hi = held_i.hi;
    if (up) hi = held_i.hi + 32'd1;
    if (down) hi = held_i.hi - 32'd1;
  end

  assign number_o = {hi, lo_i};

  // ---- An authenticated number is held if it is the highest ---------------------------------------

  // The high half says it, or else the low one: no need to wait for the number.
  assign resolve_moves_o = !held_i.lo_valid || up || (!down && lo_i > held_i.lo);
  assign packet_moves_o = !held_i.lo_valid || {hi_i, lo_i} > {held_i.hi, held_i.lo};
  assign resolved_o = resolve_moves_o ? '{lo_valid: 1'b1, hi: hi, lo: lo_i} : held_i;
  assign packet_o = packet_moves_o ? '{lo_valid: 1'b1, hi: hi_i, lo: lo_i} : held_i;
endmodule
