# SPDX-License-Identifier: Apache-2.0 OR MIT
"""What the device must answer, written from device.md 4 to 7 and from nothing else.

Commands are executed one after the other. It takes bytes, not objects, so that damaged commands are
judged as the device must judge them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .abi import Record
from .commands import (
    ABI,
    GCM,
    KEY_BYTES,
    NUMBERS,
    Algorithm,
    Direction,
    Mode,
    Opcode,
    Protocol,
    SlotState,
    Status,
    UdpEncap,
    UpdateMode,
)

HALF = 1 << 31
LOW = (1 << 32) - 1
HEADER = ABI.records["Header"]
VIEW = ABI.records["LiveView"]
# Members of the live view that show what ADD said.
STATE = ("index", "generation", "hi", "lo")
CONFIG = tuple(
    name
    for name in VIEW.members
    if name in ABI.records["Add"].members and "rsvd" not in name and name not in STATE
)
RING_ONLY = (Opcode.NOP, Opcode.FENCE, Opcode.UPDATE4)
NO_PLACE = (Opcode.NOP, Opcode.FENCE, Opcode.UPDATE4)
FLAGS = {
    Opcode.UPDATE: NUMBERS["UPDATE_CAS"] | NUMBERS["UPDATE_MONOTONE"],
    Opcode.UPDATE4: NUMBERS["UPDATE4_COUNT_MASK"] | NUMBERS["UPDATE4_STEP"],
    Opcode.QUERY: NUMBERS["QUERY_RECORD"] | NUMBERS["QUERY_ANY"],
    Opcode.RESOLVE: NUMBERS["RESOLVE_COMMIT"],
}
RECORD_OF = {
    Opcode.ADD: "Add",
    Opcode.UPDATE: "Update",
    Opcode.UPDATE4: "Update4",
    Opcode.QUERY: "Query",
    Opcode.RESOLVE: "Resolve",
}


@dataclass
class Slot:
    """One SA slot. `config` is None unless it is LIVE."""

    held: int = 0  # generation that R28 remembers
    config: dict[str, int | bytes] | None = None
    top: int = 0
    lo_valid: bool = False

    @property
    def esn(self) -> bool:
        """Whether the entry has extended sequence numbers."""
        assert self.config is not None
        return bool(int(self.config["sa_flags"]) & NUMBERS["SA_ESN"])

    def move(self, top: int, lo_valid: bool) -> bool:
        """Sets `top`; tells whether that altered the entry."""
        changed = (top, lo_valid) != (self.top, self.lo_valid)
        self.top, self.lo_valid = top, lo_valid
        return changed


@dataclass(frozen=True)
class Answer:
    """What a completion must say, but for cookie, sq_head and phase."""

    status: int
    result: int = 0
    lo_valid: bool = False
    changed: bool = False
    opcode: int = 0
    record: bytes | None = None  # what QUERY writes


class Refusal(Exception):
    """A status that ends the checking."""

    def __init__(self, status: int, result: int = 0, lo_valid: bool = False) -> None:
        super().__init__(status)
        self.answer = Answer(status, result, lo_valid)


def resolve(slot: Slot, seq: int) -> int:
    """Section 7: the 64-bit number that `seq` stands for."""
    hi, lo = slot.top >> 32, slot.top & LOW
    same_half = ((hi if slot.esn else 0) << 32) + seq
    if not slot.esn or not slot.lo_valid:
        return same_half
    distance = (seq - lo) & LOW
    if distance >= HALF:
        distance -= 1 << 32
    nearest = slot.top + distance
    return nearest if 0 <= nearest < 1 << 64 else same_half


def needed_dwords(opcode: int, flags: int) -> int:
    """Section 4.1, last column: how many dwords a doorbell asks for, from the first one on."""
    if opcode == Opcode.ADD:
        return 32
    if opcode == Opcode.UPDATE:
        return 9 if flags & NUMBERS["UPDATE_CAS"] else 8
    if opcode == Opcode.QUERY:
        return 6 if flags & NUMBERS["QUERY_RECORD"] else 4
    return 5 if opcode == Opcode.RESOLVE else 4


def digest(view: bytes) -> int:
    """Section 4.2, "Result"."""
    total = 0
    for k in range(1, 11):
        word = int.from_bytes(view[8 * k : 8 * k + 8], "little")
        total ^= ((word << (6 * k)) | (word >> (64 - 6 * k))) & ((1 << 64) - 1)
    return total


@dataclass
class Reference:
    """The SA table and the rules."""

    capacity: int
    epoch: int
    max_window: int
    slots: list[Slot] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.slots = [Slot() for _ in range(self.capacity)]

    def view(self, index: int) -> bytes:
        """Section 5.1."""
        slot = self.slots[index]
        values: dict[str, int | bytes] = {"index": index, "generation": slot.held}
        if slot.config is not None:
            values |= slot.config
            values |= {"state": SlotState.LIVE, "lo_valid": int(slot.lo_valid)}
            values |= {"hi": slot.top >> 32, "lo": slot.top & LOW}
        return VIEW.pack(**values)

    def execute_staged(self, raw: bytes, index: int, cookie: int) -> Answer:
        """What a direct doorbell with `index` and `cookie` makes of all that is staged."""
        words = HEADER.unpack(raw[: HEADER.size])
        dwords = needed_dwords(words["opcode"], words["flags"])
        if (words["index"], words["cookie"]) != (index, cookie) or len(raw) < 4 * dwords:
            return Answer(Status.STAGE)
        return self.execute(raw, direct=True)

    def execute(self, raw: bytes, *, direct: bool) -> Answer:
        """Carries out one command; `raw` has both halves of an ADD."""
        opcode = HEADER.unpack(raw[: HEADER.size])["opcode"]
        try:
            answer = self._execute(raw, opcode, direct=direct)
        except Refusal as refusal:
            answer = refusal.answer
        # A completion has five bits for the opcode.
        seen = ABI.records["Completion"].fields["OPCODE"].get(opcode)
        return Answer(**(vars(answer) | {"opcode": seen}))

    # ---- Checks 2 to 12 -------------------------------------------------------------------------

    def _execute(self, raw: bytes, opcode: int, *, direct: bool) -> Answer:
        known = opcode in set(Opcode) and opcode != Opcode.ADD_SECOND
        if not known or (direct and opcode in RING_ONLY):
            raise Refusal(Status.BAD_OPCODE)
        record = ABI.records[RECORD_OF.get(Opcode(opcode), "Bare")]
        if HEADER.unpack(raw[: HEADER.size])["epoch"] != self.epoch:
            raise Refusal(Status.BAD_EPOCH)
        if len(raw) < record.size:
            raise Refusal(Status.BAD_PAIR)
        raw = raw[: record.size]
        words = record.unpack(raw)
        if opcode == Opcode.ADD:
            second = (words["second_opcode"], words["second_epoch"], words["second_cookie"])
            if second != (Opcode.ADD_SECOND, self.epoch, words["cookie"]):
                raise Refusal(Status.BAD_PAIR)
        self._check_fields(record, words, raw, Opcode(opcode))
        if opcode in (Opcode.NOP, Opcode.FENCE):
            return Answer(Status.OK)
        if opcode == Opcode.UPDATE4:
            return self._update4(words)
        if words["index"] >= self.capacity:
            raise Refusal(Status.BAD_INDEX)
        slot = self.slots[words["index"]]
        if opcode == Opcode.ADD:
            return self._add(slot, words, raw)
        if opcode == Opcode.QUERY:
            return self._query(slot, words)
        self._check_live(slot, words["generation"])
        actions: dict[int, Callable[[Slot, dict[str, int]], Answer]] = {
            Opcode.UPDATE: self._update,
            Opcode.DELETE: self._delete,
            Opcode.RESOLVE: self._resolve,
        }
        return actions[opcode](slot, words)

    @staticmethod
    def _check_live(slot: Slot, generation: int) -> None:
        if slot.config is None:
            raise Refusal(Status.EMPTY, slot.held)
        if slot.held != generation:
            raise Refusal(Status.STALE, slot.held)

    def _check_fields(self, record: Record, words: dict[str, int], raw: bytes, opcode: int) -> None:
        """Check 5, BAD_FIELD."""
        flags, generation = words["flags"], words["generation"]
        bad: list[object] = [words["cookie"] >> 31, flags & ~FLAGS.get(opcode, 0)]
        bad += [any(record.slice(raw, m.name)) for m in record.reserved()]
        if opcode in NO_PLACE:
            bad += [words["index"], generation]
        elif opcode == Opcode.QUERY and flags & NUMBERS["QUERY_ANY"]:
            bad += [generation]
        else:
            bad += [generation == 0]
        if opcode == Opcode.ADD:
            bad += _bad_add(record, words, raw)
        elif opcode == Opcode.UPDATE:
            bad += [
                words["protocol"] not in set(Protocol),
                words["mode"] not in set(UpdateMode),
                words["lo"] and words["mode"] != UpdateMode.TOP,
                words["expected_hi"] and not flags & NUMBERS["UPDATE_CAS"],
            ]
        elif opcode == Opcode.UPDATE4:
            count = flags & NUMBERS["UPDATE4_COUNT_MASK"]
            bad += [not 1 <= count <= 4]
            bad += [any(_item(words, i)) for i in range(count, 4)]
        elif opcode == Opcode.QUERY:
            record_wanted = flags & NUMBERS["QUERY_RECORD"]
            bad += [words["record_addr"] % NUMBERS["RECORD_ALIGN"]]
            bad += [words["record_addr"] and not record_wanted]
        if any(bad):
            raise Refusal(Status.BAD_FIELD)

    # ---- Commands -------------------------------------------------------------------------------

    def _add(self, slot: Slot, words: dict[str, int], raw: bytes) -> Answer:
        unsupported = words["udp_encap"] not in (0, UdpEncap.TRANSPORT, UdpEncap.TUNNEL)
        if unsupported or words["replay_window"] > self.max_window:
            raise Refusal(Status.UNSUPPORTED)
        if slot.config is not None:
            raise Refusal(Status.OCCUPIED, slot.held)
        # R21, as i32.
        newer = (words["generation"] - slot.held) & LOW
        if slot.held and not 0 < newer < HALF:
            raise Refusal(Status.OLD_GENERATION, slot.held)
        add = ABI.records["Add"]
        slot.config = {name: add.slice(raw, name) for name in CONFIG}
        for name in CONFIG:
            if not add.member(name).is_bytes:
                slot.config[name] = words[name]
        slot.held = words["generation"]
        slot.top = (words["hi"] << 32) + words["lo"]
        slot.lo_valid = bool(words["second_flags"] & NUMBERS["ADD_LO_VALID"])
        shown = digest(self.view(words["index"]))
        return Answer(Status.OK, shown, slot.lo_valid, changed=True)

    def _update(self, slot: Slot, words: dict[str, int]) -> Answer:
        assert slot.config is not None
        if slot.config["protocol"] != words["protocol"]:
            raise Refusal(Status.WRONG_PROTO)
        if slot.config["spi"] != words["spi"]:
            raise Refusal(Status.WRONG_SPI)
        hi, lo, mode = words["hi"], words["lo"], words["mode"]
        cas = words["flags"] & NUMBERS["UPDATE_CAS"]
        plain = mode == UpdateMode.TOP and hi == 0 and not cas
        if not slot.esn and not plain:
            raise Refusal(Status.NOT_ESN, slot.top, slot.lo_valid)
        held = slot.top >> 32
        if cas and words["expected_hi"] != held:
            raise Refusal(Status.CONFLICT, slot.top, slot.lo_valid)
        if words["flags"] & NUMBERS["UPDATE_MONOTONE"]:
            known = slot.top if slot.lo_valid else held << 32
            backward = hi < held
            if mode == UpdateMode.TOP:
                backward = (hi << 32) + lo < known
            if backward:
                raise Refusal(Status.BACKWARD, slot.top, slot.lo_valid)
        if mode == UpdateMode.TOP:
            changed = slot.move((hi << 32) + lo, True)
        elif mode == UpdateMode.RESYNC:
            changed = slot.move(hi << 32, False)
        else:
            changed = _told_hi(slot, hi)
        return Answer(Status.OK, slot.top, slot.lo_valid, changed)

    def _update4(self, words: dict[str, int]) -> Answer:
        result = 0
        every = True
        step = words["flags"] & NUMBERS["UPDATE4_STEP"]
        for i in range(words["flags"] & NUMBERS["UPDATE4_COUNT_MASK"]):
            index, generation, hi = _item(words, i)
            status, changed = self._one_item(index, generation, hi, step=bool(step))
            result |= status << (8 * i) | int(changed) << (32 + i)
            every = every and status == Status.OK
        status = Status.OK if every else Status.ITEMS
        return Answer(status, result, changed=bool(result >> 32))

    def _one_item(self, index: int, generation: int, hi: int, *, step: bool) -> tuple[int, bool]:
        if generation == 0:
            return Status.BAD_FIELD, False
        if index >= self.capacity:
            return Status.BAD_INDEX, False
        slot = self.slots[index]
        try:
            self._check_live(slot, generation)
        except Refusal as refusal:
            return refusal.answer.status, False
        if not slot.esn:
            return Status.NOT_ESN, False
        if step and (hi == 0 or slot.top >> 32 != hi - 1):
            return Status.CONFLICT, False
        return Status.OK, _told_hi(slot, hi)

    @staticmethod
    def _delete(slot: Slot, _words: dict[str, int]) -> Answer:
        top = slot.top
        slot.config, slot.top, slot.lo_valid = None, 0, False
        return Answer(Status.OK, top, changed=True)

    def _query(self, slot: Slot, words: dict[str, int]) -> Answer:
        if not words["flags"] & NUMBERS["QUERY_ANY"]:
            self._check_live(slot, words["generation"])
        record = None
        if words["flags"] & NUMBERS["QUERY_RECORD"]:
            layout = ABI.records["QueryRecord"]
            shown = layout.member("view")
            record = layout.pack(view=self.view(words["index"])[: shown.size])
        return Answer(Status.OK, slot.top, slot.lo_valid, record=record)

    @staticmethod
    def _resolve(slot: Slot, words: dict[str, int]) -> Answer:
        number = resolve(slot, words["seq"])
        changed = False
        commit = words["flags"] & NUMBERS["RESOLVE_COMMIT"]
        if commit and (not slot.lo_valid or number > slot.top):
            changed = slot.move(number, True)
        return Answer(Status.OK, number, slot.lo_valid, changed)


def _told_hi(slot: Slot, hi: int) -> bool:
    """Section 7, mode HI."""
    held, lo = slot.top >> 32, slot.top & LOW
    if hi == held:
        return False
    advance = hi == held + 1 and held != LOW and slot.lo_valid and lo >= HALF
    return slot.move(hi << 32, advance)


def _item(words: dict[str, int], i: int) -> tuple[int, int, int]:
    return words[f"item{i}_index"], words[f"item{i}_generation"], words[f"item{i}_hi"]


def _bad_add(record: Record, words: dict[str, int], raw: bytes) -> list[object]:
    """Section 4.2; what its table names besides the reserved bytes."""
    algorithm, protocol = words["algorithm"], words["protocol"]
    encap, lo_valid = words["udp_encap"], words["second_flags"] & NUMBERS["ADD_LO_VALID"]
    key = record.slice(raw, "key")
    known = algorithm in set(Algorithm)
    bad: list[object] = [
        words["spi"] == 0,
        protocol not in set(Protocol),
        words["direction"] not in set(Direction),
        words["mode"] not in set(Mode),
        not known,
        words["icv_len"] not in (8, 12, 16),
        words["family"] not in (4, 6),
        words["sa_flags"] & ~NUMBERS["SA_ESN"],
        encap not in set(UdpEncap),
        encap and protocol != Protocol.ESP,
        not encap and (words["udp_src"] or words["udp_dst"]),
        words["second_flags"] & ~NUMBERS["ADD_LO_VALID"],
        words["hi"] and not words["sa_flags"] & NUMBERS["SA_ESN"],
        words["lo"] and not lo_valid,
    ]
    if words["family"] == 4:
        bad += [any(record.slice(raw, name)[4:]) for name in ("src", "dst")]
    if known:
        gcm = algorithm in GCM
        bad += [gcm and protocol != Protocol.ESP, not gcm and words["icv_len"] != 16]
        bad += [any(key[KEY_BYTES[Algorithm(algorithm)] :])]
    return bad
