# SPDX-License-Identifier: Apache-2.0 OR MIT
"""What AXI and the manual demand of the device's outputs, looked at in every cycle.

cocotbext-axi checks what it receives; this checks what it never notices: an offer that is changed
or withdrawn, a response without a request, requests that the contract forbids, and key bytes on
their way out. A violation fails the test that is running, whatever that test is about.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from cocotb.triggers import RisingEdge
from cocotb.utils import get_sim_time

from .abi import load

# ids of writes (rtl-sim/README.md): completions share one, records the other.
ID_LINE = 0
ID_RECORD = 1
INCR = 1
SIZE_64 = 6
LINE = 64
# As much of a key as chance does not bring about.
WINDOW = 8


class ProtocolError(AssertionError):
    """The device broke a rule of its bus."""


class Channel:
    """One channel that the device drives: valid, ready, and what must not change while it waits."""

    def __init__(self, dut: Any, prefix: str, payload: tuple[str, ...], suffix: str = "") -> None:
        end = ("_o", "_i", "_o") if suffix else ("", "", "")
        self.name = prefix
        self.valid = getattr(dut, f"{prefix}valid{end[0]}")
        self.ready = getattr(dut, f"{prefix}ready{end[1]}")
        self.payload = {name: getattr(dut, f"{prefix}{name}{end[2]}") for name in payload}
        self._offered: dict[str, int] | None = None
        self.beats = 0
        self.stalls = 0

    def sample(self) -> dict[str, int] | None:
        """What is transferred at this edge, if anything is."""
        valid = int(self.valid.value)
        if not valid:
            if self._offered is not None:
                raise ProtocolError(f"{self.name}valid fell before {self.name}ready rose")
            return None
        beat = {name: int(signal.value) for name, signal in self.payload.items()}
        if self._offered is not None and beat != self._offered:
            changed = [name for name in beat if beat[name] != self._offered[name]]
            raise ProtocolError(f"{self.name}{changed} changed while the offer stood")
        if not int(self.ready.value):
            self._offered = beat
            self.stalls += 1
            return None
        self._offered = None
        self.beats += 1
        return beat

    def reset(self) -> None:
        """AXI A3.1.2: valid is low while reset is."""
        self._offered = None
        if int(self.valid.value):
            raise ProtocolError(f"{self.name}valid is high in reset")


class Monitor:
    """All channels together."""

    def __init__(self, dut: Any, tags: int) -> None:
        self._dut = dut
        self._tags = tags
        self.secrets: set[bytes] = set()
        self.interrupts: deque[int] = deque()
        self.on_interrupt: Callable[[int], None] | None = None

        ax = ("id", "addr", "len", "size", "burst")
        self.ar = Channel(dut, "m_axi_ar", ax)
        self.aw = Channel(dut, "m_axi_aw", ax)
        self.w = Channel(dut, "m_axi_w", ("data", "strb", "last"))
        self.b = Channel(dut, "s_axi_b", ("id", "resp"))
        self.r = Channel(dut, "s_axi_r", ("id", "data", "resp", "last"))
        self.msix = Channel(dut, "msix_", ("vector",), suffix="_o")
        self.channels = (self.ar, self.aw, self.w, self.b, self.r, self.msix)

        self._handlers: tuple[tuple[Channel, Callable[[dict[str, int]], None]], ...] = (
            (self.ar, self._on_ar),
            (self.aw, self._on_aw),
            (self.w, self._on_w),
            (self.b, self._on_b),
            (self.r, self._on_r),
            (self.msix, self._on_msix),
        )
        self._forget()

    def _forget(self) -> None:
        self._aw: deque[dict[str, int]] = deque()
        self._w: deque[dict[str, int]] = deque()
        self._w_beat = 0
        self._host_aw: deque[int] = deque()
        self._host_w = 0
        self._host_ar: deque[tuple[int, int]] = deque()
        self._r_beat = 0

    def keep_secret(self, secret: bytes) -> None:
        """From now on, these bytes must not leave the device."""
        for i in range(len(secret) - WINDOW + 1):
            window = secret[i : i + WINDOW]
            if any(window):
                self.secrets.add(window)

    async def run(self) -> None:
        """Looks at every rising edge, for ever."""
        edge = RisingEdge(self._dut.clk_i)
        while True:
            await edge
            self.look()

    def look(self) -> None:
        """Looks at one rising edge."""
        if not int(self._dut.rst_ni.value):
            self._forget()
            for channel in self.channels:
                channel.reset()
            return
        self._host_requests()
        for channel, handler in self._handlers:
            beat = channel.sample()
            if beat is None:
                continue
            try:
                handler(beat)
            except ProtocolError as error:
                told = {name: hex(value) for name, value in beat.items()}
                raise ProtocolError(
                    f"{error}; {channel.name} {told} at {get_sim_time('ns')} ns"
                ) from None

    # ---- The device as slave --------------------------------------------------------------------

    def _host_requests(self) -> None:
        dut = self._dut
        if int(dut.s_axi_awvalid.value) and int(dut.s_axi_awready.value):
            self._host_aw.append(int(dut.s_axi_awid.value))
        if int(dut.s_axi_wvalid.value) and int(dut.s_axi_wready.value):
            self._host_w += int(dut.s_axi_wlast.value)
        if int(dut.s_axi_arvalid.value) and int(dut.s_axi_arready.value):
            self._host_ar.append((int(dut.s_axi_arid.value), int(dut.s_axi_arlen.value)))

    def _on_b(self, beat: dict[str, int]) -> None:
        if not self._host_aw or not self._host_w:
            raise ProtocolError("a write response before its address or its last data")
        self._host_w -= 1
        # The one in-order port (R13) answers in order, too.
        if self._host_aw.popleft() != beat["id"]:
            raise ProtocolError("a write response with another id than the oldest write")
        if beat["resp"] not in (0, 2):
            raise ProtocolError("a write response that is neither OKAY nor SLVERR")

    def _on_r(self, beat: dict[str, int]) -> None:
        if not self._host_ar:
            raise ProtocolError("read data without a read")
        arid, arlen = self._host_ar[0]
        if beat["id"] != arid:
            raise ProtocolError("read data with another id than the oldest read")
        if beat["last"] != (self._r_beat == arlen):
            raise ProtocolError(f"rlast is wrong in beat {self._r_beat} of {arlen + 1}")
        if beat["resp"] not in (0, 2):
            raise ProtocolError("a read response that is neither OKAY nor SLVERR")
        self._r_beat += 1
        if beat["last"]:
            self._host_ar.popleft()
            self._r_beat = 0
        self._leak(beat["data"].to_bytes(LINE, "little"))

    # ---- The device as master -------------------------------------------------------------------

    def _on_ar(self, beat: dict[str, int]) -> None:
        """R11: one read of up to 512 bytes inside a 512-byte aligned block."""
        _full_lines(beat)
        if beat["id"] >= self._tags:
            raise ProtocolError(f"a read id beyond the {self._tags} tags of the build")
        block = load().numbers["FETCH_BYTES"]
        if beat["addr"] % block + (beat["len"] + 1) * LINE > block:
            raise ProtocolError(f"a fetch across a multiple of {block} bytes")

    def _on_aw(self, beat: dict[str, int]) -> None:
        self._aw.append(beat)
        self._match_write()

    def _on_w(self, beat: dict[str, int]) -> None:
        self._w.append(beat)
        self._match_write()
        self._leak(beat["data"].to_bytes(LINE, "little"))

    def _match_write(self) -> None:
        """Data of writes come in the order of their addresses (AXI4 A5.3)."""
        while self._aw and self._w:
            aw, w = self._aw[0], self._w.popleft()
            last = self._w_beat == aw["len"]
            if w["last"] != last:
                raise ProtocolError(f"wlast is wrong in beat {self._w_beat} of {aw['len'] + 1}")
            if self._w_beat == 0:
                _one_write(aw)
            if aw["id"] == ID_RECORD and w["strb"] != (1 << LINE) - 1:
                raise ProtocolError("a record that is not written whole")
            if aw["id"] == ID_LINE:
                _whole_completions(w["strb"])
            self._w_beat += 1
            if last:
                self._aw.popleft()
                self._w_beat = 0

    def _on_msix(self, beat: dict[str, int]) -> None:
        self.interrupts.append(beat["vector"])
        if self.on_interrupt is not None:
            self.on_interrupt(beat["vector"])

    def _leak(self, data: bytes) -> None:
        """R33: no byte of a key leaves the device."""
        if not self.secrets:
            return
        for i in range(len(data) - WINDOW + 1):
            if data[i : i + WINDOW] in self.secrets:
                raise ProtocolError(f"key bytes leave the device in byte {i} of a beat")


def _full_lines(beat: dict[str, int]) -> None:
    if beat["size"] != SIZE_64 or beat["burst"] != INCR or beat["addr"] % LINE:
        raise ProtocolError("a request that is not an aligned INCR burst of whole lines")


def _one_write(aw: dict[str, int]) -> None:
    _full_lines(aw)
    if aw["id"] == ID_LINE:
        if aw["len"] != 0:
            raise ProtocolError("completions in more than one beat")
    elif aw["id"] == ID_RECORD:
        if aw["len"] != 1 or aw["addr"] % load().numbers["RECORD_ALIGN"]:
            raise ProtocolError("a record that is not two aligned beats")
    else:
        raise ProtocolError("a write that is neither completion nor record")


def _whole_completions(strb: int) -> None:
    """R12: up to four completions share a line; here, a run of whole ones."""
    size = load().numbers["CQ_ENTRY_BYTES"]
    entries = [(strb >> (size * i)) & ((1 << size) - 1) for i in range(LINE // size)]
    full = (1 << size) - 1
    shape = "".join("1" if e == full else "0" if e == 0 else "?" for e in entries)
    if "?" in shape or "1" not in shape or "01" in shape.strip("0"):
        raise ProtocolError(f"a write of partial or scattered completions, strobes {strb:#x}")
