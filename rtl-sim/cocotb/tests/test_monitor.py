# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The monitor itself: each rule that it watches is broken once, on wires that are no device's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cocotb

from bench.monitor import ID_LINE, ID_RECORD, INCR, SIZE_64, Monitor, ProtocolError

TAGS = 4


class Wires:
    """Signals by any name, all of them low until they are set."""

    def __getattr__(self, name: str) -> SimpleNamespace:
        signal = SimpleNamespace(value=0)
        setattr(self, name, signal)
        return signal


class Edges:
    """A monitor, and what it is to see."""

    def __init__(self) -> None:
        self.wires = Wires()
        self.monitor = Monitor(self.wires, TAGS)
        self.wires.rst_ni.value = 1

    def look(self, **values: int) -> None:
        """One rising edge with these values on top of those of before."""
        for name, value in values.items():
            getattr(self.wires, name).value = value
        self.monitor.look()

    def once(self, channel: str, **payload: int) -> None:
        """One transfer, and then the channel is idle."""
        values = {f"{channel}{name}": value for name, value in payload.items()}
        self.look(**{f"{channel}valid": 1, f"{channel}ready": 1}, **values)
        getattr(self.wires, f"{channel}valid").value = 0

    def line(self, **override: int) -> None:
        """The address of a line of completions."""
        self.once("m_axi_aw", **request(id=ID_LINE) | override)

    def record(self, **override: int) -> None:
        """The address of a record."""
        self.once("m_axi_aw", **request(id=ID_RECORD, len=1) | override)


def request(**override: int) -> dict[str, int]:
    """A request for one line, as it should be."""
    return {"id": 0, "addr": 0x1000, "len": 0, "size": SIZE_64, "burst": INCR} | override


def refused(part: str, call: Any, *args: Any, **values: int) -> None:
    """The monitor says `part` to that."""
    try:
        call(*args, **values)
    except ProtocolError as error:
        assert part in str(error), f"`{error}` does not say `{part}`"
    else:
        raise AssertionError(f"the monitor lets {values} pass, which is `{part}`")


@cocotb.test()
async def an_offer_must_stay_as_it_is(_dut: Any) -> None:
    """AXI A3.2.1, for the channels and for the interrupt requests."""
    for channel, payload in (("m_axi_ar", "addr"), ("m_axi_w", "strb"), ("s_axi_b", "resp")):
        edges = Edges()
        edges.look(**{f"{channel}valid": 1, f"{channel}{payload}": 1})
        refused("changed while", edges.look, **{f"{channel}{payload}": 2})
        edges = Edges()
        edges.look(**{f"{channel}valid": 1})
        refused("fell before", edges.look, **{f"{channel}valid": 0})
    edges = Edges()
    edges.look(msix_valid_o=1, msix_vector_o=1)
    refused("changed while", edges.look, msix_vector_o=2)
    edges = Edges()
    edges.look(rst_ni=0)
    refused("high in reset", edges.look, m_axi_awvalid=1)


@cocotb.test()
async def a_response_needs_its_request(_dut: Any) -> None:
    """AXI A3.3.1: B after AW and the last W, R after AR; ids, and rlast."""
    edges = Edges()
    refused("before its address", edges.once, "s_axi_b")
    edges = Edges()
    edges.once("s_axi_aw", id=3)
    refused("before its address", edges.once, "s_axi_b", id=3)
    edges = Edges()
    edges.once("s_axi_aw", id=3)
    edges.once("s_axi_w", last=1)
    refused("another id", edges.once, "s_axi_b", id=2)
    edges = Edges()
    refused("without a read", edges.once, "s_axi_r", last=1)
    edges = Edges()
    edges.once("s_axi_ar", id=1, len=1)
    refused("rlast is wrong", edges.once, "s_axi_r", id=1, last=1)
    edges = Edges()
    edges.once("s_axi_ar", id=1)
    refused("another id", edges.once, "s_axi_r", id=2, last=1)
    for response in (1, 3):
        edges = Edges()
        edges.once("s_axi_ar")
        refused("neither OKAY", edges.once, "s_axi_r", resp=response, last=1)


@cocotb.test()
async def requests_must_be_those_of_the_contract(_dut: Any) -> None:
    """R11, R12, rtl-sim/README.md: tags, blocks of 512 bytes, whole completions, whole records."""
    edges = Edges()
    edges.once("m_axi_ar", **request(len=7))
    for part, override in (
        ("beyond the 4 tags", {"id": TAGS}),
        ("across a multiple", {"addr": 0x1040, "len": 7}),
        ("aligned INCR", {"addr": 0x1020}),
        ("aligned INCR", {"size": 5}),
        ("aligned INCR", {"burst": 0}),
    ):
        edges = Edges()
        refused(part, edges.once, "m_axi_ar", **request(**override))
    entry = (1 << 16) - 1
    for strobes in (entry, entry << 48, (1 << 64) - 1):
        edges = Edges()
        edges.line()
        edges.once("m_axi_w", strb=strobes, last=1)
    for strobes in (0, entry | entry << 32, entry >> 1, 1 << 63):
        edges = Edges()
        edges.line()
        refused("partial or scattered", edges.once, "m_axi_w", strb=strobes, last=1)
    edges = Edges()
    edges.line()
    refused("wlast is wrong", edges.once, "m_axi_w", strb=entry, last=0)
    edges = Edges()
    edges.record()
    refused("not written whole", edges.once, "m_axi_w", strb=entry, last=0)
    for part, override in (
        ("two aligned beats", {"addr": 0x1040}),
        ("two aligned beats", {"len": 3}),
        ("neither completion nor", {"id": 2}),
    ):
        edges = Edges()
        edges.record(**override)
        refused(part, edges.once, "m_axi_w", strb=(1 << 64) - 1, last=0)


@cocotb.test()
async def a_key_is_seen_wherever_it_leaves(_dut: Any) -> None:
    """R33: at any byte of read data and of written data."""
    key = b"a test key that nobody must see!"
    for at in (0, 5, 56):
        data = int.from_bytes(key[3:11], "little") << (8 * at)
        edges = Edges()
        edges.monitor.keep_secret(key)
        edges.once("s_axi_ar")
        refused("key bytes leave", edges.once, "s_axi_r", data=data, last=1)
        edges = Edges()
        edges.monitor.keep_secret(key)
        refused("key bytes leave", edges.once, "m_axi_w", data=data, strb=0, last=0)
        edges = Edges()
        edges.monitor.keep_secret(key)
        edges.once("m_axi_w", data=data ^ (1 << (8 * at)), strb=0, last=0)
