// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// No torn entry at the lookup port: what lk_* shows as live is one whole entry, as one ADD gave it and
// read it back, from the cycle in which it became visible to the one in which a DELETE took it away; and
// the answer comes after exactly one cycle. Pipeline, read-back and table, as esnic_top connects them.
//
// One slot is watched, and it is any. Beats come as esnic_sched issues them (its rules are shown by the
// proof `completions`), in any order; rows are stored wrong at will, as the dbg_flip ports can. Time
// begins after a scrub, as the device does; a clear is always followed by another one.
module lookup_formal
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned SaCapacity = 4,
  parameter bit Script = 1'b0    // for cover goals: ADD and DELETE of one slot, nothing between
) (
  input logic       clk_i,
  input logic       visible_i,
  input logic       valid_i,
  input beat_t      beat_i,
  input cfg_t       row_i,         // of an ADD that is issued
  input logic       lk_valid_i,
  input sa_t        lk_index_i,
  input logic [1:0] flip_i
);
  logic rst_ni = 1'b0;
  always_ff @(posedge clk_i) rst_ni <= 1'b1;

  sa_t watched_q;
  always_ff @(posedge clk_i) watched_q <= watched_q;

  logic hidden_q;   // a reset or FATAL has begun, which ends in a scrub
  always_ff @(posedge clk_i) begin
    if (!rst_ni) hidden_q <= 1'b0;
    else if (!visible_i) hidden_q <= 1'b1;
  end

  // ---- Device -------------------------------------------------------------------------------------

  logic we, cfg_re, cfg_we, begins, refused, stage_drop, row_valid, fixed, entry_free, busy, take;
  logic verify_valid, verify_ready, live_set, lk_valid, lk_live;
  ctl_t ctl, wctl, row_ctl;
  top_t top, wtop, begin_top, row_top;
  sa_t waddr, cfg_addr, live_addr;
  beat_t begin_beat, row_beat, verify_beat;
  logic [VerifyW-1:0] entry;
  cfg_t begin_row, row_cfg, lk_entry;

  esnic_exec u_exec (
    .clk_i, .rst_ni, .clear_i(1'b0), .valid_i, .beat_i, .ctl_i(ctl), .top_i(top), .we_o(we),
    .waddr_o(waddr), .ctl_o(wctl), .top_o(wtop), .cfg_re_o(cfg_re), .cfg_we_o(cfg_we),
    .cfg_addr_o(cfg_addr), .begin_o(begins), .refused_o(refused), .begin_beat_o(begin_beat),
    .begin_top_o(begin_top), .stage_drop_o(stage_drop), .sa_down_o(), .done_valid_o(), .done_o(),
    .pkt_valid_o(), .pkt_top_o(), .row_valid_o(row_valid), .row_beat_o(row_beat),
    .row_ctl_o(row_ctl), .row_top_o(row_top), .row_done_o(), .record_none_o(), .fixed_o(fixed),
    .bypass_capture_o(), .bypass_exec_o()
  );

  esnic_verify u_verify (
    .clk_i, .rst_ni, .clear_i(1'b0), .scrub_i(1'b0), .scrub_row_i('0),
    .free_o(entry_free), .entry_o(entry), .take_i(take), .take_index_i(beat_i.index),
    .take_row_i(row_i), .probe_i(beat_i.index), .busy_o(busy), .empty_o(),
    .next_i(1'b0), .next_index_i('0), .next_busy_o(),
    .begin_i(begins), .refused_i(refused), .begin_beat_i(begin_beat), .begin_top_i(begin_top),
    .row_o(begin_row), .valid_o(verify_valid), .ready_i(verify_ready), .beat_o(verify_beat),
    .check_i(row_valid), .check_beat_i(row_beat), .check_ctl_i(row_ctl), .check_top_i(row_top),
    .check_cfg_i(row_cfg), .fixed_i(fixed), .fixed_entry_i(begin_beat.entry),
    .live_we_o(live_set), .live_addr_o(live_addr), .done_valid_o(), .done_o()
  );

  esnic_sa #(.SaCapacity(SaCapacity)) u_sa (
    .clk_i, .rst_ni, .clear_i(1'b0), .visible_i, .scrub_i(1'b0), .scrub_row_i('0),
    .re_i(valid_i), .raddr_i(beat_i.index), .ctl_o(ctl), .top_o(top), .we_i(we), .waddr_i(waddr),
    .ctl_i(wctl), .top_i(wtop), .cfg_re_i(cfg_re), .cfg_we_i(cfg_we), .cfg_addr_i(cfg_addr),
    .cfg_i(begin_row), .cfg_o(row_cfg),
    .live_we_i(live_set || stage_drop), .live_addr_i(live_set ? live_addr : begin_beat.index),
    .live_i(live_set),
    .lk_valid_i, .lk_index_i, .lk_valid_o(lk_valid), .lk_live_o(lk_live), .lk_entry_o(lk_entry),
    .bad_o(), .bad_index_o(), .flip_i
  );

  // ---- Beats as esnic_sched issues them -------------------------------------------------------------

  logic owner, back, command;
  logic [1:0] add_verify_q;
  assign command = beat_i.kind <= OpResolve;
  assign owner = beat_i.kind inside {OpAdd, OpDelete};
  assign back = beat_i.kind inside {OpVerify, OpFix};
  assign take = valid_i && owner;
  assign verify_ready = valid_i && back;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) add_verify_q <= '0;
    else add_verify_q <= {add_verify_q[0], valid_i && beat_i.kind == OpVerify &&
                                           beat_i.opcode == 5'(OPCODE_ADD)};
  end

  always_comb begin
    assume (rst_ni || !valid_i);
    assume (!hidden_q || !visible_i);
    assume (32'(watched_q) < SaCapacity);
    if (valid_i) begin
      assume (beat_i.kind <= OpPacket && 32'(beat_i.index) < SaCapacity);
      // One command a slot while its read-back is awaited; a packet does not wait.
      assume (!busy || back || beat_i.kind inside {OpPlain, OpPacket});
      if (back) assume (verify_valid && beat_i == verify_beat);
      if (owner) assume (entry_free && beat_i.entry == entry && !u_verify.next_busy_o);
      // An ADD's `live` bit and a DELETE's never meet.
      if (beat_i.kind == OpDelete) assume (!add_verify_q[1]);
      if (!command) assume (beat_i.status == STATUS_OK);
      if (beat_i.kind == OpAdd) begin
        assume (beat_i.generation != '0 && (beat_i.lo_valid || beat_i.lo == '0));
        assume (row_i.open.spi == beat_i.spi && row_i.open.generation == beat_i.generation &&
                row_i.open.esp == beat_i.esp && row_i.open.outbound == beat_i.outbound &&
                row_i.open.esn == beat_i.esn);
      end
    end
  end

  logic [3:0] cycle_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) cycle_q <= '0;
    else if (cycle_q != '1) cycle_q <= cycle_q + 4'd1;
  end
  always_comb begin
    if (Script && rst_ni) begin
      assume (valid_i == (verify_valid || cycle_q inside {4'd1, 4'd13}));
      assume (watched_q == '0 && beat_i.index == '0 && (!verify_valid || back));
      if (!verify_valid) assume (beat_i.kind == ((cycle_q == 4'd13) ? OpDelete : OpAdd) &&
                                 beat_i.status == STATUS_OK);
      assume (lk_valid_i && lk_index_i == '0);
    end
  end

  // After a scrub the row is empty.
  localparam int unsigned RowW = $clog2(SaCapacity);
  logic [RowW-1:0] at;
  assign at = watched_q[RowW-1:0];
  ctl_t mem_ctl;
  logic [1:0] mem_ctl_parity;
  localparam int unsigned ParityW = ($bits(cfg_t) + 63) / 64;
  logic [ParityW-1:0] mem_cfg_parity, row_parity, given_parity;
  cfg_t mem_cfg;
  logic mem_live;
  assign {mem_ctl_parity, mem_ctl} = u_sa.u_ctl.mem[at];
  assign {mem_cfg_parity, mem_cfg} = u_sa.u_cfg.mem[at];
  assign mem_live = u_sa.u_live.mem[at];
  always_comb begin
    if (!rst_ni) assume (mem_ctl == '0 && u_sa.u_top.mem[at] == '0 && !mem_live);
  end

  // ---- What the watched slot shows --------------------------------------------------------------------

  cfg_t given_q, shown_q;     // by the last ADD that was issued; by the one that is live
  logic live_q;
  logic add_seen_q;           // that ADD passed its checks and is not read back yet
  always_ff @(posedge clk_i) begin
    if (!rst_ni) {live_q, add_seen_q} <= '0;
    else begin
      if (take && beat_i.kind == OpAdd && beat_i.index == watched_q) given_q <= row_i;
      if (begins && begin_beat.index == watched_q) add_seen_q <= begin_beat.kind == OpAdd;
      if (live_set && live_addr == watched_q) begin
        live_q <= 1'b1;
        shown_q <= given_q;
        add_seen_q <= 1'b0;
      end
      // A DELETE that passes its checks ends it at once, an ADD that does was preceded by one.
      if (begins && begin_beat.index == watched_q) live_q <= 1'b0;
    end
  end

  logic asked_q, hit_q, live_then_q, was_visible_q;
  cfg_t shown_then_q;
  logic closing;   // a DELETE or an ADD writes the row now: nobody can say what a lookup reads
  assign closing = begins && begin_beat.index == watched_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) {asked_q, hit_q} <= '0;
    else begin
      asked_q <= lk_valid_i;
      hit_q <= lk_valid_i && lk_index_i == watched_q;
    end
    live_then_q <= live_q && !closing;
    was_visible_q <= visible_i;
    shown_then_q <= shown_q;
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      InOneCycle: assert (lk_valid == asked_q);
      if (hit_q) begin
        Live: assert (lk_live == (live_then_q && was_visible_q && visible_i));
        if (lk_live) Whole: assert (lk_entry == shown_then_q);
      end
      Beyond: assert (!(lk_valid && lk_live && 32'(u_sa.lk_index_q) >= SaCapacity));
      // An entry becomes visible only as the end of an ADD that passed its checks and was not followed
      // by another ADD or DELETE.
      if (live_set && live_addr == watched_q) Earned: assert (add_seen_q);
      NeverBoth: assert (!(live_set && stage_drop));
    end
  end

  // ---- For the induction step -------------------------------------------------------------------------

  prim_parity #(.Width($bits(cfg_t))) u_parity (.data_i(shown_q), .parity_o(row_parity));
  prim_parity #(.Width($bits(cfg_t))) u_given (.data_i(given_q), .parity_o(given_parity));

  ctl_t now_ctl;    // with the write that is under way
  assign now_ctl = (we && waddr == watched_q) ? wctl : mem_ctl;

  // What control holds of an entry that was given.
  function automatic ctl_t held(cfg_t row);
    return '{spi: row.open.spi, generation: row.open.generation, state: SLOT_STATE_LIVE[1:0],
             esp: row.open.esp, outbound: row.open.outbound, esn: row.open.esn};
  endfunction
  function automatic logic waits(logic valid, beat_t beat);
    return valid && beat.kind inside {OpAdd, OpDelete, OpVerify, OpFix};
  endfunction
  function automatic logic apart(logic valid, beat_t beat, logic other_valid, beat_t other);
    return !(waits(valid, beat) && waits(other_valid, other)) || beat.entry != other.entry;
  endfunction
  function automatic logic formed(logic valid, beat_t beat);
    return !valid || (beat.kind <= OpPacket && (beat.kind <= OpResolve || beat.status == STATUS_OK) &&
                      (beat.kind != OpAdd || beat.lo_valid || beat.lo == '0));
  endfunction
  function automatic logic read_back(logic valid, beat_t beat, logic add);
    return valid && beat.kind == OpVerify && add == (beat.opcode == 5'(OPCODE_ADD));
  endfunction
  function automatic logic adds(logic valid, beat_t beat);
    return valid && beat.kind == OpAdd && beat.index == watched_q;
  endfunction
  function automatic logic deletes(logic valid, beat_t beat);
    return valid && beat.kind == OpDelete;
  endfunction

  logic verify4, hit1, hit2, hit3, hit4;
  assign verify4 = u_exec.valid4_q && u_exec.beat4_q.kind == OpVerify;
  assign hit1 = u_exec.valid1_q && u_exec.beat1_q.index == watched_q && u_exec.beat1_q.kind != OpPlain;
  assign hit2 = u_exec.valid2_q && u_exec.beat2_q.index == watched_q && u_exec.beat2_q.kind != OpPlain;
  assign hit3 = u_exec.we3_q && u_exec.beat3_q.index == watched_q;
  assign hit4 = u_exec.we4_q && u_exec.beat4_q.index == watched_q;

  // Each place for a read-back, by itself: who is in it, and which beat that has in the pipeline.
  localparam int unsigned KeptAdd = $bits(pair_t) + 1 + 32 + 32 + $bits(top_t);
  logic [VerifyEntries-1:0] owns, owns_add;
  for (genvar i = 0; i < VerifyEntries; i++) begin : gen_entry
    logic [2:0] state;
    sa_t index;
    logic add;
    logic [3:0] here;
    logic first, looks;
    cfg_t row_begin, row_check;
    assign state = u_verify.state_q[i];
    assign index = u_verify.index_q[i];
    assign add = u_verify.add_q[i];
    assign row_begin = u_verify.u_rows_begin.mem[i];
    assign row_check = u_verify.u_rows_check.mem[i];
    assign owns[i] = !(state inside {3'd0, 3'd6}) && index == watched_q;     // StFree, StWipe
    assign looks = state inside {3'd2, 3'd3};                                // StReady, StCheck
    assign first = state == 3'd1;                                            // StFirst
    assign owns_add[i] = owns[i] && looks && add;
    assign here = {verify4 && 32'(u_exec.beat4_q.entry) == i,
                   waits(u_exec.valid3_q, u_exec.beat3_q) && 32'(u_exec.beat3_q.entry) == i,
                   waits(u_exec.valid2_q, u_exec.beat2_q) && 32'(u_exec.beat2_q.entry) == i,
                   waits(u_exec.valid1_q, u_exec.beat1_q) && 32'(u_exec.beat1_q.entry) == i};

    function automatic logic mine(logic valid, beat_t beat);
      if (!valid) return 1'b1;
      if (index != beat.index) return 1'b0;
      if (beat.kind == OpVerify) return state == 3'd3 && add == (beat.opcode == 5'(OPCODE_ADD));
      if (beat.kind == OpFix) return state == 3'd5;
      return state == 3'd1;
    endfunction

    always_ff @(posedge clk_i) begin
      if (rst_ni) begin
        Owned: assert (mine(here[0], u_exec.beat1_q) && mine(here[1], u_exec.beat2_q) &&
                       mine(here[2], u_exec.beat3_q) && mine(here[3], u_exec.beat4_q) &&
                       $countones(here) <= 1);
        Place: assert (state <= 3'd6 && (state == 3'd0 || 32'(index) < SaCapacity));
        if (looks) Kept: assert (u_verify.u_kept.mem[i][KeptAdd] == add);
        // The row that was given is kept, in both copies, from the issue of the ADD on.
        if (owns_add[i]) RowKept: assert (row_check == given_q && add_seen_q);
        if (!hidden_q && owns_add[i]) begin
          AddOwns: assert (now_ctl == held(given_q));
          ParityOf: assert (mem_cfg_parity == given_parity);
        end
        if (!hidden_q && owns[i] && !first) NotLive: assert (!live_q);
        if ((here[0] && adds(1'b1, u_exec.beat1_q)) || (here[1] && adds(1'b1, u_exec.beat2_q)) ||
            (here[2] && adds(1'b1, u_exec.beat3_q))) begin
          Carried: assert (row_begin == given_q && row_check == given_q);
        end
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      Formed: assert (formed(u_exec.valid1_q, u_exec.beat1_q) && formed(u_exec.valid2_q, u_exec.beat2_q));
      Capacity: assert ((!live_set || 32'(live_addr) < SaCapacity) &&
                        (!u_exec.valid1_q || 32'(u_exec.beat1_q.index) < SaCapacity) &&
                        (!u_exec.valid2_q || 32'(u_exec.beat2_q.index) < SaCapacity) &&
                        (!u_exec.valid3_q || 32'(u_exec.beat3_q.index) < SaCapacity) &&
                        (!(verify4 || u_exec.we4_q) || 32'(u_exec.beat4_q.index) < SaCapacity));
      OneOwner: assert ($countones(owns) <= 1);
      // A read-back of an ADD, and the `live` bit that follows it, are two stages ahead of any DELETE.
      Known: assert (add_verify_q == {read_back(u_exec.valid2_q, u_exec.beat2_q, 1'b1),
                                      read_back(u_exec.valid1_q, u_exec.beat1_q, 1'b1)});
      Gap1: assert (!(deletes(u_exec.valid1_q, u_exec.beat1_q) &&
                      read_back(u_exec.valid3_q, u_exec.beat3_q, 1'b1)));
      Gap2: assert (!(deletes(u_exec.valid2_q, u_exec.beat2_q) &&
                      read_back(u_exec.valid4_q, u_exec.beat4_q, 1'b1)));
      if (adds(u_exec.valid1_q, u_exec.beat1_q)) Fields1: assert (given_is(u_exec.beat1_q));
      if (adds(u_exec.valid2_q, u_exec.beat2_q)) Fields2: assert (given_is(u_exec.beat2_q));
      if (adds(u_exec.valid3_q, u_exec.beat3_q)) begin
        Fields3: assert (given_is(u_exec.beat3_q));
        if (begins) Writes3: assert (u_exec.we3_q && wctl == held(given_q));
      end
      // What a beat has of its control row is what is stored.
      if (u_exec.valid2_q && u_exec.we3_q) begin
        SameSlot: assert (u_exec.same_slot_q == (u_exec.beat2_q.index == u_exec.beat3_q.index));
      end
      OfBeat: assert (!u_exec.we3_q || u_exec.valid3_q);
      if (live_set && live_addr == watched_q) Ended: assert (owns == '0 && !closing && add_seen_q);
      if (!hidden_q) begin
        if (hit1 && !hit4) Read1: assert (ctl == mem_ctl);
        if (hit4) Wrote4: assert (u_exec.wctl4_q == mem_ctl);
        if (hit2 && !hit3) Read2: assert (u_exec.ctl2_q == mem_ctl);
        SameLive: assert (mem_live == live_q);
        if (live_q) Stored: assert (mem_cfg == shown_q && mem_cfg_parity == row_parity);
        // Visible to packets is LIVE to control (4.2).
        if (live_q && !closing) ControlAgrees: assert (now_ctl.state == SLOT_STATE_LIVE[1:0]);
        if (live_q && closing) OnlyDelete: assert (begin_beat.kind == OpDelete);
        // The row that the read-back sees is the one that is stored; and it is no other one when that
        // becomes visible.
        if (verify4 && u_exec.beat4_q.index == watched_q) Seen4: assert (row_cfg == mem_cfg);
        if (live_set && live_addr == watched_q) begin
          Rises: assert (!live_q && mem_cfg == given_q && mem_cfg_parity == given_parity &&
                         now_ctl.state == SLOT_STATE_LIVE[1:0]);
        end
      end
    end
  end
  function automatic logic given_is(beat_t beat);
    return given_q.open.spi == beat.spi && given_q.open.generation == beat.generation &&
           given_q.open.esp == beat.esp && given_q.open.outbound == beat.outbound &&
           given_q.open.esn == beat.esn;
  endfunction

  // ---- Not vacuous ----------------------------------------------------------------------------------

  logic second_q;   // the slot was live, and is not any more
  always_ff @(posedge clk_i) begin
    if (!rst_ni) second_q <= 1'b0;
    else if (live_q && stage_drop && begin_beat.index == watched_q) second_q <= 1'b1;
  end
  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      Seen: cover (hit_q && lk_live && lk_entry.key != '0);
      Last: cover (hit_q && lk_live && closing);
      Gone: cover (hit_q && !lk_live && second_q);
      Hidden: cover (hit_q && !lk_live && live_then_q);
      Flipped: cover (row_valid && row_beat.kind == OpVerify && row_beat.index == watched_q &&
                      add_seen_q && row_cfg != given_q);
    end
  end
endmodule
