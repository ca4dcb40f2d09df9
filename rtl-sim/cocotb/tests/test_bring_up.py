# SPDX-License-Identifier: Apache-2.0 OR MIT
"""From reset to a running pair and back."""

from __future__ import annotations

from bench.commands import Element
from bench.device import Device
from bench.host import Host, bench
from bench.pair import Pair


async def _row_is_zero(device: Device, index: int) -> bool:
    """Whether a slot is as after a reset: nothing but its own number."""
    view = device.abi.records["LiveView"]
    return await device.view(index) == view.pack(index=index)


@bench(pairs=0)
async def scrubbing_counts_down_and_ends_in_ready(host: Host) -> None:
    """Section 6.1: a reset of the whole device, watched."""
    device = host.device
    scrub = device.abi.codes["DeviceState"]
    reset = device.register("Global.CONTROL").word(SOFT_RESET=1)
    await device.put("Global.CONTROL", reset)
    left: list[int] = []
    seen: list[int] = []
    while not seen or seen[-1] != scrub.READY:
        seen.append(await device.field("Global.STATUS", "STATE"))
        left.append(await device.get("Global.SCRUB_LEFT"))
    assert set(seen) <= {scrub.RESET, scrub.SCRUB, scrub.READY} and scrub.SCRUB in seen, seen
    assert left == sorted(left, reverse=True) and left[0] > 0 and left[-1] == 0, left
    assert await device.get("Global.CONTROL") == 0


@bench(pairs=0)
async def run_needs_an_epoch_and_a_pair_needs_run(host: Host) -> None:
    """R22, and INSTANCE that is writable in READY only."""
    device = host.device
    run = device.register("Global.CONTROL").word(RUN=1)
    await device.put("Global.INSTANCE", 0xFFFF_FFFF_FFFF_0000)
    await device.put("Global.CONTROL", run)
    await device.cycles(50)
    await device.wait_state("READY")
    pair = Pair(device, 0, 4, 4)
    await pair.configure()
    await pair.control(enable=True)
    await device.cycles(50)
    await pair.expect_state("DISABLED")
    await device.put("Global.INSTANCE", 0x1234_5678_9ABC_DEF0)
    await device.put("Global.CONTROL", run)
    await device.wait_state("RUNNING")
    await device.put("Global.INSTANCE", 0)
    assert await device.get("Global.INSTANCE") == 0x1234_5678_9ABC_DEF0
    # And back: RUN=0 is not taken while a pair is on.
    await pair.control(enable=True)
    await pair.expect_state("ENABLED")
    await device.put("Global.CONTROL", 0)
    await device.cycles(50)
    await device.wait_state("RUNNING")
    await pair.control(enable=False)
    await pair.expect_state("DISABLED")
    await device.put("Global.CONTROL", 0)
    await device.wait_state("READY")


@bench(pairs=1)
async def a_pair_keeps_its_configuration_while_it_is_on(host: Host) -> None:
    """Section 2.2: written while DISABLED, and then locked; COALESCE is not."""
    device, pair = host.device, host.pair
    names = ("SQ_BASE", "CQ_BASE", "RING_SIZE", "START")
    before = {name: await device.get(f"QueuePair.{name}", pair.n) for name in names}
    assert before["SQ_BASE"] == pair.sq and before["CQ_BASE"] == pair.cq
    for name in names:
        await device.put(f"QueuePair.{name}", 0, pair.n)
    await device.put("QueuePair.COALESCE", 0x0003_0002, pair.n)
    assert {name: await device.get(f"QueuePair.{name}", pair.n) for name in names} == before
    assert await device.get("QueuePair.COALESCE", pair.n) == 0x0003_0002
    # It still works, so nothing of it was taken in secret.
    await host.do(host.make.nop(host.cookie()))


