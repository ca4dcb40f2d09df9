// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Where the rings of each queue pair are, and how large. Written by the host while the pair is
// DISABLED. The base addresses sit in LUT RAM; a bit for each dword says whether it was written since
// the last reset, for a RAM cannot be cleared at once.
module esnic_qp_cfg
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned QueuePairs = 8,
  localparam int unsigned IdxW = (QueuePairs > 1) ? $clog2(QueuePairs) : 1
) (
  input  logic                       clk_i,
  input  logic                       rst_ni,
  input  logic                       clear_i,
  input  logic [3:0]                 ring_log2_i,   // largest ring

  input  logic                       we_i,          // a dword of a DISABLED pair's block
  input  pair_t                      wr_pair_i,
  input  logic [7:0]                 wr_addr_i,
  input  logic [31:0]                wr_data_i,
  input  logic                       rd_en_i,
  input  pair_t                      rd_pair_i,
  input  logic [7:0]                 rd_addr_i,
  output logic [31:0]                rd_data_o,

  input  pair_t                      sq_pair_i,
  output logic [63:0]                sq_base_o,
  input  pair_t                      cq_pair_i,
  output logic [63:0]                cq_base_o,
  output logic [QueuePairs-1:0][3:0] sq_log2_o,
  output logic [QueuePairs-1:0][3:0] cq_log2_o,
  output logic                       good_o,        // wr_pair_i can be enabled as it is
  output logic [31:0]                start_o        // of wr_pair_i
);
  typedef logic [IdxW-1:0] idx_t;
  localparam int unsigned Dwords = 5;
  typedef enum logic [2:0] { SqLo, SqHi, CqLo, CqHi, Start } dword_e;

  idx_t w, r, host;
  logic [Dwords-1:0] we;
  logic [QueuePairs-1:0][Dwords-1:0] set_q;
  logic [Dwords-1:0] host_set, sq_set, cq_set;
  logic [QueuePairs-1:0][3:0] sq_log2_q, cq_log2_q;
  logic [31:0] host_dword [Dwords];

  assign w = wr_pair_i[IdxW-1:0];
  assign r = rd_pair_i[IdxW-1:0];
  // The host reads or writes, never both at once.
  assign host = rd_en_i ? r : w;
  assign host_set = set_q[host];
  assign sq_set = set_q[sq_pair_i[IdxW-1:0]];
  assign cq_set = set_q[cq_pair_i[IdxW-1:0]];

  assign we[SqLo] = we_i && wr_addr_i == 8'(QUEUE_PAIR_SQ_BASE_OFFSET);
  assign we[SqHi] = we_i && wr_addr_i == 8'(QUEUE_PAIR_SQ_BASE_OFFSET + 4);
  assign we[CqLo] = we_i && wr_addr_i == 8'(QUEUE_PAIR_CQ_BASE_OFFSET);
  assign we[CqHi] = we_i && wr_addr_i == 8'(QUEUE_PAIR_CQ_BASE_OFFSET + 4);
  assign we[Start] = we_i && wr_addr_i == 8'(QUEUE_PAIR_START_OFFSET);

  // ---- Memories: a copy for the host, one for the block that uses it ------------------------------

  logic [31:0] use_dword [Dwords];
  for (genvar i = 0; i < Dwords; i++) begin : gen_dword
    logic [31:0] raw;
    prim_ram_lut #(.Depth(QueuePairs), .Width(32)) u_host (
      .clk_i, .we_i(we[i]), .waddr_i(w), .wdata_i(wr_data_i), .raddr_i(host), .rdata_o(raw)
    );
    assign host_dword[i] = host_set[i] ? raw : '0;
    if (i == int'(Start)) begin : gen_host_only
      assign use_dword[i] = '0;
    end else begin : gen_used
      prim_ram_lut #(.Depth(QueuePairs), .Width(32)) u_use (
        .clk_i, .we_i(we[i]), .waddr_i(w), .wdata_i(wr_data_i),
        .raddr_i((i < int'(CqLo)) ? sq_pair_i[IdxW-1:0] : cq_pair_i[IdxW-1:0]),
        .rdata_o(use_dword[i])
      );
    end
  end

  assign sq_base_o = {sq_set[SqHi] ? use_dword[SqHi] : 32'd0,
                      sq_set[SqLo] ? use_dword[SqLo] : 32'd0};
  assign cq_base_o = {cq_set[CqHi] ? use_dword[CqHi] : 32'd0,
                      cq_set[CqLo] ? use_dword[CqLo] : 32'd0};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {set_q, sq_log2_q, cq_log2_q} <= '0;
    else if (clear_i) {set_q, sq_log2_q, cq_log2_q} <= '0;
    else if (we_i) begin
      set_q[w] <= set_q[w] | we;
      if (wr_addr_i == 8'(QUEUE_PAIR_RING_SIZE_OFFSET)) begin
        sq_log2_q[w] <= wr_data_i[QUEUE_PAIR_RING_SIZE_SQ_LOG2_LSB +: 4];
        cq_log2_q[w] <= wr_data_i[QUEUE_PAIR_RING_SIZE_CQ_LOG2_LSB +: 4];
      end
    end
  end

  assign sq_log2_o = sq_log2_q;
  assign cq_log2_o = cq_log2_q;

  // ---- Whether it can be ---------------------------------------------------------------------------

  logic [3:0] sq_log2, cq_log2;
  logic [31:0] sq_span, cq_span;
  assign sq_log2 = sq_log2_q[w];
  assign cq_log2 = cq_log2_q[w];
  // START is a multiple of twice the larger ring, so that slots and phases begin as at 0 (R6).
  assign sq_span = (32'd2 << sq_log2) - 32'd1;
  assign cq_span = (32'd2 << cq_log2) - 32'd1;
  assign start_o = host_dword[Start];
  assign good_o = sq_log2 != '0 && cq_log2 != '0 &&
                  sq_log2 <= ring_log2_i && cq_log2 <= ring_log2_i &&
                  (host_dword[SqLo] & (32'(RING_ALIGN) - 32'd1)) == '0 &&
                  (host_dword[CqLo] & (32'(RING_ALIGN) - 32'd1)) == '0 &&
                  (start_o & (sq_span | cq_span)) == '0;

  always_comb begin
    rd_data_o = '0;
    if (rd_en_i) begin
      unique case (rd_addr_i)
        8'(QUEUE_PAIR_SQ_BASE_OFFSET): rd_data_o = host_dword[SqLo];
        8'(QUEUE_PAIR_SQ_BASE_OFFSET + 4): rd_data_o = host_dword[SqHi];
        8'(QUEUE_PAIR_CQ_BASE_OFFSET): rd_data_o = host_dword[CqLo];
        8'(QUEUE_PAIR_CQ_BASE_OFFSET + 4): rd_data_o = host_dword[CqHi];
        8'(QUEUE_PAIR_RING_SIZE_OFFSET): rd_data_o = {20'd0, cq_log2_q[r], 4'd0, sq_log2_q[r]};
        8'(QUEUE_PAIR_START_OFFSET): rd_data_o = host_dword[Start];
        default: ;
      endcase
    end
  end
endmodule
