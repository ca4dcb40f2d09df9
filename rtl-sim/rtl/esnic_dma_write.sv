// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The write side of the DMA master: lines of completions, one beat each, and records, two beats. All
// lines share one id, so their answers come in order; so do all records.
`include "esnic_assert.svh"
module esnic_dma_write
  import esnic_pkg::*;
#(
  parameter int unsigned Outstanding = 64
) (
  input  logic          clk_i,
  input  logic          rst_ni,
  input  logic          clear_i,
  input  logic          bus_i,            // Bus Master is on, and the device runs

  input  logic          line_valid_i,
  output logic          line_ready_o,
  input  logic [63:0]   line_iova_i,
  input  line_t         line_data_i,
  input  logic [63:0]   line_strb_i,
  input  group_t        line_group_i,
  output group_t        answered_o,
  output logic          answered_bad_o,
  output logic [63:0]   answered_iova_o,
  input  logic          undo_i,           // that answer takes completions back

  input  logic          rec_valid_i,
  output logic          rec_ready_o,
  input  logic [63:0]   rec_iova_i,
  input  logic [1023:0] rec_data_i,
  output logic          rec_answered_o,
  output logic          rec_bad_o,

  output logic [5:0]    m_axi_awid,
  output logic [63:0]   m_axi_awaddr,
  output logic [7:0]    m_axi_awlen,
  output logic          m_axi_awvalid,
  input  logic          m_axi_awready,
  output logic [511:0]  m_axi_wdata,
  output logic [63:0]   m_axi_wstrb,
  output logic          m_axi_wlast,
  output logic          m_axi_wvalid,
  input  logic          m_axi_wready,
  input  logic [5:0]    m_axi_bid,
  input  logic [1:0]    m_axi_bresp,
  input  logic          m_axi_bvalid,
  output logic          m_axi_bready,

  output logic          sent_o,
  output logic [7:0]    sent_bytes_o,
  output logic          error_o,
  output logic          bad_id_o,
  output logic [31:0]   bad_id_info_o,
  output logic          drained_o
);
  localparam logic [5:0] IdLine = 6'd0;
  localparam logic [5:0] IdRecord = 6'd1;
  localparam int unsigned CountW = $clog2(Outstanding) + 2;

  typedef struct packed {
    logic [63:0] iova;
    group_t      group;
  } sent_t;

  // ---- Requests -----------------------------------------------------------------------------------

  logic          aw_d, aw_q, w_d, w_q, two_d, two_q, rec_q;
  logic [63:0]   iova_q, strb_q;
  line_t         data_q, second_q;
  logic          free, take_line, take_rec, fifo_ready;
  // Lines and records without an answer yet; those from before a reset are being drained.
  logic [CountW-1:0] lines_left, lines_d, lines_q, recs_left, recs_d, recs_q;
  logic          draining_d, draining_q, known_line, known_rec;
  // An answer is looked at a cycle later: it touches every queue pair.
  logic          bvalid_q, bbad_q, b_line, b_rec;
  logic [5:0]    bid_q;

  // One write at a time is on the channels; address and data may be taken in either order. The next one
  // comes a cycle after: two cycles a line of four completions are enough, and no ready of the bus
  // leads into the device.
  assign free = !aw_q && !w_q;
  assign rec_ready_o = free && bus_i;
  assign take_rec = rec_valid_i && rec_ready_o && !clear_i;
  // Not together with an answer that takes completions back: one event of a kind a cycle.
  assign line_ready_o = free && bus_i && !rec_valid_i && fifo_ready && !draining_q &&
                        !undo_i;
  assign take_line = line_valid_i && line_ready_o && !clear_i;

  always_comb begin
    // What is offered stays, reset or not; R20 only forbids new requests.
    aw_d = aw_q && !m_axi_awready;
    w_d = w_q && !(m_axi_wready && !two_q);
    two_d = two_q && !(w_q && m_axi_wready);
    if (take_rec) begin
      aw_d = 1'b1;
      w_d = 1'b1;
      two_d = 1'b1;
    end else if (take_line) begin
      aw_d = 1'b1;
      w_d = 1'b1;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {rec_q, iova_q, strb_q, data_q, second_q} <= '0;
    else if (take_rec) begin
      rec_q <= 1'b1;
      iova_q <= rec_iova_i;
      strb_q <= '1;
      {second_q, data_q} <= rec_data_i;
    end else if (take_line) begin
      rec_q <= 1'b0;
      iova_q <= line_iova_i;
      strb_q <= line_strb_i;
      data_q <= line_data_i;
    end else if (w_q && m_axi_wready && two_q) begin
      data_q <= second_q;
    end
  end

  assign m_axi_awid = rec_q ? IdRecord : IdLine;
  assign m_axi_awaddr = iova_q;
  assign m_axi_awlen = 8'(rec_q);
  assign m_axi_awvalid = aw_q;
  assign m_axi_wdata = data_q;
  assign m_axi_wstrb = strb_q;
  assign m_axi_wlast = !two_q;
  assign m_axi_wvalid = w_q;

  assign sent_o = take_rec || take_line;
  assign sent_bytes_o = take_rec ? 8'd128 : {1'b0, line_group_i.count, 4'd0};

  // ---- Answers ------------------------------------------------------------------------------------

  logic  unused_sent_valid, stale;
  sent_t front;

  prim_fifo #(.Width($bits(sent_t)), .Depth(Outstanding)) u_sent (
    .clk_i, .rst_ni, .clear_i, .valid_i(take_line), .ready_o(fifo_ready),
    .data_i({line_iova_i, line_group_i}),
    .valid_o(unused_sent_valid), .ready_i(b_line), .data_o(front)
  );

  assign m_axi_bready = 1'b1;
  // Only an answer that is owed counts as one: a stray one does not make up for another that still comes.
  assign known_line = bvalid_q && bid_q == IdLine && lines_q != '0;
  assign known_rec = bvalid_q && bid_q == IdRecord && recs_q != '0;
  // Writes of before a reset: their answers mean nothing any more (R20).
  assign stale = draining_q;
  assign b_line = known_line && !stale;
  assign b_rec = known_rec && !stale;
  assign bad_id_o = bvalid_q && !known_line && !known_rec;
  assign bad_id_info_o = 32'(bid_q) | 32'h0001_0000;
  assign error_o = (b_line || b_rec) && bbad_q;
  assign drained_o = lines_q == '0 && recs_q == '0 && !aw_q && !w_q;

  always_comb begin
    answered_o = front.group;
    answered_o.valid = b_line;
  end
  assign answered_bad_o = bbad_q;
  assign answered_iova_o = front.iova;
  assign rec_answered_o = b_rec;
  assign rec_bad_o = bbad_q;

  always_comb begin
    lines_left = lines_q - CountW'(known_line);
    recs_left = recs_q - CountW'(known_rec);
    lines_d = lines_left + CountW'(take_line);
    recs_d = recs_left + CountW'(take_rec);
    // Nothing is sent in the cycle of a reset, nor while what is from before it is drained.
    draining_d = (draining_q || clear_i) && (lines_left != '0 || recs_left != '0);
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      {aw_q, w_q, two_q} <= '0;
      {lines_q, recs_q, draining_q} <= '0;
      {bvalid_q, bid_q, bbad_q} <= '0;
    end else begin
      {aw_q, w_q, two_q} <= {aw_d, w_d, two_d};
      {lines_q, recs_q, draining_q} <= {lines_d, recs_d, draining_d};
      {bvalid_q, bid_q, bbad_q} <= {m_axi_bvalid, m_axi_bid, m_axi_bresp[1]};
    end
  end

  `ESNIC_ASSERT_STABLE(AwHeld_A, m_axi_awvalid, m_axi_awready,
                       {m_axi_awid, m_axi_awaddr, m_axi_awlen})
  `ESNIC_ASSERT_STABLE(WHeld_A, m_axi_wvalid, m_axi_wready,
                       {m_axi_wdata, m_axi_wstrb, m_axi_wlast})
  // R20: no write begins before the ones from before a reset are through, so no answer is taken for it.
  `ESNIC_ASSERT(NoWriteInReset_A, !(sent_o && draining_q))
  `ESNIC_ASSERT(LineKnown_A, !b_line || unused_sent_valid)
endmodule
