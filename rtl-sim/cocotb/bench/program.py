# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Random programs: many commands under way at once, by every path, and each answer foretold.

R29 makes that possible: commands that name one SA take effect in order if they go one way, so the
reference may execute a command when it is made. An SA changes its way when nothing of it is out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from .commands import (
    NUMBERS,
    Opcode,
    Protocol,
    Status,
    UpdateMode,
    interesting,
)
from .host import Host
from .pair import PATIENCE, Completion, Pair
from .reference import HEADER, Answer, Reference, Slot

LOW = (1 << 32) - 1
# Weights of what is asked of an entry that is there.
KINDS = {"update": 45, "query": 15, "update4": 12, "resolve": 12, "delete": 6, "add": 4, "nop": 4}
KINDS |= {"fence": 2}
RING_ONLY = ("nop", "fence", "update4")
# Share of commands that are damaged by one bit.
DAMAGED = 0.06


@dataclass(eq=False)
class Lane:
    """One way to the device: a pair, by its ring or directly."""

    pair: Pair
    direct: bool


@dataclass
class Use:
    """Which way an SA goes, and how many of its commands are out."""

    lane: Lane | None = None
    open: int = 0
    blocked: bool = False  # a DELETE is out: an ADD must wait for it (R29)


@dataclass
class Pending:
    """A command whose completion has not come."""

    answer: Answer
    lane: Lane
    named: set[int]
    record: int | None
    # FENCE: ring commands of its pair that must be answered before.
    before: set[int] = field(default_factory=set)
    buffer: int | None = None


