// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The one in-order port for host accesses (R13): an AXI4 slave that takes one access after the other,
// so a write has taken effect before anything later is looked at, whichever BAR it is for.
//
//   0x0000_0000  BAR 0, registers and doorbells     writes become dwords, low one first
//   0x0800_0000  BAR 4, MSI-X                       likewise
//   0x1000_0000  BAR 2, SA table                    writes are staged, reads show the live view
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

  // READY or RUNNING: the table can be read. RUNNING, with the direct path: stores are staged.
  input  logic          readable_i,
  input  logic          staging_i,

  output logic          bad_access_o,
  output logic [4:0]    stage_drop_o
);
  typedef enum logic [3:0] {
    StIdle, StWrite, StWriteHi, StStage, StBurst, StRead, StViewLook, StViewAsk, StViewWait,
    StReadResp
  } state_e;

  localparam logic [1:0] RespOkay = 2'b00;
  localparam logic [1:0] RespSlvErr = 2'b10;

  state_e state_d, state_q;
  logic [3:0]  wid_d, wid_q, rid_d, rid_q;
  logic [28:0] addr_d, addr_q;
  line_t       line_q;                 // data of a write, or of a read as far as it is gathered
  logic        take_write, take_read;
  logic [7:0]  beats_d, beats_q;       // of a burst that is refused
  logic [3:0]  dword_d, dword_q, last_d, last_q;
  logic        refuse_d, refuse_q;
  logic        bvalid_d, bvalid_q;
  logic [1:0]  bresp_d, bresp_q;

  // ---- Which dwords a write touches ---------------------------------------------------------------

  logic [15:0] touched_d, touched_q, whole_d, whole_q, low_mask;
  logic [3:0]  low_d, low_q;
  logic [31:0] data_q;                 // of dword low_q
  logic        one_d, one_q, two_d, two_q, beyond_d, beyond_q, table_sel, msix_sel, in_table;
  pair_t       pair_d, pair_q;

  // Found while the write is taken: what follows from a write leads through all of the device, and the
  // way there begins at registers.
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
    // Beyond the end of a BAR there is nothing.
    beyond_d = addr_d[27] ? addr_d[26:14] != '0 : addr_d[26:19] != '0;
    // Doorbell pages have 0x1000 bytes, blocks of a pair 0x100.
    pair_d = (addr_d[18] == DOORBELL_BASE[18]) ? addr_d[17:12] : addr_d[13:8];
  end

  assign table_sel = addr_q[28];
  assign msix_sel = addr_q[27];
  assign in_table = 32'(addr_q[27:7]) < SaCapacity;

  // ---- Addresses outside the map ------------------------------------------------------------------

  function automatic logic [28:0] mapped(logic [63:0] addr);
    // Nothing is mapped above BAR 2; what is asked for there lands behind the end of BAR 0.
    return (addr[63:29] == '0) ? addr[28:0] : 29'h7_FFC0;
  endfunction

  // First and last dword of a read, which is aligned to its own size.
  logic [3:0] span;
  assign span = (s_axi_arsize <= 3'd2) ? 4'd0 : 4'((8'd1 << (s_axi_arsize - 3'd2)) - 8'd1);

  // ---- State machine ------------------------------------------------------------------------------

  always_comb begin
    state_d = state_q;
    wid_d = wid_q;
    rid_d = rid_q;
    addr_d = addr_q;
    beats_d = beats_q;
    dword_d = dword_q;
    last_d = last_q;
    refuse_d = refuse_q;
    bvalid_d = bvalid_q && !s_axi_bready;
    bresp_d = bresp_q;
    take_write = 1'b0;
    take_read = 1'b0;
    s_axi_awready = 1'b0;
    s_axi_wready = 1'b0;
    s_axi_arready = 1'b0;
    reg_wr_o = '0;
    stage_valid_o = 1'b0;
    view_valid_o = 1'b0;
    bad_access_o = 1'b0;
    stage_drop_o = '0;

    unique case (state_q)
      // Writes go first: a read never overtakes one that is there.
      StIdle: begin
        if (s_axi_awvalid && s_axi_wvalid && (!bvalid_q || s_axi_bready)) begin
          s_axi_awready = 1'b1;
          s_axi_wready = 1'b1;
          wid_d = s_axi_awid;
          addr_d = mapped(s_axi_awaddr);
          take_write = 1'b1;
          state_d = StWrite;
          if (s_axi_awlen != '0) begin
            state_d = StBurst;
            bvalid_d = s_axi_wlast;
            bresp_d = RespSlvErr;
            if (s_axi_wlast) state_d = StIdle;
          end
        end else if (s_axi_arvalid && !s_axi_awvalid) begin
          s_axi_arready = 1'b1;
          rid_d = s_axi_arid;
          addr_d = mapped(s_axi_araddr);
          take_read = 1'b1;
          beats_d = s_axi_arlen;
          refuse_d = s_axi_arlen != '0;
          dword_d = s_axi_araddr[5:2] & ~span;
          last_d = s_axi_araddr[5:2] | span;
          state_d = refuse_d ? StReadResp : (addr_d[28] ? StViewLook : StRead);
        end
      end
      StWrite: begin
        bvalid_d = 1'b1;
        bresp_d = RespOkay;
        state_d = StIdle;
        if (table_sel) begin
          if (staging_i && in_table && whole_q != '0) begin
            bvalid_d = 1'b0;
            state_d = StStage;
          end else begin
            stage_drop_o = 5'($countones(touched_q));
          end
        end else if (one_q || two_q) begin
          reg_wr_o.valid = 1'b1;
          if (two_q) begin
            bvalid_d = 1'b0;
            state_d = StWriteHi;
          end
        end else begin
          bad_access_o = touched_q != '0;
        end
      end
      StWriteHi: begin
        reg_wr_o.valid = 1'b1;
        bvalid_d = 1'b1;
        state_d = StIdle;
      end
      StStage: begin
        stage_valid_o = 1'b1;
        // Commands that empty a buffer go first, and a reset lets nothing in.
        if (stage_ready_i || !staging_i) begin
          stage_drop_o = 5'($countones(staging_i ? touched_q & ~whole_q : touched_q));
          bvalid_d = 1'b1;
          state_d = StIdle;
        end
      end
      StBurst: begin
        s_axi_wready = 1'b1;
        if (s_axi_wvalid && s_axi_wlast) begin
          bvalid_d = 1'b1;
          state_d = StIdle;
        end
      end
      StRead: begin
        dword_d = dword_q + 4'd1;
        if (dword_q == last_q) state_d = StReadResp;
      end
      StViewLook: state_d = (readable_i && in_table) ? StViewAsk : StReadResp;
      StViewAsk: begin
        // Even as a reset comes: then nobody waits for what is seen.
        view_valid_o = 1'b1;
        if (!readable_i) state_d = StReadResp;
        else if (view_ready_i) state_d = StViewWait;
      end
      StViewWait: begin
        // A reset empties the pipeline, and then the table reads 0 (device manual 5.1).
        if (view_valid_i || !readable_i) state_d = StReadResp;
      end
      StReadResp: begin
        if (s_axi_rvalid && s_axi_rready) begin
          beats_d = beats_q - 8'd1;
          if (beats_q == '0) state_d = StIdle;
        end
      end
      default: state_d = StIdle;
    endcase

    reg_wr_o.msix = msix_sel;
    reg_wr_o.pair = pair_q;
    reg_wr_o.addr = {addr_q[18:6], low_q, 2'b00};
    reg_wr_o.data = data_q;
    if (beyond_q) reg_wr_o.valid = 1'b0;
  end

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
      ask_addr_q <= beyond_q ? 19'h3FFC : {addr_q[18:6], dword_q, 2'b00};
      answer_q <= ask_q;
      answer_dword_q <= ask_dword_q;
      if (ask_q) answer_data_q <= reg_rd_data_i;
    end
  end

  assign reg_rd_o = ask_q;
  assign reg_rd_msix_o = msix_sel;
  assign reg_rd_addr_o = ask_addr_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) line_q <= '0;
    else if (take_write) line_q <= s_axi_wdata;
    else if (take_read) line_q <= '0;
    else if (answer_q) line_q[32*answer_dword_q +: 32] <= answer_data_q;
    else if (state_q == StViewWait && view_valid_i) begin
      line_q <= addr_q[6] ? {320'd0, view_i[703:512]} : view_i[511:0];
    end
  end

  assign reg_wr_half_o = state_q == StWriteHi;
  assign stage_index_o = addr_q[26:7];
  assign stage_half_o = addr_q[6];
  assign stage_data_o = line_q;
  assign stage_dwords_o = whole_q;
  assign view_index_o = addr_q[26:7];

  assign s_axi_bid = wid_q;
  assign s_axi_bresp = bresp_q;
  assign s_axi_bvalid = bvalid_q;
  assign s_axi_rid = rid_q;
  assign s_axi_rdata = line_q;
  assign s_axi_rresp = refuse_q ? RespSlvErr : RespOkay;
  assign s_axi_rlast = beats_q == '0;
  assign s_axi_rvalid = state_q == StReadResp && !ask_q && !answer_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= StIdle;
      wid_q <= '0;
      rid_q <= '0;
      addr_q <= '0;
      {touched_q, whole_q, low_q, data_q, one_q, two_q, beyond_q, pair_q} <= '0;
      beats_q <= '0;
      dword_q <= '0;
      last_q <= '0;
      refuse_q <= 1'b0;
      bvalid_q <= 1'b0;
      bresp_q <= '0;
    end else begin
      state_q <= state_d;
      wid_q <= wid_d;
      rid_q <= rid_d;
      addr_q <= addr_d;
      {beyond_q, pair_q} <= {beyond_d, pair_d};
      if (take_write) begin
        {touched_q, whole_q, low_q, one_q, two_q} <= {touched_d, whole_d, low_d, one_d, two_d};
        data_q <= s_axi_wdata[32*low_d +: 32];
      end else if (state_q == StWrite) begin
        low_q[0] <= 1'b1;
        data_q <= line_q[32*{low_q[3:1], 1'b1} +: 32];
      end
      beats_q <= beats_d;
      dword_q <= dword_d;
      last_q <= last_d;
      refuse_q <= refuse_d;
      bvalid_q <= bvalid_d;
      bresp_q <= bresp_d;
    end
  end

  `ESNIC_ASSERT_STABLE(BHeld_A, s_axi_bvalid, s_axi_bready, {s_axi_bid, s_axi_bresp})
  `ESNIC_ASSERT_STABLE(RHeld_A, s_axi_rvalid, s_axi_rready, {s_axi_rid, s_axi_rdata, s_axi_rresp})
  `ESNIC_ASSERT(OneKind_A, $onehot0({reg_wr_o.valid, stage_valid_o, view_valid_o}))
endmodule
