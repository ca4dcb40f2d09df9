// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Room behind the pipeline: a completion, a read-back and a record always find a place, so that the
// pipeline never has to stall and never loses one. From the scheduler through pipeline, read-back and
// records to the packer, as esnic_top connects them; what the scheduler counts as pending is counted
// again, in every place where it can be, and so are the credits of each pair.
//
// The table answers reads with anything. Rings, direct entries, packets, looks of the host, the memory
// bus, clears and failing pairs do what they like.
module completions_formal
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned QueuePairs = 2,
  parameter int unsigned SaCapacity = 16,
  parameter int unsigned Pending = 16,
  parameter int unsigned Records = 2,
  parameter bit Narrow = 1'b0    // for cover goals: only what they need
) (
  input logic          clk_i,
  input logic          clear_i,
  input logic          run_i,
  input logic          fatal_i,
  input logic          bus_i,
  input logic [QueuePairs-1:0] ring_idle_i,
  input logic [QueuePairs-1:0] fail_i,          // a write of this pair is refused
  input logic [QueuePairs-1:0][31:0] fail_tail_i,
  input logic          ring_valid_i,
  input line_t         ring_slot_i,
  input pair_t         ring_pair_i,
  input logic          ring_odd_i,
  input logic          ring_last_i,
  input logic          ring_at_tail_i,
  input logic          ring_ext_i,
  input logic          skip_valid_i,
  input pair_t         skip_pair_i,
  input logic [3:0]    skip_credits_i,
  input logic          skip_ext_i,
  input logic          direct_valid_i,
  input pair_t         direct_pair_i,
  input logic [23:0]   direct_index_i,
  input logic [30:0]   direct_cookie_i,
  input logic          direct_tagged_i,
  input logic [31:0]   direct_written_i,
  input logic [1023:0] direct_data_i,
  input logic          view_valid_i,
  input sa_t           view_index_i,
  input logic          pkt_valid_i,
  input sa_t           pkt_index_i,
  input logic          pkt_commit_i,
  input ctl_t          ctl_i,
  input top_t          top_i,
  input cfg_t          cfg_i,
  input logic [63:0]   cq_base_i,
  input logic          line_ready_i,
  input logic          rec_ready_i,
  input logic          answered_i,
  input logic          answered_bad_i
);
  logic rst_ni = 1'b0;
  always_ff @(posedge clk_i) rst_ni <= 1'b1;

  // Constant while out of reset, and any.
  straps_t straps_q;
  logic [15:0] epoch_q;
  logic [QueuePairs-1:0][3:0] cq_log2_q;
  always_ff @(posedge clk_i) {straps_q, epoch_q, cq_log2_q} <= {straps_q, epoch_q, cq_log2_q};

  // ---- Device -------------------------------------------------------------------------------------

  logic ring_pop, skip_ready, direct_ready, verify_valid, verify_ready, entry_free, entry_take, busy;
  logic view_ready, done_pop, idle, beat_valid, begins, refused, exec_valid, row_valid;
  logic record_none, record_left, fixed, verify_done, rec_valid, rec_done_valid, rec_done_ready;
  logic line_valid, next, cmd_busy;
  sa_t next_index, cmd_index;
  hint_t ring_hint;
  logic [1:0] record_pop;
  beat_t beat, verify_beat, begin_beat, row_beat;
  logic [VerifyW-1:0] entry;
  cfg_t take_row;
  sa_t probe;
  top_t begin_top, row_top;
  ctl_t row_ctl;
  done_t exec_done, verify_done_data, row_done, record_done;
  ring_step_t step;
  group_t sent, dropped;
  logic [QueuePairs-1:0] drop_q;
  logic [QueuePairs-1:0][31:0] cq_tail_q;

  // As esnic_sq_fetch finds it in the slot.
  always_comb begin
    ring_hint = '0;
    ring_hint.add = ring_slot_i[7:0] == 8'(OPCODE_ADD);
    ring_hint.second = ring_slot_i[7:0] == 8'(OPCODE_ADD_SECOND);
    ring_hint.fence = ring_slot_i[7:0] == 8'(OPCODE_FENCE);
    if (ring_slot_i[7:0] == 8'(OPCODE_UPDATE4) && ring_slot_i[31:16] == epoch_q &&
        update4_fields(ring_slot_i)) begin
      ring_hint.items = ring_slot_i[9:8] - 2'd1;
    end
  end

  esnic_sched #(
    .QueuePairs(QueuePairs), .SaCapacity(SaCapacity), .Pending(Pending), .Records(Records)
  ) u_sched (
    .clk_i, .rst_ni, .clear_i, .run_i, .fatal_i, .epoch_i(epoch_q), .straps_i(straps_q), .drop_i(drop_q),
    .ring_idle_i, .starts_i('0),
    .ring_valid_i, .ring_pop_o(ring_pop), .ring_slot_i, .ring_hint_i(ring_hint), .ring_pair_i, .ring_odd_i, .ring_last_i,
    .ring_at_tail_i, .ring_ext_i, .skip_valid_i, .skip_ready_o(skip_ready), .skip_pair_i,
    .skip_credits_i, .skip_ext_i, .step_o(step),
    .direct_valid_i, .direct_ready_o(direct_ready), .direct_pair_i, .direct_index_i,
    .direct_cookie_i, .direct_tagged_i, .direct_written_i, .direct_data_i,
    .verify_valid_i(verify_valid), .verify_beat_i(verify_beat), .verify_ready_o(verify_ready),
    .entry_free_i(entry_free), .entry_i(entry), .entry_take_o(entry_take), .row_o(take_row),
    .probe_o(probe), .busy_i(busy), .next_o(next), .next_index_o(next_index),
    .cmd_index_o(cmd_index), .cmd_busy_i(cmd_busy), .view_valid_i, .view_index_i, .view_ready_o(view_ready),
    .pkt_valid_i, .pkt_index_i, .pkt_generation_i('0), .pkt_commit_i, .pkt_number_i('0),
    .done_pop_i(done_pop), .record_pop_i(record_pop), .idle_o(idle),
    .valid_o(beat_valid), .beat_o(beat),
    .dbg_valid_o(), .dbg_pair_o(), .dbg_ring_o(), .dbg_cookie_o(), .dbg_opcode_o()
  );

  esnic_exec u_exec (
    .clk_i, .rst_ni, .clear_i, .valid_i(beat_valid), .beat_i(beat), .ctl_i, .top_i,
    .we_o(), .waddr_o(), .ctl_o(), .top_o(), .cfg_re_o(), .cfg_we_o(), .cfg_addr_o(),
    .begin_o(begins), .refused_o(refused), .begin_beat_o(begin_beat), .begin_top_o(begin_top),
    .stage_drop_o(), .sa_down_o(), .done_valid_o(exec_valid), .done_o(exec_done),
    .pkt_valid_o(), .pkt_top_o(), .row_valid_o(row_valid), .row_beat_o(row_beat),
    .row_ctl_o(row_ctl), .row_top_o(row_top), .row_done_o(row_done),
    .record_none_o(record_none), .fixed_o(fixed), .bypass_capture_o(), .bypass_exec_o()
  );

  esnic_verify u_verify (
    .clk_i, .rst_ni, .clear_i, .scrub_i(1'b0), .scrub_row_i('0),
    .free_o(entry_free), .entry_o(entry), .take_i(entry_take), .take_index_i(cmd_index),
    .take_row_i(take_row), .probe_i(probe), .busy_o(busy), .empty_o(), .next_i(next), .next_index_i(next_index),
    .next_busy_o(cmd_busy),
    .begin_i(begins), .refused_i(refused), .begin_beat_i(begin_beat), .begin_top_i(begin_top),
    .row_o(), .valid_o(verify_valid), .ready_i(verify_ready), .beat_o(verify_beat),
    .check_i(row_valid), .check_beat_i(row_beat), .check_ctl_i(row_ctl), .check_top_i(row_top),
    .check_cfg_i(cfg_i), .fixed_i(fixed), .fixed_entry_i(begin_beat.entry),
    .live_we_o(), .live_addr_o(), .done_valid_o(verify_done), .done_o(verify_done_data)
  );

  esnic_record #(.Records(Records)) u_record (
    .clk_i, .rst_ni, .clear_i, .valid_i(row_valid && row_beat.kind == OpQuery),
    .record_i({row_beat.hi, row_beat.lo, 704'd0, row_done}),
    .wr_valid_o(rec_valid), .wr_ready_i(rec_ready_i), .wr_iova_o(), .wr_data_o(),
    .answered_i, .answered_bad_i, .done_valid_o(rec_done_valid), .done_ready_i(rec_done_ready),
    .done_o(record_done), .pop_o(record_left)
  );
  assign record_pop = 2'(record_none) + 2'(record_left);

  esnic_cq_write #(.QueuePairs(QueuePairs), .Pending(Pending)) u_cq (
    .clk_i, .rst_ni, .clear_i, .bus_i, .idle_i(idle), .drop_i(drop_q), .cq_log2_i(cq_log2_q),
    .cq_tail_i(cq_tail_q), .sq_head_i('0), .cq_pair_o(), .cq_base_i,
    .exec_valid_i(exec_valid), .exec_i(exec_done),
    .verify_valid_i(verify_done), .verify_i(verify_done_data),
    .record_valid_i(rec_done_valid), .record_ready_o(rec_done_ready), .record_i(record_done),
    .pop_o(done_pop), .valid_o(line_valid), .ready_i(line_ready_i), .iova_o(), .data_o(), .strb_o(),
    .group_o(sent), .dropped_o(dropped)
  );

  // ---- What is around: each assumption has the rule or the proof that gives it ------------------------

  logic held_q;
  logic [521:0] ring, ring_q;
  assign ring = {ring_slot_i, ring_pair_i, ring_odd_i, ring_last_i, ring_at_tail_i, ring_ext_i};
  always_ff @(posedge clk_i) begin
    held_q <= rst_ni && ring_valid_i && !ring_pop && !clear_i;
    ring_q <= ring;
  end

  logic [2:0] open_q;    // records that are written and not answered
  logic rec_sent;
  assign rec_sent = rec_valid && rec_ready_i;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) open_q <= '0;
    else open_q <= open_q + 3'(rec_sent) - 3'(answered_i);
  end

  always_comb begin
    for (int unsigned q = 0; q < QueuePairs; q++) assume (cq_log2_q[q] != '0);
    assume (32'(ring_pair_i) < QueuePairs && 32'(skip_pair_i) < QueuePairs &&
            32'(direct_pair_i) < QueuePairs);
    // The front of the rings stays until it is taken, and an ADD's halves are of one read (proof
    // `sq_fetch`: Front, SameRead).
    if (held_q) assume (ring_valid_i && ring == ring_q);
    if (u_sched.hold_valid_q && ring_valid_i && !drop_q[u_sched.hold_q.pair[0]]) begin
      assume (u_sched.hold_q.pair == ring_pair_i);
    end
    // The host looks at rows that there are (proof `host_port`), and so does the datapath.
    assume (32'(view_index_i) < SaCapacity && 32'(pkt_index_i) < SaCapacity);
    // One answer to each record (esnic_dma_write, b_rec).
    assume (!answered_i || open_q != '0);
    // Completions have the pair of their command (proofs `exec` and `fifo`).
    assume (!u_cq.in_valid || 32'(u_cq.in.pair) < QueuePairs);
    // R31, of every row (proof `exec`).
    assume (top_i.lo_valid || top_i.lo == '0);
    if (Narrow) begin
      assume (run_i && bus_i && !clear_i && !fatal_i && fail_i == '0 && !direct_valid_i &&
              !view_valid_i && !pkt_valid_i && !skip_valid_i && ring_idle_i == '0 && !ring_ext_i &&
              ring_pair_i == '0 && straps_q.features == '1 && cq_log2_q[0] == 4'd4 && top_i == '0);
    end
  end

  // The pairs, as far as completions go: places are given in order, until a write is refused (R26).
  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) begin
      drop_q <= '0;
      cq_tail_q <= '0;
    end else begin
      for (int unsigned q = 0; q < QueuePairs; q++) begin
        if (sent.valid && 32'(sent.pair) == q) cq_tail_q[q] <= cq_tail_q[q] + 32'(sent.count);
        if (fail_i[q]) begin
          drop_q[q] <= 1'b1;
          cq_tail_q[q] <= fail_tail_i[q];
        end
      end
    end
  end

  // ---- Where commands are -----------------------------------------------------------------------------

  function automatic logic ends(logic valid, beat_t beat);
    return valid && beat.last && !(beat.kind inside {OpVerify, OpFix, OpView, OpPacket});
  endfunction
  function automatic logic records(logic valid, beat_t beat);
    return valid && beat.kind == OpQuery && beat.record;
  endfunction

  // Items of the UPDATE4 that is being issued.
  logic [2:0] issued_q, ahead;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) issued_q <= '0;
    else if (u_sched.cmd_go && u_sched.cmd_q.kind == OpItem) begin
      issued_q <= u_sched.cmd_q.last ? '0 : 3'(u_sched.cmd_q.item) + 3'd1;
    end
  end
  assign ahead = (u_sched.cmd_valid_q && u_sched.cmd_q.kind == OpItem)
      ? (u_sched.cmd_q.last ? '0 : 3'(u_sched.cmd_q.item) + 3'd1) : issued_q;

  logic [VerifyEntries-1:0] waits;
  for (genvar i = 0; i < VerifyEntries; i++) begin : gen_waits
    assign waits[i] = u_verify.state_q[i] inside {3'd2, 3'd3};   // StReady, StCheck
  end

  logic [4:0] exec_fifo, verify_fifo;
  logic [1:0] write_fifo, done_fifo, bad_fifo;
  assign exec_fifo = u_cq.u_exec.wptr_q - u_cq.u_exec.rptr_q;
  assign verify_fifo = u_cq.u_verify.wptr_q - u_cq.u_verify.rptr_q;
  assign write_fifo = u_record.u_write.wptr_q - u_record.u_write.rptr_q;
  assign done_fifo = u_record.u_done.wptr_q - u_record.u_done.rptr_q;
  assign bad_fifo = u_record.u_bad.wptr_q - u_record.u_bad.rptr_q;

  logic row_query;
  assign row_query = row_valid && row_beat.kind == OpQuery;
  logic [6:0] commands, record_count;
  assign commands = 7'(issued_q != '0) + 7'(ends(u_exec.valid1_q, u_exec.beat1_q)) +
      7'(ends(u_exec.valid2_q, u_exec.beat2_q)) + 7'(ends(u_exec.valid3_q, u_exec.beat3_q)) +
      7'(row_query) + 7'($countones(waits)) + 7'(verify_done) + 7'(exec_fifo) + 7'(verify_fifo) +
      7'(done_fifo);
  assign record_count = 7'(records(u_exec.valid1_q, u_exec.beat1_q)) +
      7'(records(u_exec.valid2_q, u_exec.beat2_q)) + 7'(records(u_exec.valid3_q, u_exec.beat3_q)) +
      7'(row_query) + 7'(done_fifo);

  // Lanes of the open line, from where it begins.
  logic [3:0] lanes;
  always_comb begin
    lanes = '0;
    for (int unsigned i = 0; i < 4; i++) begin
      logic [1:0] lane;
      lane = u_cq.first_q[1:0] + 2'(i);
      if (u_cq.line_log2 == 4'd1) lane[1] = 1'b0;
      if (i < 32'(u_cq.group_q.count)) lanes[lane] = 1'b1;
    end
  end
  logic line_fits;   // within 64 bytes, and within the smallest ring
  assign line_fits = 32'(u_cq.first_q[1:0]) + 32'(u_cq.group_q.count) <= 4 &&
      (u_cq.line_log2 != 4'd1 || 32'(u_cq.first_q[0]) + 32'(u_cq.group_q.count) <= 2);

  // ---- How beats are issued: what the proofs `lookup` and `exec` take for granted ---------------------

  logic [1:0] add_verify_q;
  logic back, owner;
  assign back = beat.kind inside {OpVerify, OpFix};
  assign owner = beat.kind inside {OpAdd, OpDelete};
  always_ff @(posedge clk_i) begin
    if (!rst_ni) add_verify_q <= '0;
    else add_verify_q <= {add_verify_q[0], beat_valid && beat.kind == OpVerify &&
                                           beat.opcode == 5'(OPCODE_ADD)};
  end
  function automatic logic same_row(beat_t add, cfg_t row);
    return row.open.spi == add.spi && row.open.generation == add.generation &&
           row.open.esp == add.esp && row.open.outbound == add.outbound && row.open.esn == add.esn;
  endfunction
  // Whether the slot of the beat, and that of the command at the issue, waits for a read-back. Entry by
  // entry: all at once would be too much for the solver.
  for (genvar i = 0; i < VerifyEntries; i++) begin : gen_entry
    logic awaited;
    assign awaited = u_verify.waits[i] && u_verify.index_q[i] == beat.index;
    always_ff @(posedge clk_i) begin
      if (rst_ni && u_sched.cmd_valid_q && u_verify.waits[i]) begin
        Compared: assert (u_verify.same_q[i] == (u_verify.index_q[i] == u_sched.cmd_q.index));
      end
      // A packet moves nothing that is not live, and is not kept waiting.
      if (rst_ni && beat_valid && !back && !(beat.kind inside {OpPlain, OpPacket})) begin
        OneASlot: assert (!awaited);
      end
    end
  end
  // As esnic_check makes commands.
  function automatic logic checked(beat_t c);
    return (c.status == STATUS_OK || (c.kind == OpPlain && c.status <= STATUS_UNSUPPORTED) ||
            (c.kind == OpItem && c.status inside {STATUS_BAD_FIELD, STATUS_BAD_INDEX})) &&
           (c.last || c.kind == OpItem) &&
           (!(c.cas || c.monotone) || c.kind inside {OpUpdate, OpItem}) &&
           (!c.any || c.kind == OpQuery) && (!c.record || c.kind == OpQuery) &&
           (!c.commit || c.kind == OpResolve) &&
           (c.kind != OpUpdate || c.mode <= UPDATE_MODE_RESYNC[1:0]) &&
           (c.kind != OpAdd || (c.generation != '0 && (c.lo_valid || c.lo == '0) &&
                                (c.esn || c.hi == '0))) &&
           (c.kind != OpItem || (c.mode == UPDATE_MODE_HI[1:0] && !c.monotone &&
                                 c.expected_hi == c.hi - 32'd1)) &&
           (c.kind == OpPlain || c.status != STATUS_OK || 32'(c.index) < SaCapacity);
  endfunction
  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      if (u_sched.cmd_valid_q) begin
        Checked: assert (checked(u_sched.cmd_q));
        if (u_sched.cmd_q.kind == OpAdd) Row: assert (same_row(u_sched.cmd_q, take_row));
      end
      if (beat_valid) begin
        Back: assert (verify_ready == back && (!back || (verify_valid && beat == verify_beat)));
        Place: assert (entry_take == owner && (!owner || (entry_free && beat.entry == entry)));
        LiveBitsApart: assert (beat.kind != OpDelete || !add_verify_q[1]);
        Others: assert (beat.kind <= OpResolve || back || !(beat.cas || beat.monotone || beat.any ||
                        beat.record || beat.last) && beat.status == STATUS_OK);
      end else begin
        NoBeat: assert (!entry_take && (!verify_ready || clear_i));
      end
    end
  end

  // For the induction step: whom a place for a read-back belongs to, in each stage; and beats are as
  // esnic_check makes them.
  function automatic logic owns(logic valid, beat_t beat);
    return valid && beat.kind inside {OpAdd, OpDelete, OpVerify, OpFix};
  endfunction
  function automatic logic owned(logic valid, beat_t beat, logic [VerifyEntries-1:0][2:0] state);
    if (!owns(valid, beat)) return 1'b1;
    if (beat.kind == OpVerify) return state[beat.entry] == 3'd3;   // StCheck
    if (beat.kind == OpFix) return state[beat.entry] == 3'd5;      // StFix
    return state[beat.entry] == 3'd1;                              // StFirst
  endfunction
  function automatic logic apart(logic valid, beat_t beat, logic other_valid, beat_t other);
    return !(owns(valid, beat) && owns(other_valid, other)) || beat.entry != other.entry;
  endfunction
  function automatic logic formed(logic valid, beat_t beat);
    return !valid || ((beat.kind != OpAdd || beat.lo_valid || beat.lo == '0) &&
                      (beat.kind <= OpResolve || beat.status == STATUS_OK) && beat.kind <= OpPacket &&
                      (beat.kind > OpResolve || beat.kind == OpItem || beat.last));
  endfunction
  logic verify4;
  assign verify4 = u_exec.valid4_q && u_exec.beat4_q.kind == OpVerify;

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      Owned: assert (owned(u_exec.valid1_q, u_exec.beat1_q, u_verify.state_q) &&
                     owned(u_exec.valid2_q, u_exec.beat2_q, u_verify.state_q) &&
                     owned(u_exec.valid3_q, u_exec.beat3_q, u_verify.state_q) &&
                     owned(verify4, u_exec.beat4_q, u_verify.state_q));
      Apart: assert (apart(u_exec.valid1_q, u_exec.beat1_q, u_exec.valid2_q, u_exec.beat2_q) &&
                     apart(u_exec.valid1_q, u_exec.beat1_q, u_exec.valid3_q, u_exec.beat3_q) &&
                     apart(u_exec.valid1_q, u_exec.beat1_q, verify4, u_exec.beat4_q) &&
                     apart(u_exec.valid2_q, u_exec.beat2_q, u_exec.valid3_q, u_exec.beat3_q) &&
                     apart(u_exec.valid2_q, u_exec.beat2_q, verify4, u_exec.beat4_q) &&
                     apart(u_exec.valid3_q, u_exec.beat3_q, verify4, u_exec.beat4_q));
      Formed: assert (formed(u_exec.valid1_q, u_exec.beat1_q) && formed(u_exec.valid2_q, u_exec.beat2_q) &&
                      formed(u_exec.valid3_q, u_exec.beat3_q) && formed(u_sched.cmd_valid_q, u_sched.cmd_q));
      WholeTops: assert ((!u_exec.valid2_q || u_exec.top2.lo_valid || u_exec.top2.lo == '0) &&
                         (!u_exec.we3_q || u_exec.wtop3_q.lo_valid || u_exec.wtop3_q.lo == '0) &&
                         (!u_exec.we4_q || u_exec.wtop4_q.lo_valid || u_exec.wtop4_q.lo == '0));
    end
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      Counted: assert (7'(u_sched.pending_q) == commands);
      Room: assert (32'(u_sched.pending_q) <= Pending);
      RecordsCounted: assert (7'(u_sched.records_q) == record_count);
      RecordRoom: assert (32'(u_sched.records_q) <= Records);
      RecordWrites: assert (4'(write_fifo) + 4'(open_q) + 4'(bad_fifo) == 4'(done_fifo));
      Fifos: assert (32'(exec_fifo) <= Pending && 32'(verify_fifo) <= Pending &&
                     32'(done_fifo) <= Records);
      NoOverrun: assert (!(exec_valid && u_cq.u_exec.full) && !(verify_done && u_cq.u_verify.full) &&
                         !(row_query && u_record.u_done.full) && !(answered_i && u_record.u_bad.full));
      NeverBelow: assert (!done_pop || u_sched.pending_q != '0);
      IdleIsEmpty: assert (!idle || commands == '0);
      // Items of one UPDATE4 follow each other, with no command between them (R30).
      if (u_sched.cmd_valid_q) begin
        Items: assert (u_sched.cmd_q.kind == OpItem ? 3'(u_sched.cmd_q.item) == issued_q &&
                       (u_sched.cmd_q.last || u_sched.cmd_q.item != 2'd3) : issued_q == '0);
        Commands: assert (u_sched.cmd_q.kind <= OpResolve &&
                          (u_sched.cmd_q.last || u_sched.cmd_q.kind == OpItem));
      end
      HoldIsAdd: assert (!u_sched.hold_valid_q || u_sched.hold_q.slot[7:0] == 8'(OPCODE_ADD));
      ItemNext: assert (3'(u_sched.item_q) == ahead && ahead <= 3'd3);
      if (u_sched.item_q != '0) begin
        ItemsStay: assert (ring_valid_i && !u_sched.hold_valid_q && u_sched.dec_beat.kind == OpItem &&
                           !u_sched.ring_other &&
                           !ring_ext_i && 3'(u_sched.item_q) < ring_slot_i[10:8]);   // of `count`
      end
      if (u_cq.open_q) begin
        LineLanes: assert (u_cq.lanes_q == lanes && line_fits && u_cq.group_q.count != '0);
        LinePair: assert (32'(u_cq.group_q.pair) < QueuePairs);
        if (!drop_q[u_cq.line_pair]) InOrder: assert (u_cq.first_q == cq_tail_q[u_cq.line_pair]);
      end else begin
        LineEmpty: assert (u_cq.lanes_q == '0 && u_cq.group_q.count == '0);
      end
    end
  end

  // ---- Not vacuous ----------------------------------------------------------------------------------

  // Looked for at the end alone: that a goal is not reached earlier is what takes the solver long.
  localparam int unsigned End = 13;
  logic [3:0] cycle_q;
  logic [5:0] reached_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) {cycle_q, reached_q} <= '0;
    else begin
      if (cycle_q != '1) cycle_q <= cycle_q + 4'd1;
      if (32'(u_sched.pending_q) == Pending && 32'(exec_fifo) >= Pending / 2) reached_q[0] <= 1'b1;
      if (u_sched.cmd_valid_q && !u_sched.room && 32'(u_sched.pending_q) == Pending) reached_q[1] <= 1'b1;
      if (32'(u_sched.records_q) == Records && open_q == 3'd2) reached_q[2] <= 1'b1;
      if (sent.valid && u_exec.valid3_q && u_exec.beat3_q.item == 2'd3) reached_q[3] <= 1'b1;
      if (record_none && record_left) reached_q[4] <= 1'b1;
      if (sent.valid && sent.count == 3'd4) reached_q[5] <= 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (rst_ni && 32'(cycle_q) == End) begin
      Crowded: cover (reached_q[0]);
      Stalls: cover (reached_q[1]);
      BothRecords: cover (reached_q[2]);
      FourItems: cover (reached_q[3]);
      BothLeave: cover (reached_q[4]);
      FullLine: cover (reached_q[5]);
    end
  end
endmodule
