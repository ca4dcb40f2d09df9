# SPDX-License-Identifier: Apache-2.0 OR MIT
"""A queue pair as its host keeps it: two rings, their doorbells, and the direct doorbell ring."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from .abi import load
from .device import Device

# R43 allows a command 4,096 cycles and its DMA; memory and bus of a rough bench take theirs.
PATIENCE = 20_000


@dataclass(frozen=True)
class Completion:
    """A completion, decoded."""

    result: int
    cookie: int
    sq_head: int
    status: int
    opcode: int
    lo_valid: int
    changed: int
    phase: int

    @classmethod
    def decode(cls, data: bytes) -> Completion:
        """From its 16 bytes."""
        record = load().records["Completion"]
        words = record.unpack(data)
        info = words.pop("info")
        bits = {name.lower(): field.get(info) for name, field in record.fields.items()}
        return cls(**words, **bits)


class Pair:
    """One queue pair, enabled by `enable`. It checks what holds for every completion."""

    def __init__(
        self, device: Device, n: int, sq_log2: int, cq_log2: int, *, start: int = 0
    ) -> None:
        numbers = load().numbers
        self.device, self.n = device, n
        self.sq_size, self.cq_size = 1 << sq_log2, 1 << cq_log2
        self.slot, self.entry = numbers["SQ_SLOT_BYTES"], numbers["CQ_ENTRY_BYTES"]
        self.start = start
        take = device.memory.take
        self.sq = take(self.slot << sq_log2, numbers["RING_ALIGN"], device.rng)
        self.cq = take(self.entry << cq_log2, numbers["RING_ALIGN"], device.rng)
        self.config = {"SQ_LOG2": sq_log2, "CQ_LOG2": cq_log2}
        self.tail = self.told_tail = start  # slots filled, slots told of
        self.sq_head = start  # slots that the host may overwrite (R10)
        self.cq_head = self.told_head = start  # completions consumed, and told so
        self.open = 0  # commands whose completion has not been consumed
        self.direct = 0  # direct entries ever sent
        self.direct_open: set[int] = set()  # cookies of those that are out
        self.irqs = 0

    # ---- Configuration --------------------------------------------------------------------------

    async def configure(self, **override: int) -> None:
        """Writes all registers of the pair but QP_CTRL; `override` replaces values by name."""
        device = self.device
        values = {
            "SQ_BASE": self.sq,
            "CQ_BASE": self.cq,
            "RING_SIZE": device.register("QueuePair.RING_SIZE").word(**self.config),
            "START": self.start,
            "COALESCE": 0,
        } | override
        for name, value in values.items():
            await device.put(f"QueuePair.{name}", value, self.n)

    async def enable(self, **override: int) -> None:
        """Configures the pair, and turns it on."""
        await self.configure(**override)
        await self.control(enable=True)
        await self.expect_state("ENABLED")

    async def control(self, *, enable: bool) -> None:
        """Writes ENABLE."""
        word = self.device.register("QueuePair.QP_CTRL").word(ENABLE=int(enable))
        await self.device.put("QueuePair.QP_CTRL", word, self.n)

    async def state(self) -> tuple[str, str]:
        """State and cause."""
        status = await self.device.get("QueuePair.QP_STATUS", self.n)
        fields = self.device.register("QueuePair.QP_STATUS").fields
        codes = self.device.abi.codes
        state = codes["QpState"](fields["STATE"].get(status))
        cause = codes["QpCause"](fields["CAUSE"].get(status))
        return state.name, cause.name

    async def expect_state(self, state: str, cause: str = "NONE") -> None:
        """The pair reaches this state, with this cause."""
        before = self.device.now()
        while (got := await self.state()) != (state, cause):
            waited = self.device.now() - before
            assert waited < PATIENCE, f"pair {self.n} is {got}, not {(state, cause)}"

    # ---- The ring path --------------------------------------------------------------------------

    def space(self) -> int:
        """Slots that can be filled now, one kept for the NOP before an ADD."""
        return self.sq_size - (self.tail - self.sq_head) - 1

    def credit(self) -> int:
        """Commands that can be made now (R8), one kept for that NOP."""
        return self.cq_size - self.open - 1

    def put(self, command: bytes) -> int:
        """Fills the next slots; gives the ring index of the first one."""
        first, count = self.tail, len(command) // self.slot
        assert count * self.slot == len(command)
        assert self.tail + count - self.sq_head <= self.sq_size, "the ring is full"
        for i in range(count):
            place = (self.tail + i) % self.sq_size
            data = command[i * self.slot : (i + 1) * self.slot]
            self.device.memory.put(self.sq + place * self.slot, data)
        self.tail += count
        self.open += 1
        return first

    @property
    def odd(self) -> bool:
        """Whether an ADD needs a NOP before it (R9)."""
        return self.tail % 2 == 1

    async def ring(self, *, head: bool = False) -> None:
        """Tells the tail; with `head`, also the head by the same store (device.md 2.3)."""
        device = self.device
        tail = (self.tail & 0xFFFF_FFFF).to_bytes(4, "little")
        self.told_tail = self.tail
        address = device.address("Doorbell.SQ_TAIL", self.n)
        if not head:
            await device.store(address, tail)
            return
        assert device.address("Doorbell.CQ_HEAD", self.n) == address + 4
        self.told_head = self.cq_head
        await device.store(address, tail + (self.cq_head & 0xFFFF_FFFF).to_bytes(4, "little"))

    async def tell_head(self) -> None:
        """Tells what has been consumed."""
        self.told_head = self.cq_head
        await self.device.put("Doorbell.CQ_HEAD", self.cq_head & 0xFFFF_FFFF, self.n)

    async def arm(self) -> None:
        """Asks for one interrupt."""
        await self.device.put("Doorbell.CQ_ARM", self.cq_head & 0xFFFF_FFFF, self.n)

    # ---- The direct path ------------------------------------------------------------------------

    def direct_entry(self, index: int, cookie: int, **override: Any) -> tuple[int, int]:
        """Address and value of the next direct doorbell entry."""
        record = load().records["DirectEntry"]
        size = 1 << self.device.direct_log2
        k = self.direct
        lap = 1 - (k // size) % 2
        epoch = override.get("epoch", self.device.epoch)
        target = record.fields["TARGET_LAP"].put(lap) | record.fields["INDEX"].put(index)
        target |= record.fields["EPOCH"].put(epoch & 0x7F)
        claim = record.fields["CLAIM_LAP"].put(lap) | record.fields["COOKIE"].put(cookie)
        address = self.device.address("Doorbell.DIRECT", self.n, k % size)
        data = record.pack(target=target, claim=claim)
        return address, int.from_bytes(data, "little")

    async def ring_direct(self, index: int, cookie: int, *, split: str = "") -> None:
        """Rings for a staged command: by one store, or by two ("low first", "high first")."""
        assert len(self.direct_open) < 1 << self.device.direct_log2
        address, entry = self.direct_entry(index, cookie)
        self.direct += 1
        self.open += 1
        self.direct_open.add(cookie)
        data = entry.to_bytes(8, "little")
        dwords = [(address, data[:4]), (address + 4, data[4:])]
        if not split:
            dwords = [(address, data)]
        elif split == "high first":
            dwords.reverse()
        for place, dword in dwords:
            await self.device.store(place, dword)

    # ---- Completions ----------------------------------------------------------------------------

    def peek(self, ahead: int = 0) -> Completion | None:
        """The next completion, if it is visible; nothing is consumed."""
        i = self.cq_head + ahead
        address = self.cq + (i % self.cq_size) * self.entry
        completion = Completion.decode(self.device.memory.get(address, self.entry))
        # R6; the phase is that of this round, or of the one before.
        due = 1 - (i // self.cq_size) % 2
        return completion if completion.phase == due else None

    def poll(self) -> Completion | None:
        """Consumes the next completion, if there is one."""
        completion = self.peek()
        if completion is None:
            return None
        assert self.open > 0, f"pair {self.n}: a completion for no command: {completion}"
        # R10: slots before it were fetched, and it never goes back.
        moved = (completion.sq_head - self.sq_head) & 0xFFFF
        assert moved <= self.told_tail - self.sq_head, f"pair {self.n}: sq_head of {completion}"
        self.sq_head += moved
        self.cq_head += 1
        self.open -= 1
        self.direct_open.discard(completion.cookie)
        return completion

    async def next(self, patience: int = PATIENCE) -> Completion:
        """Waits for the next completion and consumes it; tells the head as R8 asks."""
        before = self.device.now()
        while (completion := self.poll()) is None:
            waited = self.device.now() - before
            assert waited < patience, f"pair {self.n}: no completion after {waited} cycles"
            await self.device.cycles(1)
        if self.cq_head - self.told_head >= self.cq_size // 2:
            await self.tell_head()
        return completion

    async def do(self, command: bytes) -> Completion:
        """One command by ring, alone: fills, rings, waits."""
        self.put(command)
        await self.ring()
        return await self.next()

    async def expect_quiet(self, cycles: int) -> None:
        """No completion comes for so long."""
        await self.device.cycles(cycles)
        assert self.peek() is None, f"pair {self.n}: {self.peek()} was not asked for"


class Interrupts:
    """Messages by vector, as the monitor sees them."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.seen: deque[int] = device.monitor.interrupts

    async def wait(self, vector: int, patience: int = PATIENCE) -> None:
        """Takes the next message, which must be this vector's."""
        before = self.device.now()
        while not self.seen:
            waited = self.device.now() - before
            assert waited < patience, f"no message of vector {vector} after {waited} cycles"
            await self.device.cycles(1)
        got = self.seen.popleft()
        assert got == vector, f"a message of vector {got}, not of {vector}"

    async def none(self, cycles: int) -> None:
        """No message comes for so long."""
        await self.device.cycles(cycles)
        assert not self.seen, f"messages {list(self.seen)} were not asked for"
