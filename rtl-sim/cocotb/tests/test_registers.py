# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Registers: who the device is, how they are reached, and what is refused."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cocotbext.axi import AxiResp

from bench.abi import load
from bench.device import BAR_BASE
from bench.host import Host, bench

PACKAGE = Path(os.environ["ESNIC_RTL_DIR"]) / "esnic_abi_pkg.sv"


@bench(pairs=0)
async def id_version_and_hash_identify_the_device(host: Host) -> None:
    """Section 1. The manual, the RTL's package and the device name the same layout."""
    device, abi = host.device, host.device.abi
    assert await device.get("Global.ID") == abi.numbers["DEVICE_ID"]
    assert await device.get("Global.VERSION") == abi.numbers["VERSION_1_0"]
    assert await device.get("Global.ABI_HASH") == abi.hash
    found = re.search(r"AbiHash = 64'h([0-9A-F]{16});", PACKAGE.read_text(encoding="utf-8"))
    assert found is not None and int(found[1], 16) == abi.hash, "manual and package differ"
    compat = device.register("Global.COMPAT_HASH")
    hashes = [await device.get("Global.COMPAT_HASH", element=i) for i in range(compat.count)]
    assert hashes == [abi.hash] + [0] * (compat.count - 1)


@bench(pairs=0)
async def limits_and_offers_describe_the_build(host: Host) -> None:
    """Section 2.1."""
    device = host.device
    assert await device.get("Global.FEATURES") == device.straps.features
    assert await device.get("Global.ALGS") == device.straps.algs
    assert await device.get("Global.SA_CAPACITY") == device.capacity
    assert await device.get("Global.MAX_WINDOW") == device.straps.max_window
    limits = device.register("Global.LIMITS").word(
        QUEUE_PAIRS=device.pairs,
        RING_LOG2=device.straps.ring_log2,
        DIRECT_LOG2=device.direct_log2,
        STAGE_LOG2=device.stage_log2,
    )
    assert await device.get("Global.LIMITS") == limits


@bench(pairs=0)
async def every_register_has_its_reset_value(host: Host) -> None:
    """The whole table of registers.md, for every pair and vector that the build has."""
    device = host.device
    # These say what happens in READY.
    moving = {"Global.STATUS", "Counters.CYCLES"}
    counts = {"QueuePair": device.pairs, "Doorbell": device.pairs, "MsixTable": device.pairs + 1}
    for block in load().blocks.values():
        for n in range(counts.get(block.name, 1)):
            for register in block.registers.values():
                name = f"{block.name}.{register.name}"
                if register.reset is None or name in moving:
                    continue
                got = await device.get(name, n)
                assert got == register.reset, f"{name} of {n} reads {got:#x} after reset"


@bench(pairs=0)
async def an_access_of_eight_bytes_is_two_dwords(host: Host) -> None:
    """Section 1: the low one first; and reads of every size give the bytes that they touch."""
    device = host.device
    value = host.rng.getrandbits(64)
    await device.put("Global.INSTANCE", value)
    address = device.address("Global.INSTANCE")
    assert await device.load(address, 4) + await device.load(address + 4, 4) == value.to_bytes(
        8, "little"
    )
    whole = await device.load(0, 64)
    for size in (1, 2, 4, 8, 16, 32):
        for at in range(0, 64, size):
            assert await device.load(at, size) == whole[at : at + size], f"{size} bytes at {at}"


@bench(pairs=0)
async def a_write_that_is_not_whole_dwords_is_counted_and_ignored(host: Host) -> None:
    """Section 1: BAD_ACCESS."""
    device = host.device
    scratch = device.address("Global.SCRATCH")
    await device.put("Global.SCRATCH", 0x600D_F00D)
    bad = 0
    # Parts of a dword; two dwords that are not one aligned eight; more than two.
    for at, size in ((0, 1), (1, 1), (3, 1), (0, 2), (2, 2)):
        await device.store(scratch + at, b"\xff" * size)
        bad += 1
    across = scratch & ~7
    for address, data in (
        (across + 4, b"\xff" * 8),
        (across, b"\xff" * 16),
        (across + 1, b"\xff" * 6),
    ):
        got = await device.master.write(address, data)
        assert got.resp == AxiResp.OKAY
        bad += 1
    assert await device.counter("Counters.BAD_ACCESS") == bad
    assert await device.get("Global.SCRATCH") == 0x600D_F00D


@bench(pairs=0)
async def what_is_not_mapped_reads_zero_and_ignores_writes(host: Host) -> None:
    """Section 1: holes of a block, pairs that the build lacks, the space behind the BARs."""
    device, numbers = host.device, load().numbers
    places = [0x58, 0x80, 0x1000]
    places += [device.address("QueuePair.SQ_BASE", device.pairs)]
    places += [device.address("Doorbell.SQ_TAIL", device.pairs)]
    places += [BAR_BASE[0] + numbers["BAR0_BYTES"] + device.register("Global.SCRATCH").offset]
    places += [BAR_BASE[4] + numbers["BAR4_BYTES"], device.address("MsixTable.MSG_DATA", 65)]
    places += [device.row(device.capacity), 1 << 40]
    for place in places:
        await device.store(place, b"\xff" * 4)
        assert await device.load(place, 4) == bytes(4), f"something is mapped at {place:#x}"
    assert await device.get("Global.SCRATCH") == 0
    assert await device.counter("Counters.BAD_ACCESS") == 0


@bench(pairs=0)
async def a_burst_is_answered_slverr_and_does_nothing(host: Host) -> None:
    """rtl-sim/README.md: single beats only, in every BAR, and each that writes is counted."""
    device, bad = host.device, 0
    await device.put("Global.SCRATCH", 0x1234_5678)
    for beats in (2, 3, 16):
        for base in BAR_BASE.values():
            written = await device.master.write(base, b"\xff" * (64 * beats))
            assert written.resp == AxiResp.SLVERR, f"{beats} beats to {base:#x}"
            bad += 1
            got = await device.master.read(base, 64 * beats)
            assert got.resp == AxiResp.SLVERR, f"{beats} beats from {base:#x}"
            assert not any(got.data), f"{beats} beats from {base:#x} bring data"
    # Narrow beats are no more welcome.
    scratch = device.address("Global.SCRATCH") & ~15
    written = await device.master.write(scratch, b"\xff" * 16, size=2)
    assert written.resp == AxiResp.SLVERR
    assert await device.get("Global.SCRATCH") == 0x1234_5678
    assert await device.get("MsixTable.MSG_DATA", 0) == 0
    assert await device.counter("Counters.BAD_ACCESS") == bad + 1
    assert await device.counter("Counters.STAGE_DROP") == 0
