// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Stage buffers (device manual 5.2): stores into the SA table wait here for their direct doorbell. The
// tag and the written bits tell a whole command from anything else (R17). A dword that is not written
// is zero, because whatever empties a buffer zeroes it (R18).
`include "esnic_assert.svh"
module esnic_stage
  import esnic_pkg::*;
#(
  parameter int unsigned StageLog2 = 6,
  localparam int unsigned Buffers = 1 << StageLog2,
  localparam int unsigned BufW = (StageLog2 > 0) ? StageLog2 : 1
) (
  input  logic          clk_i,
  input  logic          rst_ni,
  input  logic          clear_i,
  input  logic          scrub_i,
  input  logic [31:0]   scrub_row_i,

  // Half a slot from the host.
  input  logic          wr_valid_i,
  output logic          wr_ready_o,
  input  sa_t           wr_index_i,
  input  logic          wr_half_i,
  input  line_t         wr_data_i,
  input  logic [15:0]   wr_dwords_i,

  // DELETE empties the buffer of its slot, by either path (R18). Never waits.
  input  logic          drop_valid_i,
  input  sa_t           drop_index_i,

  // A direct doorbell takes what is staged.
  input  logic          take_valid_i,
  output logic          take_ready_o,
  input  pair_t         take_pair_i,
  input  logic [23:0]   take_index_i,
  input  logic [30:0]   take_cookie_i,

  // The direct command: two halves, which dwords of it were written, whether it is for this slot.
  output logic          valid_o,
  input  logic          ready_i,
  output pair_t         pair_o,
  output logic [23:0]   index_o,
  output logic [30:0]   cookie_o,
  output logic          tagged_o,
  output logic [31:0]   written_o,
  output logic [1023:0] data_o
);
  typedef struct packed {
    sa_t         tag;
    logic [31:0] written;
  } head_t;

  typedef struct packed {
    pair_t       pair;
    logic [23:0] index;
    logic [30:0] cookie;
    logic        hit;
    logic [31:0] written;
  } taken_t;

  // ---- Who uses the write port --------------------------------------------------------------------

  logic take, drop, write, scrub, valid_d, valid_q;
  head_t drop_head, take_head, wr_head;

  assign scrub = scrub_i && scrub_row_i < Buffers;
  assign drop = drop_valid_i && drop_head.tag == drop_index_i;
  assign take_ready_o = !drop_valid_i && !valid_q;
  assign take = take_valid_i && take_ready_o;
  // Stores wait for a cycle, and never for a command that is not issued yet: what the host posts must
  // be taken without regard to what the device has under way itself (PCIe, transaction ordering).
  assign wr_ready_o = !drop_valid_i && !take && !scrub_i;
  assign write = wr_valid_i && wr_ready_o;

  // ---- Memories -----------------------------------------------------------------------------------

  logic            hit, same;
  logic [31:0]     dwords, we;
  logic [BufW-1:0] waddr;
  head_t           whead;
  logic            head_we;
  logic [1023:0]   wdata;

  assign hit = 24'(take_head.tag) == take_index_i;
  assign same = wr_head.tag == wr_index_i;
  assign dwords = wr_half_i ? {wr_dwords_i, 16'd0} : {16'd0, wr_dwords_i};

  always_comb begin
    we = '0;
    head_we = 1'b0;
    waddr = BufW'(scrub_row_i);
    whead = '0;
    wdata = '0;
    if (scrub) begin
      we = '1;
      head_we = 1'b1;
    end else if (drop) begin
      we = '1;
      head_we = 1'b1;
      waddr = BufW'(drop_index_i);
    end else if (take && hit) begin
      we = '1;
      head_we = 1'b1;
      waddr = BufW'(take_index_i);
    end else if (write) begin
      // Another tag empties the buffer first.
      we = same ? dwords : '1;
      head_we = 1'b1;
      waddr = BufW'(wr_index_i);
      whead.tag = wr_index_i;
      whead.written = same ? (wr_head.written | dwords) : dwords;
      for (int unsigned d = 0; d < 32; d++) begin
        if (dwords[d]) wdata[32*d +: 32] = wr_data_i[32*(d % 16) +: 32];
      end
    end
    if (StageLog2 == 0) waddr = '0;
  end

  // The output register of the memory holds the command that was taken last: at the end of the scrub that
  // is a buffer of zeros (R33).
  logic scrub_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) scrub_q <= 1'b0;
    else scrub_q <= scrub_i;
  end

  prim_ram_1r1w #(.Depth(Buffers), .Width(1024), .ColumnW(32)) u_data (
    .clk_i, .we_i(we), .waddr_i(waddr), .wdata_i(wdata),
    .re_i(take || scrub_q), .raddr_i((StageLog2 == 0) ? '0 : BufW'(take_index_i)), .rdata_o(data_o)
  );

  prim_ram_lut #(.Depth(Buffers), .Width($bits(head_t))) u_head_wr (
    .clk_i, .we_i(head_we), .waddr_i(waddr), .wdata_i(whead),
    .raddr_i((StageLog2 == 0) ? '0 : BufW'(wr_index_i)), .rdata_o(wr_head)
  );
  prim_ram_lut #(.Depth(Buffers), .Width($bits(head_t))) u_head_take (
    .clk_i, .we_i(head_we), .waddr_i(waddr), .wdata_i(whead),
    .raddr_i((StageLog2 == 0) ? '0 : BufW'(take_index_i)), .rdata_o(take_head)
  );
  prim_ram_lut #(.Depth(Buffers), .Width($bits(head_t))) u_head_drop (
    .clk_i, .we_i(head_we), .waddr_i(waddr), .wdata_i(whead),
    .raddr_i((StageLog2 == 0) ? '0 : BufW'(drop_index_i)), .rdata_o(drop_head)
  );

  // ---- The command that was taken -----------------------------------------------------------------

  taken_t taken_q;

  always_comb begin
    valid_d = valid_q && !ready_i;
    if (take) valid_d = 1'b1;
    if (clear_i) valid_d = 1'b0;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q <= 1'b0;
      taken_q <= '0;
    end else begin
      valid_q <= valid_d;
      if (take) begin
        taken_q <= '{pair: take_pair_i, index: take_index_i, cookie: take_cookie_i,
                     hit: hit, written: take_head.written};
      end
    end
  end

  assign valid_o = valid_q;
  assign {pair_o, index_o, cookie_o, tagged_o, written_o} = taken_q;

  // R18: at most one of them empties or fills a buffer in a cycle.
  `ESNIC_ASSERT(OneWriter_A, $onehot0({drop_valid_i, take, write}))
endmodule
