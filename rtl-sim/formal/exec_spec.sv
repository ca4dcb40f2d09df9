// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// One row of the table and one operation on it, as sections 4.2 to 4.7, 6.3 and 7 of docs/device.md have
// them: what the row holds afterwards, and what is answered. Written from the manual, sentence by
// sentence and in wide arithmetic, without a look at how the RTL does it; nothing of the RTL is
// instantiated here.
module exec_spec
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
(
  input  ctl_t        ctl_i,
  input  top_t        top_i,
  input  beat_t       beat_i,
  output ctl_t        ctl_o,
  output top_t        top_o,
  output logic [7:0]  status_o,
  output logic [63:0] result_o,
  output logic        lo_valid_o,
  output logic        changed_o
);
  localparam logic [7:0] Ok = STATUS_OK;

  logic live, free, draining, bad, handle, update_like;
  assign free = ctl_i.state == 2'd0;
  assign live = ctl_i.state == 2'd1;
  assign draining = ctl_i.state == 2'd2;
  assign bad = ctl_i.state == 2'd3;
  assign handle = beat_i.generation == ctl_i.generation;
  assign update_like = beat_i.kind == OpUpdate || beat_i.kind == OpItem;

  // ---- 4.7, rows 8 to 17: the first that applies ----------------------------------------------------

  logic signed [31:0] age;
  logic [63:0] held, wanted;
  logic anyone, expects_nothing;
  assign age = $signed(beat_i.generation - ctl_i.generation);
  assign held = {top_i.hi, top_i.lo_valid ? top_i.lo : 32'd0};
  // HI and RESYNC compare high halves: as numbers whose low half is that of `top`.
  assign wanted = {beat_i.hi, beat_i.mode == UPDATE_MODE_TOP[1:0] ? beat_i.lo : held[31:0]};
  assign anyone = beat_i.kind == OpQuery && beat_i.any;
  assign expects_nothing = beat_i.kind == OpItem && beat_i.hi == 32'd0;

  logic [17:8] applies;
  always_comb begin
    applies = '0;
    if (beat_i.kind == OpAdd) begin
      applies[8] = !free;
      applies[9] = !(beat_i.generation != 0 && (ctl_i.generation == 0 || age > 0));
    end else if (beat_i.kind == OpDelete) begin
      applies[10] = handle && draining;
      applies[11] = !live && !bad;
      applies[12] = !handle;
    end else if (beat_i.kind == OpQuery || beat_i.kind == OpResolve || update_like) begin
      applies[11] = !anyone && !live;
      applies[12] = !anyone && !handle;
      if (beat_i.kind == OpUpdate) begin
        applies[13] = beat_i.esp != ctl_i.esp;
        applies[14] = beat_i.spi != ctl_i.spi;
      end
      if (update_like) begin
        applies[15] = !ctl_i.esn &&
                      !(beat_i.mode == UPDATE_MODE_TOP[1:0] && beat_i.hi == 0 && !beat_i.cas);
        applies[16] = beat_i.cas && (expects_nothing || beat_i.expected_hi != top_i.hi);
        applies[17] = beat_i.monotone && wanted < held;
      end
    end
  end

  always_comb begin
    status_o = beat_i.status;
    if (beat_i.status == Ok) begin
      for (int unsigned i = 17; i >= 8; i--) if (applies[i]) status_o = 8'(i);
    end
  end

  // ---- 7: resolve, authenticated, update ------------------------------------------------------------

  logic signed [31:0] way;
  logic signed [66:0] nearest;
  logic [63:0] number;
  assign way = $signed(beat_i.lo - top_i.lo);
  assign nearest = $signed({3'd0, top_i.hi, top_i.lo}) + 67'(way);

  always_comb begin
    number = {top_i.hi, beat_i.lo};
    if (ctl_i.esn && top_i.lo_valid && nearest >= 0 && nearest < 67'sh1_0000_0000_0000_0000) begin
      number = nearest[63:0];
    end
    if (beat_i.kind == OpPacket) number = {beat_i.hi, beat_i.lo};
  end

  top_t authenticated, updated;
  always_comb begin
    authenticated = top_i;
    if (!top_i.lo_valid || number > {top_i.hi, top_i.lo}) begin
      authenticated.hi = number[63:32];
      authenticated.lo = number[31:0];
      authenticated.lo_valid = 1'b1;
    end
  end

  logic [32:0] next_hi;
  assign next_hi = {1'b0, top_i.hi} + 33'd1;    // 2^32 follows the last one: no h is that
  always_comb begin
    updated.hi = beat_i.hi;
    updated.lo = '0;
    updated.lo_valid = 1'b0;
    if (beat_i.mode == UPDATE_MODE_TOP[1:0]) begin
      updated.lo = beat_i.lo;
      updated.lo_valid = 1'b1;
    end else if (beat_i.mode == UPDATE_MODE_HI[1:0]) begin
      if (beat_i.hi == top_i.hi) updated = top_i;
      else if ({1'b0, beat_i.hi} == next_hi && top_i.lo_valid && top_i.lo >= 32'h8000_0000) begin
        updated.lo_valid = 1'b1;
      end
    end
  end

  // ---- What the row holds afterwards (6.3) ----------------------------------------------------------

  always_comb begin
    ctl_o = ctl_i;
    top_o = top_i;
    if (status_o == Ok) begin
      case (beat_i.kind)
        OpAdd: begin
          ctl_o.state = 2'd1;
          ctl_o.generation = beat_i.generation;
          ctl_o.spi = beat_i.spi;
          ctl_o.esp = beat_i.esp;
          ctl_o.outbound = beat_i.outbound;
          ctl_o.esn = beat_i.esn;
          top_o.hi = beat_i.hi;
          top_o.lo = beat_i.lo;
          top_o.lo_valid = beat_i.lo_valid;
        end
        OpDelete: begin
          // Zeroed, but the generation stays remembered (R28).
          ctl_o = '0;
          ctl_o.generation = ctl_i.generation;
          top_o = '0;
        end
        OpFix: begin
          ctl_o.state = 2'd3;
          top_o = '0;
        end
        OpUpdate, OpItem: top_o = updated;
        OpResolve: if (beat_i.commit) top_o = authenticated;
        OpPacket: if (beat_i.commit && live && handle) top_o = authenticated;
        default: ;
      endcase
    end
  end

  // ---- What is answered (4.5, 4.6, 4.7) -------------------------------------------------------------

  always_comb begin
    result_o = '0;
    lo_valid_o = 1'b0;
    if (status_o == Ok) begin
      if (beat_i.kind == OpUpdate || beat_i.kind == OpQuery) result_o = {top_o.hi, top_o.lo};
      else if (beat_i.kind == OpResolve) result_o = number;
      if (beat_i.kind == OpUpdate || beat_i.kind == OpQuery || beat_i.kind == OpResolve) begin
        lo_valid_o = top_o.lo_valid;
      end
    end else if (status_o >= 8'd8 && status_o <= 8'd12) begin
      result_o = 64'(ctl_i.generation);
    end else if (status_o >= 8'd15 && status_o <= 8'd17) begin
      result_o = {top_i.hi, top_i.lo};
      lo_valid_o = top_i.lo_valid;
    end
  end

  assign changed_o = ctl_o != ctl_i || top_o != top_i;
endmodule
