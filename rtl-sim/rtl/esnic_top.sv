// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The device: an AXI4 slave for its BARs, an AXI4 master for DMA, a stream of interrupt requests, and two
// ports for the coming datapath. Wires the blocks; README.md has the picture.
module esnic_top
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned SaCapacity = 4096,  // SA slots: a power of two, at most 2^20
  parameter int unsigned QueuePairs = 8,     // 1 to 64
  parameter int unsigned DirectLog2 = 6,     // direct doorbell ring: 0 to 6
  parameter int unsigned StageLog2 = 6,      // stage buffers: at most one per SA slot
  parameter int unsigned InFlight = 256,     // slots read but not executed: a power of two, from 8
  parameter int unsigned Tags = 32           // reads in flight: a power of two, 2 to 64
) (
  input  logic         clk_i,
  input  logic         rst_ni,

  // What is offered: tie to constants. All of it is 32'h3FFF, 32'h7_007E, 4096, 12.
  input  logic [31:0]  cfg_features_i,      // bits of FEATURES
  input  logic [31:0]  cfg_algs_i,          // bits of ALGS
  input  logic [15:0]  cfg_max_window_i,    // replay window: at most 4096
  input  logic [3:0]   cfg_ring_log2_i,     // largest ring: 1 to 15

  // PCI configuration space, which the shell holds. Tie to 1, 1, 0, 0 where there is none.
  input  logic         cfg_bus_master_i,
  input  logic         cfg_msix_enable_i,
  input  logic         cfg_msix_mask_i,
  input  logic         flr_i,               // one cycle

  input  logic [3:0]   s_axi_awid,
  input  logic [63:0]  s_axi_awaddr,
  input  logic [7:0]   s_axi_awlen,
  input  logic [2:0]   s_axi_awsize,
  input  logic [1:0]   s_axi_awburst,
  input  logic         s_axi_awvalid,
  output logic         s_axi_awready,
  input  logic [511:0] s_axi_wdata,
  input  logic [63:0]  s_axi_wstrb,
  input  logic         s_axi_wlast,
  input  logic         s_axi_wvalid,
  output logic         s_axi_wready,
  output logic [3:0]   s_axi_bid,
  output logic [1:0]   s_axi_bresp,
  output logic         s_axi_bvalid,
  input  logic         s_axi_bready,
  input  logic [3:0]   s_axi_arid,
  input  logic [63:0]  s_axi_araddr,
  input  logic [7:0]   s_axi_arlen,
  input  logic [2:0]   s_axi_arsize,
  input  logic [1:0]   s_axi_arburst,
  input  logic         s_axi_arvalid,
  output logic         s_axi_arready,
  output logic [3:0]   s_axi_rid,
  output logic [511:0] s_axi_rdata,
  output logic [1:0]   s_axi_rresp,
  output logic         s_axi_rlast,
  output logic         s_axi_rvalid,
  input  logic         s_axi_rready,

  output logic [5:0]   m_axi_awid,
  output logic [63:0]  m_axi_awaddr,
  output logic [7:0]   m_axi_awlen,
  output logic [2:0]   m_axi_awsize,
  output logic [1:0]   m_axi_awburst,
  output logic         m_axi_awvalid,
  input  logic         m_axi_awready,
  output logic [511:0] m_axi_wdata,
  output logic [63:0]  m_axi_wstrb,
  output logic         m_axi_wlast,
  output logic         m_axi_wvalid,
  input  logic         m_axi_wready,
  input  logic [5:0]   m_axi_bid,
  input  logic [1:0]   m_axi_bresp,
  input  logic         m_axi_bvalid,
  output logic         m_axi_bready,
  output logic [5:0]   m_axi_arid,
  output logic [63:0]  m_axi_araddr,
  output logic [7:0]   m_axi_arlen,
  output logic [2:0]   m_axi_arsize,
  output logic [1:0]   m_axi_arburst,
  output logic         m_axi_arvalid,
  input  logic         m_axi_arready,
  input  logic [5:0]   m_axi_rid,
  input  logic [511:0] m_axi_rdata,
  input  logic [1:0]   m_axi_rresp,
  input  logic         m_axi_rlast,
  input  logic         m_axi_rvalid,
  output logic         m_axi_rready,

  output logic         msix_valid_o,
  input  logic         msix_ready_i,
  output logic [6:0]   msix_vector_o,

  // Lookup by the datapath: never waits, the entry comes one cycle later.
  input  logic         lk_valid_i,
  input  logic [19:0]  lk_index_i,
  output logic         lk_gnt_o,
  output logic         lk_valid_o,
  output logic [697:0] lk_entry_o,          // {live, configuration row}

  // State by the datapath: taken in the cycle it is offered, before control; `top` as the beat leaves it
  // comes four cycles later. With `commit` the packet st_number_i was authenticated.
  input  logic         st_valid_i,
  input  logic [19:0]  st_index_i,
  input  logic [31:0]  st_generation_i,
  input  logic         st_commit_i,
  input  logic [63:0]  st_number_i,
  output logic         st_valid_o,
  output logic [64:0]  st_top_o,            // {lo_valid, hi, lo}

  // Commands in the order in which they take effect, for tests and for tracing. May be left open.
  output logic         dbg_valid_o,
  output logic [5:0]   dbg_pair_o,
  output logic         dbg_ring_o,
  output logic [31:0]  dbg_cookie_o,
  output logic [7:0]   dbg_opcode_o,

  // Validation: makes the device fail on purpose, so that what it then does can be tested. Tie to 0.
  input  logic         dbg_hold_i,          // no command is taken any more
  input  logic [1:0]   dbg_flip_add_i,      // the next row that an ADD stores differs in these bits
  input  logic [1:0]   dbg_flip_delete_i,   // ... a DELETE; one bit fails parity, two the read-back
  output logic [1:0]   dbg_flipped_o,       // it did: DELETE, ADD
  input  logic [3:0]   dbg_fatal_i,         // FATAL for these causes
  input  logic [31:0]  dbg_fatal_info_i
);
  localparam int unsigned Records = 8;
  localparam int unsigned Pending = 16;
  localparam int unsigned Stages = 1 << StageLog2;
  localparam int unsigned IdxW = (QueuePairs > 1) ? $clog2(QueuePairs) : 1;
  localparam int unsigned DeepA = (SaCapacity > InFlight) ? SaCapacity : InFlight;
  localparam int unsigned ScrubRows = (DeepA > Stages) ? DeepA : Stages;
  localparam logic [1:0] BurstIncr = 2'b01;
  localparam logic [2:0] Size64 = 3'd6;

  // ---- Parameters ---------------------------------------------------------------------------------

  // What cannot be built is refused with a sentence, before anybody wonders about widths.
  if (SaCapacity < 2 || SaCapacity > 1 << SaW || !$onehot(SaCapacity)) begin : gen_bad_sa_capacity
    $fatal(1, "SaCapacity must be a power of two from 2 to 2^20");
  end
  if (QueuePairs < 1 || QueuePairs > 1 << PairW) begin : gen_bad_queue_pairs
    $fatal(1, "QueuePairs must be from 1 to 64");
  end
  if (DirectLog2 > 6) begin : gen_bad_direct_log2
    $fatal(1, "DirectLog2 must be from 0 to 6");
  end
  if (StageLog2 > $clog2(SaCapacity)) begin : gen_bad_stage_log2
    $fatal(1, "StageLog2 must be from 0 to log2 of SaCapacity");
  end
  if (InFlight < FetchSlots || !$onehot(InFlight)) begin : gen_bad_in_flight
    $fatal(1, "InFlight must be a power of two, 8 or more");
  end
  if (Tags < 2 || Tags > 64 || !$onehot(Tags)) begin : gen_bad_tags
    $fatal(1, "Tags must be a power of two from 2 to 64");
  end

  // ---- The edge -----------------------------------------------------------------------------------

  assign m_axi_awsize = Size64;
  assign m_axi_awburst = BurstIncr;
  assign m_axi_arsize = Size64;
  assign m_axi_arburst = BurstIncr;
  assign lk_gnt_o = 1'b1;

  // Bursts are refused, and a beat says by its strobes what it covers.
  logic unused_axi;
  assign unused_axi = ^{s_axi_awsize, s_axi_awburst, s_axi_arburst};

  // ---- Device -------------------------------------------------------------------------------------

  logic clear, flr, bus_master, msix_on, run, readable, scrub, all_disabled, qp_failed;
  logic event_fire, bus, fatal;
  logic [$clog2(ScrubRows)-1:0] scrub_row_raw;
  logic [31:0] scrub_row, scrub_left, scratch, fatal_info, fatal_info_in;
  logic [63:0] instance_no, error_map;
  logic [3:0]  fatal_cause, fatal_cause_in;
  logic [2:0]  state, int_cause, int_enable;
  logic rd_drained, wr_drained, rd_bad_tag, wr_bad_id;
  logic [31:0] rd_bad_info, wr_bad_info;
  reg_wr_t reg_wr;
  events_t events;
  logic stall_cq, stall_fetch, bypass_capture, bypass_exec, bad_access, stale_db, epoch_drop;
  logic msix_sent, sa_down, wr_sent;
  logic [4:0] stage_dropped;
  logic [9:0] rd_bytes;
  logic [7:0] wr_bytes;

  // Constants to synthesis, if the shell ties them; in registers, so that no wire leads from the edge
  // through all of the device.
  straps_t straps;
  logic has_direct;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) straps <= '0;
    else begin
      straps <= '{features: cfg_features_i, algs: cfg_algs_i, max_window: cfg_max_window_i,
                  ring_log2: cfg_ring_log2_i};
    end
  end
  assign fatal = state == DEVICE_STATE_FATAL;
  assign has_direct = straps.features[GLOBAL_FEATURES_DIRECT_LSB];
  assign scrub_row = 32'(scrub_row_raw);

  logic        sa_bad, hold;
  sa_t         sa_bad_index;
  // A cycle before FATAL: a record or a line made of a bad row does not leave.
  assign bus = bus_master && run && !sa_bad;
  logic [1:0]  flip_add, flip_delete;
  logic [3:0]  dbg_fatal;
  logic [31:0] dbg_fatal_info;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {hold, flip_add, flip_delete, dbg_fatal, dbg_fatal_info} <= '0;
    else begin
      {hold, flip_add, flip_delete} <= {dbg_hold_i, dbg_flip_add_i, dbg_flip_delete_i};
      {dbg_fatal, dbg_fatal_info} <= {dbg_fatal_i, dbg_fatal_info_i};
    end
  end

  always_comb begin
    fatal_cause_in = dbg_fatal;
    fatal_info_in = dbg_fatal_info;
    if (rd_bad_tag || wr_bad_id) begin
      fatal_cause_in[GLOBAL_FATAL_CAUSE_DMA_TAG_LSB] = 1'b1;
      fatal_info_in = rd_bad_tag ? rd_bad_info : wr_bad_info;
    end
    if (sa_bad) begin
      fatal_cause_in[GLOBAL_FATAL_CAUSE_TABLE_ECC_LSB] = 1'b1;
      fatal_info_in = 32'(sa_bad_index);
    end
  end

  esnic_device #(.SaCapacity(SaCapacity), .ScrubRows(ScrubRows)) u_device (
    .clk_i, .rst_ni, .flr_i, .cfg_bus_master_i, .cfg_msix_enable_i, .cfg_msix_mask_i,
    .wr_i(reg_wr),
    .all_disabled_i(all_disabled), .drained_i(rd_drained && wr_drained), .qp_error_i(qp_failed),
    .fatal_cause_i(fatal_cause_in), .fatal_info_i(fatal_info_in),
    .clear_o(clear), .flr_o(flr), .bus_master_o(bus_master), .msix_on_o(msix_on),
    .state_o(state), .run_o(run), .readable_o(readable),
    .scrub_o(scrub), .scrub_row_o(scrub_row_raw), .scrub_left_o(scrub_left),
    .instance_o(instance_no), .fatal_cause_o(fatal_cause), .fatal_info_o(fatal_info),
    .int_cause_o(int_cause), .int_enable_o(int_enable), .scratch_o(scratch), .fire_o(event_fire)
  );

  // ---- Host accesses ------------------------------------------------------------------------------

  logic        reg_wr_half, rd_en, rd_msix, view_valid, view_ready, view_done;
  logic [18:0] rd_addr;
  logic [31:0] rd_data, counter_data, pair_data, msix_data;
  logic        stage_valid, stage_ready, stage_half;
  sa_t         stage_index, view_index;
  line_t       stage_data;
  logic [15:0] stage_dwords;
  logic [703:0] view;

  esnic_host_port #(.SaCapacity(SaCapacity)) u_host_port (
    .clk_i, .rst_ni,
    .s_axi_awid, .s_axi_awaddr, .s_axi_awlen, .s_axi_awvalid, .s_axi_awready,
    .s_axi_wdata, .s_axi_wstrb, .s_axi_wlast, .s_axi_wvalid, .s_axi_wready,
    .s_axi_bid, .s_axi_bresp, .s_axi_bvalid, .s_axi_bready,
    .s_axi_arid, .s_axi_araddr, .s_axi_arlen, .s_axi_arsize, .s_axi_arvalid, .s_axi_arready,
    .s_axi_rid, .s_axi_rdata, .s_axi_rresp, .s_axi_rlast, .s_axi_rvalid, .s_axi_rready,
    .reg_wr_o(reg_wr), .reg_wr_half_o(reg_wr_half), .reg_rd_o(rd_en), .reg_rd_msix_o(rd_msix),
    .reg_rd_addr_o(rd_addr), .reg_rd_data_i(rd_data),
    .stage_valid_o(stage_valid), .stage_ready_i(stage_ready), .stage_index_o(stage_index),
    .stage_half_o(stage_half), .stage_data_o(stage_data), .stage_dwords_o(stage_dwords),
    .view_valid_o(view_valid), .view_ready_i(view_ready), .view_index_o(view_index),
    .view_valid_i(view_done), .view_i(view), .view_bad_i(sa_bad || clear),
    // What a reset finds on its way in is dropped behind this port, or scrubbed.
    .readable_i(readable),
    .staging_i(run && has_direct),
    .bad_access_o(bad_access), .stage_drop_o(stage_dropped)
  );

  esnic_regs #(
    .SaCapacity(SaCapacity), .QueuePairs(QueuePairs), .DirectLog2(DirectLog2), .StageLog2(StageLog2)
  ) u_regs (
    .straps_i(straps), .rd_en_i(rd_en), .rd_msix_i(rd_msix), .rd_addr_i(rd_addr),
    .rd_data_o(rd_data), .state_i(state),
    .scrub_left_i(scrub_left), .instance_i(instance_no), .fatal_cause_i(fatal_cause),
    .fatal_info_i(fatal_info), .int_cause_i(int_cause), .int_enable_i(int_enable),
    .error_map_i(error_map), .scratch_i(scratch), .counter_i(counter_data), .pair_i(pair_data),
    .msix_i(msix_data)
  );

  esnic_counters u_counters (
    .clk_i, .rst_ni, .clear_i(clear), .events_i(events),
    .rd_en_i(rd_en), .rd_addr_i(rd_addr[7:0]), .rd_data_o(counter_data)
  );

  // ---- Queue pairs --------------------------------------------------------------------------------

  logic [QueuePairs-1:0]       qp_starts, may_take, qp_fire, direct_waits;
  logic [QueuePairs-1:0]       can_fetch, picked, qp_drop, settled, ring_idle;
  logic [QueuePairs-1:0][3:0]  sq_log2, cq_log2;
  logic [QueuePairs-1:0][15:0] credits;
  logic [QueuePairs-1:0][31:0] direct_head, fetch_head, sq_tail, sq_head, cq_tail;
  logic        direct_we, take_valid, take_ready, take;
  pair_t       direct_wr_pair, taken_pair, take_pair, skip_pair, direct_pair;
  pair_t       sq_pair, cq_pair, bell_pair;
  logic [6:0]  direct_wr_dword;
  logic [3:0]  skip_credits;
  logic        skip_valid, skip_ready, skip_failed, skip_ext, bell;
  logic [63:0] sq_base, cq_base, skip_iova, answered_iova;
  fetch_t      fetch_sent;
  ring_step_t  step;
  group_t      line_group, dropped, answered;
  logic        answered_bad;

  // Together with the step that gives its credits back.
  logic        read_failed;
  pair_t       read_pair;
  logic [63:0] read_iova;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {read_failed, read_pair, read_iova} <= '0;
    else begin
      read_failed <= skip_valid && skip_ready && skip_failed && !clear;
      {read_pair, read_iova} <= {skip_pair, skip_iova};
    end
  end

  esnic_qp #(.QueuePairs(QueuePairs)) u_qp (
    .clk_i, .rst_ni, .clear_i(clear), .run_i(run), .bus_master_i(bus_master),
    .ring_log2_i(straps.ring_log2),
    .wr_i(reg_wr), .wr_half_i(reg_wr_half), .rd_en_i(rd_en && !rd_msix), .rd_addr_i(rd_addr),
    .rd_data_o(pair_data),
    .starts_o(qp_starts), .may_take_o(may_take), .can_fetch_o(can_fetch), .drop_o(qp_drop),
    .settled_o(settled), .ring_idle_o(ring_idle),
    .fire_o(qp_fire), .sq_log2_o(sq_log2), .cq_log2_o(cq_log2), .credits_o(credits),
    .fetch_head_o(fetch_head), .sq_tail_o(sq_tail), .sq_head_o(sq_head), .cq_tail_o(cq_tail),
    .sq_pair_i(sq_pair), .sq_base_o(sq_base), .bell_o(bell), .wr_pair_o(bell_pair),
    .cq_pair_i(cq_pair), .cq_base_o(cq_base),
    .error_map_o(error_map), .failed_o(qp_failed), .stale_o(stale_db),
    .starves_o(stall_cq), .all_disabled_o(all_disabled),
    .direct_we_o(direct_we), .direct_pair_o(direct_wr_pair), .direct_dword_o(direct_wr_dword),
    .direct_ready_i(direct_waits), .direct_head_i(direct_head),
    .take_i(take), .take_pair_i(taken_pair), .fetch_i(fetch_sent),
    .read_failed_i(read_failed), .read_pair_i(read_pair), .read_iova_i(read_iova), .step_i(step),
    .sent_i(line_group), .dropped_i(dropped),
    .answered_i(answered), .answered_bad_i(answered_bad), .answered_iova_i(answered_iova)
  );

  // ---- Ways in: rings and direct doorbells --------------------------------------------------------

  logic  ring_valid, ring_pop, ring_odd, ring_last, ring_at_tail, ring_ext;
  line_t ring_slot;
  hint_t ring_hint;
  pair_t ring_pair;
  logic  rd_error;

  esnic_sq_fetch #(.QueuePairs(QueuePairs), .InFlight(InFlight), .Tags(Tags)) u_sq_fetch (
    .clk_i, .rst_ni, .clear_i(clear), .run_i(run), .epoch_i(instance_no[15:0]),
    .scrub_i(scrub), .scrub_row_i(scrub_row), .can_fetch_i(can_fetch),
    .drop_i(qp_drop), .settled_i(settled), .sq_log2_i(sq_log2),
    .credits_i(credits), .fetch_head_i(fetch_head), .sq_tail_i(sq_tail),
    .sq_pair_o(sq_pair), .sq_base_i(sq_base), .bell_i(bell), .bell_pair_i(bell_pair),
    .picked_o(picked),
    .sent_o(fetch_sent), .sent_bytes_o(rd_bytes),
    .m_axi_arid, .m_axi_araddr, .m_axi_arlen, .m_axi_arvalid, .m_axi_arready,
    .m_axi_rid, .m_axi_rdata, .m_axi_rresp, .m_axi_rlast, .m_axi_rvalid, .m_axi_rready,
    .valid_o(ring_valid), .pop_i(ring_pop), .slot_o(ring_slot), .hint_o(ring_hint),
    .pair_o(ring_pair),
    .odd_o(ring_odd), .last_o(ring_last), .at_tail_o(ring_at_tail), .ext_o(ring_ext),
    .skip_valid_o(skip_valid), .skip_pair_o(skip_pair), .skip_failed_o(skip_failed),
    .skip_iova_o(skip_iova), .skip_credits_o(skip_credits), .skip_ext_o(skip_ext),
    .skip_ready_i(skip_ready),
    .waiting_o(stall_fetch), .drained_o(rd_drained), .error_o(rd_error),
    .bad_tag_o(rd_bad_tag), .bad_tag_info_o(rd_bad_info)
  );

  logic [23:0]   take_index, direct_index;
  logic [30:0]   take_cookie, direct_cookie;
  logic          direct_valid, direct_ready, direct_tagged, stage_drop;
  logic [31:0]   direct_written;
  logic [1023:0] direct_data;
  sa_t           begin_index;

  esnic_direct #(.QueuePairs(QueuePairs), .DirectLog2(DirectLog2)) u_direct (
    .clk_i, .rst_ni, .clear_i(clear), .epoch_i(instance_no[6:0]),
    .we_i(direct_we && has_direct), .wr_pair_i(direct_wr_pair),
    .wr_dword_i(direct_wr_dword), .wr_data_i(reg_wr.data),
    .start_i(qp_starts), .settled_i(settled),
    // A read that is being made up spends credits: direct entries of that pair wait for a cycle.
    .may_take_i(may_take & ~picked), .ready_o(direct_waits), .head_o(direct_head),
    .take_o(take), .take_pair_o(taken_pair),
    .valid_o(take_valid), .ready_i(take_ready), .pair_o(take_pair), .index_o(take_index),
    .cookie_o(take_cookie), .epoch_drop_o(epoch_drop)
  );

  esnic_stage #(.StageLog2(StageLog2)) u_stage (
    .clk_i, .rst_ni, .clear_i(clear), .scrub_i(scrub), .scrub_row_i(scrub_row),
    .wr_valid_i(stage_valid), .wr_ready_o(stage_ready), .wr_index_i(stage_index),
    .wr_half_i(stage_half), .wr_data_i(stage_data), .wr_dwords_i(stage_dwords),
    .drop_valid_i(stage_drop), .drop_index_i(begin_index),
    .take_valid_i(take_valid), .take_ready_o(take_ready), .take_pair_i(take_pair),
    .take_index_i(take_index), .take_cookie_i(take_cookie),
    .valid_o(direct_valid), .ready_i(direct_ready), .pair_o(direct_pair), .index_o(direct_index),
    .cookie_o(direct_cookie), .tagged_o(direct_tagged), .written_o(direct_written),
    .data_o(direct_data)
  );

  // ---- Execution ----------------------------------------------------------------------------------

  logic  beat_valid, verify_valid, verify_ready, entry_free, entry_take, entry_busy, idle;
  beat_t beat, verify_beat, begin_beat, row_beat;
  logic [VerifyW-1:0] entry;
  cfg_t  take_row, begin_row, row_cfg;
  logic  cmd_next, cmd_busy;
  sa_t   next_index, cmd_index;
  sa_t   probe, sa_waddr, cfg_addr, live_addr;
  logic  done_pop, record_none, record_left, begin_it, refused, live_set;
  logic [1:0] record_pop;
  ctl_t  ctl, wctl, row_ctl;
  top_t  top, wtop, begin_top, row_top, pkt_top;
  logic  sa_we, cfg_re, cfg_we, row_valid, exec_valid, verify_done, fixed;
  done_t exec_done, verify_done_data, row_done, record_done;
  logic  unused_empty;

  // Both may happen in one cycle.
  assign record_pop = 2'(record_none) + 2'(record_left);
  assign begin_index = begin_beat.index;

  esnic_sched #(
    .QueuePairs(QueuePairs), .SaCapacity(SaCapacity), .Pending(Pending), .Records(Records)
  ) u_sched (
    .clk_i, .rst_ni, .clear_i(clear), .run_i(run && !hold), .fatal_i(fatal),
    .epoch_i(instance_no[15:0]),
    .straps_i(straps), .drop_i(qp_drop), .ring_idle_i(ring_idle), .starts_i(qp_starts),
    .ring_valid_i(ring_valid), .ring_pop_o(ring_pop), .ring_slot_i(ring_slot),
    .ring_hint_i(ring_hint),
    .ring_pair_i(ring_pair), .ring_odd_i(ring_odd), .ring_last_i(ring_last),
    .ring_at_tail_i(ring_at_tail), .ring_ext_i(ring_ext),
    .skip_valid_i(skip_valid), .skip_ready_o(skip_ready), .skip_pair_i(skip_pair),
    .skip_credits_i(skip_credits), .skip_ext_i(skip_ext), .step_o(step),
    .direct_valid_i(direct_valid), .direct_ready_o(direct_ready), .direct_pair_i(direct_pair),
    .direct_index_i(direct_index), .direct_cookie_i(direct_cookie),
    .direct_tagged_i(direct_tagged), .direct_written_i(direct_written),
    .direct_data_i(direct_data),
    .verify_valid_i(verify_valid), .verify_beat_i(verify_beat), .verify_ready_o(verify_ready),
    .entry_free_i(entry_free), .entry_i(entry), .entry_take_o(entry_take), .row_o(take_row),
    .probe_o(probe), .busy_i(entry_busy),
    .next_o(cmd_next), .next_index_o(next_index), .cmd_index_o(cmd_index), .cmd_busy_i(cmd_busy),
    .view_valid_i(view_valid), .view_index_i(view_index), .view_ready_o(view_ready),
    .pkt_valid_i(st_valid_i), .pkt_index_i(st_index_i), .pkt_generation_i(st_generation_i),
    .pkt_commit_i(st_commit_i), .pkt_number_i(st_number_i),
    .done_pop_i(done_pop), .record_pop_i(record_pop), .idle_o(idle),
    .valid_o(beat_valid), .beat_o(beat),
    .dbg_valid_o, .dbg_pair_o, .dbg_ring_o, .dbg_cookie_o, .dbg_opcode_o
  );

  esnic_exec u_exec (
    .clk_i, .rst_ni, .clear_i(clear), .valid_i(beat_valid), .beat_i(beat),
    .ctl_i(ctl), .top_i(top), .we_o(sa_we), .waddr_o(sa_waddr), .ctl_o(wctl), .top_o(wtop),
    .cfg_re_o(cfg_re), .cfg_we_o(cfg_we), .cfg_addr_o(cfg_addr),
    .begin_o(begin_it), .refused_o(refused), .begin_beat_o(begin_beat), .begin_top_o(begin_top),
    .stage_drop_o(stage_drop), .sa_down_o(sa_down),
    .done_valid_o(exec_valid), .done_o(exec_done),
    .pkt_valid_o(st_valid_o), .pkt_top_o(pkt_top),
    .row_valid_o(row_valid), .row_beat_o(row_beat), .row_ctl_o(row_ctl), .row_top_o(row_top),
    .row_done_o(row_done), .record_none_o(record_none), .fixed_o(fixed),
    .bypass_capture_o(bypass_capture), .bypass_exec_o(bypass_exec)
  );
  // As with lookups, nothing is visible to packets unless the device is READY or RUNNING (R23).
  assign st_top_o = readable ? pkt_top : '0;

  esnic_verify u_verify (
    .clk_i, .rst_ni, .clear_i(clear), .scrub_i(scrub), .scrub_row_i(scrub_row),
    .free_o(entry_free), .entry_o(entry), .take_i(entry_take), .take_index_i(cmd_index),
    .take_row_i(take_row), .probe_i(probe), .busy_o(entry_busy), .empty_o(unused_empty),
    .next_i(cmd_next), .next_index_i(next_index), .next_busy_o(cmd_busy),
    .begin_i(begin_it), .refused_i(refused), .begin_beat_i(begin_beat), .begin_top_i(begin_top),
    .row_o(begin_row),
    .valid_o(verify_valid), .ready_i(verify_ready), .beat_o(verify_beat),
    .check_i(row_valid), .check_beat_i(row_beat), .check_ctl_i(row_ctl), .check_top_i(row_top),
    .check_cfg_i(row_cfg), .fixed_i(fixed), .fixed_entry_i(begin_beat.entry),
    .live_we_o(live_set), .live_addr_o(live_addr),
    .done_valid_o(verify_done), .done_o(verify_done_data)
  );

  // Control never writes the `live` bit twice in a cycle; the scheduler sees to that.
  cfg_t lk_cfg;
  logic lk_live;
  esnic_sa #(.SaCapacity(SaCapacity)) u_sa (
    .clk_i, .rst_ni, .clear_i(clear), .visible_i(readable),
    .scrub_i(scrub), .scrub_row_i(scrub_row),
    .re_i(beat_valid), .raddr_i(beat.index), .ctl_o(ctl), .top_o(top),
    .we_i(sa_we), .waddr_i(sa_waddr), .ctl_i(wctl), .top_i(wtop),
    .cfg_re_i(cfg_re), .cfg_we_i(cfg_we), .cfg_addr_i(cfg_addr), .cfg_i(begin_row),
    .cfg_o(row_cfg),
    .live_we_i(live_set || stage_drop), .live_addr_i(live_set ? live_addr : begin_index),
    .live_i(live_set),
    .lk_valid_i, .lk_index_i, .lk_valid_o, .lk_live_o(lk_live), .lk_entry_o(lk_cfg),
    .bad_o(sa_bad), .bad_index_o(sa_bad_index),
    .flip_i((begin_beat.kind == OpAdd) ? flip_add : flip_delete)
  );
  assign dbg_flipped_o[0] = cfg_we && begin_beat.kind == OpAdd && flip_add != '0;
  assign dbg_flipped_o[1] = cfg_we && begin_beat.kind != OpAdd && flip_delete != '0;
  assign lk_entry_o = {lk_live, lk_live ? lk_cfg : cfg_t'('0)};

  logic views;
  assign views = row_valid && row_beat.kind inside {OpView, OpQuery};
  assign view = views ? live_view(row_beat.index, row_ctl, row_top, row_cfg.open) : '0;
  assign view_done = row_valid && row_beat.kind == OpView;

  // ---- Ways out: completions, records, messages ---------------------------------------------------

  logic          rec_valid, rec_ready, rec_answered, rec_bad, rec_done_valid, rec_done_ready;
  logic [63:0]   rec_iova, line_iova, line_strb;
  logic [1023:0] rec_data;
  logic          line_valid, line_ready, wr_error, undo;
  line_t         line_data;

  esnic_record #(.Records(Records)) u_record (
    .clk_i, .rst_ni, .clear_i(clear),
    .valid_i(row_valid && row_beat.kind == OpQuery),
    .record_i({row_beat.hi, row_beat.lo, view, row_done}),
    .wr_valid_o(rec_valid), .wr_ready_i(rec_ready), .wr_iova_o(rec_iova), .wr_data_o(rec_data),
    .answered_i(rec_answered), .answered_bad_i(rec_bad),
    .done_valid_o(rec_done_valid), .done_ready_i(rec_done_ready), .done_o(record_done),
    .pop_o(record_left)
  );

  esnic_cq_write #(.QueuePairs(QueuePairs), .Pending(Pending)) u_cq_write (
    .clk_i, .rst_ni, .clear_i(clear), .bus_i(bus), .idle_i(idle),
    .drop_i(qp_drop), .cq_log2_i(cq_log2), .cq_tail_i(cq_tail), .sq_head_i(sq_head),
    .cq_pair_o(cq_pair), .cq_base_i(cq_base),
    .exec_valid_i(exec_valid), .exec_i(exec_done),
    .verify_valid_i(verify_done), .verify_i(verify_done_data),
    .record_valid_i(rec_done_valid), .record_ready_o(rec_done_ready), .record_i(record_done),
    .pop_o(done_pop),
    .valid_o(line_valid), .ready_i(line_ready), .iova_o(line_iova), .data_o(line_data),
    .strb_o(line_strb), .group_o(line_group), .dropped_o(dropped)
  );

  esnic_dma_write u_dma_write (
    .clk_i, .rst_ni, .clear_i(clear), .bus_i(bus),
    .line_valid_i(line_valid), .line_ready_o(line_ready), .line_iova_i(line_iova),
    .line_data_i(line_data), .line_strb_i(line_strb), .line_group_i(line_group),
    .answered_o(answered), .answered_bad_o(answered_bad), .answered_iova_o(answered_iova),
    .undo_i(undo),
    .rec_valid_i(rec_valid), .rec_ready_o(rec_ready), .rec_iova_i(rec_iova),
    .rec_data_i(rec_data), .rec_answered_o(rec_answered), .rec_bad_o(rec_bad),
    .m_axi_awid, .m_axi_awaddr, .m_axi_awlen, .m_axi_awvalid, .m_axi_awready,
    .m_axi_wdata, .m_axi_wstrb, .m_axi_wlast, .m_axi_wvalid, .m_axi_wready,
    .m_axi_bid, .m_axi_bresp, .m_axi_bvalid, .m_axi_bready,
    .sent_o(wr_sent), .sent_bytes_o(wr_bytes), .error_o(wr_error),
    .bad_id_o(wr_bad_id), .bad_id_info_o(wr_bad_info), .drained_o(wr_drained)
  );

  esnic_msix #(.Vectors(QueuePairs + 1)) u_msix (
    .clk_i, .rst_ni, .clear_i(clear), .clear_table_i(flr),
    .send_i(msix_on),
    .wr_i(reg_wr), .rd_en_i(rd_en && rd_msix), .rd_addr_i(rd_addr), .rd_data_o(msix_data),
    .fire_i({event_fire, qp_fire}),
    .msix_valid_o, .msix_ready_i, .msix_vector_o, .sent_o(msix_sent)
  );

  // ---- Events -------------------------------------------------------------------------------------

  // What could not be written was no completion after all (R26), nor is what its pair wrote behind it.
  assign undo = answered.valid && (answered_bad || qp_drop[answered.pair[IdxW-1:0]]);
  assign events = '{
    cmd_ring: step.valid && step.command,
    cmd_direct: step.valid && step.direct,
    rd: fetch_sent.valid,
    rd_bytes: rd_bytes,
    wr: wr_sent,
    wr_bytes: wr_bytes,
    stall_cq: stall_cq,
    stall_fetch: stall_fetch,
    bypass_capture: bypass_capture,
    bypass_exec: bypass_exec,
    stage_drop: stage_dropped,
    bad_access: bad_access,
    stale_db: stale_db,
    epoch_drop: epoch_drop,
    msix_sent: msix_sent,
    sa_up: live_set,
    sa_down: sa_down,
    dma_error: 2'(rd_error) + 2'(wr_error),
    cpl_ok: line_group.valid ? line_group.ok : '0,
    cpl_err: line_group.valid ? line_group.count - line_group.ok : '0,
    undo_ok: undo ? answered.ok : '0,
    undo_err: undo ? answered.count - answered.ok : '0
  };
endmodule
