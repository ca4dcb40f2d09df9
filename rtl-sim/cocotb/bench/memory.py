# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Host memory, as the target of cocotbext-axi's slave."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


class Refused(Exception):
    """What the slave answers with SLVERR: nothing is mapped there for the device."""


@dataclass
class Access:
    """One write of the device, as the memory saw it."""

    address: int
    data: bytes


@dataclass
class HostMemory:
    """A piece of memory far above 4 GiB, so that all address bits count."""

    base: int = 0x12_3456_0000_0000
    size: int = 1 << 20
    # Ranges that the IOMMU refuses, as (first, behind last).
    no_read: list[tuple[int, int]] = field(default_factory=list)
    no_write: list[tuple[int, int]] = field(default_factory=list)
    # Every write in its order, for those who ask about order.
    writes: list[Access] = field(default_factory=list)
    reads: int = 0
    # Called before an access is carried out; it may wait.
    delay: Callable[[], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        self._bytes = bytearray(self.size)
        self._next = self.base

    def take(self, size: int, align: int, rng: random.Random | None = None) -> int:
        """Address of `size` zeroed bytes; with `rng`, not simply the next ones."""
        start = -(-self._next // align) * align
        if rng is not None:
            start += align * rng.randrange(4)
        if start + size > self.base + self.size:
            raise MemoryError(f"host memory of {self.size:#x} bytes is full")
        self._next = start + size
        return start

    def _offset(self, address: int, size: int) -> int:
        offset = address - self.base
        if offset < 0 or offset + size > self.size:
            raise Refused(f"{size} bytes at {address:#x} are not host memory")
        return offset

    def get(self, address: int, size: int) -> bytes:
        """The host's own look."""
        offset = self._offset(address, size)
        return bytes(self._bytes[offset : offset + size])

    def put(self, address: int, data: bytes) -> None:
        """The host's own store."""
        offset = self._offset(address, len(data))
        self._bytes[offset : offset + len(data)] = data

    async def read(self, address: int, length: int) -> bytes:
        """A read of the device."""
        if self.delay is not None:
            await self.delay()
        self.reads += 1
        if _inside(address, length, self.no_read):
            raise Refused(f"read at {address:#x}")
        return self.get(address, length)

    async def write(self, address: int, data: bytes) -> None:
        """A write of the device."""
        if self.delay is not None:
            await self.delay()
        if _inside(address, len(data), self.no_write):
            raise Refused(f"write at {address:#x}")
        self.put(address, data)
        self.writes.append(Access(address, data))


def _inside(address: int, length: int, ranges: list[tuple[int, int]]) -> bool:
    return any(first < address + length and address < last for first, last in ranges)
