// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The read requests of the DMA master: what is offered stays until it is taken, reset or not; a read is
// within 512 bytes (R11), has an id that no other read on its way has, and room for its slots.
//
// Four ids, sixteen slots and two pairs instead of 32, 256 and 64, so that the slots of all reads can be
// added up. The pairs may say anything that esnic_qp can; answers come in any order, beats of different
// reads mixed, each read with as many as it asked for.
module sq_fetch_formal
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned QueuePairs = 2,
  parameter int unsigned InFlight = 16,
  parameter int unsigned Tags = 4
) (
  input logic                        clk_i,
  input logic                        clear_i,
  input logic                        run_i,
  input logic [QueuePairs-1:0]       can_fetch_i,
  input logic [QueuePairs-1:0]       drop_i,
  input logic [QueuePairs-1:0]       settled_i,
  input logic [QueuePairs-1:0][3:0]  sq_log2_i,
  input logic [QueuePairs-1:0][15:0] credits_i,
  input logic [QueuePairs-1:0][31:0] fetch_head_i,
  input logic [QueuePairs-1:0][31:0] sq_tail_i,
  input logic [63:0]                 sq_base_i,
  input logic                        bell_i,
  input pair_t                       bell_pair_i,
  input logic                        arready_i,
  input logic [5:0]                  rid_i,
  input logic [511:0]                rdata_i,
  input logic [1:0]                  rresp_i,
  input logic                        rlast_i,
  input logic                        rvalid_i,
  input logic                        pop_i,
  input logic                        skip_ready_i
);
  logic rst_ni = 1'b0;
  always_ff @(posedge clk_i) rst_ni <= 1'b1;

  // Constant while out of reset, and any.
  logic [15:0] epoch_q;
  always_ff @(posedge clk_i) epoch_q <= epoch_q;

  fetch_t sent;
  logic arvalid, rready, valid, odd, last, at_tail, ext;
  pair_t pair;
  line_t slot;
  logic [5:0] arid;
  logic [63:0] araddr;
  logic [7:0] arlen;

  esnic_sq_fetch #(.QueuePairs(QueuePairs), .InFlight(InFlight), .Tags(Tags)) u_fetch (
    .clk_i, .rst_ni, .clear_i, .run_i, .epoch_i(epoch_q), .scrub_i(1'b0), .scrub_row_i('0),
    .can_fetch_i, .drop_i, .settled_i, .sq_log2_i, .credits_i, .fetch_head_i, .sq_tail_i,
    .sq_pair_o(), .sq_base_i, .bell_i, .bell_pair_i, .picked_o(), .sent_o(sent), .sent_bytes_o(),
    .m_axi_arid(arid), .m_axi_araddr(araddr), .m_axi_arlen(arlen), .m_axi_arvalid(arvalid),
    .m_axi_arready(arready_i), .m_axi_rid(rid_i), .m_axi_rdata(rdata_i), .m_axi_rresp(rresp_i),
    .m_axi_rlast(rlast_i), .m_axi_rvalid(rvalid_i), .m_axi_rready(rready),
    .valid_o(valid), .pop_i(pop_i && valid), .slot_o(slot), .hint_o(), .pair_o(pair), .odd_o(odd), .last_o(last),
    .at_tail_o(at_tail), .ext_o(ext), .skip_valid_o(), .skip_pair_o(), .skip_failed_o(), .skip_iova_o(), .skip_credits_o(),
    .skip_ext_o(), .skip_ready_i, .waiting_o(), .drained_o(), .error_o(), .bad_tag_o(),
    .bad_tag_info_o()
  );

  // ---- The pairs, and the bus -------------------------------------------------------------------------

  always_comb begin
    assume (sq_base_i[11:0] == '0 && 32'(bell_pair_i) < QueuePairs);
    for (int unsigned q = 0; q < QueuePairs; q++) begin
      assume (sq_log2_i[q] != '0);
      // Told, and with a credit: esnic_qp's can_fetch_o (FetchBehindTail_A, Credit_A).
      assume (!can_fetch_i[q] || (credits_i[q] != '0 && sq_tail_i[q] != fetch_head_i[q] &&
                                  !is_behind(sq_tail_i[q], fetch_head_i[q])));
    end
    // RUN ends long before a clear's answers are in: READY waits for `drained` (R20).
    assume (!(run_i && u_fetch.draining_q));
  end

  // Beats still due of each id.
  logic [Tags-1:0][3:0] due_q;
  logic [Tags-1:0] sent_tag;
  logic go;
  assign go = sent.valid;
  always_ff @(posedge clk_i) begin
    for (int unsigned t = 0; t < Tags; t++) begin
      if (!rst_ni) due_q[t] <= '0;
      else begin
        if (rvalid_i && 32'(rid_i) == t && due_q[t] != '0) due_q[t] <= due_q[t] - 4'd1;
        if (go && 32'(u_fetch.sent_q[1:0]) == t) due_q[t] <= sent.slots + 4'(sent.ext);
      end
    end
  end
  always_comb begin
    if (rvalid_i) begin
      assume (32'(rid_i) < Tags && due_q[rid_i[1:0]] != '0 && rlast_i == (due_q[rid_i[1:0]] == 4'd1));
      // Not before the request was taken.
      assume (!arvalid || rid_i != arid);
    end
  end

  // ---- Held -----------------------------------------------------------------------------------------

  logic held_q;
  logic [77:0] ar, ar_q;
  assign ar = {arid, araddr, arlen};
  always_ff @(posedge clk_i) begin
    held_q <= rst_ni && arvalid && !arready_i;
    ar_q <= ar;
  end

  // The front slot, and the one that was taken a cycle ago without being the last one of its read.
  logic front_q, more_q;
  logic [521:0] offer, offer_q;
  assign offer = {slot, pair, odd, last, at_tail, ext};
  always_ff @(posedge clk_i) begin
    front_q <= rst_ni && valid && !pop_i && !clear_i;
    more_q <= rst_ni && valid && pop_i && !last && !drop_i[pair[0]] && !clear_i;
    offer_q <= offer;
  end
  logic [5:0] front_pair;
  assign front_pair = u_fetch.front.pair;

  // Slots that are reserved: of all reads that are not handed out, less what was of the first one.
  logic [2:0] reads;
  logic [Tags-1:0] in_use;
  logic [5:0] sum;
  logic [Tags-1:0][3:0] slots;
  assign reads = u_fetch.sent_q - u_fetch.done_ptr_q;
  for (genvar t = 0; t < Tags; t++) begin : gen_tag
    // Place in the ring of ids, counted from the oldest.
    logic [1:0] behind;
    assign behind = 2'(t) - u_fetch.done_ptr_q[1:0];
    assign in_use[t] = {1'b0, behind} < reads;
    assign slots[t] = read_slots(u_fetch.u_reads.mem[t]);
  end
  // read_t: pair, iova, odd, slots, ext, at_tail, base.
  function automatic logic [3:0] read_slots(logic [80:0] bits);
    return bits[9:6];
  endfunction
  always_comb begin
    sum = '0;
    for (int unsigned t = 0; t < Tags; t++) if (in_use[t]) sum = sum + 6'(slots[t]);
    sum = sum - 6'(u_fetch.next_q);
  end

  logic [Tags-1:0] wrong;
  for (genvar t = 0; t < Tags; t++) begin : gen_wrong
    assign wrong[t] = (u_fetch.open_q[t] != (due_q[t] != '0)) ||
        (u_fetch.open_q[t] && !u_fetch.draining_q && (!in_use[t] || u_fetch.done_q[t] ||
                               due_q[t] > slots[t] ||
                               4'(u_fetch.beat_q[t]) + due_q[t] != slots[t])) ||
        (in_use[t] && (u_fetch.open_q[t] == u_fetch.done_q[t] || slots[t] == '0 || slots[t] > 4'd8 ||
                       4'(u_fetch.u_base.mem[t][2:0]) + 4'd1 != slots[t]));
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      if (held_q) ArHeld: assert (arvalid && ar == ar_q);
      RReady: assert (rready);
      NoScrub: assert (!u_fetch.scrub_q);
      if (arvalid) Length: assert (arlen < 8'd8 && 32'(arid) < Tags && araddr[5:0] == '0);
      if (go) begin
        IdFree: assert (!u_fetch.open_q[u_fetch.sent_q[1:0]] && reads < 3'(Tags));
        Credits: assert (16'(sent.slots) <= credits_i[sent.pair[0]] && sent.slots != '0);
        Tail: assert (32'(sent.slots) + 32'(sent.ext) <=
                      sq_tail_i[sent.pair[0]] - fetch_head_i[sent.pair[0]]);
      end
      if (u_fetch.draining_q) Drains: assert (reads == '0 && u_fetch.open_q != '0);
      if (front_q) Front: assert (valid && offer == offer_q);
      if (more_q) SameRead: assert (valid && pair == offer_q[9:4]);
      if (valid && !last) MoreToCome: assert (reads != '0 && u_fetch.next_q != '0 && front_pair == pair);
      if (u_fetch.next_q != '0) NotDead: assert (!u_fetch.qp_read_dead_q[front_pair[0]] && !u_fetch.bad_q[u_fetch.done_ptr_q[1:0]]);
      Reads: assert (reads <= 3'(Tags));
      Tracked: assert (wrong == '0);
      Reserved: assert (6'(u_fetch.used_q) == sum);
      if (reads == '0) NextFirst: assert (u_fetch.next_q == '0);
      else NextIn: assert (u_fetch.next_q < slots[u_fetch.done_ptr_q[1:0]] &&
                           (u_fetch.next_q == '0 || u_fetch.done_q[u_fetch.done_ptr_q[1:0]]));
      // A read that was sent a cycle ago is not in yet, and none is sent now.
      RoomKnown: assert (!u_fetch.room_q || 32'(u_fetch.used_q) + 8 <= InFlight || u_fetch.go_q);
      JustSent: assert (!(u_fetch.go_q && go));
      AllOut: cover (reads == 3'(Tags) && u_fetch.open_q == '1);
      NoRoom: cover (32'(u_fetch.used_q) == InFlight && reads != 3'(Tags));
      HeldInReset: cover (held_q && clear_i);
      Ext: cover (go && sent.ext);
      Eight: cover (arvalid && arlen == 8'd7);
      OutOfOrder: cover (u_fetch.done_q[1] && in_use[1] && u_fetch.open_q[0]);
    end
  end
endmodule
