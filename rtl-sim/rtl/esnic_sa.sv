// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The SA table: control rows, state rows and configuration rows, each by its owner. Control uses port A
// of the configuration and never port B, so that a lookup never waits. Whether a row is live is a bit of
// its own: an entry becomes visible to packets in one step, after its row was read back (4.2).
//
// Every row carries parity, and whatever is read is checked; a row that fails makes the device FATAL
// before anything that was made of it leaves.
`include "esnic_assert.svh"
module esnic_sa
  import esnic_pkg::*;
#(
  parameter int unsigned SaCapacity = 4096,
  localparam int unsigned RowW = (SaCapacity > 1) ? $clog2(SaCapacity) : 1
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        clear_i,
  input  logic        visible_i,     // READY or RUNNING: else nothing is found or written (R23)
  input  logic        scrub_i,
  input  logic [31:0] scrub_row_i,

  // Control and state row: read at issue, written at the end of the pipeline.
  input  logic        re_i,
  input  sa_t         raddr_i,
  output ctl_t        ctl_o,
  output top_t        top_o,
  input  logic        we_i,
  input  sa_t         waddr_i,
  input  ctl_t        ctl_i,
  input  top_t        top_i,

  // Configuration row, port A.
  input  logic        cfg_re_i,
  input  logic        cfg_we_i,
  input  sa_t         cfg_addr_i,
  input  cfg_t        cfg_i,
  output cfg_t        cfg_o,

  input  logic        live_we_i,
  input  sa_t         live_addr_i,
  input  logic        live_i,

  // Lookup, port B: the whole entry one cycle later.
  input  logic        lk_valid_i,
  input  sa_t         lk_index_i,
  output logic        lk_valid_o,
  output logic        lk_live_o,
  output cfg_t        lk_entry_o,

  output logic        bad_o,         // a row that was read failed its check
  output sa_t         bad_index_o,
  input  logic [1:0]  flip_i         // stores these bits of a configuration row wrong (tests)
);
  logic scrub;
  logic [RowW-1:0] row;
  logic we, cfg_we, live_we;
  assign scrub = scrub_i && scrub_row_i < SaCapacity;
  assign row = RowW'(scrub_row_i);
  // FATAL stops what is on its way through the pipeline, too: what was found bad does not get further.
  assign we = we_i && visible_i;
  assign cfg_we = cfg_we_i && visible_i;
  assign live_we = live_we_i && visible_i;

  // The output registers of a RAM hold what was read last, keys too. Once all rows are zero, one is read
  // (R33).
  logic scrub_q, wipe;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) scrub_q <= 1'b0;
    else scrub_q <= scrub;
  end
  assign wipe = scrub_q && !scrub;

  localparam int unsigned CtlP = ($bits(ctl_t) + 63) / 64;
  localparam int unsigned TopP = ($bits(top_t) + 63) / 64;
  localparam int unsigned CfgP = ($bits(cfg_t) + 63) / 64;
  localparam int unsigned CtlW = $bits(ctl_t) + CtlP;
  localparam int unsigned TopW = $bits(top_t) + TopP;
  localparam int unsigned CfgW = $bits(cfg_t) + CfgP;

  // ---- Control and state rows ---------------------------------------------------------------------

  logic [CtlP-1:0] ctl_wparity, ctl_rparity, ctl_parity;
  logic [TopP-1:0] top_wparity, top_rparity, top_parity;
  prim_parity #(.Width($bits(ctl_t))) u_ctl_w (.data_i(ctl_i), .parity_o(ctl_wparity));
  prim_parity #(.Width($bits(ctl_t))) u_ctl_r (.data_i(ctl_o), .parity_o(ctl_rparity));
  prim_parity #(.Width($bits(top_t))) u_top_w (.data_i(top_i), .parity_o(top_wparity));
  prim_parity #(.Width($bits(top_t))) u_top_r (.data_i(top_o), .parity_o(top_rparity));

  prim_ram_1r1w #(.Depth(SaCapacity), .Width(CtlW)) u_ctl (
    .clk_i, .we_i(scrub || we), .waddr_i(scrub ? row : RowW'(waddr_i)),
    .wdata_i(scrub ? '0 : {ctl_wparity, ctl_i}), .re_i, .raddr_i(RowW'(raddr_i)),
    .rdata_o({ctl_parity, ctl_o})
  );

  prim_ram_1r1w #(.Depth(SaCapacity), .Width(TopW)) u_top (
    .clk_i, .we_i(scrub || we), .waddr_i(scrub ? row : RowW'(waddr_i)),
    .wdata_i(scrub ? '0 : {top_wparity, top_i}), .re_i, .raddr_i(RowW'(raddr_i)),
    .rdata_o({top_parity, top_o})
  );

  // ---- Configuration rows -------------------------------------------------------------------------

  logic [CfgP-1:0] cfg_wparity, cfg_rparity, cfg_parity, lk_rparity, lk_parity;
  prim_parity #(.Width($bits(cfg_t))) u_cfg_w (.data_i(cfg_i), .parity_o(cfg_wparity));
  prim_parity #(.Width($bits(cfg_t))) u_cfg_r (.data_i(cfg_o), .parity_o(cfg_rparity));
  prim_parity #(.Width($bits(cfg_t))) u_lk_r (.data_i(lk_entry_o), .parity_o(lk_rparity));

  prim_ram_2p #(.Depth(SaCapacity), .Width(CfgW)) u_cfg (
    .clk_i,
    .a_en_i(scrub || wipe || cfg_re_i || cfg_we), .a_we_i(scrub || cfg_we),
    .a_addr_i(scrub ? row : RowW'(cfg_addr_i)),
    .a_wdata_i(scrub ? '0 : {cfg_wparity, cfg_i ^ cfg_t'(flip_i)}),
    .a_rdata_o({cfg_parity, cfg_o}),
    .b_en_i(lk_valid_i || wipe), .b_addr_i(RowW'(lk_index_i)), .b_rdata_o({lk_parity, lk_entry_o})
  );

  logic live;
  prim_ram_1r1w #(.Depth(SaCapacity), .Width(1)) u_live (
    .clk_i, .we_i(scrub || live_we), .waddr_i(scrub ? row : RowW'(live_addr_i)),
    .wdata_i(!scrub && live_i), .re_i(lk_valid_i), .raddr_i(RowW'(lk_index_i)), .rdata_o(live)
  );

  // A row that port A writes in this cycle is no row that port B can read: real memory gives anything
  // then. Control has it in hand, so it is not live, or not live any more.
  logic collides;
  assign collides = cfg_we && RowW'(cfg_addr_i) == RowW'(lk_index_i);

  // ---- What was read a cycle ago ------------------------------------------------------------------

  logic lk_valid_q, lk_in_q, re_q, cfg_re_q, state_bad, cfg_bad, lk_bad;
  sa_t  raddr_q, cfg_addr_q, lk_index_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      {lk_valid_q, lk_in_q, re_q, cfg_re_q} <= '0;
      {raddr_q, cfg_addr_q, lk_index_q} <= '0;
    end else begin
      lk_valid_q <= lk_valid_i;
      lk_in_q <= visible_i && 32'(lk_index_i) < SaCapacity && !collides;
      re_q <= re_i && visible_i && 32'(raddr_i) < SaCapacity;
      cfg_re_q <= cfg_re_i && visible_i;
      if (re_i) raddr_q <= raddr_i;
      if (cfg_re_i) cfg_addr_q <= cfg_addr_i;
      if (lk_valid_i) lk_index_q <= lk_index_i;
    end
  end

  assign state_bad = re_q && (ctl_rparity != ctl_parity || top_rparity != top_parity);
  assign cfg_bad = cfg_re_q && cfg_rparity != cfg_parity;
  assign lk_bad = lk_valid_q && lk_in_q && live && lk_rparity != lk_parity;

  assign lk_valid_o = lk_valid_q;
  assign lk_live_o = live && lk_in_q && visible_i && lk_rparity == lk_parity;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      bad_o <= 1'b0;
      bad_index_o <= '0;
    end else begin
      // What a reset finds on its way belongs to the time before it.
      bad_o <= (state_bad || cfg_bad || lk_bad) && visible_i && !clear_i;
      if (state_bad) bad_index_o <= raddr_q;
      else if (cfg_bad) bad_index_o <= cfg_addr_q;
      else if (lk_bad) bad_index_o <= lk_index_q;
    end
  end

  // A lookup never waits: its answer comes in the next cycle, whatever control does.
  `ESNIC_ASSERT_NEXT(LookupNeverWaits_A, lk_valid_i, lk_valid_o)
  // No index wraps to the row of another one.
  `ESNIC_ASSERT(StateInTable_A, !we || 32'(waddr_i) < SaCapacity)
  `ESNIC_ASSERT(RowInTable_A, !(cfg_we || cfg_re_i) || 32'(cfg_addr_i) < SaCapacity)
  // 4.2: what is live is not written over; a DELETE takes it out of sight as it goes.
  `ESNIC_ASSERT_NEXT(NoTornRow_A, collides && lk_valid_i, !lk_live_o)
  `ESNIC_ASSERT_NEXT(NothingBadInReset_A, clear_i, !bad_o)
endmodule
