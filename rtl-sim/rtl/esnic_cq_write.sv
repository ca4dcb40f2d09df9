// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Packs completions: up to four of one pair share a 64-byte write (R12). A line goes when it is full, when
// another pair comes, and at once when nothing more is on its way. A completion gets its place in the
// ring, its phase and its sq_head here.
`include "esnic_assert.svh"
module esnic_cq_write
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned QueuePairs = 8,
  parameter int unsigned Pending = 16
) (
  input  logic                       clk_i,
  input  logic                       rst_ni,
  input  logic                       clear_i,
  input  logic                       bus_i,         // Bus Master is on (R24)
  input  logic                       idle_i,        // no command is on its way here

  // The pairs.
  input  logic [QueuePairs-1:0]       drop_i,
  input  logic [QueuePairs-1:0][3:0]  cq_log2_i,
  input  logic [QueuePairs-1:0][31:0] cq_tail_i,
  input  logic [QueuePairs-1:0][31:0] sq_head_i,
  output pair_t                       cq_pair_o,     // whose line is open
  input  logic [63:0]                 cq_base_i,

  // From the pipeline and from read-backs: they have a place here by the time they are issued.
  input  logic                       exec_valid_i,
  input  done_t                      exec_i,
  input  logic                       verify_valid_i,
  input  done_t                      verify_i,
  input  logic                       record_valid_i,
  output logic                       record_ready_o,
  input  done_t                      record_i,
  output logic                       pop_o,

  output logic                       valid_o,
  input  logic                       ready_i,
  output logic [63:0]                iova_o,
  output line_t                      data_o,
  output logic [63:0]                strb_o,
  output group_t                     group_o,
  output group_t                     dropped_o
);
  // ---- Next completion ----------------------------------------------------------------------------

  logic  exec_valid, exec_ready, verify_valid, verify_ready, in_valid, in_ready;
  done_t exec, verify, in;
  logic  unused_exec_ready, unused_verify_ready;

  prim_fifo #(.Width($bits(done_t)), .Depth(Pending), .FallThrough(1'b1)) u_exec (
    .clk_i, .rst_ni, .clear_i, .valid_i(exec_valid_i), .ready_o(unused_exec_ready),
    .data_i(exec_i), .valid_o(exec_valid), .ready_i(exec_ready), .data_o(exec)
  );
  prim_fifo #(.Width($bits(done_t)), .Depth(Pending), .FallThrough(1'b1)) u_verify (
    .clk_i, .rst_ni, .clear_i, .valid_i(verify_valid_i), .ready_o(unused_verify_ready),
    .data_i(verify_i), .valid_o(verify_valid), .ready_i(verify_ready), .data_o(verify)
  );

  // The rare ones first; they come at half the rate at most and so starve nobody.
  assign in_valid = verify_valid || record_valid_i || exec_valid;
  assign verify_ready = in_ready;
  assign record_ready_o = in_ready && !verify_valid;
  assign exec_ready = in_ready && !verify_valid && !record_valid_i;
  assign in = verify_valid ? verify : (record_valid_i ? record_i : exec);
  assign pop_o = in_valid && in_ready;

  // ---- The open line ------------------------------------------------------------------------------

  localparam int unsigned IdxW = (QueuePairs > 1) ? $clog2(QueuePairs) : 1;
  logic             open_d, open_q;
  logic [31:0]      first_d, first_q;    // ring index of its first entry
  logic [LineEntries-1:0][127:0] data_q;
  logic [LineEntries-1:0] lanes_d, lanes_q;
  group_t           group_d, group_q;
  logic [3:0]       line_log2, in_log2;
  logic             same, full, flush, drop, move, gone;
  logic [31:0]      next, place, in_index;
  logic [1:0]       in_lane;
  logic [IdxW-1:0]  line_pair, in_pair;
  completion_t      entry;

  assign line_pair = group_q.pair[IdxW-1:0];
  assign in_pair = in.pair[IdxW-1:0];
  assign cq_pair_o = group_q.pair;
  assign line_log2 = cq_log2_i[line_pair];
  assign in_log2 = cq_log2_i[in_pair];
  assign drop = drop_i[line_pair];
  assign same = open_q && in.pair == group_q.pair;
  assign next = first_q + 32'(group_q.count);
  // At the end of the 64 bytes, or of a ring of two entries (R6).
  assign full = next[1:0] == 2'd0 || (next & ((32'd1 << line_log2) - 32'd1)) == '0;
  assign flush = open_q && (full || (in_valid && !same) || (!in_valid && idle_i));
  assign valid_o = flush && !drop && bus_i;
  assign move = valid_o && ready_i;
  assign gone = move || (flush && drop);
  assign in_ready = !open_q || gone || (same && !full);
  assign in_index = same ? next : cq_tail_i[in_pair];
  // The smallest ring has two entries, half of a line (R6).
  assign in_lane = {in_index[1] && in_log2 != 4'd1, in_index[0]};

  always_comb begin
    entry = '{result: in.result, cookie: in.cookie, sq_head: sq_head_i[in_pair][15:0],
              status: in.status, info: '0};
    entry.info[COMPLETION_OPCODE_LSB +: COMPLETION_OPCODE_WIDTH] = in.opcode;
    entry.info[COMPLETION_LO_VALID_LSB] = in.lo_valid;
    entry.info[COMPLETION_CHANGED_LSB] = in.changed;
    // 1 in the first round (R6).
    entry.info[COMPLETION_PHASE_LSB] = !in_index[5'(in_log2)];
  end

  always_comb begin
    open_d = open_q && !gone;
    first_d = first_q;
    lanes_d = gone ? '0 : lanes_q;
    group_d = gone ? '0 : group_q;
    if (pop_o) begin
      if (!open_d) begin
        first_d = in_index;
        group_d.pair = in.pair;
      end
      open_d = 1'b1;
      lanes_d[in_lane] = 1'b1;
      group_d.count = group_d.count + 3'd1;
      group_d.ok = group_d.ok + 3'(in.status == STATUS_OK);
      group_d.ring = group_d.ring + 3'(in.ring);
    end
    if (clear_i) begin
      open_d = 1'b0;
      lanes_d = '0;
      group_d = '0;
    end
  end

  // Lanes that are not of this line are zero: their strobes are low, but they are seen on the bus. A line
  // begins with that, so they need no reset, which would keep a flip-flop from being cleared by its own pin.
  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < LineEntries; i++) begin
      if (pop_o && (!open_q || gone) && 32'(in_lane) != i) data_q[i] <= '0;
      else if (pop_o && 32'(in_lane) == i) data_q[i] <= entry;
    end
  end

  assign place = first_q & ((32'd1 << line_log2) - 32'd1);
  assign iova_o = cq_base_i + {28'd0, place[31:2], 6'd0};
  assign data_o = data_q;
  assign strb_o = {{16{lanes_q[3]}}, {16{lanes_q[2]}}, {16{lanes_q[1]}}, {16{lanes_q[0]}}};

  always_comb begin
    group_o = group_q;
    group_o.valid = move;
    dropped_o = group_q;
    dropped_o.valid = flush && drop;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {open_q, first_q, lanes_q, group_q} <= '0;
    else {open_q, first_q, lanes_q, group_q} <= {open_d, first_d, lanes_d, group_d};
  end

  `ESNIC_ASSERT(Line_A, !open_q || (group_q.count >= 3'd1 && group_q.count <= 3'(LineEntries)))
  `ESNIC_ASSERT(Lanes_A, !open_q || 3'($countones(lanes_q)) == group_q.count)
  // The ring's own tail is where the line begins: nothing was skipped.
  `ESNIC_ASSERT(InOrder_A, !move || first_q == cq_tail_i[line_pair])
  // No lane carries what belongs to another line, and perhaps to another pair.
  for (genvar i = 0; i < LineEntries; i++) begin : gen_lane
    `ESNIC_ASSERT(LaneIsOwn_A, !open_q || lanes_q[i] || data_q[i] == '0)
  end
endmodule
