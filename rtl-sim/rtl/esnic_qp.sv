// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A queue pair: its registers, its ring indices, its credits (R7) and its state machine (device manual
// 6.2). The blocks that move its data tell it what they did; it alone holds the numbers.
`include "esnic_assert.svh"
module esnic_qp
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned RingLog2 = 12,
  parameter int unsigned Index = 0
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        clear_i,
  input  logic        run_i,
  input  logic        bus_master_i,

  // Dwords of this pair's block and of its doorbell page.
  input  logic        reg_we_i,
  input  logic        bell_we_i,
  input  logic [7:0]  wr_addr_i,
  input  logic [31:0] wr_data_i,
  input  logic [7:0]  rd_addr_i,
  output logic [31:0] rd_data_o,

  output qp_t         qp_o,
  output logic        enabled_o,       // ENABLED begins: the direct ring is cleared
  output logic        failed_o,        // ERROR begins
  output logic        stale_o,
  output logic        fire_o,          // the pair's vector (R1)

  // What happened to it.
  input  logic        direct_ready_i,  // a direct entry waits
  input  logic [31:0] direct_head_i,
  input  logic        take_i,          // a direct entry was taken: one credit
  input  logic        fetch_i,         // a read was sent: as many credits as slots
  input  logic [3:0]  fetch_slots_i,
  input  logic        fetch_ext_i,     // ... and one slot more without a credit
  input  logic        read_failed_i,   // (R27)
  input  logic [63:0] read_iova_i,
  input  ring_step_t  step_i,          // for this pair, if valid
  input  logic        direct_cmd_i,    // a direct command went into the pipeline
  input  group_t      sent_i,          // completions got their places and are on their way
  input  logic [2:0]  dropped_i,       // completions were made and dropped
  input  group_t      answered_i,      // a write of completions was answered
  input  logic        answered_bad_i,
  input  logic [63:0] answered_iova_i
);
  qp_state_e   state_d, state_q;
  qp_cause_e   cause_d, cause_q;
  logic        enable_d, enable_q, leaving_d, leaving_q, drop_d, drop_q;
  logic [63:0] err_addr_d, err_addr_q, sq_base_d, sq_base_q, cq_base_d, cq_base_q;
  logic [3:0]  sq_log2_d, sq_log2_q, cq_log2_d, cq_log2_q;
  logic [31:0] start_d, start_q, coalesce_d, coalesce_q;
  // fetch_head: asked for; sq_head: gone into the pipeline, which is what the host sees.
  logic [31:0] fetch_head_d, fetch_head_q, sq_head_d, sq_head_q, sq_tail_d, sq_tail_q;
  // cq_tail: given places, no later than visible; cq_done: answered, which is what interrupts tell (R3).
  logic [31:0] cq_tail_d, cq_tail_q, cq_done_d, cq_done_q, cq_head_d, cq_head_q;
  // Entries of the CQ that are reserved, but not yet in cq_tail.
  logic [15:0] claims_d, claims_q;
  logic [15:0] ring_out_d, ring_out_q, writes_d, writes_q;
  logic        ext_d, ext_q, swallow_d, swallow_q, fence_d, fence_q;
  logic        armed_d, armed_q, since_d, since_q;
  logic [31:0] arm_d, arm_q;
  logic [23:0] waited_d, waited_q;
  logic [63:0] commands_d, commands_q, completions_d, completions_q;
  logic [63:0] errors_d, errors_q, irqs_d, irqs_q;

  logic free, told_ok;
  assign free = state_q == QP_STATE_DISABLED;
  assign told_ok = state_q inside {QP_STATE_ENABLED, QP_STATE_STOPPING};

  // ---- Configuration ------------------------------------------------------------------------------

  logic ctrl_we, enabling, good;
  logic [31:0] span_mask;

  assign ctrl_we = reg_we_i && wr_addr_i == 8'(QUEUE_PAIR_QP_CTRL_OFFSET);
  assign enabling = ctrl_we && wr_data_i[QUEUE_PAIR_QP_CTRL_ENABLE_LSB] && free && run_i;
  // START is a multiple of twice the larger ring, so that slots and phases begin as at 0 (R6).
  assign span_mask = (32'd2 << ((sq_log2_q > cq_log2_q) ? sq_log2_q : cq_log2_q)) - 32'd1;
  assign good = sq_log2_q != '0 && cq_log2_q != '0 &&
                32'(sq_log2_q) <= RingLog2 && 32'(cq_log2_q) <= RingLog2 &&
                (sq_base_q & (64'(RING_ALIGN) - 64'd1)) == '0 &&
                (cq_base_q & (64'(RING_ALIGN) - 64'd1)) == '0 &&
                (start_q & span_mask) == '0;

  always_comb begin
    sq_base_d = sq_base_q;
    cq_base_d = cq_base_q;
    sq_log2_d = sq_log2_q;
    cq_log2_d = cq_log2_q;
    start_d = start_q;
    coalesce_d = coalesce_q;
    if (reg_we_i && free) begin
      unique case (wr_addr_i)
        8'(QUEUE_PAIR_SQ_BASE_OFFSET): sq_base_d[31:0] = wr_data_i;
        8'(QUEUE_PAIR_SQ_BASE_OFFSET + 4): sq_base_d[63:32] = wr_data_i;
        8'(QUEUE_PAIR_CQ_BASE_OFFSET): cq_base_d[31:0] = wr_data_i;
        8'(QUEUE_PAIR_CQ_BASE_OFFSET + 4): cq_base_d[63:32] = wr_data_i;
        8'(QUEUE_PAIR_RING_SIZE_OFFSET): begin
          sq_log2_d = wr_data_i[QUEUE_PAIR_RING_SIZE_SQ_LOG2_LSB +: 4];
          cq_log2_d = wr_data_i[QUEUE_PAIR_RING_SIZE_CQ_LOG2_LSB +: 4];
        end
        8'(QUEUE_PAIR_START_OFFSET): start_d = wr_data_i;
        default: ;
      endcase
    end
    if (reg_we_i && wr_addr_i == 8'(QUEUE_PAIR_COALESCE_OFFSET)) coalesce_d = wr_data_i;
    if (clear_i) begin
      sq_base_d = '0;
      cq_base_d = '0;
      sq_log2_d = '0;
      cq_log2_d = '0;
      start_d = '0;
      coalesce_d = '0;
    end
  end

  // ---- Doorbells (device manual 2.3) --------------------------------------------------------------

  logic bell_sq, bell_cq, bell_arm, bad_bell;
  assign bell_sq = bell_we_i && wr_addr_i == 8'(DOORBELL_SQ_TAIL_OFFSET) && state_q == QP_STATE_ENABLED;
  assign bell_cq = bell_we_i && wr_addr_i == 8'(DOORBELL_CQ_HEAD_OFFSET) && told_ok;
  assign bell_arm = bell_we_i && wr_addr_i == 8'(DOORBELL_CQ_ARM_OFFSET) && told_ok;
  assign stale_o = (bell_sq && is_behind(wr_data_i, sq_tail_q)) ||
                   (bell_cq && is_behind(wr_data_i, cq_head_q));
  assign bad_bell = !stale_o && ((bell_sq && wr_data_i - sq_head_q > (32'd1 << sq_log2_q)) ||
                                 (bell_cq && is_behind(cq_tail_q, wr_data_i)));

  // ---- Indices and credits ------------------------------------------------------------------------

  logic step, sent, answered, write_failed;
  assign step = step_i.valid && step_i.pair == pair_t'(Index);
  assign sent = sent_i.valid && sent_i.pair == pair_t'(Index);
  assign answered = answered_i.valid && answered_i.pair == pair_t'(Index);
  // After an error nothing of what follows is believed.
  assign write_failed = answered && answered_bad_i && !drop_q;

  always_comb begin
    fetch_head_d = fetch_head_q;
    sq_head_d = sq_head_q;
    sq_tail_d = sq_tail_q;
    cq_tail_d = cq_tail_q;
    cq_done_d = cq_done_q;
    cq_head_d = cq_head_q;
    claims_d = claims_q;
    ring_out_d = ring_out_q;
    writes_d = writes_q;
    ext_d = ext_q;
    swallow_d = swallow_q;
    fence_d = fence_q;

    if (bell_sq && !stale_o && !bad_bell) sq_tail_d = wr_data_i;
    if (bell_cq && !stale_o && !bad_bell) cq_head_d = wr_data_i;
    if (take_i) claims_d = claims_d + 16'd1;
    if (fetch_i) begin
      fetch_head_d = fetch_head_q + 32'(fetch_slots_i) + 32'(fetch_ext_i);
      claims_d = claims_d + 16'(fetch_slots_i);
      ext_d = fetch_ext_i;
    end
    if (step) begin
      sq_head_d = sq_head_q + 32'(step_i.slots);
      claims_d = claims_d - 16'(step_i.credits);
      if (step_i.slots != '0) swallow_d = step_i.swallow;
      if (step_i.command) begin
        ring_out_d = ring_out_d + 16'd1;
        fence_d = step_i.fence;
      end
      if (step_i.ext_done) ext_d = 1'b0;
      // No read follows one with such a slot, so nothing else is on its way.
      if (step_i.rewind) fetch_head_d = sq_head_d;
    end
    if (sent) begin
      cq_tail_d = cq_tail_q + 32'(sent_i.count);
      claims_d = claims_d - 16'(sent_i.count);
      writes_d = writes_d + 16'd1;
    end
    claims_d = claims_d - 16'(dropped_i);
    if (answered) begin
      writes_d = writes_d - 16'd1;
      if (!drop_q && !answered_bad_i) begin
        cq_done_d = cq_done_q + 32'(answered_i.count);
        ring_out_d = ring_out_d - 16'(answered_i.ring);
      end
    end
    // What may be in memory after the failed write does not count: its fate is unknown (R26).
    if (write_failed) cq_tail_d = cq_done_q;
    if (enabling && good) begin
      fetch_head_d = start_q;
      sq_head_d = start_q;
      sq_tail_d = start_q;
      cq_tail_d = start_q;
      cq_done_d = start_q;
      cq_head_d = start_q;
      ring_out_d = '0;
      swallow_d = 1'b0;
      fence_d = 1'b0;
    end
    if (clear_i) begin
      fetch_head_d = '0;
      sq_head_d = '0;
      sq_tail_d = '0;
      cq_tail_d = '0;
      cq_done_d = '0;
      cq_head_d = '0;
      claims_d = '0;
      ring_out_d = '0;
      writes_d = '0;
      ext_d = 1'b0;
      swallow_d = 1'b0;
      fence_d = 1'b0;
    end
  end

  // ---- State machine ------------------------------------------------------------------------------

  logic quiet, disable_now, fail;
  qp_cause_e fail_cause;
  logic [63:0] fail_iova;

  assign quiet = claims_q == '0 && writes_q == '0 && !ext_q;
  assign disable_now = ctrl_we && !wr_data_i[QUEUE_PAIR_QP_CTRL_ENABLE_LSB];

  always_comb begin
    fail = 1'b0;
    fail_cause = QP_CAUSE_NONE;
    fail_iova = '0;
    if (bad_bell) begin
      fail = 1'b1;
      fail_cause = QP_CAUSE_BAD_DOORBELL;
    end
    if (read_failed_i) begin
      fail = 1'b1;
      fail_cause = QP_CAUSE_SQ_READ;
      fail_iova = read_iova_i;
    end
    if (write_failed) begin
      fail = 1'b1;
      fail_cause = QP_CAUSE_CQ_WRITE;
      fail_iova = answered_iova_i;
    end
  end

  always_comb begin
    state_d = state_q;
    cause_d = cause_q;
    enable_d = enable_q;
    leaving_d = leaving_q;
    drop_d = drop_q || write_failed;
    err_addr_d = err_addr_q;
    enabled_o = 1'b0;
    failed_o = 1'b0;
    if (disable_now) enable_d = 1'b0;
    unique case (state_q)
      QP_STATE_DISABLED: begin
        if (enabling) begin
          enable_d = 1'b1;
          leaving_d = 1'b0;
          drop_d = 1'b0;
          cause_d = good ? QP_CAUSE_NONE : QP_CAUSE_BAD_CONFIG;
          err_addr_d = '0;
          state_d = good ? QP_STATE_ENABLED : QP_STATE_ERROR;
          enabled_o = good;
          failed_o = !good;
        end
      end
      QP_STATE_ENABLED: if (disable_now) state_d = QP_STATE_STOPPING;
      // R25: the fate of every command is known before DISABLED.
      QP_STATE_STOPPING: if (quiet) state_d = QP_STATE_DISABLED;
      QP_STATE_ERROR: begin
        if (disable_now) leaving_d = 1'b1;
        if (leaving_q && quiet) state_d = QP_STATE_DISABLED;
      end
      default: state_d = QP_STATE_ERROR;
    endcase
    if (fail && told_ok) begin
      state_d = QP_STATE_ERROR;
      cause_d = fail_cause;
      err_addr_d = fail_iova;
      leaving_d = 1'b0;
      failed_o = 1'b1;
    end
    if (clear_i) begin
      state_d = QP_STATE_DISABLED;
      cause_d = QP_CAUSE_NONE;
      enable_d = 1'b0;
      leaving_d = 1'b0;
      drop_d = 1'b0;
      err_addr_d = '0;
    end
  end

  // ---- Interrupt (R1) -----------------------------------------------------------------------------

  logic [31:0] ahead, ahead_d;
  logic [15:0] enough;
  logic in_time;

  assign ahead = cq_done_q - arm_q;
  assign enough = (coalesce_q[15:0] == '0) ? 16'd1 : coalesce_q[15:0];
  assign in_time = coalesce_q[31:16] != '0 && since_q && waited_q >= {coalesce_q[31:16], 8'd0};
  assign fire_o = armed_q && !bell_arm && ((!ahead[31] && ahead >= 32'(enough)) || in_time);

  always_comb begin
    armed_d = armed_q && !fire_o;
    arm_d = arm_q;
    since_d = since_q;
    waited_d = (since_q && waited_q != '1) ? waited_q + 24'd1 : waited_q;
    if (bell_arm) begin
      armed_d = 1'b1;
      arm_d = wr_data_i;
      since_d = 1'b0;
      waited_d = '0;
    end
    // Time runs from the later of the ARM and the first completion beyond it.
    ahead_d = cq_done_d - arm_d;
    if (armed_d && !since_d && !ahead_d[31] && ahead_d != '0) begin
      since_d = 1'b1;
      waited_d = '0;
    end
    if (!armed_d) since_d = 1'b0;
    if (state_d == QP_STATE_DISABLED || clear_i) begin
      armed_d = 1'b0;
      since_d = 1'b0;
    end
  end

  logic [31:0] unanswered;
  assign unanswered = cq_tail_q - cq_done_q;

  // ---- Counters -----------------------------------------------------------------------------------

  always_comb begin
    commands_d = commands_q + 64'(step && step_i.command) + 64'(direct_cmd_i);
    completions_d = completions_q;
    errors_d = errors_q;
    irqs_d = irqs_q + 64'(fire_o);
    if (sent) begin
      completions_d = completions_d + 64'(sent_i.count);
      errors_d = errors_d + 64'(sent_i.count) - 64'(sent_i.ok);
    end
    if (write_failed) completions_d = completions_q - 64'(unanswered);
    if (clear_i) begin
      commands_d = '0;
      completions_d = '0;
      errors_d = '0;
      irqs_d = '0;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= QP_STATE_DISABLED;
      cause_q <= QP_CAUSE_NONE;
      {enable_q, leaving_q, drop_q, ext_q, swallow_q, fence_q, armed_q, since_q} <= '0;
      {err_addr_q, sq_base_q, cq_base_q, sq_log2_q, cq_log2_q, start_q, coalesce_q} <= '0;
      {fetch_head_q, sq_head_q, sq_tail_q, cq_tail_q, cq_done_q, cq_head_q} <= '0;
      {claims_q, ring_out_q, writes_q, arm_q, waited_q} <= '0;
      {commands_q, completions_q, errors_q, irqs_q} <= '0;
    end else begin
      state_q <= state_d;
      cause_q <= cause_d;
      {enable_q, leaving_q, drop_q, ext_q, swallow_q, fence_q, armed_q, since_q} <=
        {enable_d, leaving_d, drop_d, ext_d, swallow_d, fence_d, armed_d, since_d};
      {err_addr_q, sq_base_q, cq_base_q, sq_log2_q, cq_log2_q, start_q, coalesce_q} <=
        {err_addr_d, sq_base_d, cq_base_d, sq_log2_d, cq_log2_d, start_d, coalesce_d};
      {fetch_head_q, sq_head_q, sq_tail_q, cq_tail_q, cq_done_q, cq_head_q} <=
        {fetch_head_d, sq_head_d, sq_tail_d, cq_tail_d, cq_done_d, cq_head_d};
      {claims_q, ring_out_q, writes_q, arm_q, waited_q} <=
        {claims_d, ring_out_d, writes_d, arm_d, waited_d};
      {commands_q, completions_q, errors_q, irqs_q} <=
        {commands_d, completions_d, errors_d, irqs_d};
    end
  end

  // ---- What it shows ------------------------------------------------------------------------------

  logic [15:0] taken, credits;
  assign taken = 16'(cq_tail_q - cq_head_q) + claims_q;
  assign credits = (16'd1 << cq_log2_q) - taken;

  always_comb begin
    qp_o = '0;
    qp_o.state = state_q;
    qp_o.drop = drop_q;
    qp_o.settled = !free;
    qp_o.ring_idle = ring_out_q == '0;
    qp_o.swallow = swallow_q;
    qp_o.fence = fence_q;
    qp_o.credits = credits;
    qp_o.has_credit = credits != '0;
    qp_o.can_fetch = state_q == QP_STATE_ENABLED && bus_master_i && !ext_q &&
                     fetch_head_q != sq_tail_q && credits != '0;
    qp_o.starves = state_q == QP_STATE_ENABLED && credits == '0 && fetch_head_q == sq_head_q &&
                   (fetch_head_q != sq_tail_q || direct_ready_i);
    qp_o.sq_base = sq_base_q;
    qp_o.cq_base = cq_base_q;
    qp_o.sq_log2 = sq_log2_q;
    qp_o.cq_log2 = cq_log2_q;
    qp_o.fetch_head = fetch_head_q;
    qp_o.sq_tail = sq_tail_q;
    qp_o.sq_head = sq_head_q;
    qp_o.cq_tail = cq_tail_q;
  end

  always_comb begin
    unique case (rd_addr_i)
      8'(QUEUE_PAIR_QP_CTRL_OFFSET): rd_data_o = 32'(enable_q);
      8'(QUEUE_PAIR_QP_STATUS_OFFSET): rd_data_o = {16'd0, cause_q, 5'd0, state_q};
      8'(QUEUE_PAIR_SQ_BASE_OFFSET): rd_data_o = sq_base_q[31:0];
      8'(QUEUE_PAIR_SQ_BASE_OFFSET + 4): rd_data_o = sq_base_q[63:32];
      8'(QUEUE_PAIR_CQ_BASE_OFFSET): rd_data_o = cq_base_q[31:0];
      8'(QUEUE_PAIR_CQ_BASE_OFFSET + 4): rd_data_o = cq_base_q[63:32];
      8'(QUEUE_PAIR_RING_SIZE_OFFSET): rd_data_o = {20'd0, cq_log2_q, 4'd0, sq_log2_q};
      8'(QUEUE_PAIR_START_OFFSET): rd_data_o = start_q;
      8'(QUEUE_PAIR_COALESCE_OFFSET): rd_data_o = coalesce_q;
      8'(QUEUE_PAIR_SQ_HEAD_OFFSET): rd_data_o = sq_head_q;
      8'(QUEUE_PAIR_SQ_TAIL_OFFSET): rd_data_o = sq_tail_q;
      8'(QUEUE_PAIR_CQ_TAIL_OFFSET): rd_data_o = cq_tail_q;
      8'(QUEUE_PAIR_CQ_HEAD_OFFSET): rd_data_o = cq_head_q;
      8'(QUEUE_PAIR_DIRECT_HEAD_OFFSET): rd_data_o = direct_head_i;
      8'(QUEUE_PAIR_QP_ERR_ADDR_OFFSET): rd_data_o = err_addr_q[31:0];
      8'(QUEUE_PAIR_QP_ERR_ADDR_OFFSET + 4): rd_data_o = err_addr_q[63:32];
      8'(QUEUE_PAIR_COMMANDS_OFFSET): rd_data_o = commands_q[31:0];
      8'(QUEUE_PAIR_COMMANDS_OFFSET + 4): rd_data_o = commands_q[63:32];
      8'(QUEUE_PAIR_COMPLETIONS_OFFSET): rd_data_o = completions_q[31:0];
      8'(QUEUE_PAIR_COMPLETIONS_OFFSET + 4): rd_data_o = completions_q[63:32];
      8'(QUEUE_PAIR_ERRORS_OFFSET): rd_data_o = errors_q[31:0];
      8'(QUEUE_PAIR_ERRORS_OFFSET + 4): rd_data_o = errors_q[63:32];
      8'(QUEUE_PAIR_IRQS_OFFSET): rd_data_o = irqs_q[31:0];
      8'(QUEUE_PAIR_IRQS_OFFSET + 4): rd_data_o = irqs_q[63:32];
      default: rd_data_o = '0;
    endcase
  end

  // R7: reserved + written - CQ_HEAD never exceeds the ring.
  `ESNIC_ASSERT(Credit_A, free || state_q == QP_STATE_ERROR || taken <= (16'd1 << cq_log2_q))
  `ESNIC_ASSERT(Claims_A, claims_q <= 16'h8000 && !writes_q[15] && ring_out_q <= 16'h8000)
  `ESNIC_ASSERT(FetchBehindTail_A, free || !is_behind(sq_tail_q, fetch_head_q))
endmodule
