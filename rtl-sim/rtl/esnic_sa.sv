// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The SA table: control rows, state rows and configuration rows, each by its owner. Control uses port A
// of the configuration and never port B, so that a lookup never waits. Whether a row is live is a bit of
// its own: an entry becomes visible to packets in one step, after its row was read back (4.2).
module esnic_sa
  import esnic_pkg::*;
#(
  parameter int unsigned SaCapacity = 4096,
  localparam int unsigned RowW = $clog2(SaCapacity)
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        visible_i,     // READY or RUNNING: else lookups miss (R23)
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
  output cfg_t        lk_entry_o
);
  logic scrub;
  logic [RowW-1:0] row;
  assign scrub = scrub_i && scrub_row_i < SaCapacity;
  assign row = RowW'(scrub_row_i);

  prim_ram_1r1w #(.Depth(SaCapacity), .Width($bits(ctl_t))) u_ctl (
    .clk_i, .we_i(scrub || we_i), .waddr_i(scrub ? row : RowW'(waddr_i)),
    .wdata_i(scrub ? '0 : ctl_i), .re_i, .raddr_i(RowW'(raddr_i)), .rdata_o(ctl_o)
  );

  prim_ram_1r1w #(.Depth(SaCapacity), .Width($bits(top_t))) u_top (
    .clk_i, .we_i(scrub || we_i), .waddr_i(scrub ? row : RowW'(waddr_i)),
    .wdata_i(scrub ? '0 : top_i), .re_i, .raddr_i(RowW'(raddr_i)), .rdata_o(top_o)
  );

  prim_ram_2p #(.Depth(SaCapacity), .Width($bits(cfg_t))) u_cfg (
    .clk_i,
    .a_en_i(scrub || cfg_re_i || cfg_we_i), .a_we_i(scrub || cfg_we_i),
    .a_addr_i(scrub ? row : RowW'(cfg_addr_i)), .a_wdata_i(scrub ? '0 : cfg_i), .a_rdata_o(cfg_o),
    .b_en_i(lk_valid_i), .b_addr_i(RowW'(lk_index_i)), .b_rdata_o(lk_entry_o)
  );

  logic live;
  prim_ram_1r1w #(.Depth(SaCapacity), .Width(1)) u_live (
    .clk_i, .we_i(scrub || live_we_i), .waddr_i(scrub ? row : RowW'(live_addr_i)),
    .wdata_i(!scrub && live_i), .re_i(lk_valid_i), .raddr_i(RowW'(lk_index_i)), .rdata_o(live)
  );

  logic lk_valid_q, lk_in_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      lk_valid_q <= 1'b0;
      lk_in_q <= 1'b0;
    end else begin
      lk_valid_q <= lk_valid_i;
      lk_in_q <= visible_i && 32'(lk_index_i) < SaCapacity;
    end
  end

  assign lk_valid_o = lk_valid_q;
  assign lk_live_o = live && lk_in_q && visible_i;
endmodule
