// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// MSI-X: table, masks, pending bits (PCI Local Bus 3.0, section 6.8.2). A fire always sets the pending bit,
// and a message clears it: so this is the one place where a message could be lost, and is not (R4).
`include "esnic_assert.svh"
module esnic_msix
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned Vectors = 9
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic               clear_i,       // any reset: nothing is pending any more
  input  logic               clear_table_i, // FLR alone: every vector masked (R20)
  input  logic               send_i,        // Bus Master on, MSI-X on and not masked (R24)
  input  reg_wr_t            wr_i,
  input  logic               rd_en_i,
  input  logic [18:0]        rd_addr_i,
  output logic [31:0]        rd_data_o,
  input  logic [Vectors-1:0] fire_i,
  output logic               msix_valid_o,
  input  logic               msix_ready_i,
  output logic [6:0]         msix_vector_o,
  output logic               sent_o
);
  localparam int unsigned VectorW = $clog2(Vectors);

  logic [Vectors-1:0] masked_d, masked_q, pending_d, pending_q;

  // ---- Table --------------------------------------------------------------------------------------

  logic table_we, rd_in, rd_pba;
  logic [9:0] wr_vector, rd_vector;
  assign wr_vector = wr_i.addr[13:4];
  assign rd_vector = rd_addr_i[13:4];
  assign table_we = wr_i.valid && wr_i.msix && 32'(wr_vector) < Vectors;
  assign rd_in = 32'(rd_vector) < Vectors && rd_addr_i[18:14] == '0;
  assign rd_pba = 32'(rd_addr_i[18:4]) == 32'(MSIX_PBA_BASE >> 4);

  always_comb begin
    masked_d = masked_q;
    if (table_we && wr_i.addr[3:0] == 4'(MSIX_TABLE_MSG_CTRL_OFFSET)) begin
      masked_d[wr_vector[VectorW-1:0]] = wr_i.data[MSIX_TABLE_MSG_CTRL_MASK_LSB];
    end
    if (clear_table_i) masked_d = '1;
  end

  // Where messages go, and what they say. The shell sends them by the number of the vector; the table
  // is kept for the host to read. A bit a dword says whether it was written since the last FLR.
  logic [2:0] message_we;
  logic [Vectors-1:0][2:0] message_set_q;
  logic [31:0] message [3];
  assign message_we[0] = table_we && wr_i.addr[3:0] == 4'(MSIX_TABLE_MSG_ADDR_LO_OFFSET);
  assign message_we[1] = table_we && wr_i.addr[3:0] == 4'(MSIX_TABLE_MSG_ADDR_HI_OFFSET);
  assign message_we[2] = table_we && wr_i.addr[3:0] == 4'(MSIX_TABLE_MSG_DATA_OFFSET);

  for (genvar i = 0; i < 3; i++) begin : gen_message
    prim_ram_lut #(.Depth(Vectors), .Width(32)) u_message (
      .clk_i, .we_i(message_we[i]), .waddr_i(wr_vector[VectorW-1:0]), .wdata_i(wr_i.data),
      .raddr_i(rd_vector[VectorW-1:0]), .rdata_o(message[i])
    );
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) message_set_q <= '0;
    else if (clear_table_i) message_set_q <= '0;
    else if (message_we != '0) begin
      message_set_q[wr_vector[VectorW-1:0]] <= message_set_q[wr_vector[VectorW-1:0]] | message_we;
    end
  end

  logic [127:0] pba;
  assign pba = 128'(pending_q);

  always_comb begin
    rd_data_o = '0;
    if (rd_en_i && rd_in) begin
      if (rd_addr_i[3:2] == 2'd3) rd_data_o = 32'(masked_q[rd_vector[VectorW-1:0]]);
      else if (message_set_q[rd_vector[VectorW-1:0]][rd_addr_i[3:2]]) begin
        rd_data_o = message[rd_addr_i[3:2]];
      end
    end else if (rd_en_i && rd_pba) begin
      rd_data_o = pba[32*rd_addr_i[3:2] +: 32];
    end
  end

  // ---- Messages -----------------------------------------------------------------------------------

  logic               valid_d, valid_q, due_valid, load;
  logic [6:0]         vector_d, vector_q;
  logic [VectorW-1:0] due;

  prim_arbiter_rr #(.N(Vectors)) u_arb (
    .clk_i, .rst_ni, .clear_i, .req_i(pending_q & ~masked_q),
    .valid_o(due_valid), .idx_o(due), .take_i(load), .take_idx_i(due)
  );

  // One message in two cycles is plenty, and keeps the ready of the edge out of the arbiter.
  assign load = due_valid && send_i && !valid_q && !clear_i;

  always_comb begin
    // A message that is offered stays; R20 only forbids new ones.
    valid_d = valid_q && !msix_ready_i;
    vector_d = vector_q;
    pending_d = pending_q;
    if (load) begin
      valid_d = 1'b1;
      vector_d = 7'(due);
      pending_d[due] = 1'b0;
    end
    pending_d |= fire_i;
    if (clear_i) pending_d = '0;
  end

  assign msix_valid_o = valid_q;
  assign msix_vector_o = vector_q;
  // Counted with its request: one that a reset finds here belongs to the time before it.
  assign sent_o = load;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      masked_q <= '1;
      pending_q <= '0;
      valid_q <= 1'b0;
      vector_q <= '0;
    end else begin
      masked_q <= masked_d;
      pending_q <= pending_d;
      valid_q <= valid_d;
      vector_q <= vector_d;
    end
  end

  `ESNIC_ASSERT_STABLE(MessageHeld_A, msix_valid_o, msix_ready_i, msix_vector_o)
  `ESNIC_ASSERT(VectorExists_A, !msix_valid_o || 32'(msix_vector_o) < Vectors)
endmodule