class Program:
    """Makes commands, sends them, and judges what comes back."""

    def __init__(self, host: Host) -> None:
        self.host, self.rng, self.device = host, host.rng, host.device
        self.lanes = [Lane(pair, direct) for pair in host.pairs for direct in (False, True)]
        self.uses = [Use() for _ in range(self.device.capacity)]
        # By pair: the device answers each pair in its own ring.
        self.pending: dict[int, dict[int, Pending]] = {pair.n: {} for pair in host.pairs}
        self.buffers: set[int] = set()
        self.generations = [0] * self.device.capacity
        # As many as ever wait for one.
        count = sum(pair.cq_size for pair in host.pairs)
        self.free_records = [self.device.memory.take(128, 128) for _ in range(count)]
        self.statuses: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.armed: dict[int, int] = {}
        self.messages = 0
        self.device.monitor.on_interrupt = self._on_interrupt

    # ---- Making commands ------------------------------------------------------------------------

    def _cookie(self) -> int:
        """A new one; a damaged command may have taken it already."""
        while True:
            cookie = self.host.cookie()
            if not any(cookie in pending for pending in self.pending.values()):
                return cookie

    def _index(self) -> int:
        """Few slots often, all slots sometimes: only neighbours meet in the pipeline."""
        if self.rng.random() < 0.7:
            return self.rng.randrange(3)
        return self.rng.randrange(self.device.capacity)

    def _generation(self, index: int) -> int:
        """Mostly the right one."""
        held = self.host.reference.slots[index].held
        if self.rng.random() < 0.06:
            return (held + self.rng.choice((-1, 1, 1 << 31))) & LOW or 1
        return held or 1

    def _hi(self, slot: Slot) -> int:
        held = slot.top >> 32
        near = (held + self.rng.choice((0, 1, 1, 1, 2, -1))) & LOW
        return near if self.rng.random() < 0.7 else interesting(self.rng)

    def _make(self, kind: str, index: int, cookie: int, record: int | None) -> bytes:
        rng, make = self.rng, self.host.make
        slot = self.host.reference.slots[index]
        generation = self._generation(index)
        if kind == "nop":
            return make.nop(cookie)
        if kind == "fence":
            return make.fence(cookie)
        if kind == "add":
            element = self.host.element()
            if rng.random() < 0.05:
                element = element.but(replay_window=self.host.window + 1)
            newer = (slot.held + rng.choice((1, 1, 1, 7, -1, 0))) & LOW or 1
            return make.add(cookie, index, newer, element)
        if kind == "delete":
            return make.delete(cookie, index, generation)
        if kind == "query":
            if rng.random() < 0.2:
                generation = 0
            return make.query(cookie, index, generation, record=record)
        if kind == "resolve":
            commit = rng.random() < 0.5
            return make.resolve(cookie, index, generation, interesting(rng), commit=commit)
        if kind == "update4":
            items = []
            for _ in range(rng.randrange(1, 5)):
                item = index if rng.random() < 0.5 else self._index()
                hi = self._hi(self.host.reference.slots[item])
                items.append((item, self._generation(item), hi))
            return make.update4(cookie, items, step=rng.random() < 0.4)
        return self._update(cookie, index, generation, slot)

    def _update(self, cookie: int, index: int, generation: int, slot: Slot) -> bytes:
        rng = self.rng
        mode = rng.choice((UpdateMode.HI, UpdateMode.HI, UpdateMode.TOP, UpdateMode.RESYNC))
        values = {"spi": 1, "protocol": int(Protocol.ESP), "mode": int(mode)}
        if slot.config is not None:
            values |= {name: int(slot.config[name]) for name in ("spi", "protocol")}
        if rng.random() < 0.03:
            values["spi"] ^= 1 << rng.randrange(32)
        if rng.random() < 0.03:
            values["protocol"] ^= Protocol.AH ^ Protocol.ESP
        values["hi"] = self._hi(slot)
        if mode == UpdateMode.TOP:
            values["lo"] = interesting(rng)
            if slot.config is not None and not slot.esn:
                values["hi"] = rng.choice((0, 0, 1))
        flags = rng.choice((0, 0, NUMBERS["UPDATE_CAS"], NUMBERS["UPDATE_MONOTONE"], 3))
        if flags & NUMBERS["UPDATE_CAS"]:
            values["expected_hi"] = slot.top >> 32 if rng.random() < 0.7 else interesting(rng)
        return self.host.make.update(cookie, index, generation, flags=flags, **values)

    def _damage(self, raw: bytes, *, direct: bool) -> bytes:
        """Flips one bit, of the part that says something."""
        damaged = bytearray(raw)
        at = self.rng.randrange(len(raw)) if self.rng.random() < 0.5 else self.rng.randrange(36)
        ring_add = len(raw) == 128 and not direct
        # How many slots a torn ADD takes is tested elsewhere.
        if not (ring_add and at in (0, 64)):
            damaged[at] ^= 1 << self.rng.randrange(8)
        return bytes(damaged)

    # ---- Sending --------------------------------------------------------------------------------

    def _named(self, raw: bytes) -> set[int]:
        """Slots that the command can touch."""
        words = HEADER.unpack(raw[: HEADER.size])
        if words["opcode"] == Opcode.UPDATE4:
            items = (int.from_bytes(raw[16 + 12 * i : 20 + 12 * i], "little") for i in range(4))
            return {i for i in items if i < self.device.capacity}
        return {words["index"]} if words["index"] < self.device.capacity else set()

    def _can_use(self, lane: Lane, named: set[int]) -> bool:
        return all(
            not use.blocked and (use.open == 0 or use.lane is lane)
            for use in (self.uses[index] for index in named)
        )

    def _send(self, lane: Lane) -> bool:
        """One more command, if one can be sent this way now."""
        pair, rng = lane.pair, self.rng
        if pair.credit() <= 0 or (not lane.direct and pair.space() < 3):
            return False
        index = self._index()
        buffer = index % (1 << self.device.stage_log2)
        if lane.direct and (
            buffer in self.buffers or len(pair.direct_open) >= 1 << self.device.direct_log2
        ):
            return False
        slot = self.host.reference.slots[index]
        kinds = {k: w for k, w in KINDS.items() if not lane.direct or k not in RING_ONLY}
        if slot.config is None:
            kinds["add"] = 150
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        record = None
        if kind == "query" and rng.random() < 0.6 and self.free_records:
            record = self.free_records[-1]
        cookie = self._cookie()
        raw = self._make(kind, index, cookie, record)
        if rng.random() < DAMAGED:
            raw = self._damage(raw, direct=lane.direct)
        return self._put(lane, index, cookie, raw, record)

    def _put(self, lane: Lane, index: int, cookie: int, raw: bytes, record: int | None) -> bool:
        pair = lane.pair
        words = HEADER.unpack(raw[: HEADER.size])
        if self._writes_elsewhere(raw, record):
            return False
        # A doorbell has a cookie of its own; by ring the completion has that of the command.
        key = cookie if lane.direct else words["cookie"]
        named = {index} if lane.direct else self._named(raw)
        if key in self.pending[pair.n] or not self._can_use(lane, named):
            return False
        reference: Reference = self.host.reference
        if not lane.direct and len(raw) == 128 and pair.odd:
            gap = self._cookie()
            self._remember(Pending(Answer(Status.OK, opcode=Opcode.NOP), lane, set(), None), gap)
            pair.put(self.host.make.nop(gap))
        if lane.direct:
            answer = reference.execute_staged(raw, index, cookie)
        else:
            answer = reference.execute(raw, direct=False)
        used = record if answer.record is not None else None
        entry = Pending(answer, lane, named, used)
        if used is not None:
            self.free_records.remove(used)
            self.device.memory.put(used, b"\xee" * 128)
        if answer.opcode == Opcode.FENCE and answer.status == Status.OK:
            out = self.pending[pair.n].items()
            entry.before = {c for c, p in out if not p.lane.direct}
        for one in named:
            use = self.uses[one]
            use.lane, use.open = lane, use.open + 1
            use.blocked = answer.opcode == Opcode.DELETE and answer.status == Status.OK
        if lane.direct:
            entry.buffer = index % (1 << self.device.stage_log2)
            self.buffers.add(entry.buffer)
            self._stage_and_ring(pair, index, cookie, raw)
        else:
            pair.put(raw)
        self._remember(entry, key)
        return True

    def _remember(self, entry: Pending, key: int) -> None:
        self.pending[entry.lane.pair.n][key] = entry
        self.sent["direct" if entry.lane.direct else "ring"] += 1

    @staticmethod
    def _writes_elsewhere(raw: bytes, record: int | None) -> bool:
        """Whether damage has made a QUERY that would write somewhere else."""
        words = HEADER.unpack(raw[: HEADER.size])
        if words["opcode"] != Opcode.QUERY or not words["flags"] & NUMBERS["QUERY_RECORD"]:
            return False
        return int.from_bytes(raw[16:24], "little") != record

    def _stage_and_ring(self, pair: Pair, index: int, cookie: int, raw: bytes) -> None:
        """Posted stores in pieces of any size, then the doorbell, in one or two."""
        size = self.rng.choice((8, 16, 32, 64, 64))
        pieces = list(range(0, len(raw), size))
        self.rng.shuffle(pieces)
        for at in pieces:
            self.device.post(self.device.row(index, at), raw[at : at + size])
        address, entry = pair.direct_entry(index, cookie)
        data = entry.to_bytes(8, "little")
        if self.rng.random() < 0.5:
            self.device.post(address, data)
        else:
            for at in self.rng.choice(((0, 4), (4, 0))):
                self.device.post(address + at, data[at : at + 4])
        pair.direct += 1
        pair.open += 1
        pair.direct_open.add(cookie)

    def _doorbells(self, pair: Pair) -> None:
        """Tells tail and head, together or alone, and perhaps asks for an interrupt."""
        address = self.device.address("Doorbell.SQ_TAIL", pair.n)
        head_due = pair.cq_head - pair.told_head >= pair.cq_size // 2
        head = (pair.cq_head & LOW).to_bytes(4, "little")
        tail = (pair.tail & LOW).to_bytes(4, "little")
        if pair.tail != pair.told_tail and (head_due or self.rng.random() < 0.2):
            self.device.post(address, tail + head)
            pair.told_head = pair.cq_head
        elif pair.tail != pair.told_tail:
            self.device.post(address, tail)
        elif head_due:
            self.device.post(address + 4, head)
            pair.told_head = pair.cq_head
        pair.told_tail = pair.tail
        if pair.n not in self.armed and self.rng.random() < 0.05:
            self.armed[pair.n] = pair.cq_head
            arm = self.device.address("Doorbell.CQ_ARM", pair.n)
            self.device.post(arm, head)

    # ---- Judging --------------------------------------------------------------------------------

    def _on_interrupt(self, vector: int) -> None:
        """R2, R3: asked for, and what it tells of is there."""
        assert vector in self.armed, f"a message of vector {vector} that nobody asked for"
        pair = next(pair for pair in self.host.pairs if pair.n == vector)
        came = pair.cq_head > self.armed.pop(vector) or pair.peek() is not None
        assert came, f"a message of vector {vector} before its completion"
        self.messages += 1

    def _judge(self, pair: Pair, completion: Completion) -> None:
        entry = self.pending[pair.n].pop(completion.cookie, None)
        assert entry is not None, f"pair {pair.n}: nobody waits for {completion}"
        self.host.compare(completion, completion.cookie, entry.answer)
        late = entry.before & self.pending[pair.n].keys()
        assert not late, f"a fence overtook {len(late)} commands"
        if entry.record is not None:
            got = self.device.memory.get(entry.record, 128)
            assert got == entry.answer.record, f"record {got.hex(' ')} of {completion}"
            self.free_records.append(entry.record)
        for index in entry.named:
            use = self.uses[index]
            use.open -= 1
            use.blocked = use.blocked and use.open > 0
        if entry.buffer is not None:
            self.buffers.discard(entry.buffer)
        self.statuses[Status(completion.status).name] += 1

    async def _look_at_a_row(self) -> None:
        """A slot that nothing is under way for shows what the reference has."""
        idle = [index for index, use in enumerate(self.uses) if use.open == 0]
        if idle:
            index = self.rng.choice(idle)
            await self.device.flush()
            await self.host.compare_row(index)

    async def _disturb(self) -> None:
        """R4, R24: for a while the shell takes the bus away, or holds messages back."""
        dut = self.device.dut
        signal, usual = self.rng.choice(
            ((dut.cfg_bus_master_i, 1), (dut.cfg_msix_mask_i, 0), (dut.cfg_msix_enable_i, 1))
        )
        signal.value = 1 - usual
        await self.device.cycles(self.rng.randrange(1, 60))
        signal.value = usual

    @property
    def out(self) -> int:
        """Commands that are under way."""
        return sum(len(pending) for pending in self.pending.values())

    async def run(self, count: int) -> None:
        """Sends `count` commands, and waits for all of them."""
        last = self.device.now()
        while sum(self.sent.values()) < count or self.out:
            for pair in self.host.pairs:
                while (completion := pair.poll()) is not None:
                    self._judge(pair, completion)
                    last = self.device.now()
            if sum(self.sent.values()) < count:
                for lane in self.rng.sample(self.lanes, len(self.lanes)):
                    for _ in range(self.rng.choice((0, 1, 1, 4, 16))):
                        if not self._send(lane):
                            break
            for pair in self.host.pairs:
                self._doorbells(pair)
            if self.rng.random() < 0.01:
                await self._look_at_a_row()
            if self.rng.random() < 0.01:
                await self._disturb()
            await self.device.cycles(self.rng.choice((1, 1, 2, 8, 40)))
            waited = self.device.now() - last
            assert waited < PATIENCE, f"{self.out} commands without an answer for {waited} cycles"
        await self.device.flush()
