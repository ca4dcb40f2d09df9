# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The layout of the device, parsed from `docs/registers.md`.

No offset, bit or code stands in the Python sources: whoever changes the contract prints the manual,
and this reads it. A table that cannot be read is an error, never a guess.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MANUAL = Path(__file__).resolve().parents[3] / "docs" / "registers.md"


class AbiError(Exception):
    """The manual does not look as expected, or a name is not in it."""


@dataclass(frozen=True)
class Field:
    """Bits of a register or of a member of a record."""

    name: str
    lsb: int
    width: int
    meaning: str

    @property
    def mask(self) -> int:
        """The bits, in place."""
        return ((1 << self.width) - 1) << self.lsb

    def get(self, word: int) -> int:
        """Value of the field in `word`."""
        return (word & self.mask) >> self.lsb

    def put(self, value: int) -> int:
        """A word with `value` in the field and zero elsewhere."""
        if value >> self.width:
            raise AbiError(f"{value:#x} does not fit {self.name}, which has {self.width} bits")
        return value << self.lsb


@dataclass(frozen=True)
class Register:
    """One register, or an array of them."""

    name: str
    offset: int
    bits: int
    count: int
    access: str
    reset: int | None
    fields: dict[str, Field] = field(default_factory=dict)

    def word(self, **fields: int) -> int:
        """A value made of fields."""
        word = 0
        for name, value in fields.items():
            word |= self.fields[name].put(value)
        return word


@dataclass(frozen=True)
class Block:
    """A group of registers, perhaps repeated."""

    name: str
    bar: int
    base: int
    stride: int
    count: int
    registers: dict[str, Register] = field(default_factory=dict)


@dataclass(frozen=True)
class Member:
    """A member of a record."""

    name: str
    offset: int
    size: int
    is_bytes: bool


@dataclass(frozen=True)
class Record:
    """Bytes in host memory or in the SA table; members of inner records are members of it."""

    name: str
    size: int
    members: dict[str, Member] = field(default_factory=dict)
    fields: dict[str, Field] = field(default_factory=dict)

    def pack(self, **values: int | bytes) -> bytes:
        """The record as bytes; what is not named is zero."""
        out = bytearray(self.size)
        for name, value in values.items():
            member = self.member(name)
            if isinstance(value, int):
                data = value.to_bytes(member.size, "little")
            else:
                data = value.ljust(member.size, b"\0")
            if len(data) != member.size:
                raise AbiError(f"{self.name}.{name} has {member.size} bytes, not {len(data)}")
            out[member.offset : member.offset + member.size] = data
        return bytes(out)

    def unpack(self, data: bytes) -> dict[str, int]:
        """All integers of the record."""
        if len(data) != self.size:
            raise AbiError(f"{self.name} has {self.size} bytes, not {len(data)}")
        return {
            m.name: int.from_bytes(data[m.offset : m.offset + m.size], "little")
            for m in self.members.values()
            if not m.is_bytes
        }

    def slice(self, data: bytes, name: str) -> bytes:
        """One member as bytes."""
        member = self.member(name)
        return data[member.offset : member.offset + member.size]

    def member(self, name: str) -> Member:
        """A member by name."""
        if name not in self.members:
            raise AbiError(f"{self.name} has no member {name}")
        return self.members[name]

    def reserved(self) -> Iterator[Member]:
        """Members that must be zero."""
        return (m for m in self.members.values() if "rsvd" in m.name)


@dataclass
class Abi:
    """The whole layout."""

    hash: int
    blocks: dict[str, Block] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    # Enumerations whose names only the manual knows.
    codes: dict[str, Any] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)


# ---- Reading the manual -------------------------------------------------------------------------

_SECTION = re.compile(r"^### (?P<name>\w+)(?: \((?P<size>\d+) bytes\))?$")
_PLACE = re.compile(
    r"^BAR (?P<bar>\d), at (?P<base>0x[0-9a-f]+)"
    r"(?: \+ (?P<stride>0x[0-9a-f]+)·n, n < (?P<count>\d+))?\.$"
)
_NAME = re.compile(r"^\*\*(\w+)\*\*$")
_FIELD = re.compile(r"^· (\w+)$")
_RANGE = re.compile(r"^\[(?:(\d+):)?(\d+)\]$")
_BITS = re.compile(r"^(?:(\d+) × )?(\d+)$")
_BYTES = re.compile(r"^(\d+)(?:\.\.(\d+))?$")
_HASH = re.compile(r"`ABI_HASH` of this layout is `(0x[0-9a-f]{16})`")


