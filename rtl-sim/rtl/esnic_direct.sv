// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Direct doorbell rings (device manual 2.3). An entry counts once both its dwords carry the lap that is
// due, so they may come in either order and an entry of the round before is never taken for a new one.
`include "esnic_assert.svh"
module esnic_direct
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned QueuePairs = 8,
  parameter int unsigned DirectLog2 = 6
) (
  input  logic                         clk_i,
  input  logic                         rst_ni,
  input  logic                         clear_i,
  input  logic [6:0]                   epoch_i,

  // A dword of the doorbell page of an ENABLED pair.
  input  logic                         we_i,
  input  pair_t                        wr_pair_i,
  input  logic [6:0]                   wr_dword_i,  // 2 * place + dword
  input  logic [31:0]                  wr_data_i,

  input  logic [QueuePairs-1:0]        start_i,     // the pair was enabled: its ring is cleared
  input  logic [QueuePairs-1:0]        settled_i,   // not DISABLED
  input  logic [QueuePairs-1:0]        may_take_i,  // ENABLED, with a credit nobody else spends
  output logic [QueuePairs-1:0]        ready_o,     // an entry waits
  output logic [QueuePairs-1:0][31:0]  head_o,

  output logic                         take_o,      // an entry is taken: its credit is spent
  output pair_t                        take_pair_o,
  output logic                         valid_o,
  input  logic                         ready_i,
  output pair_t                        pair_o,
  output logic [23:0]                  index_o,
  output logic [30:0]                  cookie_o,
  output logic                         epoch_drop_o
);
  localparam int unsigned Places = 1 << DirectLog2;
  localparam int unsigned PlaceW = (DirectLog2 > 0) ? DirectLog2 : 1;
  localparam int unsigned Entries = QueuePairs * Places;
  localparam int unsigned EntryW = (Entries > 1) ? $clog2(Entries) : 1;
  localparam int unsigned IdxW = (QueuePairs > 1) ? $clog2(QueuePairs) : 1;


  // ---- Stores -------------------------------------------------------------------------------------

  logic [5:0] wr_place;
  logic in_ring, same_epoch, target_we, claim_we;

  assign wr_place = wr_dword_i[6:1];
  assign in_ring = we_i && 32'(wr_place) < Places;
  assign same_epoch = wr_data_i[DIRECT_ENTRY_EPOCH_LSB +: DIRECT_ENTRY_EPOCH_WIDTH] == epoch_i;
  assign target_we = in_ring && !wr_dword_i[0] && same_epoch;
  assign claim_we = in_ring && wr_dword_i[0];
  assign epoch_drop_o = in_ring && !wr_dword_i[0] && !same_epoch;

  // ---- What is due --------------------------------------------------------------------------------

  logic sel_valid, take;
  // What was there a cycle ago, and was neither taken nor stored over then.
  logic [QueuePairs-1:0] stored, ready_d, ready_q;
  logic [IdxW-1:0] sel;

  for (genvar q = 0; q < QueuePairs; q++) begin : gen_pair
    logic [Places-1:0] target_lap_q, claim_lap_q;
    logic [31:0] head_q;
    logic [PlaceW-1:0] place;
    logic lap;
    assign head_o[q] = head_q;
    assign place = PlaceW'(head_q & 32'(Places - 1));
    // 1 in the first round, 0 in the second, and so on.
    assign lap = !head_q[DirectLog2];
    assign stored[q] = in_ring && wr_pair_i == pair_t'(q) && PlaceW'(wr_place) == place;
    always_comb begin
      ready_o[q] = 1'b0;
      if (settled_i[q]) ready_o[q] = target_lap_q[place] == lap && claim_lap_q[place] == lap;
    end

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) {target_lap_q, claim_lap_q} <= '0;
      else if (clear_i || start_i[q]) {target_lap_q, claim_lap_q} <= '0;
      else if (in_ring && wr_pair_i == pair_t'(q)) begin
        if (target_we) target_lap_q[PlaceW'(wr_place)] <= wr_data_i[DIRECT_ENTRY_TARGET_LAP_LSB];
        if (claim_we) claim_lap_q[PlaceW'(wr_place)] <= wr_data_i[DIRECT_ENTRY_CLAIM_LAP_LSB];
      end
    end

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) head_q <= '0;
      else if (clear_i || start_i[q]) head_q <= '0;
      else if (take && pair_t'(sel) == pair_t'(q)) head_q <= head_q + 32'd1;
    end
  end

  always_comb begin
    ready_d = ready_o & ~stored;
    if (take) ready_d[sel] = 1'b0;
    if (clear_i) ready_d = '0;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) ready_q <= '0;
    else ready_q <= ready_d;
  end

  prim_arbiter_rr #(.N(QueuePairs)) u_arb (
    .clk_i, .rst_ni, .clear_i, .req_i(ready_q & may_take_i),
    .valid_o(sel_valid), .idx_o(sel), .take_i(take), .take_idx_i(sel)
  );

  // What was taken waits in a register: the choice of an entry is one way of logic, and what is done
  // with it in the stage buffers is another.
  logic valid_q;
  assign take = sel_valid && (!valid_q || ready_i) && !clear_i;
  assign take_o = take;
  assign take_pair_o = pair_t'(sel);
  assign valid_o = valid_q;

  // ---- What the entries say -----------------------------------------------------------------------

  logic [EntryW-1:0] waddr, raddr;
  logic [DIRECT_ENTRY_INDEX_WIDTH-1:0] index;
  logic [DIRECT_ENTRY_COOKIE_WIDTH-1:0] cookie;
  assign waddr = EntryW'(32'(wr_pair_i) * Places + 32'(wr_place));
  assign raddr = EntryW'(32'(sel) * Places + (head_o[sel] & 32'(Places - 1)));

  prim_ram_lut #(.Depth(Entries), .Width(DIRECT_ENTRY_INDEX_WIDTH)) u_target (
    .clk_i, .we_i(target_we), .waddr_i(waddr),
    .wdata_i(wr_data_i[DIRECT_ENTRY_INDEX_LSB +: DIRECT_ENTRY_INDEX_WIDTH]),
    .raddr_i(raddr), .rdata_o(index)
  );
  prim_ram_lut #(.Depth(Entries), .Width(DIRECT_ENTRY_COOKIE_WIDTH)) u_claim (
    .clk_i, .we_i(claim_we), .waddr_i(waddr),
    .wdata_i(wr_data_i[DIRECT_ENTRY_COOKIE_LSB +: DIRECT_ENTRY_COOKIE_WIDTH]),
    .raddr_i(raddr), .rdata_o(cookie)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {valid_q, pair_o, index_o, cookie_o} <= '0;
    else begin
      valid_q <= take || (valid_q && !ready_i && !clear_i);
      if (take) {pair_o, index_o, cookie_o} <= {pair_t'(sel), index, cookie};
    end
  end

  `ESNIC_ASSERT(TakeIsDue_A, !take || (ready_o[sel] && may_take_i[sel]))
endmodule
