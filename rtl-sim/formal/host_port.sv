// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The host's port: an answer that is offered stays until it is taken; each write has one answer and each
// read as many beats as it asked for, in order and with the request's own id; a write takes effect once,
// as a whole, turned its answer, and a read sees the writes that were there turned it (R13). Nobody waits
// for ever while those outside do their part.
//
// The master may do anything, even what AXI forbids it: addresses and data in any order, data without an
// end, answers that are never taken.
module host_port_formal
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned SaCapacity = 4096
) (
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
  input logic         view_bad_i,
  input logic         readable_i,
  input logic         staging_i
);
  logic rst_ni = 1'b0;
  always_ff @(posedge clk_i) rst_ni <= 1'b1;

  logic [3:0] dword_q;   // any dword of a line: its data are followed
  always_ff @(posedge clk_i) dword_q <= dword_q;

  logic awready, wready, bvalid, arready, rlast, rvalid, half, reg_rd, rd_msix, stage_valid, view_valid;
  logic stage_half;
  logic [3:0] bid, rid;
  logic [1:0] bresp, rresp;
  logic [511:0] rdata;
  logic [18:0] rd_addr;
  logic [15:0] stage_dwords;
  line_t stage_data;
  reg_wr_t reg_wr;
  sa_t view_index, stage_index;

  esnic_host_port #(.SaCapacity(SaCapacity)) u_port (
    .clk_i, .rst_ni,
    .s_axi_awid(awid_i), .s_axi_awaddr(awaddr_i), .s_axi_awlen(awlen_i), .s_axi_awvalid(awvalid_i),
    .s_axi_awready(awready), .s_axi_wdata(wdata_i), .s_axi_wstrb(wstrb_i), .s_axi_wlast(wlast_i),
    .s_axi_wvalid(wvalid_i), .s_axi_wready(wready), .s_axi_bid(bid), .s_axi_bresp(bresp),
    .s_axi_bvalid(bvalid), .s_axi_bready(bready_i),
    .s_axi_arid(arid_i), .s_axi_araddr(araddr_i), .s_axi_arlen(arlen_i), .s_axi_arsize(arsize_i),
    .s_axi_arvalid(arvalid_i), .s_axi_arready(arready), .s_axi_rid(rid), .s_axi_rdata(rdata),
    .s_axi_rresp(rresp), .s_axi_rlast(rlast), .s_axi_rvalid(rvalid), .s_axi_rready(rready_i),
    .reg_wr_o(reg_wr), .reg_wr_half_o(half), .reg_rd_o(reg_rd), .reg_rd_msix_o(rd_msix),
    .reg_rd_addr_o(rd_addr), .reg_rd_data_i,
    .stage_valid_o(stage_valid), .stage_ready_i, .stage_index_o(stage_index),
    .stage_half_o(stage_half), .stage_data_o(stage_data), .stage_dwords_o(stage_dwords),
    .view_valid_o(view_valid), .view_ready_i, .view_index_o(view_index), .view_valid_i, .view_i,
    .view_bad_i, .readable_i, .staging_i, .bad_access_o(), .stage_drop_o()
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

  // ---- What the master was promised -------------------------------------------------------------------

  logic aw_go, w_go, b_go, ar_go, r_go;
  assign aw_go = awvalid_i && awready;
  assign w_go = wvalid_i && wready;
  assign b_go = bvalid && bready_i;
  assign ar_go = arvalid_i && arready;
  assign r_go = rvalid && rready_i;

  function automatic logic [28:6] mapped(logic [63:0] addr);
    return (addr[63:29] == '0) ? addr[28:6] : 23'h1FFF;
  endfunction
  function automatic logic beyond(logic [28:6] addr);
    return addr[27] ? addr[26:14] != '0 : addr[26:19] != '0;
  endfunction

  // Addresses that were taken and not answered, the oldest one first; and how many of them have all their
  // data. Data that come turned their address wait for it.
  typedef struct packed {
    logic [3:0]  id;
    logic        burst;
    logic [28:6] addr;
  } write_t;
  write_t [1:0] write_d, write_q;
  logic [1:0] writes_d, writes_q, whole_d, whole_q;
  logic early_d, early_q, early_last_d, early_last_q;   // a beat that is not of a write that is whole
  write_t last, now;
  logic owed_d, owed;                                   // a write is whole and not done yet
  assign now = write_q[bvalid];
  assign owed = whole_q != 2'(bvalid);
  assign owed_d = whole_d != 2'(bvalid && !bready_i);

  always_comb begin
    write_d = write_q;
    writes_d = writes_q;
    whole_d = whole_q;
    early_d = early_q;
    early_last_d = early_last_q;
    if (b_go) begin
      write_d[0] = write_q[1];
      writes_d = writes_d - 2'd1;
      whole_d = whole_d - 2'd1;
    end
    if (aw_go) begin
      write_d[writes_d[0]] = '{id: awid_i, burst: awlen_i != '0, addr: mapped(awaddr_i)};
      writes_d = writes_d + 2'd1;
    end
    last = write_d[writes_d[1]];
    if (w_go) begin
      early_d = 1'b1;
      early_last_d = wlast_i;
    end
    // A single access is one beat, whatever is said of its end; a burst ends with what ends it.
    if (early_d && writes_d != whole_d && (!last.burst || early_last_d)) begin
      whole_d = whole_d + 2'd1;
      early_d = 1'b0;
    end
  end

  // The data that came last, and what became of them.
  logic [15:0] any_q, all_q, effect_q;   // dwords with a strobe, with all four; those that were written
  logic [31:0] given_q;
  logic staged_q;
  // What has an effect on a register: one whole dword, or two that are one quadword.
  function automatic logic registers(logic [15:0] any, logic [15:0] all);
    logic found;
    found = 1'b0;
    for (int unsigned i = 0; i < 16; i++) begin
      if (any == all && (all == 16'd1 << i || (i % 2 == 0 && all == 16'd3 << i))) found = 1'b1;
    end
    return found;
  endfunction

  logic read_q, refused_q, behind_q, viewed_q, viewing_q, seen_q;
  logic [3:0] id_q;
  logic [8:0] beats_q;
  logic [15:0] span, span_q, asked_q;    // dwords of the read, and those that a register was asked for
  logic [28:6] raddr_q;
  logic [31:0] got_q;                    // what the dword was answered with
  logic [511:0] shown;
  logic [1:0] by_reads_q, by_writes_q;   // so many passed the write that is owed, and the read
  always_comb begin
    for (int unsigned i = 0; i < 16; i++) begin
      // Aligned to its own size, which is a dword at least.
      span[i] = arsize_i <= 3'd2 ? i == 32'(araddr_i[5:2]) :
          (i >> (arsize_i - 3'd2)) == (32'(araddr_i[5:2]) >> (arsize_i - 3'd2));
    end
  end
  assign shown = raddr_q[6] ? {320'd0, view_i[703:512]} : view_i[511:0];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      {writes_q, whole_q, early_q, effect_q, staged_q} <= '0;
      {read_q, beats_q, refused_q, behind_q, viewed_q, viewing_q, seen_q} <= '0;
      {by_reads_q, by_writes_q} <= '0;
    end else begin
      {writes_q, whole_q, early_q} <= {writes_d, whole_d, early_d};
      if (reg_wr.valid) effect_q[reg_wr.addr[5:2]] <= 1'b1;
      if (stage_valid && stage_ready_i) staged_q <= 1'b1;
      if (bvalid) {effect_q, staged_q} <= '0;
      if (r_go) begin
        beats_q <= beats_q - 9'd1;
        if (beats_q == 9'd1) read_q <= 1'b0;
      end
      if (ar_go) begin
        read_q <= 1'b1;
        id_q <= arid_i;
        beats_q <= 9'(arlen_i) + 9'd1;
        refused_q <= arlen_i != '0;
        span_q <= span;
        raddr_q <= mapped(araddr_i);
        {asked_q, viewed_q, viewing_q, seen_q} <= '0;
        got_q <= '0;
      end else begin
        if (reg_rd) begin
          asked_q[rd_addr[5:2]] <= 1'b1;
          if (rd_addr[5:2] == dword_q) got_q <= reg_rd_data_i;
        end
        // A look that was let in is answered, or a reset comes.
        if (view_valid && view_ready_i && readable_i) {viewed_q, viewing_q} <= '1;
        seen_q <= viewing_q && view_valid_i;
        if (viewing_q && (view_valid_i || !readable_i)) viewing_q <= 1'b0;
        if (viewing_q && view_valid_i) got_q <= shown[32*dword_q +: 32];
        if (seen_q && (view_bad_i || !readable_i)) got_q <= '0;
      end
      // Those that are there when it comes go first.
      if (ar_go) behind_q <= owed_d;
      else if (!owed) behind_q <= 1'b0;
      if (!owed) by_reads_q <= '0;
      else if (r_go && rlast) by_reads_q <= by_reads_q + 2'd1;
      if (!read_q) by_writes_q <= '0;
      else if (u_port.write_done) by_writes_q <= by_writes_q + 2'd1;
    end
    {write_q, early_last_q} <= {write_d, early_last_d};
    if (w_go) begin
      given_q <= wdata_i[32*dword_q +: 32];
      for (int unsigned i = 0; i < 16; i++) begin
        any_q[i] <= wstrb_i[4*i +: 4] != '0;
        all_q[i] <= wstrb_i[4*i +: 4] == '1;
      end
    end
  end

  // ---- Rules ------------------------------------------------------------------------------------------

  logic answers;   // a write was done a cycle ago
  assign answers = bvalid && !b_held_q;
  logic [3:0] wr_dword;
  assign wr_dword = reg_wr.addr[5:2];

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      if (b_held_q) BHeld: assert (bvalid && b == b_q);
      if (r_held_q) RHeld: assert (rvalid && r == r_q);
      if (bvalid) BOf: assert (whole_q != '0 && b == {write_q[0].id, write_q[0].burst, 1'b0});
      if (rvalid) begin
        ROf: assert (read_q && !behind_q && rid == id_q && rresp == {refused_q, 1'b0} &&
                     rlast == (beats_q == 9'd1));
        // Each dword was asked for once; a burst shows nothing.
        if (refused_q) RNothing: assert (rdata == '0 && asked_q == '0 && !viewed_q);
        else if (!raddr_q[28] && !beyond(raddr_q)) RAsked: assert (asked_q == span_q);
        if (!beyond(raddr_q) || raddr_q[28]) RData: assert (rdata[32*dword_q +: 32] == got_q);
      end
      if (reg_rd) begin
        Ask: assert (read_q && !refused_q && !behind_q && !raddr_q[28] && rd_msix == raddr_q[27]);
        if (beyond(raddr_q)) AskNowhere: assert (rd_addr == 19'h3FFC);
        else AskOnce: assert (rd_addr[18:6] == raddr_q[18:6] && span_q[rd_addr[5:2]] &&
                              !asked_q[rd_addr[5:2]]);
      end
      if (view_valid) Look: assert (read_q && !refused_q && !behind_q && !viewed_q && raddr_q[28] &&
                                    view_index == raddr_q[26:7] && 32'(view_index) < SaCapacity);
      if (reg_wr.valid) begin
        Write: assert (owed && !bvalid && !now.burst && !now.addr[28] && !beyond(now.addr) &&
                       registers(any_q, all_q) && reg_wr.msix == now.addr[27] &&
                       reg_wr.addr[18:6] == now.addr[18:6] && reg_wr.addr[1:0] == '0);
        // The low dword first, and that there is a second one is said with it (R13).
        WriteOnce: assert (all_q[wr_dword] && !effect_q[wr_dword] &&
                           half == (effect_q != '0) && (!half || wr_dword[0]));
        if (wr_dword == dword_q) WriteData: assert (reg_wr.data == given_q);
      end
      if (stage_valid) begin
        Stage: assert (owed && !bvalid && !now.burst && now.addr[28] && !staged_q &&
                       32'(stage_index) < SaCapacity && stage_index == now.addr[26:7] &&
                       stage_half == now.addr[6] && stage_dwords == all_q && all_q != '0);
        StageData: assert (stage_data[32*dword_q +: 32] == given_q);
      end
      // An answer says that it is done, all of it.
      if (answers) begin
        Done: assert (effect_q == ((!write_q[0].burst && !write_q[0].addr[28] && !beyond(write_q[0].addr) &&
                                    registers(any_q, all_q)) ? all_q : '0));
      end
      NoneStarves: assert (!by_reads_q[1] && !by_writes_q[1]);
    end
  end
  // ---- Progress ---------------------------------------------------------------------------------------

  // The port's states, as it numbers them.
  typedef enum logic [3:0] {
    StIdle, StWrite, StWriteHi, StStage, StBurst,
    StRead, StViewLook, StViewAsk, StViewWait, StViewCheck, StReadResp
  } state_e;
  logic [3:0] state, state_was_q;
  assign state = u_port.state_q;

  // Steps that are left at most, of what is under way; and whether those outside keep it waiting.
  logic [8:0] left, left_q;
  logic kept, kept_q, work, work_q;
  always_comb begin
    unique case (state)
      StWrite: {left, kept} = {9'd3 + 9'(bvalid), bvalid && !bready_i};
      StWriteHi: {left, kept} = {9'd1, 1'b0};
      StStage: {left, kept} = {9'd1, !stage_ready_i && staging_i};
      StBurst: {left, kept} = {9'd2, !(wvalid_i && wlast_i)};
      StRead: {left, kept} = {9'd280 + 9'(u_port.last_q - u_port.dword_q), 1'b0};
      StViewLook: {left, kept} = {9'd284, 1'b0};
      StViewAsk: {left, kept} = {9'd283, !view_ready_i && readable_i};
      StViewWait: {left, kept} = {9'd282, !view_valid_i && readable_i};
      StViewCheck: {left, kept} = {9'd281, 1'b0};
      StReadResp: {left, kept} = {beats_q + 9'(u_port.ask_q ? 2 : u_port.answer_q), rvalid && !rready_i};
      default: {left, kept} = '0;
    endcase
  end
  assign work = owed_d || read_q || ar_go;
  always_ff @(posedge clk_i) begin
    left_q <= left;
    kept_q <= kept;
    state_was_q <= rst_ni ? state : StReadResp + 4'd1;
    work_q <= work;
  end
  always_ff @(posedge clk_i) begin
    if (rst_ni && state_was_q <= StReadResp) begin
      // Whoever is under way comes to its end, and whoever is there is begun.
      if (state_was_q != StIdle && !kept_q) Goes: assert (left < left_q);
      if (state_was_q == StIdle && work_q) Begins: assert (state != StIdle);
    end
    if (rst_ni && state == StBurst) BurstIsTaken: assert (wready);
  end

  // ---- For the induction step -------------------------------------------------------------------------

  logic reads, plain;
  assign reads = state inside {StRead, StViewLook, StViewAsk, StViewWait, StViewCheck, StReadResp};
  assign plain = !refused_q && !raddr_q[28];
  logic [15:0] turned;    // dwords of the read whose turn has come
  always_comb begin
    for (int unsigned i = 0; i < 16; i++) begin
      turned[i] = span_q[i] && plain &&
                  (state == StReadResp || (state == StRead && i < 32'(u_port.dword_q)));
    end
  end
  logic [15:0] asking;
  assign asking = u_port.ask_q ? 16'd1 << u_port.ask_dword_q : '0;
  logic [3:0] low;
  always_comb begin
    low = '0;
    for (int i = 15; i >= 0; i--) if (any_q[i]) low = 4'(i);
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      Counts: assert (writes_q == 2'(bvalid) + 2'(u_port.aw_q) && read_q == u_port.ar_q &&
                      whole_q == 2'(bvalid) + 2'(u_port.aw_q && u_port.w_q &&
                                                 (!u_port.burst_q || u_port.wlast_q)));
      if (!u_port.aw_q) Early: assert (early_q == u_port.w_q);
      if (u_port.w_q && !u_port.aw_q) EarlyLast: assert (early_last_q == u_port.wlast_q);
      if (u_port.aw_q && early_q) Open: assert (!owed && now.burst && !early_last_q);
      if (u_port.aw_q) AwOf: assert ({u_port.wid_q, u_port.burst_q, u_port.waddr_q} == now &&
                                     u_port.wbeyond_q == beyond(now.addr));
      if (state inside {StWrite, StWriteHi, StStage, StBurst}) AtWork: assert (u_port.aw_q && !reads);
      if (state inside {StWrite, StWriteHi, StStage}) HasData: assert (u_port.w_q);
      if (state inside {StWriteHi, StStage, StBurst}) begin
        Alone: assert (!bvalid && now.burst == (state == StBurst));
      end
      if (state == StBurst) Refused: assert (u_port.bresp_q == 2'b10 && !u_port.w_q);
      if (state inside {StWriteHi, StStage}) Okay: assert (u_port.bresp_q == 2'b00);
      // What was found out about the data.
      if (u_port.w_q) begin
        Found: assert (u_port.touched_q == any_q && u_port.whole_q == all_q &&
                       u_port.one_q == (any_q == all_q && any_q == 16'd1 << low) &&
                       u_port.two_q == (any_q == all_q && !low[0] && any_q == 16'd3 << low));
        Line: assert (u_port.wline_q[32*dword_q +: 32] == given_q);
        if (dword_q == u_port.low_q) Dword: assert (u_port.data_q == given_q);
        Low: assert (u_port.low_q == ((state == StWriteHi) ? (low | 4'd1) : low));
      end
      if (!bvalid) Effect: assert (effect_q == ((state == StWriteHi && !u_port.wbeyond_q) ? 16'd1 << low
                                                                                          : '0));
      if (state == StWriteHi) Two: assert (u_port.two_q && !now.addr[28]);
      if (state == StStage) Staged: assert (!staged_q && now.addr[28] && all_q != '0 &&
                                            32'(now.addr[27:7]) < SaCapacity);
      if (!bvalid && state != StStage) NotStaged: assert (!staged_q);
      // The read.
      States: assert (state <= StReadResp);
      if (reads) AtRead: assert (read_q && !behind_q && !u_port.behind_q);
      if (read_q) begin
        ROfIt: assert (u_port.rid_q == id_q && u_port.refuse_q == refused_q && u_port.raddr_q == raddr_q &&
                       9'(u_port.beats_q) + 9'd1 == beats_q && u_port.rbeyond_q == beyond(raddr_q));
        if (!refused_q) OneBeat: assert (beats_q == 9'd1);
        LastOf: assert (span_q[u_port.last_q] && (span_q >> u_port.last_q) == 16'd1);
        // No gap.
        Span: assert ((span_q & (span_q + (span_q & -span_q))) == '0);
        if (behind_q && owed) Behind: assert (u_port.behind_q);
        if (u_port.behind_q) BehindIt: assert (u_port.aw_q && (u_port.w_q || state == StBurst));
        if (!reads) NotBegun: assert (span_q[u_port.dword_q] &&
                                      (span_q & ((16'd1 << u_port.dword_q) - 16'd1)) == '0);
        if (state == StRead) Next: assert (plain && span_q[u_port.dword_q]);
        if (state inside {StViewLook, StViewAsk, StViewWait, StViewCheck}) begin
          OfTable: assert (!refused_q && raddr_q[28]);
        end
        if (refused_q || raddr_q[28] || !beyond(raddr_q)) begin
          AskedFor: assert (asked_q == (turned & ~asking));
        end
        if (u_port.ask_q) Asks: assert (plain && turned[u_port.ask_dword_q] &&
                                        u_port.ask_addr_q == (beyond(raddr_q) ? 19'h3FFC :
                                            {raddr_q[18:6], u_port.ask_dword_q, 2'b00}));
        if (u_port.answer_q) Answers: assert (plain && turned[u_port.answer_dword_q] &&
                                              (!u_port.ask_q || u_port.answer_dword_q != u_port.ask_dword_q));
        if (!beyond(raddr_q) || raddr_q[28]) begin
          Got: assert (got_q == ((u_port.answer_q && u_port.answer_dword_q == dword_q) ? u_port.answer_data_q
                                 : u_port.rline_q[32*dword_q +: 32]));
        end
        if (refused_q) Zero: assert (u_port.rline_q == '0);
        Viewing: assert (viewing_q == (state == StViewWait) && seen_q == (state == StViewCheck) &&
                         (viewed_q == 1'b0 || state inside {StViewWait, StViewCheck, StReadResp}));
        if (viewed_q) Viewed: assert (!refused_q && raddr_q[28]);
        if (state == StViewAsk) AskIn: assert (32'(raddr_q[27:7]) < SaCapacity);
      end else begin
        NoRead: assert (!u_port.ask_q && !u_port.answer_q && !behind_q && !u_port.behind_q);
      end
      if (u_port.ask_q || u_port.answer_q) Drains: assert (state inside {StRead, StReadResp});
      // A write that is owed and passed by a read is next; so is a read that was passed by a write.
      if (owed && by_reads_q != '0) begin
        WriteNext: assert (!reads && (state != StIdle || !read_q || u_port.behind_q));
      end
      if (read_q && by_writes_q != '0) ReadNext: assert (reads || (state == StIdle && !u_port.behind_q));
    end
  end

  // ---- Not vacuous ----------------------------------------------------------------------------------

  logic checked_q;   // what was seen was looked at a cycle ago, and thrown away
  always_ff @(posedge clk_i) checked_q <= seen_q && u_port.rline_q != '0;

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      BWaits: cover (b_held_q && read_q && owed);
      RWaits: cover (r_held_q && r_go && !rlast && refused_q);
      Both: cover (bvalid && rvalid && !bready_i && !rready_i);
      Table: cover (rvalid && rdata[32*dword_q +: 32] != '0 && raddr_q[28]);
      BadRow: cover (rvalid && checked_q && rdata == '0);
      Eight: cover (half && reg_wr.valid);
      FourDwords: cover (rvalid && span_q == 16'hF0 && got_q != '0);
      Burst3: cover (b_go && write_q[0].burst && b_held_q);
      Staged2: cover (answers && staged_q);
      Passed: cover (owed && by_reads_q != '0 && u_port.write_done);
      DataFirst: cover (early_q && aw_go && writes_q == 2'd1);
    end
  end
endmodule
