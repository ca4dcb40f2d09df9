// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The write channels of the DMA master: what is offered stays until it is taken, reset or not (R20, AXI
// A3.2.1); each address has as many beats as it says, the last one marked; one write after the other.
// Lines, records, answers, Bus Master and clears come in any order, at any time.
module dma_write_formal
  import esnic_pkg::*;
(
  input logic          clk_i,
  input logic          clear_i,
  input logic          bus_i,
  input logic          line_valid_i,
  input logic [63:0]   line_iova_i,
  input line_t         line_data_i,
  input logic [63:0]   line_strb_i,
  input group_t        line_group_i,
  input logic          undo_i,
  input logic          rec_valid_i,
  input logic [63:0]   rec_iova_i,
  input logic [1023:0] rec_data_i,
  input logic          awready_i,
  input logic          wready_i,
  input logic [5:0]    bid_i,
  input logic [1:0]    bresp_i,
  input logic          bvalid_i
);
  logic rst_ni = 1'b0;
  always_ff @(posedge clk_i) rst_ni <= 1'b1;

  logic line_ready, rec_ready, awvalid, wvalid, wlast, bready, sent;
  logic [5:0] awid;
  logic [63:0] awaddr, wstrb;
  logic [7:0] awlen;
  logic [511:0] wdata;

  esnic_dma_write #(.Outstanding(4)) u_dma (
    .clk_i, .rst_ni, .clear_i, .bus_i, .line_valid_i, .line_ready_o(line_ready), .line_iova_i,
    .line_data_i, .line_strb_i, .line_group_i, .answered_o(), .answered_bad_o(), .answered_iova_o(), .undo_i,
    .rec_valid_i, .rec_ready_o(rec_ready), .rec_iova_i, .rec_data_i, .rec_answered_o(), .rec_bad_o(),
    .m_axi_awid(awid), .m_axi_awaddr(awaddr), .m_axi_awlen(awlen), .m_axi_awvalid(awvalid),
    .m_axi_awready(awready_i), .m_axi_wdata(wdata), .m_axi_wstrb(wstrb), .m_axi_wlast(wlast),
    .m_axi_wvalid(wvalid), .m_axi_wready(wready_i), .m_axi_bid(bid_i), .m_axi_bresp(bresp_i),
    .m_axi_bvalid(bvalid_i), .m_axi_bready(bready),
    .sent_o(sent), .sent_bytes_o(), .error_o(), .bad_id_o(), .bad_id_info_o(), .drained_o()
  );

  // RUN ends long before a clear's answers are in, and Bus Master does not count without it: READY waits
  // for `drained` (R20).
  always_comb assume (!(bus_i && u_dma.draining_q));

  // ---- Held -----------------------------------------------------------------------------------------

  logic aw_held_q, w_held_q;
  logic [77:0] aw, aw_q;
  logic [576:0] w, w_q;
  assign aw = {awid, awaddr, awlen};
  assign w = {wdata, wstrb, wlast};
  always_ff @(posedge clk_i) begin
    aw_held_q <= rst_ni && awvalid && !awready_i;
    w_held_q <= rst_ni && wvalid && !wready_i;
    aw_q <= aw;
    w_q <= w;
  end

  // ---- The write that is under way, as it was taken -------------------------------------------------

  logic        busy_q, aw_due_q, taken, record_q;
  logic [1:0]  beats_q;       // that are still due
  logic [63:0] iova_q, strb_q;
  logic [511:0] second_q, first_q;
  assign taken = !clear_i && ((rec_valid_i && rec_ready) || (line_valid_i && line_ready));

  always_ff @(posedge clk_i) begin
    if (!rst_ni) {aw_due_q, beats_q} <= '0;
    else begin
      if (awvalid && awready_i) aw_due_q <= 1'b0;
      if (wvalid && wready_i) beats_q <= beats_q - 2'd1;
      if (taken) begin
        aw_due_q <= 1'b1;
        record_q <= rec_valid_i && rec_ready;
        beats_q <= (rec_valid_i && rec_ready) ? 2'd2 : 2'd1;
        iova_q <= (rec_valid_i && rec_ready) ? rec_iova_i : line_iova_i;
        strb_q <= (rec_valid_i && rec_ready) ? '1 : line_strb_i;
        {second_q, first_q} <= (rec_valid_i && rec_ready) ? rec_data_i : {512'd0, line_data_i};
      end
    end
  end
  assign busy_q = aw_due_q || beats_q != '0;

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      if (aw_held_q) AwHeld: assert (awvalid && aw == aw_q);
      if (w_held_q) WHeld: assert (wvalid && w == w_q);
      One: assert (!taken || !busy_q);
      Told: assert (sent == taken);
      Aw: assert (awvalid == aw_due_q);
      W: assert (wvalid == (beats_q != '0) && beats_q <= 2'd2);
      if (awvalid) begin
        AwAs: assert (awaddr == iova_q && awlen == 8'(record_q) && awid == (record_q ? 6'd1 : 6'd0));
      end
      if (wvalid) begin
        WAs: assert (wlast == (beats_q == 2'd1) && wstrb == strb_q &&
                     wdata == ((record_q && beats_q == 2'd1) ? second_q : first_q));
        WLength: assert (record_q || beats_q == 2'd1);
      end
      // For the induction step: what is still to come.
      if (busy_q) Kind: assert (u_dma.rec_q == record_q);
      if (beats_q == 2'd2) Second: assert (record_q && u_dma.second_q == second_q);
      Two: assert (u_dma.two_q == (beats_q == 2'd2));
      BReady: assert (bready);
      Lines: assert (3'(u_dma.u_sent.wptr_q - u_dma.u_sent.rptr_q) ==
                     (u_dma.draining_q ? 3'd0 : 3'(u_dma.lines_q)) && 32'(u_dma.lines_q) <= 4);
      Ordered: cover (wvalid && wlast && wready_i && awvalid && record_q);
      HeldInReset: cover (aw_held_q && w_held_q && clear_i && !bus_i);
      LineBehindRecord: cover (taken && line_ready && record_q);
      Full: cover (!u_dma.fifo_ready);
    end
  end
endmodule
