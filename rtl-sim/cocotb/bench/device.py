# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The device between a host's bus and host memory, both of them cocotbext-axi's."""

from __future__ import annotations

import itertools
import logging
import os
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Event, RisingEdge
from cocotbext.axi import AxiBus, AxiMaster, AxiResp, AxiSlave

from .abi import Register, load
from .memory import HostMemory
from .monitor import Monitor

# Where a shell maps the BARs (rtl-sim/README.md, "What a shell must know").
BAR_BASE = {0: 0x0000_0000, 4: 0x0800_0000, 2: 0x1000_0000}
# Only an order of magnitude: 250 MHz.
PERIOD_NS = 4
# R20: READY within 100 ms. Scrubbing takes a row a cycle, so this is a bound for tests.
READY_CYCLES = 20_000


@dataclass(frozen=True)
class Straps:
    """What the device is told to offer (esnic_top.sv); by itself, all that there is."""

    features: int
    algs: int
    max_window: int = 4096
    ring_log2: int = 12

    @classmethod
    def everything(cls) -> Straps:
        """All bits but those that the manual says are 0 in version 1."""
        registers = load().blocks["Global"].registers

        def offered(name: str) -> int:
            fields = registers[name].fields.values()
            return sum(f.mask for f in fields if "0 in version 1" not in f.meaning)

        return cls(offered("FEATURES"), offered("ALGS"))

    def without(self, *names: str) -> Straps:
        """The same without some features or algorithms."""
        registers = load().blocks["Global"].registers
        features, algs = self.features, self.algs
        for name in names:
            if name in registers["FEATURES"].fields:
                features &= ~registers["FEATURES"].fields[name].mask
            else:
                algs &= ~registers["ALGS"].fields[name].mask
        return replace(self, features=features, algs=algs)


