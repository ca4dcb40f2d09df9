# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Random commands on a rough bus, by both paths of two pairs, against the reference."""

from __future__ import annotations

import os

import cocotb

from bench.commands import Status
from bench.host import Host, bench
from bench.program import Program

# `ESNIC_OPS` chooses another number of commands.
OPS = int(os.environ.get("ESNIC_OPS", "2000"))


@bench(pairs=0)
async def random_commands_end_as_the_manual_says(host: Host) -> None:
    """Sections 3 to 7: every completion, every record, every row, every counter."""
    device = host.device
    device.rough()
    await host.run()
    await host.open(0, 5, 5)
    await host.open(1, 3, 3, start=(1 << 32) - 64)
    program = Program(host)
    await program.run(OPS)
    cocotb.log.info("statuses %s", dict(sorted(program.statuses.items())))
    cocotb.log.info("sent %s, %d messages", dict(program.sent), program.messages)

    # Each pair that still waits for its message gets one more completion, and so the message.
    for pair in host.pairs:
        await host.do(host.make.nop(host.cookie()), pair)
        program.sent["ring"] += 1
        program.statuses["OK"] += 1
        await device.cycles(400)
        assert pair.n not in program.armed, "a message was lost"

    for index in range(device.capacity):
        await host.compare_row(index)
    live = sum(slot.config is not None for slot in host.reference.slots)
    total, good = sum(program.statuses.values()), program.statuses["OK"]
    assert total == sum(program.sent.values())
    for name, value in (
        ("CMD_RING", program.sent["ring"]),
        ("CMD_DIRECT", program.sent["direct"]),
        ("CPL_OK", good),
        ("CPL_ERR", total - good),
        ("SA_LIVE", live),
        ("MSIX_SENT", program.messages),
        ("BAD_ACCESS", 0),
        ("STAGE_DROP", 0),
        ("EPOCH_DROP", 0),
    ):
        got = await device.counter(f"Counters.{name}")
        assert got == value, f"{name} is {got}, not {value}"
    assert sum([await device.counter("QueuePair.COMPLETIONS", p.n) for p in host.pairs]) == total
    assert await device.counter("Counters.DMA_RD_TLP") == device.monitor.ar.beats
    assert await device.counter("Counters.DMA_WR_TLP") == device.monitor.aw.beats

    # A program that never met its neighbours, or never made a mistake, has shown little.
    if OPS >= 2000:
        for name in ("BYPASS_CAPTURE", "BYPASS_EXEC"):
            assert await device.counter(f"Counters.{name}") > 0, f"{name} never happened"
        # Some are too rare, or need more than a program; they have tests of their own.
        rare = {"STAGE", "BAD_OPCODE", "BAD_EPOCH", "BAD_PAIR", "BAD_INDEX"}
        apart = {"DRAINING", "VERIFY", "DMA_ERROR"}
        missing = {status.name for status in Status} - rare - apart - set(program.statuses)
        assert not missing, f"no command ended in {missing}"
        assert all(channel.stalls > 0 for channel in device.monitor.channels)
