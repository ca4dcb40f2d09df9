// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The three assertions of this design. They are one-cycle implications, which is what every simulator
// and yosys-smtbmc understand; synthesis leaves them out.
`ifndef ESNIC_ASSERT_SVH
`define ESNIC_ASSERT_SVH

`ifndef SYNTHESIS
// `prop` holds in every cycle outside reset.
`define ESNIC_ASSERT(name, prop) \
  name: assert property (@(posedge clk_i) disable iff (!rst_ni) (prop)) \
    else $error("%m: violated");
// A stream does not take back what it offers (AXI A3.2.1).
`define ESNIC_ASSERT_STABLE(name, valid, ready, data) \
  name: assert property (@(posedge clk_i) disable iff (!rst_ni) \
    ((valid) && !(ready)) |=> ((valid) && $stable(data))) \
    else $error("%m: violated");
// `prop` holds in the cycle after `pre`.
`define ESNIC_ASSERT_NEXT(name, pre, prop) \
  name: assert property (@(posedge clk_i) disable iff (!rst_ni) (pre) |=> (prop)) \
    else $error("%m: violated");
`else
`define ESNIC_ASSERT(name, prop)
`define ESNIC_ASSERT_STABLE(name, valid, ready, data)
`define ESNIC_ASSERT_NEXT(name, pre, prop)
`endif

`endif
