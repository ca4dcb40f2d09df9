// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Types that travel between the blocks of the device. What the host can see is in esnic_abi_pkg,
// which is printed from the contract; nothing here is visible outside.
package esnic_pkg;
  import esnic_abi_pkg::*;

  // Widths of the largest build, so that structs need no parameters. The bits that a smaller build
  // does not have are constant and disappear in synthesis.
  localparam int unsigned PairW = 6;
  localparam int unsigned SaW = 20;

  typedef logic [PairW-1:0] pair_t;
  typedef logic [SaW-1:0] sa_t;
  typedef logic [511:0] line_t;

  // Slots of one ring read (R11).
  localparam int unsigned FetchSlots = int'(FETCH_BYTES) / int'(SQ_SLOT_BYTES);
  // Completions of one write (R12).
  localparam int unsigned LineEntries = 4;
  // ADDs and DELETEs that may wait for their read-back at once.
  localparam int unsigned VerifyEntries = 8;
  localparam int unsigned VerifyW = $clog2(VerifyEntries);

  // What a shell ties its inputs to: abilities that are not to be offered, and limits below those that
  // were built in. Constant while out of reset.
  typedef struct packed {
    logic [31:0] features;      // FEATURES
    logic [31:0] algs;          // ALGS
    logic [15:0] max_window;    // MAX_WINDOW
    logic [3:0]  ring_log2;     // LIMITS.RING_LOG2
  } straps_t;

  // ---- SA table -----------------------------------------------------------------------------------

  // Control row: what every command looks at. All zero is FREE and remembers nothing.
  typedef struct packed {
    logic [31:0] spi;
    logic [31:0] generation;
    logic [1:0]  state;
    logic        esp;        // protocol: ESP, not AH
    logic        outbound;   // direction: OUT, not IN
    logic        esn;
  } ctl_t;

  // State row: always written as a whole (R31).
  typedef struct packed {
    logic        lo_valid;
    logic [31:0] hi;
    logic [31:0] lo;
  } top_t;

  // Configuration row: all that a packet needs, in one read. First what the host may see again.
  typedef struct packed {
    logic [31:0]  peer;
    logic [15:0]  udp_dst;
    logic [15:0]  udp_src;
    logic [127:0] dst;
    logic [127:0] src;
    logic [12:0]  replay_window;
    logic [1:0]   udp_encap;
    logic         ipv6;
    logic [1:0]   icv;       // length of the check value: 8, 12, 16
    logic [2:0]   algorithm;
    logic         tunnel;
    logic         esn;
    logic         outbound;
    logic         esp;
    logic [31:0]  spi;
    logic [31:0]  generation;
  } open_t;

  typedef struct packed {
    logic [255:0] key;
    logic [31:0]  salt;
    open_t        open;
  } cfg_t;

  // ---- Execute pipeline ---------------------------------------------------------------------------

  typedef enum logic [3:0] {
    OpPlain,    // nothing to look up: NOP, FENCE, and whatever failed a check
    OpAdd,
    OpDelete,
    OpUpdate,
    OpItem,     // one item of UPDATE4
    OpQuery,
    OpResolve,
    OpVerify,   // second beat of ADD and DELETE: reads everything back
    OpFix,      // the read-back differed: the slot becomes BAD
    OpView,     // the host reads the table
    OpPacket    // the datapath reads or moves `top`
  } op_e;

  // One beat of the pipeline.
  typedef struct packed {
    op_e                kind;
    pair_t              pair;
    logic               ring;       // by ring, not by the direct path
    logic [4:0]         opcode;     // as the completion shows it
    logic [31:0]        cookie;
    logic [7:0]         status;     // of the checks that need no table (1 to 7)
    sa_t                index;
    logic [31:0]        generation;
    logic [31:0]        spi;
    logic               esp;
    logic               outbound;
    logic               esn;
    logic               lo_valid;
    logic [1:0]         mode;       // an UpdateMode
    logic               cas;
    logic               monotone;
    logic               any;
    logic               record;
    logic               commit;
    logic [1:0]         item;
    logic               last;       // ends its command
    logic [31:0]        hi;
    logic [31:0]        lo;
    logic [31:0]        expected_hi;
    logic [VerifyW-1:0] entry;      // where an ADD or DELETE waits for its read-back
  } beat_t;

  // A completion on its way to host memory; phase and sq_head come when it gets its place.
  typedef struct packed {
    pair_t       pair;
    logic        ring;
    logic [63:0] result;
    logic [31:0] cookie;
    logic [7:0]  status;
    logic [4:0]  opcode;
    logic        lo_valid;
    logic        changed;
  } done_t;

  // A record of a QUERY and the completion that waits for it (R42).
  typedef struct packed {
    logic [63:0]  iova;
    logic [703:0] view;
    done_t        done;
  } record_t;

  // ---- Host accesses ------------------------------------------------------------------------------

  // A dword written to BAR 0 or BAR 4.
  typedef struct packed {
    logic        valid;
    logic        msix;    // BAR 4
    pair_t       pair;    // in BAR 0: whose block or doorbell page it is
    logic [18:0] addr;
    logic [31:0] data;
  } reg_wr_t;

  // What is found out about a slot of a ring when it comes in, where there is time for it.
  typedef struct packed {
    logic       add;
    logic       second;
    logic       fence;
    logic [1:0] items;    // of an UPDATE4 without fault: those after its first
  } hint_t;

  // ---- Queue pairs --------------------------------------------------------------------------------

  // A ring read was sent: as many credits as slots, and one slot more without a credit if `ext`.
  typedef struct packed {
    logic       valid;
    pair_t      pair;
    logic [3:0] slots;
    logic       ext;
  } fetch_t;

  // What the scheduler did with the front of a ring, or with a direct command.
  typedef struct packed {
    logic        valid;
    pair_t       pair;
    logic [1:0]  slots;      // SQ_HEAD moves by these
    logic [3:0]  credits;    // claims that turned out not to be needed
    logic        command;    // a ring command goes into the pipeline
    logic        direct;     // a direct one does
    logic        ext_done;   // the slot read without a credit is decided
    logic        rewind;     // ... and is to be read again
  } ring_step_t;

  // A write of completions: sent, or answered.
  typedef struct packed {
    logic        valid;
    pair_t       pair;
    logic [2:0]  count;
    logic [2:0]  ok;
    logic [2:0]  ring;
  } group_t;

  // ---- Counters -----------------------------------------------------------------------------------

  // Events of one cycle.
  typedef struct packed {
    logic        cmd_ring;
    logic        cmd_direct;
    logic        rd;
    logic [9:0]  rd_bytes;
    logic        wr;
    logic [7:0]  wr_bytes;
    logic        stall_cq;
    logic        stall_fetch;
    logic        bypass_capture;
    logic        bypass_exec;
    logic [4:0]  stage_drop;
    logic        bad_access;
    logic        stale_db;
    logic        epoch_drop;
    logic        msix_sent;
    logic        sa_up;
    logic        sa_down;
    logic [1:0]  dma_error;
    logic [2:0]  cpl_ok;
    logic [2:0]  cpl_err;
    logic [2:0]  undo_ok;
    logic [2:0]  undo_err;
  } events_t;

  // ---- Functions ----------------------------------------------------------------------------------

  // a is behind b on a ring (device manual, words and conventions).
  function automatic logic is_behind(logic [31:0] a, logic [31:0] b);
    logic [31:0] distance;
    distance = a - b;
    return distance[31];
  endfunction

  // Bytes 0..87 of the live view: the only form in which a row leaves the device. It is made without the
  // key (R33).
  function automatic logic [703:0] live_view(sa_t index, ctl_t ctl, top_t top, open_t cfg);
    live_view_t v;
    v = '0;
    v.state = 8'(ctl.state);
    v.index = 32'(index);
    v.generation = ctl.generation;
    if (ctl.state == 2'(SLOT_STATE_LIVE)) begin
      v.spi = ctl.spi;
      v.protocol = ctl.esp ? PROTOCOL_ESP : PROTOCOL_AH;
      v.direction = ctl.outbound ? DIRECTION_OUT : DIRECTION_IN;
      v.mode = cfg.tunnel ? MODE_TUNNEL : MODE_TRANSPORT;
      v.algorithm = 8'(cfg.algorithm);
      v.icv_len = 8'd8 + {4'd0, cfg.icv, 2'd0};
      v.family = cfg.ipv6 ? 8'd6 : 8'd4;
      v.sa_flags = ctl.esn ? SA_ESN : '0;
      v.udp_encap = 8'(cfg.udp_encap);
      v.replay_window = 16'(cfg.replay_window);
      v.src = cfg.src;
      v.dst = cfg.dst;
      v.lo_valid = 8'(top.lo_valid);
      v.hi = top.hi;
      v.lo = top.lo;
      v.udp_src = cfg.udp_src;
      v.udp_dst = cfg.udp_dst;
      v.peer = cfg.peer;
    end
    return v[703:0];
  endfunction

  // Whether an UPDATE4 is as it has to be (4.4), the items that count aside: each is checked by itself.
  function automatic logic update4_fields(update4_t command);
    logic [2:0] count;
    count = command.header.flags[2:0];
    return (command.header.flags & ~(UPDATE4_COUNT_MASK | UPDATE4_STEP)) == '0 &&
        !command.header.cookie[31] && command.header.generation == '0 &&
        command.header.index == '0 && count inside {[3'd1:3'd4]} &&
        (count > 3'd1 || command.item1 == '0) &&
        (count > 3'd2 || command.item2 == '0) && (count > 3'd3 || command.item3 == '0);
  endfunction

  // DIGEST of a live view (device manual 4.2).
  function automatic logic [63:0] digest(logic [703:0] view);
    logic [63:0] sum, qw;
    sum = '0;
    for (int unsigned k = 1; k <= 10; k++) begin
      qw = view[64*k +: 64];
      sum ^= (qw << (6 * k)) | (qw >> (64 - 6 * k));
    end
    return sum;
  endfunction
endpackage
