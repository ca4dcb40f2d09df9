# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The module between Python and the device, printed from the ports of esnic_top.

It has the ports as variables, and none of its own: of a port of the top, VPI shows two objects, and
the one that cocotb finds is deaf. Only these variables are public, for to make the whole design so,
as cocotb does by itself, costs its optimisation; and an independent client has no business inside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

NAME = "esnic_tb"
# What the bench drives or listens to.
DRIVEN = re.compile(r"(clk_i|rst_ni|flr_i|cfg_\w+|s_axi_\w+|m_axi_\w+|msix_\w+)$")
# The coming datapath, and what is there for other tests. Inputs are tied to 0, outputs left open.
IDLE = re.compile(r"(lk|st|dbg)_\w+$")

_HEADER = re.compile(
    r"^module esnic_top\b.*?\n\) \(\n(?P<ports>.*?)\n\);", re.MULTILINE | re.DOTALL
)
_PORT = re.compile(
    r"^ *(?P<way>input|output) +logic +(?P<range>\[[^\]]+\])? *(?P<name>\w+),?(?: *//.*)?$"
)


class PortError(Exception):
    """The ports are not as expected."""


def wrap(source: str, parameters: Mapping[str, int]) -> str:
    """The wrapper of the esnic_top that is in `source`."""
    header = _HEADER.search(source)
    if header is None:
        raise PortError("esnic_top.sv has no list of ports that can be read")
    lines = []
    for line in header["ports"].splitlines():
        if not line.strip() or line.strip().startswith("//"):
            continue
        port = _PORT.match(line)
        if port is None:
            raise PortError(f"esnic_top.sv: cannot read the port `{line.strip()}`")
        name, width = port["name"], port["range"] or ""
        if DRIVEN.match(name):
            public = " /*verilator public_flat_rw*/"
        elif IDLE.match(name):
            public = " = '0" if port["way"] == "input" else ""
        else:
            raise PortError(f"esnic_top.sv: the bench does not know the port {name}")
        lines.append(f"  logic {width} {name}{public};")
    if not lines:
        raise PortError("esnic_top.sv: esnic_top has no ports")
    given = ", ".join(f".{name}({value})" for name, value in parameters.items())
    ports = "\n".join(lines)
    return f"module {NAME};\n{ports}\n  esnic_top #({given}) u_dut (.*);\nendmodule\n"
