// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The queue pairs: ring indices, credits (R7) and the state machine (device manual 6.2) of each. The
// blocks that move data tell what they did, and to which pair; the numbers are held here alone.
//
// In every cycle each kind of event concerns one pair at most. So an event selects its pair, and the
// selected number is changed: there is one adder a kind of event, not one a pair.
`include "esnic_assert.svh"
module esnic_qp
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned QueuePairs = 8,
  localparam int unsigned IdxW = (QueuePairs > 1) ? $clog2(QueuePairs) : 1
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  input  logic                        clear_i,
  input  logic                        run_i,
  input  logic                        bus_master_i,
  input  logic [3:0]                  ring_log2_i,     // largest ring

  // Host accesses.
  input  reg_wr_t                     wr_i,
  input  logic                        wr_half_i,
  input  logic                        rd_en_i,
  input  logic [18:0]                 rd_addr_i,
  output logic [31:0]                 rd_data_o,

  // What the pairs show. One bit a pair:
  output logic [QueuePairs-1:0]       starts_o,        // ENABLED begins: its direct ring is cleared
  output logic [QueuePairs-1:0]       may_take_o,      // a direct entry may be taken
  output logic [QueuePairs-1:0]       can_fetch_o,
  output logic [QueuePairs-1:0]       drop_o,          // what was fetched is not run, nor written
  output logic [QueuePairs-1:0]       settled_o,       // not DISABLED
  output logic [QueuePairs-1:0]       ring_idle_o,     // every ring command is completed in memory
  output logic [QueuePairs-1:0]       fire_o,          // the pair's vector (R1)
  output logic [QueuePairs-1:0][3:0]  sq_log2_o,
  output logic [QueuePairs-1:0][3:0]  cq_log2_o,
  output logic [QueuePairs-1:0][15:0] credits_o,
  output logic [QueuePairs-1:0][31:0] fetch_head_o,
  output logic [QueuePairs-1:0][31:0] sq_tail_o,
  output logic [QueuePairs-1:0][31:0] sq_head_o,
  output logic [QueuePairs-1:0][31:0] cq_tail_o,
  input  pair_t                       sq_pair_i,
  output logic [63:0]                 sq_base_o,       // of sq_pair_i
  output logic                        bell_o,          // the tail of wr_pair_o's ring is moved now
  output pair_t                       wr_pair_o,
  input  pair_t                       cq_pair_i,
  output logic [63:0]                 cq_base_o,       // of cq_pair_i
  output logic [63:0]                 error_map_o,
  output logic                        failed_o,        // ERROR begins
  output logic                        stale_o,
  output logic                        starves_o,
  output logic                        all_disabled_o,

  // A dword of a direct doorbell ring.
  output logic                        direct_we_o,
  output pair_t                       direct_pair_o,
  output logic [6:0]                  direct_dword_o,
  input  logic [QueuePairs-1:0]       direct_ready_i,  // a direct entry waits
  input  logic [QueuePairs-1:0][31:0] direct_head_i,

  // What happened.
  input  logic                        take_i,          // a direct entry was taken: one credit
  input  pair_t                       take_pair_i,
  input  fetch_t                      fetch_i,         // a read was sent
  input  logic                        read_failed_i,   // (R27)
  input  pair_t                       read_pair_i,
  input  logic [63:0]                 read_iova_i,
  input  ring_step_t                  step_i,
  input  group_t                      sent_i,          // completions got places and are under way
  input  group_t                      dropped_i,       // completions were made and dropped
  input  group_t                      answered_i,      // a write of completions was answered
  input  logic                        answered_bad_i,
  input  logic [63:0]                 answered_iova_i
);
  typedef logic [IdxW-1:0] idx_t;

  // The state, one bit a pair: none of them is DISABLED.
  logic [QueuePairs-1:0]       on_q, stopping_q, error_q, off;
  logic [QueuePairs-1:0][7:0]  cause_q;
  logic [QueuePairs-1:0]       enable_q, leaving_q, drop_q, ext_q;
  logic [QueuePairs-1:0][63:0] err_addr_q;
  // fetch_head: asked for; sq_head: gone into the pipeline, which is what the host sees.
  logic [QueuePairs-1:0][31:0] fetch_head_q, sq_head_q, sq_tail_q;
  // cq_tail: given places, no later than visible; cq_done: answered, which is what interrupts tell (R3).
  logic [QueuePairs-1:0][31:0] cq_tail_q, cq_done_q, cq_head_q;
  // claims: entries of the CQ that are reserved, but not yet in cq_tail. credits: those still free.
  logic [QueuePairs-1:0][15:0] claims_d, claims_q, credits_d, credits_q;
  logic [QueuePairs-1:0]       credit_d, credit_q;   // credits are not 0
  logic [QueuePairs-1:0][15:0] ring_out_d, ring_out_q, writes_d, writes_q;

  // ---- Host accesses: BAR 0 has blocks of 0x100 bytes, doorbell pages of 0x1000 --------------------

  logic in_blocks, in_bells, reg_we, bell_we, bell_direct, rd_in;
  pair_t wr_pair, rd_pair;
  idx_t w, r;

  assign in_blocks = wr_i.valid && !wr_i.msix && wr_i.addr[18:14] == QUEUE_PAIR_BASE[18:14];
  assign in_bells = wr_i.valid && !wr_i.msix && wr_i.addr[18] == DOORBELL_BASE[18];
  assign wr_pair = wr_i.pair;
  assign rd_pair = rd_addr_i[13:8];
  assign w = wr_pair[IdxW-1:0];
  assign r = rd_pair[IdxW-1:0];
  assign reg_we = in_blocks && 32'(wr_pair) < QueuePairs;
  assign bell_we = in_bells && 32'(wr_pair) < QueuePairs && wr_i.addr[11:8] == '0;
  // The direct ring is a power of two in size, in the upper half of its page. Whatever is written
  // while the pair is not ENABLED is dropped (2.3).
  assign bell_direct = in_bells && 32'(wr_pair) < QueuePairs &&
                       wr_i.addr[11:9] == DOORBELL_DIRECT_OFFSET[11:9];
  assign direct_we_o = bell_direct && on_q[w];
  assign direct_pair_o = wr_pair;
  assign direct_dword_o = wr_i.addr[8:2];
  assign wr_pair_o = wr_pair;
  assign rd_in = rd_en_i && rd_addr_i[18:14] == QUEUE_PAIR_BASE[18:14] && 32'(rd_pair) < QueuePairs;

  // ---- Configuration ------------------------------------------------------------------------------

  logic free_w, told_w, ctrl_we, good_d, enabling, good, starting;
  idx_t e;
  logic [31:0] start_d, start, coalesce, cfg_data, count_data;

  assign off = ~(on_q | stopping_q | error_q);
  assign free_w = off[w];
  assign told_w = on_q[w] || stopping_q[w];
  assign ctrl_we = reg_we && wr_i.addr[7:0] == 8'(QUEUE_PAIR_QP_CTRL_OFFSET);
  // What an ENABLE finds is looked at in one cycle and takes effect in the next: no other access of the
  // host comes between.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {enabling, good, e, start} <= '0;
    else begin
      enabling <= ctrl_we && wr_i.data[QUEUE_PAIR_QP_CTRL_ENABLE_LSB] && free_w && run_i &&
                  !clear_i;
      if (ctrl_we) {good, e, start} <= {good_d, w, start_d};
    end
  end
  assign starting = enabling && good;

  esnic_qp_cfg #(.QueuePairs(QueuePairs)) u_cfg (
    .clk_i, .rst_ni, .clear_i, .ring_log2_i,
    .we_i(reg_we && free_w), .wr_pair_i(wr_pair), .wr_addr_i(wr_i.addr[7:0]), .wr_data_i(wr_i.data),
    .rd_en_i(rd_in), .rd_pair_i(rd_pair), .rd_addr_i(rd_addr_i[7:0]), .rd_data_o(cfg_data),
    .sq_pair_i, .sq_base_o, .cq_pair_i, .cq_base_o, .sq_log2_o, .cq_log2_o,
    .good_o(good_d), .start_o(start_d)
  );

  // ---- Doorbells (device manual 2.3) --------------------------------------------------------------

  logic bell_sq, bell_cq, bell_arm, bad_bell;
  logic [15:0] sq_size_w;
  assign sq_size_w = 16'd1 << sq_log2_o[w];
  assign bell_sq = bell_we && wr_i.addr[7:0] == 8'(DOORBELL_SQ_TAIL_OFFSET) && on_q[w];
  assign bell_cq = bell_we && wr_i.addr[7:0] == 8'(DOORBELL_CQ_HEAD_OFFSET) && told_w;
  assign bell_arm = bell_we && wr_i.addr[7:0] == 8'(DOORBELL_CQ_ARM_OFFSET) && told_w;
  assign bell_o = bell_sq;
  assign stale_o = (bell_sq && is_behind(wr_i.data, sq_tail_q[w])) ||
                   (bell_cq && is_behind(wr_i.data, cq_head_q[w]));
  assign bad_bell = !stale_o && ((bell_sq && wr_i.data - sq_head_q[w] > 32'(sq_size_w)) ||
                                 (bell_cq && is_behind(cq_tail_q[w], wr_i.data)));

  // ---- Which pair an event is for -----------------------------------------------------------------

  // A read is booked the cycle after it was made up, which is a long way of logic by itself. Until
  // then its pair takes nothing else that wants a credit. What was dropped gives its credits back later, too.
  fetch_t fetch_q;
  group_t dropped_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {fetch_q, dropped_q} <= '0;
    else {fetch_q, dropped_q} <= clear_i ? '0 : {fetch_i, dropped_i};
  end

  idx_t t, f, s, n, d, a;
  logic write_failed, write_ok;
  assign t = take_pair_i[IdxW-1:0];
  assign f = fetch_q.pair[IdxW-1:0];
  assign s = step_i.pair[IdxW-1:0];
  assign n = sent_i.pair[IdxW-1:0];
  assign d = dropped_q.pair[IdxW-1:0];
  assign a = answered_i.pair[IdxW-1:0];
  // After an error nothing of what follows is believed.
  assign write_failed = answered_i.valid && answered_bad_i && !drop_q[a];
  assign write_ok = answered_i.valid && !answered_bad_i && !drop_q[a];

  // ---- Ring indices -------------------------------------------------------------------------------

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      {fetch_head_q, sq_head_q, sq_tail_q} <= '0;
      {cq_tail_q, cq_done_q, cq_head_q} <= '0;
      ext_q <= '0;
    end else if (clear_i) begin
      {fetch_head_q, sq_head_q, sq_tail_q} <= '0;
      {cq_tail_q, cq_done_q, cq_head_q} <= '0;
      ext_q <= '0;
    end else begin
      if (bell_sq && !stale_o && !bad_bell) sq_tail_q[w] <= wr_i.data;
      if (bell_cq && !stale_o && !bad_bell) cq_head_q[w] <= wr_i.data;
      if (fetch_q.valid) begin
        fetch_head_q[f] <= fetch_head_q[f] + 32'(fetch_q.slots) + 32'(fetch_q.ext);
        ext_q[f] <= fetch_q.ext;
      end
      if (step_i.valid) begin
        sq_head_q[s] <= sq_head_q[s] + 32'(step_i.slots);
        if (step_i.ext_done) ext_q[s] <= 1'b0;
        // No read follows one with such a slot, so nothing else is on its way.
        if (step_i.rewind) fetch_head_q[s] <= sq_head_q[s] + 32'(step_i.slots);
      end
      if (sent_i.valid) cq_tail_q[n] <= cq_tail_q[n] + 32'(sent_i.count);
      if (write_ok) cq_done_q[a] <= cq_done_q[a] + 32'(answered_i.count);
      // What may be in memory after the failed write does not count: its fate is unknown (R26).
      if (write_failed) cq_tail_q[a] <= cq_done_q[a];
      if (starting) begin
        fetch_head_q[e] <= start;
        sq_head_q[e] <= start;
        sq_tail_q[e] <= start;
        cq_tail_q[e] <= start;
        cq_done_q[e] <= start;
        cq_head_q[e] <= start;
      end
    end
  end

  // ---- Credits, and what is under way -------------------------------------------------------------

  logic counts;
  logic [15:0] freed;    // by the host, with CQ_HEAD
  logic [QueuePairs-1:0][4:0] taken, given, made;
  logic [QueuePairs-1:0][15:0] grown;
  assign counts = take_i || fetch_q.valid || step_i.valid || sent_i.valid || dropped_q.valid ||
                  answered_i.valid || bell_cq;
  assign freed = 16'(wr_i.data - cq_head_q[w]);

  always_comb begin
    claims_d = claims_q;
    credits_d = credits_q;
    grown = credits_q;
    credit_d = credit_q;
    ring_out_d = ring_out_q;
    writes_d = writes_q;
    {taken, given, made} = '0;
    if (counts) begin
      for (int unsigned q = 0; q < QueuePairs; q++) begin
        taken[q] = 5'(take_i && 32'(t) == q) +
                ((fetch_q.valid && 32'(f) == q) ? 5'(fetch_q.slots) : '0);
        given[q] = ((step_i.valid && 32'(s) == q) ? 5'(step_i.credits) : '0) +
                ((dropped_q.valid && 32'(d) == q) ? 5'(dropped_q.count) : '0);
        made[q] = (sent_i.valid && 32'(n) == q) ? 5'(sent_i.count) : '0;
        claims_d[q] = claims_q[q] + 16'(taken[q]) - 16'(given[q]) - 16'(made[q]);
        grown[q] = credits_q[q] + 16'(given[q]) +
            ((bell_cq && !stale_o && !bad_bell && 32'(w) == q) ? freed : '0);
        credits_d[q] = grown[q] - 16'(taken[q]);
        // The same as credits_d not being 0, and there before the difference is.
        credit_d[q] = grown[q] != 16'(taken[q]);
        ring_out_d[q] = ring_out_q[q] + 16'(step_i.valid && step_i.command && 32'(s) == q) -
            ((write_ok && 32'(a) == q) ? 16'(answered_i.ring) : '0);
        writes_d[q] = writes_q[q] + 16'(sent_i.valid && 32'(n) == q) -
            16'(answered_i.valid && 32'(a) == q);
      end
    end
    if (starting) begin
      credits_d[e] = 16'd1 << cq_log2_o[e];
      credit_d[e] = 1'b1;
      ring_out_d[e] = '0;
    end
    if (clear_i) begin
      claims_d = '0;
      credits_d = '0;
      credit_d = '0;
      ring_out_d = '0;
      writes_d = '0;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {claims_q, credits_q, credit_q, ring_out_q, ring_idle_o, writes_q} <= '0;
    else if (counts || starting || clear_i) begin
      {claims_q, credits_q, ring_out_q, writes_q} <= {claims_d, credits_d, ring_out_d, writes_d};
      for (int unsigned q = 0; q < QueuePairs; q++) begin
        credit_q[q] <= credit_d[q];
        ring_idle_o[q] <= ring_out_d[q] == '0;
      end
    end
  end

  // ---- State machine ------------------------------------------------------------------------------

  logic [QueuePairs-1:0] ending, more, starves;
  idx_t f_rd;
  logic bell_fails, read_fails, write_fails;
  assign f_rd = read_pair_i[IdxW-1:0];
  assign bell_fails = bad_bell && told_w;
  assign read_fails = read_failed_i && (on_q[f_rd] || stopping_q[f_rd]);
  assign write_fails = write_failed && (on_q[a] || stopping_q[a]);
  // Told a cycle later: it concerns all of the device.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) failed_o <= 1'b0;
    else failed_o <= (bell_fails || read_fails || write_fails || (enabling && !good)) && !clear_i;
  end

  // R25: the fate of every command is known before DISABLED.
  always_comb begin
    ending = stopping_q | (error_q & leaving_q);
    if (ending != '0) begin
      for (int unsigned q = 0; q < QueuePairs; q++) begin
        if (claims_q[q] != '0 || writes_q[q] != '0 || ext_q[q]) ending[q] = 1'b0;
        if (fetch_q.valid && 32'(f) == q) ending[q] = 1'b0;
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {on_q, stopping_q, error_q, cause_q, enable_q, leaving_q, drop_q} <= '0;
    else if (clear_i) {on_q, stopping_q, error_q, cause_q, enable_q, leaving_q, drop_q} <= '0;
    else begin
      stopping_q <= stopping_q & ~ending;
      error_q <= error_q & ~ending;
      if (enabling) begin
        enable_q[e] <= 1'b1;
        leaving_q[e] <= 1'b0;
        drop_q[e] <= 1'b0;
        cause_q[e] <= good ? QP_CAUSE_NONE : QP_CAUSE_BAD_CONFIG;
        on_q[e] <= good;
        error_q[e] <= !good;
      end else if (ctrl_we && !wr_i.data[QUEUE_PAIR_QP_CTRL_ENABLE_LSB]) begin
        enable_q[w] <= 1'b0;
        on_q[w] <= 1'b0;
        if (on_q[w]) stopping_q[w] <= 1'b1;
        if (error_q[w]) leaving_q[w] <= 1'b1;
      end
      // Of two failures of one pair at once, the write that failed counts: it decides what is known.
      if (bell_fails) begin
        {on_q[w], stopping_q[w], leaving_q[w]} <= '0;
        error_q[w] <= 1'b1;
        cause_q[w] <= QP_CAUSE_BAD_DOORBELL;
      end
      if (read_fails) begin
        {on_q[f_rd], stopping_q[f_rd], leaving_q[f_rd]} <= '0;
        error_q[f_rd] <= 1'b1;
        cause_q[f_rd] <= QP_CAUSE_SQ_READ;
      end
      if (write_failed) drop_q[a] <= 1'b1;
      if (write_fails) begin
        {on_q[a], stopping_q[a], leaving_q[a]} <= '0;
        error_q[a] <= 1'b1;
        cause_q[a] <= QP_CAUSE_CQ_WRITE;
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) err_addr_q <= '0;
    else if (clear_i) err_addr_q <= '0;
    else begin
      if (enabling) err_addr_q[e] <= '0;
      if (bell_fails) err_addr_q[w] <= '0;
      if (read_fails) err_addr_q[f_rd] <= read_iova_i;
      if (write_fails) err_addr_q[a] <= answered_iova_i;
    end
  end

  always_comb begin
    more = '0;
    starves = '0;
    for (int unsigned q = 0; q < QueuePairs; q++) begin
      if (on_q[q]) begin
        more[q] = fetch_head_q[q] != sq_tail_q[q];
        starves[q] = !credit_q[q] && fetch_head_q[q] == sq_head_q[q] &&
                     (more[q] || direct_ready_i[q]);
      end
    end
  end

  assign can_fetch_o = bus_master_i ? on_q & credit_q & more & ~ext_q : '0;
  // An access of eight bytes may replace both dwords of an entry: it is not looked at in between.
  always_comb begin
    may_take_o = (run_i && !wr_half_i) ? on_q & credit_q : '0;
    if (fetch_q.valid) may_take_o[f] = 1'b0;
  end
  assign starves_o = |starves;
  assign settled_o = ~off;
  assign all_disabled_o = &off;
  assign error_map_o = 64'(error_q);

  always_comb begin
    starts_o = '0;
    starts_o[e] = starting;
  end

  // ---- Interrupts and counters --------------------------------------------------------------------

  esnic_qp_irq #(.QueuePairs(QueuePairs)) u_irq (
    .clk_i, .rst_ni, .clear_i, .off_i(off), .cq_done_i(cq_done_q),
    .arm_i(bell_arm), .coalesce_we_i(reg_we && wr_i.addr[7:0] == 8'(QUEUE_PAIR_COALESCE_OFFSET)),
    .wr_pair_i(wr_pair), .wr_data_i(wr_i.data),
    .rd_pair_i(rd_pair), .coalesce_o(coalesce), .fire_o
  );

  // COMPLETIONS goes back with CQ_TAIL, at the first failure; ERRORS line by line, as their answers come.
  logic undone;
  logic [31:0] unanswered;
  assign undone = answered_i.valid && (answered_bad_i || drop_q[a]);
  assign unanswered = write_failed ? cq_tail_q[a] - cq_done_q[a] : '0;
  esnic_qp_counters #(.QueuePairs(QueuePairs)) u_counters (
    .clk_i, .rst_ni, .clear_i,
    .command_i(step_i.valid && (step_i.command || step_i.direct)), .command_pair_i(step_i.pair),
    .sent_i, .undo_i(undone), .undo_group_i(answered_i), .undo_count_i(unanswered),
    .fire_i(fire_o),
    .rd_en_i(rd_in), .rd_pair_i(rd_pair), .rd_addr_i(rd_addr_i[7:0]), .rd_data_o(count_data)
  );

  // ---- What it shows ------------------------------------------------------------------------------

  assign drop_o = drop_q;
  assign credits_o = credits_q;
  assign fetch_head_o = fetch_head_q;
  assign sq_tail_o = sq_tail_q;
  assign sq_head_o = sq_head_q;
  assign cq_tail_o = cq_tail_q;

  qp_state_e state;   // of the pair that the host reads
  always_comb begin
    state = QP_STATE_DISABLED;
    if (on_q[r]) state = QP_STATE_ENABLED;
    if (stopping_q[r]) state = QP_STATE_STOPPING;
    if (error_q[r]) state = QP_STATE_ERROR;
  end

  always_comb begin
    rd_data_o = '0;
    if (rd_in) begin
      unique case (rd_addr_i[7:0])
        8'(QUEUE_PAIR_QP_CTRL_OFFSET): rd_data_o = 32'(enable_q[r]);
        8'(QUEUE_PAIR_QP_STATUS_OFFSET): rd_data_o = {16'd0, cause_q[r], 5'd0, state};
        8'(QUEUE_PAIR_COALESCE_OFFSET): rd_data_o = coalesce;
        8'(QUEUE_PAIR_SQ_HEAD_OFFSET): rd_data_o = sq_head_q[r];
        8'(QUEUE_PAIR_SQ_TAIL_OFFSET): rd_data_o = sq_tail_q[r];
        8'(QUEUE_PAIR_CQ_TAIL_OFFSET): rd_data_o = cq_tail_q[r];
        8'(QUEUE_PAIR_CQ_HEAD_OFFSET): rd_data_o = cq_head_q[r];
        8'(QUEUE_PAIR_DIRECT_HEAD_OFFSET): rd_data_o = direct_head_i[r];
        8'(QUEUE_PAIR_QP_ERR_ADDR_OFFSET): rd_data_o = err_addr_q[r][31:0];
        8'(QUEUE_PAIR_QP_ERR_ADDR_OFFSET + 4): rd_data_o = err_addr_q[r][63:32];
        default: rd_data_o = cfg_data | count_data;
      endcase
    end
  end

`ifndef SYNTHESIS
  for (genvar q = 0; q < QueuePairs; q++) begin : gen_check
    always_ff @(posedge clk_i) begin
      if (rst_ni && (on_q[q] || stopping_q[q])) begin
        // R7: reserved + written - CQ_HEAD never exceeds the ring, and all of it is accounted for.
        Credit_A: assert (credits_q[q] <= (16'd1 << cq_log2_o[q]) &&
                          credit_q[q] == (credits_q[q] != '0) &&
                          16'(cq_tail_q[q] - cq_head_q[q]) + claims_q[q] + credits_q[q] ==
                          (16'd1 << cq_log2_o[q])) else $error("%m: violated");
        Claims_A: assert (claims_q[q] <= 16'h8000 && !writes_q[q][15] && ring_out_q[q] <= 16'h8000)
          else $error("%m: violated");
        FetchBehindTail_A: assert (!is_behind(sq_tail_q[q], fetch_head_q[q]))
          else $error("%m: violated");
      end
    end
  end
`endif  // SYNTHESIS
  `ESNIC_ASSERT(OneState_A, (on_q & stopping_q) == '0 && ((on_q | stopping_q) & error_q) == '0)
  // A step is taken back only by the write's own answer; a new write does not go with it.
  `ESNIC_ASSERT(UndoAlone_A, !(undone && sent_i.valid))
endmodule