class Device:
    """One device, out of reset but not brought up."""

    def __init__(self, dut: Any, name: str, straps: Straps) -> None:
        self.abi = load()
        self.straps = straps
        self.dut = dut
        self.seed = int(os.environ["ESNIC_SEED"])
        # Of the test's name too, so that a test can be repeated alone.
        self.rng = random.Random(f"{self.seed}:{name}")
        self.capacity = int(os.environ["ESNIC_SA_CAPACITY"])
        self.pairs = int(os.environ["ESNIC_QUEUE_PAIRS"])
        self.direct_log2 = int(os.environ["ESNIC_DIRECT_LOG2"])
        self.stage_log2 = int(os.environ["ESNIC_STAGE_LOG2"])
        self.memory = HostMemory()
        self.instance = 0
        self._posted: deque[tuple[int, Event]] = deque()

        # Every beat with its data is too much to read, and slow.
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.ERROR)
        axi = {"reset_active_level": False}
        self.master = AxiMaster(AxiBus.from_prefix(dut, "s_axi"), dut.clk_i, dut.rst_ni, **axi)
        self.slave = AxiSlave(
            AxiBus.from_prefix(dut, "m_axi"), dut.clk_i, dut.rst_ni, target=self.memory, **axi
        )
        self.monitor = Monitor(dut, int(os.environ["ESNIC_TAGS"]))

    @classmethod
    async def start(cls, dut: Any, name: str, straps: Straps) -> Device:
        """A device that has been reset by its pin, with clock and monitors running."""
        device = cls(dut, name, straps)
        dut.rst_ni.value = 0
        dut.cfg_bus_master_i.value = 1
        dut.cfg_msix_enable_i.value = 1
        dut.cfg_msix_mask_i.value = 0
        dut.cfg_features_i.value = straps.features
        dut.cfg_algs_i.value = straps.algs
        dut.cfg_max_window_i.value = straps.max_window
        dut.cfg_ring_log2_i.value = straps.ring_log2
        dut.flr_i.value = 0
        dut.msix_ready_i.value = 1
        cocotb.start_soon(Clock(dut.clk_i, PERIOD_NS, "ns").start())
        cocotb.start_soon(device.monitor.run())
        await ClockCycles(dut.clk_i, 4)
        dut.rst_ni.value = 1
        await ClockCycles(dut.clk_i, 2)
        return device

    async def cycles(self, count: int) -> None:
        """Lets the clock run."""
        await ClockCycles(self.dut.clk_i, count)

    # ---- Registers ------------------------------------------------------------------------------

    def register(self, name: str) -> Register:
        """A register by `Block.NAME`."""
        block, register = name.split(".")
        return self.abi.blocks[block].registers[register]

    def address(self, name: str, n: int = 0, element: int = 0) -> int:
        """Where a register is on the bus: that of repetition `n` of its block."""
        block = self.abi.blocks[name.partition(".")[0]]
        register = self.register(name)
        offset = register.offset + element * register.bits // 8
        return BAR_BASE[block.bar] + block.base + block.stride * n + offset

    async def load(self, address: int, size: int) -> bytes:
        """An aligned load, done as one access."""
        got = await self.master.read(address, size, size=size.bit_length() - 1)
        assert got.resp == AxiResp.OKAY, f"load of {size} bytes at {address:#x}: {got.resp}"
        return bytes(got.data)

    async def store(self, address: int, data: bytes) -> None:
        """An aligned store, done as one access; its response has come."""
        got = await self.master.write(address, data, size=len(data).bit_length() - 1)
        assert got.resp == AxiResp.OKAY, f"store of {len(data)} bytes at {address:#x}: {got.resp}"

    def post(self, address: int, data: bytes) -> None:
        """A store that nobody waits for, as a CPU does it; all of them keep their order."""
        size = len(data).bit_length() - 1
        self._posted.append((address, self.master.init_write(address, data, size=size)))

    async def flush(self) -> None:
        """Waits for the responses of what was posted."""
        while self._posted:
            address, event = self._posted.popleft()
            await event.wait()
            assert event.data.resp == AxiResp.OKAY, f"store at {address:#x}: {event.data.resp}"

    async def get(self, name: str, n: int = 0, element: int = 0) -> int:
        """Value of a register."""
        size = self.register(name).bits // 8
        return int.from_bytes(await self.load(self.address(name, n, element), size), "little")

    async def put(self, name: str, value: int, n: int = 0, element: int = 0) -> None:
        """Writes a register."""
        size = self.register(name).bits // 8
        await self.store(self.address(name, n, element), value.to_bytes(size, "little"))

    async def field(self, name: str, field: str, n: int = 0) -> int:
        """One field of a register."""
        return self.register(name).fields[field].get(await self.get(name, n))

    async def counter(self, name: str, n: int = 0) -> int:
        """A counter as two dwords: high, low, and high again until it repeats (device.md 2.1)."""
        address = self.address(name, n)
        high = await self.load(address + 4, 4)
        while True:
            low = await self.load(address, 4)
            again = await self.load(address + 4, 4)
            if again == high:
                return int.from_bytes(low + high, "little")
            high = again

    # ---- Life -----------------------------------------------------------------------------------

    async def wait_state(self, state: str, cycles: int = READY_CYCLES) -> None:
        """Waits until the device is in `state`."""
        wanted = self.abi.codes["DeviceState"][state]
        before = self.now()
        while await self.field("Global.STATUS", "STATE") != wanted:
            assert self.now() - before < cycles, f"the device is not {state} after {cycles} cycles"

    async def run(self) -> None:
        """READY, a new instance, MSI-X, RUNNING: what device.md 11 calls the start."""
        await self.wait_state("READY")
        self.instance = self.rng.getrandbits(64) | 1
        await self.put("Global.INSTANCE", self.instance)
        for vector in range(self.pairs + 1):
            await self.set_vector(vector, masked=False)
        await self.put("Global.CONTROL", self.register("Global.CONTROL").word(RUN=1))
        await self.wait_state("RUNNING")

    @property
    def epoch(self) -> int:
        """What commands of this instance carry."""
        return self.instance & 0xFFFF

    async def set_vector(self, vector: int, *, masked: bool) -> None:
        """Fills a vector of the MSI-X table."""
        await self.put("MsixTable.MSG_ADDR_LO", 0xFEE0_0000 + (vector << 12), vector)
        await self.put("MsixTable.MSG_ADDR_HI", 0, vector)
        await self.put("MsixTable.MSG_DATA", 0x4000 + vector, vector)
        await self.put("MsixTable.MSG_CTRL", int(masked), vector)

    def now(self) -> int:
        """Cycles since the simulation began."""
        return int(cocotb.utils.get_sim_time("ns")) // PERIOD_NS

    # ---- The SA table ---------------------------------------------------------------------------

    def row(self, index: int, offset: int = 0) -> int:
        """Where an SA slot is on the bus."""
        return BAR_BASE[2] + index * self.abi.numbers["SA_SLOT_BYTES"] + offset

    async def view(self, index: int) -> bytes:
        """The live view of a slot; consistent only while nothing changes it (R16)."""
        return await self.load(self.row(index), 64) + await self.load(self.row(index, 64), 64)

    # ---- Trouble --------------------------------------------------------------------------------

    def rough(self) -> None:
        """Back-pressure at random on every channel, and a memory that takes its time."""
        write, read = self.master.write_if, self.master.read_if
        for channel in (
            *(write.aw_channel, write.w_channel, write.b_channel),
            *(read.ar_channel, read.r_channel),
        ):
            channel.set_pause_generator(self._pauses())
        cocotb.start_soon(self._pause_msix(self._pauses()))
        self.rough_memory()

    def rough_memory(self) -> None:
        """The same where the device is the master."""
        write, read = self.slave.write_if, self.slave.read_if
        for channel in (
            *(write.aw_channel, write.w_channel, write.b_channel),
            *(read.ar_channel, read.r_channel),
        ):
            channel.set_pause_generator(self._pauses())
        self.memory.delay = self._delay

    def _pauses(self) -> Iterator[bool]:
        """Pauses of all lengths, in times when they are many and times when they are few."""
        rng = random.Random(self.rng.getrandbits(64))
        for busy in itertools.count():
            share = rng.choice((0.0, 0.3, 0.5, 0.9)) if busy % 2 else 0.2
            for _ in range(rng.randrange(5, 60)):
                yield rng.random() < share

    async def _pause_msix(self, pauses: Iterator[bool]) -> None:
        edge = RisingEdge(self.dut.clk_i)
        for pause in pauses:
            self.dut.msix_ready_i.value = int(not pause)
            await edge

    async def _delay(self) -> None:
        cycles = self.rng.choice((0, 0, 0, 1, 2, 7, 20))
        if cycles:
            await self.cycles(cycles)