def _match(pattern: re.Pattern[str], text: str, where: str) -> re.Match[str]:
    found = pattern.match(text)
    if found is None:
        raise AbiError(f"{MANUAL.name}: cannot read `{text}` in {where}")
    return found


def _rows(lines: list[str]) -> Iterator[list[str]]:
    """The body of the tables in a section."""
    body = False
    for line in lines:
        if not line.startswith("|"):
            body = False
        elif set(line) <= set("|-:"):
            body = True
        elif body:
            yield [cell.strip() for cell in line.strip().strip("|").split("|")]


def _field(cells: list[str], where: str) -> Field:
    name = _match(_FIELD, cells[1], where)[1]
    high, low = _match(_RANGE, cells[2], f"{where}.{name}").groups()
    lsb = int(low)
    return Field(name, lsb, int(high or low) - lsb + 1, cells[-1])


def _block(name: str, place: re.Match[str], lines: list[str]) -> Block:
    block = Block(
        name,
        int(place["bar"]),
        int(place["base"], 16),
        int(place["stride"] or "0", 16),
        int(place["count"] or 1),
    )
    register: Register | None = None
    for cells in _rows(lines):
        if cells[0]:
            found = _match(_NAME, cells[1], name)[1]
            count, bits = _match(_BITS, cells[2], f"{name}.{found}").groups()
            reset = None if cells[4] == "*build*" else int(cells[4], 16)
            offset = int(cells[0], 16)
            register = Register(found, offset, int(bits), int(count or 1), cells[3], reset)
            block.registers[found] = register
        elif register is None:
            raise AbiError(f"{MANUAL.name}: a field before any register in {name}")
        else:
            one = _field(cells, f"{name}.{register.name}")
            register.fields[one.name] = one
    return block


def _record(name: str, size: int, lines: list[str], known: Mapping[str, Record]) -> Record:
    record = Record(name, size)
    for cells in _rows(lines):
        if not cells[0]:
            one = _field(cells, name)
            record.fields[one.name] = one
            continue
        first, last = _match(_BYTES, cells[0], name).groups()
        offset, inner = int(first), known.get(cells[2])
        if inner is None:
            length = int(last or first) - offset + 1
            member = Member(cells[1], offset, length, cells[2] == "bytes")
            record.members[cells[1]] = member
            continue
        # The header's members keep their names, which no other member shares.
        prefix = "" if inner.name == "Header" else f"{cells[1]}_"
        for m in inner.members.values():
            member = Member(prefix + m.name, offset + m.offset, m.size, m.is_bytes)
            record.members[member.name] = member
    return record


def parse(text: str) -> Abi:
    """The layout that the manual `text` prints."""
    found = _HASH.search(text)
    if found is None:
        raise AbiError(f"{MANUAL.name} does not say what ABI_HASH is")
    abi = Abi(int(found[1], 16))
    for chapter in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, *lines = chapter.splitlines()
        if title == "Named numbers":
            abi.numbers = {name: int(value, 16) for name, value, _ in _rows(lines)}
            continue
        for section in re.split(r"^(?=### )", "\n".join(lines), flags=re.MULTILINE)[1:]:
            head, *body = section.splitlines()
            match = _match(_SECTION, head, title)
            name = match["name"]
            if title == "Registers":
                places = [p for line in body if (p := _PLACE.match(line))]
                if len(places) != 1:
                    raise AbiError(f"{MANUAL.name} does not say where {name} is")
                abi.blocks[name] = _block(name, places[0], body)
            elif title == "Records":
                abi.records[name] = _record(name, int(match["size"]), body, abi.records)
            elif title == "Codes":
                codes = {code: int(value) for value, code, _ in _rows(body)}
                abi.codes[name] = enum.IntEnum(name, codes)
            else:
                raise AbiError(f"{MANUAL.name} has an unknown chapter {title}")
    for kind, content in (("registers", abi.blocks), ("records", abi.records)):
        if not content:
            raise AbiError(f"{MANUAL.name} has no {kind}")
    if not abi.codes or not abi.numbers:
        raise AbiError(f"{MANUAL.name} has no codes or no named numbers")
    return abi


@functools.cache
def load() -> Abi:
    """The layout of this checkout."""
    return parse(MANUAL.read_text(encoding="utf-8"))
