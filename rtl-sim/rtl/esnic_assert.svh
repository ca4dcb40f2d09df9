// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The three assertions of this design, as immediate ones at the clock edge: every simulator and every
// formal tool understands them, and they cost a simulation next to nothing. Synthesis leaves them out.
`ifndef ESNIC_ASSERT_SVH
`define ESNIC_ASSERT_SVH

`ifndef SYNTHESIS
// `prop` holds in every cycle outside reset.
`define ESNIC_ASSERT(name, prop) \
  always_ff @(posedge clk_i) begin \
    if (rst_ni) begin \
      name: assert (prop) else $error("%m: violated"); \
    end \
  end
// A stream does not take back what it offers (AXI A3.2.1). What was offered is remembered only while it
// is not taken, which keeps a wide payload cheap to watch.
`define ESNIC_ASSERT_STABLE(name, valid, ready, data) \
  logic name``_held_q; \
  logic [$bits(data)-1:0] name``_data_q; \
  always_ff @(posedge clk_i or negedge rst_ni) begin \
    if (!rst_ni) name``_held_q <= 1'b0; \
    else begin \
      if (name``_held_q) begin \
        name: assert ((valid) && name``_data_q == (data)) else $error("%m: violated"); \
      end \
      name``_held_q <= (valid) && !(ready); \
    end \
  end \
  always_ff @(posedge clk_i) begin \
    if ((valid) && !(ready)) name``_data_q <= (data); \
  end
// `prop` holds in the cycle after `pre`.
`define ESNIC_ASSERT_NEXT(name, pre, prop) \
  logic name``_pre_q; \
  always_ff @(posedge clk_i or negedge rst_ni) begin \
    if (!rst_ni) name``_pre_q <= 1'b0; \
    else begin \
      if (name``_pre_q) begin \
        name: assert (prop) else $error("%m: violated"); \
      end \
      name``_pre_q <= (pre); \
    end \
  end
`else
`define ESNIC_ASSERT(name, prop)
`define ESNIC_ASSERT_STABLE(name, valid, ready, data)
`define ESNIC_ASSERT_NEXT(name, pre, prop)
`endif  // SYNTHESIS

`endif  // ESNIC_ASSERT_SVH
