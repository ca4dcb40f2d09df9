# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The boundary examples that device.md prints in section 7, on the device and on the reference."""

from __future__ import annotations

from collections.abc import Iterator

from bench.abi import MANUAL
from bench.commands import NUMBERS, Element, Status, UpdateMode
from bench.host import Host, bench

DEVICE_MD = MANUAL.with_name("device.md")


def _table(title: str) -> Iterator[list[str]]:
    """Rows of the one table under a heading."""
    text = DEVICE_MD.read_text(encoding="utf-8")
    rest = text.partition(f"### {title}\n")[2]
    assert rest, f"device.md has no section {title}"
    rows = [line for line in rest.split("\n### ")[0].splitlines() if line.startswith("|")]
    assert len(rows) > 10, f"the table under {title} has {len(rows)} lines"
    for row in rows[2:]:
        yield [cell.strip() for cell in row.strip("|").split("|")]


def _number(text: str) -> int:
    """A number `hi:lo`; what is said beside it in words does not matter here."""
    hi, lo = text.partition(" ")[0].rstrip(",").split(":")
    return (int(hi, 16) << 32) + int(lo, 16)


async def _hold(host: Host, generation: int, hi: int, lo: int, lo_valid: int) -> None:
    """Slot 0 holds this, in a new generation; an unknown `lo` cannot be anything."""
    flags = NUMBERS["ADD_LO_VALID"] if lo_valid else 0
    if generation > 1:
        await host.do(host.make.delete(host.cookie(), 0, generation - 1))
    element = Element(hi=hi, lo=lo if lo_valid else 0, second_flags=flags)
    assert (await host.add(0, generation, element)).status == Status.OK


@bench()
async def the_examples_of_resolve_hold(host: Host) -> None:
    """Section 7, "Boundary examples: RESOLVE"."""
    for n, row in enumerate(_table("Boundary examples: RESOLVE"), start=1):
        hi, lo, valid, seq = (int(cell, 16) for cell in row[:4])
        await _hold(host, n, hi, lo, valid)
        got = await host.do(host.make.resolve(host.cookie(), 0, n, seq))
        assert got.result == _number(row[4]), f"{row}: {got}"
        got = await host.do(host.make.resolve(host.cookie(), 0, n, seq, commit=True))
        assert got.result == _number(row[4]), f"{row}: {got}"
        held = await host.do(host.make.query(host.cookie(), 0, n))
        if row[5] == "unchanged":
            assert (held.result, held.lo_valid, got.changed) == ((hi << 32) + lo, valid, 0), row
        else:
            assert (held.result, held.lo_valid) == (_number(row[5]), 1), f"{row}: {held}"


@bench()
async def the_examples_of_update_hold(host: Host) -> None:
    """Section 7, "Boundary examples: UPDATE in mode HI"."""
    for n, row in enumerate(_table("Boundary examples: UPDATE in mode HI"), start=1):
        hi, lo, valid, wanted = (int(cell, 16) for cell in row[:4])
        await _hold(host, n, hi, lo, valid)
        place = {"spi": Element().spi, "protocol": Element().protocol, "mode": UpdateMode.HI}
        got = await host.do(host.make.update(host.cookie(), 0, n, **place, hi=wanted))
        if row[4].startswith("unchanged"):
            after, after_valid = ((hi << 32) + (lo if valid else 0)), valid
            assert got.changed == 0, f"{row}: {got}"
        else:
            values = [int(word, 16) for word in row[4].split("(")[0].split(",")]
            after, after_valid = (values[0] << 32) + values[1], values[2]
            assert got.changed == 1, f"{row}: {got}"
        assert (got.status, got.result, got.lo_valid) == (Status.OK, after, after_valid), row
