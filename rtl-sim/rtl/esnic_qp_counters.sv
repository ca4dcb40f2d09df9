// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The counters of each queue pair: commands, completions, errors, interrupts. The first three sit in LUT
// RAM, for each event concerns one pair. A bit a pair says whether it counted since the last reset.
`include "esnic_assert.svh"
module esnic_qp_counters
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned QueuePairs = 8,
  localparam int unsigned IdxW = (QueuePairs > 1) ? $clog2(QueuePairs) : 1
) (
  input  logic                  clk_i,
  input  logic                  rst_ni,
  input  logic                  clear_i,

  input  logic                  command_i,      // a command went into the pipeline
  input  pair_t                 command_pair_i,
  input  group_t                sent_i,         // completions are on their way
  input  logic                  undo_i,         // ... or were not, after all; never with sent_i
  input  group_t                undo_group_i,   // this line of them
  input  logic [31:0]           undo_count_i,   // so many completions, also of lines behind it
  input  logic [QueuePairs-1:0] fire_i,

  input  logic                  rd_en_i,
  input  pair_t                 rd_pair_i,
  input  logic [7:0]            rd_addr_i,
  output logic [31:0]           rd_data_o
);
  typedef logic [IdxW-1:0] idx_t;

  idx_t c, s, r;
  logic sent;
  logic [QueuePairs-1:0] c_used_q, s_used_q;
  logic [QueuePairs-1:0][63:0] irqs;
  logic [63:0] commands, commands_rd, completions_rd, errors_rd;
  logic [63:0] commands_next, completions, completions_next, errors, errors_next;

  assign c = command_pair_i[IdxW-1:0];
  assign s = undo_i ? undo_group_i.pair[IdxW-1:0] : sent_i.pair[IdxW-1:0];
  assign r = rd_pair_i[IdxW-1:0];
  assign sent = sent_i.valid || undo_i;

  assign commands_next = (c_used_q[c] ? commands : '0) + 64'd1;
  assign completions_next = undo_i ? completions - 64'(undo_count_i)
                                   : (s_used_q[s] ? completions : '0) + 64'(sent_i.count);
  assign errors_next = undo_i ? errors - 64'(undo_group_i.count) + 64'(undo_group_i.ok)
                              : (s_used_q[s] ? errors : '0) + 64'(sent_i.count) - 64'(sent_i.ok);

  prim_ram_lut #(.Depth(QueuePairs), .Width(64)) u_commands (
    .clk_i, .we_i(command_i), .waddr_i(c), .wdata_i(commands_next), .raddr_i(c), .rdata_o(commands)
  );
  prim_ram_lut #(.Depth(QueuePairs), .Width(64)) u_commands_rd (
    .clk_i, .we_i(command_i), .waddr_i(c), .wdata_i(commands_next), .raddr_i(r),
    .rdata_o(commands_rd)
  );
  prim_ram_lut #(.Depth(QueuePairs), .Width(64)) u_completions (
    .clk_i, .we_i(sent), .waddr_i(s), .wdata_i(completions_next), .raddr_i(s), .rdata_o(completions)
  );
  prim_ram_lut #(.Depth(QueuePairs), .Width(64)) u_completions_rd (
    .clk_i, .we_i(sent), .waddr_i(s), .wdata_i(completions_next), .raddr_i(r),
    .rdata_o(completions_rd)
  );
  prim_ram_lut #(.Depth(QueuePairs), .Width(64)) u_errors (
    .clk_i, .we_i(sent), .waddr_i(s), .wdata_i(errors_next), .raddr_i(s), .rdata_o(errors)
  );
  prim_ram_lut #(.Depth(QueuePairs), .Width(64)) u_errors_rd (
    .clk_i, .we_i(sent), .waddr_i(s), .wdata_i(errors_next), .raddr_i(r), .rdata_o(errors_rd)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {c_used_q, s_used_q} <= '0;
    else if (clear_i) {c_used_q, s_used_q} <= '0;
    else begin
      if (command_i) c_used_q[c] <= 1'b1;
      if (sent) s_used_q[s] <= 1'b1;
    end
  end

  // Any number of pairs may fire at once.
  for (genvar q = 0; q < QueuePairs; q++) begin : gen_irqs
    logic [63:0] irqs_q;
    assign irqs[q] = irqs_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) irqs_q <= '0;
      else if (clear_i) irqs_q <= '0;
      else if (fire_i[q]) irqs_q <= irqs_q + 64'd1;
    end
  end

  always_comb begin
    rd_data_o = '0;
    if (rd_en_i) begin
      unique case ({rd_addr_i[7:3], 3'd0})
        8'(QUEUE_PAIR_COMMANDS_OFFSET):
          if (c_used_q[r]) rd_data_o = commands_rd[32*rd_addr_i[2] +: 32];
        8'(QUEUE_PAIR_COMPLETIONS_OFFSET):
          if (s_used_q[r]) rd_data_o = completions_rd[32*rd_addr_i[2] +: 32];
        8'(QUEUE_PAIR_ERRORS_OFFSET): if (s_used_q[r]) rd_data_o = errors_rd[32*rd_addr_i[2] +: 32];
        8'(QUEUE_PAIR_IRQS_OFFSET): rd_data_o = irqs[r][32*rd_addr_i[2] +: 32];
        default: ;
      endcase
    end
  end

  `ESNIC_ASSERT(OneEvent_A, !(undo_i && sent_i.valid))
endmodule
