// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Second half of ADD and DELETE: what was written is read back and compared, the key included (4.2,
// 4.5). Until then the slot is kept from everybody, and only then an entry becomes visible to packets.
`include "esnic_assert.svh"
module esnic_verify
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
(
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic               clear_i,
  input  logic               scrub_i,
  input  logic [31:0]        scrub_row_i,

  // A place for a command that is being issued, and its row.
  output logic               free_o,
  output logic [VerifyW-1:0] entry_o,
  input  logic               take_i,
  input  sa_t                take_index_i,
  input  cfg_t               take_row_i,
  input  sa_t                probe_i,
  output logic               busy_o,
  output logic               empty_o,
  // The command at the issue: compared when it comes, so that it can go without delay.
  input  logic               next_i,
  input  sa_t                next_index_i,
  output logic               next_busy_o,

  // Its first beat reached the write stage.
  input  logic               begin_i,
  input  logic               refused_i,
  input  beat_t              begin_beat_i,
  input  top_t               begin_top_i,
  output cfg_t               row_o,

  // Its second beat, and what that read.
  output logic               valid_o,
  input  logic               ready_i,
  output beat_t              beat_o,
  input  logic               check_i,
  input  beat_t              check_beat_i,
  input  ctl_t               check_ctl_i,
  input  top_t               check_top_i,
  input  cfg_t               check_cfg_i,
  input  logic               fixed_i,
  input  logic [VerifyW-1:0] fixed_entry_i,

  output logic               live_we_o,
  output sa_t                live_addr_o,
  output logic               done_valid_o,
  output done_t              done_o
);
  typedef enum logic [2:0] {
    StFree, StFirst, StReady, StCheck, StBad, StFix, StWipe
  } state_e;

  // What is kept of the command.
  typedef struct packed {
    logic        add;
    pair_t       pair;
    logic        ring;
    logic [31:0] cookie;
    logic [31:0] generation;
    top_t        top;
  } kept_t;

  state_e [VerifyEntries-1:0] state_d, state_q;
  sa_t    [VerifyEntries-1:0] index_d, index_q;
  kept_t  kept, kept_in;
  logic [VerifyW-1:0] send;
  logic send_valid, send_fix;
  logic [VerifyEntries-1:0] sends, wipes, add_d, add_q;
  logic wipe;
  logic [VerifyW-1:0] wipe_entry;

  // ---- Who waits ----------------------------------------------------------------------------------

  always_comb begin
    free_o = 1'b0;
    entry_o = '0;
    busy_o = 1'b0;
    sends = '0;
    wipes = '0;
    empty_o = 1'b1;
    for (int i = int'(VerifyEntries) - 1; i >= 0; i--) begin
      if (state_q[i] == StFree) begin
        free_o = 1'b1;
        entry_o = VerifyW'(i);
      end else begin
        empty_o = 1'b0;
        if (index_q[i] == probe_i && state_q[i] != StWipe) busy_o = 1'b1;
      end
      wipes[i] = state_q[i] == StWipe;
      sends[i] = state_q[i] inside {StReady, StBad};
    end
  end

  // The entry that is being taken is compared by what it will hold. It is the one before that goes then.
  logic [VerifyEntries-1:0] same_d, same_q, waits;
  always_comb begin
    for (int unsigned i = 0; i < VerifyEntries; i++) begin
      waits[i] = !(state_q[i] inside {StFree, StWipe});
      same_d[i] = next_index_i == ((take_i && 32'(entry_o) == i) ? take_index_i : index_q[i]);
    end
  end
  assign next_busy_o = (same_q & waits) != '0;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) same_q <= '0;
    else if (next_i) same_q <= same_d;
  end

  // In turn, so that none waits for ever while others come and go.
  prim_arbiter_rr #(.N(VerifyEntries)) u_arb (
    .clk_i, .rst_ni, .clear_i, .req_i(sends), .valid_o(send_valid), .idx_o(send),
    .take_i(ready_i && send_valid), .take_idx_i(send)
  );
  assign send_fix = state_q[send] == StBad;

  assign valid_o = send_valid;
  always_comb begin
    beat_o = '0;
    beat_o.kind = send_fix ? OpFix : OpVerify;
    beat_o.index = index_q[send];
    beat_o.entry = send;
    // So that the scheduler can tell an ADD: its `live` bit is written in a fixed cycle.
    beat_o.opcode = add_q[send] ? 5'(OPCODE_ADD) : 5'(OPCODE_DELETE);
  end

  // ---- Memories -----------------------------------------------------------------------------------

  cfg_t row_begin, row_check;
  logic scrub;
  assign scrub = scrub_i && scrub_row_i < VerifyEntries;

  logic rows_we;
  logic [VerifyW-1:0] rows_waddr;
  cfg_t rows_wdata;
  // An entry is free again when its row is wiped, in a cycle in which none is stored (R33).
  always_comb begin
    wipe_entry = '0;
    for (int i = int'(VerifyEntries) - 1; i >= 0; i--) if (wipes[i]) wipe_entry = VerifyW'(i);
  end
  assign wipe = wipes != '0 && !take_i && !scrub;
  assign rows_we = take_i || scrub || wipe;
  assign rows_waddr = scrub ? VerifyW'(scrub_row_i) : (take_i ? entry_o : wipe_entry);
  assign rows_wdata = (take_i && !scrub) ? take_row_i : '0;

  // A copy for each reader: the beat that stores the row, and the one that read it back.
  prim_ram_lut #(.Depth(VerifyEntries), .Width($bits(cfg_t))) u_rows_begin (
    .clk_i, .we_i(rows_we), .waddr_i(rows_waddr), .wdata_i(rows_wdata),
    .raddr_i(begin_beat_i.entry), .rdata_o(row_begin)
  );
  prim_ram_lut #(.Depth(VerifyEntries), .Width($bits(cfg_t))) u_rows_check (
    .clk_i, .we_i(rows_we), .waddr_i(rows_waddr), .wdata_i(rows_wdata),
    .raddr_i(check_beat_i.entry), .rdata_o(row_check)
  );

  assign kept_in = '{add: begin_beat_i.kind == OpAdd, pair: begin_beat_i.pair,
                     ring: begin_beat_i.ring, cookie: begin_beat_i.cookie,
                     generation: begin_beat_i.generation, top: begin_top_i};
  prim_ram_lut #(.Depth(VerifyEntries), .Width($bits(kept_t))) u_kept (
    .clk_i, .we_i(begin_i), .waddr_i(begin_beat_i.entry), .wdata_i(kept_in),
    .raddr_i(check_beat_i.entry), .rdata_o(kept)
  );

  assign row_o = (begin_i && begin_beat_i.kind == OpAdd) ? row_begin : '0;

  // ---- Comparison ---------------------------------------------------------------------------------

  logic check, equal;
  ctl_t want_ctl;
  top_t want_top;
  cfg_t want_cfg;

  assign check = check_i && check_beat_i.kind == OpVerify;
  always_comb begin
    want_cfg = '0;
    want_top = '0;
    want_ctl = '0;
    want_ctl.generation = kept.generation;
    if (check && kept.add) begin
      want_cfg = row_check;
      want_top = kept.top;
      want_ctl.spi = row_check.open.spi;
      want_ctl.state = 2'(SLOT_STATE_LIVE);
      want_ctl.esp = row_check.open.esp;
      want_ctl.outbound = row_check.open.outbound;
      want_ctl.esn = row_check.open.esn;
    end
  end

  always_comb begin
    equal = 1'b0;
    if (check) begin
      equal = check_ctl_i == want_ctl && check_top_i == want_top && check_cfg_i == want_cfg;
    end
  end

  // ---- The end ------------------------------------------------------------------------------------

  logic               done_valid_q;
  done_t              done_d, done_q;
  logic               live_d, live_q;
  sa_t                live_addr_q;

  always_comb begin
    done_d = '0;
    done_d.pair = kept.pair;
    done_d.ring = kept.ring;
    done_d.cookie = kept.cookie;
    done_d.opcode = kept.add ? 5'(OPCODE_ADD) : 5'(OPCODE_DELETE);
    done_d.status = equal ? STATUS_OK : STATUS_VERIFY;
    done_d.changed = 1'b1;
    if (check && equal && kept.add) begin
      done_d.result = digest(live_view(check_beat_i.index, check_ctl_i, check_top_i,
                                       check_cfg_i.open));
      done_d.lo_valid = check_top_i.lo_valid;
    end else if (equal) begin
      done_d.result = {kept.top.hi, kept.top.lo};
    end
    live_d = check && equal && kept.add;
  end

  assign done_valid_o = done_valid_q;
  assign done_o = done_q;
  assign live_we_o = live_q;
  assign live_addr_o = live_addr_q;

  always_comb begin
    state_d = state_q;
    index_d = index_q;
    add_d = add_q;
    if (take_i) begin
      state_d[entry_o] = StFirst;
      index_d[entry_o] = take_index_i;
    end
    if (begin_i) begin
      state_d[begin_beat_i.entry] = StReady;
      add_d[begin_beat_i.entry] = begin_beat_i.kind == OpAdd;
    end
    if (refused_i) state_d[begin_beat_i.entry] = StWipe;
    if (valid_o && ready_i) state_d[send] = send_fix ? StFix : StCheck;
    if (check) state_d[check_beat_i.entry] = equal ? StWipe : StBad;
    if (fixed_i) state_d[fixed_entry_i] = StWipe;
    if (wipe) state_d[wipe_entry] = StFree;
    if (clear_i) state_d = '0;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= '0;
      index_q <= '0;
      add_q <= '0;
      {done_valid_q, done_q, live_q, live_addr_q} <= '0;
    end else begin
      state_q <= state_d;
      index_q <= index_d;
      add_q <= add_d;
      done_valid_q <= check && !clear_i;
      live_q <= live_d && !clear_i;
      if (check) begin
        done_q <= done_d;
        live_addr_q <= check_beat_i.index;
      end
    end
  end

  // One command a slot: the second one waits at the issue.
  `ESNIC_ASSERT(OneOwner_A, !(take_i && next_busy_o))
  `ESNIC_ASSERT(Begins_A, !(begin_i || refused_i) || state_q[begin_beat_i.entry] == StFirst)
  `ESNIC_ASSERT(Checks_A, !check || state_q[check_beat_i.entry] == StCheck)
endmodule
