// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Ring reads: picks a pair, sends a read of up to 8 slots, puts the answers in order and hands the slots
// out in the order in which the reads were sent, which for each pair is ring order (R11).
//
// A tag is both the AXI id and the place in a ring of reads; slots are reserved when the read is sent.
// So answers may come in any order and always have room.
`include "esnic_assert.svh"
module esnic_sq_fetch
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned QueuePairs = 8,
  parameter int unsigned InFlight = 256,
  parameter int unsigned Tags = 32
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  input  logic                    clear_i,
  input  logic                    run_i,
  input  logic [15:0]             epoch_i,       // one and the same while the device runs
  input  logic                    scrub_i,
  input  logic [31:0]             scrub_row_i,

  // The pairs.
  input  logic [QueuePairs-1:0]       can_fetch_i,
  input  logic [QueuePairs-1:0]       drop_i,
  input  logic [QueuePairs-1:0]       settled_i,
  input  logic [QueuePairs-1:0][3:0]  sq_log2_i,
  input  logic [QueuePairs-1:0][15:0] credits_i,
  input  logic [QueuePairs-1:0][31:0] fetch_head_i,
  input  logic [QueuePairs-1:0][31:0] sq_tail_i,
  output pair_t                       sq_pair_o,     // whose ring is read next
  input  logic [63:0]                 sq_base_i,
  input  logic                        bell_i,        // the tail of bell_pair_i is being moved
  input  pair_t                       bell_pair_i,
  output logic [QueuePairs-1:0]       picked_o,      // credits of this one are being spent

  output fetch_t                  sent_o,
  output logic [9:0]              sent_bytes_o,

  output logic [5:0]              m_axi_arid,
  output logic [63:0]             m_axi_araddr,
  output logic [7:0]              m_axi_arlen,
  output logic                    m_axi_arvalid,
  input  logic                    m_axi_arready,
  input  logic [5:0]              m_axi_rid,
  input  logic [511:0]            m_axi_rdata,
  input  logic [1:0]              m_axi_rresp,
  input  logic                    m_axi_rlast,
  input  logic                    m_axi_rvalid,
  output logic                    m_axi_rready,

  // The next slot.
  output logic                    valid_o,
  input  logic                    pop_i,
  output line_t                   slot_o,
  output hint_t                   hint_o,
  output pair_t                   pair_o,
  output logic                    odd_o,
  output logic                    last_o,        // of its read
  output logic                    at_tail_o,     // and of all that the host had told of
  output logic                    ext_o,         // read without a credit
  // A read that is not executed: it failed, or its pair dropped what it had (R27).
  output logic                    skip_valid_o,
  output pair_t                   skip_pair_o,
  output logic                    skip_failed_o,
  output logic [63:0]             skip_iova_o,
  output logic [3:0]              skip_credits_o,
  output logic                    skip_ext_o,
  input  logic                    skip_ready_i,

  output logic                    waiting_o,     // a read is under way and nothing is there
  output logic                    drained_o,
  output logic                    error_o,       // a read was answered with an error
  output logic                    bad_tag_o,     // an answer to nothing
  output logic [31:0]             bad_tag_info_o
);
  localparam int unsigned IdxW = (QueuePairs > 1) ? $clog2(QueuePairs) : 1;
  localparam int unsigned TagW = $clog2(Tags);
  localparam int unsigned SlotW = $clog2(InFlight);

  typedef struct packed {
    pair_t            pair;
    logic [63:0]      iova;
    logic             odd;      // first ring index
    logic [3:0]       slots;
    logic             ext;
    logic             at_tail;
    logic [SlotW-1:0] base;
  } read_t;

  // ---- Choice of the next read --------------------------------------------------------------------

  logic [QueuePairs-1:0] want;
  logic pick_valid, go;
  logic [IdxW-1:0] pick, pick_q;
  logic pick_valid_q, room_q;
  logic [31:0] head, place, told;
  logic [15:0] credits;
  logic [63:0] iova;
  logic [3:0]  sq_log2, room, most, whole, told_max, slots, total;
  logic        few, second, ext, at_tail;
  logic [SlotW:0] used_d, used_q;
  logic [TagW:0] sent_d, sent_q, done_ptr_d, done_ptr_q;   // tags: next to send, next to hand out
  logic tag_free, ar_valid_d, ar_valid_q;

  // First a pair is picked, then its read is made up: a read in two cycles, of up to eight slots. A
  // doorbell picks its pair while the tail is still on its way into the register.
  // What was sent a cycle ago is being booked: its pair still shows what it was before.
  logic go_q;
  always_comb begin
    want = can_fetch_i;
    if (go_q) want[pick_q] = 1'b0;
    if (bell_i) want[bell_pair_i[IdxW-1:0]] = 1'b1;
    picked_o = '0;
    picked_o[pick_q] = pick_valid_q;
  end

  prim_arbiter_rr #(.N(QueuePairs)) u_arb (
    .clk_i, .rst_ni, .clear_i, .req_i(want), .valid_o(pick_valid), .idx_o(pick),
    .take_i(go), .take_idx_i(pick_q)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      pick_valid_q <= 1'b0;
      pick_q <= '0;
      go_q <= 1'b0;
    end else begin
      // One cycle, whatever comes of it: direct entries of this pair wait meanwhile.
      pick_valid_q <= pick_valid && !pick_valid_q && !clear_i;
      if (!pick_valid_q) pick_q <= pick;
      go_q <= go;
    end
  end

  assign sq_pair_o = pair_t'(pick_q);
  assign head = fetch_head_i[pick_q];
  assign credits = credits_i[pick_q];
  assign sq_log2 = sq_log2_i[pick_q];

  always_comb begin
    place = head & ((32'd1 << sq_log2) - 32'd1);
    iova = sq_base_i + {26'd0, place, 6'd0};
    // Within one aligned block, and past neither the end of the ring nor the tail (R11). Only a ring that
    // is smaller than a block ends inside of one.
    unique case (sq_log2)
      4'd1: room = 4'd2 - {3'd0, head[0]};
      4'd2: room = 4'd4 - {2'd0, head[1:0]};
      default: room = 4'(FetchSlots) - {1'b0, head[2:0]};
    endcase
    // One credit is enough for an ADD (R7): where credits end between two halves, the second one is
    // read too. If it is none, it is read again later.
    few = credits[15:4] == '0 && credits[3:0] < room;
    most = few ? credits[3:0] : room;
    second = few && (head[0] ^ most[0]);
    whole = most + 4'(second);
    // All of that is known when the distance to the tail is.
    told = sq_tail_i[pick_q] - head;
    told_max = (told[31:3] != '0) ? 4'(FetchSlots) : told[3:0];
    ext = second && told_max > most;
    slots = (told_max > most) ? most : told_max;
    total = (told_max > most) ? whole : told_max;
    at_tail = told[31:4] == '0 && told[3:0] == total;
  end

  assign tag_free = sent_q != {~done_ptr_q[TagW], done_ptr_q[TagW-1:0]};
  // No ready of the bus leads into the device: what was offered is taken first.
  assign go = pick_valid_q && can_fetch_i[pick_q] && run_i && tag_free && room_q && !ar_valid_q &&
              !clear_i;

  assign sent_o = '{valid: go, pair: pair_t'(pick_q), slots: slots, ext: ext};
  assign sent_bytes_o = go ? {total, 6'd0} : '0;

  // ---- Read channel: requests ---------------------------------------------------------------------

  logic [5:0]       ar_id_d, ar_id_q;
  logic [63:0]      ar_addr_d, ar_addr_q;
  logic [3:0]       ar_len_d, ar_len_q;
  logic [SlotW-1:0] alloc_d, alloc_q;
  read_t            new_read;

  always_comb begin
    // What is offered stays, reset or not; R20 only forbids new requests.
    ar_valid_d = ar_valid_q && !m_axi_arready;
    ar_id_d = ar_id_q;
    ar_addr_d = ar_addr_q;
    ar_len_d = ar_len_q;
    alloc_d = alloc_q;
    sent_d = sent_q;
    new_read = '{pair: pair_t'(pick_q), iova: iova, odd: head[0], slots: total, ext: ext,
                 at_tail: at_tail, base: alloc_q};
    if (go) begin
      ar_valid_d = 1'b1;
      ar_id_d = 6'(sent_q[TagW-1:0]);
      ar_addr_d = iova;
      ar_len_d = total - 4'd1;
      alloc_d = alloc_q + SlotW'(total);
      sent_d = sent_q + 1'b1;
    end
    if (clear_i) begin
      alloc_d = '0;
      sent_d = '0;
    end
  end

  assign m_axi_arid = ar_id_q;
  assign m_axi_araddr = ar_addr_q;
  assign m_axi_arlen = 8'(ar_len_q);
  assign m_axi_arvalid = ar_valid_q;

  // ---- Read channel: answers ----------------------------------------------------------------------

  logic [Tags-1:0]      open_d, open_q, done_d, done_q, bad_d, bad_q;
  logic [Tags-1:0][2:0] beat_d, beat_q;
  logic [TagW-1:0]      rtag;
  logic                 rbeat, known, stale, last_beat, miscount;
  logic [2:0]           rlast_beat;   // of the read that is answered
  logic [SlotW-1:0]     rbase;
  // Reads that were sent before a reset and are not answered yet: their data is dropped.
  logic [TagW:0]        open_left, open_count_d, open_count_q;
  logic                 draining_d, draining_q;

  assign m_axi_rready = 1'b1;
  assign rtag = m_axi_rid[TagW-1:0];
  assign rbeat = m_axi_rvalid;
  assign stale = draining_q;
  assign known = 32'(m_axi_rid) < Tags && open_q[rtag];
  assign last_beat = rbeat && m_axi_rlast;
  // An answer that ends early, or does not end when it should: what it said is not believed.
  assign miscount = m_axi_rlast != (beat_q[rtag] == rlast_beat);
  assign drained_o = open_count_q == '0 && !ar_valid_q;
  // Told a cycle later: it concerns all of the device.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {bad_tag_o, bad_tag_info_o, error_o} <= '0;
    else begin
      bad_tag_o <= rbeat && !known && !clear_i;
      error_o <= last_beat && known && !stale && (bad_q[rtag] || m_axi_rresp[1] || miscount) &&
                 !clear_i;
      if (rbeat) bad_tag_info_o <= 32'(m_axi_rid);
    end
  end

  always_comb begin
    open_d = open_q;
    done_d = done_q;
    bad_d = bad_q;
    beat_d = beat_q;
    open_left = open_count_q;
    // A tag is open until its own answer ends, reset or not: a stray answer does not make up for another
    // that still comes.
    if (last_beat && known) begin
      open_left = open_count_q - 1'b1;
      open_d[rtag] = 1'b0;
    end
    open_count_d = open_left + (TagW+1)'(go);
    if (rbeat && known && !stale) begin
      beat_d[rtag] = beat_q[rtag] + 3'd1;
      if (m_axi_rresp[1]) bad_d[rtag] = 1'b1;
      if (miscount) bad_d[rtag] = 1'b1;
      if (m_axi_rlast) done_d[rtag] = 1'b1;
    end
    if (go) begin
      open_d[sent_q[TagW-1:0]] = 1'b1;
      done_d[sent_q[TagW-1:0]] = 1'b0;
      bad_d[sent_q[TagW-1:0]] = 1'b0;
      beat_d[sent_q[TagW-1:0]] = '0;
    end
    // No read goes in the cycle of a reset, nor while those of before it are drained.
    draining_d = draining_q && open_left != '0;
    if (clear_i) begin
      done_d = '0;
      draining_d = open_left != '0;
    end
  end

  // ---- Slots --------------------------------------------------------------------------------------

  typedef struct packed {
    hint_t hint;
    line_t slot;
  } stored_t;

  logic             slot_we, load, through, through_valid_q;
  stored_t          slot_ram, slot_wdata, through_q, slot_in;
  logic [SlotW-1:0] slot_waddr, slot_raddr;

  always_comb begin
    slot_in = '0;
    slot_in.slot = m_axi_rdata;
    slot_in.hint.add = m_axi_rdata[7:0] == 8'(OPCODE_ADD);
    slot_in.hint.second = m_axi_rdata[7:0] == 8'(OPCODE_ADD_SECOND);
    slot_in.hint.fence = m_axi_rdata[7:0] == 8'(OPCODE_FENCE);
    if (m_axi_rdata[7:0] == 8'(OPCODE_UPDATE4) && m_axi_rdata[31:16] == epoch_i &&
        update4_fields(m_axi_rdata)) begin
      slot_in.hint.items = m_axi_rdata[9:8] - 2'd1;
    end
  end

  always_comb begin
    // Of an answer that went wrong nothing more is kept: its beats may be more than it has room for.
    slot_we = rbeat && known && !stale && !bad_q[rtag];
    slot_waddr = rbase + SlotW'(beat_q[rtag]);
    slot_wdata = slot_in;
    // Slots may hold keys (R33).
    if (scrub_i) begin
      slot_we = scrub_row_i < InFlight;
      slot_waddr = SlotW'(scrub_row_i);
      slot_wdata = '0;
    end
  end

  // The output register of the memory holds the slot that was read last: at the end of the scrub that is
  // a row of zeros (R33).
  logic scrub_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) scrub_q <= 1'b0;
    else scrub_q <= scrub_i;
  end

  prim_ram_1r1w #(.Depth(InFlight), .Width($bits(stored_t))) u_slots (
    .clk_i, .we_i(slot_we), .waddr_i(slot_waddr), .wdata_i(slot_wdata),
    .re_i(load || scrub_q), .raddr_i(slot_raddr), .rdata_o(slot_ram)
  );

  // What is known of each read: one copy for answers, one for handing out.
  read_t front;
  prim_ram_lut #(.Depth(Tags), .Width(SlotW + 3)) u_base (
    .clk_i, .we_i(go), .waddr_i(sent_q[TagW-1:0]), .wdata_i({alloc_q, 3'(total - 4'd1)}),
    .raddr_i(rtag), .rdata_o({rbase, rlast_beat})
  );
  prim_ram_lut #(.Depth(Tags), .Width($bits(read_t))) u_reads (
    .clk_i, .we_i(go), .waddr_i(sent_q[TagW-1:0]), .wdata_i(new_read),
    .raddr_i(done_ptr_q[TagW-1:0]), .rdata_o(front)
  );

  // ---- Handing out --------------------------------------------------------------------------------

  typedef struct packed {
    pair_t pair;
    logic  odd;
    logic  last;
    logic  at_tail;
    logic  ext;
  } slot_meta_t;

  logic [3:0]  next_d, next_q;      // slot of the front read that comes next
  logic        valid_d, valid_q;
  slot_meta_t  meta_d, meta_q;
  logic        some, arrived, failed, dropped, is_last, skip;
  logic [3:0]  left;
  logic [QueuePairs-1:0] qp_read_dead_d, qp_read_dead_q;

  assign some = sent_q != done_ptr_q;
  assign arrived = some && done_q[done_ptr_q[TagW-1:0]];
  assign failed = bad_q[done_ptr_q[TagW-1:0]];
  // After a failed read the ring is at its end (R27): later reads of the pair are skipped, too.
  assign dropped = drop_i[front.pair[IdxW-1:0]] || qp_read_dead_q[front.pair[IdxW-1:0]];
  assign is_last = next_q == front.slots - 4'd1;
  assign left = front.slots - next_q;
  assign skip_valid_o = arrived && (failed || dropped) && (!valid_q || pop_i);
  assign skip = skip_valid_o && skip_ready_i;
  assign load = arrived && !failed && !dropped && (!valid_q || pop_i);
  assign slot_raddr = front.base + SlotW'(next_q);

  // A read of one slot that is next in turn goes by the memory: so does a doorbell for one command.
  assign through = slot_we && !scrub_i && m_axi_rlast && !m_axi_rresp[1] && beat_q[rtag] == '0 &&
                   front.slots == 4'd1 && rtag == done_ptr_q[TagW-1:0] && !dropped &&
                   (!valid_q || pop_i);
  assign {hint_o, slot_o} = through_valid_q ? through_q : slot_ram;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      through_q <= '0;
      through_valid_q <= 1'b0;
    end else if (through && !clear_i) begin
      through_q <= slot_in;
      through_valid_q <= 1'b1;
    end else if (clear_i || (through_valid_q && pop_i)) begin
      // It may have been half a key (R33).
      through_q <= '0;
      through_valid_q <= 1'b0;
    end
  end

  assign skip_pair_o = front.pair;
  assign skip_failed_o = failed && !dropped;
  assign skip_iova_o = front.iova;
  assign skip_credits_o = left - 4'(front.ext);
  assign skip_ext_o = front.ext;

  always_comb begin
    next_d = next_q;
    done_ptr_d = done_ptr_q;
    valid_d = valid_q && !pop_i;
    meta_d = meta_q;
    used_d = used_q;
    qp_read_dead_d = qp_read_dead_q;
    if (load) begin
      valid_d = 1'b1;
      meta_d = '{pair: front.pair, odd: front.odd ^ next_q[0], last: is_last,
                 at_tail: front.at_tail, ext: front.ext && is_last};
      next_d = is_last ? '0 : next_q + 4'd1;
      used_d = used_q - 1'b1;
      if (is_last) done_ptr_d = done_ptr_q + 1'b1;
    end
    if (through) begin
      valid_d = 1'b1;
      meta_d = '{pair: front.pair, odd: front.odd, last: 1'b1, at_tail: front.at_tail,
                 ext: front.ext};
      used_d = used_q - 1'b1;
      done_ptr_d = done_ptr_q + 1'b1;
    end
    if (skip) begin
      next_d = '0;
      used_d = used_q - (SlotW+1)'(left);
      done_ptr_d = done_ptr_q + 1'b1;
      if (failed) qp_read_dead_d[front.pair[IdxW-1:0]] = 1'b1;
    end
    if (go) used_d = used_d + (SlotW+1)'(total);
    // A pair that is DISABLED has nothing under way, and starts anew.
    qp_read_dead_d &= settled_i;
    if (clear_i) begin
      next_d = '0;
      done_ptr_d = '0;
      valid_d = 1'b0;
      used_d = '0;
      qp_read_dead_d = '0;
    end
  end

  assign valid_o = valid_q;
  assign {pair_o, odd_o, last_o, at_tail_o, ext_o} = meta_q;
  assign waiting_o = some && !arrived && !valid_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      {ar_valid_q, ar_id_q, ar_addr_q, ar_len_q} <= '0;
      {alloc_q, sent_q, done_ptr_q, used_q, next_q} <= '0;
      {open_q, done_q, bad_q, beat_q} <= '0;
      {open_count_q, draining_q} <= '0;
      {valid_q, meta_q, qp_read_dead_q} <= '0;
      room_q <= 1'b0;
    end else begin
      {ar_valid_q, ar_id_q, ar_addr_q, ar_len_q} <= {ar_valid_d, ar_id_d, ar_addr_d, ar_len_d};
      {alloc_q, sent_q, done_ptr_q, used_q, next_q} <=
        {alloc_d, sent_d, done_ptr_d, used_d, next_d};
      {open_q, done_q, bad_q, beat_q} <= {open_d, done_d, bad_d, beat_d};
      {open_count_q, draining_q} <= {open_count_d, draining_d};
      {valid_q, meta_q, qp_read_dead_q} <= {valid_d, meta_d, qp_read_dead_d};
      // For the longest read there is. A read that goes now is not looked at: none goes in the next cycle,
      // and then it is in. One that is skipped only gives its room back later.
      room_q <= 32'(used_q) + FetchSlots <= InFlight + 32'(load || through);
    end
  end

  `ESNIC_ASSERT_STABLE(ArHeld_A, m_axi_arvalid, m_axi_arready,
                       {m_axi_arid, m_axi_araddr, m_axi_arlen})
  // R11: eight slots at most, inside one block of 512 bytes and so inside one page.
  `ESNIC_ASSERT(InBlock_A, !m_axi_arvalid || 32'(m_axi_araddr[8:6]) + 32'(m_axi_arlen) < 8)
  `ESNIC_ASSERT(Room_A, 32'(used_q) <= InFlight)
  `ESNIC_ASSERT(NoReadInReset_A, !(go && draining_q))
  // What is stored belongs to the read that is answered.
  `ESNIC_ASSERT(InAnswer_A, scrub_i || !slot_we || beat_q[rtag] <= rlast_beat)
  `ESNIC_ASSERT(OpenCount_A, 32'(open_count_q) == $countones(open_q))
endmodule