@bench(pairs=1)
async def an_impossible_configuration_ends_in_bad_config(host: Host) -> None:
    """Section 2.2: misaligned bases, sizes out of range, a START inside a round."""
    device = host.device
    pair = Pair(device, 1, 3, 4)
    size = device.register("QueuePair.RING_SIZE")
    wrong = [
        {"SQ_BASE": pair.sq + 64},
        {"CQ_BASE": pair.cq + 2048},
        {"RING_SIZE": size.word(SQ_LOG2=0, CQ_LOG2=4)},
        {"RING_SIZE": size.word(SQ_LOG2=3, CQ_LOG2=0)},
        {"RING_SIZE": size.word(SQ_LOG2=13, CQ_LOG2=4)},
        {"RING_SIZE": size.word(SQ_LOG2=3, CQ_LOG2=15)},
        {"START": 16},
        {"START": 32 * 5 + 1},
    ]
    for override in wrong:
        await pair.configure(**override)
        await pair.control(enable=True)
        await pair.expect_state("ERROR", "BAD_CONFIG")
        assert await device.get("Global.QP_ERROR_MAP") == 1 << pair.n
        await pair.control(enable=False)
        await pair.expect_state("DISABLED", "BAD_CONFIG")
        assert await device.get("Global.QP_ERROR_MAP") == 0
    host.events = device.register("Global.INT_CAUSE").word(QP_ERROR=1)
    pair.start = 32 * 5
    pair.tail = pair.told_tail = pair.sq_head = pair.cq_head = pair.told_head = pair.start
    await pair.enable()
    host.pairs.append(pair)
    await host.do(host.make.nop(host.cookie()), pair)


@bench(pairs=1)
async def the_vector_table_reads_back(host: Host) -> None:
    """Section 1: BAR 4."""
    device = host.device
    names = ("MSG_ADDR_LO", "MSG_ADDR_HI", "MSG_DATA", "MSG_CTRL")
    for vector in range(device.pairs + 1):
        want = [0xFEE0_0000 + (vector << 12), 0, 0x4000 + vector, 0]
        assert [await device.get(f"MsixTable.{name}", vector) for name in names] == want


@bench(pairs=1)
async def a_soft_reset_forgets_all_but_the_vector_table(host: Host) -> None:
    """R20, R21: registers, table, generations and pairs; then the same handle is good again."""
    device = host.device
    element = Element()
    await host.add(5, 77, element)
    data = await device.get("MsixTable.MSG_DATA", 1)
    await device.put("Global.SCRATCH", 0x5A5A_5A5A)
    await device.put("Global.CONTROL", device.register("Global.CONTROL").word(SOFT_RESET=1))
    await device.wait_state("READY")
    assert await device.get("Global.INSTANCE") == 0
    assert await device.get("Global.SCRATCH") == 0
    assert await device.counter("Counters.SA_LIVE") == 0
    assert await device.get("QueuePair.SQ_BASE", 0) == 0
    assert await _row_is_zero(device, 5)
    assert await device.get("MsixTable.MSG_DATA", 1) == data
    host.pairs.clear()
    await host.run()
    await host.open(0)
    await host.add(5, 77, element)
    await host.compare_row(5)


@bench(pairs=1)
async def a_function_level_reset_masks_every_vector(host: Host) -> None:
    """R20: FLR takes the vector table, too."""
    device = host.device
    await host.add(5, 77, Element())
    device.dut.flr_i.value = 1
    await device.cycles(1)
    device.dut.flr_i.value = 0
    # The configuration space is the shell's; it clears these in the same reset.
    device.dut.cfg_bus_master_i.value = 0
    device.dut.cfg_msix_enable_i.value = 0
    await device.wait_state("READY")
    for vector in range(device.pairs + 1):
        assert await device.get("MsixTable.MSG_CTRL", vector) == 1
        assert await device.get("MsixTable.MSG_DATA", vector) == 0
    assert await _row_is_zero(device, 5)
    host.pairs.clear()


@bench(pairs=1)
async def without_bus_master_dma_waits(host: Host) -> None:
    """R24: nothing is asked of the bus, and nothing is lost."""
    device, pair = host.device, host.pair
    device.dut.cfg_bus_master_i.value = 0
    await device.cycles(4)
    asked = device.monitor.ar.beats, device.monitor.aw.beats
    cookie = host.cookie()
    pair.put(host.make.nop(cookie))
    await pair.ring()
    await pair.expect_quiet(300)
    assert (device.monitor.ar.beats, device.monitor.aw.beats) == asked
    device.dut.cfg_bus_master_i.value = 1
    completion = await pair.next()
    assert completion.cookie == cookie
