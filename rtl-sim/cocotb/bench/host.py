# SPDX-License-Identifier: Apache-2.0 OR MIT
"""A host that has brought the device up, and compares every answer with the reference."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import cocotb

from .abi import load
from .commands import Element, Maker
from .device import Device, Straps
from .pair import Completion, Interrupts, Pair
from .reference import Answer, Reference

# Simulated time after which a test is stuck.
TIMEOUT_MS = 40


class Host:
    """Device, pairs, reference; and cookies that are never used twice."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.rng = device.rng
        self.pairs: list[Pair] = []
        self.interrupts = Interrupts(device)
        self.refused = 0  # DMA errors that the test asked for
        self.events = 0  # bits of INT_CAUSE that the test asked for
        self._cookie = self.rng.getrandbits(20)

    @property
    def pair(self) -> Pair:
        """The first pair."""
        return self.pairs[0]

    def cookie(self) -> int:
        """A new one; bit 31 is always zero."""
        self._cookie = (self._cookie + 1) & 0x7FFF_FFFF
        return self._cookie

    async def run(self) -> None:
        """Brings the device up, with an empty table."""
        await self.device.run()
        self.make = Maker(self.device.epoch)
        self.window = self.device.straps.max_window
        self.reference = Reference(self.device.capacity, self.device.epoch, self.window)

    async def open(self, n: int, sq_log2: int = 4, cq_log2: int = 4, **options: int) -> Pair:
        """One more pair, enabled."""
        pair = Pair(self.device, n, sq_log2, cq_log2, **options)
        await pair.enable()
        self.pairs.append(pair)
        return pair

    def secret(self, element: Element) -> Element:
        """An element whose key the monitor looks out for."""
        self.device.monitor.keep_secret(element.key)
        return element

    def element(self) -> Element:
        """A random one, with its key looked out for."""
        return self.secret(Element.random(self.rng, max_window=self.window))

    # ---- Commands one by one --------------------------------------------------------------------

    async def do(self, command: bytes, pair: Pair | None = None) -> Completion:
        """A command by ring, alone; every field of its completion is compared."""
        pair = pair or self.pair
        record = load().records["Header"]
        words = record.unpack(command[: record.size])
        pair.put(command)
        answer = self.reference.execute(command, direct=False)
        await pair.ring()
        completion = await pair.next()
        # Alone in its ring: all that was told has been fetched (R10).
        assert completion.sq_head == pair.tail & 0xFFFF, completion
        self.compare(completion, words["cookie"], answer)
        return completion

    async def add(self, index: int, generation: int, element: Element) -> Completion:
        """ADD by ring, on an even slot."""
        if self.pair.odd:
            await self.do(self.make.nop(self.cookie()))
        command = self.make.add(self.cookie(), index, generation, self.secret(element))
        return await self.do(command)

    @staticmethod
    def compare(completion: Completion, cookie: int, answer: Answer) -> None:
        """All that the reference knows; phase and `sq_head` are the pair's business."""
        want = {
            "cookie": cookie,
            "status": answer.status,
            "result": answer.result,
            "opcode": answer.opcode,
            "lo_valid": int(answer.lo_valid),
            "changed": int(answer.changed),
        }
        got = {name: getattr(completion, name) for name in want}
        assert got == want, f"completion {_hex(got)}, but the manual says {_hex(want)}"

    async def compare_row(self, index: int) -> bytes:
        """The live view of a slot in BAR 2."""
        got, want = await self.device.view(index), self.reference.view(index)
        assert got == want, (
            f"slot {index} shows\n{got.hex(' ')}, but the manual says\n{want.hex(' ')}"
        )
        return got

    # ---- The direct path ------------------------------------------------------------------------

    async def stage(self, index: int, command: bytes, size: int = 64, *, skip: int = -1) -> None:
        """Stores a command to its slot, `size` bytes at a time, in any order.

        `skip` leaves out one dword, where the pieces are dwords.
        """
        pieces = [(at, command[at : at + size]) for at in range(0, len(command), size)]
        self.rng.shuffle(pieces)
        for at, piece in pieces:
            if at != 4 * skip:
                await self.device.store(self.device.row(index, at), piece)

    async def do_direct(
        self, command: bytes, size: int = 64, split: str = "", pair: Pair | None = None
    ) -> Completion:
        """A command by the direct path, alone, and compared."""
        pair = pair or self.pair
        record = load().records["Header"]
        words = record.unpack(command[: record.size])
        answer = self.reference.execute_staged(command, words["index"], words["cookie"])
        await self.stage(words["index"], command, size)
        await pair.ring_direct(words["index"], words["cookie"], split=split)
        completion = await pair.next()
        self.compare(completion, words["cookie"], answer)
        return completion

    # ---- The end --------------------------------------------------------------------------------

    async def finish(self) -> None:
        """What holds at the end of every test."""
        device = self.device
        assert await device.get("Global.FATAL_CAUSE") == 0, "the device is FATAL"
        errors = await device.counter("Counters.DMA_ERRORS")
        assert errors == self.refused, f"{errors} DMA errors, not {self.refused}"
        assert await device.get("Global.INT_CAUSE") == self.events
        for pair in self.pairs:
            assert pair.peek() is None, f"pair {pair.n}: {pair.peek()} was not asked for"
            assert pair.open == 0, f"pair {pair.n}: {pair.open} commands without completion"


def _hex(values: dict[str, int]) -> str:
    return ", ".join(f"{name} {value:#x}" for name, value in values.items())


def bench(
    *, pairs: int = 1, straps: Straps | None = None, **options: int
) -> Callable[[Callable[[Host], Awaitable[None]]], Any]:
    """A test with a device in READY (`pairs` 0), or RUNNING with that many pairs."""
    offer = straps or Straps.everything()

    def decorate(function: Callable[[Host], Awaitable[None]]) -> Any:
        @functools.wraps(function)
        async def test(dut: Any) -> None:
            host = Host(await Device.start(dut, function.__name__, offer))
            if pairs:
                await host.run()
            else:
                await host.device.wait_state("READY")
            for n in range(pairs):
                await host.open(n, **options)
            await function(host)
            await host.finish()

        return cocotb.test(timeout_time=TIMEOUT_MS, timeout_unit="ms")(test)

    return decorate
