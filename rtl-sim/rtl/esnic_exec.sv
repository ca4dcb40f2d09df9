// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The execute pipeline: one beat a cycle, never a stall.
//
//   cycle  0       1              2            3                       4
//          issue   capture        execute      write, complete         configuration row is there
//          RAMs read ctl and top  checks 8..17 ctl, top, port A of cfg view, record, read-back
//
// A beat reads its rows before the three beats ahead of it have written theirs. Two bypasses make up for
// that: at capture, from the beat that writes now and the one that wrote a cycle ago; at execute, from
// the beat just ahead. So commands on one slot run one per cycle, too.
`include "esnic_assert.svh"
module esnic_exec
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
(
  input  logic          clk_i,
  input  logic          rst_ni,
  input  logic          clear_i,

  input  logic          valid_i,
  input  beat_t         beat_i,

  // Rows of the beat that was issued a cycle ago.
  input  ctl_t          ctl_i,
  input  top_t          top_i,
  output logic          we_o,
  output sa_t           waddr_o,
  output ctl_t          ctl_o,
  output top_t          top_o,
  output logic          cfg_re_o,
  output logic          cfg_we_o,
  output sa_t           cfg_addr_o,

  // An ADD or DELETE that passed its checks and now waits for its read-back, or did not.
  output logic          begin_o,
  output logic          refused_o,
  output beat_t         begin_beat_o,
  output top_t          begin_top_o,    // what its completion or its read-back wants
  output logic          stage_drop_o,   // DELETE empties its stage buffer (R18)
  output logic          sa_down_o,

  output logic          done_valid_o,
  output done_t         done_o,
  output logic          pkt_valid_o,
  output top_t          pkt_top_o,

  // A beat whose configuration row is on the read port now.
  output logic          row_valid_o,
  output beat_t         row_beat_o,
  output ctl_t          row_ctl_o,
  output top_t          row_top_o,
  output done_t         row_done_o,

  output logic          record_none_o,  // a QUERY that was to write a record does not
  output logic          fixed_o,        // OpFix is through
  output logic          bypass_capture_o,
  output logic          bypass_exec_o
);
  // ---- 1: capture ---------------------------------------------------------------------------------

  logic  valid1_q, valid2_q, valid3_q, valid4_q;
  beat_t beat1_q, beat2_q, beat3_q, beat4_q;
  ctl_t  ctl1, ctl2_q, ctl2, ctl3_q, ctl4_q, wctl_d, wctl3_q, wctl4_q;
  top_t  top1, top2_q, top2, top3_q, top4_q, wtop_d, wtop3_q, wtop4_q;
  logic  we_d, we3_q, we4_q;
  done_t done_d, done3_q, done4_q;
  logic  from3, from4;

  assign from3 = we3_q && beat3_q.index == beat1_q.index;
  assign from4 = we4_q && beat4_q.index == beat1_q.index;
  assign ctl1 = from3 ? wctl3_q : (from4 ? wctl4_q : ctl_i);
  assign top1 = from3 ? wtop3_q : (from4 ? wtop4_q : top_i);
  assign bypass_capture_o = valid1_q && beat1_q.kind != OpPlain && (from3 || from4);

  // ---- 2: execute ---------------------------------------------------------------------------------

  // Whether the beat just ahead is for the same slot was found a stage earlier.
  logic ahead, same_slot_q;
  assign ahead = we3_q && same_slot_q;
  assign ctl2 = ahead ? wctl3_q : ctl2_q;
  assign top2 = ahead ? wtop3_q : top2_q;
  assign bypass_exec_o = valid2_q && beat2_q.kind != OpPlain && ahead;

  top_t        updated, resolved, packet;
  logic        update_moves, resolve_moves, packet_moves;
  logic [63:0] number;

  esnic_update u_update (
    .esn_i(ctl2.esn), .held_i(top2), .mode_i(beat2_q.mode), .hi_i(beat2_q.hi), .lo_i(beat2_q.lo),
    .updated_o(updated), .update_moves_o(update_moves),
    .number_o(number), .resolved_o(resolved), .resolve_moves_o(resolve_moves),
    .packet_o(packet), .packet_moves_o(packet_moves)
  );

  logic is_live, is_free, is_draining, is_bad, same, newer, backward, by_top, conflict;
  logic [63:0] held;
  logic [7:0]  status;
  logic        passed;

  assign is_free = ctl2.state == 2'(SLOT_STATE_FREE);
  assign is_live = ctl2.state == 2'(SLOT_STATE_LIVE);
  assign is_draining = ctl2.state == 2'(SLOT_STATE_DRAINING);
  assign is_bad = ctl2.state == 2'(SLOT_STATE_BAD);
  assign same = ctl2.generation == beat2_q.generation;
  // R21; the generation itself is not 0, that is a BAD_FIELD.
  assign newer = ctl2.generation == '0 ||
                 (!same && !is_behind(beat2_q.generation, ctl2.generation));
  assign held = {top2.hi, top2.lo};
  assign by_top = beat2_q.mode == 2'(UPDATE_MODE_TOP);
  // A STEP to 0 can expect nothing that is held.
  assign conflict = beat2_q.cas && (beat2_q.expected_hi != top2.hi ||
                                    (beat2_q.kind == OpItem && beat2_q.hi == '0));
  assign backward = beat2_q.monotone && (by_top ? {beat2_q.hi, beat2_q.lo} < held
                                                : beat2_q.hi < top2.hi);

  // Statuses 8 to 17, in the order of 4.7.
  always_comb begin
    status = beat2_q.status;
    if (status == STATUS_OK) begin
      unique case (beat2_q.kind)
        OpAdd: begin
          if (!is_free) status = STATUS_OCCUPIED;
          else if (!newer) status = STATUS_OLD_GENERATION;
        end
        OpDelete: begin
          if (is_draining && same) status = STATUS_DRAINING;
          else if (!is_live && !is_bad) status = STATUS_EMPTY;
          else if (!same) status = STATUS_STALE;
        end
        OpUpdate, OpItem, OpQuery, OpResolve: begin
          if (!beat2_q.any) begin
            if (!is_live) status = STATUS_EMPTY;
            else if (!same) status = STATUS_STALE;
          end
          if (status == STATUS_OK && beat2_q.kind == OpUpdate) begin
            if (beat2_q.esp != ctl2.esp) status = STATUS_WRONG_PROTO;
            else if (beat2_q.spi != ctl2.spi) status = STATUS_WRONG_SPI;
          end
          if (status == STATUS_OK && beat2_q.kind inside {OpUpdate, OpItem}) begin
            // A number without extension has a low half to set, and no other.
            if (!ctl2.esn && !(by_top && beat2_q.hi == '0 && !beat2_q.cas)) status = STATUS_NOT_ESN;
            else if (conflict) status = STATUS_CONFLICT;
            else if (backward) status = STATUS_BACKWARD;
          end
        end
        default: ;
      endcase
    end
  end

  assign passed = status == STATUS_OK;

  // What is written, and the completion.
  logic moves;
  always_comb begin
    wctl_d = ctl2;
    wtop_d = top2;
    moves = 1'b0;
    unique case (beat2_q.kind)
      OpAdd: begin
        // Control alone sees it LIVE, and only after the read-back: commands for this slot wait.
        wctl_d = '{spi: beat2_q.spi, generation: beat2_q.generation, state: 2'(SLOT_STATE_LIVE),
                   esp: beat2_q.esp, outbound: beat2_q.outbound, esn: beat2_q.esn};
        wtop_d = '{lo_valid: beat2_q.lo_valid, hi: beat2_q.hi, lo: beat2_q.lo};
        moves = passed;
      end
      OpDelete: begin
        wctl_d = '0;
        wctl_d.generation = ctl2.generation;  // stays (R28)
        wtop_d = '0;
        moves = passed;
      end
      OpFix: begin
        wctl_d.state = 2'(SLOT_STATE_BAD);
        wtop_d = '0;
        moves = 1'b1;
      end
      OpUpdate, OpItem: begin
        wtop_d = updated;
        moves = passed && update_moves;
      end
      OpResolve: begin
        wtop_d = resolved;
        moves = passed && beat2_q.commit && resolve_moves;
      end
      OpPacket: begin
        // `passed`, without the statuses that are not for packets.
        moves = beat2_q.status == STATUS_OK && beat2_q.commit && is_live && same && packet_moves;
        // The datapath is told what the slot holds, moved or not.
        if (moves) wtop_d = packet;
      end
      default: ;
    endcase
    we_d = valid2_q && moves;
  end

  always_comb begin
    done_d = '0;
    done_d.pair = beat2_q.pair;
    done_d.ring = beat2_q.ring;
    done_d.cookie = beat2_q.cookie;
    done_d.opcode = beat2_q.opcode;
    done_d.status = status;
    done_d.changed = moves;
    unique case (status)
      STATUS_OK: begin
        unique case (beat2_q.kind)
          OpResolve: begin
            done_d.result = number;
            done_d.lo_valid = moves ? resolved.lo_valid : top2.lo_valid;
          end
          OpUpdate: begin
            done_d.result = {updated.hi, updated.lo};
            done_d.lo_valid = updated.lo_valid;
          end
          OpQuery: begin
            done_d.result = held;
            done_d.lo_valid = top2.lo_valid;
          end
          OpDelete: done_d.result = held;
          default: ;
        endcase
      end
      STATUS_OCCUPIED, STATUS_OLD_GENERATION, STATUS_DRAINING, STATUS_EMPTY, STATUS_STALE:
        done_d.result = 64'(ctl2.generation);
      STATUS_NOT_ESN, STATUS_CONFLICT, STATUS_BACKWARD: begin
        done_d.result = held;
        done_d.lo_valid = top2.lo_valid;
      end
      default: ;
    endcase
  end

  // ---- 3: write and complete ----------------------------------------------------------------------

  logic ok3, is_begin, wants_row;
  assign ok3 = done3_q.status == STATUS_OK;
  assign is_begin = beat3_q.kind inside {OpAdd, OpDelete};
  assign wants_row = beat3_q.kind inside {OpVerify, OpView} ||
                     (beat3_q.kind == OpQuery && beat3_q.record && ok3);

  assign we_o = we3_q;
  assign waddr_o = beat3_q.index;
  assign ctl_o = wctl3_q;
  assign top_o = wtop3_q;
  assign cfg_re_o = valid3_q && wants_row;
  assign cfg_we_o = valid3_q && is_begin && ok3;
  assign cfg_addr_o = beat3_q.index;
  assign begin_o = valid3_q && is_begin && ok3;
  assign refused_o = valid3_q && is_begin && !ok3;
  assign begin_beat_o = beat3_q;
  assign begin_top_o = (beat3_q.kind == OpAdd) ? wtop3_q : top3_q;
  assign stage_drop_o = begin_o && beat3_q.kind == OpDelete;
  assign sa_down_o = stage_drop_o && ctl3_q.state == 2'(SLOT_STATE_LIVE);
  assign fixed_o = valid3_q && beat3_q.kind == OpFix;
  assign record_none_o = valid3_q && beat3_q.kind == OpQuery && beat3_q.record && !ok3;
  assign pkt_valid_o = valid3_q && beat3_q.kind == OpPacket;
  assign pkt_top_o = ok3 ? wtop3_q : '0;

  // UPDATE4: items end one by one, and one completion tells of all (4.4).
  logic [63:0] items_d, items_q;
  logic        bad_item_d, bad_item_q, is_item;
  assign is_item = beat3_q.kind == OpItem;

  always_comb begin
    items_d = (beat3_q.item == '0) ? '0 : items_q;
    items_d[8*beat3_q.item +: 8] = done3_q.status;
    items_d[6'd32 + 6'(beat3_q.item)] = done3_q.changed;
    bad_item_d = !ok3 || (beat3_q.item != '0 && bad_item_q);
  end

  always_comb begin
    done_o = done3_q;
    if (is_item) begin
      done_o.status = bad_item_d ? STATUS_ITEMS : STATUS_OK;
      done_o.result = items_d;
      done_o.lo_valid = 1'b0;
      done_o.changed = items_d[35:32] != '0;
    end
  end

  // ADD, DELETE and QUERY with a record complete later, if they got this far.
  assign done_valid_o = valid3_q && beat3_q.last &&
      !(beat3_q.kind inside {OpVerify, OpFix, OpView, OpPacket}) &&
      !(ok3 && (is_begin || (beat3_q.kind == OpQuery && beat3_q.record)));

  // ---- 4: the configuration row -------------------------------------------------------------------

  assign row_valid_o = valid4_q;
  assign row_beat_o = beat4_q;
  assign row_ctl_o = ctl4_q;
  assign row_top_o = top4_q;
  assign row_done_o = done4_q;

  logic row4_d;
  assign row4_d = valid3_q && wants_row;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      {valid1_q, valid2_q, valid3_q, valid4_q, we3_q, we4_q} <= '0;
      {beat1_q, beat2_q, beat3_q, beat4_q} <= '0;
      {ctl2_q, ctl3_q, ctl4_q, wctl3_q, wctl4_q} <= '0;
      {top2_q, top3_q, top4_q, wtop3_q, wtop4_q} <= '0;
      {done3_q, done4_q, items_q, bad_item_q, same_slot_q} <= '0;
    end else begin
      {valid1_q, valid2_q, valid3_q, valid4_q} <=
        clear_i ? '0 : {valid_i, valid1_q, valid2_q, row4_d};
      {we3_q, we4_q} <= clear_i ? '0 : {we_d, we3_q};
      // A stage without a beat keeps what it had: nobody looks.
      if (valid_i) beat1_q <= beat_i;
      if (valid1_q) begin
        beat2_q <= beat1_q;
        same_slot_q <= beat1_q.index == beat2_q.index;
        ctl2_q <= ctl1;
        top2_q <= top1;
      end
      if (valid2_q) begin
        beat3_q <= beat2_q;
        ctl3_q <= ctl2;
        top3_q <= top2;
        wctl3_q <= wctl_d;
        wtop3_q <= wtop_d;
        done3_q <= done_d;
      end
      if (valid3_q) begin
        beat4_q <= beat3_q;
        ctl4_q <= ctl3_q;
        top4_q <= top3_q;
        wctl4_q <= wctl3_q;
        wtop4_q <= wtop3_q;
        done4_q <= done3_q;
      end
      if (valid3_q && is_item) {items_q, bad_item_q} <= {items_d, bad_item_d};
    end
  end

  // R14: who is not OK changes nothing.
  `ESNIC_ASSERT(RefusedChangesNothing_A, !valid3_q || ok3 || !we3_q)
  // R31: lo is 0 while it is not valid.
  `ESNIC_ASSERT(NoHalfTop_A, !we3_q || wtop3_q.lo_valid || wtop3_q.lo == '0)
endmodule
