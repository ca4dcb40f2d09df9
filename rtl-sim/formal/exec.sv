// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The execute pipeline answers as if every beat were executed alone, one after the other (R29, R30).
//
// One slot is watched, and it is any. Its row stands here, as the RAMs of esnic_sa hold it (proof
// `rows`); reads of other slots give anything. exec_spec executes every beat of the watched slot as a
// whole, two cycles after its issue, on a row of its own; the pipeline must write the same rows and give
// the same answers, whatever came just before. Beats are any that esnic_check and esnic_sched make.
module exec_formal
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
(
  input logic  clk_i,
  input logic  clear_i,
  input logic  valid_i,
  input beat_t beat_i,
  input ctl_t  other_ctl_i,     // what reads of other slots give
  input top_t  other_top_i
);
  logic rst_ni = 1'b0;
  always_ff @(posedge clk_i) rst_ni <= 1'b1;

  sa_t watched_q;    // no reset: any, and always the same
  always_ff @(posedge clk_i) watched_q <= watched_q;

  // ---- Device -------------------------------------------------------------------------------------

  ctl_t ctl, wctl, row_ctl;
  top_t top, wtop, begin_top, pkt_top, row_top;
  logic we, cfg_re, cfg_we, begins, refused, stage_drop, sa_down, done_valid, pkt_valid, row_valid;
  logic record_none, fixed, bypass_capture, bypass_exec;
  sa_t waddr, cfg_addr;
  beat_t begin_beat, row_beat;
  done_t done, row_done;

  esnic_exec u_exec (
    .clk_i, .rst_ni, .clear_i, .valid_i, .beat_i,
    .ctl_i(ctl), .top_i(top), .we_o(we), .waddr_o(waddr), .ctl_o(wctl), .top_o(wtop),
    .cfg_re_o(cfg_re), .cfg_we_o(cfg_we), .cfg_addr_o(cfg_addr),
    .begin_o(begins), .refused_o(refused), .begin_beat_o(begin_beat), .begin_top_o(begin_top),
    .stage_drop_o(stage_drop), .sa_down_o(sa_down), .done_valid_o(done_valid), .done_o(done),
    .pkt_valid_o(pkt_valid), .pkt_top_o(pkt_top), .row_valid_o(row_valid), .row_beat_o(row_beat),
    .row_ctl_o(row_ctl), .row_top_o(row_top), .row_done_o(row_done),
    .record_none_o(record_none), .fixed_o(fixed),
    .bypass_capture_o(bypass_capture), .bypass_exec_o(bypass_exec)
  );

  // The row of the watched slot, read before it is written in the same cycle.
  ctl_t mem_ctl_q, read_ctl_q;
  top_t mem_top_q, read_top_q;
  logic read_watched_q;
  always_ff @(posedge clk_i) begin
    if (we && waddr == watched_q) {mem_ctl_q, mem_top_q} <= {wctl, wtop};
    if (valid_i) begin
      read_watched_q <= beat_i.index == watched_q;
      {read_ctl_q, read_top_q} <= {mem_ctl_q, mem_top_q};
    end
  end
  assign ctl = read_watched_q ? read_ctl_q : other_ctl_i;
  assign top = read_watched_q ? read_top_q : other_top_i;

  // ---- Beats as the device makes them ---------------------------------------------------------------

  logic command, item, ok;
  logic [2:0] next_q;      // items of the UPDATE4 that have been issued
  assign command = beat_i.kind inside {OpPlain, OpAdd, OpDelete, OpUpdate, OpItem, OpQuery, OpResolve};
  assign item = beat_i.kind == OpItem;
  assign ok = beat_i.status == STATUS_OK;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) next_q <= '0;
    else if (valid_i && item) next_q <= beat_i.last ? '0 : 3'(beat_i.item) + 3'd1;
  end

  always_comb begin
    if (rst_ni) assume (!(clear_i && valid_i));
    assume (rst_ni || !valid_i);
    if (valid_i) begin
      assume (beat_i.kind <= OpPacket);
      // Only a NOP, and what failed, is answered without a look at the row.
      assume (ok || (beat_i.kind == OpPlain && beat_i.status <= STATUS_UNSUPPORTED) ||
              (item && beat_i.status inside {STATUS_BAD_FIELD, STATUS_BAD_INDEX}));
      assume (beat_i.last == (command && (!item || beat_i.last)));
      assume (!(beat_i.cas || beat_i.monotone) || beat_i.kind inside {OpUpdate, OpItem});
      assume (!beat_i.any || beat_i.kind == OpQuery);
      assume (!beat_i.record || beat_i.kind == OpQuery);
      assume (!beat_i.commit || beat_i.kind inside {OpResolve, OpPacket});
      if (beat_i.kind == OpAdd) begin
        assume (beat_i.generation != '0);
        assume (beat_i.lo_valid || beat_i.lo == '0);
        assume (beat_i.esn || beat_i.hi == '0);
      end
      if (beat_i.kind == OpUpdate) assume (beat_i.mode <= UPDATE_MODE_RESYNC[1:0]);
      // The items of an UPDATE4 stay together: only what is no command comes between (R30).
      if (item) begin
        assume (3'(beat_i.item) == next_q);
        assume (beat_i.last || beat_i.item != 2'd3);
        assume (beat_i.mode == UPDATE_MODE_HI[1:0] && !beat_i.monotone);
        assume (beat_i.expected_hi == beat_i.hi - 32'd1);
      end else begin
        assume (next_q == '0 || !command);
      end
    end
  end

  // ---- The same beats, executed one after the other -------------------------------------------------

  typedef struct packed {
    ctl_t        ctl, before_ctl;
    top_t        top, before_top;
    logic [7:0]  status;
    logic [63:0] result;
    logic        lo_valid;
    logic        changed;
  } answer_t;

  logic  v1_q, v2_q, v3_q, v4_q, hit2;
  beat_t b1_q, b2_q, b3_q, b4_q;
  answer_t a2, a3_q, a4_q;
  ctl_t spec_ctl_q;
  top_t spec_top_q;

  exec_spec u_spec (
    .ctl_i(spec_ctl_q), .top_i(spec_top_q), .beat_i(b2_q),
    .ctl_o(a2.ctl), .top_o(a2.top), .status_o(a2.status), .result_o(a2.result),
    .lo_valid_o(a2.lo_valid), .changed_o(a2.changed)
  );
  assign a2.before_ctl = spec_ctl_q;
  assign a2.before_top = spec_top_q;
  assign hit2 = v2_q && b2_q.index == watched_q && b2_q.kind != OpPlain;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) {v1_q, v2_q, v3_q, v4_q} <= '0;
    else {v1_q, v2_q, v3_q, v4_q} <= {valid_i, v1_q, v2_q, v3_q};
    {b1_q, b2_q, b3_q, b4_q} <= {beat_i, b1_q, b2_q, b3_q};
    {a3_q, a4_q} <= {a2, a3_q};
    if (!rst_ni) begin
      // The row may be in any state when time begins, with what 6.3 and R31 say of it.
      spec_ctl_q <= mem_ctl_q;
      spec_top_q <= mem_top_q;
    end else if (hit2 && !clear_i) begin
      spec_ctl_q <= a2.ctl;
      spec_top_q <= a2.top;
    end
  end

  always_comb begin
    if (!rst_ni) begin
      assume (mem_top_q.lo_valid || mem_top_q.lo == '0);
      assume (mem_ctl_q.state == SLOT_STATE_LIVE[1:0] || mem_top_q == '0);
    end
  end

  // ---- What must be equal -------------------------------------------------------------------------

  logic hit3, hit4, begin3, ok3, plain3, item3, wants3, wants4, late3, starts3;
  assign hit3 = v3_q && b3_q.index == watched_q && b3_q.kind != OpPlain;
  assign hit4 = v4_q && b4_q.index == watched_q;
  assign ok3 = a3_q.status == STATUS_OK;
  assign begin3 = b3_q.kind inside {OpAdd, OpDelete};
  assign plain3 = b3_q.kind == OpPlain;
  assign item3 = v3_q && b3_q.kind == OpItem;
  assign wants3 = b3_q.kind inside {OpVerify, OpView} || (b3_q.kind == OpQuery && b3_q.record && ok3);
  assign wants4 = b4_q.kind inside {OpVerify, OpView} ||
                  (b4_q.kind == OpQuery && b4_q.record && a4_q.status == STATUS_OK);
  assign late3 = ok3 && (begin3 || (b3_q.kind == OpQuery && b3_q.record));
  assign starts3 = begin3 && ok3;

  // UPDATE4: what is known of the items so far, and the sum over all.
  logic [2:0] done_items_q;      // items that are through
  logic [3:0] known_q, known, known_changed_q, known_changed;
  logic [3:0][7:0] known_status_q, known_status;
  always_comb begin
    {known, known_changed, known_status} = {known_q, known_changed_q, known_status_q};
    if (b3_q.item == '0) {known, known_changed, known_status} = '0;
    known[b3_q.item] = hit3;
    known_changed[b3_q.item] = a3_q.changed;
    known_status[b3_q.item] = a3_q.status;
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) done_items_q <= '0;
    else if (item3) begin
      done_items_q <= b3_q.last ? '0 : 3'(b3_q.item) + 3'd1;
      {known_q, known_changed_q, known_status_q} <= {known, known_changed, known_status};
    end
  end
  // An item of the watched slot has its own status; one that was not given has none.
  logic [3:0] bytes_bad, item_wrong, kept_wrong;
  for (genvar i = 0; i < 4; i++) begin : gen_item
    assign bytes_bad[i] = done.result[8*i +: 8] != STATUS_OK;
    assign item_wrong[i] =
        (known[i] && (done.result[8*i +: 8] != known_status[i] ||
                      done.result[32 + i] != known_changed[i])) ||
        (i > 32'(b3_q.item) && (bytes_bad[i] || done.result[32 + i]));
    assign kept_wrong[i] = (i < 32'(done_items_q))
        ? known_q[i] && (u_exec.items_q[8*i +: 8] != known_status_q[i] ||
                         u_exec.items_q[32 + i] != known_changed_q[i])
        : known_q[i] || u_exec.items_q[8*i +: 8] != '0 || u_exec.items_q[32 + i];
  end

  // The row that the pipeline leaves behind, with the write that is under way.
  ctl_t left_ctl;
  top_t left_top;
  assign left_ctl = (we && waddr == watched_q) ? wctl : mem_ctl_q;
  assign left_top = (we && waddr == watched_q) ? wtop : mem_top_q;

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      Row: assert (left_ctl == spec_ctl_q && left_top == spec_top_q);
      RowMakesSense: assert ((spec_top_q.lo_valid || spec_top_q.lo == '0) &&
                             (spec_ctl_q.state == SLOT_STATE_LIVE[1:0] || spec_top_q == '0));
      if (!v3_q) begin
        NothingWithoutBeat: assert (!we && !cfg_re && !cfg_we && !begins && !refused && !done_valid &&
                                    !pkt_valid && !fixed && !record_none && !stage_drop && !sa_down);
      end else begin
        OwnRow: assert (waddr == b3_q.index && cfg_addr == b3_q.index);
        Packet: assert (pkt_valid == (b3_q.kind == OpPacket));
        Fixed: assert (fixed == (b3_q.kind == OpFix));
        Silent: assert (!done_valid || !(b3_q.kind inside {OpVerify, OpFix, OpView, OpPacket}));
      end
      if (v3_q && (hit3 || plain3) && !item3) begin
        DoneInTime: assert (done_valid == (b3_q.last && !late3));
        if (b3_q.last && !late3) begin
          Done: assert (done.pair == b3_q.pair && done.ring == b3_q.ring &&
                        done.cookie == b3_q.cookie && done.opcode == b3_q.opcode &&
                        done.status == (plain3 ? b3_q.status : a3_q.status) &&
                        done.result == (plain3 ? '0 : a3_q.result) &&
                        done.lo_valid == (!plain3 && a3_q.lo_valid) &&
                        done.changed == (!plain3 && a3_q.changed));
        end
      end
      if (v3_q && plain3) PlainStays: assert (!we && !begins && !refused && !cfg_re && !cfg_we);
      if (hit3) begin
        PacketSees: assert (!pkt_valid || pkt_top == a3_q.top);
        Begins: assert (begins == starts3 && refused == (begin3 && !ok3) && cfg_we == starts3);
        Refused: assert (!begin3 || ok3 || !we);
        if (starts3) begin
          BeginOf: assert (begin_beat == b3_q &&
                           begin_top == (b3_q.kind == OpAdd ? a3_q.top : a3_q.before_top));
        end
        Drops: assert (stage_drop == (starts3 && b3_q.kind == OpDelete));
        Down: assert (sa_down == (stage_drop && a3_q.before_ctl.state == SLOT_STATE_LIVE[1:0]));
        NoRecord: assert (record_none == (b3_q.kind == OpQuery && b3_q.record && !ok3));
        ReadsRow: assert (cfg_re == wants3);
      end
      if (!v4_q) NoRowWithoutBeat: assert (!row_valid);
      if (hit4) begin
        RowInTime: assert (row_valid == wants4);
        if (wants4) begin
          RowOf: assert (row_beat == b4_q && row_ctl == a4_q.before_ctl && row_top == a4_q.before_top);
          if (b4_q.kind == OpQuery) begin
            RowDone: assert (row_done.pair == b4_q.pair && row_done.ring == b4_q.ring &&
                             row_done.cookie == b4_q.cookie && row_done.opcode == b4_q.opcode &&
                             row_done.status == STATUS_OK && row_done.result == a4_q.result &&
                             row_done.lo_valid == a4_q.lo_valid && !row_done.changed);
          end
        end
      end
      if (item3) begin
        ItemsInTime: assert (done_valid == b3_q.last);
        if (b3_q.last) begin
          ItemsAs: assert (item_wrong == '0);
          ItemsSum: assert (done.status == (bytes_bad == '0 ? STATUS_OK : STATUS_ITEMS) &&
                            done.changed == (done.result[35:32] != '0) && !done.lo_valid &&
                            done.result[63:36] == '0 && done.pair == b3_q.pair &&
                            done.ring == b3_q.ring && done.cookie == b3_q.cookie &&
                            done.opcode == b3_q.opcode);
        end
      end
    end
  end

  // What makes the induction step hold from any state: both sides have the same beats on their way, see
  // the same row in every stage, and remember the same items.
  logic hit1;
  assign hit1 = v1_q && b1_q.index == watched_q && b1_q.kind != OpPlain;
  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      SameBeats: assert (u_exec.valid1_q == v1_q && u_exec.valid2_q == v2_q && u_exec.valid3_q == v3_q &&
                         (!v1_q || u_exec.beat1_q == b1_q) && (!v2_q || u_exec.beat2_q == b2_q) &&
                         (!v3_q || u_exec.beat3_q == b3_q));
      Captured: assert (!hit1 || (u_exec.ctl1 == spec_ctl_q && u_exec.top1 == spec_top_q));
      Executed: assert (!hit2 || (u_exec.ctl2 == spec_ctl_q && u_exec.top2 == spec_top_q));
    end
  end

  // How many items of its UPDATE4 are ahead of a beat that is in each stage.
  function automatic logic [2:0] behind(logic [2:0] ahead, logic valid, beat_t beat);
    if (!valid || beat.kind != OpItem) return ahead;
    return beat.last ? '0 : 3'(beat.item) + 3'd1;
  endfunction
  function automatic logic in_turn(logic [2:0] ahead, logic valid, beat_t beat);
    return !valid || beat.kind != OpItem || (3'(beat.item) == ahead && (beat.last || beat.item != 2'd3));
  endfunction
  logic [2:0] ahead1, ahead2;
  assign ahead2 = behind(done_items_q, v3_q, b3_q);
  assign ahead1 = behind(ahead2, v2_q, b2_q);
  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      ItemsInTurn: assert (in_turn(done_items_q, v3_q, b3_q) && in_turn(ahead2, v2_q, b2_q) &&
                           in_turn(ahead1, v1_q, b1_q) && next_q == behind(ahead1, v1_q, b1_q));
      ItemsFew: assert (next_q <= 3'd3 && done_items_q <= 3'd3);
      if (done_items_q != '0) begin
        ItemsKept: assert (kept_wrong == '0);
        ItemsBad: assert (u_exec.bad_item_q == (u_exec.items_q[31:0] != '0));
        ItemsRest: assert (u_exec.items_q[63:36] == '0);
      end
    end
  end

  // ---- Not vacuous ----------------------------------------------------------------------------------

  // Which of the beats ahead, on the watched slot, were ADDs that took effect, and how far ahead.
  logic [4:1] add_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) add_q <= '0;
    else add_q <= {add_q[3:1], hit2 && b2_q.kind == OpAdd && a2.status == STATUS_OK};
  end
  logic update2;
  assign update2 = rst_ni && hit2 && b2_q.kind == OpUpdate && a2.status == STATUS_OK && a2.changed;
  always_ff @(posedge clk_i) begin
    if (rst_ni && !clear_i) begin
      UpdateBehindAdd1: cover (update2 && add_q[1]);
      UpdateBehindAdd2: cover (update2 && add_q[2] && v3_q);
      UpdateBehindAdd3: cover (update2 && add_q[3] && v3_q && v4_q);
      UpdateBehindAdd4: cover (update2 && add_q[4]);
      UpdateTwice: cover (update2 && hit3 && b3_q.kind == OpUpdate && ok3 && a3_q.changed &&
                          b2_q.cas && b3_q.cas);
      Advance: cover (update2 && b2_q.mode == UPDATE_MODE_HI[1:0] && a2.top.lo_valid);
      Backward: cover (hit2 && a2.status == STATUS_BACKWARD && hit3 && a3_q.changed);
      Conflict: cover (hit2 && a2.status == STATUS_CONFLICT && hit3 && a3_q.changed);
      ItemsAll: cover (item3 && b3_q.last && b3_q.item == 2'd3 && known == 4'hF &&
                       done.status == STATUS_OK && known_changed == 4'hF);
      ItemsMixed: cover (item3 && b3_q.last && known == 4'h5 && done.status == STATUS_ITEMS);
      ResolveUp: cover (hit2 && b2_q.kind == OpResolve && a2.changed &&
                        a2.result[63:32] == spec_top_q.hi + 32'd1);
      ResolveDown: cover (hit2 && b2_q.kind == OpResolve && a2.status == STATUS_OK &&
                          a2.result[63:32] == spec_top_q.hi - 32'd1 && spec_top_q.hi != '0);
      PacketMoves: cover (hit2 && b2_q.kind == OpPacket && a2.changed && hit3 &&
                          b3_q.kind == OpAdd && ok3);
      PacketStays: cover (pkt_valid && hit3 && b3_q.commit && !a3_q.changed);
      Reborn: cover (hit2 && b2_q.kind == OpAdd && a2.changed && hit3 && b3_q.kind == OpDelete && ok3);
      Broken: cover (hit2 && b2_q.kind == OpDelete && a2.status == STATUS_OK && hit3 &&
                     b3_q.kind == OpFix);
      Recorded: cover (hit4 && row_valid && b4_q.kind == OpQuery && hit3 && b3_q.kind == OpUpdate &&
                       a3_q.changed);
      Verified: cover (hit4 && row_valid && b4_q.kind == OpVerify);
      Viewed: cover (hit4 && row_valid && b4_q.kind == OpView);
    end
  end
endmodule
