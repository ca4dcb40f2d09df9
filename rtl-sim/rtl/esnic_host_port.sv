// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The one in-order port for host accesses (R13): an AXI4 slave that does one access after the other, so a
// write has taken effect before anything later is looked at, whichever BAR it is for.
//
//   0x0000_0000  BAR 0, registers and doorbells     writes become dwords, low one first
//   0x0800_0000  BAR 4, MSI-X                       likewise
//   0x1000_0000  BAR 2, SA table                    writes are staged, reads show the live view
//
// Addresses of writes, their data, and reads are taken each by itself, into a register of its own, and
// every ready is a register, as AXI wants it (A3.2.1). A write that was there before a read is done before
// it; one that comes later waits for the read, so that neither starves the other.
//
// Accesses are single beats of up to 64 bytes. A burst is answered SLVERR as a whole and does
// nothing: a shell splits what a host cannot have meant as one access.
`include "esnic_assert.svh"
module esnic_host_port
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned SaCapacity = 4096
) (
  input  logic          clk_i,
  input  logic          rst_ni,

  input  logic [3:0]    s_axi_awid,
  input  logic [63:0]   s_axi_awaddr,
  input  logic [7:0]    s_axi_awlen,
  input  logic          s_axi_awvalid,
  output logic          s_axi_awready,
  input  logic [511:0]  s_axi_wdata,
  input  logic [63:0]   s_axi_wstrb,
  input  logic          s_axi_wlast,
  input  logic          s_axi_wvalid,
  output logic          s_axi_wready,
  output logic [3:0]    s_axi_bid,
  output logic [1:0]    s_axi_bresp,
  output logic          s_axi_bvalid,
  input  logic          s_axi_bready,
  input  logic [3:0]    s_axi_arid,
  input  logic [63:0]   s_axi_araddr,
  input  logic [7:0]    s_axi_arlen,
  input  logic [2:0]    s_axi_arsize,
  input  logic          s_axi_arvalid,
  output logic          s_axi_arready,
  output logic [3:0]    s_axi_rid,
  output logic [511:0]  s_axi_rdata,
  output logic [1:0]    s_axi_rresp,
  output logic          s_axi_rlast,
  output logic          s_axi_rvalid,
  input  logic          s_axi_rready,

  // A dword to write, and one to read within the cycle.
  output reg_wr_t       reg_wr_o,
  output logic          reg_wr_half_o,   // the second dword of an access is still to come
  output logic          reg_rd_o,
  output logic          reg_rd_msix_o,
  output logic [18:0]   reg_rd_addr_o,
  input  logic [31:0]   reg_rd_data_i,

  // Half a slot to stage.
  output logic          stage_valid_o,
  input  logic          stage_ready_i,
  output sa_t           stage_index_o,
  output logic          stage_half_o,
  output line_t         stage_data_o,
  output logic [15:0]   stage_dwords_o,

  // A row to look at.
  output logic          view_valid_o,
  input  logic          view_ready_i,
  output sa_t           view_index_o,
  input  logic          view_valid_i,
  input  logic [703:0]  view_i,
  input  logic          view_bad_i,      // a cycle later: a row failed its check

  // READY or RUNNING: the table can be read. RUNNING, with the direct path: stores are staged.
  input  logic          readable_i,
  input  logic          staging_i,

  output logic          bad_access_o,
  output logic [4:0]    stage_drop_o
);
  typedef enum logic [3:0] {
    StIdle, StWrite, StWriteHi, StStage, StBurst,
    StRead, StViewLook, StViewAsk, StViewWait, StViewCheck, StReadResp
  } state_e;

  localparam logic [1:0] RespOkay = 2'b00;
  localparam logic [1:0] RespSlvErr = 2'b10;

  state_e state_d, state_q;
  logic        bvalid_d, bvalid_q;
  logic [1:0]  bresp_d, bresp_q;
  logic [3:0]  bid_q;

  // ---- What was taken -----------------------------------------------------------------------------

  // Each is full from its handshake until its access is done.
  logic        aw_d, aw_q, w_d, w_q, ar_d, ar_q;
  logic        take_aw, take_w, take_ar, write_there, write_done, write_burst, write_hi, read_done;
  logic        behind_d, behind_q;     // the read waits for the write that was there before it
  logic [3:0]  wid_q, rid_q;
  logic [28:6] waddr_q, raddr_q;
  logic        burst_q, wlast_q, refuse_q, wbeyond_q, rbeyond_q;
  pair_t       wpair_q;
  line_t       wline_q, rline_q;       // data of the write; of the read as far as it is gathered
  logic [7:0]  beats_d, beats_q;       // of a read burst that is refused
  logic [3:0]  dword_d, dword_q, last_q;

  assign s_axi_awready = !aw_q;
  assign s_axi_wready = !w_q;
  assign s_axi_arready = !ar_q;
  assign take_aw = s_axi_awvalid && s_axi_awready;
  assign take_w = s_axi_wvalid && s_axi_wready;
  assign take_ar = s_axi_arvalid && s_axi_arready;
  assign write_there = (aw_q || take_aw) && (w_q || take_w);

  // ---- Which dwords a write touches ---------------------------------------------------------------

  logic [15:0] touched_d, touched_q, whole_d, whole_q, low_mask;
  logic [3:0]  low_d, low_q;
  logic [31:0] data_q;                 // of dword low_q
  logic        one_d, one_q, two_d, two_q, table_sel, msix_sel, in_table, view_in_table;

  // Found while the data is taken: what follows from a write leads through all of the device, and the way
  // there begins at registers.
  always_comb begin
    low_d = '0;
    touched_d = '0;
    whole_d = '0;
    for (int i = 15; i >= 0; i--) begin
      touched_d[i] = |s_axi_wstrb[4*i +: 4];
      whole_d[i] = &s_axi_wstrb[4*i +: 4];
      if (touched_d[i]) low_d = 4'(i);
    end
    low_mask = 16'd1 << low_d;
    one_d = touched_d == whole_d && touched_d == low_mask;
    two_d = touched_d == whole_d && !low_d[0] && touched_d == (low_mask | (low_mask << 1));
  end

  assign table_sel = waddr_q[28];
  assign msix_sel = waddr_q[27];
  assign in_table = 32'(waddr_q[27:7]) < SaCapacity;
  assign view_in_table = 32'(raddr_q[27:7]) < SaCapacity;

  // ---- Addresses outside the map ------------------------------------------------------------------

  function automatic logic [28:6] mapped(logic [63:6] addr);
    // Nothing is mapped above BAR 2; what is asked for there lands behind the end of BAR 0.
    return (addr[63:29] == '0) ? addr[28:6] : 23'h1FFF;
  endfunction

  function automatic logic beyond(logic [27:14] addr);
    // Beyond the end of a BAR there is nothing.
    return addr[27] ? addr[26:14] != '0 : addr[26:19] != '0;
  endfunction

  // A write says by its strobes which bytes it is for.
  logic unused_addr;
  assign unused_addr = ^{s_axi_awaddr[5:0], s_axi_araddr[1:0]};

  // First and last dword of a read, which is aligned to its own size.
  logic [3:0] span;
  assign span = (s_axi_arsize <= 3'd2) ? 4'd0 : 4'((8'd1 << (s_axi_arsize - 3'd2)) - 8'd1);

  logic [28:6] waddr_d, raddr_d;
  assign waddr_d = mapped(s_axi_awaddr[63:6]);
  assign raddr_d = take_ar ? mapped(s_axi_araddr[63:6]) : raddr_q;

  // ---- State machine ------------------------------------------------------------------------------

  always_comb begin
    state_d = state_q;
    beats_d = take_ar ? s_axi_arlen : beats_q;
    dword_d = take_ar ? s_axi_araddr[5:2] & ~span : dword_q;
    bvalid_d = bvalid_q && !s_axi_bready;
    bresp_d = bresp_q;
    write_done = 1'b0;
    write_burst = state_q == StBurst;
    write_hi = 1'b0;
    read_done = 1'b0;
    reg_wr_o = '0;
    stage_valid_o = 1'b0;
    view_valid_o = 1'b0;
    bad_access_o = 1'b0;
    stage_drop_o = '0;

    unique case (state_q)
      StIdle: begin
        if (write_there && !(ar_q && !behind_q)) begin
          state_d = StWrite;
        end else if (ar_q || take_ar) begin
          if (take_ar ? s_axi_arlen != '0 : refuse_q) state_d = StReadResp;
          else state_d = raddr_d[28] ? StViewLook : StRead;
        end
      end
      StWrite: begin
        // The response of the write before has left, or else this one waits.
        if (!bvalid_q) begin
          bresp_d = RespOkay;
          write_done = 1'b1;
          if (burst_q) begin
            write_done = wlast_q;
            bresp_d = RespSlvErr;
            bad_access_o = 1'b1;
            if (!wlast_q) begin
              write_burst = 1'b1;
              state_d = StBurst;
            end
          end else if (table_sel) begin
            if (staging_i && in_table && whole_q != '0) begin
              write_done = 1'b0;
              state_d = StStage;
            end else begin
              stage_drop_o = 5'($countones(touched_q));
            end
          end else if (one_q || two_q) begin
            reg_wr_o.valid = 1'b1;
            if (two_q) begin
              write_done = 1'b0;
              write_hi = 1'b1;
              state_d = StWriteHi;
            end
          end else begin
            bad_access_o = touched_q != '0;
          end
        end
      end
      StWriteHi: begin
        reg_wr_o.valid = 1'b1;
        write_done = 1'b1;
      end
      StStage: begin
        stage_valid_o = 1'b1;
        // Commands that empty a buffer go first, and a reset lets nothing in.
        if (stage_ready_i || !staging_i) begin
          stage_drop_o = 5'($countones(staging_i ? touched_q & ~whole_q : touched_q));
          write_done = 1'b1;
        end
      end
      StBurst: begin
        write_done = take_w && s_axi_wlast;
      end
      StRead: begin
        dword_d = dword_q + 4'd1;
        if (dword_q == last_q) state_d = StReadResp;
      end
      StViewLook: state_d = (readable_i && view_in_table) ? StViewAsk : StReadResp;
      StViewAsk: begin
        // Even as a reset comes: then nobody waits for what is seen.
        view_valid_o = 1'b1;
        if (!readable_i) state_d = StReadResp;
        else if (view_ready_i) state_d = StViewWait;
      end
      StViewWait: begin
        // A reset empties the pipeline, and then the table reads 0 (device manual 5.1).
        if (view_valid_i) state_d = StViewCheck;
        else if (!readable_i) state_d = StReadResp;
      end
      // Nothing of a row that failed its check leaves, nor anything after a reset or in FATAL.
      StViewCheck: state_d = StReadResp;
      StReadResp: begin
        if (s_axi_rvalid && s_axi_rready) begin
          beats_d = beats_q - 8'd1;
          read_done = beats_q == '0;
        end
      end
      default: state_d = StIdle;
    endcase
    if (write_done) bvalid_d = 1'b1;
    if (write_done || read_done) state_d = StIdle;

    reg_wr_o.msix = msix_sel;
    reg_wr_o.pair = wpair_q;
    reg_wr_o.addr = {waddr_q[18:6], low_q, 2'b00};
    reg_wr_o.data = data_q;
    if (wbeyond_q) reg_wr_o.valid = 1'b0;
  end

  // The beats of a burst that is refused are taken and forgotten.
  assign aw_d = (aw_q || take_aw) && !write_done;
  assign w_d = (w_q || take_w) && !write_done && !write_burst;
  assign ar_d = (ar_q || take_ar) && !read_done;
  assign behind_d = (take_ar ? write_there : behind_q) && !write_done;

  // A dword is asked for, answered within the cycle, and put in its place, in three cycles that overlap:
  // all registers of the device are one way of logic. Beyond the end of a BAR it is asked where nothing
  // is mapped.
  logic        ask_q, answer_q;
  logic [3:0]  ask_dword_q, answer_dword_q;
  logic [18:0] ask_addr_q;
  logic [31:0] answer_data_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      {ask_q, ask_dword_q, ask_addr_q} <= '0;
      {answer_q, answer_dword_q, answer_data_q} <= '0;
    end else begin
      ask_q <= state_q == StRead;
      ask_dword_q <= dword_q;
      ask_addr_q <= rbeyond_q ? 19'h3FFC : {raddr_q[18:6], dword_q, 2'b00};
      answer_q <= ask_q;
      answer_dword_q <= ask_dword_q;
      if (ask_q) answer_data_q <= reg_rd_data_i;
    end
  end

  assign reg_rd_o = ask_q;
  assign reg_rd_msix_o = raddr_q[27];
  assign reg_rd_addr_o = ask_addr_q;

  // What is written may be a key: it stays no longer than its access, and no read shows it (R33).
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) wline_q <= '0;
    else if (take_w || !w_d) wline_q <= w_d ? s_axi_wdata : '0;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {data_q, low_q} <= '0;
    else if (!w_d) {data_q, low_q} <= '0;
    else if (take_w) begin
      data_q <= s_axi_wdata[32*low_d +: 32];
      low_q <= low_d;
    end else if (write_hi) begin
      data_q <= wline_q[32*{low_q[3:1], 1'b1} +: 32];
      low_q[0] <= 1'b1;
    end
  end

  // Every read begins with zeros, so it needs no reset.
  always_ff @(posedge clk_i) begin
    if (take_ar) rline_q <= '0;
    else if (answer_q) rline_q[32*answer_dword_q +: 32] <= answer_data_q;
    else if (state_q == StViewWait && view_valid_i) begin
      rline_q <= raddr_q[6] ? {320'd0, view_i[703:512]} : view_i[511:0];
    end else if (state_q == StViewCheck && (view_bad_i || !readable_i)) begin
      rline_q <= '0;
    end
  end

  assign reg_wr_half_o = state_q == StWriteHi;
  assign stage_index_o = waddr_q[26:7];
  assign stage_half_o = waddr_q[6];
  assign stage_data_o = wline_q;
  assign stage_dwords_o = whole_q;
  assign view_index_o = raddr_q[26:7];

  assign s_axi_bid = bid_q;
  assign s_axi_bresp = bresp_q;
  assign s_axi_bvalid = bvalid_q;
  assign s_axi_rid = rid_q;
  assign s_axi_rdata = rline_q;
  assign s_axi_rresp = refuse_q ? RespSlvErr : RespOkay;
  assign s_axi_rlast = beats_q == '0;
  assign s_axi_rvalid = state_q == StReadResp && !ask_q && !answer_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= StIdle;
      {aw_q, w_q, ar_q, behind_q} <= '0;
      {wid_q, waddr_q, wbeyond_q, wpair_q, burst_q, wlast_q} <= '0;
      {touched_q, whole_q, one_q, two_q} <= '0;
      {rid_q, raddr_q, rbeyond_q, last_q, refuse_q, beats_q, dword_q} <= '0;
      {bid_q, bresp_q, bvalid_q} <= '0;
    end else begin
      state_q <= state_d;
      {aw_q, w_q, ar_q, behind_q} <= {aw_d, w_d, ar_d, behind_d};
      if (take_aw) begin
        {wid_q, waddr_q, burst_q} <= {s_axi_awid, waddr_d, s_axi_awlen != '0};
        wbeyond_q <= beyond(waddr_d[27:14]);
        // Doorbell pages have 0x1000 bytes, blocks of a pair 0x100.
        wpair_q <= (waddr_d[18] == DOORBELL_BASE[18]) ? waddr_d[17:12] : waddr_d[13:8];
      end
      if (take_w) begin
        wlast_q <= s_axi_wlast;
        {touched_q, whole_q, one_q, two_q} <= {touched_d, whole_d, one_d, two_d};
      end
      raddr_q <= raddr_d;
      if (take_ar) begin
        rbeyond_q <= beyond(raddr_d[27:14]);
        {rid_q, refuse_q} <= {s_axi_arid, s_axi_arlen != '0};
        last_q <= s_axi_araddr[5:2] | span;
      end
      {beats_q, dword_q} <= {beats_d, dword_d};
      if (write_done) bid_q <= wid_q;
      {bresp_q, bvalid_q} <= {bresp_d, bvalid_d};
    end
  end

  `ESNIC_ASSERT_STABLE(BHeld_A, s_axi_bvalid, s_axi_bready, {s_axi_bid, s_axi_bresp})
  `ESNIC_ASSERT_STABLE(RHeld_A, s_axi_rvalid, s_axi_rready, {s_axi_rid, s_axi_rdata, s_axi_rresp})
  `ESNIC_ASSERT(OneKind_A, $onehot0({reg_wr_o.valid, stage_valid_o, view_valid_o}))
  // R33: nothing of a write outlives it.
  `ESNIC_ASSERT(NothingKept_A, w_q || (wline_q == '0 && data_q == '0))
  // Neither kind of access starves the other: a read is passed by the one write that was there before it.
  `ESNIC_ASSERT_NEXT(ReadHasItsTurn_A, write_done && ar_q,
                     state_d inside {StRead, StViewLook, StReadResp})
endmodule
