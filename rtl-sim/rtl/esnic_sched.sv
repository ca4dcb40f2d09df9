// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What enters the pipeline in which cycle, in two steps.
//
//   decode   the command is chosen, where direct entries alternate with fetched ones (R11), checked
//            (statuses 1 to 7) and put into a register; the ring moves on
//   issue    first packets, which never wait; then read-backs; then a look of the host at the table; then
//            the decoded command
//
// A command is issued only when everything behind the pipeline has room for it, so the pipeline never
// stalls; and not while an ADD or DELETE of the same slot still waits for its read-back.
`include "esnic_assert.svh"
module esnic_sched
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned QueuePairs = 8,
  parameter int unsigned SaCapacity = 4096,
  parameter int unsigned Pending = 16,    // completions that have a place behind the pipeline
  parameter int unsigned Records = 2
) (
  input  logic                  clk_i,
  input  logic                  rst_ni,
  input  logic                  clear_i,
  input  logic                  run_i,
  input  logic                  fatal_i,        // nothing that waits is executed any more (R23)
  input  logic [15:0]           epoch_i,
  input  straps_t               straps_i,
  input  logic [QueuePairs-1:0] drop_i,
  input  logic [QueuePairs-1:0] ring_idle_i,
  input  logic [QueuePairs-1:0] starts_i,       // the pair was enabled

  // The front of the rings, from esnic_sq_fetch.
  input  logic                  ring_valid_i,
  output logic                  ring_pop_o,
  input  line_t                 ring_slot_i,
  input  hint_t                 ring_hint_i,
  input  pair_t                 ring_pair_i,
  input  logic                  ring_odd_i,
  input  logic                  ring_last_i,
  input  logic                  ring_at_tail_i,
  input  logic                  ring_ext_i,
  input  logic                  skip_valid_i,
  output logic                  skip_ready_o,
  input  pair_t                 skip_pair_i,
  input  logic [3:0]            skip_credits_i,
  input  logic                  skip_ext_i,
  output ring_step_t            step_o,

  // The next direct command, from esnic_stage.
  input  logic                  direct_valid_i,
  output logic                  direct_ready_o,
  input  pair_t                 direct_pair_i,
  input  logic [23:0]           direct_index_i,
  input  logic [30:0]           direct_cookie_i,
  input  logic                  direct_tagged_i,
  input  logic [31:0]           direct_written_i,
  input  logic [1023:0]         direct_data_i,

  // Read-backs, and what they keep waiting.
  input  logic                  verify_valid_i,
  input  beat_t                 verify_beat_i,
  output logic                  verify_ready_o,
  input  logic                  entry_free_i,
  input  logic [VerifyW-1:0]    entry_i,
  output logic                  entry_take_o,
  output cfg_t                  row_o,
  output sa_t                   probe_o,
  input  logic                  busy_i,         // the slot that is probed waits for its read-back
  output logic                  next_o,         // a command comes to the issue, for this slot
  output sa_t                   next_index_o,
  output sa_t                   cmd_index_o,    // the command at the issue, for this slot
  input  logic                  cmd_busy_i,     // ... which waits for its read-back

  input  logic                  view_valid_i,
  input  sa_t                   view_index_i,
  output logic                  view_ready_o,

  input  logic                  pkt_valid_i,
  input  sa_t                   pkt_index_i,
  input  logic [31:0]           pkt_generation_i,
  input  logic                  pkt_commit_i,
  input  logic [63:0]           pkt_number_i,

  input  logic                  done_pop_i,     // a completion left for its line
  input  logic [1:0]            record_pop_i,   // so many records left, or were not needed
  output logic                  idle_o,         // no command is between here and the packer

  output logic                  valid_o,
  output beat_t                 beat_o,

  // Commands in the order in which they take effect, for tests and for tracing.
  output logic                  dbg_valid_o,
  output pair_t                 dbg_pair_o,
  output logic                  dbg_ring_o,
  output logic [31:0]           dbg_cookie_o,
  output logic [7:0]            dbg_opcode_o
);
  // Slots of an ADD come one after the other; the first one waits here.
  typedef struct packed {
    pair_t pair;
    logic  odd;
    line_t slot;
  } hold_t;

  logic  hold_valid_d, hold_valid_q;
  hold_t hold_q;

  // What the datapath wants, taken as it comes.
  typedef struct packed {
    logic        valid;
    logic        in_table;
    sa_t         index;
    logic [31:0] generation;
    logic        commit;
    logic [63:0] number;
  } packet_t;
  packet_t pkt_q;

  // ---- Decode: the front of the rings -------------------------------------------------------------

  localparam int unsigned IdxW = (QueuePairs > 1) ? $clog2(QueuePairs) : 1;
  logic [QueuePairs-1:0] swallow_q;   // the next slot may be the half of an answered ADD (R14)
  logic [QueuePairs-1:0] fence_q;     // a FENCE was taken: nothing follows until the ring is idle
  logic ring_add, ring_second, ring_fence, fence_wait, idle_now;
  logic hold_drop, front_drop, front_again, front_swallow, front_hold, ring_cmd, ring_other;
  logic [1:0] cmd_slots, item_q;
  logic front_dead, hold_dead;
  logic [IdxW-1:0] front;
  ring_step_t step_d, step_q;

  assign front = ring_pair_i[IdxW-1:0];
  // Not between the items of an UPDATE4: what has begun is completed.
  assign front_dead = drop_i[front] && item_q == '0;
  assign hold_dead = drop_i[hold_q.pair[IdxW-1:0]];
  assign ring_add = ring_hint_i.add;
  assign ring_second = ring_hint_i.second;
  assign ring_fence = ring_hint_i.fence;
  // A FENCE waits for what is before it, and what is behind it waits for the FENCE (4.5). What was
  // taken a cycle ago is not counted yet.
  assign idle_now = ring_idle_i[front] &&
                    !(step_q.valid && step_q.command && step_q.pair == ring_pair_i);
  assign fence_wait = !idle_now && (fence_q[front] || (ring_fence && !hold_valid_q));

  always_comb begin
    hold_drop = 1'b0;
    front_drop = 1'b0;
    front_again = 1'b0;
    front_swallow = 1'b0;
    front_hold = 1'b0;
    ring_cmd = 1'b0;
    if (hold_valid_q && hold_dead) hold_drop = 1'b1;
    else if (ring_valid_i && front_dead) front_drop = 1'b1;
    else if (hold_valid_q) ring_cmd = ring_valid_i;
    else if (ring_valid_i && ring_ext_i) front_again = 1'b1;
    else if (ring_valid_i && swallow_q[front] && ring_second) front_swallow = 1'b1;
    else if (ring_valid_i && ring_add && !ring_last_i) front_hold = 1'b1;
    else ring_cmd = ring_valid_i;
  end
  assign ring_other = hold_drop || front_drop || front_again || front_swallow;

  // An ADD takes its second half with it, wherever it stands and however it ends (R14).
  assign cmd_slots = (hold_valid_q && ring_second) ? 2'd2 : 2'd1;

  // ---- Decode: choice between ring and direct -----------------------------------------------------

  logic ring_was_last_q, sel_direct, take, ring_go, dec_ready;
  pair_t cmd_pair;

  // Items of an UPDATE4 stay together. Whose turn it is does not depend on what the slot says, which is
  // known late: where it is not to be taken, the turn is lost.
  assign sel_direct = direct_valid_i && item_q == '0 && (ring_was_last_q || !ring_valid_i);
  assign take = (sel_direct ? !ring_other : (ring_cmd && !fence_wait)) && dec_ready && run_i &&
                !clear_i;
  assign cmd_pair = sel_direct ? direct_pair_i : ring_pair_i;

  beat_t dec_beat;
  cfg_t  dec_row;
  logic  second, staged;
  line_t slot0, slot1;
  // On an even slot, with its neighbour fetched: there the second half can be (R9).
  assign second = sel_direct || (hold_valid_q && !hold_q.odd);

  always_comb begin
    slot0 = ring_slot_i;
    slot1 = ring_slot_i;
    if (sel_direct) {slot1, slot0} = direct_data_i;
    else if (hold_valid_q) slot0 = hold_q.slot;
  end

  esnic_check #(.SaCapacity(SaCapacity)) u_check (
    .straps_i,
    .epoch_i,
    .ring_i(!sel_direct),
    .second_i(second),
    .slot0_i(slot0),
    .slot1_i(slot1),
    .item_i(item_q),
    .bell_index_i(direct_index_i),
    .bell_cookie_i(direct_cookie_i),
    .tagged_i(direct_tagged_i),
    .written_i(direct_written_i),
    .staged_o(staged),
    .beat_o(dec_beat),
    .row_o(dec_row)
  );

  assign direct_ready_o = take && sel_direct;
  // Known before the command is checked, for it moves the rings: what is no UPDATE4, or is refused, has
  // no items.
  logic items_end;
  assign items_end = hold_valid_q || ring_hint_i.items == item_q ||
                     !straps_i.features[GLOBAL_FEATURES_UPDATE4_LSB];
  assign ring_go = take && !sel_direct && items_end;

  // ---- Decode: what became of the ring slots ------------------------------------------------------

  logic step;
  assign step = ring_other || ring_go || direct_ready_o;
  assign skip_ready_o = !step;

  always_comb begin
    step_d = '0;
    step_d.valid = step || skip_valid_i;
    step_d.pair = ring_pair_i;
    if (hold_drop) begin
      step_d.pair = hold_q.pair;
      step_d.credits = 4'd1;
    end else if (front_drop) begin
      step_d.credits = 4'(!ring_ext_i);
      step_d.ext_done = ring_ext_i;
    end else if (front_again) begin
      step_d.ext_done = 1'b1;
      step_d.rewind = 1'b1;
    end else if (front_swallow) begin
      step_d.slots = 2'd1;
      step_d.credits = 4'd1;
    end else if (direct_ready_o) begin
      step_d.pair = direct_pair_i;
      step_d.direct = 1'b1;
    end else if (ring_go) begin
      step_d.slots = cmd_slots;
      step_d.command = 1'b1;
      step_d.credits = 4'(cmd_slots == 2'd2 && !ring_ext_i);
      step_d.ext_done = cmd_slots == 2'd2 && ring_ext_i;
    end else begin
      step_d.pair = skip_pair_i;
      step_d.credits = skip_credits_i;
      step_d.ext_done = skip_ext_i;
    end
  end

  assign step_o = step_q;
  assign ring_pop_o = front_drop || front_again || front_swallow || front_hold ||
                      (ring_go && !(hold_valid_q && cmd_slots == 2'd1));

  always_comb begin
    hold_valid_d = hold_valid_q;
    if (front_hold) hold_valid_d = 1'b1;
    else if (hold_drop || (ring_go && hold_valid_q)) hold_valid_d = 1'b0;
    if (clear_i) hold_valid_d = 1'b0;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {hold_valid_q, item_q, ring_was_last_q, swallow_q, fence_q, step_q} <= '0;
    else begin
      hold_valid_q <= hold_valid_d;
      step_q <= clear_i ? '0 : step_d;
      if (front_swallow) swallow_q[front] <= 1'b0;
      if (take) begin
        item_q <= (sel_direct || items_end) ? '0 : item_q + 2'd1;
        ring_was_last_q <= !sel_direct;
      end else if (ring_cmd && fence_wait) begin
        ring_was_last_q <= 1'b1;
      end
      if (ring_go) begin
        // The read ended with the first half, but not at the tail: the second one may follow.
        swallow_q[front] <= ring_add && !hold_valid_q && !ring_at_tail_i;
        fence_q[front] <= ring_fence && !hold_valid_q;
      end
      if (starts_i != '0) begin
        swallow_q <= swallow_q & ~starts_i;
        fence_q <= fence_q & ~starts_i;
      end
      if (clear_i) {item_q, ring_was_last_q, swallow_q, fence_q} <= '0;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) hold_q <= '0;
    else if (front_hold && !clear_i) begin
      hold_q <= '{pair: ring_pair_i, odd: ring_odd_i, slot: ring_slot_i};
    end else if (clear_i || (hold_valid_q && !hold_valid_d)) begin
      // Half a key is still a key (R33).
      hold_q <= '0;
    end
  end

  // ---- Between decode and issue -------------------------------------------------------------------

  logic  cmd_valid_q, cmd_go;
  beat_t cmd_q;
  cfg_t  row_q;
  logic [7:0] opcode_q;    // the byte as it was given

  assign dec_ready = !cmd_valid_q || cmd_go;
  assign row_o = row_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      cmd_valid_q <= 1'b0;
      cmd_q <= '0;
      opcode_q <= '0;
    end else begin
      cmd_valid_q <= (take || (cmd_valid_q && !cmd_go)) && !clear_i;
      if (take) begin
        cmd_q <= dec_beat;
        cmd_q.pair <= cmd_pair;
        opcode_q <= staged ? slot0[7:0] : '0;
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) row_q <= '0;
    else if (take) row_q <= dec_row;
    else if (clear_i || cmd_go) row_q <= '0;
  end

  // ---- Room behind the pipeline -------------------------------------------------------------------

  localparam int unsigned CountW = $clog2(Pending + 1);
  localparam int unsigned RecordW = $clog2(Records + 1);
  logic [CountW-1:0]  pending_d, pending_q;
  logic [RecordW-1:0] records_d, records_q;
  logic [1:0] add_verify_q;   // an ADD's read-back entered 1 and 2 cycles ago
  logic needs_entry, record, room, cmd_can, cmd_in, later_item;
  // A read-back gave way to a command: next time it does not. So the two halves of an ADD on its way in
  // leave just the gap that the read-back of an earlier one needs.
  logic verify_waited_q;

  assign needs_entry = cmd_q.kind inside {OpAdd, OpDelete};
  assign record = cmd_q.kind == OpQuery && cmd_q.record;
  assign later_item = cmd_q.kind == OpItem && cmd_q.item != '0;
  // A DELETE and an ADD that is two cycles further would meet at the `live` bits.
  assign room = (32'(pending_q) < Pending || later_item) && (!needs_entry || entry_free_i) &&
                (!record || 32'(records_q) < Records) &&
                !(cmd_q.kind == OpDelete && add_verify_q[1]) &&
                !(cmd_q.kind != OpPlain && cmd_busy_i);

  // Whose slot is probed: a look's. A read-back and a packet need no probe, and a command is compared on
  // its way here.
  assign probe_o = view_index_i;
  assign next_o = take;
  assign next_index_o = dec_beat.index;
  assign cmd_index_o = cmd_q.index;
  assign cmd_can = cmd_valid_q && room && !pkt_q.valid && !view_valid_i && !fatal_i;

  // ---- Issue --------------------------------------------------------------------------------------

  always_comb begin
    valid_o = 1'b0;
    beat_o = cmd_q;
    beat_o.entry = entry_i;
    verify_ready_o = 1'b0;
    view_ready_o = 1'b0;
    cmd_go = 1'b0;
    if (pkt_q.valid) begin
      valid_o = 1'b1;
      beat_o = '0;
      beat_o.kind = OpPacket;
      beat_o.index = pkt_q.index;
      beat_o.generation = pkt_q.generation;
      // Its lookup gave it the generation, so it moves nothing that is not live yet, or not any more; and
      // no command that is about to be refused keeps it from moving what is.
      beat_o.commit = pkt_q.commit;
      // Behind the end of the table there is nothing, neither to move nor to be told of.
      beat_o.status = pkt_q.in_table ? STATUS_OK : STATUS_BAD_INDEX;
      {beat_o.hi, beat_o.lo} = pkt_q.number;
    end else if (verify_valid_i && (verify_waited_q || !cmd_can)) begin
      valid_o = 1'b1;
      beat_o = verify_beat_i;
      verify_ready_o = 1'b1;
    end else if (view_valid_i) begin
      valid_o = !busy_i;
      view_ready_o = !busy_i;
      beat_o = '0;
      beat_o.kind = OpView;
      beat_o.index = view_index_i;
    end else if (cmd_can) begin
      valid_o = 1'b1;
      cmd_go = 1'b1;
    end
    if (clear_i) begin
      valid_o = 1'b0;
      cmd_go = 1'b0;
    end
  end

  assign entry_take_o = cmd_go && needs_entry;
  assign cmd_in = cmd_go && !later_item;

  assign dbg_valid_o = cmd_in;
  assign dbg_pair_o = cmd_q.pair;
  assign dbg_ring_o = cmd_q.ring;
  assign dbg_cookie_o = cmd_q.cookie;
  assign dbg_opcode_o = opcode_q;

  always_comb begin
    pending_d = pending_q + CountW'(cmd_in) - CountW'(done_pop_i);
    records_d = records_q + RecordW'(cmd_go && record) - RecordW'(record_pop_i);
    if (clear_i) begin
      pending_d = '0;
      records_d = '0;
    end
  end

  assign idle_o = pending_q == '0 && !cmd_valid_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      {pending_q, records_q, add_verify_q, verify_waited_q} <= '0;
      pkt_q <= '0;
    end else begin
      {pending_q, records_q} <= {pending_d, records_d};
      pkt_q <= '{valid: pkt_valid_i, in_table: 32'(pkt_index_i) < SaCapacity, index: pkt_index_i,
                 generation: pkt_generation_i, commit: pkt_commit_i, number: pkt_number_i};
      verify_waited_q <= verify_valid_i && !verify_ready_o && !clear_i;
      add_verify_q <= {add_verify_q[0], verify_ready_o && beat_o.kind == OpVerify &&
                                        beat_o.opcode == 5'(OPCODE_ADD)};
    end
  end

  `ESNIC_ASSERT(PacketFirst_A, !pkt_q.valid || clear_i || (valid_o && beat_o.kind == OpPacket))
  // R23.
  `ESNIC_ASSERT(FatalIssuesNothing_A, !fatal_i || !cmd_go)
  `ESNIC_ASSERT(ItemsEnd_A, !take || dec_beat.last == (sel_direct || items_end))
  `ESNIC_ASSERT(HalvesTogether_A, !(ring_cmd && hold_valid_q) || hold_q.pair == ring_pair_i)
  `ESNIC_ASSERT(Room_A, 32'(pending_q) <= Pending && 32'(records_q) <= Records)
  // A record belongs to a command that is not completed: none is left over.
  `ESNIC_ASSERT(RecordsBack_A, 32'(records_q) <= 32'(pending_q))
endmodule
