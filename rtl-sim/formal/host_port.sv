// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The host's port: an answer that is offered stays until it is taken; each write has one answer and each
// read as many beats as it asked for, with the request's own id; and one access after the other (R13).
// The master may do anything, even what AXI forbids it.
module host_port_formal
  import esnic_pkg::*;
(
  input logic         clk_i,
  input logic [3:0]   awid_i,
  input logic [63:0]  awaddr_i,
  input logic [7:0]   awlen_i,
  input logic         awvalid_i,
  input logic [511:0] wdata_i,
  input logic [63:0]  wstrb_i,
  input logic         wlast_i,
  input logic         wvalid_i,
  input logic         bready_i,
  input logic [3:0]   arid_i,
  input logic [63:0]  araddr_i,
  input logic [7:0]   arlen_i,
  input logic [2:0]   arsize_i,
  input logic         arvalid_i,
  input logic         rready_i,
  input logic [31:0]  reg_rd_data_i,
  input logic         stage_ready_i,
  input logic         view_ready_i,
  input logic         view_valid_i,
  input logic [703:0] view_i,
  input logic         readable_i,
  input logic         staging_i
);
  logic rst_ni = 1'b0;
  always_ff @(posedge clk_i) rst_ni <= 1'b1;

  logic awready, wready, bvalid, arready, rlast, rvalid, stage_valid, view_valid;
  logic [3:0] bid, rid;
  logic [1:0] bresp, rresp;
  logic [511:0] rdata;
  reg_wr_t reg_wr;
  logic half;
  sa_t view_index;

  esnic_host_port u_port (
    .clk_i, .rst_ni,
    .s_axi_awid(awid_i), .s_axi_awaddr(awaddr_i), .s_axi_awlen(awlen_i), .s_axi_awvalid(awvalid_i),
    .s_axi_awready(awready), .s_axi_wdata(wdata_i), .s_axi_wstrb(wstrb_i), .s_axi_wlast(wlast_i),
    .s_axi_wvalid(wvalid_i), .s_axi_wready(wready), .s_axi_bid(bid), .s_axi_bresp(bresp),
    .s_axi_bvalid(bvalid), .s_axi_bready(bready_i),
    .s_axi_arid(arid_i), .s_axi_araddr(araddr_i), .s_axi_arlen(arlen_i), .s_axi_arsize(arsize_i),
    .s_axi_arvalid(arvalid_i), .s_axi_arready(arready), .s_axi_rid(rid), .s_axi_rdata(rdata),
    .s_axi_rresp(rresp), .s_axi_rlast(rlast), .s_axi_rvalid(rvalid), .s_axi_rready(rready_i),
    .reg_wr_o(reg_wr), .reg_wr_half_o(half), .reg_rd_o(), .reg_rd_msix_o(), .reg_rd_addr_o(),
    .reg_rd_data_i,
    .stage_valid_o(stage_valid), .stage_ready_i, .stage_index_o(), .stage_half_o(), .stage_data_o(),
    .stage_dwords_o(), .view_valid_o(view_valid), .view_ready_i, .view_index_o(view_index), .view_valid_i, .view_i,
    .readable_i, .staging_i, .bad_access_o(), .stage_drop_o()
  );

  // ---- Held -----------------------------------------------------------------------------------------

  logic b_held_q, r_held_q;
  logic [5:0] b, b_q;
  logic [518:0] r, r_q;
  assign b = {bid, bresp};
  assign r = {rid, rdata, rresp, rlast};
  always_ff @(posedge clk_i) begin
    b_held_q <= rst_ni && bvalid && !bready_i;
    r_held_q <= rst_ni && rvalid && !rready_i;
    b_q <= b;
    r_q <= r;
  end

  // ---- What is under way ----------------------------------------------------------------------------

  logic write_q, read_q, burst_q, ended_q;   // a write: taken, not answered; `ended`: with all its data
  logic [3:0] wid_q, rid_q;
  logic [8:0] beats_q;
  logic read_burst_q, aw_go, w_go, ar_go, b_go, r_go;
  assign aw_go = awvalid_i && awready;
  assign w_go = wvalid_i && wready;
  assign ar_go = arvalid_i && arready;
  assign b_go = bvalid && bready_i;
  assign r_go = rvalid && rready_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) {write_q, read_q, ended_q, beats_q, burst_q, read_burst_q} <= '0;
    else begin
      if (b_go) write_q <= 1'b0;
      if (w_go && wlast_i) ended_q <= 1'b1;
      if (aw_go) begin
        write_q <= 1'b1;
        wid_q <= awid_i;
        burst_q <= awlen_i != '0;
        ended_q <= wlast_i || awlen_i == '0;
      end
      if (r_go) begin
        beats_q <= beats_q - 9'd1;
        if (beats_q == 9'd1) read_q <= 1'b0;
      end
      if (ar_go) begin
        read_q <= 1'b1;
        rid_q <= arid_i;
        beats_q <= 9'(arlen_i) + 9'd1;
        read_burst_q <= arlen_i != '0;
      end
    end
  end

  // The port's states, as it numbers them.
  typedef enum logic [3:0] {
    StIdle, StWrite, StWriteHi, StStage, StBurst, StRead, StViewAsk, StViewWait, StReadResp
  } state_e;
  logic [3:0] state;
  assign state = u_port.state_q;
  logic idle;
  assign idle = state == StIdle;

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      if (b_held_q) BHeld: assert (bvalid && b == b_q);
      if (r_held_q) RHeld: assert (rvalid && r == r_q);
      // One write at a time, its first data with its address, and data after it only for a burst.
      OneWrite: assert (!aw_go || ((!write_q || b_go) && w_go));
      DataOf: assert (!w_go || aw_go || (write_q && burst_q && !ended_q));
      OneRead: assert (!ar_go || !read_q);
      // A read is taken when every write before it has taken effect, and the other way round.
      InOrder: assert (!((aw_go || ar_go) && !idle) && !(aw_go && ar_go));
      if (bvalid) BOf: assert (write_q && ended_q && bid == wid_q && bresp == {burst_q, 1'b0});
      if (rvalid) ROf: assert (read_q && rid == rid_q && rresp == {read_burst_q, 1'b0} &&
                               rlast == (beats_q == 9'd1));
      if (view_valid) InTable: assert (32'(view_index) < 4096);
      // A burst does nothing.
      BurstIsNothing: assert (!(burst_q && write_q) || !(reg_wr.valid || stage_valid));
      // For the induction step: who is busy, and with what.
      IdleRead: assert (read_q == (state inside {StRead, StViewAsk,
                                                         StViewWait, StReadResp}));
      OpenWrite: assert (write_q == (bvalid || state inside {StWrite, StWriteHi,
                                                                     StStage, StBurst}));
      NotBoth: assert (!bvalid || !(state inside {StWrite, StWriteHi,
                                                          StStage, StBurst}));
      if (state == StBurst) Burst: assert (burst_q && !ended_q && u_port.bresp_q == 2'b10);
      if (state inside {StWrite, StWriteHi, StStage}) begin
        Single: assert (!burst_q && ended_q && (state == StWrite || u_port.bresp_q == 2'b00));
      end
      if (write_q) WId: assert (u_port.wid_q == wid_q);
      if (read_q) begin
        RId: assert (u_port.rid_q == rid_q && 9'(u_port.beats_q) + 9'd1 == beats_q &&
                     u_port.refuse_q == read_burst_q);
        Single1: assert (state == StReadResp || !read_burst_q);
      end
      BWaits: cover (b_held_q && ar_go);
      RWaits: cover (r_held_q && r_go && !rlast && read_burst_q);
      Both: cover (bvalid && rvalid && !bready_i && !rready_i);
      Table: cover (rvalid && rdata[31:0] != '0 && u_port.addr_q[28] && !read_burst_q);
      Eight: cover (half && reg_wr.valid);
      Burst3: cover (b_go && burst_q && b_held_q);
    end
  end
endmodule
