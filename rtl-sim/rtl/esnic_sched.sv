// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What enters the pipeline in which cycle. First packets, which never wait; then read-backs; then a look
// of the host at the table; then commands, where direct entries alternate with fetched ones (R11).
//
// A command enters only when everything behind the pipeline has room for it, so the pipeline never
// stalls; and not while an ADD or DELETE of the same slot still waits for its read-back.
`include "esnic_assert.svh"
module esnic_sched
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned QueuePairs = 8,
  parameter int unsigned SaCapacity = 4096,
  parameter int unsigned MaxWindow = 4096,
  parameter logic [31:0] Features = '0,
  parameter logic [31:0] Algs = '0,
  parameter int unsigned Pending = 16,    // completions that have a place behind the pipeline
  parameter int unsigned Records = 2
) (
  input  logic                  clk_i,
  input  logic                  rst_ni,
  input  logic                  clear_i,
  input  logic                  run_i,
  input  logic [15:0]           epoch_i,
  input  qp_t [QueuePairs-1:0]  qp_i,

  // The front of the rings, from esnic_sq_fetch.
  input  logic                  ring_valid_i,
  output logic                  ring_pop_o,
  input  line_t                 ring_slot_i,
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

  input  logic                  view_valid_i,
  input  sa_t                   view_index_i,
  output logic                  view_ready_o,

  input  logic                  pkt_valid_i,
  input  sa_t                   pkt_index_i,
  input  logic [31:0]           pkt_generation_i,
  input  logic                  pkt_commit_i,
  input  logic [63:0]           pkt_number_i,

  input  logic                  done_pop_i,     // a completion left for its line
  input  logic                  record_pop_i,   // a record left, or was not needed
  output logic                  idle_o,         // no command is between here and the packer

  output logic                  valid_o,
  output beat_t                 beat_o,
  output logic                  cmd_direct_o
);
  // Slots of an ADD come one after the other; the first one waits here.
  typedef struct packed {
    pair_t pair;
    logic  odd;
    line_t slot;
  } hold_t;

  logic  hold_valid_d, hold_valid_q;
  hold_t hold_d, hold_q;

  // What the datapath wants, taken as it comes.
  typedef struct packed {
    logic        valid;
    sa_t         index;
    logic [31:0] generation;
    logic        commit;
    logic [63:0] number;
  } packet_t;
  packet_t pkt_q;

  // ---- The command at the front of the rings ------------------------------------------------------

  logic ring_add, ring_second, ring_fence, fence_wait;
  logic hold_drop, front_drop, front_again, front_swallow, front_hold, ring_cmd;
  logic [1:0] cmd_slots;
  qp_t  front_qp, hold_qp;

  localparam int unsigned IdxW = (QueuePairs > 1) ? $clog2(QueuePairs) : 1;
  assign front_qp = qp_i[ring_pair_i[IdxW-1:0]];
  assign hold_qp = qp_i[hold_q.pair[IdxW-1:0]];
  assign ring_add = ring_slot_i[7:0] == 8'(OPCODE_ADD);
  assign ring_second = ring_slot_i[7:0] == 8'(OPCODE_ADD_SECOND);
  assign ring_fence = ring_slot_i[7:0] == 8'(OPCODE_FENCE);
  // A FENCE waits for what is before it, and what is behind it waits for the FENCE (4.5).
  assign fence_wait = !front_qp.ring_idle && (front_qp.fence || (ring_fence && !hold_valid_q));

  always_comb begin
    hold_drop = 1'b0;
    front_drop = 1'b0;
    front_again = 1'b0;
    front_swallow = 1'b0;
    front_hold = 1'b0;
    ring_cmd = 1'b0;
    if (hold_valid_q && hold_qp.drop) hold_drop = 1'b1;
    else if (ring_valid_i && front_qp.drop) front_drop = 1'b1;
    else if (hold_valid_q) ring_cmd = ring_valid_i;
    else if (ring_valid_i && ring_ext_i) front_again = 1'b1;
    else if (ring_valid_i && front_qp.swallow && ring_second) front_swallow = 1'b1;
    else if (ring_valid_i && ring_add && !ring_last_i) front_hold = 1'b1;
    else ring_cmd = ring_valid_i;
  end

  // An ADD takes its second half with it, wherever it stands and however it ends (R14).
  assign cmd_slots = (hold_valid_q && ring_second) ? 2'd2 : 2'd1;

  // ---- Choice between ring and direct -------------------------------------------------------------

  logic ring_was_last_d, ring_was_last_q, sel_direct, cmd_valid;
  logic [1:0] item_d, item_q;
  pair_t cmd_pair;

  // Items of an UPDATE4 stay together.
  assign sel_direct = direct_valid_i && item_q == '0 &&
                      (ring_was_last_q || !ring_cmd || fence_wait);
  assign cmd_valid = sel_direct || (ring_cmd && !fence_wait);
  assign cmd_pair = sel_direct ? direct_pair_i : ring_pair_i;

  beat_t cmd_beat;
  logic  second;
  // On an even slot, with its neighbour fetched: there the second half can be (R9).
  assign second = sel_direct || (hold_valid_q && !hold_q.odd);

  esnic_check #(
    .SaCapacity(SaCapacity), .MaxWindow(MaxWindow), .Features(Features), .Algs(Algs)
  ) u_check (
    .epoch_i,
    .ring_i(!sel_direct),
    .second_i(second),
    .slot0_i(sel_direct ? direct_data_i[511:0] : (hold_valid_q ? hold_q.slot : ring_slot_i)),
    .slot1_i(sel_direct ? direct_data_i[1023:512] : ring_slot_i),
    .item_i(item_q),
    .bell_index_i(direct_index_i),
    .bell_cookie_i(direct_cookie_i),
    .tagged_i(direct_tagged_i),
    .written_i(direct_written_i),
    .beat_o(cmd_beat),
    .row_o
  );

  // ---- Room behind the pipeline -------------------------------------------------------------------

  localparam int unsigned CountW = $clog2(Pending + 1);
  localparam int unsigned RecordW = $clog2(Records + 1);
  logic [CountW-1:0]  pending_d, pending_q;
  logic [RecordW-1:0] records_d, records_q;
  logic [1:0] add_verify_q;   // an ADD's read-back entered 1 and 2 cycles ago
  logic needs_entry, record, room, cmd_can, cmd_go;
  // A read-back gave way to a command: next time it does not. So the two halves of an ADD on its way in
  // leave just the gap that the read-back of an earlier one needs.
  logic verify_waited_q;

  assign needs_entry = cmd_beat.kind inside {OpAdd, OpDelete};
  assign record = cmd_beat.kind == OpQuery && cmd_beat.record;
  // A DELETE and an ADD that is two cycles further would meet at the `live` bits.
  assign room = (32'(pending_q) < Pending || item_q != '0) && (!needs_entry || entry_free_i) &&
                (!record || 32'(records_q) < Records) &&
                !(cmd_beat.kind == OpDelete && add_verify_q[1]) &&
                !(cmd_beat.kind != OpPlain && busy_i);

  // Whose slot is probed; a read-back needs no probe.
  assign probe_o = pkt_q.valid ? pkt_q.index : (view_valid_i ? view_index_i : cmd_beat.index);
  assign cmd_can = cmd_valid && room && run_i && !pkt_q.valid && !view_valid_i;

  // ---- Issue --------------------------------------------------------------------------------------

  always_comb begin
    valid_o = 1'b0;
    beat_o = cmd_beat;
    beat_o.pair = cmd_pair;
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
      // Nothing that is not live yet, or not any more, moves.
      beat_o.commit = pkt_q.commit && !busy_i;
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
  assign direct_ready_o = cmd_go && sel_direct;
  assign cmd_direct_o = direct_ready_o;

  logic ring_go, cmd_in;
  assign ring_go = cmd_go && !sel_direct && cmd_beat.last;
  assign cmd_in = cmd_go && item_q == '0;

  // ---- What became of the ring slots --------------------------------------------------------------

  logic step;
  assign step = hold_drop || front_drop || front_again || front_swallow || ring_go;
  assign skip_ready_o = !step;

  always_comb begin
    step_o = '0;
    step_o.valid = step || skip_valid_i;
    step_o.pair = ring_pair_i;
    if (hold_drop) begin
      step_o.pair = hold_q.pair;
      step_o.credits = 4'd1;
    end else if (front_drop) begin
      step_o.credits = 4'(!ring_ext_i);
      step_o.ext_done = ring_ext_i;
    end else if (front_again) begin
      step_o.ext_done = 1'b1;
      step_o.rewind = 1'b1;
    end else if (front_swallow) begin
      step_o.slots = 2'd1;
      step_o.credits = 4'd1;
    end else if (ring_go) begin
      step_o.slots = cmd_slots;
      step_o.command = 1'b1;
      step_o.fence = cmd_beat.opcode == 5'(OPCODE_FENCE) && ring_fence;
      step_o.credits = 4'(cmd_slots == 2'd2 && !ring_ext_i);
      step_o.ext_done = cmd_slots == 2'd2 && ring_ext_i;
      // The read ended with the first half, but not at the tail: the second one may follow.
      step_o.swallow = ring_add && !hold_valid_q && !ring_at_tail_i;
    end else begin
      step_o.pair = skip_pair_i;
      step_o.credits = skip_credits_i;
      step_o.ext_done = skip_ext_i;
    end
  end

  assign ring_pop_o = front_drop || front_again || front_swallow || front_hold ||
                      (ring_go && !(hold_valid_q && cmd_slots == 2'd1));

  always_comb begin
    hold_valid_d = hold_valid_q;
    hold_d = hold_q;
    if (front_hold) begin
      hold_valid_d = 1'b1;
      hold_d = '{pair: ring_pair_i, odd: ring_odd_i, slot: ring_slot_i};
    end else if (hold_drop || (ring_go && hold_valid_q)) begin
      // Half a key is still a key (R33).
      hold_valid_d = 1'b0;
      hold_d = '0;
    end
    item_d = item_q;
    if (cmd_go) item_d = cmd_beat.last ? '0 : item_q + 2'd1;
    ring_was_last_d = cmd_go ? !sel_direct : ring_was_last_q;
    pending_d = pending_q + CountW'(cmd_in) - CountW'(done_pop_i);
    records_d = records_q + RecordW'(cmd_go && record) - RecordW'(record_pop_i);
    if (clear_i) begin
      hold_valid_d = 1'b0;
      hold_d = '0;
      item_d = '0;
      ring_was_last_d = 1'b0;
      pending_d = '0;
      records_d = '0;
    end
  end

  assign idle_o = pending_q == '0;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      {hold_valid_q, hold_q, item_q, ring_was_last_q} <= '0;
      {pending_q, records_q, add_verify_q, verify_waited_q} <= '0;
      pkt_q <= '0;
    end else begin
      {hold_valid_q, hold_q, item_q, ring_was_last_q} <=
        {hold_valid_d, hold_d, item_d, ring_was_last_d};
      {pending_q, records_q} <= {pending_d, records_d};
      pkt_q <= {pkt_valid_i, pkt_index_i, pkt_generation_i, pkt_commit_i, pkt_number_i};
      verify_waited_q <= verify_valid_i && !verify_ready_o && !clear_i;
      add_verify_q <= {add_verify_q[0],
                       verify_ready_o && beat_o.kind == OpVerify && beat_o.opcode == 5'(OPCODE_ADD)};
    end
  end

  `ESNIC_ASSERT(PacketFirst_A, !pkt_q.valid || clear_i || (valid_o && beat_o.kind == OpPacket))
  `ESNIC_ASSERT(HalvesTogether_A, !(ring_cmd && hold_valid_q) || hold_q.pair == ring_pair_i)
  `ESNIC_ASSERT(Room_A, 32'(pending_q) <= Pending && 32'(records_q) <= Records)
endmodule
