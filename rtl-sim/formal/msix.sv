// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The stream of messages: what is offered stays as it is until it is taken, through masks, Bus Master and
// resets; none is lost (R4), none comes by itself.
module msix_formal
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned Vectors = 9
) (
  input logic               clk_i,
  input logic               clear_i,
  input logic               clear_table_i,
  input logic               send_i,
  input reg_wr_t            wr_i,
  input logic [Vectors-1:0] fire_i,
  input logic               ready_i
);
  logic rst_ni = 1'b0;
  always_ff @(posedge clk_i) rst_ni <= 1'b1;

  logic valid, sent;
  logic [6:0] vector;
  logic [31:0] unused_data;
  esnic_msix #(.Vectors(Vectors)) u_msix (
    .clk_i, .rst_ni, .clear_i, .clear_table_i, .send_i, .wr_i, .rd_en_i(1'b0), .rd_addr_i('0),
    .rd_data_o(unused_data), .fire_i, .msix_valid_o(valid), .msix_ready_i(ready_i),
    .msix_vector_o(vector), .sent_o(sent)
  );

  // A vector is watched, and it is any. It is due from its fire until its message is asked for.
  logic [3:0] watched_q;
  logic due_q, offered_q, before_q;
  logic [6:0] vector_q;
  logic is_it;
  always_ff @(posedge clk_i) watched_q <= watched_q;
  always_comb assume (32'(watched_q) < Vectors);
  // A message begins in the cycle after `sent`.
  assign is_it = vector == 7'(watched_q);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) {due_q, offered_q, before_q} <= '0;
    else begin
      before_q <= sent;
      offered_q <= valid && !ready_i;
      if (clear_i) due_q <= 1'b0;
      else if (fire_i[watched_q]) due_q <= 1'b1;
      else if (sent && 7'(u_msix.due) == 7'(watched_q)) due_q <= 1'b0;
    end
    vector_q <= vector;
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      if (offered_q) Held: assert (valid && vector == vector_q);
      Begins: assert (valid == (offered_q || before_q));
      NotLost: assert (u_msix.pending_q[watched_q] == due_q);
      if (sent) Allowed: assert (send_i && !clear_i && !valid && u_msix.pending_q[u_msix.due] &&
                                 !u_msix.masked_q[u_msix.due]);
      if (sent && 7'(u_msix.due) == 7'(watched_q)) Due: assert (due_q);
      Waits: cover (valid && is_it && offered_q && clear_i);
      Again: cover (valid && ready_i && is_it && due_q);
      Masked: cover (due_q && u_msix.masked_q[watched_q] && send_i && !valid);
    end
  end
endmodule
